"""CPU of translating, for every provider type: a streamed chunk, and a request of 50 messages and 10 tools.

    python -m tests.bench.mapping

A chunk is measured over whole streams of the type's fixtures, from the upstream's bytes to those that the client gets;
shown is the dearest of its streams. Where a type knows no tools, its request has none.
"""

import argparse
import dataclasses
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import orjson

from tests.providers.cases import STREAMS, Case, cases, map_stream, response
from worker.providers.contract import Ask, JsonObject, LocalProvider, Status

MOST_CHUNK_US: Final = 30.0
MOST_REQUEST_US: Final = 1000.0
_MESSAGES: Final = 50
_TOOLS: Final = 10
_TEXT: Final = "It was a bright cold day in April, and the clocks were striking thirteen. " * 8
_TURN_S: Final = 0.03
_TURNS: Final = 5


@dataclass(frozen=True)
class Row:
    """What one provider type costs; `case` has its dearest stream."""

    type_name: str
    chunk_us: float
    case: str
    request_us: float
    tools: bool

    @property
    def is_met(self) -> bool:
        return self.chunk_us < MOST_CHUNK_US and self.request_us < MOST_REQUEST_US


def cpu_us(work: Callable[[], object]) -> float:
    """CPU of one call in us: the best of some turns, as others can only add to it."""
    best = float("inf")
    for _ in range(_TURNS):
        calls, began = 0, time.process_time()
        while time.process_time() - began < _TURN_S:
            work()
            calls += 1
        best = min(best, (time.process_time() - began) / calls)
    return best * 1e6


def chunk_us(case: Case) -> float:
    """CPU of one chunk of the case's streamed answer."""
    provider, call, framing, pieces = case.provider, case.call(stream=True), case.framing, case.stream_parts

    def translate() -> int:
        chunks = list(map_stream(provider.stream_mapper(call), framing, pieces))
        for chunk in chunks:
            chunk.raw or orjson.dumps(chunk.data)
        return len(chunks)

    return cpu_us(translate) / translate()


def dialogue(*, tools: bool) -> JsonObject:
    """50 messages: a system prompt, then questions and answers; with 10 tools, one of them called every other time."""
    messages: list[JsonObject] = [{"role": "system", "content": _TEXT}]
    while len(messages) < _MESSAGES - 1:
        messages.append({"role": "user", "content": _TEXT})
        if tools and len(messages) % 4 == 0:
            call_id = f"call_{len(messages)}"
            function = {"name": "look_1", "arguments": '{"place": "Rome", "days": 3}'}
            call = {"id": call_id, "type": "function", "function": function}
            messages.append({"role": "assistant", "content": None, "tool_calls": [call]})
            messages.append({"role": "tool", "tool_call_id": call_id, "content": _TEXT})
        else:
            messages.append({"role": "assistant", "content": _TEXT})
    asked: JsonObject = {"messages": [*messages[: _MESSAGES - 1], {"role": "user", "content": _TEXT}]}
    return {**asked, "tools": [_tool(number) for number in range(_TOOLS)]} if tools else asked


def _tool(number: int) -> JsonObject:
    place = {"type": "string", "description": "Where to look."}
    days = {"type": "integer", "minimum": 1, "maximum": 14}
    schema = {"type": "object", "properties": {"place": place, "days": days}, "required": ["place"]}
    return {
        "type": "function",
        "function": {"name": f"look_{number}", "description": "Looks at a place.", "parameters": schema},
    }


def request_us(case: Case) -> float:
    """CPU of all that is asked of the case's upstream until it answers."""
    body = {"model": case.call().body["model"], **dialogue(tools=case.provider.capabilities.tools)}
    call = dataclasses.replace(case.call(), body=body)
    provider, credential = case.provider, case.credential
    replies = [response(step["response"]) for step in case.json("exchange.json") or () if "ask" in step]

    def ask() -> None:
        exchange, told = provider.exchange(call, credential), iter(replies)
        step = next(exchange)
        while isinstance(step, Ask):
            step = exchange.send(next(told))

    return cpu_us(ask)


def measure(type_name: str, own: Sequence[Case]) -> Row:
    """The dearest stream of a type's cases, and a request."""
    streamed = {case.folder.name: chunk_us(case) for case in own if case.path(*STREAMS)}
    dearest = max(streamed, key=lambda name: streamed[name])
    tools = own[0].provider.capabilities.tools
    plain = next((case for case in own if case.folder.name == ("tools" if tools else "text")), own[-1])
    return Row(type_name, streamed[dearest], dearest, request_us(plain), tools=tools)


def render(rows: Iterable[Row]) -> str:
    lines = [
        "| provider type | us per chunk | in the stream | us per request | tools | |",
        "|---|---:|---|---:|---|---|",
    ]
    for row in rows:
        figures = f"{row.chunk_us:.1f} | {row.case} | {row.request_us:.0f}"
        lines.append(
            f"| {row.type_name} | {figures} | {'yes' if row.tools else ''} | {'met' if row.is_met else 'MISSED'} |"
        )
    return "\n".join([*lines, f"| must be below | {MOST_CHUNK_US:g} | | {MOST_REQUEST_US:g} | | |"])


def main() -> None:
    argparse.ArgumentParser(prog="python -m tests.bench.mapping", description=__doc__).parse_args()
    by_type: dict[str, list[Case]] = {}
    for case in cases():
        if not isinstance(case.provider, LocalProvider) and case.provider.status is not Status.NOT_OFFERED:
            by_type.setdefault(case.provider.type_name, []).append(case)
    sys.stdout.write(render(measure(name, own) for name, own in by_type.items()) + "\n")


if __name__ == "__main__":
    main()
