//! Distinguished names in one normal form, so that the same group always has the same key.

use std::{fmt::Write as _, str::FromStr};

use thiserror::Error;

/// A distinguished name (RFC 4514), parsed and ready to be compared.
///
/// The normal form folds case, joins runs of blanks inside values (caseIgnoreMatch, RFC 4517
/// section 4.2.11), sorts the parts of multi-valued RDNs and escapes in one way only. Directories
/// may compare some attributes case-exactly; folding them is on purpose: two groups that differ in
/// case alone do not occur, one group written in two cases does.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Dn(Vec<Vec<(String, String)>>);

impl Dn {
    /// The one text that every spelling of this name shares.
    pub fn normalised(&self) -> String {
        let rdns: Vec<String> = self.0.iter().map(|rdn| normalised_rdn(rdn)).collect();
        rdns.join(",")
    }

    /// The value of the first RDN: what people call the entry.
    pub fn leading_value(&self) -> &str {
        self.0
            .first()
            .and_then(|rdn| rdn.first())
            .map_or("", |(_, value)| value)
    }

    /// The value of the first RDN where that is a CN of an entry somewhere: what people call a
    /// group.
    pub fn common_name(&self) -> Option<&str> {
        match self.0.as_slice() {
            [first, _, ..] => match first.as_slice() {
                [(attribute, value)] if attribute == "cn" && !value.is_empty() => Some(value),
                _ => None,
            },
            _ => None,
        }
    }

    /// Whether this name lies at or below `base`.
    pub fn is_within(&self, base: &Self) -> bool {
        self.0.len() >= base.0.len() && {
            let tail = Self(self.0[self.0.len() - base.0.len()..].to_vec());
            tail.normalised() == base.normalised()
        }
    }
}

impl FromStr for Dn {
    type Err = DnError;

    fn from_str(text: &str) -> Result<Self, DnError> {
        let mut rdns = vec![Vec::new()];
        let mut rest = text;
        loop {
            let (attribute, after) = rest
                .split_once('=')
                .ok_or_else(|| DnError::Attribute(rest.chars().take(80).collect()))?;
            let attribute = attribute.trim().to_ascii_lowercase();
            let is_legal = !attribute.is_empty()
                && attribute
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"-.".contains(&b));
            if !is_legal {
                return Err(DnError::Attribute(attribute.chars().take(80).collect()));
            }
            let (value, separator, after) = take_value(after)?;
            if let Some(rdn) = rdns.last_mut() {
                rdn.push((attribute, value));
            }
            match separator {
                None => break,
                Some('+') => {}
                Some(_) => rdns.push(Vec::new()),
            }
            rest = after;
        }
        Ok(Self(rdns))
    }
}

/// Reads one unescaped value and says what ended it and what follows.
fn take_value(text: &str) -> Result<(String, Option<char>, &str), DnError> {
    let text = text.trim_start_matches(' ');
    let mut bytes: Vec<u8> = Vec::new();
    let mut significant = 0;
    let mut chars = text.char_indices();
    let ended_by = loop {
        let Some((at, character)) = chars.next() else {
            break None;
        };
        match character {
            ',' | ';' | '+' => break Some((at, character)),
            '\\' => {
                bytes.push(unescape(&mut chars)?);
                significant = bytes.len();
            }
            '"' | '<' | '>' => return Err(DnError::Unescaped(character)),
            _ => {
                bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                if character != ' ' {
                    significant = bytes.len();
                }
            }
        }
    };
    bytes.truncate(significant);
    let value = String::from_utf8(bytes).map_err(|_| DnError::Escape)?;
    if value.is_empty() {
        return Err(DnError::EmptyValue);
    }
    Ok(match ended_by {
        None => (value, None, ""),
        Some((at, separator)) => (value, Some(separator), &text[at + 1..]),
    })
}

/// Reads what follows a backslash: two hexadecimal digits, or one special character.
fn unescape(chars: &mut std::str::CharIndices<'_>) -> Result<u8, DnError> {
    let (_, first) = chars.next().ok_or(DnError::Escape)?;
    if let Some(high) = first.to_digit(16) {
        let low = chars
            .next()
            .and_then(|(_, c)| c.to_digit(16))
            .ok_or(DnError::Escape)?;
        return u8::try_from(high * 16 + low).map_err(|_| DnError::Escape);
    }
    if first.is_ascii() && " \"#+,;<=>\\".contains(first) {
        u8::try_from(first).map_err(|_| DnError::Escape)
    } else {
        Err(DnError::Escape)
    }
}

fn normalised_rdn(rdn: &[(String, String)]) -> String {
    let mut parts: Vec<String> = rdn
        .iter()
        .map(|(attribute, value)| format!("{attribute}={}", escape(&fold(value))))
        .collect();
    parts.sort_unstable();
    parts.join("+")
}

/// Folds case and joins runs of blanks.
fn fold(value: &str) -> String {
    let words: Vec<&str> = value.split(' ').filter(|word| !word.is_empty()).collect();
    words.join(" ").to_lowercase()
}

/// Escapes a value as RFC 4514 section 2.4 asks, always in the same way.
fn escape(value: &str) -> String {
    let mut escaped = String::with_capacity(value.len());
    for (at, character) in value.char_indices() {
        match character {
            '"' | '+' | ',' | ';' | '<' | '>' | '\\' | '=' => {
                escaped.push('\\');
                escaped.push(character);
            }
            '#' if at == 0 => escaped.push_str("\\#"),
            control if control.is_control() => {
                for byte in control.encode_utf8(&mut [0; 4]).bytes() {
                    // Writing to a String cannot fail.
                    let _ = write!(escaped, "\\{byte:02x}");
                }
            }
            other => escaped.push(other),
        }
    }
    escaped
}

/// Why a text is not a distinguished name.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
pub enum DnError {
    /// No `attribute=` where one must stand.
    #[error("`{0}` has no attribute=value")]
    Attribute(String),
    /// A backslash that escapes nothing.
    #[error("a backslash is followed by neither two hexadecimal digits nor a special character")]
    Escape,
    /// A character that needs a backslash.
    #[error("`{0}` needs a backslash in front")]
    Unescaped(char),
    /// An attribute with nothing behind it.
    #[error("an attribute has an empty value")]
    EmptyValue,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn normalised(text: &str) -> String {
        text.parse::<Dn>().unwrap().normalised()
    }

    #[test]
    fn spellings_of_one_name_are_equal() {
        let expected = "cn=payments dev,ou=groups,dc=example,dc=com";
        for text in [
            "cn=payments dev,ou=groups,dc=example,dc=com",
            "CN=Payments  Dev, OU=Groups , DC=example,DC=com",
            "cn=pay\\6dents dev;ou=groups;dc=example;dc=com",
            "  cn = payments dev,ou=groups,dc=example,dc=com ",
        ] {
            assert_eq!(normalised(text), expected, "{text}");
        }
    }

    #[test]
    fn special_characters_have_one_escape() {
        assert_eq!(
            normalised("cn=comma\\2C inc (x)*"),
            normalised("cn=comma\\, inc (x)*")
        );
        assert_eq!(normalised("cn=\\C3\\84rzte"), "cn=ärzte");
        assert_eq!(normalised("cn=\\#1"), "cn=\\#1");
        assert_eq!(normalised("cn=b+ou=a,dc=x"), normalised("ou=A+cn=B,dc=x"));
    }

    #[test]
    fn different_names_stay_different() {
        assert_ne!(normalised("cn=a\\,ou=b,dc=x"), normalised("cn=a,ou=b,dc=x"));
        assert_ne!(normalised("cn=ab"), normalised("cn=a b"));
    }

    #[test]
    fn names_lie_within_their_bases() {
        let base: Dn = "DC=example,dc=com".parse().unwrap();
        assert!(
            "cn=x,dc=Example,dc=com"
                .parse::<Dn>()
                .unwrap()
                .is_within(&base)
        );
        assert!(
            !"cn=x,dc=notexample,dc=com"
                .parse::<Dn>()
                .unwrap()
                .is_within(&base)
        );
        assert!(!"dc=com".parse::<Dn>().unwrap().is_within(&base));
    }

    #[test]
    fn broken_names_are_refused() {
        for text in [
            "", "cn", "cn=", "=x", "cn=a,", "cn=a\\", "cn=a\\zz", "cn=a\"b", "c n=a", "cn=\\ff",
        ] {
            assert!(text.parse::<Dn>().is_err(), "{text} was accepted");
        }
    }

    proptest! {
        #[test]
        fn normal_form_is_a_fixed_point(value in "\\PC{1,20}") {
            let written = Dn(vec![vec![("cn".to_owned(), value.clone())]]);
            if fold(&value).is_empty() { return Ok(()); }
            let once = written.normalised();
            prop_assert_eq!(once.parse::<Dn>().unwrap().normalised(), once);
        }

        #[test]
        fn parsing_never_panics(text in "\\PC*") {
            let _ = text.parse::<Dn>();
        }
    }
}
