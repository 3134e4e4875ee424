"""The files of LiteLLM and one-api."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.worker.config.predecessors import imported, notes, targets, text_of
from worker.config.loading import Loaded, parse
from worker.config.problems import ConfigError
from worker.config.schema import Strategy


def test_litellm_deployments_become_targets_with_their_accounts() -> None:
    config = imported("litellm.config.yaml").config
    assert targets(config, "gpt-4o") == [("azure-openai/gpt-4o-eu", 2), ("openai/gpt-4o", 1)]
    assert config.models["gpt-4o"].fallbacks == ("claude", "local")
    assert targets(config, "gpt-4") == [("gpt-4o", 1)]
    assert targets(config, "deepseek/*") == [("deepseek/*", 1)]
    azure, openai = config.provider("azure-openai"), config.provider("openai")
    assert azure is not None
    assert openai is not None
    assert azure.credentials[0].values["api_key"].get_secret_value() == "azure-secret"
    assert (azure.credentials[0].limits.rpm, azure.timeouts.total_s, azure.drop_params) == (60, 120, True)
    assert dict(openai.defaults) == {"temperature": 0.2}
    assert config.routing.retries.attempts == 3
    assert config.routing.strategy is Strategy.LEAST_BUSY
    assert [key.name for key in config.keys] == ["master"]


def test_litellm_what_has_no_counterpart_is_told() -> None:
    told = notes(imported("litellm.config.yaml"))
    for text in ("callbacks", "database_url", "input_cost_per_token", "sagemaker/x", "latency-based-routing"):
        assert text in told
    assert "fallbacks: nothing is no model of the list" in told


def test_litellm_a_missing_variable_is_named() -> None:
    with pytest.raises(ConfigError, match="needs the environment variable AZURE_EU"):
        parse(text_of("litellm.config.yaml"), {"ANTHROPIC_API_KEY": "k"}, path=Path("f"), generation=1)


def test_one_api_channels_become_providers() -> None:
    config = imported("one-api.channels.json").config
    assert [(p.name, p.type, p.base_url) for p in config.providers] == [
        ("OpenAI-main", "openai", "https://api.openai.com/v1"),
        ("Azure", "azure-openai", "https://x.openai.azure.com"),
        ("Custom", "openai-compatible", "http://localhost:9000/v1"),
        ("Spark", "spark", config.providers[3].kind.default_base_url),
        ("ERNIE", "qianfan", "https://qianfan.baidubce.com/v2"),
    ]
    assert dict(config.providers[0].model_map) == {"gpt-4o": "gpt-4o-2024-11-20"}
    assert config.providers[2].disabled
    assert len(config.providers[2].credentials) == 2
    assert config.providers[3].credentials[0].values["api_secret"].get_secret_value() == "spark-secret-1"


def one_api(*channels: dict[str, Any]) -> Loaded:
    listed = [{"id": i, "name": f"c{i}", "key": "k", "models": "m", **channel} for i, channel in enumerate(channels, 1)]
    return parse(json.dumps(listed), {}, path=Path("f"), generation=1)


@pytest.mark.parametrize(
    ("number", "type_name", "base_url"),
    [
        (27, "openai-compatible", "https://api.minimax.chat/v1"),
        (44, "siliconflow", "https://own.example/v1"),
        (45, "xai", "https://own.example/v1"),
        (47, "qianfan", "https://own.example/v2"),
        (50, "openai-compatible", "https://own.example"),
        (51, "openai-compatible", "https://generativelanguage.googleapis.com/v1beta/openai"),
    ],
)
def test_one_api_has_addresses_of_its_own(number: int, type_name: str, base_url: str) -> None:
    own = "https://own.example/" if "own" in base_url else ""
    (provider,) = one_api({"type": number, "base_url": own}).config.providers
    assert (provider.type, provider.base_url) == (type_name, base_url)


def test_one_api_spark_over_http_has_its_password() -> None:
    (provider,) = one_api({"type": 48, "key": "password-1"}).config.providers
    assert provider.type == "spark"
    assert provider.credentials[0].values["api_password"].get_secret_value() == "password-1"


def test_one_api_the_old_ernie_waits_for_a_key_of_the_new_one() -> None:
    """Its models keep the names that clients know, and lead to what answers in their place."""
    models = "ERNIE-Bot-4,ERNIE-3.5-128K,eb-instant,fast,BLOOMZ-7B"
    channel = {"type": 15, "key": "ak|sk", "models": models, "model_mapping": '{"fast": "ERNIE-Speed"}'}
    loaded = one_api(channel)
    (provider,) = loaded.config.providers
    assert (provider.type, provider.disabled, provider.credentials) == ("qianfan", True, ())
    assert dict(provider.model_map) == {
        "ERNIE-Bot-4": "ernie-4.0-8k",
        "ERNIE-3.5-128K": "ernie-3.5-128k",
        "eb-instant": "ernie-lite-8k",
        "fast": "ernie-speed-8k",
    }
    assert "BLOOMZ-7B ended" in notes(loaded)
    assert "until you give it a bearer key" in notes(loaded)
    assert "ak|sk" not in notes(loaded)


def test_one_api_a_higher_priority_goes_first() -> None:
    route = imported("one-api.channels.json").config.models["gpt-4o"]
    assert route.strategy is Strategy.PRIORITY
    assert [target.model for target in route.targets] == ["OpenAI-main/gpt-4o", "Azure/gpt-4o"]


def test_one_api_equal_priorities_share_by_weight() -> None:
    channels = [
        {"id": i, "type": 1, "key": "k", "name": name, "models": "m", "weight": weight, "priority": priority}
        for i, (name, weight, priority) in enumerate([("a", 3, 5), ("b", 1, 5), ("c", 1, 0)])
    ]
    config = parse(json.dumps(channels), {}, path=Path("f"), generation=1).config
    assert targets(config, "m") == [("m@priority-5", 1), ("c/m", 1)]
    assert targets(config, "m@priority-5") == [("a/m", 3), ("b/m", 1)]
