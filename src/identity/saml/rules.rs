//! Our own rules, on what was verified and with a clock that is handed in.
//!
//! SAML profiles 4.1.4 and core 2.5 with every "should" read as "must". Never here: XML,
//! cryptography, what was used before. Entry point: [`judge`].

use std::time::Duration;

use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::{
    message::{Assertion, Authentication, Confirmation, Head},
    refusal::{Reason, Refused},
    verify::{Expectations, NameId, Solicited, Trust, Verified},
};

/// The one status that signs anybody in.
const SUCCESS: &str = "urn:oasis:names:tc:SAML:2.0:status:Success";

/// The one way of confirmation in the browser's profile.
const BEARER: &str = "urn:oasis:names:tc:SAML:2.0:cm:bearer";

/// By how much providers set NotBefore back; Okta and Entra do by just this.
const LONGEST_ALLOWANCE: Duration = Duration::from_mins(5);

/// A response whose signatures hold.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) head: Head,
    pub(super) assertion: Assertion,
    pub(super) was_encrypted: bool,
}

/// The present moment with the skew on either side.
#[derive(Debug, Clone, Copy)]
struct Present {
    now: OffsetDateTime,
    skew: Duration,
}

impl Present {
    /// Whether the provider's clock may show a time before `instant`.
    fn may_be_before(self, instant: OffsetDateTime) -> bool {
        self.now < later(instant, self.skew)
    }

    /// Whether the provider's clock may have reached `instant`.
    fn may_have_reached(self, instant: OffsetDateTime) -> bool {
        later(self.now, self.skew) >= instant
    }
}

/// Without overflow, whatever year the provider names.
fn later(instant: OffsetDateTime, by: Duration) -> OffsetDateTime {
    instant.saturating_add(time::Duration::try_from(by).unwrap_or(time::Duration::MAX))
}

/// Judges a response.
///
/// # Errors
/// [`Refused`] with the first rule that it breaks.
pub(super) fn judge(
    answer: Answer,
    trust: &Trust,
    expected: &Expectations,
    now: OffsetDateTime,
) -> Result<Verified, Refused> {
    let Answer {
        head,
        assertion,
        was_encrypted,
    } = answer;
    let present = Present {
        now,
        skew: expected.clock_skew,
    };
    check_status(&head)?;
    check_issuers(&head, &assertion, trust)?;
    check_destination(&head, expected)?;
    check_request(
        "the response",
        head.in_response_to.as_deref(),
        false,
        &expected.in_response_to,
    )?;
    for issued_at in head.issued_at.into_iter().chain([assertion.issued_at]) {
        check_past(present, issued_at, "IssueInstant")?;
    }
    check_conditions(&assertion, present)?;
    check_audiences(&assertion, &expected.audiences)?;
    check_confirmations(&assertion.confirmations, present, expected)?;
    check_name_id(&assertion.name_id)?;
    check_authentications(&assertion.authentications, present, expected)?;
    // Another confirmation may still hold when this one is over.
    let replay_until = (assertion.confirmations.iter())
        .filter_map(|confirmation| confirmation.not_on_or_after)
        .chain(assertion.conditions.not_on_or_after)
        .fold(now, OffsetDateTime::max);
    let ends = (assertion.authentications.iter())
        .filter_map(|authentication| authentication.session_not_on_or_after)
        .min();
    let Some(authentication) = assertion.authentications.into_iter().next() else {
        return Err(no_authentication());
    };
    Ok(Verified {
        name_id: assertion.name_id,
        attributes: assertion.attributes,
        assertion_id: assertion.id,
        replay_until: later(replay_until, expected.clock_skew),
        issued_at: assertion.issued_at,
        audiences: assertion.conditions.restrictions.concat(),
        session_index: authentication.session_index,
        session_not_on_or_after: ends,
        authenticated_at: authentication.at,
        authn_context: authentication.context,
        was_encrypted,
    })
}

fn check_status(head: &Head) -> Result<(), Refused> {
    match head.status.as_deref() {
        Some(SUCCESS) => Ok(()),
        Some(status) => Err(Refused::new(
            Reason::Status,
            format!("the provider answers with the status {status:?} instead of a sign-in"),
        )),
        None => Err(Refused::new(
            Reason::Status,
            "the response has no StatusCode",
        )),
    }
}

fn check_issuers(head: &Head, assertion: &Assertion, trust: &Trust) -> Result<(), Refused> {
    let issuers = [
        ("response", head.issuer.as_deref()),
        ("assertion", Some(assertion.issuer.as_str())),
    ];
    for (what, issuer) in issuers {
        if let Some(issuer) = issuer.filter(|issuer| *issuer != trust.entity_id) {
            return Err(Refused::new(
                Reason::Issuer,
                format!(
                    "the {what}'s Issuer is {}, expected is {:?}",
                    shown(issuer),
                    trust.entity_id
                ),
            ));
        }
    }
    Ok(())
}

fn check_destination(head: &Head, expected: &Expectations) -> Result<(), Refused> {
    if !expected.check_destination {
        return Ok(());
    }
    match head.destination.as_deref() {
        Some(destination) if destination == expected.acs_url => Ok(()),
        Some(destination) => Err(Refused::new(
            Reason::Destination,
            format!(
                "Destination is {}, expected is {:?}",
                shown(destination),
                expected.acs_url
            ),
        )),
        // Bindings 3.5.5.2.
        None if head.is_verified => Err(Refused::new(
            Reason::Destination,
            "the response is signed and names no Destination",
        )),
        None => Ok(()),
    }
}

/// Whether a part of the message names the request that is expected, and nothing where none is.
fn check_request(
    what: &str,
    found: Option<&str>,
    is_mandatory: bool,
    expected: &Solicited,
) -> Result<(), Refused> {
    let detail = match (found, expected) {
        (Some(found), Solicited::By(id)) if found == id => return Ok(()),
        (None, Solicited::By(_)) if !is_mandatory => return Ok(()),
        (None, Solicited::Not) => return Ok(()),
        (Some(found), Solicited::By(_)) => format!(
            "InResponseTo of {what} is {}, which is another request than the one that was sent",
            shown(found)
        ),
        (None, Solicited::By(_)) => format!("{what} answers no request, and one was sent"),
        (Some(found), Solicited::Not) => format!(
            "InResponseTo of {what} is {}, and no request was sent",
            shown(found)
        ),
    };
    Err(Refused::new(Reason::InResponseTo, detail))
}

fn check_conditions(assertion: &Assertion, present: Present) -> Result<(), Refused> {
    let conditions = &assertion.conditions;
    if let (Some(from), Some(to)) = (conditions.not_before, conditions.not_on_or_after)
        && from >= to
    {
        return Err(Refused::new(
            Reason::Expired,
            format!(
                "Conditions are over at {} before they begin at {}",
                written(to),
                written(from)
            ),
        ));
    }
    if let Some(from) = conditions.not_before {
        check_begun(present, from, "NotBefore of Conditions")?;
    }
    if let Some(to) = conditions.not_on_or_after {
        check_not_over(present, to, "NotOnOrAfter of Conditions")?;
    }
    Ok(())
}

/// Refuses what has not happened yet. A provider's own allowance for clocks counts here: it sets
/// NotBefore, which alone says when the assertion begins, back from the other times.
fn check_past(present: Present, at: OffsetDateTime, what: &str) -> Result<(), Refused> {
    let skew = present.skew.max(LONGEST_ALLOWANCE);
    check_begun(Present { skew, ..present }, at, what)
}

fn check_begun(present: Present, from: OffsetDateTime, what: &str) -> Result<(), Refused> {
    if present.may_have_reached(from) {
        return Ok(());
    }
    Err(Refused::new(
        Reason::NotYetValid,
        format!(
            "{what} is {}, and it is {} here",
            written(from),
            written(present.now)
        ),
    ))
}

fn check_not_over(present: Present, to: OffsetDateTime, what: &str) -> Result<(), Refused> {
    if present.may_be_before(to) {
        return Ok(());
    }
    Err(Refused::new(
        Reason::Expired,
        format!(
            "{what} is {}, and it is {} here",
            written(to),
            written(present.now)
        ),
    ))
}

/// One of ours has to be in every restriction (core 2.5.1.4).
fn check_audiences(assertion: &Assertion, ours: &[String]) -> Result<(), Refused> {
    let restrictions = &assertion.conditions.restrictions;
    if restrictions.is_empty() {
        return Err(Refused::new(
            Reason::Audience,
            "Conditions have no AudienceRestriction, so the assertion is for everybody",
        ));
    }
    let is_ours = |audience: &String| !audience.is_empty() && ours.contains(audience);
    match (restrictions.iter()).find(|audiences| !audiences.iter().any(is_ours)) {
        None => Ok(()),
        Some(audiences) => Err(Refused::new(
            Reason::Audience,
            format!(
                "the audience is {}, expected is {:?}",
                shown(&audiences.join(" or ")),
                ours
            ),
        )),
    }
}

/// One confirmation of the bearer that holds is enough.
fn check_confirmations(
    confirmations: &[Confirmation],
    present: Present,
    expected: &Expectations,
) -> Result<(), Refused> {
    let mut refused = None;
    for confirmation in confirmations.iter().filter(|one| one.method == BEARER) {
        match check_bearer(confirmation, present, expected) {
            Ok(()) => return Ok(()),
            Err(error) => refused = refused.or(Some(error)),
        }
    }
    Err(refused.unwrap_or_else(|| {
        Refused::new(
            Reason::SubjectConfirmation,
            "the subject has no SubjectConfirmation with the bearer method",
        )
    }))
}

/// Profiles 4.1.4.2 and 4.1.4.3.
fn check_bearer(
    confirmation: &Confirmation,
    present: Present,
    expected: &Expectations,
) -> Result<(), Refused> {
    if !confirmation.has_data {
        return Err(Refused::new(
            Reason::SubjectConfirmation,
            "the bearer's SubjectConfirmation has no SubjectConfirmationData",
        ));
    }
    match confirmation.recipient.as_deref() {
        Some(recipient) if recipient == expected.acs_url => {}
        found => {
            return Err(Refused::new(
                Reason::Recipient,
                format!(
                    "Recipient is {}, expected is {:?}",
                    found.map_or_else(|| "missing".to_owned(), shown),
                    expected.acs_url
                ),
            ));
        }
    }
    check_request(
        "SubjectConfirmationData",
        confirmation.in_response_to.as_deref(),
        true,
        &expected.in_response_to,
    )?;
    if confirmation.not_before.is_some() {
        return Err(Refused::new(
            Reason::SubjectConfirmation,
            "a bearer's SubjectConfirmationData must have no NotBefore",
        ));
    }
    let Some(until) = confirmation.not_on_or_after else {
        return Err(Refused::new(
            Reason::SubjectConfirmation,
            "a bearer's SubjectConfirmationData has to have a NotOnOrAfter",
        ));
    };
    check_not_over(present, until, "NotOnOrAfter of SubjectConfirmationData")
}

fn check_name_id(name_id: &NameId) -> Result<(), Refused> {
    let value = &name_id.value;
    if value.trim().is_empty() {
        return Err(Refused::new(Reason::NameId, "the NameID is empty"));
    }
    if value.chars().any(char::is_control) {
        return Err(Refused::new(
            Reason::NameId,
            "the NameID has a line break or another control character in it",
        ));
    }
    Ok(())
}

/// There has to be one, and each has to hold.
fn check_authentications(
    authentications: &[Authentication],
    present: Present,
    expected: &Expectations,
) -> Result<(), Refused> {
    if authentications.is_empty() {
        return Err(no_authentication());
    }
    for authentication in authentications {
        check_past(present, authentication.at, "AuthnInstant")?;
        // Without the skew: what we begin here would be over by the clock that ends it.
        if let Some(end) = authentication.session_not_on_or_after
            && end <= present.now
        {
            return Err(Refused::new(
                Reason::Expired,
                format!(
                    "SessionNotOnOrAfter is {}, and it is {} here",
                    written(end),
                    written(present.now)
                ),
            ));
        }
        if let Some(longest) = expected.longest_authentication_age
            && !present.may_be_before(later(authentication.at, longest))
        {
            return Err(Refused::new(
                Reason::AuthenticationAge,
                format!(
                    "the person authenticated at {}, and it is {} here; {} s are allowed",
                    written(authentication.at),
                    written(present.now),
                    longest.as_secs()
                ),
            ));
        }
        let context = authentication.context.as_deref();
        if !expected.authn_contexts.is_empty()
            && !context.is_some_and(|found| expected.authn_contexts.iter().any(|one| one == found))
        {
            return Err(Refused::new(
                Reason::AuthnContext,
                format!(
                    "the person authenticated by {}, expected is one of {:?}",
                    context.map_or_else(|| "no named context".to_owned(), shown),
                    expected.authn_contexts
                ),
            ));
        }
    }
    Ok(())
}

fn no_authentication() -> Refused {
    Refused::new(
        Reason::AuthnStatement,
        "the assertion has no AuthnStatement, so nobody authenticated",
    )
}

/// A part of the message in quotes, shortened so that what was expected stays readable.
fn shown(text: &str) -> String {
    const LONGEST: usize = 100;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{:?}…", text.get(..end).unwrap_or_default()),
        None => format!("{text:?}"),
    }
}

/// An instant as SAML writes it.
fn written(instant: OffsetDateTime) -> String {
    instant
        .format(&Rfc3339)
        .unwrap_or_else(|_| instant.to_string())
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::{super::message::Conditions, *};

    const NOW: OffsetDateTime = datetime!(2030-06-01 12:00 UTC);
    const ACS: &str = "https://rolegate.example/saml/corp/acs";

    fn confirmation(until: OffsetDateTime) -> Confirmation {
        Confirmation {
            method: BEARER.to_owned(),
            has_data: true,
            recipient: Some(ACS.to_owned()),
            not_on_or_after: Some(until),
            ..Confirmation::default()
        }
    }

    fn judged(
        confirmations: Vec<Confirmation>,
        between: [OffsetDateTime; 2],
    ) -> Result<Verified, Refused> {
        let answer = Answer {
            head: Head {
                is_verified: false,
                in_response_to: None,
                destination: None,
                issuer: None,
                status: Some(SUCCESS.to_owned()),
                issued_at: None,
            },
            assertion: Assertion {
                id: "_1".to_owned(),
                issued_at: NOW,
                issuer: "https://idp.example".to_owned(),
                name_id: NameId {
                    value: "ada".to_owned(),
                    format: None,
                    name_qualifier: None,
                    sp_name_qualifier: None,
                },
                confirmations,
                conditions: Conditions {
                    not_before: Some(between[0]),
                    not_on_or_after: Some(between[1]),
                    restrictions: vec![vec!["rolegate".to_owned()]],
                },
                authentications: vec![Authentication {
                    at: NOW,
                    session_index: None,
                    session_not_on_or_after: None,
                    context: None,
                }],
                attributes: Vec::new(),
            },
            was_encrypted: false,
        };
        let trust = Trust {
            entity_id: "https://idp.example".to_owned(),
            certificates: Vec::new(),
        };
        let expected = Expectations {
            audiences: vec!["rolegate".to_owned()],
            acs_url: ACS.to_owned(),
            in_response_to: Solicited::Not,
            decryption_keys: Vec::new(),
            require_encryption: false,
            allow_cbc: false,
            clock_skew: Duration::from_mins(1),
            longest_authentication_age: None,
            authn_contexts: Vec::new(),
            allow_sha1: false,
            check_destination: true,
        };
        judge(answer, &trust, &expected, NOW)
    }

    #[test]
    fn an_answer_is_remembered_as_long_as_any_of_its_confirmations_holds() {
        let (soon, late) = (NOW + Duration::from_mins(5), NOW + Duration::from_hours(1));
        for confirmations in [
            vec![confirmation(soon), confirmation(late)],
            vec![confirmation(late), confirmation(soon)],
        ] {
            let verified = judged(confirmations, [NOW, soon]).unwrap();
            assert!(verified.replay_until >= late + Duration::from_mins(1));
        }
    }

    #[test]
    fn conditions_that_end_before_they_begin_never_hold() {
        let (from, to) = (NOW + Duration::from_secs(30), NOW - Duration::from_secs(30));
        let refused = judged(vec![confirmation(from)], [from, to]).unwrap_err();
        assert_eq!(refused.reason, Reason::Expired);
    }

    #[test]
    fn a_confirmation_without_data_is_none() {
        let bare = Confirmation {
            method: BEARER.to_owned(),
            ..Confirmation::default()
        };
        let refused = judged(vec![bare], [NOW, NOW + Duration::from_mins(5)]).unwrap_err();
        assert_eq!(refused.reason, Reason::SubjectConfirmation);
    }
}
