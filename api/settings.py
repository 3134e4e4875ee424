"""What one front process is told at its start. Everything else it learns from the catalogue."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ApiSettings:
    """`fd` is a listening socket that is inherited instead of `host` and `port`. `forwarded_allow_ips` are the proxies
    whose X-Forwarded-* headers are believed, comma-separated.
    """

    redis_url: str
    host: str = "127.0.0.1"
    port: int = 8080
    fd: int | None = None
    forwarded_allow_ips: str = "127.0.0.1"
    drain_s: float = 600.0
    """Longest time that a stopping front gives to its running streams."""
    closing_s: float = 3.0
    """So long a stopping front still takes requests, telling each client to connect anew, before it stops listening."""
