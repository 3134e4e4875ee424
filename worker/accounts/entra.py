"""Entra ID tokens for `azure-openai`: what a service principal is given for its client id and secret. No I/O.

They live for about an hour; there is no refresh token, the same is asked again. Only the public cloud's sign-in.
Managed and workload identities are not offered: they need an address or a file of the machine that a worker runs on.

Sources: learn.microsoft.com, "OAuth 2.0 client credentials flow" and "error codes" of the Microsoft identity platform
(`error_codes` holds the numbers that AADSTS stands before). One scope serves both request styles: microsoft/PyRIT,
pull request 1453, had its tests run with it against every kind of Azure AI endpoint.
"""

from collections.abc import Mapping
from typing import Final
from urllib.parse import quote

from worker.accounts.oauth import Service, form_request
from worker.providers.contract import UpstreamRequest

ENTRA: Final = Service(
    "azure-openai",
    token_url="https://login.microsoftonline.com/{tenant}/oauth2/v2.0/token",  # noqa: S106  a URL
    scopes=("https://cognitiveservices.azure.com/.default",),
    remedy="Check tenant_id, client_id and client_secret; a secret expires, and a new one is made at the app "
    "registration in the Entra admin center.",
)
_FIELDS: Final = ("tenant_id", "client_id", "client_secret")


def is_principal(values: Mapping[str, str]) -> bool:
    """Whether a credential can be changed for tokens."""
    return all(values.get(name) for name in _FIELDS)


def token_request(values: Mapping[str, str]) -> UpstreamRequest:
    """Asks for a token; `read_tokens` reads its answer."""
    client = {name: values[name] for name in ("client_id", "client_secret")}
    url = ENTRA.token_url.format(tenant=quote(values["tenant_id"], safe=""))
    return form_request(url, {"grant_type": "client_credentials", "scope": " ".join(ENTRA.scopes), **client})
