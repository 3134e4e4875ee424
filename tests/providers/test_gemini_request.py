"""Wishes to Gemini that OpenAI's own types do not know, or that one of its two services lacks."""

import json
from typing import Any

import pytest
from google.genai.types import GenerationConfig, ServiceTier

from shared.errors import InvalidRequest
from tests.providers.cases import FOLDER, Case


@pytest.mark.parametrize("type_name", ["gemini", "gemini-cli"])
@pytest.mark.parametrize("wanted", [["text", "image"], ["image"]])
def test_images_are_asked_for(type_name: str, wanted: list[str]) -> None:
    config = body_of(type_name, {"modalities": wanted})["generationConfig"]
    assert config["responseModalities"] == [kind.upper() for kind in wanted]
    GenerationConfig.model_validate(config)


@pytest.mark.parametrize("wanted", [["audio"], ["text", "audio"], ["text", "image", "audio"]])
def test_speech_is_refused_or_dropped(wanted: list[str]) -> None:
    with pytest.raises(InvalidRequest, match="not with speech") as refused:
        body_of("gemini", {"modalities": wanted})
    assert refused.value.param == "modalities"
    config = body_of("gemini", {"modalities": wanted}, drop_params=True)["generationConfig"]
    assert config.get("responseModalities") == (["TEXT", "IMAGE"] if "image" in wanted else None)


@pytest.mark.parametrize("tier", ["flex", "priority"])
def test_a_tier_is_asked_for_by_its_name(tier: str) -> None:
    assert body_of("gemini", {"service_tier": tier})["serviceTier"] == ServiceTier(tier).value


@pytest.mark.parametrize("tier", ["auto", "default"])
def test_the_usual_tier_needs_no_word(tier: str) -> None:
    for type_name in ("gemini", "gemini-cli"):
        assert "serviceTier" not in body_of(type_name, {"service_tier": tier})


@pytest.mark.parametrize(("type_name", "tier"), [("gemini", "scale"), ("gemini", "fast"), ("gemini-cli", "flex")])
def test_a_tier_that_is_not_there_is_refused_or_dropped(type_name: str, tier: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        body_of(type_name, {"service_tier": tier})
    assert refused.value.param == "service_tier"
    assert "serviceTier" not in body_of(type_name, {"service_tier": tier}, drop_params=True)


def body_of(type_name: str, wish: dict[str, Any], *, drop_params: bool = False) -> dict[str, Any]:
    case = Case(FOLDER / type_name / "text")
    request = case.provider.build_request(case.call(changes=wish, drop_params=drop_params), case.credential)
    body: dict[str, Any] = json.loads(request.body)
    inner: dict[str, Any] = body.get("request", body)
    return inner
