"""Picks up edits of the configuration file while the worker runs; a broken edit changes nothing."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import structlog
from watchfiles import awatch

from worker.config.loading import Loaded, load
from worker.config.problems import ConfigError

# Network file systems and some bind mounts tell nothing of a change.
_LOOK_ANYWAY_S = 5.0
_log = structlog.get_logger()

_Signature = tuple[int, int, int] | None


async def watch(
    loaded: Loaded,
    environ: Mapping[str, str],
    on_loaded: Callable[[Loaded], None],
    on_broken: Callable[[ConfigError], None],
    *,
    look_anyway_s: float = _LOOK_ANYWAY_S,
) -> None:
    """Until cancelled: calls `on_loaded` with each new state of `loaded.path`, `on_broken` with what is wrong with it,
    also when it is `on_loaded` that raises ConfigError.

    Sees a file that is edited in place or renamed over, and a symbolic link, or a folder's link on the way to it, that
    is pointed elsewhere. Returns at once if the configuration came from no file.
    """
    if loaded.path is None:
        return
    last = _signature(loaded.path)
    newest = loaded.generation
    if last is None or last[0] != loaded.generation:
        newest = await _reload(loaded.path, environ, newest, on_loaded, on_broken)
    async for signature in _signatures(loaded.path, look_anyway_s):
        if signature != last:
            last = signature
            newest = await _reload(loaded.path, environ, newest, on_loaded, on_broken)


async def _signatures(path: Path, look_anyway_s: float) -> AsyncIterator[_Signature]:
    """The file's signature after whatever happened in the folders on which it depends.

    A system that has no watch left to give, as hosts of many containers often have not, is looked at now and then.
    """
    told = False
    while True:
        folders = _folders(path)
        try:
            async for _ in _happenings(folders, look_anyway_s):
                yield _signature(path)
                if _folders(path) != folders:
                    break
        except (RuntimeError, OSError) as error:  # the first is the library's
            if not told:
                _log.warning(
                    "edits are found by looking", reason=f"{error}; fs.inotify.max_user_instances may be raised"
                )
                told = True
            await asyncio.sleep(look_anyway_s)
            yield _signature(path)


def _happenings(folders: tuple[Path, ...], look_anyway_s: float) -> AsyncGenerator[Any, None]:
    return awatch(
        *folders,
        watch_filter=None,
        recursive=False,
        debounce=200,
        step=200,
        rust_timeout=int(look_anyway_s * 1000),
        yield_on_timeout=True,
        ignore_permission_denied=True,
    )


def _folders(path: Path) -> tuple[Path, ...]:
    """The folder of the name, and that of the file that it leads to."""
    folders = {path.absolute().parent, path.resolve().parent}
    return tuple(sorted(folder for folder in folders if folder.is_dir())) or (Path("/"),)


def _signature(path: Path) -> _Signature:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino


async def _reload(
    path: Path,
    environ: Mapping[str, str],
    newest: int,
    on_loaded: Callable[[Loaded], None],
    on_broken: Callable[[ConfigError], None],
) -> int:
    """The newest generation. A file that is older than the last one was put in its place later, so it is newer."""
    try:
        loaded = await asyncio.to_thread(load, path, environ)
        loaded = replace(loaded, generation=max(loaded.generation, newest + 1))
        on_loaded(loaded)
    except ConfigError as error:
        on_broken(error)
        return newest
    return loaded.generation
