//! `rolegate serve`. Entry point: [`run`].

use std::{path::Path, sync::Arc};

use super::{Failure, failure::with_causes, installation::Installation};
use crate::{app, clock::SystemClock, telemetry};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// What to log: error, warn, info, debug or trace, also by module as in info,rolegate=debug
    #[arg(
        long,
        value_name = "FILTER",
        env = "ROLEGATE_LOG",
        hide_env_values = true,
        default_value = "info"
    )]
    log: String,
}

pub(super) async fn run(file: Option<&Path>, arguments: &Arguments) -> Result<(), Failure> {
    let installation = Installation::load(file)?;
    telemetry::init(&arguments.log);
    for warning in &installation.warnings {
        tracing::warn!("{warning}");
    }
    app::serve(installation.config, Arc::new(SystemClock), || ())
        .await
        .map_err(|error| Failure::Refused(with_causes(&error)))
}
