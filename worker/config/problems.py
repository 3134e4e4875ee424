"""Problems of a configuration as data: where they are, what is wrong, and the nearest name that would be right."""

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches

from pydantic import ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

Location = tuple[int | str, ...]
# Names for the same thing elsewhere, whose letters lead to another one here.
_ELSEWHERE = {"routes": "models", "aliases": "models", "api_base": "base_url", "endpoint": "base_url", "key": "api_key"}


@dataclass(frozen=True, slots=True)
class Problem:
    """`location` leads from the top of the file to the key: ("providers", 0, "base_url"). Messages hold no values."""

    location: Location
    message: str
    line: int | None = None

    def told(self, file: str) -> str:
        """`file:line: key: message`."""
        place = file if self.line is None else f"{file}:{self.line}"
        return ": ".join(part for part in (place, dotted(self.location), self.message) if part)


class ConfigError(Exception):
    """A configuration that cannot be used, with everything that is wrong with it at once."""

    def __init__(self, problems: Iterable[Problem], file: str) -> None:
        self.problems = tuple(problems)
        self.file = file
        super().__init__("\n".join(problem.told(file) for problem in self.problems))


def dotted(location: Location) -> str:
    """`providers[0].base_url`."""
    text = ""
    for step in location:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text


def unknown(name: object, valid: Iterable[str], what: str = "key") -> str:
    """Says that `name` is not known, and which valid one is nearest."""
    names = sorted(set(valid))
    near = [_ELSEWHERE.get(str(name), "")]
    if near[0] not in names:
        near = get_close_matches(str(name), names, n=1, cutoff=0.5)
    if near:
        return f"unknown {what} {str(name)!r}; did you mean {near[0]!r}?"
    return f"unknown {what} {str(name)!r}; valid are {', '.join(names)}" if names else f"unknown {what} {str(name)!r}"


def failure(problems: Iterable[tuple[Location, str]], title: str) -> ValidationError:
    """A pydantic error of our own making; one raised inside a validator joins the others at its place."""
    lines = [
        InitErrorDetails(type=PydanticCustomError("config", message), loc=location, input=None)
        for location, message in problems
    ]
    return ValidationError.from_exception_data(title, lines, hide_input=True)


def problems_of(error: ValidationError) -> list[tuple[Location, str]]:
    """Location and plain message of each error, none of which quotes a value."""
    return [(found["loc"], _plain(found["type"], found["msg"])) for found in error.errors(include_input=False)]


def _plain(kind: str, message: str) -> str:
    match kind:
        case "missing":
            return "is missing"
        case "config":
            return message
        case "model_type" | "dict_type" | "mapping_type":
            return "must have keys and values"
        case "list_type" | "tuple_type" | "frozen_set_type":
            return "must be a list"
        case "string_type":
            return "must be text; put it in quotes"
        case "value_error":
            return message.removeprefix("Value error, ")
        case _:
            return message[0].lower() + message[1:]
