"""Reads the JSON of answers and events, and says when there is none or not enough of it."""

from typing import Any

import orjson

from worker.faults import Fault, UpstreamError
from worker.providers.contract import JsonObject


def parsed(body: bytes) -> Any:
    """What a body holds, None if it is no JSON."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return None


def json_object(body: bytes) -> JsonObject:
    """The object that a body holds, empty if it holds none."""
    value = parsed(body)
    return value if isinstance(value, dict) else {}


def event_object(data: bytes, upstream: str) -> JsonObject:
    """The object that an event holds. Raises UpstreamError for anything else."""
    value = parsed(data)
    if not isinstance(value, dict):
        raise UpstreamError(Fault.UPSTREAM_FAULT, f"{upstream} sent an event that is not a JSON object.")
    return value


def cut_short(upstream: str) -> UpstreamError:
    """For a body that ended before the answer did."""
    return UpstreamError(Fault.UPSTREAM_FAULT, f"{upstream} ended the stream before the answer was complete.")
