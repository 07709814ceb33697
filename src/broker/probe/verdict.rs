//! What an answer of AWS says about a role.
//!
//! Pure. Never red on doubt: what may be ours, AWS's or the moment's is inconclusive. Entry point:
//! [`Verdict::of`].

use crate::{
    access::{NotProbed, Sends, SessionDuration, TargetArn},
    aws::{
        IamRole, StsError,
        trust::{TrustDocument, Trusted},
    },
    store::ProbeState,
};

/// Of what is kept with a probe.
const LONGEST_MESSAGE: usize = 1_000;

/// What a probe found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) state: ProbeState,
    pub(super) code: Option<&'static str>,
    pub(super) message: Option<String>,
    /// Whether it may be another one in a moment.
    pub(super) is_passing: bool,
}

/// What is known beside the answer of STS.
#[derive(Debug, Clone, Copy)]
pub(super) struct Evidence<'a> {
    /// What people's sessions carry and the probe's did not.
    pub(super) sends: Sends,
    /// The longest session that the table gives.
    pub(super) longest: SessionDuration,
    /// What IAM says, where it could be read.
    pub(super) iam: Option<&'a IamRole>,
    /// Whether IAM could be read and has no such role.
    pub(super) is_missing: bool,
    /// The ARN of the role of this name, where it is another one: IAM's names have no path.
    pub(super) known_as: Option<&'a TargetArn>,
    /// Whom the role has to trust, where that is known.
    pub(super) trusted: Option<&'a Trusted>,
}

impl Verdict {
    /// What STS's answer means.
    pub(super) fn of(answer: Result<(), &StsError>, evidence: Evidence<'_>) -> Self {
        match answer {
            Ok(()) => Self::opened(evidence),
            Err(error) => Self::refused(error, evidence),
        }
    }

    /// Why there was nothing to ask.
    pub(super) fn not_probed(reason: NotProbed) -> Self {
        let code = match reason {
            NotProbed::Unusable => "role_unusable",
            NotProbed::NeedsPerson => "needs_person",
            NotProbed::NeedsCode => "needs_code",
            NotProbed::NotNarrowable => "not_narrowable",
        };
        Self::new(ProbeState::NotProbed, code, &reason.to_string())
    }

    fn new(state: ProbeState, code: &'static str, message: &str) -> Self {
        Self {
            state,
            code: Some(code),
            message: Some(message.chars().take(LONGEST_MESSAGE).collect()),
            is_passing: false,
        }
    }

    fn opened(evidence: Evidence<'_>) -> Self {
        let trust = evidence
            .iam
            .and_then(|role| TrustDocument::read(&role.trust));
        let lacking: Vec<&str> = [
            ("sts:TagSession", evidence.sends.tags),
            ("sts:SetSourceIdentity", evidence.sends.source_identity),
        ]
        .into_iter()
        .filter(|(action, is_sent)| {
            *is_sent
                && trust
                    .as_ref()
                    .is_some_and(|trust| !trust.allows_action(action))
        })
        .map(|(action, _)| action)
        .collect();
        if !lacking.is_empty() {
            let message = format!(
                "AWS opens the role to a probe, and will not open it to people: its trust policy \
                 does not allow {}, which their sessions need.",
                lacking.join(" and ")
            );
            return Self::new(ProbeState::Broken, "trust_lacks_action", &message);
        }
        let iam = evidence.iam.map(|role| role.max_duration);
        let too_long = iam.filter(|longest| *longest < evidence.longest);
        Self {
            state: ProbeState::Works,
            code: None,
            message: too_long.map(|longest| {
                format!(
                    "The table gives sessions of up to {}, IAM no longer ones than {longest} \
                     (MaxSessionDuration): raise it there, or lower max_duration here.",
                    evidence.longest
                )
            }),
            is_passing: false,
        }
    }

    fn refused(error: &StsError, evidence: Evidence<'_>) -> Self {
        let (code, message) = (error.code(), error.for_operator());
        match error {
            StsError::AccessDenied { .. } => Self::denied(code, &message, evidence),
            StsError::Invalid { .. }
            | StsError::AssertionRefused { .. }
            | StsError::RegionDisabled { .. } => Self::new(ProbeState::Broken, code, &message),
            StsError::Throttled | StsError::Unavailable(_) => Self {
                is_passing: true,
                ..Self::new(ProbeState::Inconclusive, code, &message)
            },
            _ => Self::new(ProbeState::Inconclusive, code, &message),
        }
    }

    /// Denied: by what the trust lacks, or because a probe does not bring what people bring.
    fn denied(code: &'static str, message: &str, evidence: Evidence<'_>) -> Self {
        if evidence.is_missing {
            let message = format!(
                "IAM has no role of this name in the account: make it, or take its row out of the \
                 table. {message}"
            );
            return Self::new(ProbeState::Broken, code, &message);
        }
        if let Some(arn) = evidence.known_as {
            let message = format!(
                "In IAM the role of this name is {arn}: write that ARN in the table. {message}"
            );
            return Self::new(ProbeState::Broken, code, &message);
        }
        let trust = evidence
            .iam
            .and_then(|role| TrustDocument::read(&role.trust));
        if let (Some(trust), Some(trusted)) = (&trust, evidence.trusted) {
            if !trust.may_allow(trusted) {
                let message = format!(
                    "The role's trust policy lets nobody like {} call {}. {message}",
                    trusted.principal(),
                    trusted.action()
                );
                return Self::new(ProbeState::Broken, code, &message);
            }
            if !trust.looks_at_people() {
                return Self::new(ProbeState::Broken, code, message);
            }
        } else if evidence.sends == Sends::default() {
            return Self::new(ProbeState::Broken, code, message);
        }
        let message = format!(
            "AWS refused a probe, which proves nothing here: people's sessions of this role carry \
             tags or a SourceIdentity that a probe does not have, and the trust policy may ask for \
             them. {message}"
        );
        Self::new(ProbeState::Inconclusive, code, &message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROLE: &str = "arn:aws:iam::111122223333:role/Admin";

    fn trusted() -> Trusted {
        Trusted::Caller {
            arn: "arn:aws:iam::444455556666:user/rolegate".to_owned(),
            external_id: None,
        }
    }

    fn iam(statement: &str) -> IamRole {
        IamRole {
            arn: ROLE.parse().unwrap(),
            max_duration: SessionDuration::HOUR,
            trust: format!(r#"{{"Version":"2012-10-17","Statement":[{statement}]}}"#),
            description: None,
            created_at: None,
        }
    }

    fn evidence<'a>(sends: Sends, iam: Option<&'a IamRole>, by: &'a Trusted) -> Evidence<'a> {
        Evidence {
            sends,
            longest: SessionDuration::from_seconds(14_400).unwrap(),
            iam,
            is_missing: false,
            known_as: None,
            trusted: Some(by),
        }
    }

    const TAGS: Sends = Sends {
        tags: true,
        source_identity: false,
    };
    const TRUSTS_US: &str = r#"{"Effect":"Allow","Action":"sts:AssumeRole",
        "Principal":{"AWS":"arn:aws:iam::444455556666:user/rolegate"}}"#;
    const TRUSTS_OTHERS: &str = r#"{"Effect":"Allow","Action":"sts:AssumeRole",
        "Principal":{"AWS":"arn:aws:iam::999999999999:root"}}"#;

    fn denied() -> StsError {
        StsError::AccessDenied {
            message: "not authorized".to_owned(),
            request_id: None,
        }
    }

    #[test]
    fn what_passes_is_never_red() {
        let by = trusted();
        for (error, is_passing) in [
            (StsError::Throttled, true),
            (StsError::Unavailable("x".into()), true),
            (StsError::UnknownSource("x".to_owned()), false),
            (
                StsError::BrokerCredentials {
                    code: "none".to_owned(),
                    cause: None,
                },
                false,
            ),
        ] {
            let verdict = Verdict::of(Err(&error), evidence(TAGS, None, &by));
            assert_eq!(verdict.state, ProbeState::Inconclusive, "{error}");
            assert_eq!(verdict.is_passing, is_passing, "{error}");
        }
    }

    #[test]
    fn a_denial_is_red_unless_people_bring_more_than_a_probe() {
        let by = trusted();
        let state = |sends, iam| Verdict::of(Err(&denied()), evidence(sends, iam, &by)).state;
        assert_eq!(state(Sends::default(), None), ProbeState::Broken);
        assert_eq!(state(TAGS, None), ProbeState::Inconclusive);
        let (ours, others) = (iam(TRUSTS_US), iam(TRUSTS_OTHERS));
        assert_eq!(state(TAGS, Some(&others)), ProbeState::Broken);
        assert_eq!(state(TAGS, Some(&ours)), ProbeState::Broken);
        let wants_tags = TRUSTS_US.replacen(
            "\"Effect\"",
            "\"Condition\":{\"StringEquals\":{\"aws:RequestTag/team\":\"x\"}},\"Effect\"",
            1,
        );
        assert_eq!(
            state(TAGS, Some(&iam(&wants_tags))),
            ProbeState::Inconclusive
        );
        let missing = Evidence {
            is_missing: true,
            ..evidence(TAGS, None, &by)
        };
        let verdict = Verdict::of(Err(&denied()), missing);
        assert_eq!(verdict.state, ProbeState::Broken);
        assert!(verdict.message.unwrap().contains("no role of this name"));
        let pathed = "arn:aws:iam::111122223333:role/team/Admin".parse().unwrap();
        let elsewhere = Evidence {
            known_as: Some(&pathed),
            ..evidence(TAGS, Some(&ours), &by)
        };
        let verdict = Verdict::of(Err(&denied()), elsewhere);
        assert_eq!(verdict.state, ProbeState::Broken);
        assert!(verdict.message.unwrap().contains(pathed.as_str()));
    }

    #[test]
    fn what_iam_tells_is_compared_with_the_table() {
        let by = trusted();
        let ours = iam(TRUSTS_US);
        let works = Verdict::of(Ok(()), evidence(Sends::default(), Some(&ours), &by));
        assert_eq!(works.state, ProbeState::Works);
        let message = works.message.unwrap();
        assert!(
            message.contains("4 h") && message.contains("1 h"),
            "{message}"
        );
        let lacking = Verdict::of(Ok(()), evidence(TAGS, Some(&ours), &by));
        assert_eq!(lacking.state, ProbeState::Broken);
        assert!(lacking.message.unwrap().contains("sts:TagSession"));
        let unknown = Verdict::of(Ok(()), evidence(TAGS, None, &by));
        assert_eq!((unknown.state, unknown.message), (ProbeState::Works, None));
    }
}
