"""The gateway before which nginx stands."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.gateway import Gateway, build_gateway
from tests.servers import RedisServer


@pytest.fixture
def gateway(tmp_path: Path, redis_server: RedisServer) -> Iterator[Gateway]:
    with build_gateway(tmp_path, redis_server) as built:
        yield built
