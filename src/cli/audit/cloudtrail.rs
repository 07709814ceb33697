//! The part of `rolegate audit verify` that asks CloudTrail. Entry points: [`read`], [`compare`].

use std::{fs, io::Write, path::PathBuf};

use time::{Duration, OffsetDateTime};

use super::PAGE;
use crate::{
    audit::{
        Action, AuditEvent,
        cloudtrail::{Comparison, Ledger, Trail},
    },
    cli::{
        Failure,
        output::{counted, printable},
        row,
    },
    store::{AuditFilter, AuditLog, ChainReport},
};

/// By how much more than the trail's time our rows are read: a grant's rows lie around its call.
const AROUND: Duration = Duration::hours(1);

/// Reads exports; none where there are none.
pub(super) fn read(files: &[PathBuf]) -> Result<Option<Trail>, Failure> {
    if files.is_empty() {
        return Ok(None);
    }
    let mut trail = Trail::default();
    for file in files {
        let shown = file.display();
        let bytes = fs::read(file)
            .map_err(|error| Failure::Usage(format!("{shown} cannot be read: {error}")))?;
        let read = trail.read(&bytes);
        read.map_err(|error| Failure::Usage(format!("{shown}: {error}")))?;
    }
    Ok(Some(trail))
}

/// Holds the trail against the log, whose chain holds in itself.
pub(super) async fn compare(
    trail: &Trail,
    log: &dyn AuditLog,
    report: &ChainReport,
    principals: &[String],
) -> Result<Comparison, Failure> {
    let head = log.chain_head().await?.seq;
    let begins_at = begins_at(log, report).await?;
    let mut ledger = Ledger::new(head, report.dropped_through, begins_at);
    if let Some((first, last)) = trail.span() {
        let mut filter = AuditFilter {
            actions: vec![Action::ConsoleOpen, Action::CredentialsIssue],
            since: first.checked_sub(AROUND),
            until: last.checked_add(AROUND),
            limit: PAGE,
            ..AuditFilter::default()
        };
        loop {
            let rows = log.audit_rows(&filter).await?;
            for row in &rows {
                ledger.add(row.seq, &row.event);
            }
            let Some(oldest) = rows.last() else { break };
            filter.before = Some(oldest.seq);
        }
    }
    for issuance in trail.issuances() {
        let Some(Some(witness)) = &issuance.witness else {
            continue;
        };
        let seq = witness.seq;
        if let Some(hash) = log.chain_hash(seq).await? {
            let line = log.audit_lines(seq - 1, 1).await?;
            let is_erased = (line.first()).is_none_or(|line| line.payload.is_none());
            ledger.add_row(seq, &hash, is_erased);
        }
    }
    Ok(ledger.compare(trail, principals))
}

/// When the first row was written that still says something, where older ones do not.
async fn begins_at(
    log: &dyn AuditLog,
    report: &ChainReport,
) -> Result<Option<OffsetDateTime>, Failure> {
    let silent = report.dropped_through + report.erased;
    if silent == 0 {
        return Ok(None);
    }
    let first = log.audit_lines(silent, 1).await?;
    let payload = first.first().and_then(|line| line.payload.as_deref());
    let event = payload.and_then(|text| serde_json::from_str::<AuditEvent>(text).ok());
    Ok(event.map(|event| event.at))
}

/// What came of it, for people.
pub(super) fn write(comparison: &Comparison, out: &mut dyn Write) -> Result<(), Failure> {
    writeln!(
        out,
        "CloudTrail: {}, {} issued, {} ours, {} of others; {} failed, {} told twice",
        counted(comparison.events, "event"),
        counted(comparison.issuances, "role session"),
        comparison.ours,
        comparison.others,
        counted(comparison.failed, "call"),
        comparison.duplicates,
    )?;
    writeln!(
        out,
        "{} of ours are in the log, {} by the tag; {} from before its rows, {} repeated, {} of the \
         log's not in the trail's reach",
        comparison.matched,
        comparison.witnessed,
        comparison.before_log,
        comparison.repeated,
        comparison.not_covered,
    )?;
    for finding in &comparison.findings {
        let about = format!(
            "{} {} as {}: {}",
            row::instant(finding.at),
            finding.role,
            finding.session_name,
            finding.message
        );
        let request = finding.request_id.as_deref().unwrap_or("none");
        writeln!(
            out,
            "{} (request {})",
            printable(&about),
            printable(request)
        )?;
    }
    Ok(())
}
