"""`penstock up --passthrough dashscope` does what the DashScope gateway documents: endpoints, examples, errors."""

import asyncio
import json
import re
import subprocess
from collections.abc import AsyncIterator
from typing import Any

import httpx
import openai
import pytest
import pytest_asyncio

from tests.deploy.started import Up
from tests.integration.native import Native

pytestmark = pytest.mark.asyncio(loop_scope="module")

MINE = "sk-caller-one-0123456789"
POEM: Any = [{"role": "system", "content": "你是一个有创意的诗人。"}, {"role": "user", "content": "写一首短诗"}]


class Scene:
    def __init__(self, up: Up, native: Native) -> None:
        self.up = up
        self.native = native
        self.url = f"http://127.0.0.1:{up.port}"

    def sdk(self, key: str = MINE) -> openai.AsyncOpenAI:
        return openai.AsyncOpenAI(base_url=f"{self.url}/v1", api_key=key, max_retries=0)

    async def get(self, path: str, **headers: str) -> httpx.Response:
        async with httpx.AsyncClient(base_url=self.url) as client:
            return await client.get(path, headers=headers)

    async def post(self, key: str, **fields: Any) -> httpx.Response:
        body = {"model": "farui-plus", "messages": POEM, **fields}
        async with httpx.AsyncClient(base_url=self.url, timeout=30) as client:
            return await client.post("/v1/chat/completions", json=body, headers={"authorization": f"Bearer {key}"})


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["", "/api/v1"], ids=["host", "host/api/v1"])
async def running(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    """Without a file; the address as either version of the gateway wanted it."""
    native = Native()
    await native.start()
    folder = tmp_path_factory.mktemp("gateway")
    environ = {
        "DASHSCOPE_BASE_URL": f"http://127.0.0.1:{native.port}{request.param}",
        "PENSTOCK_STATE_DIR": str(folder / "state"),
        "DASHSCOPE_API_KEY": "sk-of-the-operator-0123456789",
    }
    up = await asyncio.to_thread(Up, folder, "--passthrough", "dashscope", environ=environ)
    assert not (folder / "penstock.yaml").exists()
    yield Scene(up, native)
    await asyncio.to_thread(up.close)
    await native.close()


@pytest.fixture
def scene(running: Scene) -> Scene:
    """As if nobody had called it yet."""
    running.native.seen.clear()
    return running


async def test_the_service_describes_itself_and_its_health_without_a_key(scene: Scene) -> None:
    described = (await scene.get("/")).json()
    assert described["usage"]["endpoint"] == "/v1/chat/completions"
    assert {"message", "version", "description", "docs"} <= described.keys()
    health = (await scene.get("/health")).json()
    assert health["status"] == "healthy"
    assert isinstance(health["timestamp"], int)
    assert health["service"]


async def test_its_four_models_are_listed_for_any_key(scene: Scene) -> None:
    async with scene.sdk() as client:
        listed = [model async for model in client.models.list()]
    assert [model.id for model in listed] == ["farui-plus", "qwen-plus", "qwen-max", "qwen-turbo"]
    assert all(model.owned_by for model in listed)


async def test_the_documented_plain_call(scene: Scene) -> None:
    async with scene.sdk() as client:
        answer = await client.chat.completions.create(
            model="farui-plus", messages=POEM, temperature=0.7, max_tokens=100, top_p=0.9, stop=["###"]
        )
    assert answer.choices[0].message.content == f"{MINE} said 写一首短诗"
    assert answer.usage is not None
    assert answer.usage.total_tokens == 7
    ((key, body),) = scene.native.seen
    assert key == MINE
    assert (body["model"], [message["role"] for message in body["input"]["messages"]]) == (
        "farui-plus",
        ["system", "user"],
    )
    wanted = {"temperature": 0.7, "max_tokens": 100, "top_p": 0.9, "stop": ["###"]}
    assert body["parameters"].items() >= wanted.items()


async def test_the_documented_streamed_call(scene: Scene) -> None:
    """As its test client reads it: every chunk has a choice."""
    async with scene.sdk() as client:
        stream = await client.chat.completions.create(model="farui-plus", messages=POEM, temperature=0.8, stream=True)
        text = "".join([chunk.choices[0].delta.content or "" async for chunk in stream])
    assert text == f"{MINE} said 写一首短诗"


async def test_a_complete_stream_ends_as_openais_do(scene: Scene) -> None:
    assert (await scene.post(MINE, stream=True)).text.endswith("data: [DONE]\n\n")


async def test_any_model_of_dashscope_may_be_asked(scene: Scene) -> None:
    for model in ("qwen-plus", "qwen3-brand-new", "dashscope/qwen-max"):
        assert (await scene.post(MINE, model=model)).status_code == 200
    assert [body["model"] for _, body in scene.native.seen] == ["qwen-plus", "qwen3-brand-new", "qwen-max"]


@pytest.mark.parametrize(("asked", "sent"), [(9999, 2000), (2000, 2000), (1, 1)])
async def test_more_tokens_than_farui_has_are_lowered(scene: Scene, asked: int, sent: int) -> None:
    assert (await scene.post(MINE, max_tokens=asked)).status_code == 200
    assert scene.native.seen[0][1]["parameters"]["max_tokens"] == sent


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({}, "missing_authorization"),
        ({"authorization": "Basic eDp5"}, "invalid_authorization_format"),
        ({"authorization": "Bearer short"}, "invalid_api_key"),
        ({"authorization": "Bearer sk-penstock-mistyped"}, "invalid_api_key"),
    ],
)
async def test_authentication_errors(scene: Scene, headers: dict[str, str], code: str) -> None:
    answer = await scene.get("/v1/models", **headers)
    error = answer.json()["error"]
    assert (answer.status_code, error["type"], error["code"]) == (401, "authentication_error", code)


@pytest.mark.parametrize(
    ("upstream", "status"),
    [
        ((401, "InvalidApiKey"), 401),
        ((403, "AccessDenied.Unpurchased"), 403),
        ((400, "Arrearage"), 429),
        ((403, "AllocationQuota.FreeTierOnly"), 429),
        ((429, "Throttling.RateQuota"), 429),
        ((400, "InvalidParameter"), 400),
        ((400, "DataInspectionFailed"), 400),
        ((404, "ModelNotFound"), 404),
        ((500, "InternalError.Algo"), 502),
        ((503, "ModelServingError"), 503),
    ],
)
@pytest.mark.parametrize("streamed", [False, True])
async def test_dashscope_errors_keep_their_code(
    scene: Scene, upstream: tuple[int, str], status: int, *, streamed: bool
) -> None:
    key = f"sk-caller-{upstream[1]}"
    scene.native.refusals[key] = upstream
    answer = await scene.post(key, stream=streamed)
    error = answer.json()["error"]
    assert (answer.status_code, error["type"], error["code"]) == (status, "dashscope_error", upstream[1])
    assert error["message"]
    assert key not in answer.text
    assert answer.headers["x-request-id"]


async def test_an_error_in_a_stream_keeps_its_code_too(scene: Scene) -> None:
    key = "sk-caller-that-breaks"
    scene.native.breaking.add(key)
    answer = await scene.post(key, stream=True)
    *_, last = [json.loads(line[6:]) for line in answer.text.splitlines() if line.startswith("data: ")]
    assert (last["error"]["type"], last["error"]["code"]) == ("dashscope_error", "InternalError.Algo")


async def test_what_dashscope_did_not_say_is_an_internal_error(scene: Scene) -> None:
    key = "sk-caller-that-breaks"
    scene.native.breaking.add(key)
    answer = await scene.post(key)
    assert (answer.status_code, answer.json()["error"]["type"]) == (502, "internal_error")


async def test_the_sdk_raises_what_it_raises_for_openai(scene: Scene) -> None:
    scene.native.refusals["sk-caller-rejected"] = (401, "InvalidApiKey")
    scene.native.refusals["sk-caller-in-arrears"] = (400, "Arrearage")
    for key, raised in (
        ("sk-caller-rejected", openai.AuthenticationError),
        ("sk-caller-in-arrears", openai.RateLimitError),
    ):
        async with scene.sdk(key) as client:
            with pytest.raises(raised):
                await client.chat.completions.create(model="farui-plus", messages=POEM)


async def test_the_printed_lines_work_with_the_callers_key(scene: Scene) -> None:
    curl = re.search(r"^curl .*$", scene.up.printed, re.MULTILINE)
    assert curl
    pasted = curl[0].replace("YOUR_KEY", MINE)
    done = await asyncio.to_thread(subprocess.run, ["sh", "-c", pasted], capture_output=True, text=True, check=True)
    assert f'"content":"{MINE} said Hello"' in done.stdout
    assert scene.native.seen[0][1]["model"] == "farui-plus"


async def test_pages_of_any_origin_may_call(scene: Scene) -> None:
    answer = await scene.get("/health", origin="https://chat.example.com")
    assert answer.headers["access-control-allow-origin"] == "*"


async def test_two_callers_at_once_get_their_own_answers(scene: Scene) -> None:
    keys = [f"sk-caller-{i:02}-0123456789" for i in range(40)]
    answers = await asyncio.gather(*(scene.post(key, stream=i % 2 == 0) for i, key in enumerate(keys)))
    for key, answer in zip(keys, answers, strict=True):
        others = [other for other in keys if other != key and other in answer.text]
        assert (key in answer.text, others) == (True, [])


async def test_the_log_has_no_key(scene: Scene) -> None:
    await scene.post(MINE)
    assert MINE not in scene.up.printed
    assert "key_hash" in scene.up.printed
