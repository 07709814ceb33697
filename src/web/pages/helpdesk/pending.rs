//! `/helpdesk/pending`: edits that wait for a second person.

use std::sync::Arc;

use axum::{
    extract::{Path, Query, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::Deserialize;

use super::{
    super::{
        super::{
            App,
            csrf::CheckedForm,
            error::{ErrorPage, Frame},
            preview_jobs::{Finished, Job, Purpose},
            staff::Staff,
            views::{
                error::{ErrorView, Offer},
                helpdesk::{
                    Section,
                    mappings::MappingQuery,
                    pending::{PendingOneInput, PendingOneView, PendingView},
                    preview::{Effects, PreviewState, row_of},
                    wording,
                },
                query_string,
            },
        },
        Arrival, layout, render, see_other,
    },
    desk,
    draft::{Bench, in_words},
    go_to,
    preview::{Visit, finish, not_done, running},
};
use crate::{
    access::Identity,
    broker::{Actor, EditRefused, PendingEdit, PendingState, Saved, StoreError},
};

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::web) struct PendingQuery {
    done: String,
}

/// `GET /helpdesk/pending`
pub(in crate::web) async fn show(
    State(app): State<App>,
    staff: Staff,
    Query(query): Query<PendingQuery>,
    frame: Frame,
) -> Response {
    let frame = Frame(layout(&frame, &staff.signed_in));
    let answer = async {
        let edits = app.broker.pending_edits(true).await?;
        let desk = desk(&app, &staff, Section::Pending).await?;
        let saved = match query.done.as_str() {
            "declined" => Some("Declined."),
            "withdrawn" => Some("Taken back."),
            _ => None,
        };
        let saved = saved.map(str::to_owned);
        let view = PendingView::new(frame.0.clone(), desk, &edits, saved, app.broker.now());
        Ok::<_, StoreError>(render(&view, &frame))
    };
    answer
        .await
        .unwrap_or_else(|error| frame.clone().store_unavailable(&error).into_response())
}

/// `GET /helpdesk/pending/{id}`
pub(in crate::web) async fn show_one(
    State(app): State<App>,
    staff: Staff,
    Path(id): Path<String>,
    arrival: Arrival,
) -> Response {
    let frame = arrival.frame.clone();
    let answer = async {
        let visit = Visit::of(&app, &staff, &arrival).await?;
        look(&visit, &id, &arrival).await
    };
    answer
        .await
        .unwrap_or_else(|error: StoreError| frame.store_unavailable(&error).into_response())
}

async fn look(visit: &Visit<'_>, id: &str, arrival: &Arrival) -> Result<Response, StoreError> {
    let app = visit.bench.app.clone();
    let purpose = Purpose::LookAtPending(id.to_owned());
    let wish = visit.wish(purpose, Vec::new(), &MappingQuery::default());
    let mut reader = visit.bench.staff.signed_in.session.clone();
    let client = arrival.client(&app);
    let id = id.to_owned();
    let job = app.previews.start(wish, |progress| {
        let app = app.clone();
        async move {
            let broker = &app.broker;
            match broker
                .pending_edit(&mut reader, &id, &progress, &client)
                .await
            {
                Ok((edit, preview)) => looked_at(&app, edit, preview).await,
                Err(refused) => not_done(&app, refused, Vec::new()).await,
            }
        }
    });
    let Some(job) = job else {
        return Ok(visit.busy());
    };
    job.wait(std::time::Duration::from_millis(700)).await;
    let Purpose::LookAtPending(id) = &job.wish.purpose else {
        return Ok(visit.busy());
    };
    answer(visit, &job, id, false).await
}

async fn looked_at(
    app: &App,
    edit: PendingEdit,
    preview: Result<crate::broker::EditPreview, EditRefused>,
) -> Finished {
    let edit = Box::new(edit);
    match preview {
        Ok(preview) => {
            finish(app, |policy| {
                let rules = &app.settings.environments;
                let effects = Effects::new(&preview, policy, rules).for_second_person();
                Finished::LookedAtPending(edit, PreviewState::Ready(Box::new(effects)))
            })
            .await
        }
        Err(refused) => {
            let state = PreviewState::Refused(in_words(&refused).1);
            Finished::LookedAtPending(edit, state)
        }
    }
}

/// The page of a job about a pending edit, as it is now.
pub(super) async fn answer(
    visit: &Visit<'_>,
    job: &Arc<Job>,
    id: &str,
    was_sent: bool,
) -> Result<Response, StoreError> {
    let refused = |status, sentences: &[String]| {
        let page = ErrorView::new(
            visit.frame.0.clone(),
            status,
            "That was not done",
            &sentences.join(" "),
        );
        ErrorPage::from(page.offer(Offer::Link {
            href: format!("/helpdesk/pending/{id}"),
            text: "Look at the edit again".to_owned(),
        }))
    };
    match job.finished() {
        None if was_sent => Ok(see_other(&format!("/helpdesk/previews/{}", job.id))),
        None => {
            let Some(edit) = find(visit, id).await? else {
                return Ok(missing(visit));
            };
            one(visit, &edit, PreviewState::Running(running(job)), None).await
        }
        Some(Finished::LookedAtPending(edit, state)) => one(visit, edit, state.clone(), None).await,
        Some(Finished::Saved(Saved::InForce { edit, .. })) => {
            let page = query_string("/helpdesk/history", &[("edit", edit)]);
            Ok(go_to(&page, visit.is_fragment))
        }
        Some(Finished::Saved(_)) => Ok(go_to("/helpdesk/pending", visit.is_fragment)),
        Some(Finished::Changed(effects)) => {
            let Some(edit) = find(visit, id).await? else {
                return Ok(missing(visit));
            };
            let message =
                "Nothing was approved: what it does is no longer what was shown. Look again.";
            let state = PreviewState::Ready(Box::new(effects.as_ref().clone().for_second_person()));
            let mut page = one(visit, &edit, state, Some(message.to_owned())).await?;
            if page.status() == StatusCode::OK {
                *page.status_mut() = StatusCode::CONFLICT;
            }
            Ok(page)
        }
        Some(Finished::Refused(404, _)) => Ok(missing(visit)),
        Some(Finished::Refused(status, sentences)) => {
            Ok(refused(*status, sentences).into_response())
        }
        Some(Finished::Conflicts(..)) => {
            let sentence = "Rows of this edit were changed since it was proposed, so it cannot be \
                            approved any more. Decline it, and let its author start anew.";
            Ok(refused(409, &[sentence.to_owned()]).into_response())
        }
        Some(Finished::Unavailable | Finished::Looked(_)) => Ok(visit.busy()),
    }
}

fn missing(visit: &Visit<'_>) -> Response {
    let frame = visit.frame.clone();
    frame.status(StatusCode::NOT_FOUND).into_response()
}

async fn find(visit: &Visit<'_>, id: &str) -> Result<Option<PendingEdit>, StoreError> {
    let edits = visit.bench.app.broker.pending_edits(true).await?;
    Ok(edits.into_iter().find(|edit| edit.id == id))
}

async fn one(
    visit: &Visit<'_>,
    edit: &PendingEdit,
    preview: PreviewState,
    message: Option<String>,
) -> Result<Response, StoreError> {
    let (app, staff) = (visit.bench.app, visit.bench.staff);
    let is_author = is_by(&edit.author, staff.signed_in.identity());
    let view = PendingOneView::new(PendingOneInput {
        layout: visit.frame.0.clone(),
        desk: desk(app, staff, Section::Pending).await?,
        edit,
        preview,
        may_not: may_not(&visit.bench, edit, is_author),
        is_author,
        message,
        now: visit.bench.now,
    });
    Ok(render(&view, &visit.frame))
}

/// Why somebody cannot be the second person, as far as a page can tell; the broker decides.
fn may_not(bench: &Bench<'_>, edit: &PendingEdit, is_author: bool) -> Option<String> {
    let authority = &bench.staff.authority;
    if edit.state != PendingState::Waiting {
        return None;
    }
    if is_author {
        let sentence = "You proposed this, so somebody else has to approve it.";
        return Some(sentence.to_owned());
    }
    if authority.helpdesk.is_empty() && !authority.is_admin {
        let sentence = "You may read this and not approve it: that takes somebody of the helpdesk or \
                        an admin.";
        return Some(sentence.to_owned());
    }
    let rows = edit.changes.iter().filter_map(|change| {
        let now = change.row().and_then(|name| bench.tables.row(&name));
        row_of(change).or(now)
    });
    let mut out_of_reach = rows.filter(|row| !authority.may_edit(row, &bench.policy));
    let row = out_of_reach.next()?;
    Some(format!(
        "You may read this and not approve it: {} is not yours to edit.",
        wording::row_title(&row, &bench.policy)
    ))
}

fn is_by(actor: &Actor, identity: &Identity) -> bool {
    let Actor::Person {
        connector, subject, ..
    } = actor
    else {
        return false;
    };
    connector == identity.connector.as_str() && subject.as_deref() == Some(&identity.subject)
}

#[derive(Debug, Deserialize)]
pub(in crate::web) struct ApproveForm {
    digest: String,
    #[serde(default)]
    effect: String,
}

/// `POST /helpdesk/pending/{id}/approve`
pub(in crate::web) async fn approve(
    State(app): State<App>,
    staff: Staff,
    Path(id): Path<String>,
    arrival: Arrival,
    CheckedForm(form): CheckedForm<ApproveForm>,
) -> Response {
    let frame = arrival.frame.clone();
    let answer = async {
        let visit = Visit::of(&app, &staff, &arrival).await?;
        let fields = vec![("effect".to_owned(), form.effect)];
        let wish = visit.wish(
            Purpose::Approve(id.clone()),
            fields,
            &MappingQuery::default(),
        );
        let mut approver = staff.signed_in.session.clone();
        let client = arrival.client(&app);
        let pending = id.clone();
        let job = app.previews.start(wish, |_| {
            let app = app.clone();
            async move {
                let broker = &app.broker;
                match broker
                    .approve_edit(&mut approver, &pending, &form.digest, &client)
                    .await
                {
                    Ok(saved) => Finished::Saved(saved),
                    Err(refused) => not_done(&app, refused, Vec::new()).await,
                }
            }
        });
        let Some(job) = job else {
            return Ok(visit.busy());
        };
        job.wait(std::time::Duration::from_millis(700)).await;
        self::answer(&visit, &job, &id, true).await
    };
    answer
        .await
        .unwrap_or_else(|error: StoreError| frame.store_unavailable(&error).into_response())
}

#[derive(Debug, Deserialize)]
pub(in crate::web) struct DeclineForm {
    #[serde(default)]
    note: String,
}

/// `POST /helpdesk/pending/{id}/decline`: also how an author takes an edit back.
pub(in crate::web) async fn decline(
    State(app): State<App>,
    staff: Staff,
    Path(id): Path<String>,
    arrival: Arrival,
    CheckedForm(form): CheckedForm<DeclineForm>,
) -> Response {
    let note = form.note.trim().to_owned();
    let mut person = staff.signed_in.session.clone();
    let client = arrival.client(&app);
    let frame = Frame(layout(&arrival.frame, &staff.signed_in));
    if note.chars().count() > 500 {
        let message = "The note has more than 500 characters.";
        return frame.bad_input(message).into_response();
    }
    let broker = Arc::clone(&app.broker);
    let pending = id.clone();
    let declined = super::super::in_own_task(async move {
        let note = Some(note.as_str()).filter(|note| !note.is_empty());
        broker
            .decline_edit(&mut person, &pending, note, &client)
            .await
    });
    match declined.await {
        Some(Ok(())) => {
            let edits = app.broker.pending_edits(true).await.unwrap_or_default();
            let identity = staff.signed_in.identity();
            let is_author = edits
                .iter()
                .any(|edit| edit.id == id && is_by(&edit.author, identity));
            see_other(if is_author {
                "/helpdesk/pending?done=withdrawn"
            } else {
                "/helpdesk/pending?done=declined"
            })
        }
        Some(Err(EditRefused::StoreUnavailable(error))) => {
            frame.store_unavailable(&error).into_response()
        }
        Some(Err(refused)) => {
            let (status, sentences) = in_words(&refused);
            let page = ErrorView::new(frame.0, status, "That was not done", &sentences.join(" "));
            ErrorPage::from(page).into_response()
        }
        None => frame
            .status(StatusCode::INTERNAL_SERVER_ERROR)
            .into_response(),
    }
}
