//! Accounts and roles: the list, and one of either with its settings.

use askama::Template;

use super::Desk;
use crate::web::views::{Layout, environment::Environment};

/// How a setting is entered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SettingKind {
    /// A line.
    Text,
    /// Several lines.
    Area,
    /// Yes or no; `yes` where it is set.
    Check,
    /// One of several: value and words.
    Choice(Vec<(String, String)>),
}

/// A setting of an account or role: a field for those who may edit it, a fact for all others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Setting {
    /// Its name in the form, which is its key in the mapping file too.
    pub(crate) name: &'static str,
    /// What people call it.
    pub(crate) label: &'static str,
    /// What may stand in it.
    pub(crate) hint: &'static str,
    /// What stands in it, as entered.
    pub(crate) value: String,
    /// What is wrong with that.
    pub(crate) error: Option<String>,
    /// How it is entered.
    pub(crate) kind: SettingKind,
}

impl Setting {
    fn describes(&self) -> String {
        let hint = (!self.hint.is_empty()).then(|| format!("hint-{}", self.name));
        let error = self.error.as_ref().map(|_| format!("error-{}", self.name));
        let parts: Vec<String> = hint.into_iter().chain(error).collect();
        parts.join(" ")
    }

    /// What a reader sees of it; empty where nothing is set.
    fn fact(&self) -> &str {
        match &self.kind {
            SettingKind::Choice(choices) if !self.value.is_empty() => choices
                .iter()
                .find(|(value, _)| *value == self.value)
                .map_or(self.value.as_str(), |(_, words)| words),
            _ => &self.value,
        }
    }
}

/// The form, or the facts, of an account or role.
#[derive(Debug, Clone)]
pub(crate) struct SettingsPart {
    /// Where the form posts to; none where the reader may not edit.
    pub(crate) action: Option<String>,
    /// Fields that nobody sees.
    pub(crate) hidden: Vec<(&'static str, String)>,
    /// The settings, in order.
    pub(crate) settings: Vec<Setting>,
    /// What the button of removal says; none where there is nothing to remove.
    pub(crate) remove: Option<String>,
}

impl SettingsPart {
    fn facts(&self) -> impl Iterator<Item = &Setting> {
        self.settings
            .iter()
            .filter(|setting| !setting.value.is_empty())
    }

    fn has_errors(&self) -> bool {
        self.settings.iter().any(|setting| setting.error.is_some())
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
    /// Where its history is.
    pub(crate) history: Option<String>,
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
}
