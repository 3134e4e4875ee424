"""POST /v1/chat/completions. A plain ASGI callable: this is the path that costs."""

import asyncio
import time
from http import HTTPStatus

from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from api.auth import Caller, authenticate
from api.body import read_body
from api.models import resolve_model
from api.pending import Pending
from api.protocol import WRITE
from api.record import Outcome, RequestRecord, log_request, log_start
from api.reply import Reply
from api.state import FrontState
from shared.catalogue import Catalogue, FrontPolicy, ModelEntry
from shared.chat import ChatHead, validate_chat
from shared.errors import GatewayError, InvalidRequest
from shared.frames import JobEnvelope
from shared.sealing import seal

_SEALED_BEYOND_DEADLINE_S = 900.0


class ChatCompletions:
    def __init__(self, state: FrontState) -> None:
        self._state = state

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        began = time.perf_counter()
        client = scope.get("client")
        request_id = scope["state"]["request_id"]
        record = RequestRecord(request_id, client[0] if client else "", scope["method"], scope["path"])
        log_start(record)
        catalogue = self._state.catalogue.current
        write = scope.get("extensions", {}).get(WRITE, {}).get("write")
        reply = Reply(send, catalogue.front if catalogue else FrontPolicy(), write)
        try:
            await self._answer(record, scope, receive, reply, catalogue)
        except GatewayError as error:
            record.outcome = Outcome.REFUSED
            await reply.fail(error)
        except ClientDisconnect:
            record.outcome = Outcome.CANCELLED
        except BaseException:  # it is answered further out
            record.outcome = Outcome.BROKEN if reply.status else Outcome.FAILED
            record.error_code = "internal_error"
            reply.status = reply.status or HTTPStatus.INTERNAL_SERVER_ERROR.value
            raise
        finally:
            _complete(record, reply, began)
            log_request(record)
            self._state.metrics.observe(record)

    async def _answer(
        self,
        record: RequestRecord,
        scope: Scope,
        receive: Receive,
        reply: Reply,
        catalogue: Catalogue | None,
    ) -> None:
        """Raises GatewayError for what is refused before it is queued."""
        headers: dict[bytes, bytes] = dict(scope["headers"])
        caller = authenticate(headers, catalogue)
        assert catalogue is not None  # authenticate raises otherwise
        record.key_hash = caller.short_digest
        if caller.own_key is not None and catalogue.passthrough is not None and catalogue.passthrough.typed_errors:
            reply.own_fault_type = "internal_error"
        raw = await read_body(headers, receive, catalogue.front)
        head = validate_chat(raw)
        if head.stream and scope["http_version"] == "1.0":
            raise _too_old()
        model = resolve_model(head.model, caller, catalogue)
        record.model, record.streamed = model.id, head.stream
        pending = await self._submit(record.request_id, raw, head, model, caller, catalogue)
        watch = asyncio.create_task(_watch(receive, pending))
        complete = False
        try:
            complete = await (reply.stream(pending) if head.stream else reply.whole(pending))
        finally:
            watch.cancel()
            self._state.relay.finish(pending, complete=complete)
            record.outcome = _outcome(reply, left=pending.left)
            record.time_to_first_token_s = reply.first_content_at and reply.first_content_at - pending.born

    async def _submit(
        self, request_id: str, raw: bytes, head: ChatHead, model: ModelEntry, caller: Caller, catalogue: Catalogue
    ) -> Pending:
        wait_s = caller.policy.queue_wait_s or model.queue_wait_s
        now_ms = time.time_ns() // 1_000_000
        deadline_ms = now_ms + round(wait_s * 1000)

        def envelope(rid: str) -> JobEnvelope:
            return JobEnvelope(
                request_id=request_id,
                model=model.id,
                stream=head.stream,
                include_usage=head.include_usage,
                enqueued_ms=now_ms,
                deadline_ms=deadline_ms,
                caller=caller.policy.name,
                caller_digest=caller.short_digest,
                body=raw,
                sealed_key=_seal(caller, rid, catalogue, deadline_ms),
            )

        return await self._state.relay.submit(envelope, catalogue.queue)


def _seal(caller: Caller, rid: str, catalogue: Catalogue, deadline_ms: int) -> bytes:
    if caller.own_key is None or catalogue.passthrough is None:
        return b""
    return seal(
        catalogue.sealing_key,
        catalogue.sealing_key_id,
        caller.own_key,
        rid=rid,
        provider=catalogue.passthrough.provider,
        expires_at_s=deadline_ms / 1000 + _SEALED_BEYOND_DEADLINE_S,
    )


def _too_old() -> InvalidRequest:
    """Its end could not be told from a connection that broke: HTTP/1.0 has no chunks."""
    return InvalidRequest(
        "A stream needs HTTP/1.1. Behind nginx, set 'proxy_http_version 1.1'; or ask without 'stream'.",
        status=HTTPStatus.UPGRADE_REQUIRED,
        param="stream",
        code="http_version_not_supported",
    )


async def _watch(receive: Receive, pending: Pending) -> None:
    """Notices at once that the client has left."""
    while (await receive())["type"] != "http.disconnect":
        pass
    pending.leave()


def _outcome(reply: Reply, *, left: bool) -> Outcome:
    if left:
        return Outcome.CANCELLED
    if reply.error is None:
        return Outcome.COMPLETED
    return Outcome.BROKEN if reply.first_content_at else Outcome.FAILED


def _complete(record: RequestRecord, reply: Reply, began: float) -> None:
    record.status = reply.status
    record.duration_s = time.perf_counter() - began
    record.provider = reply.about.get("provider", "")
    record.attempts = reply.about.get("attempts", 0)
    if "queue_ms" in reply.about:
        record.queue_wait_s = reply.about["queue_ms"] / 1000
    usage = reply.end.get("usage") or {}
    record.input_tokens = usage.get("prompt_tokens")
    record.output_tokens = usage.get("completion_tokens")
    if reply.error is not None:
        record.error_code = reply.error.code or ""
