"""What one front process is told at its start. Everything else it learns from the catalogue."""

import os
import socket
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any


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
    drain_s: int = 600
    """Longest time that a stopping front gives to its running streams."""
    closing_s: int = 3
    """So long a stopping front still takes requests, telling each client to connect anew, before it stops listening. So
    long after that it keeps idle connections: longer than nginx does, or requests would be lost."""

    def address(self) -> tuple[str, int]:
        """Host and port on which the front listens; of a Unix socket its path, and 0."""
        if self.fd is None:
            return self.host, self.port
        host, port, *_ = (*_name_of(self.fd), 0)
        return host, port

    def is_private(self) -> bool:
        """Whether only this machine can reach the front. An empty host means all interfaces."""
        if self.fd is None:
            return _is_loopback(self.host)
        host, *port = _name_of(self.fd)
        return not port or _is_loopback(host)


def _name_of(fd: int) -> tuple[Any, ...]:
    """(host, port, ...) of a listening socket; (path,) of a Unix socket."""
    with socket.socket(fileno=os.dup(fd)) as listener:
        name = listener.getsockname()
    return name if isinstance(name, tuple) else (name,)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
