"""Signing in by OAuth and renewing tokens: requests to send and answers to read. No I/O, clock or randomness.

Client ids and secrets come from the configuration or the command line, none is built in. Google: make an OAuth client
of type "Desktop app" at console.cloud.google.com, APIs & Services, Credentials. Qwen: its CLI has a public client id
in `packages/core/src/qwen/qwenOAuth2.ts` of QwenLM/qwen-code, for those whose terms allow it.

Sources: RFC 6749, 7636 (PKCE), 8252 (loopback redirect), 8628 (device flow); developers.google.com, "OAuth 2.0 for
desktop apps"; `packages/core/src/code_assist/oauth2.ts` of google-gemini/gemini-cli; qwenOAuth2.ts as above.
"""

from base64 import urlsafe_b64encode
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from http import HTTPStatus
from types import MappingProxyType
from typing import Any, Final, Self
from urllib.parse import parse_qs, urlencode, urlsplit

from worker.faults import Fault, UpstreamError
from worker.providers.bodies import json_object
from worker.providers.contract import Ask, JsonObject, UpstreamRequest, UpstreamResponse

EARLY_S: Final = 300.0
"""Tokens, which live for an hour or more, are renewed this long before they expire."""

_PASSING: Final = (HTTPStatus.NOT_FOUND, HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.GONE)
_DEVICE_GRANT: Final = "urn:ietf:params:oauth:grant-type:device_code"
_INTERVAL_S: Final = 5.0  # RFC 8628's default, and what "slow_down" adds
_MOST_SECONDS: Final = 1e11  # a larger expiry is in milliseconds, as the CLIs write it


@dataclass(frozen=True, slots=True)
class Service:
    """Where accounts of a provider type sign in: in a browser (`authorize_url`) or with a code (`device_url`).

    `remedy`: what a person does when it refuses, where that is not `penstock login`. `local`: the machine's own, which
    no proxy reaches.
    """

    type_name: str
    token_url: str
    scopes: tuple[str, ...]
    authorize_url: str = ""
    device_url: str = ""
    remedy: str = ""
    local: bool = False


@dataclass(frozen=True, slots=True)
class Client:
    """The OAuth client of whoever runs the gateway."""

    client_id: str
    client_secret: str = field(default="", repr=False)


SERVICES: Final[Mapping[str, Service]] = MappingProxyType(
    {
        "gemini-cli": Service(
            "gemini-cli",
            token_url="https://oauth2.googleapis.com/token",  # noqa: S106  a URL
            scopes=(
                "https://www.googleapis.com/auth/cloud-platform",
                "https://www.googleapis.com/auth/userinfo.email",
                "https://www.googleapis.com/auth/userinfo.profile",
            ),
            authorize_url="https://accounts.google.com/o/oauth2/v2/auth",
        ),
        "qwen-code": Service(
            "qwen-code",
            token_url="https://chat.qwen.ai/api/v1/oauth2/token",  # noqa: S106  a URL
            scopes=("openid", "profile", "email", "model.completion"),
            device_url="https://chat.qwen.ai/api/v1/oauth2/device/code",
        ),
    }
)


@dataclass(frozen=True, slots=True)
class Tokens:
    """`expires_at` is unix time in s; None is unknown: such a token is used, and renewed when it is refused. An empty
    `access_token` is none yet.
    """

    access_token: str = field(repr=False)
    refresh_token: str = field(default="", repr=False)
    expires_at: float | None = None
    resource_url: str = ""

    @classmethod
    def from_values(cls, values: Mapping[str, str]) -> Self:
        """From a credential's values; an `expiry` that is empty or no moment is unknown."""
        return cls(
            values.get("access_token", ""),
            values.get("refresh_token", ""),
            _moment(values.get("expiry", "")),
            values.get("resource_url", ""),
        )

    def values(self) -> dict[str, str]:
        """The values of a credential that these tokens are; `expiry` in RFC 3339."""
        expiry = "" if self.expires_at is None else datetime.fromtimestamp(self.expires_at, UTC).isoformat()
        values = {"access_token": self.access_token, "refresh_token": self.refresh_token, "expiry": expiry}
        return {**values, **({"resource_url": self.resource_url} if self.resource_url else {})}

    def is_stale(self, now: float) -> bool:
        """True if they should be renewed before use."""
        return not self.access_token or (self.expires_at is not None and now >= self.expires_at - EARLY_S)


@dataclass(frozen=True, slots=True)
class Show:
    """A step of a sign-in: show a person where to go and what to enter. `code` may be part of the URL already."""

    url: str
    code: str


@dataclass(frozen=True, slots=True)
class Wait:
    """A step of a sign-in: wait, then go on."""

    seconds: float


def verifier(entropy: bytes) -> str:
    """A PKCE code verifier of 32 random bytes."""
    return _base64(entropy)


def authorize_url(service: Service, client: Client, *, redirect_uri: str, state: str, code_verifier: str) -> str:
    """The page at which a person consents; it leads to `redirect_uri`. Always asks, as only then Google gives a
    refresh token to a client that had one before.
    """
    query = {
        "client_id": client.client_id,
        "redirect_uri": redirect_uri,
        "response_type": "code",
        "scope": " ".join(service.scopes),
        "access_type": "offline",
        "prompt": "consent",
        "state": state,
        **_challenge(code_verifier),
    }
    return f"{service.authorize_url}?{urlencode(query)}"


def read_redirect(url: str, state: str) -> str:
    """The authorization code in the URL that the browser was led to. Raises UpstreamError for a refusal and for an
    answer to another sign-in than this one.
    """
    query = parse_qs(urlsplit(url).query)
    if query.get("state") != [state]:
        raise UpstreamError(Fault.INVALID_REQUEST, "The answer belongs to another sign-in. Start again.")
    if "code" not in query:
        reason = query.get("error", ["no code"])[0]
        raise UpstreamError(Fault.CREDENTIAL_REJECTED, f"The sign-in was refused: {reason}.")
    return query["code"][0]


def code_request(
    service: Service, client: Client, *, code: str, redirect_uri: str, code_verifier: str
) -> UpstreamRequest:
    """Changes an authorization code for tokens; `read_tokens` reads its answer."""
    form = {"code": code, "redirect_uri": redirect_uri, "code_verifier": code_verifier}
    return form_request(service.token_url, {"grant_type": "authorization_code", **form, **_identity(client)})


def refresh_request(service: Service, client: Client, refresh_token: str) -> UpstreamRequest:
    """Renews an access token; `read_tokens` reads its answer."""
    form = {"grant_type": "refresh_token", "refresh_token": refresh_token}
    return form_request(service.token_url, {**form, **_identity(client)})


def read_tokens(service: Service, response: UpstreamResponse, now: float, before: Tokens | None = None) -> Tokens:
    """The tokens of an answer at time `now`. What an answer to a refresh leaves out stays as it was `before`.

    Raises UpstreamError: CREDENTIAL_REJECTED when a person must sign in again, else something that may pass.
    """
    data = json_object(response.body)
    if response.status != HTTPStatus.OK or not data.get("access_token"):
        raise _refusal(service, response.status, data)
    life_s = _seconds(data.get("expires_in"))
    return Tokens(
        str(data["access_token"]),
        str(data.get("refresh_token") or (before.refresh_token if before else "")),
        None if life_s is None else now + life_s,
        str(data.get("resource_url") or (before.resource_url if before else "")),
    )


def device_flow(
    service: Service, client: Client, code_verifier: str
) -> Generator[Ask | Show | Wait, UpstreamResponse | None, UpstreamResponse]:
    """Signs in with a code that a person enters elsewhere; returns the answer that `read_tokens` reads.

    Each Ask is answered with its response, the other steps with None. Raises UpstreamError when it is refused or the
    code has expired.
    """
    form = {"client_id": client.client_id, "scope": " ".join(service.scopes), **_challenge(code_verifier)}
    response = yield Ask(form_request(service.device_url, form))
    assert response is not None
    data = json_object(response.body)
    if response.status != HTTPStatus.OK or not data.get("device_code"):
        raise _refusal(service, response.status, data)
    yield Show(str(data.get("verification_uri_complete") or data.get("verification_uri")), str(data.get("user_code")))
    form = {"grant_type": _DEVICE_GRANT, "device_code": data["device_code"], "code_verifier": code_verifier}
    poll = form_request(service.token_url, {**form, **_identity(client)})
    interval_s, left_s = float(data.get("interval") or _INTERVAL_S), float(data.get("expires_in") or 0)
    while left_s > 0:
        yield Wait(interval_s)
        left_s -= interval_s
        response = yield Ask(poll)
        assert response is not None
        error = json_object(response.body).get("error")
        if error == "slow_down" or response.status == HTTPStatus.TOO_MANY_REQUESTS:
            interval_s += _INTERVAL_S
        elif error != "authorization_pending" and response.status < HTTPStatus.INTERNAL_SERVER_ERROR:
            return response
    raise UpstreamError(Fault.CREDENTIAL_REJECTED, "Nobody entered the code in time. Start the sign-in again.")


def _refusal(service: Service, status: int, data: JsonObject) -> UpstreamError:
    """OAuth's error codes: what says that the grant itself is dead, and what may pass. Qwen's says so by a 400 alone;
    any other refusal without a code comes from something before the service. Azure's machines answer 404 and 410 while
    their metadata service is updated.
    """
    code = str(data.get("error") or "no token")
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return UpstreamError(Fault.RATE_LIMITED, f"The sign-in service of {service.type_name} asks to wait.", code=code)
    told = "error" in data or status in {HTTPStatus.BAD_REQUEST, HTTPStatus.UNAUTHORIZED}
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status in _PASSING or not told:
        text = f"The sign-in service of {service.type_name} failed (HTTP {status})."
        return UpstreamError(Fault.UPSTREAM_FAULT, text, code=code)
    if service.remedy:
        numbers = "".join(f", AADSTS{number}" for number in data.get("error_codes") or ())
        text = f"The sign-in was refused ({code}{numbers}). {service.remedy}"
    elif code in {"invalid_client", "unauthorized_client"}:
        text = f"The OAuth client is not accepted ({code}). Check client_id and client_secret."
    else:
        text = f"The sign-in is no longer valid ({code}). Sign in again: penstock login {service.type_name}."
    return UpstreamError(Fault.CREDENTIAL_REJECTED, text, code=code)


def _identity(client: Client) -> dict[str, str]:
    secret = {"client_secret": client.client_secret} if client.client_secret else {}
    return {"client_id": client.client_id, **secret}


def _challenge(code_verifier: str) -> dict[str, str]:
    return {"code_challenge": _base64(sha256(code_verifier.encode()).digest()), "code_challenge_method": "S256"}


def form_request(url: str, fields: Mapping[str, str]) -> UpstreamRequest:
    """A question to a sign-in service."""
    headers = (("content-type", "application/x-www-form-urlencoded"), ("accept", "application/json"))
    return UpstreamRequest("POST", url, headers, urlencode(fields).encode())


def _base64(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def _seconds(life: Any) -> float | None:
    """Some services write the number as a text."""
    try:
        number = float(life)
    except (TypeError, ValueError):
        return None
    return number if 0 <= number < _MOST_SECONDS else None


def _moment(text: str) -> float | None:
    """Unix time of RFC 3339, seconds or milliseconds; Go writes a missing time as that of the year 1."""
    try:
        number = float(text)
    except ValueError:
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            return None
        number = moment.replace(tzinfo=moment.tzinfo or UTC).timestamp()
    number = number / 1000 if number > _MOST_SECONDS else number
    return number if 0 < number < _MOST_SECONDS else None
