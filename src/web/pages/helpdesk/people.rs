//! `/helpdesk/people`: who there is, what they may open and why, and their picker to look at.

use axum::{
    extract::{Path, Query, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use time::OffsetDateTime;

use super::{
    super::{
        super::{
            App,
            error::Frame,
            staff::Staff,
            views::{
                helpdesk::{
                    Section,
                    explanation::ExplanationPart,
                    people::{
                        NobodyView, PeopleView, PersonInput, PersonRow, PersonView, Question,
                        person_href,
                    },
                },
                picker::{PickerInput, PickerView, ViewAs},
                query_string,
            },
        },
        Arrival, audit, connector_label, layout, picker, render,
    },
    desk,
};
use crate::{
    access::{ConnectorId, Policy, TargetArn},
    broker::{Asker, ExplainRefused, Found, FoundPerson, PersonRecord, StoreError},
};

/// The longest text that is looked for, in characters.
const LONGEST_SEARCH: usize = 200;
/// How many roles an account's name may mean before one has to be named.
const MOST_CHOICES: usize = 100;
/// How much of what was opened is shown.
const MOST_OPENED: usize = 20;

#[derive(Debug, Default, Deserialize)]
pub(in crate::web) struct SearchQuery {
    #[serde(default)]
    pub(super) q: String,
}

impl SearchQuery {
    /// What is looked for; none for nothing.
    pub(super) fn text(&self) -> Option<String> {
        let text: String = self.q.trim().chars().take(LONGEST_SEARCH).collect();
        (!text.is_empty()).then_some(text)
    }
}

/// `GET /helpdesk/people?q=`
pub(in crate::web) async fn search(
    State(app): State<App>,
    staff: Staff,
    Query(query): Query<SearchQuery>,
    frame: Frame,
) -> Response {
    let page = async {
        let found = match query.text() {
            Some(text) => Some(app.broker.find_people(&text).await?),
            None => None,
        };
        let (found, missing) = found.map_or((None, Vec::new()), |Found { items, missing }| {
            (Some(items), missing)
        });
        let view = PeopleView {
            layout: layout(&frame, &staff.signed_in),
            desk: desk(&app, &staff, Section::People).await?,
            query: query.text().unwrap_or_default(),
            found: found.map(|people| people.iter().map(|one| person_row(&app, one)).collect()),
            missing,
        };
        Ok::<_, StoreError>(render(&view, &frame))
    };
    page.await
        .unwrap_or_else(|error| frame.clone().store_unavailable(&error).into_response())
}

/// A person in a list.
pub(super) fn person_row(app: &App, person: &FoundPerson) -> PersonRow {
    let label = |connector: &ConnectorId| connector_label(app, connector).to_owned();
    PersonRow::new(person, label, app.broker.now())
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::web) struct WhyQuery {
    role: String,
    at: String,
}

/// `GET /helpdesk/people/{connector}/{subject}?role=&at=`
pub(in crate::web) async fn show(
    State(app): State<App>,
    staff: Staff,
    Path((connector, subject)): Path<(String, String)>,
    Query(query): Query<WhyQuery>,
    arrival: Arrival,
) -> Response {
    let frame = arrival.frame.clone();
    let page = async {
        match find(&app, &connector, &subject).await? {
            Ok(person) => page(&app, &staff, (&person, &query), &arrival).await,
            Err(missing) => nobody(&app, &staff, &frame, missing).await,
        }
    };
    page.await
        .unwrap_or_else(|error| frame.clone().store_unavailable(&error).into_response())
}

/// The person of that stable id, or of that user name; else what could not be asked.
async fn find(
    app: &App,
    connector: &str,
    name: &str,
) -> Result<Result<PersonRecord, Vec<String>>, StoreError> {
    let Ok(connector) = connector.parse::<ConnectorId>() else {
        return Ok(Err(Vec::new()));
    };
    let found = app.broker.person(Some(&connector), name).await?;
    let mut people = found.items;
    people.retain(|person| person.identity.connector == connector);
    // Somebody else's user name may be spelled like a stable id; the id decides.
    let place = people
        .iter()
        .position(|person| person.identity.subject == name)
        .or_else(|| {
            people
                .iter()
                .position(|person| person.identity.username == name)
        });
    Ok(place
        .map(|place| people.swap_remove(place))
        .ok_or(found.missing))
}

async fn nobody(
    app: &App,
    staff: &Staff,
    frame: &Frame,
    missing: Vec<String>,
) -> Result<Response, StoreError> {
    let view = NobodyView {
        layout: layout(frame, &staff.signed_in),
        desk: desk(app, staff, Section::People).await?,
        title: "Nobody is known by that id".to_owned(),
        missing,
        back: ("/helpdesk/people", "Look for somebody"),
    };
    Ok((StatusCode::NOT_FOUND, render(&view, frame)).into_response())
}

async fn page(
    app: &App,
    staff: &Staff,
    (person, query): (&PersonRecord, &WhyQuery),
    arrival: &Arrival,
) -> Result<Response, StoreError> {
    let identity = &person.identity;
    let policy = app.broker.policy().await?;
    let now = app.broker.now();
    let (question, explanation) = answer(app, staff, (person, query), (arrival, &policy)).await?;
    let mut opened = app.broker.role_sessions(identity).await?;
    opened.truncate(MOST_OPENED);
    let refused = app.broker.refusals_of(identity).await?;
    let desk = desk(app, staff, Section::People).await?;
    let entitlements = policy.entitlements(identity, now);
    let view = PersonView::new(PersonInput {
        layout: layout(&arrival.frame, &staff.signed_in),
        desk,
        person,
        connector: connector_label(app, &identity.connector).to_owned(),
        entitlements: &entitlements,
        opened: &opened,
        refused: &refused,
        account_name: &|arn| audit::account_name(&policy, arn),
        question,
        explanation,
        may_read_audit: staff.authority.may_read_audit(),
        now,
    });
    Ok(render(&view, &arrival.frame))
}

/// The question as typed and its answer, where it could be read.
async fn answer(
    app: &App,
    staff: &Staff,
    (person, query): (&PersonRecord, &WhyQuery),
    (arrival, policy): (&Arrival, &Policy),
) -> Result<(Question, Option<ExplanationPart>), StoreError> {
    let text = query.role.trim();
    let mut question = Question {
        role: text.to_owned(),
        at: query.at.trim().to_owned(),
        ..Question::default()
    };
    if text.is_empty() {
        return Ok((question, None));
    }
    let at = match audit::moment(&question.at) {
        Ok(at) => at,
        Err(problem) => {
            question.problem = Some(problem);
            return Ok((question, None));
        }
    };
    let mut roles = match app.broker.roles_meant(text).await {
        Ok(roles) => roles,
        Err(ExplainRefused::UnknownRole(problem)) => {
            question.problem = Some(problem);
            return Ok((question, None));
        }
        Err(ExplainRefused::StoreUnavailable(error)) => return Err(error),
    };
    if roles.len() > 1 {
        question.choices = choices(person, policy, (&roles, &question.at));
        return Ok((question, None));
    }
    let Some(role) = roles.pop() else {
        question.problem = Some(format!("The account {text} has no role here yet."));
        return Ok((question, None));
    };
    let asked = ask(app, staff, (person, &role, at), arrival).await;
    match asked {
        Ok(explanation) => {
            let part = ExplanationPart::new(
                &explanation,
                person.identity.display(),
                (&staff.authority, policy),
                (app.broker.now(), at.is_some()),
            );
            Ok((question, Some(part)))
        }
        Err(ExplainRefused::UnknownRole(problem)) => {
            question.problem = Some(problem);
            Ok((question, None))
        }
        Err(ExplainRefused::StoreUnavailable(error)) => Err(error),
    }
}

async fn ask(
    app: &App,
    staff: &Staff,
    (person, role, at): (&PersonRecord, &TargetArn, Option<OffsetDateTime>),
    arrival: &Arrival,
) -> Result<crate::access::explain::Explanation, ExplainRefused> {
    let client = arrival.client(app);
    let actor = staff.signed_in.actor();
    let asker = Asker {
        actor: &actor,
        client: Some(&client),
    };
    match at {
        Some(at) => app.broker.explain_at(person, role, at, &asker).await,
        None => app.broker.explain(person, role, &asker).await,
    }
}

/// The roles that a text may mean: address, role, account.
fn choices(
    person: &PersonRecord,
    policy: &Policy,
    (roles, at): (&[TargetArn], &str),
) -> Vec<(String, String, String)> {
    let href = person_href(person);
    let choice = |role: &TargetArn| {
        let pairs = [("role", role.as_str()), ("at", at)];
        let account = audit::account_name(policy, role.as_str());
        (query_string(&href, &pairs), role.name().to_owned(), account)
    };
    roles.iter().take(MOST_CHOICES).map(choice).collect()
}

/// `GET /helpdesk/people/{connector}/{subject}/picker`: what the person sees; opens nothing.
pub(in crate::web) async fn view_as(
    State(app): State<App>,
    staff: Staff,
    Path((connector, subject)): Path<(String, String)>,
    Query(query): Query<picker::PickerQuery>,
    arrival: Arrival,
) -> Response {
    let frame = arrival.frame.clone();
    let page = async {
        match find(&app, &connector, &subject).await? {
            Ok(person) => picker_page(&app, &staff, (&person, &query), &arrival).await,
            Err(missing) => nobody(&app, &staff, &frame, missing).await,
        }
    };
    page.await
        .unwrap_or_else(|error| frame.clone().store_unavailable(&error).into_response())
}

async fn picker_page(
    app: &App,
    staff: &Staff,
    (person, query): (&PersonRecord, &picker::PickerQuery),
    arrival: &Arrival,
) -> Result<Response, StoreError> {
    let identity = &person.identity;
    let reader = staff.signed_in.identity();
    app.broker
        .note_view_as(reader, identity, &arrival.client(app))
        .await?;
    let state = app.broker.picker(identity).await?;
    let now = app.broker.now();
    let entitlements = state.policy.entitlements(identity, now);
    let href = person_href(person);
    let open = picker::open_sessions(&state);
    let misses = picker::misses(app, identity, &state.policy, &entitlements).await?;
    let view = PickerView::new(PickerInput {
        layout: layout(&arrival.frame, &staff.signed_in),
        entitlements: &entitlements,
        favourites: &state.preferences.favourites,
        recents: &state.preferences.recents,
        open: &open,
        warnings: &[],
        groups: &identity.groups,
        groups_read_at: identity.groups_read_at,
        provider: connector_label(app, &identity.connector),
        now,
        query: query.words(),
        pasted: None,
        from: query.place(),
        misses: &misses,
        view_as: Some(ViewAs {
            name: identity.display().to_owned(),
            href,
        }),
    });
    Ok(render(&view, &arrival.frame))
}
