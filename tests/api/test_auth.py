import pytest
from pydantic import ValidationError

from api.auth import authenticate
from shared.catalogue import Catalogue, PassthroughPolicy, key_digest, short_digest
from shared.errors import Unauthenticated, Unavailable
from tests.api.app import CATALOGUE, KEY, PEPPER, REVOKED_KEY, change
from worker.config.key import KeyConfig


def bearer(key: str) -> dict[bytes, bytes]:
    return {b"authorization": b"Bearer " + key.encode()}


def test_a_known_key_is_its_policy() -> None:
    caller = authenticate(bearer(KEY), CATALOGUE)
    assert caller.policy.name == "all"
    assert caller.short_digest == short_digest(key_digest(PEPPER, KEY))


@pytest.mark.parametrize("header", [b"bearer " + KEY.encode(), b"BEARER   " + KEY.encode() + b" "])
def test_scheme_and_blanks_do_not_matter(header: bytes) -> None:
    assert authenticate({b"authorization": header}, CATALOGUE).policy.name == "all"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {b"authorization": b""},
        {b"authorization": b"Bearer"},
        {b"authorization": b"Bearer  "},
        {b"authorization": KEY.encode()},
        {b"authorization": b"Basic " + KEY.encode()},
    ],
)
def test_a_missing_or_malformed_key_gets_openais_401(headers: dict[bytes, bytes]) -> None:
    with pytest.raises(Unauthenticated) as caught:
        authenticate(headers, CATALOGUE)
    error = caught.value.body()["error"]
    assert error["message"].startswith("You didn't provide an API key. You need to provide your API key in an ")
    assert (error["type"], error["param"], error["code"]) == ("invalid_request_error", None, None)


@pytest.mark.parametrize("key", ["sk-wrong", KEY + "x", KEY[:-1], REVOKED_KEY, "\xff\xfe", "sk-ключ"])
def test_a_wrong_key_gets_openais_401_and_is_not_repeated(key: str) -> None:
    with pytest.raises(Unauthenticated) as caught:
        authenticate(bearer(key), CATALOGUE)
    error = caught.value.body()["error"]
    assert error["message"].startswith("Incorrect API key provided. ")
    assert (error["type"], error["param"], error["code"]) == ("invalid_request_error", None, "invalid_api_key")
    assert key not in error["message"]


def test_bytes_that_are_no_text_are_only_a_wrong_key() -> None:
    with pytest.raises(Unauthenticated):
        authenticate({b"authorization": b"Bearer \xff\xfe\x80"}, CATALOGUE)


def test_without_a_catalogue_it_is_our_failure() -> None:
    with pytest.raises(Unavailable) as caught:
        authenticate(bearer(KEY), None)
    assert caught.value.retry_after_s is not None


@pytest.mark.parametrize("headers", [{}, bearer("sk-anything")])
def test_with_auth_none_anybody_may_call(headers: dict[bytes, bytes]) -> None:
    assert authenticate(headers, change(auth_required=False)).policy.models == ("*",)


def test_with_auth_none_a_known_key_keeps_its_policy_and_a_revoked_one_stays_out() -> None:
    open_to_all = change(auth_required=False)
    assert authenticate(bearer(KEY), open_to_all).policy.name == "all"
    with pytest.raises(Unauthenticated):
        authenticate(bearer(REVOKED_KEY), open_to_all)


OPENAI_TYPES = change(passthrough=PassthroughPolicy("moonshot"))
OWN_TYPES = change(passthrough=PassthroughPolicy("dashscope", typed_errors=True))


def test_with_passthrough_an_unknown_key_is_the_callers_own() -> None:
    caller = authenticate(bearer("sk-of-the-caller"), OPENAI_TYPES)
    assert caller.own_key == "sk-of-the-caller"
    assert caller.policy.digest == key_digest(PEPPER, "sk-of-the-caller")
    assert "sk-of-the-caller" not in repr(caller)


@pytest.mark.parametrize(
    "key",
    [REVOKED_KEY, "sk-penstock-mistyped", "sk-short1", "sk-ключ-ключ", "sk-\xff\xfe-0123456789", "sk-\x7f0123456789"],
)
@pytest.mark.parametrize("catalogue", [OPENAI_TYPES, OWN_TYPES], ids=["OpenAI's types", "own types"])
def test_passthrough_refuses_keys_of_ours_and_what_can_be_nobodys(key: str, catalogue: Catalogue) -> None:
    with pytest.raises(Unauthenticated) as caught:
        authenticate(bearer(key), catalogue)
    assert caught.value.code == "invalid_api_key"
    assert key not in caught.value.message


def test_passthrough_takes_no_known_key_for_an_own_one() -> None:
    assert authenticate(bearer(KEY), OPENAI_TYPES).own_key is None


def test_no_key_of_a_configuration_can_have_the_name_of_own_ones() -> None:
    name = authenticate(bearer("sk-of-the-caller"), OPENAI_TYPES).policy.name
    with pytest.raises(ValidationError):
        KeyConfig.model_validate({"name": name, "key": "sk-0123456789abcdef"})


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({}, "missing_authorization"),
        ({b"authorization": b""}, "missing_authorization"),
        ({b"authorization": b"Basic eDp5"}, "invalid_authorization_format"),
        ({b"authorization": b"sk-of-the-caller"}, "invalid_authorization_format"),
        (bearer("sk-short1"), "invalid_api_key"),
        (bearer("sk-penstock-mistyped"), "invalid_api_key"),
    ],
)
def test_a_providers_own_types_of_errors_say_what_is_wrong_with_the_key(headers: dict[bytes, bytes], code: str) -> None:
    with pytest.raises(Unauthenticated) as caught:
        authenticate(headers, OWN_TYPES)
    assert (caught.value.status, caught.value.type, caught.value.code) == (401, "authentication_error", code)
