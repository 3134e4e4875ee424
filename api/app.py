"""The front's application: its life, its routes, its errors."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Final

from fastapi import FastAPI
from starlette.routing import Route

from api.access import Access
from api.cors import Cors
from api.docs import add_docs
from api.errors import Boundary, add_error_answers
from api.routes import health, models
from api.routes.chat import ChatCompletions
from api.state import FrontState

CHAT_PATH: Final = "/v1/chat/completions"


def create_app(state: FrontState) -> FastAPI:
    """The hot route is a plain ASGI callable inside it; nothing buffers responses that stream."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await state.start()
        yield
        await state.stop()

    def cors_origins() -> tuple[str, ...]:
        catalogue = state.catalogue.current
        return catalogue.cors_origins if catalogue else ()

    app = FastAPI(title="Penstock", version=version("penstock"), lifespan=lifespan)
    app.state.front = state
    app.router.routes.append(Route(CHAT_PATH, ChatCompletions(state), methods=["POST"]))
    app.include_router(health.router)
    app.include_router(models.router)
    add_error_answers(app)
    add_docs(app)
    app.add_middleware(Cors, find_origins=cors_origins)
    app.add_middleware(Access, self_logging=frozenset({("POST", CHAT_PATH)}))
    app.add_middleware(Boundary)
    return app
