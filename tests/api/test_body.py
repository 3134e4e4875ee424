import asyncio
import gzip
import zlib
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive

from api.body import check_content_type, read_body
from shared.catalogue import FrontPolicy
from shared.errors import GatewayError

JSON = {b"content-type": b"application/json"}
SMALL = FrontPolicy(max_body_bytes=100, body_timeout_s=0.01)


def deliver(parts: Iterable[bytes], *, ends: bool = True) -> Receive:
    """A client that sends these parts, then is silent or done."""
    messages: list[Message] = [{"type": "http.request", "body": part, "more_body": True} for part in parts]
    if ends:
        messages.append({"type": "http.request", "body": b"", "more_body": False})
    waiting = iter(messages)

    async def receive() -> Message:
        for message in waiting:
            return message
        return await asyncio.get_running_loop().create_future()  # type: ignore[no-any-return]  # never comes

    return receive


async def refuse(headers: dict[bytes, bytes], receive: Receive, policy: FrontPolicy = SMALL) -> GatewayError:
    with pytest.raises(GatewayError) as caught:
        await read_body(headers, receive, policy)
    return caught.value


@given(st.lists(st.binary(max_size=40), max_size=8))
async def test_parts_are_joined(parts: list[bytes]) -> None:
    assert await read_body(JSON, deliver(parts), FrontPolicy()) == b"".join(parts)


@pytest.mark.parametrize(
    ("coding", "compress"),
    [
        (b"gzip", gzip.compress),
        (b"x-gzip", gzip.compress),
        (b"GZIP", gzip.compress),
        (b"deflate", zlib.compress),
        (b"deflate", lambda data: zlib.compress(data, wbits=-15)),
        (b"identity", bytes),
    ],
)
async def test_a_compressed_body_is_decompressed(coding: bytes, compress: type[bytes]) -> None:
    body = b'{"a": "%b"}' % (b"x" * 50)
    assert await read_body(JSON | {b"content-encoding": coding}, deliver([compress(body)]), SMALL) == body


@pytest.mark.parametrize("size", [99, 100])
async def test_a_body_of_just_the_limit_passes(size: int) -> None:
    assert len(await read_body(JSON, deliver([b"x" * size]), SMALL)) == size
    assert (
        len(
            await read_body(
                JSON | {b"content-encoding": b"gzip"}, deliver([gzip.compress(b"x" * size, mtime=0)]), SMALL
            )
        )
        == size
    )


async def test_a_declared_length_above_the_limit_is_413_before_anything_is_read() -> None:
    error = await refuse(JSON | {b"content-length": b"101"}, deliver([], ends=False))
    assert error.status == 413


async def test_a_body_that_grows_above_the_limit_is_413() -> None:
    assert (await refuse(JSON, deliver([b"x" * 60, b"x" * 60], ends=False))).status == 413


async def test_a_bomb_is_413() -> None:
    bomb = gzip.compress(b"x" * 50_000_000, mtime=0)
    policy = FrontPolicy(max_body_bytes=10_000_000)
    assert (await refuse(JSON | {b"content-encoding": b"gzip"}, deliver([bomb]), policy)).status == 413


@pytest.mark.parametrize(
    ("coding", "raw"),
    [
        (b"gzip", b"no gzip at all"),
        (b"gzip", gzip.compress(b"hello", mtime=0)[:-1]),
        (b"gzip", gzip.compress(b"hello", mtime=0) + b"trailing"),
        (b"gzip", b""),
        (b"deflate", b"\xff\xff"),
    ],
)
async def test_damaged_compression_is_400(coding: bytes, raw: bytes) -> None:
    error = await refuse(JSON | {b"content-encoding": coding}, deliver([raw]))
    assert (error.status, error.code) == (400, "invalid_encoding")


@pytest.mark.parametrize("coding", [b"br", b"zstd", b"gzip, gzip", b"chunked", b"\xff"])
async def test_another_coding_is_415(coding: bytes) -> None:
    assert (await refuse(JSON | {b"content-encoding": coding}, deliver([b"{}"]))).status == 415


async def test_a_client_that_stops_half_way_is_408() -> None:
    error = await refuse(JSON, deliver([b'{"half'], ends=False))
    assert error.status == 408
    assert "6 bytes" in error.message


async def test_a_client_that_leaves_is_told_nothing() -> None:
    async def receive() -> Message:
        return {"type": "http.disconnect"}

    with pytest.raises(ClientDisconnect):
        await read_body(JSON, receive, SMALL)


@pytest.mark.parametrize(
    "content_type",
    [
        b"application/json",
        b"Application/JSON; charset=UTF-8",
        b'application/json;charset="utf-8"',
        b"application/json ; a=b",
    ],
)
def test_json_in_utf8_is_accepted(content_type: bytes) -> None:
    check_content_type(content_type)


@pytest.mark.parametrize(
    "content_type",
    [
        b"",
        b"text/plain",
        b"application/x-www-form-urlencoded",
        b"multipart/form-data; boundary=x",
        b"application/jsonx",
        b"application/json; charset=utf-16",
        b"application/json; charset=latin1",
        b"\xff",
    ],
)
def test_another_content_type_is_415_and_says_what_to_send(content_type: bytes) -> None:
    with pytest.raises(GatewayError, match="Content-Type: application/json") as caught:
        check_content_type(content_type)
    assert caught.value.status == 415
