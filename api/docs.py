"""The OpenAPI description behind /docs: FastAPI's own, and the chat endpoint, which is no FastAPI route."""

from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from shared.chat import CHAT_REQUEST

_REF: Final = "#/components/schemas/{model}"
_EXAMPLE: Final = {
    "model": "echo",
    "messages": [{"role": "user", "content": "Say hello."}],
    "stream": True,
    "stream_options": {"include_usage": True},
}
_HEADERS: Final = {
    "x-request-id": "Names this request in the gateway's logs.",
    "x-penstock-provider": "The provider that answered.",
    "x-penstock-attempts": "How many upstream calls it took.",
    "x-penstock-queue-ms": "How long the request waited, ms.",
}
_ERRORS: Final = {
    "400": "The request is wrong; `param` names the field.",
    "401": "No key, or one that is not known.",
    "403": "The key may not use this model.",
    "404": "No such model; the message has near names.",
    "408": "The body did not arrive in time.",
    "413": "The body is too large.",
    "415": "The body is not JSON in UTF-8.",
    "429": "A limit holds the request back longer than it may wait; see Retry-After.",
    "502": "The upstream's answer was none.",
    "503": "The queue is full, or nobody can serve this now; see Retry-After.",
    "504": "A time limit passed.",
}


def add_docs(app: FastAPI) -> None:
    """Serves it at /openapi.json, made at the first request for it."""

    def describe() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _describe(app)
        return app.openapi_schema

    app.openapi = describe  # type: ignore[method-assign]  # FastAPI documents this way


def _describe(app: FastAPI) -> dict[str, Any]:
    description = get_openapi(
        title="Penstock",
        version=app.version,
        description="An OpenAI-compatible gateway that queues. Authorize with a client key, then try it out.",
        routes=app.routes,
    )
    request = CHAT_REQUEST.json_schema(ref_template=_REF)
    components = description.setdefault("components", {})
    components["securitySchemes"] = {"bearer": {"type": "http", "scheme": "bearer"}}
    components.setdefault("schemas", {}).update(request.pop("$defs"), ChatRequest=request, Error=_error_schema())
    description["paths"]["/v1/chat/completions"] = {"post": _describe_chat()}
    for path, methods in description["paths"].items():
        for operation in methods.values() if path.startswith(("/v1/", "/admin/")) else ():
            operation["security"] = [{"bearer": []}]
    return description


def _describe_chat() -> dict[str, Any]:
    schema = {"$ref": _REF.format(model="ChatRequest")}
    answer = {
        "description": "A chat completion, or with `stream` its chunks as server-sent events.",
        "headers": {name: {"description": text, "schema": {"type": "string"}} for name, text in _HEADERS.items()},
        "content": {"application/json": {}, "text/event-stream": {}},
    }
    return {
        "tags": ["chat"],
        "summary": "Create a chat completion",
        "description": "OpenAI's chat completions. Fields that are not listed pass to the upstream as they are.",
        "operationId": "create_chat_completion",
        "requestBody": {"required": True, "content": {"application/json": {"schema": schema, "example": _EXAMPLE}}},
        "responses": {"200": answer} | {status: _describe_error(text) for status, text in _ERRORS.items()},
    }


def _describe_error(text: str) -> dict[str, Any]:
    return {"description": text, "content": {"application/json": {"schema": {"$ref": _REF.format(model="Error")}}}}


def _error_schema() -> dict[str, Any]:
    text, optional = {"type": "string"}, {"anyOf": [{"type": "string"}, {"type": "null"}]}
    fields = {"message": text, "type": text, "param": optional, "code": optional}
    inner = {"type": "object", "properties": fields, "required": list(fields)}
    return {"type": "object", "properties": {"error": inner}, "required": ["error"]}
