"""What holds for every predecessor's file."""

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.worker.config.predecessors import ENVIRON, SAMPLES, TITLES, converted, imported, notes, text_of
from worker.config.importers import IMPORTERS, Source, needs_key, recognise
from worker.config.loading import parse
from worker.config.problems import ConfigError


@pytest.mark.parametrize("name", sorted(path.name for path in SAMPLES.iterdir()))
def test_every_sample_is_recognised_by_its_content_alone(name: str) -> None:
    claims = [importer.title for importer in IMPORTERS if importer.recognises(Source(text_of(name)))]
    assert claims == [TITLES[name]]


@pytest.mark.parametrize("name", sorted(TITLES))
def test_the_printed_file_means_the_same_as_the_imported_one(name: str) -> None:
    text, _ = converted(name)
    assert parse(text, ENVIRON, path=Path("p"), generation=1).config == imported(name).config


@pytest.mark.parametrize("name", sorted(TITLES))
def test_no_note_tells_a_secret(name: str) -> None:
    loaded = imported(name)
    secrets = {key.key.get_secret_value() for key in loaded.config.keys}
    for provider in loaded.config.providers:
        public = {field.name for field in provider.kind.credential_fields if not field.secret}
        for credential in provider.credentials:
            secrets |= {v.get_secret_value() for name, v in credential.values.items() if name not in public}
    words = set(re.findall(r"[^\s,;:'\"]+", notes(loaded)))
    assert not {secret for secret in secrets if len(secret) > 1} & words
    assert "canary" not in notes(loaded)


@pytest.mark.parametrize(
    ("name", "host", "port"),
    [
        ("openai-compatible-go.config.json", "0.0.0.0", 8080),
        ("openai-style-api.model-config.json", "0.0.0.0", 8090),
        ("go-oai-gateway.config.yaml", "127.0.0.1", 8080),
        ("gptomni-2api.env", "0.0.0.0", 8088),
        ("dashscope-gateway.env", "0.0.0.0", 8000),
        ("litellm.config.yaml", "0.0.0.0", 4000),
        ("one-api.channels.json", "0.0.0.0", 3000),
    ],
)
def test_host_and_port_are_kept(name: str, host: str, port: int) -> None:
    server = imported(name).config.server
    assert (server.host, server.port) == (host, port)


@pytest.mark.parametrize(
    ("name", "needed"),
    [
        ("openai-compatible-go.config.json", True),
        ("openai-style-api.model-config.json", False),
        ("go-oai-gateway.config.yaml", False),
        ("gptomni-2api.env", False),
        ("dashscope-gateway.env", False),
        ("litellm.config.yaml", False),
        ("one-api.channels.json", True),
    ],
)
def test_a_keyless_file_gets_a_key_and_says_so(name: str, needed: bool) -> None:  # noqa: FBT001  a table
    text, found = converted(name, lambda: "sk-penstock-made-for-this")
    assert needs_key(found) is needed
    assert ("sk-penstock-made-for-this" in text) is needed
    assert ("so one was made" in text) is needed


def test_what_is_broken_is_told() -> None:
    with pytest.raises(ConfigError, match="looks like a file of Go OAI Gateway, but"):
        parse("endpoints: [1]", {}, path=Path("f"), generation=1)


@pytest.mark.parametrize(
    "text",
    [
        '{"codegeex": [1]}',
        '{"codegeex": ["x"], "port": {}}',
        '[{"token": "a", "type": "openai", "config": [1]}]',
        "endpoints: [1]",
        "endpoints: [{name: a}]\nserver: 3",
        "model_list: [1]",
        "model_list: [{model_name: x, litellm_params: 3}]",
        '[{"type": 1, "models": "m", "key": "k", "weight": "heavy"}]',
    ],
)
def test_a_broken_predecessors_file_is_a_problem_and_not_a_crash(text: str) -> None:
    with pytest.raises(ConfigError):
        parse(text, {}, path=Path("f"), generation=1)


@pytest.mark.parametrize("text", ["", "providers: []", "{}", "[]", "a=b", '{"data": 3}', "[1, 2]"])
def test_what_is_nobodys_is_not_claimed(text: str) -> None:
    assert recognise(Source(text)) is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(
        ["token", "type", "config", "endpoints", "model_list", "codegeex", "data", "models", "name", "key"]
    ), inner, max_size=4),
    max_leaves=8,
)  # fmt: skip


@given(JSON)
def test_no_document_crashes_an_importer(data: Mapping[str, Any]) -> None:
    text = json.dumps(data)
    source = Source(text)
    if recognise(source) is not None:
        with suppress(ConfigError):
            parse(text, {}, path=Path("f"), generation=1)
