//! `My sessions`: what a person opened, where they are signed in, and what acts for them.

use askama::Template;
use time::OffsetDateTime;

use super::{Layout, Moment, words};
use crate::access::{Delivery, TargetArn, TokenScope, TokenScopes};

/// A role session, open or ended.
#[derive(Debug, Clone)]
pub(crate) struct RoleSession {
    /// Its id, for the form that ends it.
    pub(crate) id: String,
    /// What was opened.
    pub(crate) role: TargetArn,
    /// The account's name or id.
    pub(crate) account: String,
    /// How it was delivered.
    pub(crate) delivery: Delivery,
    /// `RoleSessionName`, as CloudTrail shows it.
    pub(crate) session_name: String,
    /// Whether it is narrowed to reading.
    pub(crate) is_read_only: bool,
    /// When it was issued.
    pub(crate) started_at: OffsetDateTime,
    /// When it ends or ended.
    pub(crate) ends_at: OffsetDateTime,
}

/// A browser that is signed in.
#[derive(Debug, Clone)]
pub(crate) struct SignInSession {
    /// A handle for the form that is no secret (never the cookie's value).
    pub(crate) handle: String,
    /// From where.
    pub(crate) address: String,
    /// The browser in a few words: `Firefox on Linux`.
    pub(crate) browser: String,
    /// Since when.
    pub(crate) signed_in_at: OffsetDateTime,
    /// The last request, to the minute.
    pub(crate) last_seen_at: OffsetDateTime,
    /// Whether it is the one that looks at the page.
    pub(crate) is_this_one: bool,
}

/// A device or a token that acts for the person.
#[derive(Debug, Clone)]
pub(crate) struct DeviceSession {
    /// A handle for the form that is no secret (never a token).
    pub(crate) handle: String,
    /// What it calls itself, or what the person calls it.
    pub(crate) name: String,
    /// What it may do.
    pub(crate) scopes: TokenScopes,
    /// The one role that it is limited to, with the account's name or id.
    pub(crate) role: Option<(TargetArn, String)>,
    /// From where it was made.
    pub(crate) address: String,
    /// When.
    pub(crate) made_at: OffsetDateTime,
    /// The last request, to the minute.
    pub(crate) last_seen_at: OffsetDateTime,
    /// When it ends.
    pub(crate) ends_at: OffsetDateTime,
}

/// What the page is made from.
pub(crate) struct SessionsInput<'a> {
    /// The frame.
    pub(crate) layout: Layout,
    /// The latest first.
    pub(crate) role_sessions: &'a [RoleSession],
    /// The latest first.
    pub(crate) sign_in_sessions: &'a [SignInSession],
    /// The latest first.
    pub(crate) devices: &'a [DeviceSession],
    /// What people call the provider that the person signed in with, where there is one.
    pub(crate) provider: Option<&'a str>,
    /// What was just ended, and how far that came.
    pub(crate) ended: Vec<String>,
    /// The present.
    pub(crate) now: OffsetDateTime,
}

struct RoleSessionRow {
    id: String,
    arn: String,
    account: String,
    account_id: String,
    role: String,
    delivery: &'static str,
    session_name: String,
    is_read_only: bool,
    started: Moment,
    ends: Moment,
}

struct SignInRow {
    handle: String,
    address: String,
    browser: String,
    since: Moment,
    last_seen: Moment,
    is_this_one: bool,
}

struct DeviceRow {
    handle: String,
    name: String,
    may: String,
    role: Option<DeviceRole>,
    address: String,
    made: Moment,
    last_seen: Moment,
    ends: Moment,
}

struct DeviceRole {
    arn: String,
    name: String,
    account: String,
    account_id: String,
}

/// `GET /sessions`
///
/// Posts `session` (a handle) to [`SIGN_OUT_ONE`](Self::SIGN_OUT_ONE) and `session` (a role session's
/// id) to [`REVOKE_ONE`](Self::REVOKE_ONE), and nothing but the token to
/// [`SIGN_OUT_ALL`](Self::SIGN_OUT_ALL) and [`REVOKE_ALL`](Self::REVOKE_ALL).
#[derive(Template)]
#[template(path = "sessions.html", whitespace = "minimize")]
pub(crate) struct SessionsView {
    layout: Layout,
    open: Vec<RoleSessionRow>,
    ended: Vec<RoleSessionRow>,
    sign_ins: Vec<SignInRow>,
    sign_in_count: String,
    devices: Vec<DeviceRow>,
    provider: Option<String>,
    just_ended: Vec<String>,
}

impl SessionsView {
    /// Where the form of one role session posts.
    pub(crate) const REVOKE_ONE: &'static str = "/sessions/revoke";
    /// Where `end all my role sessions` posts.
    pub(crate) const REVOKE_ALL: &'static str = "/sessions/revoke-all";
    /// Where the form of one sign-in session posts.
    pub(crate) const SIGN_OUT_ONE: &'static str = "/sessions/sign-out";
    /// Where `sign out everywhere` posts.
    pub(crate) const SIGN_OUT_ALL: &'static str = "/sessions/sign-out-everywhere";
    /// Where a token is made by hand.
    pub(crate) const NEW_TOKEN: &'static str = "/sessions/tokens/new";
    /// Where the code that a terminal shows is typed.
    pub(crate) const DEVICE: &'static str = "/device";

    /// Sorts what is open from what has ended.
    pub(crate) fn new(input: SessionsInput<'_>) -> Self {
        let now = input.now;
        let (open, ended): (Vec<&RoleSession>, Vec<&RoleSession>) = input
            .role_sessions
            .iter()
            .partition(|session| session.ends_at > now);
        let rows = |sessions: Vec<&RoleSession>| {
            sessions
                .into_iter()
                .map(|session| role_session_row(session, now))
                .collect()
        };
        Self {
            layout: input.layout,
            open: rows(open),
            ended: rows(ended),
            provider: input.provider.map(str::to_owned),
            just_ended: input.ended,
            sign_in_count: words::counted(input.sign_in_sessions.len(), "browser", "browsers"),
            sign_ins: input
                .sign_in_sessions
                .iter()
                .map(|session| SignInRow {
                    handle: session.handle.clone(),
                    address: session.address.clone(),
                    browser: session.browser.clone(),
                    since: Moment::clock(session.signed_in_at, now),
                    last_seen: Moment::relative(session.last_seen_at, now),
                    is_this_one: session.is_this_one,
                })
                .collect(),
            devices: (input.devices.iter())
                .map(|device| device_row(device, now))
                .collect(),
        }
    }
}

fn device_row(device: &DeviceSession, now: OffsetDateTime) -> DeviceRow {
    DeviceRow {
        handle: device.handle.clone(),
        name: device.name.clone(),
        may: may(&device.scopes, device.role.is_some()),
        role: (device.role.as_ref()).map(|(role, account)| DeviceRole {
            arn: role.to_string(),
            name: role.name().to_owned(),
            account: account.clone(),
            account_id: role.account().to_string(),
        }),
        address: device.address.clone(),
        made: Moment::clock(device.made_at, now),
        last_seen: Moment::relative(device.last_seen_at, now),
        ends: Moment::relative(device.ends_at, now),
    }
}

/// What a device may do, in plain words: `See and open your roles`.
fn may(scopes: &TokenScopes, is_limited: bool) -> String {
    let has = |scope| scopes.contains(scope);
    let opens = has(TokenScope::Credentials) || has(TokenScope::Aws);
    let sees = has(TokenScope::Roles) || has(TokenScope::Aws);
    let mut words: Vec<&str> = Vec::new();
    words.extend(match (sees, opens, is_limited) {
        (_, true, true) => Some("open one role"),
        (true, true, false) => Some("see and open your roles"),
        (false, true, false) => Some("open your roles"),
        (true, false, _) => Some("see your roles"),
        (false, false, _) => None,
    });
    let others = [
        (TokenScope::Sessions, "see and end your sessions and tokens"),
        (TokenScope::Mappings, "read who may open what"),
        (TokenScope::Audit, "read the audit log"),
    ];
    words.extend(
        others
            .into_iter()
            .filter(|(scope, _)| has(*scope))
            .map(|(_, word)| word),
    );
    match words.split_last() {
        None => "Say that it is yours".to_owned(),
        Some((last, [])) => sentence(last),
        Some((last, rest)) => sentence(&format!("{}, and {last}", rest.join(", "))),
    }
}

fn sentence(words: &str) -> String {
    let mut characters = words.chars();
    characters.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(characters).collect()
    })
}

fn role_session_row(session: &RoleSession, now: OffsetDateTime) -> RoleSessionRow {
    RoleSessionRow {
        id: session.id.clone(),
        arn: session.role.to_string(),
        account: session.account.clone(),
        account_id: session.role.account().to_string(),
        role: session.role.name().to_owned(),
        delivery: match session.delivery {
            Delivery::Console => "console",
            Delivery::Credentials => "credentials",
        },
        session_name: session.session_name.clone(),
        is_read_only: session.is_read_only,
        started: Moment::clock(session.started_at, now),
        ends: Moment::relative(session.ends_at, now),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_device_may_do_is_said_in_plain_words() {
        let words = |scopes: &str, is_limited| may(&scopes.parse().unwrap(), is_limited);
        assert_eq!(words("credentials", true), "Open one role");
        assert_eq!(
            words("sso:account:access", false),
            "See and open your roles"
        );
        assert_eq!(
            words("roles credentials sessions", false),
            "See and open your roles, and see and end your sessions and tokens"
        );
        assert_eq!(
            words("roles mappings:read audit:read", false),
            "See your roles, read who may open what, and read the audit log"
        );
        assert_eq!(words("", false), "Say that it is yours");
    }
}
