//! Addresses of the helpdesk's pages about one person, group, account, role, mapping or rule.

use crate::access::{AccountId, GroupKey, MappingId, RowName, TargetArn};

/// A path segment, or several, with everything but RFC 3986's unreserved characters encoded.
pub(crate) fn segment(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes())
        .collect::<String>()
        .replace('+', "%20")
}

/// The page of somebody who may never have signed in: the directory is asked by user name, so that
/// this stands for the stable id until they have.
pub(crate) fn person_known(
    connector: &str,
    (subject, username): (&str, &str),
    is_seen: bool,
) -> String {
    person(connector, if is_seen { subject } else { username })
}

/// A person's page.
pub(crate) fn person(connector: &str, subject: &str) -> String {
    format!("/helpdesk/people/{connector}/{}", segment(subject))
}

/// A group's page.
pub(crate) fn group(key: &GroupKey) -> String {
    format!("/helpdesk/groups/{}", segment(key.as_str()))
}

/// An account's page.
pub(crate) fn account(id: &AccountId) -> String {
    format!("/helpdesk/accounts/{id}")
}

/// A role's page.
pub(crate) fn role(arn: &TargetArn) -> String {
    format!("/helpdesk/roles/{}", segment(arn.as_str()))
}

/// A mapping's page.
pub(crate) fn mapping(id: &MappingId) -> String {
    format!("/helpdesk/mappings/{}", segment(&id.0))
}

/// A rule's page.
pub(crate) fn rule(id: &MappingId) -> String {
    format!("/helpdesk/rules/{}", segment(&id.0))
}

/// An access review's page.
pub(crate) fn review(id: &str) -> String {
    format!("/helpdesk/reviews/{}", segment(id))
}

/// The page of a row of the tables.
pub(crate) fn row(name: &RowName) -> String {
    match name {
        RowName::Account(id) => account(id),
        RowName::Role(arn) => role(arn),
        RowName::Mapping(id) => mapping(id),
        RowName::Rule(id) => rule(id),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_one_segment_whatever_is_in_them() {
        assert_eq!(
            person("okta", "a/b?c#d e%"),
            "/helpdesk/people/okta/a%2Fb%3Fc%23d%20e%25"
        );
        let key = GroupKey::from_stored("corp:cn=a b,dc=x".to_owned());
        assert_eq!(group(&key), "/helpdesk/groups/corp%3Acn%3Da%20b%2Cdc%3Dx");
    }
}
