//! `/helpdesk/confirm`: an edit of any rows, shown with what it does, and saved as shown.
//!
//! The form carries the changes themselves. Whoever alters them on the way gains nothing: the broker
//! asks the author's authority and works out the effects anew for whatever arrives, and saves only
//! what has the digest that was shown. Entry point: [`show`].

use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::Deserialize;

use super::{
    super::{
        super::{
            App,
            csrf::CheckedForm,
            staff::Staff,
            views::helpdesk::{
                Section,
                confirm::{ConfirmInput, ConfirmView},
            },
        },
        Arrival, layout, login, render, see_other,
    },
    desk,
};
use crate::{
    access::{Change, RowName},
    broker::{EditDraft, EditPreview, EditRefused, Progress, Saved, StoreError},
};

/// The longest reason, in characters.
const LONGEST_REASON: usize = 500;

/// Shows what `draft` does, with a button that saves it; `back` is where the person came from.
pub(in crate::web) async fn show(
    app: &App,
    mut staff: Staff,
    arrival: &Arrival,
    draft: &EditDraft,
    back: &str,
) -> Response {
    let client = arrival.client(app);
    let author = &mut staff.signed_in.session;
    let progress = Progress::default();
    let preview = app.broker.preview_edit(author, draft, &progress, &client);
    match preview.await {
        Ok(preview) => page(app, &staff, arrival, (draft, back), Ok(&preview)).await,
        Err(refused) => page(app, &staff, arrival, (draft, back), Err(&refused)).await,
    }
}

#[derive(Debug, Deserialize)]
pub(in crate::web) struct ConfirmForm {
    changes: String,
    seen: String,
    digest: String,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    back: String,
}

/// `POST /helpdesk/confirm`: saves what was shown.
pub(in crate::web) async fn save(
    State(app): State<App>,
    mut staff: Staff,
    arrival: Arrival,
    CheckedForm(form): CheckedForm<ConfirmForm>,
) -> Response {
    let changes = serde_json::from_str::<Vec<Change>>(&form.changes);
    let seen = serde_json::from_str::<Vec<(RowName, Option<String>)>>(&form.seen);
    let (Ok(changes), Ok(seen)) = (changes, seen) else {
        let frame = arrival.frame.clone();
        return frame
            .bad_input("The form does not say what to change.")
            .into_response();
    };
    let reason: String = form.reason.trim().chars().take(LONGEST_REASON).collect();
    let draft = EditDraft {
        changes,
        seen,
        reason: (!reason.is_empty()).then_some(reason),
        undoes: None,
    };
    let back = login::local_path(&app, &form.back);
    let client = arrival.client(&app);
    let author = &mut staff.signed_in.session;
    let saved = app.broker.save_edit(author, &draft, &form.digest, &client);
    match saved.await {
        Ok(Saved::InForce { .. } | Saved::Unchanged) => see_other(&back),
        Ok(Saved::Waits { pending }) => see_other(&format!("/helpdesk/pending/{pending}")),
        Err(refused) => page(&app, &staff, &arrival, (&draft, &back), Err(&refused)).await,
    }
}

async fn page(
    app: &App,
    staff: &Staff,
    arrival: &Arrival,
    (draft, back): (&EditDraft, &str),
    preview: Result<&EditPreview, &EditRefused>,
) -> Response {
    let frame = arrival.frame.clone();
    let (status, problems, preview) = match preview {
        Ok(preview) => (StatusCode::OK, Vec::new(), Some(preview)),
        Err(EditRefused::StoreUnavailable(error)) => {
            return frame.store_unavailable(error).into_response();
        }
        Err(refused) => {
            let (status, problems) = in_words(refused);
            let now = match refused {
                EditRefused::PreviewChanged(now) => Some(now.as_ref()),
                _ => None,
            };
            (status, problems, now)
        }
    };
    let page = async {
        let policy = app.broker.policy().await?;
        let digest = preview.map(|preview| preview.digest.clone());
        let input = ConfirmInput {
            layout: layout(&arrival.frame, &staff.signed_in),
            desk: desk(app, staff, section(draft)).await?,
            problems,
            reason: draft.reason.clone().unwrap_or_default(),
            hidden: hidden(draft, back, digest),
            back: back.to_owned(),
        };
        let view = ConfirmView::new(input, preview, &policy);
        Ok::<_, StoreError>((status, render(&view, &arrival.frame)).into_response())
    };
    page.await
        .unwrap_or_else(|error| frame.store_unavailable(&error).into_response())
}

fn section(draft: &EditDraft) -> Section {
    match draft.changes.first() {
        Some(
            Change::PutAccount(_)
            | Change::RemoveAccount(_)
            | Change::PutRole(_)
            | Change::RemoveRole(_),
        ) => Section::Roles,
        _ => Section::Reviews,
    }
}

fn hidden(draft: &EditDraft, back: &str, digest: Option<String>) -> Vec<(&'static str, String)> {
    vec![
        (
            "changes",
            serde_json::to_string(&draft.changes).unwrap_or_default(),
        ),
        (
            "seen",
            serde_json::to_string(&draft.seen).unwrap_or_default(),
        ),
        ("digest", digest.unwrap_or_default()),
        ("back", back.to_owned()),
    ]
}

/// A refusal in sentences, with the status of its page.
pub(super) fn in_words(refused: &EditRefused) -> (StatusCode, Vec<String>) {
    let one = |status, sentence: &str| (status, vec![sentence.to_owned()]);
    match refused {
        EditRefused::NotAllowed(why) | EditRefused::NotSecondPerson(why) => {
            one(StatusCode::FORBIDDEN, why)
        }
        EditRefused::Conflicts(_) => one(
            StatusCode::CONFLICT,
            "It was changed meanwhile, so nothing was overwritten. Go back, look at how it is now, \
             and make your change again.",
        ),
        EditRefused::Problems(problems) => (StatusCode::UNPROCESSABLE_ENTITY, problems.clone()),
        EditRefused::PreviewChanged(_) => one(
            StatusCode::CONFLICT,
            "Meanwhile it would do something else than was shown. Look again before you save.",
        ),
        EditRefused::NotFound(what) => {
            let sentence = format!("There is no {what} any more.");
            (StatusCode::NOT_FOUND, vec![sentence])
        }
        EditRefused::AlreadyDecided => one(StatusCode::CONFLICT, "Somebody has decided meanwhile."),
        EditRefused::StoreUnavailable(_) => one(
            StatusCode::SERVICE_UNAVAILABLE,
            "Rolegate cannot keep its records now, so nothing was saved.",
        ),
    }
}
