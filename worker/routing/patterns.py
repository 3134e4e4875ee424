"""Names with a `*` in them: it stands for any text. Pure."""

from collections.abc import Iterable

STAR = "*"


def match(pattern: str, name: str) -> str | None:
    """What the `*` of `pattern` stands for in `name`; None if they do not match. A second `*` is plain text."""
    before, star, after = pattern.partition(STAR)
    if not star:
        return "" if pattern == name else None
    if len(name) < len(before) + len(after) or not name.startswith(before) or not name.endswith(after):
        return None
    return name[len(before) : len(name) - len(after)]


def fill(pattern: str, text: str) -> str:
    """`pattern` with `text` for its `*`."""
    return pattern.replace(STAR, text, 1)


def best_match(patterns: Iterable[str], name: str) -> tuple[str, str] | None:
    """The matching pattern with the most literal text, and what its `*` stands for."""
    found = [(pattern, text) for pattern in patterns if (text := match(pattern, name)) is not None]
    return max(found, key=lambda one: len(one[0]), default=None)
