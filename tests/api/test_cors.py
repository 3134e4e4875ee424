import httpx
import pytest
from fastapi import FastAPI

from tests.api.app import change

PAGE = {"origin": "https://chat.example.com"}
STRANGER = {"origin": "https://evil.example.com"}
PREFLIGHT = {
    "access-control-request-method": "POST",
    "access-control-request-headers": "authorization,content-type,x-stainless-os",
}


async def test_a_page_of_a_configured_origin_may_call(client: httpx.AsyncClient) -> None:
    answer = await client.options("/v1/chat/completions", headers=PAGE | PREFLIGHT)
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == "https://chat.example.com"
    assert answer.headers["access-control-allow-headers"] == "authorization,content-type,x-stainless-os"
    answer = await client.get("/v1/models", headers=PAGE)
    assert answer.headers["access-control-allow-origin"] == "https://chat.example.com"
    assert "x-request-id" in answer.headers["access-control-expose-headers"]


async def test_an_error_can_be_read_by_the_page_too(client: httpx.AsyncClient) -> None:
    answer = await client.get("/v1/models", headers=PAGE | {"authorization": "Bearer wrong"})
    assert answer.status_code == 401
    assert answer.headers["access-control-allow-origin"] == "https://chat.example.com"


async def test_a_page_of_another_origin_may_not(client: httpx.AsyncClient) -> None:
    answer = await client.options("/v1/chat/completions", headers=STRANGER | PREFLIGHT)
    assert answer.status_code == 400
    assert "access-control-allow-origin" not in answer.headers
    assert "access-control-allow-origin" not in (await client.get("/v1/models", headers=STRANGER)).headers


@pytest.mark.parametrize(("origins", "allowed"), [(("*",), "*"), (("https://evil.example.com",), STRANGER["origin"])])
async def test_a_change_of_the_configuration_counts_at_once(
    app: FastAPI, client: httpx.AsyncClient, origins: tuple[str, ...], allowed: str
) -> None:
    await client.get("/v1/models", headers=STRANGER)
    app.state.front.catalogue.current = change(cors_origins=origins)
    answer = await client.get("/v1/models", headers=STRANGER)
    assert answer.headers["access-control-allow-origin"] == allowed


async def test_without_origins_no_header_is_sent(app: FastAPI, client: httpx.AsyncClient) -> None:
    app.state.front.catalogue.current = change(cors_origins=())
    answer = await client.get("/v1/models", headers=PAGE)
    assert answer.status_code == 200
    assert not [name for name in answer.headers if name.startswith("access-control")]
