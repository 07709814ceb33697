//! Adding and changing one mapping.

use std::collections::BTreeSet;

use uuid::Uuid;

use super::{
    super::{
        super::super::views::helpdesk::{
            edit::{EditForm, Field, Kind},
            wording,
        },
        fields::{Fields, end, longest, longest_as_written, seen_field, sentence},
    },
    Bench, Errors, Reading, Sheet, reason,
};
use crate::{
    access::{Change, Conditions, GroupKey, Mapping, MappingId, Origin, Row, RowName, TargetArn},
    broker::{EditDraft, ExplainRefused},
};

/// How many suggestions stand on the page without asking.
const OFFERS: usize = 100;
/// What an end may be.
pub(in super::super) const END_HINT: &str = "The last day, as 2026-12-31: it counts until midnight UTC. Or a moment, as \
     2026-12-31T17:00:00Z. Empty: no end.";

/// The fields of a new mapping.
pub(in super::super) fn fresh(group: &str, role: &str, ticket: &str) -> Fields {
    let id = MappingId(Uuid::now_v7().to_string());
    let mut fields = Fields::of(&[
        ("edit", "mapping"),
        ("row", &id.0),
        ("group", group),
        ("role", role),
        ("ticket", ticket),
    ]);
    fields.0.push(seen_field(&(RowName::Mapping(id), None)));
    fields
}

/// The fields of a mapping as it stands in the table.
pub(in super::super) fn of_row(mapping: &Mapping) -> Fields {
    let mut fields = Fields::of(&[
        ("edit", "mapping"),
        ("row", &mapping.id.0),
        ("group", mapping.group.as_str()),
        ("role", mapping.role.as_str()),
        ("ticket", mapping.ticket.as_deref().unwrap_or_default()),
    ]);
    fields.0.extend(condition_fields(&mapping.conditions));
    let seen = (
        RowName::Mapping(mapping.id.clone()),
        Some(Row::Mapping(mapping.clone()).revision()),
    );
    fields.0.push(seen_field(&seen));
    fields
}

/// The fields of a row's conditions.
pub(super) fn condition_fields(conditions: &Conditions) -> Vec<(String, String)> {
    let yes = |is_set: bool| is_set.then(|| "yes".to_owned());
    let fields = [
        ("expires", conditions.expires.map(wording::end_as_written)),
        (
            "max_duration",
            conditions.max_duration.map(longest_as_written),
        ),
        ("read_only", yes(conditions.read_only)),
        ("require_reason", yes(conditions.require_reason)),
    ];
    let set = fields.into_iter();
    set.filter_map(|(name, value)| Some((name.to_owned(), value?)))
        .collect()
}

/// Reads the conditions; those that no form shows stay as they are in `kept`.
pub(super) fn conditions(
    bench: &Bench<'_>,
    fields: &Fields,
    kept: Option<&Conditions>,
    errors: &mut Errors,
) -> Conditions {
    let kept = kept.cloned().unwrap_or_default();
    let mut conditions = Conditions {
        read_only: fields.is_set("read_only"),
        require_reason: fields.is_set("require_reason"),
        ..kept.clone()
    };
    match end(fields.one("expires"), kept.expires, bench.now) {
        Ok(expires) => conditions.expires = expires,
        Err(message) => {
            errors.insert("expires", message);
        }
    }
    match longest(fields.one("max_duration")) {
        Ok(longest) => conditions.max_duration = longest,
        Err(message) => {
            errors.insert("max_duration", message);
        }
    }
    conditions
}

/// Reads the form.
pub(super) async fn read(bench: &Bench<'_>, sheet: &Sheet<'_>) -> Reading {
    let fields = sheet.fields;
    let mut errors = Errors::new();
    let id = MappingId(fields.one("row").to_owned());
    let mappings = &bench.tables.mappings;
    let existing = mappings.iter().find(|mapping| mapping.id == id);
    let group = match group(bench, fields.one("group")).await {
        Ok(group) => Some(group),
        Err(message) => {
            errors.insert("group", message);
            None
        }
    };
    let role = match role(bench, fields.one("role")).await {
        Ok(role) => Some(role),
        Err(message) => {
            errors.insert("role", message);
            None
        }
    };
    let kept = existing.map(|mapping| &mapping.conditions);
    let conditions = conditions(bench, fields, kept, &mut errors);
    if let (Some(group), Some(role)) = (&group, &role)
        && mappings
            .iter()
            .any(|other| other.group == *group && other.role == *role && other.id != id)
    {
        let message = "This group has a mapping to this role already. Change that one instead.";
        errors.insert("group", message.to_owned());
    }
    let why = reason(fields, &mut errors);
    let mapping = group.zip(role).map(|(group, role)| Mapping {
        id,
        group,
        role,
        conditions,
        ticket: Some(fields.one("ticket").to_owned()).filter(|ticket| !ticket.is_empty()),
        origin: Origin::Store,
    });
    let mut seen = fields.seen();
    // A row of the mapping file is one, whatever the form says.
    seen.extend(
        existing
            .filter(|row| row.origin != Origin::Store)
            .map(|row| {
                let revision = Row::Mapping(row.clone()).revision();
                (RowName::Mapping(row.id.clone()), Some(revision))
            }),
    );
    // Whether the row may be edited at all, or is of the mapping file, is for the broker to say.
    let is_usable = errors.keys().all(|name| *name == "reason");
    let draft = mapping.filter(|_| is_usable).map(|mapping| EditDraft {
        changes: vec![Change::PutMapping(mapping)],
        seen,
        reason: why,
        undoes: None,
    });
    Reading {
        form: form(bench, sheet, existing, &errors),
        draft,
        trouble: Vec::new(),
    }
}

/// The form with what was entered.
pub(in super::super) fn form(
    bench: &Bench<'_>,
    sheet: &Sheet<'_>,
    existing: Option<&Mapping>,
    errors: &Errors,
) -> EditForm {
    let fields = sheet.fields;
    let title = match existing {
        Some(mapping) => wording::row_title(&Row::Mapping(mapping.clone()), &bench.policy),
        None => "A new mapping".to_owned(),
    };
    let cancel = sheet.query.link("/helpdesk/mappings", &[]);
    let mut form = sheet.form(title, cancel);
    form.hidden = hidden(fields, "mapping");
    let limit = wording::limit(&bench.staff.authority.helpdesk, &bench.policy);
    form.about.extend(limit);
    let mut group = Field::text("group", "Group", fields.one("group"))
        .hint("connector:name, or a name that only one group has.");
    group.kind = Kind::Text {
        suggest: Some("/helpdesk/suggest/groups"),
        offers: group_offers(bench),
    };
    let mut role = Field::text("role", "Role", fields.one("role"))
        .hint("account/role, or an ARN. The role must be in the table.");
    role.kind = Kind::Text {
        suggest: Some("/helpdesk/suggest/roles"),
        offers: role_offers(bench, ""),
    };
    form.fields = vec![group, role];
    form.fields.extend(shared_fields(fields));
    for field in &mut form.fields {
        field.error = errors.get(field.name).cloned();
    }
    form.fields.push(sheet.reason_field(errors));
    if let Some(mapping) = existing {
        let row = ("row".to_owned(), mapping.id.to_string());
        form.other = Some((
            "End this mapping now".to_owned(),
            vec![("edit".to_owned(), "end".to_owned()), row],
        ));
        let history = wording::history_link(&RowName::Mapping(mapping.id.clone()));
        form.links = vec![(history, "History of this mapping".to_owned())];
    }
    form
}

/// The hidden fields that say which row it is.
pub(super) fn hidden(fields: &Fields, edit: &str) -> Vec<(String, String)> {
    let mut hidden = vec![("edit".to_owned(), edit.to_owned())];
    let carried = fields
        .0
        .iter()
        .filter(|(name, _)| matches!(name.as_str(), "row" | "seen"));
    hidden.extend(carried.cloned());
    hidden
}

/// The fields that mappings and rules share.
pub(super) fn shared_fields(fields: &Fields) -> Vec<Field> {
    vec![
        Field::text("expires", "Ends", fields.one("expires")).hint(END_HINT),
        Field::text(
            "max_duration",
            "Longest session",
            fields.one("max_duration"),
        )
        .hint("As 45m or 4h; from 15 minutes to 12 hours. Empty: as long as the role allows."),
        Field::check("read_only", "Read-only", fields.is_set("read_only")),
        Field::check(
            "require_reason",
            "Ask for a reason before opening",
            fields.is_set("require_reason"),
        ),
        Field::text("ticket", "Ticket", fields.one("ticket")).hint("Stays with the row."),
    ]
}

/// Groups that the table names already.
fn group_offers(bench: &Bench<'_>) -> Vec<String> {
    let keys: BTreeSet<&str> = bench
        .tables
        .mappings
        .iter()
        .map(|mapping| mapping.group.as_str())
        .collect();
    keys.into_iter().take(OFFERS).map(str::to_owned).collect()
}

/// Roles of the table as `account/role` whose account or name has `text` in it.
pub(in super::super) fn role_offers(bench: &Bench<'_>, text: &str) -> Vec<String> {
    let text = text.to_lowercase();
    let roles = bench.tables.roles.iter().filter_map(|role| {
        let id = role.arn.account();
        let account = bench.policy.account(&id);
        let authority = &bench.staff.authority;
        if !authority.may_edit_mappings_of(&role.arn, account) {
            return None;
        }
        let account = account.map_or(id.as_str(), |account| account.name.as_str());
        let offer = format!("{account}/{}", role.arn.name());
        let is_meant = text.is_empty()
            || offer.to_lowercase().contains(&text)
            || role.arn.as_str().to_lowercase().contains(&text);
        is_meant.then_some(offer)
    });
    let mut offers: Vec<String> = roles.take(OFFERS).collect();
    offers.sort_unstable();
    offers
}

/// The group that a text names.
async fn group(bench: &Bench<'_>, text: &str) -> Result<GroupKey, String> {
    if text.is_empty() {
        return Err("Name a group: connector:name, or a name that only one group has.".to_owned());
    }
    let broker = &bench.app.broker;
    let is_whole = text.split_once(':').is_some_and(|(connector, _)| {
        let mut connectors = broker.connectors().iter();
        connectors.any(|known| known.id().as_str() == connector)
    });
    if is_whole {
        return broker.group_key(text).map_err(|error| {
            let cause = std::error::Error::source(&error);
            let cause = cause.map_or_else(String::new, |cause| format!(": {cause}"));
            sentence(&format!("{error}{cause}"))
        });
    }
    let (named, missing) = known_groups(bench, text).await;
    let named: BTreeSet<&GroupKey> = named
        .iter()
        .filter(|key| {
            key.value().eq_ignore_ascii_case(text)
                || wording::group_name(key.as_str()).eq_ignore_ascii_case(text)
        })
        .collect();
    let mut found = named.iter();
    match (found.next(), found.next()) {
        (Some(key), None) => Ok((*key).clone()),
        // What could not be asked is no answer.
        (None, _) if !missing.is_empty() => Err(format!(
            "No group called “{text}” was found, and there may be one: {} Write connector:name if \
             you know it.",
            missing.join(" ")
        )),
        (None, _) => Err(format!(
            "No group is called “{text}”. Write connector:name, such as {}:cn=dev,ou=groups,dc=x.",
            broker
                .connectors()
                .first()
                .map_or("corp", |c| c.id().as_str())
        )),
        (Some(_), Some(_)) => {
            let keys: Vec<&str> = named.iter().take(5).map(|key| key.as_str()).collect();
            Err(format!(
                "Several groups are called “{text}”: {}. Choose one of them.",
                keys.join("; ")
            ))
        }
    }
}

/// The groups that the table and the directories know with `text` in their name.
///
/// And sentences about what could not be asked.
async fn known_groups(bench: &Bench<'_>, text: &str) -> (BTreeSet<GroupKey>, Vec<String>) {
    let of_table = bench.tables.mappings.iter().map(|row| row.group.clone());
    let mut known: BTreeSet<GroupKey> = of_table.collect();
    match bench.app.broker.find_groups(text).await {
        Ok(found) => {
            known.extend(found.items.into_iter().map(|group| group.key));
            (known, found.missing)
        }
        Err(error) => {
            tracing::warn!(error = %error, "groups could not be searched for");
            let sentence = "Rolegate cannot read its records now.";
            (known, vec![sentence.to_owned()])
        }
    }
}

/// The one role of the table that a text names.
async fn role(bench: &Bench<'_>, text: &str) -> Result<TargetArn, String> {
    if text.is_empty() {
        return Err("Name a role: account/role, or its ARN.".to_owned());
    }
    if let Ok(arn) = text.parse::<TargetArn>() {
        if bench.policy.role(&arn).is_some() {
            return Ok(arn);
        }
        return Err("The table has no such role. An admin can add it first.".to_owned());
    }
    if let Some(role) = by_account(bench, text) {
        return Ok(role);
    }
    match bench.app.broker.roles_meant(text).await {
        Ok(roles) => match roles.as_slice() {
            [role] => Ok(role.clone()),
            [] => Err(format!("No role is called “{text}”.")),
            [first, ..] => Err(format!(
                "That means {} roles. Write account/role, such as {}.",
                roles.len(),
                wording::role_offer(first, &bench.policy)
            )),
        },
        Err(ExplainRefused::UnknownRole(why)) => Err(sentence(&why)),
        Err(error) => {
            tracing::error!(error = %error, "a role could not be looked up");
            Err("Roles cannot be looked up by name now. Write the ARN.".to_owned())
        }
    }
}

/// The role that `account/role` names, the account by its name, alias or id; none where several do.
fn by_account(bench: &Bench<'_>, text: &str) -> Option<TargetArn> {
    let (account, name) = text.rsplit_once('/')?;
    let is_meant = |role: &&crate::access::Role| {
        let id = role.arn.account();
        let known = bench.policy.account(&id);
        let names = known.map(|known| [Some(known.name.as_str()), known.alias.as_deref()]);
        role.arn.name().eq_ignore_ascii_case(name)
            && (id.as_str() == account
                || names
                    .into_iter()
                    .flatten()
                    .flatten()
                    .any(|known| known.to_lowercase() == account.to_lowercase()))
    };
    let mut roles = bench.tables.roles.iter().filter(is_meant);
    let first = roles.next()?;
    roles
        .all(|other| other.arn == first.arn)
        .then(|| first.arn.clone())
}
