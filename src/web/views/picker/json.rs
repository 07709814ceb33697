//! Every role as compact data for `static/picker.js`.

use serde::Serialize;
use time::OffsetDateTime;

use super::{by_account, rows::Workshop};
use crate::{
    access::{Entitlement, TargetArn},
    web::{
        EnvironmentRule,
        views::{environment::Environment, search::Query},
    },
};

/// `[partition, id, name, alias, description, word, colour, roles]`
type AccountTuple<'a> = (
    &'static str,
    String,
    String,
    &'a str,
    &'a str,
    String,
    String,
    Vec<RoleTuple<'a>>,
);
/// `[resource part of the ARN, description, flags, note]`
type RoleTuple<'a> = (&'a str, &'a str, u8, String);

#[derive(Serialize)]
struct PickerJson<'a> {
    accounts: Vec<AccountTuple<'a>>,
}

/// `GET /picker.json`: every role as nested arrays, which `static/picker.js` unpacks.
///
/// # Errors
/// Never for these types; the signature is serde's.
pub(crate) fn picker_json(
    entitlements: &[Entitlement<'_>],
    favourites: &[String],
    warnings: &[(TargetArn, String)],
    (environments, provider): (&[EnvironmentRule], &str),
    now: OffsetDateTime,
) -> Result<String, serde_json::Error> {
    let workshop = Workshop {
        favourites: favourites.iter().map(String::as_str).collect(),
        warnings,
        query: Query::default(),
        destination: String::new(),
        region: String::new(),
        environments,
        provider,
        now,
        whose: None,
    };
    let accounts = by_account(entitlements)
        .into_iter()
        .filter_map(|roles| account_tuple(&workshop, roles))
        .collect();
    serde_json::to_string(&PickerJson { accounts })
}

fn account_tuple<'e>(
    workshop: &Workshop<'_>,
    roles: &'e [Entitlement<'e>],
) -> Option<AccountTuple<'e>> {
    let first = roles.first()?;
    let account = first.account;
    let optional = |text: Option<&'e String>| text.map_or("", String::as_str);
    let environment = Environment::of(account, workshop.environments);
    Some((
        first.role.arn.partition().as_str(),
        first.role.arn.account().to_string(),
        first.account_name(),
        optional(account.and_then(|account| account.alias.as_ref())),
        optional(account.and_then(|account| account.description.as_ref())),
        environment.word,
        environment.colour,
        roles
            .iter()
            .map(|entitlement| {
                let (flags, note) = workshop.flags_and_note(entitlement);
                (
                    resource(&entitlement.role.arn),
                    optional(entitlement.role.description.as_ref()),
                    flags,
                    note,
                )
            })
            .collect(),
    ))
}

fn resource(arn: &TargetArn) -> &str {
    arn.as_str().splitn(6, ':').nth(5).unwrap_or_default()
}
