import httpx
import pytest
from fastapi import FastAPI
from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive, Scope, Send

from api.errors import Boundary, error_headers
from shared.errors import GatewayError, RateLimited
from tests.api.app import Rocket


@pytest.mark.parametrize(("retry_after_s", "header"), [(None, None), (0, "1"), (0.2, "1"), (2.1, "3"), (60, "60")])
def test_retry_after_is_whole_seconds_and_never_too_early(retry_after_s: float | None, header: str | None) -> None:
    assert error_headers(RateLimited("", retry_after_s=retry_after_s)).get("retry-after") == header


def test_after_a_408_nothing_more_is_read_from_the_connection() -> None:
    assert error_headers(GatewayError("", status=408)) == {"connection": "close"}


async def test_a_wrong_query_parameter_is_400_in_openais_shape(client: httpx.AsyncClient) -> None:
    answer = await client.get("/rocket?stage=canary")
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "stage")
    assert "canary" not in answer.text


async def test_any_other_http_exception_has_openais_shape_too(client: httpx.AsyncClient) -> None:
    answer = await client.get("/rocket?stage=2")
    assert (answer.status_code, answer.json()["error"]["message"]) == (418, "short and stout")


async def test_an_unknown_url_gets_openais_shape_and_a_hint(client: httpx.AsyncClient) -> None:
    answer = await client.post("/chat/completions", json={})
    assert answer.status_code == 404
    error = answer.json()["error"]
    assert error["message"] == "Invalid URL (POST /chat/completions). Did you mean /v1/chat/completions?"
    assert error["type"] == "invalid_request_error"


async def test_an_unknown_url_without_a_near_one_points_to_the_list(client: httpx.AsyncClient) -> None:
    answer = await client.get("/zzzzzzzzzzzzzzzzz?key=canary")
    assert answer.status_code == 404
    assert "GET / lists" in answer.text
    assert "canary" not in answer.text


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "BREW"])
async def test_a_wrong_method_is_405_and_names_the_right_one(client: httpx.AsyncClient, method: str) -> None:
    answer = await client.request(method, "/v1/chat/completions")
    assert answer.status_code == 405
    assert answer.headers["allow"] == "POST"
    assert answer.json()["error"]["code"] == "method_not_allowed"


async def test_options_tells_the_methods(client: httpx.AsyncClient) -> None:
    answer = await client.options("/v1/chat/completions")
    assert (answer.status_code, answer.headers["allow"], answer.content) == (204, "POST", b"")


async def test_head_is_answered_as_get(client: httpx.AsyncClient) -> None:
    assert (await client.head("/health")).status_code == 200
    assert (await client.head("/nowhere")).status_code == 404


async def test_an_unforeseen_exception_is_a_500_that_shows_nothing_but_the_request_id(
    client: httpx.AsyncClient, capfd: pytest.CaptureFixture[str]
) -> None:
    answer = await client.get("/rocket", headers={"x-request-id": "my-id"})
    assert answer.status_code == 500
    error = answer.json()["error"]
    assert (error["type"], error["code"]) == ("server_error", "internal_error")
    assert "my-id" in error["message"]
    assert "canary" not in answer.text
    assert "Rocket" in "".join(capfd.readouterr())


@pytest.mark.parametrize("sent", ["", "has blank", "x" * 65, "<script>", "é"])
async def test_a_strange_request_id_is_replaced(client: httpx.AsyncClient, sent: str) -> None:
    answer = await client.get("/livez", headers={b"x-request-id": sent.encode()})
    assert answer.headers["x-request-id"].startswith("req_")


async def test_a_proper_request_id_is_kept(client: httpx.AsyncClient) -> None:
    assert (await client.get("/livez", headers={"x-request-id": "abc-123_X"})).headers["x-request-id"] == "abc-123_X"


async def test_each_request_without_an_id_gets_its_own(client: httpx.AsyncClient) -> None:
    ids = [(await client.get("/livez")).headers["x-request-id"] for _ in range(3)]
    assert len(set(ids)) == 3


@pytest.mark.parametrize("error", [Rocket("canary"), GatewayError("canary"), ClientDisconnect()])
async def test_after_an_answer_has_begun_nothing_is_added_to_it(error: Exception) -> None:
    async def begin_and_fail(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise error

    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    await Boundary(begin_and_fail, lambda: False)({"type": "http", "method": "GET", "headers": []}, receive, send)
    assert [message["type"] for message in sent] == ["http.response.start"]


async def test_lifespan_passes_through_untouched() -> None:
    seen: list[Scope] = []

    async def note(scope: Scope, _receive: Receive, _send: Send) -> None:
        seen.append(scope)

    async def receive() -> Message:
        return {}

    async def send(message: Message) -> None:
        raise AssertionError(message)

    scope: Scope = {"type": "lifespan"}
    await Boundary(note, lambda: False)(scope, receive, send)
    assert seen == [scope]


async def test_a_401_names_its_scheme(app: FastAPI) -> None:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://front") as nobody:
        answer = await nobody.get("/v1/models")
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
