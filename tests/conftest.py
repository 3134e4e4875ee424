"""Fixtures that every folder of tests uses."""

import os
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
import redis

from tests.servers import RedisServer, redis_binaries

# How long an example takes depends on what else the machine does.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """No test sees the settings or keys of whoever runs it."""
    for name in list(os.environ):
        if name.startswith("PENSTOCK_") or name.endswith(("_API_KEY", "_proxy", "_PROXY")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("PENSTOCK_STATE_DIR", str(tmp_path_factory.mktemp("state")))


@pytest.fixture(scope="session", params=redis_binaries(), ids=lambda path: Path(path).parent.name)
def shared_redis(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """One Redis for many tests, on each binary that there is."""
    server = RedisServer(tmp_path_factory.mktemp("redis"), binary=request.param)
    yield server
    server.close()


@pytest.fixture
def redis_url(shared_redis: RedisServer) -> Iterator[str]:
    """An empty Redis."""
    client = redis.Redis.from_url(shared_redis.url)
    client.flushall()
    yield shared_redis.url
    client.close()


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis of the test's own, to be killed, frozen and restarted."""
    folder = tmp_path / "redis"
    folder.mkdir()
    server = RedisServer(folder)
    yield server
    server.close()
