"""A system with an administration key, and the operator in front of it."""

import re
from functools import partial
from typing import Any

import httpx

from tests.integration.counting import Counting, until
from tests.servers import Process
from tests.system import CLIENT_KEY, System

ADMIN_KEY = "sk-penstock-admin-5d0e3f9a1b7c4e2d8f6a"


class Operator:
    """Administers through any front. `address` is the client address that fronts see."""

    def __init__(self, system: System, key: str = ADMIN_KEY, address: str = "192.0.2.1") -> None:
        self.system = system
        headers = {"authorization": f"Bearer {key}".strip(), "x-forwarded-for": address}
        self.client = httpx.AsyncClient(headers=headers, timeout=30)

    async def close(self) -> None:
        await self.client.aclose()

    async def send(self, method: str, path: str, body: Any = None, *, front: int = 0) -> httpx.Response:
        """To /admin, unless `path` begins with a slash."""
        url = self.system.fronts[front].url + (path if path.startswith("/") else f"/admin/{path}")
        return await self.client.request(method, url, json=body)

    async def do(self, method: str, path: str, body: Any = None, *, front: int = 0) -> Any:
        """The answer's JSON. Raises AssertionError for a refusal."""
        answer = await self.send(method, path, body, front=front)
        assert answer.status_code in {200, 201}, answer.text
        return answer.json()

    async def chat(self, model: str, *, front: int = 0, key: str = CLIENT_KEY) -> httpx.Response:
        url = f"{self.system.fronts[front].url}/v1/chat/completions"
        body = {"model": model, "messages": [{"role": "user", "content": "hi"}]}
        return await self.client.post(url, json=body, headers={"authorization": f"Bearer {key}"})

    async def until_status(self, status: int, model: str, *, key: str = CLIENT_KEY) -> None:
        """Until a chat gets this status on every front."""
        for front in range(len(self.system.fronts)):
            await until(partial(self._is, status, model, front, key))

    def last_changes(self) -> list[int]:
        """The generation of the last change that each worker logged; 0 before its first."""
        return [_last_change(worker) for worker in self.system.workers]

    async def until_used(self) -> None:
        """Until every worker uses the last change: the one that made it has by its answer, the others hear of it."""
        await until(self._is_used)

    async def _is_used(self) -> bool:
        return len(set(self.last_changes())) == 1

    async def _is(self, status: int, model: str, front: int, key: str) -> bool:
        return (await self.chat(model, front=front, key=key)).status_code == status


def _last_change(worker: Process) -> int:
    found = re.findall(r'"configuration changed"[^\n]*?"generation":(\d+)', worker.log())
    return int(found[-1]) if found else 0


def provider(name: str, upstream: Counting, **more: Any) -> dict[str, Any]:
    """With one model that is called like it, and one account with the key `<name>-secret-a`."""
    return {
        "name": name,
        "type": "openai-compatible",
        "base_url": f"http://127.0.0.1:{upstream.port}/v1",
        "models": [name],
        "credentials": [{"name": "a", "api_key": f"{name}-secret-a"}],
        **more,
    }
