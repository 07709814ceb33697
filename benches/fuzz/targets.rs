//! What is broken messages are thrown at, and what must hold whatever they are.

#![allow(unreachable_pub, reason = "a test includes this as a part of itself")]

use std::panic::{AssertUnwindSafe, catch_unwind};

use quick_xml::{NsReader, events::Event};
use rolegate::identity::saml::{
    gate::{self, Allowances, Root},
    redirect_binding,
    verify::verify,
};

use super::{
    mutation::{Random, broken, shuffled},
    seeds::{NOW, Seeds},
};

/// A part that strangers reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// The gate, for every root.
    Gate,
    /// The redirect binding with its signature.
    Redirect,
    /// The whole way of a response.
    Verify,
}

/// Every target.
pub const TARGETS: [Target; 3] = [Target::Gate, Target::Redirect, Target::Verify];

/// What became of one message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Let through, and it may be.
    Accepted,
    /// Refused.
    Refused,
    /// It must not be: why.
    Broken(String),
}

impl Target {
    /// The word in names of files.
    pub fn word(self) -> &'static str {
        match self {
            Self::Gate => "gate",
            Self::Redirect => "redirect",
            Self::Verify => "verify",
        }
    }

    /// The next message for it.
    pub fn message(self, random: &mut Random, seeds: &Seeds) -> Vec<u8> {
        let whole = match self {
            Self::Gate => random.pick(&seeds.documents).map(|(_, document)| document),
            Self::Redirect => random.pick(&seeds.queries),
            Self::Verify => random.pick(&seeds.responses),
        };
        let others = match self {
            Self::Redirect => &seeds.queries,
            Self::Gate | Self::Verify => &seeds.responses,
        };
        let whole = whole.map_or(&[][..], Vec::as_slice);
        if self == Self::Redirect && random.below(2) == 0 {
            return shuffled(random, whole, others);
        }
        broken(random, whole, others)
    }

    /// Throws the message at it.
    pub fn run(self, message: &[u8], seeds: &Seeds) -> Outcome {
        let thrown = catch_unwind(AssertUnwindSafe(|| match self {
            Self::Gate => run_gate(message),
            Self::Redirect => run_redirect(message, seeds),
            Self::Verify => run_verify(message, seeds),
        }));
        thrown.unwrap_or_else(|_| Outcome::Broken("it panicked".to_owned()))
    }
}

fn run_gate(message: &[u8]) -> Outcome {
    let roots = [
        Root::Response,
        Root::Assertion,
        Root::LogoutRequest,
        Root::LogoutResponse,
    ];
    let mut outcome = Outcome::Refused;
    for root in roots {
        let Ok((text, _)) = gate::inspect(message, root, Allowances::default()) else {
            continue;
        };
        outcome = Outcome::Accepted;
        let found = assertions(text);
        let expected = usize::from(matches!(root, Root::Response | Root::Assertion));
        if found != Some(expected) {
            return Outcome::Broken(format!("{found:?} assertions to another reader"));
        }
        for never in ["<!DOCTYPE", "<![CDATA[", "<!ENTITY"] {
            // Inside a comment it is harmless.
            if text.contains(never) && !text.contains("<!--") {
                return Outcome::Broken(format!("{never} was let through"));
            }
        }
    }
    outcome
}

/// How many assertions a reader that does not look at prefixes finds; none where it fails.
fn assertions(text: &str) -> Option<usize> {
    let mut reader = NsReader::from_str(text);
    let mut found = 0;
    loop {
        match reader.read_event().ok()? {
            Event::Start(tag) | Event::Empty(tag) => {
                let name = tag.local_name();
                found += usize::from(matches!(
                    name.as_ref(),
                    b"Assertion" | b"EncryptedAssertion"
                ));
            }
            Event::DocType(_) | Event::PI(_) | Event::CData(_) => return None,
            Event::Eof => return Some(found),
            _ => {}
        }
    }
}

fn run_redirect(message: &[u8], seeds: &Seeds) -> Outcome {
    let Ok(query) = std::str::from_utf8(message) else {
        return Outcome::Refused;
    };
    let Ok(message) = redirect_binding::parse(query) else {
        return Outcome::Refused;
    };
    if message.verify(&seeds.trust.certificates).is_err() {
        return Outcome::Refused;
    }
    let read = (message.kind, message.xml, message.relay_state);
    if seeds.redirected.contains(&read) {
        Outcome::Accepted
    } else {
        Outcome::Broken("a message that was never signed".to_owned())
    }
}

fn run_verify(message: &[u8], seeds: &Seeds) -> Outcome {
    match verify(message, &seeds.trust, &seeds.expected, NOW) {
        Err(_) => Outcome::Refused,
        Ok(verified) if seeds.verified.contains(&verified) => Outcome::Accepted,
        Ok(_) => Outcome::Broken("an identity that was never signed".to_owned()),
    }
}
