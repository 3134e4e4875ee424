"""JSON Schemas for upstreams that enforce only a part of JSON Schema.

What such an upstream lacks is said in its own words where that means the same (`oneOf` as `anyOf`, `const` as `enum`),
told to the model in the description where it limits a value (`pattern`, `multipleOf`), and refused where the shape of
the answer hangs on it. A strict schema promises that every limit is kept: there a limit that cannot be is refused too.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

from worker.providers.contract import JsonObject
from worker.providers.fields import refusal

_REMARKS: Final = frozenset(
    {"$schema", "$comment", "default", "example", "examples", "deprecated", "readOnly", "writeOnly", "discriminator"}
)
_LIMITS: Final = frozenset(
    {
        "pattern", "minLength", "maxLength", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf",
        "minItems", "maxItems", "uniqueItems", "minProperties", "maxProperties", "format", "contentEncoding",
        "contentMediaType",
    }
)  # fmt: skip
_LISTS: Final = frozenset({"anyOf", "oneOf", "allOf", "prefixItems"})
_MAPS: Final = frozenset({"properties", "$defs", "definitions"})


@dataclass(frozen=True, slots=True)
class Subset:
    """What an upstream enforces: `keywords` as they are; `closed` objects only, those without unnamed members."""

    upstream: str
    keywords: frozenset[str]
    formats: frozenset[str] | None = None
    most_min_items: int | None = None
    closed: bool = False


def fit(schema: Mapping[str, Any], subset: Subset, path: str, *, strict: bool, drop: bool) -> JsonObject:
    """`schema` within `subset`. Raises InvalidRequest naming the path of what does not fit, unless `drop` leaves it
    out. `path` is where the request has the schema.
    """
    return _Fitting(subset, strict=strict, drop=drop).schema(schema, path)


class _Fitting:
    def __init__(self, subset: Subset, *, strict: bool, drop: bool) -> None:
        self._subset = subset
        self._strict = strict
        self._drop = drop

    def schema(self, schema: Any, path: str) -> JsonObject:
        if not isinstance(schema, Mapping):
            return {} if schema is True else self._refuse(path, "it takes no 'false' for a schema")
        fitted: JsonObject = {}
        limits: JsonObject = {}
        for keyword, value in schema.items():
            if keyword in _LIMITS and not self._enforces(keyword, value):
                limits[keyword] = value
            elif keyword not in _REMARKS:
                self._keyword(fitted, keyword, value, f"{path}.{keyword}")
        if "$ref" in fitted:
            # Both upstreams that have a subset want nothing but names beside a reference.
            fitted = {name: value for name, value in fitted.items() if name.startswith("$")}
        elif limits:
            self._tell(fitted, limits, path)
        if self._subset.closed and (fitted.get("type") == "object" or "properties" in fitted):
            self._close(fitted, path)
        return fitted

    def _enforces(self, keyword: str, value: Any) -> bool:
        subset = self._subset
        if keyword == "format" and subset.formats is not None:
            return value in subset.formats
        if keyword == "minItems" and subset.most_min_items is not None:
            return bool(value <= subset.most_min_items)
        return keyword in subset.keywords

    def _keyword(self, fitted: JsonObject, keyword: str, value: Any, path: str) -> None:
        known = self._subset.keywords
        if keyword in _LISTS and isinstance(value, list):
            self._list(fitted, keyword, value, path)
        elif keyword in _MAPS and isinstance(value, Mapping):
            name = "$defs" if keyword == "definitions" else keyword
            fitted[name] = {key: self.schema(inner, f"{path}.{key}") for key, inner in value.items()}
        elif keyword == "$ref":
            fitted[keyword] = str(value).replace("#/definitions/", "#/$defs/")
        elif keyword == "const" and keyword not in known:
            fitted["enum"] = [value]
        elif keyword in {"items", "additionalProperties"} and isinstance(value, Mapping):
            fitted[keyword] = self.schema(value, path)
        elif keyword in known or keyword == "additionalProperties":
            fitted[keyword] = value
        else:
            self._refuse(path, f"its schemas have no '{keyword}'")

    def _list(self, fitted: JsonObject, keyword: str, schemas: list[Any], path: str) -> None:
        known = self._subset.keywords
        if keyword == "allOf" and len(schemas) == 1 and not set(schemas[0]) & set(fitted):
            fitted |= self.schema(schemas[0], f"{path}[0]")
            return
        if keyword not in known and keyword != "oneOf":
            self._refuse(path, f"its schemas have no '{keyword}'")
            return
        name = keyword if keyword in known else "anyOf"
        fitted[name] = [self.schema(inner, f"{path}[{index}]") for index, inner in enumerate(schemas)]

    def _tell(self, fitted: JsonObject, limits: JsonObject, path: str) -> None:
        if self._strict:
            for keyword in limits:
                self._refuse(f"{path}.{keyword}", f"it cannot enforce '{keyword}', which a strict schema promises")
        told = ", ".join(f"{keyword}: {orjson.dumps(value).decode()}" for keyword, value in limits.items())
        fitted["description"] = f"{fitted.get('description', '')} ({told})".strip()

    def _close(self, fitted: JsonObject, path: str) -> None:
        """An answer that fits the closed object fits the open one too, so an open one may be closed."""
        others = fitted.get("additionalProperties")
        if isinstance(others, Mapping) or (others is not False and not fitted.get("properties")):
            self._refuse(f"{path}.additionalProperties", "it needs to know the name of every member of an object")
        fitted["additionalProperties"] = False

    def _refuse(self, path: str, why: str) -> JsonObject:
        if not self._drop:
            raise refusal(path, self._subset.upstream, why)
        return {}
