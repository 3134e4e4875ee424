"""Stops listening without a reset for any connection that the kernel has taken, or is taking, for us."""

import asyncio
import contextlib
import ctypes
import select
import socket
import struct
from collections.abc import Sequence
from typing import Final

_HANDSHAKE_S: Final = 0.01
_SO_ATTACH_FILTER: Final = 26  # Linux; Python does not name it
# For the kernel's packet filter: load byte 13 of the TCP header, its flags; drop the packet if SYN is among them.
_DROP_SYN: Final = ((0x30, 0, 0, 13), (0x45, 0, 1, 0x02), (0x06, 0, 0, 0), (0x06, 0, 0, 0xFFFFFFFF))


async def turn_away(listeners: Sequence[socket.socket]) -> None:
    """Returns at a moment when nobody waits to be accepted: close them in that moment.

    Closing resets who waits, and nginx would not send a POST again that it has sent. So nobody new is let in before,
    where the kernel can do that. A peer that gets no answer tries once more after a second, finds the port closed, and
    goes to another front.
    """
    for listener in listeners:
        with contextlib.suppress(OSError):  # elsewhere some microseconds remain in which one may come
            _drop_syns(listener)
    await asyncio.sleep(_HANDSHAKE_S)  # for those who have begun to connect
    waiting = select.poll()
    for listener in listeners:
        waiting.register(listener.fileno(), select.POLLIN)
    while waiting.poll(0):  # noqa: ASYNC110  the loop accepts one after another, and tells nobody
        await asyncio.sleep(0)


def _drop_syns(listener: socket.socket) -> None:
    program = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *step) for step in _DROP_SYN))
    filter_ = struct.pack("HL", len(_DROP_SYN), ctypes.addressof(program))
    listener.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, filter_)
