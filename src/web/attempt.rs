//! The cookie that binds a sign-in at a provider to the browser that began it.
//!
//! One per attempt, so that two tabs can sign in at once, with the attempt's id in its name. An
//! answer that arrives without it was begun elsewhere: somebody may be signing this browser in as
//! themselves (login CSRF). Never here: anything about the answer itself.

use axum::http::{HeaderMap, HeaderValue};

use super::cookies;
use crate::broker::AttemptSecret;

const PREFIX: &str = "rolegate-attempt-";
/// Stands in no secret and no hash.
const BEFORE_REPLACED: char = '.';
/// How long an attempt may take; as long as the pending sign-in is kept.
const SECONDS: u64 = 600;
/// Attempts of one browser at one time. Header lines have a limit, and every cookie counts.
const MOST: usize = 8;
/// An id is random, and no longer than this.
const LONGEST_ID: usize = 128;

/// A new attempt's secret; [`hash`] of it is what the broker learns. It names the session that ends
/// when the attempt succeeds, by the hash of its id: another site's form does not bring that
/// session's own cookie, and nobody can put another one in, for the hash would not fit.
pub(super) fn secret(replaced: Option<&str>) -> String {
    let random = cookies::random();
    match replaced {
        Some(id_hash) => format!("{random}{BEFORE_REPLACED}{id_hash}"),
        None => random,
    }
}

/// The session that this browser's attempt `id` replaces, by the hash of its id. To be believed
/// once the attempt has succeeded.
pub(super) fn replaced(headers: &HeaderMap, id: &str, is_secure: bool) -> Option<String> {
    let secret = cookies::find(headers, &name(id)?, is_secure)?;
    let (_, id_hash) = secret.split_once(BEFORE_REPLACED)?;
    Some(id_hash.to_owned())
}

/// What an attempt's secret is known by.
pub(super) fn hash(secret: &str) -> String {
    use aws_lc_rs::digest::{SHA256, digest};
    hex::encode(digest(&SHA256, secret.as_bytes()))
}

/// The cookies to set where the attempt `id` begins: its own, and the removal of the oldest where
/// there would be too many.
pub(super) fn begin(
    headers: &HeaderMap,
    id: &str,
    secret: &str,
    is_secure: bool,
) -> Vec<HeaderValue> {
    let others: Vec<&str> = cookies::names(headers, PREFIX, is_secure).collect();
    let surplus = (others.len() + 1).saturating_sub(MOST);
    let removed = others[..surplus]
        .iter()
        .map(|name| cookies::set_cross_site(name, "", 0, is_secure));
    let own = name(id).map(|name| cookies::set_cross_site(&name, secret, SECONDS, is_secure));
    removed.chain(own).flatten().collect()
}

/// The hash of this browser's secret for the attempt `id`; none where it did not begin it.
pub(super) fn browser_hash(headers: &HeaderMap, id: &str, is_secure: bool) -> Option<String> {
    cookies::find(headers, &name(id)?, is_secure).map(hash)
}

/// This browser's secret for the attempt `id`, for what is derived from it.
pub(super) fn kept_secret(headers: &HeaderMap, id: &str, is_secure: bool) -> Option<AttemptSecret> {
    cookies::find(headers, &name(id)?, is_secure).map(AttemptSecret::new)
}

/// The removal of the cookie of the attempt `id`, which is over.
pub(super) fn end(id: &str, is_secure: bool) -> Option<HeaderValue> {
    cookies::set_cross_site(&name(id)?, "", 0, is_secure)
}

/// The cookie's name. Ids come back in messages that nobody has verified yet, so what cannot be
/// one of ours names no cookie.
fn name(id: &str) -> Option<String> {
    // XML ids may not begin with a digit, so ours begin with an underscore.
    let id = id.strip_prefix('_').unwrap_or(id);
    let is_plain = (1..=LONGEST_ID).contains(&id.len())
        && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    is_plain.then(|| format!("{PREFIX}{id}"))
}

#[cfg(test)]
mod tests {
    use axum::http::header::COOKIE;

    use super::*;

    fn sent(cookies: &str) -> HeaderMap {
        HeaderMap::from_iter([(COOKIE, cookies.parse().unwrap())])
    }

    fn set(headers: &HeaderMap, id: &str, is_secure: bool) -> Vec<String> {
        begin(headers, id, "s3cret", is_secure)
            .iter()
            .map(|line| line.to_str().unwrap().to_owned())
            .collect()
    }

    #[test]
    fn an_attempt_is_found_by_its_id_in_the_browser_that_began_it() {
        let https = sent("a=1; __Host-rolegate-attempt-ab12=s3cret; rolegate-attempt-cd=x");
        assert_eq!(browser_hash(&https, "_ab12", true), Some(hash("s3cret")));
        assert_eq!(browser_hash(&https, "_cd", true), None);
        assert_eq!(browser_hash(&https, "_ab", true), None);
        assert_eq!(
            browser_hash(&sent("rolegate-attempt-ab12=x"), "_ab12", true),
            None
        );
        let doubled = sent("__Host-rolegate-attempt-ab=x; __Host-rolegate-attempt-ab=s3cret");
        assert_eq!(browser_hash(&doubled, "_ab", true), None);
    }

    #[test]
    fn an_attempt_names_the_session_that_it_replaces() {
        let secret = secret(Some("0f1e"));
        let with = sent(&format!("rolegate-attempt-ab={secret}"));
        assert_eq!(replaced(&with, "_ab", false).as_deref(), Some("0f1e"));
        assert_eq!(browser_hash(&with, "_ab", false), Some(hash(&secret)));
        let without = sent(&format!("rolegate-attempt-ab={}", super::secret(None)));
        assert_eq!(replaced(&without, "_ab", false), None);
    }

    #[test]
    fn the_cookie_comes_along_from_another_site_over_https_alone() {
        assert_eq!(
            set(&HeaderMap::new(), "_ab12", true),
            [
                "__Host-rolegate-attempt-ab12=s3cret; Path=/; HttpOnly; Max-Age=600; \
              SameSite=None; Secure"
            ]
        );
        assert_eq!(
            set(&HeaderMap::new(), "_ab12", false),
            ["rolegate-attempt-ab12=s3cret; Path=/; HttpOnly; Max-Age=600; SameSite=Lax"]
        );
    }

    #[test]
    fn the_ninth_attempt_drops_the_oldest() {
        let eight: Vec<String> = (0..8).map(|n| format!("rolegate-attempt-{n}=x")).collect();
        let lines = set(&sent(&eight.join("; ")), "_new", false);
        assert_eq!(lines.len(), 2);
        assert!(lines[0].starts_with("rolegate-attempt-0=; ") && lines[0].contains("Max-Age=0"));
        assert!(lines[1].starts_with("rolegate-attempt-new=s3cret; "));
        assert_eq!(set(&sent(&eight[1..].join("; ")), "_new", false).len(), 1);
    }

    #[test]
    fn what_cannot_be_an_id_of_ours_names_no_cookie() {
        let long = "a".repeat(LONGEST_ID + 1);
        for id in ["", "_", "a b", "a;b", "a=b", "a\r\nb", "__x", "é", &long] {
            assert_eq!(name(id), None, "{id:?}");
            assert!(end(id, true).is_none());
        }
    }
}
