"""What is known of one request in the end: one log line, and what the metrics count."""

from dataclasses import dataclass
from enum import StrEnum

import structlog

_log = structlog.get_logger()


class Outcome(StrEnum):
    COMPLETED = "completed"  # the whole answer was sent
    REFUSED = "refused"  # an error, and no upstream was asked
    FAILED = "failed"  # an error instead of an answer, after an upstream was asked
    BROKEN = "broken"  # an error after a part of the answer
    CANCELLED = "cancelled"  # the client left


@dataclass(slots=True)
class RequestRecord:
    """Filled while the request runs. None and "" say that it is not known or did not come to it.

    `model` is a name that the catalogue accepts, never one that was merely asked for; `key_hash` the short digest of
    the caller's key; `error_code` that of the GatewayError which the client was told. Times in s.
    """

    request_id: str
    client_address: str
    method: str
    path: str
    status: int = 0
    key_hash: str = ""
    model: str = ""
    provider: str = ""
    streamed: bool = False
    attempts: int = 0
    queue_wait_s: float | None = None
    time_to_first_token_s: float | None = None
    duration_s: float = 0.0
    input_tokens: int | None = None
    output_tokens: int | None = None
    outcome: Outcome = Outcome.COMPLETED
    error_code: str = ""


def log_start(record: RequestRecord) -> None:
    """At debug level; free at others."""
    _log.debug(
        "request started",
        request_id=record.request_id,
        client_address=record.client_address,
        method=record.method,
        path=record.path,
    )


def log_request(record: RequestRecord) -> None:
    """The one line about a request, at its end."""
    _log.info(
        "request",
        request_id=record.request_id,
        client_address=record.client_address,
        method=record.method,
        path=record.path,
        http_status=record.status,
        key_hash=record.key_hash,
        model=record.model,
        provider=record.provider,
        streamed=record.streamed,
        attempts=record.attempts,
        queue_wait_s=record.queue_wait_s,
        time_to_first_token_s=record.time_to_first_token_s,
        duration_s=record.duration_s,
        input_tokens=record.input_tokens,
        output_tokens=record.output_tokens,
        outcome=record.outcome,
        error_code=record.error_code,
    )
