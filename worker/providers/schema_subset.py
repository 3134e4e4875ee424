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
_WORDS: Final = frozenset({"title", "description"})
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
        if limits:
            self._tell(fitted, limits, path)
        if "$ref" in fitted and any(not name.startswith("$") for name in fitted):
            # Both upstreams that have a subset want nothing but such names beside a reference.
            self._put(fitted, "anyOf", [{"$ref": fitted.pop("$ref")}], f"{path}.$ref")
        if self._subset.closed and (fitted.get("type") == "object" or "properties" in fitted):
            self._close(fitted, path)
        return fitted

    def _enforces(self, keyword: str, value: Any) -> bool:
        subset = self._subset
        if keyword == "format" and subset.formats is not None:
            return isinstance(value, str) and value in subset.formats
        if keyword == "minItems" and subset.most_min_items is not None:
            return isinstance(value, int) and value <= subset.most_min_items
        return keyword in subset.keywords

    def _keyword(self, fitted: JsonObject, keyword: str, value: Any, path: str) -> None:
        known = self._subset.keywords
        if keyword in _LISTS and isinstance(value, list):
            self._list(fitted, keyword, value, path)
        elif keyword in _MAPS and isinstance(value, Mapping):
            schemas = {key: self.schema(inner, f"{path}.{key}") for key, inner in value.items()}
            self._put(fitted, "$defs" if keyword == "definitions" else keyword, schemas, path)
        elif keyword == "$ref":
            self._put(fitted, keyword, str(value).replace("#/definitions/", "#/$defs/"), path)
        elif (
            keyword == "const" and keyword not in known and isinstance(value, str | int) and not isinstance(value, bool)
        ):
            self._put(fitted, "enum", [value], path)
        elif keyword in {"items", "additionalProperties"} and isinstance(value, Mapping):
            self._put(fitted, keyword, self.schema(value, path), path)
        elif keyword in known or keyword == "additionalProperties":
            self._put(fitted, keyword, value, path)
        else:
            self._refuse(path, f"its schemas have no '{keyword}'")

    def _list(self, fitted: JsonObject, keyword: str, schemas: list[Any], path: str) -> None:
        known = self._subset.keywords
        if keyword == "allOf" and len(schemas) == 1:
            for name, value in self.schema(schemas[0], f"{path}[0]").items():
                self._put(fitted, name, value, path)
        elif keyword in known or keyword == "oneOf":
            fits = [self.schema(inner, f"{path}[{index}]") for index, inner in enumerate(schemas)]
            self._put(fitted, keyword if keyword in known else "anyOf", fits, path)
        else:
            self._refuse(path, f"its schemas have no '{keyword}'")

    def _put(self, fitted: JsonObject, name: str, value: Any, path: str) -> None:
        """Two keywords may become one; then both would have to hold, which the upstream cannot say."""
        if name in fitted and name not in _WORDS:
            self._refuse(path, f"it cannot hold this beside the other '{name}'")
        else:
            fitted[name] = value

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
