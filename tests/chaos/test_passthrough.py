"""Callers with keys of their own are billed for what they asked, whatever happens around them."""

import asyncio
from typing import Any

import httpx
import pytest

from tests.chaos.client import Result
from tests.chaos.conftest import Arena
from tests.chaos.test_faults import broken
from tests.system import CLIENT_KEY

CALLERS = 200
OPERATORS = "sk-upstream-0123456789"
SLOW = "num-n20-g100-t500"
MODELS = (SLOW, f"num/{SLOW}", f"{SLOW}-raced", f"{SLOW}-alias")


@pytest.fixture
def arena_config() -> dict[str, Any]:
    """Routes with every chance of meeting the operator's account."""
    raced = {"strategy": "race", "race_delay_s": 0, "targets": [f"num/{SLOW}", f"num/{SLOW}-b"]}
    models = {f"{SLOW}-raced": {**raced, "fallbacks": [SLOW]}, f"{SLOW}-alias": f"num/{SLOW}"}
    return {"passthrough": {"provider": "num"}, "models": models, "routing": {"strategy": "race"}}


def paid_by(arena: Arena) -> dict[str, list[str]]:
    """Which key the upstream was called with, once for each call, by nonce."""
    keys: dict[str, list[str]] = httpx.get(f"http://127.0.0.1:{arena.upstream_port}/stats").json()["keys"]
    return keys


@pytest.mark.parametrize("append_only", [False], ids=["memory"])
async def test_two_hundred_interleaved_callers_and_a_killed_worker(arena: Arena) -> None:
    """Each asks twice, streamed and not, among the operator's callers; the upstream notes who paid."""
    own = [f"sk-own-{i:03}-0123456789" for i in range(CALLERS)]
    interleaved = [key for i, one in enumerate(own) for key in ([one, CLIENT_KEY] if i % 10 == 0 else [one])]
    asked: list[tuple[str, asyncio.Task[Result]]] = []
    for i, key in enumerate([*interleaved, *interleaved]):
        streamed = (i % 2 == 0) == (i < len(interleaved))
        asking = arena.client.ask(MODELS[i % len(MODELS)], stream=streamed, key=key, limit_s=90)
        asked.append((key, asyncio.create_task(asking)))
    await arena.until_called(CALLERS)
    arena.system.workers[0].kill()
    results = [(key, await task) for key, task in asked]
    assert broken([result for _, result in results], 20) == []
    paid = paid_by(arena)
    expected = {result.nonce: OPERATORS if key == CLIENT_KEY else key for key, result in results}
    assert {nonce: keys for nonce, keys in paid.items() if set(keys) != {expected[nonce]}} == {}
    assert paid.keys() == expected.keys()
    assert any(len(paid[result.nonce]) > 1 for key, result in results if key != CLIENT_KEY), "none was run again"
    assert await arena.at_rest() == {}
