//! The one permission slip that AWS adapters accept.

use std::collections::BTreeMap;

use time::OffsetDateTime;

use super::{
    AUDIT_TAG, ConnectorId, ConsoleWay, GrantMethod, MappingId, RoleSessionName, SamlProviderArn,
    SessionDuration, SourceIdentity, TargetArn, Voucher,
};

/// How the credentials leave the broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// As an AWS console session in the person's browser.
    Console,
    /// As credentials for a shell or a tool.
    Credentials,
}

/// What a person asks for beside the role.
#[derive(Debug, Clone)]
pub struct Request {
    /// How the credentials leave.
    pub delivery: Delivery,
    /// The length that was asked for; none asks for the longest allowed.
    pub duration: Option<SessionDuration>,
    /// Whether the session shall be read-only.
    pub read_only: bool,
    /// Why, in the person's words.
    pub reason: Option<String>,
    /// A limit from outside the table, such as one hour under role chaining.
    pub ceiling: Option<SessionDuration>,
}

impl Request {
    /// The plain click: the longest console session allowed.
    pub fn console() -> Self {
        Self {
            delivery: Delivery::Console,
            duration: None,
            read_only: false,
            reason: None,
            ceiling: None,
        }
    }
}

/// What limits the length of a role session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// The role's own `max_duration`, or its account's, or the general one.
    Role,
    /// The mapping's `max_duration`.
    Mapping,
    /// The moment the mapping expires.
    MappingExpiry,
    /// STS gives role sessions of a role session one hour at most (role chaining).
    RoleChaining,
}

/// The length that was granted, and what kept it from being longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clipped {
    /// The longest allowed.
    pub longest: SessionDuration,
    /// What sets it.
    pub limit: Limit,
}

/// Leave to open one role once, made by [`Policy::authorize`](super::Policy::authorize) alone.
///
/// The fields are private and there is no public constructor, so code that forgets to authorize
/// does not compile: the AWS adapters take nothing else.
#[derive(Debug, Clone)]
pub struct Grant {
    pub(super) connector: ConnectorId,
    pub(super) subject: String,
    pub(super) username: String,
    pub(super) target: TargetArn,
    pub(super) method: GrantMethod,
    pub(super) mapping: MappingId,
    pub(super) policy_version: i64,
    pub(super) delivery: Delivery,
    pub(super) duration: SessionDuration,
    pub(super) duration_is_explicit: bool,
    pub(super) ends_by: Option<OffsetDateTime>,
    pub(super) session_name: RoleSessionName,
    pub(super) source_identity: Option<SourceIdentity>,
    pub(super) external_id: Option<String>,
    pub(super) credential_source: String,
    pub(super) region: Option<String>,
    pub(super) session_policy: Option<String>,
    pub(super) policy_arns: Vec<String>,
    pub(super) session_tags: BTreeMap<String, String>,
    pub(super) read_only: bool,
    pub(super) reason: Option<String>,
    pub(super) saml_provider: Option<SamlProviderArn>,
    pub(super) console: ConsoleWay,
    pub(super) audit_tag: bool,
    pub(super) voucher: Option<Voucher>,
    pub(super) mfa_serial: Option<String>,
    pub(super) public_values: BTreeMap<String, String>,
}

impl Grant {
    /// The connector that vouches for the person.
    pub fn connector(&self) -> &ConnectorId {
        &self.connector
    }

    /// The person's stable id within the connector.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// The person's user name.
    pub fn username(&self) -> &str {
        &self.username
    }

    /// What may be opened.
    pub fn target(&self) -> &TargetArn {
        &self.target
    }

    /// By which STS call.
    pub fn method(&self) -> GrantMethod {
        self.method
    }

    /// The mapping that gives it.
    pub fn mapping(&self) -> &MappingId {
        &self.mapping
    }

    /// The version of the table it was decided on.
    pub fn policy_version(&self) -> i64 {
        self.policy_version
    }

    /// How the credentials leave.
    pub fn delivery(&self) -> Delivery {
        self.delivery
    }

    /// How long the role session lasts.
    pub fn duration(&self) -> SessionDuration {
        self.duration
    }

    /// Whether the person asked for just this length, so that a shorter one would be a surprise.
    pub fn duration_is_explicit(&self) -> bool {
        self.duration_is_explicit
    }

    /// The moment its mapping expires, which no session may outlive.
    pub fn ends_by(&self) -> Option<OffsetDateTime> {
        self.ends_by
    }

    /// The RoleSessionName. For `assume-role-with-saml` the assertion has its own, which is the one
    /// in force; STS's answer tells it.
    pub fn session_name(&self) -> &RoleSessionName {
        &self.session_name
    }

    /// The name of a federated user (GetFederationToken), which no two people share.
    pub fn federated_name(&self) -> String {
        self.session_name.federated_name()
    }

    /// The SourceIdentity, where one is sent.
    pub fn source_identity(&self) -> Option<&SourceIdentity> {
        self.source_identity.as_ref()
    }

    /// The ExternalId that the trust policy asks for.
    pub fn external_id(&self) -> Option<&str> {
        self.external_id.as_deref()
    }

    /// The id of the credential source to sign with.
    pub fn credential_source(&self) -> &str {
        &self.credential_source
    }

    /// The region to ask STS in, where the table names one.
    pub fn region(&self) -> Option<&str> {
        self.region.as_deref()
    }

    /// The inline session policy (JSON).
    pub fn session_policy(&self) -> Option<&str> {
        self.session_policy.as_deref()
    }

    /// The managed session policies.
    pub fn policy_arns(&self) -> &[String] {
        &self.policy_arns
    }

    /// Whether the session shall carry [`AUDIT_TAG`].
    pub fn wants_audit_tag(&self) -> bool {
        self.audit_tag
    }

    /// Lets the session carry `head`, the place and hash of its intent in the audit log, where the
    /// role wants that.
    pub fn witness(&mut self, head: String) {
        if self.audit_tag {
            self.session_tags.insert(AUDIT_TAG.to_owned(), head);
        }
    }

    /// The session tags.
    pub fn session_tags(&self) -> &BTreeMap<String, String> {
        &self.session_tags
    }

    /// Whether the session is narrowed to reading.
    pub fn is_read_only(&self) -> bool {
        self.read_only
    }

    /// The IAM SAML provider that vouches, for `assume-role-with-saml`.
    pub fn saml_provider(&self) -> Option<&SamlProviderArn> {
        self.saml_provider.as_ref()
    }

    /// Who vouches for the person; none where our own credentials do.
    pub fn voucher(&self) -> Option<Voucher> {
        self.voucher
    }

    /// The MFA device of the IAM user whose keys sign, where AWS wants a code of it.
    pub fn mfa_serial(&self) -> Option<&str> {
        self.mfa_serial.as_deref()
    }

    /// What applications are told with the credentials, by name, filled in for the person.
    pub fn public_values(&self) -> &BTreeMap<String, String> {
        &self.public_values
    }

    /// How the console is reached.
    pub fn console(&self) -> ConsoleWay {
        self.console
    }

    /// Whether the browser posts an assertion of ours to AWS. Never where policies narrow the
    /// session: the browser that carries the assertion could get credentials without them.
    pub fn is_posted(&self) -> bool {
        self.console == ConsoleWay::SamlPost
            && self.delivery == Delivery::Console
            && self.voucher == Some(Voucher::Issuer)
            && !self.read_only
            && self.session_policy.is_none()
            && self.policy_arns.is_empty()
    }

    /// Why, in the person's words.
    pub fn reason(&self) -> Option<&str> {
        self.reason.as_deref()
    }
}

/// What the broker opens a role for on its own account, without a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Errand {
    /// To see whether the role can be opened at all; the session may do nothing.
    Probe,
    /// To read what IAM says about roles.
    Read,
    /// To write what ends sessions that were issued.
    Revoke,
}

impl Errand {
    /// The RoleSessionName, by which CloudTrail shows it: constant, so that it can be allow-listed.
    pub fn session_name(self) -> &'static str {
        match self {
            Self::Probe => "rolegate-probe",
            Self::Read => "rolegate-read",
            Self::Revoke => "rolegate-revoke",
        }
    }
}

/// Leave for the broker itself to open one role once, for 900 seconds and narrowed by a session
/// policy, made by [`Policy::probe`](super::Policy::probe) and
/// [`Policy::errand`](super::Policy::errand) alone.
///
/// There is no person behind it, so what it opens is never handed out: the credentials are used and
/// dropped where they were asked for.
#[derive(Debug, Clone)]
pub struct ServiceGrant {
    pub(super) errand: Errand,
    pub(super) grant: Grant,
}

impl ServiceGrant {
    /// What for.
    pub fn errand(&self) -> Errand {
        self.errand
    }

    /// What AWS is asked for.
    pub fn grant(&self) -> &Grant {
        &self.grant
    }
}
