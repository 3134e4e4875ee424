"""The files of OpenAICompatible, the Go OAI Gateway, gptomni-2api and the DashScope gateway."""

import pytest

from tests.worker.config.predecessors import MASTER, SAMPLES, imported, notes, targets, text_of
from worker.config.importers.dashscope_gateway import host_of
from worker.config.loading import load
from worker.config.problems import ConfigError
from worker.config.schema import Auth, Mode


def test_go_accounts_take_turns_and_answer_to_their_prefix() -> None:
    config = imported("openai-compatible-go.config.json").config
    providers = {provider.name: provider for provider in config.providers}
    assert {name: provider.type for name, provider in providers.items()} == {
        "codegeex": "codegeex",
        "qwen": "qwen-web",
        "gemini_cli": "gemini-cli",
    }
    assert [credential.prefix for credential in providers["codegeex"].credentials] == ["codegeex1", "codegeex2"]
    assert [credential.weight for credential in providers["qwen"].credentials] == [1, 1]
    assert providers["codegeex"].credentials[0].values["user_role"].get_secret_value() == "1"
    assert "expiry" not in providers["gemini_cli"].credentials[0].values
    assert config.routing.mode is Mode.PREFIX


def test_go_documented_names_work() -> None:
    loaded = imported("openai-compatible-go.config.json")
    maps = {provider.name: provider.model_map for provider in loaded.config.providers}
    assert maps["codegeex"]["codegeex4"] == "codegeex-4"
    assert "qwen-turbo" in maps["qwen"]
    assert maps["gemini_cli"]["gemini-pro"] == "gemini-2.5-pro"
    assert targets(loaded.config, "gpt-3.5-turbo") == [("codegeex/codegeex4", 1)]
    assert "gemini_cli/gemini-pro: answered by gemini-2.5-pro today" in notes(loaded)
    assert "dangbei: was always on there and is not offered" in notes(loaded)


def test_go_tokens_are_renewed_only_with_what_the_file_does_not_have() -> None:
    told = notes(imported("openai-compatible-go.config.json"))
    assert "a config.local.json beside it won over config.json there" in told
    assert "gemini_cli[1]: the token serves until it ends; to have it renewed, add client_id" in told


def test_go_a_port_that_was_any_is_told() -> None:
    loaded = imported("openai-compatible-go.config.json", lambda text: text.replace("8080", "0"))
    assert loaded.config.server.port == 8080
    assert "port: was absent or 0, which meant any free one; 8080 is used" in notes(loaded)


def test_go_lists_may_be_empty_and_the_proxy_is_for_gemini_alone() -> None:
    text = text_of("openai-compatible-go.config.json").replace(
        '"host"', '"proxy": "http://p:1", "qwen_code": [], "host"'
    )
    config = imported("openai-compatible-go.config.json", lambda _: text).config
    assert [p.name for p in config.providers if p.proxy] == ["gemini_cli"]


def test_gateway_weights_hold_for_merged_models_and_overrides() -> None:
    config = imported("go-oai-gateway.config.yaml").config
    assert [(provider.name, provider.weight) for provider in config.providers] == [
        ("your-provider-1", 10),
        ("your-provider-2", 5),
    ]
    assert targets(config, "claude-3-opus") == [
        ("your-provider-1/claude-3-opus-20240229", 10),
        ("your-provider-2/claude-v3-opus", 5),
    ]
    assert targets(config, "gpt-4-turbo") == [("your-provider-1/gpt-4-turbo-preview", 10)]
    assert config.routing.mode is Mode.MERGE
    assert config.server.auth is Auth.NONE


def test_gateway_prefix_mode_has_no_overrides() -> None:
    loaded = imported("go-oai-gateway.config.yaml", lambda text: text.replace('"merge"', '"prefix"'))
    assert loaded.config.routing.mode is Mode.PREFIX
    assert not loaded.config.models
    assert "has no effect in prefix mode" in notes(loaded)


def test_gateway_elsewhere_than_on_loopback_asks_for_a_key() -> None:
    loaded = imported("go-oai-gateway.config.yaml", lambda text: text.replace("127.0.0.1", "0.0.0.0"))
    assert loaded.config.server.auth is Auth.KEYS
    assert "no client key is configured" in notes(loaded)


def test_gptomni_takes_any_model_name_and_its_cookies_take_turns() -> None:
    config = imported("gptomni-2api.env").config
    assert targets(config, "*") == [("gptomni/gptomni", 1)]
    cookies = [c.values["cookie"].get_secret_value() for c in config.providers[0].credentials]
    assert cookies == ["session=one; a=1", "session=two", "session=three"]
    assert (config.keys[0].key.get_secret_value(), config.keys[0].default_model) == (MASTER, "gptomni")


@pytest.mark.parametrize("key", ["", "1"])
def test_gptomni_without_a_real_key_had_none(key: str) -> None:
    loaded = imported("gptomni-2api.env", lambda text: text.replace(MASTER, key))
    config = loaded.config
    assert config.keys == ()
    assert "give yours default_model: gptomni" in notes(loaded)


def test_gptomni_a_sample_key_is_refused() -> None:
    with pytest.raises(ConfigError, match="is a sample key"):
        load(SAMPLES / "gptomni-2api.env", {})


def test_gptomni_names_and_timeout_are_kept() -> None:
    more = '\nKNOWN_MODELS=["gptomni", "gpt-4o"]\nAPI_REQUEST_TIMEOUT=25\nOTHER=x\n'
    loaded = imported("gptomni-2api.env", lambda text: text + more)
    assert targets(loaded.config, "gpt-4o") == [("gptomni/gptomni", 1)]
    assert loaded.config.providers[0].timeouts.first_token_s == 25
    assert ".env: OTHER is not known" in notes(loaded)


def test_gateway_overrides_name_endpoints_that_there_are() -> None:
    loaded = imported("go-oai-gateway.config.yaml", lambda text: text.replace("your-provider-2/claude", "gone/claude"))
    assert targets(loaded.config, "claude-3-opus") == [("your-provider-1/claude-3-opus-20240229", 10)]
    assert "claude-3-opus: gone/claude-v3-opus names no endpoint and was left out" in notes(loaded)


def test_dashscope_what_differs_is_told() -> None:
    told = notes(imported("dashscope-gateway.env", lambda text: f"{text}\nDASHSCOPE_API_KEY=sk-x\n"))
    for text in (
        "histories of more than 20 messages are no longer cut",
        "empty messages of the assistant and repeated ones of the user are no longer taken out",
        "max_tokens: null means 2000 for all models",
        "its video endpoints are not offered",
        "DASHSCOPE_API_KEY is not read by it",
    ):
        assert text in told


def test_dashscope_callers_bring_their_own_keys_for_any_model() -> None:
    config = imported("dashscope-gateway.env").config
    assert config.passthrough is not None
    (provider,) = config.providers
    assert provider.models == ("farui-plus", "qwen-plus", "qwen-max", "qwen-turbo", "*")
    assert dict(provider.defaults) == {"temperature": 0.7, "top_p": 1.0, "max_tokens": 2000}
    assert config.server.cors_origins == ("*",)


@pytest.mark.parametrize("ending", ["", "/", "/api/v1", "/api/v1/", "/compatible-mode/v1"])
def test_dashscope_both_kinds_of_address_are_accepted(ending: str) -> None:
    assert host_of("https://dashscope-intl.aliyuncs.com" + ending) == "https://dashscope-intl.aliyuncs.com"
