//! `/helpdesk/reviews`: access reviews with their sign-off, and who can open what as a file.

use axum::{
    extract::{Path, Query, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::{
    super::{
        super::{
            App,
            csrf::CheckedForm,
            error::Frame,
            staff::Staff,
            views::{
                Moment,
                helpdesk::{
                    Section, links,
                    mappings::MappingQuery,
                    people::NobodyView,
                    reviews::{ItemRow, NewReview, ReviewRow, ReviewView, ReviewsView},
                    wording,
                },
                words,
            },
        },
        Arrival, Nothing, audit, download, layout, render, see_other,
    },
    SavedQuery, desk,
    draft::in_words,
    fields::Fields,
    preview::{self, Visit},
    saved,
};
use crate::{
    access::{AccountId, Authority, GroupKey, MappingId, Policy, TargetArn},
    broker::{
        AccessReview, AccessRow, EditRefused, ReviewEnds, ReviewItem, ReviewScope, ReviewWish,
        ReviewWord, StoreError, csv,
    },
};

const CSV: &str = "text/csv; charset=utf-8";

/// `GET /helpdesk/reviews`
pub(in crate::web) async fn list(State(app): State<App>, staff: Staff, frame: Frame) -> Response {
    list_page(&app, &staff, NewReview::default(), &frame)
        .await
        .unwrap_or_else(|error| frame.clone().store_unavailable(&error).into_response())
}

async fn list_page(
    app: &App,
    staff: &Staff,
    new: NewReview,
    frame: &Frame,
) -> Result<Response, StoreError> {
    let now = app.broker.now();
    let reviews = app.broker.reviews().await?;
    let view = ReviewsView {
        layout: layout(frame, &staff.signed_in),
        desk: desk(app, staff, Section::Reviews).await?,
        reviews: reviews.iter().map(|review| row(review, now)).collect(),
        new,
    };
    Ok(render(&view, frame))
}

fn row(review: &AccessReview, now: OffsetDateTime) -> ReviewRow {
    ReviewRow {
        href: links::review(&review.id),
        name: review.name.clone(),
        scope: review.scope.clone(),
        by: words::actor(&review.created_by),
        began: Moment::relative(review.created_at, now),
        due: review.due_at.map(|at| Moment::relative(at, now)),
        closed: review.closed_at.map(|at| Moment::relative(at, now)),
        decided: format!("{} of {}", review.decided, review.items),
    }
}

#[derive(Debug, Deserialize)]
pub(in crate::web) struct NewReviewForm {
    name: String,
    #[serde(default)]
    scope: String,
    #[serde(default)]
    due: String,
}

/// `POST /helpdesk/reviews`: begins one.
pub(in crate::web) async fn start(
    State(app): State<App>,
    mut staff: Staff,
    arrival: Arrival,
    CheckedForm(form): CheckedForm<NewReviewForm>,
) -> Response {
    let page = async {
        let wish = match wish(&app, &form).await? {
            Ok(wish) => wish,
            Err(problem) => return again(&app, &staff, (&form, problem), &arrival).await,
        };
        let client = arrival.client(&app);
        let starter = &mut staff.signed_in.session;
        match app.broker.start_review(starter, &wish, &client).await {
            Ok(id) => Ok(see_other(&links::review(&id))),
            Err(EditRefused::StoreUnavailable(error)) => Err(error),
            Err(refused) => again(&app, &staff, (&form, problem(&refused)), &arrival).await,
        }
    };
    let frame = arrival.frame.clone();
    page.await
        .unwrap_or_else(|error| frame.store_unavailable(&error).into_response())
}

async fn again(
    app: &App,
    staff: &Staff,
    (form, problem): (&NewReviewForm, String),
    arrival: &Arrival,
) -> Result<Response, StoreError> {
    let new = NewReview {
        name: form.name.clone(),
        scope: form.scope.clone(),
        due: form.due.clone(),
        problem: Some(problem),
    };
    let page = list_page(app, staff, new, &arrival.frame).await?;
    Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response())
}

/// A refusal in one paragraph.
fn problem(refused: &EditRefused) -> String {
    in_words(refused).1.join(" ")
}

async fn wish(app: &App, form: &NewReviewForm) -> Result<Result<ReviewWish, String>, StoreError> {
    let scope = match scope(app, form.scope.trim()).await? {
        Ok(scope) => scope,
        Err(problem) => return Ok(Err(problem)),
    };
    let due_at = match audit::moment(form.due.trim()) {
        Ok(due_at) => due_at,
        Err(problem) => return Ok(Err(problem)),
    };
    Ok(Ok(ReviewWish {
        name: form.name.trim().to_owned(),
        scope,
        due_at,
    }))
}

/// What a text limits to: an account, a role, a group; everything where it is empty.
async fn scope(app: &App, text: &str) -> Result<Result<ReviewScope, String>, StoreError> {
    if text.is_empty() {
        return Ok(Ok(ReviewScope::All));
    }
    let tables = app.broker.tables().await?;
    let policy = app.broker.policy().await?;
    let is_called = |name: &str| name.eq_ignore_ascii_case(text);
    let account = tables.accounts.iter().find(|account| {
        is_called(account.id.as_str())
            || is_called(&account.name)
            || account.alias.as_deref().is_some_and(is_called)
    });
    if let Some(account) = account {
        return Ok(Ok(ReviewScope::Account(account.id.clone())));
    }
    if let Ok(arn) = text.parse::<TargetArn>() {
        return Ok(Ok(ReviewScope::Role(arn)));
    }
    let named = text.split_once('/').and_then(|(account, role)| {
        let id = account.parse::<AccountId>().ok().or_else(|| {
            let mut accounts = tables.accounts.iter();
            let found = accounts.find(|found| found.name.eq_ignore_ascii_case(account));
            found.map(|found| found.id.clone())
        })?;
        policy.role_named(&id, role).cloned()
    });
    if let Some(arn) = named {
        return Ok(Ok(ReviewScope::Role(arn)));
    }
    let mut groups = tables.mappings.iter().map(|mapping| &mapping.group);
    if let Some(group) = groups.find(|group| is_called(group.as_str())) {
        return Ok(Ok(ReviewScope::Group(group.clone())));
    }
    if let Ok(id) = text.parse::<AccountId>() {
        return Ok(Ok(ReviewScope::Account(id)));
    }
    Ok(Err(format!(
        "{text} is no account, role or group with a mapping here. Write an account's id or name, \
         account/role, an ARN, or connector:name."
    )))
}

/// `GET /helpdesk/reviews/{id}`, or `{id}.csv`
pub(in crate::web) async fn show(
    State(app): State<App>,
    staff: Staff,
    Path(id): Path<String>,
    Query(query): Query<SavedQuery>,
    arrival: Arrival,
) -> Response {
    let frame = arrival.frame.clone();
    let page = async {
        match id.strip_suffix(".csv") {
            Some(id) => file(&app, &staff, id, &arrival).await,
            None => page(&app, &staff, (&id, None, &query.saved), &frame).await,
        }
    };
    page.await
        .unwrap_or_else(|error| frame.clone().store_unavailable(&error).into_response())
}

async fn page(
    app: &App,
    staff: &Staff,
    (id, problem, edit): (&str, Option<String>, &str),
    frame: &Frame,
) -> Result<Response, StoreError> {
    let Some((review, items)) = app.broker.review(id).await? else {
        return unknown(app, staff, frame).await;
    };
    let policy = app.broker.policy().await?;
    let now = app.broker.now();
    let is_open = review.closed_at.is_none();
    let ends = if is_open {
        ReviewEnds::default()
    } else {
        match app.broker.review_ends(id).await {
            Ok(ends) => ends,
            Err(EditRefused::StoreUnavailable(error)) => return Err(error),
            Err(_) => ReviewEnds::default(),
        }
    };
    let view = ReviewView {
        layout: layout(frame, &staff.signed_in),
        desk: desk(app, staff, Section::Reviews).await?,
        id: links::segment(id),
        review: row(&review, now),
        items: items
            .iter()
            .map(|item| ItemRow {
                may_decide: is_open && may_decide(&staff.authority, item, &policy),
                ..item_row(item, &policy, now)
            })
            .collect(),
        problem,
        is_open,
        to_end: ends.draft.changes.len(),
        in_file: ends.in_file.iter().map(ToString::to_string).collect(),
        saved: saved(app, staff, edit).await?,
    };
    Ok(render(&view, frame))
}

async fn unknown(app: &App, staff: &Staff, frame: &Frame) -> Result<Response, StoreError> {
    let view = NobodyView {
        layout: layout(frame, &staff.signed_in),
        desk: desk(app, staff, Section::Reviews).await?,
        title: "There is no such review".to_owned(),
        missing: Vec::new(),
        back: ("/helpdesk/reviews", "Show the reviews"),
    };
    Ok((StatusCode::NOT_FOUND, render(&view, frame)).into_response())
}

/// Whether somebody decides on a row, as far as a page can tell; the broker asks again.
fn may_decide(authority: &Authority, item: &ReviewItem, policy: &Policy) -> bool {
    if item.group.starts_with('^') {
        return authority.is_admin;
    }
    let role = item.role.parse::<TargetArn>();
    role.is_ok_and(|role| authority.may_edit_mappings_of(&role, policy.account(&role.account())))
}

fn item_row(item: &ReviewItem, policy: &Policy, now: OffsetDateTime) -> ItemRow {
    let arn = item.role.parse::<TargetArn>().ok();
    let is_rule = item.group.starts_with('^');
    let who = item.decided_by.as_ref().map(words::actor);
    let note = item.note.as_deref().unwrap_or_default();
    ItemRow {
        id: item.row.to_string(),
        href: if is_rule {
            links::rule(&item.row)
        } else {
            links::mapping(&item.row)
        },
        kind: if is_rule { "Rule" } else { "Mapping" },
        group: if is_rule {
            item.group.clone()
        } else {
            let key = GroupKey::from_stored(item.group.clone());
            wording::group_name(key.as_str()).to_owned()
        },
        role: arn
            .as_ref()
            .map_or_else(|| item.role.clone(), |arn| arn.name().to_owned()),
        account: arn
            .as_ref()
            .map(|arn| audit::account_name(policy, arn.as_str()))
            .unwrap_or_default(),
        arn: arn.map(|arn| arn.to_string()).unwrap_or_default(),
        people: item.people,
        decision: decision(item),
        may_decide: false,
        decider: if is_rule {
            "an admin"
        } else {
            "the helpdesk that covers it"
        },
        said: match (who, note) {
            (Some(who), "") => format!("by {who}"),
            (Some(who), note) => format!("by {who}: {note}"),
            (None, note) => note.to_owned(),
        },
        at: item.decided_at.map(|at| Moment::relative(at, now)),
    }
}

fn decision(item: &ReviewItem) -> &'static str {
    match item.keep {
        Some(true) => "keep",
        Some(false) => "end",
        None => "",
    }
}

/// `POST /helpdesk/reviews/{id}/decide`: `row` (several), `rest`, `decision`, `note`.
pub(in crate::web) async fn decide(
    State(app): State<App>,
    mut staff: Staff,
    Path(id): Path<String>,
    arrival: Arrival,
    CheckedForm(form): CheckedForm<Vec<(String, String)>>,
) -> Response {
    let frame = arrival.frame.clone();
    let one = |name: &str| {
        let found = form.iter().find(|(other, _)| other == name);
        found.map_or("", |(_, value)| value.trim())
    };
    let keep = match one("decision") {
        "keep" => true,
        "end" => false,
        _ => {
            return frame
                .bad_input("Say whether to keep or to end.")
                .into_response();
        }
    };
    let chosen = form.iter().filter(|(name, _)| name == "row");
    let mut rows: Vec<MappingId> = chosen.map(|(_, id)| MappingId(id.clone())).collect();
    let page = async {
        if !one("rest").is_empty()
            && let Some((_, items)) = app.broker.review(&id).await?
        {
            let policy = app.broker.policy().await?;
            let open = items
                .into_iter()
                .filter(|item| item.keep.is_none() && may_decide(&staff.authority, item, &policy));
            rows.extend(open.map(|item| item.row));
            rows.sort();
            rows.dedup();
        }
        if rows.is_empty() {
            let problem = Some("Choose at least one row that is yours to decide.".to_owned());
            return page(&app, &staff, (&id, problem, ""), &frame)
                .await
                .map(rejected);
        }
        let word = ReviewWord {
            rows: &rows,
            keep,
            note: Some(one("note")).filter(|note| !note.is_empty()),
        };
        let client = arrival.client(&app);
        let reviewer = &mut staff.signed_in.session;
        match app
            .broker
            .decide_review(reviewer, &id, &word, &client)
            .await
        {
            Ok(()) => Ok(see_other(&links::review(&id))),
            Err(refused) => refused_page(&app, &staff, (&id, refused), &frame).await,
        }
    };
    page.await
        .unwrap_or_else(|error| frame.clone().store_unavailable(&error).into_response())
}

fn rejected(page: Response) -> Response {
    (StatusCode::UNPROCESSABLE_ENTITY, page).into_response()
}

async fn refused_page(
    app: &App,
    staff: &Staff,
    (id, refused): (&str, EditRefused),
    frame: &Frame,
) -> Result<Response, StoreError> {
    if let EditRefused::StoreUnavailable(error) = refused {
        return Err(error);
    }
    let (status, sentences) = in_words(&refused);
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::UNPROCESSABLE_ENTITY);
    let page = page(app, staff, (id, Some(sentences.join(" ")), ""), frame).await?;
    Ok((status, page).into_response())
}

/// `POST /helpdesk/reviews/{id}/close`: signs it off.
pub(in crate::web) async fn close(
    State(app): State<App>,
    mut staff: Staff,
    Path(id): Path<String>,
    arrival: Arrival,
    CheckedForm(Nothing {}): CheckedForm<Nothing>,
) -> Response {
    let frame = arrival.frame.clone();
    let client = arrival.client(&app);
    let closer = &mut staff.signed_in.session;
    let page = match app.broker.close_review(closer, &id, &client).await {
        Ok(_) => Ok(see_other(&links::review(&id))),
        Err(refused) => refused_page(&app, &staff, (&id, refused), &frame).await,
    };
    page.unwrap_or_else(|error| frame.store_unavailable(&error).into_response())
}

/// `POST /helpdesk/reviews/{id}/end`: shows what ending does that was decided on.
pub(in crate::web) async fn end(
    State(app): State<App>,
    staff: Staff,
    Path(id): Path<String>,
    arrival: Arrival,
    CheckedForm(Nothing {}): CheckedForm<Nothing>,
) -> Response {
    let frame = arrival.frame.clone();
    let fields = Fields::of(&[("edit", "review"), ("review", &id)]);
    let answer = async {
        let visit = Visit::of(&app, &staff, &arrival).await?;
        preview::look_at(&visit, fields, &MappingQuery::default(), &arrival).await
    };
    answer
        .await
        .unwrap_or_else(|error: StoreError| frame.store_unavailable(&error).into_response())
}

/// A review's rows as a file.
async fn file(
    app: &App,
    staff: &Staff,
    id: &str,
    arrival: &Arrival,
) -> Result<Response, StoreError> {
    let Some((review, items)) = app.broker.review(id).await? else {
        return unknown(app, staff, &arrival.frame).await;
    };
    note(app, staff, ("review.csv", &review.id), arrival).await?;
    let mut text = csv::line([
        "row",
        "group",
        "role",
        "people",
        "decision",
        "note",
        "decided_by",
        "decided_at",
    ]);
    for item in &items {
        let by = item.decided_by.as_ref().map(words::actor);
        text += &csv::line([
            item.row.0.as_str(),
            &item.group,
            &item.role,
            &item.people.to_string(),
            decision(item),
            item.note.as_deref().unwrap_or_default(),
            &by.unwrap_or_default(),
            &item.decided_at.map(written).unwrap_or_default(),
        ]);
    }
    Ok(download(text, "review.csv", CSV))
}

fn written(at: OffsetDateTime) -> String {
    at.format(&Rfc3339).unwrap_or_default()
}

async fn note(
    app: &App,
    staff: &Staff,
    (what, narrowed_to): (&str, &str),
    arrival: &Arrival,
) -> Result<(), StoreError> {
    let reader = staff.signed_in.identity();
    let client = arrival.client(app);
    app.broker
        .note_export(reader, what, narrowed_to, &client)
        .await
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::web) struct WhoQuery {
    account: String,
    role: String,
    group: String,
}

/// `GET /helpdesk/who.csv?account=&role=&group=`: who can open what.
pub(in crate::web) async fn who(
    State(app): State<App>,
    staff: Staff,
    Query(query): Query<WhoQuery>,
    arrival: Arrival,
) -> Response {
    let frame = arrival.frame.clone();
    let texts = [&query.role, &query.account, &query.group];
    let text = texts.into_iter().find(|text| !text.trim().is_empty());
    let page = async {
        let scope = match scope(&app, text.map_or("", |text| text.trim())).await? {
            Ok(scope) => scope,
            Err(problem) => return Ok(frame.clone().bad_input(&problem).into_response()),
        };
        note(&app, &staff, ("who.csv", &scope.words()), &arrival).await?;
        let rows = app.broker.access_rows(&scope).await?;
        let mut text = csv::line(WHO);
        for row in &rows {
            text += &who_line(row);
        }
        Ok(download(text, "who.csv", CSV))
    };
    page.await
        .unwrap_or_else(|error: StoreError| frame.clone().store_unavailable(&error).into_response())
}

const WHO: [&str; 14] = [
    "connector",
    "username",
    "name",
    "email",
    "subject",
    "groups_as_of",
    "account",
    "account_name",
    "role",
    "row",
    "kind",
    "group",
    "ends",
    "protected",
];

fn who_line(row: &AccessRow) -> String {
    let optional = |text: &Option<String>| text.clone().unwrap_or_default();
    let group = row.group.as_ref().map(ToString::to_string);
    csv::line([
        row.connector.as_str(),
        &row.username,
        &optional(&row.display_name),
        &optional(&row.email),
        &row.subject,
        &written(row.groups_read_at),
        row.account.as_str(),
        &row.account_name,
        row.role.as_str(),
        &row.row.0,
        if row.is_rule { "rule" } else { "mapping" },
        &group.unwrap_or_default(),
        &row.conditions.expires.map(written).unwrap_or_default(),
        if row.is_protected { "yes" } else { "" },
    ])
}
