//! Starters for the real servers that the tests speak to, and the tools around them.
//!
//! Every starter returns when its server answers, panics with the server's own words when it does
//! not, and stops the server when dropped. No test is skipped because a server is missing: the
//! packages come with `make test`. Nothing here imitates a server of ours or of anybody else.

#![allow(
    dead_code,
    reason = "each capability's tests use a part of the starters"
)]
#![allow(unreachable_pub, reason = "a module of a test binary has no outside")]

pub mod api;
pub mod app;
pub mod browser;
pub mod children;
pub mod cloudtrail;
pub mod company;
pub mod cookie_browser;
pub mod editing;
pub mod identity_providers;
pub mod moto;
pub mod openid;
pub mod process;
pub mod samba;
pub mod saml;
pub mod slapd;
pub mod stock_tools;
pub mod tcp_proxy;
pub mod tls;
pub mod token_server;
pub mod tokens;
pub mod verifiers;
pub mod web_token;

use std::{
    fs,
    path::{Path, PathBuf},
    process::id,
    sync::Once,
};

/// The build folder, usually `target`: what tests leave behind for a person goes there.
pub fn target_dir() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR"))
        .parent()
        .expect("target/tmp has a parent")
        .to_path_buf()
}

/// Where `make test` puts the tools that are not Debian packages.
pub fn tools_dir() -> PathBuf {
    target_dir().join("test-tools")
}

/// A new folder under the build folder, removed with the value.
///
/// Shared servers are never dropped: their folders are removed by the next run.
pub fn temporary_dir(prefix: &str) -> tempfile::TempDir {
    static SWEPT: Once = Once::new();

    let parent = Path::new(env!("CARGO_TARGET_TMPDIR"));
    SWEPT.call_once(|| remove_dirs_of_ended_processes(parent));
    tempfile::Builder::new()
        .prefix(&format!("{prefix}-{}-", id()))
        .tempdir_in(parent)
        .expect("the build folder is writable")
}

/// Removes the folders `PREFIX-PID-RANDOM` whose process is gone.
fn remove_dirs_of_ended_processes(parent: &Path) {
    for entry in fs::read_dir(parent)
        .expect("the build folder can be read")
        .flatten()
    {
        let name = entry.file_name();
        let process = name
            .to_str()
            .and_then(|name| name.split('-').nth(1)?.parse::<u32>().ok());
        if process.is_some_and(|process| !Path::new("/proc").join(process.to_string()).exists()) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}
