//! What each page shows, prepared in Rust and rendered by askama.
//!
//! One struct per page; templates hold nothing but `if` and `for`, and escaping is never off.
//! Never here: HTTP, cookies, the store, decisions about who may do what. Entry points: the `new`
//! of each view, and [`Layout`] for what all pages share.

pub(crate) mod api;
pub(crate) mod audit;
pub(crate) mod consent;
pub(crate) mod console;
pub(crate) mod credentials;
pub(crate) mod departure;
pub(crate) mod environment;
pub(crate) mod error;
pub(crate) mod helpdesk;
mod layout;
mod moment;
pub(crate) mod picker;
mod provider_errors;
mod query;
pub(crate) mod role;
pub(crate) mod search;
pub(crate) mod sessions;
mod shells;
pub(crate) mod sign_in;
pub(crate) mod signed_in;
pub(crate) mod signed_out;
pub(crate) mod tokens;
pub(crate) mod words;

#[cfg(test)]
mod preview_tests;

#[allow(
    unused_imports,
    reason = "the routes that read the cookie are written separately"
)]
pub(crate) use layout::Theme;
pub(crate) use layout::{Layout, Rights};
pub(crate) use moment::{Moment, span_in_words};
pub(crate) use query::query_string;
