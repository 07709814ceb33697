//! What a verified response says, as plain structs.
//!
//! Reads bytes that a signature covers, and nothing else; the one exception is [`Head::unverified`],
//! which may refuse but never vouch. Never here: rules. Entry points: [`Head`], [`Assertion::read`].

use std::collections::HashSet;

use time::{Date, Month, OffsetDateTime, Time};

use super::{
    element::{Element, Namespace},
    gate::Shape,
    refusal::{Reason, Refused},
    verify::{Attribute, NameId},
};

/// What stands on the response itself.
#[derive(Debug)]
pub(super) struct Head {
    /// Whether the response's own signature covers the rest.
    pub(super) is_verified: bool,
    pub(super) in_response_to: Option<String>,
    pub(super) destination: Option<String>,
    pub(super) issuer: Option<String>,
    pub(super) status: Option<String>,
    pub(super) issued_at: Option<OffsetDateTime>,
}

impl Head {
    /// The head of a response that is not signed itself.
    pub(super) fn unverified(shape: &Shape) -> Self {
        Self {
            is_verified: false,
            in_response_to: shape.in_response_to.clone(),
            destination: shape.destination.clone(),
            issuer: shape.issuer.clone(),
            status: shape.status.clone(),
            issued_at: None,
        }
    }

    /// The head of a verified response.
    pub(super) fn read(response: &Element) -> Result<Self, Refused> {
        let issuer = response.only(Namespace::Assertion, "Issuer")?;
        let status = match response.only(Namespace::Protocol, "Status")? {
            Some(status) => status.only(Namespace::Protocol, "StatusCode")?,
            None => None,
        };
        Ok(Self {
            is_verified: true,
            in_response_to: response.attribute("InResponseTo").map(str::to_owned),
            destination: response.attribute("Destination").map(str::to_owned),
            issuer: issuer.map(issuer_value).transpose()?,
            status: (status.and_then(|code| code.attribute("Value"))).map(str::to_owned),
            issued_at: Some(issue_instant(response)?),
        })
    }
}

/// What a verified assertion says.
#[derive(Debug)]
pub(super) struct Assertion {
    pub(super) id: String,
    pub(super) issued_at: OffsetDateTime,
    pub(super) issuer: String,
    pub(super) name_id: NameId,
    pub(super) confirmations: Vec<Confirmation>,
    pub(super) conditions: Conditions,
    pub(super) authentications: Vec<Authentication>,
    pub(super) attributes: Vec<Attribute>,
}

/// A SubjectConfirmation with its data.
#[derive(Debug, Default)]
pub(super) struct Confirmation {
    pub(super) method: String,
    pub(super) has_data: bool,
    pub(super) recipient: Option<String>,
    pub(super) in_response_to: Option<String>,
    pub(super) not_before: Option<OffsetDateTime>,
    pub(super) not_on_or_after: Option<OffsetDateTime>,
}

/// The Conditions. OneTimeUse is not kept: every assertion is used once here.
#[derive(Debug)]
pub(super) struct Conditions {
    pub(super) not_before: Option<OffsetDateTime>,
    pub(super) not_on_or_after: Option<OffsetDateTime>,
    /// The audiences of each AudienceRestriction.
    pub(super) restrictions: Vec<Vec<String>>,
}

/// An AuthnStatement.
#[derive(Debug)]
pub(super) struct Authentication {
    pub(super) at: OffsetDateTime,
    pub(super) session_index: Option<String>,
    pub(super) session_not_on_or_after: Option<OffsetDateTime>,
    pub(super) context: Option<String>,
}

impl Assertion {
    /// Reads an assertion element.
    pub(super) fn read(assertion: &Element) -> Result<Self, Refused> {
        if assertion.attribute("Version") != Some("2.0") {
            let detail = "the assertion's Version has to be 2.0";
            return Err(Refused::new(Reason::Version, detail));
        }
        let Some(id) = assertion.attribute("ID").filter(|id| !id.is_empty()) else {
            return Err(Refused::new(Reason::Id, "the assertion has no ID"));
        };
        let Some(issuer) = assertion.only(Namespace::Assertion, "Issuer")? else {
            return Err(Refused::new(Reason::Issuer, "the assertion has no Issuer"));
        };
        let Some(subject) = assertion.only(Namespace::Assertion, "Subject")? else {
            return Err(Refused::new(Reason::NameId, "the assertion has no Subject"));
        };
        let Some(conditions) = assertion.only(Namespace::Assertion, "Conditions")? else {
            let detail = "the assertion has no Conditions, so it is for everybody and for ever";
            return Err(Refused::new(Reason::Conditions, detail));
        };
        Ok(Self {
            id: id.to_owned(),
            issued_at: issue_instant(assertion)?,
            issuer: issuer_value(issuer)?,
            name_id: name_id(subject)?,
            confirmations: (subject.named(Namespace::Assertion, "SubjectConfirmation"))
                .map(confirmation)
                .collect::<Result<_, _>>()?,
            conditions: read_conditions(conditions)?,
            authentications: (assertion.named(Namespace::Assertion, "AuthnStatement"))
                .map(authentication)
                .collect::<Result<_, _>>()?,
            attributes: attributes(assertion)?,
        })
    }
}

/// An Issuer's value. Any other Format than `entity` names something else than a provider
/// (profiles 4.1.4.2).
fn issuer_value(issuer: &Element) -> Result<String, Refused> {
    match issuer.attribute("Format") {
        None | Some("urn:oasis:names:tc:SAML:2.0:nameid-format:entity") => {
            Ok(issuer.value()?.to_owned())
        }
        Some(format) => Err(Refused::new(
            Reason::Issuer,
            format!("the Issuer's Format is {format:?}, it has to be that of an entity or absent"),
        )),
    }
}

fn name_id(subject: &Element) -> Result<NameId, Refused> {
    let Some(name_id) = subject.only(Namespace::Assertion, "NameID")? else {
        let detail = match subject.only(Namespace::Assertion, "EncryptedID")? {
            Some(_) => "the subject is an EncryptedID; encrypt the assertion instead",
            None => "the subject has no NameID",
        };
        return Err(Refused::new(Reason::NameId, detail));
    };
    let attribute = |name| name_id.attribute(name).map(str::to_owned);
    Ok(NameId {
        value: name_id.value()?.to_owned(),
        format: attribute("Format"),
        name_qualifier: attribute("NameQualifier"),
        sp_name_qualifier: attribute("SPNameQualifier"),
    })
}

fn confirmation(element: &Element) -> Result<Confirmation, Refused> {
    let method = element.attribute("Method").unwrap_or_default().to_owned();
    let Some(data) = element.only(Namespace::Assertion, "SubjectConfirmationData")? else {
        return Ok(Confirmation {
            method,
            ..Confirmation::default()
        });
    };
    Ok(Confirmation {
        method,
        has_data: true,
        recipient: data.attribute("Recipient").map(str::to_owned),
        in_response_to: data.attribute("InResponseTo").map(str::to_owned),
        not_before: optional_instant(data, "NotBefore")?,
        not_on_or_after: optional_instant(data, "NotOnOrAfter")?,
    })
}

fn read_conditions(conditions: &Element) -> Result<Conditions, Refused> {
    let mut restrictions = Vec::new();
    for condition in conditions.children() {
        match (condition.namespace(), condition.name()) {
            (Namespace::Assertion, "AudienceRestriction") => {
                let audiences = condition.named(Namespace::Assertion, "Audience");
                restrictions.push(
                    audiences
                        .map(|audience| Ok(audience.value()?.to_owned()))
                        .collect::<Result<Vec<_>, Refused>>()?,
                );
            }
            (Namespace::Assertion, "OneTimeUse" | "ProxyRestriction") => {}
            // Core 2.5.1.1: a condition that is not understood leaves the assertion indeterminate.
            (_, name) => {
                return Err(Refused::new(
                    Reason::Conditions,
                    format!(
                        "the condition {name:?} is not known, so nothing can say that it holds"
                    ),
                ));
            }
        }
    }
    Ok(Conditions {
        not_before: optional_instant(conditions, "NotBefore")?,
        not_on_or_after: optional_instant(conditions, "NotOnOrAfter")?,
        restrictions,
    })
}

fn authentication(statement: &Element) -> Result<Authentication, Refused> {
    let Some(at) = optional_instant(statement, "AuthnInstant")? else {
        let detail = "the AuthnStatement has no AuthnInstant";
        return Err(Refused::new(Reason::AuthnStatement, detail));
    };
    let class = match statement.only(Namespace::Assertion, "AuthnContext")? {
        Some(context) => context.only(Namespace::Assertion, "AuthnContextClassRef")?,
        None => None,
    };
    Ok(Authentication {
        at,
        session_index: statement.attribute("SessionIndex").map(str::to_owned),
        session_not_on_or_after: optional_instant(statement, "SessionNotOnOrAfter")?,
        context: (class.map(|class| class.value().map(str::to_owned))).transpose()?,
    })
}

fn attributes(assertion: &Element) -> Result<Vec<Attribute>, Refused> {
    let mut names = HashSet::new();
    let mut attributes = Vec::new();
    for element in
        (assertion.named(Namespace::Assertion, "AttributeStatement")).flat_map(Element::children)
    {
        if !element.is(Namespace::Assertion, "Attribute") {
            return Err(Refused::new(
                Reason::Attribute,
                format!("{} among the attributes is not read", element.name()),
            ));
        }
        let Some(name) = element.attribute("Name").filter(|name| !name.is_empty()) else {
            return Err(Refused::new(Reason::Attribute, "an attribute has no Name"));
        };
        if !names.insert(name) {
            return Err(Refused::new(
                Reason::Attribute,
                format!("the attribute {name:?} is there twice; put its values into one"),
            ));
        }
        let mut values = Vec::new();
        for value in element.named(Namespace::Assertion, "AttributeValue") {
            if !value.is_nil() {
                values.push(attribute_value(value)?);
            }
        }
        attributes.push(Attribute {
            name: name.to_owned(),
            friendly_name: element.attribute("FriendlyName").map(str::to_owned),
            values,
        });
    }
    Ok(attributes)
}

/// The text of a value; that of a NameID inside it, as in eduPersonTargetedID.
fn attribute_value(value: &Element) -> Result<String, Refused> {
    match value.children() {
        [name_id] if name_id.is(Namespace::Assertion, "NameID") && value.is_blank() => {
            Ok(name_id.value()?.to_owned())
        }
        _ => Ok(value.value()?.to_owned()),
    }
}

fn issue_instant(element: &Element) -> Result<OffsetDateTime, Refused> {
    optional_instant(element, "IssueInstant")?.ok_or_else(|| {
        Refused::new(
            Reason::Instant,
            format!("{} has no IssueInstant", element.name()),
        )
    })
}

fn optional_instant(
    element: &Element,
    name: &'static str,
) -> Result<Option<OffsetDateTime>, Refused> {
    let Some(text) = element.attribute(name) else {
        return Ok(None);
    };
    let instant = instant(text).ok_or_else(|| {
        Refused::new(
            Reason::Instant,
            format!("{name} is {text:?}, it has to be like 2030-01-31T12:00:00Z, in UTC"),
        )
    })?;
    Ok(Some(instant))
}

/// A time of SAML: an xs:dateTime in UTC (core 1.3.3). Another offset is refused, as are years that
/// have not just four digits; digits after the ninth of a fraction are dropped.
pub(super) fn instant(text: &str) -> Option<OffsetDateTime> {
    let number = |from: usize, digits: usize| -> Option<u16> {
        let digits = text.get(from..from + digits)?;
        digits
            .bytes()
            .all(|byte| byte.is_ascii_digit())
            .then_some(())?;
        digits.parse().ok()
    };
    let separators = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')];
    let bytes = text.as_bytes();
    if separators
        .iter()
        .any(|(at, byte)| bytes.get(*at) != Some(byte))
    {
        return None;
    }
    let small = |from: usize| -> Option<u8> { u8::try_from(number(from, 2)?).ok() };
    let year = number(0, 4).filter(|year| *year > 0)?;
    let month = Month::try_from(small(5)?).ok()?;
    let date = Date::from_calendar_date(i32::from(year), month, small(8)?).ok()?;
    let nanoseconds = nanoseconds(text.get(19..)?.strip_suffix('Z')?)?;
    let time = Time::from_hms_nano(small(11)?, small(14)?, small(17)?, nanoseconds).ok()?;
    Some(date.with_time(time).assume_utc())
}

fn nanoseconds(fraction: &str) -> Option<u32> {
    if fraction.is_empty() {
        return Some(0);
    }
    let digits = fraction
        .strip_prefix('.')
        .filter(|digits| !digits.is_empty())?;
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let digits = digits.bytes().chain(std::iter::repeat(b'0')).take(9);
    Some(digits.fold(0, |sum, digit| sum * 10 + u32::from(digit - b'0')))
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn instants_are_in_utc() {
        let instants = [
            ("2030-06-01T12:00:00Z", datetime!(2030-06-01 12:00 UTC)),
            (
                "2030-06-01T12:00:00.5Z",
                datetime!(2030-06-01 12:00:00.5 UTC),
            ),
            (
                "2030-06-01T12:00:00.1234567899Z",
                datetime!(2030-06-01 12:00:00.123_456_789 UTC),
            ),
            ("0001-01-01T00:00:00Z", datetime!(0001-01-01 00:00 UTC)),
            ("9999-12-31T23:59:59Z", datetime!(9999-12-31 23:59:59 UTC)),
        ];
        for (text, expected) in instants {
            assert_eq!(instant(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_instant_is_refused() {
        for text in [
            "",
            "tomorrow",
            "2030-06-01",
            "2030-06-01T12:00:00",
            "2030-06-01T12:00:00+02:00",
            "2030-06-01T12:00:00.Z",
            "2030-06-01T12:00:00,5Z",
            " 2030-06-01T12:00:00Z",
            "2030-06-01T12:00:60Z",
            "2030-06-01T24:00:00Z",
            "2030-02-29T12:00:00Z",
            "0000-01-01T00:00:00Z",
            "+2030-06-01T12:00:0Z",
            "99999-06-01T12:00:00Z",
            "-2030-06-01T12:00:00Z",
            "2030-06-01T12:00:00ZZ",
            "2030-06-0１T12:00:00Z",
        ] {
            assert_eq!(instant(text), None, "{text}");
        }
    }
}
