//! Sign-in through an OpenID Connect provider: authorization code with PKCE.
//!
//! The crate `openidconnect` carries the conversation: the request, the exchange of the code, the
//! provider's metadata and keys, and each signature. What a token may say is judged here, in
//! [`token`], by our own clock and with a code for every rule. Never here: pages, the store, what a
//! person may open; nor does an ID token ever go to a browser. Entry point: [`OidcConnector`].

mod claims;
mod connector;
mod conversation;
mod discovery;
mod exchange;
mod http;
mod json;
pub mod keys;
mod logout;
mod person;
mod probe;
pub mod refusal;
pub mod settings;
pub mod token;
mod trust;

pub use connector::OidcConnector;
pub use settings::Settings;
