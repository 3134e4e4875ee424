"""Which model a request means, and whether its caller may use it."""

from collections.abc import Sequence
from typing import Final

from api.auth import Caller
from shared.catalogue import Catalogue, ModelEntry
from shared.errors import Forbidden, InvalidRequest, NotFound

_MOST_QUOTED: Final = 100


def resolve_model(model: str | None, caller: Caller, catalogue: Catalogue) -> ModelEntry:
    """The model named, or the key's default one. With a key of the caller's own it may be any: its provider knows.

    Raises InvalidRequest without either, NotFound with near names, and Forbidden where the key may not use it.
    """
    name = model or caller.policy.default_model
    if not name:
        raise InvalidRequest(
            "You must provide a model parameter. GET /v1/models lists the models that your key may use.",
            code="missing_required_parameter",
            param="model",
        )
    name = caller.policy.mapped(name)
    if caller.own_key is not None and catalogue.passthrough is not None:
        return catalogue.passthrough.find_model(name)
    entry = catalogue.find_model(name)
    if entry is None:
        unknown = f"The model '{name[:_MOST_QUOTED]}' does not exist or you do not have access to it."
        raise NotFound(f"{unknown} {_hint(name, caller, catalogue)}", param="model")
    if not catalogue.allows(caller.policy, name):
        raise Forbidden(
            f"Your key may not use the model '{name[:_MOST_QUOTED]}'. GET /v1/models lists those that it may use.",
            param="model",
        )
    return entry


def visible_models(caller: Caller, catalogue: Catalogue) -> Sequence[ModelEntry]:
    """What a caller is shown."""
    if caller.own_key is not None and catalogue.passthrough is not None:
        return catalogue.passthrough.models
    return catalogue.visible_models(caller.policy)


def _hint(name: str, caller: Caller, catalogue: Catalogue) -> str:
    near = catalogue.near_models(caller.policy, name)
    if near:
        return f"Did you mean {' or '.join(repr(model) for model in near)}?"
    return "GET /v1/models lists the models that your key may use."
