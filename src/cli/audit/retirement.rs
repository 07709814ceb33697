//! `rolegate audit erase` and `drop`. Entry points: [`erase`], [`drop_rows`].

use std::{io::Write, path::PathBuf};

use time::Duration;

use super::checkpoints;
use crate::{
    app,
    audit::{Action, AuditEvent, Outcome, checkpoint::Checkpoint},
    cli::{
        Failure,
        installation::{Installation, host_actor},
        output,
        progress::{note, while_waiting},
    },
    clock::{Clock, SystemClock},
    store::{AuditLog, ChainHead, ChainStatus, Retirement},
};

/// A shorter time would more likely be a slip than a rule.
const LEAST_AGE: Duration = Duration::days(1);

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct EraseArguments {
    /// From which age on, such as 400d
    #[arg(long, value_name = "AGE", value_parser = age)]
    older_than: Duration,
}

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct DropArguments {
    /// The last row to drop: one that a checkpoint is about
    #[arg(long, value_name = "SEQ", value_parser = clap::value_parser!(i64).range(1..))]
    through: i64,
    /// Signed checkpoints; the configured file without
    #[arg(long, value_name = "FILE")]
    checkpoints: Option<PathBuf>,
    /// The public key (PEM) that they were signed with; the configured one without
    #[arg(long = "checkpoint-key", value_name = "PUBLIC.pem")]
    checkpoint_keys: Vec<PathBuf>,
}

fn age(text: &str) -> Result<Duration, String> {
    let age = humantime::parse_duration(text).ok();
    age.and_then(|age| Duration::try_from(age).ok())
        .filter(|age| *age >= LEAST_AGE)
        .ok_or_else(|| "write an age of a day or more, such as 400d".to_owned())
}

fn record() -> Result<AuditEvent, Failure> {
    let now = SystemClock.now();
    Ok(AuditEvent::new(
        now,
        Action::AuditErase,
        Outcome::Ok,
        host_actor()?,
    ))
}

/// Erases what rows say that are older than an age.
pub(super) async fn erase(
    log: &dyn AuditLog,
    arguments: &EraseArguments,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let before = SystemClock.now().checked_sub(arguments.older_than);
    let before = before.ok_or_else(|| Failure::Usage("the age is too long".to_owned()))?;
    let retirement = Retirement::Erase(before);
    retire(log, &retirement, "erased", out).await
}

/// Drops rows behind a checkpoint.
pub(super) async fn drop_rows(
    installation: &Installation,
    log: &dyn AuditLog,
    arguments: &DropArguments,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let keys = checkpoints::verifiers(&arguments.checkpoint_keys, Some(installation))?;
    let configured = installation.config.audit.checkpoint_file.as_ref();
    let file = arguments.checkpoints.as_ref().or(configured);
    let file = file.ok_or_else(|| {
        let message = "rows are dropped behind a signed checkpoint alone: name the file with \
                       --checkpoints";
        Failure::Usage(message.to_owned())
    })?;
    let signed = checkpoints::read(file)?;
    let checkpoint = signed.iter().rev().find(|one| one.seq == arguments.through);
    let checkpoint = checkpoint.ok_or_else(|| nearest(&signed, arguments.through))?;
    checkpoints::signature(checkpoint, &keys).map_err(|error| {
        Failure::Refused(format!("the checkpoint at row {}: {error}", checkpoint.seq))
    })?;
    // What is dropped can never be verified again.
    let status = while_waiting("verifying the audit log", log.verify_chain()).await?;
    if let ChainStatus::Broken { seq, problem } = status {
        return Err(Failure::Refused(format!(
            "nothing is dropped from a log that does not hold: row {seq}, {problem}"
        )));
    }
    warn_of_lag(installation, log, checkpoint.seq).await?;
    let retirement = Retirement::Drop {
        at: ChainHead {
            seq: checkpoint.seq,
            hash: checkpoint.hash.clone(),
        },
        checkpoint: serde_json::to_string(checkpoint)
            .map_err(|error| Failure::Refused(error.to_string()))?,
    };
    retire(log, &retirement, "dropped", out).await
}

/// Says how many of the rows up to `through` the stream will never see.
async fn warn_of_lag(
    installation: &Installation,
    log: &dyn AuditLog,
    through: i64,
) -> Result<(), Failure> {
    let Some(stream) = &installation.config.audit.stream else {
        return Ok(());
    };
    let name = app::audit::stream_name(stream);
    let sent = log.stream_cursor(&name).await?;
    if sent < through {
        note(&format!(
            "warning: the stream {name} has the rows up to {sent}; those from there to {through} \
             are dropped and will never be sent"
        ));
    }
    Ok(())
}

fn nearest(signed: &[Checkpoint], through: i64) -> Failure {
    let before = signed
        .iter()
        .map(|one| one.seq)
        .filter(|seq| *seq <= through);
    Failure::Refused(match before.max() {
        Some(seq) => format!("no checkpoint is about row {through}; the nearest before is {seq}"),
        None => format!("no checkpoint is about row {through}, or one before it"),
    })
}

async fn retire(
    log: &dyn AuditLog,
    retirement: &Retirement,
    word: &str,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let record = record()?;
    let retiring = log.retire(retirement, &record);
    let retired = while_waiting("working on the audit log", retiring).await?;
    let Some(retired) = retired else {
        note("there is nothing so old that it was not done before");
        return Ok(());
    };
    output::json_line(
        out,
        &serde_json::json!({
            format!("{word}_through"): retired.through,
            "recorded_at": retired.recorded_at,
        }),
    )
}
