//! JSON of a stranger, in which nothing is there twice.
//!
//! Who reads the first of two members and who reads the last do not agree on what was signed
//! (RFC 8725, 2.4; RFC 7519, 4). Never here: what it means. Entry point: [`object`].

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use super::refusal::{Reason, Refused};

/// Reads one JSON object; `what` names it.
pub(in crate::identity) fn object(bytes: &[u8], what: &str) -> Result<Map<String, Value>, Refused> {
    match serde_json::from_slice::<Strict>(bytes) {
        Ok(Strict(Value::Object(members))) => Ok(members),
        Ok(_) => Err(Refused::new(
            Reason::Malformed,
            format!("{what} is no JSON object"),
        )),
        // All that is well-formed is taken, so this can only be a member that is there twice.
        Err(error) if error.is_data() => Err(Refused::new(
            Reason::DuplicateKey,
            format!("{what}: {error}"),
        )),
        Err(_) => Err(Refused::new(
            Reason::Malformed,
            format!("{what} is not JSON"),
        )),
    }
}

struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StrictVisitor)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Strict;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E: Error>(self, claim: bool) -> Result<Strict, E> {
        Ok(Strict(Value::Bool(claim)))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Strict, E> {
        Ok(Strict(number.into()))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Strict, E> {
        Ok(Strict(number.into()))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Strict, E> {
        Ok(Strict(
            Number::from_f64(number).map_or(Value::Null, Value::Number),
        ))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Strict, E> {
        Ok(Strict(text.into()))
    }

    fn visit_string<E: Error>(self, text: String) -> Result<Strict, E> {
        Ok(Strict(text.into()))
    }

    fn visit_unit<E: Error>(self) -> Result<Strict, E> {
        Ok(Strict(Value::Null))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Strict, A::Error> {
        let mut values = Vec::new();
        while let Some(Strict(value)) = items.next_element()? {
            values.push(value);
        }
        Ok(Strict(Value::Array(values)))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Strict, A::Error> {
        let mut values = Map::new();
        while let Some((name, Strict(value))) = members.next_entry::<String, Strict>()? {
            if values.insert(name, value).is_some() {
                return Err(Error::custom("a member is there twice"));
            }
        }
        Ok(Strict(Value::Object(values)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(text: &str) -> Option<Reason> {
        object(text.as_bytes(), "it")
            .err()
            .map(|refused| refused.reason)
    }

    #[test]
    fn a_member_that_is_there_twice_is_refused_at_every_depth() {
        assert_eq!(
            reason(r#"{"a":1,"b":[{"c":null,"d":1.5,"e":-1,"f":true}]}"#),
            None
        );
        for doubled in [
            r#"{"a":1,"a":1}"#,
            r#"{"a":1,"\u0061":2}"#,
            r#"{"x":{"a":1,"a":2}}"#,
            r#"{"x":[[{"a":"","a":""}]]}"#,
        ] {
            assert_eq!(reason(doubled), Some(Reason::DuplicateKey), "{doubled}");
        }
    }

    #[test]
    fn what_is_no_object_is_malformed() {
        for text in [
            "",
            "[]",
            "1",
            "\"a\"",
            "{",
            "{} {}",
            "{\"a\":01}",
            "\u{feff}{}",
        ] {
            assert_eq!(reason(text), Some(Reason::Malformed), "{text:?}");
        }
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(5_000), "]".repeat(5_000));
        assert_eq!(reason(&deep), Some(Reason::Malformed));
    }
}
