//! Sees to it that what was revoked comes to AWS, and that what has expired goes.
//!
//! Entry point: [`settle`].

use std::{sync::Arc, time::Duration};

use tokio::sync::watch;

use super::chain;
use crate::{broker::Broker, web};

/// How often; a minute is what people wait for, and little for AWS.
const SETTLE_EVERY: Duration = Duration::from_mins(1);

/// Settles revocations until `stop` turns true. What a round leaves is for the next.
pub(super) async fn settle(broker: Arc<Broker>, mut stop: watch::Receiver<bool>) {
    let again_and_again = async {
        loop {
            match broker.settle_revocations().await {
                Ok(0) => {}
                Ok(roles) => tracing::warn!(roles, "revocations could not be written at AWS yet"),
                Err(error) => {
                    tracing::warn!(error = chain(&error), "revocations could not be settled");
                }
            }
            tokio::time::sleep(SETTLE_EVERY).await;
        }
    };
    tokio::select! {
        () = again_and_again => {}
        () = web::stopped(&mut stop) => {}
    }
}
