//! How people name accounts, roles and groups on the command line, and what they mean.
//!
//! Entry points: [`role`], [`group`], [`account_id`].

use std::collections::HashMap;

use super::{Failure, failure::with_causes};
use crate::access::{
    AccountId, ConnectorId, GroupKey, GroupKeyError, GroupKeyForm, PolicyTables, Role, TargetArn,
};

/// The role of the table that an ARN or `account/role` names.
///
/// The account is an id, a name or an alias; the role is the last part of its path, or the path.
pub(super) fn role(text: &str, tables: &PolicyTables) -> Result<TargetArn, Failure> {
    if text.starts_with("arn:") {
        let arn: TargetArn = text.parse().map_err(usage)?;
        if tables.roles.iter().any(|role| role.arn == arn) {
            return Ok(arn);
        }
        return Err(Failure::Refused(format!(
            "{arn} is not in the table; add it with `rolegate role add {arn}`"
        )));
    }
    let Some((account, name)) = text.split_once('/') else {
        return Err(Failure::Usage(format!(
            "`{text}` is no role; write its ARN, or ACCOUNT/ROLE such as 111122223333/ReadOnly"
        )));
    };
    let is_meant = |role: &&Role| is_account(role, account, tables) && is_named(role, name);
    let found: Vec<&Role> = tables.roles.iter().filter(is_meant).collect();
    match found.as_slice() {
        [role] => Ok(role.arn.clone()),
        [] => Err(Failure::Refused(format!(
            "no role of the store is called `{text}`; `rolegate role list` shows what there is, \
             and rows of a mapping file are edited there"
        ))),
        several => {
            let arns: Vec<&str> = several.iter().map(|role| role.arn.as_str()).collect();
            Err(Failure::Refused(format!(
                "`{text}` could be any of {}; write the ARN",
                arns.join(", ")
            )))
        }
    }
}

fn is_account(role: &Role, text: &str, tables: &PolicyTables) -> bool {
    let id = role.arn.account();
    id.as_str() == text
        || tables.accounts.iter().any(|account| {
            let alias = account.alias.as_deref().unwrap_or_default();
            account.id == id && [account.name.as_str(), alias].contains(&text)
        })
}

/// IAM tells no role names apart by case within an account.
fn is_named(role: &Role, text: &str) -> bool {
    let path = role
        .arn
        .as_str()
        .split_once(":role/")
        .map_or("", |(_, path)| path);
    role.arn.name().eq_ignore_ascii_case(text) || path.eq_ignore_ascii_case(text)
}

/// The key of a group, in the form its connector has.
pub(super) fn group(
    text: &str,
    forms: &HashMap<ConnectorId, GroupKeyForm>,
) -> Result<GroupKey, Failure> {
    GroupKey::parse(text, forms).map_err(|error| {
        let told = with_causes(&error);
        Failure::Usage(if matches!(error, GroupKeyError::Dn { .. }) {
            format!("{told}; write the group as its directory does, such as corp:cn=dev,dc=example")
        } else {
            told
        })
    })
}

/// The account that an id, a name or an alias means; an id need not be in the table.
pub(super) fn account_id(text: &str, tables: &PolicyTables) -> Result<AccountId, Failure> {
    if let Ok(id) = text.parse() {
        return Ok(id);
    }
    let mut found = tables
        .accounts
        .iter()
        .filter(|account| account.name == text || account.alias.as_deref() == Some(text));
    match (found.next(), found.next()) {
        (Some(account), None) => Ok(account.id.clone()),
        (Some(_), Some(_)) => Err(Failure::Refused(format!(
            "more than one account is called `{text}`; write the twelve digits"
        ))),
        (None, _) => Err(Failure::Refused(format!(
            "no account is called `{text}`; `rolegate account list` shows what there is"
        ))),
    }
}

fn usage(error: impl std::error::Error) -> Failure {
    Failure::Usage(with_causes(&error))
}
