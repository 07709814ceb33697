//! `rolegate audit key` and `checkpoint`, and the checkpoints that `verify` is given. Entry points:
//! [`make_key`], [`sign`], [`Checked::of`].

use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use serde::Serialize;
use serde_json::Value;

use crate::{
    app,
    audit::checkpoint::{Checkpoint, CheckpointKey, CheckpointVerifier},
    cli::{
        Failure,
        failure::with_causes,
        installation::{Installation, host_actor},
        output,
    },
    clock::{Clock, SystemClock},
    store::{AuditLog, ChainReport},
};

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct KeyArguments {
    /// Where the private key goes; must not be there yet
    file: PathBuf,
}

/// Makes a private key that its owner alone can read, and prints the public half.
pub(super) fn make_key(arguments: &KeyArguments, out: &mut dyn Write) -> Result<(), Failure> {
    let shown = arguments.file.display();
    let refused = |error: &dyn std::fmt::Display| Failure::Refused(format!("{shown}: {error}"));
    let pem = CheckpointKey::generate().map_err(|error| refused(&error))?;
    let key = CheckpointKey::from_pem(pem.as_bytes()).map_err(|error| refused(&error))?;
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&arguments.file)
        .map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => {
                refused(&"is there already, and a key is never overwritten; name another file")
            }
            io::ErrorKind::NotFound => refused(&"its folder is not there; create it first"),
            _ => refused(&error),
        })?;
    file.write_all(pem.as_bytes())
        .and_then(|()| file.sync_all())
        .map_err(|error| refused(&error))?;
    Ok(write!(out, "{}", key.verifier().pem())?)
}

fn configured_key(installation: &Installation) -> Result<Option<CheckpointKey>, Failure> {
    app::audit::checkpoint_key(&installation.config.audit)
        .map_err(|error| Failure::Refused(with_causes(&error)))
}

/// Signs a checkpoint now.
pub(super) async fn sign(
    installation: &Installation,
    log: &dyn AuditLog,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let key = configured_key(installation)?.ok_or_else(|| {
        let file = installation.file.display();
        Failure::Refused(format!(
            "there is no key to sign with: set [audit] checkpoint_key_file in {file}; `rolegate \
             audit key FILE` makes one"
        ))
    })?;
    let file = installation.config.audit.checkpoint_file.as_deref();
    let by = (SystemClock.now(), host_actor()?);
    let signed = app::audit::checkpoint(log, &key, file, by)
        .await
        .map_err(|error| Failure::Refused(with_causes(&error)))?;
    output::json_line(out, &signed)
}

/// The public keys that are given, else the configured one's.
pub(super) fn verifiers(
    files: &[PathBuf],
    installation: Option<&Installation>,
) -> Result<Vec<CheckpointVerifier>, Failure> {
    if files.is_empty()
        && let Some(installation) = installation
    {
        let key = configured_key(installation)?;
        return Ok(key.iter().map(|key| key.verifier().clone()).collect());
    }
    let read = |file: &PathBuf| {
        let wrong =
            |error: &dyn std::fmt::Display| Failure::Usage(format!("{}: {error}", file.display()));
        let pem = fs::read(file).map_err(|error| wrong(&error))?;
        CheckpointVerifier::from_pem(&pem).map_err(|error| wrong(&error))
    };
    files.iter().map(read).collect()
}

/// The checkpoints of a file: one to a line, or lines of the stream or an export, among which those
/// of `audit.checkpoint` count.
pub(super) fn read(file: &Path) -> Result<Vec<Checkpoint>, Failure> {
    let shown = file.display();
    let text = fs::read_to_string(file)
        .map_err(|error| Failure::Usage(format!("{shown} cannot be read: {error}")))?;
    let mut checkpoints = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        if line.trim().is_empty() {
            continue;
        }
        let wrong = || Failure::Refused(format!("{shown}:{number}: the line is no checkpoint"));
        let line: Value = serde_json::from_str(line).map_err(|_| wrong())?;
        let checkpoint = match line.get("event") {
            None => &line,
            Some(event) => {
                let Some(checkpoint) = event.pointer("/details/checkpoint") else {
                    continue;
                };
                checkpoint
            }
        };
        checkpoints.push(serde_json::from_value(checkpoint.clone()).map_err(|_| wrong())?);
    }
    if checkpoints.is_empty() {
        return Err(Failure::Refused(format!("{shown} holds no checkpoint")));
    }
    Ok(checkpoints)
}

/// What checkpoints say about the log.
#[derive(Debug, Default, Serialize)]
pub(super) struct Checked {
    /// How many agree with it.
    pub(super) agree: usize,
    /// How many are about rows that were dropped since.
    pub(super) dropped: usize,
    /// The last row that one vouches for.
    pub(super) through: i64,
    /// What does not agree.
    pub(super) problems: Vec<String>,
}

impl Checked {
    /// Holds checkpoints against the log, whose chain holds in itself.
    pub(super) async fn of(
        checkpoints: &[Checkpoint],
        keys: &[CheckpointVerifier],
        log: &dyn AuditLog,
        report: &ChainReport,
    ) -> Result<Self, Failure> {
        let head = log.chain_head().await?.seq;
        let mut checked = Self::default();
        for checkpoint in checkpoints {
            let seq = checkpoint.seq;
            let about = format!("the checkpoint of {} at row {seq}", checkpoint.at);
            if let Err(error) = signature(checkpoint, keys) {
                checked.problems.push(format!("{about}: {error}"));
                continue;
            }
            if seq > head {
                checked.problems.push(format!(
                    "the tail was cut: {about} lies beyond the last row, {head}"
                ));
                continue;
            }
            if seq < report.dropped_through {
                checked.dropped += 1;
                continue;
            }
            let genesis = (seq == 0).then(|| crate::audit::chain::ChainHash::GENESIS.to_string());
            let hash = log.chain_hash(seq).await?.or(genesis);
            if hash.as_deref() == Some(checkpoint.hash.as_str()) {
                checked.agree += 1;
                checked.through = checked.through.max(seq);
            } else {
                checked.problems.push(format!(
                    "the log was rewritten at row {seq} or before: {about} has another hash"
                ));
            }
        }
        checked.check_base(keys, log, report).await?;
        Ok(checked)
    }

    /// Rows that were dropped, were dropped behind something that was signed.
    async fn check_base(
        &mut self,
        keys: &[CheckpointVerifier],
        log: &dyn AuditLog,
        report: &ChainReport,
    ) -> Result<(), Failure> {
        let seq = report.dropped_through;
        if seq == 0 {
            return Ok(());
        }
        let signed = report.dropped_behind.as_deref();
        let signed: Option<Checkpoint> = signed.and_then(|line| serde_json::from_str(line).ok());
        let hash = log.chain_hash(seq).await?;
        let is_signed = signed.is_some_and(|signed| {
            signed.seq == seq
                && hash.as_deref() == Some(signed.hash.as_str())
                && signature(&signed, keys).is_ok()
        });
        if !is_signed {
            self.problems.push(format!(
                "the rows up to {seq} were dropped, and what was signed about row {seq} is missing \
                 or forged"
            ));
        }
        Ok(())
    }
}

/// Whether one of the keys signed it.
pub(super) fn signature(
    checkpoint: &Checkpoint,
    keys: &[CheckpointVerifier],
) -> Result<(), String> {
    let named = keys.iter().find(|key| key.key_id() == checkpoint.key_id);
    let Some(key) = named.or(keys.first()) else {
        return Err("there is no public key to verify it with".to_owned());
    };
    checkpoint.verify(key).map_err(|error| error.to_string())
}
