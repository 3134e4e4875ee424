"""Routes that lead to routes: what cannot be followed to an end, or not in a reasonable time, is refused."""

from worker.config.nesting import nesting
from worker.config.route import RouteConfig


def told(ways: dict[str, list[str]]) -> list[tuple[str, str]]:
    models = {name: RouteConfig.model_validate({"targets": targets}) for name, targets in ways.items()}
    return [(str(where[1]), problem) for where, problem in nesting(models)]


def chain(length: int, width: int = 1) -> dict[str, list[str]]:
    return {f"r{i}": [f"r{i + 1}"] * width for i in range(length)}


def test_a_circle_is_told_once_with_its_way() -> None:
    assert told({"d": ["a"], "a": ["x", "b"], "b": ["c"], "c": ["a"]}) == [
        ("d", "leads back to itself: a -> b -> c -> a")
    ]


def test_two_circles_are_told_both() -> None:
    found = told({"a": ["b"], "b": ["a"], "c": ["d"], "d": ["c"]})
    assert [name for name, _ in found] == ["a", "c"]


def test_two_ways_to_one_route_are_no_circle() -> None:
    assert told({"a": ["b", "c"], "b": ["d"], "c": ["d"], "d": ["x", "d"]}) == []


def test_depth_is_bounded() -> None:
    assert told(chain(32)) == []
    assert told(chain(33)) == [("r0", "leads through more than 32 routes, one behind the other")]


def test_a_circle_of_thousands_of_routes_is_found_as_well() -> None:
    (circle,) = told(chain(3000) | {"r2999": ["r0"]})
    assert circle[1].startswith("leads back to itself: r0 -> r1 -> ")


def test_what_doubles_with_each_route_is_refused_before_it_is_followed() -> None:
    assert told(chain(9, width=2)) == []
    found = told(chain(32, width=2))
    assert found[-1] == ("r22", "leads to 1024 targets by way of other routes; at most 1000 are possible")
