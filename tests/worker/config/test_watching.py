"""Edits of the file in all the ways in which files are edited."""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from worker.config.loading import Loaded, load
from worker.config.problems import ConfigError
from worker.config.watching import watch

Seen = asyncio.Queue[Loaded | ConfigError]


def config(port: int) -> str:
    return f"server: {{port: {port}}}\n"


def write(path: Path, text: str) -> None:
    path.write_text(text)


def watched_folders() -> int:
    """Of this process, by inotify."""
    found = 0
    for info in Path("/proc/self/fdinfo").iterdir():
        with suppress(FileNotFoundError):  # closed meanwhile
            found += info.read_text().count("inotify wd")
    return found


def folders_of(path: Path) -> int:
    return len({path.parent, path.resolve().parent})


def await_watch(folders: int) -> None:
    while watched_folders() < folders:
        time.sleep(0.01)


@asynccontextmanager
async def watched(path: Path) -> AsyncIterator[Seen]:
    """Without the regular look, so that only what the system tells of changes counts."""
    seen: Seen = asyncio.Queue()
    loaded, before = load(path, {}), watched_folders()
    task = asyncio.create_task(watch(loaded, {}, seen.put_nowait, seen.put_nowait, look_anyway_s=3600))
    await asyncio.to_thread(await_watch, before + folders_of(path))
    try:
        yield seen
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def next_port(seen: Seen) -> int:
    async with asyncio.timeout(20):
        loaded = await seen.get()
    assert isinstance(loaded, Loaded), loaded
    return loaded.config.server.port


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "penstock.yaml"
    file.write_text(config(1001))
    return file


async def test_an_edit_in_place_is_seen(path: Path) -> None:
    async with watched(path) as seen:
        write(path, config(1002))
        assert await next_port(seen) == 1002


async def test_a_file_renamed_over_it_is_seen_even_when_it_is_older(path: Path) -> None:
    draft = path.with_name("draft")
    draft.write_text(config(1002))
    os.utime(draft, (1, 1))
    before = load(path, {}).generation
    async with watched(path) as seen:
        draft.rename(path)
        async with asyncio.timeout(20):
            loaded = await seen.get()
    assert isinstance(loaded, Loaded)
    assert loaded.config.server.port == 1002
    assert loaded.generation > before


async def test_a_folders_link_that_flips_is_seen(tmp_path: Path) -> None:
    for name, port in (("one", 1001), ("two", 1002)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "penstock.yaml").write_text(config(port))
    (tmp_path / "data").symlink_to("one")
    (tmp_path / "penstock.yaml").symlink_to("data/penstock.yaml")
    async with watched(tmp_path / "penstock.yaml") as seen:
        (tmp_path / "data_new").symlink_to("two")
        (tmp_path / "data_new").rename(tmp_path / "data")
        assert await next_port(seen) == 1002


async def test_a_linked_file_that_is_edited_where_it_is(tmp_path: Path, path: Path) -> None:
    (tmp_path / "etc").mkdir()
    link = tmp_path / "etc" / "penstock.yaml"
    link.symlink_to(path)
    async with watched(link) as seen:
        write(path, config(1002))
        assert await next_port(seen) == 1002


async def test_a_broken_edit_is_told_and_the_next_good_one_taken(path: Path) -> None:
    async with watched(path) as seen:
        write(path, "server: {prot: 1}")
        async with asyncio.timeout(20):
            error = await seen.get()
        assert isinstance(error, ConfigError)
        assert "did you mean 'port'" in str(error)
        write(path, config(1003))
        assert await next_port(seen) == 1003


async def test_a_file_that_vanishes_is_told(path: Path) -> None:
    async with watched(path) as seen:
        await asyncio.to_thread(path.unlink)
        async with asyncio.timeout(20):
            assert isinstance(await seen.get(), ConfigError)


async def test_an_edit_between_loading_and_watching_is_not_lost(path: Path) -> None:
    loaded = load(path, {})
    write(path, config(1002))
    os.utime(path, ns=(loaded.generation + 1, loaded.generation + 1))
    seen: Seen = asyncio.Queue()
    task = asyncio.create_task(watch(loaded, {}, seen.put_nowait, seen.put_nowait))
    assert await next_port(seen) == 1002
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_without_a_file_there_is_nothing_to_watch() -> None:
    await watch(load(None, {}), {}, lambda _: None, lambda _: None)


async def test_where_the_system_has_no_watch_to_give_edits_are_found_by_looking(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hosts of many containers run out of them; nobody would hear of any edit again."""

    def refuse(*_: object, **__: object) -> None:
        raise RuntimeError("Error creating recommended watcher: Too many open files (os error 24)")

    monkeypatch.setattr("worker.config.watching.awatch", refuse)
    path, seen = tmp_path / "penstock.yaml", asyncio.Queue[Loaded | ConfigError]()
    write(path, config(1111))
    watching = watch(load(path, {}), {}, seen.put_nowait, seen.put_nowait, look_anyway_s=0.02)
    task = asyncio.create_task(watching)
    for port in (2222, 3333):
        write(path, config(port))
        assert await next_port(seen) == port
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
