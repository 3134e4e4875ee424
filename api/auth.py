"""Who calls: a bearer key becomes a Caller, by its keyed hash alone."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from shared.catalogue import Catalogue, KeyPolicy, key_digest, short_digest
from shared.errors import Unauthenticated, Unavailable

OWN_KEY_PREFIX: Final = "sk-penstock-"
"""Begins every key that Penstock makes: such a key is never taken for one of a provider's."""
_ANYBODY: Final = KeyPolicy(b"", "any caller")  # a blank: no key of a configuration has this name
_OWN_NAME: Final = "callers' own"
_SHORTEST_OWN_KEY: Final = 10
_HOW: Final = (
    "You need to provide your API key in an Authorization header using Bearer auth (i.e. Authorization: Bearer "
    "YOUR_KEY). Whoever runs this gateway can give you one."
)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks. `own_key` is set when the bearer is the caller's own key for the passthrough provider."""

    policy: KeyPolicy
    own_key: str | None = field(default=None, repr=False)

    @property
    def short_digest(self) -> str:
        """What logs show; empty for a caller without a key."""
        return short_digest(self.policy.digest)


def authenticate(headers: Mapping[bytes, bytes], catalogue: Catalogue | None) -> Caller:
    """`headers` as ASGI gives them, names in lower case.

    Raises Unauthenticated with OpenAI's own bodies, and Unavailable without a catalogue: not knowing the keys is our
    failure, not the caller's. The key is looked up by its keyed hash, so the time that takes tells nothing about it.
    """
    if catalogue is None:
        raise Unavailable(
            "This gateway has no configuration at the moment: no worker has published one, or Redis cannot be "
            "reached. Nothing is wrong with your request or key; send it again shortly.",
            code="not_ready",
            retry_after_s=2,
        )
    key = bearer(headers)
    if not key:
        return _without_key(headers, catalogue)
    digest = key_digest(catalogue.hmac_key, key)
    policy = catalogue.find_key(digest)
    if policy is not None and not policy.revoked:
        return Caller(policy)
    administers = digest == catalogue.admin_digest  # such a key is never handed to a provider
    if policy is None and catalogue.passthrough is not None and _may_be_own(key) and not administers:
        return Caller(KeyPolicy(digest, _OWN_NAME), own_key=key)
    if policy is None and not catalogue.auth_required:
        return Caller(_ANYBODY)
    raise _refusal(catalogue, f"Incorrect API key provided. {_HOW}", "invalid_api_key")


def _may_be_own(key: str) -> bool:
    """Whether an unknown key can be one of a provider's: none is that short, and headers carry printable ASCII."""
    return len(key) >= _SHORTEST_OWN_KEY and key.isascii() and key.isprintable() and not key.startswith(OWN_KEY_PREFIX)


def _without_key(headers: Mapping[bytes, bytes], catalogue: Catalogue) -> Caller:
    if not catalogue.auth_required:
        return Caller(_ANYBODY)
    code = "invalid_authorization_format" if headers.get(b"authorization") else "missing_authorization"
    raise _refusal(catalogue, f"You didn't provide an API key. {_HOW}", code)


def _refusal(catalogue: Catalogue, message: str, code: str) -> Unauthenticated:
    """In OpenAI's shape, which has one code alone, unless the passthrough provider's own types are kept."""
    if catalogue.passthrough is not None and catalogue.passthrough.typed_errors:
        return Unauthenticated(message, type="authentication_error", code=code)
    error = Unauthenticated(message)
    error.code = code if code == "invalid_api_key" else None
    return error


def bearer(headers: Mapping[bytes, bytes]) -> str:
    """The key; empty where there is none or the scheme is another, which OpenAI answers alike."""
    scheme, _, key = headers.get(b"authorization", b"").strip().partition(b" ")
    return key.strip().decode("utf-8", "surrogateescape") if scheme.lower() == b"bearer" else ""
