//! Ways to break a message: bytes, and elements as wholes.

#![allow(unreachable_pub, reason = "a test includes this as a part of itself")]

use std::ops::Range;

/// Random numbers that a seed brings back (SplitMix64). Not for secrets.
pub struct Random(u64);

impl Random {
    /// The sequence of this seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`; 0 where there is none.
    pub fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % (bound.max(1) as u64)).unwrap_or(0)
    }

    /// One of them, or nothing of an empty list.
    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> Option<&'a T> {
        from.get(self.below(from.len()))
    }
}

/// What attacks are made of.
const WORDS: &[&str] = &[
    "<!---->",
    "<!-- x -->",
    "<?x y?>",
    "<![CDATA[admin]]>",
    "<![CDATA[]]>",
    "&amp;",
    "&#65;",
    "&#x0;",
    "&x;",
    "]]>",
    "\0",
    "\u{feff}",
    "\u{202e}",
    "<!DOCTYPE a [<!ENTITY x \"admin\">]>",
    "<?xml version=\"1.0\" encoding=\"UTF-7\"?>",
    " ID=\"_a1\"",
    " id=\"_a1\"",
    " x:ID=\"_a1\" xmlns:x=\"urn:x\"",
    " xml:id=\"_a1\"",
    " xmlns:saml=\"urn:oasis:names:tc:SAML:2.0:assertion \"",
    " xmlns:a=\"relative\"",
    " xmlns=\"\"",
    " xsi:nil=\"true\"",
    "<saml:AttributeValue>admins</saml:AttributeValue>",
    "<saml:NameID>admin@seed.test</saml:NameID>",
    "<ds:Object></ds:Object>",
    "<ds:HMACOutputLength>0</ds:HMACOutputLength>",
    "<x xmlns=\"urn:x\">",
    "</x>",
    "admin",
    "#",
    "urn:oasis:names:tc:SAML:2.0:status:Success",
    "http://www.w3.org/2000/09/xmldsig#hmac-sha1",
    "http://www.w3.org/TR/1999/REC-xslt-19991116",
    "http://www.w3.org/2001/04/xmlenc#rsa-1_5",
    "9999-12-31T23:59:59Z",
    "%00",
    "%",
    "&SAMLRequest=AA",
    "&RelayState=",
    "&%53igAlg=",
    "=",
    "+",
];

/// Elements that hide others.
const WRAPPERS: &[(&str, &str)] = &[
    ("<samlp:Extensions>", "</samlp:Extensions>"),
    ("<saml:Advice>", "</saml:Advice>"),
    ("<samlp:StatusDetail>", "</samlp:StatusDetail>"),
    ("<ds:Object>", "</ds:Object>"),
    ("<saml:AttributeValue>", "</saml:AttributeValue>"),
    ("<x xmlns=\"urn:x\">", "</x>"),
    ("<!--", "-->"),
    ("<![CDATA[", "]]>"),
];

/// `document` after one to four changes; `others` lend their parts.
pub fn broken(random: &mut Random, document: &[u8], others: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = document.to_vec();
    for _ in 0..=random.below(4) {
        if random.below(3) == 0 {
            change_bytes(random, &mut bytes);
        } else {
            change_elements(random, &mut bytes, others);
        }
    }
    bytes
}

/// A query after one to three changes of whole parameters; `others` lend theirs.
pub fn shuffled(random: &mut Random, query: &[u8], others: &[Vec<u8>]) -> Vec<u8> {
    let split = |query: &[u8]| -> Vec<Vec<u8>> {
        query
            .split(|byte| *byte == b'&')
            .map(<[u8]>::to_vec)
            .collect()
    };
    let mut parameters = split(query);
    for _ in 0..=random.below(3) {
        let (from, to) = (
            random.below(parameters.len()),
            random.below(parameters.len()),
        );
        match random.below(4) {
            0 if !parameters.is_empty() => drop(parameters.remove(from)),
            1 => {
                let lent = random.pick(others).map(|other| split(other));
                let lent = lent.and_then(|lent| random.pick(&lent).cloned());
                parameters.insert(to, lent.unwrap_or_default());
            }
            2 if !parameters.is_empty() => change_bytes(random, &mut parameters[from]),
            _ if !parameters.is_empty() => parameters.swap(from, to),
            _ => {}
        }
    }
    parameters.join(&b'&')
}

fn change_bytes(random: &mut Random, bytes: &mut Vec<u8>) {
    let at = random.below(bytes.len());
    let some = at..(at + 1 + random.below(40)).min(bytes.len());
    match random.below(7) {
        0 => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << random.below(8);
            }
        }
        1 => {
            let interesting = b"\0\x01\t\n\r \"&'/:;<=>?[]\x7f\x80\xc0\xef\xff";
            if let (Some(byte), Some(new)) = (bytes.get_mut(at), random.pick(interesting)) {
                *byte = *new;
            }
        }
        2 => drop(bytes.drain(some)),
        3 => {
            let copy = bytes[some].to_vec();
            let to = random.below(bytes.len());
            bytes.splice(to..to, copy);
        }
        4 => bytes.truncate(at),
        _ => {
            let word = random.pick(WORDS).copied().unwrap_or_default();
            bytes.splice(at..at, word.bytes());
        }
    }
}

fn change_elements(random: &mut Random, bytes: &mut Vec<u8>, others: &[Vec<u8>]) {
    let spans = elements(bytes);
    let Some(span) = random.pick(&spans).cloned() else {
        return change_bytes(random, bytes);
    };
    let other = random.pick(&spans).cloned().unwrap_or_else(|| span.clone());
    let content = bytes[span.clone()].to_vec();
    match random.below(9) {
        0 => drop(bytes.drain(span)),
        1 => drop(bytes.splice(span.start..span.start, content)),
        2 => {
            // A copy elsewhere, perhaps with another name in it.
            let copy = replaced(&content, b"alice", b"admin");
            bytes.splice(other.start..other.start, copy);
        }
        3 => {
            bytes.drain(span.clone());
            let to = other.start.min(bytes.len());
            bytes.splice(to..to, content);
        }
        4 => {
            let (start, end) = random.pick(WRAPPERS).copied().unwrap_or_default();
            let wrapped = [start.as_bytes(), &content, end.as_bytes()].concat();
            bytes.splice(span, wrapped);
        }
        5 => {
            let lender = random.pick(others).cloned().unwrap_or_default();
            let lent = elements(&lender);
            if let Some(part) = random.pick(&lent) {
                let to = if random.below(2) == 0 {
                    span
                } else {
                    span.end..span.end
                };
                bytes.splice(to, lender[part.clone()].iter().copied());
            }
        }
        6 => {
            // Into the start tag, behind the name.
            let word = random.pick(WORDS).copied().unwrap_or_default();
            let name = content.iter().position(|byte| b" />".contains(byte));
            let to = span.start + name.unwrap_or(1);
            bytes.splice(to..to, word.bytes());
        }
        7 => {
            // Into what stands behind the start tag.
            let word = random.pick(WORDS).copied().unwrap_or_default();
            let tag = content.iter().position(|byte| *byte == b'>').unwrap_or(0);
            let to = span.start + tag + 1 + random.below(5);
            let to = to.min(bytes.len());
            bytes.splice(to..to, word.bytes());
        }
        _ => change_value(random, bytes),
    }
}

/// Gives one attribute the value of another, or a word.
fn change_value(random: &mut Random, bytes: &mut Vec<u8>) {
    let quotes: Vec<usize> = (0..bytes.len()).filter(|&at| bytes[at] == b'"').collect();
    let values: Vec<Range<usize>> = quotes
        .chunks_exact(2)
        .map(|pair| pair[0] + 1..pair[1])
        .collect();
    let (Some(to), Some(from)) = (random.pick(&values).cloned(), random.pick(&values).cloned())
    else {
        return;
    };
    let value = if random.below(3) == 0 {
        random
            .pick(WORDS)
            .copied()
            .unwrap_or_default()
            .as_bytes()
            .to_vec()
    } else {
        bytes[from].to_vec()
    };
    bytes.splice(to, value);
}

fn replaced(text: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    match text.windows(from.len()).position(|part| part == from) {
        Some(at) => [&text[..at], to, &text[at + from.len()..]].concat(),
        None => text.to_vec(),
    }
}

/// Where elements begin and end, as far as the document still has any.
fn elements(bytes: &[u8]) -> Vec<Range<usize>> {
    let mut spans = Vec::new();
    let mut open = Vec::new();
    let mut at = 0;
    while let Some(start) = position(bytes, at, b'<') {
        let Some(end) = position(bytes, start, b'>') else {
            break;
        };
        at = end + 1;
        match bytes.get(start + 1) {
            Some(b'/') => spans.extend(open.pop().map(|first| first..at)),
            Some(b'!' | b'?') | None => {}
            Some(_) if bytes[end - 1] == b'/' => spans.push(start..at),
            Some(_) => open.push(start),
        }
    }
    spans
}

fn position(bytes: &[u8], from: usize, wanted: u8) -> Option<usize> {
    let rest = bytes.get(from..)?;
    rest.iter()
        .position(|byte| *byte == wanted)
        .map(|at| from + at)
}
