"""A YAML file as plain data that still knows the line of every key, with `${VAR}` taken from the environment."""

import re
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import yaml

from worker.config.problems import Location, Problem

_VARIABLE = re.compile(r"\$\$|\$\{([A-Za-z_][A-Za-z0-9_]*)(:-[^}]*)?\}|\$\{[^}]*\}?")


class PlainLoader(yaml.SafeLoader):
    """YAML 1.2's few plain types: a date, `on` and 0123 stay text, as api versions, model names and keys must."""

    yaml_implicit_resolvers: ClassVar[dict[str, Any]] = {}  # type: ignore[misc]  # the stubs have it per instance


PlainLoader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(?:true|True|false|False)$"), list("tTfF"))
PlainLoader.add_implicit_resolver(
    "tag:yaml.org,2002:int", re.compile(r"^[-+]?(?:0|[1-9][0-9]*)$"), list("-+0123456789")
)
PlainLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?(?:0|[1-9][0-9]*)\.[0-9]+$"), list("-+0123456789")
)
PlainLoader.add_implicit_resolver("tag:yaml.org,2002:null", re.compile(r"^(?:~|null|Null|)$"), ["~", "n", "N", ""])
PlainLoader.add_implicit_resolver("tag:yaml.org,2002:merge", re.compile(r"^<<$"), ["<"])


@dataclass(slots=True)
class Document:
    """`data` is what the file says (None when it is empty); `lines` has the line of every key and item, from 1."""

    data: Any
    lines: dict[Location, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def place(self, location: Location, message: str) -> Problem:
        """A problem at the nearest place that the file really has."""
        known = location
        while known and known not in self.lines:
            known = known[:-1]
        shown = location if location[:-1] == known else known or location
        return Problem(shown, message, self.lines.get(known))


def read_document(text: str, environ: Mapping[str, str]) -> Document:
    """Parses `text`; every problem is in the document's list, never raised."""
    document = Document(None)
    loader: PlainLoader | None = None
    try:
        loader = PlainLoader(text)
        node = loader.get_single_node()
        if node is not None:
            document.data = _Walk(loader, environ, document).visit(node, (), ())
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        document.problems.append(Problem((), f"is no valid YAML: {error.problem}", mark.line + 1 if mark else None))
    except yaml.YAMLError as error:
        document.problems.append(Problem((), f"is no valid YAML: {getattr(error, 'reason', 'unreadable')}"))
    finally:
        if loader is not None:
            loader.dispose()
    return document


class _Walk:
    def __init__(self, loader: PlainLoader, environ: Mapping[str, str], document: Document) -> None:
        self.loader = loader
        self.environ = environ
        self.document = document

    def visit(self, node: yaml.Node, location: Location, above: tuple[yaml.Node, ...]) -> Any:
        self.document.lines.setdefault(location, node.start_mark.line + 1)
        if any(node is parent for parent in above):
            self._report(location, node, "contains itself")
            return None
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, location, (*above, node))
        if isinstance(node, yaml.SequenceNode):
            return [self.visit(item, (*location, i), (*above, node)) for i, item in enumerate(node.value)]
        return self._scalar(node, location)

    def _mapping(self, node: yaml.MappingNode, location: Location, above: tuple[yaml.Node, ...]) -> dict[str, Any]:
        seen: set[Hashable] = set()
        for key, _ in node.value:
            if key.tag != "tag:yaml.org,2002:merge" and isinstance(key.value, str) and key.value in seen:
                self._report((*location, key.value), key, "stands here twice")
            seen.add(key.value if isinstance(key.value, str) else id(key))
        self.loader.flatten_mapping(node)
        found: dict[str, Any] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                self._report(location, key, "a key must be text")
                continue
            self.document.lines[*location, key.value] = key.start_mark.line + 1
            found[key.value] = self.visit(value, (*location, key.value), above)
        return found

    def _scalar(self, node: yaml.Node, location: Location) -> Any:
        assert isinstance(node, yaml.ScalarNode)
        if node.tag != "tag:yaml.org,2002:str" or "$" not in node.value:
            return self.loader.construct_object(node, deep=True)
        text = _VARIABLE.sub(lambda found: self._variable(found, location, node), node.value)
        tag = self.loader.resolve(yaml.ScalarNode, text, (True, False))  # type: ignore[no-untyped-call]  # PyYAML's
        number = node.style is None and tag in {"tag:yaml.org,2002:int", "tag:yaml.org,2002:float"}
        return self.loader.construct_object(yaml.ScalarNode(tag, text)) if number else text

    def _variable(self, found: re.Match[str], location: Location, node: yaml.Node) -> str:
        name, default = found.groups()
        if found.group() == "$$":
            return "$"
        if name is None:
            self._report(location, node, "has a ${...} that names no variable; write $$ for a plain dollar sign")
            return ""
        value = self.environ.get(name)
        if default is not None:
            return value or str(default[2:])
        if value is None:
            self._report(location, node, f"needs the environment variable {name}, which is not set")
            return f"unset-{name}"
        return value

    def _report(self, location: Location, node: yaml.Node, message: str) -> None:
        self.document.problems.append(Problem(location, message, node.start_mark.line + 1))
