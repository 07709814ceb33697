//! `/audit`: the log, for auditors and admins.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    body::{Body, Bytes},
    extract::{FromRequestParts, Query, State},
    http::request::Parts,
    response::{IntoResponse, Response},
};
use hyper::body::Frame as BodyFrame;
use serde::Deserialize;
use time::{
    Date, OffsetDateTime, format_description::well_known::Rfc3339, macros::format_description,
};
use tokio::sync::mpsc;

use super::{
    super::{
        App,
        csrf::CheckedForm,
        error::Frame,
        session::SignedIn,
        views::audit::{AuditInput, AuditQuery, AuditView, OUTCOMES},
    },
    Arrival, Nothing, download, layout, render, see_other,
};
use crate::{
    access::{Policy, TargetArn, in_utc},
    broker::{Action, AuditFilter, AuditRow, Broker, StoreError, csv},
};

/// Rows of a page.
const ROWS: u32 = 50;
/// Rows that an export reads at once.
const EXPORT_ROWS: u32 = 500;
/// How long a page waits for the chain to be walked before it says that this goes on.
const PATIENCE: Duration = Duration::from_secs(2);

/// A signed-in person who may read the audit log.
pub(in crate::web) struct Auditor(SignedIn);

impl FromRequestParts<App> for Auditor {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Response> {
        let signed_in = SignedIn::from_request_parts(parts, app).await?;
        let frame = Frame::of_parts(parts);
        if app.broker.settings().access.is_empty() {
            return Err(frame.nobody_has_access().into_response());
        }
        if !app.broker.authority(signed_in.identity()).may_read_audit() {
            return Err(frame.not_auditor().into_response());
        }
        Ok(Self(signed_in))
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::web) struct AuditForm {
    person: String,
    account: String,
    role: String,
    action: String,
    outcome: String,
    since: String,
    until: String,
    before: String,
}

impl AuditForm {
    fn query(&self) -> AuditQuery {
        let trimmed = |text: &str| text.trim().to_owned();
        AuditQuery {
            person: trimmed(&self.person),
            account: trimmed(&self.account),
            role: trimmed(&self.role),
            action: trimmed(&self.action),
            outcome: trimmed(&self.outcome),
            since: trimmed(&self.since),
            until: trimmed(&self.until),
        }
    }
}

/// The filter that a query means, or what is wrong with the query.
pub(in crate::web) fn filter(query: &AuditQuery) -> Result<AuditFilter, String> {
    let set = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let action = match query.action.as_str() {
        "" => None,
        name => Some(
            Action::ALL
                .into_iter()
                .find(|action| action.as_str() == name)
                .ok_or_else(|| format!("There is no action called {name}."))?,
        ),
    };
    let outcome = match query.outcome.as_str() {
        "" => None,
        name => Some(
            OUTCOMES
                .into_iter()
                .find(|outcome| outcome.as_str() == name)
                .ok_or_else(|| format!("There is no outcome called {name}."))?,
        ),
    };
    Ok(AuditFilter {
        person: set(&query.person),
        account: set(&query.account),
        role: set(&query.role),
        actions: action.into_iter().collect(),
        outcome,
        since: moment(&query.since)?,
        until: moment(&query.until)?,
        ..AuditFilter::default()
    })
}

/// A day (in UTC) or a time with its zone, as typed; none where nothing was.
pub(super) fn moment(text: &str) -> Result<Option<OffsetDateTime>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    if let Ok(at) = OffsetDateTime::parse(text, &Rfc3339) {
        return Ok(Some(in_utc(at)));
    }
    Date::parse(text, format_description!("[year]-[month]-[day]"))
        .map(|day| Some(day.midnight().assume_utc()))
        .map_err(|_| {
            format!(
                "{text} is no date that can be used: write a day such as 2026-03-31 (in UTC), or \
                 a time with its zone such as 2026-03-31T09:00:00+02:00."
            )
        })
}

/// `GET /audit`
pub(in crate::web) async fn show(
    State(app): State<App>,
    Auditor(signed_in): Auditor,
    Query(form): Query<AuditForm>,
    frame: Frame,
) -> Response {
    match page(&app, &signed_in, &form, &frame).await {
        Ok(response) => response,
        Err(error) => frame.store_unavailable(&error).into_response(),
    }
}

async fn page(
    app: &App,
    signed_in: &SignedIn,
    form: &AuditForm,
    frame: &Frame,
) -> Result<Response, StoreError> {
    let query = form.query();
    let before = form.before.parse::<i64>().ok();
    let (mut rows, problem) = match filter(&query) {
        Ok(filter) => {
            let filter = AuditFilter {
                before,
                // One more says whether there is another page.
                limit: ROWS + 1,
                ..filter
            };
            (app.broker.audit_rows(&filter).await?, None)
        }
        Err(problem) => (Vec::new(), Some(problem)),
    };
    let has_more = rows.len() > ROWS as usize;
    rows.truncate(ROWS as usize);
    let policy = app.broker.policy().await?;
    let head = app.broker.chain_head().await?;
    let view = AuditView::new(AuditInput {
        layout: layout(frame, signed_in),
        query,
        problem,
        next: rows.last().filter(|_| has_more).map(|row| row.seq),
        rows: &rows,
        is_later: before.is_some(),
        account_name: &|arn| account_name(&policy, arn),
        head: &head,
        check: &app.broker.chain_check(),
        now: app.broker.now(),
    });
    Ok(render(&view, frame))
}

/// What people call the account of a role; what is no role stands as it is.
pub(super) fn account_name(policy: &Policy, arn: &str) -> String {
    let Ok(role) = arn.parse::<TargetArn>() else {
        return arn.to_owned();
    };
    let account = policy.account(&role.account());
    account.map_or_else(
        || role.account().to_string(),
        |account| account.name.clone(),
    )
}

/// `POST /audit/verify`: walks the chain; a long walk goes on in the background.
pub(in crate::web) async fn verify(
    State(app): State<App>,
    Auditor(_): Auditor,
    CheckedForm(Nothing {}): CheckedForm<Nothing>,
) -> Response {
    app.broker.verify_chain(PATIENCE).await;
    see_other("/audit")
}

/// How rows are written to a file.
#[derive(Clone, Copy)]
enum Format {
    JsonLines,
    Csv,
}

/// `GET /audit.jsonl`
pub(in crate::web) async fn json_lines(
    State(app): State<App>,
    Auditor(signed_in): Auditor,
    Query(form): Query<AuditForm>,
    arrival: Arrival,
) -> Response {
    export(app, signed_in, form, arrival, Format::JsonLines).await
}

/// `GET /audit.csv`
pub(in crate::web) async fn csv(
    State(app): State<App>,
    Auditor(signed_in): Auditor,
    Query(form): Query<AuditForm>,
    arrival: Arrival,
) -> Response {
    export(app, signed_in, form, arrival, Format::Csv).await
}

async fn export(
    app: App,
    signed_in: SignedIn,
    form: AuditForm,
    arrival: Arrival,
    format: Format,
) -> Response {
    let query = form.query();
    let filter = match filter(&query) {
        Ok(filter) => filter,
        Err(problem) => return arrival.frame.bad_input(&problem).into_response(),
    };
    let client = arrival.client(&app);
    let (what, name, media_type) = match format {
        Format::JsonLines => ("audit.jsonl", "audit.jsonl", "application/jsonl"),
        Format::Csv => ("audit.csv", "audit.csv", "text/csv; charset=utf-8"),
    };
    // The row about the export comes last in it: what is taken ends with the log of this moment.
    let narrowed_to = query.in_words();
    let noted = app
        .broker
        .note_export(signed_in.identity(), what, &narrowed_to, &client);
    if let Err(error) = noted.await {
        return arrival.frame.store_unavailable(&error).into_response();
    }
    let last = match app.broker.chain_head().await {
        Ok(head) => head.seq,
        Err(error) => return arrival.frame.store_unavailable(&error).into_response(),
    };
    let (pages, received) = mpsc::channel(2);
    tokio::spawn(send_rows(
        Arc::clone(&app.broker),
        filter,
        last,
        format,
        pages,
    ));
    download(Body::new(Pages(received)), name, media_type)
}

/// Reads the rows up to `last`, oldest first, and sends them page by page; ends when the reader
/// goes away. A failure breaks the download off, so that nobody takes a part for the whole.
async fn send_rows(
    broker: Arc<Broker>,
    mut filter: AuditFilter,
    last: i64,
    format: Format,
    pages: mpsc::Sender<Result<Bytes, StoreError>>,
) {
    if matches!(format, Format::Csv) && pages.send(Ok(csv::line(csv::HEADER).into())).await.is_err()
    {
        return;
    }
    filter.limit = EXPORT_ROWS;
    filter.after = Some(0);
    loop {
        let rows = match broker.audit_rows(&filter).await {
            Ok(rows) => rows,
            Err(error) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "an export of the audit log broke off"
                );
                let _ = pages.send(Err(error)).await;
                return;
            }
        };
        let text: String = rows
            .iter()
            .filter(|row| row.seq <= last)
            .map(|row| line(row, format))
            .collect();
        let is_over =
            rows.len() < EXPORT_ROWS as usize || rows.last().is_none_or(|row| row.seq >= last);
        filter.after = rows.last().map(|row| row.seq);
        if (!text.is_empty() && pages.send(Ok(text.into())).await.is_err()) || is_over {
            return;
        }
    }
}

/// What a task sends, as the body of an answer.
struct Pages(mpsc::Receiver<Result<Bytes, StoreError>>);

impl hyper::body::Body for Pages {
    type Data = Bytes;
    type Error = StoreError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<BodyFrame<Bytes>, StoreError>>> {
        self.0
            .poll_recv(context)
            .map(|page| page.map(|page| page.map(BodyFrame::data)))
    }
}

fn line(row: &AuditRow, format: Format) -> String {
    match format {
        Format::JsonLines => {
            serde_json::to_string(row).map_or_else(|_| String::new(), |line| line + "\n")
        }
        Format::Csv => csv_line(row),
    }
}

fn csv_line(row: &AuditRow) -> String {
    let cells = csv::record(row.seq, &row.event, &row.hash);
    csv::line(cells.iter().map(String::as_str))
}
