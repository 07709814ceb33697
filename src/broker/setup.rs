//! What has to be made at AWS before the roles of an account can be opened.
//!
//! Never here: how it is written down; that is [`aws::setup`](crate::aws::setup). Entry points:
//! [`Broker::account_setup`], [`fresh_external_id`].

use aws_lc_rs::rand;
use thiserror::Error;

use super::{Broker, probe::PATH_UNKNOWN};
use crate::{
    access::{
        AccountId, ConsoleWay, EffectiveRole, Errand, Grant, GrantMethod, Partition, Policy,
        SamlProviderArn, Sends, SessionDuration, TargetArn, TargetKind, Voucher,
    },
    aws::{
        setup::{
            self, AccountSetup, OidcProviderSetup, RoleSetup, SamlProviderSetup, broker_policies,
        },
        trust::{TrustStatement, Trusted},
    },
    store::StoreError,
};

/// Why a role that has to name the broker is left out.
const NOBODY_KNOWN: &str = "AWS did not tell who Rolegate is, so its trust cannot be written: name \
     Rolegate's own role or user with `rolegate aws-setup --principal ARN`, or check the credential \
     source";
const UNUSABLE: &str = "its row in the table has to be mended first";

/// A fresh ExternalId, for a role that somebody else owns: 128 random bits. AWS takes it for no
/// secret, and whoever has it can do nothing with it alone. None where there are no random bytes to
/// be had.
pub fn fresh_external_id() -> Option<String> {
    let mut bytes = [0; 16];
    rand::fill(&mut bytes).ok()?;
    Some(format!("rolegate-{}", hex::encode(bytes)))
}

/// Which setup is meant.
#[derive(Debug, Clone, Copy)]
pub struct SetUpOrder<'a> {
    /// The account.
    pub account: &'a AccountId,
    /// These of its roles alone; empty for all, and Rolegate's own with them.
    pub only: &'a [TargetArn],
    /// The broker's own principal; none asks AWS.
    pub principal: Option<&'a TargetArn>,
}

/// The setup of one account, and what of it cannot be written down.
#[derive(Debug, Clone)]
pub struct SetUp {
    /// What has to be made there.
    pub account: AccountSetup,
    /// The least that the broker's own principal has to be allowed for these roles (JSON), each of
    /// a size that IAM takes. Empty where it needs nothing.
    pub broker_policies: Vec<String>,
    /// The roles that are not in it, and why.
    pub left_out: Vec<(TargetArn, &'static str)>,
    /// What to look out for when it is used.
    pub hint: Option<&'static str>,
}

/// Why there is no setup.
#[derive(Debug, Error)]
pub enum SetUpRefused {
    /// The table has neither the account nor a role of it.
    #[error("account {0} is not in the table: add it, or a role of it, first")]
    UnknownAccount(AccountId),
    /// The tables cannot be read.
    #[error("the store is unavailable")]
    Store(#[from] StoreError),
}

/// The table's rows, and who the broker is.
struct Writer<'a> {
    broker: &'a Broker,
    policy: &'a Policy,
    principal: Option<&'a TargetArn>,
}

impl Broker {
    /// What an account needs for the roles that the table has of it. AWS is asked who the broker
    /// is, where roles have to name that and the order does not.
    pub async fn account_setup(&self, order: SetUpOrder<'_>) -> Result<SetUp, SetUpRefused> {
        let (policy, account) = (self.policy().await?, order.account);
        let tables = self.tables().await?;
        let of_account: Vec<&TargetArn> = (tables.roles.iter())
            .map(|role| &role.arn)
            .filter(|arn| arn.account_digits() == account.as_str())
            .collect();
        if of_account.is_empty() && policy.account(account).is_none() {
            return Err(SetUpRefused::UnknownAccount(account.clone()));
        }
        let partition = (of_account.first()).map_or(Partition::Aws, |arn| arn.partition());
        let writer = Writer {
            broker: self,
            policy: &policy,
            principal: order.principal,
        };
        let mut written = Vec::new();
        let mut left_out = Vec::new();
        let mut note = |arn: &TargetArn, role| match role {
            Ok(role) => written.push(role),
            Err(why) => left_out.push((arn.clone(), why)),
        };
        for &arn in &of_account {
            if order.only.is_empty() || order.only.contains(arn) {
                note(arn, writer.role(arn).await);
            }
        }
        if order.only.is_empty() {
            for (errand, arn) in self.own_roles(account, partition) {
                note(&arn, writer.own_role(errand, &arn, &of_account).await);
            }
        }
        let setup = AccountSetup {
            account: account.clone(),
            partition,
            saml_provider: self.saml_provider_setup(&written),
            oidc_provider: self.oidc_provider_setup(&written),
            roles: written,
        };
        Ok(SetUp {
            broker_policies: printed(&broker_policies(&setup.roles)),
            hint: hint(&setup),
            account: setup,
            left_out,
        })
    }

    /// The roles by which the broker reads IAM and ends sessions, where they are configured.
    fn own_roles(
        &self,
        account: &AccountId,
        partition: Partition,
    ) -> impl Iterator<Item = (Errand, TargetArn)> {
        let settings = &self.settings;
        let wanted = [
            (Errand::Read, &settings.read_role),
            (Errand::Revoke, &settings.revoker_role),
        ];
        wanted.into_iter().filter_map(move |(errand, name)| {
            let arn = format!("arn:{partition}:iam::{account}:role/{}", name.as_ref()?);
            Some((errand, arn.parse().ok()?))
        })
    }

    fn saml_provider_setup(&self, roles: &[RoleSetup]) -> Option<SamlProviderSetup> {
        let provider = roles.iter().find_map(|role| match &role.trust.trusted {
            Trusted::Saml {
                provider,
                issuer: Some(_),
                ..
            } => Some(provider),
            _ => None,
        })?;
        let name = provider.as_str().rsplit('/').next()?;
        Some(SamlProviderSetup {
            name: name.to_owned(),
            metadata: self.issuer()?.saml_metadata()?,
        })
    }

    fn oidc_provider_setup(&self, roles: &[RoleSetup]) -> Option<OidcProviderSetup> {
        let audience = roles.iter().find_map(|role| match &role.trust.trusted {
            Trusted::WebIdentity { audience, .. } => Some(audience),
            _ => None,
        })?;
        Some(OidcProviderSetup {
            url: self.issuer()?.name().to_owned(),
            audience: audience.clone(),
        })
    }
}

impl Writer<'_> {
    /// A role of the table, or why it cannot be written.
    async fn role(&self, arn: &TargetArn) -> Result<RoleSetup, &'static str> {
        let effective = self.policy.effective(arn).ok_or(UNUSABLE)?;
        let role = self.policy.role(arn).ok_or(UNUSABLE)?;
        if role.disabled {
            return Err("it is disabled in the table");
        }
        if arn.kind() != TargetKind::Role {
            return Err("it is opened with the keys of an IAM user, and needs no role");
        }
        if effective.console == ConsoleWay::IdpInitiated {
            return Err("the identity provider opens it itself");
        }
        let trusted = if effective.voucher == Some(Voucher::Provider) {
            self.by_provider(arn, effective)?
        } else if effective.mfa_serial.is_some() {
            // A probe, which cannot bring a code, has no leave for it.
            let caller = self.caller(&effective.credential_source).await;
            Trusted::Caller {
                arn: caller.ok_or(NOBODY_KNOWN)?,
                external_id: effective.external_id.clone(),
            }
        } else {
            let leave = self.policy.probe(arn).map_err(|_| UNUSABLE)?;
            self.trusted(leave.grant()).await?
        };
        Ok(RoleSetup {
            arn: arn.clone(),
            trust: TrustStatement {
                trusted,
                sends: self.policy.sends(arn),
            },
            needs_code: effective.mfa_serial.is_some(),
            max_duration: effective.max_duration,
            description: role.description.clone(),
            permissions: None,
        })
    }

    /// The trust of a role for which the person's own provider vouches: its assertions are posted to
    /// us, so that `SAML:aud` is our assertion consumer service.
    fn by_provider(
        &self,
        arn: &TargetArn,
        effective: &EffectiveRole,
    ) -> Result<Trusted, &'static str> {
        if effective.grant_method != GrantMethod::AssumeRoleWithSaml {
            return Err(
                "the person's own identity provider vouches for it: trust that provider, with \
                 Rolegate's client id there as the audience",
            );
        }
        let template = effective.saml_provider_arn.as_deref().ok_or(
            "which IAM SAML provider vouches for it stands in the person's assertion: set \
             saml_provider_arn, or let SAML:aud name Rolegate's assertion consumer service",
        )?;
        let provider = SamlProviderArn::from_template(template, arn.account_digits());
        let settings = &self.broker.settings;
        let mut connectors = settings.policy.hand_over_connectors.iter();
        let (Some(connector), None) = (connectors.next(), connectors.next()) else {
            return Err(
                "no SAML connector hands assertions over, or several do: let SAML:aud name the \
                 assertion consumer service of each",
            );
        };
        let consumer = settings.public_url.join(&format!("/saml/{connector}/acs"));
        Ok(Trusted::Saml {
            provider: provider.map_err(|_| UNUSABLE)?,
            recipient: consumer.map_err(|_| UNUSABLE)?.into(),
            issuer: None,
        })
    }

    /// A role of Rolegate's own, or why it cannot be written.
    async fn own_role(
        &self,
        errand: Errand,
        arn: &TargetArn,
        roles: &[&TargetArn],
    ) -> Result<RoleSetup, &'static str> {
        let leave = self.policy.errand(errand, arn, String::new());
        let leave = leave.map_err(|_| UNUSABLE)?;
        let roles = roles.iter().copied();
        let roles = roles.filter(|role| role.kind() == TargetKind::Role);
        let permissions = match errand {
            Errand::Revoke => setup::revoke_permissions(roles).ok_or(
                "the account has no roles in the table, or more than one policy can name: write it \
                 by hand, with patterns of their names",
            )?,
            Errand::Read | Errand::Probe => setup::read_permissions(),
        };
        Ok(RoleSetup {
            arn: arn.clone(),
            trust: TrustStatement {
                trusted: self.trusted(leave.grant()).await?,
                sends: Sends::default(),
            },
            needs_code: false,
            max_duration: SessionDuration::HOUR,
            description: Some(format!("{}, for Rolegate itself", errand.session_name())),
            permissions: Some(permissions),
        })
    }

    async fn trusted(&self, grant: &Grant) -> Result<Trusted, &'static str> {
        let caller = match grant.voucher() {
            Some(_) => None,
            None => self.caller(grant.credential_source()).await,
        };
        self.broker.trusted_by(grant, caller).ok_or(NOBODY_KNOWN)
    }

    /// The ARN of the broker's own principal, or of a session of it.
    async fn caller(&self, credential_source: &str) -> Option<String> {
        if let Some(principal) = self.principal {
            return Some(principal.to_string());
        }
        let caller = self.broker.adapters.sts.caller(credential_source).await;
        caller.ok().map(|caller| caller.arn)
    }
}

fn hint(setup: &AccountSetup) -> Option<&'static str> {
    let is_session = |role: &RoleSetup| match &role.trust.trusted {
        Trusted::Caller { arn, .. } => arn.contains(":assumed-role/"),
        Trusted::Saml { .. } | Trusted::WebIdentity { .. } => false,
    };
    setup.roles.iter().any(is_session).then_some(PATH_UNKNOWN)
}

fn printed(policies: &[serde_json::Value]) -> Vec<String> {
    policies.iter().map(setup::printed).collect()
}
