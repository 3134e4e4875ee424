"""The Lua scripts that front and worker share: each file's first lines give its arguments and its reply."""

from importlib.resources import files

from shared.bus import Script

_PRELUDE = (files(__name__) / "prelude.lua").read_text()


def _load(name: str) -> Script:
    return Script(name, _PRELUDE + (files(__name__) / f"{name}.lua").read_text())


ENQUEUE = _load("enqueue")
CLAIM = _load("claim")
SHOWN = _load("shown")
BEAT = _load("beat")
RESYNC = _load("resync")
FINISH = _load("finish")
CANCEL = _load("cancel")
STATUS = _load("status")
REAP = _load("reap")
