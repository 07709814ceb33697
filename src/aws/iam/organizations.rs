//! `organizations:ListAccounts`, JSON 1.1.
//!
//! Entry point: [`Page::read`].

use serde::Deserialize;

use super::OrganizationAccount;
use crate::access::AccountId;

/// One page of the answer; an empty one need not be the last.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Page {
    #[serde(default)]
    accounts: Vec<Listed>,
    /// Where the next page begins; none after the last.
    pub(super) next_token: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Listed {
    id: AccountId,
    name: Option<String>,
    email: Option<String>,
    /// `ACTIVE`, `SUSPENDED`, `PENDING_CLOSURE`; goes away at AWS.
    status: Option<String>,
    /// What takes its place: also `PENDING_ACTIVATION` and `CLOSED`.
    state: Option<String>,
}

/// What Organizations says instead.
#[derive(Debug, Deserialize)]
pub(super) struct Refusal {
    #[serde(rename = "__type")]
    kind: String,
    #[serde(alias = "Message", default)]
    pub(super) message: String,
}

impl Refusal {
    /// The error code, without the namespace that may stand before it.
    pub(super) fn code(&self) -> &str {
        self.kind.rsplit('#').next().unwrap_or_default()
    }
}

impl Page {
    /// Reads a page; none where it is no such answer.
    pub(super) fn read(body: &str) -> Option<Self> {
        serde_json::from_str(body).ok()
    }

    /// Its accounts.
    pub(super) fn into_accounts(self) -> impl Iterator<Item = OrganizationAccount> {
        self.accounts.into_iter().map(|listed| {
            let state = listed.state.or(listed.status);
            OrganizationAccount {
                is_active: state.as_deref() == Some("ACTIVE"),
                name: (listed.name)
                    .filter(|name| !name.trim().is_empty())
                    .unwrap_or_else(|| listed.id.to_string()),
                id: listed.id,
                email: listed.email,
            }
        })
    }
}

/// The request for the page at `token`.
pub(super) fn request(token: Option<&str>) -> String {
    match token {
        Some(token) => serde_json::json!({ "NextToken": token }).to_string(),
        None => "{}".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_tell_accounts_and_whether_they_can_be_used() {
        let page = Page::read(
            r#"{"Accounts":[
                {"Id":"000011112222","Name":"Payments","Email":"p@example.org","Status":"ACTIVE"},
                {"Id":"000011112223","Name":"","Status":"ACTIVE","State":"CLOSED"}],
               "NextToken":"more"}"#,
        )
        .unwrap();
        assert_eq!(page.next_token.as_deref(), Some("more"));
        let accounts: Vec<OrganizationAccount> = page.into_accounts().collect();
        assert_eq!(accounts[0].name, "Payments");
        assert!(accounts[0].is_active && !accounts[1].is_active);
        assert_eq!(accounts[1].name, "000011112223");
        let empty = Page::read(r#"{"Accounts":[],"NextToken":"t"}"#).unwrap();
        assert!(empty.next_token.is_some());
        assert!(Page::read(r#"{"Accounts":[{"Id":"12"}]}"#).is_none());
        assert!(Page::read("<html>").is_none());
    }
}
