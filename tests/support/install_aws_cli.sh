#!/bin/bash
# Unpacks two versions of AWS CLI v2 into FOLDER: Debian unstable's as `newest`, and that of a
# stable Debian as `stable`. Quick when they are there.
#
# usage: install_aws_cli.sh FOLDER
#
# FOLDER/newest/aws and FOLDER/stable/aws run them, FOLDER/{newest,stable}/version says which they are.
# The AWS CLI on PyPI is version 1, which has no `aws sso login`, and Debian 12's takes no endpoint
# from its configuration. Nothing of this machine's apt is changed: the package lists of the newer
# suites are fetched into FOLDER, from the mirror that the machine uses itself.
set -euo pipefail

newest=2.38.1
stable=2.23.6

folder=$1
support=$(cd "$(dirname "$0")" && pwd)
requirements=$support/aws_cli_requirements.txt
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)

# `aws` finds everything beside itself: the folder can be moved, and copied to another checkout.
write_starter() {
    cat > "$1/aws" <<'STARTER'
#!/bin/sh
here=$(dirname "$(readlink -f "$0")")
export PYTHONPATH="$here/package/usr/lib/python3/dist-packages"
exec "$here/../venv/bin/python" "$here/package/usr/bin/aws" "$@"
STARTER
    chmod +x "$1/aws"
}

# The mirror that this machine's own package lists come from, in either form of apt's sources.
mirror() {
    local deb822=/etc/apt/sources.list.d/debian.sources url=
    if [ -e "$deb822" ]; then
        url=$(awk '/^URIs:/ { print $2; exit }' "$deb822")
    fi
    if [ -z "$url" ] && [ -e /etc/apt/sources.list ]; then
        url=$(awk '$1 == "deb" { for (i = 2; i <= NF; i++) if ($i ~ /:\/\//) { print $i; exit } }' \
            /etc/apt/sources.list)
    fi
    echo "${url:-http://deb.debian.org/debian}"
}

lists=$folder/lists
apt_options=(
    -o "Dir::Etc::SourceList=$lists/sources.list" -o Dir::Etc::SourceParts=/dev/null
    -o "Dir::State::Lists=$lists/state" -o "Dir::Cache=$lists/cache" -o APT::Sandbox::User=root
)

refresh_lists() {
    [ ! -e "$lists/fresh" ] || return 0
    rm -rf "$lists"
    mkdir -p "$lists/state/partial" "$lists/cache/archives/partial"
    local suite
    for suite in trixie sid; do
        echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $(mirror) $suite main"
    done > "$lists/sources.list"
    apt-get "${apt_options[@]}" update --quiet=2 </dev/null ||
        echo 'warning: not every list of the newer Debian suites could be read' >&2
    touch "$lists/fresh"
}

# The versions of the package that can be had, newest first.
offered() {
    apt-cache "${apt_options[@]}" madison awscli | awk '{ print $3 }' | sort --reverse --version-sort |
        grep '^2\.' || true
}

# unpack NAME VERSION; joined by && because `set -e` does not reach into `install … ||`.
unpack() {
    local place=$folder/$1 version=$2
    rm -rf "$place" &&
        mkdir -p "$place" &&
        (cd "$place" &&
            apt-get "${apt_options[@]}" download --quiet=2 "awscli=$version" </dev/null) &&
        dpkg-deb --extract "$place"/*.deb "$place/package" &&
        rm "$place"/*.deb &&
        write_starter "$place" &&
        "$place/aws" --version >/dev/null &&
        echo "${version%-*}" > "$place/version"
}

# install NAME WANTED: the wanted version, or the newest that can be had.
install() {
    local name=$1 wanted=$2 found
    if [ -e "$folder/$name/version" ] && [ "$(cat "$folder/$name/wanted")" = "$wanted" ]; then
        return 0
    fi
    refresh_lists
    found=$(offered | grep --max-count=1 "^$wanted-" || true)
    if [ -z "$found" ]; then
        found=$(offered | head -n 1)
        [ -n "$found" ] || return 1
        echo "warning: AWS CLI $wanted is no longer to be had; taking $found" >&2
    fi
    echo "unpacking AWS CLI $found into $folder/$name"
    unpack "$name" "$found" && echo "$wanted" > "$folder/$name/wanted"
}

if ! cmp --silent "$requirements" "$folder/venv/requirements.txt"; then
    rm -rf "$folder/venv"
    /usr/bin/python3 -m venv "$folder/venv"
    "$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
        --requirement "$requirements"
    cp "$requirements" "$folder/venv/requirements.txt"
fi
failed=
install newest "$newest" || failed="$failed newest"
install stable "$stable" || failed="$failed stable"
rm -rf "$lists"
if [ -n "$failed" ]; then
    echo "warning: no AWS CLI v2 could be unpacked as:$failed. The tests of stock tools fail when" \
        'there is none at all' >&2
fi
