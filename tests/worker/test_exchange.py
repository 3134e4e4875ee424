"""Exchanges over real sockets: what they create at an upstream is removed, however the request ends."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from worker.answer import UpstreamAnswer
from worker.config.provider import Timeouts
from worker.exchange import Conversation, clean_ups_ended
from worker.faults import Fault, UpstreamError
from worker.providers.contract import ChatCall, Credential, Provider, Settings
from worker.providers.registry import providers
from worker.upstream import Upstream


class Site:
    """A site as far as it creates and deletes chats. A closed `gate` holds whatever is posted to it back."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.gate.set()
        self.creating = asyncio.Event()
        self.deleted = asyncio.Event()
        self.calls: list[str] = []
        self.hangs_up = False  # on whatever is posted
        self.created: object = {"success": True, "data": {"id": "chat-7"}}

    async def handle(self, request: web.Request) -> web.Response:
        self.calls.append(f"{request.method} {request.path}")
        if request.method == "DELETE":
            self.deleted.set()
            return web.json_response({"success": True})
        if self.hangs_up and request.transport is not None:
            request.transport.close()
        self.creating.set()
        await self.gate.wait()
        return web.json_response(self.created, headers={"cf-ray": "9decc2d52b8f1571-FRA"})


@contextlib.asynccontextmanager
async def serving(site: Site) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", site.handle)
    runner = web.AppRunner(app, handler_cancellation=False)
    await runner.setup()
    port_of = web.TCPSite(runner, "127.0.0.1", 0)
    await port_of.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@contextlib.asynccontextmanager
async def asking(site: Site, type_name: str) -> AsyncIterator[tuple[Upstream, Provider, ChatCall, Credential]]:
    provider = providers()[type_name]
    upstream = Upstream()
    async with serving(site) as url:
        settings = Settings("test", url, provider.options())
        body = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
        call = ChatCall(body, "m", stream=True, completion_id="chatcmpl-1", created=1, settings=settings)
        credential = Credential("c", {"token": "t", "cookie": "sessionKey=k", "organization_id": "o"})
        try:
            yield upstream, provider, call, credential
        finally:
            await clean_ups_ended()
            await upstream.aclose()


@contextlib.asynccontextmanager
async def conversation(
    site: Site, timeouts: Timeouts | None = None, type_name: str = "qwen-web"
) -> AsyncIterator[Conversation]:
    async with asking(site, type_name) as parts:
        yield Conversation(*parts, timeouts or Timeouts(), None)


CREATED, DELETED = "POST /api/v2/chats/new", "DELETE /api/v2/chats/chat-7"


async def test_a_conversation_is_deleted_after_its_answer() -> None:
    """`end` returns at once; the deletion goes on behind it."""
    site = Site()
    async with conversation(site) as talk:
        request = await talk.request()
        assert request.url.endswith("/chat/completions?chat_id=chat-7")
        assert not talk.refusal_headers
        talk.end()
        async with asyncio.timeout(5):
            await site.deleted.wait()
    assert site.calls == [CREATED, DELETED]


async def leave_during_creation(site: Site, talk: Conversation) -> None:
    """The client is gone before its chat is there; then it is."""
    site.gate.clear()
    asking = asyncio.create_task(talk.request())
    await site.creating.wait()
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    talk.end()
    site.gate.set()


async def test_a_client_that_leaves_during_the_creation_leaves_nothing_behind() -> None:
    """Its chat is created all the same, so it is awaited and deleted, and no question is asked in it."""
    site = Site()
    async with conversation(site) as talk:
        await leave_during_creation(site, talk)
        async with asyncio.timeout(5):
            await site.deleted.wait()
    assert site.calls == [CREATED, DELETED]


async def test_a_creation_that_takes_too_long_leaves_nothing_behind() -> None:
    """The limit for the first token counts the calls before the question too; the chat that comes late is deleted."""
    site = Site()
    site.gate.clear()
    async with conversation(site, Timeouts(first_token_s=0.2)) as talk:
        with pytest.raises(UpstreamError) as caught:
            await talk.request()
        talk.end()
        site.gate.set()
        async with asyncio.timeout(5):
            await site.deleted.wait()
    assert (caught.value.fault, caught.value.code) == (Fault.TIMED_OUT, "first_token_timeout")
    assert site.calls == [CREATED, DELETED]


async def test_a_refused_creation_leaves_nothing_to_delete() -> None:
    """The refusal is told, and the clean-up asks nothing."""
    site = Site()
    site.created = {"success": False, "data": {"code": "Unauthorized", "details": "x"}}
    async with conversation(site) as talk:
        with pytest.raises(UpstreamError) as caught:
            await talk.request()
        talk.end()
    assert caught.value.fault is Fault.CREDENTIAL_REJECTED
    assert site.calls == [CREATED]


async def test_an_answer_that_failed_before_its_question_has_the_headers_of_the_refusal() -> None:
    """They hold the id that the site gave the call; those of a call that went well are nobody's fault."""
    site = Site()
    site.created = {"success": False, "data": {"code": "Unauthorized", "details": "x"}}
    async with asking(site, "qwen-web") as parts:
        answer = UpstreamAnswer(*parts, Timeouts(), include_usage=False, most_bytes=1 << 20)
        with pytest.raises(UpstreamError):
            await answer.first()
    assert answer.response_headers["cf-ray"] == "9decc2d52b8f1571-FRA"


async def test_a_creation_that_is_refused_after_the_client_left_is_no_failure() -> None:
    """Nobody waits for it any more."""
    site = Site()
    site.created = {"success": False, "data": {"code": "Unauthorized", "details": "x"}}
    async with conversation(site) as talk:
        await leave_during_creation(site, talk)
    assert site.calls == [CREATED]


async def test_a_side_answer_of_another_shape_is_the_upstreams_error() -> None:
    """Never an exception that nobody expects."""
    site = Site()
    site.created = {"success": False, "data": {"code": "RateLimited", "num": {"hours": 1}, "details": 3}, "error": 4}
    async with conversation(site) as talk:
        with pytest.raises(UpstreamError):
            await talk.request()
        talk.end()


@pytest.mark.parametrize("left", [False, True])
async def test_an_answer_that_nobody_hears_is_stopped_before_its_chat_is_deleted(*, left: bool) -> None:
    """A site that answers on would use up the account's plan; one that has answered is not asked to stop."""
    site = Site()
    async with conversation(site, type_name="claude-web") as talk:
        asked = (await talk.request()).url.removesuffix("/completion")
        talk.end(left=left)
    chat = asked[asked.index("/api/") :]
    stopped = [f"POST {chat}/stop_response"] if left else []
    assert site.calls == ["POST /api/organizations/o/chat_conversations", *stopped, f"DELETE {chat}"]


async def test_a_stop_that_fails_leaves_nothing_behind() -> None:
    """The chat is deleted all the same."""
    site = Site()
    async with conversation(site, type_name="claude-web") as talk:
        await talk.request()
        site.hangs_up = True
        talk.end(left=True)
    assert [call.partition(" ")[0] for call in site.calls] == ["POST", "POST", "DELETE"]
