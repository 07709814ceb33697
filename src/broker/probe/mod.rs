//! Whether roles can really be opened: each is opened for 900 seconds in which nothing is allowed.
//!
//! A round announces itself in the audit log, looks at roles until its time is over, oldest checked
//! first, and writes a row for each session that AWS issued and for each role whose state changed.
//! Throttling slows it down and is never held against a role. Never here: a session kept longer than
//! the look. Entry points: [`Broker::probe_round`], [`Broker::known_probes`].

mod known;
mod mend;
mod pace;
mod reading;
mod round;
mod session;
mod verdict;

use std::{collections::HashMap, sync::Arc, time::Duration};

pub(super) use self::mend::PATH_UNKNOWN;
pub(super) use self::{known::KnownProbes, reading::in_account};
pub use self::{mend::TrustToAdd, reading::NotRead};
use self::{
    reading::Reader,
    round::{Event, Found, Round},
    session::ServiceSession,
};
use super::{Broker, Client, throttle::Key};
use crate::{
    access::{Identity, TargetArn},
    audit::{Action, Actor, AuditEvent, Outcome},
    broker::sign_in::person,
    store::{ProbeState, RoleProbe, StoreError},
};

/// How much AWS is asked in one round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProbeBudget {
    /// No role is begun later than this after the round's begin.
    pub longest: Duration,
    /// How many calls in a second, at most.
    pub per_second: u32,
    /// How many at once.
    pub parallel: usize,
}

impl Default for ProbeBudget {
    fn default() -> Self {
        Self {
            longest: Duration::from_mins(10),
            per_second: 5,
            parallel: 4,
        }
    }
}

/// What shall be looked at, and for whom.
#[derive(Debug, Clone)]
pub struct ProbeOrder {
    /// These roles; none: all that are not disabled.
    pub roles: Option<Vec<TargetArn>>,
    /// How much AWS is asked.
    pub budget: ProbeBudget,
    /// Who wants it.
    pub by: Actor,
}

/// What a round found.
#[derive(Debug, Clone, Default)]
pub struct ProbeRound {
    /// What was found now, by ARN; with throttled roles as inconclusive.
    pub found: Vec<RoleProbe>,
    /// Roles that the round did not come to.
    pub left: usize,
    /// How many times AWS throttled or did not answer.
    pub throttled: usize,
}

impl ProbeRound {
    /// How many roles were found in a state.
    pub fn count(&self, state: ProbeState) -> usize {
        self.found
            .iter()
            .filter(|found| found.state == state)
            .count()
    }
}

impl Broker {
    /// Looks at roles until all are done or the budget is. `progress` hears how many are done, of
    /// how many.
    ///
    /// # Errors
    /// Where the audit log cannot be written; nothing is asked of AWS then, or no more.
    pub async fn probe_round(
        self: &Arc<Self>,
        order: ProbeOrder,
        progress: &(dyn Fn(usize, usize) + Sync),
    ) -> Result<ProbeRound, StoreError> {
        let before = self.adapters.probes.probes().await?;
        let before: HashMap<String, RoleProbe> = before
            .into_iter()
            .map(|probe| (probe.role.clone(), probe))
            .collect();
        let targets = self.to_probe(&order, &before).await?;
        let total = targets.len();
        let id = uuid::Uuid::now_v7().to_string();
        let intent = self.round_event(Outcome::Intent, &order, &id);
        self.adapters
            .audit
            .append(&intent.with("roles", total))
            .await?;
        let (round, mut events) = Round::new(self.policy().await?, targets, order.budget);
        let mut work = Round::start(&round, self, order.budget.parallel);
        drop(round);
        let mut told = ProbeRound::default();
        while let Some(event) = events.recv().await {
            match event {
                Event::Session(session) => {
                    let row = self.session_event(&order.by, &session, &id);
                    self.adapters.audit.append(&row).await?;
                }
                Event::Passing => told.throttled += 1,
                Event::Found(found) => {
                    let probe = self.note(&order, &before, &id, *found).await?;
                    told.found.push(probe);
                    progress(told.found.len(), total);
                }
            }
        }
        while work.join_next().await.is_some() {}
        told.left = total - told.found.len();
        told.found.sort_by(|one, other| one.role.cmp(&other.role));
        self.end_round(&order, &id, &told).await?;
        Ok(told)
    }

    /// Looks at one role now, for somebody on a page.
    ///
    /// # Errors
    /// Where the audit log cannot be written.
    pub async fn probe_now(
        self: &Arc<Self>,
        identity: &Identity,
        role: &TargetArn,
        client: &Client,
    ) -> Result<Option<RoleProbe>, StoreError> {
        if self
            .throttle
            .take(&Key::orders(identity), self.now())
            .is_err()
        {
            return Ok(None);
        }
        tracing::info!(
            role = role.as_str(),
            request_id = client.request_id.as_str(),
            "a role is looked at, as somebody asked for it"
        );
        let order = ProbeOrder {
            roles: Some(vec![role.clone()]),
            budget: ProbeBudget {
                longest: Duration::from_secs(20),
                ..ProbeBudget::default()
            },
            by: person(identity),
        };
        let round = self.probe_round(order, &|_, _| ()).await?;
        Ok(round.found.into_iter().next())
    }

    /// Leave for this process to probe until `until`: one replica at a time.
    pub async fn claim_probing(
        &self,
        holder: &str,
        until: time::OffsetDateTime,
    ) -> Result<bool, StoreError> {
        let now = self.now();
        self.adapters.probes.claim_probing(holder, now, until).await
    }

    /// The roles to look at, the longest not looked at first.
    async fn to_probe(
        &self,
        order: &ProbeOrder,
        before: &HashMap<String, RoleProbe>,
    ) -> Result<Vec<TargetArn>, StoreError> {
        let mut targets = if let Some(roles) = &order.roles {
            roles.clone()
        } else {
            let tables = self.tables().await?;
            let roles = tables.roles.iter().filter(|role| !role.disabled);
            roles.map(|role| role.arn.clone()).collect()
        };
        targets.sort_by_cached_key(|arn| {
            let checked_at = before.get(arn.as_str()).map(|probe| probe.checked_at);
            (checked_at, arn.clone())
        });
        targets.dedup();
        Ok(targets)
    }

    /// Keeps what was found, with the rows that it deserves.
    async fn note(
        &self,
        order: &ProbeOrder,
        before: &HashMap<String, RoleProbe>,
        round: &str,
        found: Found,
    ) -> Result<RoleProbe, StoreError> {
        let Found {
            role,
            verdict,
            iam,
            session,
        } = found;
        let now = self.now();
        let known = before.get(role.as_str());
        let probe = RoleProbe {
            role: role.to_string(),
            state: verdict.state,
            code: verdict.code.map(str::to_owned),
            message: verdict.message,
            max_duration_seconds: (iam.as_ref().map(|role| role.max_duration.seconds()))
                .or_else(|| known.and_then(|known| known.max_duration_seconds)),
            description: match &iam {
                Some(role) => role.description.clone(),
                None => known.and_then(|known| known.description.clone()),
            },
            checked_at: now,
            since: now,
        };
        metrics::counter!("rolegate_role_probes_total", "state" => probe.state.as_str())
            .increment(1);
        if verdict.is_passing && known.is_some_and(is_conclusive) {
            // Nothing was learned, and what is known is better.
            return Ok(probe);
        }
        let has_changed = known.is_none_or(|known| known.state != probe.state);
        let is_news = has_changed && probe.state != ProbeState::NotProbed;
        if is_news || session.is_some() {
            let outcome = match probe.state {
                ProbeState::Broken => Outcome::Failed,
                _ => Outcome::Ok,
            };
            let mut row = match &session {
                Some(session) => self.session_event(&order.by, session, round),
                None => self.role_event(&order.by, &role, round),
            };
            row.outcome = outcome;
            row.reason.clone_from(&probe.code);
            let row = row.with("state", probe.state.as_str());
            self.adapters.audit.append(&row).await?;
        }
        if has_changed {
            tell(&probe, known);
        }
        self.adapters.probes.note_probe(&probe).await?;
        if has_changed {
            // Otherwise every page would read anew while a round goes on.
            self.known_probes.forget();
        }
        Ok(probe)
    }

    async fn end_round(
        &self,
        order: &ProbeOrder,
        id: &str,
        told: &ProbeRound,
    ) -> Result<(), StoreError> {
        let mut event = self
            .round_event(Outcome::Ok, order, id)
            .with("left", told.left)
            .with("throttled", told.throttled);
        for state in ProbeState::ALL {
            event = event.with(state.as_str(), told.count(state));
        }
        self.adapters.audit.conclude(&event, None).await?;
        if order.roles.is_none() {
            let known = self.known_probes().await?;
            let broken = known
                .values()
                .filter(|probe| probe.state == ProbeState::Broken);
            let broken = u32::try_from(broken.count()).unwrap_or(u32::MAX);
            metrics::gauge!("rolegate_broken_roles").set(f64::from(broken));
            tracing::info!(
                works = told.count(ProbeState::Works),
                broken = told.count(ProbeState::Broken),
                inconclusive = told.count(ProbeState::Inconclusive),
                not_probed = told.count(ProbeState::NotProbed),
                left = told.left,
                throttled = told.throttled,
                "roles were probed"
            );
        }
        Ok(())
    }

    fn round_event(&self, outcome: Outcome, order: &ProbeOrder, id: &str) -> AuditEvent {
        let by = order.by.clone();
        let mut event = AuditEvent::new(self.now(), Action::RoleProbe, outcome, by);
        event.intent = Some(id.to_owned());
        event
    }

    /// A row about one role.
    fn role_event(&self, by: &Actor, role: &TargetArn, round: &str) -> AuditEvent {
        let event = AuditEvent::new(self.now(), Action::RoleProbe, Outcome::Ok, by.clone());
        AuditEvent {
            role: Some(role.to_string()),
            account: Some(role.account().to_string()),
            ..event.with("round", round)
        }
    }

    /// A row about one session that AWS issued to us, by which CloudTrail's event is known for ours.
    fn session_event(&self, by: &Actor, session: &ServiceSession, round: &str) -> AuditEvent {
        let event = self.role_event(by, &session.role, round);
        AuditEvent {
            intent: Some(uuid::Uuid::now_v7().to_string()),
            ..session.details(event)
        }
    }
}

fn is_conclusive(probe: &RoleProbe) -> bool {
    matches!(probe.state, ProbeState::Works | ProbeState::Broken)
}

fn tell(probe: &RoleProbe, known: Option<&RoleProbe>) {
    let role = probe.role.as_str();
    let code = probe.code.as_deref().unwrap_or_default();
    match (probe.state, known.map(|known| known.state)) {
        (ProbeState::Broken, _) => tracing::warn!(role, code, "the role cannot be opened"),
        (ProbeState::Works, Some(ProbeState::Broken)) => {
            tracing::info!(role, "the role can be opened again");
        }
        _ => {}
    }
}
