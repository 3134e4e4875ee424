"""What every part of the configuration has in common: frozen, no unknown keys, no value in an error message."""

from collections.abc import Mapping
from typing import Annotated, Any, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    ModelWrapValidatorHandler,
    SecretStr,
    ValidationError,
    model_validator,
)

from shared.chat import check_fields
from shared.errors import InvalidRequest
from worker.config.problems import failure, problems_of, unknown
from worker.routing.fields import FRAME


class Strict(BaseModel):
    """A section of penstock.yaml."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, use_attribute_docstrings=True)

    @model_validator(mode="wrap")
    @classmethod
    def _suggest(cls, data: Any, validate: ModelWrapValidatorHandler[Self]) -> Self:
        """Names the nearest valid key beside each unknown one."""
        if isinstance(data, Mapping):  # a key with nothing behind it says nothing
            data = {key: value for key, value in data.items() if value is not None or key not in cls.model_fields}
        try:
            return validate(data)
        except ValidationError as error:
            extra = {found["loc"] for found in error.errors(include_input=False) if found["type"] == "extra_forbidden"}
            told = [
                (location, unknown(location[0], cls.model_fields) if location in extra else message)
                for location, message in problems_of(error)
            ]
        raise failure(told, cls.__name__)


_ANOTHER_MODEL = (
    "has no effect here; to ask for another model, give it a name under the top-level key `models`: "
    "`models: {name that clients ask for: provider/model of the upstream}`"
)


def _own(name: str, advice: str = "") -> str:
    """Why no rule can be for a member of FRAME."""
    return _ANOTHER_MODEL if name == "model" else f"is the client's own{advice}"


def _drops(value: Any) -> Any:
    """One error instead of one for each arm of the union."""
    if isinstance(value, bool):
        return value
    if not isinstance(value, list | tuple) or not all(isinstance(name, str) for name in value):
        raise ValueError("must be true, false or a list of field names")
    framed = [
        ((place,), f"{name!r} {_own(name, ' and never dropped: remove it')}")
        for place, name in enumerate(value)
        if name in FRAME
    ]
    if framed:
        raise failure(framed, "Fields")
    return value


def _check_fields(value: Mapping[str, Any]) -> Mapping[str, Any]:
    if framed := [*FRAME & value.keys()]:
        raise failure([((name,), _own(name)) for name in sorted(framed)], "Fields")
    try:
        check_fields(value)
    except InvalidRequest as error:
        raise ValueError(error.message) from None
    return value


def _plain_name(name: str) -> str:
    if not name.isprintable() or any(mark.isspace() or mark in "/*," for mark in name):
        raise ValueError("may hold no blank, slash, star, comma or control character")
    return name


def _model_name(name: str) -> str:
    if name != name.strip() or not name.isprintable():
        raise ValueError("may not begin or end with a blank, nor hold a control character")
    return name


def _http_proxy(proxy: SecretStr) -> SecretStr:
    told = "must be http://[user:password@]host[:port] or https://..."
    try:
        parts = urlsplit(proxy.get_secret_value())
        known = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:
        known = False
    if not known:
        socks = proxy.get_secret_value().lower().startswith("socks")
        raise ValueError(f"{told}; SOCKS is not supported: most SOCKS proxies speak HTTP too" if socks else told)
    return proxy


Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]
Weight = Annotated[int, Field(ge=0, le=1_000_000)]
Name = Annotated[str, Field(min_length=1, max_length=128), AfterValidator(_plain_name)]
"""A provider, account or key: no blank, slash, comma or star, because names become parts of model ids and labels."""
ModelName = Annotated[str, Field(min_length=1, max_length=512), AfterValidator(_model_name)]
"""A model id or a pattern, in which `*` stands for any text."""
Fields = Annotated[Mapping[str, JsonValue], AfterValidator(_check_fields)]
"""Fields of a chat completion request, as JSON; known ones are checked as a client's are."""
Proxy = Annotated[SecretStr, AfterValidator(_http_proxy)]
"""The address of an outbound proxy, which may hold a user and a password."""
DropParams = Annotated[bool | tuple[str, ...], BeforeValidator(_drops)]
"""True: what the upstream cannot do is dropped instead of refused. A list: these fields never reach the upstream."""
