//! The table of explicit mappings: filtered, sorted, fifty rows at a time.
//!
//! Ten thousand rows are gone through for each page, so nothing is written or allocated for a row
//! that is not shown, unless a filter asks for it. Entry points: [`MappingList::new`], [`csv()`].

use std::{
    cmp::Ordering,
    collections::{HashMap, HashSet},
};

use askama::Template;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::Deserialize;
use time::{Duration, OffsetDateTime};

use super::{
    super::{
        Layout, Moment, query_string,
        words::{counted, grouped},
    },
    Desk,
    edit::EditForm,
    links,
    wording::{self, RoleChip},
};
use crate::{
    access::{Account, Authority, Mapping, Origin, Policy, PolicyTables, RowName},
    broker::csv,
    web::EnvironmentRule,
};

/// How many rows a page has.
const PAGE: usize = 50;
/// A mapping that ends within so long is `expiring`.
const SOON: Duration = Duration::days(30);
/// The address of the list.
const PATH: &str = "/helpdesk/mappings";

/// Which rows, in which order, from where on: the query of the address.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct MappingQuery {
    /// In any column.
    pub(crate) q: String,
    /// In the account's name or id.
    pub(crate) account: String,
    /// In the group's key.
    pub(crate) group: String,
    /// In the role's name or ARN.
    pub(crate) role: String,
    /// `expiring`, `expired`, `broken`, `file`; anything else is all.
    pub(crate) state: String,
    /// `role`, `group`, `ends` or `ticket`, with `-` in front for the other way round.
    pub(crate) sort: String,
    /// Rows behind this one; opaque.
    pub(crate) after: String,
    /// The edit that was just saved.
    pub(crate) saved: String,
}

impl MappingQuery {
    /// The address of a page that keeps the list beside it as it is.
    pub(crate) fn link(&self, path: &str, more: &[(&str, &str)]) -> String {
        let mut pairs = vec![
            ("q", self.q.as_str()),
            ("account", &self.account),
            ("group", &self.group),
            ("role", &self.role),
            ("state", &self.state),
            ("sort", &self.sort),
            ("after", &self.after),
        ];
        for (name, value) in more {
            match pairs.iter_mut().find(|(other, _)| other == name) {
                Some(pair) => pair.1 = value,
                None => pairs.push((name, value)),
            }
        }
        query_string(path, &pairs)
    }

    fn is_filtered(&self) -> bool {
        [&self.q, &self.account, &self.group, &self.role, &self.state]
            .iter()
            .any(|text| !text.trim().is_empty())
    }
}

/// What the list is made from.
#[derive(Clone, Copy)]
pub(crate) struct ListInput<'a> {
    /// The rows.
    pub(crate) tables: &'a PolicyTables,
    /// What is decided on them.
    pub(crate) policy: &'a Policy,
    /// How accounts get their environment.
    pub(crate) environments: &'a [EnvironmentRule],
    /// What the reader may do.
    pub(crate) authority: &'a Authority,
    /// The present.
    pub(crate) now: OffsetDateTime,
}

/// A row as a page shows it.
struct ListRow {
    id: String,
    group: String,
    group_key: String,
    chip: RoleChip,
    conditions: String,
    ends: Option<Moment>,
    end_state: &'static str,
    ticket: String,
    /// `file line 12`
    origin: Option<String>,
    problem: Option<String>,
    may_edit: bool,
    is_open: bool,
    edit: String,
    history: String,
}

/// A column that can be sorted by.
struct Column {
    name: &'static str,
    class: &'static str,
    href: String,
    /// `ascending`, `descending` or `none`, as ARIA has it.
    sort: &'static str,
}

/// The list, which is also sent alone while somebody types in the filter.
#[derive(Template)]
#[template(path = "helpdesk/mapping_list.html", whitespace = "minimize")]
pub(crate) struct MappingList {
    csrf_token: String,
    rows: Vec<ListRow>,
    columns: Vec<Column>,
    /// `12 of 10,000 mappings`
    count: String,
    next: Option<String>,
    first: Option<String>,
    csv: String,
    bulk: String,
    may_choose: bool,
    is_filtered: bool,
}

// A template of ours, escaped as any other.
impl askama::filters::HtmlSafe for MappingList {}

/// `GET /helpdesk/mappings`
#[derive(Template)]
#[template(path = "helpdesk/mappings.html", whitespace = "minimize")]
pub(crate) struct MappingsView {
    /// The frame.
    pub(crate) layout: Layout,
    /// The helpdesk's frame.
    pub(crate) desk: Desk,
    /// The filter as it was entered.
    pub(crate) query: MappingQuery,
    /// The rows.
    pub(crate) list: MappingList,
    /// An edit beside them.
    pub(crate) form: Option<EditForm>,
    /// What was just saved: a sentence, and where it is undone.
    pub(crate) saved: Option<(String, Option<String>)>,
    /// What the reader may not edit, and why.
    pub(crate) notice: Option<String>,
}

impl MappingsView {
    fn add(&self) -> String {
        self.query.link("/helpdesk/mappings/new", &[])
    }

    fn is_state(&self, state: &str) -> bool {
        self.query.state == state
    }

    fn running(&self) -> Option<&str> {
        self.form.as_ref().and_then(EditForm::running)
    }

    #[expect(clippy::unused_self, reason = "templates reach it through the value")]
    fn states(&self) -> [(&'static str, &'static str); 5] {
        [
            ("", "All"),
            ("expiring", "Ends within 30 days"),
            ("expired", "Expired"),
            ("broken", "Broken"),
            ("file", "From the mapping file"),
        ]
    }
}

impl MappingList {
    /// The page of the list that `query` asks for; `open` is the row that is edited beside it.
    pub(crate) fn new(
        input: ListInput<'_>,
        query: &MappingQuery,
        open: Option<&str>,
        csrf_token: String,
    ) -> Self {
        let scan = Scan::new(input, query);
        let order = Order::of(&query.sort);
        let mut rows: Vec<&Mapping> = scan.rows().collect();
        let count = rows.len();
        if let Some(cursor) = Cursor::read(&query.after) {
            rows.retain(|row| order.apply(scan.key(row, order).cmp(&cursor.key())).is_gt());
        }
        let compare =
            |a: &&Mapping, b: &&Mapping| order.apply(scan.key(a, order).cmp(&scan.key(b, order)));
        let has_more = rows.len() > PAGE;
        if has_more {
            rows.select_nth_unstable_by(PAGE, compare);
            rows.truncate(PAGE);
        }
        rows.sort_unstable_by(compare);
        let last = rows.last().filter(|_| has_more);
        let next = last.map(|row| {
            let cursor = Cursor::write(scan.key(row, order));
            query.link(PATH, &[("after", &cursor)])
        });
        let rows: Vec<ListRow> = rows
            .into_iter()
            .map(|row| scan.list_row(row, query, open))
            .collect();
        let total = input.tables.mappings.len();
        Self {
            csrf_token,
            may_choose: rows.iter().any(|row| row.may_edit),
            rows,
            columns: columns(query),
            count: if query.is_filtered() {
                format!(
                    "{} of {}",
                    grouped(count),
                    counted(total, "mapping", "mappings")
                )
            } else {
                counted(total, "mapping", "mappings")
            },
            next,
            first: (!query.after.is_empty()).then(|| query.link(PATH, &[("after", "")])),
            csv: query.link("/helpdesk/mappings.csv", &[("after", "")]),
            bulk: query.link("/helpdesk/preview", &[]),
            is_filtered: query.is_filtered(),
        }
    }
}

/// The columns with where a click on them leads.
fn columns(query: &MappingQuery) -> Vec<Column> {
    let order = Order::of(&query.sort);
    let column = |name, class, by: Option<By>| {
        let Some(by) = by else {
            return Column {
                name,
                class,
                href: String::new(),
                sort: "none",
            };
        };
        let is_this = order.by == by;
        let next = if is_this && !order.is_reversed {
            format!("-{}", by.name())
        } else {
            by.name().to_owned()
        };
        Column {
            name,
            class,
            href: query.link(PATH, &[("sort", &next), ("after", "")]),
            sort: match (is_this, order.is_reversed) {
                (false, _) => "none",
                (true, false) => "ascending",
                (true, true) => "descending",
            },
        }
    };
    vec![
        column("Group", "group", Some(By::Group)),
        column("Gives", "gives", Some(By::Role)),
        column("Conditions", "conditions", None),
        column("Ends", "ends", Some(By::Ends)),
        column("Ticket", "ticket", Some(By::Ticket)),
    ]
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    Role,
    Group,
    Ends,
    Ticket,
}

impl By {
    fn name(self) -> &'static str {
        match self {
            Self::Role => "role",
            Self::Group => "group",
            Self::Ends => "ends",
            Self::Ticket => "ticket",
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Order {
    by: By,
    is_reversed: bool,
}

impl Order {
    fn of(sort: &str) -> Self {
        let (is_reversed, name) = match sort.strip_prefix('-') {
            Some(name) => (true, name),
            None => (false, sort),
        };
        let known = [By::Group, By::Ends, By::Ticket];
        Self {
            by: known
                .into_iter()
                .find(|by| by.name() == name)
                .unwrap_or(By::Role),
            is_reversed,
        }
    }

    fn apply(self, ordering: Ordering) -> Ordering {
        if self.is_reversed {
            ordering.reverse()
        } else {
            ordering
        }
    }
}

/// What rows are compared by: never equal for two rows, since their ids are not.
type Key<'a> = (i64, &'a str, &'a str, &'a str, &'a str);

/// A key that travels in an address.
struct Cursor(i64, Vec<String>);

impl Cursor {
    fn write((number, a, b, c, id): Key<'_>) -> String {
        let text = serde_json::json!([number, a, b, c, id]).to_string();
        URL_SAFE_NO_PAD.encode(text)
    }

    fn read(text: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (number, a, b, c, id): (i64, String, String, String, String) =
            serde_json::from_slice(&bytes).ok()?;
        Some(Self(number, vec![a, b, c, id]))
    }

    fn key(&self) -> Key<'_> {
        let part = |place: usize| self.1.get(place).map_or("", String::as_str);
        (self.0, part(0), part(1), part(2), part(3))
    }
}

/// An account as the list sorts and filters by it.
struct PlacedAccount<'a> {
    lower: String,
    account: &'a Account,
}

/// One walk over the table.
struct Scan<'a> {
    input: ListInput<'a>,
    accounts: HashMap<&'a str, PlacedAccount<'a>>,
    problems: HashMap<&'a str, &'a str>,
    disabled: HashSet<&'a str>,
    q: Vec<String>,
    account: String,
    group: String,
    role: String,
    state: String,
}

impl<'a> Scan<'a> {
    fn new(input: ListInput<'a>, query: &MappingQuery) -> Self {
        let lower = |text: &str| text.trim().to_lowercase();
        let accounts = input.tables.accounts.iter();
        let problems = input.policy.problems().iter();
        let disabled = input.tables.roles.iter().filter(|role| role.disabled);
        Self {
            input,
            accounts: accounts
                .map(|account| {
                    let lower = account.name.to_lowercase();
                    (account.id.as_str(), PlacedAccount { lower, account })
                })
                .collect(),
            problems: problems
                .map(|problem| (problem.about.as_str(), problem.message.as_str()))
                .collect(),
            disabled: disabled.map(|role| role.arn.as_str()).collect(),
            q: query.q.split_whitespace().map(lower).collect(),
            account: lower(&query.account),
            group: lower(&query.group),
            role: lower(&query.role),
            state: query.state.clone(),
        }
    }

    fn rows(&self) -> impl Iterator<Item = &'a Mapping> {
        let mappings = self.input.tables.mappings.iter();
        mappings.filter(|mapping| self.keeps(mapping))
    }

    fn account(&self, mapping: &Mapping) -> Option<&PlacedAccount<'a>> {
        self.accounts.get(mapping.role.account_digits())
    }

    fn keeps(&self, mapping: &Mapping) -> bool {
        self.is_in_state(mapping)
            && (self.account.is_empty() || self.is_in_account(mapping, &self.account))
            && (self.group.is_empty() || contains(mapping.group.as_str(), &self.group))
            && (self.role.is_empty() || contains(mapping.role.as_str(), &self.role))
            && self.q.iter().all(|word| self.has_word(mapping, word))
    }

    fn is_in_account(&self, mapping: &Mapping, text: &str) -> bool {
        mapping.role.account_digits().contains(text)
            || self
                .account(mapping)
                .is_some_and(|placed| placed.lower.contains(text))
    }

    fn has_word(&self, mapping: &Mapping, word: &str) -> bool {
        contains(mapping.group.as_str(), word)
            || contains(mapping.role.as_str(), word)
            || self.is_in_account(mapping, word)
            || mapping.ticket.as_deref().is_some_and(|t| contains(t, word))
            || self
                .account(mapping)
                .and_then(|placed| placed.account.environment.as_deref())
                .is_some_and(|environment| contains(environment, word))
    }

    fn is_in_state(&self, mapping: &Mapping) -> bool {
        let now = self.input.now;
        match self.state.as_str() {
            "expiring" => {
                let expires = mapping.conditions.expires;
                expires.is_some_and(|at| at > now && at <= now + SOON)
            }
            "expired" => mapping.conditions.is_expired(now),
            "broken" => self.problem(mapping).is_some(),
            "file" => matches!(mapping.origin, Origin::File { .. }),
            _ => true,
        }
    }

    fn problem(&self, mapping: &Mapping) -> Option<String> {
        if let Some(message) = self.problems.get(mapping.id.0.as_str()) {
            // The row names the role already.
            let is_unknown = self.input.policy.role(&mapping.role).is_none();
            let message = if is_unknown {
                "there is no such role"
            } else {
                message
            };
            return Some(message.to_owned());
        }
        let role = mapping.role.as_str();
        self.disabled
            .contains(role)
            .then(|| "its role is disabled".to_owned())
    }

    fn key<'k>(&'k self, mapping: &'k Mapping, order: Order) -> Key<'k> {
        let account = self.account(mapping);
        let account = account.map_or(mapping.role.account_digits(), |a| a.lower.as_str());
        let (role, group) = (mapping.role.name(), mapping.group.as_str());
        let id = mapping.id.0.as_str();
        match order.by {
            By::Role => (0, account, role, group, id),
            By::Group => (0, wording::group_name(group), group, account, id),
            By::Ticket => {
                // Rows without one come last.
                let ticket = mapping.ticket.as_deref().unwrap_or_default();
                (i64::from(ticket.is_empty()), ticket, account, role, id)
            }
            By::Ends => {
                let ends = mapping.conditions.expires;
                let ends = ends.map_or(i64::MAX, OffsetDateTime::unix_timestamp);
                (ends, account, role, group, id)
            }
        }
    }

    fn list_row(&self, mapping: &Mapping, query: &MappingQuery, open: Option<&str>) -> ListRow {
        let ListInput {
            policy,
            environments,
            authority,
            now,
            ..
        } = self.input;
        let ends = mapping.conditions.expires;
        let is_of_store = mapping.origin == Origin::Store;
        let account = self.account(mapping).map(|placed| placed.account);
        ListRow {
            group: wording::group_name(mapping.group.as_str()).to_owned(),
            group_key: mapping.group.to_string(),
            chip: RoleChip::of(&mapping.role, policy, environments),
            conditions: wording::conditions(&mapping.conditions).join(", "),
            ends: ends.map(|at| Moment::relative(at, now)),
            end_state: match ends {
                Some(at) if at <= now => "expired",
                Some(at) if at <= now + SOON => "soon",
                _ => "",
            },
            ticket: mapping.ticket.clone().unwrap_or_default(),
            origin: match mapping.origin {
                Origin::Store => None,
                Origin::File { line } => Some(format!("mapping file, line {line}")),
            },
            problem: self.problem(mapping),
            may_edit: is_of_store && authority.may_edit_mappings_of(&mapping.role, account),
            is_open: open == Some(mapping.id.0.as_str()),
            edit: query.link(&links::mapping(&mapping.id), &[]),
            history: wording::history_link(&RowName::Mapping(mapping.id.clone())),
            id: mapping.id.to_string(),
        }
    }
}

/// Whether `text` contains `part`, which is in lower case.
fn contains(text: &str, part: &str) -> bool {
    if text.is_ascii() && part.is_ascii() {
        let (text, part) = (text.as_bytes(), part.as_bytes());
        return part.is_empty()
            || text
                .windows(part.len())
                .any(|window| window.eq_ignore_ascii_case(part));
    }
    text.to_lowercase().contains(part)
}

/// Everything that the filter keeps, in the order of the page, as CSV.
///
/// What a spreadsheet would take for a formula gets an apostrophe in front. Says how many rows.
pub(crate) fn csv(input: ListInput<'_>, query: &MappingQuery) -> (String, usize) {
    let scan = Scan::new(input, query);
    let order = Order::of(&query.sort);
    let mut rows: Vec<&Mapping> = scan.rows().collect();
    rows.sort_unstable_by(|a, b| order.apply(scan.key(a, order).cmp(&scan.key(b, order))));
    let mut text = csv::line([
        "id",
        "group",
        "group_key",
        "account",
        "account_id",
        "role",
        "role_arn",
        "conditions",
        "ends",
        "ticket",
        "origin",
        "problem",
    ]);
    for mapping in &rows {
        let chip = RoleChip::of(&mapping.role, input.policy, &[]);
        let ends = mapping.conditions.expires;
        let cells = [
            mapping.id.to_string(),
            wording::group_name(mapping.group.as_str()).to_owned(),
            mapping.group.to_string(),
            chip.account,
            chip.account_id,
            chip.name,
            chip.arn,
            wording::conditions(&mapping.conditions).join("; "),
            ends.map_or_else(String::new, |at| Moment::clock(at, at).rfc3339()),
            mapping.ticket.clone().unwrap_or_default(),
            match mapping.origin {
                Origin::Store => "store".to_owned(),
                Origin::File { line } => format!("file line {line}"),
            },
            scan.problem(mapping).unwrap_or_default(),
        ];
        text += &csv::line(cells.iter().map(String::as_str));
    }
    (text, rows.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_found_whatever_its_case() {
        assert!(contains("corp:CN=Dev", "cn=dev"));
        assert!(contains("Ärzte", "ärz"));
        assert!(!contains("dev", "devs"));
        assert!(contains("dev", ""));
    }

    #[test]
    fn a_cursor_reads_back_and_junk_is_none() {
        let key = (7, "a", "b\"c", "é", "id");
        assert_eq!(Cursor::read(&Cursor::write(key)).unwrap().key(), key);
        for junk in ["", "x", "AAAA", "W10"] {
            assert!(Cursor::read(junk).is_none(), "{junk}");
        }
    }
}
