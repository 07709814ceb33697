//! `rolegate mapping preview`: who gains and who loses by an import. Entry points: [`run`],
//! [`write()`].

use std::io::Write;

use serde_json::{Value, json};

use super::{
    Failure,
    edit::{Edit, NOTHING_CHANGED},
    import::{ImportSource, Kind},
    installation::Installation,
    output::{Format, OutputArguments, printable},
    progress::{note, while_waiting},
};
use crate::{
    access::{Identity, RoleEffect, Terms},
    app,
    broker::{EditPreview, EditRefused, Progress},
    clock,
    store::{Change, PolicyStore},
};

/// How many people are listed for each role, as text.
const PEOPLE_SHOWN: usize = 20;

#[derive(Debug, clap::Args)]
pub(super) struct PreviewArguments {
    #[command(flatten)]
    source: ImportSource,
    /// Exit with 1 when anything would change, for a check of a proposed change
    #[arg(long)]
    fail_on_change: bool,
    #[command(flatten)]
    output: OutputArguments,
}

pub(super) async fn run(
    installation: &Installation,
    store: &dyn PolicyStore,
    arguments: &PreviewArguments,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let before = store.tables().await?;
    let changes = arguments
        .source
        .changes(installation, Kind::Mapping, &before)?;
    let edit = Edit {
        store,
        before: &before,
        changes,
    };
    let summary = edit.preview()?;
    let preview = look(installation, &edit.changes).await?;
    match arguments.output.output {
        Format::Json => json(&preview, out)?,
        Format::Text => {
            summary.write(out)?;
            write(&preview, out)?;
            note(&format!(
                "nothing was changed; an import would be: {}",
                summary.counts()
            ));
        }
    }
    let is_changed = !preview.rows.is_empty() || !preview.effects.is_empty();
    if arguments.fail_on_change && is_changed {
        return Err(Failure::Told(1));
    }
    Ok(())
}

/// What changes would do, for everybody who is known here and the members of the touched groups.
pub(super) async fn look(
    installation: &Installation,
    changes: &[Change],
) -> Result<EditPreview, Failure> {
    let broker = app::broker(&installation.config, clock::system())
        .await
        .map_err(|error| Failure::Refused(super::failure::with_causes(&error)))?;
    let progress = Progress::default();
    let looking = broker.preview_changes(changes, &progress);
    let preview = while_waiting("looking at who gains and who loses", looking).await;
    preview.map_err(|error| match error {
        EditRefused::Problems(problems) => Failure::Problems(problems, NOTHING_CHANGED),
        EditRefused::StoreUnavailable(error) => error.into(),
        other => Failure::Refused(other.to_string()),
    })
}

/// Writes who gains and who loses, protected roles first.
pub(super) fn write(preview: &EditPreview, out: &mut dyn Write) -> Result<(), Failure> {
    for effect in &preview.effects.roles {
        let mark = if effect.is_protected {
            "PROTECTED "
        } else {
            ""
        };
        writeln!(out, "{mark}{}: {}", effect.role, counts(effect))?;
        let gains = effect
            .gains
            .iter()
            .map(|place| ("+", *place, String::new()));
        let losses = effect
            .losses
            .iter()
            .map(|place| ("-", *place, String::new()));
        let altered = effect.altered.iter().map(|altered| {
            let terms = format!(": {} → {}", terms(altered.before), terms(altered.after));
            ("~", altered.person, terms)
        });
        let all: Vec<(&str, usize, String)> = gains.chain(losses).chain(altered).collect();
        for (sign, place, told) in all.iter().take(PEOPLE_SHOWN) {
            let person = preview.people.get(*place).map(called).unwrap_or_default();
            writeln!(out, "  {sign} {}{told}", printable(&person))?;
        }
        if let Some(more) = all.len().checked_sub(PEOPLE_SHOWN).filter(|more| *more > 0) {
            writeln!(out, "  and {more} more; --output json lists everybody")?;
        }
    }
    if preview.effects.is_empty() {
        writeln!(out, "nobody gains or loses anything")?;
    }
    let people = preview.people.len();
    let people = if people == 1 {
        "1 person was".to_owned()
    } else {
        format!("{people} people were")
    };
    note(&format!(
        "{people} looked at: those who have signed in here, and the members of the groups that the \
         change touches"
    ));
    for sentence in &preview.unresolved {
        note(&format!("not resolved: {}", printable(sentence)));
    }
    Ok(())
}

fn counts(effect: &RoleEffect) -> String {
    let parts = [
        (effect.gains.len(), "gain it", "gains it"),
        (effect.losses.len(), "lose it", "loses it"),
        (
            effect.altered.len(),
            "keep it on other terms",
            "keeps it on other terms",
        ),
    ];
    let told = parts.iter().filter(|(count, ..)| *count > 0);
    let told: Vec<String> = told
        .map(|(count, many, one)| match count {
            1 => format!("1 person {one}"),
            _ => format!("{count} people {many}"),
        })
        .collect();
    told.join(", ")
}

fn called(person: &Identity) -> String {
    match &person.display_name {
        Some(name) => format!("{}:{} ({name})", person.connector, person.username),
        None => format!("{}:{}", person.connector, person.username),
    }
}

fn terms(terms: Terms) -> String {
    let mut told = format!("at most {}", terms.longest);
    for (is_so, word) in [
        (terms.is_read_only, ", read-only"),
        (terms.requires_reason, ", reason"),
    ] {
        told.push_str(if is_so { word } else { "" });
    }
    told
}

fn json(preview: &EditPreview, out: &mut dyn Write) -> Result<(), Failure> {
    let person = |place: usize| {
        let person = preview.people.get(place);
        person.map_or(Value::Null, |person| {
            json!({
                "connector": person.connector,
                "subject": person.subject,
                "username": person.username,
                "display_name": person.display_name,
            })
        })
    };
    let people = |places: &[usize]| {
        places
            .iter()
            .map(|place| person(*place))
            .collect::<Vec<_>>()
    };
    let terms = |terms: Terms| {
        json!({
            "longest": terms.longest,
            "read_only": terms.is_read_only,
            "require_reason": terms.requires_reason,
        })
    };
    let effects: Vec<Value> = (preview.effects.roles.iter())
        .map(|effect| {
            let altered = effect.altered.iter().map(|altered| {
                json!({
                    "person": person(altered.person),
                    "before": terms(altered.before),
                    "after": terms(altered.after),
                })
            });
            json!({
                "role": effect.role,
                "protected": effect.is_protected,
                "gains": people(&effect.gains),
                "losses": people(&effect.losses),
                "altered": altered.collect::<Vec<_>>(),
            })
        })
        .collect();
    let rows: Vec<Value> = (preview.rows.iter())
        .map(|row| json!({ "name": row.name, "before": row.before, "after": row.after }))
        .collect();
    super::output::json_line(
        out,
        &json!({
            "rows": rows,
            "roles": effects,
            "people": preview.people.len(),
            "unresolved": preview.unresolved,
        }),
    )
}
