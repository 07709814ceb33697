//! The hash chain: which bytes are hashed, and how a walk along the rows finds what was touched.
//!
//! Every row has a salt, a payload (the event's JSON, exactly as stored) and three hashes:
//!
//! ```text
//! payload_hash = SHA-256(salt ‖ payload)                       16 raw bytes, then UTF-8 bytes
//! hash         = SHA-256(seq ‖ previous_hash ‖ payload_hash)   8 bytes big-endian, 32, 32 raw
//! ```
//!
//! `seq` counts 1, 2, 3… and the `previous_hash` of row 1 is 32 zero bytes
//! ([`ChainHash::GENESIS`]). A head row holds the last `seq` and `hash`, so a cut tail shows. The
//! salt lets a payload be erased later without leaving a hash that could be guessed back.
//!
//! The chain cannot show that somebody rewrote every row and the head with it; a copy of the head
//! kept elsewhere can. Never here: I/O. Entry points: [`Link::forge`], [`Walk`].

use std::{cmp::Ordering, fmt, str::FromStr};

use aws_lc_rs::{
    digest::{Context, SHA256},
    rand,
};
use thiserror::Error;

/// A SHA-256 in the chain; shown and stored as 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ChainHash([u8; 32]);

impl ChainHash {
    /// What the first row follows: 32 zero bytes.
    pub const GENESIS: Self = Self([0; 32]);

    fn of(parts: &[&[u8]]) -> Self {
        let mut context = Context::new(&SHA256);
        for part in parts {
            context.update(part);
        }
        let mut bytes = [0; 32];
        bytes.copy_from_slice(context.finish().as_ref());
        Self(bytes)
    }
}

impl fmt::Display for ChainHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hexadecimal(&self.0, f)
    }
}

impl fmt::Debug for ChainHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for ChainHash {
    type Err = NotHexadecimal;

    fn from_str(text: &str) -> Result<Self, NotHexadecimal> {
        read_hexadecimal(text).map(Self)
    }
}

/// Sixteen random bytes in front of a payload.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Salt([u8; 16]);

impl Salt {
    /// A fresh salt, or none where the machine has no randomness to give.
    pub fn random() -> Option<Self> {
        let mut bytes = [0; 16];
        rand::fill(&mut bytes).ok().map(|()| Self(bytes))
    }
}

impl fmt::Display for Salt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hexadecimal(&self.0, f)
    }
}

impl fmt::Debug for Salt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Salt {
    type Err = NotHexadecimal;

    fn from_str(text: &str) -> Result<Self, NotHexadecimal> {
        read_hexadecimal(text).map(Self)
    }
}

/// A stored hash or salt that is none.
#[derive(Debug, Error, Clone, Copy, PartialEq, Eq)]
#[error("not hexadecimal digits of the right number")]
pub struct NotHexadecimal;

/// `SHA-256(salt ‖ payload)`.
pub fn payload_hash(salt: &Salt, payload: &str) -> ChainHash {
    ChainHash::of(&[&salt.0, payload.as_bytes()])
}

/// `SHA-256(seq ‖ previous ‖ payload_hash)`, `seq` as eight bytes, the first the highest.
pub fn row_hash(seq: i64, previous: &ChainHash, payload_hash: &ChainHash) -> ChainHash {
    ChainHash::of(&[&seq.to_be_bytes(), &previous.0, &payload_hash.0])
}

/// What a row of the log has of the chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link<'a> {
    /// Its place.
    pub seq: i64,
    /// The event as JSON.
    pub payload: &'a str,
    /// What stands in front of the payload when it is hashed.
    pub salt: Salt,
    /// The payload's hash.
    pub payload_hash: ChainHash,
    /// The hash of the row before.
    pub previous_hash: ChainHash,
    /// The row's own hash.
    pub hash: ChainHash,
}

impl<'a> Link<'a> {
    /// The link of a new row at `seq`, behind a row with the hash `previous_hash`.
    pub fn forge(seq: i64, previous_hash: ChainHash, salt: Salt, payload: &'a str) -> Self {
        let payload_hash = payload_hash(&salt, payload);
        Self {
            seq,
            payload,
            salt,
            payload_hash,
            previous_hash,
            hash: row_hash(seq, &previous_hash, &payload_hash),
        }
    }
}

/// A walk along the rows, from the first to the head.
#[derive(Debug, Clone, Copy)]
pub struct Walk {
    base: i64,
    seq: i64,
    last: ChainHash,
}

impl Walk {
    /// In front of the first row.
    pub fn start() -> Self {
        Self::behind(0, ChainHash::GENESIS)
    }

    /// Behind a row that is not there any more, of which place and hash are known.
    pub fn behind(seq: i64, hash: ChainHash) -> Self {
        Self {
            base: seq,
            seq,
            last: hash,
        }
    }

    /// How many rows were passed.
    pub fn rows(&self) -> i64 {
        self.seq - self.base
    }

    /// The place of the last row that was passed.
    pub fn seq(&self) -> i64 {
        self.seq
    }

    /// Whether `seq` is the next place; a row whose hashes cannot even be read is asked this first.
    pub fn expect(&self, seq: i64) -> Result<(), BrokenLink> {
        let expected = self.seq + 1;
        match seq.cmp(&expected) {
            Ordering::Greater => Err(BrokenLink::at(expected, Problem::Missing)),
            Ordering::Less => Err(BrokenLink::at(seq, Problem::Place)),
            Ordering::Equal => Ok(()),
        }
    }

    /// Passes a row that has the next place and follows from the one before.
    pub fn step(&mut self, link: &Link<'_>) -> Result<(), BrokenLink> {
        self.expect(link.seq)?;
        if payload_hash(&link.salt, link.payload) != link.payload_hash {
            return Err(BrokenLink::at(link.seq, Problem::Payload));
        }
        let Link {
            seq,
            payload_hash,
            previous_hash,
            hash,
            ..
        } = *link;
        self.step_erased(seq, payload_hash, previous_hash, hash)
    }

    /// Passes a row whose payload was erased; whether it might be is for the caller to know.
    pub fn step_erased(
        &mut self,
        seq: i64,
        payload_hash: ChainHash,
        previous_hash: ChainHash,
        hash: ChainHash,
    ) -> Result<(), BrokenLink> {
        self.expect(seq)?;
        if previous_hash != self.last {
            return Err(BrokenLink::at(seq, Problem::Previous));
        }
        if row_hash(seq, &self.last, &payload_hash) != hash {
            return Err(BrokenLink::at(seq, Problem::Hash));
        }
        self.seq = seq;
        self.last = hash;
        Ok(())
    }

    /// Compares the end of the walk with the head row; the head's hash when all is well.
    pub fn finish(self, head_seq: i64, head_hash: ChainHash) -> Result<ChainHash, BrokenLink> {
        if self.seq < head_seq {
            let problem = Problem::TailCut { head: head_seq };
            return Err(BrokenLink::at(self.seq + 1, problem));
        }
        if self.seq > head_seq {
            return Err(BrokenLink::at(head_seq + 1, Problem::BeyondHead));
        }
        if self.last != head_hash {
            return Err(BrokenLink::at(head_seq, Problem::Head));
        }
        Ok(self.last)
    }
}

/// The first row that does not follow.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
#[error("row {seq}: {problem}")]
pub struct BrokenLink {
    /// Its place.
    pub seq: i64,
    /// What is wrong with it.
    pub problem: Problem,
}

impl BrokenLink {
    fn at(seq: i64, problem: Problem) -> Self {
        Self { seq, problem }
    }
}

/// What is wrong with a row.
#[derive(Debug, Error, Clone, Copy, PartialEq, Eq)]
pub enum Problem {
    /// There is no row at this place, and there are later ones.
    #[error("the row is missing")]
    Missing,
    /// A place that is not 1, 2, 3….
    #[error("the row's place is impossible")]
    Place,
    /// The payload or its salt is not what was hashed.
    #[error("the payload was edited: it does not match its hash")]
    Payload,
    /// The row names another row before it.
    #[error("the row does not follow from the row before: rows were edited, moved or replaced")]
    Previous,
    /// The row's hash is not that of its content at its place.
    #[error("the row's hash does not match its content at this place")]
    Hash,
    /// The head row is further.
    #[error("the tail was cut: the head says there are {head} rows")]
    TailCut {
        /// How many rows there should be.
        head: i64,
    },
    /// There are rows that the head row does not know.
    #[error("the row lies beyond the head")]
    BeyondHead,
    /// The head row has another hash.
    #[error("the head's hash is not that of the last row")]
    Head,
}

fn write_hexadecimal(bytes: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}

fn read_hexadecimal<const N: usize>(text: &str) -> Result<[u8; N], NotHexadecimal> {
    let digits = text.as_bytes();
    if digits.len() != 2 * N {
        return Err(NotHexadecimal);
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Ok(bytes)
}

fn digit(character: u8) -> Result<u8, NotHexadecimal> {
    match character {
        b'0'..=b'9' => Ok(character - b'0'),
        b'a'..=b'f' => Ok(character - b'a' + 10),
        _ => Err(NotHexadecimal),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SALT: Salt = Salt(*b"0123456789abcdef");

    fn chain(payloads: &[&'static str]) -> Vec<Link<'static>> {
        let mut previous = ChainHash::GENESIS;
        (1..)
            .zip(payloads)
            .map(|(seq, payload)| {
                let link = Link::forge(seq, previous, SALT, payload);
                previous = link.hash;
                link
            })
            .collect()
    }

    fn walk(links: &[Link<'_>]) -> Result<Walk, BrokenLink> {
        let mut walk = Walk::start();
        for link in links {
            walk.step(link)?;
        }
        Ok(walk)
    }

    #[test]
    fn the_hashed_bytes_are_as_documented() {
        // printf '0123456789abcdef{}' | sha256sum, and the same over the documented 72 bytes.
        let link = Link::forge(1, ChainHash::GENESIS, SALT, "{}");
        let mut bytes = vec![0, 0, 0, 0, 0, 0, 0, 1];
        bytes.extend([0; 32]);
        bytes.extend(payload_hash(&SALT, "{}").0);
        assert_eq!(link.hash, ChainHash::of(&[&bytes]));
        assert_eq!(
            link.payload_hash.to_string(),
            PAYLOAD_HASH,
            "the payload's hash changed"
        );
        assert_eq!(link.hash.to_string(), ROW_HASH, "the row's hash changed");
    }

    #[test]
    fn an_untouched_chain_holds() {
        let links = chain(&["a", "b", "c"]);
        let head = links[2].hash;
        assert_eq!(walk(&links).unwrap().finish(3, head), Ok(head));
        assert_eq!(
            Walk::start().finish(0, ChainHash::GENESIS),
            Ok(ChainHash::GENESIS)
        );
    }

    #[test]
    fn every_touch_names_the_first_bad_row() {
        let links = chain(&["a", "b", "c"]);
        let broken = |touch: &dyn Fn(&mut Vec<Link<'static>>)| {
            let mut links = links.clone();
            touch(&mut links);
            let error = walk(&links).unwrap_err();
            (error.seq, error.problem)
        };
        assert_eq!(broken(&|l| l[1].payload = "x"), (2, Problem::Payload));
        assert_eq!(
            broken(&|l| l[1] = Link::forge(2, l[0].hash, SALT, "x")),
            (3, Problem::Previous)
        );
        assert_eq!(
            broken(&|l| {
                l.remove(1);
            }),
            (2, Problem::Missing)
        );
        assert_eq!(broken(&|l| l[1].hash = l[2].hash), (2, Problem::Hash));
        assert_eq!(broken(&|l| l[1].seq = 1), (1, Problem::Place));
        assert_eq!(
            broken(&|l| {
                l.swap(1, 2);
                l[1].seq = 2;
                l[2].seq = 3;
            }),
            (2, Problem::Previous)
        );
    }

    #[test]
    fn the_head_tells_of_a_cut_tail_and_of_rows_behind_it() {
        let links = chain(&["a", "b", "c"]);
        let cut = walk(&links[..2]).unwrap();
        assert_eq!(
            cut.finish(3, links[2].hash).unwrap_err(),
            BrokenLink::at(3, Problem::TailCut { head: 3 })
        );
        let whole = walk(&links).unwrap();
        assert_eq!(
            whole.finish(2, links[1].hash).unwrap_err().problem,
            Problem::BeyondHead
        );
        assert_eq!(
            whole.finish(3, links[1].hash).unwrap_err().problem,
            Problem::Head
        );
    }

    #[test]
    fn hashes_and_salts_survive_their_text() {
        let hash = payload_hash(&SALT, "a");
        assert_eq!(hash.to_string().parse(), Ok(hash));
        assert_eq!(SALT.to_string().parse(), Ok(SALT));
        for text in [
            "",
            "zz",
            "0",
            &"é".repeat(32),
            &hash.to_string().to_uppercase(),
        ] {
            assert_eq!(text.parse::<ChainHash>(), Err(NotHexadecimal), "{text}");
        }
    }

    const PAYLOAD_HASH: &str = "3601f574200e4788f443bfeee30e4188fae7330554764a6388d31c0e497943cc";
    const ROW_HASH: &str = "5d38f79e9cc4d69118c8a453db43bf8a2f2a29245b4cd002fabb07eff874673b";
}
