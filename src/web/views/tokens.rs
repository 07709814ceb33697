//! A token made by hand: what it shall be for, and the token, shown once.
//!
//! What holds the token has no `Debug`, and its texts are wiped when dropped.

use std::time::Duration;

use askama::Template;
use time::OffsetDateTime;
use zeroize::Zeroizing;

use super::{Layout, Moment, span_in_words};
use crate::access::{Entitlement, TargetArn};

/// So many roles are offered in a list; beyond, the name is typed.
const LISTED_AT_MOST: usize = 200;
/// So many are suggested while it is typed.
const SUGGESTED_AT_MOST: usize = 1_000;
/// What is offered, in hours, as far as the configuration allows it.
const SPANS: [u64; 6] = [8, 24, 7 * 24, 30 * 24, 90 * 24, 365 * 24];
/// What is chosen unless something else was.
const USUAL: u64 = 7 * 24;

/// What a person typed; empty where nothing was.
#[derive(Debug, Clone, Default)]
pub(crate) struct Typed {
    /// What they call it.
    pub(crate) name: String,
    /// The role, by ARN or as `account/role`.
    pub(crate) role: String,
    /// How long it lasts, in seconds.
    pub(crate) lasts: String,
}

/// What the form is made from.
pub(crate) struct NewTokenInput<'a> {
    /// The frame.
    pub(crate) layout: Layout,
    /// The roles that a program can have credentials of, by account.
    pub(crate) roles: &'a [&'a Entitlement<'a>],
    /// What was typed before.
    pub(crate) typed: Typed,
    /// The longest that a token may last.
    pub(crate) longest: Duration,
    /// Why there is none yet.
    pub(crate) problem: Option<String>,
}

struct RoleChoice {
    arn: String,
    name: String,
    is_chosen: bool,
}

struct AccountRoles {
    name: String,
    id: String,
    roles: Vec<RoleChoice>,
}

struct SpanChoice {
    seconds: String,
    words: String,
    is_chosen: bool,
}

/// `GET /sessions/tokens/new`
///
/// Posts `name`, `role` and `lasts` to [`MAKE`](Self::MAKE).
#[derive(Template)]
#[template(path = "token_new.html", whitespace = "minimize")]
pub(crate) struct NewTokenView {
    layout: Layout,
    accounts: Vec<AccountRoles>,
    is_listed: bool,
    suggestions: Vec<String>,
    spans: Vec<SpanChoice>,
    name: String,
    role: String,
    problem: Option<String>,
}

impl NewTokenView {
    /// Where the form posts.
    pub(crate) const MAKE: &'static str = "/sessions/tokens";

    /// Offers the roles that the person has and the spans that are allowed.
    pub(crate) fn new(input: NewTokenInput<'_>) -> Self {
        let is_listed = input.roles.len() <= LISTED_AT_MOST;
        let suggestions = |entitlement: &&Entitlement<'_>| {
            let arn = &entitlement.role.arn;
            format!("{}/{}", arn.account(), arn.name())
        };
        Self {
            accounts: if is_listed {
                by_account(input.roles, &input.typed.role)
            } else {
                Vec::new()
            },
            is_listed,
            suggestions: if is_listed {
                Vec::new()
            } else {
                let suggested = input.roles.iter().take(SUGGESTED_AT_MOST);
                suggested.map(suggestions).collect()
            },
            spans: spans(input.longest, &input.typed.lasts),
            name: input.typed.name,
            role: input.typed.role,
            problem: input.problem,
            layout: input.layout,
        }
    }
}

fn by_account(roles: &[&Entitlement<'_>], chosen: &str) -> Vec<AccountRoles> {
    let mut accounts: Vec<AccountRoles> = Vec::new();
    for entitlement in roles {
        let arn = &entitlement.role.arn;
        let choice = RoleChoice {
            arn: arn.to_string(),
            name: arn.name().to_owned(),
            is_chosen: arn.as_str() == chosen,
        };
        match accounts.last_mut() {
            Some(account) if account.id == arn.account_digits() => account.roles.push(choice),
            _ => accounts.push(AccountRoles {
                name: entitlement.account_name(),
                id: arn.account_digits().to_owned(),
                roles: vec![choice],
            }),
        }
    }
    accounts
}

fn spans(longest: Duration, chosen: &str) -> Vec<SpanChoice> {
    let mut spans: Vec<Duration> = (SPANS.into_iter().map(Duration::from_hours))
        .filter(|span| *span < longest)
        .collect();
    spans.push(longest);
    let seconds = |span: &Duration| span.as_secs().to_string();
    let usual = (spans.iter().rev()).find(|span| **span <= Duration::from_hours(USUAL));
    let usual = usual.or(spans.first()).map(seconds).unwrap_or_default();
    let is_offered = spans.iter().any(|span| seconds(span) == chosen);
    let chosen = if is_offered { chosen } else { &usual };
    (spans.iter())
        .map(|span| SpanChoice {
            seconds: seconds(span),
            words: in_words(*span),
            is_chosen: seconds(span) == chosen,
        })
        .collect()
}

/// `8 hours`, `30 days`: what people count in.
fn in_words(span: Duration) -> String {
    const DAY: u64 = 24 * 3_600;
    match span.as_secs() {
        seconds if seconds == DAY => "1 day".to_owned(),
        seconds if seconds % DAY == 0 => format!("{} days", seconds / DAY),
        3_600 => "1 hour".to_owned(),
        seconds if seconds % 3_600 == 0 => format!("{} hours", seconds / 3_600),
        seconds => span_in_words(time::Duration::seconds(
            i64::try_from(seconds).unwrap_or(i64::MAX),
        )),
    }
}

/// What the page with the token is made from. No `Debug`: it borrows a secret.
pub(crate) struct TokenMadeInput<'a> {
    /// The frame.
    pub(crate) layout: Layout,
    /// What the person calls it.
    pub(crate) name: &'a str,
    /// The token.
    pub(crate) token: &'a str,
    /// The role.
    pub(crate) role: &'a TargetArn,
    /// The account's name or id.
    pub(crate) account: &'a str,
    /// Where its credentials are asked for.
    pub(crate) address: &'a str,
    /// When it ends.
    pub(crate) ends_at: OffsetDateTime,
    /// The present.
    pub(crate) now: OffsetDateTime,
}

struct Format {
    id: &'static str,
    name: &'static str,
    hint: &'static str,
    text: Zeroizing<String>,
}

/// The answer of `POST /sessions/tokens`; goes out with `no-store`.
#[derive(Template)]
#[template(path = "token_made.html", whitespace = "minimize")]
pub(crate) struct TokenMadeView {
    layout: Layout,
    name: String,
    token: Zeroizing<String>,
    role: String,
    arn: String,
    account: String,
    account_id: String,
    ends: Moment,
    formats: Vec<Format>,
}

impl TokenMadeView {
    /// Writes what each kind of program wants to see.
    pub(crate) fn new(input: TokenMadeInput<'_>) -> Self {
        Self {
            name: input.name.to_owned(),
            token: Zeroizing::new(input.token.to_owned()),
            role: input.role.name().to_owned(),
            arn: input.role.to_string(),
            account: input.account.to_owned(),
            account_id: input.role.account().to_string(),
            ends: Moment::relative(input.ends_at, input.now),
            formats: formats(input.token, input.address),
            layout: input.layout,
        }
    }
}

fn formats(token: &str, address: &str) -> Vec<Format> {
    let format = |id, name, hint, text: String| Format {
        id,
        name,
        hint,
        text: Zeroizing::new(text),
    };
    vec![
        format(
            "token-sh",
            "bash, zsh",
            "Paste into a terminal. With the blank before it, many shells keep the first line out of \
             their history.",
            shell(token, address),
        ),
        format(
            "token-powershell",
            "PowerShell",
            "Paste into a PowerShell window.",
            powershell(token, address),
        ),
        format(
            "token-systemd",
            "systemd",
            "For a unit; the token lies in /etc/rolegate-token, readable by root alone.",
            systemd(address),
        ),
        format(
            "token-docker",
            "Docker",
            "Options of docker run, after the file was written as for bash.",
            docker(address),
        ),
    ]
}

/// Tokens and addresses of ours have no quote in them; a stray one must not end the string.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

fn shell(token: &str, address: &str) -> String {
    format!(
        " (umask 077; printf '%s' {} > \"$HOME/.rolegate-token\")\n\
         chmod 600 \"$HOME/.rolegate-token\"\n\
         export AWS_CONTAINER_CREDENTIALS_FULL_URI={}\n\
         export AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE=\"$HOME/.rolegate-token\"",
        quoted(token),
        quoted(address)
    )
}

fn powershell(token: &str, address: &str) -> String {
    let quoted = |text: &str| format!("'{}'", text.replace('\'', "''"));
    format!(
        "Set-Content -NoNewline -Path \"$HOME/.rolegate-token\" -Value {}\n\
         $Env:AWS_CONTAINER_CREDENTIALS_FULL_URI = {}\n\
         $Env:AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE = \"$HOME/.rolegate-token\"",
        quoted(token),
        quoted(address)
    )
}

/// A unit's `%` begins a specifier.
fn systemd(address: &str) -> String {
    format!(
        "[Service]\n\
         LoadCredential=rolegate-token:/etc/rolegate-token\n\
         Environment=AWS_CONTAINER_CREDENTIALS_FULL_URI={}\n\
         Environment=AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE=%d/rolegate-token",
        address.replace('%', "%%")
    )
}

fn docker(address: &str) -> String {
    format!(
        "--mount type=bind,src=\"$HOME/.rolegate-token\",dst=/run/secrets/rolegate-token,readonly \\\n\
         --env AWS_CONTAINER_CREDENTIALS_FULL_URI={} \\\n\
         --env AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE=/run/secrets/rolegate-token",
        quoted(address)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offered(hours: u64, chosen: &str) -> Vec<(String, bool)> {
        (spans(Duration::from_hours(hours), chosen).into_iter())
            .map(|span| (span.words, span.is_chosen))
            .collect()
    }

    #[test]
    fn no_span_is_offered_that_is_longer_than_the_longest() {
        let words = |hours| {
            let offered = offered(hours, "");
            offered
                .into_iter()
                .map(|(words, _)| words)
                .collect::<Vec<_>>()
        };
        assert_eq!(words(30 * 24), ["8 hours", "1 day", "7 days", "30 days"]);
        assert_eq!(words(1), ["1 hour"]);
        assert_eq!(words(10 * 24), ["8 hours", "1 day", "7 days", "10 days"]);
    }

    #[test]
    fn a_week_is_chosen_unless_something_else_was() {
        let chosen = |hours, chosen: &str| {
            let offered = offered(hours, chosen);
            offered
                .into_iter()
                .find(|(_, is_chosen)| *is_chosen)
                .unwrap()
                .0
        };
        assert_eq!(chosen(30 * 24, ""), "7 days");
        assert_eq!(chosen(30 * 24, "86400"), "1 day");
        assert_eq!(chosen(30 * 24, "1"), "7 days");
        assert_eq!(chosen(1, ""), "1 hour");
    }

    #[test]
    fn the_lines_for_each_program_write_the_token_without_a_line_break() {
        let address = "https://aws.example.com/api/v1/container/111122223333/ReadOnly";
        assert!(
            shell("rgk_x", address).contains("printf '%s' 'rgk_x' > \"$HOME/.rolegate-token\"")
        );
        assert!(powershell("rgk_x", address).contains("-NoNewline"));
        assert!(systemd("https://a/%41").contains("https://a/%%41"));
        assert!(!systemd(address).contains("rgk_") && !docker(address).contains("rgk_"));
    }
}
