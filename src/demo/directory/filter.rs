//! Search filters (RFC 4511 section 4.5.1.7), three-valued as the standard wants them.

use std::cmp::Ordering;

use ldap3_proto::proto::LdapFilter;

use super::dn::fold;
use super::entry::{Attribute, Entry, match_key};

/// A filter whose names and values are in comparable form, to be tried on many entries.
pub(super) enum Filter {
    And(Vec<Filter>),
    Or(Vec<Filter>),
    Not(Box<Filter>),
    Present(String),
    Equal(String, String),
    Substring(String, Pattern),
    Bound(String, String, Ordering),
    /// Extensible matches, as on a slapd that does not know the rule.
    Undefined,
}

/// The parts of a substring match, in order.
pub(super) struct Pattern {
    initial: String,
    any: Vec<String>,
    last: String,
}

impl From<&LdapFilter> for Filter {
    fn from(filter: &LdapFilter) -> Self {
        let all = |parts: &[LdapFilter]| parts.iter().map(Self::from).collect();
        let key = |name: &str| name.to_ascii_lowercase();
        match filter {
            LdapFilter::And(parts) => Self::And(all(parts)),
            LdapFilter::Or(parts) => Self::Or(all(parts)),
            LdapFilter::Not(part) => Self::Not(Box::new(Self::from(&**part))),
            LdapFilter::Present(name) => Self::Present(key(name)),
            LdapFilter::Equality(name, value) | LdapFilter::Approx(name, value) => {
                Self::Equal(key(name), match_key(&key(name), value))
            }
            LdapFilter::Substring(name, parts) => {
                let part = |text: &Option<String>| fold(text.as_deref().unwrap_or_default());
                let pattern = Pattern {
                    initial: part(&parts.initial),
                    any: parts.any.iter().map(|text| fold(text)).collect(),
                    last: part(&parts.final_),
                };
                Self::Substring(key(name), pattern)
            }
            LdapFilter::GreaterOrEqual(name, bound) => {
                Self::Bound(key(name), fold(bound), Ordering::Greater)
            }
            LdapFilter::LessOrEqual(name, bound) => {
                Self::Bound(key(name), fold(bound), Ordering::Less)
            }
            LdapFilter::Extensible(_) => Self::Undefined,
        }
    }
}

impl Filter {
    /// Whether the entry satisfies the filter; `None` is the standard's *Undefined*, which `not`
    /// does not turn into a match.
    pub(super) fn evaluate(&self, entry: &Entry) -> Option<bool> {
        match self {
            Self::And(parts) => combine(parts, entry, false),
            Self::Or(parts) => combine(parts, entry, true),
            Self::Not(part) => part.evaluate(entry).map(|is_match| !is_match),
            Self::Present(name) => Some(visible(entry, name).is_some()),
            Self::Equal(name, value) => {
                Some(visible(entry, name).is_some_and(|attribute| attribute.holds(value)))
            }
            Self::Substring(name, pattern) => {
                Some(any_value(entry, name, |value| pattern.is_in(value)))
            }
            Self::Bound(name, bound, side) => Some(any_value(entry, name, |value| {
                let order = compare(value, bound);
                order == *side || order.is_eq()
            })),
            Self::Undefined => None,
        }
    }
}

impl Pattern {
    fn is_in(&self, value: &str) -> bool {
        let Some(mut rest) = value.strip_prefix(self.initial.as_str()) else {
            return false;
        };
        for part in &self.any {
            match rest.find(part) {
                Some(index) => rest = &rest[index + part.len()..],
                None => return false,
            }
        }
        rest.ends_with(self.last.as_str())
    }
}

/// Decided as soon as one part has the `decisive` value; undefined parts leave it open.
fn combine(parts: &[Filter], entry: &Entry, decisive: bool) -> Option<bool> {
    let mut result = Some(!decisive);
    for part in parts {
        match part.evaluate(entry) {
            Some(value) if value == decisive => return Some(decisive),
            Some(_) => {}
            None => result = None,
        }
    }
    result
}

fn visible<'a>(entry: &'a Entry, key: &str) -> Option<&'a Attribute> {
    entry
        .attribute(key)
        .filter(|attribute| !attribute.is_hidden())
}

fn any_value(entry: &Entry, key: &str, is_match: impl Fn(&str) -> bool) -> bool {
    visible(entry, key).is_some_and(|attribute| attribute.folded().any(|value| is_match(&value)))
}

fn compare(value: &str, bound: &str) -> Ordering {
    match (value.parse::<i64>(), bound.parse::<i64>()) {
        (Ok(value), Ok(bound)) => value.cmp(&bound),
        _ => value.cmp(bound),
    }
}

#[cfg(test)]
mod tests {
    use ldap3_proto::parse_ldap_filter_str;
    use ldap3_proto::proto::{LdapFilter, LdapMatchingRuleAssertion};

    use super::Filter;
    use crate::demo::directory::Entry;

    fn ada() -> Entry {
        Entry::new("uid=ada,dc=example,dc=com")
            .with("objectClass", ["person", "inetOrgPerson"])
            .with("uid", ["ada"])
            .with("cn", ["Ada Lovelace"])
            .with("uidNumber", ["1001"])
            .with("userPassword", ["secret"])
            .with("manager", ["uid=Grace,dc=example,dc=com"])
    }

    #[test]
    fn filters_match_as_the_standard_says() {
        for (filter, expected) in [
            ("(uid=ADA)", true),
            ("(&(objectClass=person)(!(uid=grace)))", true),
            ("(|(uid=x)(uid=y))", false),
            ("(cn=a*love*ce)", true),
            ("(cn=*ada*ada*)", false),
            ("(mail=*)", false),
            ("(uidNumber>=1001)", true),
            ("(uidNumber>=1002)", false),
            ("(uidNumber<=999)", false),
            ("(userPassword=secret)", false),
            ("(userPassword=*)", false),
        ] {
            let parsed = parse_ldap_filter_str(filter).unwrap();
            assert_eq!(
                Filter::from(&parsed).evaluate(&ada()),
                Some(expected),
                "{filter}"
            );
        }
    }

    #[test]
    fn names_are_compared_as_names() {
        let name = "UID=grace, DC=example,dc=COM".to_owned();
        let filter = LdapFilter::Equality("Manager".to_owned(), name);
        assert_eq!(Filter::from(&filter).evaluate(&ada()), Some(true));
    }

    #[test]
    fn not_does_not_turn_an_unknown_rule_into_a_match() {
        let rule = LdapMatchingRuleAssertion::default();
        let filter = LdapFilter::Not(Box::new(LdapFilter::Extensible(rule)));
        assert_eq!(Filter::from(&filter).evaluate(&ada()), None);
        let either = LdapFilter::Or(vec![filter, LdapFilter::Present("uid".to_owned())]);
        assert_eq!(Filter::from(&either).evaluate(&ada()), Some(true));
    }
}
