//! Import and export: the table as a text that people edit elsewhere.

use askama::Template;

use super::{super::Layout, Desk, edit::EditForm};

/// `GET /helpdesk/import`
#[derive(Template)]
#[template(path = "helpdesk/import.html", whitespace = "minimize")]
pub(crate) struct ImportView {
    /// The frame.
    pub(crate) layout: Layout,
    /// The helpdesk's frame.
    pub(crate) desk: Desk,
    /// The form; none for people who may edit nothing.
    pub(crate) form: Option<EditForm>,
}

impl ImportView {
    fn running(&self) -> Option<&str> {
        self.form.as_ref().and_then(EditForm::running)
    }
}
