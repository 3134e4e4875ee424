"""What crosses Redis arrives as it was sent, and shows no prompt to anybody who prints it."""

from dataclasses import astuple
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.frames import (
    PROTOCOL_VERSION,
    JobEnvelope,
    Kind,
    decode_batch,
    decode_control,
    encode_batch,
    encode_control,
    encode_frame,
)
from shared.names import split_rid

counts = st.integers(0, 2**63 - 1)
texts = st.text(max_size=20)
envelopes = st.builds(
    JobEnvelope,
    request_id=texts,
    model=texts,
    stream=st.booleans(),
    include_usage=st.booleans(),
    enqueued_ms=counts,
    deadline_ms=counts,
    caller=texts,
    caller_digest=texts,
    body=st.binary(max_size=2000),
    sealed_key=st.binary(max_size=100),
)
plain = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**63), 2**64 - 1), st.floats(allow_nan=False), texts, st.binary()
)
payloads = st.recursive(plain, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4))
frames = st.lists(st.tuples(counts, counts, counts, counts, st.sampled_from(Kind), payloads), max_size=8)


@given(envelopes, counts)
def test_an_envelope_and_its_epoch_come_back(envelope: JobEnvelope, epoch: int) -> None:
    assert JobEnvelope.decode(envelope.encode(epoch)) == (envelope, epoch)


@given(envelopes, counts)
def test_scripts_can_read_the_epoch(envelope: JobEnvelope, epoch: int) -> None:
    assert envelope.encode(epoch).split(b":", 1)[0] == str(epoch).encode()


@given(st.one_of(st.binary(max_size=60), st.integers(2, 9).map(lambda version: msgpack.packb([version]))))
def test_other_bytes_are_a_value_error(data: bytes) -> None:
    """Of another version, or damaged: the worker answers for it, and lives."""
    with pytest.raises(ValueError):  # noqa: PT011  each damage has its own words
        JobEnvelope.decode(b"0:" + data)


@given(envelopes, st.data())
def test_a_damaged_envelope_is_a_value_error_or_another_envelope(envelope: JobEnvelope, data: st.DataObject) -> None:
    encoded = envelope.encode(0)
    end = data.draw(st.integers(2, len(encoded) - 1))
    with pytest.raises(ValueError):  # noqa: PT011  each damage has its own words
        JobEnvelope.decode(encoded[:end])


def test_another_version_is_named() -> None:
    other = msgpack.packb([PROTOCOL_VERSION + 1, *astuple(JobEnvelope("r", "m", True, True, 1, 2))])
    with pytest.raises(ValueError, match=f"version {PROTOCOL_VERSION + 1}"):
        JobEnvelope.decode(b"0:" + other)


def test_a_repr_shows_neither_prompt_nor_key() -> None:
    shown = repr(JobEnvelope("r", "m", True, True, 1, 2, body=b"canary-prompt", sealed_key=b"canary-key"))
    assert "canary" not in shown


@given(texts, frames)
def test_a_batch_comes_back(sender: str, written: list[tuple[Any, ...]]) -> None:
    batch = decode_batch(encode_batch(sender, [encode_frame(*frame) for frame in written]))
    assert batch == [sender, *(list(frame) for frame in written)]


@given(texts, st.lists(payloads, max_size=4))
def test_a_control_message_comes_back(verb: str, arguments: list[Any]) -> None:
    assert decode_control(encode_control(verb, *arguments)) == [verb, *arguments]


@given(st.text(min_size=1), counts)
def test_a_rid_tells_its_front_and_number(front: str, number: int) -> None:
    assert split_rid(f"{front}.{number}") == (front, number)
