//! Where in a session policy a text stands, and what placeholders may do there.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use super::text::{Part, Placeholder};

/// What comes out of one text of a policy.
pub(super) enum Filled {
    One(String),
    /// Several in its place.
    Each(Vec<String>),
}

/// Where a text stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// At the top of the policy.
    Policy,
    /// In a statement.
    Statement,
    /// In `Resource` or `NotResource`.
    Resource,
    /// In `Condition`, where the operators are.
    Operators,
    /// Below an operator, where the condition keys are.
    Keys { ignores_case: bool },
    /// A value of a condition.
    Value {
        ignores_case: bool,
        /// Of `s3:prefix`, which says what a person may list.
        is_prefix: bool,
    },
    /// The name of an element.
    Name,
    /// Anywhere else.
    Elsewhere,
}

/// JSON in which no name is there twice: of two conditions of one name the first would silently not
/// hold.
struct Once(Value);

impl<'de> Deserialize<'de> for Once {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OnceVisitor)
    }
}

struct OnceVisitor;

impl<'de> Visitor<'de> for OnceVisitor {
    type Value = Once;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E: Error>(self, is_true: bool) -> Result<Once, E> {
        Ok(Once(is_true.into()))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Once, E> {
        Ok(Once(number.into()))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Once, E> {
        Ok(Once(number.into()))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Once, E> {
        Ok(Once(number.into()))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Once, E> {
        Ok(Once(text.into()))
    }

    fn visit_unit<E: Error>(self) -> Result<Once, E> {
        Ok(Once(Value::Null))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Once, A::Error> {
        let mut values = Vec::new();
        while let Some(Once(value)) = items.next_element()? {
            values.push(value);
        }
        Ok(Once(values.into()))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Once, A::Error> {
        let mut values = Map::new();
        while let Some((name, Once(value))) = entries.next_entry::<String, Once>()? {
            if values.contains_key(&name) {
                return Err(Error::custom(format!(
                    "{name:?} is there twice, and one of them alone would hold"
                )));
            }
            values.insert(name, value);
        }
        Ok(Once(values.into()))
    }
}

/// Reads a policy.
///
/// # Errors
/// Where it is none.
pub(super) fn read(text: &str) -> Result<Value, String> {
    let Once(policy) = serde_json::from_str(text)
        .map_err(|error| format!("expected a policy in JSON: {error}"))?;
    if policy.is_object() {
        return Ok(policy);
    }
    Err("expected a policy in JSON, an object with \"Statement\"".to_owned())
}

/// The policy with each text, names of elements apart, in the form that `found` gives it.
///
/// # Errors
/// What `found` refuses.
pub(super) fn each_text<E>(
    policy: &Value,
    found: &mut impl FnMut(&str, Place) -> Result<Filled, E>,
) -> Result<Value, E> {
    rewritten(policy, Place::Policy, found)
}

fn rewritten<E>(
    value: &Value,
    place: Place,
    found: &mut impl FnMut(&str, Place) -> Result<Filled, E>,
) -> Result<Value, E> {
    Ok(match value {
        Value::String(text) => match found(text, place)? {
            Filled::One(text) => text.into(),
            Filled::Each(texts) => texts.into(),
        },
        Value::Array(items) => {
            let mut all = Vec::with_capacity(items.len());
            for item in items {
                match rewritten(item, place, found)? {
                    // What was one text is several in its place.
                    Value::Array(several) if item.is_string() => all.extend(several),
                    one => all.push(one),
                }
            }
            Value::Array(all)
        }
        Value::Object(entries) => {
            let mut all = Map::new();
            for (name, value) in entries {
                found(name, Place::Name)?;
                let value = rewritten(value, place.within(name), found)?;
                all.insert(name.clone(), value);
            }
            Value::Object(all)
        }
        other => other.clone(),
    })
}

impl Place {
    fn within(self, name: &str) -> Self {
        match (self, name) {
            (Self::Policy, "Statement") => Self::Statement,
            (Self::Statement, "Resource" | "NotResource") => Self::Resource,
            (Self::Statement, "Condition") => Self::Operators,
            (Self::Operators, operator) => Self::Keys {
                ignores_case: operator.to_ascii_lowercase().contains("ignorecase"),
            },
            (Self::Keys { ignores_case }, key) => Self::Value {
                ignores_case,
                is_prefix: key.eq_ignore_ascii_case("s3:prefix"),
            },
            _ => Self::Elsewhere,
        }
    }

    /// Whether what stands here says whose things are whose, by a path.
    fn is_path(self) -> bool {
        let is_prefix = matches!(
            self,
            Self::Value {
                is_prefix: true,
                ..
            }
        );
        self == Self::Resource || is_prefix
    }

    /// Says what is wrong with the placeholders of a text here.
    pub(super) fn check(self, text: &str, parts: &[Part<'_>]) -> Result<(), String> {
        let Some(placeholder) = parts.iter().find_map(Part::placeholder) else {
            return Ok(());
        };
        match self {
            Self::Resource => bounded(text, parts, false)?,
            Self::Value { ignores_case, .. } => {
                if ignores_case {
                    return Err(format!(
                        "{text:?}: {placeholder} cannot stand where AWS ignores case, for two \
                         people may differ in case alone; use StringEquals or StringLike"
                    ));
                }
                bounded(text, parts, true)?;
            }
            _ => {
                return Err(format!(
                    "{text:?}: {placeholder} can stand in Resource, NotResource and the values of \
                     Condition alone"
                ));
            }
        }
        if self.is_path() {
            return tells_apart(text, parts);
        }
        Ok(())
    }

    /// Says whether people of two connectors could share a text here.
    pub(super) fn check_for_many(self, text: &str, parts: &[Part<'_>]) -> Result<(), String> {
        let mut used = parts.iter().filter_map(Part::placeholder);
        let person = used.find(|placeholder| placeholder.is_of_person());
        let names_connector = parts.contains(&Part::Value(Placeholder::Connector));
        match person {
            Some(placeholder) if self.is_path() && !names_connector => Err(format!(
                "{text:?}: {placeholder} may be the same for two people of different connectors; \
                 put {{connector}}/ before it"
            )),
            _ => Ok(()),
        }
    }
}

/// E-mail addresses and names for people to read are not made to be one person's alone.
fn tells_apart(text: &str, parts: &[Part<'_>]) -> Result<(), String> {
    let used = || parts.iter().filter_map(Part::placeholder);
    let shared = used()
        .find(|placeholder| matches!(placeholder, Placeholder::Email | Placeholder::DisplayName));
    match shared {
        Some(placeholder) if !used().any(Placeholder::tells_people_apart) => Err(format!(
            "{text:?}: two people may have the same {placeholder}; write {{subject}} or \
             {{username}}, or put one of them behind it as {placeholder}/{{subject}}"
        )),
        _ => Ok(()),
    }
}

/// Whether every value stands between fixed borders, so that no value reaches what another's begins
/// with. `is_whole` allows it at the very beginning.
fn bounded(text: &str, parts: &[Part<'_>], is_whole: bool) -> Result<(), String> {
    let mut before = Before::default();
    for (at, part) in parts.iter().enumerate() {
        let placeholder = match part {
            Part::Fixed(fixed) => {
                before.fixed(fixed);
                continue;
            }
            Part::Value(placeholder) if placeholder.is_of_person() => *placeholder,
            Part::Value(_) => continue,
        };
        let wrong = |what: &str| Err(format!("{text:?}: {placeholder} {what}"));
        if before.has_wildcard {
            return wrong("cannot stand behind * or ?, which reach into what is another's");
        }
        if before.shares_segment {
            return wrong(
                "shares a part of the path with another value, so that two people could share it; \
                 put / between them",
            );
        }
        if at == 0 && !is_whole {
            return wrong("cannot stand at the beginning; write the ARN before it");
        }
        let ends = match parts.get(at + 1) {
            None => true,
            Some(Part::Fixed(after)) => after.starts_with(['/', ':']),
            // Told as a shared part of the path.
            Some(Part::Value(next)) if next.is_of_person() => true,
            Some(Part::Value(_)) => false,
        };
        if !ends {
            return wrong(&format!(
                "has to be followed by / or by nothing, as in home/{placeholder}/*, so that it \
                 does not reach what other names begin with"
            ));
        }
        if placeholder == Placeholder::Groups && before.has_groups {
            return wrong("can stand once in a text");
        }
        before.value(placeholder);
    }
    Ok(())
}

/// What a text has before the place that is looked at.
#[derive(Default)]
struct Before {
    has_wildcard: bool,
    /// The part of the path is one with a value that AWS or we put in.
    shares_segment: bool,
    has_groups: bool,
}

impl Before {
    fn fixed(&mut self, text: &str) {
        self.has_wildcard |= text.contains(['*', '?']);
        match text.rfind(['/', ':']) {
            // A variable of AWS's ends with a brace.
            Some(border) => self.shares_segment = text[border..].contains('}'),
            None => self.shares_segment |= text.contains('}'),
        }
    }

    fn value(&mut self, placeholder: Placeholder) {
        self.shares_segment = true;
        self.has_groups |= placeholder == Placeholder::Groups;
    }
}
