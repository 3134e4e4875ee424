"""What the upstream of one fixture case answers to which request. No I/O but reading the fixtures."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from tests.providers.cases import FOLDER, STREAMS, Case, parts, response
from worker.providers.contract import Framing


@dataclass(frozen=True)
class Asked:
    """A request as it arrived, without the prefix that chose the case."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: Any


@dataclass(frozen=True)
class Reply:
    """`pieces` are sent one after another: the whole body, the events of a stream, or messages.

    `completes` marks the completion among the calls of an exchange.
    """

    pieces: list[bytes]
    framing: Framing | None = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    completes: bool = False


@dataclass(frozen=True)
class Line:
    """One request of the fixtures and what it is answered."""

    golden: Mapping[str, Any]
    reply: Reply


def lines(case: Case) -> Iterator[Line]:
    """Every request that the case's fixtures know, plain and streamed, and its type's list of models."""
    for prefix in ("", "stream_"):
        steps = case.json(f"{prefix}exchange.json")
        if steps is None and case.path(f"{prefix}request.json"):
            steps = [{"answer": case.json(f"{prefix}request.json")}]
        for step in steps or ():
            if "ask" in step:
                yield Line(step["ask"], _side_answer(step["response"]))
            else:
                yield Line(step["answer"], _answer(case, step["answer"]))
                if "stop" in step:
                    yield Line(step["stop"], _side_answer({}))
    models = FOLDER / case.folder.parent.name / "models.json"
    if models.exists():
        listed = json.loads(models.read_bytes())
        yield Line(listed["request"], _side_answer(listed))


def _side_answer(data: Mapping[str, Any]) -> Reply:
    told = response(data)
    return Reply([told.body], status=told.status, headers={"content-type": "application/json", **told.headers})


def _answer(case: Case, golden: Mapping[str, Any]) -> Reply:
    if not golden.get("streamed"):
        path = case.path("response.json", "response.txt")
        pieces = [path.read_bytes()] if path else []
        return Reply(pieces, headers={"content-type": "application/json"}, completes=True)
    if case.path(*STREAMS) is None:
        return Reply([], completes=True)
    return Reply(events(case), case.framing, completes=True)


def events(case: Case) -> list[bytes]:
    """The pieces in which a streamed answer is sent."""
    pieces = case.stream_parts
    if case.framing is not Framing.SSE:
        return pieces
    (body,) = pieces
    end = b"\r\n\r\n" if b"\r\n\r\n" in body else b"\n\n"
    return [event + end for event in body.split(end) if event]


def choose(case: Case, asked: Asked) -> Reply | None:
    """The reply to the golden request that is most like this one; ids in a path may differ, its length may not."""
    found = [line for line in lines(case) if _segments(line.golden) == len(asked.path.split("/"))]
    return max(found, key=lambda line: _likeness(line.golden, asked)).reply if found else None


def _segments(golden: Mapping[str, Any]) -> int:
    return len(urlsplit(golden["url"]).path.split("/"))


def _likeness(golden: Mapping[str, Any], asked: Asked) -> tuple[bool, int, int]:
    url = urlsplit(golden["url"])
    same_path = sum(ours == theirs for ours, theirs in zip(url.path.split("/"), asked.path.split("/"), strict=True))
    told = [(asked.query, dict(parse_qsl(url.query))), (asked.headers, golden["headers"])]
    if isinstance(asked.body, dict) and isinstance(golden.get("body"), dict):
        told += [(asked.body, golden["body"]), (golden["body"], asked.body)]
    same = sum(ours.get(name) == value for ours, theirs in told for name, value in theirs.items())
    different = sum(ours.get(name) != value for ours, theirs in told for name, value in theirs.items())
    return golden["method"] == asked.method, same_path, same - different


def error_reply(case: Case, number: int) -> Reply:
    """The `number`-th entry of the type's errors.json."""
    entry = json.loads((FOLDER / case.folder.parent.name / "errors.json").read_bytes())[number]
    told = response(entry)
    return Reply([told.body], status=entry["status"], headers={"content-type": "application/json", **told.headers})


def broken_reply(case: Case, number: int) -> Reply:
    """The `number`-th stream of the case's broken_streams.json, which then ends cleanly."""
    return Reply(parts(case.json("broken_streams.json")[number]["stream"]), case.framing)
