//! Rolegate.
