//! `check --live`: every role is opened for a moment, in which nothing is allowed.
//!
//! Entry point: [`check`].

use super::Lines;
use crate::{
    app,
    broker::{Broker, ProbeBudget, ProbeOrder},
    cli::{
        failure::with_causes,
        installation::{Installation, host_actor},
        output::counted,
        progress::Counter,
    },
    clock,
    store::{ProbeState, RoleProbe},
};

/// How many broken roles are told with the statement that mends them, for which AWS is asked.
const MENDED: usize = 100;

pub(super) async fn check(installation: &Installation, lines: &mut Lines) {
    let config = &installation.config;
    let broker = match app::broker(config, clock::system()).await {
        Ok(broker) => broker,
        Err(error) => return lines.error("roles", with_causes(&error)),
    };
    let by = match host_actor() {
        Ok(by) => by,
        Err(failure) => return lines.error("roles", failure),
    };
    let order = ProbeOrder {
        roles: None,
        // Somebody waits for all of them.
        budget: ProbeBudget {
            longest: std::time::Duration::from_hours(6),
            ..app::probe::budget(&config.probe)
        },
        by,
    };
    let counter = Counter::new("probing roles");
    let show = |done: usize, of: usize| {
        let number = |count| i64::try_from(count).unwrap_or(i64::MAX);
        counter.show(number(done), number(of));
    };
    let round = match broker.probe_round(order, &show).await {
        Ok(round) => round,
        Err(error) => return lines.error("roles", with_causes(&error)),
    };
    drop(counter);
    for (place, probe) in (round.found.iter())
        .filter(|probe| probe.state == ProbeState::Broken)
        .enumerate()
    {
        let mend = if place < MENDED {
            mend(&broker, probe).await
        } else {
            String::new()
        };
        lines.error(&probe.role, format!("{}{mend}", message(probe)));
    }
    for probe in &round.found {
        match probe.state {
            ProbeState::Inconclusive => lines.warning(&probe.role, message(probe)),
            ProbeState::Works if probe.message.is_some() => {
                lines.warning(&probe.role, message(probe));
            }
            _ => {}
        }
    }
    let works = round.count(ProbeState::Works);
    if works > 0 {
        lines.ok("roles", format!("{} can be opened", counted(works, "role")));
    }
    let skipped = round.count(ProbeState::NotProbed);
    if skipped > 0 {
        let message = format!(
            "{} cannot be tried without a person",
            counted(skipped, "role")
        );
        lines.ok("roles", message);
    }
}

fn message(probe: &RoleProbe) -> &str {
    probe.message.as_deref().unwrap_or("cannot be opened")
}

/// The statement to add, on the same line.
async fn mend(broker: &Broker, probe: &RoleProbe) -> String {
    if !probe.is_about_trust() {
        return String::new();
    }
    let Ok(role) = probe.role.parse() else {
        return String::new();
    };
    let Ok(Some(add)) = broker.trust_to_add(&role).await else {
        return String::new();
    };
    let hint = add.hint.map(|hint| format!(" {hint}")).unwrap_or_default();
    let compact = |json: &str| {
        let value: Result<serde_json::Value, _> = serde_json::from_str(json);
        value.map_or_else(|_| json.to_owned(), |value| value.to_string())
    };
    let own = add.own_statement.as_deref();
    let own = own.map(|own| {
        format!(
            " Rolegate's own policy needs, if it has it not: {}",
            compact(own)
        )
    });
    format!(
        " Add to the role's trust policy: {}{hint}{}",
        compact(&add.statement),
        own.unwrap_or_default()
    )
}
