//! `rolegate audit export`. Entry point: [`run`].

use std::io::Write;

use clap::ValueEnum;

use super::{FilterArguments, PAGE};
use crate::{
    audit::{Action, AuditEvent, Outcome, csv},
    cli::{Failure, installation::host_actor, output, progress::Counter},
    clock::{Clock, SystemClock},
    store::{AuditFilter, AuditLog},
};

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A JSON object to a line
    #[default]
    Jsonl,
    /// For spreadsheets: RFC 4180, with a header
    Csv,
}

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Arguments {
    #[command(flatten)]
    pub(super) filter: FilterArguments,
    /// How many at most, counted from the oldest
    #[arg(long)]
    limit: Option<u64>,
    /// How to write them
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Writes the rows, once it is noted that somebody takes them away.
pub(super) async fn run(
    log: &dyn AuditLog,
    filter: AuditFilter,
    arguments: &Arguments,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let head = log.chain_head().await?.seq;
    let format = match arguments.format {
        Format::Jsonl => "jsonl",
        Format::Csv => "csv",
    };
    let now = SystemClock.now();
    let event = AuditEvent::new(now, Action::Export, Outcome::Ok, host_actor()?)
        .with("what", "audit")
        .with("format", format)
        .with("through", head);
    log.append(&event).await?;
    write_rows(log, (filter, head), arguments, out).await
}

/// Oldest first with one page in memory: `seq` has no gaps, so that the page that ends at any row
/// can be asked for.
async fn write_rows(
    log: &dyn AuditLog,
    (filter, head): (AuditFilter, i64),
    arguments: &Arguments,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    if arguments.format == Format::Csv {
        out.write_all(csv::line(csv::HEADER).as_bytes())?;
    }
    let counter = Counter::new("exporting the audit log");
    let all = arguments.limit.unwrap_or(u64::MAX);
    let (mut done, mut written) = (0, 0);
    while done < head && written < all {
        let page = AuditFilter {
            before: Some(done + i64::from(PAGE) + 1),
            ..filter.clone()
        };
        let mut rows = log.audit_rows(&page).await?;
        rows.retain(|row| row.seq > done && row.seq <= head);
        for row in rows.iter().rev() {
            if written == all {
                break;
            }
            match arguments.format {
                Format::Jsonl => output::json_line(out, row)?,
                Format::Csv => {
                    let cells = csv::record(row.seq, &row.event, &row.hash);
                    out.write_all(csv::line(cells.iter().map(String::as_str)).as_bytes())?;
                }
            }
            written += 1;
        }
        done += i64::from(PAGE);
        counter.show(done.min(head), head);
    }
    Ok(())
}
