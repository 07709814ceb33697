//! Roles that AWS gives to an IAM user's long-term keys alone, and sources that cannot have them.
//!
//! Entry points: [`needs`], [`Need::offline`], [`Need::against`].

use crate::{
    access::{GrantMethod, Policy, TargetArn},
    aws::Caller,
    config::{CredentialSource, CredentialSourceKind},
};

/// A role whose credential source has to be an IAM user's long-term keys.
#[derive(Debug)]
pub(super) struct Need {
    pub(super) role: TargetArn,
    pub(super) source: String,
    method: GrantMethod,
}

/// The roles of `arns` that need such keys.
pub(super) fn needs(policy: &Policy, arns: &[TargetArn]) -> Vec<Need> {
    let of = |arn: &TargetArn| {
        let role = policy.effective(arn)?;
        let method = role.grant_method;
        let is_one = matches!(
            method,
            GrantMethod::FederationToken | GrantMethod::SessionToken
        );
        is_one.then(|| Need {
            role: arn.clone(),
            source: role.credential_source.clone(),
            method,
        })
    };
    arns.iter().filter_map(of).collect()
}

impl Need {
    /// What is wrong with the source by its kind.
    pub(super) fn offline(&self, sources: &[CredentialSource]) -> Option<String> {
        let source = sources.iter().find(|source| source.id == self.source)?;
        let CredentialSourceKind::AssumeRole { role_arn, .. } = &source.kind else {
            return None;
        };
        Some(format!(
            "is opened by {}, for which AWS takes the long-term keys of an IAM user alone, and \
             credential source `{}` is the role {role_arn}; give it an environment-file or a \
             profile with the user's keys",
            self.method, self.source
        ))
    }

    /// What is wrong with the source by who it is.
    pub(super) fn against(&self, caller: &Caller) -> Option<String> {
        let (method, source, arn) = (self.method, &self.source, &caller.arn);
        if caller.user_name().is_none() {
            return Some(format!(
                "is opened by {method}, for which AWS takes the long-term keys of an IAM user \
                 alone, and credential source `{source}` is {arn}"
            ));
        }
        let is_other = match method {
            GrantMethod::SessionToken => arn != self.role.as_str(),
            _ => caller.account != self.role.account_digits(),
        };
        is_other.then(|| {
            format!(
                "is opened by {method} with credential source `{source}`, and that is {arn}; give \
                 it the keys of {}",
                match method {
                    GrantMethod::SessionToken => self.role.to_string(),
                    _ => format!("an IAM user of account {}", self.role.account()),
                }
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn need(role: &str, method: GrantMethod) -> Need {
        Need {
            role: role.parse().unwrap(),
            source: "keys".to_owned(),
            method,
        }
    }

    fn caller(arn: &str) -> Caller {
        Caller {
            arn: arn.to_owned(),
            account: arn.split(':').nth(4).unwrap().to_owned(),
            is_temporary: false,
        }
    }

    #[test]
    fn a_source_has_to_be_the_user_or_of_the_account_that_the_role_is_of() {
        let user = "arn:aws:iam::111122223333:user/tools/uploads";
        let other = "arn:aws:iam::111122223333:user/rolegate";
        let elsewhere = "arn:aws:iam::444455556666:user/tools/uploads";
        let instance = "arn:aws:sts::111122223333:assumed-role/web/i-0123456789abcdef0";
        let federated = "arn:aws:sts::111122223333:federated-user/uploads";
        let session = need(user, GrantMethod::SessionToken);
        let federation = need(federated, GrantMethod::FederationToken);
        for (arn, suits_session, suits_federation) in [
            (user, true, true),
            (other, false, true),
            (elsewhere, false, false),
            (instance, false, false),
            (federated, false, false),
            ("arn:aws:iam::111122223333:root", false, false),
        ] {
            let caller = caller(arn);
            assert_eq!(session.against(&caller).is_none(), suits_session, "{arn}");
            assert_eq!(
                federation.against(&caller).is_none(),
                suits_federation,
                "{arn}"
            );
        }
    }

    #[test]
    fn a_source_that_assumes_a_role_never_has_such_keys() {
        let need = need(
            "arn:aws:iam::111122223333:user/uploads",
            GrantMethod::SessionToken,
        );
        let source = |kind| CredentialSource {
            id: "keys".to_owned(),
            kind,
        };
        let chained = source(CredentialSourceKind::AssumeRole {
            source: "other".to_owned(),
            role_arn: "arn:aws:iam::111122223333:role/hub".to_owned(),
            external_id: None,
        });
        assert!(need.offline(&[chained]).unwrap().contains("role/hub"));
        assert!(
            need.offline(&[source(CredentialSourceKind::DefaultChain)])
                .is_none()
        );
    }
}
