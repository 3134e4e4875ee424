"""GET /v1/models and /v1/models/{id}: what the caller's key may use."""

from typing import Any

from fastapi import APIRouter, Request

from api.auth import Caller, authenticate
from api.models import resolve_model, visible_models
from api.state import FrontState
from shared.catalogue import Catalogue, ModelEntry

router = APIRouter(prefix="/v1", tags=["models"])


@router.get("/models/", include_in_schema=False)
@router.get("/models", summary="List the models that your key may use")
async def list_models(request: Request) -> dict[str, Any]:
    caller, catalogue = _identify(request)
    return {"object": "list", "data": [describe(entry) for entry in visible_models(caller, catalogue)]}


@router.get("/models/{model:path}", summary="Describe one model")
async def retrieve_model(request: Request, model: str) -> dict[str, Any]:
    """Ids may have slashes, as in `provider/model`."""
    caller, catalogue = _identify(request)
    return describe(resolve_model(model, caller, catalogue))


def _identify(request: Request) -> tuple[Caller, Catalogue]:
    front: FrontState = request.app.state.front
    catalogue = front.catalogue.current
    caller = authenticate(dict(request.headers.raw), catalogue)
    assert catalogue is not None, "authenticate raises without one"
    request.state.key_hash = caller.short_digest
    return caller, catalogue


def describe(entry: ModelEntry) -> dict[str, Any]:
    """A model object as OpenAI's /v1/models has it. `created` is unix time, s."""
    return {"id": entry.id, "object": "model", "created": entry.created, "owned_by": entry.owned_by}
