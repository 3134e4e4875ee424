"""Sites that a person signed in to: what a request leaves there is removed, and a challenge is heard the first time."""

import asyncio
import json
from typing import Any

import openai
import pytest

from shared.bus import Bus
from tests.servers import wait_until
from tests.upstream.conftest import ACCOUNTS, CHALLENGED, HELD, REFUSED, SCENES, Scene, Stage, removes, request_of
from worker.accounts.states import State, view_accounts


class Removed:
    """The last thing that a case's upstream was asked is to remove what it was asked in."""

    def __init__(self, stage: Stage, scene: Scene) -> None:
        self._stage, self._scene = stage, scene

    def __call__(self) -> bool:
        calls = [entry["asked"] for entry in self._stage.asked(self._scene)]
        if not calls or calls[-1]["method"] != "DELETE":
            return False
        removed = calls[-1]["path"].rpartition("/")[2]
        return removed in json.dumps(calls[-2])


def stops(stage: Stage, scene: Scene) -> tuple[list[str], list[str]]:
    """How the upstream was asked to stop answering, and how the fixtures would ask it; without the ids."""
    told = [step["stop"]["url"] for step in scene.case.json("stream_exchange.json") if "stop" in step]
    names = [url.rpartition("/")[2] for url in told]
    asked = [entry["asked"]["path"].rpartition("/")[2] for entry in stage.asked(scene)]
    return [name for name in asked if name in names], names


def removing(scenes: list[Scene]) -> pytest.MarkDecorator:
    found = [scene for scene in scenes if removes(scene.case)]
    assert len({scene.case.provider.type_name for scene in found}) > 1
    return pytest.mark.parametrize("scene", found, ids=lambda scene: scene.name)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@removing(SCENES)
def test_a_conversation_is_removed_after_its_answer(scene: Scene, stage: Stage, *, stream: bool) -> None:
    stage.forget()
    answer: Any = stage.client.chat.completions.create(**request_of(scene), stream=stream)
    assert list(answer) if stream else answer.choices
    wait_until("the removal", Removed(stage, scene))
    assert not stops(stage, scene)[0]


@removing(HELD)
def test_a_conversation_is_removed_though_the_client_has_left(scene: Scene, stage: Stage) -> None:
    stage.forget()
    with stage.client.chat.completions.create(**request_of(scene), stream=True) as stream:
        next(iter(stream))
    wait_until("the removal", Removed(stage, scene))
    stopped, told = stops(stage, scene)
    assert stopped == told


@removing(REFUSED)
def test_a_conversation_is_removed_after_an_error(scene: Scene, stage: Stage) -> None:
    stage.forget()
    with pytest.raises(openai.APIStatusError):
        stage.client.chat.completions.create(**request_of(scene))
    wait_until("the removal", Removed(stage, scene))
    assert not stops(stage, scene)[0]


def states(stage: Stage, scene: Scene) -> list[State]:
    async def view() -> list[State]:
        bus = Bus(stage.system.redis.url)
        await bus.start()
        await bus.up.wait()
        found = await view_accounts(bus, [(scene.name, name) for name in ACCOUNTS])
        await bus.close()
        return sorted(account.state for account in found)

    return asyncio.run(view())


@pytest.mark.parametrize("scene", CHALLENGED, ids=lambda scene: scene.name)
def test_a_challenge_is_met_once_by_each_account(scene: Scene, stage: Stage) -> None:
    """One request meets it with one account, which then waits for a person; the last one asks nobody any more."""
    stage.forget()
    asked: list[int] = []
    for benched in (1, 2, 3, 3):
        with pytest.raises(openai.APIStatusError) as caught:
            stage.client.chat.completions.create(**request_of(scene), stream=benched == 2)
        assert caught.value.status_code == 503
        assert caught.value.code == ("upstream_challenge" if len(asked) < 3 else "upstream_credential_invalid")
        assert states(stage, scene) == [State.NEEDS_RENEWAL] * benched + [State.READY] * (3 - benched)
        if removes(scene.case) and scene.behaviour.startswith("~error"):
            wait_until("the removal", Removed(stage, scene))
        asked.append(len(stage.asked(scene)))
    once = asked[0]
    assert asked == [once, 2 * once, 3 * once, 3 * once]
    assert once == 1 or scene.behaviour.startswith("~error")
