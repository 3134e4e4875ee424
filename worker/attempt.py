"""One call of an upstream for a request, on a leased account: sent, heard, and settled exactly once."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import structlog

from shared.errors import GatewayError
from worker.accounts.learning import learn, read_retry_after
from worker.accounts.leases import Accounts, Lease
from worker.accounts.states import consequence
from worker.answer import Sink, UpstreamAnswer
from worker.completion import complete
from worker.deadline import TOTAL
from worker.faults import Fault, UpstreamError
from worker.metrics import WorkerMetrics
from worker.routing.route import Destination

_log = structlog.get_logger()

# What an upstream's support asks for: Anthropic, OpenAI, and whoever has Cloudflare in front, whose logs tell it why.
_REQUEST_IDS = ("request-id", "x-request-id", "cf-ray")


class Attempt:
    """`lease` is None where no account is needed: a caller's own key, or a provider without an upstream. `renew`, where
    set, gets the account another token when this one is refused.
    """

    def __init__(
        self,
        number: int,
        request_id: str,
        destination: Destination,
        lease: Lease | None,
        answer: UpstreamAnswer,
        accounts: Accounts,
        metrics: WorkerMetrics,
        renew: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self.number = number
        self.destination = destination
        self.lease = lease
        self.answer = answer
        self.renew = renew
        self._request_id = request_id
        self._accounts = accounts
        self._metrics = metrics
        self._read_out = False
        self._began = time.perf_counter()

    async def first(self) -> bytes | None:
        """The first content, None if the answer has none. Whatever it raises, the attempt is over: UpstreamError, or
        InvalidRequest for what this upstream cannot do.
        """
        provider = self.destination.provider.name
        self._metrics.attempted(provider)
        try:
            piece = await self.answer.first()
        except BaseException as error:
            await self.end(error)
            raise
        self._metrics.first_content(provider, time.perf_counter() - self._began)
        if self.lease is not None:
            self._accounts.recover(self.lease)
        return piece

    async def rest(self, out: Sink) -> None:
        """Passes on what follows. Raises UpstreamError."""
        await self.answer.rest(out)
        self._read_out = True

    def is_renewable(self, error: UpstreamError) -> bool:
        """Whether another token may be all that is needed."""
        return self.renew is not None and error.fault is Fault.CREDENTIAL_REJECTED

    async def end(self, error: BaseException | None = None) -> None:
        """Closes the upstream, and then settles the lease: by how it went, with what was used. An account's place is
        not free while its call runs, also when we are cancelled meanwhile.
        """
        try:
            if not self._read_out:
                await complete(self.answer.aclose())
        finally:
            self._settle(error)

    def _settle(self, error: BaseException | None) -> None:
        if isinstance(error, UpstreamError):
            self._fail(error)
            return
        usage = self.answer.usage or {}
        if isinstance(
            error, asyncio.CancelledError
        ):  # lost a race, or its client left: it may cost something all the same
            log = self._named_log()
            log.info("attempt cancelled", output_tokens=usage.get("completion_tokens"))
        if self.lease is not None:
            unsent = isinstance(error, GatewayError)  # refused before it was sent
            tokens = 0 if unsent else usage.get("total_tokens")
            lesson = learn(self.answer.response_headers, time.time())
            self._accounts.settle(self.lease, tokens=tokens, lesson=lesson, well=error is None)

    def _fail(self, error: UpstreamError) -> None:
        self._metrics.failed(self.destination.provider.name, error.fault)
        headers = self.answer.response_headers
        self._named_log().info(
            "attempt failed",
            fault=error.fault.value,
            retry_after_s=error.retry_after_s,
            upstream_request_id=next((headers[name] for name in _REQUEST_IDS if name in headers), None),
        )
        if self.lease is None:
            return
        only_long = self.answer.speaking and error.code == TOTAL  # a long answer says nothing ill of the account
        wait_s = error.retry_after_s if error.retry_after_s is not None else read_retry_after(headers, time.time())
        self._accounts.settle(
            self.lease,
            tokens=None if error.sent else 0,
            fault=error.fault,
            consequence=None if only_long or self.is_renewable(error) else consequence(error.fault, wait_s),
            lesson=learn(headers, time.time()),
            well=only_long,
        )

    def _named_log(self) -> Any:
        return _log.bind(
            request_id=self._request_id,
            attempt=self.number,
            provider=self.destination.provider.name,
            credential=self.lease.credential if self.lease else "",
            upstream_model=self.destination.model,
        )
