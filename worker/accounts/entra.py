"""Entra ID tokens for `azure-openai`: what an app registration, or a managed identity, is given. No I/O.

An app proves itself by its client secret or by a token that its platform wrote into a file (workload identity). A
managed identity is the machine's: its metadata service (IMDS) answers whoever asks from there. Tokens live for an hour
and more; there is no refresh token, the same is asked again. Only the public cloud's sign-in; App Service's own
endpoint of managed identities is not asked.

Sources: learn.microsoft.com, "OAuth 2.0 client credentials flow" (the third case has the assertion), "error codes" of
the Microsoft identity platform (`error_codes` holds the numbers that AADSTS stands before) and "How to use managed
identities on an Azure VM to acquire an access token". One scope serves both request styles: microsoft/PyRIT, pull
request 1453, had its tests run with it against every kind of Azure AI endpoint.
"""

from collections.abc import Mapping
from typing import Final
from urllib.parse import quote, urlencode

from worker.accounts.oauth import Service, form_request
from worker.providers.contract import UpstreamRequest

_ASSERTION: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_SYSTEM: Final = "system"

ENTRA: Final = Service(
    "azure-openai",
    token_url="https://login.microsoftonline.com/{tenant}/oauth2/v2.0/token",  # noqa: S106  a URL
    scopes=("https://cognitiveservices.azure.com/.default",),
    remedy="Check tenant_id, client_id and client_secret, or the app's federated credentials; a secret expires, and a "
    "new one is made at the app registration in the Entra admin center.",
)
MACHINE: Final = Service(
    "azure-openai",
    token_url="http://169.254.169.254/metadata/identity/oauth2/token",  # noqa: S106  a URL
    scopes=("https://cognitiveservices.azure.com/",),
    remedy="Give the machine that the workers run on the identity that managed_identity names.",
    local=True,
)


def may_ask(values: Mapping[str, str]) -> bool:
    """Whether a credential can be changed for tokens."""
    app = values.get("tenant_id") and values.get("client_id")
    return bool(values.get("managed_identity") or (app and (values.get("client_secret") or assertion_path(values))))


def assertion_path(values: Mapping[str, str]) -> str:
    """The file with what a credential proves itself by, "" if it needs none. It changes: it is read for each token."""
    proves_otherwise = values.get("client_secret") or values.get("managed_identity")
    return "" if proves_otherwise else values.get("federated_token_file", "")


def service_of(values: Mapping[str, str]) -> Service:
    """Whom to ask for a credential's tokens."""
    return MACHINE if values.get("managed_identity") else ENTRA


def token_request(values: Mapping[str, str], assertion: str = "") -> UpstreamRequest:
    """Asks for a token; `read_tokens` reads its answer. `assertion`: what stands in the file at `assertion_path`."""
    if values.get("managed_identity"):
        return _machine_request(values["managed_identity"])
    url = ENTRA.token_url.format(tenant=quote(values["tenant_id"], safe=""))
    form = {"grant_type": "client_credentials", "scope": " ".join(ENTRA.scopes), "client_id": values["client_id"]}
    if assertion:
        return form_request(url, {**form, "client_assertion_type": _ASSERTION, "client_assertion": assertion})
    return form_request(url, {**form, "client_secret": values["client_secret"]})


def _machine_request(identity: str) -> UpstreamRequest:
    query = {"api-version": "2018-02-01", "resource": " ".join(MACHINE.scopes)}
    if identity != _SYSTEM:
        query["client_id"] = identity
    return UpstreamRequest("GET", f"{MACHINE.token_url}?{urlencode(query)}", (("metadata", "true"),))
