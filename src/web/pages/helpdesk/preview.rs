//! `POST /helpdesk/preview` and `/helpdesk/save`: an edit of any kind, looked at and saved.
//!
//! Both read the form anew. What takes longer than a page may goes on in a task of its own, and the
//! page looks again at `/helpdesk/previews/{id}`.

use std::{sync::Arc, time::Duration};

use askama::Template as _;
use axum::{
    extract::{Path, Query, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};

use super::{
    super::{
        super::{
            App,
            csrf::CheckedForm,
            error::Frame,
            preview_jobs::{Finished, Job, Purpose, Wish},
            staff::Staff,
            views::helpdesk::{
                Section,
                edit::{EditForm, EditView},
                import::ImportView,
                mappings::MappingQuery,
                preview::{Effects, PreviewState, Running},
                wording,
            },
        },
        Arrival, layout, render, see_other,
    },
    desk,
    draft::{self, Bench, Reading, in_words},
    fields::Fields,
    fragment, go_to, is_fragment, mappings,
    outcome::{after, conflict},
    pending,
    roles::{self, Desktop},
    rules,
};
use crate::{
    access::{Change, Row},
    broker::{EditDraft, EditRefused, StoreError},
};

/// How long a page waits before it says that it takes longer.
const AT_ONCE: Duration = Duration::from_millis(700);

/// A form as it was sent.
type Pairs = Vec<(String, String)>;

/// One request about an edit.
pub(super) struct Visit<'a> {
    pub(super) bench: Bench<'a>,
    pub(super) frame: Frame,
    pub(super) is_fragment: bool,
}

impl<'a> Visit<'a> {
    pub(super) async fn of(
        app: &'a App,
        staff: &'a Staff,
        arrival: &Arrival,
    ) -> Result<Self, StoreError> {
        Ok(Self {
            bench: Bench::of(app, staff).await?,
            frame: Frame(layout(&arrival.frame, &staff.signed_in)),
            is_fragment: is_fragment(&arrival.headers),
        })
    }

    /// What a job is started with.
    pub(super) fn wish(&self, purpose: Purpose, fields: Pairs, query: &MappingQuery) -> Wish {
        Wish {
            session: self.bench.staff.signed_in.session.id_hash.clone(),
            purpose,
            fields,
            query: query.clone(),
        }
    }

    /// Too many previews and saves run already.
    pub(super) fn busy(&self) -> Response {
        self.frame
            .clone()
            .status(StatusCode::SERVICE_UNAVAILABLE)
            .into_response()
    }
}

/// The longest field beside the text of an import, in bytes.
const LONGEST_FIELD: usize = 4_096;

/// Refuses fields that nobody typed: looking up what they mean would take for ever.
fn refused_as_endless(fields: &Pairs, arrival: &Arrival) -> Option<Response> {
    let is_endless = |(name, value): &(String, String)| {
        name != "text" && name.len().max(value.len()) > LONGEST_FIELD
    };
    if !fields.iter().any(is_endless) {
        return None;
    }
    let message = format!("A field has more than {LONGEST_FIELD} bytes. Shorten it.");
    Some(arrival.frame.clone().bad_input(&message).into_response())
}

/// `POST /helpdesk/preview`
pub(in crate::web) async fn look(
    State(app): State<App>,
    staff: Staff,
    Query(query): Query<MappingQuery>,
    arrival: Arrival,
    CheckedForm(fields): CheckedForm<Pairs>,
) -> Response {
    if let Some(refused) = refused_as_endless(&fields, &arrival) {
        return refused;
    }
    let frame = arrival.frame.clone();
    let answer = async {
        let visit = Visit::of(&app, &staff, &arrival).await?;
        look_at(&visit, Fields(fields), &query, &arrival).await
    };
    answer
        .await
        .unwrap_or_else(|error: StoreError| frame.store_unavailable(&error).into_response())
}

/// Shows what an edit would do.
pub(super) async fn look_at(
    visit: &Visit<'_>,
    mut fields: Fields,
    query: &MappingQuery,
    arrival: &Arrival,
) -> Result<Response, StoreError> {
    fields.0.retain(|(name, _)| name != "csrf_token");
    let Some(reading) = read(visit, &fields, query).await else {
        let message = "There is no such kind of edit.";
        return Ok(visit.frame.clone().bad_input(message).into_response());
    };
    let Some(draft) = reading.draft.clone() else {
        return show_unread(visit, reading, query).await;
    };
    let wish = visit.wish(Purpose::Preview, fields.0, query);
    let app = visit.bench.app.clone();
    let mut author = visit.bench.staff.signed_in.session.clone();
    let client = arrival.client(&app);
    let job = app.previews.start(wish, |progress| {
        let app = app.clone();
        async move {
            let broker = &app.broker;
            let preview = broker
                .preview_edit(&mut author, &draft, &progress, &client)
                .await;
            match preview {
                Ok(preview) => {
                    finish(&app, |policy| {
                        let rules = &app.settings.environments;
                        Finished::Looked(Box::new(Effects::new(&preview, policy, rules)))
                    })
                    .await
                }
                Err(refused) => not_done(&app, refused, draft.changes).await,
            }
        }
    });
    let Some(job) = job else {
        return Ok(visit.busy());
    };
    job.wait(AT_ONCE).await;
    answer(visit, &job, Some(reading), true).await
}

async fn read(visit: &Visit<'_>, fields: &Fields, query: &MappingQuery) -> Option<Reading> {
    draft::read(&visit.bench, fields, query, &visit.frame.0.csrf_token).await
}

/// Makes words of what was found, with the table as it is now.
pub(super) async fn finish(
    app: &App,
    words: impl FnOnce(&crate::access::Policy) -> Finished,
) -> Finished {
    match app.broker.policy().await {
        Ok(policy) => words(&policy),
        Err(_) => Finished::Unavailable,
    }
}

/// What became of an edit that was not made.
pub(super) async fn not_done(app: &App, refused: EditRefused, changes: Vec<Change>) -> Finished {
    match refused {
        EditRefused::Conflicts(conflicts) => Finished::Conflicts(conflicts, changes),
        EditRefused::PreviewChanged(preview) => {
            finish(app, |policy| {
                let rules = &app.settings.environments;
                Finished::Changed(Box::new(Effects::new(&preview, policy, rules)))
            })
            .await
        }
        EditRefused::StoreUnavailable(error) => {
            tracing::error!(error = %error, "an edit could not be worked on");
            Finished::Unavailable
        }
        other => {
            let (status, sentences) = in_words(&other);
            Finished::Refused(status, sentences)
        }
    }
}

/// `POST /helpdesk/save`
pub(in crate::web) async fn save(
    State(app): State<App>,
    staff: Staff,
    Query(query): Query<MappingQuery>,
    arrival: Arrival,
    CheckedForm(fields): CheckedForm<Pairs>,
) -> Response {
    if let Some(refused) = refused_as_endless(&fields, &arrival) {
        return refused;
    }
    let frame = arrival.frame.clone();
    let answer = async {
        let visit = Visit::of(&app, &staff, &arrival).await?;
        let mut fields = Fields(fields);
        fields.0.retain(|(name, _)| name != "csrf_token");
        let mut saving = fields.clone();
        saving.0.push(("saving".to_owned(), "yes".to_owned()));
        let Some(reading) = read(&visit, &saving, &query).await else {
            let message = "There is no such kind of edit.";
            return Ok(visit.frame.clone().bad_input(message).into_response());
        };
        let Some(draft) = reading.draft.clone() else {
            return show_unread(&visit, reading, &query).await;
        };
        if !reading.has_reason() {
            return look_at(&visit, saving, &query, &arrival).await;
        }
        save_now(&visit, (fields, reading, draft), &query, &arrival).await
    };
    answer
        .await
        .unwrap_or_else(|error: StoreError| frame.store_unavailable(&error).into_response())
}

async fn save_now(
    visit: &Visit<'_>,
    (fields, reading, draft): (Fields, Reading, EditDraft),
    query: &MappingQuery,
    arrival: &Arrival,
) -> Result<Response, StoreError> {
    let shown = fields.one("digest").to_owned();
    let app = visit.bench.app.clone();
    let wish = visit.wish(Purpose::Save, fields.0, query);
    let mut author = visit.bench.staff.signed_in.session.clone();
    let client = arrival.client(&app);
    let job = app.previews.start(wish, |_| {
        let app = app.clone();
        async move {
            let broker = &app.broker;
            match broker.save_edit(&mut author, &draft, &shown, &client).await {
                Ok(saved) => Finished::Saved(saved),
                Err(refused) => not_done(&app, refused, draft.changes).await,
            }
        }
    });
    let Some(job) = job else {
        return Ok(visit.busy());
    };
    job.wait(AT_ONCE).await;
    answer(visit, &job, Some(reading), true).await
}

/// `GET /helpdesk/previews/{id}`: a preview or save that took longer.
pub(in crate::web) async fn show(
    State(app): State<App>,
    staff: Staff,
    Path(id): Path<String>,
    arrival: Arrival,
) -> Response {
    let frame = arrival.frame.clone();
    let session = &staff.signed_in.session.id_hash;
    let Some(job) = app.previews.find(session, &id) else {
        return frame.status(StatusCode::NOT_FOUND).into_response();
    };
    let answer = async {
        let visit = Visit::of(&app, &staff, &arrival).await?;
        job.wait(AT_ONCE).await;
        answer(&visit, &job, None, false).await
    };
    answer
        .await
        .unwrap_or_else(|error: StoreError| frame.store_unavailable(&error).into_response())
}

/// The page of a job as it is now; `was_sent` where a form was just posted, which a reload would
/// post again.
pub(super) async fn answer(
    visit: &Visit<'_>,
    job: &Arc<Job>,
    reading: Option<Reading>,
    was_sent: bool,
) -> Result<Response, StoreError> {
    let wish = &job.wish;
    if let Purpose::LookAtPending(id) | Purpose::Approve(id) = &wish.purpose {
        return pending::answer(visit, job, id, was_sent).await;
    }
    let (status, state, notice) = match job.finished() {
        None if was_sent && !visit.is_fragment => {
            return Ok(see_other(&format!("/helpdesk/previews/{}", job.id)));
        }
        None => (200, PreviewState::Running(running(job)), None),
        Some(Finished::Looked(effects)) => (200, PreviewState::Ready(effects.clone()), None),
        Some(Finished::Changed(effects)) => (
            409,
            PreviewState::Ready(effects.clone()),
            Some(
                "Nothing was saved: what this does is no longer what was shown. Look at it again, then save.",
            ),
        ),
        Some(Finished::Refused(status, sentences)) => {
            (*status, PreviewState::Refused(sentences.clone()), None)
        }
        Some(Finished::Unavailable) => {
            let sentence = "Rolegate cannot keep its records now, so nothing was saved. Try again in a minute.";
            (503, PreviewState::Refused(vec![sentence.to_owned()]), None)
        }
        Some(Finished::Saved(saved)) => {
            return Ok(go_to(&after(wish, saved), visit.is_fragment));
        }
        Some(Finished::Conflicts(conflicts, changes)) => {
            if visit.is_fragment && wish.purpose == Purpose::Save {
                return Ok(go_to(&format!("/helpdesk/previews/{}", job.id), true));
            } else if visit.is_fragment {
                let sentence = "Somebody changed this meanwhile. Press “Show what this does” to see \
                                their version beside yours.";
                (409, PreviewState::Refused(vec![sentence.to_owned()]), None)
            } else {
                return conflict(visit, wish, conflicts, changes).await;
            }
        }
        Some(Finished::LookedAtPending(..)) => (404, PreviewState::Refused(Vec::new()), None),
    };
    let fields = Fields(wish.fields.clone());
    let reading = match reading {
        Some(reading) => Some(reading),
        None => read(visit, &fields, &wish.query).await,
    };
    let Some(reading) = reading else {
        return Ok(visit
            .frame
            .clone()
            .status(StatusCode::NOT_FOUND)
            .into_response());
    };
    let form = reading.form.showing(state, notice.map(str::to_owned));
    page(visit, form, &wish.query, status).await
}

/// What is shown while a job runs.
pub(super) fn running(job: &Job) -> Running {
    let (done, total) = job.progress.counts();
    Running {
        href: format!("/helpdesk/previews/{}", job.id),
        done,
        total,
    }
}

/// A form that could not be read, with what is wrong.
async fn show_unread(
    visit: &Visit<'_>,
    reading: Reading,
    query: &MappingQuery,
) -> Result<Response, StoreError> {
    let has_errors = reading
        .form
        .fields
        .iter()
        .any(|field| field.error.is_some());
    let mut messages = reading.trouble;
    if messages.is_empty() && has_errors {
        messages.push("Each message stands beside its field.".to_owned());
    }
    let (status, state) = if messages.is_empty() {
        (200, PreviewState::NotAsked)
    } else {
        (422, PreviewState::Invalid(messages))
    };
    page(visit, reading.form.showing(state, None), query, status).await
}

/// A form with its preview, as the page that it belongs to, or as the part that htmx asked for.
async fn page(
    visit: &Visit<'_>,
    mut form: EditForm,
    query: &MappingQuery,
    status: u16,
) -> Result<Response, StoreError> {
    let (bench, frame) = (&visit.bench, &visit.frame);
    if visit.is_fragment {
        // htmx shows nothing of an answer that is no 200.
        form.preview.field_errors = form.field_errors();
        let matches = form.matches.take().map(|matches| matches.beside().render());
        let matches = matches.transpose().map(Option::unwrap_or_default);
        let text = form.preview.render();
        let whole = text.and_then(|text| matches.map(|matches| text + &matches));
        return Ok(fragment(whole, frame));
    }
    let hidden = |name: &str| {
        let mut found = form.hidden.iter().filter(|(other, _)| other == name);
        found.next().map(|(_, value)| value.clone())
    };
    let kind = hidden("edit").unwrap_or_default();
    let mut response = match kind.as_str() {
        "mapping" => {
            let open = hidden("row").unwrap_or_default();
            mappings::page(bench, query.clone(), Some((form, &open)), frame).await?
        }
        "rule" => rules::page(bench, query, Some(form), frame).await?,
        "account" | "role" if !bench.staff.authority.is_admin => {
            return Ok(frame.clone().not_admin().into_response());
        }
        "account" | "role" => {
            let open = hidden("row").unwrap_or_default();
            row_page(visit, (&kind, &open), form).await?
        }
        "import" => {
            let view = ImportView {
                layout: frame.0.clone(),
                desk: desk(bench.app, bench.staff, Section::Import).await?,
                form: Some(form),
            };
            render(&view, frame)
        }
        _ => {
            let mut sections = Section::ALL.into_iter();
            let section = sections.find(|section| form.cancel.starts_with(section.path()));
            let section = section.unwrap_or(Section::Mappings);
            let view = EditView {
                layout: frame.0.clone(),
                desk: desk(bench.app, bench.staff, section).await?,
                form,
            };
            render(&view, frame)
        }
    };
    if response.status() == StatusCode::OK {
        *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
    }
    Ok(response)
}

/// The page of an account or role, with the form on it.
async fn row_page(
    visit: &Visit<'_>,
    (kind, id): (&str, &str),
    form: EditForm,
) -> Result<Response, StoreError> {
    let desktop = Desktop {
        bench: &visit.bench,
        frame: &visit.frame,
        saved: "",
    };
    let row = wording::name_of_text(&format!("{kind}:{id}"));
    let row = row.and_then(|name| visit.bench.tables.row(&name));
    let part = roles::edited(form);
    match row {
        Some(Row::Account(account)) => roles::account_page(&desktop, Some(&account), part).await,
        Some(Row::Role(role)) => roles::role_page(&desktop, Some(&role), part).await,
        _ if kind == "account" => roles::account_page(&desktop, None, part).await,
        _ => roles::role_page(&desktop, None, part).await,
    }
}
