from collections.abc import MutableMapping
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from starlette.types import Message
from structlog.testing import capture_logs

from shared.catalogue import key_digest, short_digest
from tests.api.app import KEY, PEPPER


async def collect(client: httpx.AsyncClient, method: str, path: str) -> list[MutableMapping[str, Any]]:
    with capture_logs() as lines:
        await client.request(method, path, headers={"x-request-id": "one"})
    return [line for line in lines if line["event"] == "request"]


@pytest.mark.parametrize(
    ("method", "path", "status", "outcome"),
    [
        ("GET", "/v1/models", 200, "completed"),
        ("GET", "/v1/models/none", 404, "refused"),
        ("GET", "/", 200, "completed"),
        ("POST", "/nowhere", 404, "refused"),
        ("GET", "/v1/chat/completions", 405, "refused"),
        ("GET", "/rocket", 500, "failed"),
    ],
)
async def test_a_request_is_one_line(
    client: httpx.AsyncClient, method: str, path: str, status: int, outcome: str
) -> None:
    (line,) = await collect(client, method, path)
    assert (line["request_id"], line["method"], line["path"]) == ("one", method, path)
    assert (line["http_status"], line["outcome"]) == (status, outcome)
    assert line["duration_s"] > 0


async def test_a_client_that_leaves_is_a_cancelled_request(app: FastAPI) -> None:
    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        raise AssertionError(message)

    scope = {"type": "http", "method": "GET", "path": "/rocket", "query_string": b"stage=3", "headers": []}
    with capture_logs() as lines:
        await app(scope, receive, send)
    assert [line["outcome"] for line in lines if line["event"] == "request"] == ["cancelled"]


async def test_the_line_shows_the_callers_key_as_a_short_hash(client: httpx.AsyncClient) -> None:
    (line,) = await collect(client, "GET", "/v1/models")
    assert line["key_hash"] == short_digest(key_digest(PEPPER, KEY))


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/health"])
async def test_a_probe_is_no_line(client: httpx.AsyncClient, path: str) -> None:
    assert await collect(client, "GET", path) == []


async def test_a_route_that_logs_itself_is_left_alone(client: httpx.AsyncClient) -> None:
    assert await collect(client, "POST", "/v1/chat/completions") == []
