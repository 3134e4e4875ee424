"""Drives a provider's exchange: the calls before the answer, and those that clean up after it."""

import asyncio
import contextlib
from collections.abc import Coroutine, Mapping
from typing import Any

import structlog

from worker.config.provider import Timeouts
from worker.deadline import FIRST_TOKEN, Deadline
from worker.faults import MISSHAPEN, UpstreamError, misshapen
from worker.providers.contract import Answer, Ask, ChatCall, Credential, Provider, UpstreamRequest, UpstreamResponse
from worker.upstream import Upstream

_MOST_SIDE_BYTES = 4 * 1024 * 1024
_CLEAN_UP_S = 15.0
_log = structlog.get_logger()
_cleaning: set[asyncio.Task[None]] = set()


class Conversation:
    """One exchange. `request` is awaited once, at once; `end` is called once, whatever happened between."""

    def __init__(
        self,
        upstream: Upstream,
        provider: Provider,
        call: ChatCall,
        credential: Credential,
        timeouts: Timeouts,
        proxy: str | None,
    ) -> None:
        self._upstream = upstream
        self._timeouts = timeouts
        self._proxy = proxy
        self._steps = provider.exchange(call, credential)
        self.refusal_headers: Mapping[str, str] = {}
        """Of the call before the question that was refused."""
        self._answer: Answer | None = None
        self._creating: asyncio.Task[UpstreamResponse] | None = None
        self._deadline = Deadline(timeouts.total_s)
        self._deadline.expect(FIRST_TOKEN, timeouts.first_token_s)

    async def request(self) -> UpstreamRequest:
        """The request whose answer is the completion. Raises UpstreamError, InvalidRequest."""
        step = next(self._steps)
        while isinstance(step, Ask):
            reply = await self._reply(step)
            self.refusal_headers = reply.headers
            step = self._resume(reply)
            self.refusal_headers = {}
        self._answer = step
        return step.request

    async def _reply(self, step: Ask) -> UpstreamResponse:
        """What creates something runs on though we are cancelled or late: `end` must know what to remove."""
        asking = asyncio.ensure_future(self._ask(step, self._timeouts.first_token_s + _CLEAN_UP_S))
        if step.creates:
            self._creating = asking
        try:
            async with asyncio.timeout(self._deadline.remaining_s):
                reply = await (asyncio.shield(asking) if step.creates else asking)
        except TimeoutError:
            raise self._deadline.error() from None
        self._creating = None
        return reply

    def _resume(self, reply: UpstreamResponse | None) -> Ask | Answer:
        try:
            return self._steps.send(reply)
        except MISSHAPEN as error:
            raise misshapen() from error

    async def _ask(self, step: Ask, total_s: float) -> UpstreamResponse:
        return await self._upstream.fetch(
            step.request,
            connect_s=self._timeouts.connect_s,
            total_s=total_s,
            most_bytes=_MOST_SIDE_BYTES,
            proxy=self._proxy,
        )

    def end(self, *, left: bool = False) -> None:
        """Starts the clean-up, which goes on after the request has ended or its client has left. `left` says that the
        upstream was asked and may still be answering.
        """
        if self._creating is not None:
            _start(self._remove_unasked(self._creating))
        elif self._answer is None:
            self._steps.close()
        elif left and self._answer.stop is not None:
            _start(self._stop(self._answer, self._answer.stop))
        else:
            with contextlib.suppress(StopIteration):
                _start(self._clean_up(self._resume(None)))

    async def _stop(self, answer: Answer, stop: UpstreamRequest) -> None:
        try:
            await self._ask(Ask(stop), _CLEAN_UP_S)
        except UpstreamError as error:
            _log.warning("stopping an answer at the upstream failed", fault=error.fault.value)
        await self._clean_up(answer)

    async def _remove_unasked(self, creating: asyncio.Task[UpstreamResponse]) -> None:
        """The request ended before the question: what was just created is removed without asking it."""
        try:
            step = self._resume(await creating)
        except (UpstreamError, StopIteration):
            return  # nothing was created
        await self._clean_up(step)

    async def _clean_up(self, step: Ask | Answer) -> None:
        """From this step to the end; a question is passed over."""
        try:
            while True:
                step = self._resume(await self._ask(step, _CLEAN_UP_S) if isinstance(step, Ask) else None)
        except StopIteration:
            return
        except UpstreamError as error:
            _log.warning("clean-up at the upstream failed", fault=error.fault.value)


def _start(work: Coroutine[Any, Any, None]) -> None:
    task = asyncio.create_task(work)
    _cleaning.add(task)
    task.add_done_callback(_cleaning.discard)


async def clean_ups_ended() -> None:
    """Waits for the clean-ups that are under way, but not for ever; for a worker that shuts down."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_CLEAN_UP_S):
            while _cleaning:
                await asyncio.wait(_cleaning)
