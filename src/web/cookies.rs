//! Cookie names, and reading and writing them by the rules of `__Host-`.

use axum::http::{HeaderMap, HeaderValue, header::COOKIE};

/// The sign-in session.
pub(super) const SESSION: &str = "rolegate";
/// What CSRF tokens before sign-in derive from.
pub(super) const FORM: &str = "rolegate-form";
/// Tells browsers with an earlier sign-in apart, for the throttle alone.
pub(super) const BROWSER: &str = "rolegate-browser";
/// The connector used last.
pub(super) const CONNECTOR: &str = "rolegate-connector";
/// Where the person who has just signed in at a provider may go on to without a click; a hash.
pub(super) const ONWARD: &str = "rolegate-onward";

/// The value of our cookie `name`. A doubled cookie is none.
pub(super) fn find<'a>(headers: &'a HeaderMap, name: &str, is_secure: bool) -> Option<&'a str> {
    plain(headers, &wire_name(name, is_secure))
}

/// The value of a cookie under just this name. A doubled cookie is none.
pub(super) fn plain<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut values = headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .filter(|(key, _)| *key == name)
        .map(|(_, value)| value);
    let value = values.next()?;
    values.next().is_none().then_some(value)
}

/// The name as it goes over the wire.
pub(super) fn wire_name(name: &str, is_secure: bool) -> String {
    if is_secure {
        format!("__Host-{name}")
    } else {
        name.to_owned()
    }
}

/// A `Set-Cookie` value; `max_age_seconds` of 0 removes the cookie.
pub(super) fn set(
    name: &str,
    value: &str,
    max_age_seconds: u64,
    is_secure: bool,
) -> Option<HeaderValue> {
    let rest = if is_secure { "Lax; Secure" } else { "Lax" };
    line(&wire_name(name, is_secure), value, max_age_seconds, rest)
}

/// The same for a cookie that has to come along when another site posts to us.
///
/// Without https there is no such thing (`SameSite=None` asks for `Secure`). `Lax` does on
/// loopback, where providers are other ports of the same site.
pub(super) fn set_cross_site(
    name: &str,
    value: &str,
    max_age_seconds: u64,
    is_secure: bool,
) -> Option<HeaderValue> {
    let rest = if is_secure { "None; Secure" } else { "Lax" };
    line(&wire_name(name, is_secure), value, max_age_seconds, rest)
}

fn line(wire_name: &str, value: &str, max_age_seconds: u64, rest: &str) -> Option<HeaderValue> {
    let text = format!(
        "{wire_name}={value}; Path=/; HttpOnly; Max-Age={max_age_seconds}; SameSite={rest}"
    );
    HeaderValue::from_str(&text).ok()
}

/// The names of our cookies that begin with `prefix`, as they came: browsers send the oldest first
/// (RFC 6265, 5.4).
pub(super) fn names<'a>(
    headers: &'a HeaderMap,
    prefix: &str,
    is_secure: bool,
) -> impl Iterator<Item = &'a str> {
    let host = wire_name("", is_secure);
    let prefix = prefix.to_owned();
    headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| Some(pair.trim().split_once('=')?.0))
        .filter_map(move |name| name.strip_prefix(&host))
        .filter(move |name| name.starts_with(&prefix))
}

/// A fresh random cookie value (122 bits).
pub(super) fn random() -> String {
    uuid::Uuid::new_v4().simple().to_string()
}
