"""What the contract tests share: cases by the files that they have, and assertions."""

from collections.abc import Mapping
from typing import Any

import pytest

from tests.providers import sdk_types
from tests.providers.cases import Case, as_golden, cases, raised, response
from worker.faults import UpstreamError
from worker.providers.contract import Answer, Ask, Chunk, Exchange

CASES = cases()


def having(*names: str) -> list[Case]:
    return [case for case in CASES if case.path(*names)]


def each(*names: str) -> pytest.MarkDecorator:
    """Runs a test for every case that has one of these files."""
    return pytest.mark.parametrize("case", having(*names), ids=lambda case: case.name)


def each_entry(file: str) -> pytest.MarkDecorator:
    """Runs a test for every entry of this file in every case that has its own."""
    found = [
        (case, n, entry) for case in CASES if (case.folder / file).exists() for n, entry in enumerate(case.json(file))
    ]
    return pytest.mark.parametrize(
        ("case", "entry"), [(case, entry) for case, _, entry in found], ids=[f"{case.name}-{n}" for case, n, _ in found]
    )


def assert_raised(error: UpstreamError, entry: Mapping[str, Any]) -> None:
    assert error.message
    found = raised(error)
    assert {name: found[name] for name in found if name in entry} == {n: entry[n] for n in found if n in entry}
    if "retry_after_s" not in entry:
        assert error.retry_after_s is None


def assert_promises(chunks: list[Chunk]) -> None:
    for chunk in chunks:
        sdk_types.check_chunk(chunk.data)
    for member in ("id", "model", "object"):
        assert len({chunk.data[member] for chunk in chunks}) == 1, member
    choices = [choice for chunk in chunks for choice in chunk.data["choices"]]
    for index in {choice["index"] for choice in choices}:
        own = [choice for choice in choices if choice["index"] == index]
        assert [choice["delta"].get("role") for choice in own] == ["assistant"] + [None] * (len(own) - 1)
        assert len([choice for choice in own if choice["finish_reason"]]) == 1
        heard = [call["id"] for choice in own for call in choice["delta"].get("tool_calls") or () if call.get("id")]
        assert len(heard) == len(set(heard)), "a tool call's id came twice"
    for chunk in chunks[:-1]:
        assert chunk.data["choices"], "a chunk without choices before the end"
        assert chunk.data.get("usage") is None
    assert bool(chunks[-1].data.get("usage")) == (chunks[-1].data["choices"] == [])


def walk(exchange: Exchange, steps: list[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What an exchange asks when it gets the responses of `steps`."""
    asked = []
    answers = iter(steps)
    reply = None
    try:
        while True:
            step = exchange.send(reply)
            given_step = next(answers, {})
            asked.append({"ask" if isinstance(step, Ask) else "answer": as_golden(step.request)})
            if isinstance(step, Answer) and step.stop:
                asked[-1]["stop"] = as_golden(step.stop)
            reply = response(given_step.get("response", {})) if isinstance(step, Ask) else None
    except StopIteration:
        return asked
