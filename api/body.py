"""Reads a request's body: bounded in size and time, whatever the client does."""

import asyncio
import zlib
from collections.abc import Mapping
from typing import Final

from starlette.requests import ClientDisconnect
from starlette.types import Receive

from shared.catalogue import FrontPolicy
from shared.errors import GatewayError, InvalidRequest, PayloadTooLarge

# A large body on a slow line gets more time as it arrives; a client that stops does not.
_SLOWEST_BYTES_PER_S: Final = 16 * 1024
# zlib's window sizes for each coding: 47 takes a gzip or a zlib header, -15 none, as some clients send deflate.
_WINDOWS: Final = {b"gzip": (47,), b"x-gzip": (47,), b"deflate": (47, -15)}


async def read_body(headers: Mapping[bytes, bytes], receive: Receive, policy: FrontPolicy) -> bytes:
    """The decoded body. `headers` as ASGI gives them, names in lower case.

    Raises GatewayError 415 for another content type or coding, PayloadTooLarge, GatewayError 408 when the client
    stops sending, InvalidRequest for a broken gzip, and ClientDisconnect.
    """
    check_content_type(headers.get(b"content-type", b""))
    windows = _find_windows(headers.get(b"content-encoding", b"").strip().lower())
    declared = headers.get(b"content-length", b"")
    if declared.isdigit() and int(declared) > policy.max_body_bytes:
        raise _too_large(policy.max_body_bytes)
    raw = await _receive_all(receive, policy)
    return _decompress(raw, windows, policy.max_body_bytes) if windows else raw


def check_content_type(content_type: bytes) -> None:
    """Raises GatewayError 415 for all but JSON in UTF-8.

    A missing type is refused too: a browser sends such a request to a loopback gateway from any web page, unasked.
    """
    kind, *parameters = content_type.lower().split(b";")
    charsets = [
        value.strip(b'" ') for name, _, value in (p.partition(b"=") for p in parameters) if name.strip() == b"charset"
    ]
    if kind.strip() != b"application/json" or any(charset not in {b"utf-8", b"utf8"} for charset in charsets):
        raise _unsupported("Send the body as JSON in UTF-8, with the header 'Content-Type: application/json'.")


def _find_windows(coding: bytes) -> tuple[int, ...]:
    if coding in {b"", b"identity"}:
        return ()
    windows = _WINDOWS.get(coding)
    if windows is None:
        raise _unsupported("Send the body uncompressed, or with 'Content-Encoding: gzip' or 'deflate'.")
    return windows


async def _receive_all(receive: Receive, policy: FrontPolicy) -> bytes:
    parts: list[bytes] = []
    size = 0
    start = asyncio.get_running_loop().time() + policy.body_timeout_s
    try:
        async with asyncio.timeout_at(start) as clock:
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise ClientDisconnect
                part = message.get("body", b"")
                size += len(part)
                if size > policy.max_body_bytes:
                    raise _too_large(policy.max_body_bytes)
                parts.append(part)
                if not message.get("more_body", False):
                    return b"".join(parts)
                clock.reschedule(start + size / _SLOWEST_BYTES_PER_S)
    except TimeoutError:
        raise GatewayError(
            f"The request's body did not arrive in time: {size} bytes came, then the client stopped. Send it whole.",
            status=408,
            type="invalid_request_error",
            code="request_timeout",
        ) from None


def _decompress(raw: bytes, windows: tuple[int, ...], most_bytes: int) -> bytes:
    """Tries each way to read it; never makes more than `most_bytes` plus one of it."""
    for window in windows:
        stream = zlib.decompressobj(window)
        try:
            data = stream.decompress(raw, most_bytes + 1)
        except zlib.error:
            continue
        if len(data) > most_bytes:
            raise _too_large(most_bytes)
        if stream.eof and not stream.unused_data:
            return data
    raise InvalidRequest(
        "The compressed body is damaged or incomplete. Send it whole, or uncompressed.", code="invalid_encoding"
    )


def _too_large(most_bytes: int) -> PayloadTooLarge:
    return PayloadTooLarge(
        f"The request's body is larger than {most_bytes} bytes. Send less: fewer messages, or images by URL."
    )


def _unsupported(what_to_do: str) -> GatewayError:
    return GatewayError(what_to_do, status=415, type="invalid_request_error", code="unsupported_media_type")
