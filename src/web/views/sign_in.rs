//! The sign-in page.

use askama::Template;

use super::{Layout, words};
use crate::access::ConnectorId;

/// A configured way to sign in.
#[derive(Debug, Clone)]
pub(crate) struct Way {
    /// The connector's id.
    pub(crate) connector: ConnectorId,
    /// What people call it, such as `Example Corp directory`.
    pub(crate) name: String,
    /// Whether people sign in on a provider's own pages, rather than with a user name and a
    /// password here.
    pub(crate) is_provider: bool,
}

/// Why the page is shown again, or instead of another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SignInMessage {
    /// The directory refused, for whatever reason; never more than this.
    Refused,
    /// The sign-in session ended while the person was elsewhere.
    SessionExpired,
    /// The form was too old, or its token did not match.
    FormExpired,
    /// Too many attempts.
    Throttled {
        /// Seconds until the next attempt counts.
        retry_after_s: u64,
    },
    /// No directory answered.
    DirectoryUnavailable,
    /// The password was right and has expired.
    PasswordExpired {
        /// Where it can be changed, as words or an address.
        change_at: Option<String>,
    },
    /// The password was right and must be changed first.
    PasswordMustChange {
        /// Where it can be changed, as words or an address.
        change_at: Option<String>,
    },
    /// A user name or password was left empty.
    Incomplete,
}

/// What the sign-in page is made from.
pub(crate) struct SignInInput {
    /// The frame; nobody is signed in.
    pub(crate) layout: Layout,
    /// `[organisation] notice`.
    pub(crate) notice: Option<String>,
    /// In configured order.
    pub(crate) ways: Vec<Way>,
    /// The connector used last in this browser, or just now; it comes first and keeps the user
    /// name.
    pub(crate) last_used: Option<ConnectorId>,
    /// Where to go afterwards: a path of ours, checked by the caller.
    pub(crate) next: String,
    /// Why the page is shown.
    pub(crate) message: Option<SignInMessage>,
    /// What was typed as user name, kept for another try.
    pub(crate) username: String,
}

struct WayView {
    action: String,
    id: String,
    name: String,
    is_provider: bool,
}

/// `GET /login`, and `POST /login/{connector}` where it did not succeed.
#[derive(Template)]
#[template(path = "sign_in.html", whitespace = "minimize")]
pub(crate) struct SignInView {
    layout: Layout,
    notice: Option<String>,
    first: Option<WayView>,
    others: Vec<WayView>,
    next: String,
    username: String,
    message: Option<MessageView>,
}

struct MessageView {
    fact: String,
    step: String,
    link: Option<String>,
    is_failure: bool,
}

impl SignInView {
    /// Orders the ways and chooses the words.
    pub(crate) fn new(input: SignInInput) -> Self {
        let message = input.message.map(MessageView::new);
        let mut ways = input.ways;
        // A stable sort: the rest keeps its configured order.
        ways.sort_by_key(|way| Some(&way.connector) != input.last_used.as_ref());
        let mut ways = ways.into_iter().map(|way| WayView {
            action: format!("/login/{}", way.connector),
            id: way.connector.to_string(),
            name: way.name,
            is_provider: way.is_provider,
        });
        Self {
            layout: input.layout,
            notice: input.notice.filter(|notice| !notice.trim().is_empty()),
            first: ways.next(),
            others: ways.collect(),
            next: input.next,
            username: input.username,
            message,
        }
    }
}

impl MessageView {
    fn new(message: SignInMessage) -> Self {
        let failure = |fact: &str, step: &str| Self {
            fact: fact.to_owned(),
            step: step.to_owned(),
            link: None,
            is_failure: true,
        };
        match message {
            SignInMessage::Refused => failure(
                words::REFUSED,
                "Check both and try again. If it keeps failing, ask your helpdesk.",
            ),
            SignInMessage::SessionExpired => Self {
                is_failure: false,
                ..failure(
                    "You were signed out because you were away.",
                    "Sign in and you are back where you were.",
                )
            },
            SignInMessage::FormExpired => failure(
                "This page had been open for too long.",
                "It is fresh now: sign in again.",
            ),
            SignInMessage::Throttled { retry_after_s } => failure(
                "There were too many attempts.",
                &format!("Try again in {}.", words::wait(retry_after_s)),
            ),
            SignInMessage::DirectoryUnavailable => failure(
                "The directory that checks your password does not answer.",
                "Nothing is wrong with your password. Try again in a minute; if it lasts, tell \
                 your helpdesk.",
            ),
            SignInMessage::PasswordExpired { change_at } => {
                Self::change("Your password was right, but it has expired.", change_at)
            }
            SignInMessage::PasswordMustChange { change_at } => Self::change(
                "Your password was right, but it must be changed first.",
                change_at,
            ),
            SignInMessage::Incomplete => failure(
                "The user name or the password was empty.",
                "Enter both to sign in.",
            ),
        }
    }

    fn change(fact: &str, change_at: Option<String>) -> Self {
        let link = change_at
            .as_ref()
            .filter(|at| at.starts_with("https://") || at.starts_with("http://"))
            .cloned();
        let step = match (&link, change_at) {
            (Some(_), _) => "Change it, then sign in here.".to_owned(),
            (None, Some(place)) => format!("Change it at {place}, then sign in here."),
            (None, None) => "Change it where you usually do, then sign in here.".to_owned(),
        };
        Self {
            fact: fact.to_owned(),
            step,
            link,
            is_failure: true,
        }
    }
}
