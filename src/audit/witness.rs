//! The value of the session tag that makes CloudTrail a witness: a row of the chain, by place and
//! the beginning of its hash.
//!
//! Entry points: [`tag`], [`Witness`].

use std::str::FromStr;

use thiserror::Error;

/// How many hexadecimal digits of the hash travel: 128 bits, which nobody finds a second row for.
const DIGITS: usize = 32;

/// What the tag says about the row at `seq` with this hash.
pub fn tag(seq: i64, hash: &str) -> String {
    format!("{seq}-{}", hash.get(..DIGITS).unwrap_or(hash))
}

/// A row that a tag names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Witness {
    /// Its place.
    pub seq: i64,
    /// The first half of its hash.
    pub hash: String,
}

impl Witness {
    /// Whether the row at its place with this hash is the one that is meant.
    pub fn is_of(&self, hash: &str) -> bool {
        hash.starts_with(&self.hash)
    }
}

/// A tag's value that is no witness.
#[derive(Debug, Error, Clone, Copy, PartialEq, Eq)]
#[error("expected SEQ-HASH with {DIGITS} hexadecimal digits")]
pub struct NotAWitness;

impl FromStr for Witness {
    type Err = NotAWitness;

    fn from_str(text: &str) -> Result<Self, NotAWitness> {
        let (seq, hash) = text.split_once('-').ok_or(NotAWitness)?;
        let is_hash =
            hash.len() == DIGITS && (hash.bytes()).all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        match seq.parse::<i64>() {
            Ok(seq) if seq > 0 && is_hash => Ok(Self {
                seq,
                hash: hash.to_owned(),
            }),
            _ => Err(NotAWitness),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_names_its_row_and_no_other() {
        let hash = "ab".repeat(32);
        let witness: Witness = tag(7, &hash).parse().unwrap();
        assert_eq!(witness.seq, 7);
        assert!(witness.is_of(&hash));
        assert!(!witness.is_of(&"cd".repeat(32)));
    }

    #[test]
    fn what_is_no_tag_of_ours_is_none() {
        let hash = "ab".repeat(16);
        for text in [
            "",
            "7",
            "7-",
            "7-ab",
            &format!("0-{hash}"),
            &format!("x-{hash}"),
        ] {
            assert_eq!(text.parse::<Witness>(), Err(NotAWitness), "{text}");
        }
    }
}
