"""Builds and runs one worker process."""

import argparse
import asyncio
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import structlog
import uvloop
from arq.worker import func

from shared.bus import Bus
from shared.collection import collect_rarely
from shared.metrics_server import WORKER_PORT, MetricsError, new_registry, start_metrics_server
from shared.pipe import RedisUrlError
from shared.telemetry import LogLevelError, configure_logging
from worker.chat import run_chat
from worker.config.loading import Loaded, find_config, load
from worker.config.problems import ConfigError
from worker.host import Host
from worker.metrics import WorkerCollector, WorkerMetrics
from worker.secrets import Secrets, SecretsError, load_secrets
from worker.state import WorkerState

DEFAULT_REDIS_URL = "redis://127.0.0.1:6379/0"
_log = structlog.get_logger()


def main(argv: Sequence[str] | None = None) -> int:
    """The process' exit status: 0 after a drain, 2 for a configuration that cannot be used."""
    options = _parse(argv)
    try:
        configure_logging(options.log_level, service="worker")
        loaded = load(find_config(options.config, os.environ, Path.cwd()), os.environ)
        if loaded.path is not None:  # disposable processes inherit it
            os.environ["PENSTOCK_CONFIG"] = str(loaded.path.absolute())
        secrets = load_secrets(os.environ)
    except (ConfigError, SecretsError, LogLevelError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    try:
        uvloop.run(_run(options.source, loaded, secrets))
    except (ConfigError, SecretsError, MetricsError, RedisUrlError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="penstock worker", description="Runs one worker.")
    parser.add_argument(
        "--config", type=Path, help="the configuration file (default: PENSTOCK_CONFIG, ./penstock.yaml)"
    )
    parser.add_argument(
        "--source",
        choices=("queue", "suspects", "solo"),
        default="queue",
        help="what to take: the queue, or what dead workers left, and then end",
    )
    parser.add_argument("--log-level", default=os.environ.get("PENSTOCK_LOG_LEVEL", "info"))
    return parser.parse_args(argv)


def redis_url(loaded: Loaded) -> str:
    """PENSTOCK_REDIS_URL, else the file's, else the local default."""
    configured = loaded.config.redis.url.get_secret_value() if loaded.config.redis else DEFAULT_REDIS_URL
    return os.environ.get("PENSTOCK_REDIS_URL") or configured


async def _run(source: str, loaded: Loaded, secrets: Secrets) -> None:
    url = redis_url(loaded)
    bus = Bus(url)
    registry = new_registry()
    metrics = WorkerMetrics(registry)
    state = WorkerState(bus, loaded, secrets, os.environ, metrics)

    async def open_state(ctx: dict[Any, Any]) -> None:  # noqa: ARG001  arq hands it over
        await state.open(administers=source == "queue")
        collect_rarely()
        _log.info("worker ready", worker=host.worker, source=source)

    async def close_state(ctx: dict[Any, Any]) -> None:  # noqa: ARG001  arq hands it over
        await state.close()

    host = Host(
        func(run_chat, name="chat"),
        url=url,
        bus=bus,
        ctx={"state": state},
        slots=1 if source == "solo" else loaded.config.worker.slots,
        drain_s=loaded.config.worker.drain_s,
        source=source,
    )
    registry.register(WorkerCollector(host, bus, metrics))
    start_metrics_server(registry, os.environ, default_port=WORKER_PORT)
    host.on_startup, host.on_shutdown = open_state, close_state
    try:
        await host.async_run()
    except asyncio.CancelledError:
        _log.warning("worker stopped before it was drained")
    finally:
        await host.close()


if __name__ == "__main__":
    sys.exit(main())
