//! Claims as they were signed, or answered by the provider's userinfo endpoint.
//!
//! Never here: which of them mean what. Entry point: [`Claims`].

use serde_json::{Map, Value};
use time::OffsetDateTime;

use super::refusal::{Reason, Refused};

/// The members of a token's payload.
#[derive(Debug, Clone, PartialEq, Default)]
pub(in crate::identity) struct Claims(Map<String, Value>);

impl Claims {
    pub(in crate::identity) fn new(members: Map<String, Value>) -> Self {
        Self(members)
    }

    /// A claim of that very name; null is none.
    pub(in crate::identity) fn value(&self, name: &str) -> Option<&Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    /// A claim by its name or, where none has it, by a path with dots into nested objects.
    pub(in crate::identity) fn at(&self, path: &str) -> Option<&Value> {
        if let Some(value) = self.value(path) {
            return Some(value);
        }
        let mut names = path.split('.');
        let first = self.value(names.next()?)?;
        let found = names.try_fold(first, |value, name| value.as_object()?.get(name));
        found.filter(|value| !value.is_null())
    }

    /// A text of that very name.
    pub(in crate::identity) fn text(&self, name: &str) -> Result<Option<&str>, Refused> {
        match self.value(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(wrong(name, "a text")),
        }
    }

    /// A moment: seconds since 1970, whole or not (RFC 7519, 2).
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a fraction of a second does not count, and `as` keeps within the type"
    )]
    pub(in crate::identity) fn moment(
        &self,
        name: &str,
    ) -> Result<Option<OffsetDateTime>, Refused> {
        let Some(value) = self.value(name) else {
            return Ok(None);
        };
        let seconds = value
            .as_i64()
            .or_else(|| value.as_f64().map(|seconds| seconds.floor() as i64));
        seconds
            .and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok())
            .map(Some)
            .ok_or_else(|| wrong(name, "seconds since 1970"))
    }

    /// One text or a list of them.
    pub(in crate::identity) fn texts(&self, name: &str) -> Result<Vec<&str>, Refused> {
        self.value(name)
            .map_or(Ok(Vec::new()), |value| texts(name, value))
    }
}

/// One text or a list of them.
pub(in crate::identity) fn texts<'a>(
    name: &str,
    value: &'a Value,
) -> Result<Vec<&'a str>, Refused> {
    match value {
        Value::String(text) => Ok(vec![text]),
        Value::Array(items) => items
            .iter()
            .map(|item| item.as_str().ok_or_else(|| wrong(name, "a list of texts")))
            .collect(),
        _ => Err(wrong(name, "a text or a list of texts")),
    }
}

/// A claim that is something else than it should be.
pub(in crate::identity) fn wrong(name: &str, expected: &str) -> Refused {
    Refused::new(
        Reason::Claim,
        format!("the claim {name:?} is not {expected}"),
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn claims(value: Value) -> Claims {
        match value {
            Value::Object(members) => Claims::new(members),
            _ => Claims::default(),
        }
    }

    #[test]
    fn a_name_wins_over_a_path() {
        let claims = claims(json!({
            "https://a.example/groups": ["x"],
            "realm_access": { "roles": ["y"], "none": null },
            "a.b": 1,
            "a": { "b": 2 },
        }));
        assert_eq!(claims.at("https://a.example/groups"), Some(&json!(["x"])));
        assert_eq!(claims.at("realm_access.roles"), Some(&json!(["y"])));
        assert_eq!(claims.at("a.b"), Some(&json!(1)));
        for nothing in ["realm_access.none", "realm_access.roles.x", "b", "", "."] {
            assert_eq!(claims.at(nothing), None, "{nothing}");
        }
    }

    #[test]
    fn moments_are_numbers() {
        let claims = claims(json!({ "a": 10, "b": 10.9, "c": "10", "d": 1e300, "e": null }));
        let at = |name| {
            claims
                .moment(name)
                .map(|at| at.map(OffsetDateTime::unix_timestamp))
        };
        assert_eq!((at("a").unwrap(), at("b").unwrap()), (Some(10), Some(10)));
        assert_eq!((at("e").unwrap(), at("f").unwrap()), (None, None));
        assert!(at("c").is_err() && at("d").is_err());
    }
}
