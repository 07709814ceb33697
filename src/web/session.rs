//! Sign-in sessions in the browser: tower-sessions' cookie over our own rows.
//!
//! tower-sessions makes, rotates and sets the cookie; the row has columns of its own, is found by
//! the hash of the cookie's id, and none exists before sign-in.

use std::{collections::HashMap, fmt, sync::Arc};

use aws_lc_rs::digest::{SHA256, digest};
use axum::{
    extract::FromRequestParts,
    http::{StatusCode, request::Parts},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use tower_sessions::{
    Expiry, Session, SessionManagerLayer, SessionStore,
    cookie::SameSite,
    session::{Id, Record},
    session_store,
};

use super::{App, client_address::Origin, cookies, error::Frame, views::Rights};
use crate::{
    access::{Identity, ProviderSession},
    broker::{Broker, HeldProof, Kept, SessionSecret, SignInSession},
};

/// The one key in a session record.
const KEY: &str = "sign_in";

/// What tower-sessions carries to the store when a session is made.
#[derive(Serialize, Deserialize)]
struct Carried {
    identity: Identity,
    client_address: String,
    user_agent: String,
    created_at: OffsetDateTime,
    expires_at: OffsetDateTime,
    provider_session: Option<ProviderSession>,
}

/// Rows of ours behind tower-sessions' seam.
#[derive(Clone)]
pub(super) struct Rows(Arc<Broker>);

impl fmt::Debug for Rows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Rows")
    }
}

#[async_trait::async_trait]
impl SessionStore for Rows {
    async fn create(&self, record: &mut Record) -> session_store::Result<()> {
        let Some(carried) = record.data.get(KEY) else {
            // Only sign-in puts anything into a session; an empty one is not worth a row.
            return Ok(());
        };
        let Carried {
            identity,
            client_address,
            user_agent,
            created_at,
            expires_at,
            provider_session,
        } = serde_json::from_value(carried.clone())
            .map_err(|error| session_store::Error::Encode(error.to_string()))?;
        let session = SignInSession {
            id_hash: hash(record.id),
            identity,
            client_address,
            user_agent,
            created_at,
            last_seen_at: created_at,
            expires_at,
            provider_session,
            device: None,
        };
        self.0.save_session(&session).await.map_err(backend)
    }

    /// Nothing to write: what is in a record was written when it was made, and the layer saves it
    /// once more when it sets the cookie.
    async fn save(&self, _: &Record) -> session_store::Result<()> {
        Ok(())
    }

    async fn load(&self, id: &Id) -> session_store::Result<Option<Record>> {
        let Some(session) = self.0.session(&hash(*id)).await.map_err(backend)? else {
            return Ok(None);
        };
        Ok(Some(Record {
            id: *id,
            data: HashMap::new(),
            expiry_date: session.expires_at,
        }))
    }

    async fn delete(&self, id: &Id) -> session_store::Result<()> {
        self.0.forget_session(&hash(*id)).await.map_err(backend)
    }
}

fn backend(error: impl std::error::Error) -> session_store::Error {
    session_store::Error::Backend(error.to_string())
}

/// The layer that reads and sets the session cookie.
pub(super) fn layer(app: &App) -> SessionManagerLayer<Rows> {
    let is_secure = app.settings.is_secure;
    SessionManagerLayer::new(Rows(Arc::clone(&app.broker)))
        .with_name(cookies::wire_name(cookies::SESSION, is_secure))
        .with_secure(is_secure)
        .with_http_only(true)
        .with_same_site(SameSite::Lax)
        .with_path("/")
}

/// What the store knows a session by.
fn hash(id: Id) -> String {
    hex::encode(digest(&SHA256, &id.0.to_be_bytes()))
}

/// What a session shall be.
pub(super) struct Beginning {
    /// Who.
    pub(super) identity: Identity,
    /// What it rests on at the provider, where there is one.
    pub(super) provider_session: Option<ProviderSession>,
    /// When the provider's session ends, where it says.
    pub(super) ends_at: Option<OffsetDateTime>,
    /// What is held with the session for AWS.
    pub(super) proof: Option<HeldProof>,
}

impl From<Identity> for Beginning {
    fn from(identity: Identity) -> Self {
        Self {
            identity,
            provider_session: None,
            ends_at: None,
            proof: None,
        }
    }
}

impl From<Kept> for Beginning {
    fn from(kept: Kept) -> Self {
        Self {
            identity: kept.identity,
            provider_session: Some(kept.provider_session),
            ends_at: kept.ends_at,
            proof: kept.proof,
        }
    }
}

/// Makes a session for a person who has just signed in, under a new id; an older one ends.
pub(super) async fn begin(
    app: &App,
    session: &Session,
    beginning: Beginning,
    origin: &Origin,
) -> Result<(), session_store::Error> {
    let Beginning {
        identity,
        provider_session,
        ends_at,
        proof,
    } = beginning;
    let now = app.broker.now();
    let longest = now + app.broker.settings().absolute_timeout;
    let expires_at = ends_at.map_or(longest, |ends_at| ends_at.min(longest));
    let is_replaced = session.id().is_some();
    session.clear().await;
    let carried = Carried {
        identity,
        client_address: origin.address.to_string(),
        user_agent: origin.user_agent.clone(),
        created_at: now,
        expires_at,
        provider_session,
    };
    let into_store_error = |error: tower_sessions::session::Error| backend(error);
    session
        .insert(KEY, carried)
        .await
        .map_err(into_store_error)?;
    if is_replaced {
        // Ends the older one too. Without one, the id is new as it is.
        session.cycle_id().await.map_err(into_store_error)?;
    }
    session.set_expiry(Some(Expiry::AtDateTime(expires_at)));
    // Saved here and not by the layer: an answer must never promise a session that is not there.
    session.save().await.map_err(into_store_error)?;
    let (Some(proof), Some((id_hash, secret))) = (proof, keys(session)) else {
        return Ok(());
    };
    let held = app.broker.hold_proof(&id_hash, &secret, proof).await;
    if held.is_err() {
        // Half a sign-in is none.
        session.flush().await.map_err(into_store_error)?;
    }
    held.map_err(backend)
}

/// The signed-in person's session, or the way to the sign-in page.
#[derive(Debug)]
pub(super) struct SignedIn {
    pub(super) session: SignInSession,
    /// What opens whatever is sealed for this session.
    pub(super) secret: SessionSecret,
}

impl SignedIn {
    /// Who acts, as the audit log names them.
    pub(super) fn actor(&self) -> crate::broker::Actor {
        let identity = self.identity();
        crate::broker::Actor::Person {
            connector: identity.connector.to_string(),
            subject: Some(identity.subject.clone()),
            username: Some(identity.username.clone()),
        }
    }

    pub(super) fn identity(&self) -> &Identity {
        &self.session.identity
    }
}

/// What a session is known by in the store, and what opens whatever is sealed for it; none where
/// the browser has no session.
pub(super) fn keys(session: &Session) -> Option<(String, SessionSecret)> {
    let id = session.id()?;
    Some((hash(id), SessionSecret::new(id.0.to_be_bytes())))
}

/// The session behind a request's cookie, if it is still good.
pub(super) async fn current(
    app: &App,
    session: &Session,
) -> Result<Option<SignInSession>, crate::broker::StoreError> {
    match keys(session) {
        Some((id_hash, _)) => app.broker.session(&id_hash).await,
        None => Ok(None),
    }
}

impl FromRequestParts<App> for SignedIn {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Response> {
        let frame = Frame::of_parts(parts);
        let session = Session::from_request_parts(parts, app).await.map_err(|_| {
            frame
                .clone()
                .status(StatusCode::INTERNAL_SERVER_ERROR)
                .into_response()
        })?;
        let Some((id_hash, secret)) = keys(&session) else {
            return Err(super::pages::login::redirect(parts, false));
        };
        match app.broker.session(&id_hash).await {
            Ok(Some(session)) => {
                // Whatever page answers from here on, a refusal too, shows who is signed in.
                if let Some(Frame(layout)) = parts.extensions.get_mut() {
                    layout.person = Some(session.identity.display().to_owned());
                    let authority = app.broker.authority(&session.identity);
                    layout.rights = Rights {
                        helpdesk: authority.may_see_tables(),
                        audit: authority.may_read_audit(),
                    };
                }
                Ok(Self { session, secret })
            }
            Ok(None) => Err(super::pages::login::redirect(parts, true)),
            Err(error) => Err(frame.store_unavailable(&error).into_response()),
        }
    }
}
