//! Looks at roles every now and then, one replica at a time.
//!
//! Entry point: [`Prober`].

use std::{sync::Arc, time::Duration};

use tokio::{sync::watch, time::sleep};

use super::chain;
use crate::{
    audit::Actor,
    broker::{Broker, ProbeBudget, ProbeOrder},
    config, web,
};

/// The first round waits so long, in which people sign in undisturbed after a restart.
const FIRST: Duration = Duration::from_mins(1);
/// How often a replica that does not probe asks whether it may.
const ASK_EVERY: Duration = Duration::from_mins(5);

/// The task that probes.
pub(super) struct Prober {
    every: Option<Duration>,
    budget: ProbeBudget,
    holder: String,
}

/// How much AWS is asked in one round.
pub(crate) fn budget(config: &config::Probe) -> ProbeBudget {
    ProbeBudget {
        longest: config.budget,
        per_second: config.rate,
        parallel: usize::try_from(config.parallel).unwrap_or(1),
    }
}

impl Prober {
    pub(super) fn new(config: &config::Probe) -> Self {
        Self {
            every: config.every,
            budget: budget(config),
            holder: uuid::Uuid::now_v7().to_string(),
        }
    }

    /// Probes until `stop` turns true.
    pub(super) async fn run(self, broker: Arc<Broker>, mut stop: watch::Receiver<bool>) {
        let Some(every) = self.every else { return };
        let again_and_again = async {
            sleep(FIRST).await;
            loop {
                let pause = if self.round(&broker, every).await {
                    every
                } else {
                    ASK_EVERY.min(every)
                };
                sleep(pause).await;
            }
        };
        tokio::select! {
            () = again_and_again => {}
            () = web::stopped(&mut stop) => {}
        }
    }

    /// One round, where no other replica has made one within `every`. The claim outlives the round,
    /// so that neither others nor a restart begin another one sooner.
    async fn round(&self, broker: &Arc<Broker>, every: Duration) -> bool {
        let until = broker.now() + every;
        match broker.claim_probing(&self.holder, until).await {
            Ok(true) => {}
            Ok(false) => return false,
            Err(error) => {
                tracing::warn!(error = chain(&error), "roles could not be probed");
                return false;
            }
        }
        let order = ProbeOrder {
            roles: None,
            budget: self.budget,
            by: Actor::System,
        };
        if let Err(error) = broker.probe_round(order, &|_, _| ()).await {
            tracing::warn!(error = chain(&error), "a round of probes was cut short");
        }
        true
    }
}
