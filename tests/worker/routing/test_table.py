"""Which name leads where."""

from typing import Any

import pytest

from shared.errors import NotFound
from worker.config.route import Strategy
from worker.config.schema import Config
from worker.routing.route import Route
from worker.routing.table import RouteTable

DISCOVERED = {"one": ["gpt-4", "kimi"], "two": ["gpt-4", "claude"]}


def provider(name: str, **more: Any) -> dict[str, Any]:
    credentials = [{"name": "a", "api_key": "k"}]
    return {"name": name, "type": "openai-compatible", "base_url": "http://u", "credentials": credentials} | more


def build(models: dict[str, Any] | None = None, *providers: dict[str, Any], mode: str = "merge") -> RouteTable:
    config = {"providers": list(providers) or [provider("one"), provider("two", weight=5)], "models": models or {}}
    return RouteTable.build(Config.model_validate(config | {"routing": {"mode": mode}}), DISCOVERED)


def labels(route: Route) -> list[str]:
    return [destination.label for destination in route.destinations]


def weights(route: Route) -> dict[str, int]:
    return {destination.label: destination.weight for destination in route.destinations}


def test_equal_names_of_two_providers_merge_with_the_providers_weights() -> None:
    assert weights(build().resolve("gpt-4")) == {"one/gpt-4": 1, "two/gpt-4": 5}


def test_a_label_before_the_slash_names_one_provider() -> None:
    assert labels(build().resolve("two/gpt-4")) == ["two/gpt-4"]


def test_prefix_mode_lists_labelled_names_and_merges_none() -> None:
    table = build(mode="prefix")
    assert [entry.id for entry in table.public_models()] == ["one/gpt-4", "one/kimi", "two/gpt-4", "two/claude"]
    assert labels(table.resolve("one/kimi")) == ["one/kimi"]
    with pytest.raises(NotFound):
        table.resolve("gpt-4")


def test_prefix_mode_accepts_a_plain_name_that_one_provider_alone_offers() -> None:
    table = build(mode="prefix")
    assert labels(table.resolve("kimi")) == ["one/kimi"]
    assert {"kimi", "claude"} == {entry.id for entry in table.patterns()} - {"one/*", "two/*"}


def test_in_prefix_mode_a_route_comes_before_a_plain_name() -> None:
    """A pattern of the file was written by somebody; that the name is unique was not."""
    table = build({"k*": "two/claude", "claude": "one/kimi"}, mode="prefix")
    assert [labels(table.resolve(name)) for name in ("kimi", "claude")] == [["two/claude"], ["one/kimi"]]
    assert [entry.id for entry in table.patterns()] == ["k*", "one/*", "two/*"]
    assert table.public_models()[0].id == "claude"


def test_a_prefix_of_an_account_pins_it() -> None:
    accounts = [{"name": "a", "api_key": "k", "prefix": "first"}, {"name": "b", "api_key": "k"}]
    table = build({}, provider("one", credentials=accounts))
    (pinned,) = table.resolve("first/kimi").destinations
    assert (pinned.credential, pinned.model) == ("a", "kimi")
    assert "first/*" in [entry.id for entry in table.patterns()]


def test_an_alias_gives_each_target_its_own_model_id() -> None:
    table = build({"best": {"targets": [{"model": "one/kimi", "weight": 10}, {"model": "two/claude", "weight": 5}]}})
    assert weights(table.resolve("best")) == {"one/kimi": 10, "two/claude": 5}
    assert table.resolve("best").stages[0].strategy is Strategy.WEIGHTED


def test_an_alias_of_one_name_is_that_name() -> None:
    assert labels(build({"gpt-3.5-turbo": "kimi"}).resolve("gpt-3.5-turbo")) == ["one/kimi"]


def test_a_route_named_like_a_merged_model_comes_first() -> None:
    assert labels(build({"gpt-4": "one/gpt-4"}).resolve("gpt-4")) == ["one/gpt-4"]


def test_a_disabled_route_is_as_if_it_were_not_there() -> None:
    models = {"gpt": {"targets": ["b/other"], "disabled": True}, "way-*": {"targets": ["b/*"], "disabled": True}}
    table = build(models, provider("a", models=["gpt"]), provider("b", models=["other"]))
    assert labels(table.resolve("gpt")) == ["a/gpt"]
    assert "way-*" not in [pattern.id for pattern in table.patterns()]
    with pytest.raises(NotFound):
        table.resolve("way-other")


def test_the_star_of_a_route_fills_the_star_of_its_target() -> None:
    table = build({"my-*": "two/*", "*": "one/kimi"})
    assert labels(table.resolve("my-claude")) == ["two/claude"]
    assert labels(table.resolve("anything")) == ["one/kimi"]


def test_an_offered_name_is_not_swallowed_by_a_wildcard() -> None:
    assert labels(build({"*": "one/kimi"}).resolve("claude")) == ["two/claude"]


def test_a_provider_may_accept_any_name() -> None:
    table = build({}, provider("any", models=["*"]), provider("two", models=["exact"]))
    assert labels(table.resolve("whatever")) == ["any/whatever"]
    assert labels(table.resolve("exact")) == ["two/exact"]
    assert "*" in [entry.id for entry in table.patterns()]


def test_a_model_map_renames_for_the_upstream() -> None:
    table = build({}, provider("one", models=["kimi"], model_map={"kimi": "kimi-k2-0905", "alias": "kimi-k2-0905"}))
    assert labels(table.resolve("kimi")) == labels(table.resolve("one/alias")) == ["one/kimi-k2-0905"]


def test_a_nested_weighted_route_shares_its_weight() -> None:
    """2 of 3 for the nested route, which gives 3 of 4 to its first target."""
    inner = {"targets": [{"model": "one/kimi", "weight": 3}, {"model": "one/gpt-4", "weight": 1}]}
    outer = {"targets": [{"model": "inner", "weight": 2}, {"model": "two/claude", "weight": 1}]}
    assert weights(build({"inner": inner, "outer": outer}).resolve("outer")) == {
        "one/kimi": 6,
        "one/gpt-4": 2,
        "two/claude": 4,
    }


def test_a_nested_route_keeps_its_strategy_under_priority() -> None:
    inner = {"strategy": "round-robin", "targets": ["one/kimi", "one/gpt-4"]}
    outer = {"strategy": "priority", "targets": ["inner", "two/claude", "two/gpt-4"]}
    stages = build({"inner": inner, "outer": outer}).resolve("outer").stages
    assert [(stage.strategy, len(stage.destinations)) for stage in stages] == [
        (Strategy.ROUND_ROBIN, 2),
        (Strategy.PRIORITY, 2),
    ]


def test_dangling_targets_are_reported_with_a_near_name() -> None:
    table = build({"a": {"targets": ["one/kimi", "kimmi"], "fallbacks": ["nothing-like-it"]}})
    first, second = table.dangling()
    assert (first.where, first.name) == (("models", "a", "targets", 1, "model"), "kimmi")
    assert "kimi" in first.why
    assert second.where == ("models", "a", "fallbacks", 0)


def test_a_route_trusts_itself_where_the_upstreams_list_is_not_known() -> None:
    table = build({"a": "far/unlisted"}, provider("far"))
    assert labels(table.resolve("a")) == ["far/unlisted"]
    assert table.dangling() == []


def test_an_unknown_name_is_answered_with_near_ones() -> None:
    with pytest.raises(NotFound, match="Did you mean 'claude'") as error:
        build().resolve("cloude")
    assert error.value.param == "model"


def test_a_disabled_provider_offers_nothing() -> None:
    table = build({}, provider("one", disabled=True), provider("two"))
    assert [entry.id for entry in table.public_models()] == ["gpt-4", "claude"]


@pytest.mark.parametrize("name", ["brand-new", "two/brand-new"])
def test_a_callers_own_key_reaches_one_provider_with_any_model(name: str) -> None:
    assert labels(build().direct("two", name)) == ["two/brand-new"]


OWN_KEY_ROUTES: dict[str, Any] = {
    "raced": {"strategy": "race", "targets": ["one/gpt-4", "two/gpt-4"], "fallbacks": ["one/kimi"]},
    "nested": {"strategy": "priority", "targets": ["raced", "one/kimi", "two/claude"]},
    "foreign": {"targets": ["one/kimi"], "fallbacks": ["two/claude"]},
    "star-*": {"targets": ["one/*", "two/*"]},
}


@pytest.mark.parametrize(
    ("name", "reached"),
    [
        ("gpt-4", ["two/gpt-4"]),
        ("raced", ["two/gpt-4"]),
        ("nested", ["two/gpt-4", "two/claude"]),
        ("foreign", ["two/foreign"]),
        ("star-claude", ["two/claude"]),
        ("one/kimi", ["two/one/kimi"]),
        ("kimi", ["two/kimi"]),
        ("first/kimi", ["two/first/kimi"]),
    ],
)
@pytest.mark.parametrize("mode", ["merge", "prefix"])
def test_no_route_leads_a_callers_own_key_elsewhere(name: str, reached: list[str], mode: str) -> None:
    accounts = [{"name": "a", "api_key": "k", "prefix": "first"}]
    table = build(OWN_KEY_ROUTES, provider("one", credentials=accounts), provider("two"), mode=mode)
    route = table.direct("two", name)
    assert labels(route) == reached
    assert (route.fallbacks, [stage.strategy for stage in route.stages]) == ((), [Strategy.PRIORITY])


def test_a_list_in_the_file_holds_for_callers_own_keys_too() -> None:
    table = build({}, provider("one"), provider("two", models=["claude"]))
    assert labels(table.direct("two", "claude")) == ["two/claude"]
    with pytest.raises(NotFound):
        table.direct("two", "kimi")


def test_callers_with_own_keys_are_shown_what_leads_to_their_provider() -> None:
    table = build(OWN_KEY_ROUTES)
    assert [entry.id for entry in table.models_of("two")] == ["raced", "nested", "gpt-4", "claude"]
    assert [entry.id for entry in build(mode="prefix").models_of("two")] == ["two/gpt-4", "two/claude"]


def test_routes_rule_over_providers_and_nested_routes_under_outer_ones() -> None:
    models = {
        "inner": {"targets": ["one/kimi"], "overrides": {"top_p": 0.1, "n": 1}, "defaults": {"stop": ["i"]}},
        "outer": {"targets": ["inner"], "overrides": {"top_p": 0.9}, "drop_params": ["seed"]},
    }
    table = build(models, provider("one", overrides={"temperature": 0.8, "n": 3}, defaults={"user": "u"}))
    (found,) = table.resolve("outer").destinations
    asked = {"model": "outer", "messages": [], "temperature": 1, "seed": 4, "user": None, "stop": ["mine"]}
    assert found.rules.apply(asked) == {
        "model": "outer",
        "messages": [],
        "temperature": 0.8,
        "top_p": 0.9,
        "n": 1,
        "user": "u",
        "stop": ["mine"],
    }


def test_patterns_that_lead_back_to_themselves_are_told_once_and_end_with_what_is_offered() -> None:
    table = build({"a-*": "b-1*", "b-*": ["a-2*", "one/kimi"], "own-*": "own-3*", "gpt-*": "one/*"})
    assert list(table.endless()) == [("a-*", "leads back to itself: a-* -> b-* -> a-*")]
    assert labels(table.resolve("a-x")) == ["one/kimi"]


def test_patterns_that_all_lead_to_each_other_are_refused_instead_of_followed() -> None:
    """Ten of them: 9! ways."""
    keys = [f"{name}-*" for name in "abcdefghij"]
    longer = [f"{name}-more-*" for name in "abcdefghij"]
    with pytest.raises(
        NotFound, match=r"'a-\*' is configured, but leads to more than 1000 targets by way of other routes"
    ):
        build(dict.fromkeys(keys, longer)).resolve("a-x")


def test_a_long_row_of_patterns_is_told_and_refused() -> None:
    """Thirty-two are followed; each has one more in front of it."""
    table = build({f"r{i}-*": f"r{i + 1}-x*" for i in range(32)} | {"r32-*": "one/kimi"})
    assert labels(table.resolve("r1-x")) == ["one/kimi"]
    how = "leads through more than 32 routes, one behind the other"
    assert list(table.endless()) == [("r0-*", f"The model 'r0-*' is configured, but {how}.")]
    with pytest.raises(NotFound, match=how):
        table.resolve("r0-x")
