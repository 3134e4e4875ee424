"""Models, health, documentation, and the whole way of a chat request until it would be queued."""

import time
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from openai.types import Model

from tests.api.app import SOME_KEY

SOME = {"authorization": f"Bearer {SOME_KEY}"}


async def test_models_are_listed_in_the_shape_of_the_sdks_type(client: httpx.AsyncClient) -> None:
    listed = (await client.get("/v1/models")).json()
    assert listed["object"] == "list"
    assert [Model.model_validate(model, strict=True) for model in listed["data"]] == [
        Model(id="gpt-4o", created=7, owned_by="openai", object="model"),
        Model(id="moonshot/kimi-k2", created=0, owned_by="penstock", object="model"),
    ]


@pytest.mark.parametrize("path", ["/v1/models", "/v1/models/"])
async def test_a_key_sees_only_what_it_may_use(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.get(path, headers=SOME)
    assert [model["id"] for model in answer.json()["data"]] == ["moonshot/kimi-k2"]


@pytest.mark.parametrize(("model", "status"), [("moonshot/kimi-k2", 200), ("moonshot%2Fkimi-k2", 200), ("gpt-4o", 403)])
async def test_one_model_is_shown_to_a_key_that_may_use_it(client: httpx.AsyncClient, model: str, status: int) -> None:
    assert (await client.get(f"/v1/models/{model}", headers=SOME)).status_code == status


async def test_an_unknown_model_is_404(client: httpx.AsyncClient) -> None:
    answer = await client.get("/v1/models/gpt4o")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "model_not_found")


@pytest.mark.parametrize("path", ["/v1/models", "/v1/models/x"])
async def test_without_a_catalogue_it_is_503_even_with_a_wrong_key(
    app: FastAPI, client: httpx.AsyncClient, path: str
) -> None:
    app.state.front.catalogue.current = None
    answer = await client.get(path, headers={"authorization": "Bearer wrong"})
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")


async def test_the_service_describes_itself(client: httpx.AsyncClient) -> None:
    description = (await client.get("/")).json()
    assert description["service"] == "penstock"
    assert description["endpoints"]["documentation"] == "GET /docs"


@pytest.mark.parametrize(
    ("change", "reason"),
    [({"draining": True}, "draining"), ({"bus": "connected"}, "no redis"), ({"catalogue": "current"}, "no catalogue")],
)
async def test_readiness_and_health_name_what_is_missing(
    app: FastAPI, client: httpx.AsyncClient, change: dict[str, Any], reason: str
) -> None:
    front = app.state.front
    for name, value in change.items():
        if value is True:
            setattr(front, name, value)
        else:
            setattr(getattr(front, name), value, None)
    ready = await client.get("/readyz")
    assert (ready.status_code, ready.json()) == (503, {"status": "not ready", "missing": [reason]})
    health = await client.get("/health")
    assert (health.status_code, health.json()["status"]) == (200, reason)
    assert (await client.get("/livez")).status_code == 200


async def test_when_all_is_well_they_say_so(client: httpx.AsyncClient) -> None:
    assert (await client.get("/readyz")).json() == {"status": "ok", "missing": []}
    health = (await client.get("/health")).json()
    assert (health["status"], health["service"]) == ("healthy", "penstock")
    assert 0 <= time.time() - health["timestamp"] < 60


async def test_the_documentation_describes_chat_with_its_schema_key_and_example(client: httpx.AsyncClient) -> None:
    assert "swagger-ui" in (await client.get("/docs")).text
    description = (await client.get("/openapi.json")).json()
    chat = description["paths"]["/v1/chat/completions"]["post"]
    content = chat["requestBody"]["content"]["application/json"]
    assert content["schema"] == {"$ref": "#/components/schemas/ChatRequest"}
    assert description["components"]["schemas"]["ChatRequest"]["required"] == ["messages"]
    assert chat["security"] == [{"bearer": []}]
    assert description["components"]["securitySchemes"]["bearer"]["scheme"] == "bearer"
    tried = await client.post("/v1/chat/completions", json=content["example"] | {"model": "gpt-4o"})
    assert tried.status_code == 200


async def test_every_reference_in_the_description_leads_somewhere(client: httpx.AsyncClient) -> None:
    text = (await client.get("/openapi.json")).text
    schemas = (await client.get("/openapi.json")).json()["components"]["schemas"]
    named = {part.split('"')[0] for part in text.split('"#/components/schemas/')[1:]}
    assert named <= schemas.keys()


async def test_a_chat_request_without_a_model_takes_the_keys_default(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/chat/completions", json={"messages": [{"role": "user", "content": "hello"}]})
    assert answer.json() == {"model": "gpt-4o", "stream": False}


async def test_a_wrong_field_is_told_in_openais_shape(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/chat/completions", json={"messages": []})
    assert answer.status_code == 400
    assert answer.json()["error"] == {
        "message": "Invalid value for 'messages'. It must not be an empty array.",
        "type": "invalid_request_error",
        "param": "messages",
        "code": "empty_array",
    }
