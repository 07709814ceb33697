//! `AssumeRoleWithSAML`: credentials for an assertion, without any of our own.
//!
//! Nothing is signed, so it works where no credential source does. Never here: reading the
//! assertion; it goes to AWS as it was posted to us. Entry point: [`SdkSts::issue_by_saml`].

use aws_sdk_sts::{Client, config::Region, operation::RequestId};
use secrecy::{ExposeSecret, SecretString};
use time::{Duration, OffsetDateTime};

use super::{Answer, SdkSts, Signer, TooLong, invalid, locked, may_shorten, policy_arns, refusal};
use crate::{
    access::{Grant, SessionDuration},
    aws::{Issued, StsError},
    clock::{Clock, SystemClock},
};

/// How many characters AWS takes (AWS API, AssumeRoleWithSAML).
const RESPONSE_CHARACTERS: std::ops::RangeInclusive<usize> = 4..=100_000;
/// By how much AWS's clock may differ from ours before a session counts as shortened.
const CLOCK_SKEW: Duration = Duration::minutes(2);

impl SdkSts {
    /// Asks with a response of the person's identity provider, or of our own issuer; an hour the second time
    /// where the role allows less than was granted and nobody chose the length.
    pub(super) async fn issue_by_saml(
        &self,
        grant: &Grant,
        region: &str,
        response: &SecretString,
    ) -> Result<Issued, StsError> {
        let result = self
            .assume_role_with_saml(grant, region, response, grant.duration())
            .await;
        match result {
            Err(error) if TooLong::of(&error).is_some() && may_shorten(grant) => {
                self.assume_role_with_saml(grant, region, response, SessionDuration::HOUR)
                    .await
            }
            result => result,
        }
    }

    async fn assume_role_with_saml(
        &self,
        grant: &Grant,
        region: &str,
        response: &SecretString,
        duration: SessionDuration,
    ) -> Result<Issued, StsError> {
        let provider = grant.saml_provider().ok_or_else(|| {
            let message = format!("no IAM SAML provider is known for {}", grant.target());
            invalid("saml_provider", message)
        })?;
        let length = response.expose_secret().len();
        if !RESPONSE_CHARACTERS.contains(&length) {
            return Err(StsError::AssertionRefused {
                code: "length".to_owned(),
                message: format!(
                    "the response has {length} characters in base64, and AWS takes at most {}",
                    RESPONSE_CHARACTERS.end()
                ),
                request_id: None,
            });
        }
        let output = self
            .unsigned(region)
            .assume_role_with_saml()
            .role_arn(grant.target().as_str())
            .principal_arn(provider.as_str())
            .saml_assertion(response.expose_secret())
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
        let mut issued = answer.issued(region, duration, false)?;
        let expiration = issued.credentials.expiration;
        issued.duration = in_force(duration, expiration, SystemClock.now());
        Ok(issued)
    }

    /// The client of a region that signs nothing.
    pub(super) fn unsigned(&self, region: &str) -> Client {
        let mut clients = locked(&self.unsigned);
        let client = clients.entry(region.to_owned()).or_insert_with(|| {
            // The base has no credentials, and the SDK then leaves the signature out.
            let configuration = aws_sdk_sts::config::Builder::from(&self.base)
                .region(Region::new(region.to_owned()))
                .build();
            Client::from_conf(configuration)
        });
        client.clone()
    }
}

/// The length of a session that the assertion may have shortened (`SessionNotOnOrAfter`,
/// `SessionDuration`), so that the console's is not asked to be longer.
fn in_force(asked: SessionDuration, end: OffsetDateTime, now: OffsetDateTime) -> SessionDuration {
    let left = end - now;
    if left + CLOCK_SKEW >= Duration::seconds(i64::from(asked.seconds())) {
        return asked;
    }
    u64::try_from(left.whole_seconds())
        .ok()
        .and_then(|seconds| SessionDuration::from_seconds(seconds).ok())
        .unwrap_or(SessionDuration::SHORTEST)
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn a_session_that_the_assertion_shortened_is_as_long_as_it_lasts() {
        let now = datetime!(2026-11-24 10:00 UTC);
        let four_hours = SessionDuration::from_seconds(14_400).unwrap();
        for (minutes, seconds) in [
            (240, 14_400),
            (239, 14_400),
            (300, 14_400),
            (60, 3_600),
            (5, 900),
            (-5, 900),
        ] {
            let end = now + Duration::minutes(minutes);
            assert_eq!(
                in_force(four_hours, end, now).seconds(),
                seconds,
                "{minutes}"
            );
        }
    }
}
