//! What follows a save: the page to go to, or the rows that were changed meanwhile.

use axum::{http::StatusCode, response::Response};

use super::{
    super::{
        super::{
            preview_jobs::Wish,
            views::{
                helpdesk::{
                    Section,
                    conflict::{ConflictInput, ConflictView},
                    links, wording,
                },
                query_string,
            },
        },
        render,
    },
    desk,
    draft::rows::list_of,
    fields::Fields,
    preview::Visit,
};
use crate::{
    access::Change,
    broker::{Saved, StoreError},
};

/// Where a person goes once it is saved.
pub(super) fn after(wish: &Wish, saved: &Saved) -> String {
    let edit = match saved {
        Saved::Waits { pending } => return format!("/helpdesk/pending/{pending}"),
        Saved::InForce { edit, .. } => edit.as_str(),
        Saved::Unchanged => "unchanged",
    };
    let fields = Fields(wish.fields.clone());
    let kind = fields.one("edit");
    let saved = [("saved", edit)];
    match kind {
        "undo" | "import" if edit != "unchanged" => {
            query_string("/helpdesk/history", &[("edit", edit)])
        }
        "review" => query_string(&links::review(fields.one("review")), &saved),
        "account" | "role" => {
            // A new one is named by what was typed.
            let typed = ["row", "arn", "id"].map(|name| fields.one(name));
            let id = typed.into_iter().find(|id| !id.is_empty());
            let name = id.and_then(|id| wording::name_of_text(&format!("{kind}:{id}")));
            let page = name.map_or_else(|| "/helpdesk/roles".to_owned(), |name| links::row(&name));
            query_string(&page, &saved)
        }
        "rule" => query_string("/helpdesk/rules", &saved),
        _ => {
            let first = fields.all("row").find_map(wording::name_of_text);
            wish.query.link(list_of(first.as_ref()), &saved)
        }
    }
}

/// The page of rows that were changed meanwhile.
pub(super) async fn conflict(
    visit: &Visit<'_>,
    wish: &Wish,
    conflicts: &[crate::broker::Conflict],
    changes: &[Change],
) -> Result<Response, StoreError> {
    let bench = &visit.bench;
    let fields = Fields(wish.fields.clone());
    let now = |name| {
        let found = conflicts.iter().find(|conflict| conflict.name == name);
        found.map(|found| found.now.as_ref().map(crate::access::Row::revision))
    };
    let mut carried = fields.seen();
    // A new row that somebody else has added has not been seen by the form.
    for conflict in conflicts {
        if !carried.iter().any(|(name, _)| *name == conflict.name) {
            carried.push((conflict.name.clone(), None));
        }
    }
    let seen: Vec<_> = carried
        .into_iter()
        .map(|(name, revision)| {
            let revision = now(name.clone()).unwrap_or(revision);
            (name, revision)
        })
        .collect();
    let list = list_of(conflicts.first().map(|conflict| &conflict.name));
    let mut sections = Section::ALL.into_iter();
    let section = sections.find(|section| section.path() == list);
    let section = section.unwrap_or(Section::Mappings);
    let view = ConflictView::new(ConflictInput {
        layout: visit.frame.0.clone(),
        desk: desk(bench.app, bench.staff, section).await?,
        conflicts,
        changes,
        policy: &bench.policy,
        mine: (
            wish.query.link("/helpdesk/preview", &[]),
            fields.seeing(&seen),
        ),
        back: wish.query.link(list, &[]),
        now: bench.now,
    });
    let mut response = render(&view, &visit.frame);
    if response.status() == StatusCode::OK {
        *response.status_mut() = StatusCode::CONFLICT;
    }
    Ok(response)
}
