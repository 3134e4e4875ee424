"""What fronts may know: models, client-key hashes and policies, the key that seals callers' own keys.

Workers publish it in Redis, in the HASH `names.CATALOGUE`: `version` (grows with each change), `generation` (of the
configuration), `hash`, `body` (these bytes), `seen_ms`; the channel `names.CATALOGUE_NEWS` gets each new version.
"""

import difflib
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from fnmatch import fnmatchcase
from typing import Any, Final, Self, TypeVar

import msgpack

CATALOGUE_FORMAT: Final = 1
_NEAR_NAMES: Final = 3
# Above this, comparing every name with a misspelt one would cost the front more than a request does.
_MOST_COMPARED: Final = 500
T = TypeVar("T")


def key_digest(hmac_key: bytes, key: str) -> bytes:
    """The 32 bytes by which a client key is stored and looked up: HMAC-SHA256."""
    return hmac.digest(hmac_key, key.encode("utf-8", "surrogateescape"), hashlib.sha256)


def short_digest(digest: bytes) -> str:
    """What logs may show of a key: the first 12 hex digits of its keyed hash."""
    return digest.hex()[:12]


@dataclass(frozen=True, slots=True)
class ModelEntry:
    """A model as `GET /v1/models` lists it. `created` is unix time in s; `queue_wait_s` the longest wait for a slot."""

    id: str
    created: int = 0
    owned_by: str = "penstock"
    queue_wait_s: float = 30.0


@dataclass(frozen=True, slots=True)
class KeyPolicy:
    """What one client key may do. `models` are case-sensitive wildcard patterns; an empty tuple allows none.

    `model_map` has (asked name or pattern with one `*`, name used instead, in which `*` is what that one stood for).
    """

    digest: bytes
    name: str
    models: tuple[str, ...] = ("*",)
    default_model: str | None = None
    queue_wait_s: float | None = None
    revoked: bool = False
    model_map: tuple[tuple[str, str], ...] = ()

    def mapped(self, model: str) -> str:
        """The name that this key means by `model`: exact entries of its map count first, then patterns in order."""
        for asked, used in self.model_map:
            if asked == model:
                return used
        for asked, used in self.model_map:
            before, star, after = asked.partition("*")
            long_enough = len(model) >= len(before) + len(after)
            if star and long_enough and model.startswith(before) and model.endswith(after):
                return used.replace("*", model[len(before) : len(model) - len(after)])
        return model


@dataclass(frozen=True, slots=True)
class QueuePolicy:
    """Past either bound a request gets a 503 at once."""

    max_depth: int = 10_000
    max_bytes: int = 256 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class FrontPolicy:
    """`commit_after_s` without an answer a stream gets its 200, then a comment each `keep_alive_s`."""

    keep_alive_s: float = 10.0
    commit_after_s: float = 15.0
    max_body_bytes: int = 32 * 1024 * 1024
    body_timeout_s: float = 30.0


@dataclass(frozen=True, slots=True)
class PassthroughPolicy:
    """An unknown bearer is the caller's own key for `provider`. `models` are those that such callers are shown; they
    may ask for any other name as well, and then wait `queue_wait_s` at most.

    With `typed_errors` an error's type says whose it is: the key's (`authentication_error`), the upstream's, or ours
    (`internal_error`).
    """

    provider: str
    models: tuple[ModelEntry, ...] = ()
    queue_wait_s: float = 30.0
    typed_errors: bool = False

    def find_model(self, model: str) -> ModelEntry:
        listed = (entry for entry in self.models if entry.id == model)
        return next(listed, ModelEntry(model, owned_by=self.provider, queue_wait_s=self.queue_wait_s))


@dataclass(frozen=True, slots=True)
class Catalogue:
    """One generation of it; immutable, so a request keeps the one it began with.

    `patterns` stand for names that are accepted beside `models`, most with a `*` in them; `passthrough` names the
    provider for which an unknown bearer token is the caller's own key; without `auth_required` no key is asked for.
    `admin_digest` is that of the administration key, empty where there is none.
    """

    generation: int
    models: tuple[ModelEntry, ...] = ()
    patterns: tuple[ModelEntry, ...] = ()
    keys: tuple[KeyPolicy, ...] = ()
    hmac_key: bytes = field(default=b"", repr=False)
    sealing_key: bytes = b""
    sealing_key_id: str = ""
    cors_origins: tuple[str, ...] = ()
    queue: QueuePolicy = QueuePolicy()
    front: FrontPolicy = FrontPolicy()
    passthrough: PassthroughPolicy | None = None
    auth_required: bool = True
    admin_digest: bytes = b""
    openai_style_api: bool = False
    _by_digest: Mapping[bytes, KeyPolicy] = field(init=False, repr=False, compare=False)
    _by_model: Mapping[str, ModelEntry] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_by_digest", {policy.digest: policy for policy in self.keys})
        object.__setattr__(self, "_by_model", {model.id: model for model in (*self.patterns, *self.models)})

    def encode(self) -> bytes:
        data = {item.name: getattr(self, item.name) for item in fields(self) if item.init}
        packed: bytes = msgpack.packb((CATALOGUE_FORMAT, data), default=asdict)
        return packed

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Fields that this version does not know are left out. Raises ValueError for another format's bytes."""
        version, values = msgpack.unpackb(data, use_list=False)
        if version != CATALOGUE_FORMAT:
            raise ValueError(f"catalogue of format {version}; this front reads {CATALOGUE_FORMAT}")
        values["patterns"] = tuple(_build(ModelEntry, entry) for entry in values["patterns"])
        values["models"] = tuple(_build(ModelEntry, entry) for entry in values["models"])
        values["keys"] = tuple(_build(KeyPolicy, entry) for entry in values["keys"])
        values["queue"] = _build(QueuePolicy, values["queue"])
        values["front"] = _build(FrontPolicy, values["front"])
        values["passthrough"] = values["passthrough"] and _passthrough(values["passthrough"])
        return _build(cls, values)

    def find_key(self, digest: bytes) -> KeyPolicy | None:
        """The policy of a client key. Its timing tells nothing of a key: the hash is keyed."""
        return self._by_digest.get(digest)

    def find_model(self, model: str) -> ModelEntry | None:
        """The listed model of this name, or one made for a name that a wildcard route accepts."""
        found = self._by_model.get(model)
        if found is None:
            pattern = next((pattern for pattern in self.patterns if fnmatchcase(model, pattern.id)), None)
            return replace(pattern, id=model) if pattern else None
        return found

    def allows(self, policy: KeyPolicy, model: str) -> bool:
        return any(fnmatchcase(model, pattern) for pattern in policy.models)

    def visible_models(self, policy: KeyPolicy) -> list[ModelEntry]:
        """The listed models that a key may use, in catalogue order."""
        return [entry for entry in self.models if self.allows(policy, entry.id)]

    def near_models(self, policy: KeyPolicy, model: str) -> list[str]:
        """Up to three names like a misspelt one, best first, of those that the key may use."""
        names = [entry.id for entry in self.visible_models(policy)[:_MOST_COMPARED]]
        folded = {name.casefold(): name for name in reversed(names)}
        near = difflib.get_close_matches(model.casefold(), folded, n=_NEAR_NAMES)
        return [folded[name] for name in near]


def _passthrough(values: Mapping[str, Any]) -> PassthroughPolicy:
    models = tuple(_build(ModelEntry, entry) for entry in values["models"])
    return _build(PassthroughPolicy, {**values, "models": models})


def _build(kind: type[T], values: Mapping[str, Any]) -> T:
    known = {item.name for item in fields(kind) if item.init}  # type: ignore[arg-type]  # callers pass dataclasses
    return kind(**{name: value for name, value in values.items() if name in known})
