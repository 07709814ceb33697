#!/bin/bash
# Installs what the tests start: slapd, Samba AD, moto, Chromium. Quick when all of it is there.
set -euo pipefail
cd "$(dirname "$0")/../.."
. tests/support/debian_packages.sh

tools=${CARGO_TARGET_DIR:-target}/test-tools

debian_packages slapd ldap-utils openssl \
    samba samba-ad-provision samba-dsdb-modules samba-vfs-modules winbind krb5-config \
    python3-samba attr \
    python3-venv util-linux chromium
if ! command -v node >/dev/null || ! command -v npm >/dev/null; then
    debian_packages nodejs npm
fi

# A copy of what was installed from, beside it: when the two are equal there is nothing to do.
requirements=tests/support/requirements.txt
if ! cmp --silent "$requirements" "$tools/venv/requirements.txt"; then
    echo "installing moto into $tools/venv"
    rm -rf "$tools/venv"
    mkdir -p "$tools"
    /usr/bin/python3 -m venv "$tools/venv"
    "$tools/venv/bin/pip" install --quiet --disable-pip-version-check --requirement "$requirements"
    cp "$requirements" "$tools/venv/requirements.txt"
fi

# playwright-core stays at 1.61, the last that runs on Debian 12's Node.js 18.
lock=tests/browser/package-lock.json
if ! cmp --silent "$lock" tests/browser/node_modules/package-lock.json; then
    echo "installing the browser driver into tests/browser/node_modules"
    (cd tests/browser && npm ci --silent --no-audit --no-fund --ignore-scripts)
    cp "$lock" tests/browser/node_modules/package-lock.json
fi
