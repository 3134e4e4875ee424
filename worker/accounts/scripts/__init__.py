"""The Lua scripts of the accounts: each file's first lines give its arguments and its reply."""

from dataclasses import dataclass
from importlib.resources import files

from shared.bus import Script

_FOLDER = files(__name__)
REDIS_CLOCK = (_FOLDER / "clock.lua").read_text()
"""Sets `now`; a test puts another clock in its place."""


@dataclass(frozen=True, slots=True)
class AccountScripts:
    lease: Script
    settle: Script
    recover: Script
    renew: Script
    sync: Script
    leave: Script

    def all(self) -> tuple[Script, ...]:
        return self.lease, self.settle, self.recover, self.renew, self.sync, self.leave


def load_scripts(clock: str = REDIS_CLOCK) -> AccountScripts:
    prelude = clock + (_FOLDER / "prelude.lua").read_text()
    names = ("lease", "settle", "recover", "renew", "sync", "leave")
    return AccountScripts(*(Script(name, prelude + (_FOLDER / f"{name}.lua").read_text()) for name in names))
