//! What belongs to one person: the picker's state, preferences, sessions.

use std::sync::Arc;

use super::{Broker, Client};
use crate::{
    access::{Identity, Policy},
    store::{OpenRole, Preferences, RoleSession, SignInSession, StoreError},
};

/// How many role sessions a page shows.
const ROLE_SESSIONS: u32 = 100;

/// What the picker shows beside the entitlements.
#[derive(Debug)]
pub struct PickerState {
    /// The snapshot that the entitlements come from.
    pub policy: Arc<Policy>,
    /// Favourites, recents, settings.
    pub preferences: Preferences,
    /// The person's role sessions that have not ended, newest first.
    pub open: Vec<OpenRole>,
}

impl Broker {
    /// All that the picker shows.
    pub async fn picker(&self, identity: &Identity) -> Result<PickerState, StoreError> {
        let (connector, subject) = (identity.connector.as_str(), identity.subject.as_str());
        let people = &self.adapters.people;
        let state = people.person_state(connector, subject, self.now()).await?;
        let tables = self.adapters.policy.as_ref();
        Ok(PickerState {
            policy: self.policy.at(state.policy_version, tables).await?,
            preferences: state.preferences,
            open: state.open,
        })
    }

    /// What a person set.
    pub async fn preferences(&self, identity: &Identity) -> Result<Preferences, StoreError> {
        let people = &self.adapters.people;
        people
            .preferences(identity.connector.as_str(), &identity.subject)
            .await
    }

    /// A person's role sessions, newest first.
    pub async fn role_sessions(&self, identity: &Identity) -> Result<Vec<RoleSession>, StoreError> {
        let (connector, subject) = (identity.connector.as_str(), identity.subject.as_str());
        self.adapters
            .people
            .role_sessions(connector, subject, ROLE_SESSIONS)
            .await
    }

    /// Marks or unmarks a favourite.
    pub async fn set_favourite(
        &self,
        identity: &Identity,
        role: &str,
        is_favourite: bool,
    ) -> Result<(), StoreError> {
        let (connector, subject) = (identity.connector.as_str(), identity.subject.as_str());
        self.adapters
            .people
            .set_favourite(connector, subject, role, is_favourite)
            .await
    }

    /// Keeps one small setting.
    pub async fn set_setting(
        &self,
        identity: &Identity,
        name: &str,
        value: &str,
    ) -> Result<(), StoreError> {
        let (connector, subject) = (identity.connector.as_str(), identity.subject.as_str());
        self.adapters
            .people
            .set_setting(connector, subject, name, value)
            .await
    }

    /// Keeps a sign-in session, new or changed.
    pub async fn save_session(&self, session: &SignInSession) -> Result<(), StoreError> {
        self.adapters.sessions.save_session(session).await
    }

    /// A sign-in session by the hash of its id, unless it has ended, idled out or come too old.
    /// Notes the use, at most once a minute. A device's is never found by a cookie, whatever stands in
    /// that.
    pub async fn session(&self, id_hash: &str) -> Result<Option<SignInSession>, StoreError> {
        let found = self.adapters.sessions.session(id_hash).await?;
        let Some(session) = found.filter(|session| session.device.is_none()) else {
            return Ok(None);
        };
        let now = self.now();
        let idle = now - session.last_seen_at;
        if session.expires_at <= now || idle >= self.settings.idle_timeout {
            self.adapters.sessions.end_session(id_hash).await?;
            return Ok(None);
        }
        if idle >= time::Duration::MINUTE {
            self.adapters.sessions.touch_session(id_hash, now).await?;
        }
        Ok(Some(session))
    }

    /// A person's sign-in sessions, those of their devices among them, newest first.
    pub async fn sign_in_sessions(
        &self,
        identity: &Identity,
    ) -> Result<Vec<SignInSession>, StoreError> {
        self.adapters
            .sessions
            .sessions_of(identity.connector.as_str(), &identity.subject)
            .await
    }

    /// Ends a session of the same person by the hash of its id; says whether there was one.
    pub async fn end_own_session(
        &self,
        identity: &Identity,
        id_hash: &str,
        client: &Client,
    ) -> Result<bool, StoreError> {
        let sessions = self.sign_in_sessions(identity).await?;
        let Some(session) = sessions.iter().find(|session| session.id_hash == id_hash) else {
            return Ok(false);
        };
        self.sign_out(session, client).await?;
        Ok(true)
    }

    /// Ends a session by the hash of its id, whosever it is; for session id rotation.
    pub async fn forget_session(&self, id_hash: &str) -> Result<(), StoreError> {
        self.adapters.sessions.end_session(id_hash).await
    }

    /// Removes sessions that have ended, broker tokens that are over and what conversations with providers left behind, and lets
    /// edits lapse that nobody decided on; run now and then. Says how many rows.
    pub async fn sweep(&self) -> Result<u64, StoreError> {
        let now = self.now();
        let idle_since = now - self.settings.idle_timeout;
        let sessions = self
            .adapters
            .sessions
            .sweep_sessions(now, idle_since)
            .await?;
        let tokens = self.adapters.tokens.sweep_tokens(now).await?;
        let rest = self.adapters.conversations.sweep_conversations(now).await?;
        let lapsed = self.expire_edits().await?;
        Ok(sessions + tokens + rest + lapsed)
    }
}
