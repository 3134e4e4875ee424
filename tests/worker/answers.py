"""Reads upstreams' answers as a worker does."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from aiohttp import web

from worker.answer import UpstreamAnswer
from worker.config.provider import Timeouts
from worker.providers.contract import ChatCall, Credential, Settings
from worker.providers.registry import providers
from worker.upstream import Upstream
from worker.websocket import Socket


class Gathered:
    """Takes all that follows the first content, however much it is."""

    full = False

    def __init__(self) -> None:
        self.events: list[bytes] = []

    def emit(self, events: bytes) -> None:
        self.events.append(events)

    async def stream(self, events: bytes) -> None:
        self.events.append(events)

    async def drain(self) -> None:
        """There is room."""


async def everything(answer: UpstreamAnswer) -> bytes:
    """Raises what the answer raises."""
    gathered = Gathered()
    try:
        first = await answer.first()
        await answer.rest(gathered)
    finally:
        await answer.aclose()
    return b"".join([first or b"", *gathered.events])


@asynccontextmanager
async def answering(
    type_name: str,
    secret: Mapping[str, str],
    body: bytes,
    media: str,
    *,
    stream: bool,
    include_usage: bool = True,
    question: str = "hi",
) -> AsyncIterator[UpstreamAnswer]:
    """Of an upstream of this type that answers with this, whatever it is asked."""

    async def handle(_: web.Request) -> web.Response:
        return web.Response(body=body, content_type=media)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    provider, upstream = providers()[type_name], Upstream()
    settings = Settings("test", f"http://127.0.0.1:{runner.addresses[0][1]}", provider.options())
    asked = {"model": "m", "messages": [{"role": "user", "content": question}]}
    call = ChatCall(asked, "m", stream=stream, completion_id="chatcmpl-1", created=1, settings=settings)
    credential = Credential("c", secret)
    try:
        yield UpstreamAnswer(
            upstream, provider, call, credential, Timeouts(), include_usage=include_usage, most_bytes=1 << 20
        )
    finally:
        await upstream.aclose()
        await runner.cleanup()


async def answer_to(body: bytes, media: str, *, stream: bool) -> bytes:
    """What a client gets of an OpenAI-shaped upstream that answers with this. Raises what the answer raises."""
    async with answering("openai-compatible", {"api_key": "k"}, body, media, stream=stream) as answer:
        return await everything(answer)


async def messages_of(socket: Socket) -> list[bytes]:
    """All until the upstream closes. Raises what the socket raises."""
    messages: list[bytes] = []

    def take(message: bytes) -> bool:
        messages.append(message)
        return True

    await socket.pump(take)
    return messages
