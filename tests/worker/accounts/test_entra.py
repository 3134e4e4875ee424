"""Tokens of a service principal, without a network."""

import json
from typing import Any
from urllib.parse import parse_qsl

import pytest

from worker.accounts.entra import ENTRA, is_principal, token_request
from worker.accounts.oauth import Tokens, read_tokens
from worker.faults import Fault, UpstreamError
from worker.providers.contract import UpstreamResponse

NOW = 1_790_000_000.0
PRINCIPAL = {"tenant_id": "contoso.com/../x", "client_id": "app-1", "client_secret": "s~1"}


def test_a_token_is_asked_for_as_the_client_credentials_flow_says() -> None:
    request = token_request(PRINCIPAL)
    assert (request.method, request.url) == (
        "POST",
        "https://login.microsoftonline.com/contoso.com%2F..%2Fx/oauth2/v2.0/token",
    )
    assert dict(parse_qsl(request.body.decode())) == {
        "grant_type": "client_credentials",
        "client_id": "app-1",
        "client_secret": "s~1",
        "scope": "https://cognitiveservices.azure.com/.default",
    }


@pytest.mark.parametrize("missing", PRINCIPAL)
def test_only_a_whole_principal_can_ask(missing: str) -> None:
    assert is_principal(PRINCIPAL)
    assert not is_principal({**PRINCIPAL, missing: ""})


def test_a_token_is_stale_five_minutes_before_its_end_and_before_there_is_one() -> None:
    body = {"token_type": "Bearer", "expires_in": 3599, "ext_expires_in": 3599, "access_token": "eyJ0"}
    tokens = read_tokens(ENTRA, UpstreamResponse(200, {}, json.dumps(body).encode()), NOW)
    assert tokens == Tokens("eyJ0", "", NOW + 3599)
    assert not tokens.is_stale(NOW + 3598 - 300)
    assert tokens.is_stale(NOW + 3599 - 300)
    assert Tokens("").is_stale(NOW)


@pytest.mark.parametrize(
    ("status", "body", "fault", "says"),
    [
        (401, {"error": "invalid_client", "error_codes": [7000215]}, Fault.CREDENTIAL_REJECTED, "AADSTS7000215"),
        (400, {"error": "unauthorized_client", "error_codes": [700016]}, Fault.CREDENTIAL_REJECTED, "AADSTS700016"),
        (400, {"error": "invalid_request", "error_codes": [90002]}, Fault.CREDENTIAL_REJECTED, "Check tenant_id"),
        (503, {"error": "temporarily_unavailable"}, Fault.UPSTREAM_FAULT, "failed"),
    ],
)
def test_a_refusal_says_what_to_check(status: int, body: Any, fault: Fault, says: str) -> None:
    """The description is left out: it holds ids of the tenant."""
    body |= {"error_description": "AADSTS0: app-1 of contoso.com"}
    with pytest.raises(UpstreamError, match=says) as caught:
        read_tokens(ENTRA, UpstreamResponse(status, {}, json.dumps(body).encode()), NOW)
    assert caught.value.fault is fault
    assert "penstock login" not in caught.value.message
    assert "contoso" not in caught.value.message
