//! The form of an edit: its fields with a message beside each, and the preview above the button.
//!
//! Entry points: [`EditForm`], and [`EditView`] for a page with nothing else on it.

use askama::Template;

use super::{
    super::Layout,
    Desk,
    preview::{PreviewPanel, PreviewState},
};

/// How a field is entered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A line of text; what is offered while typing comes from this address, and from the list.
    Text {
        /// Where suggestions come from.
        suggest: Option<&'static str>,
        /// Suggestions that are there without asking.
        offers: Vec<String>,
    },
    /// Several lines.
    Area {
        /// How many are seen at once.
        rows: u8,
    },
    /// Yes or no.
    Check,
    /// One of several: value and words.
    Choice(Vec<(String, String)>),
}

/// A field of an [`EditForm`].
#[derive(Debug, Clone)]
pub(crate) struct Field {
    /// Its name in the form.
    pub(crate) name: &'static str,
    /// What people call it.
    pub(crate) label: &'static str,
    /// What may stand in it.
    pub(crate) hint: &'static str,
    /// What stands in it, exactly as it was entered.
    pub(crate) value: String,
    /// What is wrong with that, and what would be right.
    pub(crate) error: Option<String>,
    /// How it is entered.
    pub(crate) kind: Kind,
}

impl Field {
    /// A line of text.
    pub(crate) fn text(name: &'static str, label: &'static str, value: &str) -> Self {
        Self {
            name,
            label,
            hint: "",
            value: value.to_owned(),
            error: None,
            kind: Kind::Text {
                suggest: None,
                offers: Vec::new(),
            },
        }
    }

    /// Yes or no.
    pub(crate) fn check(name: &'static str, label: &'static str, is_set: bool) -> Self {
        Self {
            kind: Kind::Check,
            ..Self::text(name, label, if is_set { "yes" } else { "" })
        }
    }

    /// Adds what may stand in it.
    #[must_use]
    pub(crate) fn hint(mut self, hint: &'static str) -> Self {
        self.hint = hint;
        self
    }

    /// Adds what is wrong with it.
    #[must_use]
    pub(crate) fn error(mut self, error: Option<String>) -> Self {
        self.error = error;
        self
    }

    /// What stands in it, in words, for those who may only read.
    pub(crate) fn fact(&self) -> String {
        let words = match &self.kind {
            Kind::Choice(choices) => choices.iter().find(|(value, _)| *value == self.value),
            _ => None,
        };
        words.map_or_else(|| self.value.clone(), |(_, words)| words.clone())
    }

    fn is_checked(&self) -> bool {
        !self.value.is_empty()
    }

    fn is_chosen(&self, value: &str) -> bool {
        self.value == value
    }

    fn describes(&self) -> String {
        let hint = (!self.hint.is_empty()).then(|| format!("hint-{} ", self.name));
        format!("{}error-{}", hint.unwrap_or_default(), self.name)
    }

    fn error_text(&self) -> &str {
        self.error.as_deref().unwrap_or_default()
    }
}

/// The form of an edit.
#[derive(Template)]
#[template(path = "helpdesk/edit_form.html", whitespace = "minimize")]
pub(crate) struct EditForm {
    /// The token.
    pub(crate) csrf_token: String,
    /// What is edited.
    pub(crate) title: String,
    /// Sentences in front of the fields.
    pub(crate) about: Vec<String>,
    /// Fields that nobody sees.
    pub(crate) hidden: Vec<(String, String)>,
    /// The fields, in order.
    pub(crate) fields: Vec<Field>,
    /// The preview.
    pub(crate) preview: PreviewPanel,
    /// Where the preview posts to, with the list that is shown beside it.
    pub(crate) action: String,
    /// Where to go instead.
    pub(crate) cancel: String,
    /// Another form that belongs to the row: its button's words and hidden fields.
    pub(crate) other: Option<(String, Vec<(String, String)>)>,
    /// Links about the row: address and words.
    pub(crate) links: Vec<(String, String)>,
    /// Whether the preview follows what is typed; not where that would send a large text each time.
    pub(crate) is_live: bool,
    /// What the rule matches, below the fields.
    pub(crate) matches: Option<super::rules::Matches>,
}

// A template of ours, escaped as any other.
impl askama::filters::HtmlSafe for EditForm {}

impl EditForm {
    /// What is wrong with fields, as the preview's panel carries it when it is sent alone.
    pub(crate) fn field_errors(&self) -> Vec<(&'static str, String)> {
        let fields = self.fields.iter();
        fields
            .map(|field| (field.name, field.error.clone().unwrap_or_default()))
            .collect()
    }

    /// Puts a preview in the form.
    #[must_use]
    pub(crate) fn showing(mut self, state: PreviewState, notice: Option<String>) -> Self {
        self.preview.state = state;
        self.preview.notice = notice;
        self
    }

    /// Whether the page should look again by itself: where the preview is not there yet.
    pub(crate) fn running(&self) -> Option<&str> {
        match &self.preview.state {
            PreviewState::Running(running) => Some(&running.href),
            _ => None,
        }
    }
}

/// `GET /helpdesk/suggest/…`: what a field offers while somebody types.
#[derive(Template)]
#[template(path = "helpdesk/options.html", whitespace = "minimize")]
pub(crate) struct OptionsView {
    /// What goes into the field, and what people call it where that is something else.
    pub(crate) options: Vec<(String, String)>,
}

/// A page with one edit on it.
#[derive(Template)]
#[template(path = "helpdesk/edit.html", whitespace = "minimize")]
pub(crate) struct EditView {
    /// The frame.
    pub(crate) layout: Layout,
    /// The helpdesk's frame.
    pub(crate) desk: Desk,
    /// The form.
    pub(crate) form: EditForm,
}
