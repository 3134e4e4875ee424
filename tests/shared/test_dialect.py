"""Our request schema against the one that the OpenAI SDK was generated from."""

import types
from typing import Annotated, Any, Literal, Required, Union, get_args, get_origin, get_type_hints

from openai.types.chat.completion_create_params import CompletionCreateParamsBase

from shared.dialect import ChatRequest

Shape = Any


def shape_of(kind: Any) -> Shape:
    """A type as plain data: what matters of it on the wire, whoever wrote it."""
    origin = get_origin(kind)
    if origin is Annotated:
        return shape_of(get_args(kind)[0])
    if origin in (Union, types.UnionType):
        shapes = frozenset(shape for item in get_args(kind) for shape in alternatives(shape_of(item)))
        # The SDK lists known voices beside `str`; on the wire that is a string.
        plain = frozenset(shape for shape in shapes if not (shape[0] == "literal" and ("str",) in shapes))
        return ("any of", plain)
    if origin is Literal:
        return ("any of", frozenset(("literal", value) for value in get_args(kind)))
    if origin is dict:
        return ("map", shape_of(get_args(kind)[1]))
    if origin is not None:
        return ("array", shape_of(get_args(kind)[0]))
    if hasattr(kind, "__required_keys__"):
        return objects_of(kind)
    return ("any",) if kind in (Any, object) else (getattr(kind, "__name__", str(kind)),)


def alternatives(shape: Shape) -> frozenset[Shape]:
    return shape[1] if shape[0] == "any of" else frozenset({shape})


def objects_of(kind: Any) -> Shape:
    """One object for each role, where one of our types stands for two."""
    marked = get_type_hints(kind, include_extras=True)
    required = frozenset(name for name in marked if kind.__total__ or get_origin(marked[name]) is Required)
    hints = {name: shape_of(hint) for name, hint in get_type_hints(kind).items()}
    roles = alternatives(hints["role"]) if "role" in hints else frozenset({None})
    variants = frozenset(
        ("object", frozenset({**hints, **({"role": role} if role else {})}.items()), required) for role in roles
    )
    return ("any of", variants)


def normalize(shape: Shape) -> Shape:
    """An alternative of one is that one."""
    if not isinstance(shape, tuple):
        return frozenset(map(normalize, shape)) if isinstance(shape, frozenset) else shape
    if shape[0] == "any of" and len(shape[1]) == 1:
        return normalize(next(iter(shape[1])))
    return tuple(normalize(part) for part in shape)


def fields_of(kind: Any) -> dict[str, Shape]:
    return {name: normalize(shape_of(hint)) for name, hint in get_type_hints(kind).items()}


def test_every_field_has_the_type_that_the_sdk_gives_it() -> None:
    ours, theirs = fields_of(ChatRequest), fields_of(CompletionCreateParamsBase)
    stream = ours.pop("stream")
    assert stream == ("any of", frozenset({("bool",), ("NoneType",)}))  # the SDK splits its type by this one
    assert ours.keys() == theirs.keys()
    theirs["modalities"] = normalize(shape_of(list[Literal["text", "audio", "image"]] | None))  # as others widen it
    assert [name for name in ours if ours[name] != theirs[name]] == []
