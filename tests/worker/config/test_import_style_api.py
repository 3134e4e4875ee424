"""A model-config.json of openai-style-api."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.worker.config.predecessors import imported, notes, targets, text_of
from worker.config.loading import Loaded, parse
from worker.config.schema import Config, Strategy


def style() -> Loaded:
    return imported("openai-style-api.model-config.json")


def key_named(config: Config, token: str) -> Any:
    return next(key for key in config.keys if key.key.get_secret_value() == token)


@pytest.mark.parametrize(
    ("token", "target", "type_name"),
    [
        ("tok-azure", "azure-1/gpt-35-turbo", "azure-openai"),
        ("tok-openai", "openai-2/gpt-3.5-turbo", "openai"),
        ("tok-proxy", "proxy-3/gpt-3.5-turbo", "openai-compatible"),
        ("tok-claude-web", "claude-web-4/default", "claude-web"),
        ("tok-zhipu", "zhipu-api-5/glm-4.5-flash", "zhipu"),
        ("tok-spark", "xunfei-spark-api-6/generalv3", "spark"),
        ("tok-gemini", "gemini-9/gemini-2.5-pro", "gemini"),
        ("tok-bing", "bing-sydney-10/bing-balanced", "bing-sydney"),
        ("tok-qwen", "qwen-11/qwen-turbo", "dashscope"),
        ("tok-kimi", "openai-12/moonshot-v1-8k", "moonshot"),
    ],
)
def test_style_a_token_is_key_and_choice_of_model(token: str, target: str, type_name: str) -> None:
    config = style().config
    key = key_named(config, token)
    assert (key.default_model, dict(key.model_map), key.models) == ("gpt-3.5-turbo", {"*": target}, ())
    provider = config.provider(target.partition("/")[0])
    assert provider is not None
    assert provider.type == type_name


def test_style_configuration_wins_over_the_request() -> None:
    config = style().config
    overrides = {provider.name: dict(provider.overrides) for provider in config.providers if provider.overrides}
    assert overrides == {
        "azure-1": {"temperature": 0.8},
        "zhipu-api-5": {"temperature": 0.8, "top_p": 0.7},
        "xunfei-spark-api-6": {"top_k": 5},
    }


def test_style_options_of_a_type_are_kept() -> None:
    config = style().config
    claude, azure = config.provider("claude-web-4"), config.provider("azure-1")
    assert claude is not None
    assert azure is not None
    options = claude.options.model_dump()
    assert (options["single_conversation"], options["conversation_id"]) == (True, "c-1")
    assert options["prompt"] == "Context: {history}\nQuestion: {newMessage}"
    assert claude.proxy is not None
    assert azure.options.model_dump()["api_version"] == "2023-05-15"


def test_style_routers_keep_pool_order_and_names() -> None:
    config = style().config
    pool = config.models["router-7/*"]
    assert pool.strategy is Strategy.ROUND_ROBIN
    assert [target.model for target in pool.targets] == ["xunfei-spark-api-6/generalv3", "zhipu-api-5/glm-4.5-flash"]
    assert targets(config, "model-name-router-8/chatglm_lite") == [("zhipu-api-5/glm-4.5-flash", 1)]
    assert targets(config, "model-name-router-8/router-round-robin") == [("router-7/router-round-robin", 1)]
    assert dict(key_named(config, "tok-names").model_map) == {"*": "model-name-router-8/*"}
    assert not [warning for warning in style().warnings if "leads to" in warning]


def test_style_switches_its_administration_on_with_its_own_token() -> None:
    for name in ("PENSTOCK_MASTER_KEY", "ADMIN-TOKEN", "ADMIN_TOKEN"):
        loaded = parse(
            text_of("openai-style-api.model-config.json"), {name: "administration-key"}, path=Path("f"), generation=1
        )
        assert loaded.config.admin.openai_style_api
        assert loaded.config.admin.key is not None


def test_style_retired_models_are_told() -> None:
    told = notes(style())
    for old, new in (("chatglm_lite", "glm-4.5-flash"), ("v2.0", "generalv3"), ("gemini-pro", "gemini-2.5-pro")):
        assert f"{old} is retired or renamed; {new} answers in its place" in told


STYLE = """[
  {"token": "token-number-1", "type": "openai", "config": {"api_key": "k"}}, // "//" in a comment
  {"token": "token-number-2", "type": "router",
   "config": {"router_strategy": "parallel", "token_pool": ["token-number-1", "gone"]}},
  {"token": "token-number-3", "type": "router", "config": {"router_strategy": "random", "token_pool": ["gone"]}},
  {"token": "token-number-4", "type": "model-name-router",
   "config": {"model-2-token": {"default": "token-number-1", "x": "token-number-3"}}},
  {"token": "token-number-5", "type": "skylark", "config": {"api_key": "AK:SK", "model": "Skylark2-pro-32k"}},
  {"token": "token-number-6", "type": "unheard-of", "config": {}},
  {"token": "token-number-1", "type": "openai", "config": {"api_key": "k", "api_base": "http://h//v1/"}},
  {"type": "openai"}, /* trailing comma */
]"""


GOOD = {"token": "token-number-1", "type": "openai", "config": {"api_key": "k"}}


def beside_a_good_one(type_name: str, **config: Any) -> Loaded:
    entry = {"token": "token-number-2", "type": type_name, "config": config}
    return parse(json.dumps([GOOD, entry]), {}, path=Path("f"), generation=1)


@pytest.mark.parametrize(
    ("type_name", "config", "told"),
    [
        ("openai", {}, "openai-2: needs api_key"),
        ("azure", {"api_key": "k"}, "azure-2: needs api_base"),
        ("claude-web", {"single_conversation": True}, "claude-web-2: needs cookie"),
        ("bing-sydney", {"style": "precise"}, "bing-sydney-2: needs cookie"),
        ("xunfei-spark-api", {"app_id": "a"}, "xunfei-spark-api-2: needs api_key, api_secret"),
    ],
)
def test_style_an_entry_that_could_not_answer_is_left_out_alone(
    type_name: str, config: dict[str, Any], told: str
) -> None:
    loaded = beside_a_good_one(type_name, **config)
    assert [key.name for key in loaded.config.keys] == ["openai-1"]
    assert f"{told} and was left out, as it was there" in notes(loaded)


@pytest.mark.parametrize(
    ("type_name", "config", "overrides", "told"),
    [
        ("azure", {"api_base": "https://u/", "n": 2, "seed": 1}, {"n": 2}, "seed had no effect there"),
        ("zhipu-api", {"top_p": 0.5, "max_tokens": 5}, {"top_p": 0.5}, "max_tokens had no effect there"),
        ("qwen", {"top_k": 5}, {"top_k": 5}, "replaced temperature and top_p of requests"),
        ("skylark", {"model": "m", "seed": 1}, {}, "seed had no effect there"),
        ("gemini", {"temperature": 1}, {}, "temperature had no effect"),
        ("xunfei-spark-api", {"app_id": "a", "api_secret": "s"}, {}, "its limit of 1024 tokens to an answer"),
        (
            "xunfei-spark-api",
            {"app_id": "a", "api_secret": "s", "temperature": 0.4, "max_tokens": 9},
            {"temperature": 0.8, "max_tokens": 9},
            "",
        ),
        ("openai", {"seed": 1, "own": {"x": 1}}, {"seed": 1, "own": {"x": 1}}, ""),
        ("openai", {"seed": 1, "stream": True}, {"seed": 1}, "stream is the client's own and was left out"),
    ],
)
def test_style_what_had_an_effect_is_kept_and_what_differs_is_told(
    type_name: str, config: dict[str, Any], overrides: dict[str, Any], told: str
) -> None:
    loaded = beside_a_good_one(type_name, api_key="id.secret", **config)
    assert dict(loaded.config.providers[1].overrides) == overrides
    assert told in notes(loaded)


def test_style_what_bing_did_not_know_is_told() -> None:
    loaded = beside_a_good_one("bing-sydney", cookie="c", style="h3", temperature=1)
    assert loaded.config.providers[1].options.model_dump()["style"] == "balanced"
    for text in ("its style is none of creative, balanced, precise", "temperature had no effect there"):
        assert text in notes(loaded)


def test_style_routers_that_lead_back_to_themselves_lose_that_way_alone() -> None:
    routers = {"one": ["two", "token-number-1"], "two": ["one", "token-number-1"], "alone": ["alone"]}
    entries = [
        {"token": token, "type": "router", "config": {"router_strategy": "random", "token_pool": pool}}
        for token, pool in routers.items()
    ]
    loaded = parse(json.dumps([GOOD, *entries]), {}, path=Path("f"), generation=1)
    assert targets(loaded.config, "router-2/*") == [("router-3/*", 1), ("openai-1/*", 1)]
    assert targets(loaded.config, "router-3/*") == [("openai-1/*", 1)]
    assert loaded.config.models["router-2/*"].strategy is Strategy.RANDOM
    assert [key.name for key in loaded.config.keys] == ["openai-1", "router-2", "router-3"]
    for name, by_way_of in (("router-3", "router-2"), ("router-4", "router-4")):
        assert f"{name}: leads back to itself, by way of {by_way_of}: that token was left out" in notes(loaded)


def test_style_name_routers_lose_such_a_way_too() -> None:
    loaded = beside_a_good_one("model-name-router", **{"model-2-token": {"a": "token-number-1", "b": "token-number-2"}})
    assert list(loaded.config.models) == ["model-name-router-2/a"]
    assert "model-name-router-2: leads back to itself" in notes(loaded)


def test_style_what_leads_nowhere_is_left_out_and_told() -> None:
    loaded = parse(STYLE, {}, path=Path("f"), generation=1)
    assert [key.name for key in loaded.config.keys] == ["openai-7", "router-2", "model-name-router-4"]
    assert targets(loaded.config, "router-2/*") == [("openai-7/*", 1)]
    assert targets(loaded.config, "model-name-router-4/*") == [("openai-7/*", 1)]
    assert loaded.config.providers[0].models == ("*",)
    told = notes(loaded)
    for text in (
        "router-2: its strategy was not known there either; round-robin is used",
        "router-2: 1 of its tokens belong to no entry and were left out",
        "router-3: leads to no entry that could be carried over and was left out",
        "model-name-router-4: the token for x belongs to no entry and was left out",
        "skylark-5: its API is shut down",
        "unheard-of-6: its type is not known",
        "entry 7: replaces openai-1, which has the same token",
        "entry 8: has no token or no type",
    ):
        assert text in told
    assert "token-number" not in told


def test_style_claude_keeps_its_version() -> None:
    loaded = beside_a_good_one("claude", **{"api_key": "k", "anthropic-version": "2023-01-01", "model": "m"})
    assert loaded.config.providers[1].options.model_dump()["version"] == "2023-01-01"
    assert "anthropic-version" not in notes(loaded)
