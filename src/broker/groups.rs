//! Groups grow old: they are read again before a grant.

use thiserror::Error;
use time::OffsetDateTime;

use super::{Broker, Client, sign_in::person};
use crate::{
    access::{ConnectorId, Identity},
    audit::{Action, Actor, AuditEvent, Outcome},
    identity::{Connector, RefreshError, SignInError},
    store::{Change, EditContext, SignInSession, StoreError},
};

/// Why a signed-in person's groups cannot be relied on.
#[derive(Debug, Error)]
pub enum GroupsRefused {
    /// The account is gone or disabled; every sign-in session was ended.
    #[error("the account is gone or disabled")]
    AccountGone,
    /// The directory is unreachable and the last reading is too old to serve.
    #[error("the groups are too old and the directory is unavailable")]
    DirectoryUnavailable(#[source] RefreshError),
    /// The connector cannot read groups again and the last reading is too old to serve, or the
    /// sign-in session was ended meanwhile.
    #[error("the groups are too old; a new sign-in is needed")]
    SignInAgain,
    /// Nothing can be recorded.
    #[error("the store is unavailable")]
    StoreUnavailable(#[from] StoreError),
}

impl Broker {
    /// Makes the session's groups fresh enough for a grant. Returns whether old ones had to serve
    /// because the directory is unreachable.
    pub(super) async fn freshen(
        &self,
        session: &mut SignInSession,
        client: &Client,
    ) -> Result<bool, GroupsRefused> {
        if self.age(session.identity.groups_read_at) < self.settings.groups_refresh_after {
            return Ok(false);
        }
        self.refresh_groups(session, client).await
    }

    /// Reads the person's groups again now.
    pub async fn refresh_groups(
        &self,
        session: &mut SignInSession,
        client: &Client,
    ) -> Result<bool, GroupsRefused> {
        let read = match self.connector(&session.identity.connector) {
            Some(Connector::Password(directory)) => directory.refresh(&session.identity).await,
            Some(Connector::Redirect(provider)) => match provider.groups_from() {
                Some(directory) => self.groups_elsewhere(directory, &session.identity).await,
                None => Err(RefreshError::NotSupported),
            },
            // A token says once which groups there are.
            None if self.is_trusted_issuer(&session.identity.connector) => {
                Err(RefreshError::NotSupported)
            }
            // The connector was taken out of the configuration: nobody vouches any more.
            None => Err(RefreshError::Gone),
        };
        match read {
            Ok(identity) => {
                let sessions = &self.adapters.sessions;
                if !sessions.renew_session(&session.id_hash, &identity).await? {
                    // Signed out while the directory was asked: that must not undo it.
                    return Err(GroupsRefused::SignInAgain);
                }
                self.bind_groups(&identity, client).await?;
                session.identity = identity;
                Ok(false)
            }
            Err(RefreshError::Gone) => Err(self.end_access(session, client).await),
            Err(error) => self.serve_old_groups(session, client, error).await,
        }
    }

    /// The person with the groups that the directory of that id knows of somebody with their user
    /// name; a provider vouched for the person and not for these.
    pub(super) async fn groups_elsewhere(
        &self,
        directory: &ConnectorId,
        identity: &Identity,
    ) -> Result<Identity, RefreshError> {
        let Some(Connector::Password(directory)) = self.connector(directory) else {
            return Err(RefreshError::NotSupported);
        };
        let found = match directory.look_up(&identity.username).await {
            Ok(Some(found)) => found,
            // Not just one entry is nobody.
            Ok(None) | Err(SignInError::Refused { .. }) => return Err(RefreshError::Gone),
            Err(error) => return Err(RefreshError::Unavailable(Box::new(error))),
        };
        // Looking somebody up finds disabled accounts too; reading them again does not.
        let found = directory.refresh(&found).await?;
        Ok(Identity {
            groups: found.groups,
            groups_read_at: found.groups_read_at,
            ..identity.clone()
        })
    }

    /// Notes which groups the mappings mean that nobody of theirs has used before.
    pub(super) async fn bind_groups(
        &self,
        identity: &Identity,
        client: &Client,
    ) -> Result<(), StoreError> {
        let unbound = self.policy().await?.unbound_groups(identity);
        if unbound.is_empty() {
            return Ok(());
        }
        let bind = |(group, group_id)| Change::BindGroup { group, group_id };
        let context = EditContext {
            reason: Some("first seen".to_owned()),
            request_id: Some(client.request_id.clone()),
            ..EditContext::new(Actor::System, self.now())
        };
        let changes = unbound.into_iter().map(bind).collect();
        self.adapters
            .policy
            .apply(changes, &context)
            .await
            .map(|_| ())
    }

    async fn end_access(&self, session: &SignInSession, client: &Client) -> GroupsRefused {
        match self
            .sign_out_everywhere(&session.identity, "account_gone", client)
            .await
        {
            Ok(_) => GroupsRefused::AccountGone,
            Err(error) => GroupsRefused::StoreUnavailable(error),
        }
    }

    async fn serve_old_groups(
        &self,
        session: &SignInSession,
        client: &Client,
        error: RefreshError,
    ) -> Result<bool, GroupsRefused> {
        let age = self.age(session.identity.groups_read_at);
        let can_reread = !matches!(error, RefreshError::NotSupported);
        let serves = age < self.settings.groups_valid_for;
        metrics::counter!("rolegate_old_groups_total", "serves" => if serves { "yes" } else { "no" })
            .increment(1);
        if serves && !can_reread {
            return Ok(false);
        }
        if can_reread {
            tracing::warn!(
                connector = %session.identity.connector,
                groups.age_seconds = age.as_secs(),
                error = &error as &dyn std::error::Error,
                "groups could not be read again"
            );
        }
        let event = AuditEvent {
            reason: Some(
                if can_reread {
                    "directory_unavailable"
                } else {
                    "not_supported"
                }
                .into(),
            ),
            ..self.event(
                Action::GroupsRefresh,
                if serves {
                    Outcome::Failed
                } else {
                    Outcome::Refused
                },
                person(&session.identity),
                client,
            )
        };
        self.adapters
            .audit
            .append(&event.with("groups_age_seconds", age.as_secs()))
            .await?;
        match (serves, can_reread) {
            (true, _) => Ok(true),
            (false, true) => Err(GroupsRefused::DirectoryUnavailable(error)),
            (false, false) => Err(GroupsRefused::SignInAgain),
        }
    }

    fn age(&self, since: OffsetDateTime) -> std::time::Duration {
        // A clock that was set back makes groups look young; then they are read again.
        (self.now() - since)
            .try_into()
            .unwrap_or(std::time::Duration::MAX)
    }
}
