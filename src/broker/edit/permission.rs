//! Whether a person may change rows at all, and which of them are protected.

use std::collections::HashMap;

use crate::access::{
    Account, Authority, Change, Mapping, PolicyTables, Role, Row, RowName, TargetArn,
};

use super::{Refusal, RowChange};

/// What the accounts and roles say about themselves before and after an edit, twins included.
pub(in crate::broker) struct Surroundings<'a> {
    accounts: HashMap<&'a str, Vec<&'a Account>>,
    roles: HashMap<&'a TargetArn, Vec<&'a Role>>,
}

impl<'a> Surroundings<'a> {
    pub(in crate::broker) fn of(tables: &[&'a PolicyTables]) -> Self {
        let mut found = Self {
            accounts: HashMap::new(),
            roles: HashMap::new(),
        };
        for tables in tables {
            for account in &tables.accounts {
                let twins = found.accounts.entry(account.id.as_str()).or_default();
                twins.push(account);
            }
            for role in &tables.roles {
                found.roles.entry(&role.arn).or_default().push(role);
            }
        }
        found
    }

    fn accounts(&self, digits: &str) -> &[&'a Account] {
        self.accounts.get(digits).map_or(&[], Vec::as_slice)
    }

    fn roles(&self, arn: &TargetArn) -> &[&'a Role] {
        self.roles.get(arn).map_or(&[], Vec::as_slice)
    }

    /// Whether a role or its account is protected, before or after.
    pub(super) fn is_role_protected(&self, arn: &TargetArn) -> bool {
        self.roles(arn).iter().any(|role| role.protected)
            || self.is_account_protected(arn.account_digits())
    }

    fn is_account_protected(&self, digits: &str) -> bool {
        let accounts = self.accounts(digits);
        accounts.iter().any(|account| account.protected)
    }

    /// Whether a changed row touches something protected.
    pub(super) fn is_protected(&self, row: &RowChange) -> bool {
        let sides = [&row.before, &row.after];
        sides.into_iter().flatten().any(|row| match row {
            Row::Account(account) => {
                account.protected || self.is_account_protected(account.id.as_str())
            }
            Row::Role(role) => role.protected || self.is_role_protected(&role.arn),
            Row::Mapping(mapping) => self.is_role_protected(&mapping.role),
            Row::Rule(rule) => rule.allow_protected,
        })
    }

    /// Refuses the first row that the person may not change.
    pub(super) fn permit(&self, authority: &Authority, rows: &[RowChange]) -> Result<(), Refusal> {
        permit_anything(authority)?;
        for row in rows {
            let sides = [&row.before, &row.after];
            for side in sides.into_iter().flatten() {
                let permitted = match side {
                    Row::Mapping(mapping) => self.permit_mapping(authority, mapping),
                    _ => permit_admin(authority),
                };
                permitted.map_err(|refusal| refusal.about(row.name.clone()))?;
            }
        }
        Ok(())
    }

    fn permit_mapping(&self, authority: &Authority, mapping: &Mapping) -> Result<(), Refusal> {
        self.permit_role(authority, &mapping.role)
    }

    /// Refuses somebody who may not edit mappings onto a role.
    pub(in crate::broker) fn permit_role(
        &self,
        authority: &Authority,
        role: &TargetArn,
    ) -> Result<(), Refusal> {
        if authority.helpdesk.is_empty() {
            let message = "Mappings are edited by the helpdesk, and you are not in a helpdesk \
                           group.";
            return Err(Refusal::not_allowed("not_helpdesk", message));
        }
        let accounts = self.accounts(role.account_digits());
        let is_within = if accounts.is_empty() {
            authority.may_edit_mappings_of(role, None)
        } else {
            // An edit that moves an account must not bring it within reach.
            let mut accounts = accounts.iter();
            accounts.all(|account| authority.may_edit_mappings_of(role, Some(account)))
        };
        if is_within {
            return Ok(());
        }
        let message = format!("Mappings of {role} are outside of what your helpdesk group covers.");
        Err(Refusal::not_allowed("outside_scope", message))
    }

    /// The same for changes that may not fit the tables any more.
    pub(in crate::broker) fn permit_changes(
        &self,
        authority: &Authority,
        changes: &[Change],
        tables: &PolicyTables,
    ) -> Result<(), Refusal> {
        permit_anything(authority)?;
        for change in changes {
            let Some(name) = change.row() else { continue };
            let now = match &name {
                RowName::Mapping(_) => tables.row(&name),
                _ => None,
            };
            let permitted = match (change, now) {
                (Change::PutMapping(new), Some(Row::Mapping(old))) => self
                    .permit_mapping(authority, new)
                    .and_then(|()| self.permit_mapping(authority, &old)),
                (Change::PutMapping(new), _) => self.permit_mapping(authority, new),
                (Change::EndMapping(_), Some(Row::Mapping(old))) => {
                    self.permit_mapping(authority, &old)
                }
                // What is gone can be hurt by nobody.
                (Change::EndMapping(_), _) => Ok(()),
                _ => permit_admin(authority),
            };
            permitted.map_err(|refusal| refusal.about(name))?;
        }
        Ok(())
    }
}

fn permit_anything(authority: &Authority) -> Result<(), Refusal> {
    if authority.is_admin || !authority.helpdesk.is_empty() {
        return Ok(());
    }
    let message = "Only the helpdesk and admins change the tables, and you are in none of their \
                   groups.";
    Err(Refusal::not_allowed("not_an_editor", message))
}

fn permit_admin(authority: &Authority) -> Result<(), Refusal> {
    if authority.is_admin {
        return Ok(());
    }
    let message = "Accounts, roles, rules and what is protected are edited by admins, and you are \
                   not in an admin group.";
    Err(Refusal::not_allowed("not_admin", message))
}
