"""The front's application: its life, its routes, its errors."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Final

from fastapi import FastAPI
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from api.access import Access
from api.cors import Cors
from api.docs import add_docs
from api.errors import Boundary, add_error_answers
from api.routes import admin, health, models, style_api
from api.routes.chat import ChatCompletions
from api.state import FrontState

CHAT_PATH: Final = "/v1/chat/completions"


class Front(FastAPI):
    """The hot route goes by the layers that FastAPI puts around all others: each costs, and some at every chunk."""

    hot: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] == CHAT_PATH and scope["method"] == "POST":
            await self.hot(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)


def create_app(state: FrontState) -> Front:
    """The hot route is a plain ASGI callable inside it; nothing buffers responses that stream."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await state.start()
        yield
        await state.stop()

    def cors_origins() -> tuple[str, ...]:
        catalogue = state.catalogue.current
        return catalogue.cors_origins if catalogue else ()

    def is_draining() -> bool:
        return state.draining

    app = Front(title="Penstock", version=version("penstock"), lifespan=lifespan)
    app.state.front = state
    chat = ChatCompletions(state)
    app.hot = Boundary(Cors(chat, cors_origins), is_draining)
    app.router.routes.append(Route(CHAT_PATH, chat, methods=["POST"]))  # for what is not a POST
    app.include_router(health.router)
    app.include_router(models.router)
    app.include_router(admin.router)
    app.include_router(style_api.router)
    add_error_answers(app)
    add_docs(app)
    app.add_middleware(Cors, find_origins=cors_origins)
    app.add_middleware(Access, self_logging=frozenset({("POST", CHAT_PATH)}))
    app.add_middleware(Boundary, is_draining=is_draining)
    return app
