//! Whether a role can be opened, and which roles of an account are not in the table.

use askama::Template;

use super::Desk;
use crate::web::views::{Layout, Moment};

/// What is known of a role by opening it for a moment; empty where it was not looked at.
#[derive(Default)]
pub(crate) struct ProbePart {
    /// Whether the person may have it looked at now.
    pub(crate) may_look: bool,
    /// Whether AWS did not open it.
    pub(crate) is_broken: bool,
    /// What was found, in words; may be empty.
    pub(crate) state: &'static str,
    /// When.
    pub(crate) checked: Option<Moment>,
    /// Since when it is so.
    pub(crate) since: Option<Moment>,
    /// What was found, for whoever mends it; may be empty.
    pub(crate) message: String,
    /// The longest session that IAM gives; empty where it was not read.
    pub(crate) longest: String,
    /// What IAM says it is for; may be empty.
    pub(crate) description: String,
    /// What to add to its trust policy; may be empty.
    pub(crate) statement: String,
    /// What Rolegate's own policy needs; may be empty.
    pub(crate) own_statement: String,
    /// What to look out for; may be empty.
    pub(crate) hint: &'static str,
}

/// A role that trusts us.
pub(crate) struct DiscoveredRow {
    /// The ARN.
    pub(crate) arn: String,
    /// The name.
    pub(crate) name: String,
    /// What IAM says it is for; may be empty.
    pub(crate) description: String,
    /// The longest session that IAM gives.
    pub(crate) longest: String,
    /// How it trusts us.
    pub(crate) trust: &'static str,
    /// The form of a new role with this one in it.
    pub(crate) add: String,
}

/// `GET /helpdesk/accounts/{id}/discover`
#[derive(Template)]
#[template(path = "helpdesk/discover.html", whitespace = "minimize")]
pub(crate) struct DiscoverView {
    /// The frame.
    pub(crate) layout: Layout,
    /// The helpdesk's frame.
    pub(crate) desk: Desk,
    /// What people call the account.
    pub(crate) account: String,
    /// Its page.
    pub(crate) account_href: String,
    /// The twelve digits.
    pub(crate) id: String,
    /// How many, in words.
    pub(crate) count: String,
    /// The roles, those that name us first.
    pub(crate) roles: Vec<DiscoveredRow>,
    /// Why there is no list; may be empty.
    pub(crate) trouble: String,
}
