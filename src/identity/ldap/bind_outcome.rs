//! What the answer to a password means: result codes, password policy, Active Directory.

use ldap3::asn1::{PL, StructureTag, parse_tag};

use super::{failure::Answer, settings::Flavour};
use crate::identity::Refusal;

/// The password policy control (draft-behera-ldap-password-policy section 6), for the request
/// without a value and for the response.
pub(super) const PASSWORD_POLICY_OID: &str = "1.3.6.1.4.1.42.2.27.8.5.1";

/// What a server said about a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct BindAnswer {
    pub(super) answer: Answer,
    pub(super) policy: PasswordPolicy,
}

/// The parts of a `PasswordPolicyResponseValue` that matter to a sign-in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct PasswordPolicy {
    /// How many more times an expired password is accepted.
    pub(super) grace_sign_ins_left: Option<u64>,
    /// What stands against the sign-in.
    pub(super) error: Option<PolicyError>,
}

/// The errors of a `PasswordPolicyResponseValue` that a bind can meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PolicyError {
    PasswordExpired,
    AccountLocked,
    ChangeAfterReset,
    /// An error of a password change, or of a later draft.
    Other,
}

/// What follows for the sign-in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum BindOutcome {
    Accepted,
    ChangeRequired {
        is_expired: bool,
    },
    Refused(Refusal),
    /// The server does not take passwords in the way that they are offered.
    Unusable,
}

impl BindAnswer {
    /// Reads the meaning.
    ///
    /// An expired password is told apart only where the server tells it after a right password
    /// alone. slapd does: it judges age once the password has matched. Active Directory does for
    /// 532, 533, 701 and 773.
    pub(super) fn outcome(&self, flavour: Flavour) -> BindOutcome {
        use BindOutcome::{Accepted, ChangeRequired, Refused, Unusable};
        match (self.answer.code, self.policy.error) {
            (0, None | Some(PolicyError::Other)) => Accepted,
            (0, Some(PolicyError::ChangeAfterReset)) => ChangeRequired { is_expired: false },
            (0 | 49, Some(PolicyError::PasswordExpired)) => ChangeRequired { is_expired: true },
            // 389 Directory Server answers 19 when there were too many wrong passwords.
            (_, Some(PolicyError::AccountLocked)) | (19, _) => Refused(Refusal::Locked),
            (49, _) if flavour == Flavour::ActiveDirectory => {
                active_directory_outcome(&self.answer.text)
            }
            // 389 Directory Server answers 53 for an inactivated account.
            (53, _) => Refused(Refusal::Disabled),
            // No such entry, no such name, no password in the entry, wrong password.
            (32 | 34 | 48 | 49, _) => Refused(Refusal::WrongPassword),
            _ => Unusable,
        }
    }
}

/// Reads the Windows error code in the text of a refused bind.
fn active_directory_outcome(text: &str) -> BindOutcome {
    match windows_error(text) {
        Some(0x532) => BindOutcome::ChangeRequired { is_expired: true },
        Some(0x773) => BindOutcome::ChangeRequired { is_expired: false },
        Some(0x775) => BindOutcome::Refused(Refusal::Locked),
        // 530 and 531: not at this time, not from this machine.
        Some(0x530 | 0x531 | 0x533) => BindOutcome::Refused(Refusal::Disabled),
        Some(0x701) => BindOutcome::Refused(Refusal::AccountExpired),
        // 525 is an unknown user, 52e a wrong password.
        _ => BindOutcome::Refused(Refusal::WrongPassword),
    }
}

/// The code after `data ` in `80090308: LdapErr: DSID-0C09042A, comment: AcceptSecurityContext
/// error, data 52e, v3839`.
fn windows_error(text: &str) -> Option<u32> {
    let (_, code) = text.split_once("AcceptSecurityContext error, data ")?;
    let digits = code.split(|c: char| !c.is_ascii_hexdigit()).next()?;
    u32::from_str_radix(digits, 16).ok()
}

impl PasswordPolicy {
    /// Reads the value of the response control; an unreadable one is an error of its own, because
    /// it may have been one that forbids the sign-in.
    pub(super) fn parse(value: Option<&[u8]>) -> Self {
        Self::parsed(value.unwrap_or_default()).unwrap_or(Self {
            grace_sign_ins_left: None,
            error: Some(PolicyError::AccountLocked),
        })
    }

    fn parsed(value: &[u8]) -> Option<Self> {
        let mut policy = Self::default();
        if value.is_empty() {
            return Some(policy);
        }
        let (_, sequence) = parse_tag(value).ok()?;
        for part in sequence.expect_constructed()? {
            match part.id {
                0 => {
                    let warning = part.expect_constructed()?.into_iter().next()?;
                    if warning.id == 1 {
                        policy.grace_sign_ins_left = Some(unsigned(&warning)?);
                    }
                }
                1 => {
                    policy.error = Some(match unsigned(&part)? {
                        0 => PolicyError::PasswordExpired,
                        1 => PolicyError::AccountLocked,
                        2 => PolicyError::ChangeAfterReset,
                        _ => PolicyError::Other,
                    });
                }
                _ => {}
            }
        }
        Some(policy)
    }
}

fn unsigned(tag: &StructureTag) -> Option<u64> {
    let PL::P(bytes) = &tag.payload else {
        return None;
    };
    if bytes.is_empty() || bytes.len() > 8 {
        return None;
    }
    Some(
        bytes
            .iter()
            .fold(0, |number, byte| number << 8 | u64::from(*byte)),
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn outcome(code: u32, text: &str, control: &[u8], flavour: Flavour) -> BindOutcome {
        let answer = Answer {
            code,
            text: text.to_owned(),
        };
        let policy = PasswordPolicy::parse(Some(control));
        BindAnswer { answer, policy }.outcome(flavour)
    }

    #[test]
    fn password_policy_answers_are_read() {
        use PolicyError::{AccountLocked, ChangeAfterReset, PasswordExpired};
        let of = |bytes: &[u8]| PasswordPolicy::parse(Some(bytes));
        assert_eq!(of(&[0x30, 0]), PasswordPolicy::default());
        assert_eq!(of(&[0x30, 3, 0x81, 1, 0]).error, Some(PasswordExpired));
        assert_eq!(of(&[0x30, 3, 0x81, 1, 1]).error, Some(AccountLocked));
        assert_eq!(of(&[0x30, 3, 0x81, 1, 2]).error, Some(ChangeAfterReset));
        assert_eq!(of(&[0x30, 3, 0x81, 1, 7]).error, Some(PolicyError::Other));
        let grace = of(&[0x30, 5, 0xa0, 3, 0x81, 1, 4]);
        assert_eq!((grace.grace_sign_ins_left, grace.error), (Some(4), None));
        let expires = of(&[0x30, 6, 0xa0, 4, 0x80, 2, 1, 0]);
        assert_eq!(expires, PasswordPolicy::default());
        assert_eq!(PasswordPolicy::parse(None), PasswordPolicy::default());
    }

    #[test]
    fn an_unreadable_policy_answer_refuses() {
        for broken in [
            &[0x30][..],
            &[0x30, 3, 0x81],
            &[0x04, 1, 0],
            &[0x30, 2, 0x81, 0],
        ] {
            assert_eq!(
                outcome(0, "", broken, Flavour::Other),
                BindOutcome::Refused(Refusal::Locked),
                "{broken:?}"
            );
        }
    }

    #[test]
    fn codes_and_policy_decide_together() {
        use BindOutcome::{Accepted, ChangeRequired, Refused, Unusable};
        let expired = [0x30, 3, 0x81, 1, 0];
        let locked = [0x30, 3, 0x81, 1, 1];
        let reset = [0x30, 3, 0x81, 1, 2];
        for (code, control, expected) in [
            (0, &[][..], Accepted),
            (0, &reset, ChangeRequired { is_expired: false }),
            (0, &locked, Refused(Refusal::Locked)),
            (49, &expired, ChangeRequired { is_expired: true }),
            (49, &locked, Refused(Refusal::Locked)),
            (49, &reset, Refused(Refusal::WrongPassword)),
            (49, &[], Refused(Refusal::WrongPassword)),
            (53, &[], Refused(Refusal::Disabled)),
            (53, &expired, Refused(Refusal::Disabled)),
            (32, &[], Refused(Refusal::WrongPassword)),
            (8, &[], Unusable),
            (10, &[], Unusable),
            (1, &expired, Unusable),
        ] {
            assert_eq!(
                outcome(code, "", control, Flavour::Other),
                expected,
                "{code}"
            );
        }
    }

    #[test]
    fn windows_errors_are_read_from_the_text() {
        use BindOutcome::{ChangeRequired, Refused};
        for (data, expected) in [
            ("525", Refused(Refusal::WrongPassword)),
            ("52e", Refused(Refusal::WrongPassword)),
            ("530", Refused(Refusal::Disabled)),
            ("531", Refused(Refusal::Disabled)),
            ("532", ChangeRequired { is_expired: true }),
            ("533", Refused(Refusal::Disabled)),
            ("701", Refused(Refusal::AccountExpired)),
            ("773", ChangeRequired { is_expired: false }),
            ("775", Refused(Refusal::Locked)),
            ("", Refused(Refusal::WrongPassword)),
            ("ffffffffff", Refused(Refusal::WrongPassword)),
        ] {
            let text = format!(
                "80090308: LdapErr: DSID-0C09042A, comment: AcceptSecurityContext error, data \
                 {data}, v3839"
            );
            assert_eq!(
                outcome(49, &text, &[], Flavour::ActiveDirectory),
                expected,
                "{data}"
            );
            assert_eq!(
                outcome(49, &text, &[], Flavour::Other),
                Refused(Refusal::WrongPassword),
                "other servers have no such codes: {data}"
            );
        }
    }

    proptest! {
        #[test]
        fn reading_policy_answers_never_panics(value in prop::collection::vec(any::<u8>(), 0..24)) {
            let _ = PasswordPolicy::parse(Some(&value));
        }

        #[test]
        fn reading_windows_errors_never_panics(text in "(AcceptSecurityContext error, data )?\\PC*") {
            let _ = windows_error(&text);
        }
    }
}
