"""From a file and the environment to a checked configuration, or to everything that is wrong with it."""

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from worker.config.advice import advise
from worker.config.document import Document, read_document
from worker.config.importers import Source, recognise, render_data
from worker.config.overlay import Data, Overlay
from worker.config.problems import ConfigError, Problem, problems_of
from worker.config.schema import Config
from worker.config.surroundings import add_keys, for_callers, implied

FILE_NAME = "penstock.yaml"


@dataclass(frozen=True, slots=True)
class Loaded:
    """A configuration that is ready for use.

    `path` is None when there was no file. `generation` orders configurations: the file's modification time in ns, or
    the time of loading when there is none. `warnings` are for a person to read and hold no secret. `data` is what the
    configuration was made of, without what the environment adds.
    """

    config: Config
    path: Path | None
    generation: int
    warnings: tuple[str, ...] = ()
    data: Data = field(default_factory=dict, repr=False)


def find_config(option: Path | None, environ: Mapping[str, str], folder: Path) -> Path | None:
    """The file to use: `option` (--config), else PENSTOCK_CONFIG, else ./penstock.yaml where there is one."""
    if option is not None:
        return option
    if environ.get("PENSTOCK_CONFIG"):
        return Path(environ["PENSTOCK_CONFIG"])
    default = folder / FILE_NAME
    return default if default.exists() else None


def load(path: Path | None, environ: Mapping[str, str], *, passthrough: str | None = None) -> Loaded:
    """Reads `path`, or without one what the environment implies; raises ConfigError with every problem at once.

    `passthrough` (or PENSTOCK_PASSTHROUGH) names a provider type to serve with callers' own keys, without a file.
    A predecessor's file is accepted as it is.
    """
    if path is not None:
        text, generation = _read(path)
        return parse(text, environ, path=path, generation=generation)
    document = Document(implied(environ))
    type_name = passthrough or environ.get("PENSTOCK_PASSTHROUGH")
    if type_name:
        document.data, document.problems = for_callers(type_name, environ)
    config = _validate(document, environ, "environment")
    return Loaded(config, None, time.time_ns(), tuple(advise(config)), document.data or {})


def parse(text: str, environ: Mapping[str, str], *, path: Path, generation: int) -> Loaded:
    """As `load`, for a file's text that has been read already."""
    source = Source(text)
    importer = recognise(source)
    notes: list[str] = []
    if importer is None:
        document = read_document(text, environ)
    else:
        try:
            imported = importer.read(source)
        except ValueError as error:
            raise ConfigError([Problem((), str(error))], str(path)) from None
        notes = [f"read as a file of {importer.title}", *imported.notes]
        document = read_document(render_data(imported.data), environ)
        document.lines.clear()  # those of a text that nobody has seen
    if document.data is None and not document.problems:
        document.problems.append(Problem((), "is empty"))
    config = _validate(document, environ, str(path))
    return Loaded(config, path, generation, (*notes, *advise(config)), document.data or {})


def overlaid(loaded: Loaded, overlay: Overlay, environ: Mapping[str, str]) -> Loaded:
    """`loaded`, which came from a file, with the changes made over HTTP. Raises ConfigError.

    Its generation is beyond that of the file by the overlay's: the newest file wins, then the newest change.
    """
    if overlay.generation == 0:
        return loaded
    data = overlay.apply(loaded.data)
    config = _validate(Document(data), environ, "")
    generation = loaded.generation + overlay.generation
    return replace(loaded, config=config, generation=generation, warnings=tuple(advise(config)), data=data)


def _read(path: Path) -> tuple[str, int]:
    try:
        with path.open("rb") as file:
            return file.read().decode("utf-8-sig"), os.fstat(file.fileno()).st_mtime_ns
    except UnicodeDecodeError as error:
        raise ConfigError([Problem((), f"is not UTF-8 at byte {error.start}")], str(path)) from None
    except OSError as error:
        raise ConfigError([Problem((), f"cannot be read: {error.strerror}")], str(path)) from None


def _validate(document: Document, environ: Mapping[str, str], file: str) -> Config:
    data: Any = {} if document.data is None else document.data
    if isinstance(data, dict):
        data = dict(data)
        add_keys(data, environ)
    problems = list(document.problems)
    try:
        config = Config.model_validate(data)
    except ValidationError as error:
        problems += [document.place(location, message) for location, message in problems_of(error)]
    else:
        if not problems:
            return config
    raise ConfigError(sorted(dict.fromkeys(problems), key=lambda problem: problem.line or 0), file) from None
