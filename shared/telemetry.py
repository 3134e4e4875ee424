"""Logging: one JSON object per line on stderr, or lines for people where stderr is a terminal.

Stdout belongs to what a command prints for its user. Modules log with `structlog.get_logger()`, a constant event and
fields that `shared.loggable` knows; whatever else is passed is withheld. Messages of libraries go the same way: only
their known openings are shown, for the rest of such a message may quote a request. Exceptions are shown by type and
place, never with their message or variables, which may hold a prompt or a secret.
"""

import contextlib
import errno
import logging
import os
import sys
import traceback
from collections.abc import Iterator, MutableMapping
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Final

import orjson
import structlog

from shared.loggable import FIELDS, text

LEVELS: Final = ("debug", "info", "warning", "error", "critical")
_STDERR: Final = 2
_MOST_LINKS: Final = 4
_MOST_FRAMES: Final = 25
_QUIET: Final = ("uvicorn.access", "arq.jobs")  # our own line tells more, and theirs would quote requests
# What libraries say before they may quote something.
_OPENINGS: Final = (
    "Application shutdown failed",
    "Application startup failed",
    "ASGI callable returned without",
    "Cancel %s running task(s)",
    "Exception in ASGI application",
    "Exception in callback",
    "Fatal read error on socket transport",
    "Fatal write error on socket transport",
    "Future exception was never retrieved",
    "Invalid HTTP request received",
    "Task exception was never retrieved",
    "Task was destroyed but it is pending",
    "Unclosed client session",
    "Unclosed connection",
    "Unsupported upgrade request",
)
_log = structlog.get_logger()


class LogLevelError(Exception):
    """Not one of LEVELS; the message lists them."""


def configure_logging(level: str, *, service: str) -> None:
    """Sets up the whole process: structlog, the standard library's logging, uncaught exceptions.

    `service` ("api", "worker", ...) names the process in each line. Raises LogLevelError for a level that is not one of
    LEVELS.
    """
    if level.lower() not in LEVELS:
        raise LogLevelError(f"{level!r} is no log level; choose one of {', '.join(LEVELS)}")
    threshold = logging.getLevelNamesMapping()[level.upper()]
    identity = {"service.name": f"penstock-{service}", "process.pid": os.getpid()}
    people = sys.stderr.isatty()
    structlog.configure(
        processors=[_Sieve(identity), *(_for_people() if people else [_to_json])],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr) if people else structlog.BytesLoggerFactory(_Stderr()),  # type: ignore[arg-type]  # write and flush are all that it uses
        cache_logger_on_first_use=True,
    )
    # Libraries' debug lines hold whole messages and headers: they are never shown.
    logging.basicConfig(handlers=[_Libraries()], level=max(threshold, logging.WARNING), force=True)
    for name in _QUIET:
        logging.getLogger(name).disabled = True
    sys.excepthook = _log_uncaught


class _Stderr:
    """Writes each line with one system call, and goes on serving when nobody reads it any more."""

    def write(self, line: bytes) -> None:
        with contextlib.suppress(OSError):
            os.write(_STDERR, line)

    def flush(self) -> None:
        pass


class _Sieve:
    """The processor through which every line goes: keeps what is loggable, names what it withheld."""

    def __init__(self, identity: dict[str, Any]) -> None:
        self._identity = identity

    def __call__(self, logger: object, method: str, given: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        line = {
            "timestamp": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "level": "error" if method == "exception" else method,
            "event": text(given.pop("event", "")),
            **self._identity,
        }
        exc_info = given.pop("exc_info", None)
        withheld = []
        for key, value in given.items():
            field = FIELDS.get(key)
            if field is None:
                withheld.append(key)
            elif value is not None and value != "":
                line[field.name] = field.shape(value)
        if exc_info:
            line |= _exception_fields(exc_info)
        if withheld:
            line["withheld"] = withheld
        return line


def _to_json(_logger: object, _method: str, line: MutableMapping[str, Any]) -> bytes:
    return orjson.dumps(line)


def _for_people() -> list[structlog.typing.Processor]:
    def unfold(_logger: object, _method: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        """The stack on lines of its own, and nothing that a person at a terminal knows."""
        if "exception.stacktrace" in line:
            line["exception"] = line.pop("exception.stacktrace")
        del line["process.pid"]
        line["timestamp"] = line["timestamp"][11:23]
        return line

    renderer = structlog.dev.ConsoleRenderer(
        colors=not os.environ.get("NO_COLOR"), exception_formatter=structlog.dev.plain_traceback
    )
    return [unfold, renderer]


# ---- exceptions


def _exception_fields(exc_info: Any) -> dict[str, str]:
    """`exc_info` as structlog and logging take it: an exception, a tuple from sys.exc_info, or True."""
    if isinstance(exc_info, BaseException):
        error: BaseException | None = exc_info
    elif isinstance(exc_info, tuple):
        error = exc_info[1]
    else:
        error = sys.exception()
    if error is None:
        return {}
    return {"exception.type": _type_name(error), "exception.stacktrace": "\n".join(_describe(error, _MOST_LINKS))}


def _type_name(error: BaseException) -> str:
    """`builtins` left out; an OSError with the name of its number, which says all that its message does."""
    kind = type(error)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    if isinstance(error, OSError) and error.errno is not None:
        return f"{name} ({errno.errorcode.get(error.errno, str(error.errno))})"
    return name


def _describe(error: BaseException, links: int) -> Iterator[str]:
    """The exception's places, innermost last, then what caused it; of a group, its members."""
    yield _type_name(error)
    yield from _places(error.__traceback__)
    if links == 0:
        return
    if isinstance(error, BaseExceptionGroup):
        for member in error.exceptions[:links]:
            yield from _describe(member, links - 1)
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if cause is not None:
        yield "caused by:"
        yield from _describe(cause, links - 1)


def _places(trace: TracebackType | None) -> Iterator[str]:
    """Module, line and function of each call: no file paths, no source, no variables."""
    for frame, line in list(traceback.walk_tb(trace))[-_MOST_FRAMES:]:
        yield f"  {frame.f_globals.get('__name__', '?')}:{line} {frame.f_code.co_name}"


def _log_uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
    else:
        _log.critical("process failed", exc_info=(kind, error, trace))


# ---- libraries


class _Libraries(logging.Handler):
    """Takes what the standard library's logging gets, from uvicorn, arq, aiohttp, asyncio and the rest."""

    def emit(self, record: logging.LogRecord) -> None:
        said = record.msg if isinstance(record.msg, str) else ""
        opening = next((known for known in _OPENINGS if said.startswith(known)), "a library's message, withheld")
        exc_info = record.msg if isinstance(record.msg, BaseException) else record.exc_info
        _log.log(
            min(max(record.levelno // 10, 1), 5) * 10,  # uvicorn has levels of its own
            opening,
            logger=record.name,
            code=f"{record.module}:{record.lineno}",
            exc_info=exc_info,
        )
