//! Signing out at a provider too, in either direction.
//!
//! Never here: what a message looks like. Entry points: [`Broker::begin_provider_logout`] after our
//! own session has ended, [`Broker::provider_logout`] for what the provider sends.

use super::{
    Broker, Client,
    redirect::{RedirectSignInRefused, Refusal},
    sign_in::person,
    throttle::Key,
};
use crate::{
    access::ConnectorId,
    audit::{Action, AuditEvent, Outcome},
    identity::{Carried, Logout, LogoutMessage, RedirectConnector, saml::refusal::Reason},
    store::{SignInSession, StoreError},
};

/// What a provider's message about logout did.
#[derive(Debug)]
pub enum ProviderLogout {
    /// The provider asked, and its sessions here have ended.
    Ended {
        /// How many there were.
        sessions: usize,
        /// What the browser carries back; none where the provider takes no answer.
        answer: Option<Carried>,
    },
    /// The provider answered our own request.
    Answered {
        /// Whether it ended its session.
        is_done: bool,
    },
}

impl Broker {
    /// Asks the provider, where the session rests on one, to end its session too. None where it
    /// cannot be asked; what went wrong is logged, since we have signed the person out already.
    pub async fn begin_provider_logout(&self, session: &SignInSession) -> Option<Carried> {
        let connector = &session.identity.connector;
        let provider = self.provider(connector).ok()?;
        match provider
            .begin_logout(session.provider_session.as_ref()?)
            .await
        {
            Ok(departure) => departure.map(|departure| departure.carried),
            Err(error) => {
                tracing::warn!(
                    %connector,
                    error = &error as &dyn std::error::Error,
                    "the provider cannot be asked to end its session"
                );
                None
            }
        }
    }

    /// Verifies what a provider says about logout, and ends the sessions that it asks to end.
    pub async fn provider_logout(
        &self,
        connector: &ConnectorId,
        message: LogoutMessage,
        client: &Client,
    ) -> Result<ProviderLogout, RedirectSignInRefused> {
        let provider = self.provider(connector)?;
        let token = Key::answers(client.address);
        self.take_token(&token, connector)?;
        match self.log_out(provider, &message, client).await {
            Ok(done) => {
                self.throttle.give_back(&token);
                Ok(done)
            }
            Err(refusal) => Err(self
                .refused(connector, Action::SignOut, refusal, client)
                .await),
        }
    }

    async fn log_out(
        &self,
        provider: &dyn RedirectConnector,
        message: &LogoutMessage,
        client: &Client,
    ) -> Result<ProviderLogout, Refusal> {
        let (request_id, name_id, session_indexes, relay_state, replay_until) =
            match provider.read_logout(message).await? {
                Logout::Answered { is_done, .. } => {
                    return Ok(ProviderLogout::Answered { is_done });
                }
                Logout::Requested {
                    request_id,
                    name_id,
                    session_indexes,
                    relay_state,
                    replay_until,
                } => (
                    request_id,
                    name_id,
                    session_indexes,
                    relay_state,
                    replay_until,
                ),
            };
        let connector = provider.id().as_str();
        let conversations = &self.adapters.conversations;
        if !conversations
            .use_answer(connector, &request_id, replay_until)
            .await?
        {
            return Err(Refusal::message(Reason::Replay));
        }
        let ended = conversations
            .end_provider_sessions(connector, name_id.as_deref(), &session_indexes)
            .await?;
        self.record_ended(&ended, client).await?;
        Ok(ProviderLogout::Ended {
            sessions: ended.len(),
            answer: answer(provider, &request_id, relay_state.as_deref()).await,
        })
    }

    /// One row for each session, since they may be of several people with one name.
    async fn record_ended(
        &self,
        ended: &[SignInSession],
        client: &Client,
    ) -> Result<(), StoreError> {
        for session in ended {
            let actor = person(&session.identity);
            let event = AuditEvent {
                reason: Some("provider".to_owned()),
                ..self.event(Action::SignOut, Outcome::Ok, actor, client)
            };
            self.adapters.audit.append(&event).await?;
        }
        Ok(())
    }
}

/// The answer to a provider whose request was fulfilled. The sessions have ended whether or not it
/// can be told.
async fn answer(
    provider: &dyn RedirectConnector,
    request_id: &str,
    relay_state: Option<&str>,
) -> Option<Carried> {
    match provider.answer_logout(request_id, relay_state, true).await {
        Ok(answer) => answer,
        Err(error) => {
            tracing::warn!(
                connector = %provider.id(),
                error = &error as &dyn std::error::Error,
                "the provider cannot be told that sessions have ended"
            );
            None
        }
    }
}
