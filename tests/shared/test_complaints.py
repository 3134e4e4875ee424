from typing import Annotated, Any

import pytest
from pydantic import Field, TypeAdapter, ValidationError

from shared.complaints import complain, name_type


def test_a_finding_that_it_has_no_words_for_is_told_with_its_place() -> None:
    body = {"a": ["x", "canary"]}
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(dict[str, list[Annotated[str, Field(max_length=1)]]]).validate_python(body)
    error = complain(caught.value, body)
    assert (error.param, error.code) == ("a[1]", "invalid_value")
    assert "canary" not in error.message


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (None, "null"),
        (True, "a boolean"),
        (1, "an integer"),
        (1.5, "a decimal number"),
        ("", "a string"),
        ([], "an array"),
        ({}, "an object"),
    ],
)
def test_each_json_type_has_a_name(value: Any, name: str) -> None:
    assert name_type(value) == name
