"""What a front has before anybody can connect to it."""

import redis.asyncio as redis

from api.settings import ApiSettings
from api.state import FrontState
from shared.catalogue import Catalogue
from shared.names import CATALOGUE


async def test_a_front_can_serve_its_first_request(redis_url: str) -> None:
    """A balancer sends it as soon as the port is open, and would pass a refusal on to the client."""
    store = redis.Redis.from_url(redis_url)
    await store.hset(CATALOGUE, mapping={"version": 1, "body": Catalogue(1).encode()})
    await store.aclose()
    state = FrontState(ApiSettings(redis_url))
    await state.start()
    assert state.bus.connected
    assert state.catalogue.current is not None
    await state.stop()
