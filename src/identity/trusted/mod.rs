//! Issuers whose tokens applications bring: JWTs by their published keys, and opaque tokens by
//! introspection (RFC 7662).
//!
//! Never here: people who sign in by a browser.
