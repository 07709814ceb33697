//! Sign-in through a SAML 2.0 identity provider.
//!
//! A stranger's message takes three steps, in this order: the [`gate`] looks at its structure,
//! samael verifies its signature with configured keys alone, and our own rules read only what was
//! verified. Never here: HTTP, the store, what a person may open. Entry points:
//! [`verify::verify`].

mod decrypt;
mod element;
pub mod gate;
mod message;
pub mod redirect_binding;
pub mod refusal;
mod rules;
pub mod signature;
pub mod verify;
