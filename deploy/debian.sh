#!/bin/sh
# Installs what tests need of Debian or Ubuntu, where that is allowed; elsewhere those tests are skipped and say so.
set -eu

lacking() { ! command -v "$1" >/dev/null; }

# One by one, for npm is a package of its own in Debian and a part of nodejs elsewhere.
need() {
    if lacking "$1"; then
        echo "Installing $2 for the tests"
        apt-get install -q -y --no-install-recommends "$2" || echo "$2 could not be installed." >&2
    fi
}

if [ "$(id -u)" -ne 0 ] || lacking apt-get; then exit 0; fi
for program in redis-server nginx promtool node npm; do
    if lacking "$program"; then
        apt-get update -q || echo "The package lists could not be renewed." >&2
        break
    fi
done

export DEBIAN_FRONTEND=noninteractive
need redis-server redis-server
need nginx nginx
need promtool prometheus
need node nodejs
need npm npm
