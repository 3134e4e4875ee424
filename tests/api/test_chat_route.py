"""The hot route where it meets what nobody foresaw: the client is told, and so are log and metrics."""

import time

import httpx
import pytest

from api.app import create_app
from api.pending import Pending
from api.settings import ApiSettings
from api.state import FrontState
from tests.api.app import CATALOGUE, KEY
from tests.telemetry.scraping import render, samples

PATH = "/v1/chat/completions"
BODY = {"model": "gpt-4o", "messages": [{"role": "user", "content": "hi"}]}


class Rocket(Exception):
    """Nobody foresees it."""


@pytest.fixture
async def state() -> FrontState:
    """A front with a catalogue, without Redis."""
    state = FrontState(ApiSettings("redis://127.0.0.1:1/0"))
    state.catalogue._catalogue, state.catalogue._seen_at = CATALOGUE, time.monotonic()
    return state


async def ask(state: FrontState, method: str, path: str, body: object = None) -> httpx.Response:
    transport = httpx.ASGITransport(create_app(state), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://front") as client:
        return await client.request(method, path, json=body, headers={"authorization": f"Bearer {KEY}"})


async def test_what_nobody_foresaw_is_counted_as_failed(state: FrontState) -> None:
    async def explode(*_: object) -> Pending:
        raise Rocket

    state.relay.submit = explode  # type: ignore[method-assign,assignment]  # nothing real does what nobody foresees
    answer = await ask(state, "POST", PATH, BODY)
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "internal_error")
    counted = [labels for name, labels in samples(render(state.registry)) if name == "penstock_requests_total"]
    assert [(dict(labels)["outcome"], dict(labels)["status"]) for labels in counted] == [("failed", "500")]


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", PATH), ("GET", PATH), ("GET", "/v1/models"), ("GET", "/readyz"), ("GET", "/nothing"), ("HEAD", "/")],
)
@pytest.mark.parametrize("draining", [True, False])
async def test_a_front_that_drains_tells_every_client_to_connect_anew(
    state: FrontState, method: str, path: str, *, draining: bool
) -> None:
    state.draining = draining
    answer = await ask(state, method, path)
    assert answer.headers.get("connection") == ("close" if draining else None)
