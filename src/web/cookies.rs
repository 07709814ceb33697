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
    let secure = if is_secure { "; Secure" } else { "" };
    let name = wire_name(name, is_secure);
    let text = format!(
        "{name}={value}; Path=/; HttpOnly; SameSite=Lax; Max-Age={max_age_seconds}{secure}"
    );
    HeaderValue::from_str(&text).ok()
}

/// A fresh random cookie value (122 bits).
pub(super) fn random() -> String {
    uuid::Uuid::new_v4().simple().to_string()
}
