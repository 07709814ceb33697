//! The pages on which a person agrees that a client acts for them.
//!
//! What a client says about itself is shown as just that: nobody vouches for it.

use std::time::Duration;

use askama::Template;
use time::OffsetDateTime;

use super::{Layout, Moment, span_in_words, words};
use crate::{
    access::{TokenScope, TokenScopes},
    broker::{Consent, DeviceAsked},
};

/// What a scope lets a client do, in a line.
fn scope_in_words(scope: TokenScope) -> &'static str {
    match scope {
        TokenScope::Aws => {
            "See your AWS accounts and roles, and take short-lived credentials for them. Roles that ask \
             for a reason or a code stay shut."
        }
        TokenScope::Roles => "See your AWS accounts and roles.",
        TokenScope::Credentials => {
            "Open your roles: take short-lived credentials, or a way into the AWS console."
        }
        TokenScope::Sessions => {
            "See and end your role sessions and the tokens of your programs, and make new tokens."
        }
        TokenScope::Mappings => "Read the table of who may open what, as far as you may.",
        TokenScope::Audit => "Read the audit log, as far as you may.",
    }
}

fn in_words(scopes: &TokenScopes) -> Vec<&'static str> {
    scopes.iter().map(scope_in_words).collect()
}

fn lasts_in_words(lasts: Duration) -> String {
    time::Duration::try_from(lasts).map_or_else(|_| "a long time".to_owned(), span_in_words)
}

/// `GET /authorize`. Posts `decision` (`allow`, `decline`) and the fields there.
#[derive(Template)]
#[template(path = "authorize.html", whitespace = "minimize")]
pub(crate) struct ConsentView {
    layout: Layout,
    client_name: String,
    goes_to: String,
    may: Vec<&'static str>,
    lasts: String,
    username: String,
    signed_in_at: String,
    fields: Vec<(&'static str, String)>,
}

/// What [`ConsentView`] is made from.
pub(crate) struct ConsentInput<'a> {
    /// The frame.
    pub(crate) layout: Layout,
    /// What the person would agree to.
    pub(crate) consent: &'a Consent,
    /// The name that they signed in with.
    pub(crate) username: &'a str,
    /// Where, as people call it.
    pub(crate) signed_in_at: &'a str,
    /// After how long the client has to ask again.
    pub(crate) lasts: Duration,
    /// The client's parameters.
    pub(crate) fields: Vec<(&'static str, String)>,
}

impl ConsentView {
    /// One button says yes, the other no.
    pub(crate) fn new(input: ConsentInput<'_>) -> Self {
        let redirect = &input.consent.redirect_uri;
        let host = redirect.host_str().unwrap_or_default();
        let goes_to = match redirect.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        };
        Self {
            layout: input.layout,
            client_name: input.consent.client_name.clone(),
            goes_to,
            may: in_words(&input.consent.scopes),
            lasts: lasts_in_words(input.lasts),
            username: input.username.to_owned(),
            signed_in_at: input.signed_in_at.to_owned(),
            fields: input.fields,
        }
    }
}

/// Why a typed code led nowhere.
#[derive(Debug, Clone, Copy)]
pub(crate) enum NoDevice {
    /// None waits with it, or no longer.
    Unknown,
    /// Too many wrong ones.
    Throttled {
        /// How long to wait.
        seconds: u64,
    },
}

/// `GET /device`: where the code is typed. Posts `user_code` there.
#[derive(Template)]
#[template(path = "device.html", whitespace = "minimize")]
pub(crate) struct DeviceView {
    layout: Layout,
    user_code: String,
    trouble: Option<(&'static str, String)>,
}

impl DeviceView {
    /// `user_code` is what was typed before, never what an address says.
    pub(crate) fn new(layout: Layout, user_code: String, why: Option<NoDevice>) -> Self {
        let trouble = why.map(|why| match why {
            NoDevice::Unknown => (
                "Nothing waits with this code.",
                "Codes are ten letters, work once and for ten minutes. Compare it with the one in \
                 your terminal, or start there again for a new one."
                    .to_owned(),
            ),
            NoDevice::Throttled { seconds } => (
                "There were too many wrong codes.",
                format!("Try again in {}.", words::wait(seconds)),
            ),
        });
        Self {
            layout,
            user_code,
            trouble,
        }
    }
}

/// `POST /device` with a code that waits. Posts `user_code` and `decision` there.
#[derive(Template)]
#[template(path = "device_asked.html", whitespace = "minimize")]
pub(crate) struct DeviceAskedView {
    layout: Layout,
    client_name: String,
    address: String,
    own_address: Option<String>,
    asked: Moment,
    may: Vec<&'static str>,
    lasts: String,
    username: String,
    signed_in_at: String,
    user_code: String,
}

/// What [`DeviceAskedView`] is made from. No `Debug`: a code is good until it is used.
pub(crate) struct DeviceAskedInput<'a> {
    /// The frame.
    pub(crate) layout: Layout,
    /// What waits.
    pub(crate) asked: &'a DeviceAsked,
    /// The code as it was typed.
    pub(crate) user_code: &'a str,
    /// The name that the person signed in with.
    pub(crate) username: &'a str,
    /// Where, as people call it.
    pub(crate) signed_in_at: &'a str,
    /// From where this browser comes.
    pub(crate) own_address: String,
    /// After how long the client has to ask again.
    pub(crate) lasts: Duration,
    /// The present.
    pub(crate) now: OffsetDateTime,
}

impl DeviceAskedView {
    /// Warns where the client is elsewhere than the browser.
    pub(crate) fn new(input: DeviceAskedInput<'_>) -> Self {
        let asked = input.asked;
        Self {
            layout: input.layout,
            client_name: asked.client_name.clone(),
            address: asked.client_address.clone(),
            own_address: (!asked.is_same_address).then_some(input.own_address),
            asked: Moment::relative(asked.asked_at, input.now),
            may: in_words(&asked.scopes),
            lasts: lasts_in_words(input.lasts),
            username: input.username.to_owned(),
            signed_in_at: input.signed_in_at.to_owned(),
            user_code: input.user_code.to_owned(),
        }
    }
}

/// `POST /device` that decided.
#[derive(Template)]
#[template(path = "device_done.html", whitespace = "minimize")]
pub(crate) struct DeviceDoneView {
    layout: Layout,
    client_name: String,
    is_allowed: bool,
}

impl DeviceDoneView {
    /// Says which.
    pub(crate) fn new(layout: Layout, client_name: &str, is_allowed: bool) -> Self {
        Self {
            layout,
            client_name: client_name.to_owned(),
            is_allowed,
        }
    }
}
