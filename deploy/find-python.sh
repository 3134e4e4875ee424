#!/bin/sh
# Prints the Python to build .venv with: the one given, else a suitable one of PATH. Says what to install otherwise.
set -eu

suits() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

fail() { printf '%s\n' "$@" >&2; exit 1; }

# The Redis that comes as a wheel exists for Python before 3.13 only.
if command -v redis-server >/dev/null || command -v valkey-server >/dev/null; then
    candidates='python3 python3.13 python3.12 python3.11 python3.14'
else
    candidates='python3.12 python3.11 python3 python3.13 python3.14'
fi

if [ $# -gt 0 ]; then
    suits "$1" || fail "$1 is not Python 3.11 or later."
    found=$1
else
    found=
    for candidate in $candidates; do
        if suits "$candidate"; then found=$candidate; break; fi
    done
fi

[ -n "$found" ] || fail \
    "Penstock needs Python 3.11 or later; python3 is $(python3 --version 2>/dev/null || echo missing)." \
    "Debian 12, Ubuntu 24.04 and later: apt install python3 python3-venv" \
    "Elsewhere: https://www.python.org/downloads/, or name one: make install PYTHON=/path/to/python3.12"

"$found" -c 'import venv, ensurepip' 2>/dev/null || fail \
    "$found has no venv module. Debian and Ubuntu: apt install python3-venv" \
    "(or python3.12-venv for a python3.12 that is not the system's own)."

echo "$found"
