//! What has to be made at AWS for one account.

use askama::Template;

use super::Desk;
use crate::web::views::Layout;

/// A policy to copy.
pub(crate) struct Paste {
    /// Its id on the page.
    pub(crate) id: String,
    /// The role's ARN.
    pub(crate) arn: String,
    /// The role's page; none for a role of Rolegate's own.
    pub(crate) href: Option<String>,
    /// The role's name.
    pub(crate) name: String,
    /// The trust policy.
    pub(crate) text: String,
    /// What it may do, for a role of Rolegate's own.
    pub(crate) permissions: Option<String>,
}

/// `GET /helpdesk/accounts/{id}/setup`
#[derive(Template)]
#[template(path = "helpdesk/setup.html", whitespace = "minimize")]
pub(crate) struct SetupView {
    /// The frame.
    pub(crate) layout: Layout,
    /// The helpdesk's frame.
    pub(crate) desk: Desk,
    /// The twelve digits.
    pub(crate) id: String,
    /// The account's name; may be empty.
    pub(crate) name: String,
    /// The IAM SAML provider of our issuer, where one is needed.
    pub(crate) saml_provider: Option<String>,
    /// Our issuer's OpenID Connect provider, URL and audience, where one is needed.
    pub(crate) oidc_provider: Option<(String, String)>,
    /// Trust policies.
    pub(crate) roles: Vec<Paste>,
    /// What Rolegate's own principal needs.
    pub(crate) broker_policies: Vec<String>,
    /// What to look out for.
    pub(crate) hint: Option<&'static str>,
    /// Roles that are not in it, and why.
    pub(crate) left_out: Vec<(String, &'static str)>,
}
