from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI

from tests.api.app import KEY, make_app


@pytest.fixture
def app() -> FastAPI:
    return make_app()


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """Calls the application in this process, with a key for everything."""
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://front", headers={"authorization": f"Bearer {KEY}"}
    ) as client:
        yield client
