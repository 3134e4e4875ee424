"""From files and environments to a configuration, or to every problem at once."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from worker.config.loading import Loaded, find_config, load
from worker.config.problems import ConfigError
from worker.config.schema import Config, Strategy

KEY = "kf83-and-not-a-sample"


def loaded(folder: Path, text: str, environ: Mapping[str, str] | None = None) -> Loaded:
    path = folder / "penstock.yaml"
    path.write_text(text)
    return load(path, environ or {})


def problems(folder: Path, text: str, environ: Mapping[str, str] | None = None) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        loaded(folder, text, environ)
    return [problem.told("f") for problem in caught.value.problems]


FULL = """
server: {host: 127.0.0.1, port: 8081, cors_origins: ["*"]}
redis: {url: "redis://127.0.0.1:6379/0"}
providers:
  - name: moonshot
    type: openai-compatible
    base_url: https://api.moonshot.cn/v1/
    proxy: http://user:pass@localhost:7890
    models: [kimi-k2]
    overrides: {temperature: 0.8}
    timeouts: {connect_s: 5, first_token_s: 60, between_chunks_s: 60, total_s: 600}
    credentials:
      - {name: main, api_key: "${MOONSHOT_KEY}", weight: 2, limits: {rpm: 500, tpm: 200000, concurrency: 50}}
      - {name: spare, api_key: second}
  - name: claude-web
    type: claude-web
    accept_unofficial: true
    credentials: [{name: ann, cookie: c}]
models:
  gpt-4-turbo:
    strategy: weighted
    targets:
      - {model: moonshot/kimi-k2, weight: 10}
      - {model: claude-web/x, weight: 5}
    fallbacks: [claude-sonnet]
    overrides: {max_tokens: 4096}
    queue_wait_s: 30
  claude-sonnet: claude-web/claude-sonnet-4-6
routing: {mode: merge}
keys:
  - {name: team-a, key: kf83-and-not-a-sample, models: ["gpt-*"], default_model: gpt-4-turbo}
passthrough: {provider: moonshot}
"""


def test_a_full_file_is_understood(tmp_path: Path) -> None:
    config = loaded(tmp_path, FULL, {"MOONSHOT_KEY": "first"}).config
    moonshot = config.providers[0]
    assert moonshot.base_url == "https://api.moonshot.cn/v1"
    assert moonshot.credentials[0].values["api_key"].get_secret_value() == "first"
    assert moonshot.credentials[0].limits.rpm == 500
    assert config.models["gpt-4-turbo"].strategy is Strategy.WEIGHTED
    assert config.models["claude-sonnet"].targets[0].model == "claude-web/claude-sonnet-4-6"
    assert config.keys[0].models == ("gpt-*",)


def test_no_secret_is_in_a_repr(tmp_path: Path) -> None:
    shown = repr(loaded(tmp_path, FULL, {"MOONSHOT_KEY": "canary-1"}))
    assert not [secret for secret in ("canary-1", "second", KEY, "pass@") if secret in shown]


@pytest.mark.parametrize(("elsewhere", "here"), [("routes", "models"), ("route", "routing"), ("modles", "models")])
def test_a_name_from_elsewhere_leads_to_ours(tmp_path: Path, elsewhere: str, here: str) -> None:
    (problem,) = problems(tmp_path, f"{elsewhere}: {{}}\n")
    assert problem.endswith(f"unknown key '{elsewhere}'; did you mean '{here}'?")


def test_all_problems_are_told_at_once_with_line_key_and_near_name(tmp_path: Path) -> None:
    text = """server: {prot: 1}
providers:
  - name: a
    type: opnai
  - name: b
    type: openai
    base_ulr: x
    credentials:
      - {name: x, api_kye: canary, weight: -1}
      - {name: y, api_key: "${NOPE}"}
keys:
  - {name: k, key: "sk-..."}
  - {name: k}
"""
    assert problems(tmp_path, text) == [
        "f:1: server.prot: unknown key 'prot'; did you mean 'port'?",
        "f:4: providers[0].type: unknown provider type 'opnai'; did you mean 'openai'?",
        "f:7: providers[1].base_ulr: unknown key 'base_ulr'; did you mean 'base_url'?",
        "f:9: providers[1].credentials[0].api_kye: unknown key 'api_kye'; did you mean 'api_key'?",
        "f:9: providers[1].credentials[0]: needs api_key",
        "f:9: providers[1].credentials[0].weight: input should be greater than or equal to 0",
        "f:10: providers[1].credentials[1].api_key: needs the environment variable NOPE, which is not set",
        "f:12: keys[0].key: is a sample key that everybody knows; make one with `penstock keys`",
        "f:13: keys[1].key: is missing",
    ]


@pytest.mark.parametrize(
    "key",
    ["sk-...", "change-me", "change-me-master-key", "your-key", "your_api_key_here", "1", "<key>", "sk-xxxx", ""],
)
def test_sample_keys_are_refused(tmp_path: Path, key: str) -> None:
    assert len(problems(tmp_path, f"keys: [{{name: a, key: {key!r}}}]")) == 1


@pytest.mark.parametrize(
    "proxy", ["socks5://u:hunter2@h:1080", "ftp://h", "h:7890", "http://", "http://[x", "http://h:x"]
)
def test_a_proxy_that_cannot_be_used_is_refused_without_showing_it(tmp_path: Path, proxy: str) -> None:
    (told,) = problems(tmp_path, f"providers: [{{name: a, type: openai, proxy: {proxy!r}}}]")
    assert "must be http://" in told
    assert ("SOCKS" in told) == proxy.startswith("socks")
    assert "hunter2" not in told


def test_an_unofficial_provider_asks_for_consent(tmp_path: Path) -> None:
    text = "providers: [{name: c, type: claude-web, credentials: [{cookie: c}]}]"
    (told,) = problems(tmp_path, text)
    assert "accept_unofficial: true" in told
    assert "against the service's terms" in told


def test_options_belong_to_the_type(tmp_path: Path) -> None:
    text = "providers: [{name: c, type: claude-web, accept_unofficial: true, %s, credentials: [{cookie: c}]}]"
    provider = loaded(tmp_path, text % "single_conversation: true").config.providers[0]
    assert provider.options.model_dump()["single_conversation"] is True
    (told,) = problems(tmp_path, text % "conversation_id: c-1")
    assert told.startswith("f:1: providers[0].conversation_id: ")
    (told,) = problems(tmp_path, text % "single_conversation: perhaps")
    assert told.startswith("f:1: providers[0].single_conversation: ")


def test_an_address_is_needed_where_the_type_has_none(tmp_path: Path) -> None:
    assert problems(tmp_path, "providers: [{name: a, type: openai-compatible}]") == [
        "f:1: providers[0].base_url: is missing: type openai-compatible has no address of its own"
    ]


def test_an_address_holds_no_password(tmp_path: Path) -> None:
    (told,) = problems(tmp_path, "providers: [{name: a, type: openai-compatible, base_url: 'https://u:canary@h/v1'}]")
    assert "must not hold a user or password" in told
    assert "canary" not in told


def test_an_account_is_needed_unless_callers_bring_theirs(tmp_path: Path) -> None:
    text = "providers: [{name: a, type: openai}]\n"
    assert problems(tmp_path, text) == ["f:1: providers[0].credentials: needs at least one, with api_key"]
    assert loaded(tmp_path, text + "passthrough: {provider: a}").config.passthrough is not None


def test_names_must_tell_things_apart(tmp_path: Path) -> None:
    text = """
providers:
  - {name: a, type: openai, credentials: [{name: x, api_key: k, prefix: p}, {name: x, api_key: k}]}
  - {name: a, type: openai, credentials: [{api_key: k, prefix: p}]}
keys: [{name: k, key: kf83-and-not-a-sample}, {name: l, key: kf83-and-not-a-sample}]
"""
    assert problems(tmp_path, text) == [
        "f:3: providers[0].credentials[1].name: 'x' is the name of two credentials",
        "f:4: providers[1].name: 'a' is the name of two providers",
        "f:4: providers[1].credentials[0].prefix: 'p' already stands before other models",
        "f:5: keys[1].key: is the same secret as that of 'k'",
    ]


def test_a_circle_of_routes_is_told_with_its_way(tmp_path: Path) -> None:
    text = "models:\n  a: b\n  b: [c, x/y]\n  c: {targets: [a]}\n  d: a\n"
    assert problems(tmp_path, text) == ["f:2: models.a: leads back to itself: a -> b -> c -> a"]


def test_a_target_that_leads_nowhere_is_a_warning_with_the_near_name(tmp_path: Path) -> None:
    text = "providers: [{name: echo, type: echo}]\nmodels: {a: ehco/echo, b: echo/echo}\n"
    (told,) = [warning for warning in loaded(tmp_path, text).warnings if "leads to" in warning]
    assert told.startswith("models.a.targets[0].model: leads to 'ehco/echo': nothing offers it; did you mean echo/echo")


def test_a_route_of_a_models_own_name_is_no_circle(tmp_path: Path) -> None:
    text = "providers: [{name: echo, type: echo}]\nmodels: {echo: {targets: [echo], overrides: {max_tokens: 1}}}\n"
    assert not [warning for warning in loaded(tmp_path, text).warnings if "leads to" in warning]


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "10.0.0.1", "gateway.example"])
def test_an_open_gateway_listens_on_loopback_only(tmp_path: Path, host: str) -> None:
    (told,) = problems(tmp_path, f"server: {{auth: none, host: {host!r}}}")
    assert "loopback" in told


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
def test_an_open_gateway_on_loopback_is_allowed(tmp_path: Path, host: str) -> None:
    assert loaded(tmp_path, f"server: {{auth: none, host: {host!r}}}").config.server.host == host


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"", "is empty"),
        (b"\xff\xfea", "is not UTF-8"),
        (b"a: [", "is no valid YAML"),
        (b"- a", "must have keys and values"),
    ],
)
def test_a_file_that_is_no_configuration(tmp_path: Path, data: bytes, told: str) -> None:
    path = tmp_path / "penstock.yaml"
    path.write_bytes(data)
    with pytest.raises(ConfigError, match=told):
        load(path, {})


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: No such file or directory"):
        load(tmp_path / "nope.yaml", {})


def test_the_generation_is_the_files_time(tmp_path: Path) -> None:
    found = loaded(tmp_path, "server: {}")
    assert found.generation == (tmp_path / "penstock.yaml").stat().st_mtime_ns


def test_the_order_of_files(tmp_path: Path) -> None:
    assert find_config(None, {}, tmp_path) is None
    (tmp_path / "penstock.yaml").touch()
    assert find_config(None, {}, tmp_path) == tmp_path / "penstock.yaml"
    assert find_config(None, {"PENSTOCK_CONFIG": "/x"}, tmp_path) == Path("/x")
    assert find_config(Path("/y"), {"PENSTOCK_CONFIG": "/x"}, tmp_path) == Path("/y")


def test_without_a_file_echo_and_the_providers_of_the_environment() -> None:
    found = load(None, {"OPENAI_API_KEY": "k1", "MOONSHOT_API_KEY": "k2", "DEEPSEEK_API_KEY": ""})
    assert sorted(provider.name for provider in found.config.providers) == ["echo", "moonshot", "openai"]
    assert found.path is None


@pytest.mark.parametrize("type_name", ["echo", "dangbei"])
def test_callers_keys_need_a_type_of_which_one_key_is_a_credential(type_name: str) -> None:
    with pytest.raises(ConfigError, match="one bearer key is no whole credential"):
        load(None, {}, passthrough=type_name)


def test_callers_keys_without_a_file() -> None:
    config = load(None, {"MOONSHOT_BASE_URL": "http://localhost:1/v1"}, passthrough="moonshot").config
    assert config.passthrough is not None
    assert [(p.name, p.base_url) for p in config.providers] == [("moonshot", "http://localhost:1/v1")]
    with pytest.raises(ConfigError, match="did you mean 'moonshot'"):
        load(None, {"PENSTOCK_PASSTHROUGH": "moonshto"})


def test_keys_of_the_environment_stand_beside_those_of_the_file(tmp_path: Path) -> None:
    environ = {"PENSTOCK_KEYS": "first-key-of-two, second-key-of-two", "PENSTOCK_MASTER_KEY": "the-master-key"}
    config = loaded(tmp_path, f"keys: [{{name: a, key: {KEY}}}]", environ).config
    assert [key.key.get_secret_value() for key in config.keys] == [KEY, "first-key-of-two", "second-key-of-two"]
    assert config.admin.key is not None
    assert config.admin.key.get_secret_value() == "the-master-key"


def test_a_sample_key_of_the_environment_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"keys\[0\]\.key: is a sample key"):
        load(None, {"PENSTOCK_KEYS": "change-me"})


def test_the_defaults_are_a_valid_configuration() -> None:
    assert Config().queue.max_depth == 10_000


def test_a_section_with_nothing_in_it_says_nothing(tmp_path: Path) -> None:
    config = loaded(tmp_path, "server:\nproviders:\n  - {name: echo, type: echo, models: }\nmodels:\nkeys:\n").config
    assert config == loaded(tmp_path, "providers: [{name: echo, type: echo}]").config


def test_mistaken_shapes_are_told_in_plain_words(tmp_path: Path) -> None:
    text = """server: [1]
providers: {a: 1}
keys:
  - {name: "a b", key: 12345678901234567}
  - {name: b, key: kf83-and-not-a-sample, models: gpt, default_model: " x"}
routing: {strategy: weigted, retries: {fallback: [rate_limit]}}
no-such-section:
"""
    told = problems(tmp_path, text)
    assert told[:6] == [
        "f:1: server: must have keys and values",
        "f:2: providers: must be a list",
        "f:4: keys[0].name: may hold no blank, slash, star, comma or control character",
        "f:4: keys[0].key: must be text; put it in quotes",
        "f:5: keys[1].models: must be a list",
        "f:5: keys[1].default_model: may not begin or end with a blank, nor hold a control character",
    ]
    assert told[6].startswith("f:6: routing.strategy: input should be 'weighted', 'round-robin'")
    assert told[7].startswith("f:6: routing.retries.fallback[0]: input should be 'credential_rejected'")
    assert told[8].startswith("f:7: no-such-section: unknown key 'no-such-section'")
