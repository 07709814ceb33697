//! From what a verified assertion says to a person.
//!
//! Never here: whether the assertion is genuine, and what the person may open. Two people never
//! share a subject: it is taken byte for byte, or refused. Entry point: [`Person::read`].

use std::collections::HashSet;

use super::{
    refusal::{Reason, Refused},
    settings::{AttributeNames, NAME_ID, Settings},
    verify::{Attribute, Verified},
};
use crate::access::{
    AssertedRole, Group, GroupKey, GroupKeyForm, SamlProviderArn, TargetArn, TargetKind,
};

/// SAML core 8.3.8: another name at every sign-in.
const TRANSIENT: &str = "urn:oasis:names:tc:SAML:2.0:nameid-format:transient";
/// SAML core 8.3.1: what a provider may answer with that was asked for nothing.
const UNSPECIFIED: &str = "urn:oasis:names:tc:SAML:1.1:nameid-format:unspecified";
/// Role and provider, comma between, in either order (IAM User Guide, SAML assertions).
pub(super) const ROLE: &str = "https://aws.amazon.com/SAML/Attributes/Role";
/// The RoleSessionName that AWS wants.
pub(super) const ROLE_SESSION_NAME: &str = "https://aws.amazon.com/SAML/Attributes/RoleSessionName";
/// Where Entra says that the groups are too many to come along; over 150 of them.
const GROUPS_LINK: &str = "http://schemas.microsoft.com/claims/groups.link";
/// The longest subject or user name, in characters.
const LONGEST_NAME: usize = 512;

/// What an assertion says of a person.
#[derive(Debug)]
pub(super) struct Person {
    pub(super) subject: String,
    pub(super) username: String,
    pub(super) display_name: Option<String>,
    pub(super) email: Option<String>,
    pub(super) groups: Vec<Group>,
    /// The provider left groups out because they are too many.
    pub(super) groups_overage: bool,
    pub(super) asserted_roles: Vec<AssertedRole>,
    /// How many values of the Role attribute name no role.
    pub(super) malformed_roles: usize,
}

impl Person {
    /// Reads the person that `settings` say where to find.
    ///
    /// # Errors
    /// [`Reason::MissingAttribute`] without a subject or user name, [`Reason::Attribute`] where one
    /// has several values or could be two attributes, [`Reason::NameId`] for one that cannot be a
    /// name.
    pub(super) fn read(settings: &Settings, verified: &Verified) -> Result<Self, Refused> {
        let names = &settings.attributes;
        let said = Said {
            verified,
            asked_format: settings.name_id_format.as_deref(),
        };
        let (asserted_roles, malformed_roles) = asserted_roles(verified);
        Ok(Self {
            subject: said.subject(names)?,
            username: said.username(names)?,
            display_name: said.optional(names.display_name.as_deref())?,
            email: said.optional(names.email.as_deref())?,
            groups: said.groups(settings)?,
            groups_overage: said.named(GROUPS_LINK)?.is_some(),
            asserted_roles,
            malformed_roles,
        })
    }
}

/// The values of an attribute by its exact `Name`.
pub(super) fn values<'v>(verified: &'v Verified, name: &str) -> &'v [String] {
    let found = verified.attributes.iter().find(|one| one.name == name);
    found.map_or(&[], |attribute| &attribute.values)
}

/// An assertion, asked by the names of the configuration.
struct Said<'v> {
    verified: &'v Verified,
    asked_format: Option<&'v str>,
}

impl Said<'_> {
    /// The attribute of that `Name`, else the one of that `FriendlyName`.
    fn named(&self, name: &str) -> Result<Option<&Attribute>, Refused> {
        let attributes = &self.verified.attributes;
        if let Some(found) = attributes.iter().find(|one| one.name == name) {
            return Ok(Some(found));
        }
        let is_friend = |one: &&Attribute| one.friendly_name.as_deref() == Some(name);
        let mut found = attributes.iter().filter(is_friend);
        let first = found.next();
        if found.next().is_some() {
            return Err(Refused::new(
                Reason::Attribute,
                format!("two attributes have the FriendlyName {name:?}; configure the Name"),
            ));
        }
        Ok(first)
    }

    /// The one value of an attribute; none where it is absent or blank.
    fn single(&self, name: &str) -> Result<Option<&str>, Refused> {
        let Some(attribute) = self.named(name)? else {
            return Ok(None);
        };
        let mut values = attribute
            .values
            .iter()
            .filter(|value| !value.trim().is_empty());
        let first = values.next();
        if first.is_some_and(|first| values.any(|other| other != first)) {
            return Err(Refused::new(
                Reason::Attribute,
                format!("the attribute {name:?} has several values; expected one"),
            ));
        }
        Ok(first.map(String::as_str))
    }

    fn subject(&self, names: &AttributeNames) -> Result<String, Refused> {
        let subject = if names.subject == NAME_ID {
            self.check_format()?;
            Some(self.verified.name_id.value.as_str())
        } else {
            self.single(&names.subject)?
        };
        let subject = subject.ok_or_else(|| missing("subject", &names.subject))?;
        if subject.trim() != subject {
            return Err(Refused::new(
                Reason::NameId,
                "the subject begins or ends with a blank",
            ));
        }
        name(subject)
    }

    /// A NameID can be a subject when it names the same person next time.
    fn check_format(&self) -> Result<(), Refused> {
        let format = self.verified.name_id.format.as_deref();
        if format == Some(TRANSIENT) {
            return Err(Refused::new(
                Reason::MissingAttribute,
                "the NameID is transient, another one at every sign-in; name a stable attribute \
                 in attributes.subject",
            ));
        }
        let is_as_asked = match self.asked_format {
            None | Some(UNSPECIFIED) => true,
            asked => asked == format,
        };
        if is_as_asked {
            return Ok(());
        }
        Err(Refused::new(
            Reason::NameId,
            format!(
                "the NameID has the format {:?}, and {:?} was asked for",
                format.unwrap_or_default(),
                self.asked_format.unwrap_or_default()
            ),
        ))
    }

    fn username(&self, names: &AttributeNames) -> Result<String, Refused> {
        let username = if names.username == NAME_ID {
            Some(self.verified.name_id.value.as_str())
        } else {
            self.single(&names.username)?
        };
        let username = username.map(str::trim).filter(|name| !name.is_empty());
        name(username.ok_or_else(|| missing("username", &names.username))?)
    }

    fn optional(&self, attribute: Option<&str>) -> Result<Option<String>, Refused> {
        let Some(attribute) = attribute else {
            return Ok(None);
        };
        if attribute == NAME_ID {
            return Ok(Some(self.verified.name_id.value.clone()));
        }
        // Of several, such as mail addresses, the first is as good as any: nothing rests on it.
        let values = self.named(attribute)?.map(|found| found.values.iter());
        let value = values.and_then(|mut values| values.find(|value| !value.trim().is_empty()));
        Ok(value.map(|value| plain(value.trim())))
    }

    fn groups(&self, settings: &Settings) -> Result<Vec<Group>, Refused> {
        let Some(attribute) = &settings.attributes.groups else {
            return Ok(Vec::new());
        };
        let Some(found) = self.named(attribute)? else {
            return Ok(Vec::new());
        };
        let mut seen = HashSet::new();
        let mut groups = Vec::new();
        for value in &found.values {
            if value.trim().is_empty() || !seen.insert(value.as_str()) {
                continue;
            }
            if value.chars().any(char::is_control) {
                return Err(Refused::new(
                    Reason::Attribute,
                    "a group has a control character in its name",
                ));
            }
            let key = GroupKey::new(&settings.id, value, GroupKeyForm::Exact)
                .map_err(|error| Refused::new(Reason::Attribute, error.to_string()))?;
            groups.push(Group {
                key,
                name: value.clone(),
                stable_id: None,
                through: None,
            });
        }
        Ok(groups)
    }
}

fn missing(what: &str, attribute: &str) -> Refused {
    Refused::new(
        Reason::MissingAttribute,
        format!("there is no {attribute:?}, which attributes.{what} names"),
    )
}

/// A text that can stand for a person in the audit and on pages.
fn name(text: &str) -> Result<String, Refused> {
    let problem = if text.is_empty() {
        "is empty"
    } else if text.chars().count() > LONGEST_NAME {
        "is too long"
    } else if text.chars().any(char::is_control) {
        "has a control character"
    } else {
        return Ok(text.to_owned());
    };
    Err(Refused::new(
        Reason::NameId,
        format!("the subject or user name {problem}"),
    ))
}

/// A text for pages: without control characters, cut.
fn plain(text: &str) -> String {
    text.chars()
        .filter(|c| !c.is_control())
        .take(LONGEST_NAME)
        .collect()
}

/// The pairs of the Role attribute, and how many values are none.
fn asserted_roles(verified: &Verified) -> (Vec<AssertedRole>, usize) {
    let mut roles: Vec<AssertedRole> = Vec::new();
    let mut malformed = 0;
    for value in values(verified, ROLE) {
        match asserted_role(value) {
            Some(role) if roles.contains(&role) => {}
            Some(role) => roles.push(role),
            None => malformed += 1,
        }
    }
    (roles, malformed)
}

fn asserted_role(value: &str) -> Option<AssertedRole> {
    // A role's name may contain a comma too.
    let commas = value.match_indices(',').map(|(at, _)| at);
    commas
        .map(|at| (value[..at].trim(), value[at + 1..].trim()))
        .find_map(|(first, second)| pair(first, second).or_else(|| pair(second, first)))
}

fn pair(role: &str, provider: &str) -> Option<AssertedRole> {
    let provider: SamlProviderArn = provider.parse().ok()?;
    let role: TargetArn = role.parse().ok()?;
    // STS takes a pair of one account alone.
    let is_pair = role.kind() == TargetKind::Role && role.account() == *provider.account();
    is_pair.then_some(AssertedRole { role, provider })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_is_read_in_either_order_with_blanks_around() {
        let role = "arn:aws:iam::111122223333:role/team/Read,Only";
        let provider = "arn:aws:iam::111122223333:saml-provider/corp";
        for value in [
            format!("{role},{provider}"),
            format!("{provider},{role}"),
            format!(" {role} ,\n {provider} "),
        ] {
            let found = asserted_role(&value).expect("a pair");
            assert_eq!(found.role.as_str(), role);
            assert_eq!(found.provider.as_str(), provider);
        }
    }

    #[test]
    fn what_is_no_pair_of_one_account_is_no_role() {
        for value in [
            "",
            "arn:aws:iam::111122223333:role/A",
            "arn:aws:iam::111122223333:role/A,arn:aws:iam::111122223333:role/B",
            "arn:aws:iam::111122223333:role/A,arn:aws:iam::444455556666:saml-provider/corp",
            "arn:aws:iam::111122223333:user/A,arn:aws:iam::111122223333:saml-provider/corp",
        ] {
            assert_eq!(asserted_role(value), None, "{value}");
        }
    }
}
