"""A file of unknown origin, read in each of the forms in which predecessors write theirs."""

import io
import json
import re
from functools import cached_property
from typing import Any

import yaml
from dotenv import dotenv_values

from worker.config.document import PlainLoader

_STRING_OR_COMMENT = re.compile(r'"(?:\\.|[^"\\])*"|//[^\n]*|/\*.*?\*/', re.DOTALL)
_STRING_OR_COMMA = re.compile(r'"(?:\\.|[^"\\])*"|,(?=\s*[}\]])')

_ASSIGNMENT = re.compile(r"^\s*(?:export\s+)?[A-Za-z_]\w*\s*=", re.MULTILINE)


class Source:
    """Each form is None where the text has not that form."""

    def __init__(self, text: str) -> None:
        self.text = text

    @cached_property
    def json(self) -> Any:
        """JSON, in which `//` and `/* */` comments and trailing commas are allowed."""
        if self.text.lstrip()[:1] not in {"{", "[", "/"}:
            return None
        plain = _STRING_OR_COMMENT.sub(lambda found: found[0] if found[0][0] == '"' else " ", self.text)
        plain = _STRING_OR_COMMA.sub(lambda found: found[0] if found[0][0] == '"' else "", plain)
        try:
            return json.loads(plain)
        except ValueError:
            return None

    @cached_property
    def yaml(self) -> dict[str, Any] | None:
        try:
            found = yaml.load(self.text, Loader=PlainLoader)  # noqa: S506  a SafeLoader with fewer types
        except (yaml.YAMLError, ValueError, TypeError, RecursionError):
            return None
        return found if isinstance(found, dict) else None

    @cached_property
    def env(self) -> dict[str, str]:
        """The variables of a .env file; empty where the text is none."""
        if self.yaml is not None or self.json is not None or not _ASSIGNMENT.search(self.text):
            return {}
        found = dotenv_values(stream=io.StringIO(self.text), interpolate=False)
        return {name: value for name, value in found.items() if value is not None}
