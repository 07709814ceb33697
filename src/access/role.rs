//! Roles: what can be opened, by which grant method, within which limits.

use std::{collections::BTreeMap, fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::{NameTemplate, SessionDuration, TargetArn, TargetKind};

/// How STS credentials are obtained.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GrantMethod {
    /// `sts:AssumeRole` with the broker's own credentials.
    AssumeRole,
    /// `sts:AssumeRoleWithSAML`.
    AssumeRoleWithSaml,
    /// `sts:AssumeRoleWithWebIdentity`.
    AssumeRoleWithWebIdentity,
    /// `sts:GetFederationToken`.
    FederationToken,
    /// `sts:GetSessionToken`.
    SessionToken,
}

impl GrantMethod {
    /// Every grant method.
    pub const ALL: [Self; 5] = [
        Self::AssumeRole,
        Self::AssumeRoleWithSaml,
        Self::AssumeRoleWithWebIdentity,
        Self::FederationToken,
        Self::SessionToken,
    ];

    /// The name in configuration and tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AssumeRole => "assume-role",
            Self::AssumeRoleWithSaml => "assume-role-with-saml",
            Self::AssumeRoleWithWebIdentity => "assume-role-with-web-identity",
            Self::FederationToken => "federation-token",
            Self::SessionToken => "session-token",
        }
    }

    /// Whether somebody has to vouch for the person at AWS, in place of our own credentials.
    pub fn is_federated(self) -> bool {
        matches!(
            self,
            Self::AssumeRoleWithSaml | Self::AssumeRoleWithWebIdentity
        )
    }

    /// The longest session that STS gives by it.
    pub fn longest(self) -> SessionDuration {
        match self {
            Self::FederationToken | Self::SessionToken => SessionDuration::LONGEST_TOKEN,
            _ => SessionDuration::LONGEST,
        }
    }

    /// Whether a code of an MFA device goes with the call.
    pub fn takes_code(self) -> bool {
        matches!(self, Self::AssumeRole | Self::SessionToken)
    }

    /// Whether its sessions can be narrowed by policies, and open a console.
    pub fn can_be_narrowed(self) -> bool {
        self != Self::SessionToken
    }

    /// What the ARN of a target opened by it is of.
    pub fn target_kind(self) -> TargetKind {
        match self {
            Self::FederationToken => TargetKind::FederatedUser,
            Self::SessionToken => TargetKind::User,
            _ => TargetKind::Role,
        }
    }
}

impl fmt::Display for GrantMethod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for GrantMethod {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|method| method.as_str() == text)
            .ok_or_else(|| {
                let known: Vec<&str> = Self::ALL.into_iter().map(Self::as_str).collect();
                format!(
                    "`{text}` is not a grant method; there are: {}",
                    known.join(", ")
                )
            })
    }
}

/// Who vouches for the person where AWS does not go by our own credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Voucher {
    /// The person's own identity provider: its assertion or token is passed through.
    Provider,
    /// Rolegate itself, as an identity provider that IAM trusts.
    Issuer,
}

impl Voucher {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Provider, Self::Issuer];

    /// The name in configuration and tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Provider => "provider",
            Self::Issuer => "issuer",
        }
    }
}

impl FromStr for Voucher {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL
            .into_iter()
            .find(|voucher| voucher.as_str() == text);
        found.ok_or_else(|| format!("expected provider or issuer, found {text:?}"))
    }
}

/// The serial number or ARN of an MFA device: 9–256 of `[\w+=/:,.@-]` (AWS API, AssumeRole).
///
/// # Errors
/// What would be right, where `text` is none.
pub fn mfa_serial(text: &str) -> Result<String, String> {
    let is_legal = |c: char| c.is_ascii_alphanumeric() || "_+=/:,.@-".contains(c);
    if (9..=256).contains(&text.len()) && text.chars().all(is_legal) {
        return Ok(text.to_owned());
    }
    Err(
        "expected the ARN of an MFA device, such as arn:aws:iam::111122223333:mfa/rolegate, or \
         its serial number: 9 to 256 letters, digits or characters of _+=/:,.@-"
            .to_owned(),
    )
}

/// How the console is reached.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ConsoleWay {
    /// By credentials from STS and the federation endpoint.
    #[default]
    Federation,
    /// By an assertion of our own that the browser posts to AWS's SAML sign-in address; no call of
    /// ours to AWS.
    SamlPost,
    /// By the identity provider's own AWS application, which signs the person in to AWS itself.
    /// Nothing passes through us, so nothing can be limited.
    IdpInitiated,
}

impl ConsoleWay {
    /// Every way.
    pub const ALL: [Self; 3] = [Self::Federation, Self::SamlPost, Self::IdpInitiated];

    /// The name in configuration and tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Federation => "federation",
            Self::SamlPost => "saml-post",
            Self::IdpInitiated => "idp-initiated",
        }
    }
}

impl FromStr for ConsoleWay {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|way| way.as_str() == text);
        found.ok_or_else(|| {
            format!("expected federation, saml-post or idp-initiated, found {text:?}")
        })
    }
}

/// The session tag that carries the place and the hash of a grant's intent in the audit log.
pub const AUDIT_TAG: &str = "rolegate:audit";

/// How many session tags AWS takes.
pub const SESSION_TAGS: usize = 50;

/// What roles say where they say nothing themselves: for all, or for one account.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RoleDefaults {
    /// How credentials are obtained.
    pub grant_method: Option<GrantMethod>,
    /// The credential source's id.
    pub credential_source: Option<String>,
    /// The ExternalId that the trust policies ask for.
    pub external_id: Option<String>,
    /// The longest role session.
    pub max_duration: Option<SessionDuration>,
    /// The region that STS is asked in and the console opens in.
    pub region: Option<String>,
    /// What goes to CloudTrail as SourceIdentity; needs `sts:SetSourceIdentity` in the trust.
    pub source_identity: Option<NameTemplate>,
    /// The IAM SAML provider, for `assume-role-with-saml`: an ARN, `{account}` in it standing for
    /// the role's account.
    pub saml_provider_arn: Option<String>,
    /// How the console is reached.
    pub console: Option<ConsoleWay>,
    /// Who vouches for the person, for the grant methods with `with` in their names. Where nothing
    /// says, Rolegate's own issuer where it has a key for the method, else the person's provider.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vouched_by: Option<Voucher>,
    /// The MFA device of the IAM user whose keys sign, of which a six-digit code is asked for each
    /// session; for `assume-role` and `session-token`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mfa_serial: Option<String>,
    /// Whether sessions carry [`AUDIT_TAG`], which makes CloudTrail a witness of the audit log;
    /// for all but `session-token` and what a person's provider vouches for, and needs
    /// `sts:TagSession` in the trust.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audit_tag: Option<bool>,
    /// What applications are told with the credentials, by name: a bucket, a prefix, a region. May
    /// have placeholders; never secret. At most [`PUBLIC_VALUES`](super::PUBLIC_VALUES).
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub public_values: BTreeMap<String, String>,
}

impl RoleDefaults {
    /// These defaults, and `other` where they say nothing; of the public values, name by name.
    #[must_use]
    pub fn or(&self, other: &Self) -> Self {
        Self {
            grant_method: self.grant_method.or(other.grant_method),
            credential_source: self
                .credential_source
                .clone()
                .or_else(|| other.credential_source.clone()),
            external_id: self
                .external_id
                .clone()
                .or_else(|| other.external_id.clone()),
            max_duration: self.max_duration.or(other.max_duration),
            region: self.region.clone().or_else(|| other.region.clone()),
            source_identity: self
                .source_identity
                .clone()
                .or_else(|| other.source_identity.clone()),
            saml_provider_arn: self
                .saml_provider_arn
                .clone()
                .or_else(|| other.saml_provider_arn.clone()),
            console: self.console.or(other.console),
            vouched_by: self.vouched_by.or(other.vouched_by),
            mfa_serial: self.mfa_serial.clone().or_else(|| other.mfa_serial.clone()),
            audit_tag: self.audit_tag.or(other.audit_tag),
            public_values: {
                let mut values = other.public_values.clone();
                values.extend(self.public_values.clone());
                values
            },
        }
    }
}

/// A role that can be opened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Role {
    /// Its ARN, the key of its row.
    pub arn: TargetArn,
    /// A line for people.
    pub description: Option<String>,
    /// Whom to ask about it, where that is not the account's owner.
    #[serde(default)]
    pub owner: Option<String>,
    /// What it says itself; the account's and the general defaults fill the rest.
    pub own: RoleDefaults,
    /// An inline session policy (JSON) that narrows every session; at most 2,048 characters.
    pub session_policy: Option<String>,
    /// Managed policies that narrow every session; at most 10.
    pub policy_arns: Vec<String>,
    /// Session tags sent with every session; needs `sts:TagSession` in the trust.
    pub session_tags: BTreeMap<String, String>,
    /// Whether edits that touch it need a second person, and rules must say so to give it.
    pub protected: bool,
    /// A disabled role is shown to nobody and grants nothing.
    pub disabled: bool,
}

/// A role's settings after its account's and the general defaults have filled the gaps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EffectiveRole {
    /// How credentials are obtained.
    pub grant_method: GrantMethod,
    /// The credential source's id, `default` unless something names another.
    pub credential_source: String,
    /// The ExternalId that the trust policy asks for.
    pub external_id: Option<String>,
    /// The longest role session; one hour unless something says otherwise, as in IAM.
    pub max_duration: SessionDuration,
    /// The region that STS is asked in and the console opens in, where one is set.
    pub region: Option<String>,
    /// What goes to CloudTrail as SourceIdentity.
    pub source_identity: Option<NameTemplate>,
    /// The IAM SAML provider as configured, `{account}` not filled in yet.
    pub saml_provider_arn: Option<String>,
    /// How the console is reached.
    pub console: ConsoleWay,
    /// Who vouches for the person; none where our own credentials do.
    pub voucher: Option<Voucher>,
    /// The MFA device of the IAM user whose keys sign, where a code is asked for.
    pub mfa_serial: Option<String>,
    /// Whether sessions carry [`AUDIT_TAG`]; never where the grant method cannot send tags.
    pub audit_tag: bool,
    /// What applications are told with the credentials, placeholders not filled in yet.
    pub public_values: BTreeMap<String, String>,
}

impl From<RoleDefaults> for EffectiveRole {
    fn from(settings: RoleDefaults) -> Self {
        let grant_method = settings.grant_method.unwrap_or(GrantMethod::AssumeRole);
        let voucher = grant_method
            .is_federated()
            .then(|| settings.vouched_by.unwrap_or(Voucher::Provider));
        let is_posted =
            grant_method == GrantMethod::AssumeRoleWithSaml && voucher == Some(Voucher::Issuer);
        let console = settings
            .console
            .filter(|way| *way != ConsoleWay::SamlPost || is_posted)
            .unwrap_or_default();
        let max_duration = settings.max_duration.unwrap_or(SessionDuration::HOUR);
        Self {
            grant_method,
            credential_source: settings
                .credential_source
                .unwrap_or_else(|| "default".to_owned()),
            external_id: settings.external_id,
            max_duration: max_duration.min(grant_method.longest()),
            region: settings.region,
            source_identity: settings.source_identity,
            saml_provider_arn: settings.saml_provider_arn,
            console,
            voucher,
            mfa_serial: settings.mfa_serial.filter(|_| grant_method.takes_code()),
            audit_tag: settings.audit_tag.unwrap_or_default()
                && sends_tags(grant_method, voucher)
                && console != ConsoleWay::IdpInitiated,
            public_values: settings.public_values,
        }
    }
}

/// Whether session tags reach AWS: as parameters of the call, or in what our issuer says.
pub(super) fn sends_tags(method: GrantMethod, voucher: Option<Voucher>) -> bool {
    match method {
        GrantMethod::AssumeRole | GrantMethod::FederationToken => true,
        GrantMethod::AssumeRoleWithSaml | GrantMethod::AssumeRoleWithWebIdentity => {
            voucher == Some(Voucher::Issuer)
        }
        GrantMethod::SessionToken => false,
    }
}
