"""What `penstock up` is to start, decided before anything runs."""

import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from deploy.keys import generated_client_key
from shared.metrics_server import FRONT_PORT
from worker.config.loading import Loaded, find_config, load
from worker.config.schema import Auth, Config
from worker.config.service import is_loopback

_BACKLOG: Final = 4096


class CannotStart(Exception):
    """`up` cannot start; the message names the option that would help."""


@dataclass(frozen=True, slots=True)
class Wishes:
    """The options of `penstock up`. None: what the file says, else the default."""

    config: Path | None = None
    host: str | None = None
    port: int | None = None
    fronts: int = 1
    workers: int = 1
    passthrough: str | None = None
    log_level: str = "info"


@dataclass(frozen=True, slots=True)
class Plan:
    """`environ` is for the child processes. `shown_key` is the generated key, `asking_key` any that may ask."""

    wishes: Wishes
    host: str
    port: int
    redis_url: str | None
    environ: Mapping[str, str] = field(repr=False)
    warnings: tuple[str, ...] = ()
    shown_key: str | None = field(default=None, repr=False)
    key_file: Path | None = None
    asking_key: str | None = field(default=None, repr=False)
    open_to_all: bool = False
    passthrough: str | None = None
    example_model: str = "MODEL"
    """Shown where no key of ours may ask which models there are."""

    @property
    def base_url(self) -> str:
        """As this machine reaches it."""
        host = {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "::1"}.get(self.host, self.host)  # noqa: S104  shown, not bound
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"


def make_plan(wishes: Wishes, environ: Mapping[str, str]) -> Plan:
    """Raises ConfigError, KeyFileError or CannotStart."""
    path = find_config(wishes.config, environ, Path.cwd())
    loaded = load(path, environ, passthrough=wishes.passthrough)
    open_to_all = loaded.config.server.auth is Auth.NONE
    passthrough = loaded.config.passthrough.provider if loaded.config.passthrough else None
    shown_key, key_file = None, None
    if not (open_to_all or loaded.config.keys or passthrough):
        shown_key, key_file = generated_client_key(environ)
        environ = {**environ, "PENSTOCK_KEYS": shown_key}
        loaded = load(path, environ)
    config = loaded.config
    host = wishes.host or config.server.host
    if open_to_all and not is_loopback(host):
        raise CannotStart(f"server.auth is none, which lets everybody in: --host must be 127.0.0.1, and is {host}")
    return Plan(
        wishes=wishes,
        host=host,
        port=wishes.port or config.server.port,
        redis_url=environ.get("PENSTOCK_REDIS_URL") or (config.redis.url.get_secret_value() if config.redis else None),
        environ=_for_children(wishes, loaded, environ),
        warnings=loaded.warnings,
        shown_key=shown_key,
        key_file=key_file,
        asking_key=next((key.key.get_secret_value() for key in config.keys), None),
        open_to_all=open_to_all,
        passthrough=passthrough,
        example_model=_example_model(config, passthrough),
    )


def _example_model(config: Config, passthrough: str | None) -> str:
    provider = config.provider(passthrough) if passthrough else None
    return next(iter(provider.kind.static_models), "MODEL") if provider else "MODEL"


def _for_children(wishes: Wishes, loaded: Loaded, environ: Mapping[str, str]) -> dict[str, str]:
    own = {**environ, "PENSTOCK_LOG_LEVEL": wishes.log_level}
    if loaded.path is not None:
        own["PENSTOCK_CONFIG"] = str(loaded.path.absolute())
    if wishes.passthrough:
        own["PENSTOCK_PASSTHROUGH"] = wishes.passthrough
    return own


def listen(host: str, port: int) -> socket.socket:
    """The one socket that all fronts accept from, so that a front that ends loses no connection that waits.

    Raises CannotStart.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        reason = (error.strerror or str(error)).partition(" (")[0]  # Python appends the address, which the sentence has
        raise CannotStart(
            f"cannot listen on {host}:{port}: {reason}. Choose another with --port (or --host, or server.port in "
            "penstock.yaml)."
        ) from None
    listener.setblocking(False)
    return listener


def metrics_ports(environ: Mapping[str, str], processes: int) -> list[str]:
    """PENSTOCK_METRICS_PORT for each process: the first port and those after it.

    Without a wish a port that is taken becomes "0", which switches the metrics of that process off.
    """
    said = environ.get("PENSTOCK_METRICS_PORT", "").strip()
    if said:
        return [str(int(said) + i) if said.isdecimal() and said != "0" else said for i in range(processes)]
    host = environ.get("PENSTOCK_METRICS_HOST") or "127.0.0.1"
    return [str(port) if _is_free(host, port) else "0" for port in range(FRONT_PORT, FRONT_PORT + processes)]


def _is_free(host: str, port: int) -> bool:
    try:
        with socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET):
            return True
    except OSError:
        return False
