"""What becomes a part of an HTTP header can be sent in one: it is refused in the file, not with each request."""

from typing import Any

import pytest
from pydantic import ValidationError

from worker.config.schema import Config


def config(name: str = "a", key: str = "k", **more: Any) -> Config:
    credentials = [{"name": "x", "api_key": key, **more}]
    return Config.model_validate({"providers": [{"name": name, "type": "openai", "credentials": credentials}]})


@pytest.mark.parametrize("name", ["q\0", "a\x7f", "a\x1bb", "a\u2028"])
def test_a_name_holds_no_control_character(name: str) -> None:
    """A provider's name is in the header x-penstock-provider."""
    with pytest.raises(ValidationError, match="control character"):
        config(name=name)


def test_a_name_may_be_in_any_script() -> None:
    assert config(name="приём").providers[0].name == "приём"


@pytest.mark.parametrize("key", ["“quoted”", "ключ-secret", "line\nX-Other: 1", "nul\0"])
def test_a_secret_that_no_header_can_carry_is_refused_without_being_quoted(key: str) -> None:
    with pytest.raises(ValidationError, match="no HTTP header can carry") as refused:
        config(key=key)
    assert key not in str(refused.value)


def test_blanks_and_line_ends_around_a_secret_are_no_part_of_it() -> None:
    """A variable that was read from a file ends with one."""
    values = config(key=" sk-from-a-file\n").providers[0].credentials[0].values
    assert values["api_key"].get_secret_value() == "sk-from-a-file"
