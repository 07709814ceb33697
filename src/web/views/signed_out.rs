//! The page after signing out.

use askama::Template;

use super::Layout;

/// What became of the identity provider's own session with the person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ProviderEnd {
    /// The provider ended it.
    Ended,
    /// It was not asked to, or did not.
    Open,
}

impl ProviderEnd {
    /// Reads `?provider=`; anything else leaves the provider out.
    pub(crate) fn from_query(text: &str) -> Option<Self> {
        match text {
            "ended" => Some(Self::Ended),
            "open" => Some(Self::Open),
            _ => None,
        }
    }

    /// As [`from_query`](Self::from_query) reads it.
    pub(crate) fn as_query(self) -> &'static str {
        match self {
            Self::Ended => "ended",
            Self::Open => "open",
        }
    }
}

/// What `POST /logout` ends on.
#[derive(Template)]
#[template(path = "signed_out.html", whitespace = "minimize")]
pub(crate) struct SignedOutView {
    layout: Layout,
    has_open_role_sessions: bool,
    provider: Option<ProviderEnd>,
}

impl SignedOutView {
    /// With open role sessions the page says that they run on in AWS; `provider` is for people who
    /// signed in at one.
    pub(crate) fn new(
        layout: Layout,
        has_open_role_sessions: bool,
        provider: Option<ProviderEnd>,
    ) -> Self {
        Self {
            layout,
            has_open_role_sessions,
            provider,
        }
    }
}
