//! `rolegate audit verify`. Entry point: [`run`].

use std::{
    io::Write,
    path::{Path, PathBuf},
    sync::Arc,
};

use serde_json::json;

use super::{checkpoints, cloudtrail};
use crate::{
    audit::cloudtrail::Comparison,
    cli::{
        Failure,
        installation::Installation,
        output::{self, Format, OutputArguments, counted, printable},
        progress::Counter,
    },
    store::{AuditLog, ChainReport, ChainStatus, sql::SqlStore},
};

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Arguments {
    /// A copy of the database, which is only read; the configured one without
    #[arg(long, value_name = "FILE")]
    database: Option<PathBuf>,
    /// Signed checkpoints: the checkpoint file, or lines of the stream
    #[arg(long, value_name = "FILE")]
    checkpoints: Option<PathBuf>,
    /// The public key (PEM) that they were signed with; the configured one without
    #[arg(long = "checkpoint-key", value_name = "PUBLIC.pem")]
    checkpoint_keys: Vec<PathBuf>,
    /// Exports of CloudTrail's events, .json or .json.gz
    #[arg(long, value_name = "FILE", num_args = 1..)]
    cloudtrail: Vec<PathBuf>,
    /// Whose role sessions are ours in the trail too: the ARN of a user or role
    #[arg(long = "principal", value_name = "ARN", requires = "cloudtrail")]
    principals: Vec<String>,
    #[command(flatten)]
    output: OutputArguments,
}

/// What was found besides the chain.
struct Found {
    report: ChainReport,
    checked: Option<checkpoints::Checked>,
    comparison: Option<Comparison>,
}

pub(super) async fn run(
    file: Option<&Path>,
    arguments: &Arguments,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    // Where a copy is named, the configuration has nothing to say but the key.
    let needs_key = arguments.checkpoints.is_some() && arguments.checkpoint_keys.is_empty();
    let installation = if arguments.database.is_none() || needs_key {
        Some(Installation::load(file)?)
    } else {
        None
    };
    // Before the long walk: a wrong file is told at once.
    let trail = cloudtrail::read(&arguments.cloudtrail)?;
    let keys = checkpoints::verifiers(&arguments.checkpoint_keys, installation.as_ref())?;
    let signed = (arguments.checkpoints.as_deref())
        .map(checkpoints::read)
        .transpose()?;
    if signed.is_some() && keys.is_empty() {
        let message = "checkpoints need a key: give --checkpoint-key PUBLIC.pem, or set [audit] \
                       checkpoint_key_file";
        return Err(Failure::Usage(message.to_owned()));
    }
    let store = open(arguments.database.as_deref(), installation.as_ref()).await?;
    let log: &dyn AuditLog = store.as_ref();
    let counter = Counter::new("verifying the audit log");
    let report = log.walk_chain(&|done, all| counter.show(done, all)).await?;
    drop(counter);
    let mut found = Found {
        report,
        checked: None,
        comparison: None,
    };
    if matches!(found.report.status, ChainStatus::Holds { .. }) {
        if let Some(signed) = signed {
            let checked = checkpoints::Checked::of(&signed, &keys, log, &found.report).await?;
            found.checked = Some(checked);
        }
        if let Some(trail) = trail {
            let principals = &arguments.principals;
            let comparison = cloudtrail::compare(&trail, log, &found.report, principals).await?;
            found.comparison = Some(comparison);
        }
    }
    match arguments.output.output {
        Format::Json => output::json_line(out, &found.json())?,
        Format::Text => found.write(out)?,
    }
    found.verdict()
}

/// The configured store, or a copy. What cannot be written is read as a copy.
async fn open(
    database: Option<&Path>,
    installation: Option<&Installation>,
) -> Result<Arc<SqlStore>, Failure> {
    let copy = match (database, installation) {
        (Some(file), _) => Some(file.to_owned()),
        (None, Some(installation)) => read_only_file(&installation.config.store.url),
        (None, None) => None,
    };
    match (copy, installation) {
        (Some(file), _) => Ok(Arc::new(SqlStore::open_copy(&file).await?)),
        (None, Some(installation)) => installation.open_store().await,
        (None, None) => Err(Failure::Usage("name a database with --database".to_owned())),
    }
}

fn read_only_file(url: &str) -> Option<PathBuf> {
    let path = url
        .strip_prefix("sqlite://")
        .or(url.strip_prefix("sqlite:"))?;
    let path = PathBuf::from(path.split('?').next()?);
    let metadata = path.metadata().ok()?;
    metadata.permissions().readonly().then_some(path)
}

impl Found {
    fn json(&self) -> serde_json::Value {
        let mut told = match &self.report.status {
            ChainStatus::Holds { rows, head } => {
                json!({ "holds": true, "rows": rows, "head": head })
            }
            ChainStatus::Broken { seq, problem } => {
                json!({ "holds": false, "seq": seq, "problem": problem })
            }
        };
        let report = &self.report;
        let more = [
            (
                "dropped_through",
                json!(report.dropped_through),
                report.dropped_through > 0,
            ),
            ("erased", json!(report.erased), report.erased > 0),
            ("checkpoints", json!(self.checked), self.checked.is_some()),
            (
                "cloudtrail",
                json!(self.comparison),
                self.comparison.is_some(),
            ),
        ];
        if let Some(object) = told.as_object_mut() {
            let more = more.into_iter().filter(|(_, _, is_told)| *is_told);
            object.extend(more.map(|(key, value, _)| (key.to_owned(), value)));
        }
        told
    }

    fn write(&self, out: &mut dyn Write) -> Result<(), Failure> {
        let ChainStatus::Holds { rows, head } = &self.report.status else {
            return Ok(());
        };
        let count = |rows: i64| counted(usize::try_from(rows).unwrap_or(usize::MAX), "row");
        writeln!(out, "the chain holds: {}, head {head}", count(*rows))?;
        if self.report.dropped_through > 0 {
            let seq = self.report.dropped_through;
            writeln!(
                out,
                "it begins behind row {seq}, up to which rows were dropped"
            )?;
        }
        if self.report.erased > 0 {
            writeln!(out, "{} erased, as the log says", count(self.report.erased))?;
        }
        if let Some(checked) = &self.checked {
            let (agree, through) = (checked.agree, checked.through);
            writeln!(
                out,
                "checkpoints that agree: {agree}, the last at row {through}"
            )?;
            if checked.dropped > 0 {
                let dropped = checked.dropped;
                writeln!(
                    out,
                    "checkpoints about rows that were dropped since: {dropped}"
                )?;
            }
            for problem in &checked.problems {
                writeln!(out, "{}", printable(problem))?;
            }
        }
        if let Some(comparison) = &self.comparison {
            cloudtrail::write(comparison, out)?;
        }
        Ok(())
    }

    fn verdict(&self) -> Result<(), Failure> {
        if let ChainStatus::Broken { seq, problem } = &self.report.status {
            return Err(Failure::Refused(format!(
                "the audit log was changed: row {seq} is the first that does not hold ({problem})"
            )));
        }
        let problems = self
            .checked
            .as_ref()
            .map_or(0, |checked| checked.problems.len());
        if problems > 0 {
            let told = counted(problems, "finding");
            return Err(Failure::Refused(format!(
                "the checkpoints and the audit log disagree: {told}"
            )));
        }
        let findings = self
            .comparison
            .as_ref()
            .map_or(0, |found| found.findings.len());
        if findings > 0 {
            let told = counted(findings, "finding");
            return Err(Failure::Refused(format!(
                "CloudTrail and the audit log disagree: {told}"
            )));
        }
        Ok(())
    }
}
