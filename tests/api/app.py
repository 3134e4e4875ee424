"""A front without relay or Redis, for what needs neither."""

from dataclasses import dataclass, replace
from typing import Any

from fastapi import FastAPI, Request
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from api.access import Access
from api.auth import authenticate
from api.body import read_body
from api.cors import Cors
from api.docs import add_docs
from api.errors import Boundary, add_error_answers
from api.models import resolve_model
from api.routes import health, models
from shared.catalogue import Catalogue, KeyPolicy, ModelEntry, key_digest
from shared.chat import validate_chat

PEPPER = b"pepper"
KEY = "sk-penstock-all"
SOME_KEY = "sk-penstock-some"
REVOKED_KEY = "sk-penstock-revoked"
CATALOGUE = Catalogue(
    generation=1,
    models=(ModelEntry("gpt-4o", created=7, owned_by="openai"), ModelEntry("moonshot/kimi-k2")),
    patterns=(ModelEntry("any-*"),),
    keys=(
        KeyPolicy(key_digest(PEPPER, KEY), "all", default_model="gpt-4o"),
        KeyPolicy(key_digest(PEPPER, SOME_KEY), "some", ("moonshot/*",)),
        KeyPolicy(key_digest(PEPPER, REVOKED_KEY), "old", revoked=True),
    ),
    hmac_key=PEPPER,
    cors_origins=("https://chat.example.com",),
)


@dataclass
class CatalogueShelf:
    """Has a catalogue, as the cache has, without a Redis to follow."""

    current: Catalogue | None = CATALOGUE


@dataclass
class Wire:
    """Says whether Redis is connected, as the bus does."""

    connected: bool = True


@dataclass
class State:
    """Stands where FrontState does; a test changes it."""

    catalogue: CatalogueShelf
    bus: Wire
    draining: bool = False


TEAPOT_STAGE, GONE_STAGE = 2, 3


class Rocket(Exception):
    """Nobody foresees it."""


def make_app() -> FastAPI:
    app = FastAPI(version="0", redirect_slashes=False)
    app.state.front = State(CatalogueShelf(), Wire())
    app.include_router(models.router)
    app.include_router(health.router)
    add_error_answers(app)
    add_docs(app)
    app.add_middleware(Cors, find_origins=lambda: find_catalogue(app).cors_origins)
    app.add_middleware(Access, self_logging=frozenset({("POST", "/v1/chat/completions")}))
    app.add_middleware(Boundary, is_draining=lambda: app.state.front.draining)

    @app.post("/v1/chat/completions", include_in_schema=False)
    async def judge_chat(request: Request) -> dict[str, Any]:
        """Does all that is done before a request is enqueued."""
        headers = dict(request.headers.raw)
        catalogue = app.state.front.catalogue.current
        caller = authenticate(headers, catalogue)
        head = validate_chat(await read_body(headers, request.receive, catalogue.front))
        return {"model": resolve_model(head.model, caller, catalogue).id, "stream": head.stream}

    @app.get("/rocket")
    async def launch(stage: int = 1) -> None:
        if stage == TEAPOT_STAGE:
            raise HTTPException(418, "short and stout")
        if stage == GONE_STAGE:
            raise ClientDisconnect
        raise Rocket("canary-in-an-exception")

    return app


def find_catalogue(app: FastAPI) -> Catalogue:
    return app.state.front.catalogue.current or CATALOGUE


def change(**changes: Any) -> Catalogue:
    return replace(CATALOGUE, **changes)
