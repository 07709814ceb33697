//! Whether a browser of this machine can be opened, and opening one.
//!
//! Entry points: [`is_here`], [`open`].

use std::env;

/// Whether a browser that is opened here would be seen by whoever sits at the terminal.
pub(super) fn is_here() -> bool {
    let is_set = |name: &str| env::var_os(name).is_some_and(|value| !value.is_empty());
    if is_set("BROWSER") {
        return true;
    }
    let has_screen = ["DISPLAY", "WAYLAND_DISPLAY"].into_iter().any(is_set);
    if ["SSH_CONNECTION", "SSH_TTY"].into_iter().any(is_set) {
        return has_screen;
    }
    has_screen || is_set("WSL_DISTRO_NAME") || cfg!(any(windows, target_os = "macos"))
}

/// Opens an address; false where there is no browser. What the browser says is not shown.
pub(super) fn open(address: &str) -> bool {
    webbrowser::open(address).is_ok()
}
