//! `GetFederationToken` and `GetSessionToken`, which AWS gives to an IAM user's long-term keys.
//!
//! Both would work with the keys of an account's root user, and their answers do not tell whose the
//! keys were. So the caller is asked for each time, before anything is issued. Never here: roles.
//! Entry points: [`SdkSts::issue_federation_token`], [`SdkSts::issue_session_token`].

use aws_sdk_sts::operation::RequestId;
use secrecy::ExposeSecret as _;

use super::{Answer, Code, SdkSts, Signer, answer::Who, invalid, policy_arns, refusal, tags};
use crate::{
    access::Grant,
    aws::{Caller, Issued, StsError},
};

impl SdkSts {
    /// Credentials of a federated user, narrowed by the grant's session policies.
    pub(super) async fn issue_federation_token(
        &self,
        grant: &Grant,
        region: &str,
    ) -> Result<Issued, StsError> {
        if grant.session_policy().is_none() && grant.policy_arns().is_empty() {
            let message = "a federated user without a session policy may do nothing at all";
            return Err(invalid("session_policy", message.to_owned()));
        }
        let source = grant.credential_source();
        self.user_behind(grant, region).await?;
        let output = self
            .client(source, region)
            .await?
            .get_federation_token()
            .name(grant.federated_name())
            .duration_seconds(grant.duration().seconds().cast_signed())
            .set_policy(grant.session_policy().map(str::to_owned))
            .set_policy_arns(policy_arns(grant))
            .set_tags(tags(grant))
            .send()
            .await
            .map_err(|error| refusal(&error, region, Signer::Broker))
            .inspect_err(|error| self.forget_refused(source, error))?;
        let answer = Answer {
            request_id: output.request_id().map(str::to_owned),
            credentials: output.credentials,
            who: output.federated_user.map(Into::into),
        };
        // The console takes no SessionDuration with these, as with chained credentials.
        answer.issued(region, grant.duration(), true)
    }

    /// Temporary credentials of the IAM user that the grant names, whose keys are the grant's
    /// credential source. They may do all that the user may.
    pub(super) async fn issue_session_token(
        &self,
        grant: &Grant,
        region: &str,
        code: Option<&Code<'_>>,
    ) -> Result<Issued, StsError> {
        let narrowed = grant.is_read_only()
            || grant.session_policy().is_some()
            || !grant.policy_arns().is_empty();
        if narrowed {
            let message = "AWS narrows no session of an IAM user (GetSessionToken)";
            return Err(invalid("session_policy", message.to_owned()));
        }
        let source = grant.credential_source();
        let user = self.user_behind(grant, region).await?;
        let output = self
            .client(source, region)
            .await?
            .get_session_token()
            .duration_seconds(grant.duration().seconds().cast_signed())
            .set_serial_number(code.map(|code| code.serial.to_owned()))
            .set_token_code(code.map(|code| code.digits.expose_secret().to_owned()))
            .send()
            .await
            .map_err(|error| refusal(&error, region, Signer::Broker))
            .inspect_err(|error| self.forget_refused(source, error))?;
        let answer = Answer {
            request_id: output.request_id().map(str::to_owned),
            credentials: output.credentials,
            who: Some(Who {
                arn: user.arn,
                // STS does not tell the user's id.
                id: String::new(),
            }),
        };
        answer.issued(region, grant.duration(), true)
    }

    /// The IAM user whose keys sign, where it is the one that the grant's target is of.
    async fn user_behind(&self, grant: &Grant, region: &str) -> Result<Caller, StsError> {
        let source = grant.credential_source();
        let caller = self.caller_in(source, region).await?;
        match misfit(&caller, grant) {
            None => Ok(caller),
            Some(problem) => Err(invalid(
                "credential_source",
                format!("credential source `{source}` is {}, {problem}", caller.arn),
            )),
        }
    }
}

/// Why a caller cannot give what the grant's target stands for.
fn misfit(caller: &Caller, grant: &Grant) -> Option<String> {
    let (method, target) = (grant.method(), grant.target());
    if caller.user_name().is_none() {
        return Some(format!(
            "and AWS gives {method} to the long-term keys of an IAM user alone"
        ));
    }
    let is_other = match method {
        crate::access::GrantMethod::SessionToken => caller.arn != target.as_str(),
        _ => caller.account != target.account_digits(),
    };
    is_other.then(|| format!("and not what {target} is of"))
}
