//! Sign-in through an OpenID Connect provider: authorization code with PKCE.
//!
//! The crate `openidconnect` carries the conversation: the request, the exchange of the code, the
//! provider's metadata and keys, and each signature. What a token may say is judged here, in
//! [`token`], by our own clock and with a code for every rule. Never here: pages, the store, what a
//! person may open; nor does an ID token ever go to a browser. Entry point: [`OidcConnector`].

pub(in crate::identity) mod claims;
mod connector;
mod conversation;
mod discovery;
mod exchange;
pub(in crate::identity) mod http;
pub(in crate::identity) mod json;
pub mod keys;
mod logout;
pub(in crate::identity) mod person;
mod probe;
pub mod refusal;
pub mod settings;
pub mod token;
pub(in crate::identity) mod trust;

pub use connector::OidcConnector;
pub use settings::Settings;
