"""Overrides and defaults of penstock.yaml are fields of a request and are checked as such."""

from pathlib import Path

import pytest

from worker.config.loading import load
from worker.config.problems import ConfigError

PROVIDER = "providers: [{name: e, type: echo, %s: {temperature: %s, enable_thinking: true}}]"


def write(folder: Path, text: str) -> Path:
    path = folder / "penstock.yaml"
    path.write_text(text)
    return path


@pytest.mark.parametrize("key", ["overrides", "defaults"])
def test_a_right_value_and_an_unknown_field_pass(tmp_path: Path, key: str) -> None:
    load(write(tmp_path, PROVIDER % (key, 0.8)), {})


@pytest.mark.parametrize("key", ["overrides", "defaults"])
def test_another_model_is_refused_with_what_to_write_instead(tmp_path: Path, key: str) -> None:
    """It would have no effect; nor would messages."""
    text = f"providers:\n  - name: e\n    type: echo\n    {key}:\n      model: m\n      messages: []\n"
    path = write(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        load(path, {})
    model, messages = (problem.told("f") for problem in caught.value.problems)
    assert model.startswith(f"f:5: providers[0].{key}.model: ")
    assert "`models: {name that clients ask for: provider/model of the upstream}`" in model
    assert messages == f"f:6: providers[0].{key}.messages: is the client's own"


@pytest.mark.parametrize("key", ["overrides", "defaults"])
@pytest.mark.parametrize(("value", "told"), [("3", "It must be at most 2."), ("hot", "expected a number")])
def test_a_wrong_value_is_a_problem_of_the_file(tmp_path: Path, key: str, value: str, told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(write(tmp_path, PROVIDER % (key, value)), {})
    (problem,) = caught.value.problems
    assert problem.location == ("providers", 0, key)
    assert "'temperature'" in problem.message
    assert told in problem.message


SECTIONS = {
    "providers[0]": "providers: [{name: e, type: echo, drop_params: %s}]",
    "models.m": "providers: [{name: e, type: echo}]\nmodels: {m: {targets: [e/x], drop_params: %s}}",
    "keys[0]": "providers: [{name: e, type: echo}]\nkeys: [{name: k, key: sk-0123456789abcdef, drop_params: %s}]",
}


@pytest.mark.parametrize("section", SECTIONS)
def test_what_is_never_dropped_is_refused_with_what_to_do(tmp_path: Path, section: str) -> None:
    """It would have no effect, and nobody would tell."""
    path = write(tmp_path, SECTIONS[section] % "[seed, model, stream, messages]")
    with pytest.raises(ConfigError) as caught:
        load(path, {})
    model, *others = (problem.told("f").partition(": ")[2] for problem in caught.value.problems)
    assert model.startswith(f"{section}.drop_params[1]: 'model' has no effect here; to ask for another model, ")
    assert others == [
        f"{section}.drop_params[{place}]: '{name}' is the client's own and never dropped: remove it"
        for place, name in ((2, "stream"), (3, "messages"))
    ]


@pytest.mark.parametrize("drops", ["true", "false", "[]", "[seed, a_field_of_tomorrow]"])
@pytest.mark.parametrize("section", SECTIONS)
def test_other_fields_are_dropped_by_name(tmp_path: Path, section: str, drops: str) -> None:
    load(write(tmp_path, SECTIONS[section] % drops), {})
