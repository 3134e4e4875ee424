"""YAML with lines, plain types and variables."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.config.document import read_document


def test_every_key_and_item_knows_its_line() -> None:
    document = read_document("a:\n  b: 1\n  c:\n    - x\n    - y\n", {})
    assert document.data == {"a": {"b": 1, "c": ["x", "y"]}}
    assert [document.lines[place] for place in (("a",), ("a", "b"), ("a", "c"), ("a", "c", 1))] == [1, 2, 3, 5]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2023-05-15", "2023-05-15"),
        ("0123", "0123"),
        ("on", "on"),
        ("12:30", "12:30"),
        ("12e5", "12e5"),
        ("1_000", "1_000"),
        ("true", True),
        ("12", 12),
        ("1.5", 1.5),
        ("null", None),
        ("'12'", "12"),
    ],
)
def test_only_unmistakable_types_are_more_than_text(text: str, value: object) -> None:
    assert read_document(f"a: {text}", {}).data == {"a": value}


def test_variables_defaults_and_dollars() -> None:
    text = "a: ${ONE}-${TWO:-two}-${EMPTY:-full}-$$x-$y\nb: ${N}\nc: '${N}'\nd: ${ZEROS}\n"
    document = read_document(text, {"ONE": "1st", "EMPTY": "", "N": "8080", "ZEROS": "0012"})
    assert document.data == {"a": "1st-two-full-$x-$y", "b": 8080, "c": "8080", "d": "0012"}
    assert document.problems == []


def test_a_variable_cannot_change_the_files_structure() -> None:
    document = read_document("a: ${V}\n", {"V": "x\nb: 1 # {[*&"})
    assert document.data == {"a": "x\nb: 1 # {[*&"}


def test_a_missing_variable_names_line_and_key() -> None:
    (problem,) = read_document("a:\n  - b: x\n    c: ${NOPE}\n", {}).problems
    assert problem.told("f.yaml") == "f.yaml:3: a[0].c: needs the environment variable NOPE, which is not set"


def test_a_malformed_variable_is_told() -> None:
    (problem,) = read_document("a: ${not a name}", {}).problems
    assert "names no variable" in problem.message


def test_a_key_that_stands_twice_is_an_error_at_the_second() -> None:
    (problem,) = read_document("a: 1\nb:\n  c: 1\n  c: 2\n", {}).problems
    assert problem.told("f") == "f:4: b.c: stands here twice"


def test_anchors_and_merges_work_and_may_be_overridden() -> None:
    document = read_document("x: &x {a: 1, b: 2}\ny: {<<: *x, b: 3}\n", {})
    assert (document.data["y"], document.problems) == ({"a": 1, "b": 3}, [])


def test_an_anchor_that_contains_itself_is_an_error() -> None:
    assert [problem.message for problem in read_document("a: &a [*a]", {}).problems] == ["contains itself"]


@pytest.mark.parametrize("text", ["a: [1", "a: b: c", "\ta: 1", "a: !!python/object:os.system x", "--- 1\n--- 2", "\0"])
def test_what_is_no_yaml_is_a_problem_and_not_an_exception(text: str) -> None:
    assert read_document(text, {}).problems


@given(st.text(max_size=60))
def test_no_text_raises(text: str) -> None:
    read_document(text, {})
