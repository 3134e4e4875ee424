"""Keys that Penstock makes itself, and where it keeps them: files of the state folder, made once, 0600."""

import secrets
from collections.abc import Mapping, MutableMapping
from pathlib import Path
from typing import Final

from worker.secrets import make_secret, read_or_make, state_folder

CLIENT_KEY_FILE: Final = "client-key"
MASTER_KEY_FILE: Final = "master-key"
SECRET_KEY_FILE: Final = "secret-key"  # noqa: S105  a file's name
_FROM_FILES: Final = ("PENSTOCK_KEYS", "PENSTOCK_MASTER_KEY", "PENSTOCK_SECRET_KEY", "PENSTOCK_REDIS_URL")


class KeyFileError(Exception):
    """A file of keys cannot be read or made; the message names it."""


def make_client_key() -> str:
    """A key that no provider gives out: `sk-penstock-` and 32 random bytes."""
    return f"sk-penstock-{secrets.token_urlsafe(32)}"


def generated_client_key(environ: Mapping[str, str]) -> tuple[str, Path]:
    """The key of the state folder, made on first use, and its file. Raises KeyFileError."""
    path = state_folder(environ) / CLIENT_KEY_FILE
    return _read_or_make(path, make_client_key()), path


def make_all(folder: Path) -> str:
    """Makes what `folder` lacks of client key, administration key and the workers' secret; returns the client key.

    Raises KeyFileError.
    """
    _read_or_make(folder / SECRET_KEY_FILE, make_secret())
    _read_or_make(folder / MASTER_KEY_FILE, f"sk-penstock-admin-{secrets.token_urlsafe(32)}")
    return _read_or_make(folder / CLIENT_KEY_FILE, make_client_key())


def read_key_files(environ: MutableMapping[str, str]) -> None:
    """Sets each variable NAME that is not set and whose NAME_FILE is, to that file's text, as containers hand over
    their secrets. Raises KeyFileError.
    """
    for name in _FROM_FILES:
        file = environ.get(f"{name}_FILE")
        if not file or environ.get(name):
            continue
        try:
            environ[name] = Path(file).read_text().strip()
        except OSError as error:
            raise KeyFileError(f"{name}_FILE: {file} cannot be read: {error.strerror}") from None


def _read_or_make(path: Path, text: str) -> str:
    try:
        return read_or_make(path, text)
    except OSError as error:
        raise KeyFileError(
            f"{path} cannot be used: {error.strerror}; PENSTOCK_STATE_DIR chooses another folder"
        ) from None
