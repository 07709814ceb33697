//! Headless Chromium, driven by the scripts of `tests/browser`.

use std::{path::Path, process::Command};

use super::{children::run_or_panic, target_dir};

/// Runs `tests/browser/NAME.mjs` and returns what it printed; panics with all its output when it
/// fails. Screenshots go to `target/screenshots`.
///
/// The script runs beside the async runtime, so that a server of the same test can answer it.
pub async fn run_browser_script(name: &str, arguments: &[&str]) -> String {
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser");
    let script = scripts.join(name).with_extension("mjs");
    assert!(
        script.exists(),
        "there is no browser script {}",
        script.display()
    );

    let mut command = Command::new("node");
    command
        .arg(script)
        .args(arguments)
        .current_dir(scripts)
        .env("SCREENSHOTS", target_dir().join("screenshots"));
    tokio::task::spawn_blocking(move || run_or_panic("the browser script", &command, None))
        .await
        .unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
}
