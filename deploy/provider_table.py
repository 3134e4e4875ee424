"""What each provider type is, can do and needs: one table for the terminal and for README.md."""

from collections.abc import Sequence
from typing import Final

from worker.providers.contract import Provider
from worker.providers.registry import providers

HEADINGS: Final = ("type", "upstream", "status", "credential", "supports", "note")
_CAPABILITIES: Final = ("streaming", "tools", "images", "json_schema", "reasoning", "usage")


def rows() -> list[tuple[str, ...]]:
    """One row of plain text per provider type, in alphabetical order; the columns are HEADINGS."""
    return [_row(provider) for provider in providers().values()]


def _row(provider: Provider) -> tuple[str, ...]:
    has = [name.replace("_", " ") for name in _CAPABILITIES if getattr(provider.capabilities, name)]
    fields = [field.name if field.required else f"{field.name} (optional)" for field in provider.credential_fields]
    return (
        provider.type_name,
        provider.title,
        provider.status.value,
        "; ".join([part for part in (", ".join(fields), provider.credential_source) if part]) or "none",
        ", ".join(has) or "nothing",
        provider.note,
    )


def as_markdown() -> str:
    """The table of README.md."""
    lines = [_line(HEADINGS), _line(["---"] * len(HEADINGS))]
    return "\n".join([*lines, *(_line([f"`{row[0]}`", *row[1:]]) for row in rows())])


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"


def as_text() -> str:
    """For a terminal: a paragraph per type, since a table would be wider than any screen."""
    return "\n\n".join(_paragraph(row) for row in rows())


def _paragraph(row: tuple[str, ...]) -> str:
    name, title, status, credential, supports, note = row
    lines = [f"{name}  ({title}; {status})", f"  credential  {credential}", f"  supports    {supports}"]
    return "\n".join([*lines, f"  note        {note}"] if note else lines)
