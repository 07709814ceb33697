//! The page after signing out.

use askama::Template;

use super::Layout;

/// What `POST /logout` ends on.
#[derive(Template)]
#[template(path = "signed_out.html", whitespace = "minimize")]
pub(crate) struct SignedOutView {
    layout: Layout,
    has_open_role_sessions: bool,
}

impl SignedOutView {
    /// With open role sessions the page says that they run on in AWS.
    pub(crate) fn new(layout: Layout, has_open_role_sessions: bool) -> Self {
        Self {
            layout,
            has_open_role_sessions,
        }
    }
}
