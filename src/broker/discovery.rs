//! Which roles of an account trust the broker and are not in the table.
//!
//! Never here: adding them; that is an edit like any other. Entry point:
//! [`Broker::discover_roles`].

use std::{collections::HashSet, sync::Arc};

use super::{
    Broker,
    probe::{NotRead, in_account},
};
use crate::{
    access::{AccountId, Errand, Partition, SessionDuration, TargetArn, TargetKind},
    audit::Actor,
    aws::{
        IamRole,
        trust::{TrustDocument, Trusted},
    },
    store::StoreError,
};

/// How a role trusts us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// Its trust policy names us.
    Named,
    /// Its trust policy names our account or anybody, which may be us.
    Perhaps,
}

/// A role that trusts us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiscoveredRole {
    /// Its ARN.
    pub arn: TargetArn,
    /// What IAM says it is for.
    pub description: Option<String>,
    /// The longest session that IAM gives.
    pub longest: SessionDuration,
    /// How it trusts us.
    pub trust: Trust,
}

/// Why there is no list.
#[derive(Debug, thiserror::Error)]
pub enum NotDiscovered {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// IAM.
    #[error(transparent)]
    NotRead(#[from] NotRead),
}

impl Broker {
    /// The roles of an account that trust us and are not in the table, those that name us first.
    /// The session of the read role is an audit row, on behalf of `by`.
    pub async fn discover_roles(
        self: &Arc<Self>,
        account: &AccountId,
        by: Actor,
    ) -> Result<Vec<DiscoveredRole>, NotDiscovered> {
        let policy = self.policy().await?;
        let tables = self.tables().await?;
        let known: HashSet<(AccountId, String)> = tables
            .roles
            .iter()
            .map(|role| (role.arn.account(), role.arn.name().to_lowercase()))
            .collect();
        let partition = tables
            .roles
            .iter()
            .find(|role| role.arn.account() == *account)
            .map_or_else(|| self.home_partition(), |role| role.arn.partition());
        let within = in_account(self, partition, account)?;
        let mut trusted: Vec<Trusted> = Vec::new();
        let leave = policy.errand(Errand::Read, &within, String::new());
        let leave = leave.map_err(|_| NotRead::NoLeave(within.to_string()))?;
        let caller = self.caller_of(leave.grant()).await;
        trusted.extend(self.trusted_by(leave.grant(), caller));
        let listed = self.read_roles(&within, by).await?;
        let mut found: Vec<DiscoveredRole> = listed
            .into_iter()
            .filter(|role| role.arn.kind() == TargetKind::Role && !is_of_aws(&role.arn))
            .filter(|role| !known.contains(&(role.arn.account(), role.arn.name().to_lowercase())))
            .filter_map(|role| discovered(role, &trusted))
            .filter(|role| !self.is_own(&role.arn))
            .collect();
        found.sort_by_key(|role| (role.trust == Trust::Perhaps, role.arn.clone()));
        Ok(found)
    }

    /// The partition of the region that roles without one are in.
    fn home_partition(&self) -> Partition {
        let region = self.settings.default_region.as_str();
        crate::aws::partition::partition_of_region(region).unwrap_or(Partition::Aws)
    }

    /// Whether it is for the broker's errands and not for people.
    fn is_own(&self, arn: &TargetArn) -> bool {
        let own = [&self.settings.read_role, &self.settings.revoker_role];
        own.into_iter()
            .flatten()
            .any(|name| arn.as_str().ends_with(&format!(":role/{name}")))
    }
}

/// Whether AWS made it for its own services, or for IAM Identity Center.
fn is_of_aws(arn: &TargetArn) -> bool {
    arn.as_str().contains(":role/aws-service-role/") || arn.as_str().contains(":role/aws-reserved/")
}

fn discovered(role: IamRole, trusted: &[Trusted]) -> Option<DiscoveredRole> {
    let document = TrustDocument::read(&role.trust)?;
    let trust = if trusted.iter().any(|trusted| document.names(trusted)) {
        Trust::Named
    } else if trusted.iter().any(|trusted| document.may_allow(trusted)) {
        Trust::Perhaps
    } else {
        return None;
    };
    Some(DiscoveredRole {
        arn: role.arn,
        description: role.description,
        longest: role.max_duration,
        trust,
    })
}
