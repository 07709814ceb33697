# Installs the Debian packages that are missing. Sourced by the install scripts; not run by itself.
#
# debian_packages NAME...  does nothing, quickly, when every package is there.

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        echo "error: '$*' needs root: run it as root, or install sudo" >&2
        return 1
    fi
}

missing_packages() {
    local package
    for package in "$@"; do
        case "$(dpkg-query --show --showformat='${Status}' "$package" 2>/dev/null)" in
            *' installed') ;;
            *) echo "$package" ;;
        esac
    done
}

# A directory server that Debian starts by itself would hold ports and serve nobody: while the
# packages are installed, policy-rc.d forbids starts, and afterwards the new ones are disabled.
debian_packages() {
    local missing
    mapfile -t missing < <(missing_packages "$@")
    [ "${#missing[@]}" -gt 0 ] || return 0

    if ! command -v apt-get >/dev/null; then
        echo "error: no apt-get here; install the equivalents of: ${missing[*]}" >&2
        return 1
    fi
    echo "installing ${missing[*]}"
    as_root env DEBIAN_FRONTEND=noninteractive bash -euo pipefail -s -- "${missing[@]}" <<'ROOT'
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    trap 'rm -f "$policy"' EXIT
    printf '#!/bin/sh\nexit 101\n' > "$policy"
    chmod 755 "$policy"
fi
install_packages() {
    apt-get install --yes --quiet=2 --no-install-recommends "$@" < /dev/null > /dev/null
}
# One source that does not answer is no reason to stop: the installation tells what is missing.
refresh_lists() {
    apt-get update --quiet=2 < /dev/null || echo 'warning: not every package list is fresh' >&2
}
# Lists that are absent or too old both show as a failed install: refresh them once.
if ! compgen -G '/var/lib/apt/lists/*_Packages*' > /dev/null; then
    refresh_lists
    install_packages "$@"
elif ! install_packages "$@" 2> /dev/null; then
    refresh_lists
    install_packages "$@"
fi
if [ -d /run/systemd/system ]; then
    for package in "$@"; do
        case "$package" in
            slapd) systemctl disable --now slapd || true ;;
            samba) systemctl disable --now smbd nmbd samba-ad-dc || true ;;
            winbind) systemctl disable --now winbind || true ;;
        esac
    done
fi
ROOT
}
