//! Signing in at a provider of the person's own, to which the browser is sent and from which it
//! returns.
//!
//! Never here: what a message looks like; that is the connector's. Every answer that is refused
//! leaves one audit row with the reason's code. Entry points: [`Broker::begin_redirect`],
//! [`Broker::finish_redirect`].

use std::time::Duration;

use thiserror::Error;
use time::OffsetDateTime;

use super::{
    Broker, Client,
    sign_in::{count, person},
    throttle::Key,
};
use crate::{
    access::{AuthenticationMethod, ConnectorId, Identity, ProviderSession},
    audit::{Action, Actor, AuditEvent, Outcome},
    identity::{
        Answer, AttemptSecret, Cause, Connector, Departure, HeldProof, RedirectConnector,
        RedirectRefused, RefreshError, Rule, SignInWish, Vouched, oidc,
        saml::refusal::{Reason, Refused},
    },
    store::{PendingSignIn, StoreError, Taken},
};

/// How long a sign-in may take at the provider.
const SIGN_IN_TIME: time::Duration = time::Duration::minutes(10);

/// What a sign-in at a provider is for.
#[derive(Debug, Clone, Default)]
pub struct RedirectWish {
    /// Where the person goes afterwards; a path of ours, already checked.
    pub next: String,
    /// Who has to come back, where somebody who is signed in is sent again.
    pub subject: Option<String>,
    /// Whether the provider shall ask for the credentials again.
    pub force_authentication: bool,
    /// The secret of which `browser_hash` is the hash; some connectors derive from it.
    pub secret: AttemptSecret,
}

/// What came back beside the answer.
#[derive(Debug, Clone, Default)]
pub struct RedirectArrival {
    /// SHA-256, in hexadecimal, of the secret in the cookie of the conversation; none where the
    /// browser has no such cookie.
    pub browser_hash: Option<String>,
    /// Whether the person confirmed, on a page of ours, a sign-in that nobody asked for here.
    pub is_confirmed: bool,
}

/// What becomes a sign-in session.
#[derive(Debug)]
pub struct Kept {
    /// Who, with the groups that count.
    pub identity: Identity,
    /// What it rests on at the provider.
    pub provider_session: ProviderSession,
    /// When the provider says that its session ends; ours ends no later.
    pub ends_at: Option<OffsetDateTime>,
    /// To be held with the session: [`Broker::hold_proof`].
    pub proof: Option<HeldProof>,
}

/// How a sign-in at a provider ended.
#[derive(Debug)]
pub enum Finished<T> {
    /// The person is signed in.
    SignedIn {
        /// What was kept.
        kept: T,
        /// Where they go; a path of ours.
        next: String,
    },
    /// The answer is good and nobody here asked for it: the person has to confirm. Nothing is kept
    /// and the answer is not used up, so it can be posted again with
    /// [`is_confirmed`](RedirectArrival::is_confirmed).
    ConfirmFirst {
        /// Who would be signed in.
        display: String,
    },
}

/// Why nobody was signed in, or out, by a provider's message.
#[derive(Debug, Error)]
pub enum RedirectSignInRefused {
    /// The message is not acceptable. One wording for the person; the reason is for the audit.
    #[error("the provider's message was refused: {0}")]
    Message(Rule),
    /// The provider did not sign the person in, and said so: they refused, or cannot sign in there.
    #[error("the provider declined: {0}")]
    Declined(Rule),
    /// The provider left the groups out because they are too many, and no directory knows them.
    #[error("the provider left the groups out")]
    GroupsOverage,
    /// The directory that knows the groups does not know the person, or shut them out.
    #[error("the directory does not know the person")]
    GroupsUnknown,
    /// The directory that knows the groups did not answer, or not in full.
    #[error("the groups are unavailable")]
    GroupsUnavailable(#[source] RefreshError),
    /// The answer belongs to no sign-in that is going on here: it came too late or twice, or began
    /// at the provider where that is not allowed. Signing in from here helps.
    #[error("the sign-in has to begin here")]
    StartHere,
    /// The sign-in was begun in another browser, where it still can be finished.
    #[error("the sign-in was begun in another browser")]
    OtherBrowser,
    /// What the provider publishes is not known.
    #[error("the provider is unavailable")]
    ProviderUnavailable(#[source] Cause),
    /// The configuration does not fit the provider.
    #[error("the configuration does not fit the provider")]
    Misconfigured(#[source] Cause),
    /// There is no such connector, or it has a password form.
    #[error("there is no such connector")]
    UnknownConnector,
    /// Too many from one address; not recorded, counted alone.
    #[error("too many sign-ins from one address")]
    Throttled {
        /// How long to wait.
        retry_after: Duration,
    },
    /// Nothing can be recorded, so nobody is signed in.
    #[error("the store is unavailable")]
    StoreUnavailable(#[from] StoreError),
}

/// A refusal that is not recorded yet.
pub(super) struct Refusal {
    code: &'static str,
    /// What was found, for the audit; no secret.
    found: Option<String>,
    person: Option<Box<Identity>>,
    told: RedirectSignInRefused,
}

impl Refusal {
    pub(super) fn new(rule: impl Into<Rule>, told: RedirectSignInRefused) -> Self {
        Self {
            code: rule.into().code(),
            found: None,
            person: None,
            told,
        }
    }

    /// A refusal of which the person is told the common wording.
    pub(super) fn message(rule: impl Into<Rule>) -> Self {
        let rule = rule.into();
        Self::new(rule, RedirectSignInRefused::Message(rule))
    }

    /// The same, about somebody for whom the provider vouched.
    fn about(self, identity: &Identity) -> Self {
        Self {
            person: Some(Box::new(identity.clone())),
            ..self
        }
    }

    /// A failure for which no message is to blame.
    fn failure(code: &'static str, told: RedirectSignInRefused) -> Self {
        Self {
            code,
            found: None,
            person: None,
            told,
        }
    }
}

impl From<Refused> for Refusal {
    fn from(refused: Refused) -> Self {
        Self {
            found: Some(refused.detail),
            ..Self::message(refused.reason)
        }
    }
}

impl From<oidc::refusal::Refused> for Refusal {
    fn from(refused: oidc::refusal::Refused) -> Self {
        let rule = Rule::Oidc(refused.reason);
        let told = if refused.reason.is_declined() {
            RedirectSignInRefused::Declined(rule)
        } else {
            RedirectSignInRefused::Message(rule)
        };
        Self {
            found: Some(refused.detail),
            ..Self::new(rule, told)
        }
    }
}

impl From<RedirectRefused> for Refusal {
    fn from(error: RedirectRefused) -> Self {
        use RedirectSignInRefused as Told;
        match error {
            RedirectRefused::Message(refused) => refused.into(),
            RedirectRefused::Token(refused) => refused.into(),
            RedirectRefused::Unavailable(cause) => {
                Self::failure("provider_unavailable", Told::ProviderUnavailable(cause))
            }
            RedirectRefused::Misconfigured(cause) => {
                Self::failure("provider_misconfigured", Told::Misconfigured(cause))
            }
            RedirectRefused::Busy(cause) => {
                Self::failure("verification_busy", Told::ProviderUnavailable(cause))
            }
        }
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        Self::failure(
            "store_unavailable",
            RedirectSignInRefused::StoreUnavailable(error),
        )
    }
}

/// An answer that passed, before it is used up.
struct Passed {
    vouched: Vouched,
    /// The sign-in that it finishes; none where nobody asked for it here.
    pending: Option<Box<PendingSignIn>>,
}

impl Broker {
    /// Begins a sign-in; says what the browser carries to the provider. `browser_hash` is SHA-256,
    /// in hexadecimal, of a secret that the browser keeps in a cookie of this conversation.
    pub async fn begin_redirect(
        &self,
        connector: &ConnectorId,
        wish: RedirectWish,
        browser_hash: &str,
        client: &Client,
    ) -> Result<Departure, RedirectSignInRefused> {
        let provider = self.provider(connector)?;
        self.take_token(&Key::departures(client.address), connector)?;
        let departure = match self.depart(provider, wish, browser_hash).await {
            Ok(departure) => departure,
            Err(refusal) => {
                return Err(self
                    .refused(connector, Action::SignIn, refusal, client)
                    .await);
            }
        };
        Ok(departure)
    }

    async fn depart(
        &self,
        provider: &dyn RedirectConnector,
        wish: RedirectWish,
        browser_hash: &str,
    ) -> Result<Departure, Refusal> {
        let departure = provider
            .begin(&SignInWish {
                force_authentication: wish.force_authentication,
                secret: wish.secret,
            })
            .await?;
        let now = self.now();
        let pending = PendingSignIn {
            id: departure.request_id.clone(),
            connector: provider.id().to_string(),
            browser_hash: browser_hash.to_owned(),
            relay_state: departure.relay_state.clone(),
            next: wish.next,
            subject: wish.subject,
            created_at: now,
            expires_at: now + SIGN_IN_TIME,
        };
        self.adapters.conversations.begin_sign_in(&pending).await?;
        Ok(departure)
    }

    /// Which conversation an answer says it belongs to, so that its cookie can be found; nothing is
    /// verified and nothing recorded. Whatever this says, hand the answer to
    /// [`finish_redirect`](Self::finish_redirect), which meets the same refusal and records it.
    pub fn conversation(
        &self,
        connector: &ConnectorId,
        answer: &Answer,
    ) -> Result<Option<String>, RedirectSignInRefused> {
        let provider = self.provider(connector)?;
        provider
            .conversation(answer)
            .map_err(|error| Refusal::from(error).told)
    }

    /// Verifies an answer, uses it up, reads the groups, records the sign-in and lets `keep` make a
    /// sign-in session of it.
    ///
    /// Record and session are written at the same time: what `keep` made must reach nobody where
    /// this fails.
    #[expect(
        clippy::too_many_arguments,
        reason = "each comes from another part of the request"
    )]
    pub async fn finish_redirect<T, K: Future<Output = T>>(
        &self,
        connector: &ConnectorId,
        answer: Answer,
        arrival: RedirectArrival,
        client: &Client,
        keep: impl FnOnce(Kept) -> K,
    ) -> Result<Finished<T>, RedirectSignInRefused> {
        let provider = self.provider(connector)?;
        let token = Key::answers(client.address);
        self.take_token(&token, connector)?;
        let finished = async {
            let passed = self.pass(provider, &answer, &arrival).await?;
            if passed.pending.is_none() && !arrival.is_confirmed {
                let display = passed.vouched.identity.display().to_owned();
                return Ok::<_, Refusal>(Finished::ConfirmFirst { display });
            }
            let (kept, next, event) = self.accept(provider, passed, client).await?;
            let identity = kept.identity.clone();
            let (recorded, bound, kept) = tokio::join!(
                self.adapters.audit.append(&event),
                self.bind_groups(&identity, client),
                keep(kept),
            );
            recorded?;
            bound?;
            count(connector, "ok");
            self.throttle.give_back(&Key::departures(client.address));
            Ok(Finished::SignedIn { kept, next })
        };
        match finished.await {
            Ok(finished) => {
                self.throttle.give_back(&token);
                Ok(finished)
            }
            Err(refusal) => Err(self
                .refused(connector, Action::SignIn, refusal, client)
                .await),
        }
    }

    /// Finds the sign-in that an answer finishes, and verifies the answer.
    async fn pass(
        &self,
        provider: &dyn RedirectConnector,
        answer: &Answer,
        arrival: &RedirectArrival,
    ) -> Result<Passed, Refusal> {
        let pending = match provider.conversation(answer)? {
            Some(id) => Some(self.pending(provider, &id, arrival).await?),
            None if provider.takes_unsolicited() => None,
            None => {
                let told = RedirectSignInRefused::StartHere;
                return Err(Refusal::new(Reason::Unsolicited, told));
            }
        };
        // Some providers post an empty field where they were sent one that they do not keep.
        let relay_state = answer.relay_state.as_deref().filter(|it| !it.is_empty());
        if let (Some(pending), Some(relay_state)) = (&pending, relay_state)
            && pending.relay_state != relay_state
        {
            return Err(Refusal::message(Reason::RelayState));
        }
        let request_id = pending.as_ref().map(|pending| pending.id.as_str());
        let vouched = provider.finish(answer, request_id).await?;
        Ok(Passed { vouched, pending })
    }

    /// Takes the sign-in that was begun here, once.
    async fn pending(
        &self,
        provider: &dyn RedirectConnector,
        id: &str,
        arrival: &RedirectArrival,
    ) -> Result<Box<PendingSignIn>, Refusal> {
        use RedirectSignInRefused as Told;
        let (connector, browser) = (provider.id().as_str(), arrival.browser_hash.as_deref());
        let conversations = &self.adapters.conversations;
        let taken = conversations
            .take_sign_in(connector, id, browser, self.now())
            .await?;
        Err(match taken {
            Taken::Pending(pending) => return Ok(pending),
            Taken::OtherBrowser => Refusal::new(Reason::OtherBrowser, Told::OtherBrowser),
            Taken::Expired => Refusal::new(Reason::RequestExpired, Told::StartHere),
            Taken::Unknown => Refusal::new(Reason::UnknownRequest, Told::StartHere),
        })
    }

    /// Uses an answer up and says what is kept of it, where the person goes, and what is recorded.
    async fn accept(
        &self,
        provider: &dyn RedirectConnector,
        passed: Passed,
        client: &Client,
    ) -> Result<(Kept, String, AuditEvent), Refusal> {
        let Passed { vouched, pending } = passed;
        let connector = provider.id().as_str();
        let is_first = self
            .adapters
            .conversations
            .use_answer(connector, &vouched.answer_id, vouched.replay_until)
            .await?;
        if !is_first {
            return Err(Refusal::message(Reason::Replay).about(&vouched.identity));
        }
        let wished = pending.as_ref().and_then(|it| it.subject.as_deref());
        if wished.is_some_and(|subject| subject != vouched.identity.subject) {
            return Err(Refusal::message(Reason::OtherSubject).about(&vouched.identity));
        }
        let identity = self
            .with_groups(provider, vouched.identity, vouched.groups_overage)
            .await?;
        let event = self
            .event(Action::SignIn, Outcome::Ok, person(&identity), client)
            .with("method", method(identity.method))
            .with(
                "authentication_context",
                identity.authentication_context.as_deref(),
            )
            .with("groups", identity.groups.len())
            .with("unsolicited", pending.is_none());
        let kept = Kept {
            identity,
            provider_session: vouched.provider_session,
            ends_at: vouched.session_ends_at,
            proof: vouched.proof,
        };
        let next = pending.map_or_else(|| "/".to_owned(), |pending| pending.next);
        Ok((kept, next, event))
    }

    /// The person with the groups that count; never with none because they could not be read.
    async fn with_groups(
        &self,
        provider: &dyn RedirectConnector,
        identity: Identity,
        is_overage: bool,
    ) -> Result<Identity, Refusal> {
        use RedirectSignInRefused as Told;
        let refusal = match provider.groups_from() {
            None if is_overage => Refusal::new(Reason::GroupsOverage, Told::GroupsOverage),
            None => return Ok(identity),
            Some(directory) => match self.groups_elsewhere(directory, &identity).await {
                Ok(identity) => return Ok(identity),
                Err(RefreshError::Gone) => Refusal::new(Reason::GroupsUnknown, Told::GroupsUnknown),
                Err(error @ RefreshError::Unavailable(_)) => {
                    Refusal::failure("groups_unavailable", Told::GroupsUnavailable(error))
                }
                Err(error @ RefreshError::NotSupported) => Refusal::failure(
                    "provider_misconfigured",
                    Told::Misconfigured(Box::new(error)),
                ),
            },
        };
        Err(refusal.about(&identity))
    }

    /// The connector of that id, where people are sent to it.
    pub(super) fn provider(
        &self,
        connector: &ConnectorId,
    ) -> Result<&dyn RedirectConnector, RedirectSignInRefused> {
        match self.connector(connector) {
            Some(Connector::Redirect(provider)) => Ok(provider.as_ref()),
            _ => Err(RedirectSignInRefused::UnknownConnector),
        }
    }

    pub(super) fn take_token(
        &self,
        key: &Key,
        connector: &ConnectorId,
    ) -> Result<(), RedirectSignInRefused> {
        self.throttle.take(key, self.now()).map_err(|retry_after| {
            count(connector, "throttled");
            RedirectSignInRefused::Throttled { retry_after }
        })
    }

    /// Records a refusal, and says what the person is told.
    pub(super) async fn refused(
        &self,
        connector: &ConnectorId,
        action: Action,
        refusal: Refusal,
        client: &Client,
    ) -> RedirectSignInRefused {
        let Refusal {
            code,
            found,
            person: known,
            told,
        } = refusal;
        tracing::warn!(
            request.id = client.request_id,
            %connector,
            reason = code,
            found = found.as_deref(),
            error = &told as &dyn std::error::Error,
            "a provider's message led nowhere"
        );
        if action == Action::SignIn {
            count(connector, code);
        }
        if matches!(told, RedirectSignInRefused::StoreUnavailable(_)) {
            return told;
        }
        let nobody = || Actor::Person {
            connector: connector.to_string(),
            subject: None,
            username: None,
        };
        let actor = known.as_deref().map_or_else(nobody, person);
        let mut event = self.event(action, outcome(&told), actor, client);
        event.reason = Some(code.to_owned());
        if let Some(found) = found {
            event = event.with("found", found);
        }
        match self.adapters.audit.append(&event).await {
            Ok(_) => told,
            Err(error) => error.into(),
        }
    }
}

/// Whether we refused, or somebody else failed.
fn outcome(told: &RedirectSignInRefused) -> Outcome {
    match told {
        RedirectSignInRefused::ProviderUnavailable(_)
        | RedirectSignInRefused::Misconfigured(_)
        | RedirectSignInRefused::GroupsUnavailable(_) => Outcome::Failed,
        _ => Outcome::Refused,
    }
}

fn method(method: AuthenticationMethod) -> &'static str {
    match method {
        AuthenticationMethod::Password => "password",
        AuthenticationMethod::Saml => "saml",
        AuthenticationMethod::Oidc => "oidc",
        AuthenticationMethod::Token => "token",
    }
}
