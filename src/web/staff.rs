//! Whoever may see more than their own: helpdesk, auditors, admins.

use axum::{
    extract::FromRequestParts,
    http::request::Parts,
    response::{IntoResponse, Response},
};

use super::{App, error::Frame, session::SignedIn, turned_away::TurnedAway};
use crate::access::Authority;

/// A signed-in person who may see the helpdesk's pages. Only reading is decided by this; whether an
/// edit may be made is asked of the broker, which reads the person's groups anew.
pub(super) struct Staff {
    /// Who.
    pub(super) signed_in: SignedIn,
    /// What their groups give.
    pub(super) authority: Authority,
}

impl FromRequestParts<App> for Staff {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Response> {
        let signed_in = SignedIn::from_request_parts(parts, app).await?;
        let frame = Frame::of_parts(parts);
        if app.broker.settings().access.is_empty() {
            return Err(frame.nobody_has_access().into_response());
        }
        let authority = app.broker.authority(signed_in.identity());
        if !authority.may_see_tables() {
            let mut refused = frame.not_staff().into_response();
            refused.extensions_mut().insert(TurnedAway("not_staff"));
            return Err(refused);
        }
        Ok(Self {
            signed_in,
            authority,
        })
    }
}
