import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.catalogue import (
    Catalogue,
    FrontPolicy,
    KeyPolicy,
    ModelEntry,
    PassthroughPolicy,
    QueuePolicy,
    key_digest,
    short_digest,
)

names = st.text(max_size=12)
policies = st.builds(
    KeyPolicy,
    digest=st.binary(max_size=32),
    name=names,
    models=st.lists(names, max_size=3).map(tuple),
    default_model=st.none() | names,
    queue_wait_s=st.none() | st.floats(0, 600),
    revoked=st.booleans(),
)
entries = st.builds(ModelEntry, id=names, created=st.integers(0, 2**31), owned_by=names, queue_wait_s=st.floats(0, 600))
passthroughs = st.builds(
    PassthroughPolicy,
    provider=names,
    models=st.lists(entries, max_size=3).map(tuple),
    queue_wait_s=st.floats(0, 600),
    typed_errors=st.booleans(),
)
catalogues = st.builds(
    Catalogue,
    generation=st.integers(0, 2**40),
    models=st.lists(entries, max_size=4).map(tuple),
    patterns=st.lists(st.builds(ModelEntry, names), max_size=3).map(tuple),
    keys=st.lists(policies, max_size=4).map(tuple),
    hmac_key=st.binary(max_size=32),
    sealing_key=st.binary(max_size=32),
    sealing_key_id=names,
    cors_origins=st.lists(names, max_size=2).map(tuple),
    queue=st.builds(QueuePolicy, max_depth=st.integers(0, 10**6), max_bytes=st.integers(0, 2**40)),
    front=st.builds(FrontPolicy, keep_alive_s=st.floats(0, 60), max_body_bytes=st.integers(0, 2**30)),
    passthrough=st.none() | passthroughs,
    auth_required=st.booleans(),
)


@given(catalogues)
def test_decode_gives_back_what_was_encoded(catalogue: Catalogue) -> None:
    assert Catalogue.decode(catalogue.encode()) == catalogue


def test_fields_of_a_later_version_are_left_out() -> None:
    version, values = msgpack.unpackb(Catalogue(3, models=(ModelEntry("a"),)).encode())
    values["new"] = 1
    values["models"][0]["newer"] = 2
    assert Catalogue.decode(msgpack.packb((version, values))) == Catalogue(3, models=(ModelEntry("a"),))


def test_another_format_is_refused() -> None:
    with pytest.raises(ValueError, match="format 99"):
        Catalogue.decode(msgpack.packb((99, {})))


def test_no_repr_shows_the_hmac_key() -> None:
    assert "canary" not in repr(Catalogue(1, hmac_key=b"canary"))


def test_a_key_is_found_by_its_keyed_hash_alone() -> None:
    policy = KeyPolicy(key_digest(b"pepper", "sk-1"), "team")
    catalogue = Catalogue(1, keys=(policy,), hmac_key=b"pepper")
    assert catalogue.find_key(key_digest(b"pepper", "sk-1")) is policy
    assert catalogue.find_key(key_digest(b"pepper", "sk-2")) is None
    assert catalogue.find_key(key_digest(b"salt", "sk-1")) is None


def test_a_short_digest_is_twelve_hex_digits() -> None:
    assert short_digest(bytes(range(32))) == "000102030405"


@pytest.mark.parametrize(
    ("patterns", "model", "allowed"),
    [
        (("*",), "anything/at-all", True),
        ((), "gpt-4o", False),
        (("gpt-*",), "gpt-4o", True),
        (("gpt-*",), "GPT-4o", False),
        (("gpt-*",), "claude", False),
        (("claude", "moonshot/*"), "moonshot/kimi-k2", True),
        (("gpt-[34]*",), "gpt-4o", True),
    ],
)
def test_a_key_may_use_what_one_of_its_patterns_matches(
    patterns: tuple[str, ...], model: str, *, allowed: bool
) -> None:
    assert Catalogue(1).allows(KeyPolicy(b"", "team", patterns), model) is allowed


def test_models_are_found_by_name_and_by_wildcard() -> None:
    catalogue = Catalogue(1, models=(ModelEntry("gpt-4o", created=5),), patterns=(ModelEntry("any/*"),))
    assert catalogue.find_model("gpt-4o") == ModelEntry("gpt-4o", created=5)
    assert catalogue.find_model("any/thing") == ModelEntry("any/thing")
    assert catalogue.find_model("gpt-4") is None


def test_a_plain_name_that_is_accepted_is_not_listed() -> None:
    catalogue = Catalogue(1, models=(ModelEntry("a/kimi"),), patterns=(ModelEntry("*i"), ModelEntry("kimi", created=3)))
    assert catalogue.find_model("kimi") == ModelEntry("kimi", created=3)
    assert [entry.id for entry in catalogue.visible_models(KeyPolicy(b"", ""))] == ["a/kimi"]


def test_near_names_are_only_those_that_the_key_may_use() -> None:
    catalogue = Catalogue(1, models=(ModelEntry("gpt-4o"), ModelEntry("gpt-4o-mini"), ModelEntry("Kimi-K2")))
    assert catalogue.near_models(KeyPolicy(b"", ""), "gpt4o") == ["gpt-4o", "gpt-4o-mini"]
    assert catalogue.near_models(KeyPolicy(b"", "", ("*mini",)), "gpt4o") == ["gpt-4o-mini"]
    assert catalogue.near_models(KeyPolicy(b"", ""), "kimi-k2") == ["Kimi-K2"]
    assert catalogue.near_models(KeyPolicy(b"", ""), "zzz") == []


@pytest.mark.parametrize(
    ("asked", "used"),
    [("exact", "first"), ("gpt-4-mini", "m/4"), ("gpt--mini", "m/"), ("gpt-mini", "rest/gpt-mini"), ("", "rest/")],
)
def test_a_keys_map_prefers_exact_names_and_fills_in_what_a_star_stood_for(asked: str, used: str) -> None:
    model_map = (("gpt-*-mini", "m/*"), ("*", "rest/*"), ("exact", "first"))
    assert KeyPolicy(b"", "k", model_map=model_map).mapped(asked) == used


def test_a_key_without_a_map_means_what_it_says() -> None:
    assert KeyPolicy(b"", "k").mapped("gpt-4") == "gpt-4"
