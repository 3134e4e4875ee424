"""A socket that stops listening, on real connections."""

import asyncio
import errno
import socket

from api.listener import turn_away


class Counting(asyncio.Protocol):
    made = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.made += 1


async def test_who_waits_is_accepted_and_who_comes_later_is_refused() -> None:
    """Neither is reset after it was let in: what it had sent by then would be lost."""
    loop = asyncio.get_running_loop()
    protocol = Counting()
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket() as late:
        address = listener.getsockname()
        waiting = [socket.create_connection(address) for _ in range(5)]
        server = await loop.create_server(lambda: protocol, sock=listener)
        await turn_away(server.sockets)
        assert protocol.made == len(waiting)
        late.setblocking(False)
        assert late.connect_ex(address) == errno.EINPROGRESS
        server.close()
        refused = asyncio.Event()
        loop.add_writer(late, refused.set)
        await refused.wait()
        loop.remove_writer(late)
        assert late.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.ECONNREFUSED
    for connection in waiting:
        connection.close()
