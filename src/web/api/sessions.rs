//! `/api/v1/sessions`: the caller's role sessions, and ending them at AWS.

use std::sync::Arc;

use axum::{Json, extract::State};
use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::{
    super::{App, error::Frame, pages::in_own_task},
    caller::Calling,
    error::ApiError,
    input::Named,
};
use crate::{
    access::TokenScope,
    broker::{self, Caller, Reach, RevokeOrder, RevokedBy, StoreError, TAKES_EFFECT, Whom},
};

/// A session that AWS issued.
#[derive(Serialize, ToSchema)]
pub(super) struct RoleSession {
    /// Its id.
    id: String,
    /// The role's ARN.
    role: String,
    /// `console` or `credentials`.
    delivery: String,
    /// The name that CloudTrail shows.
    session_name: String,
    /// The access key's id; empty where AWS told a browser alone.
    access_key_id: String,
    /// Whether it is narrowed to reading.
    read_only: bool,
    /// When it was issued.
    #[serde(with = "time::serde::rfc3339")]
    started_at: OffsetDateTime,
    /// When it ends.
    #[serde(with = "time::serde::rfc3339")]
    expires_at: OffsetDateTime,
    /// Whether that is over.
    has_ended: bool,
}

/// Role sessions.
#[derive(Serialize, ToSchema)]
pub(super) struct RoleSessions {
    /// The newest hundred, newest first.
    sessions: Vec<RoleSession>,
}

/// What became of a revocation.
#[derive(Serialize, ToSchema)]
pub(super) struct Revocation {
    /// Its id.
    id: String,
    /// Sessions of yours that were issued before this moment are denied.
    #[serde(with = "time::serde::rfc3339")]
    issued_before: OffsetDateTime,
    /// How soon it holds.
    takes_effect: String,
    /// The roles.
    roles: Vec<RevokedRole>,
}

/// What became of a revocation at one role.
#[derive(Serialize, ToSchema)]
pub(super) struct RevokedRole {
    /// The role's ARN.
    role: String,
    /// `applied`: denied at AWS. `later`: it is tried again. `paste`: somebody has to paste `policy`
    /// into the role. `never`: no policy of this role can end them.
    reach: String,
    /// Why not `applied`.
    why: Option<String>,
    /// The policy that denies them.
    policy: Option<String>,
}

/// Your role sessions
///
/// Whatever AWS issued for you, in the console or as credentials. With a token that is limited to one
/// role, those of that one. Needs the scope `sessions`.
#[utoipa::path(
    get, path = "/api/v1/sessions", operation_id = "sessions", tag = "Sessions",
    security(("token" = ["sessions"])),
    responses((status = 200, description = "The sessions.", body = RoleSessions))
)]
pub(super) async fn list(
    State(app): State<App>,
    calling: Calling,
    frame: Frame,
) -> Result<Json<RoleSessions>, ApiError> {
    let Calling { caller, .. } = calling.allowed(TokenScope::Sessions)?;
    let now = app.broker.now();
    let sessions = own(&app, &caller, &frame).await?;
    let sessions = sessions.into_iter().map(|session| RoleSession {
        has_ended: session.expires_at <= now,
        id: session.id,
        role: session.role,
        delivery: session.delivery,
        session_name: session.session_name,
        access_key_id: session.access_key_id,
        read_only: session.read_only,
        started_at: session.started_at,
        expires_at: session.expires_at,
    });
    Ok(Json(RoleSessions {
        sessions: sessions.collect(),
    }))
}

/// The caller's own, as far as their token reaches.
async fn own(
    app: &App,
    caller: &Caller,
    frame: &Frame,
) -> Result<Vec<broker::RoleSession>, ApiError> {
    let failed = |error: StoreError| ApiError::store_unavailable(frame, &error);
    let sessions = app.broker.role_sessions(&caller.session.identity).await;
    let mut sessions = sessions.map_err(failed)?;
    if let Some(limit) = &caller.role {
        sessions.retain(|session| session.role == limit.as_str());
    }
    Ok(sessions)
}

/// End a role session at AWS
///
/// AWS cannot tell two of your sessions in one role apart: all that were issued until now are denied.
/// Needs the scope `sessions`.
#[utoipa::path(
    post, path = "/api/v1/sessions/{id}/revoke", operation_id = "revoke_session", tag = "Sessions",
    params(("id" = String, Path, description = "The session's id.")),
    security(("token" = ["sessions"])),
    responses((status = 200, description = "How far it came.", body = Revocation))
)]
pub(super) async fn revoke(
    State(app): State<App>,
    calling: Calling,
    Named(id): Named,
    frame: Frame,
) -> Result<Json<Revocation>, ApiError> {
    let Calling { caller, client } = calling.allowed(TokenScope::Sessions)?;
    if caller.role.is_some() {
        let own = own(&app, &caller, &frame).await?;
        if !own.iter().any(|session| session.id == id) {
            return Err(ApiError::not_found(
                "There is no such role session of yours.",
            ));
        }
    }
    let broker = Arc::clone(&app.broker);
    let order = RevokeOrder {
        whom: Whom::RoleSession(id),
        reason: None,
    };
    let revoked = in_own_task(async move {
        let by = RevokedBy::Themselves(&caller.session);
        broker.revoke(&order, by, Some(&client)).await
    });
    let revoked = revoked.await.ok_or_else(ApiError::internal)?;
    let answer = revoked.map_err(|refused| ApiError::of_revoking(&refused, &frame))?;
    Ok(Json(Revocation {
        id: answer.id,
        issued_before: answer.issued_before,
        takes_effect: TAKES_EFFECT.to_owned(),
        roles: answer.roles.into_iter().map(revoked_role).collect(),
    }))
}

fn revoked_role(answer: broker::RoleAnswer) -> RevokedRole {
    let (reach, why) = match answer.reach {
        Reach::Applied => ("applied", None),
        Reach::Later(why) => ("later", Some(why)),
        Reach::Paste => ("paste", None),
        Reach::Never(why) => ("never", Some(why)),
    };
    RevokedRole {
        role: answer.role.to_string(),
        reach: reach.to_owned(),
        why,
        policy: answer.policy.map(|policy| policy.document),
    }
}
