//! Signing in with a name and a password, and signing out.

use std::time::Duration;

use secrecy::SecretString;
use thiserror::Error;
use url::Url;

use super::{Broker, Client, throttle::Key};
use crate::{
    access::{ConnectorId, Identity},
    audit::{Action, Actor, AuditEvent, Outcome},
    identity::{Candidate, Connector, SignInError},
    store::{SignInSession, StoreError},
};

/// How many browsers of a person keep a throttle of their own.
const KNOWN_BROWSERS: usize = 8;
/// The setting that holds their hashes.
const BROWSERS: &str = "browsers";

/// What a person typed.
#[derive(Debug)]
pub struct SignInAttempt {
    /// The connector whose form was filled.
    pub connector: ConnectorId,
    /// The name as typed.
    pub username: String,
    /// The password as typed, byte for byte.
    pub password: SecretString,
}

/// Why nobody was signed in.
#[derive(Debug, Error)]
pub enum SignInRefused {
    /// One wording for an unknown name, a wrong password and a locked account.
    #[error("the sign-in was refused")]
    Refused,
    /// The password was right and must be changed first.
    #[error("the password must be changed")]
    PasswordChangeRequired {
        /// Whether it had expired rather than been reset.
        is_expired: bool,
        /// Where to change it, where the configuration says.
        change_url: Option<Url>,
    },
    /// Too many failures.
    #[error("too many failed sign-ins")]
    Throttled {
        /// How long to wait.
        retry_after: Duration,
    },
    /// There is no such connector, or it has no password form.
    #[error("there is no such connector")]
    UnknownConnector,
    /// The directory did not answer, or not in full.
    #[error("the directory is unavailable")]
    DirectoryUnavailable(#[source] SignInError),
    /// Nothing can be recorded, so nobody is signed in.
    #[error("the store is unavailable")]
    StoreUnavailable(#[from] StoreError),
}

impl Broker {
    /// Checks a name and password, reads the groups, records the sign-in and lets `keep` make a
    /// sign-in session of it.
    ///
    /// Record and session are written at the same time, so that they share a commit: what `keep`
    /// made must reach nobody where this fails.
    pub async fn sign_in<T, K: Future<Output = T>>(
        &self,
        attempt: SignInAttempt,
        client: &Client,
        keep: impl FnOnce(Identity) -> K,
    ) -> Result<T, SignInRefused> {
        let SignInAttempt {
            connector,
            username,
            password,
        } = attempt;
        let Some(Connector::Password(directory)) = self.connector(&connector) else {
            return Err(SignInRefused::UnknownConnector);
        };
        let address = Key::address(client.address);
        // People share addresses: whoever used theirs up must not lock out a browser that signs in
        // as its own person. Whose it is shows once the entry is found.
        let browser = client.browser.as_deref();
        let may_be_known = browser.is_some_and(|browser| self.throttle.has_seen(browser));
        if !may_be_known {
            self.throttled(&address, &connector)?;
        }
        let located = directory.locate(&username).await;
        let located = self.audited(located, &connector, client).await;
        let taken = if may_be_known { &[][..] } else { &[&address] };
        let candidate = self.unless_outage(located, taken)?;
        let known = self.known_browsers(&connector, &candidate, client).await?;
        let person = throttle_key(&connector, &candidate, client, &known);
        let is_known = matches!(person, Key::PersonIn(..));
        if may_be_known && !is_known {
            self.throttled(&address, &connector)?;
        }
        self.throttled(&person, &connector)?;
        let taken = if is_known && may_be_known {
            &[&person][..]
        } else {
            &[&address, &person]
        };
        let verified = directory.verify(candidate, &password).await;
        let verified = self.audited(verified, &connector, client).await;
        let identity = self.unless_outage(verified, taken)?;
        let (recorded, bound, remembered, kept) = tokio::join!(
            self.record(&identity, client),
            self.bind_groups(&identity, client),
            self.remember_browser(&identity, client, &known),
            keep(identity.clone()),
        );
        recorded?;
        bound?;
        remembered?;
        self.give_back(taken);
        if let Some(browser) = browser {
            self.throttle.see(browser);
        }
        Ok(kept)
    }

    async fn record(&self, identity: &Identity, client: &Client) -> Result<(), StoreError> {
        let event = self
            .event(Action::SignIn, Outcome::Ok, person(identity), client)
            .with("method", "password")
            .with("groups", identity.groups.len());
        self.adapters.audit.append(&event).await?;
        count(&identity.connector, "ok");
        Ok(())
    }

    fn throttled(&self, key: &Key, connector: &ConnectorId) -> Result<(), SignInRefused> {
        self.throttle.take(key, self.now()).map_err(|retry_after| {
            count(connector, "throttled");
            SignInRefused::Throttled { retry_after }
        })
    }

    fn give_back(&self, keys: &[&Key]) {
        for key in keys {
            self.throttle.give_back(key);
        }
    }

    /// Passes the result on; tries that a dead directory did not answer cost nobody a token.
    fn unless_outage<T>(
        &self,
        result: Result<T, SignInRefused>,
        taken: &[&Key],
    ) -> Result<T, SignInRefused> {
        if matches!(result, Err(SignInRefused::DirectoryUnavailable(_))) {
            self.give_back(taken);
        }
        result
    }

    /// The hashes of the browsers that signed in as this person, the latest first, with commas.
    async fn known_browsers(
        &self,
        connector: &ConnectorId,
        candidate: &Candidate,
        client: &Client,
    ) -> Result<String, StoreError> {
        if client.browser.is_none() {
            return Ok(String::new());
        }
        // Asked for nobody too: a name that exists must not take longer.
        let subject = candidate.entry.as_ref().map_or("", |entry| &entry.subject);
        let people = &self.adapters.people;
        let preferences = people.preferences(connector.as_str(), subject).await;
        Ok(preferences?.settings.remove(BROWSERS).unwrap_or_default())
    }

    async fn remember_browser(
        &self,
        identity: &Identity,
        client: &Client,
        known: &str,
    ) -> Result<(), StoreError> {
        let Some(browser) = &client.browser else {
            return Ok(());
        };
        if known.split(',').next() == Some(browser) {
            return Ok(());
        }
        let mut browsers = vec![browser.as_str()];
        browsers.extend(
            known
                .split(',')
                .filter(|hash| !hash.is_empty() && hash != browser),
        );
        browsers.truncate(KNOWN_BROWSERS);
        let (connector, subject) = (identity.connector.as_str(), identity.subject.as_str());
        self.adapters
            .people
            .set_setting(connector, subject, BROWSERS, &browsers.join(","))
            .await
    }

    /// Passes a success on; records a failure and restates it.
    async fn audited<T>(
        &self,
        result: Result<T, SignInError>,
        connector: &ConnectorId,
        client: &Client,
    ) -> Result<T, SignInRefused> {
        let error = match result {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        let (outcome, reason, subject) = match &error {
            SignInError::Refused { subject, cause } => {
                (Outcome::Refused, cause.code(), subject.clone())
            }
            SignInError::PasswordChangeRequired {
                subject,
                is_expired,
            } => {
                let code = if *is_expired {
                    "password_expired"
                } else {
                    "password_must_change"
                };
                (Outcome::Refused, code, Some(subject.clone()))
            }
            SignInError::GroupsUnavailable { subject, .. } => {
                (Outcome::Failed, "groups_unavailable", Some(subject.clone()))
            }
            SignInError::Unavailable(_) => (Outcome::Failed, "directory_unavailable", None),
            SignInError::Misconfigured(_) => (Outcome::Failed, "directory_misconfigured", None),
        };
        let actor = Actor::Person {
            connector: connector.to_string(),
            subject,
            username: None,
        };
        let mut event = self.event(Action::SignIn, outcome, actor, client);
        event.reason = Some(reason.to_owned());
        self.adapters.audit.append(&event).await?;
        count(connector, reason);
        Err(match error {
            SignInError::Refused { .. } => SignInRefused::Refused,
            SignInError::PasswordChangeRequired { is_expired, .. } => {
                SignInRefused::PasswordChangeRequired {
                    is_expired,
                    change_url: self.password_change_url(connector),
                }
            }
            other => SignInRefused::DirectoryUnavailable(other),
        })
    }

    fn password_change_url(&self, connector: &ConnectorId) -> Option<Url> {
        let urls = &self.settings.password_change_urls;
        urls.iter()
            .find(|(id, _)| id == connector)
            .map(|(_, url)| url.clone())
    }

    /// Ends one sign-in session.
    pub async fn sign_out(
        &self,
        session: &SignInSession,
        client: &Client,
    ) -> Result<(), StoreError> {
        self.adapters.sessions.end_session(&session.id_hash).await?;
        let actor = person(&session.identity);
        let mut event = self.event(Action::SignOut, Outcome::Ok, actor, client);
        if session.device.is_some() {
            event = event.with("device", session.id_hash.as_str());
        }
        self.adapters.audit.append(&event).await.map(|_| ())
    }

    /// Ends all of a person's sign-in sessions, for the reason given; says how many there were.
    pub async fn sign_out_everywhere(
        &self,
        identity: &Identity,
        reason: &str,
        client: &Client,
    ) -> Result<u64, StoreError> {
        let ended = self
            .adapters
            .sessions
            .end_sessions_of(identity.connector.as_str(), &identity.subject)
            .await?;
        let event = AuditEvent {
            reason: Some(reason.to_owned()),
            ..self.event(Action::SignOut, Outcome::Ok, person(identity), client)
        };
        self.adapters
            .audit
            .append(&event.with("sessions", ended))
            .await?;
        Ok(ended)
    }
}

/// A browser that signed in as this person before counts for itself.
fn throttle_key(
    connector: &ConnectorId,
    candidate: &Candidate,
    client: &Client,
    known: &str,
) -> Key {
    let browser = client
        .browser
        .as_deref()
        .filter(|browser| known.split(',').any(|hash| hash == *browser));
    let key = format!("{connector}:{}", candidate.throttle_key);
    Key::person(&key, client.address, browser)
}

/// The actor that an identity is in audit rows.
/// Whom the audit log names for what a person does.
pub fn person(identity: &Identity) -> Actor {
    Actor::Person {
        connector: identity.connector.to_string(),
        subject: Some(identity.subject.clone()),
        username: Some(identity.username.clone()),
    }
}

pub(super) fn count(connector: &ConnectorId, outcome: &'static str) {
    metrics::counter!(
        "rolegate_sign_ins_total",
        "connector" => connector.to_string(),
        "outcome" => outcome
    )
    .increment(1);
}
