"""What crosses Redis between front and worker: job envelopes, frames, control messages. msgpack, never pickle.

A *frame* belongs to (number, epoch, attempt): number counts a front's requests, epoch its enqueues of one request,
attempt the claims of one job. Frames of one such triple are numbered from 0. One PUBLISH carries a msgpack array of
the sender's name and any number of frames, each an array [number, epoch, attempt, sequence, kind, payload].
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from enum import IntEnum
from typing import Any, Self

import msgpack

PROTOCOL_VERSION = 1
MOST_PUBLISH_BYTES = 256 * 1024
"""Past Redis' pub/sub output limit a front is cut off, so nothing larger leaves in one PUBLISH."""
PART_BYTES = 64 * 1024
"""An answer that comes as one piece leaves in frames of this size."""


class Kind(IntEnum):
    START = 0  # {provider, attempts, queue_ms}: who answers
    CHUNK = 1  # ready SSE bytes: whole events, or a part of one that is larger than PART_BYTES
    RESULT = 2  # a part of a whole answer's JSON
    END = 3  # {done, usage, ...}: nothing follows
    ERROR = 4  # GatewayError.to_data(): nothing follows
    BEACON = 5  # [[number, epoch, attempt, next sequence], ...], once a second
    LOST = 6  # from the reaper: "died" or "poison"


Triple = tuple[str, int, int]
"""(rid, epoch, attempt): the identity of one run of a job."""


@dataclass(frozen=True, slots=True)
class JobEnvelope:
    """What a worker gets to know of a request. Prompts and sealed keys are in it: no repr shows them.

    `deadline_ms` is the unix time by which an upstream must have taken the request; `body` the client's own bytes.
    """

    request_id: str
    model: str
    stream: bool
    include_usage: bool
    enqueued_ms: int
    deadline_ms: int
    caller: str = ""
    caller_digest: str = ""
    body: bytes = field(default=b"", repr=False)
    sealed_key: bytes = field(default=b"", repr=False)

    def encode(self, epoch: int) -> bytes:
        """`<epoch>:` for the scripts, then the version and all fields."""
        values = [PROTOCOL_VERSION, *(getattr(self, name) for name in _ENVELOPE_FIELDS)]
        packed: bytes = msgpack.packb(values)
        return b"%d:%b" % (epoch, packed)

    @classmethod
    def decode(cls, data: bytes) -> tuple[Self, int]:
        """(envelope, epoch). Raises ValueError for another version's bytes."""
        epoch, _, packed = data.partition(b":")
        unpacked = msgpack.unpackb(packed)
        version, *values = unpacked if isinstance(unpacked, list) and unpacked else [None]
        if version != PROTOCOL_VERSION or len(values) != len(_ENVELOPE_FIELDS):
            raise ValueError(f"job envelope of protocol version {version}; this worker speaks {PROTOCOL_VERSION}")
        return cls(*values), int(epoch)


_ENVELOPE_FIELDS = tuple(f.name for f in fields(JobEnvelope))


_packer = msgpack.Packer()  # making one for each frame costs more than packing it


def encode_frame(number: int, epoch: int, attempt: int, sequence: int, kind: int, payload: Any) -> bytes:
    frame: bytes = _packer.pack((number, epoch, attempt, sequence, kind, payload))
    return frame


def encode_batch(sender: str, frames: Sequence[bytes]) -> bytes:
    """One PUBLISH's bytes."""
    return b"".join((_packer.pack_array_header(1 + len(frames)), _packer.pack(sender), *frames))


def decode_batch(data: bytes) -> list[Any]:
    """The sender's name, then each frame as a list."""
    batch: list[Any] = msgpack.unpackb(data)
    return batch


def encode_control(verb: str, *arguments: Any) -> bytes:
    """A message to a worker: ("cancel", rid, epoch, attempt), ("replay", rid, epoch, attempt, from sequence) or
    ("acknowledge", [[rid, epoch, attempt, next sequence], ...]); a next sequence of -1 says that nobody waits.
    """
    message: bytes = msgpack.packb((verb, *arguments))
    return message


def decode_control(data: bytes) -> list[Any]:
    message: list[Any] = msgpack.unpackb(data)
    return message
