"""What a front asks of a worker on behalf of the operator, and the answer. Secrets travel in `box` alone.

A request waits in the LIST `names.ADMIN_QUEUE` until one of the workers, woken by the channel `names.ADMIN_NEWS`, takes
it; the answer comes on the front's own channel. Both are msgpack.
"""

from dataclasses import asdict, dataclass, field
from typing import Any, Final, Self

import msgpack

from shared.errors import GatewayError

SEALED_FOR: Final = "/administration"
"""What a box is sealed for in place of a provider; no provider has a slash in its name."""
FORMAT: Final = 1


@dataclass(frozen=True, slots=True)
class AdminRequest:
    """`action` says what to do ("list", "replace", ...) in `section` ("providers", ...) with the object `name`.

    `id` is the front's own; `box` holds the body's JSON text, sealed for it, and is empty without a body. `request_id`,
    `key_hash` (the short digest of the administration key) and `client_address` are for the log.
    """

    id: str
    request_id: str
    front: str
    deadline_ms: int
    action: str
    section: str
    name: str
    key_hash: str
    client_address: str
    box: bytes = field(default=b"", repr=False)

    def encode(self) -> bytes:
        packed: bytes = msgpack.packb((FORMAT, asdict(self)))
        return packed

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Raises ValueError for another format's bytes."""
        version, values = msgpack.unpackb(data)
        if version != FORMAT:
            raise ValueError(f"administration request of format {version}; this worker reads {FORMAT}")
        return cls(**values)


@dataclass(frozen=True, slots=True)
class AdminAnswer:
    """`content` is JSON-like data, or text for an export; `error` stands in its place."""

    id: str
    content: Any = None
    error: GatewayError | None = None

    def encode(self) -> bytes:
        packed: bytes = msgpack.packb((self.id, self.content, self.error and self.error.to_data()))
        return packed

    @classmethod
    def decode(cls, data: bytes) -> Self:
        id_, content, error = msgpack.unpackb(data)
        return cls(id_, content, GatewayError.from_data(error) if error else None)
