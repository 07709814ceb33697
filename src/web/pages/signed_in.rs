//! `/signed-in`: from a provider's answer to the role that the person had asked for.
//!
//! A deep link asks for a click when another site started the navigation
//! ([`is_from_elsewhere`](super::super::headers::is_from_elsewhere)), and browsers call a chain of
//! redirects that began with the provider's form just that. The click was there already: the person
//! opened the link before signing in. So this page goes on by a navigation of its own. It must not
//! become a way around the click for links from elsewhere: it does so once, and only to the place
//! whose hash is in a cookie that the provider's answer has just set.

use aws_lc_rs::digest::{SHA256, digest};
use axum::{
    extract::{Query, State},
    http::{HeaderMap, header},
    response::Response,
};
use serde::Deserialize;

use super::{
    super::{
        App, cookies,
        error::Frame,
        session::SignedIn,
        views::{query_string, signed_in::SignedInView},
    },
    layout,
    login::{asking_first, local_path, opens_at_once},
    render, see_other,
};

/// How long the way from the answer to this page may take.
const ONWARD_SECONDS: u64 = 60;

/// 303 to where the person wanted to go when they began to sign in at a provider.
pub(super) fn to(app: &App, next: &str) -> Response {
    let next = local_path(app, next);
    if !opens_at_once(&next) {
        return see_other(&next);
    }
    let mut response = see_other(&query_string("/signed-in", &[("next", &next)]));
    set_onward(app, &mut response, &onward(&next), ONWARD_SECONDS);
    response
}

#[derive(Debug, Default, Deserialize)]
pub(in crate::web) struct OnwardQuery {
    #[serde(default)]
    next: String,
}

/// `GET /signed-in`.
pub(in crate::web) async fn go_on(
    State(app): State<App>,
    signed_in: SignedIn,
    Query(query): Query<OnwardQuery>,
    frame: Frame,
    headers: HeaderMap,
) -> Response {
    let next = local_path(&app, &query.next);
    let marker = cookies::find(&headers, cookies::ONWARD, app.settings.is_secure);
    let mut response = if marker == Some(&onward(&next)) {
        let frame = Frame(layout(&frame, &signed_in));
        render(&SignedInView::new(frame.0.clone(), next), &frame)
    } else {
        see_other(&asking_first(next))
    };
    set_onward(&app, &mut response, "", 0);
    response
}

fn set_onward(app: &App, response: &mut Response, value: &str, seconds: u64) {
    let is_secure = app.settings.is_secure;
    if let Some(cookie) = cookies::set(cookies::ONWARD, value, seconds, is_secure) {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
}

fn onward(next: &str) -> String {
    hex::encode(digest(&SHA256, next.as_bytes()))
}
