//! What has to be made at AWS before the roles of an account can be opened.
//!
//! Never here: how it is written down; that is [`aws::setup`](crate::aws::setup). Entry point:
//! [`Broker::account_setup`].

use thiserror::Error;

use super::Broker;
use crate::{
    access::{
        AccountId, ConsoleWay, Errand, Grant, NotProbed, Partition, Policy, Sends, SessionDuration,
        TargetArn, TargetKind, Voucher,
    },
    aws::{
        setup::{
            self, AccountSetup, OidcProviderSetup, RoleSetup, SamlProviderSetup, broker_policy,
        },
        trust::{TrustStatement, Trusted},
    },
    store::StoreError,
};

/// The setup of one account, and what of it cannot be written down.
#[derive(Debug, Clone)]
pub struct SetUp {
    /// What has to be made there.
    pub account: AccountSetup,
    /// The least that the broker's own principal has to be allowed for these roles (JSON). None
    /// where it needs nothing.
    pub broker_policy: Option<String>,
    /// The roles that are not in it, and why.
    pub left_out: Vec<(TargetArn, &'static str)>,
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

impl Broker {
    /// What account `account` needs for the roles that the table has of it, or for those of `only`.
    /// AWS is asked who the broker is, where roles have to name that.
    pub async fn account_setup(
        &self,
        account: &AccountId,
        only: &[TargetArn],
    ) -> Result<SetUp, SetUpRefused> {
        let policy = self.policy().await?;
        let tables = self.tables().await?;
        let roles: Vec<&TargetArn> = (tables.roles.iter())
            .map(|role| &role.arn)
            .filter(|arn| arn.account_digits() == account.as_str())
            .filter(|arn| only.is_empty() || only.contains(arn))
            .collect();
        if roles.is_empty() && policy.account(account).is_none() {
            return Err(SetUpRefused::UnknownAccount(account.clone()));
        }
        let partition = (roles.first()).map_or(Partition::Aws, |arn| arn.partition());
        let mut written = Vec::new();
        let mut left_out = Vec::new();
        for arn in roles {
            match self.role_setup(&policy, arn).await {
                Ok(role) => written.push(role),
                Err(why) => left_out.push((arn.clone(), why)),
            }
        }
        written.extend(self.own_roles(&policy, account, partition, &written).await);
        let setup = AccountSetup {
            account: account.clone(),
            partition,
            saml_provider: self.saml_provider_setup(&written),
            oidc_provider: self.oidc_provider_setup(&written),
            roles: written,
        };
        Ok(SetUp {
            broker_policy: broker_policy(&setup.roles).map(|policy| setup::printed(&policy)),
            account: setup,
            left_out,
        })
    }

    async fn role_setup(
        &self,
        policy: &Policy,
        arn: &TargetArn,
    ) -> Result<RoleSetup, &'static str> {
        let unusable = "its row in the table has to be mended first";
        let effective = policy.effective(arn).ok_or(unusable)?;
        if arn.kind() != TargetKind::Role {
            return Err("it is opened with the keys of an IAM user, and needs no role");
        }
        if effective.console == ConsoleWay::IdpInitiated {
            return Err("the identity provider opens it itself");
        }
        let trusted = if effective.voucher == Some(Voucher::Provider) {
            return Err(
                "the person's own identity provider vouches for it: follow its guide, and \
                        let SAML:aud name Rolegate's assertion consumer service",
            );
        } else if effective.mfa_serial.is_some() {
            // A probe cannot bring a code, and yet the trust is the same.
            let leave = policy.errand(Errand::Read, arn, String::new());
            self.trusted(leave.map_err(|_| unusable)?.grant()).await
        } else {
            let leave = policy.probe(arn).map_err(|_: NotProbed| unusable)?;
            self.trusted(leave.grant()).await
        };
        let trusted = trusted.ok_or(
            "AWS did not tell who Rolegate is, so its trust cannot be written: check the \
             credential source",
        )?;
        let role = policy.role(arn).ok_or(unusable)?;
        Ok(RoleSetup {
            arn: arn.clone(),
            trust: TrustStatement {
                trusted,
                sends: policy.sends(arn),
            },
            max_duration: effective.max_duration,
            description: role.description.clone(),
            permissions: None,
        })
    }

    async fn trusted(&self, grant: &Grant) -> Option<Trusted> {
        let caller = self.caller_of(grant).await;
        self.trusted_by(grant, caller)
    }

    /// The roles by which the broker reads IAM and ends sessions, where they are configured.
    async fn own_roles(
        &self,
        policy: &Policy,
        account: &AccountId,
        partition: Partition,
        others: &[RoleSetup],
    ) -> Vec<RoleSetup> {
        let settings = &self.settings;
        let wanted = [
            (Errand::Read, &settings.read_role, setup::read_permissions()),
            (
                Errand::Revoke,
                &settings.revoker_role,
                setup::revoke_permissions(others.iter().map(|role| &role.arn)),
            ),
        ];
        let mut roles = Vec::new();
        for (errand, name, permissions) in wanted {
            let Some(name) = name else { continue };
            let Ok(arn) = format!("arn:{partition}:iam::{account}:role/{name}").parse() else {
                continue;
            };
            let Ok(leave) = policy.errand(errand, &arn, String::new()) else {
                continue;
            };
            let Some(trusted) = self.trusted(leave.grant()).await else {
                continue;
            };
            roles.push(RoleSetup {
                arn,
                trust: TrustStatement {
                    trusted,
                    sends: Sends::default(),
                },
                max_duration: SessionDuration::HOUR,
                description: Some(format!("{}, for Rolegate itself", errand.session_name())),
                permissions: Some(permissions),
            });
        }
        roles
    }

    fn saml_provider_setup(&self, roles: &[RoleSetup]) -> Option<SamlProviderSetup> {
        let provider = roles.iter().find_map(|role| match &role.trust.trusted {
            Trusted::Saml { provider, .. } => Some(provider),
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
