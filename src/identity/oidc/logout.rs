//! Signing out, in either direction.
//!
//! Never here: which sessions end. Entry points: [`departure`] for ours, [`read`] for the
//! provider's (OpenID Connect Back-Channel Logout 1.0).

use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use serde_json::Value;
use url::Url;

use super::{
    refusal::{Reason, Refused},
    settings::Settings,
    token::{Expected, LOGOUT_EVENT, Verified, check_subject},
};
use crate::{access::ProviderSession, identity::Logout};

/// How long a logout token is taken after it was made; their own end is about two minutes.
const LIFETIME: Duration = Duration::from_mins(10);
/// The types of a logout token; older providers write none or `JWT`.
pub(super) const TYPES: [&str; 2] = ["logout+jwt", "jwt"];

/// Where the browser goes to be signed out at the provider (OpenID Connect RP-Initiated Logout
/// 1.0). The hint is the `sub`: the ID token, which other clients send, never leaves the server.
pub(super) fn departure(
    mut endpoint: Url,
    settings: &Settings,
    state: &str,
    session: &ProviderSession,
) -> Url {
    endpoint
        .query_pairs_mut()
        .append_pair("client_id", &settings.client_id)
        .append_pair("post_logout_redirect_uri", settings.signed_out_url.as_str())
        .append_pair("state", state)
        .append_pair("logout_hint", &session.name_id);
    endpoint
}

/// Judges a verified logout token (2.6).
pub(super) fn read(verified: &Verified, expected: &Expected<'_>) -> Result<Logout, Refused> {
    let claims = &verified.claims;
    let refused = |detail: &str| Refused::new(Reason::LogoutToken, detail);
    expected.check_parties(claims)?;
    let issued_at = expected.check_times(claims)?;
    if issued_at < expected.now - LIFETIME - expected.clock_skew {
        let detail = format!("the logout token was made at {issued_at}");
        return Err(Refused::new(Reason::Expired, detail));
    }
    let event = claims
        .value("events")
        .and_then(|events| events.get(LOGOUT_EVENT));
    if !event.is_some_and(Value::is_object) {
        return Err(refused("the token is about no logout"));
    }
    // An ID token has one, and must not pass for a logout token.
    if claims.value("nonce").is_some() {
        return Err(refused("a logout token has no nonce"));
    }
    let id = claims.text("jti")?.filter(|id| !id.is_empty());
    let id = id.ok_or_else(|| refused("the logout token has no jti"))?;
    let (subject, session) = (claims.text("sub")?, claims.text("sid")?);
    if let Some(subject) = subject {
        check_subject(subject)?;
    }
    if subject.is_none() && session.is_none_or(str::is_empty) {
        return Err(refused(
            "the logout token says neither whose session nor which",
        ));
    }
    Ok(Logout::Requested {
        request_id: format!("logout:{}", hex::encode(digest(&SHA256, id.as_bytes()))),
        name_id: subject.map(str::to_owned),
        session_indexes: session.map(str::to_owned).into_iter().collect(),
        relay_state: None,
        replay_until: expected.now + LIFETIME + expected.clock_skew * 2,
    })
}
