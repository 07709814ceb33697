//! Pattern rules read backwards: which group's name would give a role.
//!
//! Only to point out; whether a name really gives the role is asked of the rule itself. Entry
//! point: [`group_towards`].

use regex::{Regex, RegexBuilder};

use crate::access::TargetArn;

/// The name of the group that a rule gives `target` to: `Some(None)` where there may be several,
/// none where the rule cannot give it. A role without a path stands for every path.
#[expect(clippy::option_option, reason = "impossible, many, one")]
pub(super) fn group_towards(
    pattern: &str,
    role: &str,
    target: &TargetArn,
) -> Option<Option<String>> {
    let (before, _) = target.as_str().split_once('/')?;
    let bare = format!("{before}/{}", target.name());
    [bare.as_str(), target.as_str()]
        .into_iter()
        .find_map(|arn| group_name(pattern, &captured(role, arn)?))
}

/// What the captures of a rule's role have to be for it to name `arn`; none where it cannot.
fn captured(role: &str, arn: &str) -> Option<Vec<(String, String)>> {
    let mut names: Vec<&str> = Vec::new();
    let mut pattern = String::from("^");
    for (index, part) in role.split('{').enumerate() {
        let (name, rest) = match part.split_once('}') {
            Some((name, rest)) if index > 0 => (Some(name), rest),
            _ => (None, part),
        };
        match name {
            Some(name) if names.contains(&name) => pattern.push_str(".+?"),
            Some(name) => {
                names.push(name);
                pattern.push_str("(.+?)");
            }
            None => {}
        }
        pattern.push_str(&regex::escape(rest));
    }
    pattern.push('$');
    let pattern = built(&pattern)?;
    let found = pattern.captures(arn)?;
    let values = names.into_iter().zip(found.iter().skip(1));
    values
        .map(|(name, value)| Some((name.to_owned(), value?.as_str().to_owned())))
        .collect()
}

/// The name that a pattern matches with these captures: `Some(None)` where there may be several,
/// none where a capture does not allow its value.
#[expect(clippy::option_option, reason = "impossible, many, one")]
fn group_name(pattern: &str, values: &[(String, String)]) -> Option<Option<String>> {
    let inner = pattern
        .strip_prefix('^')
        .and_then(|text| text.strip_suffix('$'))?;
    let mut literal = Some(String::new());
    let mut rest = inner;
    while let Some(first) = rest.chars().next() {
        let capture = rest
            .strip_prefix("(?<")
            .or_else(|| rest.strip_prefix("(?P<"));
        if let Some((name, after)) = capture.and_then(|text| text.split_once('>')) {
            let end = closing(after)?;
            let value = values.iter().find(|(known, _)| known == name);
            match value {
                Some((_, value)) if !allows(&after[..end], value) => return None,
                Some((_, value)) => literal = literal.map(|literal| literal + value),
                None => literal = None,
            }
            rest = &after[end + 1..];
        } else if let Some(escaped) = rest.strip_prefix('\\') {
            let next = escaped.chars().next()?;
            // An escaped letter is a class of characters.
            let is_literal = !next.is_alphanumeric();
            literal = literal.filter(|_| is_literal).map(|mut literal| {
                literal.push(next);
                literal
            });
            rest = &escaped[next.len_utf8()..];
        } else {
            let is_special = "*+?()[]{}|^$.".contains(first);
            // A bare dot is meant as one more often than not, and the rule itself is asked later.
            literal = literal
                .filter(|_| !is_special || first == '.')
                .map(|mut literal| {
                    literal.push(first);
                    literal
                });
            rest = &rest[first.len_utf8()..];
        }
    }
    Some(literal)
}

/// Where the parenthesis that was opened before `text` closes.
fn closing(text: &str) -> Option<usize> {
    let (mut depth, mut is_escaped, mut is_class) = (0_usize, false, false);
    for (at, character) in text.char_indices() {
        match character {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            '[' => is_class = true,
            ']' => is_class = false,
            '(' if !is_class => depth += 1,
            ')' if !is_class && depth == 0 => return Some(at),
            ')' if !is_class => depth -= 1,
            _ => {}
        }
    }
    None
}

fn allows(part: &str, value: &str) -> bool {
    built(&format!("^(?:{part})$")).is_none_or(|pattern| pattern.is_match(value))
}

fn built(pattern: &str) -> Option<Regex> {
    RegexBuilder::new(pattern)
        .case_insensitive(true)
        .build()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::option_option, reason = "impossible, many, one")]
    fn named(pattern: &str, role: &str, target: &str) -> Option<Option<String>> {
        let target: TargetArn = target.parse().unwrap();
        group_towards(pattern, role, &target)
    }

    #[test]
    fn a_convention_read_backwards_names_its_group() {
        let role = "arn:aws:iam::{account}:role/{role}";
        let target = "arn:aws:iam::111122223333:role/team/Admin";
        let one = |name: &str| Some(Some(name.to_owned()));
        for (pattern, expected) in [
            (
                "^aws-(?<account>[0-9]{12})-(?P<role>[a-z]+)$",
                one("aws-111122223333-Admin"),
            ),
            (
                r"^cn=x\.(?<account>\d{12})\+(?<role>(?:Admin|Dev)),dc=a$",
                one("cn=x.111122223333+Admin,dc=a"),
            ),
            ("^aws-(?<account>[0-9]{12})-(?<role>readonly)$", None),
            (
                "^(aws|amazon)-(?<account>[0-9]{12})-(?<role>.+)$",
                Some(None),
            ),
            ("^(?<account>[0-9]{12})-(?<role>.+)-(?<who>.+)$", Some(None)),
        ] {
            assert_eq!(named(pattern, role, target), expected, "{pattern}");
        }
        let elsewhere = "arn:aws:iam::{account}:role/readonly/{role}";
        assert_eq!(
            named("^(?<account>.+)-(?<role>.+)$", elsewhere, target),
            None
        );
    }
}
