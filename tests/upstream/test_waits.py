"""However an upstream says when to come back, in headers or in words: its account rests until then, for all workers."""

from typing import Any

import openai
import pytest
import redis

from tests.servers import wait_until
from tests.upstream.conftest import WAITS, Scene, Stage, request_of
from worker.accounts.names import account_key
from worker.accounts.states import State

STATES = {"rate_limited": State.COOLING, "overloaded": State.COOLING, "quota_exhausted": State.EXHAUSTED}


class Rests:
    """The scene's account does; `found` is in what state, and for how many ms since it does."""

    def __init__(self, stage: Stage, scene: Scene) -> None:
        self._redis = redis.Redis.from_url(stage.system.redis.url)
        self._key = account_key(scene.name, "one")
        self.found: tuple[str, float] | None = None

    def __call__(self) -> bool:
        command: Any = self._redis.execute_command
        state, since_ms, until_ms = command("HMGET", self._key, "state", "since_ms", "until_ms")
        if state and state != b"ready":
            self.found = state.decode(), float(until_ms) - float(since_ms)
        return self.found is not None


@pytest.mark.parametrize("scene", WAITS, ids=lambda scene: scene.name)
def test_an_account_rests_as_long_as_its_upstream_says(scene: Scene, stage: Stage) -> None:
    kind, _, number = scene.behaviour.strip("~").partition("-")
    entry = (scene.errors if kind == "error" else scene.case.json("broken_streams.json"))[int(number)]
    with pytest.raises(openai.APIError):
        list(stage.client.chat.completions.create(**request_of(scene, name=f"once-{scene.name}"), stream=True))
    rests = Rests(stage, scene)
    wait_until("the rest", rests)
    state, rest_ms = rests.found or ("", 0)
    assert state == STATES[entry["fault"]]
    assert rest_ms == pytest.approx(max(entry["retry_after_s"], 0.05) * 1000, abs=1)
