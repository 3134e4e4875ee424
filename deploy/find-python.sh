#!/bin/sh
# Prints the Python to build .venv with: the one given, else a suitable one. Says what to install otherwise.
set -eu

# Distributions build theirs with profile-guided optimisation. pyenv and a plain ./configure do not, and such a Python
# takes a third more CPU for everything: so the distribution's comes first.
own=${USR_BIN:-/usr/bin}

suits() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }
has_venv() { "$1" -c 'import venv, ensurepip' 2>/dev/null; }

fail() { printf '%s\n' "$@" >&2; exit 1; }

# The Redis that comes as a wheel exists for Python before 3.13 only.
if command -v redis-server >/dev/null || command -v valkey-server >/dev/null; then
    candidates="$own/python3 python3 python3.13 python3.12 python3.11 python3.14"
else
    candidates="$own/python3.12 $own/python3.11 python3.12 python3.11 $own/python3 python3 python3.13 python3.14"
fi

found=
bare=
if [ $# -gt 0 ]; then
    suits "$1" || fail "$1 is not Python 3.11 or later."
    if has_venv "$1"; then found=$1; else bare=$1; fi
else
    for candidate in $candidates; do
        suits "$candidate" || continue
        if has_venv "$candidate"; then found=$candidate; break; fi
        bare=${bare:-$candidate}
    done
fi

[ -n "$found$bare" ] || fail \
    "Penstock needs Python 3.11 or later; python3 is $(python3 --version 2>/dev/null || echo missing)." \
    "Debian 12, Ubuntu 24.04 and later: apt install python3 python3-venv" \
    "Elsewhere: https://www.python.org/downloads/, or name one: make install PYTHON=/path/to/python3.12"

[ -n "$found" ] || fail \
    "$bare has no venv module. Debian and Ubuntu: apt install python3-venv" \
    "(or python3.12-venv for a python3.12 that is not the system's own)."

echo "$found"
