"""Drives a provider's exchange: the calls before the answer, and those that clean up after it."""

import asyncio

import structlog

from worker.config.provider import Timeouts
from worker.faults import UpstreamError
from worker.providers.contract import Answer, Ask, ChatCall, Credential, Provider, UpstreamRequest, UpstreamResponse
from worker.upstream import Upstream

_MOST_SIDE_BYTES = 4 * 1024 * 1024
_CLEAN_UP_S = 15.0
_log = structlog.get_logger()
_cleaning: set[asyncio.Task[None]] = set()


class Conversation:
    """One exchange. `request` is awaited once, `end` is called once, whatever happened between."""

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
        self._answering = False

    async def request(self) -> UpstreamRequest:
        """The request whose answer is the completion. Raises UpstreamError, InvalidRequest."""
        step = next(self._steps)
        while isinstance(step, Ask):
            step = self._steps.send(await self._ask(step, self._timeouts.first_token_s))
        self._answering = True
        return step.request

    async def _ask(self, step: Ask, total_s: float) -> UpstreamResponse:
        return await self._upstream.fetch(
            step.request,
            connect_s=self._timeouts.connect_s,
            total_s=total_s,
            most_bytes=_MOST_SIDE_BYTES,
            proxy=self._proxy,
        )

    def end(self) -> None:
        """Starts the clean-up, which goes on after the request has ended or its client has left."""
        if not self._answering:
            self._steps.close()
            return
        try:
            step = self._steps.send(None)
        except StopIteration:
            return
        task = asyncio.create_task(self._clean_up(step))
        _cleaning.add(task)
        task.add_done_callback(_cleaning.discard)

    async def _clean_up(self, step: Ask | Answer) -> None:
        try:
            while isinstance(step, Ask):
                step = self._steps.send(await self._ask(step, _CLEAN_UP_S))
        except StopIteration:
            return
        except UpstreamError as error:
            _log.warning("clean-up at the upstream failed", fault=error.fault.value)
