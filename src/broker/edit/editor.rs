//! Who edits, with the groups of this moment; and when two identities may be the same person.

use crate::{
    access::{ConnectorId, Identity},
    audit::Actor,
    broker::{Broker, Client, GroupsRefused},
    identity::{Connector, RefreshError},
    store::{SignInSession, StoreError},
};

use super::Refusal;

/// A person whose groups were just read, or why they could not be.
#[derive(Debug, Clone)]
pub(in crate::broker) struct Editor {
    /// Who.
    pub(in crate::broker) identity: Identity,
    /// Why the groups may not be those of this moment; none where they are.
    pub(in crate::broker) doubt: Option<String>,
}

const SIGN_IN_AGAIN: &str = "Your groups were read when you signed in, and your way of signing in \
                             cannot read them again. Sign in again to have them read anew.";
const NO_ANSWER: &str = "Your groups could not be read just now, because the directory does not \
                         answer. Try again when it does.";

impl Broker {
    /// The person of a session, with the groups of this moment.
    pub(in crate::broker) async fn editor(
        &self,
        session: &mut SignInSession,
        client: &Client,
    ) -> Result<Editor, Refusal> {
        let doubt = match self.refresh_groups(session, client).await {
            Ok(true) => Some(NO_ANSWER.to_owned()),
            Ok(false) if self.are_new(&session.identity) => None,
            Ok(false) => Some(SIGN_IN_AGAIN.to_owned()),
            Err(GroupsRefused::AccountGone) => {
                return Err(Refusal::not_allowed(
                    "account_gone",
                    "Your account is gone or disabled.",
                ));
            }
            Err(GroupsRefused::DirectoryUnavailable(_)) => {
                return Err(Refusal::not_allowed("groups_unavailable", NO_ANSWER));
            }
            Err(GroupsRefused::SignInAgain) => {
                return Err(Refusal::not_allowed("groups_too_old", SIGN_IN_AGAIN));
            }
            Err(GroupsRefused::StoreUnavailable(error)) => return Err(error.into()),
        };
        Ok(Editor {
            identity: session.identity.clone(),
            doubt,
        })
    }

    /// The author of a pending edit, who need not be here: with the groups of this moment where
    /// they can be read, else as last seen. None where they are not known any more, or are gone
    /// from their directory.
    pub(super) async fn absent_author(&self, author: &Actor) -> Result<Option<Editor>, StoreError> {
        let Actor::Person {
            connector,
            subject: Some(subject),
            ..
        } = author
        else {
            return Ok(None);
        };
        let known = &self.adapters.known_people;
        let Some(known) = known.known_person(connector, subject).await? else {
            return Ok(None);
        };
        let identity = known.identity;
        Ok(match self.groups_again(&identity).await {
            Ok(identity) => Some(Editor {
                identity,
                doubt: None,
            }),
            Err(RefreshError::Gone) => None,
            Err(_) if self.are_new(&identity) => Some(Editor {
                identity,
                doubt: None,
            }),
            Err(_) => Some(Editor {
                doubt: Some(format!(
                    "The groups of {} could not be read again; they are as last seen.",
                    identity.display()
                )),
                identity,
            }),
        })
    }

    /// Reads somebody's groups again without touching a session.
    async fn groups_again(&self, identity: &Identity) -> Result<Identity, RefreshError> {
        match self.connector(&identity.connector) {
            Some(Connector::Password(directory)) => directory.refresh(identity).await,
            Some(Connector::Redirect(provider)) => match provider.groups_from() {
                Some(directory) => self.groups_elsewhere(directory, identity).await,
                None => Err(RefreshError::NotSupported),
            },
            None => Err(RefreshError::Gone),
        }
    }

    /// Whether groups were read so lately that they count as those of this moment.
    fn are_new(&self, identity: &Identity) -> bool {
        // Groups read in the future are those of a clock that was set back.
        let age = std::time::Duration::try_from(self.now() - identity.groups_read_at);
        age.is_ok_and(|age| age < self.settings.groups_refresh_after)
    }
}

/// Whether the identity is the actor's own.
pub(super) fn is_own(actor: &Actor, identity: &Identity) -> bool {
    matches!(actor, Actor::Person { connector, subject: Some(subject), .. }
        if *connector == identity.connector.as_str() && *subject == identity.subject)
}

/// Whether two identities may be one person: the same, or with the same user name or e-mail
/// address, at whatever connector. Names are no proof; they are enough for doubt.
pub(super) fn may_be_same(one: &Identity, other: &Identity) -> bool {
    let is_same = is_one(one, &other.connector, &other.subject);
    is_same || is_same_word(&one.username, &other.username) || {
        let addresses = one.email.as_deref().zip(other.email.as_deref());
        addresses.is_some_and(|(one, other)| is_same_word(one, other))
    }
}

/// Whether an identity has this subject.
pub(super) fn is_one(identity: &Identity, connector: &ConnectorId, subject: &str) -> bool {
    identity.connector == *connector && identity.subject == subject
}

pub(super) fn is_same_word(one: &str, other: &str) -> bool {
    let (one, other) = (one.trim(), other.trim());
    !one.is_empty() && one.to_lowercase() == other.to_lowercase()
}
