//! `/helpdesk/roles` and `/helpdesk/accounts`: what can be opened, within which limits, and by whom.

use std::collections::{HashMap, HashSet};

use axum::{
    extract::{Path, Query, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::Deserialize;

use super::{
    super::{
        super::{
            App,
            error::Frame,
            staff::Staff,
            views::{
                Moment,
                environment::Environment,
                helpdesk::{
                    Desk, Section,
                    edit::EditForm,
                    links,
                    mappings::MappingQuery,
                    people::NobodyView,
                    probes::ProbePart,
                    roles::{
                        AccountBlock, AccountView, GiverRow, Openers, RolePageView, RoleRow,
                        RolesView, SettingsPart,
                    },
                    wording,
                },
                query_string, words,
            },
        },
        layout, render,
    },
    SavedQuery, desk,
    draft::{Bench, Sheet, settings},
    fields::Fields,
    probes, saved,
};
use crate::{
    access::{Account, AccountId, ConsoleWay, Policy, PolicyTables, Role, Row, RowName, TargetArn},
    broker::{AccessRow, ReviewScope, StoreError},
};

/// Accounts on a page.
const ACCOUNTS: usize = 50;
/// People who are named on a role's page.
const MOST_OPENERS: usize = 30;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::web) struct RolesQuery {
    q: String,
    state: String,
    from: String,
    saved: String,
}

/// `GET /helpdesk/roles`
pub(in crate::web) async fn list(
    State(app): State<App>,
    staff: Staff,
    Query(query): Query<RolesQuery>,
    frame: Frame,
) -> Response {
    let page = async {
        let tables = app.broker.tables().await?;
        let policy = app.broker.policy().await?;
        let table = Table::new(&tables, &policy, &frame);
        let found = table.found(&query);
        let roles: usize = found.iter().map(|(_, roles)| roles.len()).sum();
        let from = query.from.parse::<usize>().unwrap_or(0);
        let from = if from < found.len() { from } else { 0 };
        let view = RolesView {
            layout: layout(&frame, &staff.signed_in),
            desk: desk(&app, &staff, Section::Roles).await?,
            count: format!(
                "{} in {}",
                words::counted(roles, "role", "roles"),
                words::counted(found.len(), "account", "accounts")
            ),
            pages: pages(&query, from, found.len()),
            accounts: found
                .into_iter()
                .skip(from)
                .take(ACCOUNTS)
                .map(|(id, roles)| table.block(&id, &roles))
                .collect(),
            saved: saved(&app, &staff, &query.saved).await?,
            query: query.q.trim().to_owned(),
            state: query.state,
        };
        Ok::<_, StoreError>(render(&view, &frame))
    };
    page.await
        .unwrap_or_else(|error| frame.clone().store_unavailable(&error).into_response())
}

fn pages(query: &RolesQuery, from: usize, count: usize) -> Vec<(String, &'static str)> {
    let link = |from: usize| {
        let from = from.to_string();
        let pairs = [
            ("q", query.q.as_str()),
            ("state", query.state.as_str()),
            ("from", from.as_str()),
        ];
        query_string("/helpdesk/roles", &pairs)
    };
    let mut pages = Vec::new();
    if from > 0 {
        pages.push((link(from.saturating_sub(ACCOUNTS)), "Previous accounts"));
    }
    if from + ACCOUNTS < count {
        pages.push((link(from + ACCOUNTS), "Next accounts"));
    }
    pages
}

/// What rows of roles are made with.
struct Table<'a> {
    tables: &'a PolicyTables,
    policy: &'a Policy,
    environments: &'a [crate::web::EnvironmentRule],
    mappings: HashMap<&'a TargetArn, usize>,
    broken: HashSet<&'a str>,
}

impl<'a> Table<'a> {
    fn new(tables: &'a PolicyTables, policy: &'a Policy, frame: &'a Frame) -> Self {
        let mut mappings: HashMap<&TargetArn, usize> = HashMap::new();
        for mapping in &tables.mappings {
            *mappings.entry(&mapping.role).or_default() += 1;
        }
        let problems = policy.problems().iter();
        Self {
            tables,
            policy,
            environments: &frame.0.environments,
            mappings,
            broken: problems.map(|problem| problem.about.as_str()).collect(),
        }
    }

    /// The accounts with their roles that fit, by name.
    fn found(&self, query: &RolesQuery) -> Vec<(AccountId, Vec<&'a Role>)> {
        let words: Vec<String> = query
            .q
            .to_lowercase()
            .split_whitespace()
            .map(str::to_owned)
            .collect();
        let mut accounts: HashMap<AccountId, Vec<&Role>> = HashMap::new();
        if query.state.is_empty() {
            let bare = self.tables.accounts.iter();
            let bare =
                bare.filter(|account| fits(&words, &account_text(Some(account), &account.id)));
            accounts.extend(bare.map(|account| (account.id.clone(), Vec::new())));
        }
        for role in &self.tables.roles {
            let id = role.arn.account();
            let account = self.policy.account(&id);
            let text = format!("{} {}", account_text(account, &id), role_text(role));
            if self.is_in_state(role, &query.state) && fits(&words, &text) {
                accounts.entry(id).or_default().push(role);
            }
        }
        let mut accounts: Vec<(AccountId, Vec<&Role>)> = accounts.into_iter().collect();
        accounts.sort_by_cached_key(|(id, _)| (self.name(id).to_lowercase(), id.clone()));
        for (_, roles) in &mut accounts {
            roles.sort_by_cached_key(|role| role.arn.name().to_lowercase());
        }
        accounts
    }

    fn is_in_state(&self, role: &Role, state: &str) -> bool {
        match state {
            "protected" => role.protected,
            "disabled" => role.disabled,
            "broken" => self.broken.contains(role.arn.as_str()),
            "unused" => !self.mappings.contains_key(&role.arn),
            _ => true,
        }
    }

    fn name(&self, id: &AccountId) -> String {
        let account = self.policy.account(id);
        account.map_or_else(|| id.to_string(), |account| account.name.clone())
    }

    fn block(&self, id: &AccountId, roles: &[&Role]) -> AccountBlock {
        let account = self.policy.account(id);
        AccountBlock {
            id: id.to_string(),
            href: links::account(id),
            name: self.name(id),
            environment: Environment::of(account, self.environments),
            owner: account
                .and_then(|account| account.owner.clone())
                .unwrap_or_default(),
            is_protected: account.is_some_and(|account| account.protected),
            roles: roles.iter().map(|role| self.row(role)).collect(),
        }
    }

    fn row(&self, role: &Role) -> RoleRow {
        let effective = self.policy.effective(&role.arn);
        let marks = [
            ("protected", role.protected),
            ("disabled", role.disabled),
            ("broken", self.broken.contains(role.arn.as_str())),
        ];
        RoleRow {
            arn: role.arn.to_string(),
            href: links::role(&role.arn),
            name: role.arn.name().to_owned(),
            about: role.description.clone().unwrap_or_default(),
            way: effective
                .map(|effective| match effective.console {
                    ConsoleWay::Federation => effective.grant_method.to_string(),
                    ConsoleWay::SamlPost | ConsoleWay::IdpInitiated => {
                        effective.console.as_str().to_owned()
                    }
                })
                .unwrap_or_default(),
            longest: effective
                .map(|effective| effective.max_duration.to_string())
                .unwrap_or_default(),
            mappings: self.mappings.get(&role.arn).copied().unwrap_or_default(),
            marks: marks
                .into_iter()
                .filter(|(_, is_so)| *is_so)
                .map(|(mark, _)| mark)
                .collect(),
        }
    }
}

fn fits(words: &[String], text: &str) -> bool {
    let text = text.to_lowercase();
    words.iter().all(|word| text.contains(word.as_str()))
}

fn account_text(account: Option<&Account>, id: &AccountId) -> String {
    let Some(account) = account else {
        return id.to_string();
    };
    let optional = [&account.alias, &account.environment, &account.owner];
    let optional: Vec<&str> = optional.into_iter().flatten().map(String::as_str).collect();
    format!("{} {} {}", account.id, account.name, optional.join(" "))
}

fn role_text(role: &Role) -> String {
    let optional = [&role.description, &role.owner];
    let optional: Vec<&str> = optional.into_iter().flatten().map(String::as_str).collect();
    format!("{} {}", role.arn, optional.join(" "))
}

/// What a page of one row is made with.
pub(super) struct Desktop<'a> {
    /// The tables and who reads them.
    pub(super) bench: &'a Bench<'a>,
    /// The frame, with the person.
    pub(super) frame: &'a Frame,
    /// What was just saved.
    pub(super) saved: &'a str,
}

impl Desktop<'_> {
    /// The settings of a row as it is in the table: a form, or facts for who may not edit.
    fn part(
        &self,
        fields: &Fields,
        form: fn(&Sheet<'_>) -> EditForm,
        facts: fn(&Fields) -> Vec<(&'static str, String)>,
    ) -> SettingsPart {
        if !self.bench.staff.authority.is_admin {
            return SettingsPart {
                facts: facts(fields),
                ..SettingsPart::default()
            };
        }
        let query = MappingQuery::default();
        SettingsPart {
            form: Some(form(&Sheet {
                fields,
                query: &query,
                csrf_token: &self.frame.0.csrf_token,
            })),
            ..SettingsPart::default()
        }
    }

    async fn saved(&self) -> Result<Option<(String, Option<String>)>, StoreError> {
        saved(self.bench.app, self.bench.staff, self.saved).await
    }

    async fn desk(&self) -> Result<Desk, StoreError> {
        desk(self.bench.app, self.bench.staff, Section::Roles).await
    }
}

/// A form with its preview, as a part of the page.
pub(super) fn edited(form: EditForm) -> SettingsPart {
    SettingsPart {
        form: Some(form),
        ..SettingsPart::default()
    }
}

/// `GET /helpdesk/accounts/{id}`
pub(in crate::web) async fn account(
    State(app): State<App>,
    staff: Staff,
    Path(id): Path<String>,
    Query(query): Query<SavedQuery>,
    frame: Frame,
) -> Response {
    let frame = Frame(layout(&frame, &staff.signed_in));
    let page = async {
        let bench = Bench::of(&app, &staff).await?;
        let id = id.parse::<AccountId>().ok();
        let row = id.map(RowName::Account);
        match row.and_then(|name| bench.tables.row(&name)) {
            Some(Row::Account(account)) => {
                let desktop = Desktop {
                    bench: &bench,
                    frame: &frame,
                    saved: &query.saved,
                };
                let fields = settings::of_account(&account);
                let part = desktop.part(&fields, settings::account_form, settings::account_facts);
                account_page(&desktop, Some(&account), part).await
            }
            _ => unknown(&app, &staff, &frame, "There is no such account").await,
        }
    };
    page.await
        .unwrap_or_else(|error| frame.clone().store_unavailable(&error).into_response())
}

async fn unknown(
    app: &App,
    staff: &Staff,
    frame: &Frame,
    title: &str,
) -> Result<Response, StoreError> {
    let view = NobodyView {
        layout: layout(frame, &staff.signed_in),
        desk: desk(app, staff, Section::Roles).await?,
        title: title.to_owned(),
        missing: Vec::new(),
        back: ("/helpdesk/roles", "Show accounts and roles"),
    };
    Ok((StatusCode::NOT_FOUND, render(&view, frame)).into_response())
}

/// The page of an account, or of a new one.
pub(super) async fn account_page(
    desktop: &Desktop<'_>,
    account: Option<&Account>,
    part: SettingsPart,
) -> Result<Response, StoreError> {
    let (bench, frame) = (desktop.bench, desktop.frame);
    let table = Table::new(&bench.tables, &bench.policy, frame);
    let id = account.map(|account| &account.id);
    let roles = bench.tables.roles.iter();
    let saved = desktop.saved().await?;
    let view = AccountView {
        layout: frame.0.clone(),
        desk: desktop.desk().await?,
        title: account.map_or_else(|| "Add an account".to_owned(), |found| found.name.clone()),
        id: id.map(ToString::to_string).unwrap_or_default(),
        environment: Environment::of(account, &frame.0.environments),
        part,
        roles: roles
            .filter(|role| Some(&role.arn.account()) == id)
            .map(|role| table.row(role))
            .collect(),
        add_role: id
            .filter(|_| bench.staff.authority.is_admin)
            .map(|id| query_string("/helpdesk/roles/new", &[("account", id.as_str())])),
        discover: id
            .filter(|_| {
                bench.staff.authority.is_admin && bench.app.broker.settings().read_role.is_some()
            })
            .map(|id| format!("{}/discover", links::account(id))),
        history: id.map(|id| wording::history_link(&RowName::Account(id.clone()))),
        external_id: account
            .filter(|_| saved.is_some())
            .and_then(|account| account.role_defaults.external_id.clone()),
        saved,
    };
    Ok(render(&view, frame))
}

/// `GET /helpdesk/accounts/new`
pub(in crate::web) async fn new_account(
    State(app): State<App>,
    staff: Staff,
    frame: Frame,
) -> Response {
    if !staff.authority.is_admin {
        return frame.not_admin().into_response();
    }
    let frame = Frame(layout(&frame, &staff.signed_in));
    let page = async {
        let bench = Bench::of(&app, &staff).await?;
        let desktop = Desktop {
            bench: &bench,
            frame: &frame,
            saved: "",
        };
        let fields = settings::fresh_account();
        let part = desktop.part(&fields, settings::account_form, settings::account_facts);
        account_page(&desktop, None, part).await
    };
    page.await
        .unwrap_or_else(|error| frame.clone().store_unavailable(&error).into_response())
}

/// `GET /helpdesk/roles/{arn}`
pub(in crate::web) async fn role(
    State(app): State<App>,
    staff: Staff,
    Path(arn): Path<String>,
    Query(query): Query<SavedQuery>,
    frame: Frame,
) -> Response {
    let frame = Frame(layout(&frame, &staff.signed_in));
    let page = async {
        let bench = Bench::of(&app, &staff).await?;
        let arn = arn.parse::<TargetArn>().ok();
        let row = arn.map(RowName::Role);
        match row.and_then(|name| bench.tables.row(&name)) {
            Some(Row::Role(role)) => {
                let desktop = Desktop {
                    bench: &bench,
                    frame: &frame,
                    saved: &query.saved,
                };
                let fields = settings::of_role(&role);
                let part = desktop.part(&fields, settings::role_form, settings::role_facts);
                role_page(&desktop, Some(&role), part).await
            }
            _ => unknown(&app, &staff, &frame, "There is no such role").await,
        }
    };
    page.await
        .unwrap_or_else(|error| frame.clone().store_unavailable(&error).into_response())
}

/// The page of a role, or of a new one.
pub(super) async fn role_page(
    desktop: &Desktop<'_>,
    role: Option<&Role>,
    part: SettingsPart,
) -> Result<Response, StoreError> {
    let (bench, frame) = (desktop.bench, desktop.frame);
    let (app, policy) = (bench.app, &bench.policy);
    let rows = match role {
        Some(role) => {
            let scope = ReviewScope::Role(role.arn.clone());
            Some(app.broker.access_rows(&scope).await?)
        }
        None => None,
    };
    let arn = role.map(|role| &role.arn);
    let account_id = arn.map(TargetArn::account);
    let account = account_id.as_ref().and_then(|id| policy.account(id));
    let may_map = arn.filter(|arn| bench.staff.authority.may_edit_mappings_of(arn, account));
    let problems = policy.problems().iter();
    let view = RolePageView {
        layout: frame.0.clone(),
        desk: desktop.desk().await?,
        title: arn.map_or_else(|| "Add a role".to_owned(), |arn| arn.name().to_owned()),
        arn: arn.map(ToString::to_string).unwrap_or_default(),
        account: match (account, &account_id) {
            (Some(account), _) => account.name.clone(),
            (None, Some(id)) => id.to_string(),
            (None, None) => String::new(),
        },
        account_href: account_id.as_ref().map(links::account).unwrap_or_default(),
        environment: Environment::of(account, &frame.0.environments),
        troubles: problems
            .filter(|problem| arn.is_some_and(|arn| problem.about == arn.as_str()))
            .map(|problem| format!("This role {}.", problem.message))
            .collect(),
        part,
        probe: match arn.filter(|_| role.is_some_and(|role| !role.disabled)) {
            Some(arn) => {
                let may_look = bench.staff.authority.may_probe(arn, account);
                Some(ProbePart {
                    may_look,
                    ..probes::part(app, arn).await?
                })
            }
            None => None,
        },
        givers: givers(app, arn, &bench.tables, rows.as_deref().unwrap_or_default()),
        openers: rows.as_deref().map(openers),
        who_csv: arn
            .map(|arn| query_string("/helpdesk/who.csv", &[("role", arn.as_str())]))
            .unwrap_or_default(),
        add: may_map.map(|arn| query_string("/helpdesk/mappings/new", &[("role", arn.as_str())])),
        history: arn.map(|arn| wording::history_link(&RowName::Role(arn.clone()))),
        saved: desktop.saved().await?,
    };
    Ok(render(&view, frame))
}

/// The mappings of a role, and the rules by which somebody has it.
fn givers(
    app: &App,
    arn: Option<&TargetArn>,
    tables: &PolicyTables,
    rows: &[AccessRow],
) -> Vec<GiverRow> {
    let now = app.broker.now();
    let mappings = tables.mappings.iter();
    let mappings = mappings.filter(|mapping| Some(&mapping.role) == arn);
    let by_rule: HashSet<&crate::access::MappingId> = rows
        .iter()
        .filter(|row| row.is_rule)
        .map(|row| &row.row)
        .collect();
    let rules = tables
        .rules
        .iter()
        .filter(|rule| by_rule.contains(&rule.id));
    let of_mapping = mappings.map(|mapping| GiverRow {
        kind: "Mapping",
        href: links::mapping(&mapping.id),
        group: wording::group_name(mapping.group.as_str()).to_owned(),
        group_href: Some(links::group(&mapping.group)),
        ends: mapping
            .conditions
            .expires
            .map(|at| Moment::relative(at, now)),
    });
    let of_rule = rules.map(|rule| GiverRow {
        kind: "Rule",
        href: links::rule(&rule.id),
        group: rule.group_pattern.clone(),
        group_href: None,
        ends: rule.conditions.expires.map(|at| Moment::relative(at, now)),
    });
    of_mapping.chain(of_rule).collect()
}

/// Those who can open a role, each once.
fn openers(rows: &[AccessRow]) -> Openers {
    let mut known = HashSet::new();
    let people: Vec<&AccessRow> = rows
        .iter()
        .filter(|row| known.insert((row.connector.as_str(), row.subject.as_str())))
        .collect();
    let first = people.iter().take(MOST_OPENERS).map(|row| {
        let name = row.display_name.clone();
        let name = name.unwrap_or_else(|| row.username.clone());
        (name, links::person(row.connector.as_str(), &row.subject))
    });
    Openers {
        count: words::counted(people.len(), "person", "people"),
        first: first.collect(),
        rest: people.len().saturating_sub(MOST_OPENERS),
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::web) struct NewRoleQuery {
    account: String,
    /// A role that was discovered, with what IAM says of it.
    arn: String,
    description: String,
    max_duration: String,
}

/// `GET /helpdesk/roles/new?account=`
pub(in crate::web) async fn new_role(
    State(app): State<App>,
    staff: Staff,
    Query(query): Query<NewRoleQuery>,
    frame: Frame,
) -> Response {
    if !staff.authority.is_admin {
        return frame.not_admin().into_response();
    }
    let frame = Frame(layout(&frame, &staff.signed_in));
    let page = async {
        let bench = Bench::of(&app, &staff).await?;
        let desktop = Desktop {
            bench: &bench,
            frame: &frame,
            saved: "",
        };
        let mut fields = settings::fresh_role(query.account.trim());
        if query.arn.parse::<TargetArn>().is_ok() {
            fields.set("arn", query.arn.as_str());
            fields.set("description", query.description.as_str());
            fields.set("max_duration", query.max_duration.as_str());
        }
        let part = desktop.part(&fields, settings::role_form, settings::role_facts);
        role_page(&desktop, None, part).await
    };
    page.await
        .unwrap_or_else(|error| frame.clone().store_unavailable(&error).into_response())
}
