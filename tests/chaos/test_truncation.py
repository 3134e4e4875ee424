"""Whatever an upstream does in place of a whole answer, the client is told: no cut answer looks complete."""

import pytest

from tests.chaos.conftest import FORMS, Arena

MID = ("reset", "end", "errorevent", "stall", "badjson", "badtext", "long")
INSTEAD = ("plain", "html", "okerror", "hang", "drop", "stalledhtml", "stallederror")


@pytest.fixture(autouse=True)
async def an_account_in_good_standing(lasting_arena: Arena) -> None:
    """A good answer between the faults: an account that only fails would be given a rest."""
    assert (await lasting_arena.client.ask("num-n1")).exact(1)


@pytest.mark.parametrize("after", [0, 5], ids=["before-content", "after-content"])
@pytest.mark.parametrize("fault", MID)
async def test_a_cut_stream_is_told(lasting_arena: Arena, fault: str, after: int) -> None:
    """Before the first content with an HTTP status, after it with an event; never a [DONE] or a finish reason."""
    result = await lasting_arena.client.ask(f"num-n20-g5-{fault}{after}", limit_s=15)
    assert result.honest_error, result
    assert not result.finished
    assert result.tokens == after
    assert result.status == (200 if after else _status(fault))


@pytest.mark.parametrize(("model", "streams"), [("num", False), ("thinker/thinker", True)])
@pytest.mark.parametrize("fault", MID)
async def test_a_cut_whole_answer_is_an_error(lasting_arena: Arena, fault: str, model: str, *, streams: bool) -> None:
    """No part of it is passed off as the answer, also where the upstream can only stream."""
    assert (await lasting_arena.client.ask(f"{model}-n3", stream=False)).exact(3)
    result = await lasting_arena.client.ask(f"{model}-n20-{fault}1", stream=False, limit_s=15)
    assert result.honest_error, result
    assert result.status == _status(fault)
    assert result.tokens == 0
    assert bool(lasting_arena.calls()[result.nonce]["streamed"]) is streams


@FORMS
@pytest.mark.parametrize("fault", INSTEAD)
async def test_something_else_than_an_answer_is_an_error(lasting_arena: Arena, fault: str, *, stream: bool) -> None:
    result = await lasting_arena.client.ask(f"num-{fault}", stream=stream, limit_s=15)
    assert result.honest_error, result
    assert result.status >= 500
    assert result.tokens == 0


async def test_a_stream_cut_after_its_last_token_is_not_complete(lasting_arena: Arena) -> None:
    """All content came, but the upstream never said that it was done."""
    result = await lasting_arena.client.ask("num-n20-end20", limit_s=15)
    assert result.honest_error
    assert (result.tokens, result.finished, result.done) == (20, False, False)


async def test_a_finish_reason_without_done_is_passed_on_as_it_is(lasting_arena: Arena) -> None:
    """The upstream said that it was done, by the one of its two marks that tells why."""
    result = await lasting_arena.client.ask("num-n20-nodone", limit_s=15)
    assert (result.tokens, result.finished, result.done, result.error) == (20, True, False, None)


async def test_nothing_is_left_running(lasting_arena: Arena) -> None:
    """After all of these, Redis and the upstream are at rest."""
    assert await lasting_arena.at_rest() == {}


def _status(fault: str) -> int:
    return 504 if fault == "stall" else 502
