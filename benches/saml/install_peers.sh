#!/bin/bash
# Installs what `rolegate saml bench` is compared with. Only the benchmark needs it.
#
# A peer that cannot be installed is named and left out; the benchmark reports it as missing.
set -uo pipefail
cd "$(dirname "$0")/../.."
. tests/support/debian_packages.sh

tools=${CARGO_TARGET_DIR:-target}/bench-tools
mkdir -p "$tools"

missing() {
    echo "warning: $1 cannot be installed and will be missing from the comparison" >&2
}

# lasso comes with Debian's own Python alone; pysaml2 runs the xmlsec1 program.
debian_packages openssl util-linux python3-venv || missing openssl
debian_packages python3-lasso || missing lasso
debian_packages xmlsec1 || missing pysaml2
if ! command -v node >/dev/null || ! command -v npm >/dev/null; then
    debian_packages nodejs npm || missing node-saml
fi

# A copy of what was installed from, beside it: when the two are equal there is nothing to do.
requirements=benches/saml/peers.requirements.txt
if ! cmp --silent "$requirements" "$tools/venv/requirements.txt"; then
    echo "installing python3-saml and pysaml2 into $tools/venv"
    rm -rf "$tools/venv"
    /usr/bin/python3 -m venv "$tools/venv"
    # One after the other, so that one that fails does not take the other along.
    complete=true
    while read -r requirement; do
        "$tools/venv/bin/pip" install --quiet --disable-pip-version-check "$requirement" || {
            missing "$requirement"
            complete=false
        }
    done < "$requirements"
    if $complete; then cp "$requirements" "$tools/venv/requirements.txt"; fi
fi

lock=benches/saml/package-lock.json
if ! cmp --silent "$lock" "$tools/node/package-lock.installed"; then
    echo "installing node-saml into $tools/node"
    mkdir -p "$tools/node"
    cp benches/saml/package.json "$lock" "$tools/node/"
    if (cd "$tools/node" && npm ci --silent --no-audit --no-fund --ignore-scripts); then
        cp "$lock" "$tools/node/package-lock.installed"
    else
        missing node-saml
    fi
fi
exit 0
