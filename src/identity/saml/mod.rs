//! Sign-in through a SAML 2.0 identity provider.
//!
//! A stranger's message takes three steps, in this order: the [`gate`] looks at its structure,
//! samael verifies its signature with configured keys alone, and our own rules read only what was
//! verified. Never here: pages, the store, what a person may open. Entry points:
//! [`SamlConnector`], [`verify::verify`].

mod connector;
mod decrypt;
mod document;
mod element;
pub mod gate;
mod logout;
mod message;
mod metadata_signature;
mod person;
pub mod provider_metadata;
pub mod redirect_binding;
pub mod refusal;
mod request;
mod rules;
mod service_metadata;
pub mod settings;
pub mod signature;
mod trust;
pub mod verify;

pub use connector::SamlConnector;
pub use settings::Settings;
pub use trust::{KeptDocuments, Published};
