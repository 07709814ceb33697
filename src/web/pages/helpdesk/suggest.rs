//! `/helpdesk/suggest/…`: what a field offers while somebody types, as options of a list.

use axum::{
    extract::{Query, State},
    response::{IntoResponse, Response},
};
use serde::Deserialize;

use super::{
    super::{
        super::{
            App,
            error::Frame,
            staff::Staff,
            views::helpdesk::{edit::OptionsView, wording},
        },
        render,
    },
    draft::{Bench, mapping},
    people::SearchQuery,
};

/// How many suggestions are sent.
const SUGGESTIONS: usize = 20;

/// What was typed so far, named as the form's field is.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::web) struct Typed {
    group: String,
    role: String,
}

/// `GET /helpdesk/suggest/groups?group=`
pub(in crate::web) async fn groups(
    State(app): State<App>,
    _: Staff,
    Query(typed): Query<Typed>,
    frame: Frame,
) -> Response {
    // Behind the connector a name is searched for; a whole key is found by its first value.
    let text = wording::group_name(typed.group.trim()).to_owned();
    let Some(text) = (SearchQuery { q: text }).text() else {
        return options(Vec::new(), &frame);
    };
    match app.broker.find_groups(&text).await {
        Ok(found) => {
            let groups = found.items.into_iter().take(SUGGESTIONS);
            let offers = groups.map(|group| {
                let short = wording::short_name(&group.name).to_owned();
                (group.key.to_string(), short)
            });
            options(offers.collect(), &frame)
        }
        Err(error) => frame.store_unavailable(&error).into_response(),
    }
}

/// `GET /helpdesk/suggest/roles?role=`
pub(in crate::web) async fn roles(
    State(app): State<App>,
    staff: Staff,
    Query(typed): Query<Typed>,
    frame: Frame,
) -> Response {
    match Bench::of(&app, &staff).await {
        Ok(bench) => {
            let offers = mapping::role_offers(&bench, typed.role.trim()).into_iter();
            let offers = offers.map(|offer| (offer, String::new()));
            options(offers.take(SUGGESTIONS).collect(), &frame)
        }
        Err(error) => frame.store_unavailable(&error).into_response(),
    }
}

fn options(options: Vec<(String, String)>, frame: &Frame) -> Response {
    render(&OptionsView { options }, frame)
}
