#!/bin/bash
# Installs what `cargo build` needs beside Rust: a C compiler for SQLite and the cryptography.
set -euo pipefail
. "$(dirname "$0")/debian_packages.sh"

if ! command -v cargo >/dev/null; then
    echo "error: cargo is not on the PATH; install Rust 1.94.1 or newer first" >&2
    exit 1
fi
if ! command -v cc >/dev/null || ! command -v pkg-config >/dev/null; then
    debian_packages gcc libc6-dev make pkg-config
fi
