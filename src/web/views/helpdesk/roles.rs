//! Accounts and roles: the list, and one of either with its settings.

use askama::Template;

use super::{Desk, edit::EditForm, probes::ProbePart};
use crate::web::views::{Layout, environment::Environment};

/// The settings of an account or role: a form for those who may edit it, facts for all others.
#[derive(Default)]
pub(crate) struct SettingsPart {
    /// The form; none where the reader may not edit.
    pub(crate) form: Option<EditForm>,
    /// What is set: what people call it, and its value.
    pub(crate) facts: Vec<(&'static str, String)>,
}

impl SettingsPart {
    /// Whether the page should look again by itself: where a preview is not there yet.
    fn running(&self) -> Option<&str> {
        self.form.as_ref().and_then(EditForm::running)
    }
}

/// A role in the list.
pub(crate) struct RoleRow {
    /// The ARN.
    pub(crate) arn: String,
    /// Its page.
    pub(crate) href: String,
    /// The name.
    pub(crate) name: String,
    /// A line about it; may be empty.
    pub(crate) about: String,
    /// How it is opened.
    pub(crate) way: String,
    /// The longest session.
    pub(crate) longest: String,
    /// How many mappings are about it.
    pub(crate) mappings: usize,
    /// `protected`, `disabled`, `broken`
    pub(crate) marks: Vec<&'static str>,
}

/// An account in the list, with its roles.
pub(crate) struct AccountBlock {
    /// The twelve digits.
    pub(crate) id: String,
    /// Its page.
    pub(crate) href: String,
    /// The name; the id where it has none.
    pub(crate) name: String,
    /// The environment.
    pub(crate) environment: Environment,
    /// Whom to ask; may be empty.
    pub(crate) owner: String,
    /// Whether edits need a second person.
    pub(crate) is_protected: bool,
    /// Its roles that fit.
    pub(crate) roles: Vec<RoleRow>,
}

/// `GET /helpdesk/roles`
#[derive(Template)]
#[template(path = "helpdesk/roles.html", whitespace = "minimize")]
pub(crate) struct RolesView {
    /// The frame.
    pub(crate) layout: Layout,
    /// The helpdesk's frame.
    pub(crate) desk: Desk,
    /// What was looked for.
    pub(crate) query: String,
    /// `protected`, `disabled`, `broken`, `unused` or empty.
    pub(crate) state: String,
    /// What was found, in words.
    pub(crate) count: String,
    /// The accounts of this page.
    pub(crate) accounts: Vec<AccountBlock>,
    /// Earlier and later pages: address and words.
    pub(crate) pages: Vec<(String, &'static str)>,
    /// What was just saved, and where it is undone.
    pub(crate) saved: Option<(String, Option<String>)>,
}

impl RolesView {
    /// The states to choose from.
    pub(crate) const STATES: [(&'static str, &'static str); 5] = [
        ("", "All"),
        ("protected", "Protected"),
        ("disabled", "Disabled"),
        ("broken", "Broken"),
        ("unused", "Without a mapping"),
    ];

    #[expect(clippy::unused_self, reason = "templates reach it through the view")]
    fn states(&self) -> [(&'static str, &'static str); 5] {
        Self::STATES
    }
}

/// `GET /helpdesk/accounts/{id}`
#[derive(Template)]
#[template(path = "helpdesk/account.html", whitespace = "minimize")]
pub(crate) struct AccountView {
    /// The frame.
    pub(crate) layout: Layout,
    /// The helpdesk's frame.
    pub(crate) desk: Desk,
    /// The account's name, or what the page is for.
    pub(crate) title: String,
    /// The twelve digits; empty for a new account.
    pub(crate) id: String,
    /// The environment.
    pub(crate) environment: Environment,
    /// Its settings.
    pub(crate) part: SettingsPart,
    /// Its roles.
    pub(crate) roles: Vec<RoleRow>,
    /// Where a role is added, where the reader may.
    pub(crate) add_role: Option<String>,
    /// Where the roles are that are not in the table, where the reader may and IAM can be read.
    pub(crate) discover: Option<String>,
    /// Where its history is.
    pub(crate) history: Option<String>,
    /// What was just saved, and where it is undone.
    pub(crate) saved: Option<(String, Option<String>)>,
    /// The ExternalId to copy into trust policies, when it was just saved.
    pub(crate) external_id: Option<String>,
}

/// A mapping or rule of a role.
pub(crate) struct GiverRow {
    /// `Mapping` or `Rule`
    pub(crate) kind: &'static str,
    /// Its page.
    pub(crate) href: String,
    /// The group's short name, or the pattern.
    pub(crate) group: String,
    /// The group's page; none for a rule.
    pub(crate) group_href: Option<String>,
    /// When it ends.
    pub(crate) ends: Option<crate::web::views::Moment>,
}

/// Who can open a role.
#[derive(Default)]
pub(crate) struct Openers {
    /// In words.
    pub(crate) count: String,
    /// The first of them: what to call them, and their page.
    pub(crate) first: Vec<(String, String)>,
    /// How many more there are.
    pub(crate) rest: usize,
}

/// `GET /helpdesk/roles/{arn}`
#[derive(Template)]
#[template(path = "helpdesk/role.html", whitespace = "minimize")]
pub(crate) struct RolePageView {
    /// The frame.
    pub(crate) layout: Layout,
    /// The helpdesk's frame.
    pub(crate) desk: Desk,
    /// The role's name, or what the page is for.
    pub(crate) title: String,
    /// The ARN; empty for a new role.
    pub(crate) arn: String,
    /// What people call its account.
    pub(crate) account: String,
    /// The account's page.
    pub(crate) account_href: String,
    /// The environment.
    pub(crate) environment: Environment,
    /// What keeps it from being opened; may be empty.
    pub(crate) troubles: Vec<String>,
    /// Its settings.
    pub(crate) part: SettingsPart,
    /// Whether AWS opens it; none for a new role and a disabled one.
    pub(crate) probe: Option<ProbePart>,
    /// What gives it.
    pub(crate) givers: Vec<GiverRow>,
    /// Who can open it; none for a new role.
    pub(crate) openers: Option<Openers>,
    /// Where the list of them is, as a file.
    pub(crate) who_csv: String,
    /// Where a mapping of it is made, where the reader may.
    pub(crate) add: Option<String>,
    /// Where its history is.
    pub(crate) history: Option<String>,
    /// What was just saved, and where it is undone.
    pub(crate) saved: Option<(String, Option<String>)>,
}
