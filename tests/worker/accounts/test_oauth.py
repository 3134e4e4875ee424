"""Signing in and renewing tokens, without a network."""

import json
from collections.abc import Generator
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.accounts.oauth import (
    EARLY_S,
    SERVICES,
    Client,
    Show,
    Tokens,
    Wait,
    authorize_url,
    code_request,
    device_flow,
    read_redirect,
    read_tokens,
    refresh_request,
    verifier,
)
from worker.faults import Fault, UpstreamError
from worker.providers.contract import Ask, UpstreamResponse
from worker.providers.registry import providers

GOOGLE, QWEN = SERVICES["gemini-cli"], SERVICES["qwen-code"]
CLIENT = Client("our-client", "our-secret")
NOW = 1_790_000_000.0
# RFC 7636, appendix B.
ENTROPY = bytes([116, 24, 223, 180, 151, 153, 224, 37, 79, 250, 96, 125, 216, 173, 187, 186])
ENTROPY += bytes([22, 212, 37, 77, 105, 214, 191, 240, 91, 88, 5, 88, 83, 132, 141, 121])
VERIFIER = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
CHALLENGE = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"


def answer(body: Any, status: int = 200) -> UpstreamResponse:
    return UpstreamResponse(status, {}, body if isinstance(body, bytes) else json.dumps(body).encode())


def form(body: bytes) -> dict[str, str]:
    return dict(parse_qsl(body.decode()))


def test_pkce_is_that_of_the_standard() -> None:
    """The verifier and challenge of RFC 7636's own example."""
    assert verifier(ENTROPY) == VERIFIER
    url = authorize_url(GOOGLE, CLIENT, redirect_uri="http://127.0.0.1:1/cb", state="s", code_verifier=VERIFIER)
    query = parse_qs(urlsplit(url).query)
    assert query["code_challenge"] == [CHALLENGE]
    assert query["code_challenge_method"] == ["S256"]
    assert "our-secret" not in url


def test_the_page_of_consent_asks_for_a_refresh_token() -> None:
    """Google gives one only for offline access, and again only when it asks again."""
    url = authorize_url(GOOGLE, CLIENT, redirect_uri="http://127.0.0.1:1/cb", state="s", code_verifier=VERIFIER)
    assert url.startswith("https://accounts.google.com/o/oauth2/v2/auth?")
    query = parse_qs(urlsplit(url).query)
    assert (query["access_type"], query["prompt"]) == (["offline"], ["consent"])
    assert (query["response_type"], query["client_id"], query["state"]) == (["code"], ["our-client"], ["s"])
    assert "https://www.googleapis.com/auth/cloud-platform" in query["scope"][0].split(" ")


def test_a_redirect_of_another_sign_in_is_refused() -> None:
    """`state` ties the answer to the question."""
    assert read_redirect("/oauth2callback?state=s&code=4%2FaB", "s") == "4/aB"
    with pytest.raises(UpstreamError, match="another sign-in"):
        read_redirect("/oauth2callback?state=x&code=4", "s")
    with pytest.raises(UpstreamError, match="access_denied"):
        read_redirect("/oauth2callback?state=s&error=access_denied", "s")


def test_a_code_is_changed_for_tokens() -> None:
    """The request carries the verifier; the answer gives tokens with a moment of expiry."""
    request = code_request(GOOGLE, CLIENT, code="c", redirect_uri="http://127.0.0.1:1/cb", code_verifier=VERIFIER)
    assert (request.method, request.url) == ("POST", "https://oauth2.googleapis.com/token")
    assert form(request.body) == {
        "grant_type": "authorization_code",
        "code": "c",
        "redirect_uri": "http://127.0.0.1:1/cb",
        "code_verifier": VERIFIER,
        "client_id": "our-client",
        "client_secret": "our-secret",
    }
    tokens = read_tokens(GOOGLE, answer({"access_token": "a", "refresh_token": "r", "expires_in": 3599}), NOW)
    assert tokens == Tokens("a", "r", NOW + 3599)


def test_a_refresh_keeps_what_its_answer_leaves_out() -> None:
    """Google sends no new refresh token, Qwen perhaps no resource_url."""
    request = refresh_request(QWEN, Client("id"), "r")
    assert form(request.body) == {"grant_type": "refresh_token", "refresh_token": "r", "client_id": "id"}
    before = Tokens("a", "r", NOW, "portal.qwen.ai")
    renewed = read_tokens(QWEN, answer({"access_token": "b", "expires_in": 60}), NOW, before)
    assert renewed == Tokens("b", "r", NOW + 60, "portal.qwen.ai")
    for life_s in ({}, {"expires_in": None}, {"expires_in": "inf"}, {"expires_in": 1e300}):
        assert read_tokens(QWEN, answer({"access_token": "b", **life_s}), NOW, before).expires_at is None
    assert read_tokens(QWEN, answer({"access_token": "b", "expires_in": "60"}), NOW, before).expires_at == NOW + 60


@pytest.mark.parametrize(
    ("status", "body", "fault", "says"),
    [
        (
            400,
            {"error": "invalid_grant", "error_description": "Bad Request"},
            Fault.CREDENTIAL_REJECTED,
            "penstock login",
        ),
        (401, {"error": "invalid_client"}, Fault.CREDENTIAL_REJECTED, "client_id"),
        (400, b"<html>", Fault.CREDENTIAL_REJECTED, "penstock login"),
        (200, {"error": "expired_token"}, Fault.CREDENTIAL_REJECTED, "penstock login"),
        (403, {"error": "access_denied"}, Fault.CREDENTIAL_REJECTED, "penstock login"),
        (200, b"<html>", Fault.UPSTREAM_FAULT, "failed"),
        (403, b"<html>", Fault.UPSTREAM_FAULT, "failed"),
        (302, b"", Fault.UPSTREAM_FAULT, "failed"),
        (503, {"error": "temporarily_unavailable"}, Fault.UPSTREAM_FAULT, "failed"),
        (429, {"error": "slow_down"}, Fault.RATE_LIMITED, "wait"),
    ],
)
def test_a_failed_refresh_says_whether_a_person_must_act(status: int, body: Any, fault: Fault, says: str) -> None:
    """A dead grant needs a new sign-in; a failing service may come back."""
    with pytest.raises(UpstreamError, match=says) as caught:
        read_tokens(GOOGLE, answer(body, status), NOW)
    assert caught.value.fault is fault


@pytest.mark.parametrize(
    ("expiry", "moment"),
    [
        ("", None),
        ("never", None),
        ("0001-01-01T00:00:00Z", None),
        ("nan", None),
        ("inf", None),
        ("2026-09-21T14:13:20Z", 1_790_000_000.0),
        ("2026-09-21T16:13:20.5+02:00", 1_790_000_000.5),
        ("1790000000", 1_790_000_000.0),
        ("1790000000000", 1_790_000_000.0),
    ],
)
def test_every_form_of_an_expiry_is_read(expiry: str, moment: float | None) -> None:
    """RFC 3339 (Go), milliseconds (the CLIs), seconds; what is empty or none is unknown, and used until refused."""
    tokens = Tokens.from_values({"access_token": "a", "expiry": expiry})
    assert tokens.expires_at == moment
    assert tokens.is_stale(NOW) == (moment is not None)
    assert not tokens.is_stale(NOW - EARLY_S - 1)


@given(st.floats(1, 4e9), st.text(min_size=1), st.text())
def test_tokens_survive_being_kept(expires_at: float, access_token: str, resource_url: str) -> None:
    """What is written to a credential's values reads back the same, to the microsecond."""
    tokens = Tokens(access_token, "r", expires_at, resource_url)
    again = Tokens.from_values(tokens.values())
    assert again.expires_at == pytest.approx(expires_at, abs=2e-6)
    assert (again.access_token, again.resource_url) == (access_token, resource_url)


def test_tokens_show_no_secret() -> None:
    """Neither in a repr nor in that of the client."""
    assert "secret-token" not in repr(Tokens("secret-token", "secret-token"))
    assert "our-secret" not in repr(CLIENT)


DEVICE = {
    "device_code": "dc",
    "user_code": "AB-CD",
    "verification_uri": "https://chat.qwen.ai/authorize",
    "verification_uri_complete": "https://chat.qwen.ai/authorize?user_code=AB-CD",
    "expires_in": 30,
    "interval": 2,
}


def walk(replies: list[UpstreamResponse]) -> tuple[list[Any], UpstreamResponse]:
    """The steps of a device sign-in whose requests get these replies, and what it returns."""
    flow: Generator[Any, Any, UpstreamResponse] = device_flow(QWEN, Client("id"), VERIFIER)
    steps: list[Any] = []
    left = iter(replies)
    reply = None
    try:
        while True:
            steps.append(flow.send(reply))
            reply = next(left) if isinstance(steps[-1], Ask) else None
    except StopIteration as end:
        response: UpstreamResponse = end.value
        return steps, response


def test_a_device_signs_in_when_a_person_has_entered_the_code() -> None:
    """Ask, show, then poll as often as the service allows; slower when it says so."""
    pending, slow = answer({"error": "authorization_pending"}, 400), answer({"error": "slow_down"}, 429)
    done = answer({"access_token": "a", "expires_in": 21600, "resource_url": "portal.qwen.ai"})
    steps, end = walk([answer(DEVICE), pending, slow, done])
    asked = [form(step.request.body) for step in steps if isinstance(step, Ask)]
    assert asked[0] == {
        "client_id": "id",
        "scope": "openid profile email model.completion",
        "code_challenge": CHALLENGE,
        "code_challenge_method": "S256",
    }
    assert (
        asked[1:]
        == [
            {
                "grant_type": "urn:ietf:params:oauth:grant-type:device_code",
                "device_code": "dc",
                "code_verifier": VERIFIER,
                "client_id": "id",
            }
        ]
        * 3
    )
    assert [step for step in steps if not isinstance(step, Ask)] == [
        Show("https://chat.qwen.ai/authorize?user_code=AB-CD", "AB-CD"),
        Wait(2.0),
        Wait(2.0),
        Wait(7.0),
    ]
    assert read_tokens(QWEN, end, NOW).resource_url == "portal.qwen.ai"


def test_a_device_sign_in_outlives_a_service_that_fails_for_a_moment() -> None:
    """The person may be entering the code at that very time."""
    done = answer({"access_token": "a"})
    assert walk([answer(DEVICE), answer(b"<html>", 502), answer(b"", 429), done])[1] is done


def test_a_device_sign_in_ends_with_its_code() -> None:
    """Fifteen polls fit into thirty seconds; then the code is worth nothing."""
    with pytest.raises(UpstreamError, match="in time"):
        walk([answer(DEVICE), *[answer({"error": "authorization_pending"}, 400)] * 15])
    _, end = walk([answer(DEVICE), answer({"error": "access_denied"}, 400)])
    with pytest.raises(UpstreamError, match="access_denied"):
        read_tokens(QWEN, end, NOW)
    with pytest.raises(UpstreamError, match="failed"):
        walk([answer(b"<html>", 502)])


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_every_service_is_a_provider_with_the_fields_of_its_tokens(name: str) -> None:
    """What a sign-in yields, a credential of that type can hold."""
    fields = {field.name for field in providers()[name].credential_fields}
    assert set(Tokens("a", "r", NOW).values()) <= fields
    assert "client_id" in fields
