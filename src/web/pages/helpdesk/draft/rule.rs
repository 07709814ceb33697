//! Adding and changing one pattern rule, with a live view of what it matches.

use std::collections::{BTreeSet, HashMap};

use uuid::Uuid;

use super::{
    super::{
        super::super::views::helpdesk::{
            edit::{EditForm, Field, Kind},
            rules::Matches,
            wording,
        },
        fields::{Fields, seen_field, sentence},
    },
    Bench, Errors, Reading, Sheet, mapping, reason,
};
use crate::{
    access::{Change, ConnectorId, GroupKey, MappingId, MappingRule, Origin, Row, RowName},
    broker::{EditDraft, Found},
};

/// The fields of a new rule.
pub(in super::super) fn fresh() -> Fields {
    let id = MappingId(Uuid::now_v7().to_string());
    let mut fields = Fields::of(&[("edit", "rule"), ("row", &id.0)]);
    fields.0.push(seen_field(&(RowName::Rule(id), None)));
    fields
}

/// The fields of a rule as it stands in the table.
pub(in super::super) fn of_row(rule: &MappingRule) -> Fields {
    let mut fields = Fields::of(&[
        ("edit", "rule"),
        ("row", &rule.id.0),
        ("connector", rule.connector.as_str()),
        ("group_pattern", &rule.group_pattern),
        ("role", &rule.role),
        ("ticket", rule.ticket.as_deref().unwrap_or_default()),
    ]);
    if rule.allow_protected {
        let yes = ("allow_protected".to_owned(), "yes".to_owned());
        fields.0.push(yes);
    }
    fields.0.extend(mapping::condition_fields(&rule.conditions));
    let seen = (
        RowName::Rule(rule.id.clone()),
        Some(Row::Rule(rule.clone()).revision()),
    );
    fields.0.push(seen_field(&seen));
    fields
}

/// The names of the groups that these rules may match, and of those that are mapped, by connector.
pub(in super::super) async fn names<'a>(
    bench: &Bench<'_>,
    rules: impl IntoIterator<Item = &'a MappingRule>,
) -> HashMap<String, Vec<String>> {
    let mut known: HashMap<String, BTreeSet<String>> = HashMap::new();
    let mut add = |key: &GroupKey, name: &str| {
        let names = known.entry(key.connector().to_owned()).or_default();
        names.insert(name.to_owned());
    };
    for row in &bench.tables.mappings {
        add(&row.group, row.group.value());
    }
    for rule in rules {
        match bench.app.broker.groups_like(&rule.group_pattern).await {
            Ok(found) => {
                let Found { items, missing } = found.unwrap_or_default();
                for group in items {
                    add(&group.key, group.key.value());
                }
                // A directory that is down is not waited for once more for each rule.
                if !missing.is_empty() {
                    break;
                }
            }
            Err(error) => tracing::warn!(error = %error, "groups could not be searched for"),
        }
    }
    let sorted = known.into_iter();
    sorted
        .map(|(connector, names)| (connector, names.into_iter().collect()))
        .collect()
}

/// Reads the form.
pub(super) async fn read(bench: &Bench<'_>, sheet: &Sheet<'_>) -> Reading {
    let fields = sheet.fields;
    let mut errors = Errors::new();
    let id = MappingId(fields.one("row").to_owned());
    let existing = bench.tables.rules.iter().find(|rule| rule.id == id);
    let kept = existing.map(|rule| &rule.conditions);
    let conditions = mapping::conditions(bench, fields, kept, &mut errors);
    let connector: Option<ConnectorId> = fields.one("connector").parse().ok();
    if connector.is_none() {
        errors.insert("connector", "Choose whose groups it is about.".to_owned());
    }
    let why = reason(fields, &mut errors);
    let rule = connector.map(|connector| MappingRule {
        id,
        connector,
        group_pattern: fields.one("group_pattern").to_owned(),
        role: fields.one("role").to_owned(),
        conditions,
        allow_protected: fields.is_set("allow_protected"),
        ticket: Some(fields.one("ticket").to_owned()).filter(|ticket| !ticket.is_empty()),
        origin: Origin::Store,
    });
    if let Some(Err(error)) = rule.as_ref().map(MappingRule::check) {
        let (field, message) = message(&error);
        errors.insert(field, message);
    }
    let mut seen = fields.seen();
    // A rule of the mapping file is one, whatever the form says.
    seen.extend(
        existing
            .filter(|row| row.origin != Origin::Store)
            .map(|row| {
                let revision = Row::Rule(row.clone()).revision();
                (RowName::Rule(row.id.clone()), Some(revision))
            }),
    );
    let matches = matches(bench, rule.as_ref()).await;
    let is_usable = errors.keys().all(|name| *name == "reason");
    let draft = rule.filter(|_| is_usable).map(|rule| EditDraft {
        changes: vec![Change::PutRule(rule)],
        seen,
        reason: why,
        undoes: None,
    });
    let mut form = form(bench, sheet, existing, &errors);
    form.matches = Some(matches);
    Reading {
        form,
        draft,
        trouble: Vec::new(),
    }
}

fn message(error: &crate::access::RuleError) -> (&'static str, String) {
    use crate::access::RuleError;
    let field = match error {
        RuleError::TooLong | RuleError::Open(_) | RuleError::Pattern { .. } => "group_pattern",
        RuleError::Capture(_) | RuleError::Role(_) => "role",
    };
    let message = match error {
        RuleError::Pattern { source, .. } => {
            // The regex crate points at the place in several lines; the last one says what is wrong.
            let text = source.to_string();
            let last = text.lines().last().unwrap_or_default();
            let last = last.trim_start_matches("error: ");
            format!("That is no regular expression: {last}.")
        }
        other => sentence(&other.to_string()),
    };
    (field, message)
}

/// What the rule as entered matches now.
pub(in super::super) async fn matches(bench: &Bench<'_>, rule: Option<&MappingRule>) -> Matches {
    let Some(rule) = rule.filter(|rule| !rule.group_pattern.is_empty()) else {
        return Matches::unknown("Write a pattern to see which groups it matches.");
    };
    let names = names(bench, [rule]).await;
    let none = Vec::new();
    let names = names.get(rule.connector.as_str()).unwrap_or(&none);
    Matches::new(rule, names, &bench.policy, &bench.app.settings.environments)
}

/// The form with what was entered.
pub(in super::super) fn form(
    bench: &Bench<'_>,
    sheet: &Sheet<'_>,
    existing: Option<&MappingRule>,
    errors: &Errors,
) -> EditForm {
    let fields = sheet.fields;
    let title = existing.map_or_else(|| "A new rule".to_owned(), |_| "Change a rule".to_owned());
    let mut form = sheet.form(title, "/helpdesk/rules".to_owned());
    form.hidden = mapping::hidden(fields, "rule");
    let connectors = bench.app.broker.connectors().iter();
    let connectors = connectors
        .map(|known| (known.id().to_string(), known.label().to_owned()))
        .collect();
    let mut connector = Field::text("connector", "Groups of", fields.one("connector"));
    connector.kind = Kind::Choice(connectors);
    form.fields = vec![
        connector,
        Field::text("group_pattern", "Group names like", fields.one("group_pattern")).hint(
            "A regular expression between ^ and $, such as ^cn=aws-(?<account>\\d{12})-(?<role>[^,]+),.*$",
        ),
        Field::text("role", "Give the role", fields.one("role"))
            .hint("An ARN with the pattern's names in it: arn:aws:iam::{account}:role/{role}"),
        Field::check(
            "allow_protected",
            "May give protected roles",
            fields.is_set("allow_protected"),
        ),
    ];
    form.fields.extend(mapping::shared_fields(fields));
    for field in &mut form.fields {
        field.error = errors.get(field.name).cloned();
    }
    form.fields.push(sheet.reason_field(errors));
    if let Some(rule) = existing {
        let row = ("row".to_owned(), format!("rule:{}", rule.id));
        form.other = Some((
            "End this rule now".to_owned(),
            vec![("edit".to_owned(), "end".to_owned()), row],
        ));
        let history = wording::history_link(&RowName::Rule(rule.id.clone()));
        form.links = vec![(history, "History of this rule".to_owned())];
    }
    form
}
