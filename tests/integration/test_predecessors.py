"""Each predecessor's file, run as it is: the calls that its documentation promises, over real sockets."""

import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
import yaml

from tests.servers import AnswersOk, Process, RedisServer, free_port, wait_until
from tests.system import System
from tests.worker.config.predecessors import MASTER, converted, text_of

HI: list[Any] = [{"role": "user", "content": "Hi"}]
NEW_KEY = "sk-penstock-made-for-the-import"


class Upstream:
    """The fake upstream, and what it was asked."""

    def __init__(self, folder: Path) -> None:
        self.url = f"http://127.0.0.1:{(port := free_port())}"
        self.process = Process([sys.executable, "-m", "tests.upstream.server", "--port", str(port)], folder, "upstream")
        wait_until("the upstream", AnswersOk(f"{self.url}/asked"), self.process)

    def chats(self) -> list[dict[str, Any]]:
        """Entries {case, asked: {method, path, headers, body}} of what asked for an answer."""
        entries: list[dict[str, Any]] = httpx.get(f"{self.url}/asked").json()
        return [entry for entry in entries if entry["asked"]["method"] == "POST"]

    def forget(self) -> None:
        httpx.delete(f"{self.url}/asked")


@pytest.fixture
def upstream(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Upstream]:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent.parent.parent))
    upstream = Upstream(tmp_path)
    yield upstream
    upstream.process.close()


Run = Callable[[str], System]


@pytest.fixture
def run(tmp_path: Path, redis_server: RedisServer) -> Iterator[Run]:
    """Starts the system on the text of a configuration file, of whatever project."""
    systems: list[System] = []

    def begin(text: str) -> System:
        system = System(tmp_path, {}, redis_server)
        systems.append(system)
        system.path.write_text(text)
        return system.start()

    yield begin
    for system in systems:
        system.close()


Connect = Callable[[System, str], openai.OpenAI]


@pytest.fixture
def client() -> Iterator[Connect]:
    """A client with a key."""
    with ExitStack() as clients:
        yield lambda system, key: clients.enter_context(
            openai.OpenAI(base_url=f"{system.url}/v1", api_key=key, max_retries=0)
        )


class Listed:
    """Discovery has found all of `wanted`."""

    def __init__(self, caller: openai.OpenAI, wanted: set[str]) -> None:
        self.caller, self.wanted = caller, wanted

    def __call__(self) -> bool:
        return self.wanted <= set(self.names())

    def names(self) -> list[str]:
        return [model.id for model in self.caller.models.list()]


def models(caller: openai.OpenAI, *wanted: str) -> list[str]:
    """What is listed once all of `wanted` are: each endpoint is asked for its models by itself."""
    listed = Listed(caller, set(wanted))
    wait_until(f"models {wanted}", listed)
    return listed.names()


def say(caller: openai.OpenAI, model: str, **fields: Any) -> str:
    answer = caller.chat.completions.create(model=model, messages=HI, **fields)
    return answer.choices[0].message.content or ""


def stream(caller: openai.OpenAI, model: str) -> str:
    chunks = caller.chat.completions.create(model=model, messages=HI, stream=True)
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


def moved(name: str, bases: dict[str, str]) -> str:
    """The sample as `penstock import` prints it, with each provider's address at the fake upstream."""
    text, _ = converted(name, lambda: NEW_KEY)
    data = yaml.safe_load(text)
    for provider in data["providers"]:
        provider["base_url"] = bases[provider["type"]]
    return yaml.safe_dump(data, sort_keys=False)


# The Go OAI Gateway.


def gateway(upstream: Upstream) -> str:
    text = text_of("go-oai-gateway.config.yaml")
    text = text.replace("https://api.your-provider-1.com", f"{upstream.url}/openai-compatible/text")
    return text.replace("https://api.your-provider-2.com", f"{upstream.url}/openai-compatible/clone")


def test_the_gateway_shares_ten_to_five_unifies_names_and_asks_for_no_key(
    run: Run, client: Connect, upstream: Upstream
) -> None:
    system = run(gateway(upstream))
    assert {"m", "gpt-4-turbo", "claude-3-opus"} <= set(models(client(system, "none"), "m"))
    caller = client(system, "none")
    for _ in range(15):
        assert say(caller, "m")
    assert Counter(entry["case"] for entry in upstream.chats()) == {
        "openai-compatible/text": 10,
        "openai-compatible/clone": 5,
    }
    assert {entry["asked"]["headers"]["authorization"] for entry in upstream.chats()} == {
        "Bearer key-1",
        "Bearer key-2",
    }
    upstream.forget()
    for _ in range(3):
        assert stream(caller, "claude-3-opus")
    asked = Counter((entry["case"], entry["asked"]["body"]["model"]) for entry in upstream.chats())
    assert asked == {
        ("openai-compatible/text", "claude-3-opus-20240229"): 2,
        ("openai-compatible/clone", "claude-v3-opus"): 1,
    }


def test_the_gateways_prefix_mode_names_the_endpoint(run: Run, client: Connect, upstream: Upstream) -> None:
    system = run(gateway(upstream).replace('"merge"', '"prefix"'))
    wanted = ["your-provider-1/m", "your-provider-2/m"]
    assert models(client(system, "none"), *wanted) == wanted
    assert say(client(system, "none"), "your-provider-2/m")
    assert [entry["case"] for entry in upstream.chats()] == ["openai-compatible/clone"]


# openai-style-api.


def style(upstream: Upstream) -> str:
    text = text_of("openai-style-api.model-config.json")
    text = text.replace("https://example.openai.azure.com/", f"{upstream.url}/azure-openai/dated/")
    text = text.replace("https://api.openai.com/", f"{upstream.url}/openai-compatible/text/")
    text = text.replace("https://api.example.com/", f"{upstream.url}/openai-compatible/clone/")
    return text.replace('"token_pool": ["tok-spark", "tok-zhipu"]', '"token_pool": ["tok-openai", "tok-proxy"]')


def post(system: System, key: str, body: dict[str, Any]) -> httpx.Response:
    headers = {"authorization": f"Bearer {key}"}
    return httpx.post(f"{system.url}/v1/chat/completions", json=body, headers=headers, timeout=30)


def test_an_entrys_token_chooses_its_provider_its_configuration_and_its_router(run: Run, upstream: Upstream) -> None:
    system = run(style(upstream))
    answer = post(system, "tok-openai", {"messages": HI})
    assert answer.status_code == 200, answer.text
    assert upstream.chats()[0]["asked"]["body"]["model"] == "gpt-3.5-turbo"
    assert post(system, "tok-unknown", {"messages": HI}).json()["error"]["code"] == "invalid_api_key"
    configuration_wins(system, upstream)
    routers_choose(system, upstream)


def configuration_wins(system: System, upstream: Upstream) -> None:
    upstream.forget()
    answer = post(system, "tok-azure", {"messages": HI, "model": "whatever", "temperature": 0.1})
    assert answer.status_code == 200, answer.text
    (entry,) = upstream.chats()
    assert entry["asked"]["body"]["temperature"] == 0.8
    assert "/deployments/gpt-35-turbo/" in entry["asked"]["path"]
    assert entry["asked"]["query"]["api-version"] == "2023-05-15"


def routers_choose(system: System, upstream: Upstream) -> None:
    upstream.forget()
    for _ in range(4):
        assert post(system, "tok-router", {"messages": HI}).status_code == 200
    assert Counter(entry["case"] for entry in upstream.chats()) == {
        "openai-compatible/text": 2,
        "openai-compatible/clone": 2,
    }
    upstream.forget()
    assert post(system, "tok-names", {"messages": HI, "model": "router-round-robin"}).status_code == 200
    assert len(upstream.chats()) == 1
    assert post(system, "tok-names", {"messages": HI, "model": "no-such-name"}).status_code == 404


# gptomni-2api.


def test_gptomni_takes_the_master_key_and_any_model_and_its_cookies_take_turns(
    run: Run, client: Connect, upstream: Upstream
) -> None:
    system = run(moved("gptomni-2api.env", {"gptomni": f"{upstream.url}/gptomni/text"}))
    caller = client(system, MASTER)
    for name in ("gptomni", "gpt-4o", "anything/at-all"):
        assert stream(caller, name)
    assert say(caller, "gpt-4o", temperature=0.5)
    cookies = [entry["asked"]["headers"]["cookie"] for entry in upstream.chats()]
    assert set(cookies[:3]) == {"session=one; a=1", "session=two", "session=three"}
    with pytest.raises(openai.AuthenticationError):
        say(client(system, "another-key"), "gptomni")
    assert [model.id for model in caller.models.list()] == ["gptomni"]
    assert httpx.get(f"{system.url}/v1/models").status_code == 401
    assert httpx.get(f"{system.url}/").json()["message"]


# The DashScope gateway.


def test_dashscope_callers_use_their_own_keys(run: Run, client: Connect, upstream: Upstream) -> None:
    text = text_of("dashscope-gateway.env").replace("https://dashscope.aliyuncs.com", f"{upstream.url}/dashscope/text")
    system = run(text)
    first, second = client(system, "sk-caller-number-one"), client(system, "sk-caller-number-two")
    listed = [model.id for model in first.models.list()]
    assert {"farui-plus", "qwen-plus", "qwen-max", "qwen-turbo"} <= set(listed)
    assert say(first, "farui-plus", temperature=0.5, max_tokens=100, top_p=0.9, stop=["x"])
    assert stream(second, "farui-plus")
    keys = [entry["asked"]["headers"]["authorization"] for entry in upstream.chats()]
    assert keys == ["Bearer sk-caller-number-one", "Bearer sk-caller-number-two"]
    assert httpx.get(f"{system.url}/health").json()["status"] == "healthy"
    refusal = httpx.post(f"{system.url}/v1/chat/completions", json={})
    assert (refusal.status_code, refusal.json()["error"]["type"]) == (401, "authentication_error")


def test_dashscope_limits_of_tokens_and_defaults_are_kept(run: Run, client: Connect, upstream: Upstream) -> None:
    text = text_of("dashscope-gateway.env").replace("https://dashscope.aliyuncs.com", f"{upstream.url}/dashscope/text")
    caller = client(run(text), "sk-caller-number-one")
    assert say(caller, "farui-plus", max_tokens=9999, tools=[], frequency_penalty=0.5)
    assert say(caller, "qwen-plus", max_tokens=9999)
    assert say(caller, "qwen-plus")
    sent = [entry["asked"]["body"]["parameters"] for entry in upstream.chats()]
    assert [parameters["max_tokens"] for parameters in sent] == [2000, 4000, 2000]
    assert {(parameters["temperature"], parameters["top_p"]) for parameters in sent} == {(0.7, 1.0)}


# OpenAICompatible (Go).


def test_go_accounts_answer_under_their_documented_names(run: Run, client: Connect, upstream: Upstream) -> None:
    bases = {
        "codegeex": f"{upstream.url}/codegeex/text",
        "qwen-web": f"{upstream.url}/qwen-web/text",
        "gemini-cli": f"{upstream.url}/gemini-cli/text/v1internal",
    }
    system = run(moved("openai-compatible-go.config.json", bases))
    listed = models(client(system, NEW_KEY), "codegeex/codegeex-4")
    assert {"codegeex/codegeex-4", "qwen/qwen3.7-plus", "gemini_cli/gemini-2.5-pro"} <= set(listed)
    caller = client(system, NEW_KEY)
    assert say(caller, "codegeex/codegeex4")
    assert caller.models.retrieve("codegeex-4").id == "codegeex-4"  # unlisted, and unique
    assert stream(caller, "gpt-3.5-turbo")
    tokens = [entry["asked"]["headers"]["code-token"] for entry in upstream.chats()]
    assert sorted(tokens) == ["codegeex-token-one", "codegeex-token-two"]
    upstream.forget()
    for _ in range(2):
        assert say(caller, "codegeex2/codegeex-4")
    tokens = [entry["asked"]["headers"]["code-token"] for entry in upstream.chats()]
    assert tokens == ["codegeex-token-two", "codegeex-token-two"]
    assert say(caller, "codegeex-4")
    assert say(caller, "gemini_cli/gemini-pro")
    assert say(caller, "qwen/qwen-turbo")
