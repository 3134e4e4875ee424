import pytest

from api.auth import Caller
from api.models import resolve_model, visible_models
from shared.catalogue import KeyPolicy, ModelEntry, PassthroughPolicy
from shared.errors import Forbidden, InvalidRequest, NotFound
from tests.api.app import CATALOGUE, change

ALL, SOME, _ = (Caller(policy) for policy in CATALOGUE.keys)


@pytest.mark.parametrize("model", ["gpt-4o", "moonshot/kimi-k2", "any-thing"])
def test_a_listed_name_and_a_wildcard_one_are_found(model: str) -> None:
    assert resolve_model(model, ALL, CATALOGUE).id == model


def test_without_a_name_the_keys_default_counts() -> None:
    assert resolve_model(None, ALL, CATALOGUE).id == "gpt-4o"


@pytest.mark.parametrize("model", [None, ""])
def test_without_a_name_and_a_default_it_is_400(model: str | None) -> None:
    with pytest.raises(InvalidRequest, match="must provide a model parameter") as caught:
        resolve_model(model, SOME, CATALOGUE)
    assert caught.value.param == "model"


def test_an_unknown_name_is_404_with_near_ones() -> None:
    with pytest.raises(NotFound, match="Did you mean 'gpt-4o'") as caught:
        resolve_model("gpt4o", ALL, CATALOGUE)
    assert (caught.value.status, caught.value.code) == (404, "model_not_found")


def test_near_names_are_none_that_the_key_may_not_use() -> None:
    with pytest.raises(NotFound) as caught:
        resolve_model("gpt4o", SOME, CATALOGUE)
    assert "gpt-4o" not in caught.value.message


def test_a_long_name_is_not_repeated_whole() -> None:
    with pytest.raises(NotFound) as caught:
        resolve_model("x" * 10_000, ALL, CATALOGUE)
    assert len(caught.value.message) < 400


@pytest.mark.parametrize("model", ["gpt-4o", "any-thing"])
def test_a_name_that_the_key_may_not_use_is_403(model: str) -> None:
    with pytest.raises(Forbidden) as caught:
        resolve_model(model, SOME, CATALOGUE)
    assert caught.value.status == 403


OWN = Caller(KeyPolicy(b"d", "callers' own"), own_key="sk-of-the-caller")
PASSING = change(passthrough=PassthroughPolicy("dashscope", (ModelEntry("qwen-plus", queue_wait_s=7),), queue_wait_s=9))


def test_callers_with_own_keys_are_shown_their_providers_models_alone() -> None:
    assert [entry.id for entry in visible_models(OWN, PASSING)] == ["qwen-plus"]
    assert [entry.id for entry in visible_models(ALL, PASSING)] == ["gpt-4o", "moonshot/kimi-k2"]


@pytest.mark.parametrize(("model", "wait_s"), [("qwen-plus", 7), ("brand-new", 9), ("gpt-4o", 9)])
def test_callers_with_own_keys_may_ask_for_any_name(model: str, wait_s: float) -> None:
    entry = resolve_model(model, OWN, PASSING)
    assert (entry.id, entry.queue_wait_s) == (model, wait_s)
