"""Tokens of app registrations and managed identities, without a network."""

import json
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from worker.accounts.entra import ENTRA, MACHINE, assertion_path, may_ask, service_of, token_request
from worker.accounts.oauth import Tokens, read_tokens
from worker.faults import Fault, UpstreamError
from worker.providers.contract import UpstreamResponse

NOW = 1_790_000_000.0
PRINCIPAL = {"tenant_id": "contoso.com/../x", "client_id": "app-1", "client_secret": "s~1"}
WORKLOAD = {"tenant_id": "tenant-1", "client_id": "app-1", "federated_token_file": "/run/token"}


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


def test_a_workload_proves_itself_by_what_its_platform_wrote() -> None:
    request = token_request(WORKLOAD, "eyJ.assertion")
    assert dict(parse_qsl(request.body.decode())) == {
        "grant_type": "client_credentials",
        "client_id": "app-1",
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        "client_assertion": "eyJ.assertion",
        "scope": "https://cognitiveservices.azure.com/.default",
    }


@pytest.mark.parametrize(("identity", "named"), [("system", {}), ("4f0a-client", {"client_id": "4f0a-client"})])
def test_a_machine_asks_its_own_metadata_service(identity: str, named: dict[str, str]) -> None:
    values = {"managed_identity": identity}
    request = token_request(values)
    url = urlsplit(request.url)
    assert (request.method, request.headers, request.body) == ("GET", (("metadata", "true"),), b"")
    assert (url.scheme, url.netloc, url.path) == ("http", "169.254.169.254", "/metadata/identity/oauth2/token")
    assert dict(parse_qsl(url.query)) == {
        "api-version": "2018-02-01",
        "resource": "https://cognitiveservices.azure.com/",
        **named,
    }
    assert service_of(values).local
    assert not service_of(PRINCIPAL).local


@pytest.mark.parametrize("values", [PRINCIPAL, WORKLOAD])
@pytest.mark.parametrize("place", range(3))
def test_only_a_whole_app_registration_can_ask(values: dict[str, str], place: int) -> None:
    assert may_ask(values)
    assert not may_ask({**values, list(values)[place]: ""})


@pytest.mark.parametrize("other", [{"client_secret": "s"}, {"managed_identity": "system"}])
def test_a_file_is_read_only_for_who_has_nothing_else(other: dict[str, str]) -> None:
    assert assertion_path(WORKLOAD) == "/run/token"
    assert not assertion_path({**WORKLOAD, **other})


@pytest.mark.parametrize("status", [404, 410, 500])
def test_a_metadata_service_that_is_being_updated_is_asked_again(status: int) -> None:
    with pytest.raises(UpstreamError) as caught:
        read_tokens(MACHINE, UpstreamResponse(status, {}, b'{"error": "not_found"}'), NOW)
    assert caught.value.fault is Fault.UPSTREAM_FAULT


def test_a_machine_without_the_identity_says_what_to_give_it() -> None:
    body = b'{"error": "invalid_request", "error_description": "Identity not found"}'
    with pytest.raises(UpstreamError, match="managed_identity") as caught:
        read_tokens(MACHINE, UpstreamResponse(400, {}, body), NOW)
    assert caught.value.fault is Fault.CREDENTIAL_REJECTED


def test_a_machines_answer_has_its_numbers_as_texts() -> None:
    body = {"access_token": "eyJ0", "client_id": "c", "expires_in": "86400", "expires_on": "1790086400"}
    body |= {"ext_expires_in": "86399", "not_before": "1789999700", "resource": "r", "token_type": "Bearer"}
    tokens = read_tokens(MACHINE, UpstreamResponse(200, {}, json.dumps(body).encode()), NOW)
    assert tokens == Tokens("eyJ0", "", NOW + 86400)


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
