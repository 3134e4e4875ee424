"""The administration of openai-style-api, in its own shapes: where its file was imported, its tools go on working."""

from typing import Any, Final

import orjson
from fastapi import APIRouter, Request
from starlette.responses import Response

from api.asking import put_question, read_json
from api.errors import error_headers
from api.operator import admit
from api.state import front_state
from shared.errors import GatewayError, NotFound

router = APIRouter(tags=["openai-style-api"])
_REFUSED: Final = {"message": "", "type": "invalid_request_error", "param": None, "code": "invalid_token"}
_SUCCESS: Final = {"success": True}


@router.get("/verify", summary="Whether the administration token is right")
async def verify(request: Request) -> Response:
    return await _answer(request, "verify")


@router.get("/getAllModelConfig", summary="All entries, with masks for secrets")
async def get_all(request: Request) -> Response:
    return await _answer(request, "list")


@router.post("/updateModelConfig", summary="Add or replace the entries of a list, by token")
async def update(request: Request) -> Response:
    return await _answer(request, "replace")


@router.post("/deleteModelConfig", summary="Remove the entry of a token")
async def delete(request: Request) -> Response:
    return await _answer(request, "remove")


async def _answer(request: Request, action: str) -> Response:
    """Raises NotFound where this administration is not switched on."""
    catalogue = front_state(request).catalogue.current
    if catalogue is not None and not catalogue.openai_style_api:
        raise NotFound(
            "This is served where a file of openai-style-api was imported (admin.openai_style_api).", code="unknown_url"
        )
    try:
        key_hash = await admit(request)
        content = _SUCCESS if action == "verify" else await _ask(request, key_hash, action)
    except GatewayError as error:
        return _refuse(error)
    return Response(orjson.dumps(content), media_type="application/json")


async def _ask(request: Request, key_hash: str, action: str) -> Any:
    body = None if action == "list" else await read_json(request)
    return await put_question(request, key_hash, action, "style", "", body)


def _refuse(error: GatewayError) -> Response:
    """A wrong token as it was refused there, and what is wrong with a list as 422."""
    detail: Any = error.body()
    status = error.status
    if status in {401, 403}:
        status, detail = 401, {"error": _REFUSED}
    elif status in {400, 422}:
        status, detail = 422, [{"loc": ["body"], "msg": error.message, "type": "value_error"}]
    return Response(orjson.dumps({"detail": detail}), status, error_headers(error), "application/json")
