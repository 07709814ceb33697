#!/bin/bash
# Installs what `cargo build` needs beside Rust: a C compiler for SQLite and the cryptography,
# and the libraries behind XML signatures.
set -euo pipefail
. "$(dirname "$0")/debian_packages.sh"

if ! command -v cargo >/dev/null; then
    echo "error: cargo is not on the PATH; install Rust 1.94.1 or newer first" >&2
    exit 1
fi
if ! command -v cc >/dev/null || ! command -v pkg-config >/dev/null; then
    debian_packages gcc libc6-dev make pkg-config
fi
# XML signatures: samael binds to xmlsec, and generates its bindings with libclang.
if ! pkg-config --exists libxml-2.0 xmlsec1-openssl openssl; then
    debian_packages libssl-dev libxml2-dev libxmlsec1-dev libxslt1-dev
fi
if ! compgen -G '/usr/lib/llvm-*/lib/libclang-[0-9]*.so*' >/dev/null; then
    debian_packages libclang-14-dev
fi
