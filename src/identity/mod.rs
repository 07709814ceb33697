//! Who is this? The ways to sign in.
//!
//! Never here: roles, AWS, HTML. A connector answers with an
//! [`Identity`] or a reason, and a failed group look-up is a refusal,
//! never an empty list. Entry points: [`PasswordConnector`], [`RedirectConnector`].

pub mod ldap;
pub mod oidc;
pub mod saml;
pub mod trusted;

use std::{error::Error, fmt, time::Instant};

use async_trait::async_trait;
use secrecy::{ExposeSecret as _, SecretString};
use thiserror::Error;
use time::OffsetDateTime;
use url::Url;

use crate::access::{ConnectorId, GroupKey, Identity, ProviderSession, explain::GroupRelations};

/// The cause of an adapter's failure, for the log.
pub type Cause = Box<dyn Error + Send + Sync>;

/// A way to sign in, by the shape of its conversation.
#[expect(missing_debug_implementations, reason = "a trait object of an adapter")]
pub enum Connector {
    /// Name and password, checked by us against a directory.
    Password(Box<dyn PasswordConnector>),
    /// At a provider of the person's own, to which the browser is sent and from which it returns.
    Redirect(Box<dyn RedirectConnector>),
}

impl Connector {
    /// The connector's id.
    pub fn id(&self) -> &ConnectorId {
        match self {
            Self::Password(connector) => connector.id(),
            Self::Redirect(connector) => connector.id(),
        }
    }

    /// What people see.
    pub fn label(&self) -> &str {
        match self {
            Self::Password(connector) => connector.label(),
            Self::Redirect(connector) => connector.label(),
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

    /// People whose user name, display name or e-mail address begins with or contains `text`, at
    /// most `limit`, by user name; whoever has exactly this user name comes first. Empty for a
    /// text of less than two characters.
    async fn find_people(
        &self,
        text: &str,
        limit: usize,
    ) -> Result<Listing<LocatedEntry>, LookUpError>;

    /// Groups whose name contains `text`, at most `limit`, by name. Empty for a text of less than
    /// two characters.
    async fn find_groups(
        &self,
        text: &str,
        limit: usize,
    ) -> Result<Listing<GroupSummary>, LookUpError>;

    /// Who is in a group, directly or through other groups, as groups are read at sign-in. None
    /// when there is no such group.
    async fn members(
        &self,
        group: &GroupKey,
        limit: usize,
    ) -> Result<Option<GroupMembers>, LookUpError>;

    /// How a group stands to others, whatever `nested_groups` says; one step up and down.
    async fn relations(&self, group: &GroupKey) -> Result<GroupRelations, LookUpError>;

    /// Connects to every server and says what was found, for `check --live`.
    async fn probe(&self) -> Vec<Finding>;
}

/// What a search found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing<T> {
    /// What was found.
    pub items: Vec<T>,
    /// Whether there may be more: the limit, or one of the server's, was reached.
    pub is_cut: bool,
}

/// A group that was searched for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupSummary {
    /// What mappings compare.
    pub key: GroupKey,
    /// The name as the directory writes it, which is what rules match: a DN.
    pub name: String,
    /// What the directory says about it.
    pub description: Option<String>,
    /// The directory's own stable id.
    pub stable_id: Option<String>,
}

/// A member of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Who.
    pub person: LocatedEntry,
    /// The groups on the way from the person to the group that was asked about, the nearest to the
    /// person first; empty for direct membership.
    pub through: Vec<GroupKey>,
}

/// Who is in a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupMembers {
    /// The group.
    pub group: GroupSummary,
    /// Its members that are people, by user name.
    pub people: Vec<Member>,
    /// Whether there may be more: the limit was reached, or an entry could not be read.
    pub is_cut: bool,
}

/// Why something could not be looked up.
#[derive(Debug, Error)]
pub enum LookUpError {
    /// The connector binds as the person alone, and has no credentials of its own to search with.
    #[error("this connector cannot search its directory")]
    NotSupported,
    /// No server answered, or not in full.
    #[error("the directory is unavailable")]
    Unavailable(#[source] Cause),
    /// A server answered, and the configuration does not fit it.
    #[error("the directory does not fit the configuration")]
    Misconfigured(#[source] Cause),
}

/// A provider that signs people in on its own pages (SAML 2.0, OpenID Connect).
///
/// The conversation: [`begin`](Self::begin) says what the browser carries there; what comes back
/// names its conversation ([`conversation`](Self::conversation)), whose pending sign-in the caller
/// takes, once; [`finish`](Self::finish) verifies. Everything but a refusal is verified.
#[async_trait]
pub trait RedirectConnector: Send + Sync {
    /// The connector's id.
    fn id(&self) -> &ConnectorId;

    /// What people see on the sign-in page.
    fn label(&self) -> &str;

    /// What it speaks, which decides about the addresses that its messages come to.
    fn protocol(&self) -> Protocol;

    /// Whether an answer to no request of ours is taken.
    fn takes_unsolicited(&self) -> bool;

    /// The directory whose groups count instead of the provider's, where one is configured.
    fn groups_from(&self) -> Option<&ConnectorId>;

    /// Begins a sign-in.
    async fn begin(&self, wish: &SignInWish) -> Result<Departure, RedirectRefused>;

    /// Which conversation an answer says it belongs to; not verified. None where it names none.
    fn conversation(&self, answer: &Answer) -> Result<Option<String>, RedirectRefused>;

    /// Verifies an answer. `request_id` is that of the pending sign-in, none where nobody asked.
    async fn finish(
        &self,
        answer: &Answer,
        request_id: Option<&str>,
    ) -> Result<Vouched, RedirectRefused>;

    /// The service provider metadata to hand to the provider, stable byte for byte. What the
    /// provider's form asks for, where its protocol has no such document.
    fn metadata(&self) -> Result<String, RedirectRefused>;

    /// Asks the provider to end its session with the person. None where it has no such endpoint.
    async fn begin_logout(
        &self,
        session: &ProviderSession,
    ) -> Result<Option<LogoutDeparture>, RedirectRefused>;

    /// Verifies a message about logout.
    async fn read_logout(&self, message: &LogoutMessage) -> Result<Logout, RedirectRefused>;

    /// Answers the provider's request to log out.
    async fn answer_logout(
        &self,
        request_id: &str,
        relay_state: Option<&str>,
        is_done: bool,
    ) -> Result<Option<Carried>, RedirectRefused>;

    /// Where the provider opens an AWS role itself, with the deep link as its RelayState; none
    /// where the configuration names no such address.
    fn aws_application(&self, target: &AwsApplication<'_>) -> Option<Url>;

    /// Fetches what the provider publishes, where it has to be fetched; called at start and then
    /// every few minutes. What cannot be fetched leaves the last good copy in force.
    async fn refresh_trust(&self);

    /// Looks at the configuration, the keys and the provider, for `check --live`.
    async fn probe(&self) -> Vec<Finding>;
}

/// What a provider speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// SAML 2.0.
    Saml,
    /// OpenID Connect 1.0.
    OpenIdConnect,
}

/// What a sign-in shall be.
#[derive(Debug, Clone, Default)]
pub struct SignInWish {
    /// Whether the provider shall ask for the credentials again, even from somebody it knows.
    pub force_authentication: bool,
    /// The secret of the attempt, which comes back with [`Answer::secret`].
    pub secret: AttemptSecret,
}

/// The secret in the cookie of one sign-in attempt, of which we keep the hash alone. What a
/// conversation has to remember and the store must not know is derived from it.
#[derive(Clone, Default)]
pub struct AttemptSecret(SecretString);

impl AttemptSecret {
    /// Wraps the cookie's value, which has at least 122 random bits.
    pub fn new(secret: impl Into<String>) -> Self {
        Self(SecretString::from(secret.into()))
    }

    /// The bytes to derive from.
    pub(crate) fn expose(&self) -> &[u8] {
        self.0.expose_secret().as_bytes()
    }
}

impl fmt::Debug for AttemptSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AttemptSecret(redacted)")
    }
}

/// What the browser carries to the provider.
pub enum Carried {
    /// By a redirect. The query is for the provider alone and belongs in no log.
    Redirect(Url),
    /// By a form that it posts.
    Form {
        /// Where to.
        action: Url,
        /// Names and values.
        fields: Vec<(&'static str, String)>,
    },
}

impl fmt::Debug for Carried {
    /// The address alone, without its query.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, url) = match self {
            Self::Redirect(url) => ("Redirect", url),
            Self::Form { action, .. } => ("Form", action),
        };
        f.debug_tuple(name).field(&url.host_str()).finish()
    }
}

/// The beginning of a sign-in.
pub struct Departure {
    /// The id of the request; at least 128 random bits.
    pub request_id: String,
    /// What has to come back beside the answer; at most 80 bytes.
    pub relay_state: String,
    /// What the browser carries.
    pub carried: Carried,
}

impl fmt::Debug for Departure {
    /// Leaves out the RelayState, which the answer has to know.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Departure")
            .field("request_id", &self.request_id)
            .field("carried", &self.carried)
            .finish_non_exhaustive()
    }
}

/// What the browser brought back.
pub struct Answer {
    /// The message as posted, base64 for SAML; the query as it came for OpenID Connect. A bearer
    /// secret.
    pub message: SecretString,
    /// The RelayState, where there was one.
    pub relay_state: Option<String>,
    /// The secret of the attempt that the answer belongs to; none where this browser has none.
    pub secret: Option<AttemptSecret>,
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer").finish_non_exhaustive()
    }
}

/// A person for whom a provider vouched.
#[derive(Debug)]
pub struct Vouched {
    /// Who. Groups are those that the provider named.
    pub identity: Identity,
    /// The id under which the answer is used up.
    pub answer_id: String,
    /// Until when a second use would pass for a first one.
    pub replay_until: OffsetDateTime,
    /// The provider's session.
    pub provider_session: ProviderSession,
    /// When the provider says that its session ends.
    pub session_ends_at: Option<OffsetDateTime>,
    /// The answer itself, where AWS takes it too.
    pub proof: Option<HeldProof>,
    /// The provider left groups out because they are too many (Entra's overage claim).
    pub groups_overage: bool,
}

/// What of an answer AWS takes as well.
#[derive(Debug)]
pub struct HeldProof {
    /// What it is.
    pub kind: ProofKind,
    /// The whole SAML response as posted, base64, or the token. A bearer secret.
    pub secret: SecretString,
    /// From when on AWS refuses it: five minutes after a response was issued, or its end.
    pub redeem_by: OffsetDateTime,
}

/// What AWS takes from a provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProofKind {
    /// A SAML response, for AssumeRoleWithSAML.
    SamlResponse,
    /// An ID token, for AssumeRoleWithWebIdentity.
    IdToken,
    /// An OAuth 2.0 access token of a provider that AWS knows by name, such as
    /// `graph.facebook.com`, for AssumeRoleWithWebIdentity.
    AccessToken {
        /// The `ProviderId`.
        provider_id: String,
    },
}

/// The beginning of a logout at the provider.
#[derive(Debug)]
pub struct LogoutDeparture {
    /// The id of the request.
    pub request_id: String,
    /// What the browser carries.
    pub carried: Carried,
}

/// A message about logout, as it came.
#[derive(Clone)]
pub enum LogoutMessage {
    /// The query of a redirect, raw, as the signature covers it (SAML bindings 3.4.4.1).
    Query(String),
    /// The fields of a posted form.
    Form {
        /// `SAMLRequest`.
        request: Option<String>,
        /// `SAMLResponse`.
        response: Option<String>,
        /// `RelayState`.
        relay_state: Option<String>,
    },
    /// The `logout_token` that a provider posts by itself (OpenID Connect Back-Channel Logout 2.5).
    Token(SecretString),
}

impl fmt::Debug for LogoutMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Query(_) => "Query(redacted)",
            Self::Form { .. } => "Form(redacted)",
            Self::Token(_) => "Token(redacted)",
        })
    }
}

/// What a verified message about logout says.
#[derive(Debug)]
pub enum Logout {
    /// The provider asks us to end sessions.
    Requested {
        /// The request's id.
        request_id: String,
        /// Whose; none where the sessions are named alone.
        name_id: Option<String>,
        /// Which; empty means all of that person.
        session_indexes: Vec<String>,
        /// What has to go back.
        relay_state: Option<String>,
        /// Until when a second use would pass for a first one.
        replay_until: OffsetDateTime,
    },
    /// The provider answers our request.
    Answered {
        /// Our request's id.
        request_id: Option<String>,
        /// Whether it ended its session.
        is_done: bool,
    },
}

/// An AWS role that the provider opens itself.
#[derive(Debug, Clone, Copy)]
pub struct AwsApplication<'a> {
    /// The account.
    pub account: &'a str,
    /// The role's ARN.
    pub role_arn: &'a str,
    /// The role's name.
    pub role_name: &'a str,
    /// Where in the console, as RelayState.
    pub destination: Option<&'a Url>,
}

/// The rule that a provider's message breaks, whatever it speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// One of SAML, or of the conversation that both protocols share.
    Saml(saml::refusal::Reason),
    /// One of OpenID Connect.
    Oidc(oidc::refusal::Reason),
}

impl Rule {
    /// The stable code in audit rows.
    pub fn code(self) -> &'static str {
        match self {
            Self::Saml(reason) => reason.code(),
            Self::Oidc(reason) => reason.code(),
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl From<saml::refusal::Reason> for Rule {
    fn from(reason: saml::refusal::Reason) -> Self {
        Self::Saml(reason)
    }
}

impl From<oidc::refusal::Reason> for Rule {
    fn from(reason: oidc::refusal::Reason) -> Self {
        Self::Oidc(reason)
    }
}

/// Why a provider's answer leads nowhere.
#[derive(Debug, Error)]
pub enum RedirectRefused {
    /// The message is not acceptable; the person is told one wording whatever the reason.
    #[error("the provider's message is not acceptable")]
    Message(#[from] saml::refusal::Refused),
    /// The same of an answer or a token of an OpenID Connect provider, which may also be that it
    /// declined to sign the person in.
    #[error("the provider's answer is not acceptable")]
    Token(#[from] oidc::refusal::Refused),
    /// What the provider publishes is not known, so nothing can be sent to it or verified.
    #[error("the provider's metadata is not available")]
    Unavailable(#[source] Cause),
    /// The configuration does not fit what the provider publishes.
    #[error("the provider does not fit the configuration")]
    Misconfigured(#[source] Cause),
    /// Too many messages wait to be verified; nothing was looked at.
    #[error("too many messages wait to be verified")]
    Busy(#[source] Cause),
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

/// An issuer whose tokens applications may bring to the API, instead of a person's sign-in.
#[async_trait]
pub trait TrustedIssuer: Send + Sync {
    /// Its id, which stands where a connector's does.
    fn id(&self) -> &ConnectorId;

    /// By which origins browsers may call with its tokens.
    fn allowed_origins(&self) -> &[String];

    /// Whether a token says that it is this issuer's (the claim `iss` of a JWT, not verified), or
    /// cannot say and may be asked about.
    fn may_be_of(&self, token: &SecretString) -> bool;

    /// Verifies a token and says whose it is, with the groups that it names.
    async fn identify(&self, token: &SecretString) -> Result<TokenHolder, TokenRefusal>;
}

/// Whose a token is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenHolder {
    /// Who, with the groups that the token names.
    pub identity: Identity,
    /// When the token ends.
    pub ends_at: OffsetDateTime,
}

/// Why a token of a trusted issuer is refused.
#[derive(Debug, Error)]
pub enum TokenRefusal {
    /// The token is not good; says why, without anything of it that is secret.
    #[error("{detail}")]
    Refused {
        /// A stable code: `token_expired`, `wrong_audience`, `token_revoked`, `signature_invalid`, …
        code: &'static str,
        /// For the operator.
        detail: String,
    },
    /// The issuer does not answer, or its keys cannot be had.
    #[error("the issuer does not answer")]
    Unavailable(#[source] Cause),
}
