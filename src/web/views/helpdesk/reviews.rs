//! Access reviews: the list, the form of a new one, and one with its rows to keep or to end.

use askama::Template;

use super::Desk;
use crate::web::views::{Layout, Moment, words};

/// A review in the list.
pub(crate) struct ReviewRow {
    /// Its page.
    pub(crate) href: String,
    /// Its name.
    pub(crate) name: String,
    /// What it is limited to.
    pub(crate) scope: String,
    /// Who began it.
    pub(crate) by: String,
    /// When.
    pub(crate) began: Moment,
    /// By when it should be done.
    pub(crate) due: Option<Moment>,
    /// When it was signed off.
    pub(crate) closed: Option<Moment>,
    /// `3 of 12`
    pub(crate) decided: String,
}

/// What was typed for a new review.
#[derive(Debug, Clone, Default)]
pub(crate) struct NewReview {
    /// The name.
    pub(crate) name: String,
    /// What it is limited to.
    pub(crate) scope: String,
    /// By when it should be done.
    pub(crate) due: String,
    /// What is wrong with it.
    pub(crate) problem: Option<String>,
}

/// `GET /helpdesk/reviews`
#[derive(Template)]
#[template(path = "helpdesk/reviews.html", whitespace = "minimize")]
pub(crate) struct ReviewsView {
    /// The frame.
    pub(crate) layout: Layout,
    /// The helpdesk's frame.
    pub(crate) desk: Desk,
    /// The reviews, newest first.
    pub(crate) reviews: Vec<ReviewRow>,
    /// The form.
    pub(crate) new: NewReview,
}

/// A row of a review.
pub(crate) struct ItemRow {
    /// The row's id.
    pub(crate) id: String,
    /// Its page.
    pub(crate) href: String,
    /// `Mapping` or `Rule`
    pub(crate) kind: &'static str,
    /// The group's short name, or the pattern.
    pub(crate) group: String,
    /// The role's name, or the template.
    pub(crate) role: String,
    /// The ARN; empty for a template.
    pub(crate) arn: String,
    /// What people call the account; may be empty.
    pub(crate) account: String,
    /// How many people had the role by it.
    pub(crate) people: u32,
    /// `keep`, `end` or empty.
    pub(crate) decision: &'static str,
    /// Whether the reader may decide on it now.
    pub(crate) may_decide: bool,
    /// Who else does.
    pub(crate) decider: &'static str,
    /// What was said, by whom, when.
    pub(crate) said: String,
    /// When it was decided.
    pub(crate) at: Option<Moment>,
}

/// `GET /helpdesk/reviews/{id}`
#[derive(Template)]
#[template(path = "helpdesk/review.html", whitespace = "minimize")]
pub(crate) struct ReviewView {
    /// The frame.
    pub(crate) layout: Layout,
    /// The helpdesk's frame.
    pub(crate) desk: Desk,
    /// Its id.
    pub(crate) id: String,
    /// The review.
    pub(crate) review: ReviewRow,
    /// Its rows.
    pub(crate) items: Vec<ItemRow>,
    /// What could not be done.
    pub(crate) problem: Option<String>,
    /// Whether rows can still be decided.
    pub(crate) is_open: bool,
    /// How many rows are to be ended and are still there; after the sign-off.
    pub(crate) to_end: usize,
    /// Rows to be ended in the mapping file.
    pub(crate) in_file: Vec<String>,
    /// What was just saved, and where it is undone.
    pub(crate) saved: Option<(String, Option<String>)>,
}

impl ReviewView {
    /// Whether the reader decides on any row.
    fn has_own(&self) -> bool {
        self.items.iter().any(|item| item.may_decide)
    }

    fn undecided(&self) -> usize {
        let open = self.items.iter().filter(|item| item.decision.is_empty());
        open.count()
    }

    fn ending(&self) -> String {
        words::counted(self.to_end, "row", "rows")
    }
}
