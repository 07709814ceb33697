//! What is known of roles, kept for a few seconds, so that no page waits for it.
//!
//! Entry point: [`Broker::known_probes`].

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use crate::{
    access::TargetArn,
    broker::Broker,
    store::{ProbeState, RoleProbe, StoreError},
};

/// How old it may be; another replica may have looked meanwhile.
const FRESH: Duration = Duration::from_secs(10);

type Probes = Arc<HashMap<String, RoleProbe>>;

/// What was read last, and when.
#[derive(Debug, Default)]
pub(in crate::broker) struct KnownProbes(Mutex<Option<(Instant, Probes)>>);

impl KnownProbes {
    /// The next one who asks reads anew.
    pub(super) fn forget(&self) {
        self.held().take();
    }

    fn fresh(&self) -> Option<Probes> {
        let held = self.held();
        let fresh = held.as_ref().filter(|(at, _)| at.elapsed() < FRESH);
        fresh.map(|(_, probes)| Arc::clone(probes))
    }

    fn held(&self) -> MutexGuard<'_, Option<(Instant, Probes)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Broker {
    /// What is known of all roles of the table by probing them, by ARN; some seconds old at most.
    pub async fn known_probes(&self) -> Result<Arc<HashMap<String, RoleProbe>>, StoreError> {
        if let Some(known) = self.known_probes.fresh() {
            return Ok(known);
        }
        let probes = self.adapters.probes.probes().await?;
        let policy = self.policy().await?;
        let is_in_table = |probe: &RoleProbe| {
            let arn = probe.role.parse::<TargetArn>();
            arn.is_ok_and(|arn| policy.role(&arn).is_some_and(|role| !role.disabled))
        };
        let probes: HashMap<String, RoleProbe> = probes
            .into_iter()
            .filter(is_in_table)
            .map(|probe| (probe.role.clone(), probe))
            .collect();
        let probes = Arc::new(probes);
        *self.known_probes.held() = Some((Instant::now(), Arc::clone(&probes)));
        Ok(probes)
    }

    /// The roles that could not be opened when they were last looked at.
    pub async fn broken_roles(&self) -> Result<Vec<TargetArn>, StoreError> {
        let known = self.known_probes().await?;
        let broken = known
            .values()
            .filter(|probe| probe.state == ProbeState::Broken);
        Ok(broken.filter_map(|probe| probe.role.parse().ok()).collect())
    }

    /// What is known of one role.
    pub async fn known_probe(&self, role: &TargetArn) -> Result<Option<RoleProbe>, StoreError> {
        self.adapters.probes.probe(role).await
    }
}
