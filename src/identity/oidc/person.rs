//! Who a verified token is about, by the claims that the configuration names.
//!
//! Never here: whether the token is to be believed. Entry point: [`Person::read`].

use std::collections::HashSet;

use serde_json::Value;

use super::{
    claims::{Claims, texts, wrong},
    refusal::{Reason, Refused},
    settings::ClaimNames,
    token::check_subject,
};
use crate::access::{ConnectorId, Group, GroupKey, GroupKeyForm};

/// The longest name of a person, in characters.
const LONGEST_NAME: usize = 256;
/// The longest authentication context, in characters.
/// The standard claim that `email_verified` is about (OpenID Connect Core, 5.1).
const EMAIL: &str = "email";
const LONGEST_CONTEXT: usize = 256;

/// What the claims say about a person.
#[derive(Debug)]
pub(in crate::identity) struct Person {
    pub(in crate::identity) subject: String,
    pub(in crate::identity) username: String,
    pub(in crate::identity) display_name: Option<String>,
    pub(in crate::identity) email: Option<String>,
    pub(in crate::identity) groups: Vec<Group>,
    /// The provider left groups out because they are too many.
    pub(in crate::identity) groups_overage: bool,
    /// `acr`, or the methods of `amr` where there is none.
    pub(in crate::identity) authentication_context: Option<String>,
}

impl Person {
    /// Reads the ID token's claims and, behind them, those of the userinfo.
    pub(in crate::identity) fn read(
        connector: &ConnectorId,
        names: &ClaimNames,
        token: &Claims,
        userinfo: Option<&Claims>,
    ) -> Result<Self, Refused> {
        let said = Said { token, userinfo };
        let subject = said.needed(&names.subject, "subject")?;
        check_subject(&subject)?;
        let optional = |name: &Option<String>| match name {
            Some(name) => said.text(name),
            None => Ok(None),
        };
        let (groups, groups_overage) = said.groups(connector, names.groups.as_deref())?;
        Ok(Self {
            username: said.needed(&names.username, "username")?,
            display_name: optional(&names.display_name)?,
            email: said.email(names.email.as_deref())?,
            groups,
            groups_overage,
            authentication_context: context(token)?,
            subject,
        })
    }
}

struct Said<'a> {
    token: &'a Claims,
    userinfo: Option<&'a Claims>,
}

impl<'a> Said<'a> {
    /// The first that has the claim.
    fn find(&self, path: &str) -> Option<(&'a Claims, &'a Value)> {
        let sources = [Some(self.token), self.userinfo];
        let mut found = sources.into_iter().flatten();
        found.find_map(|claims| Some((claims, claims.at(path)?)))
    }

    /// A name of a person; a blank one is none.
    fn text(&self, path: &str) -> Result<Option<String>, Refused> {
        let Some((_, value)) = self.find(path) else {
            return Ok(None);
        };
        let text = value.as_str().ok_or_else(|| wrong(path, "a text"))?.trim();
        if text.chars().any(char::is_control) || text.chars().count() > LONGEST_NAME {
            let expected = format!("a text of at most {LONGEST_NAME} characters");
            return Err(wrong(path, &expected));
        }
        Ok((!text.is_empty()).then(|| text.to_owned()))
    }

    fn needed(&self, path: &str, key: &str) -> Result<String, Refused> {
        if path == EMAIL && self.is_doubtful(path) {
            let detail = format!(
                "claims.{key} is the claim {path:?}, and the provider says that it did not verify it"
            );
            return Err(Refused::new(Reason::Claim, detail));
        }
        self.text(path)?.ok_or_else(|| {
            let detail = format!("there is no claim {path:?}, which claims.{key} names");
            Refused::new(Reason::MissingClaim, detail)
        })
    }

    /// None where the provider says that it did not verify the address.
    fn email(&self, path: Option<&str>) -> Result<Option<String>, Refused> {
        let Some(path) = path else {
            return Ok(None);
        };
        if self.is_doubtful(path) {
            return Ok(None);
        }
        self.text(path)
    }

    /// Whether who says the address says too that it is not verified: anybody could have typed it.
    fn is_doubtful(&self, path: &str) -> bool {
        let source = self.find(path).map(|(claims, _)| claims);
        source
            .and_then(|claims| claims.value("email_verified"))
            .is_some_and(|claim| *claim != Value::Bool(true) && *claim != "true")
    }

    /// The groups, and whether they are too many for the provider to list them. Entra then says in
    /// `_claim_names` where they can be asked for, or sets `hasgroups`.
    fn groups(
        &self,
        connector: &ConnectorId,
        path: Option<&str>,
    ) -> Result<(Vec<Group>, bool), Refused> {
        let Some(path) = path else {
            return Ok((Vec::new(), false));
        };
        let sources = [Some(self.token), self.userinfo];
        let is_overage = sources.into_iter().flatten().any(|claims| {
            let elsewhere = claims.value("_claim_names");
            let has_groups = claims.value("hasgroups");
            elsewhere
                .is_some_and(|names| names.get(path).is_some() || names.get("groups").is_some())
                || has_groups.is_some_and(|claim| *claim == true || *claim == "true")
        });
        let Some((_, value)) = self.find(path) else {
            return Ok((Vec::new(), is_overage));
        };
        let mut seen = HashSet::new();
        let mut groups = Vec::new();
        for name in texts(path, value)? {
            if name.trim().is_empty() || !seen.insert(name) {
                continue;
            }
            if name.chars().any(char::is_control) {
                return Err(wrong(path, "free of control characters"));
            }
            let key = GroupKey::new(connector, name, GroupKeyForm::Exact)
                .map_err(|error| Refused::new(Reason::Claim, error.to_string()))?;
            groups.push(Group {
                key,
                name: name.to_owned(),
                stable_id: None,
                through: None,
            });
        }
        Ok((groups, is_overage))
    }
}

fn context(token: &Claims) -> Result<Option<String>, Refused> {
    let context = match token.text("acr")? {
        Some(class) => class.to_owned(),
        None => token.texts("amr")?.join(" "),
    };
    let is_legal =
        context.chars().count() <= LONGEST_CONTEXT && !context.chars().any(char::is_control);
    if !is_legal {
        return Err(wrong("acr", "a short text"));
    }
    Ok((!context.is_empty()).then_some(context))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn idp() -> ConnectorId {
        "idp".parse().unwrap()
    }

    fn names_of_claims(groups: &str) -> ClaimNames {
        ClaimNames {
            subject: "sub".to_owned(),
            username: "preferred_username".to_owned(),
            display_name: Some("name".to_owned()),
            email: Some("email".to_owned()),
            groups: Some(groups.to_owned()),
        }
    }

    fn read(groups: &str, more: &Value, userinfo: Option<&Value>) -> Result<Person, Refused> {
        let claims = |value: &Value| Claims::new(value.as_object().cloned().unwrap_or_default());
        let mut token = json!({ "sub": "s", "preferred_username": "ada" });
        for (name, value) in more.as_object().into_iter().flatten() {
            token[name] = value.clone();
        }
        let userinfo = userinfo.map(claims);
        let names = names_of_claims(groups);
        Person::read(&idp(), &names, &claims(&token), userinfo.as_ref())
    }

    fn names(person: &Person) -> Vec<&str> {
        let groups = person.groups.iter();
        groups.map(|group| group.name.as_str()).collect()
    }

    #[test]
    fn groups_come_from_nested_claims_and_from_userinfo() {
        let nested = json!({ "realm_access": { "roles": ["a", "b", "a", " "] } });
        let person = read("realm_access.roles", &nested, None).unwrap();
        assert_eq!(names(&person), ["a", "b"]);
        assert_eq!(person.groups[0].key.to_string(), "idp:a");
        let info = json!({ "groups": ["c"], "preferred_username": "eve" });
        let person = read("groups", &json!({}), Some(&info)).unwrap();
        assert_eq!(
            (names(&person), person.username.as_str()),
            (vec!["c"], "ada")
        );
    }

    #[test]
    fn an_overage_is_noticed_whatever_the_claim_is_called() {
        for more in [
            json!({ "_claim_names": { "groups": "src1" } }),
            json!({ "_claim_names": { "roles": "src1" } }),
            json!({ "hasgroups": true }),
            json!({ "hasgroups": "true", "roles": ["a"] }),
        ] {
            assert!(read("roles", &more, None).unwrap().groups_overage, "{more}");
        }
        let other = json!({ "_claim_names": { "address": "src1" }, "hasgroups": false });
        assert!(!read("roles", &other, None).unwrap().groups_overage);
    }

    #[test]
    fn an_address_counts_unless_the_provider_doubts_it() {
        let email = |verified: Value| {
            let more = json!({ "email": "ada@example.com", "email_verified": verified });
            read("groups", &more, None).unwrap().email
        };
        for taken in [Value::Null, json!(true), json!("true")] {
            assert_eq!(email(taken).as_deref(), Some("ada@example.com"));
        }
        for doubtful in [json!(false), json!("false"), json!(0)] {
            assert_eq!(email(doubtful), None);
        }
    }

    #[test]
    fn an_address_that_nobody_verified_makes_nobody_somebody() {
        for (subject, username) in [("email", "preferred_username"), ("sub", "email")] {
            let mut names = names_of_claims("groups");
            names.subject = subject.to_owned();
            names.username = username.to_owned();
            let read = |verified: Value| {
                let token = json!({
                    "sub": "s", "preferred_username": "eve", "email": "ada@example.com",
                    "email_verified": verified,
                });
                let claims = Claims::new(token.as_object().cloned().unwrap());
                Person::read(&idp(), &names, &claims, None)
            };
            assert!(read(json!(true)).is_ok());
            let refused = read(json!(false)).unwrap_err();
            assert_eq!(refused.reason, Reason::Claim, "{refused}");
        }
    }

    #[test]
    fn the_context_is_the_class_or_the_methods() {
        let context = |more: Value| read("groups", &more, None).unwrap().authentication_context;
        assert_eq!(
            context(json!({ "acr": "mfa", "amr": ["pwd"] })).as_deref(),
            Some("mfa")
        );
        assert_eq!(
            context(json!({ "amr": ["pwd", "otp"] })).as_deref(),
            Some("pwd otp")
        );
        assert_eq!(context(json!({})), None);
    }
}
