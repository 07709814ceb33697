//! What AWS's own tools may see and take: they can show a token, and be asked for nothing.
//!
//! Roles that want more than that are neither listed nor opened for them. Never here: wire formats.
//! Entry points: [`Broker::stock_accounts`], [`Broker::stock_roles`], [`Broker::stock_order`].

use std::collections::BTreeMap;

use super::{Broker, Caller, OpenOrder};
use crate::{
    access::{AccountId, Entitlement, Policy, TargetArn},
    store::StoreError,
};

/// Where the next page of a list begins: after the entry that sorts like this. Text for people
/// first, then what is unique.
pub type ListPlace = (String, String);

/// A part of a list.
#[derive(Debug)]
pub struct ListPart<T> {
    /// The entries, in order.
    pub entries: Vec<T>,
    /// Where the next part begins; none where nothing follows.
    pub next: Option<ListPlace>,
}

/// An account in which a caller holds roles.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StockAccount {
    /// Its id.
    pub id: AccountId,
    /// What people call it.
    pub name: String,
}

/// What a caller holds in one account.
#[derive(Debug)]
pub enum StockRoles {
    /// The names of the roles, each once in the account; may be none that such a tool can open.
    Held(ListPart<String>),
    /// The caller holds nothing there, or there is no such account.
    Nothing,
}

impl Broker {
    /// The accounts in which a caller holds roles that a tool can open, by name.
    pub async fn stock_accounts(
        &self,
        caller: &Caller,
        after: Option<&ListPlace>,
        limit: usize,
    ) -> Result<ListPart<StockAccount>, StoreError> {
        let policy = self.policy().await?;
        let mut found = BTreeMap::new();
        for held in self.held_now(&policy, caller, None) {
            if held.opens_without_asking() {
                let id = held.role.arn.account();
                let place = (held.account_name().to_lowercase(), id.to_string());
                if after.is_none_or(|after| place > *after) {
                    let name = held.account_name();
                    found.entry(place).or_insert(StockAccount { id, name });
                }
            }
        }
        Ok(part(found, limit))
    }

    /// The roles of one account that a tool can open, by name.
    pub async fn stock_roles(
        &self,
        caller: &Caller,
        account: &AccountId,
        after: Option<&ListPlace>,
        limit: usize,
    ) -> Result<StockRoles, StoreError> {
        let policy = self.policy().await?;
        let held = self.held_now(&policy, caller, Some(account));
        if held.is_empty() {
            return Ok(StockRoles::Nothing);
        }
        let offered = held.iter().filter(|held| held.opens_without_asking());
        let found = offered.filter_map(|held| {
            let arn = &held.role.arn;
            let name = policy.name_in_account(arn);
            let place = (name.to_lowercase(), arn.to_string());
            let is_next = after.is_none_or(|after| place > *after);
            is_next.then(|| (place, name.to_owned()))
        });
        Ok(StockRoles::Held(part(found.collect(), limit)))
    }

    /// What to open for a role that a tool asks for under the name that it was offered by. Nothing says
    /// yet that the caller may.
    pub async fn stock_order(
        &self,
        caller: &Caller,
        account: &AccountId,
        name: &str,
    ) -> Result<OpenOrder, StoreError> {
        let policy = self.policy().await?;
        let role = self.offered_as(&policy, caller, account, name);
        Ok(OpenOrder {
            // What is nothing that is known is refused, and audited, under the name that was asked for.
            role: role.map_or_else(|| format!("{account}/{name}"), |arn| arn.to_string()),
            ..OpenOrder::default()
        })
    }

    fn offered_as(
        &self,
        policy: &Policy,
        caller: &Caller,
        account: &AccountId,
        name: &str,
    ) -> Option<TargetArn> {
        if let Some(arn) = policy.role_named(account, name) {
            return Some(arn.clone());
        }
        let mut held = self.held_now(policy, caller, Some(account)).into_iter();
        let found = held.find(|held| policy.name_in_account(&held.role.arn) == name);
        found.map(|held| held.role.arn.clone())
    }

    /// What a caller holds now, in one account where one is given.
    fn held_now<'p>(
        &self,
        policy: &'p Policy,
        caller: &Caller,
        account: Option<&AccountId>,
    ) -> Vec<Entitlement<'p>> {
        let is_wanted = |arn: &TargetArn| {
            account.is_none_or(|account| account.as_str() == arn.account_digits())
                && caller.role.as_ref().is_none_or(|only| only == arn)
        };
        policy.entitlements_where(&caller.session.identity, self.now(), is_wanted)
    }
}

/// The first entries of what is left of a list.
fn part<T>(found: BTreeMap<ListPlace, T>, limit: usize) -> ListPart<T> {
    let has_more = found.len() > limit;
    let mut next = None;
    let mut entries = Vec::with_capacity(limit.min(found.len()));
    for (place, entry) in found.into_iter().take(limit) {
        next = Some(place);
        entries.push(entry);
    }
    ListPart {
        entries,
        next: next.filter(|_| has_more),
    }
}
