//! `AssumeRole`: a role opened with the broker's own credentials.
//!
//! Never here: people's assertions and tokens. Entry point: [`SdkSts::issue_own`].

use aws_sdk_sts::operation::RequestId;
use secrecy::ExposeSecret as _;

use super::{
    Answer, Code, SdkSts, Signer, TooLong, locked, may_shorten, policy_arns, refusal, tags,
};
use crate::{
    access::{Grant, SessionDuration},
    aws::{Issued, StsError},
};

impl SdkSts {
    /// Asks for the role, with a code of an MFA device where one was brought; an hour the second
    /// time where the role allows less than was granted and nobody chose the length.
    pub(super) async fn issue_own(
        &self,
        grant: &Grant,
        region: &str,
        code: Option<&Code<'_>>,
    ) -> Result<Issued, StsError> {
        let source = grant.credential_source();
        let may_shorten = may_shorten(grant);
        let is_known_short = self.is_chained(source)
            || code.is_some() && locked(&self.short).contains(grant.target());
        if may_shorten && is_known_short {
            let hour = SessionDuration::HOUR;
            return self.assume_role(grant, region, hour, code).await;
        }
        let error = match self
            .assume_role(grant, region, grant.duration(), code)
            .await
        {
            Ok(issued) => return Ok(issued),
            Err(error) => error,
        };
        let limit = TooLong::of(&error);
        if limit == Some(TooLong::ForChaining) {
            locked(&self.chained).insert(source.to_owned(), true);
        }
        if limit.is_none() || !may_shorten {
            return Err(error);
        }
        if code.is_some() {
            locked(&self.short).insert(grant.target().clone());
        }
        let shorter = self.assume_role(grant, region, SessionDuration::HOUR, code);
        match shorter.await {
            // It was right: AWS took it with the length that it then refused. The next one will do.
            Err(StsError::CodeRefused { .. }) => Err(StsError::CodeUsed),
            result => result,
        }
    }

    async fn assume_role(
        &self,
        grant: &Grant,
        region: &str,
        duration: SessionDuration,
        code: Option<&Code<'_>>,
    ) -> Result<Issued, StsError> {
        let source = grant.credential_source();
        let client = self.client(source, region).await?;
        let output = client
            .assume_role()
            .role_arn(grant.target().as_str())
            .role_session_name(grant.session_name().as_str())
            .duration_seconds(duration.seconds().cast_signed())
            .set_external_id(grant.external_id().map(str::to_owned))
            .set_source_identity(grant.source_identity().map(|name| name.as_str().to_owned()))
            .set_policy(grant.session_policy().map(str::to_owned))
            .set_policy_arns(policy_arns(grant))
            .set_tags(tags(grant))
            .set_serial_number(code.map(|code| code.serial.to_owned()))
            .set_token_code(code.map(|code| code.digits.expose_secret().to_owned()))
            .send()
            .await
            .map_err(|error| refusal(&error, region, Signer::Broker))
            .inspect_err(|error| self.forget_refused(source, error))?;
        let answer = Answer {
            request_id: output.request_id().map(str::to_owned),
            credentials: output.credentials,
            who: output.assumed_role_user.map(Into::into),
        };
        answer.issued(region, duration, self.is_chained(source))
    }
}
