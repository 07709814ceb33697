//! Responses in the shape of well-known providers.
