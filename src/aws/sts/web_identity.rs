//! `AssumeRoleWithWebIdentity`: credentials for a token, without any of our own.
//!
//! Nothing is signed, so it works where no credential source does. Never here: reading the token.
//! Entry point: [`SdkSts::issue_by_web_identity`].

use aws_sdk_sts::operation::RequestId;
use secrecy::{ExposeSecret, SecretString};

use super::{Answer, SdkSts, Signer, TooLong, may_shorten, policy_arns, refusal};
use crate::{
    access::{Grant, SessionDuration},
    aws::{Issued, StsError},
};

/// How many characters AWS takes (AWS API, AssumeRoleWithWebIdentity).
const TOKEN_CHARACTERS: std::ops::RangeInclusive<usize> = 4..=20_000;

/// What vouches for the person.
#[derive(Clone, Copy)]
pub(super) struct Token<'a> {
    pub(super) token: &'a SecretString,
    /// Whose access token it is; none for ID tokens.
    pub(super) provider_id: Option<&'a str>,
}

impl SdkSts {
    /// Asks with a token; an hour the second time where the role allows less than was granted and
    /// nobody chose the length.
    pub(super) async fn issue_by_web_identity(
        &self,
        grant: &Grant,
        region: &str,
        token: Token<'_>,
    ) -> Result<Issued, StsError> {
        let length = token.token.expose_secret().len();
        if !TOKEN_CHARACTERS.contains(&length) {
            return Err(StsError::AssertionRefused {
                code: "length".to_owned(),
                message: format!(
                    "the token has {length} characters, and AWS takes {} to {}",
                    TOKEN_CHARACTERS.start(),
                    TOKEN_CHARACTERS.end()
                ),
                request_id: None,
            });
        }
        let asked = grant.duration();
        let result = self.assume_role_with(grant, region, token, asked).await;
        match result {
            Err(error) if TooLong::of(&error).is_some() && may_shorten(grant) => {
                let hour = SessionDuration::HOUR;
                self.assume_role_with(grant, region, token, hour).await
            }
            result => result,
        }
    }

    async fn assume_role_with(
        &self,
        grant: &Grant,
        region: &str,
        Token { token, provider_id }: Token<'_>,
        duration: SessionDuration,
    ) -> Result<Issued, StsError> {
        let output = self
            .unsigned(region)
            .assume_role_with_web_identity()
            .role_arn(grant.target().as_str())
            .role_session_name(grant.session_name().as_str())
            .web_identity_token(token.expose_secret())
            .set_provider_id(provider_id.map(str::to_owned))
            .duration_seconds(duration.seconds().cast_signed())
            .set_policy(grant.session_policy().map(str::to_owned))
            .set_policy_arns(policy_arns(grant))
            .send()
            .await
            .map_err(|error| refusal(&error, region, Signer::Nobody))?;
        let answer = Answer {
            request_id: output.request_id().map(str::to_owned),
            credentials: output.credentials,
            who: output.assumed_role_user.map(Into::into),
        };
        answer.issued(region, duration, false)
    }
}
