"""Numbers and names of routing, for anything that could be configured."""

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from worker.config.provider import ProviderConfig
from worker.config.route import Strategy
from worker.routing.fields import FieldRules
from worker.routing.patterns import STAR, fill, match
from worker.routing.route import Destination, Stage
from worker.routing.stages import weigh

PROVIDER = ProviderConfig.model_construct(name="p", type="echo")
weights = st.integers(0, 1000)
groups = st.lists(st.tuples(weights, st.lists(weights, min_size=1, max_size=5)), min_size=1, max_size=5)
names = st.text(st.characters(exclude_characters=STAR), max_size=8)
json = st.dictionaries(st.sampled_from(["a", "b", "c"]), st.none() | st.integers(), max_size=3)


@given(groups)
def test_nested_weights_multiply_exactly(asked: list[tuple[int, list[int]]]) -> None:
    """Each destination's share is its target's share times its share of the target."""
    stages = [
        (weight, [Stage("s", Strategy.WEIGHTED, tuple(Destination(PROVIDER, f"{i}", one) for one in inner))])
        for i, (weight, inner) in enumerate(asked)
    ]
    found = iter(weigh(stages))
    common = None
    for weight, inner in asked:
        shares = inner if len(inner) > 1 else [1]
        for share in shares:
            expected = Fraction(weight * share, sum(shares) or 1)
            got = next(found).weight
            if expected:
                common = common or Fraction(got) / expected
                assert Fraction(got) / expected == common
            else:
                assert got == 0


@given(names, names, names)
def test_a_pattern_matches_what_it_is_filled_with(before: str, text: str, after: str) -> None:
    pattern = f"{before}{STAR}{after}"
    assert match(pattern, fill(pattern, text)) == text


@given(names, names)
def test_a_name_without_a_star_matches_itself_only(pattern: str, name: str) -> None:
    assert (match(pattern, name) is not None) == (pattern == name)


@given(json, json, json, st.frozensets(st.sampled_from(["a", "b"])))
def test_overrides_win_defaults_fill_and_drops_remove(
    body: dict[str, int | None],
    overrides: dict[str, int | None],
    defaults: dict[str, int | None],
    dropped: frozenset[str],
) -> None:
    shaped = FieldRules(overrides, defaults, dropped).apply(body)
    assert not dropped & shaped.keys()
    for name in {"a", "b", "c"} - dropped:
        wanted = overrides[name] if name in overrides else body.get(name)
        assert shaped.get(name) == (defaults.get(name) if wanted is None else wanted)
