"""How what the targets of a route lead to becomes that route's own stages."""

import math
from collections.abc import Sequence
from dataclasses import replace

from worker.config.route import Strategy
from worker.routing.fields import FieldRules
from worker.routing.route import Destination, Stage


def weigh(groups: Sequence[tuple[int, Sequence[Stage]]]) -> tuple[Destination, ...]:
    """The destinations of targets with these weights; what a target leads to shares its weight, in whole numbers."""
    shared = [(weight, _shares(stages)) for weight, stages in groups]
    sums = [sum(share for _, share in shares) or 1 for _, shares in shared]
    common = math.lcm(*sums)
    return tuple(
        replace(destination, weight=weight * share * common // total)
        for (weight, shares), total in zip(shared, sums, strict=True)
        for destination, share in shares
    )


def _shares(stages: Sequence[Stage]) -> list[tuple[Destination, int]]:
    """Of a nested route's destinations, by its own strategy; where it has an order, the first takes all."""
    found = [destination for stage in stages for destination in stage.destinations]
    if len(found) == 1:
        return [(found[0], 1)]
    match stages[0].strategy:
        case Strategy.WEIGHTED:
            return [(one, one.weight) for one in found]
        case Strategy.PRIORITY | Strategy.RACE:
            return [(one, int(i == 0)) for i, one in enumerate(found)]
        case _:
            return [(one, int(one.weight > 0)) for one in found]


def joined(key: str, stages: Sequence[Stage]) -> list[Stage]:
    """Neighbours without a choice of their own become one stage that keeps their order."""
    stretches: list[Stage] = []
    for stage in stages:
        ordered = len(stage.destinations) == 1 or stage.strategy is Strategy.PRIORITY
        if ordered and stretches and stretches[-1].strategy is Strategy.PRIORITY:
            stretches[-1] = replace(stretches[-1], destinations=(*stretches[-1].destinations, *stage.destinations))
        elif stage.destinations:
            stretches.append(replace(stage, name=key, strategy=Strategy.PRIORITY) if ordered else stage)
    return stretches


def ruled(stage: Stage, rules: FieldRules) -> Stage:
    """Under the rules of the route that led to it as well."""
    destinations = (replace(one, rules=one.rules.under(rules)) for one in stage.destinations)
    return replace(stage, destinations=tuple(destinations))
