//! The secrets themselves: how they are made, told apart and hashed.
//!
//! Every one is 256 random bits behind a prefix that says what it is for, so that one kind is never
//! taken for another and scanners find what was left in a file. Never here: where they are kept.

use aws_lc_rs::{
    digest::{SHA256, digest},
    rand,
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use secrecy::SecretString;
use zeroize::Zeroizing;

use crate::store::StoreError;

/// Access tokens that a client was given.
pub(in crate::broker) const ACCESS: &str = "rga_";
/// Tokens made by hand.
pub(in crate::broker) const MADE: &str = "rgk_";
/// Refresh tokens.
pub(super) const REFRESH: &str = "rgr_";
/// Authorization codes.
pub(super) const CODE: &str = "rgc_";
/// Device codes.
pub(super) const DEVICE: &str = "rgd_";

/// 32 bytes in base64url without padding.
const LENGTH: usize = 43;

/// Letters of typed codes: no vowels, so that they spell nothing, and no digits.
const LETTERS: &[u8; 20] = b"BCDFGHJKLMNPQRSTVWXZ";
const TYPED: usize = 10;
/// What is typed may have blanks and hyphens in it; longer texts are no codes.
const TYPED_AT_MOST: usize = 100;

/// A secret on its way out, and what is kept of it.
pub(super) struct Fresh {
    pub(super) secret: SecretString,
    pub(super) hash: String,
}

/// A new secret.
pub(super) fn fresh(prefix: &str) -> Result<Fresh, StoreError> {
    let mut bytes = Zeroizing::new([0; 32]);
    fill(bytes.as_mut_slice())?;
    let mut text = String::with_capacity(prefix.len() + LENGTH);
    text.push_str(prefix);
    URL_SAFE_NO_PAD.encode_string(bytes.as_slice(), &mut text);
    Ok(Fresh {
        hash: hash(&text),
        secret: text.into(),
    })
}

/// The id of a session that no cookie opens: the hash of something that nobody knows.
pub(in crate::broker) fn nobodys_hash() -> Result<String, StoreError> {
    let mut bytes = Zeroizing::new([0; 32]);
    fill(bytes.as_mut_slice())?;
    Ok(hex::encode(digest(&SHA256, bytes.as_slice())))
}

fn fill(bytes: &mut [u8]) -> Result<(), StoreError> {
    rand::fill(bytes).map_err(|_| StoreError::unavailable("no random bytes can be had"))
}

/// What is kept of a secret: SHA-256, in hexadecimal. With 256 random bits a salt adds nothing.
pub(in crate::broker) fn hash(text: &str) -> String {
    hex::encode(digest(&SHA256, text.as_bytes()))
}

/// Whether a text looks like a secret of this kind.
pub(in crate::broker) fn is_shaped(text: &str, prefix: &str) -> bool {
    text.strip_prefix(prefix)
        .is_some_and(|rest| rest.len() == LENGTH && is_base64url(rest))
}

/// Whether a text has one of our prefixes, whatever follows.
pub(in crate::broker) fn is_ours(text: &str) -> bool {
    [ACCESS, MADE, REFRESH, CODE, DEVICE]
        .iter()
        .any(|prefix| text.starts_with(prefix))
}

pub(super) fn is_base64url(text: &str) -> bool {
    text.bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

/// A new code to be typed: ten letters, 43 bits.
pub(super) fn user_code() -> Result<String, StoreError> {
    let mut code = String::with_capacity(TYPED);
    let mut bytes = [0; 32];
    while code.len() < TYPED {
        fill(&mut bytes)?;
        // Above 240 some letters would come more often than others.
        let even = bytes.iter().filter(|byte| **byte < 240);
        let letters = even.filter_map(|byte| LETTERS.get(usize::from(byte % 20)));
        code.extend(
            letters
                .take(TYPED - code.len())
                .map(|byte| char::from(*byte)),
        );
    }
    Ok(code)
}

/// A code as it is shown: `BCDFG-HJKLM`.
pub(super) fn shown(code: &str) -> String {
    match code.split_at_checked(TYPED / 2) {
        Some((left, right)) => format!("{left}-{right}"),
        None => code.to_owned(),
    }
}

/// What somebody typed, as the code that it stands for; case, blanks and hyphens do not count.
pub(super) fn typed(text: &str) -> Option<String> {
    if text.len() > TYPED_AT_MOST {
        return None;
    }
    let code: String = text
        .chars()
        .filter(|letter| !letter.is_whitespace() && *letter != '-')
        .map(|letter| letter.to_ascii_uppercase())
        .collect();
    let is_code = code.len() == TYPED && code.bytes().all(|byte| LETTERS.contains(&byte));
    is_code.then_some(code)
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    #[test]
    fn secrets_are_fresh_and_told_apart() {
        let (one, other) = (fresh(ACCESS).unwrap(), fresh(ACCESS).unwrap());
        assert_ne!(one.hash, other.hash);
        let text = one.secret.expose_secret();
        assert!(is_shaped(text, ACCESS) && is_ours(text));
        assert!(!is_shaped(text, REFRESH));
        assert!(!is_shaped(&text[..text.len() - 1], ACCESS));
        assert!(!is_shaped(&format!("{text}A"), ACCESS));
        assert!(!is_shaped(&text.replace(&text[10..11], "+"), ACCESS));
        assert!(!is_ours("eyJhbGciOiJFUzI1NiJ9.e30.c2ln"));
    }

    #[test]
    fn typed_codes_are_read_as_people_type() {
        let code = user_code().unwrap();
        assert_eq!(typed(&shown(&code)), Some(code.clone()));
        let lower = code.to_lowercase();
        let slow: Vec<String> = lower.chars().map(String::from).collect();
        assert_eq!(typed(&slow.join(" - ")), Some(code.clone()));
        for wrong in [
            "",
            "BCDFG-HJKL",
            "BCDFG-HJKLMM",
            "BCDFG-HJKLA",
            "BCDFG-HJKL1",
        ] {
            assert_eq!(typed(wrong), None, "{wrong}");
        }
        assert_eq!(typed(&" ".repeat(1_000_000)), None);
    }

    #[test]
    fn every_letter_of_a_typed_code_comes_about_as_often() {
        let mut seen = [0_u32; 256];
        for _ in 0..2_000 {
            for byte in user_code().unwrap().bytes() {
                seen[usize::from(byte)] += 1;
            }
        }
        for letter in LETTERS {
            let count = seen[usize::from(*letter)];
            assert!((750..1_250).contains(&count), "{letter}: {count}");
        }
    }
}
