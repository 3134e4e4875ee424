from collections.abc import Iterator

import pytest
import redis

from tests.shared.played_queue import Queue


@pytest.fixture
def queue(redis_url: str) -> Iterator[Queue]:
    client = redis.Redis.from_url(redis_url)
    built = Queue(client)
    yield built
    built.ears.close()
    client.close()
