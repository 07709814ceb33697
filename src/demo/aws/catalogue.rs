//! What exists in the imitated AWS: accounts, roles with their trust, and who holds which keys.

use std::collections::BTreeMap;
use std::fmt;

use super::StsFault;
use super::mfa::MfaDevice;
use super::partition::Partition;
use super::policy::{Document, Malformed};
use super::saml::SamlProvider;
use super::web_identity::{AccessToken, OidcProvider};
use crate::demo::sample;

/// What an attached policy may have, blanks not counted.
const POLICY_CHARACTERS: usize = 6_144;

/// The accounts, roles and principals that a [`super::StandIn`] knows.
#[derive(Clone, Debug, Default)]
pub struct Catalogue {
    accounts: Vec<Account>,
    roles: Vec<Role>,
    principals: Vec<Principal>,
    saml_providers: Vec<SamlProvider>,
    oidc_providers: Vec<OidcProvider>,
    access_tokens: Vec<AccessToken>,
    pub(super) management_account: Option<String>,
}

/// One AWS account.
#[derive(Clone, Debug)]
pub struct Account {
    id: String,
    pub(super) name: String,
    pub(super) disabled_regions: Vec<String>,
    pub(super) alias: Option<String>,
    pub(super) email: String,
    pub(super) status: AccountStatus,
}

/// What Organizations says about an account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AccountStatus {
    /// In use.
    #[default]
    Active,
    /// Closed, or locked by AWS.
    Suspended,
    /// Being closed.
    PendingClosure,
}

/// One IAM role.
#[derive(Clone, Debug)]
pub struct Role {
    arn: String,
    pub(super) max_session_seconds: u32,
    pub(super) trust: Trust,
    pub(super) may_assume: Vec<String>,
    pub(super) fault: Option<StsFault>,
    pub(super) description: Option<String>,
    /// Attached policies.
    pub(super) policies: Vec<Document>,
    /// By their names.
    pub(super) inline_policies: BTreeMap<String, String>,
}

/// A role's trust policy, as far as STS looks at it.
#[derive(Clone, Debug, Default)]
pub struct Trust {
    pub(super) principals: Vec<String>,
    pub(super) external_id: Option<String>,
    pub(super) allows_session_tags: bool,
    pub(super) allows_source_identity: bool,
    /// IAM SAML providers, each with what `SAML:aud` may be.
    pub(super) federated: Vec<(String, Vec<String>)>,
    pub(super) web: Vec<WebTrust>,
    pub(super) requires_mfa: bool,
    /// A policy as text; what the builder collects is added to it.
    pub(super) document: Option<String>,
}

/// An identity provider that a trust policy names, with its two conditions.
#[derive(Clone, Debug)]
pub(super) struct WebTrust {
    pub(super) provider: String,
    pub(super) audiences: Vec<String>,
    pub(super) subjects: Vec<String>,
}

/// Someone who can sign requests. Debug leaves the secrets out.
#[derive(Clone)]
pub struct Principal {
    pub(super) kind: PrincipalKind,
    /// The IAM user or role, which trust policies name.
    pub(super) arn: String,
    /// What STS calls the caller: the user again, or the assumed-role ARN.
    pub(super) caller_arn: String,
    pub(super) access_key_id: String,
    pub(super) secret_access_key: String,
    pub(super) session_token: Option<String>,
    pub(super) may_assume: Vec<String>,
    pub(super) policies: Vec<Document>,
    pub(super) source_identity: Option<String>,
    pub(super) mfa_devices: Vec<(String, MfaDevice)>,
    /// Whether MFA was proven when these keys were given out.
    pub(super) has_mfa: bool,
    pub(super) may_federate: bool,
    /// Tags that go with whatever these keys assume (transitive ones).
    pub(super) inherited_tags: Vec<(String, String)>,
}

/// Which of the session length rules hold for a caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PrincipalKind {
    /// Long-term keys of an IAM user.
    User,
    /// Temporary keys of a role: what it assumes is chained, one hour at most.
    RoleSession,
    /// Temporary keys that EC2 gave to an instance: AWS does not count them as chaining.
    InstanceProfile,
    /// Temporary keys of `GetSessionToken`: the user again, for little but `AssumeRole` at STS.
    UserSession,
    /// Temporary keys of `GetFederationToken`: nothing but `GetCallerIdentity` at STS.
    FederatedUser,
}

impl Catalogue {
    /// The demo's eight accounts and thirty roles, with the broker's keys of [`sample`].
    pub fn sample() -> Self {
        sample::catalogue()
    }

    /// Adds, to GovCloud and to China each, an account `…7777` or `…8888`, a user with keys and
    /// the role `ReadOnly` that trusts it.
    #[must_use]
    pub fn with_other_partitions(self) -> Self {
        let secret = sample::BROKER_SECRET_ACCESS_KEY;
        [
            (
                "aws-us-gov",
                "555566667777",
                "Government",
                "AKIADEMOROLEGATE0GOV",
            ),
            ("aws-cn", "555566668888", "China", "AKIADEMOROLEGATE00CN"),
        ]
        .into_iter()
        .fold(self, |catalogue, (partition, id, name, access_key_id)| {
            let user = format!("arn:{partition}:iam::{id}:user/rolegate");
            let role = Role::new(
                &format!("arn:{partition}:iam::{id}:role/ReadOnly"),
                Trust::of([user.as_str()]),
            );
            catalogue
                .with_account(Account::new(id, name))
                .with_role(role)
                .with_principal(Principal::user(&user, access_key_id, secret))
        })
    }

    /// Adds an account.
    #[must_use]
    pub fn with_account(mut self, account: Account) -> Self {
        self.accounts.push(account);
        self
    }

    /// Adds a role, or replaces the one with the same ARN.
    #[must_use]
    pub fn with_role(mut self, role: Role) -> Self {
        self.roles.retain(|known| known.arn != role.arn);
        self.roles.push(role);
        self
    }

    /// Replaces a role's trust, for [`super::StandIn::update`]; tells whether there is such a role.
    pub fn set_trust(&mut self, role_arn: &str, trust: Trust) -> bool {
        let role = self.roles.iter_mut().find(|role| role.arn == role_arn);
        role.map(|role| role.trust = trust).is_some()
    }

    /// Adds a principal with its keys, or replaces the holder of the same access key.
    #[must_use]
    pub fn with_principal(mut self, principal: Principal) -> Self {
        self.principals
            .retain(|known| known.access_key_id != principal.access_key_id);
        self.principals.push(principal);
        self
    }

    /// Adds an IAM SAML provider, or replaces the one with the same ARN.
    #[must_use]
    pub fn with_saml_provider(mut self, provider: SamlProvider) -> Self {
        self.saml_providers
            .retain(|known| known.arn() != provider.arn());
        self.saml_providers.push(provider);
        self
    }

    /// Adds an IAM OIDC provider, or replaces the one with the same ARN.
    #[must_use]
    pub fn with_oidc_provider(mut self, provider: OidcProvider) -> Self {
        self.oidc_providers
            .retain(|known| known.arn() != provider.arn());
        self.oidc_providers.push(provider);
        self
    }

    /// Adds an OAuth 2.0 access token of Facebook or Login with Amazon.
    #[must_use]
    pub fn with_access_token(mut self, token: AccessToken) -> Self {
        self.access_tokens.push(token);
        self
    }

    /// The provider of an account that tokens name as their `iss`.
    pub(super) fn oidc_provider(&self, account_id: &str, issuer: &str) -> Option<&OidcProvider> {
        (self.oidc_providers.iter())
            .find(|provider| account_of(provider.arn()) == account_id && provider.url() == issuer)
    }

    pub(super) fn access_token(&self, provider_id: &str, token: &str) -> Option<&AccessToken> {
        (self.access_tokens.iter()).find(|known| known.is(provider_id, token))
    }

    pub(super) fn saml_provider(&self, arn: &str) -> Option<&SamlProvider> {
        (self.saml_providers.iter()).find(|provider| provider.arn() == arn)
    }

    /// Makes an account the one that Organizations answers; without one it answers every account.
    #[must_use]
    pub fn with_management_account(mut self, id: &str) -> Self {
        self.management_account = Some(id.to_owned());
        self
    }

    /// The accounts, in the order of their adding.
    pub(super) fn accounts(&self) -> &[Account] {
        &self.accounts
    }

    /// The roles of an account.
    pub(super) fn roles_of<'a>(&'a self, account: &'a str) -> impl Iterator<Item = &'a Role> {
        (self.roles.iter()).filter(move |role| account_of(&role.arn) == account)
    }

    pub(super) fn role_mut(&mut self, arn: &str) -> Option<&mut Role> {
        self.roles.iter_mut().find(|role| role.arn == arn)
    }

    pub(super) fn user(&self, arn: &str) -> Option<&Principal> {
        let mut principals = self.principals.iter();
        principals.find(|principal| principal.kind == PrincipalKind::User && principal.arn == arn)
    }

    pub(super) fn account(&self, id: &str) -> Option<&Account> {
        self.accounts.iter().find(|account| account.id == id)
    }

    pub(super) fn role(&self, arn: &str) -> Option<&Role> {
        self.roles.iter().find(|role| role.arn == arn)
    }

    /// What a user's identity policies allow to assume.
    pub(super) fn permissions_of(&self, user_arn: &str) -> Vec<String> {
        let user = self.principals.iter().find(|known| known.arn == user_arn);
        user.map(|user| user.may_assume.clone()).unwrap_or_default()
    }

    pub(super) fn principal(&self, access_key_id: &str) -> Option<&Principal> {
        self.principals
            .iter()
            .find(|principal| principal.access_key_id == access_key_id)
    }
}

impl Account {
    /// An account with STS active in every region.
    pub fn new(id: &str, name: &str) -> Self {
        Self {
            id: id.to_owned(),
            name: name.to_owned(),
            disabled_regions: Vec::new(),
            alias: None,
            email: format!("aws+{id}@example.com"),
            status: AccountStatus::Active,
        }
    }

    /// Sets the alias that `iam:ListAccountAliases` tells.
    #[must_use]
    pub fn with_alias(mut self, alias: &str) -> Self {
        self.alias = Some(alias.to_owned());
        self
    }

    /// Sets the e-mail address, which is `aws+ID@example.com` otherwise.
    #[must_use]
    pub fn with_email(mut self, email: &str) -> Self {
        email.clone_into(&mut self.email);
        self
    }

    /// Sets what Organizations says about it.
    #[must_use]
    pub fn with_status(mut self, status: AccountStatus) -> Self {
        self.status = status;
        self
    }

    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// Deactivates STS in a region: `RegionDisabledException` there.
    #[must_use]
    pub fn without_region(mut self, region: &str) -> Self {
        self.disabled_regions.push(region.to_owned());
        self
    }
}

impl Role {
    /// A role with IAM's default session limit of one hour.
    pub fn new(arn: &str, trust: Trust) -> Self {
        Self {
            arn: arn.to_owned(),
            max_session_seconds: 3_600,
            trust,
            may_assume: Vec::new(),
            fault: None,
            description: None,
            policies: Vec::new(),
            inline_policies: BTreeMap::new(),
        }
    }

    /// Makes every STS call for this role fail so; the count of a fault does not matter, and
    /// [`StsFault::ThrottleEvery`] and [`StsFault::Hang`] are for all of STS alone.
    #[must_use]
    pub fn with_fault(mut self, fault: StsFault) -> Self {
        self.fault = Some(fault);
        self
    }

    /// Sets what the role is for.
    #[must_use]
    pub fn with_description(mut self, description: &str) -> Self {
        self.description = Some(description.to_owned());
        self
    }

    /// Attaches an identity policy. Sessions of a role that has none may do everything but open
    /// other roles.
    ///
    /// # Errors
    /// IAM's words, when it would not take the document.
    pub fn with_policy(mut self, document: &str) -> Result<Self, String> {
        self.policies.push(attachable(document)?);
        Ok(self)
    }

    /// The inline policies, which were read before they were kept.
    pub(super) fn inline_documents(&self) -> impl Iterator<Item = Document> {
        (self.inline_policies.values()).filter_map(|document| Document::identity(document).ok())
    }

    /// Sets `MaxSessionDuration`, in seconds.
    #[must_use]
    pub fn with_max_session_seconds(mut self, seconds: u32) -> Self {
        self.max_session_seconds = seconds;
        self
    }

    /// Lets sessions of this role assume roles whose ARN matches; `*` stands for anything.
    #[must_use]
    pub fn which_may_assume(mut self, pattern: &str) -> Self {
        self.may_assume.push(pattern.to_owned());
        self
    }

    pub(super) fn arn(&self) -> &str {
        &self.arn
    }
}

impl Trust {
    /// Trusts these principals: ARNs of users and roles, or `arn:…:iam::ACCOUNT:root`.
    pub fn of<'a>(principals: impl IntoIterator<Item = &'a str>) -> Self {
        let principals = principals.into_iter().map(str::to_owned).collect();
        Self {
            principals,
            ..Self::default()
        }
    }

    /// Requires an external id.
    #[must_use]
    pub fn with_external_id(mut self, external_id: &str) -> Self {
        self.external_id = Some(external_id.to_owned());
        self
    }

    /// Allows `sts:TagSession`.
    #[must_use]
    pub fn with_session_tags(mut self) -> Self {
        self.allows_session_tags = true;
        self
    }

    /// Allows `sts:AssumeRoleWithSAML` to an IAM SAML provider, for assertions whose Recipient is
    /// one of `audiences` (`SAML:aud`).
    #[must_use]
    pub fn with_saml<'a>(
        mut self,
        provider_arn: &str,
        audiences: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        let audiences = audiences.into_iter().map(str::to_owned).collect();
        self.federated.push((provider_arn.to_owned(), audiences));
        self
    }

    /// Allows `sts:AssumeRoleWithWebIdentity` to an IAM OIDC provider (its ARN), or to
    /// `graph.facebook.com` or `www.amazon.com`: for tokens whose audience (`…:aud`, `…:app_id`)
    /// is one of `audiences` and whose subject (`…:sub`, `…:id`) matches one of `subjects`, where
    /// `*` stands for anything. Nothing given is no condition.
    #[must_use]
    pub fn with_web_identity<'a>(
        mut self,
        provider: &str,
        audiences: impl IntoIterator<Item = &'a str>,
        subjects: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        self.web.push(WebTrust {
            provider: provider.to_owned(),
            audiences: audiences.into_iter().map(str::to_owned).collect(),
            subjects: subjects.into_iter().map(str::to_owned).collect(),
        });
        self
    }

    /// Requires `aws:MultiFactorAuthPresent`, which no federation has.
    #[must_use]
    pub fn with_mfa_required(mut self) -> Self {
        self.requires_mfa = true;
        self
    }

    /// Allows `sts:SetSourceIdentity`.
    #[must_use]
    pub fn with_source_identity(mut self) -> Self {
        self.allows_source_identity = true;
        self
    }
}

impl Principal {
    /// An IAM user with a long-term access key (`AKIA…`).
    pub fn user(arn: &str, access_key_id: &str, secret_access_key: &str) -> Self {
        Self {
            kind: PrincipalKind::User,
            arn: arn.to_owned(),
            caller_arn: arn.to_owned(),
            access_key_id: access_key_id.to_owned(),
            secret_access_key: secret_access_key.to_owned(),
            session_token: None,
            may_assume: Vec::new(),
            policies: Vec::new(),
            source_identity: None,
            mfa_devices: Vec::new(),
            has_mfa: false,
            may_federate: false,
            inherited_tags: Vec::new(),
        }
    }

    /// Gives the user an MFA device with this serial number (`arn:…:mfa/NAME`, or that of a
    /// hardware device).
    #[must_use]
    pub fn with_mfa_device(mut self, serial: &str, device: MfaDevice) -> Self {
        self.mfa_devices.push((serial.to_owned(), device));
        self
    }

    /// Allows `sts:GetFederationToken`, tags included.
    #[must_use]
    pub fn which_may_federate(mut self) -> Self {
        self.may_federate = true;
        self
    }

    /// A session of a role with a temporary access key (`ASIA…`); it does not expire. Without
    /// [`Self::with_secret`] nothing can be signed with it.
    pub fn role_session(role_arn: &str, session_name: &str, access_key_id: &str) -> Self {
        Self {
            kind: PrincipalKind::RoleSession,
            caller_arn: assumed_role_arn(role_arn, session_name),
            ..Self::user(role_arn, access_key_id, "")
        }
    }

    /// Sets the secret key and the session token that must come with it.
    #[must_use]
    pub fn with_secret(mut self, secret_access_key: &str, session_token: &str) -> Self {
        secret_access_key.clone_into(&mut self.secret_access_key);
        self.session_token = Some(session_token.to_owned());
        self
    }

    /// Makes the session one that EC2 gave to an instance.
    #[must_use]
    pub fn from_instance_profile(mut self) -> Self {
        self.kind = PrincipalKind::InstanceProfile;
        self
    }

    /// Allows `sts:AssumeRole` on roles whose ARN matches; `*` stands for anything. Needed for
    /// roles of other accounts and where the trust names an account's root.
    #[must_use]
    pub fn which_may_assume(mut self, pattern: &str) -> Self {
        self.may_assume.push(pattern.to_owned());
        self
    }

    /// Attaches an identity policy.
    ///
    /// # Errors
    /// IAM's words, when it would not take the document: `MalformedPolicyDocument`, or more than
    /// 6,144 characters, blanks not counted.
    pub fn with_policy(mut self, document: &str) -> Result<Self, String> {
        self.policies.push(attachable(document)?);
        Ok(self)
    }

    pub(super) fn partition(&self) -> Option<Partition> {
        Partition::of_arn(&self.arn)
    }
}

impl fmt::Debug for Principal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Principal")
            .field("kind", &self.kind)
            .field("caller_arn", &self.caller_arn)
            .field("access_key_id", &self.access_key_id)
            .finish_non_exhaustive()
    }
}

/// The account id inside an ARN, empty when there is none.
pub(super) fn account_of(arn: &str) -> &str {
    arn.split(':').nth(4).unwrap_or_default()
}

/// `arn:…:sts::ACCOUNT:assumed-role/NAME/SESSION`; the role's path is not part of it.
pub(super) fn assumed_role_arn(role_arn: &str, session_name: &str) -> String {
    let partition = role_arn.split(':').nth(1).unwrap_or_default();
    let account = account_of(role_arn);
    let name = role_arn.rsplit('/').next().unwrap_or_default();
    format!("arn:{partition}:sts::{account}:assumed-role/{name}/{session_name}")
}

/// A policy that can be attached: IAM's quota counts no blanks.
fn attachable(document: &str) -> Result<Document, String> {
    let read = Document::identity(document).map_err(|Malformed(message)| message)?;
    if text_length(document) > POLICY_CHARACTERS {
        return Err(format!(
            "Cannot exceed quota for PolicySize: {POLICY_CHARACTERS}"
        ));
    }
    Ok(read)
}

/// The characters of a policy that count.
pub(super) fn text_length(document: &str) -> usize {
    let counted = document
        .chars()
        .filter(|character| !character.is_whitespace());
    counted.count()
}
