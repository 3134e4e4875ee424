"""One log line for each request of a route that writes none itself."""

import time
from typing import Final

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.record import Outcome, RequestRecord, log_request, log_start

# Supervisors ask for these every second or so.
_PROBES: Final = {"/livez", "/readyz", "/health"}


class Access:
    """Inside Boundary, which gives requests their ids. `self_logging` are the (method, path) pairs to leave alone.

    A probe's line is written at debug level only. A route may put its caller's short digest in `state["key_hash"]`.
    """

    def __init__(self, app: ASGIApp, self_logging: frozenset[tuple[str, str]]) -> None:
        self.app = app
        self._self_logging = self_logging

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or (scope["method"], scope["path"]) in self._self_logging:
            await self.app(scope, receive, send)
            return
        began = time.perf_counter()
        state, client = scope["state"], scope.get("client")
        record = RequestRecord(state["request_id"], client[0] if client else "", scope["method"], scope["path"])
        log_start(record)

        async def note_status(message: Message) -> None:
            if message["type"] == "http.response.start":
                record.status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, note_status)
            record.outcome = Outcome.COMPLETED if record.status < 400 else Outcome.REFUSED  # noqa: PLR2004  HTTP's first error
        except ClientDisconnect:
            record.outcome = Outcome.CANCELLED
            raise
        except Exception:
            record.status, record.outcome = record.status or 500, Outcome.FAILED
            raise
        finally:
            record.duration_s = time.perf_counter() - began
            record.key_hash = state.get("key_hash", "")
            if scope["path"] not in _PROBES:
                log_request(record)
