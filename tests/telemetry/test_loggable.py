"""The allow-list itself, and that every log call in the code keeps to it."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.loggable import FIELDS, WITHHELD, endpoint, number, text, word
from shared.telemetry import LEVELS

ROOT = Path(__file__).parents[2]
METHODS = {*LEVELS, "exception"}


def log_calls() -> Iterator[tuple[str, ast.Call]]:
    for folder in ("api", "worker", "shared", "deploy"):
        for source in sorted((ROOT / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(source.read_bytes())):
                if _is_log_call(node):
                    assert isinstance(node, ast.Call)
                    yield f"{source.relative_to(ROOT)}:{node.lineno}", node


def _is_log_call(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in METHODS
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id in {"log", "_log"}
    )


CALLS = list(log_calls())


def test_there_are_log_calls_to_check() -> None:
    assert len(CALLS) > 5


@pytest.mark.parametrize(("place", "call"), CALLS, ids=[place for place, _ in CALLS])
def test_log_calls_have_a_constant_event_and_loggable_fields(place: str, call: ast.Call) -> None:
    """An f-string for an event could quote anything; an unknown field would be withheld when it is needed."""
    assert len(call.args) == 1, f"{place}: one positional argument, the event"
    assert isinstance(call.args[0], ast.Constant), f"{place}: the event must be a literal"
    unknown = {keyword.arg for keyword in call.keywords} - FIELDS.keys() - {"exc_info"}
    assert not unknown, f"{place}: not in shared/loggable.py: {unknown}"


def test_no_two_fields_share_a_name_in_the_log() -> None:
    names = [field.name for field in FIELDS.values()]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("/v1/chat/completions", "/v1/chat/completions"),
        ("/v1/models/gpt-4o", "/v1/models/*"),
        ("/v1/models/sk-Abc123?key=sk-9", "/v1/models/*"),
        ("/bot123:AAE/x y", "/*/*"),
        ("/", "/"),
        ("//", "//"),
        ("", ""),
    ],
)
def test_a_path_keeps_only_what_looks_like_an_endpoint(path: str, shown: str) -> None:
    assert endpoint(path) == shown


@given(st.text())
def test_no_path_segment_with_a_digit_a_capital_or_a_blank_is_shown(path: str) -> None:
    for segment in endpoint(path).split("/"):
        assert segment == "*" or segment.lower().replace(" ", "") == segment


@given(st.text(max_size=1100))
def test_text_has_no_control_character_and_is_cut(value: str) -> None:
    shown = str(text(value))
    assert shown.isprintable() or not any(character < " " for character in shown)
    assert len(shown) <= 1000


@given(st.text(min_size=1))
def test_a_word_is_shown_whole_or_not_at_all(value: str) -> None:
    assert word(value) in {value, WITHHELD}
    assert word(f"{value} {value}") == WITHHELD


@pytest.mark.parametrize(("value", "shown"), [(0.1234567, 0.123457), (3, 3), (True, True), ("3", WITHHELD)])
def test_a_number_is_rounded_and_nothing_else_passes(value: object, shown: object) -> None:
    assert number(value) == shown
