//! `check --user`: who a person is to the directories, their groups, and what they may open.
//!
//! Entry point: [`show`].

use std::{collections::HashMap, io::Write};

use serde_json::{Value, json};

use crate::{
    access::{Entitlement, Group, GroupKey, Identity, Policy},
    app,
    cli::{
        Failure,
        failure::with_causes,
        installation::Installation,
        output::{self, Format, Table, counted, printable},
        progress::{note, while_waiting},
        row,
    },
    clock,
    identity::{Connector, SignInError},
};

/// Prints what every connector, or the one that was named, knows of a person.
pub(super) async fn show(
    installation: &Installation,
    (username, only): (&str, Option<&str>),
    format: Format,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let people = look_up(installation, username, only).await?;
    if people.is_empty() {
        let place = only.map_or_else(|| "any connector".to_owned(), |id| format!("`{id}`"));
        return Err(Failure::Refused(format!(
            "nobody is called `{username}` in {place}; user_filter decides what a name means"
        )));
    }
    let store = installation.open_store().await?;
    let tables = installation.all_tables(store.as_ref()).await?;
    let policy = Policy::new(tables, app::policy_settings(&installation.config));
    let now = clock::system().now();
    if format == Format::Json {
        let people: Vec<Value> = people
            .iter()
            .map(|person| as_json(person, &policy.entitlements(person, now)))
            .collect();
        return output::json_array(out, &people);
    }
    for (index, person) in people.iter().enumerate() {
        if index > 0 {
            writeln!(out)?;
        }
        write_person(person, &policy.entitlements(person, now), out)?;
    }
    Ok(())
}

async fn look_up(
    installation: &Installation,
    username: &str,
    only: Option<&str>,
) -> Result<Vec<Identity>, Failure> {
    let connectors = app::connectors(&installation.config, &clock::system())
        .map_err(|error| Failure::Refused(with_causes(&error)))?;
    let ids: Vec<String> = connectors
        .iter()
        .map(|connector| connector.id().to_string())
        .collect();
    if let Some(id) = only.filter(|id| !ids.iter().any(|known| known == id)) {
        let known = ids.join(", ");
        return Err(Failure::Usage(format!(
            "no connector `{id}` is configured; there are: {known}"
        )));
    }
    let mut people = Vec::new();
    let mut trouble = Vec::new();
    let chosen = connectors
        .iter()
        .filter(|connector| only.is_none_or(|only| connector.id().as_str() == only));
    for connector in chosen {
        let Connector::Password(directory) = connector else {
            // Only the provider itself can say who a person is.
            continue;
        };
        let what = format!("asking {}", connector.id());
        match while_waiting(&what, directory.look_up(username)).await {
            Ok(found) => people.extend(found),
            Err(error) => trouble.push(format!("{}: {}", connector.id(), told(&error))),
        }
    }
    match trouble.pop() {
        Some(last) if people.is_empty() && trouble.is_empty() => Err(Failure::Refused(last)),
        Some(last) if people.is_empty() => {
            trouble.push(last);
            Err(Failure::Refused(trouble.join("; ")))
        }
        last => {
            trouble
                .into_iter()
                .chain(last)
                .for_each(|line| note(&format!("warning: {line}")));
            Ok(people)
        }
    }
}

fn told(error: &SignInError) -> String {
    with_causes(error)
}

fn write_person(
    person: &Identity,
    roles: &[Entitlement<'_>],
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let facts = [
        ("user name", Some(person.username.clone())),
        ("name", person.display_name.clone()),
        ("email", person.email.clone()),
        ("connector", Some(person.connector.to_string())),
        ("subject", Some(person.subject.clone())),
        ("entry", person.entry_dn.clone()),
    ];
    for (name, value) in facts {
        if let Some(value) = value {
            writeln!(out, "{name:<10} {}", printable(&value))?;
        }
    }
    writeln!(out, "\n{}", counted(person.groups.len(), "group"))?;
    let names: HashMap<&GroupKey, &Group> = person
        .groups
        .iter()
        .map(|group| (&group.key, group))
        .collect();
    for group in &person.groups {
        let through = group.through.as_ref().map_or_else(String::new, |parent| {
            let name = names
                .get(parent)
                .map_or(parent.value(), |group| group.name.as_str());
            format!("  (through {name})")
        });
        writeln!(out, "  {}", printable(&format!("{}{through}", group.name)))?;
    }
    writeln!(out, "\n{}", counted(roles.len(), "role"))?;
    let mut table = Table::new(&[
        "ACCOUNT",
        "ROLE",
        "LONGEST",
        "CONDITIONS",
        "MAPPING",
        "GROUP",
    ]);
    let now = clock::system().now();
    for role in roles {
        for giver in &role.givers {
            table.push([
                role.account_name(),
                role.role.arn.to_string(),
                role.longest.longest.to_string(),
                row::conditions(giver.conditions, now),
                giver.mapping.to_string(),
                (giver.group.as_ref()).map_or_else(String::new, ToString::to_string),
            ]);
        }
    }
    if !table.is_empty() {
        table.write(out)?;
    }
    Ok(())
}

fn as_json(person: &Identity, roles: &[Entitlement<'_>]) -> Value {
    let roles: Vec<Value> = roles
        .iter()
        .map(|entitlement| {
            let givers = entitlement.givers.iter().map(|giver| {
                json!({
                    "id": giver.mapping,
                    "group": giver.group,
                    "is_rule": giver.is_rule,
                    "conditions": giver.conditions,
                })
            });
            json!({
                "role": entitlement.role.arn,
                "account": entitlement.role.arn.account(),
                "account_name": entitlement.account_name(),
                "longest": entitlement.longest.longest,
                "mappings": givers.collect::<Vec<_>>(),
            })
        })
        .collect();
    json!({
        "connector": person.connector,
        "subject": person.subject,
        "username": person.username,
        "display_name": person.display_name,
        "email": person.email,
        "entry_dn": person.entry_dn,
        "groups": person.groups,
        "roles": roles,
    })
}
