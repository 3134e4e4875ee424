"""What stands in for secrets."""

from pathlib import Path
from typing import Any

import pytest

from shared.errors import InvalidRequest
from worker.administration.masks import Masks
from worker.config.importers import render_data
from worker.config.loading import parse
from worker.config.problems import ConfigError

MASKS = Masks(b"k" * 32)
DATA: dict[str, Any] = {
    "redis": {"url": "redis://:password-r@h/0"},
    "providers": [
        {
            "name": "one",
            "type": "openai",
            "base_url": "https://h/v1?key=query-s",
            "proxy": "http://u:password-p@p:1",
            "credentials": [{"name": "a", "api_key": "secret-a", "organization": "org", "limits": {"rpm": 5}}],
        },
        {"name": "two", "type": "claude-web", "credentials": [{"cookie": "secret-c", "organization_id": "o"}]},
        {"name": "three", "type": "unheard-of", "credentials": [{"name": "n", "whatever": "secret-w"}]},
    ],
    "keys": [{"name": "team", "key": "secret-k", "models": ["gpt-*"]}],
    "admin": {"key": "secret-m", "openai_style_api": True},
}


def test_every_secret_is_masked_and_nothing_else() -> None:
    hidden = MASKS.hide(DATA)
    for part in ("password", "query-s", "secret"):
        assert part not in repr(hidden)
    account = hidden["providers"][0]["credentials"][0]
    assert account == {**DATA["providers"][0]["credentials"][0], "api_key": MASKS.of("secret-a")}
    assert hidden["providers"][0]["base_url"] == f"https://h/v1?{MASKS.of('key=query-s')}"
    assert hidden["providers"][1]["credentials"][0]["organization_id"] == "o"
    assert hidden["admin"]["openai_style_api"] is True


def test_masks_sent_back_are_the_secrets_again() -> None:
    assert MASKS.reveal(MASKS.hide(DATA), DATA) == DATA


def test_a_mask_of_another_secret_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="is the mask of no secret"):
        MASKS.reveal({"api_key": MASKS.of("another")}, DATA)


def test_masks_are_stable_and_keyed() -> None:
    assert Masks(b"k" * 32).of("secret") == MASKS.of("secret") != Masks(b"l" * 32).of("secret")


def test_a_file_with_masks_in_place_of_its_secrets_is_refused() -> None:
    """Everybody who saw the mask could use it as a key."""
    data = {"providers": DATA["providers"][:1], "keys": DATA["keys"]}
    with pytest.raises(ConfigError) as raised:
        parse(render_data(MASKS.hide(data)), {}, path=Path("f"), generation=1)
    told = [problem.told("f") for problem in raised.value.problems]
    assert [line.split(": ")[1] for line in told if "is the mask of a secret" in line] == [
        "providers[0].credentials[0].api_key",
        "keys[0].key",
    ]
