"""/admin: the configuration and the accounts, for the holder of the administration key. Secrets go in, never out."""

import secrets
from collections.abc import Awaitable, Callable
from typing import Any, Final

from fastapi import APIRouter, Request
from starlette.responses import Response

from api.asking import ask
from api.auth import OWN_KEY_PREFIX

router = APIRouter(prefix="/admin", tags=["administration"])
Endpoint = Callable[[Request], Awaitable[Response]]
_VERBS: Final = (
    ("GET", "read", "Show"),
    ("PUT", "replace", "Add or replace"),
    ("PATCH", "merge", "Change parts of"),
    ("DELETE", "remove", "Remove"),
)
_BODY: Final = {"required": True, "content": {"application/json": {"schema": {"type": "object"}}}}


def _endpoint(action: str, section: str, parts: tuple[str, ...], **more: Any) -> Endpoint:
    async def answer(request: Request) -> Response:
        return await ask(request, action, section, parts, **more)

    return answer


def _serve(method: str, path: str, endpoint: Endpoint, summary: str, *, status: int = 200) -> None:
    """Describes what the endpoint itself, which takes any request, does not: the path's parameters and the body."""
    names = [step[1:-1].partition(":")[0] for step in path.split("/") if step.startswith("{")]
    text = {"schema": {"type": "string"}}
    described: dict[str, Any] = {
        "parameters": [{"name": name, "in": "path", "required": True} | text for name in names]
    }
    if method in {"PUT", "PATCH"} or status == _CREATED:
        described["requestBody"] = _BODY
    router.add_api_route(path, endpoint, methods=[method], summary=summary, status_code=status, openapi_extra=described)


def _serve_objects(section: str, path: str, last: str, create: Endpoint) -> None:
    """The endpoints of one kind of objects. `last` is the path's parameter that names one in the list at `path`."""
    parts = ("provider",) if "{provider}" in path else ()
    noun, whole = section.removesuffix("s"), (*parts, last.partition(":")[0])
    one = f"{path}/{{{last}}}"
    _serve("GET", path, _endpoint("list", section, parts), f"List {section}")
    _serve("POST", path, create, f"Add a {noun}", status=_CREATED)
    for action in ("disable", "enable"):
        _serve("POST", f"{one}/{action}", _endpoint(action, section, whole), f"{action.capitalize()} a {noun}")
    for method, action, verb in _VERBS:
        _serve(method, one, _endpoint(action, section, whole), f"{verb} a {noun}")


async def _create_key(request: Request) -> Response:
    """Without a `key` one is made here, and shown this once."""
    made = f"{OWN_KEY_PREFIX}{secrets.token_urlsafe(32)}"

    def add_key(body: dict[str, Any]) -> dict[str, Any]:
        return body if body.get("key") else {**body, "key": made}

    def show_key(body: dict[str, Any], content: dict[str, Any]) -> dict[str, Any]:
        return {**content, "key": made} if body["key"] == made else content

    return await ask(request, "create", "keys", (), status=_CREATED, prepare=add_key, complete=show_key)


_CREATED: Final = 201
_serve_objects(
    "credentials",
    "/providers/{provider}/credentials",
    "credential",
    _endpoint("create", "credentials", ("provider",), status=_CREATED),
)
for _section, _last in (("providers", "provider"), ("models", "model:path")):
    _serve_objects(_section, f"/{_section}", _last, _endpoint("create", _section, (), status=_CREATED))
_serve_objects("keys", "/keys", "key", _create_key)
_serve("GET", "/accounts", _endpoint("list", "accounts", ()), "States of all accounts")
_serve(
    "POST",
    "/accounts/{provider}/{credential}/reset",
    _endpoint("reset", "accounts", ("provider", "credential")),
    "Take an account for ready, whatever it rests for",
)
_serve(
    "GET",
    "/config",
    _endpoint("read", "config", (), media_type="application/yaml"),
    "The configuration in use as penstock.yaml, with masks for secrets",
)
