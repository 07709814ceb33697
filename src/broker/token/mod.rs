//! Broker tokens: what clients are given so that they can act for a person without a browser.
//!
//! A client registers, asks a person by a browser
//! ([`Broker::approve_code`](crate::broker::Broker::approve_code)) or by a typed code
//! ([`Broker::decide_device`](crate::broker::Broker::decide_device)), and exchanges the answer for an
//! access token and a refresh token
//! ([`Broker::create_token`](crate::broker::Broker::create_token)). The tokens belong to a device's
//! [`SignInSession`](crate::store::SignInSession), and end with it. Never
//! here: a token in the clear but on its way out; wire formats.

mod authorize;
mod client;
mod device;
mod exchange;
mod own;
pub(super) mod secret;

use std::time::Duration;

use secrecy::SecretString;
use thiserror::Error;
use time::OffsetDateTime;

use crate::{
    access::{TargetArn, TokenScopes},
    store::{Device, StoreError},
};

/// What a client says about itself (RFC 7591); nobody vouches for any of it.
#[derive(Debug, Clone, Default)]
pub struct ClientWish {
    /// What it calls itself.
    pub name: String,
    /// `public`.
    pub kind: String,
    /// Loopback addresses alone, whose port does not count (RFC 8252, 7.3).
    pub redirect_uris: Vec<String>,
    /// What it will ask for.
    pub scopes: Vec<String>,
    /// How it will ask.
    pub grant_types: Vec<String>,
}

/// A client that was registered.
#[derive(Debug)]
pub struct RegisteredClient {
    /// Its id, which holds what it said about itself.
    pub client_id: String,
    /// What proves that whoever brings the id registered it.
    pub client_secret: SecretString,
    /// When.
    pub issued_at: OffsetDateTime,
    /// From when on it has to register again.
    pub expires_at: OffsetDateTime,
}

/// A client that proves its registration.
#[derive(Debug, Clone)]
pub struct ClientProof {
    /// Its id.
    pub client_id: String,
    /// Its secret.
    pub client_secret: SecretString,
}

/// What a browser brings from a client to `/authorize` (RFC 6749, 4.1.1; RFC 7636).
#[derive(Debug, Clone, Default)]
pub struct AuthorizeOrder {
    /// `code`.
    pub response_type: String,
    /// Who asks.
    pub client_id: String,
    /// Where the answer goes, with the port.
    pub redirect_uri: String,
    /// What the client wants to see again.
    pub state: String,
    /// The PKCE challenge.
    pub code_challenge: String,
    /// `S256`.
    pub code_challenge_method: String,
    /// With blanks between; none stands for what the client registered with.
    pub scopes: Option<String>,
}

/// What a person is asked to agree to.
#[derive(Debug, Clone)]
pub struct Consent {
    /// What the client calls itself.
    pub client_name: String,
    /// What it asks for.
    pub scopes: TokenScopes,
    /// Where the answer goes: a loopback address.
    pub redirect_uri: url::Url,
}

/// Why an authorization is not begun.
#[derive(Debug, Error)]
pub enum AuthorizeRefused {
    /// The client or its redirect address is not known: nothing may be sent there. Says what.
    #[error("{0}")]
    NoRedirect(&'static str),
    /// The client is told, at its redirect address.
    #[error("the client asked for what it cannot have")]
    Redirect(url::Url),
    /// Nothing can be recorded.
    #[error("the store is unavailable")]
    StoreUnavailable(#[from] StoreError),
}

/// A device authorization that waits for a person.
#[derive(Debug)]
pub struct DeviceStarted {
    /// What the client polls with.
    pub device_code: SecretString,
    /// What the person types, as it is shown: `BCDFG-HJKLM`.
    pub user_code: String,
    /// Where.
    pub verification_uri: url::Url,
    /// For how long.
    pub expires_in: Duration,
    /// How often the client may ask.
    pub interval: Duration,
}

/// What a person who typed a code is asked to agree to.
#[derive(Debug, Clone)]
pub struct DeviceAsked {
    /// What the client calls itself.
    pub client_name: String,
    /// From where it asked.
    pub client_address: String,
    /// When.
    pub asked_at: OffsetDateTime,
    /// What it asks for.
    pub scopes: TokenScopes,
    /// Whether the browser comes from the same address.
    pub is_same_address: bool,
}

/// Why a typed code leads nowhere.
#[derive(Debug, Error)]
pub enum DeviceRefused {
    /// No device waits with this code, or no longer.
    #[error("no device waits with this code")]
    Unknown,
    /// Too many wrong codes.
    #[error("too many wrong codes")]
    Throttled {
        /// How long to wait.
        retry_after: Duration,
    },
    /// Nothing can be recorded.
    #[error("the store is unavailable")]
    StoreUnavailable(#[from] StoreError),
}

/// What a client exchanges for tokens.
#[derive(Debug)]
pub enum TokenOrder {
    /// The code that a browser brought it.
    Code {
        /// The code.
        code: SecretString,
        /// Where it came, exactly as it was asked for.
        redirect_uri: String,
        /// The PKCE verifier.
        code_verifier: SecretString,
    },
    /// The code that it polls with.
    Device {
        /// The code.
        device_code: SecretString,
    },
    /// A refresh token.
    Refresh {
        /// The token.
        refresh_token: SecretString,
    },
}

/// Tokens on their way to a client.
#[derive(Debug)]
pub struct IssuedTokens {
    /// The bearer token.
    pub access_token: SecretString,
    /// How long it lasts.
    pub expires_in: Duration,
    /// What is exchanged for the next ones.
    pub refresh_token: Option<SecretString>,
    /// What they may be used for.
    pub scopes: TokenScopes,
}

/// Why a client got nothing, in the words of RFC 6749, 5.2 and RFC 8628, 3.5.
#[derive(Debug, Error)]
pub enum TokenRefused {
    /// The request is not whole; says what is wrong.
    #[error("{0}")]
    InvalidRequest(String),
    /// What the client says about itself cannot be; says what.
    #[error("{0}")]
    InvalidClientMetadata(String),
    /// The redirect address is none of this machine's own.
    #[error("{0}")]
    InvalidRedirectUri(String),
    /// The client is not known, does not prove who it is, or has to register again.
    #[error("the client is not known, or has to register again")]
    InvalidClient,
    /// The code, verifier or refresh token is not good, or no longer.
    #[error("{0}")]
    InvalidGrant(&'static str),
    /// The client did not register for this.
    #[error("the client did not register for this")]
    UnauthorizedClient,
    /// There is no such scope, or it was not granted.
    #[error("{0}")]
    InvalidScope(String),
    /// The person has not decided.
    #[error("the person has not decided yet")]
    Pending,
    /// The client asks too often.
    #[error("asked too often")]
    SlowDown,
    /// The person declined, or may not sign in any more.
    #[error("{0}")]
    AccessDenied(&'static str),
    /// The device code or refresh token is too old.
    #[error("too old")]
    Expired,
    /// Device codes are switched off.
    #[error("sign-in by a typed code is switched off here")]
    DeviceFlowOff,
    /// Too many requests of one address.
    #[error("too many requests")]
    Throttled {
        /// How long to wait.
        retry_after: Duration,
    },
    /// Nothing can be recorded.
    #[error("the store is unavailable")]
    StoreUnavailable(#[from] StoreError),
}

/// What a person wants a token for, to be put into a file or another program by hand.
#[derive(Debug, Clone)]
pub struct TokenWish {
    /// What they call it.
    pub name: String,
    /// What it may be used for.
    pub scopes: TokenScopes,
    /// The one role it is limited to: an ARN, or `account/role`; the person has to hold it.
    pub role: Option<String>,
    /// How long it lasts; none stands for the longest.
    pub lasts: Option<Duration>,
}

/// A token that was made by hand, shown once.
#[derive(Debug)]
pub struct MadeToken {
    /// The token.
    pub token: SecretString,
    /// The id of its device: what it is listed by and ended by.
    pub id: String,
    /// When it ends.
    pub expires_at: OffsetDateTime,
    /// Its device: name, scopes, role.
    pub device: Device,
}

/// Why no token was made by hand.
#[derive(Debug, Error)]
pub enum NotMade {
    /// The name is empty or too long, the scopes are none, or the time is too long; says which and
    /// what would be right.
    #[error("{0}")]
    Unfit(String),
    /// The person does not hold the role.
    #[error("the role is none of the person's own")]
    NotEntitled(Option<TargetArn>),
    /// Nothing can be recorded.
    #[error("the store is unavailable")]
    StoreUnavailable(#[from] StoreError),
}

/// The deadlines of broker tokens.
#[derive(Debug, Clone)]
pub struct TokenSettings {
    /// How long an access token lasts.
    pub access: Duration,
    /// How long a device may go on without a person; counted from when they agreed.
    pub refresh: Duration,
    /// Whether codes may be typed.
    pub device_flow: bool,
}

/// For the metrics: what was asked of the broker, and how it went.
pub(super) fn count(what: &'static str, outcome: &'static str) {
    metrics::counter!("rolegate_tokens_total", "what" => what, "outcome" => outcome).increment(1);
}
