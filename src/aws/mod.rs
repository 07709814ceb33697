//! Everything that speaks to AWS: STS, the console's federation endpoint, hosts by partition.
//!
//! Never here: deciding who may. [`Sts`] accepts nothing but a [`Grant`]. Credentials and sign-in
//! URLs have no Display, and their Debug tells nothing. Entry points: [`Sts`], [`SignIn`].

pub mod destination;
pub mod iam;
pub mod issuer;
pub mod partition;
pub mod paste;
pub mod setup;
pub mod sign_in;
pub mod sts;
pub mod trust;
mod words;

use std::{error::Error, fmt};

use async_trait::async_trait;
use secrecy::SecretString;
use thiserror::Error;
use time::OffsetDateTime;
use url::Url;

pub use self::iam::{Iam, IamError, IamRole, OrganizationAccount};
pub use self::issuer::{Issuer, IssuerError, MintedAssertion, MintedToken};
pub use self::trust::{broker_statement, saml_trust_statement, trust_statement};
use crate::access::{Grant, Partition, SessionDuration};

/// The cause of an adapter's failure, for the log.
pub type Cause = Box<dyn Error + Send + Sync>;

/// Temporary credentials, named as AWS names them. A bearer secret: no Clone, no Serialize, and
/// Debug shows the access key id alone.
pub struct SessionCredentials {
    /// `ASIA…`; not secret, and joins with CloudTrail.
    pub access_key_id: String,
    /// The secret access key.
    pub secret_access_key: SecretString,
    /// The session token.
    pub session_token: SecretString,
    /// When they end.
    pub expiration: OffsetDateTime,
}

impl fmt::Debug for SessionCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionCredentials")
            .field("access_key_id", &self.access_key_id)
            .field("expiration", &self.expiration)
            .finish_non_exhaustive()
    }
}

/// What vouches for the person at STS beside the grant.
#[derive(Debug, Default)]
pub enum Proof {
    /// The broker's own credentials.
    #[default]
    Own,
    /// The broker's own credentials and a code of the grant's MFA device: six digits.
    OwnWithCode(SecretString),
    /// The identity provider's whole response as it was posted, base64, for AssumeRoleWithSAML;
    /// 4–100,000 characters. A bearer secret.
    SamlResponse(SecretString),
    /// A token for AssumeRoleWithWebIdentity; 4–20,000 characters. A bearer secret.
    WebIdentity {
        /// An ID token, or an OAuth 2.0 access token.
        token: SecretString,
        /// For access tokens alone: `graph.facebook.com` or `www.amazon.com`.
        provider_id: Option<String>,
    },
}

/// What STS issued for one grant.
#[derive(Debug)]
pub struct Issued {
    /// The credentials.
    pub credentials: SessionCredentials,
    /// `arn:…:sts::A:assumed-role/NAME/SESSION`, `…:federated-user/NAME`, or the IAM user's ARN.
    pub assumed_role_arn: String,
    /// `aws:userid`: `AROA…:SESSION`, `ACCOUNT:NAME`, or empty where STS does not tell.
    pub assumed_role_id: String,
    /// STS's request id, which is CloudTrail's `requestID`.
    pub request_id: Option<String>,
    /// The region whose endpoint answered.
    pub region: String,
    /// The length in force; shorter than the grant's where the role allowed less.
    pub duration: SessionDuration,
    /// Whether the broker's own credentials are temporary, so that the console session's length
    /// cannot be chosen.
    pub is_chained: bool,
}

/// Who the broker itself is at AWS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The principal's ARN.
    pub arn: String,
    /// Its account.
    pub account: String,
    /// Whether role chaining limits apply: the credentials are a role session's. Those of an EC2
    /// instance are not counted, because AWS does not call them chaining.
    pub is_temporary: bool,
}

impl Caller {
    /// The name of the IAM user whose long-term keys these may be; none for roles, federated users
    /// and an account's root user.
    pub fn user_name(&self) -> Option<&str> {
        let mut parts = self.arn.splitn(6, ':').skip(2);
        let (service, resource) = (parts.next()?, parts.nth(2)?);
        let path = resource
            .strip_prefix("user/")
            .filter(|_| service == "iam")?;
        path.rsplit('/').next()
    }
}

/// The Security Token Service.
#[async_trait]
pub trait Sts: Send + Sync {
    /// Obtains credentials for one grant, by the grant's method. `proof` is what AWS wants to see
    /// beside our own credentials, or instead of them.
    async fn issue(&self, grant: &Grant, proof: &Proof) -> Result<Issued, StsError>;

    /// The longest session that a credential source can give: one hour when it is known to be a
    /// role session itself. None when it is not limited or not known yet.
    fn ceiling(&self, credential_source: &str) -> Option<SessionDuration>;

    /// Asks AWS who a credential source is (`GetCallerIdentity`, which needs no permission) and
    /// remembers whether it is temporary.
    async fn caller(&self, credential_source: &str) -> Result<Caller, StsError>;

    /// The configured credential sources.
    fn credential_sources(&self) -> Vec<String>;
}

/// Why STS issued nothing. Each variant is something else to say or do (aws-facts, AWS API
/// "Common errors").
#[derive(Debug, Error)]
pub enum StsError {
    /// The trust or the broker's policy does not allow it, or the role does not exist.
    #[error("AWS refused: {message}")]
    AccessDenied {
        /// What AWS said.
        message: String,
        /// STS's request id.
        request_id: Option<String>,
    },
    /// A parameter does not fit the role: length, name, policy, tags.
    #[error("AWS found the request invalid ({code}): {message}")]
    Invalid {
        /// The error code.
        code: String,
        /// What AWS said.
        message: String,
        /// STS's request id.
        request_id: Option<String>,
    },
    /// AWS takes an assertion for five minutes after it was issued, and those are over.
    #[error("AWS finds the assertion too old")]
    AssertionExpired,
    /// AWS does not accept the assertion: its signature, audience, roles or session name.
    #[error("AWS refused the assertion ({code}): {message}")]
    AssertionRefused {
        /// The error code.
        code: String,
        /// What AWS said.
        message: String,
        /// STS's request id.
        request_id: Option<String>,
    },
    /// STS is switched off in that region for that account.
    #[error("STS is not active in {region} for this account")]
    RegionDisabled {
        /// The region asked.
        region: String,
    },
    /// The broker's own credentials or clock are bad; never the person's fault.
    #[error("the broker's own AWS credentials were not accepted ({code})")]
    BrokerCredentials {
        /// The error code, or `none` when there are no credentials at all.
        code: String,
        /// What went wrong.
        #[source]
        cause: Option<Cause>,
    },
    /// The code of the MFA device is wrong, or was used before.
    #[error("AWS did not take the code of the MFA device")]
    CodeRefused {
        /// STS's request id.
        request_id: Option<String>,
    },
    /// The code of the MFA device was used a moment ago, so that AWS was not asked.
    #[error("the code of the MFA device was used already")]
    CodeUsed,
    /// Our own issuer could not sign.
    #[error("the issuer could not vouch")]
    Issuer(#[source] IssuerError),
    /// Asked too often.
    #[error("AWS is throttling requests")]
    Throttled,
    /// No answer, or one that is none, within the deadline.
    #[error("STS is unavailable")]
    Unavailable(#[source] Cause),
    /// The table names a credential source that the configuration has not.
    #[error("no credential source `{0}` is configured")]
    UnknownSource(String),
}

impl StsError {
    /// A stable code for audit rows, metrics and JSON.
    pub fn code(&self) -> &'static str {
        match self {
            Self::AccessDenied { .. } => "aws_access_denied",
            Self::Invalid { .. } => "aws_invalid_request",
            Self::AssertionExpired => "aws_assertion_expired",
            Self::AssertionRefused { .. } => "aws_assertion_refused",
            Self::RegionDisabled { .. } => "aws_region_disabled",
            Self::CodeRefused { .. } => "aws_code_refused",
            Self::CodeUsed => "code_used",
            Self::Issuer(_) => "issuer_failed",
            Self::BrokerCredentials { .. } => "aws_broker_credentials",
            Self::Throttled => "aws_throttled",
            Self::Unavailable(_) => "aws_unavailable",
            Self::UnknownSource(_) => "aws_unknown_credential_source",
        }
    }
}

/// What is asked of the console beside credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsoleVisit {
    /// The role's partition, which decides every host.
    pub partition: Partition,
    /// The region whose console opens, where one is known.
    pub region: Option<String>,
    /// Where in the console, already checked against the partition's hosts.
    pub destination: Url,
    /// Where AWS sends people whose console session ended: a deep link of ours.
    pub issuer: Url,
    /// The console session's length; left out where the credentials came by role chaining.
    pub session_duration: Option<SessionDuration>,
    /// Whether to sign the browser out of AWS on the way.
    pub sign_out_first: bool,
}

/// The console's federation endpoint.
#[async_trait]
pub trait SignIn: Send + Sync {
    /// Turns credentials into the URL that opens the console. Good for 15 minutes.
    ///
    /// Falls back once without `session_duration` when the endpoint answers 400.
    async fn sign_in_url(
        &self,
        credentials: SessionCredentials,
        visit: &ConsoleVisit,
    ) -> Result<SignInUrl, SignInUrlError>;
}

/// A URL that opens somebody's console. A bearer secret: no Display, no Debug of the value; it
/// becomes a redirect and nothing else.
pub struct SignInUrl(Url);

impl SignInUrl {
    /// Wraps what the federation endpoint gave.
    pub fn new(url: Url) -> Self {
        Self(url)
    }

    /// The value of the `Location` header of the one redirect it is for.
    pub fn into_location(self) -> String {
        self.0.into()
    }
}

impl fmt::Debug for SignInUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SignInUrl(redacted)")
    }
}

/// Why there is no sign-in URL.
#[derive(Debug, Error)]
pub enum SignInUrlError {
    /// The endpoint answered with a refusal.
    #[error("the AWS sign-in endpoint answered {status}")]
    Refused {
        /// The HTTP status.
        status: u16,
    },
    /// The endpoint answered with something that holds no token.
    #[error("the AWS sign-in endpoint's answer holds no sign-in token")]
    Garbage,
    /// No answer within the deadline.
    #[error("the AWS sign-in endpoint is unavailable")]
    Unavailable(#[source] Cause),
    /// There is no public sign-in host for the partition and region.
    #[error("partition {0} has no known sign-in host; set aws.sign_in_endpoint")]
    NoHost(Partition),
}

impl SignInUrlError {
    /// A stable code for audit rows, metrics and JSON.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Refused { .. } => "sign_in_endpoint_refused",
            Self::Garbage => "sign_in_endpoint_garbage",
            Self::Unavailable(_) => "sign_in_endpoint_unavailable",
            Self::NoHost(_) => "sign_in_endpoint_unknown",
        }
    }
}
