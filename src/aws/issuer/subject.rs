//! What people and roles are called in assertions and tokens.
//!
//! No two people share a name, and none can be read in two ways; what would not fit, or could mean
//! something in a policy, stands there as its hash. Pure. Entry points: [`person`], [`of_token`],
//! [`subject_pattern`].

use aws_lc_rs::digest::{SHA256, digest};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use crate::access::{ConnectorId, TargetArn};

/// The longest NameID (SAML core 8.3.7), one less for those who count wrongly, and the longest `sub`
/// that AWS takes (AWS API, AssumeRoleWithWebIdentity).
const LONGEST: usize = 255;
/// Stands before a hash, and at the beginning of nothing else.
const HASH_MARK: char = '~';
/// The characters of a hash with its mark.
const HASH_LENGTH: usize = 44;
/// The longest connector id.
const LONGEST_CONNECTOR: usize = 32;
/// The longest name of a role that leaves room for `:`, a connector, `:` and a hashed person.
const LONGEST_ROLE: usize = LONGEST - 1 - LONGEST_CONNECTOR - 1 - HASH_LENGTH;

/// A person: `{connector}:{subject}`, the persistent NameID; at most 255 characters of ASCII.
pub fn person(connector: &ConnectorId, subject: &str) -> String {
    person_within(connector, subject, LONGEST)
}

/// The `sub` of a token for one role: `role:{account}{/path/name}:{connector}:{subject}`, at most
/// 255 characters of ASCII. It names the role, since a trust policy sees nothing else of a token by
/// which to tell one role's from another's.
pub fn of_token(target: &TargetArn, connector: &ConnectorId, subject: &str) -> String {
    let role = role(target);
    let room = LONGEST.saturating_sub(role.len() + 1);
    format!("{role}:{}", person_within(connector, subject, room))
}

/// What a role's trust policy compares `sub` with by `StringLike`: fits every person's tokens for
/// this role, and no other role's.
pub fn subject_pattern(target: &TargetArn) -> String {
    format!("{}:*", role(target))
}

fn person_within(connector: &ConnectorId, subject: &str, room: usize) -> String {
    let room = room.saturating_sub(connector.as_str().len() + 1);
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.@+=,/:#|~".contains(c);
    let stands_as_it_is = (1..=room).contains(&subject.len())
        && subject.chars().all(is_plain)
        && !subject.starts_with(HASH_MARK);
    if stands_as_it_is {
        format!("{connector}:{subject}")
    } else {
        format!("{connector}:{}", hashed(subject))
    }
}

/// The role without wildcards, colons or anything else that means something in a policy.
fn role(target: &TargetArn) -> String {
    let account = target.account_digits();
    let path = target
        .as_str()
        .split_once(":role/")
        .map_or("", |(_, path)| path);
    let mut plain = String::with_capacity(path.len());
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"/-_.@+=,".contains(&byte) {
            plain.push(char::from(byte));
        } else {
            plain.push('%');
            plain.push_str(&hex::encode_upper([byte]));
        }
    }
    let named = format!("role:{account}/{plain}");
    if named.len() <= LONGEST_ROLE {
        named
    } else {
        format!("role:{account}/{}", hashed(path))
    }
}

fn hashed(text: &str) -> String {
    let hash = URL_SAFE_NO_PAD.encode(digest(&SHA256, text.as_bytes()));
    format!("{HASH_MARK}{hash}")
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn corp() -> ConnectorId {
        "corp".parse().unwrap()
    }

    fn target(path: &str) -> TargetArn {
        format!("arn:aws:iam::111122223333:role/{path}")
            .parse()
            .unwrap()
    }

    #[test]
    fn plain_people_are_called_what_they_are() {
        assert_eq!(person(&corp(), "6f9619ff-8b86"), "corp:6f9619ff-8b86");
        let sub = of_token(&target("team/ReadOnly"), &corp(), "6f9619ff");
        assert_eq!(sub, "role:111122223333/team/ReadOnly:corp:6f9619ff");
        let pattern = subject_pattern(&target("team/ReadOnly"));
        assert_eq!(pattern, "role:111122223333/team/ReadOnly:*");
    }

    #[test]
    fn odd_and_long_people_are_hashed_and_never_confused() {
        let long = "a".repeat(300);
        let hash_of_empty = hashed("");
        let odd = [
            "",
            " ada",
            "ada ",
            "*",
            "${aws:username}",
            "a\nb",
            "a\0b",
            "ädä",
            "a<b",
            &long,
            &hash_of_empty,
        ];
        let names: HashSet<String> = odd.iter().map(|text| person(&corp(), text)).collect();
        assert_eq!(names.len(), odd.len());
        for name in &names {
            assert!(
                name.starts_with("corp:~") && name.len() <= LONGEST,
                "{name}"
            );
        }
    }

    #[test]
    fn the_longest_role_leaves_room_for_the_longest_person() {
        let long_connector: ConnectorId = "c".repeat(32).parse().unwrap();
        for path in [
            "x".to_owned(),
            format!("{}/Role", "p".repeat(100)),
            format!("{}/Role", "p".repeat(160)),
            format!("{}/Role", "*".repeat(500)),
        ] {
            let target = target(&path);
            for subject in ["6f9619ff", &"s".repeat(200), &"s".repeat(400)] {
                let sub = of_token(&target, &long_connector, subject);
                assert!(sub.len() <= LONGEST, "{} of {path}", sub.len());
                let front = subject_pattern(&target);
                assert!(sub.starts_with(front.trim_end_matches('*')));
            }
        }
    }

    #[test]
    fn no_pattern_of_one_role_fits_another() {
        let paths = ["a", "a/b", "a:b", "a*", "a?", "a%3Ab", "A", "a/~b/c", "b/a"];
        for one in paths {
            for other in paths.iter().filter(|other| **other != one) {
                let Ok(one) = format!("arn:aws:iam::111122223333:role/{one}/R").parse() else {
                    continue;
                };
                let Ok(other) = format!("arn:aws:iam::111122223333:role/{other}/R").parse() else {
                    continue;
                };
                let front = subject_pattern(&one);
                let front = front.strip_suffix('*').unwrap();
                assert!(!front.contains(['*', '?', '$']), "{front}");
                assert!(!of_token(&other, &corp(), "x").starts_with(front));
            }
        }
    }
}
