//! Which roles a text means. Entry point: [`roles`].

use std::collections::BTreeSet;

use crate::access::{AccountId, PolicyTables, TargetArn};

/// How many names are offered where none fits.
const OFFERED: usize = 3;
/// How alike two names must be, from 0 to 1, for one to be offered for the other.
const ALIKE: f64 = 0.55;

/// The longest text that is looked up, in bytes: an ARN has at most 2,048.
const LONGEST: usize = 2_048;

/// The roles that a text means, by account and name; or a sentence that says what is near it.
pub(super) fn roles(text: &str, tables: &PolicyTables) -> Result<Vec<TargetArn>, String> {
    let text = text.trim();
    if text.len() > LONGEST {
        return Err(format!(
            "that is {} bytes long, and no role is called so: write account/role or an ARN",
            text.len()
        ));
    }
    if text.starts_with("arn:") {
        let arn = text.parse::<TargetArn>();
        return arn.map(|arn| vec![arn]).map_err(|error| {
            format!("{error}; write one such as arn:aws:iam::111122223333:role/ReadOnly")
        });
    }
    let whole = accounts(text, tables);
    if !whole.is_empty() {
        return all_of(text, &whole, tables);
    }
    // Names of accounts and paths of roles may have slashes of their own.
    let splits = text.match_indices('/');
    for (at, _) in splits {
        let (account, role) = (&text[..at], &text[at + 1..]);
        let accounts = accounts(account, tables);
        if !accounts.is_empty() {
            return one_of(account, role, &accounts, tables);
        }
    }
    let account = text.split_once('/').map_or(text, |(account, _)| account);
    Err(unknown_account(text, account, tables))
}

/// The accounts that a text names: by id, name or alias, ignoring case.
fn accounts(text: &str, tables: &PolicyTables) -> BTreeSet<AccountId> {
    let wanted = text.trim().to_lowercase();
    let named = tables.accounts.iter().filter(|account| {
        let alias = account.alias.as_deref().unwrap_or_default().to_lowercase();
        !wanted.is_empty() && (account.name.to_lowercase() == wanted || alias == wanted)
    });
    let ids = (tables.accounts.iter().map(|account| account.id.clone()))
        .chain(tables.roles.iter().map(|role| role.arn.account()))
        .filter(|id| id.as_str() == wanted);
    named.map(|account| account.id.clone()).chain(ids).collect()
}

fn all_of(
    text: &str,
    accounts: &BTreeSet<AccountId>,
    tables: &PolicyTables,
) -> Result<Vec<TargetArn>, String> {
    let found = of_accounts(accounts, tables);
    if found.is_empty() {
        return Err(format!("the account {text} has no roles in the table"));
    }
    Ok(found)
}

fn of_accounts(accounts: &BTreeSet<AccountId>, tables: &PolicyTables) -> Vec<TargetArn> {
    let roles = tables.roles.iter().map(|role| &role.arn);
    let mut found: Vec<TargetArn> = roles
        .filter(|arn| accounts.contains(arn.account_digits()))
        .cloned()
        .collect();
    found.sort_by_key(|arn| (arn.account(), arn.name().to_lowercase()));
    found.dedup();
    found
}

fn one_of(
    account: &str,
    role: &str,
    accounts: &BTreeSet<AccountId>,
    tables: &PolicyTables,
) -> Result<Vec<TargetArn>, String> {
    let all = of_accounts(accounts, tables);
    let role = role.trim();
    let is_named = |arn: &&TargetArn| {
        let path = arn.as_str().split_once('/').map_or("", |(_, path)| path);
        arn.name().eq_ignore_ascii_case(role) || path.eq_ignore_ascii_case(role)
    };
    let found: Vec<TargetArn> = all.iter().filter(is_named).cloned().collect();
    if !found.is_empty() {
        return Ok(found);
    }
    let names: Vec<&str> = all.iter().map(TargetArn::name).collect();
    let near = nearest(role, names.iter().copied());
    Err(match near.as_slice() {
        [] => format!(
            "no role of {account} is called `{role}`; it has {}",
            names.len()
        ),
        near => format!(
            "no role of {account} is called `{role}`; did you mean {}?",
            offered(near)
        ),
    })
}

fn unknown_account(text: &str, account: &str, tables: &PolicyTables) -> String {
    let named_so = tables.roles.iter().map(|role| &role.arn);
    let same_name: Vec<String> = named_so
        .filter(|arn| arn.name().eq_ignore_ascii_case(text))
        .map(|arn| format!("{}/{}", arn.account(), arn.name()))
        .take(OFFERED)
        .collect();
    if !same_name.is_empty() {
        return format!(
            "`{text}` is a role's name; say of which account, such as {}",
            offered(&same_name)
        );
    }
    let names = tables.accounts.iter().flat_map(|account| {
        let alias = account.alias.as_deref();
        [
            Some(account.id.as_str()),
            Some(account.name.as_str()),
            alias,
        ]
    });
    let near = nearest(account, names.flatten());
    if near.is_empty() {
        return format!(
            "no account is called `{account}`; write a role's ARN, ACCOUNT/ROLE, or an ACCOUNT by \
             its id, name or alias"
        );
    }
    format!(
        "no account is called `{account}`; did you mean {}?",
        offered(&near)
    )
}

/// The names most like `text`, the most alike first.
fn nearest<'n>(text: &str, names: impl Iterator<Item = &'n str>) -> Vec<&'n str> {
    let wanted = text.to_lowercase();
    let mut near: Vec<(f64, &str)> = names
        .map(|name| {
            let alike = strsim::normalized_damerau_levenshtein(&wanted, &name.to_lowercase());
            (alike, name)
        })
        .filter(|(alike, _)| *alike >= ALIKE)
        .collect();
    near.sort_by(|(one, name), (another, other)| another.total_cmp(one).then(name.cmp(other)));
    near.dedup_by(|(_, one), (_, other)| one == other);
    near.truncate(OFFERED);
    near.into_iter().map(|(_, name)| name).collect()
}

fn offered(names: &[impl AsRef<str>]) -> String {
    let names: Vec<&str> = names.iter().map(AsRef::as_ref).collect();
    match names.as_slice() {
        [first @ .., last] if !first.is_empty() => format!("{} or {last}", first.join(", ")),
        other => other.join(""),
    }
}
