"""The list of openai-style-api, read from and written to the configuration."""

import json
from pathlib import Path
from typing import Any

import pytest

from shared.errors import GatewayError
from tests.worker.config.predecessors import text_of
from worker.administration.masks import Masks
from worker.administration.objects import Maker
from worker.administration.style import StyleList
from worker.config.importers.openai_style_export import entries_of
from worker.config.importers.source import Source
from worker.config.loading import Loaded, overlaid, parse
from worker.config.overlay import Overlay, find

FILE = "openai-style-api.model-config.json"
MASKS = Masks(b"k" * 32)


@pytest.fixture
def file() -> Loaded:
    return parse(text_of(FILE), {}, path=Path("f"), generation=1)


def style(loaded: Loaded) -> StyleList:
    return StyleList(loaded.data, MASKS, loaded.data)


def after(maker: Maker, file: Loaded) -> Loaded:
    return overlaid(file, maker(Overlay(), file).next(), {})


def by_token(loaded: Loaded) -> dict[str, Any]:
    return {entry["token"]: entry for entry in entries_of(loaded.data).values()}


def test_the_entries_of_an_imported_file_are_those_of_the_file(file: Loaded) -> None:
    """But for retired models, which have become the ones that answer for them."""
    wanted = {entry["token"]: entry for entry in Source(text_of(FILE)).json}
    found = by_token(file)
    assert found.keys() == wanted.keys()
    renamed = {
        "tok-zhipu": {"model": "glm-4.5-flash"},
        "tok-spark": {"api_model_version": "generalv3"},
    }
    for token, entry in wanted.items():
        expected = {**entry, "config": {**entry["config"], **renamed.get(token, {})}}
        assert found[token] == expected, token


def test_what_has_another_name_or_scale_here_goes_back_as_it_was() -> None:
    spark = {"app_id": "a", "api_key": "k", "api_secret": "s", "api_model_version": "generalv3", "temperature": 0.4}
    claude = {"api_key": "k", "anthropic-version": "2023-01-01", "model": "m"}
    entries = [
        {"token": "token-of-spark", "type": "xunfei-spark-api", "config": spark},
        {"token": "token-of-claude", "type": "claude", "config": claude},
    ]
    found = by_token(parse(json.dumps(entries), {}, path=Path("f"), generation=1))
    assert list(found.values()) == entries


def test_secrets_and_tokens_are_masked(file: Loaded) -> None:
    shown = style(file).shown()
    assert "tok-" not in repr(shown)
    assert "sessionKey=x" not in repr(shown)
    router = next(entry for entry in shown if entry["type"] == "router")
    assert router["config"]["token_pool"] == [MASKS.of("tok-spark"), MASKS.of("tok-zhipu")]


def test_the_list_sent_back_changes_nothing(file: Loaded) -> None:
    overlay = Overlay()
    assert style(file).upsert(style(file).shown())(overlay, file) is overlay


def test_an_entry_is_changed_by_its_masked_token_and_keeps_its_secret(file: Loaded) -> None:
    entry = next(entry for entry in style(file).shown() if entry["token"] == MASKS.of("tok-azure"))
    entry["config"]["temperature"] = 0.1
    changed = after(style(file).upsert([entry]), file)
    assert by_token(changed)["tok-azure"]["config"]["temperature"] == 0.1
    assert find(changed.data, "credentials", "azure-1/main") == {"name": "main", "api_key": "k"}
    assert by_token(changed).keys() == by_token(file).keys()


def test_what_an_entry_cannot_say_of_its_provider_is_kept(file: Loaded) -> None:
    limited = Overlay().merge("providers", "azure-1", {"limits": {"rpm": 7}}, file.data)
    loaded = overlaid(file, limited.next(), {})
    entry = by_token(loaded)["tok-azure"]
    entry["config"]["temperature"] = 0.1
    changed = overlaid(file, style(loaded).upsert([entry])(limited, file).next(), {})
    provider = find(changed.data, "providers", "azure-1")
    assert provider is not None
    assert (provider["limits"], provider["overrides"]) == ({"rpm": 7}, {"temperature": 0.1})


def test_a_new_token_is_added_and_its_type_may_change(file: Loaded) -> None:
    entry = {"token": "tok-new-one", "type": "openai", "config": {"api_key": "n", "model": "m"}}
    added = after(style(file).upsert([entry]), file)
    assert by_token(added)["tok-new-one"]["config"] == {
        "api_key": "n",
        "api_base": "https://api.openai.com/v1/",
        "model": "m",
    }
    other = {"token": "tok-new-one", "type": "qwen", "config": {"api_key": "n", "model": "qwen-plus"}}
    changed = overlaid(added, style(added).upsert([other])(Overlay(), added).next(), {})
    assert by_token(changed)["tok-new-one"] == other
    assert find(changed.data, "providers", "openai-13") is None


def test_an_entry_is_deleted_by_token_or_mask(file: Loaded) -> None:
    for token in ("tok-kimi", MASKS.of("tok-kimi")):
        changed = after(style(file).delete({"token": token}), file)
        assert by_token(changed).keys() == by_token(file).keys() - {"tok-kimi"}
        assert find(changed.data, "providers", "openai-12") is None


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({"token": "t"}, "must be a list"),
        ([{"token": "t", "type": "openai"}], "entry 1 needs token and type"),
        ([{"token": "", "type": "openai", "config": {}}], "entry 1 needs token and type"),
        ([{"token": "t-unheard", "type": "unheard-of", "config": {}}], "its type is not known"),
        ([{"token": "t-router", "type": "router", "config": {"token_pool": ["no"]}}], "leads to no entry"),
        ([{"token": "t-router", "type": "router", "config": {"token_pool": ["t-router", "tok-zhipu"]}}], "to itself"),
        ([{"token": "t-skylark", "type": "skylark", "config": {"api_key": "A:B"}}], "its API is shut down"),
    ],
)
def test_what_cannot_be_carried_over_is_refused(file: Loaded, body: Any, told: str) -> None:
    with pytest.raises(GatewayError, match=told) as raised:
        style(file).upsert(body)
    assert raised.value.status == 422


def test_deleting_what_routers_need_is_refused(file: Loaded) -> None:
    without = after(style(file).delete({"token": "tok-spark"}), file)
    with pytest.raises(GatewayError, match="leads to no entry"):
        style(without).delete({"token": "tok-zhipu"})


@pytest.mark.parametrize(("body", "status"), [({}, 422), ([], 422), ({"token": "tok-nobody"}, 404)])
def test_deleting_needs_a_token_that_is_there(file: Loaded, body: Any, status: int) -> None:
    with pytest.raises(GatewayError) as raised:
        style(file).delete(body)
    assert raised.value.status == status
