//! `/helpdesk/groups`: which groups there are, who is in one, and what it gives.

use std::collections::HashSet;

use axum::{
    extract::{Path, Query, State},
    response::{IntoResponse, Response},
};
use time::OffsetDateTime;

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
                    Section,
                    groups::{GivenRow, GroupRow, GroupView, GroupsView, MemberRow},
                    links,
                    people::PersonRow,
                    wording,
                },
                query_string,
            },
        },
        layout, render,
    },
    desk,
    people::{SearchQuery, person_row},
};
use crate::{
    access::{
        AuthenticationMethod, Group, GroupKey, Identity, MappingId, Policy, PolicyTables, TargetArn,
    },
    broker::{Found, FoundPerson, GroupRecord, GroupSummary, Member, StoreError},
};

/// `GET /helpdesk/groups?q=`
pub(in crate::web) async fn search(
    State(app): State<App>,
    staff: Staff,
    Query(query): Query<SearchQuery>,
    frame: Frame,
) -> Response {
    let page = async {
        let found = match query.text() {
            Some(text) => Some(app.broker.find_groups(&text).await?),
            None => None,
        };
        let (found, missing) = found.map_or((None, Vec::new()), |Found { items, missing }| {
            (Some(items), missing)
        });
        let view = GroupsView {
            layout: layout(&frame, &staff.signed_in),
            desk: desk(&app, &staff, Section::Groups).await?,
            query: query.text().unwrap_or_default(),
            found: found.map(|groups| groups.into_iter().map(row).collect()),
            missing,
        };
        Ok::<_, StoreError>(render(&view, &frame))
    };
    page.await
        .unwrap_or_else(|error| frame.clone().store_unavailable(&error).into_response())
}

fn row(group: GroupSummary) -> GroupRow {
    GroupRow {
        href: links::group(&group.key),
        short: wording::short_name(&group.name).to_owned(),
        key: group.key.to_string(),
        description: group.description.unwrap_or_default(),
    }
}

/// `GET /helpdesk/groups/{key}`
pub(in crate::web) async fn show(
    State(app): State<App>,
    staff: Staff,
    Path(key): Path<String>,
    frame: Frame,
) -> Response {
    let page = page(&app, &staff, GroupKey::from_stored(key), &frame);
    match page.await {
        Ok(response) => response,
        Err(error) => frame.store_unavailable(&error).into_response(),
    }
}

async fn page(
    app: &App,
    staff: &Staff,
    key: GroupKey,
    frame: &Frame,
) -> Result<Response, StoreError> {
    let record = app.broker.group(&key).await?;
    let tables = app.broker.tables().await?;
    let policy = app.broker.policy().await?;
    let now = app.broker.now();
    let (name, description) = record.members.as_ref().map_or_else(
        || (key.value().to_owned(), None),
        |members| {
            (
                members.group.name.clone(),
                members.group.description.clone(),
            )
        },
    );
    let stable_id = record
        .members
        .as_ref()
        .and_then(|members| members.group.stable_id.clone());
    let group = Group {
        key: key.clone(),
        name: name.clone(),
        stable_id,
        through: None,
    };
    let shown = Shown {
        environments: &frame.0.environments,
        now,
    };
    let GroupRecord { missing, .. } = &record;
    let view = GroupView {
        layout: layout(frame, &staff.signed_in),
        desk: desk(app, staff, Section::Groups).await?,
        short: wording::short_name(&name).to_owned(),
        key: key.to_string(),
        description: description.unwrap_or_default(),
        members: record.members.as_ref().map(|members| {
            let rows = members.people.iter();
            rows.filter_map(|member| member_row(app, &record, member, &key))
                .collect()
        }),
        is_cut: record
            .members
            .as_ref()
            .is_some_and(|members| members.is_cut),
        seen: seen_only(app, &record),
        missing: missing.clone(),
        gives: given_rows(&group, (&tables, &policy), &shown),
        add: (!staff.authority.helpdesk.is_empty())
            .then(|| query_string("/helpdesk/mappings/new", &[("group", key.as_str())])),
    };
    Ok(render(&view, frame))
}

/// Those who were last seen with the group and are not among its members now.
fn seen_only(app: &App, record: &GroupRecord) -> Vec<PersonRow> {
    let members = record.members.iter().flat_map(|members| &members.people);
    let live: HashSet<&str> = members
        .map(|member| member.person.subject.as_str())
        .collect();
    record
        .seen
        .iter()
        .filter(|person| !live.contains(person.subject.as_str()))
        .map(|person| person_row(app, person))
        .collect()
}

fn member_row(
    app: &App,
    record: &GroupRecord,
    member: &Member,
    key: &GroupKey,
) -> Option<MemberRow> {
    let entry = &member.person;
    let seen = record
        .seen
        .iter()
        .find(|seen| seen.subject == entry.subject);
    let found = FoundPerson {
        connector: match seen {
            Some(seen) => seen.connector.clone(),
            None => key.connector().parse().ok()?,
        },
        subject: entry.subject.clone(),
        username: entry.username.clone(),
        display_name: entry.display_name.clone(),
        email: entry.email.clone(),
        seen_at: seen.and_then(|seen| seen.seen_at),
        is_in_directory: Some(true),
    };
    Some(MemberRow {
        person: person_row(app, &found),
        through: member
            .through
            .iter()
            .map(|group| {
                let short = wording::group_name(group.as_str()).to_owned();
                (short, links::group(group))
            })
            .collect(),
    })
}

struct Shown<'a> {
    environments: &'a [crate::web::EnvironmentRule],
    now: OffsetDateTime,
}

/// The mappings of a group, usable or not, and the rules that match it and give a role now.
fn given_rows(
    group: &Group,
    (tables, policy): (&PolicyTables, &Policy),
    shown: &Shown<'_>,
) -> Vec<GivenRow> {
    let nobody = nobody_of(group, shown.now);
    let entitlements = nobody
        .as_ref()
        .map(|nobody| policy.entitlements(nobody, shown.now))
        .unwrap_or_default();
    let mut rows: Vec<GivenRow> = Vec::new();
    for mapping in tables.mappings.iter().filter(|row| row.group == group.key) {
        let ends = mapping.conditions.expires;
        let trouble = match policy.role(&mapping.role) {
            None => "there is no such role",
            Some(role) if role.disabled => "the role is disabled",
            Some(_) if ends.is_some_and(|ends| ends <= shown.now) => "expired",
            Some(_) if mapping.conditions.unenforceable().is_some() => {
                "asks for what cannot be checked"
            }
            Some(_) => "",
        };
        let of = (&mapping.id, false, ends);
        rows.push(given_row(&mapping.role, of, trouble, (policy, shown)));
    }
    for entitlement in &entitlements {
        let rules = entitlement.givers.iter().filter(|giver| giver.is_rule);
        for giver in rules {
            let of = (giver.mapping, true, giver.conditions.expires);
            rows.push(given_row(&entitlement.role.arn, of, "", (policy, shown)));
        }
    }
    rows.sort_by_cached_key(|row| (row.account.to_lowercase(), row.role.to_lowercase()));
    rows
}

fn given_row(
    arn: &TargetArn,
    (id, is_rule, ends): (&MappingId, bool, Option<OffsetDateTime>),
    trouble: &'static str,
    (policy, shown): (&Policy, &Shown<'_>),
) -> GivenRow {
    let account = policy.account(&arn.account());
    GivenRow {
        arn: arn.to_string(),
        account_id: arn.account().to_string(),
        environment: Environment::of(account, shown.environments),
        account: account.map_or_else(|| arn.account().to_string(), |found| found.name.clone()),
        role: arn.name().to_owned(),
        role_href: links::role(arn),
        kind: if is_rule { "Rule" } else { "Mapping" },
        href: if is_rule {
            links::rule(id)
        } else {
            links::mapping(id)
        },
        ends: ends.map(|ends| Moment::relative(ends, shown.now)),
        trouble,
    }
}

/// Somebody who has this group and no other, to ask the table what it gives.
fn nobody_of(group: &Group, now: OffsetDateTime) -> Option<Identity> {
    Some(Identity {
        connector: group.key.connector().parse().ok()?,
        subject: String::new(),
        username: String::new(),
        display_name: None,
        email: None,
        entry_dn: None,
        groups: vec![group.clone()],
        groups_read_at: now,
        authenticated_at: now,
        method: AuthenticationMethod::Password,
        authentication_context: None,
        asserted_roles: Vec::new(),
    })
}
