//! Making the snapshot: rows are indexed, and those that cannot be used are named.

use std::{collections::HashMap, sync::Arc};

use serde::{Deserialize, Serialize};

use super::{
    Asserted, PlacedMapping, PlacedRole, Policy, PolicyProblem, PolicySettings, PolicyTables,
};
use crate::access::{
    Account, AccountId, Conditions, ConsoleWay, EffectiveRole, GrantMethod, Mapping, MappingId,
    MappingRule, Role, RoleDefaults, TargetArn, Voucher,
};

/// What stands where a mapping's id would, for roles that the assertion alone gives.
const ASSERTED: &str = "asserted";

impl Policy {
    /// Indexes the table. Broken rows become [`problems`](Self::problems) and give nothing.
    pub fn new(tables: PolicyTables, settings: PolicySettings) -> Self {
        let mut policy = Self {
            version: tables.version,
            settings,
            accounts: HashMap::with_capacity(tables.accounts.len()),
            roles: HashMap::with_capacity(tables.roles.len()),
            mappings: HashMap::new(),
            rules: Vec::new(),
            by_name: HashMap::with_capacity(tables.roles.len()),
            problems: Vec::new(),
            asserted: Asserted {
                id: MappingId(ASSERTED.to_owned()),
                conditions: Conditions::default(),
            },
        };
        for account in tables.accounts {
            policy.place_account(account);
        }
        for role in tables.roles {
            policy.place_role(role);
        }
        policy.order_roles();
        let mut group_ids = tables.group_ids;
        for mapping in tables.mappings {
            let group_id = group_ids.remove(&mapping.id);
            policy.place_mapping(mapping, group_id);
        }
        for rule in tables.rules {
            policy.place_rule(&rule);
        }
        policy
    }

    fn place_account(&mut self, mut account: Account) {
        if let Some(twin) = self.accounts.get(&account.id) {
            account.protected |= twin.protected;
        }
        self.accounts.insert(account.id.clone(), account);
    }

    fn place_role(&mut self, mut role: Role) {
        let twin = self.roles.get(&role.arn);
        if twin.is_some_and(|twin| *twin.role != role) {
            // Which row narrows more, or was disabled, cannot be left to their order.
            role.disabled = true;
            let message = "is there twice and not the same, in the store and in a file: end one";
            self.problem(role.arn.as_str(), message.to_owned());
        }
        let effective = self.with_defaults(&role.own, role.arn.account_digits());
        let contradiction = (role.contradiction(&effective)).or_else(|| {
            role.shared_by_connectors()
                .filter(|_| self.settings.connectors > 1)
        });
        if let Some(contradiction) = &contradiction {
            self.problem(role.arn.as_str(), contradiction.message.clone());
        }
        if effective.voucher == Some(Voucher::Issuer)
            && !self.settings.issuer.has(effective.grant_method)
        {
            let message = format!(
                "is vouched for by Rolegate's own issuer (grant method {}), and [issuer] has no key \
                 for that",
                effective.grant_method
            );
            self.problem(role.arn.as_str(), message);
        }
        if effective.console == ConsoleWay::IdpInitiated
            && self.settings.hand_over_connectors.is_empty()
        {
            let message = "is opened by the identity provider itself (console = \
                           \"idp-initiated\"), and no connector has aws_application_url";
            self.problem(role.arn.as_str(), message.to_owned());
        }
        let key = (role.arn.account(), role.arn.name().to_lowercase());
        let other = self.by_name.insert(key.clone(), Some(role.arn.clone()));
        if let Some(other) = other.filter(|other| other.as_ref() != Some(&role.arn)) {
            // Neither rules nor links may guess which one is meant.
            self.by_name.insert(key, None);
            let other = other.map_or_else(|| "others".to_owned(), |arn| arn.to_string());
            let message = format!("has the same name in its account as {other}");
            self.problem(role.arn.as_str(), message);
        }
        self.roles.insert(
            role.arn.clone(),
            PlacedRole {
                role: Arc::new(role),
                effective: Arc::new(effective),
                contradiction,
                place: 0,
            },
        );
    }

    /// A role's settings with the gaps filled by its account's and the general ones.
    pub(super) fn with_defaults(&self, own: &RoleDefaults, account: &str) -> EffectiveRole {
        let settings = match self.accounts.get(account) {
            Some(account) => own.or(&account.role_defaults),
            None => own.clone(),
        };
        let mut settings = settings.or(&self.settings.role_defaults);
        let method = settings.grant_method.unwrap_or(GrantMethod::AssumeRole);
        if settings.vouched_by.is_none() && self.settings.issuer.has(method) {
            settings.vouched_by = Some(Voucher::Issuer);
        }
        EffectiveRole::from(settings)
    }

    fn order_roles(&mut self) {
        let accounts = &self.accounts;
        let mut roles: Vec<&mut PlacedRole> = self.roles.values_mut().collect();
        roles.sort_by_cached_key(|placed| {
            let arn = &placed.role.arn;
            rank(arn, accounts.get(arn.account_digits()))
        });
        for (place, role) in roles.into_iter().enumerate() {
            role.place = place;
        }
    }

    fn place_mapping(&mut self, mapping: Mapping, group_id: Option<String>) {
        match self.roles.get(&mapping.role) {
            None => {
                let message = format!("names {}, and there is no such role", mapping.role);
                self.problem(&mapping.id.0, message);
            }
            Some(placed) if placed.effective.console == ConsoleWay::IdpInitiated => {
                if let Some(key) = mapping.conditions.keys().next() {
                    let message = format!(
                        "asks for {key}, and the identity provider opens {} itself \
                         (console = \"idp-initiated\"), so that nothing can be asked for: it gives \
                         nothing",
                        mapping.role
                    );
                    self.problem(&mapping.id.0, message);
                }
            }
            Some(_) => {}
        }
        if let Some(condition) = mapping.conditions.unenforceable() {
            let message = format!("{} cannot be enforced by this version", condition.key());
            self.problem(&mapping.id.0, message);
        }
        self.mappings
            .entry(mapping.group.clone())
            .or_default()
            .push(PlacedMapping { mapping, group_id });
    }

    fn place_rule(&mut self, rule: &MappingRule) {
        if let Some(condition) = rule.conditions.unenforceable() {
            let message = format!("{} cannot be enforced by this version", condition.key());
            self.problem(&rule.id.0, message);
        }
        match rule.compile() {
            Ok(compiled) => self.rules.push(compiled),
            Err(error) => self.problem(&rule.id.0, error.to_string()),
        }
    }

    fn problem(&mut self, about: &str, message: String) {
        self.problems.push(PolicyProblem {
            about: about.to_owned(),
            message,
        });
    }
}

/// What roles are ordered by everywhere: account name, account, role name, ARN.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RoleRank(String, AccountId, String, String);

pub(super) fn rank(arn: &TargetArn, account: Option<&Account>) -> RoleRank {
    let id = arn.account();
    let name = account.map_or(id.as_str(), |account| account.name.as_str());
    let (name, role) = (name.to_lowercase(), arn.name().to_lowercase());
    RoleRank(name, id, role, arn.to_string())
}
