//! The page of a deep link: it never acts by itself on the server, only shows the form.

use askama::Template;

use super::{Layout, environment::Environment};
use crate::access::Entitlement;

/// What the deep link's page is made from.
pub(crate) struct ConsoleInput<'a> {
    /// The frame.
    pub(crate) layout: Layout,
    /// The role that the link names, as the person may open it.
    pub(crate) entitlement: &'a Entitlement<'a>,
    /// `?destination=`, checked by the caller. May be empty.
    pub(crate) destination: &'a str,
    /// `?region=`. May be empty.
    pub(crate) region: &'a str,
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
    code_of: Option<String>,
    auto_submit: bool,
}

impl ConsoleView {
    /// A role that asks for something always waits for the person.
    pub(crate) fn new(input: ConsoleInput<'_>) -> Self {
        let entitlement = input.entitlement;
        let arn = &entitlement.role.arn;
        let requires_reason = entitlement.requires_reason();
        let code_of = entitlement.effective.mfa_serial.clone();
        Self {
            arn: arn.to_string(),
            role: arn.name().to_owned(),
            account: entitlement.account_name(),
            account_id: arn.account().to_string(),
            environment: Environment::of(entitlement.account, &input.layout.environments),
            destination: input.destination.to_owned(),
            region: input.region.to_owned(),
            auto_submit: input.may_open_at_once && !requires_reason && code_of.is_none(),
            requires_reason,
            code_of,
            layout: input.layout,
        }
    }
}
