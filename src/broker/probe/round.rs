//! The workers of a round: they ask AWS, and tell whoever writes.
//!
//! Never here: the store. Entry point: [`Round::start`].

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::{sync::mpsc, task::JoinSet};

use super::{
    ProbeBudget, Reader, ServiceSession,
    pace::Pace,
    verdict::{Evidence, Verdict},
};
use crate::{
    access::{Grant, Policy, ServiceGrant, SessionDuration, TargetArn, TargetKind},
    aws::{IamRole, trust::Trusted},
    broker::Broker,
    store::ProbeState,
};

/// How often a role is tried in one round while AWS throttles.
const TRIES: u32 = 8;

/// What a worker tells.
pub(super) enum Event {
    /// AWS issued a session that is not about a role of its own: the read role's.
    Session(Box<ServiceSession>),
    /// AWS throttled or did not answer; the role is tried again.
    Passing,
    /// A role was looked at.
    Found(Box<Found>),
}

/// A role that was looked at.
pub(super) struct Found {
    pub(super) role: TargetArn,
    pub(super) verdict: Verdict,
    pub(super) iam: Option<IamRole>,
    pub(super) session: Option<ServiceSession>,
}

/// What the workers of a round share.
pub(super) struct Round {
    policy: Arc<Policy>,
    queue: Mutex<VecDeque<(TargetArn, u32)>>,
    pace: Pace,
    reader: Reader,
    /// Who the credential sources are, once AWS told.
    callers: Mutex<HashMap<String, String>>,
    events: mpsc::UnboundedSender<Event>,
}

impl Round {
    pub(super) fn new(
        policy: Arc<Policy>,
        targets: Vec<TargetArn>,
        budget: ProbeBudget,
    ) -> (Arc<Self>, mpsc::UnboundedReceiver<Event>) {
        let (events, told) = mpsc::unbounded_channel();
        let round = Self {
            reader: Reader::new(Arc::clone(&policy), events.clone()),
            policy,
            queue: Mutex::new(targets.into_iter().map(|target| (target, 1)).collect()),
            pace: Pace::new(budget.per_second, budget.longest),
            callers: Mutex::default(),
            events,
        };
        (Arc::new(round), told)
    }

    /// Starts the workers; what they tell ends with them.
    pub(super) fn start(round: &Arc<Self>, broker: &Arc<Broker>, parallel: usize) -> JoinSet<()> {
        let mut work = JoinSet::new();
        for _ in 0..parallel.max(1) {
            let (round, broker) = (Arc::clone(round), Arc::clone(broker));
            work.spawn(async move { round.work(&broker).await });
        }
        work
    }

    async fn work(&self, broker: &Broker) {
        loop {
            let Some((role, tries)) = locked(&self.queue).pop_front() else {
                return;
            };
            let leave = match self.policy.probe(&role) {
                Ok(leave) => leave,
                Err(reason) => {
                    let found = found(role, Verdict::not_probed(reason));
                    self.tell(Event::Found(Box::new(found)));
                    continue;
                }
            };
            if !self.pace.slot().await {
                return;
            }
            let found = self.look(broker, &leave).await;
            if !found.verdict.is_passing {
                self.pace.ease();
                self.tell(Event::Found(Box::new(found)));
                continue;
            }
            self.pace.slow_down();
            self.tell(Event::Passing);
            if tries < TRIES && !self.pace.is_over() {
                locked(&self.queue).push_back((role, tries + 1));
            } else {
                self.tell(Event::Found(Box::new(found)));
            }
        }
    }

    /// Looks at one role.
    async fn look(&self, broker: &Broker, leave: &ServiceGrant) -> Found {
        let role = leave.grant().target().clone();
        let answer = broker.service_session(leave).await.map(|issued| {
            // All that is left of the credentials.
            ServiceSession::of(leave.grant(), &issued)
        });
        let sends = self.policy.sends(&role);
        let longest = self.policy.effective(&role);
        let longest = longest.map_or(SessionDuration::HOUR, |effective| effective.max_duration);
        let mut evidence = Evidence {
            sends,
            longest,
            iam: None,
            is_missing: false,
            known_as: None,
            trusted: None,
        };
        let first = Verdict::of(answer.as_ref().map(|_| ()), evidence);
        let read = if first.is_passing {
            None
        } else {
            self.read(broker, &role).await
        };
        evidence.is_missing = matches!(read, Some(None));
        let iam = read.flatten();
        let known_as = iam.as_ref().map(|iam| iam.arn.clone());
        evidence.known_as = known_as.as_ref().filter(|arn| **arn != role);
        let trusted = match (&iam, first.state) {
            (Some(_), ProbeState::Broken | ProbeState::Inconclusive) => {
                self.trusted(broker, leave.grant()).await
            }
            _ => None,
        };
        (evidence.iam, evidence.trusted) = (iam.as_ref(), trusted.as_ref());
        let verdict = Verdict::of(answer.as_ref().map(|_| ()), evidence);
        Found {
            role,
            verdict,
            iam,
            session: answer.ok(),
        }
    }

    /// What IAM says, where it may be read: none where it cannot, and none within where it has no
    /// such role. A throttled call is tried again, as what IAM knows decides some verdicts.
    async fn read(&self, broker: &Broker, role: &TargetArn) -> Option<Option<IamRole>> {
        if broker.settings.read_role.is_none() || role.kind() != TargetKind::Role {
            return None;
        }
        for _ in 0..TRIES {
            if !self.pace.slot().await {
                return None;
            }
            match self.reader.role(broker, role).await {
                Ok(role) => return Some(role),
                Err(error) if error.is_throttling() => {
                    self.pace.slow_down();
                    self.tell(Event::Passing);
                }
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::debug!(role = role.as_str(), error, "IAM could not be read");
                    return None;
                }
            }
        }
        None
    }

    /// Whom the role has to trust; AWS is asked until it answers once for each credential source.
    async fn trusted(&self, broker: &Broker, grant: &Grant) -> Option<Trusted> {
        if grant.voucher().is_some() {
            return broker.trusted_by(grant, None);
        }
        let source = grant.credential_source();
        let mut caller = locked(&self.callers).get(source).cloned();
        for _ in 0..TRIES {
            if caller.is_some() || !self.pace.slot().await {
                break;
            }
            caller = broker.caller_of(grant).await;
        }
        if let Some(caller) = &caller {
            locked(&self.callers).insert(source.to_owned(), caller.clone());
        }
        broker.trusted_by(grant, caller)
    }

    fn tell(&self, event: Event) {
        // Where nobody listens any more, the round has ended.
        let _ = self.events.send(event);
    }
}

fn found(role: TargetArn, verdict: Verdict) -> Found {
    Found {
        role,
        verdict,
        iam: None,
        session: None,
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
