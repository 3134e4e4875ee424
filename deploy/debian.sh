#!/bin/sh
# Installs what tests need of Debian or Ubuntu, where that is allowed; elsewhere those tests are skipped and say so.
set -eu

missing=
need() { command -v "$1" >/dev/null || missing="$missing $2"; }
need redis-server redis-server
need nginx nginx
need promtool prometheus
need node nodejs
need npm npm

[ -n "$missing" ] || exit 0
if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then exit 0; fi

export DEBIAN_FRONTEND=noninteractive
echo "Installing for the tests:$missing"
# shellcheck disable=SC2086  one word per package
apt-get update -q && apt-get install -q -y --no-install-recommends $missing ||
    echo "Some packages could not be installed; the tests that need them will say so." >&2
