#!/bin/bash
# Installs what the tests start: slapd, Samba AD, moto, identity providers, Chromium, AWS CLI v2. Quick
# when all of it is there.
set -euo pipefail
cd "$(dirname "$0")/../.."
. tests/support/debian_packages.sh

tools=${CARGO_TARGET_DIR:-target}/test-tools

debian_packages slapd ldap-utils openssl \
    samba samba-ad-provision samba-dsdb-modules samba-vfs-modules winbind krb5-config \
    python3-samba attr \
    python3-venv util-linux iproute2 chromium \
    xmlsec1 php-cli php-mbstring php-xml \
    fish zsh
if ! command -v node >/dev/null || ! command -v npm >/dev/null; then
    debian_packages nodejs npm
fi

# A copy of what was installed from, beside it: when the two are equal there is nothing to do.
requirements=tests/support/requirements.txt
if ! cmp --silent "$requirements" "$tools/venv/requirements.txt"; then
    echo "installing moto, pysaml2, python3-saml, PyJWT, cfn-lint, python-hcl2 and schemathesis into $tools/venv"
    rm -rf "$tools/venv"
    mkdir -p "$tools"
    /usr/bin/python3 -m venv "$tools/venv"
    "$tools/venv/bin/pip" install --quiet --disable-pip-version-check --requirement "$requirements"
    cp "$requirements" "$tools/venv/requirements.txt"
fi

bash tests/support/install_aws_cli.sh "$tools/aws-cli"

# SimpleSAMLphp is unpacked rather than installed: the package wants a web server, which Debian would
# start at every boot, and PHP's own is all that the tests need.
simplesamlphp=$tools/simplesamlphp
if [ ! -e "$simplesamlphp/usr/share/simplesamlphp/www/index.php" ]; then
    echo "unpacking SimpleSAMLphp into $simplesamlphp"
    rm -rf "$simplesamlphp"
    mkdir -p "$simplesamlphp"
    (cd "$simplesamlphp" && apt-get download --quiet=2 simplesamlphp 2>/dev/null) || {
        as_root apt-get update --quiet=2 </dev/null
        (cd "$simplesamlphp" && apt-get download --quiet=2 simplesamlphp)
    }
    dpkg-deb --extract "$simplesamlphp"/*.deb "$simplesamlphp"
    rm "$simplesamlphp"/*.deb
fi

# playwright-core stays at 1.61, the last that runs on Debian 12's Node.js 18.
install_node_packages() {
    local folder=$1 what=$2
    local lock=$folder/package-lock.json installed=$folder/node_modules/package-lock.json
    if ! cmp --silent "$lock" "$installed"; then
        echo "installing $what into $folder/node_modules"
        (cd "$folder" && npm ci --silent --no-audit --no-fund --ignore-scripts)
        cp "$lock" "$installed"
    fi
}
install_node_packages tests/browser 'the browser driver'
install_node_packages tests/support/identity_providers samlify
install_node_packages tests/support/verifiers 'node-saml, jose and AWS SDK'
