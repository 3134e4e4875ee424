"""The local supervisor: Redis, fronts and workers on one machine, all ending with it."""

import asyncio
import signal
import socket
import sys
from collections.abc import Mapping
from typing import Any, Final

import structlog

from deploy.child import Child
from deploy.embedded_redis import EmbeddedRedis
from deploy.plan import Plan, Wishes, listen, make_plan, metrics_ports
from deploy.probe import a_model, wait_ready
from deploy.welcome import welcome
from shared.telemetry import configure_logging

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_log = structlog.get_logger()


def up(wishes: Wishes, environ: Mapping[str, str]) -> int:
    """Serves until a signal; the exit status. Raises ConfigError, KeyFileError, NoRedis or CannotStart."""
    configure_logging(wishes.log_level, service="up")
    plan = make_plan(wishes, environ)
    for warning in plan.warnings:
        _log.warning("configuration", reason=warning)
    listener = listen(plan.host, plan.port)
    redis = EmbeddedRedis(plan.environ) if plan.redis_url is None else None
    try:
        with listener:
            return asyncio.run(Supervisor(plan, listener, redis).run())
    finally:
        if redis is not None:
            redis.remove()


class Supervisor:
    def __init__(self, plan: Plan, listener: socket.socket, redis: EmbeddedRedis | None) -> None:
        self._plan, self._listener, self._redis = plan, listener, redis
        url = redis.url if redis else plan.redis_url or ""
        wishes = plan.wishes
        names = [f"front-{i + 1}" for i in range(wishes.fronts)] + [f"worker-{i + 1}" for i in range(wishes.workers)]
        ports = metrics_ports(plan.environ, len(names))
        children = []
        for name, port in zip(names, ports, strict=True):
            if port == "0":
                _log.warning("no metrics", process=name, reason="PENSTOCK_METRICS_PORT is 0, or its default is taken")
            environ = {**plan.environ, "PENSTOCK_REDIS_URL": url, "PENSTOCK_METRICS_PORT": port}
            children.append(_child(name, environ, listener))
        self._fronts, self._workers = children[: wishes.fronts], children[wishes.fronts :]
        self._stop = asyncio.Event()

    async def run(self) -> int:
        """0 after a signal, 2 when a process cannot run with what it was told. Raises NoRedis."""
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            loop.add_signal_handler(number, self._on_signal)
        stopped = asyncio.create_task(self._stop.wait())
        kept: list[asyncio.Task[int]] = []
        try:
            if self._redis:
                kept.append(asyncio.create_task(self._redis.child.keep()))
                await _first(asyncio.create_task(self._redis.answer()), stopped)
                self._redis.announce()
            kept += [asyncio.create_task(child.keep()) for child in (*self._fronts, *self._workers)]
            greeting = asyncio.create_task(self._greet())
            await _first(greeting, stopped, *kept)
            await _first(stopped, *kept)
            greeting.cancel()
        finally:
            await self._wind_down()
        return max([await task for task in kept], default=0)

    async def _greet(self) -> None:
        await wait_ready(self._plan, answers=3 * len(self._fronts))
        sys.stdout.write(welcome(self._plan, await a_model(self._plan)) + "\n")
        sys.stdout.flush()

    def _on_signal(self) -> None:
        if self._stop.is_set():
            for child in self._children():
                child.kill()
        self._stop.set()

    def _children(self) -> list[Child]:
        return [*self._fronts, *self._workers, *([self._redis.child] if self._redis else [])]

    async def _wind_down(self) -> None:
        """Fronts first, which finish what they stream; then workers, which have nothing left; Redis at the end."""
        self._stop.set()
        self._listener.close()  # else who comes now is let in by the kernel, and nobody answers
        sys.stderr.write("Stopping: running answers are finished first; Ctrl-C again ends them.\n")
        for children in (self._fronts, self._workers, [self._redis.child] if self._redis else []):
            for child in children:
                child.stop()
            for child in children:
                await child.ended.wait()


async def _first(*awaited: asyncio.Task[Any]) -> None:
    """Returns when one is done; an exception of that one is raised."""
    done, _ = await asyncio.wait(awaited, return_when=asyncio.FIRST_COMPLETED)
    for task in done:
        task.result()


def _child(name: str, environ: Mapping[str, str], listener: socket.socket) -> Child:
    """With `-P` no folder of the user's that is called `api` stands in for ours."""
    python = [sys.executable, "-P", "-m"]
    if name.startswith("front"):
        fd = listener.fileno()
        command = [*python, "api", "--fd", str(fd), "--closing-s", "0"]  # no balancer has to learn that this one leaves
        return Child(name, command, environ, sockets=[fd])
    return Child(name, [*python, "worker"], environ)
