//! What STS's refusals and silences mean.
//!
//! Never here: the SDK's own error values going on: their Debug shows the raw answer, which can
//! hold credentials. Sources: STS API "Errors" and "Common errors". Entry points: [`refusal`],
//! [`TooLong`].

use std::error::Error;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_sts::{
    config::http::HttpResponse,
    error::{ConnectorError, ProvideErrorMetadata, SdkError},
    operation::RequestId,
};
use thiserror::Error;

use crate::aws::{Cause, StsError};

/// The longest message of AWS's that is passed on, in characters.
const LONGEST_MESSAGE: usize = 1_000;
/// How AWS's answer starts that it could not read the keys of a token's issuer.
pub(in crate::aws) const ISSUER_UNREACHABLE: &str = "IDPCommunicationError";
/// How AWS's answer to a code starts that is wrong, or was used before.
const CODE_REFUSED: &str = "MultiFactorAuthentication failed";
/// How much of an answer is searched for a code that the SDK did not find, in bytes.
const SEARCHED: usize = 8 * 1024;

/// Which limit a duration exceeds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::aws) enum TooLong {
    /// The role's `MaxSessionDuration`.
    ForRole,
    /// One hour, because the caller is a role session itself.
    ForChaining,
}

impl TooLong {
    /// Recognises the refusal by its message; STS has no code of its own for it.
    pub(in crate::aws) fn of(error: &StsError) -> Option<Self> {
        let StsError::Invalid { message, .. } = error else {
            return None;
        };
        if message.contains("session limit for roles assumed by role chaining") {
            Some(Self::ForChaining)
        } else if message.contains("exceeds the MaxSessionDuration") {
            Some(Self::ForRole)
        } else {
            None
        }
    }
}

/// Whose word a call rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Signer {
    /// The broker's own credentials.
    Broker,
    /// Nobody's: an assertion speaks for the person.
    Nobody,
}

/// Text for the log that names a failure and holds nothing of an answer's body.
#[derive(Debug, Error)]
#[error("{0}")]
struct Failure(String);

fn cause(text: impl Into<String>) -> Cause {
    Box::new(Failure(text.into()))
}

/// Restates what the SDK reports about a call in `region`.
pub(super) fn refusal<E>(
    error: &SdkError<E, HttpResponse>,
    region: &str,
    signer: Signer,
) -> StsError
where
    E: ProvideErrorMetadata + Error + Send + Sync + 'static,
{
    let request_id = error.request_id().map(str::to_owned);
    match error {
        SdkError::ServiceError(context) => {
            let body = context.raw().body().bytes().unwrap_or_default();
            let answer = Answer {
                status: context.raw().status().as_u16(),
                code: (context.err().code().map(str::to_owned)).or_else(|| element(body, "Code")),
                message: (context.err().message().map(str::to_owned))
                    .or_else(|| element(body, "Message")),
                request_id,
            };
            answer.meaning(region, signer)
        }
        SdkError::ResponseError(context) => StsError::Unavailable(cause(format!(
            "HTTP {} with a body that is not an answer of STS",
            context.raw().status().as_u16()
        ))),
        SdkError::TimeoutError(_) => StsError::Unavailable(cause(
            "no answer within the deadline, from STS or from what gives the broker its credentials",
        )),
        SdkError::DispatchFailure(_) | SdkError::ConstructionFailure(_) => undelivered(error),
        _ => StsError::Unavailable(cause("the call failed in the SDK")),
    }
}

/// A call that never reached STS: no credentials, or no connection.
fn undelivered(error: &(dyn Error + 'static)) -> StsError {
    let text = cause(
        causes(error)
            .skip(1)
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(": "),
    );
    let credentials = causes(error).find_map(|error| error.downcast_ref::<CredentialsError>());
    let Some(credentials) = credentials else {
        return StsError::Unavailable(text);
    };
    let is_unreachable = causes(credentials).any(<dyn Error>::is::<ConnectorError>);
    match credentials {
        CredentialsError::ProviderTimedOut(_) => StsError::Unavailable(text),
        CredentialsError::ProviderError(_) if is_unreachable => StsError::Unavailable(text),
        CredentialsError::CredentialsNotLoaded(_) => broker("none", Some(text)),
        CredentialsError::InvalidConfiguration(_) => broker("configuration", Some(text)),
        _ => broker("provider", Some(text)),
    }
}

/// An error and everything behind it.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error: &&'a (dyn Error + 'static)| {
        (*error).source()
    })
}

fn broker(code: &str, cause: Option<Cause>) -> StsError {
    StsError::BrokerCredentials {
        code: code.to_owned(),
        cause,
    }
}

/// A refusal as it came.
struct Answer {
    status: u16,
    code: Option<String>,
    message: Option<String>,
    request_id: Option<String>,
}

impl Answer {
    fn meaning(self, region: &str, signer: Signer) -> StsError {
        let code = self.code.as_deref().map_or_else(String::new, printable);
        let message = self.message.as_deref().map_or_else(String::new, printable);
        match code.as_str() {
            "AccessDenied" if message.starts_with(CODE_REFUSED) => StsError::CodeRefused {
                request_id: self.request_id,
            },
            code if code.starts_with(ISSUER_UNREACHABLE) => {
                StsError::Unavailable(cause(format!("{ISSUER_UNREACHABLE}: {message}")))
            }
            "AccessDenied" | "AccessDeniedException" | "UnauthorizedOperation" => {
                StsError::AccessDenied {
                    message,
                    request_id: self.request_id,
                }
            }
            "ExpiredToken" | "ExpiredTokenException" if signer == Signer::Nobody => {
                StsError::AssertionExpired
            }
            "InvalidIdentityToken"
            | "InvalidIdentityTokenException"
            | "IDPRejectedClaim"
            | "IDPRejectedClaimException"
            | "AuthSamlInvalidSamlResponseException"
            | "AuthSamlManifestNotFoundException" => StsError::AssertionRefused {
                code,
                message,
                request_id: self.request_id,
            },
            "RegionDisabledException" | "RegionDisabled" => StsError::RegionDisabled {
                region: region.to_owned(),
            },
            "InvalidClientTokenId"
            | "UnrecognizedClientException"
            | "SignatureDoesNotMatch"
            | "InvalidSignatureException"
            | "IncompleteSignature"
            | "MissingAuthenticationToken"
            | "MissingAuthenticationTokenException"
            | "ExpiredToken"
            | "ExpiredTokenException"
            | "RequestExpired"
            | "RequestTimeTooSkewed"
            | "AuthFailure"
            | "OptInRequired"
            | "NotAuthorized" => broker(&code, Some(cause(message))),
            "Throttling"
            | "ThrottlingException"
            | "ThrottledException"
            | "RequestThrottled"
            | "RequestThrottledException"
            | "RequestLimitExceeded"
            | "TooManyRequestsException"
            | "SlowDown"
            | "PriorRequestNotComplete"
            | "BandwidthLimitExceeded" => StsError::Throttled,
            _ if self.status == 429 => StsError::Throttled,
            _ if self.status >= 500 || code.is_empty() => {
                StsError::Unavailable(cause(format!("HTTP {} {code}", self.status)))
            }
            _ => StsError::Invalid {
                code,
                message,
                request_id: self.request_id,
            },
        }
    }
}

/// One line, and not endless.
fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(LONGEST_MESSAGE)
        .collect()
}

/// The text of an element anywhere in an error answer: some endpoints that speak STS nest it
/// deeper than AWS does, where the SDK does not look.
fn element(body: &[u8], name: &str) -> Option<String> {
    let text = String::from_utf8_lossy(&body[..body.len().min(SEARCHED)]);
    let (_, rest) = text.split_once(&format!("<{name}>"))?;
    let (value, _) = rest.split_once(&format!("</{name}>"))?;
    Some(value.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meaning(status: u16, code: &str, message: &str) -> StsError {
        meaning_for(status, code, message, Signer::Broker)
    }

    fn meaning_for(status: u16, code: &str, message: &str, signer: Signer) -> StsError {
        let answer = Answer {
            status,
            code: (!code.is_empty()).then(|| code.to_owned()),
            message: Some(message.to_owned()),
            request_id: Some("r-1".to_owned()),
        };
        answer.meaning("eu-west-1", signer)
    }

    #[test]
    fn every_code_has_its_meaning() {
        for (status, code, meant) in [
            (403, "AccessDenied", "aws_access_denied"),
            (400, "ValidationError", "aws_invalid_request"),
            (400, "PackedPolicyTooLarge", "aws_invalid_request"),
            (400, "MalformedPolicyDocument", "aws_invalid_request"),
            (400, "SomethingNew", "aws_invalid_request"),
            (403, "RegionDisabledException", "aws_region_disabled"),
            (403, "InvalidClientTokenId", "aws_broker_credentials"),
            (403, "SignatureDoesNotMatch", "aws_broker_credentials"),
            (403, "ExpiredToken", "aws_broker_credentials"),
            (400, "ExpiredTokenException", "aws_broker_credentials"),
            (400, "RequestExpired", "aws_broker_credentials"),
            (400, "Throttling", "aws_throttled"),
            (400, "ThrottlingException", "aws_throttled"),
            (429, "", "aws_throttled"),
            (500, "InternalFailure", "aws_unavailable"),
            (503, "ServiceUnavailable", "aws_unavailable"),
            (502, "", "aws_unavailable"),
            (404, "", "aws_unavailable"),
        ] {
            assert_eq!(meaning(status, code, "m").code(), meant, "{status} {code}");
        }
    }

    #[test]
    fn what_is_wrong_with_an_assertion_is_never_the_brokers_credentials() {
        for (status, code, meant) in [
            (400, "ExpiredTokenException", "aws_assertion_expired"),
            (400, "ExpiredToken", "aws_assertion_expired"),
            (400, "InvalidIdentityToken", "aws_assertion_refused"),
            (403, "IDPRejectedClaim", "aws_assertion_refused"),
            (403, "AccessDenied", "aws_access_denied"),
            (400, "ValidationError", "aws_invalid_request"),
        ] {
            let found = meaning_for(status, code, "m", Signer::Nobody);
            assert_eq!(found.code(), meant, "{status} {code}");
        }
    }

    #[test]
    fn an_issuer_that_aws_cannot_reach_is_an_outage_with_words_of_its_own() {
        for code in ["IDPCommunicationError", "IDPCommunicationErrorException"] {
            let found = meaning_for(400, code, "Couldn't retrieve", Signer::Nobody);
            assert_eq!(found.code(), "aws_unavailable");
            assert!(found.for_operator().contains("jwks"), "{found:?}");
        }
    }

    #[test]
    fn a_refused_code_is_told_from_a_refused_role() {
        for message in [
            "MultiFactorAuthentication failed with invalid MFA one time pass code. ",
            "MultiFactorAuthentication failed, unable to validate MFA code.  Please verify your MFA \
             serial number is valid and associated with this user.",
        ] {
            let found = meaning(403, "AccessDenied", message);
            assert_eq!(found.code(), "aws_code_refused", "{message}");
        }
    }

    #[test]
    fn both_limits_are_recognised_by_their_words() {
        for (message, limit) in [
            (
                "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.",
                Some(TooLong::ForRole),
            ),
            (
                "The requested DurationSeconds exceeds the 1 hour session limit for roles \
                 assumed by role chaining.",
                Some(TooLong::ForChaining),
            ),
            ("1 validation error detected", None),
        ] {
            assert_eq!(
                TooLong::of(&meaning(400, "ValidationError", message)),
                limit
            );
        }
    }

    #[test]
    fn messages_stay_on_one_line_and_end() {
        let message = format!("a\nb{}", "x".repeat(5_000));
        let StsError::AccessDenied { message, .. } = meaning(403, "AccessDenied", &message) else {
            panic!("not refused");
        };
        assert_eq!(message.chars().count(), LONGEST_MESSAGE);
        assert!(message.starts_with("a bx"));
    }
}
