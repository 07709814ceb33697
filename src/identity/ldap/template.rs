//! Filters and DNs with a typed name in them: escaping, and nothing that goes around it.

use std::{borrow::Cow, fmt::Write as _};

use ldap3::{dn_escape, ldap_escape};
use thiserror::Error;

/// A text with `{name}` placeholders, filled in one pass: a value that looks like a placeholder
/// stays a value.
#[derive(Debug, Clone, Default)]
pub(super) struct Template(Vec<Part>);

#[derive(Debug, Clone)]
enum Part {
    Text(String),
    Placeholder(&'static str),
}

/// What stands in for a placeholder, and how it is escaped.
#[derive(Debug, Clone, Copy)]
pub(super) enum Value<'a> {
    /// In a filter (RFC 4515 section 3).
    Filter(&'a str),
    /// In a distinguished name (RFC 4514 section 2.4).
    Dn(&'a str),
    /// As it is: a constant of ours, or a name that a server reads as a whole.
    Verbatim(&'a str),
}

/// Why a text is no template.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
pub enum TemplateError {
    /// A placeholder that has no meaning here.
    #[error("`{{{name}}}` has no meaning here; there are: {known}")]
    Unknown {
        /// What stands between the braces.
        name: String,
        /// The names there are.
        known: String,
    },
    /// Nothing to fill in: everybody would be the same.
    #[error("`{text}` has no placeholder; there are: {known}")]
    NoPlaceholder {
        /// What was written.
        text: String,
        /// The names there are.
        known: String,
    },
    /// Not a search filter (RFC 4515).
    #[error("`{0}` is not a search filter")]
    Filter(String),
}

impl Template {
    /// Reads a text in which at least one of `names` stands in braces, and nothing else does.
    pub(super) fn new(text: &str, names: &[&'static str]) -> Result<Self, TemplateError> {
        let known = || {
            let braced: Vec<String> = names.iter().map(|name| format!("{{{name}}}")).collect();
            braced.join(", ")
        };
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            let (name, after) = after.split_once('}').unwrap_or((after, ""));
            let Some(name) = names.iter().find(|known| **known == name) else {
                return Err(TemplateError::Unknown {
                    name: name.to_owned(),
                    known: known(),
                });
            };
            parts.push(Part::Text(before.to_owned()));
            parts.push(Part::Placeholder(name));
            rest = after;
        }
        if parts.is_empty() {
            return Err(TemplateError::NoPlaceholder {
                text: text.to_owned(),
                known: known(),
            });
        }
        parts.push(Part::Text(rest.to_owned()));
        Ok(Self(parts))
    }

    /// Whether a placeholder occurs.
    pub(super) fn names(&self, name: &str) -> bool {
        self.0
            .iter()
            .any(|part| matches!(part, Part::Placeholder(placeholder) if *placeholder == name))
    }

    /// The attribute that is compared with a placeholder: `member` in `(member={dn})`.
    pub(super) fn attribute_of(&self, name: &str) -> Option<&str> {
        self.0.windows(2).find_map(|pair| match pair {
            [Part::Text(text), Part::Placeholder(placeholder)] if *placeholder == name => {
                compared(text)
            }
            _ => None,
        })
    }

    /// The attributes that are compared with a placeholder, without doubles: `member` and
    /// `uniqueMember` in `(|(member={dn})(uniqueMember={dn}))`.
    pub(super) fn attributes_of(&self, name: &str) -> Vec<&str> {
        let mut attributes = Vec::new();
        for (at, part) in self.0.iter().enumerate() {
            let is_named = matches!(part, Part::Placeholder(found) if *found == name);
            let before = at.checked_sub(1).and_then(|before| self.0.get(before));
            if let (true, Some(Part::Text(text))) = (is_named, before)
                && let Some(attribute) = compared(text)
                && !attributes.contains(&attribute)
            {
                attributes.push(attribute);
            }
        }
        attributes
    }

    /// The filter with something that always holds in the place of every comparison with a
    /// placeholder: what it asks of an entry beside that.
    pub(super) fn without_comparisons(&self) -> String {
        // Braces are left in no text, and parentheses stand for themselves in no value.
        const HOLE: &str = "{}";
        let mut text = String::new();
        for part in &self.0 {
            text.push_str(match part {
                Part::Text(part) => part,
                Part::Placeholder(_) => HOLE,
            });
        }
        while let Some((before, after)) = text.split_once(HOLE) {
            let before = before.rfind('(').map_or("", |at| &before[..at]);
            let after = after.find(')').map_or("", |at| &after[at + 1..]);
            text = format!("{before}(objectClass=*){after}");
        }
        text
    }

    /// The text with its placeholders filled in. A placeholder without a value becomes nothing.
    pub(super) fn render(&self, values: &[(&str, Value<'_>)]) -> String {
        let mut rendered = String::new();
        for part in &self.0 {
            match part {
                Part::Text(text) => rendered.push_str(text),
                Part::Placeholder(name) => {
                    if let Some((_, value)) = values.iter().find(|(key, _)| key == name) {
                        rendered.push_str(&value.escaped());
                    }
                }
            }
        }
        rendered
    }
}

impl<'a> Value<'a> {
    fn escaped(self) -> Cow<'a, str> {
        match self {
            Self::Filter(text) => ldap_escape(text),
            Self::Dn(text) => dn_escape(text),
            Self::Verbatim(text) => Cow::Borrowed(text),
        }
    }
}

/// The attribute whose comparison a text ends in, as in `(&(o=x)(member=`.
fn compared(text: &str) -> Option<&str> {
    let (_, comparison) = text.rsplit_once('(')?;
    let attribute = comparison.strip_suffix('=')?;
    let is_plain = !attribute.is_empty()
        && attribute
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    is_plain.then_some(attribute)
}

/// Bytes as a filter compares them: every one escaped.
pub(super) fn escaped_bytes(bytes: &[u8]) -> String {
    let mut escaped = String::with_capacity(bytes.len() * 3);
    for byte in bytes {
        // Writing to a String cannot fail.
        let _ = write!(escaped, "\\{byte:02x}");
    }
    escaped
}

#[cfg(test)]
mod tests {
    use ldap3::parse_filter;
    use proptest::prelude::*;

    use super::*;

    fn filled(username: &str) -> String {
        let template = Template::new("(&(uid={username})(o=x))", &["username", "dn"]).unwrap();
        template.render(&[("username", Value::Filter(username))])
    }

    #[test]
    fn filter_characters_are_escaped() {
        assert_eq!(filled("*"), r"(&(uid=\2a)(o=x))");
        assert_eq!(filled("a)(uid=*"), r"(&(uid=a\29\28uid=\2a)(o=x))");
        assert_eq!(filled("a\\b\0c"), r"(&(uid=a\5cb\00c)(o=x))");
        assert_eq!(filled("zoë o'b+c,d"), "(&(uid=zoë o'b+c,d)(o=x))");
    }

    #[test]
    fn a_value_that_looks_like_a_placeholder_stays_a_value() {
        let template = Template::new("(|(a={username})(b={dn}))", &["username", "dn"]).unwrap();
        let rendered = template.render(&[
            ("username", Value::Filter("{dn}")),
            ("dn", Value::Filter("{username}")),
        ]);
        assert_eq!(rendered, "(|(a={dn})(b={username}))");
    }

    #[test]
    fn names_in_distinguished_names_are_escaped() {
        let template = Template::new("uid={username},dc=x", &["username"]).unwrap();
        let dn = |name| template.render(&[("username", Value::Dn(name))]);
        assert_eq!(dn("a,dc=y"), r"uid=a\2cdc\3dy,dc=x");
        assert_eq!(dn(" u5 "), r"uid=\20u5\20,dc=x");
    }

    #[test]
    fn texts_without_or_with_foreign_placeholders_are_refused() {
        assert!(matches!(
            Template::new("(uid=x)", &["username"]),
            Err(TemplateError::NoPlaceholder { .. })
        ));
        for text in ["(uid={user})", "(uid={username)", "{"] {
            assert!(
                matches!(
                    Template::new(text, &["username"]),
                    Err(TemplateError::Unknown { .. })
                ),
                "{text}"
            );
        }
    }

    #[test]
    fn the_membership_attribute_is_found() {
        let attribute = |text| {
            let template = Template::new(text, &["username", "dn"]).unwrap();
            template.attribute_of("dn").map(str::to_owned)
        };
        assert_eq!(
            attribute("(&(objectClass=groupOfNames)(member={dn}))").as_deref(),
            Some("member")
        );
        assert_eq!(attribute("(member:1.2.3:={dn})"), None);
        assert_eq!(attribute("(memberUid={username})"), None);
    }

    #[test]
    fn what_a_filter_asks_beside_its_placeholders_is_kept() {
        for (text, expected) in [
            ("(uid={username})", "(objectClass=*)"),
            (
                "(&(objectClass=user)(|(a={username})(b=x{username}{dn}y))(!(c:1.2:=2)))",
                "(&(objectClass=user)(|(objectClass=*)(objectClass=*))(!(c:1.2:=2)))",
            ),
            (
                "(&(cn=aws-*)(member:1.2.3:={dn}))",
                "(&(cn=aws-*)(objectClass=*))",
            ),
        ] {
            let template = Template::new(text, &["username", "dn"]).unwrap();
            assert_eq!(template.without_comparisons(), expected, "{text}");
            assert!(parse_filter(expected).is_ok());
        }
    }

    #[test]
    fn all_membership_attributes_are_found() {
        let text = "(|(member={dn})(uniqueMember={dn})(member={dn})(memberUid={username}))";
        let template = Template::new(text, &["username", "dn"]).unwrap();
        assert_eq!(template.attributes_of("dn"), ["member", "uniqueMember"]);
        assert_eq!(template.attributes_of("username"), ["memberUid"]);
    }

    proptest! {
        #[test]
        fn no_name_changes_the_shape_of_a_filter(name in "\\PC*|[*()\\\\\\x00{}a=]*") {
            let rendered = filled(&name);
            prop_assert!(parse_filter(&rendered).is_ok());
            let value = rendered.strip_prefix("(&(uid=").unwrap().strip_suffix(")(o=x))").unwrap();
            prop_assert!(!value.contains(['(', ')', '*', '\0']));
        }
    }
}
