//! The one SQL implementation.
