"""Errors as HTTP answers in OpenAI's shape, and the outermost layer that lets nothing else out."""

import difflib
import math
import re
import secrets
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Final

import orjson
import structlog
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared.errors import GatewayError, InvalidRequest, NotFound

_log = structlog.get_logger()
_REQUEST_ID: Final = re.compile(rb"[A-Za-z0-9_-]{1,64}")
_MOST_QUOTED: Final = 100
_CLOSE: Final = (b"connection", b"close")


def error_headers(error: GatewayError) -> dict[str, str]:
    """The headers that belong to an error's status."""
    headers = {}
    if error.retry_after_s is not None:
        headers["retry-after"] = str(max(1, math.ceil(error.retry_after_s)))
    if error.status == HTTPStatus.UNAUTHORIZED:
        headers["www-authenticate"] = "Bearer"
    if error.status == HTTPStatus.REQUEST_TIMEOUT:
        headers["connection"] = "close"  # what may still come of that body is no next request
    return headers


def error_response(error: GatewayError) -> Response:
    return Response(orjson.dumps(error.body()), error.status, error_headers(error), "application/json")


def add_error_answers(app: FastAPI) -> None:
    """Also for unknown endpoints and wrong methods."""

    @app.exception_handler(GatewayError)
    async def answer_gateway_error(_: Request, error: GatewayError) -> Response:
        return error_response(error)

    @app.exception_handler(HTTPException)
    async def answer_http_exception(request: Request, error: HTTPException) -> Response:
        return _answer_routing(app, request, error)

    @app.exception_handler(RequestValidationError)
    async def answer_invalid_parameter(_: Request, error: RequestValidationError) -> Response:
        name = str(error.errors()[0]["loc"][-1])
        return error_response(InvalidRequest(f"Invalid value for '{name}'.", code="invalid_value", param=name))


def _answer_routing(app: FastAPI, request: Request, error: HTTPException) -> Response:
    allowed = (error.headers or {}).get("Allow", "")
    asked = f"{request.method} {request.url.path[:_MOST_QUOTED]}"
    if error.status_code == HTTPStatus.NOT_FOUND:
        return error_response(NotFound(f"Invalid URL ({asked}). {_hint(app, request.url.path)}", code="unknown_url"))
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        if request.method == "OPTIONS":
            return Response(status_code=204, headers={"allow": allowed})
        message = f"Method not allowed ({asked}). This URL takes {allowed}."
        answer = error_response(
            GatewayError(message, status=405, type="invalid_request_error", code="method_not_allowed")
        )
        answer.headers["allow"] = allowed
        return answer
    return error_response(GatewayError(str(error.detail), status=error.status_code))


def _hint(app: FastAPI, path: str) -> str:
    known = [getattr(route, "path", "") for route in app.routes]
    near = [f"/v1{path}"] if f"/v1{path}" in known else difflib.get_close_matches(path, known, n=1)
    return f"Did you mean {near[0]}?" if near else "GET / lists what this gateway serves."


class Boundary:
    """Outermost ASGI layer: gives each request its id, answers HEAD as GET, and turns what was raised into an answer.

    The id is the client's own `x-request-id` where it has one, in `scope["state"]["request_id"]` and in the answer.
    While `is_draining` says so, each answer tells its client to connect anew next time.
    An exception that nobody foresaw becomes a 500 without details; its type and place are logged, never its text,
    which may quote a prompt. Once an answer has begun, nothing can be said any more: the connection breaks off.
    """

    def __init__(self, app: ASGIApp, is_draining: Callable[[], bool]) -> None:
        self.app = app
        self._is_draining = is_draining

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_id = _find_request_id(scope)
        scope = dict(scope, state=dict(scope.get("state", ()), request_id=request_id))
        if scope["method"] == "HEAD":
            scope["method"] = "GET"  # the server leaves the body out
        started = False

        def send_with_id(message: Message) -> Awaitable[None]:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                told = [(b"x-request-id", request_id.encode()), *([_CLOSE] if self._is_draining() else ())]
                message = dict(message, headers=[*message.get("headers", ()), *told])
            return send(message)

        try:
            await self.app(scope, receive, send_with_id)
        except ClientDisconnect:
            return
        except Exception as error:  # noqa: BLE001  the last place where one can be answered
            answer = error_response(_explain(error, request_id))
            if not started:
                await answer(scope, receive, send_with_id)


def _find_request_id(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _REQUEST_ID.fullmatch(value):
            text: str = value.decode()
            return text
    return f"req_{secrets.token_hex(12)}"


def _explain(error: Exception, request_id: str) -> GatewayError:
    if isinstance(error, GatewayError):
        return error
    _log.error("unforeseen exception", request_id=request_id, exc_info=error)
    return GatewayError(
        f"This gateway failed on your request, and that is not your fault. Tell its operator the request id "
        f"{request_id}.",
        code="internal_error",
    )
