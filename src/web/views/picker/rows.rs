//! Accounts as rows and their roles as chips.

use std::collections::HashSet;

use time::{Duration, OffsetDateTime};

use crate::{
    access::{ConsoleWay, Entitlement, GrantMethod, TargetArn},
    web::{
        EnvironmentRule,
        views::{
            environment::Environment,
            query_string,
            search::{Part, Query},
            span_in_words, words,
        },
    },
};

/// Access that ends within this long is marked.
const SOON: Duration = Duration::hours(72);

/// One role as a button.
pub(in crate::web::views) struct Chip {
    pub(super) arn: String,
    pub(super) name: Vec<Part>,
    pub(super) plain_name: String,
    pub(super) about: String,
    pub(super) menu: String,
    pub(super) flags: u8,
    pub(super) note: String,
}

/// One account with the roles to choose from.
pub(in crate::web::views) struct AccountRow {
    pub(super) id: String,
    pub(super) id_parts: Vec<Part>,
    pub(super) name: String,
    pub(super) name_parts: Vec<Part>,
    pub(super) alias: String,
    pub(super) about: String,
    pub(super) environment: Environment,
    pub(super) chips: Vec<Chip>,
    pub(super) more: Option<(String, String)>,
}

/// The chip's role is a favourite.
const FAVOURITE: u8 = 1;
/// A reason is asked for first.
const ASKS_REASON: u8 = 2;
/// Access ends soon.
const ENDS_SOON: u8 = 4;
/// The last probe failed.
const WARNING: u8 = 8;
/// Sessions are read-only.
const READ_ONLY: u8 = 16;
/// The identity provider opens it on its own pages.
const AT_PROVIDER: u8 = 32;
/// A code of an MFA device is asked for first.
const ASKS_CODE: u8 = 64;
/// It gives credentials alone.
const NO_CONSOLE: u8 = 128;

impl Chip {
    fn is(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    pub(super) fn is_favourite(&self) -> bool {
        self.is(FAVOURITE)
    }

    pub(super) fn asks_reason(&self) -> bool {
        self.is(ASKS_REASON)
    }

    pub(super) fn asks_code(&self) -> bool {
        self.is(ASKS_CODE)
    }

    pub(super) fn opens_no_console(&self) -> bool {
        self.is(NO_CONSOLE)
    }

    /// Whether a click leads to the options, since more is needed than a click.
    pub(super) fn asks_first(&self) -> bool {
        self.is(ASKS_REASON | ASKS_CODE | NO_CONSOLE)
    }

    pub(super) fn ends_soon(&self) -> bool {
        self.is(ENDS_SOON)
    }

    pub(super) fn has_warning(&self) -> bool {
        self.is(WARNING)
    }

    pub(super) fn is_read_only(&self) -> bool {
        self.is(READ_ONLY)
    }

    pub(super) fn is_at_provider(&self) -> bool {
        self.is(AT_PROVIDER)
    }

    /// What hovering tells: the role's line and whatever is marked.
    pub(super) fn title(&self) -> String {
        [self.about.as_str(), self.note.as_str()]
            .into_iter()
            .filter(|text| !text.is_empty())
            .collect::<Vec<_>>()
            .join(" – ")
    }
}

/// When the access behind an entitlement ends: with the last of its rows.
pub(in crate::web::views) fn access_ends_at(
    entitlement: &Entitlement<'_>,
) -> Option<OffsetDateTime> {
    entitlement
        .givers
        .iter()
        .map(|giver| giver.conditions.expires)
        .reduce(|one, other| one.zip(other).map(|(one, other)| one.max(other)))
        .flatten()
}

/// Whether the identity provider's own AWS application opens the role, so that nothing about the
/// session can be chosen here.
pub(in crate::web::views) fn opens_at_provider(entitlement: &Entitlement<'_>) -> bool {
    entitlement.effective.console == ConsoleWay::IdpInitiated
}

/// Whether AWS opens no console with what the role gives (GetSessionToken).
pub(in crate::web) fn opens_no_console(entitlement: &Entitlement<'_>) -> bool {
    entitlement.effective.grant_method == GrantMethod::SessionToken
}

/// What all chips of one page are made with.
pub(super) struct Workshop<'a> {
    pub(super) favourites: HashSet<&'a str>,
    pub(super) warnings: &'a [(TargetArn, String)],
    pub(super) query: Query,
    pub(super) destination: String,
    pub(super) region: String,
    pub(super) environments: &'a [EnvironmentRule],
    /// What people call the provider that the person signed in with.
    pub(super) provider: &'a str,
    pub(super) now: OffsetDateTime,
    /// The page of the person whose picker somebody else looks at: chips lead there and open nothing.
    pub(super) whose: Option<&'a str>,
}

impl Workshop<'_> {
    pub(super) fn flags_and_note(&self, entitlement: &Entitlement<'_>) -> (u8, String) {
        let mut flags = 0;
        let mut notes: Vec<String> = Vec::new();
        if self.favourites.contains(entitlement.role.arn.as_str()) {
            flags |= FAVOURITE;
        }
        if entitlement.requires_reason() {
            flags |= ASKS_REASON;
        }
        if entitlement.effective.mfa_serial.is_some() {
            flags |= ASKS_CODE;
        }
        if opens_no_console(entitlement) {
            flags |= NO_CONSOLE;
        }
        if entitlement.is_read_only() {
            flags |= READ_ONLY;
        }
        if opens_at_provider(entitlement) {
            flags |= AT_PROVIDER;
            notes.push(format!("opens at {}", self.provider));
        }
        if let Some(ends) = access_ends_at(entitlement).filter(|ends| *ends - self.now < SOON) {
            flags |= ENDS_SOON;
            notes.push(format!(
                "your access ends in {}",
                span_in_words(ends - self.now)
            ));
        }
        let warning = self
            .warnings
            .iter()
            .find(|(arn, _)| *arn == entitlement.role.arn);
        if let Some((_, message)) = warning {
            flags |= WARNING;
            notes.push(message.clone());
        }
        (flags, notes.join("; "))
    }

    fn chip(&self, entitlement: &Entitlement<'_>) -> Chip {
        let arn = &entitlement.role.arn;
        let (flags, note) = self.flags_and_note(entitlement);
        let menu = match self.whose {
            Some(href) => query_string(href, &[("role", arn.as_str())]),
            None => query_string(
                "/role",
                &[
                    ("arn", arn.as_str()),
                    ("destination", self.destination.as_str()),
                    ("region", self.region.as_str()),
                ],
            ),
        };
        Chip {
            arn: arn.to_string(),
            name: self.query.mark(arn.name(), true),
            plain_name: arn.name().to_owned(),
            about: entitlement.role.description.clone().unwrap_or_default(),
            menu,
            flags,
            note,
        }
    }

    pub(super) fn row<'e>(
        &self,
        roles: impl IntoIterator<Item = &'e Entitlement<'e>>,
    ) -> Option<AccountRow> {
        let mut roles = roles.into_iter().peekable();
        let first = *roles.peek()?;
        let id = first.role.arn.account().to_string();
        let name = first.account_name();
        let account = first.account;
        let optional = |text: Option<&String>| text.cloned().unwrap_or_default();
        Some(AccountRow {
            id_parts: self.query.mark(&id, false),
            name_parts: self.query.mark(&name, true),
            alias: optional(account.and_then(|account| account.alias.as_ref())),
            about: optional(account.and_then(|account| account.description.as_ref())),
            environment: Environment::of(account, self.environments),
            chips: roles.map(|entitlement| self.chip(entitlement)).collect(),
            more: None,
            id,
            name,
        })
    }
}

impl AccountRow {
    /// Keeps the first `most` chips and links to the rest.
    pub(super) fn cut(mut self, most: usize, base: &str) -> Self {
        if self.chips.len() > most {
            let rest = self.chips.len() - most;
            self.chips.truncate(most);
            self.more = Some((
                query_string(base, &[("q", &self.id)]),
                format!("{} more", words::grouped(rest)),
            ));
        }
        self
    }

    /// The alias where it adds something.
    pub(super) fn shown_alias(&self) -> Option<&str> {
        (!self.alias.is_empty() && self.alias != self.name).then_some(self.alias.as_str())
    }
}
