"""Schemas for upstreams that enforce a part of JSON Schema."""

from contextlib import suppress
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import InvalidRequest
from worker.providers.schema_subset import Subset, fit

OPEN: Final = Subset(
    "Somebody", frozenset({"$defs", "$ref", "type", "properties", "required", "items", "anyOf", "enum"})
)
CLOSED: Final = Subset("Somebody", OPEN.keywords | {"format", "minItems"}, frozenset({"date"}), 1, closed=True)


def fitted(schema: dict[str, Any], subset: Subset = OPEN, *, strict: bool = False, drop: bool = False) -> Any:
    return fit(schema, subset, "s", strict=strict, drop=drop)


def test_what_means_the_same_is_said_in_the_upstreams_words() -> None:
    """oneOf, const, a lone allOf and draft-07 definitions have their equals."""
    schema = {
        "oneOf": [{"const": 3}, {"allOf": [{"type": "string"}]}, {"$ref": "#/definitions/a"}],
        "definitions": {"a": {"type": "null", "default": None}},
    }
    assert fitted(schema) == {
        "anyOf": [{"enum": [3]}, {"type": "string"}, {"$ref": "#/$defs/a"}],
        "$defs": {"a": {"type": "null"}},
    }


def test_a_limit_is_told_or_refused_where_it_was_promised() -> None:
    """A model is told what cannot be enforced; strict promises enforcement."""
    schema = {"type": "object", "properties": {"a": {"type": "string", "pattern": "^x", "maxLength": 3}}}
    told = fitted(schema)["properties"]["a"]
    assert told == {"type": "string", "description": '(pattern: "^x", maxLength: 3)'}
    with pytest.raises(InvalidRequest, match="pattern") as caught:
        fitted(schema, strict=True)
    assert caught.value.param == "s.properties.a.pattern"
    assert fitted(schema, strict=True, drop=True)["properties"]["a"] == told


def test_what_stands_beside_a_reference_is_kept() -> None:
    """Upstreams want a reference alone; its limits and words move around it."""
    assert fitted({"$ref": "#/$defs/a", "maxLength": 3}) == {
        "anyOf": [{"$ref": "#/$defs/a"}],
        "description": "(maxLength: 3)",
    }


@pytest.mark.parametrize(
    "schema",
    [
        {"anyOf": [{"type": "string"}], "oneOf": [{"type": "null"}]},
        {"properties": {"a": {}}, "allOf": [{"properties": {"b": {}}}]},
        {"allOf": [{"enum": [1]}], "const": 2},
        {"$ref": "#/$defs/a", "anyOf": [{"type": "string"}]},
    ],
)
def test_two_keywords_that_would_become_one_are_refused(schema: dict[str, Any]) -> None:
    """Taking one of them would loosen what the client asked for."""
    with pytest.raises(InvalidRequest, match="beside the other"):
        fitted(schema)


@pytest.mark.parametrize("keyword", ["not", "if", "patternProperties", "dependentSchemas", "contains", "unheardOf"])
def test_what_shapes_the_answer_is_refused(keyword: str) -> None:
    """The path leads to the keyword; with drop_params it is left out."""
    schema = {"type": "array", "items": {"type": "object", keyword: {}}}
    with pytest.raises(InvalidRequest) as caught:
        fitted(schema)
    assert caught.value.param == f"s.items.{keyword}"
    assert fitted(schema, drop=True) == {"type": "array", "items": {"type": "object"}}


def test_objects_are_closed_where_the_upstream_wants_it() -> None:
    """An answer that fits the closed object fits the open one; a free-form object has no closed equal."""
    schema = {"type": "object", "properties": {"a": {"type": "string", "format": "date"}, "b": {"format": "x"}}}
    assert fitted(schema, CLOSED) == {
        "type": "object",
        "properties": {"a": {"type": "string", "format": "date"}, "b": {"description": '(format: "x")'}},
        "additionalProperties": False,
    }
    assert fitted({"type": "object", "additionalProperties": False}, CLOSED)["additionalProperties"] is False
    for free in ({"type": "object"}, {"type": "object", "additionalProperties": {"type": "string"}}):
        with pytest.raises(InvalidRequest, match="every member"):
            fitted(free, CLOSED)
    lists = {"type": "array", "minItems": 1}, {"type": "array", "minItems": 2}
    assert [set(fitted(schema, CLOSED)) for schema in lists] == [{"type", "minItems"}, {"type", "description"}]


# The integers that a request's parser yields; beyond them it reads floats.
INTEGERS: Final = st.integers(-(2**63), 2**64 - 1)
JSON: Final = st.recursive(
    st.none() | st.booleans() | INTEGERS | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["type", "properties", "items", "anyOf", "allOf", "$ref", "$defs", "const", "minItems", "pattern"]
            ),
            inner,
            max_size=3,
        )
    ),
    max_leaves=12,
)


@given(schema=st.dictionaries(st.sampled_from(["properties", "items", "anyOf", "allOf", "const", "minItems"]), JSON))
def test_any_json_is_fitted_or_refused(schema: dict[str, Any]) -> None:
    """A schema is the caller's: a broken one is a 400 or passes on, never our failure."""
    for subset in (OPEN, CLOSED):
        for strict in (True, False):
            with suppress(InvalidRequest):
                fit(schema, subset, "s", strict=strict, drop=False)
            fit(schema, subset, "s", strict=strict, drop=True)
