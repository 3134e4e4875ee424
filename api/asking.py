"""One request of the operator: from its HTTP form to a worker, and the answer back."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

import orjson
from starlette.requests import Request
from starlette.responses import Response

from api.body import read_body
from api.operator import admit
from api.state import front_state
from shared.errors import InvalidRequest

_MOST_BYTES: Final = 4 * 1024 * 1024
_WITH_BODY: Final = frozenset({"create", "replace", "merge"})
Body = dict[str, Any]


async def ask(
    request: Request,
    action: str,
    section: str,
    parts: tuple[str, ...],
    *,
    status: int = 200,
    prepare: Callable[[Body], Body] = lambda body: body,
    complete: Callable[[Body, Body], Body] = lambda _, content: content,
    media_type: str = "application/json",
) -> Response:
    """`parts` are the path's parameters that make the object's name. `prepare` sees the body before the worker, and
    `complete` (that body, the answer) before the operator. Raises GatewayError.
    """
    key_hash = await admit(request)
    body = prepare(await _read_object(request)) if action in _WITH_BODY else None
    name = "/".join(request.path_params[part] for part in parts)
    content = await put_question(request, key_hash, action, section, name, body)
    if isinstance(content, str):
        return Response(content, status, media_type=media_type)
    return Response(orjson.dumps(complete(body or {}, content)), status, media_type=media_type)


async def put_question(request: Request, key_hash: str, action: str, section: str, name: str, body: Any) -> Any:
    """A worker's answer. `body` is JSON-like, None where there is none. Raises GatewayError."""
    state = front_state(request)
    catalogue = state.catalogue.current
    assert catalogue is not None, "admit raises without one"
    return await state.desk.ask(
        catalogue,
        b"" if body is None else _packed(body),
        action=action,
        section=section,
        name=name,
        request_id=request.state.request_id,
        key_hash=key_hash,
        client_address=request.client.host if request.client else "",
    )


def _packed(body: Any) -> bytes:
    try:
        return orjson.dumps(body)
    except orjson.JSONEncodeError:  # it takes fewer levels than are read
        raise InvalidRequest("The body is nested too deeply.", code="invalid_json") from None


async def read_json(request: Request) -> Any:
    """Raises GatewayError for a body that is none."""
    catalogue = front_state(request).catalogue.current
    assert catalogue is not None, "admit raises without one"
    policy = replace(catalogue.front, max_body_bytes=min(_MOST_BYTES, catalogue.front.max_body_bytes))
    raw = await read_body(dict(request.headers.raw), request.receive, policy)
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise InvalidRequest(f"The body is no valid JSON at character {error.pos}.", code="invalid_json") from None


async def _read_object(request: Request) -> Body:
    body = await read_json(request)
    if not isinstance(body, dict) or not body:
        raise InvalidRequest("The body must be a JSON object with the fields to set.", code="invalid_type")
    return body
