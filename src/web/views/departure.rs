//! The page whose form the browser posts to an identity provider.

use askama::Template;
use url::Url;

use super::Layout;

/// What the browser carries to a provider by a form.
///
/// Its fields are the provider's; our CSRF token is never among them.
#[derive(Template)]
#[template(path = "departure.html", whitespace = "minimize")]
pub(crate) struct DepartureView {
    layout: Layout,
    host: String,
    action: Url,
    fields: Vec<(&'static str, String)>,
}

impl DepartureView {
    /// Script posts the form at once; without script there is its button.
    pub(crate) fn new(layout: Layout, action: Url, fields: Vec<(&'static str, String)>) -> Self {
        let host = action.host_str().unwrap_or("your provider").to_owned();
        Self {
            layout,
            host,
            action,
            fields,
        }
    }
}
