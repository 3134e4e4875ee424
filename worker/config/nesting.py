"""Routes that lead to routes: circles, and more of them than a request could be led through. By exact names: where
patterns lead depends on what is asked for, so RouteTable bounds these. Pure.
"""

from collections.abc import Iterator, Mapping
from typing import Final

from worker.config.problems import Location
from worker.config.route import RouteConfig

DEEPEST: Final = 32
MOST_TARGETS: Final = 1000
_Ways = Mapping[str, list[str]]


def nesting(models: Mapping[str, RouteConfig]) -> Iterator[tuple[Location, str]]:
    """What is wrong with it: the first circle of each group of routes, else routes that are too deep or too wide."""
    ways = {name: [one.model for one in route.targets if one.model != name] for name, route in models.items()}
    problems = [*_circles(ways)] or [*_excesses(ways)]
    for name, told in problems:
        yield ("models", name), told


def _circles(ways: _Ways) -> Iterator[tuple[str, str]]:
    done: set[str] = set()
    for start in ways:
        circle = _circle(ways, start, done)
        if circle:
            yield start, f"leads back to itself: {' -> '.join(circle)}"


def _circle(ways: _Ways, start: str, done: set[str]) -> list[str]:
    """The first way back that is met from `start`; what was seen is `done`. By a stack of our own: it may be deep."""
    path: list[str] = []
    ahead = [iter([start])]
    while ahead:
        name = next(ahead[-1], None)
        if name is None:
            ahead.pop()
            if path:
                done.add(path.pop())
        elif name in path:
            done.update(path)
            return [*path[path.index(name) :], name]
        elif name in ways and name not in done:
            path.append(name)
            ahead.append(iter(ways[name]))
    return []


def _excesses(ways: _Ways) -> Iterator[tuple[str, str]]:
    """Routes are as deep and wide as what they lead to makes them; the innermost that is too much is told."""
    sizes: dict[str, tuple[int, int]] = {}
    for _ in range(DEEPEST):
        known = [name for name in ways if name not in sizes and all(t in sizes or t not in ways for t in ways[name])]
        for name in known:
            inner = [sizes.get(target, (0, 1)) for target in ways[name]] or [(0, 1)]
            sizes[name] = 1 + max(depth for depth, _ in inner), sum(width for _, width in inner)
    for name in ways:
        if name not in sizes:
            yield name, f"leads through more than {DEEPEST} routes, one behind the other"
        elif sizes[name][1] > MOST_TARGETS:
            yield (
                name,
                f"leads to {sizes[name][1]} targets by way of other routes; at most {MOST_TARGETS} are possible",
            )
