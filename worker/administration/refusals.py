"""What is said of a change that cannot be made."""

from typing import Any

from shared.errors import GatewayError, InvalidRequest, NotFound
from worker.config.overlay import Data
from worker.config.problems import ConfigError, Location, dotted, unknown


def refusal(error: ConfigError, data: Data) -> InvalidRequest:
    """Every problem of the configuration `data` that the change would make; objects by name instead of number."""
    places = [_placed(problem.location, data) for problem in error.problems]
    told = [": ".join(filter(None, (place, p.message))) for place, p in zip(places, error.problems, strict=True)]
    return InvalidRequest(
        f"Nothing was changed, because the configuration would be wrong: {'; '.join(told)}",
        code="invalid_configuration",
        param=places[0] or None,
    )


def not_there(noun: str, name: str, names: list[str]) -> NotFound:
    told = unknown(name[:200], names, noun)
    return NotFound(f"U{told[1:]}{'' if told.endswith('?') else '.'}", code=f"{noun}_not_found", param="name")


def taken(noun: str, name: str) -> GatewayError:
    return _conflict(
        f"There is a {noun} {name!r} already. PUT replaces it, PATCH changes parts of it.", "already_exists"
    )


def of_the_environment(name: str) -> GatewayError:
    return _conflict(
        f"The key {name!r} comes from the variable PENSTOCK_KEYS of the workers. Change it there.", "set_by_environment"
    )


def resting_for_good(name: str) -> GatewayError:
    return _conflict(f"The account {name!r} is disabled by the configuration. Enable it instead.", "disabled")


def _conflict(message: str, code: str) -> GatewayError:
    return GatewayError(message, status=409, type="invalid_request_error", code=code)


def _placed(location: Location, data: Any) -> str:
    """`providers[moonshot].base_url`."""
    steps: list[int | str] = []
    for step in location:
        data = _below(data, step)
        named = isinstance(step, int) and isinstance(data, dict) and data.get("name")
        if named and steps:
            steps[-1] = f"{steps[-1]}[{named}]"
        else:
            steps.append(step)
    return dotted(tuple(steps))


def _below(data: Any, step: int | str) -> Any:
    try:
        return data[step]
    except (KeyError, IndexError, TypeError):
        return None
