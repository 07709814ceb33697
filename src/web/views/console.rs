//! The page of a deep link: it never acts by itself on the server, only shows the form.

use askama::Template;

use super::{Layout, environment::Environment};
use crate::access::{Account, TargetArn};

/// What the deep link's page is made from.
pub(crate) struct ConsoleInput<'a> {
    /// The frame.
    pub(crate) layout: Layout,
    /// The role that the link names.
    pub(crate) role: &'a TargetArn,
    /// Its account, where the table has it.
    pub(crate) account: Option<&'a Account>,
    /// `?destination=`, checked by the caller. May be empty.
    pub(crate) destination: &'a str,
    /// `?region=`. May be empty.
    pub(crate) region: &'a str,
    /// Whether a reason must be entered.
    pub(crate) requires_reason: bool,
    /// Whether the navigation did not come from another site, so that script may post the form.
    pub(crate) may_open_at_once: bool,
}

/// `GET /console/{account}/{role}`
#[derive(Template)]
#[template(path = "console.html", whitespace = "minimize")]
pub(crate) struct ConsoleView {
    layout: Layout,
    arn: String,
    role: String,
    account: String,
    account_id: String,
    environment: Environment,
    destination: String,
    region: String,
    requires_reason: bool,
    auto_submit: bool,
}

impl ConsoleView {
    /// A role that asks for a reason always waits for the person.
    pub(crate) fn new(input: ConsoleInput<'_>) -> Self {
        let account_id = input.role.account().to_string();
        Self {
            arn: input.role.to_string(),
            role: input.role.name().to_owned(),
            account: input
                .account
                .map_or_else(|| account_id.clone(), |account| account.name.clone()),
            account_id,
            environment: Environment::of(input.account, &input.layout.environments),
            destination: input.destination.to_owned(),
            region: input.region.to_owned(),
            requires_reason: input.requires_reason,
            auto_submit: input.may_open_at_once && !input.requires_reason,
            layout: input.layout,
        }
    }
}
