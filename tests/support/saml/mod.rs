//! SAML responses of our own making, good ones and hostile ones, without the code that they try:
//! elements, canonicalization, signatures and encryption are written here from the standards, and
//! OpenSSL does the arithmetic.
//!
//! Entry points: [`provider::TestIdentityProvider`] for a response, [`cases::recipes`] for every
//! hostile class, [`presets`] for responses in the shape of well-known providers.

pub mod canary;
pub mod cases;
pub mod encryption;
pub mod for_aws;
pub mod keys;
pub mod presets;
pub mod provider;
pub mod random;
pub mod scene;
pub mod signature;
pub mod stage;
pub mod xml;
