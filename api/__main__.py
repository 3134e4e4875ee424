"""Builds and runs one front process: one uvicorn, one event loop."""

import argparse
import os
import sys
from collections.abc import Sequence

import structlog
import uvloop

from api.app import create_app
from api.server import Server
from api.settings import ApiSettings
from api.state import FrontState
from shared.collection import collect_rarely
from shared.metrics_server import FRONT_PORT, MetricsError, start_metrics_server
from shared.pipe import RedisUrlError
from shared.telemetry import LogLevelError, configure_logging

DEFAULT_REDIS_URL = "redis://127.0.0.1:6379/0"
_log = structlog.get_logger()


class ListenError(Exception):
    """The address cannot be had; the message names the options."""


def main(argv: Sequence[str] | None = None) -> int:
    """The process' exit status."""
    options = _parse(argv)
    settings = ApiSettings(
        redis_url=os.environ.get("PENSTOCK_REDIS_URL", DEFAULT_REDIS_URL),
        host=options.host,
        port=options.port,
        fd=options.fd,
        closing_s=options.closing_s,
        drain_s=options.drain_s,
        forwarded_allow_ips=os.environ.get("PENSTOCK_FORWARDED_ALLOW_IPS", "127.0.0.1"),
    )
    try:
        configure_logging(options.log_level, service="api")
        uvloop.run(_serve(settings))
    except (ListenError, LogLevelError, MetricsError, RedisUrlError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="penstock api", description="Runs one front.")
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on (default: 127.0.0.1)")
    parser.add_argument("--port", type=int, default=8080, help="the port to listen on (default: 8080)")
    parser.add_argument("--fd", type=int, help="an inherited listening socket, instead of host and port")
    parser.add_argument(
        "--closing-s", type=int, default=3, help="on SIGTERM, so long new requests are still taken (default: 3)"
    )
    parser.add_argument(
        "--drain-s", type=int, default=600, help="on SIGTERM, so long running streams may go on (default: 600)"
    )
    parser.add_argument("--log-level", default=os.environ.get("PENSTOCK_LOG_LEVEL", "info"))
    return parser.parse_args(argv)


async def _serve(settings: ApiSettings) -> None:
    state = FrontState(settings)
    start_metrics_server(state.registry, os.environ, default_port=FRONT_PORT)
    collect_rarely()
    host, port = settings.address()
    _log.info("front starts", front=state.relay.front, host=host, port=port)
    try:
        await Server(create_app(state), state).serve()
    except SystemExit:  # uvicorn's way to say that it cannot listen
        where = f"socket {settings.fd}" if settings.fd is not None else f"{settings.host}:{settings.port}"
        raise ListenError(f"cannot listen on {where}; --host and --port choose another address") from None


if __name__ == "__main__":
    sys.exit(main())
