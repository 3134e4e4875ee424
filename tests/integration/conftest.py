"""A gateway for a module of tests, before an upstream that counts."""

from collections.abc import AsyncIterator
from contextlib import closing

import pytest
import pytest_asyncio

from tests.integration.counting import Counting, Gateway, open_gateway
from tests.servers import RedisServer


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Gateway]:
    """Runs what the module's `configuration` says for the upstream's port, with its number of `WORKERS`, or one."""
    workers = getattr(request.module, "WORKERS", 1)
    with closing(RedisServer(tmp_path_factory.mktemp("redis"))) as redis:
        folder = tmp_path_factory.mktemp("gateway")
        async with open_gateway(folder, redis, request.module.configuration, workers=workers) as gateway:
            yield gateway


@pytest.fixture
def upstream(gateway: Gateway) -> Counting:
    """As if nobody had called it yet."""
    gateway.upstream.forget()
    return gateway.upstream
