//! The picker: every role that a person may open, one click away.
//!
//! Entry points: [`PickerView::new`] for `GET /` and [`picker_json`] for `GET /picker.json`.

mod json;
mod rows;

use std::cmp::Reverse;

use askama::Template;
use time::OffsetDateTime;

use rows::{AccountRow, Workshop};

#[allow(
    unused_imports,
    reason = "the route that serves it is written separately"
)]
pub(crate) use json::picker_json;
pub(in crate::web) use rows::opens_no_console;
pub(super) use rows::{access_ends_at, opens_at_provider};

use super::{
    Layout, Moment,
    helpdesk::explanation::OwnMiss,
    query_string,
    search::{Field, Query},
    words,
};
use crate::access::{AccountId, Entitlement, Group, TargetArn};

/// Up to here the page holds every role; beyond, the rest comes as [`picker_json`].
pub(crate) const MOST_ROLES_IN_PAGE: usize = 300;
/// Rows on one page beyond that, and in any list of results.
pub(crate) const ROWS_AT_ONCE: usize = 60;
/// Chips in a row of a page that does not hold everything.
const CHIPS_AT_ONCE: usize = 24;
/// So few results are shown with all their chips.
const FEW_ROWS: usize = 5;
/// Chips in a row of favourites, unless more of them are favourites.
const CHIPS_BESIDE_FAVOURITES: usize = 6;
/// Rows of recent roles.
const MOST_RECENT: usize = 5;
/// A role session that is still open.
#[derive(Debug, Clone)]
pub(crate) struct OpenRoleSession {
    /// What was opened.
    pub(crate) role: TargetArn,
    /// The account's name or id.
    pub(crate) account: String,
    /// When it ends.
    pub(crate) ends_at: OffsetDateTime,
}

/// What a pasted ARN or console address was found to mean.
#[derive(Debug, Clone)]
pub(crate) struct Pasted {
    /// What it is, in words: `S3 bucket reports in eu-west-1`.
    pub(crate) about: String,
    /// Whose it is, where it says.
    pub(crate) account: Option<AccountId>,
    /// Where the console opens.
    pub(crate) destination: Option<String>,
    /// In which region.
    pub(crate) region: Option<String>,
    /// The person's roles for it, best first.
    pub(crate) roles: Vec<TargetArn>,
}

/// What the picker is made from.
pub(crate) struct PickerInput<'a> {
    /// The frame.
    pub(crate) layout: Layout,
    /// What the person may open, ordered by account.
    pub(crate) entitlements: &'a [Entitlement<'a>],
    /// Role ARNs.
    pub(crate) favourites: &'a [String],
    /// Role ARNs, the latest first.
    pub(crate) recents: &'a [String],
    /// The person's open role sessions, the latest first.
    pub(crate) open: &'a [OpenRoleSession],
    /// Roles whose last probe failed, with what people should know.
    pub(crate) warnings: &'a [(TargetArn, String)],
    /// The person's groups, told where they give nothing.
    pub(crate) groups: &'a [Group],
    /// When those were read.
    pub(crate) groups_read_at: OffsetDateTime,
    /// What people call the provider that the person signed in with.
    pub(crate) provider: &'a str,
    /// The present.
    pub(crate) now: OffsetDateTime,
    /// `?q=`
    pub(crate) query: &'a str,
    /// What it means, where it is an ARN or an address.
    pub(crate) pasted: Option<Pasted>,
    /// `?from=`: the account to begin at, where not all fit.
    pub(crate) from: usize,
    /// What somebody without roles comes nearest to.
    pub(crate) misses: &'a [OwnMiss],
    /// Whose picker it is, where somebody else looks at it: then nothing opens.
    pub(crate) view_as: Option<ViewAs>,
}

/// Whose picker somebody else looks at.
#[derive(Debug, Clone)]
pub(crate) struct ViewAs {
    /// What to call the person.
    pub(crate) name: String,
    /// The person's page.
    pub(crate) href: String,
}

struct Opened {
    arn: String,
    account: String,
    role: String,
    left: Moment,
}

struct PastedSection {
    about: String,
    account: String,
    destination: String,
    region: String,
    rows: Vec<AccountRow>,
    help: Option<String>,
}

struct EmptyState {
    groups: Vec<String>,
    count: String,
    misses: Vec<OwnMiss>,
    help: Option<String>,
}

/// How many groups a question to the helpdesk names; addresses have an end.
const GROUPS_IN_QUESTION: usize = 12;
/// How many near misses it names.
const MISSES_IN_QUESTION: usize = 5;

/// `GET /`
#[derive(Template)]
#[template(path = "picker.html", whitespace = "minimize")]
pub(crate) struct PickerView {
    layout: Layout,
    query: String,
    pasted: Option<PastedSection>,
    opened: Vec<Opened>,
    favourites: Vec<AccountRow>,
    recents: Vec<AccountRow>,
    results: Vec<AccountRow>,
    result_words: String,
    accounts: Vec<AccountRow>,
    account_count: String,
    as_of: Moment,
    is_complete: bool,
    pages: Vec<(String, String)>,
    empty: Option<EmptyState>,
    view_as: Option<ViewAs>,
    base: String,
}

impl PickerView {
    /// Sorts the roles into the sections of the page.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "an input is used for one page, like those of the other views"
    )]
    pub(crate) fn new(input: PickerInput<'_>) -> Self {
        let accounts: Vec<&[Entitlement<'_>]> = by_account(input.entitlements);
        let is_small = input.entitlements.len() <= MOST_ROLES_IN_PAGE;
        let pasted = input.pasted.as_ref();
        let words = if pasted.is_some() { "" } else { input.query };
        let text = |value: Option<&String>| value.cloned().unwrap_or_default();
        let workshop = Workshop {
            favourites: input.favourites.iter().map(String::as_str).collect(),
            warnings: input.warnings,
            query: Query::new(words),
            destination: text(pasted.and_then(|pasted| pasted.destination.as_ref())),
            region: text(pasted.and_then(|pasted| pasted.region.as_ref())),
            environments: &input.layout.environments,
            provider: input.provider,
            now: input.now,
            whose: input.view_as.as_ref().map(|whose| whose.href.as_str()),
        };
        let mut view = Self::frame(&input, &accounts);
        if let Some(pasted) = &input.pasted {
            view.pasted = Some(pasted_section(
                &input.layout,
                pasted,
                &workshop,
                input.entitlements,
            ));
        } else if !workshop.query.is_empty() {
            view.add_results(&workshop, &accounts);
        } else if !input.entitlements.is_empty() {
            view.favourites = favourite_rows(&workshop, &accounts, &view.base);
            view.recents = recent_rows(&workshop, input.entitlements, input.recents);
            view.add_accounts(&workshop, &accounts, input.from, is_small);
        }
        view
    }

    fn frame(input: &PickerInput<'_>, accounts: &[&[Entitlement<'_>]]) -> Self {
        let empty = input.entitlements.is_empty().then(|| {
            let count = words::counted(input.groups.len(), "group", "groups");
            EmptyState {
                groups: input
                    .groups
                    .iter()
                    .map(|group| group.name.clone())
                    .collect(),
                help: input
                    .layout
                    .help(&question(&count, input.groups, input.misses)),
                misses: input.misses.to_vec(),
                count,
            }
        });
        Self {
            layout: input.layout.clone(),
            query: input.query.to_owned(),
            pasted: None,
            opened: input
                .open
                .iter()
                .map(|open| Opened {
                    arn: open.role.to_string(),
                    account: open.account.clone(),
                    role: open.role.name().to_owned(),
                    left: Moment::left(open.ends_at, input.now),
                })
                .collect(),
            favourites: Vec::new(),
            recents: Vec::new(),
            results: Vec::new(),
            result_words: String::new(),
            accounts: Vec::new(),
            account_count: words::grouped(accounts.len()),
            as_of: Moment::clock(input.groups_read_at, input.now),
            is_complete: false,
            pages: Vec::new(),
            empty,
            base: input
                .view_as
                .as_ref()
                .map_or_else(|| "/".to_owned(), |whose| format!("{}/picker", whose.href)),
            view_as: input.view_as.clone(),
        }
    }

    fn add_results(&mut self, workshop: &Workshop<'_>, accounts: &[&[Entitlement<'_>]]) {
        let ranked = ranked(workshop, accounts);
        let role_count = ranked.iter().map(|row| row.roles.len()).sum();
        self.result_words = result_words(role_count, ranked.len());
        let most_chips = if ranked.len() > FEW_ROWS {
            CHIPS_AT_ONCE
        } else {
            usize::MAX
        };
        self.results = ranked
            .into_iter()
            .take(ROWS_AT_ONCE)
            .filter_map(|row| Some(workshop.row(row.roles)?.cut(most_chips, &self.base)))
            .collect();
    }

    fn add_accounts(
        &mut self,
        workshop: &Workshop<'_>,
        accounts: &[&[Entitlement<'_>]],
        from: usize,
        is_small: bool,
    ) {
        self.is_complete = is_small;
        if is_small {
            self.accounts = accounts
                .iter()
                .filter_map(|roles| workshop.row(*roles))
                .collect();
            return;
        }
        let from = if from < accounts.len() { from } else { 0 };
        self.accounts = accounts
            .iter()
            .skip(from)
            .take(ROWS_AT_ONCE)
            .filter_map(|roles| Some(workshop.row(*roles)?.cut(CHIPS_AT_ONCE, &self.base)))
            .collect();
        let base = self.base.clone();
        let page = |from: usize, words: String| {
            let from = from.to_string();
            (query_string(&base, &[("from", &from)]), words)
        };
        if from > 0 {
            let back = from.saturating_sub(ROWS_AT_ONCE);
            self.pages.push(page(back, "Previous accounts".to_owned()));
        }
        let next = from + ROWS_AT_ONCE;
        if next < accounts.len() {
            let count = (accounts.len() - next).min(ROWS_AT_ONCE);
            self.pages
                .push(page(next, format!("Next {count} accounts")));
        }
    }
}

/// The whole question, for whoever can answer it.
fn question(count: &str, groups: &[Group], misses: &[OwnMiss]) -> String {
    use std::fmt::Write as _;
    let mut text = format!("None of my {count} gives an AWS role.");
    if !groups.is_empty() {
        let names = groups.iter().take(GROUPS_IN_QUESTION);
        let names: Vec<&str> = names.map(|group| group.name.as_str()).collect();
        let rest = groups.len() - names.len();
        let _ = write!(text, " My groups: {}", names.join("; "));
        if rest > 0 {
            let _ = write!(text, "; and {rest} more");
        }
        text.push('.');
    }
    for miss in misses.iter().take(MISSES_IN_QUESTION) {
        let _ = write!(text, " {}: {}", miss.asked(), miss.words);
    }
    text.push_str(" I need access to: ");
    text
}

fn result_words(roles: usize, accounts: usize) -> String {
    let roles_in_words = words::counted(roles, "role", "roles");
    let accounts_in_words = words::counted(accounts, "account", "accounts");
    match accounts {
        0 => "No role fits.".to_owned(),
        1..=ROWS_AT_ONCE => format!("{roles_in_words} in {accounts_in_words}"),
        _ => format!("{roles_in_words} in {accounts_in_words}; the best {ROWS_AT_ONCE} are shown"),
    }
}

/// Cuts the ordered list where the account changes.
fn by_account<'e>(entitlements: &'e [Entitlement<'e>]) -> Vec<&'e [Entitlement<'e>]> {
    entitlements
        .chunk_by(|one, other| one.role.arn.account_digits() == other.role.arn.account_digits())
        .collect()
}

struct RankedRow<'e> {
    best: u32,
    roles: Vec<&'e Entitlement<'e>>,
}

/// The accounts with the roles that fit, the best first; equals keep their order.
fn ranked<'e>(workshop: &Workshop<'_>, accounts: &[&'e [Entitlement<'e>]]) -> Vec<RankedRow<'e>> {
    let mut rows: Vec<RankedRow<'e>> = accounts
        .iter()
        .filter_map(|roles| rank_account(workshop, roles))
        .collect();
    rows.sort_by_key(|row| Reverse(row.best));
    rows
}

fn rank_account<'e>(
    workshop: &Workshop<'_>,
    roles: &'e [Entitlement<'e>],
) -> Option<RankedRow<'e>> {
    let first = roles.first()?;
    let account = first.account;
    let mut fields = vec![
        Field::account_name(&first.account_name()),
        Field::account_id(first.role.arn.account().as_str()),
    ];
    if let Some(alias) = account.and_then(|account| account.alias.as_deref()) {
        fields.push(Field::alias(alias));
    }
    if let Some(about) = account.and_then(|account| account.description.as_deref()) {
        fields.push(Field::description(about));
    }
    let account_scores = workshop.query.word_scores(&fields);
    let mut scored: Vec<(u32, &Entitlement<'_>)> = roles
        .iter()
        .filter_map(|entitlement| {
            let arn = &entitlement.role.arn;
            let mut fields = vec![Field::role_name(arn.name())];
            fields.extend(
                entitlement
                    .role
                    .description
                    .as_deref()
                    .map(Field::description),
            );
            let is_favourite = workshop.favourites.contains(arn.as_str());
            let score = workshop
                .query
                .score(&account_scores, &fields, is_favourite)?;
            Some((score, entitlement))
        })
        .collect();
    scored.sort_by_key(|(score, _)| Reverse(*score));
    Some(RankedRow {
        best: scored.first()?.0,
        roles: scored.into_iter().map(|(_, role)| role).collect(),
    })
}

/// The accounts that hold a favourite, favourites first.
fn favourite_rows(
    workshop: &Workshop<'_>,
    accounts: &[&[Entitlement<'_>]],
    base: &str,
) -> Vec<AccountRow> {
    accounts
        .iter()
        .filter_map(|roles| {
            let is_favourite =
                |role: &&Entitlement<'_>| workshop.favourites.contains(role.role.arn.as_str());
            let favourites = roles.iter().filter(is_favourite).count();
            if favourites == 0 {
                return None;
            }
            let mut ordered: Vec<&Entitlement<'_>> = roles.iter().collect();
            ordered.sort_by_key(|role| !is_favourite(role));
            Some(
                workshop
                    .row(ordered)?
                    .cut(favourites.max(CHIPS_BESIDE_FAVOURITES), base),
            )
        })
        .collect()
}

/// The latest roles, without those that stand among the favourites.
fn recent_rows(
    workshop: &Workshop<'_>,
    entitlements: &[Entitlement<'_>],
    recents: &[String],
) -> Vec<AccountRow> {
    let mut rows: Vec<(AccountId, Vec<&Entitlement<'_>>)> = Vec::new();
    for arn in recents {
        if workshop.favourites.contains(arn.as_str()) {
            continue;
        }
        let Some(entitlement) = entitlements.iter().find(|e| e.role.arn.as_str() == arn) else {
            continue;
        };
        let account = entitlement.role.arn.account();
        match rows.iter_mut().find(|(id, _)| *id == account) {
            Some((_, roles)) => roles.push(entitlement),
            None => rows.push((account, vec![entitlement])),
        }
    }
    rows.into_iter()
        .take(MOST_RECENT)
        .filter_map(|(_, roles)| workshop.row(roles))
        .collect()
}

fn pasted_section(
    layout: &Layout,
    pasted: &Pasted,
    workshop: &Workshop<'_>,
    entitlements: &[Entitlement<'_>],
) -> PastedSection {
    let mut rows: Vec<(AccountId, Vec<&Entitlement<'_>>)> = Vec::new();
    for arn in &pasted.roles {
        let Some(entitlement) = entitlements.iter().find(|e| e.role.arn == *arn) else {
            continue;
        };
        match rows.iter_mut().find(|(id, _)| *id == arn.account()) {
            Some((_, roles)) => roles.push(entitlement),
            None => rows.push((arn.account(), vec![entitlement])),
        }
    }
    PastedSection {
        about: pasted.about.clone(),
        account: pasted
            .account
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default(),
        destination: workshop.destination.clone(),
        region: workshop.region.clone(),
        help: layout.help(&format!("I need a role for: {}", pasted.about)),
        rows: rows
            .into_iter()
            .take(ROWS_AT_ONCE)
            .filter_map(|(_, roles)| workshop.row(roles))
            .collect(),
    }
}
