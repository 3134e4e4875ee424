"""Changes laid over plain data."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from worker.config.overlay import Overlay, find, listed, merge, patch_between

FILE: dict[str, Any] = {
    "providers": [
        {"name": "one", "type": "openai", "credentials": [{"name": "a", "api_key": "k"}, {"api_key": "l"}]},
        {"name": "two", "type": "echo"},
    ],
    "models": {"alias": "one/gpt", "both": ["one/gpt", "two/echo"], "route": {"targets": ["two"], "strategy": "race"}},
    "keys": [{"name": "team", "key": "secret"}],
}
_JSON = st.recursive(
    st.booleans() | st.integers() | st.text(max_size=3),  # null is what removes
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", max_size=2), inner, max_size=4),
    max_leaves=12,
)
_OBJECTS = st.dictionaries(st.text("abc", max_size=2), _JSON, max_size=4)


@given(_OBJECTS, _OBJECTS)
def test_the_patch_between_two_objects_makes_one_the_other(before: dict[str, Any], after: dict[str, Any]) -> None:
    patch = patch_between(before, after)
    assert merge(before, patch) == after
    assert bool(patch) == (before != after)


@given(_OBJECTS, _OBJECTS, _OBJECTS)
def test_two_merges_do_what_they_do_one_after_the_other(
    first: dict[str, Any], second: dict[str, Any], third: dict[str, Any]
) -> None:
    file = {"models": {"m": first}}
    overlay = Overlay().merge("models", "m", patch_between(first, second), file)
    overlay = overlay.merge("models", "m", patch_between(second, third), file)
    assert find(overlay.apply(file), "models", "m") == third
    assert bool(overlay.changes) == (first != third), "what is as in the file again is no change"


def test_routes_have_one_long_form() -> None:
    assert dict(listed(FILE, "models")) == {
        "alias": {"targets": ["one/gpt"]},
        "both": {"targets": ["one/gpt", "two/echo"]},
        "route": {"targets": ["two"], "strategy": "race"},
    }


def test_credentials_without_a_name_have_their_number() -> None:
    assert [name for name, _ in listed(FILE, "credentials")] == ["one/a", "one/2"]


def test_a_merge_leaves_the_rest_to_the_file() -> None:
    overlay = Overlay().merge("credentials", "one/a", {"weight": 3}, FILE)
    edited = {**FILE, "providers": [{**FILE["providers"][0], "credentials": [{"name": "a", "api_key": "new"}]}]}
    assert find(overlay.apply(edited), "credentials", "one/a") == {"name": "a", "api_key": "new", "weight": 3}
    without = {**FILE, "providers": FILE["providers"][1:]}
    assert overlay.apply(without) == without


def test_what_was_removed_stays_away_and_may_come_back() -> None:
    overlay = Overlay().remove("keys", "team", FILE)
    assert overlay.apply(FILE)["keys"] == []
    again = overlay.put("keys", "team", {"key": "other"})
    assert again.apply(FILE)["keys"] == [{"key": "other", "name": "team"}]
    assert find(again.remove("keys", "team", FILE).apply(FILE), "keys", "team") is None


def test_removing_what_only_changes_have_leaves_no_mark() -> None:
    overlay = Overlay().put("models", "new", {"targets": ["two"]}).remove("models", "new", FILE)
    assert overlay.changes == {}


def test_a_removed_credential_of_an_added_provider_stays_away() -> None:
    accounts = [{"name": "a"}, {"name": "b"}]
    overlay = Overlay().put("providers", "new", {"type": "vllm", "credentials": accounts})
    overlay = overlay.remove("credentials", "new/a", FILE)
    assert find(overlay.apply(FILE), "credentials", "new/a") is None
    assert find(overlay.apply(FILE), "credentials", "new/b") is not None


def test_a_provider_that_is_put_has_the_credentials_that_it_brings() -> None:
    overlay = Overlay().merge("credentials", "one/a", {"weight": 3}, FILE)
    overlay = overlay.put("providers", "one", {"type": "openai", "credentials": [{"name": "a", "api_key": "n"}]})
    assert find(overlay.apply(FILE), "credentials", "one/a") == {"name": "a", "api_key": "n"}


def test_applying_changes_nothing_of_the_file() -> None:
    before = repr(FILE)
    Overlay().put("providers", "two", {"type": "openai"}).remove("keys", "team", FILE).apply(FILE)
    assert repr(FILE) == before


def test_it_survives_its_encoding() -> None:
    overlay = Overlay().put("models", "m", {"targets": ["two"]}).remove("keys", "team", FILE).next()
    overlay = overlay.merge("providers", "one", {"weight": 2, "proxy": None}, FILE).next()
    assert Overlay.decode(overlay.encode()) == overlay
    assert overlay.generation == 2


def test_no_repr_shows_what_it_holds() -> None:
    assert "secret" not in repr(Overlay().put("keys", "k", {"key": "secret"}))
