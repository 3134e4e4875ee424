"""What became of accounts, kept in the state folder for the time after a lost Redis.

An account that waits for a person, or for its quota, is not asked again because of a restart.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import orjson
import structlog

from worker.whole_file import write_whole

Place = tuple[str, str]
"""(pool, credential)"""
FIELDS: Final = ("fingerprint", "state", "cause", "since_ms", "until_ms", "trial", "faults")
"""Of an account in Redis, as sync.lua takes them back."""
_NOT_KEPT: Final = frozenset({"", "ready", "probing"})
_log = structlog.get_logger()


class Remembered:
    """States of accounts that are not ready, by place. A state belongs to the secrets of which `fingerprint` tells.

    `unsaved` says that `save` has something to do.
    """

    def __init__(self, folder: Path) -> None:
        self.unsaved = False
        self._path = folder / "accounts"
        self._kept: dict[Place, tuple[str, ...]] = self._read()

    def note(self, seen: Mapping[Place, tuple[str, ...]]) -> bool:
        """`seen` are the FIELDS of accounts in Redis, "" where it has none. False if it does not know one of them."""
        kept = dict(self._kept)
        for place, values in seen.items():
            fingerprint, state, *_ = values
            if state == "ready":
                kept.pop(place, None)
            elif fingerprint and state not in _NOT_KEPT:
                kept[place] = values
        kept = {place: values for place, values in kept.items() if place in seen}
        self.unsaved = self.unsaved or kept != self._kept
        self._kept = kept
        return all(values[0] for values in seen.values())

    def recall(self, pool: str, credential: str) -> str:
        """What sync.lua takes: the FIELDS, or "" for an account of which nothing is remembered."""
        values = self._kept.get((pool, credential))
        return "|".join(values) if values else ""

    def _read(self) -> dict[Place, tuple[str, ...]]:
        try:
            rows = orjson.loads(self._path.read_bytes())
            return {(pool, name): tuple(values) for pool, name, *values in rows if len(values) == len(FIELDS)}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, TypeError):
            _log.warning("states of accounts cannot be read", source="state folder")
            return {}

    def save(self) -> None:
        """Waits for the disk."""
        self.unsaved = False
        try:
            write_whole(self._path, orjson.dumps([[*place, *values] for place, values in self._kept.items()]))
        except OSError as error:
            _log.warning("states of accounts are not in the state folder", reason=error.strerror)
