"""The errors that a client can see, in OpenAI's shape.

GatewayError                  any failure that is told to a client
├── InvalidRequest            400  the request itself is wrong; names the field
├── Unauthenticated           401  no key, or a key that is not known
├── Forbidden                 403  the key may not use this model
├── NotFound                  404  unknown model or endpoint
├── PayloadTooLarge           413  the body is above the limit
├── RateLimited               429  a limit holds the request back longer than it may wait
├── BadUpstream               502  the upstream answered with something that is no answer
├── Unavailable               503  we, or every upstream, cannot serve this now
└── TimedOut                  504  a time limit passed

An error crosses Redis as data (`to_data`, `from_data`), never as a pickled object.
"""

from typing import Any, ClassVar, Self


class GatewayError(Exception):
    """A failure with an HTTP status and an OpenAI error body.

    `retry_after_s` becomes the Retry-After header, rounded up to whole seconds.
    """

    default_status: ClassVar[int] = 500
    default_type: ClassVar[str] = "server_error"
    default_code: ClassVar[str | None] = None

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        type: str | None = None,  # noqa: A002  OpenAI's field name
        code: str | None = None,
        param: str | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = self.default_status if status is None else status
        self.type = self.default_type if type is None else type
        self.code = self.default_code if code is None else code
        self.param = param
        self.retry_after_s = retry_after_s

    def body(self) -> dict[str, Any]:
        """`{"error": {"message", "type", "param", "code"}}`, as OpenAI answers it."""
        return {"error": {"message": self.message, "type": self.type, "param": self.param, "code": self.code}}

    def to_data(self) -> list[Any]:
        return [self.status, self.message, self.type, self.code, self.param, self.retry_after_s]

    @classmethod
    def from_data(cls, data: list[Any]) -> Self:
        status, message, type_, code, param, retry_after_s = data
        return cls(message, status=status, type=type_, code=code, param=param, retry_after_s=retry_after_s)


class InvalidRequest(GatewayError):
    default_status, default_type = 400, "invalid_request_error"


class Unauthenticated(GatewayError):
    default_status, default_type, default_code = 401, "invalid_request_error", "invalid_api_key"


class Forbidden(GatewayError):
    default_status, default_type, default_code = 403, "invalid_request_error", "permission_denied"


class NotFound(GatewayError):
    default_status, default_type, default_code = 404, "invalid_request_error", "model_not_found"


class PayloadTooLarge(GatewayError):
    default_status, default_type, default_code = 413, "invalid_request_error", "request_too_large"


class RateLimited(GatewayError):
    default_status, default_type, default_code = 429, "requests", "rate_limit_exceeded"


class BadUpstream(GatewayError):
    default_status, default_code = 502, "upstream_error"


class Unavailable(GatewayError):
    default_status, default_code = 503, "overloaded"


class TimedOut(GatewayError):
    default_status, default_code = 504, "timeout"
