"""Files of the state folder: there whole or not at all, and for their owner alone."""

import os
from pathlib import Path


def write_whole(path: Path, data: bytes) -> None:
    """Replaces `path`. Raises OSError."""
    write_draft(path, data).replace(path)


def write_draft(path: Path, data: bytes) -> Path:
    """A file beside `path` with `data` on the disk, for whoever puts it in its place. Raises OSError."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    return draft
