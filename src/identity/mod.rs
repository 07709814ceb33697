//! Who is this? The ways to sign in.
//!
//! Never here: roles, AWS, HTML. A connector answers with an
//! [`Identity`] or a reason, and a failed group look-up is a refusal,
//! never an empty list. Entry point: [`PasswordConnector`].

pub mod ldap;

use std::{error::Error, fmt, time::Instant};

use async_trait::async_trait;
use secrecy::SecretString;
use thiserror::Error;

use crate::access::{ConnectorId, Identity};

/// The cause of an adapter's failure, for the log.
pub type Cause = Box<dyn Error + Send + Sync>;

/// A way to sign in, by the shape of its conversation.
#[expect(missing_debug_implementations, reason = "a trait object of an adapter")]
pub enum Connector {
    /// Name and password, checked by us against a directory.
    Password(Box<dyn PasswordConnector>),
}

impl Connector {
    /// The connector's id.
    pub fn id(&self) -> &ConnectorId {
        match self {
            Self::Password(connector) => connector.id(),
        }
    }

    /// What people see.
    pub fn label(&self) -> &str {
        match self {
            Self::Password(connector) => connector.label(),
        }
    }
}

/// A directory that checks names and passwords.
///
/// Signing in takes two steps, so that the caller can throttle by the canonical subject before a
/// password is tried: [`locate`](Self::locate), then [`verify`](Self::verify).
#[async_trait]
pub trait PasswordConnector: Send + Sync {
    /// The connector's id.
    fn id(&self) -> &ConnectorId;

    /// What people see on the sign-in page.
    fn label(&self) -> &str;

    /// Finds the entry that a typed name means. An unknown name is a [`Candidate`] too, so that
    /// what follows takes the same time.
    async fn locate(&self, username: &str) -> Result<Candidate, SignInError>;

    /// Checks the password and reads the groups. A candidate without an entry costs one bind too.
    async fn verify(
        &self,
        candidate: Candidate,
        password: &SecretString,
    ) -> Result<Identity, SignInError>;

    /// Reads the person and their groups again. `authenticated_at` and `method` are kept.
    async fn refresh(&self, identity: &Identity) -> Result<Identity, RefreshError>;

    /// Looks a person up without a password, for `check --user` and the helpdesk. None when there
    /// is no such person.
    async fn look_up(&self, username: &str) -> Result<Option<Identity>, SignInError>;

    /// Connects to every server and says what was found, for `check --live`.
    async fn probe(&self) -> Vec<Finding>;
}

/// What a typed name means.
#[derive(Clone, PartialEq, Eq)]
pub struct Candidate {
    /// What throttles count by: the entry's subject, else a folded form of what was typed.
    pub throttle_key: String,
    /// The entry, where one was found.
    pub entry: Option<LocatedEntry>,
    /// Why there is no entry. None where there is one, and where the connector finds it only after
    /// the password was right.
    pub refusal: Option<Refusal>,
    /// The name as typed, for direct binds and for nothing else.
    pub typed: String,
    /// When the sign-in, both steps of it, must be over.
    pub deadline: Instant,
}

impl fmt::Debug for Candidate {
    /// Leaves out what was typed: people type passwords into the wrong field.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Candidate")
            .field("entry", &self.entry)
            .field("refusal", &self.refusal)
            .finish_non_exhaustive()
    }
}

/// A directory entry that a typed name means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocatedEntry {
    /// Its distinguished name, as the directory writes it.
    pub dn: String,
    /// The stable id of the person.
    pub subject: String,
    /// The canonical user name.
    pub username: String,
    /// What to call the person.
    pub display_name: Option<String>,
    /// The e-mail address that the directory has.
    pub email: Option<String>,
    /// The groups that the entry itself names, where the connector reads them; none where they
    /// are too many to come at once, and are read once the password was right.
    pub member_of: Option<Vec<String>>,
}

/// Why a sign-in went no further.
#[derive(Debug, Error)]
pub enum SignInError {
    /// Refused; the person is told one wording whatever the cause.
    #[error("the sign-in was refused: {cause}")]
    Refused {
        /// The person, where there is one.
        subject: Option<String>,
        /// Why, for the audit alone.
        cause: Refusal,
    },
    /// The password was right and has expired, or must be changed.
    #[error("the password was right but must be changed")]
    PasswordChangeRequired {
        /// The person.
        subject: String,
        /// Whether it had expired rather than been reset.
        is_expired: bool,
    },
    /// The password was right; the groups could not be read in full, so nothing is known.
    #[error("the groups could not be read")]
    GroupsUnavailable {
        /// The person.
        subject: String,
        /// What went wrong.
        #[source]
        cause: Cause,
    },
    /// No server answered in time.
    #[error("the directory is unavailable")]
    Unavailable(#[source] Cause),
    /// A server answered, and the configuration does not fit it.
    #[error("the directory does not fit the configuration")]
    Misconfigured(#[source] Cause),
}

/// Why a sign-in was refused: for the audit and the person page, never for the person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// No entry has that name.
    UnknownUser,
    /// More than one entry has that name.
    Ambiguous,
    /// The entry lacks its subject or user name attribute.
    IncompleteEntry,
    /// The password is empty, or begins with NUL; it was not tried.
    EmptyPassword,
    /// The password is wrong, as far as the directory tells.
    WrongPassword,
    /// The directory says that the account is locked.
    Locked,
    /// The account is disabled.
    Disabled,
    /// The account has expired.
    AccountExpired,
}

impl Refusal {
    /// The stable code in audit rows.
    pub fn code(self) -> &'static str {
        match self {
            Self::UnknownUser => "unknown_user",
            Self::Ambiguous => "ambiguous_user",
            Self::IncompleteEntry => "incomplete_entry",
            Self::EmptyPassword => "empty_password",
            Self::WrongPassword => "wrong_password",
            Self::Locked => "locked",
            Self::Disabled => "disabled",
            Self::AccountExpired => "account_expired",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// Why groups could not be read again.
#[derive(Debug, Error)]
pub enum RefreshError {
    /// The entry is gone or is disabled: access ends at once.
    #[error("the account is gone or disabled")]
    Gone,
    /// No server answered, or not in full.
    #[error("the directory is unavailable")]
    Unavailable(#[source] Cause),
    /// This connector cannot read groups without the person's password.
    #[error("this connector cannot read groups again")]
    NotSupported,
}

/// One line of `check --live`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Whether something does not work.
    pub is_error: bool,
    /// What was looked at: a URL, a role.
    pub about: String,
    /// What was found, and what would be right.
    pub message: String,
}
