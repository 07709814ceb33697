//! What AWS's refusals mean, in a sentence for the person and one for the operator.
//!
//! Never here: AWS's own message in what the person reads; it names accounts and the broker's role.
//! Entry points: [`StsError::for_person`], [`StsError::for_operator`].

use super::{
    SignInUrlError, StsError,
    sts::{ISSUER_UNREACHABLE, TooLong},
};

/// The advice that ends most of what a person reads.
const ASK: &str = "Tell whoever runs Rolegate the request number on this page";

impl StsError {
    /// The fact and the next step, for the person who wanted the role.
    pub fn for_person(&self) -> String {
        match self {
            Self::AccessDenied { .. } => format!(
                "AWS does not let Rolegate open this role, although you may have it. {ASK}: the \
                 role's trust policy has to be looked at."
            ),
            Self::Invalid { code, .. } => self.invalid_for_person(code),
            // Whose assertion is old is sent for a fresh one; who reads this has brought it just now.
            Self::AssertionExpired => format!(
                "AWS takes a sign-in for a few minutes, and holds yours for older although it is \
                 new: a clock is wrong. {ASK}."
            ),
            Self::AssertionRefused { .. } => format!(
                "AWS did not take the word that was given for you. If you were given the role \
                 just now, sign out, sign in and open it again. {ASK} if that does not help."
            ),
            Self::RegionDisabled { region } => format!(
                "The account of this role has switched off sign-in in {region}. {ASK}: the role \
                 needs another region."
            ),
            Self::BrokerCredentials { .. } => format!(
                "Rolegate itself could not sign in to AWS; nothing is wrong with your access. \
                 {ASK}."
            ),
            Self::CodeRefused { .. } => {
                "AWS did not take the code. A code works once and for half a \
                                          minute: wait for the next one on the device, and open \
                                          the role again."
                    .to_owned()
            }
            Self::CodeUsed => "AWS takes a code once, and this one was used. Wait for the next \
                               one on the device, and open the role again."
                .to_owned(),
            Self::Issuer(_) => format!(
                "Rolegate could not vouch for you at AWS; nothing is wrong with your access. {ASK}."
            ),
            Self::Throttled => "AWS is answering too many requests just now. Wait half a minute, \
                                then open the role again."
                .to_owned(),
            Self::Unavailable(_) => "AWS did not answer in time, so no session was opened. Open \
                                     the role again; if that fails too, look at the AWS health \
                                     page."
                .to_owned(),
            Self::UnknownSource(_) => {
                format!("This role is not set up completely in Rolegate. {ASK}.")
            }
        }
    }

    fn invalid_for_person(&self, code: &str) -> String {
        match TooLong::of(self) {
            Some(TooLong::ForRole) => {
                return "This role gives shorter sessions than you asked for. Choose a shorter \
                        one, such as one hour, and open it again."
                    .to_owned();
            }
            Some(TooLong::ForChaining) => {
                return "AWS gives at most one hour for this role. Choose one hour or less and \
                        open it again."
                    .to_owned();
            }
            None => {}
        }
        match code {
            "PackedPolicyTooLarge" => format!(
                "What Rolegate tells AWS about your session is too long for AWS. {ASK}: the \
                 role's tags or its session policy have to shrink."
            ),
            "MalformedPolicyDocument" => format!(
                "The session policy that Rolegate keeps for this role is not one that AWS \
                 understands. {ASK}."
            ),
            _ => {
                format!("AWS does not take the settings that Rolegate keeps for this role. {ASK}.")
            }
        }
    }

    /// What happened at AWS and what to check, for whoever runs the broker.
    pub fn for_operator(&self) -> String {
        match self {
            Self::AccessDenied { message, .. } => access_denied(message),
            Self::Invalid { code, message, .. } => {
                format!(
                    "AWS found the request invalid ({code}: {message}). {}",
                    self.cure(code)
                )
            }
            Self::AssertionExpired => {
                "AWS takes an assertion for five minutes after its IssueInstant, and a token until \
                 its exp. If this happens to fresh sign-ins too, the clock of whoever vouches is \
                 behind: check the time synchronisation of the identity provider, or ours where \
                 [issuer] vouches."
                    .to_owned()
            }
            Self::AssertionRefused { code, message, .. } => format!(
                "AWS refused the assertion or token ({code}: {message}). {}",
                assertion_cure(message)
            ),
            Self::RegionDisabled { region } => format!(
                "STS is switched off in {region} for the role's account. Switch it on there (IAM, \
                 account settings), or give the role or aws.default_region another region; \
                 us-east-1 cannot be switched off."
            ),
            Self::BrokerCredentials { code, .. } => broker_credentials(code),
            Self::CodeRefused { .. } => {
                "AWS did not take the code of the MFA device: it is wrong, or was \
                                          used before. If every code is refused, mfa_serial is not \
                                          the device of the IAM user whose keys sign."
                    .to_owned()
            }
            Self::CodeUsed => {
                "Somebody sent a code of an MFA device that AWS took a moment ago. A \
                               device has one code for half a minute, whoever uses it."
                    .to_owned()
            }
            Self::Issuer(error) => format!(
                "Rolegate's own issuer could not vouch for the person ({error}). Check [issuer] and \
                 the files of its keys."
            ),
            Self::Throttled => "STS is throttling the broker's account. If this lasts, look for \
                                another caller in that account, or ask AWS for a higher quota."
                .to_owned(),
            Self::Unavailable(cause) if cause.to_string().starts_with(ISSUER_UNREACHABLE) => {
                format!(
                    "AWS could not read the keys of the token's issuer ({cause}). Its \
                     /.well-known/openid-configuration and jwks_uri have to answer AWS from the \
                     internet, over HTTPS with a public certificate; where [issuer] vouches, that \
                     is Rolegate's own address."
                )
            }
            Self::Unavailable(cause) => format!(
                "STS gave no usable answer ({cause}). Check that the broker reaches the regional \
                 endpoint, or aws.sts_endpoint, through its proxy and firewall."
            ),
            Self::UnknownSource(id) => format!(
                "A role names the credential source `{id}`, and there is no \
                 [[aws.credential_source]] with that id. Add it, or correct the role."
            ),
        }
    }

    fn cure(&self, code: &str) -> &'static str {
        match TooLong::of(self) {
            Some(TooLong::ForRole) => {
                return "Raise the role's maximum session duration in IAM, or lower max_duration \
                        in the table.";
            }
            Some(TooLong::ForChaining) => {
                return "The broker runs on a role session, and AWS gives those one hour at most \
                        (role chaining). For longer sessions give it the keys of an IAM user, or \
                        lower max_duration in the table.";
            }
            None => {}
        }
        match code {
            "PackedPolicyTooLarge" => {
                "Send fewer or shorter session tags, or a shorter session policy: together they \
                 have one limit, and AWS's message tells the percentage."
            }
            "MalformedPolicyDocument" => {
                "The role's session_policy is not a policy by IAM's grammar; IAM's policy \
                 simulator or `aws accessanalyzer validate-policy` finds the place."
            }
            "proof" => {
                "Rolegate brought AWS the wrong kind of proof; sign in again, and report this if \
                 it stays."
            }
            "saml_provider" => {
                "Set saml_provider_arn for the role, or let the assertion name the provider."
            }
            "credential_source" => {
                "Give the role a credential source with the long-term keys of that IAM user; \
                 `rolegate check --live` says who each source is."
            }
            "session_policy" => "Correct the role's session_policy and policy_arns.",
            "console" => "The identity provider opens this role; nothing is asked of AWS for it.",
            "region" => "Correct the role's region; everything about a role is in one partition.",
            "grant_method" => "Correct the role's grant_method or its ARN.",
            _ => {
                "The message names the parameter. The session name comes from \
                 aws.session_name, the rest from the role's row."
            }
        }
    }
}

/// What to look at where AWS says no and not why, by the call that it names.
fn access_denied(message: &str) -> String {
    let cures = [
        (
            "AssumeRoleWithSAML",
            "Check that the role exists under exactly this name (AWS answers the same where it \
             does not); that its trust policy names the IAM SAML provider as Federated principal \
             and allows sts:AssumeRoleWithSAML; that its SAML:aud lists our assertion consumer \
             service, which is the Recipient of the assertion and not its Audience (where [issuer] \
             vouches, AWS's SAML sign-in address); that sts:TagSession and sts:SetSourceIdentity \
             are allowed where the assertion carries tags or a SourceIdentity; and that the \
             assertion has a NameID.",
        ),
        (
            "AssumeRoleWithWebIdentity",
            "Check that the role exists under exactly this name (AWS answers the same where it \
             does not); that its trust policy names the IAM OIDC provider as Federated principal \
             and allows sts:AssumeRoleWithWebIdentity; that its conditions on aud and sub match \
             the token; and that sts:TagSession and sts:SetSourceIdentity are allowed where the \
             token carries tags or a source identity.",
        ),
        (
            "with session credentials",
            "The credential source gives temporary credentials, and AWS gives federation-token and \
             session-token to the long-term keys of an IAM user alone.",
        ),
        (
            "GetFederationToken",
            "The broker's IAM user needs sts:GetFederationToken on the federated user, and \
             sts:TagSession where the role has session_tags.",
        ),
    ];
    let found = cures.iter().find(|(words, _)| message.contains(words));
    let cure = found.map_or(
        "Check that the role exists under exactly this name (AWS answers the same where it does \
         not); that its trust policy names the broker's principal, and names it anew if that was \
         deleted and made again; that the ExternalId, the SourceIdentity and every other condition \
         match; that mfa_serial is set where the trust policy wants a code; that sts:TagSession \
         and sts:SetSourceIdentity are allowed where tags or a SourceIdentity are sent; and, for \
         another account, that the broker's own policy allows sts:AssumeRole on the role.",
        |(_, cure)| cure,
    );
    format!("AWS refused: {message}. {cure}")
}

/// What to look at, by what AWS says of an assertion; it has one code for nearly all of it.
fn assertion_cure(message: &str) -> &'static str {
    let cures = [
        (
            "signature",
            "The identity provider signs with a key that the IAM SAML provider does not know: \
             upload its current metadata to IAM.",
        ),
        (
            "Issuer not present",
            "The IAM SAML provider has another identity provider's metadata: its entityID has to \
             be the assertion's Issuer.",
        ),
        (
            "OpenIDConnect provider",
            "There is no IAM OIDC provider for the token's issuer in the role's account: make one \
             with exactly the token's iss as its URL.",
        ),
        (
            "token audience",
            "The token's aud is none of the client ids of the IAM OIDC provider: add it there.",
        ),
        (
            "provider doesn't exist",
            "There is no such IAM SAML provider in the role's account: the identity provider's \
             Role attribute names it, beside the role.",
        ),
        (
            "audience",
            "The assertion needs the Audience urn:amazon:webservices (of the role's partition) \
             beside ours: add it at the identity provider's application.",
        ),
        (
            "RoleSessionName",
            "The identity provider has to send \
             https://aws.amazon.com/SAML/Attributes/RoleSessionName, one value of 2 to 64 letters, \
             digits or characters of _+=,.@-.",
        ),
        (
            "requested Role",
            "The identity provider does not name this role together with this IAM SAML provider \
             in https://aws.amazon.com/SAML/Attributes/Role.",
        ),
        (
            "characters in base64",
            "Let the identity provider send fewer attributes, such as only the groups that \
             Rolegate needs.",
        ),
    ];
    let found = cures.iter().find(|(words, _)| message.contains(words));
    found.map_or(
        "Check that the IAM SAML provider has the identity provider's current metadata, that the \
         assertion names the role with that provider, and that it is neither encrypted nor \
         changed on its way; of a token, that its issuer publishes the key that signed it.",
        |(_, cure)| cure,
    )
}

fn broker_credentials(code: &str) -> String {
    let cure = match code {
        "none" => {
            "The credential source has no credentials: set the environment, the profile, or the \
             instance's or container's role."
        }
        "configuration" | "provider" => {
            "The credential source could not give credentials; the log's cause tells why: a file \
             that cannot be read, a profile that is not complete, a hub role that does not trust \
             the broker."
        }
        "root" => {
            "These are the keys of an account's root user, which cannot assume roles. Make a role \
             or an IAM user for the broker, and delete the root user's keys."
        }
        "InvalidClientTokenId" | "UnrecognizedClientException" => {
            "AWS does not know the access key: it was deleted or deactivated, belongs to another \
             partition, or came without its session token."
        }
        "SignatureDoesNotMatch" | "InvalidSignatureException" | "IncompleteSignature" => {
            "The secret key does not belong to the access key, or a proxy changes requests on \
             their way."
        }
        "ExpiredToken" | "ExpiredTokenException" => {
            "The session token has run out: whatever refreshes it has stopped."
        }
        "RequestExpired" | "RequestTimeTooSkewed" => {
            "The broker's clock is more than five minutes off: check its time synchronisation."
        }
        _ => "Check the credential source, and that nothing changes requests on their way to AWS.",
    };
    format!("AWS did not accept the broker's own credentials ({code}). {cure}")
}

impl SignInUrlError {
    /// The fact and the next step, for the person who wanted the console.
    pub fn for_person(&self) -> String {
        match self {
            Self::Refused { .. } => {
                "AWS gave you the role but refused to open a console session with \
                                    it. Open the role again, with “sign this browser out of AWS \
                                    first” switched on. If that fails too, tell whoever runs \
                                    Rolegate the request number on this page."
                    .to_owned()
            }
            Self::Garbage => format!(
                "AWS gave you the role, but what answered in place of its sign-in page was not \
                 AWS's. {ASK}."
            ),
            Self::Unavailable(_) => {
                "AWS gave you the role, but its sign-in page did not answer in \
                                     time. Open the role again; nothing has to be undone."
                    .to_owned()
            }
            Self::NoHost(partition) => format!(
                "Rolegate does not know where people sign in to the console of {partition}. {ASK}."
            ),
        }
    }

    /// What happened at AWS and what to check, for whoever runs the broker.
    pub fn for_operator(&self) -> String {
        match self {
            Self::Refused { status } => format!(
                "The sign-in endpoint answered {status} to getSigninToken, also without \
                 SessionDuration. Check that the endpoint is of the role's partition, and that \
                 the credentials come from AssumeRole: keys and GetSessionToken open no console."
            ),
            Self::Garbage => "The sign-in endpoint answered 200 without a SigninToken. Check \
                              aws.sign_in_endpoint, and whether a proxy answers in AWS's place."
                .to_owned(),
            Self::Unavailable(cause) => format!(
                "The sign-in endpoint gave no answer ({cause}). Check that the broker reaches \
                 signin.aws.amazon.com or its partition's and region's counterpart, or \
                 aws.sign_in_endpoint."
            ),
            Self::NoHost(partition) => format!(
                "There is no public sign-in host for partition {partition} and the role's region. \
                 Correct the region, or set aws.sign_in_endpoint and aws.console_url."
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{access::Partition, aws::IssuerError};

    fn invalid(code: &str, message: &str) -> StsError {
        StsError::Invalid {
            code: code.to_owned(),
            message: message.to_owned(),
            request_id: None,
        }
    }

    fn refused(message: &str) -> StsError {
        StsError::AssertionRefused {
            code: "InvalidIdentityToken".to_owned(),
            message: message.to_owned(),
            request_id: None,
        }
    }

    fn broker(code: &str) -> StsError {
        StsError::BrokerCredentials {
            code: code.to_owned(),
            cause: None,
        }
    }

    fn every_sts_error() -> Vec<StsError> {
        let role =
            "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.";
        let chain = "The requested DurationSeconds exceeds the 1 hour session limit for roles \
                     assumed by role chaining.";
        vec![
            StsError::AccessDenied {
                message: "secret-arn".to_owned(),
                request_id: None,
            },
            invalid("ValidationError", role),
            invalid("ValidationError", chain),
            invalid("ValidationError", "1 validation error detected: secret-arn"),
            invalid("PackedPolicyTooLarge", "secret-arn 120%"),
            invalid("MalformedPolicyDocument", "secret-arn"),
            invalid("region", "secret-arn"),
            StsError::AccessDenied {
                message: "Not authorized to perform sts:AssumeRoleWithSAML".to_owned(),
                request_id: None,
            },
            StsError::AccessDenied {
                message: "Not authorized to perform sts:AssumeRoleWithWebIdentity".to_owned(),
                request_id: None,
            },
            StsError::AccessDenied {
                message: "Cannot call GetFederationToken with session credentials".to_owned(),
                request_id: None,
            },
            StsError::AccessDenied {
                message: "not authorized to perform: sts:GetFederationToken on secret-arn"
                    .to_owned(),
                request_id: None,
            },
            refused("Incorrect token audience"),
            refused("No OpenIDConnect provider found in your account for https://secret-arn"),
            StsError::CodeRefused { request_id: None },
            StsError::CodeUsed,
            StsError::Issuer(IssuerError::NoKey("secret-arn")),
            StsError::Unavailable(format!("{ISSUER_UNREACHABLE}: secret-arn").into()),
            invalid("credential_source", "secret-arn"),
            invalid("session_policy", "secret-arn"),
            invalid("proof", "secret-arn"),
            invalid("saml_provider", "secret-arn"),
            invalid("console", "secret-arn"),
            StsError::AssertionExpired,
            refused("secret-arn"),
            refused("Response signature invalid"),
            refused("Issuer not present in specified provider"),
            refused("Specified provider doesn't exist"),
            refused("Response does not contain the required audience"),
            refused("RoleSessionName is required in AuthnResponse"),
            refused(
                "SAML Assertion doesn't contain the requested Role and Metadata in the attributes",
            ),
            StsError::RegionDisabled {
                region: "ap-east-1".to_owned(),
            },
            broker("none"),
            broker("configuration"),
            broker("root"),
            broker("InvalidClientTokenId"),
            broker("SignatureDoesNotMatch"),
            broker("ExpiredToken"),
            broker("RequestExpired"),
            broker("SomethingNew"),
            StsError::Throttled,
            StsError::Unavailable("secret-arn".into()),
            StsError::UnknownSource("secret-arn".to_owned()),
        ]
    }

    fn every_sign_in_error() -> Vec<SignInUrlError> {
        vec![
            SignInUrlError::Refused { status: 400 },
            SignInUrlError::Garbage,
            SignInUrlError::Unavailable("secret-arn".into()),
            SignInUrlError::NoHost(Partition::AwsIso),
        ]
    }

    #[test]
    fn every_error_has_a_fact_and_a_next_step_for_both() {
        let sts = every_sts_error();
        let sign_in = every_sign_in_error();
        let for_people = sts
            .iter()
            .map(StsError::for_person)
            .chain(sign_in.iter().map(SignInUrlError::for_person));
        for sentence in for_people {
            assert!(
                sentence.contains(". ") && sentence.ends_with('.'),
                "{sentence}"
            );
            for word in ["secret-arn", "sts:", "STS", "successfully", "please"] {
                assert!(!sentence.contains(word), "{word} in {sentence}");
            }
        }
        let for_operators = sts
            .iter()
            .map(StsError::for_operator)
            .chain(sign_in.iter().map(SignInUrlError::for_operator));
        for sentence in for_operators {
            assert!(
                sentence.contains(". ") && sentence.ends_with('.'),
                "{sentence}"
            );
        }
    }

    #[test]
    fn different_causes_have_different_words_for_the_operator() {
        let mut sentences: Vec<String> = every_sts_error()
            .iter()
            .map(StsError::for_operator)
            .collect();
        let count = sentences.len();
        sentences.sort();
        sentences.dedup();
        assert_eq!(sentences.len(), count);
    }
}
