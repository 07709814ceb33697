//! `rolegate aws-setup`: what has to be made at AWS, to be run there. Entry point: [`run`].

use std::{
    io::{self, Write},
    path::Path,
    sync::Arc,
};

use clap::ValueEnum;
use serde_json::{Value, json};

use super::{Failure, failure::with_causes, installation::Installation, progress::note, reference};
use crate::{
    access::{AccountId, TargetArn},
    app,
    aws::setup::{self, BrokerHost},
    broker::{Broker, SetUp, SetUpRefused},
    clock,
};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The account: twelve digits; several have one document each
    #[arg(value_name = "ACCOUNT", required_unless_present = "broker_on")]
    accounts: Vec<AccountId>,
    /// How to write it
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Only for this role: its ARN, or ACCOUNT/ROLE; can be given several times
    #[arg(long = "role", value_name = "ROLE")]
    roles: Vec<String>,
    /// Write the trust and the policy of Rolegate's own role instead, for where it runs; with
    /// accounts: for their roles alone
    #[arg(long, value_name = "SERVICE", value_parser = host)]
    broker_on: Option<BrokerHost>,
}

/// How a setup is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Policies to paste, for roles that are there already
    #[default]
    Text,
    /// A CloudFormation template, for a stack or a stack set
    Cloudformation,
    /// A Terraform configuration
    Terraform,
    /// Everything as one JSON object for each account
    Json,
}

fn host(text: &str) -> Result<BrokerHost, String> {
    let found = BrokerHost::ALL
        .into_iter()
        .find(|host| host.as_str() == text);
    found.ok_or_else(|| "there are: ec2, ecs, lambda".to_owned())
}

pub(super) async fn run(file: Option<&Path>, arguments: &Arguments) -> Result<(), Failure> {
    let installation = Installation::load(file)?;
    let broker = app::broker(&installation.config, clock::system()).await;
    let broker = broker.map_err(|error| Failure::Refused(with_causes(&error)))?;
    let tables = broker.tables().await?;
    let only: Vec<TargetArn> = (arguments.roles.iter())
        .map(|text| reference::role(text, &tables))
        .collect::<Result<_, _>>()?;
    let accounts = match arguments.accounts.as_slice() {
        [] => (tables.accounts.iter())
            .map(|account| account.id.clone())
            .collect(),
        named => named.to_vec(),
    };
    check_roles(&only, &accounts)?;
    let out = &mut io::stdout().lock();
    if let Some(host) = arguments.broker_on {
        return own_role(&broker, host, (&accounts, &only), out).await;
    }
    if arguments.format == Format::Terraform && accounts.len() > 1 {
        return Err(Failure::Usage(
            "one Terraform configuration is for one account: name one at a time".to_owned(),
        ));
    }
    for account in &accounts {
        let set_up = set_up(&broker, account, &only).await?;
        for (role, why) in &set_up.left_out {
            note(&format!("left out: {role}, because {why}"));
        }
        match arguments.format {
            Format::Text => text(&set_up, out)?,
            Format::Cloudformation => writeln!(out, "{}", set_up.account.cloudformation())?,
            Format::Terraform => write!(out, "{}", set_up.account.terraform())?,
            Format::Json => writeln!(out, "{}", object(&set_up))?,
        }
    }
    Ok(())
}

/// A role that would be looked for in vain.
fn check_roles(roles: &[TargetArn], accounts: &[AccountId]) -> Result<(), Failure> {
    let of_none = (roles.iter()).find(|role| !accounts.contains(&role.account()));
    match of_none {
        Some(role) => Err(Failure::Usage(format!(
            "{role} is in none of the accounts that are asked for"
        ))),
        None => Ok(()),
    }
}

async fn set_up(
    broker: &Arc<Broker>,
    account: &AccountId,
    only: &[TargetArn],
) -> Result<SetUp, Failure> {
    let set_up = broker.account_setup(account, only).await;
    set_up.map_err(|error| match error {
        SetUpRefused::UnknownAccount(_) => Failure::Usage(error.to_string()),
        SetUpRefused::Store(error) => error.into(),
    })
}

async fn own_role(
    broker: &Arc<Broker>,
    host: BrokerHost,
    (accounts, only): (&[AccountId], &[TargetArn]),
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let mut roles = Vec::new();
    for account in accounts {
        roles.extend(set_up(broker, account, only).await?.account.roles);
    }
    writeln!(
        out,
        "Trust policy of Rolegate's own role, on {}:",
        host.as_str()
    )?;
    writeln!(out, "{}", setup::printed(&host.trust_policy(None)))?;
    match setup::broker_policy(&roles) {
        Some(policy) => {
            writeln!(out, "\nThe policy that it needs, and no more:")?;
            writeln!(out, "{}", setup::printed(&policy))?;
        }
        None => writeln!(
            out,
            "\nIt needs no policy: no role is opened with its credentials."
        )?,
    }
    Ok(())
}

/// For roles that are there already: what to paste where.
fn text(set_up: &SetUp, out: &mut dyn Write) -> Result<(), Failure> {
    let account = &set_up.account;
    writeln!(out, "Account {}", account.account)?;
    if let Some(provider) = &account.saml_provider {
        writeln!(
            out,
            "\nIdentity provider: make a SAML provider named {} in IAM, with the document that \
             `rolegate saml metadata` prints.",
            provider.name
        )?;
    }
    if let Some(provider) = &account.oidc_provider {
        writeln!(
            out,
            "\nIdentity provider: make an OpenID Connect provider in IAM, with the URL {} and the \
             audience {}. AWS fetches the keys from there, so it has to be reachable from the \
             internet.",
            provider.url, provider.audience
        )?;
    }
    if account.roles.is_empty() {
        writeln!(
            out,
            "\nNo role of it is opened in a way that needs something here."
        )?;
    }
    for role in &account.roles {
        writeln!(out, "\nTrust policy of {}:", role.arn)?;
        writeln!(out, "{}", setup::printed(&role.trust_policy()))?;
        if let Some(permissions) = &role.permissions {
            writeln!(out, "What it may do:\n{}", setup::printed(permissions))?;
        }
    }
    if let Some(policy) = &set_up.broker_policy {
        writeln!(
            out,
            "\nRolegate's own principal needs this policy:\n{policy}"
        )?;
    }
    Ok(())
}

fn object(set_up: &SetUp) -> Value {
    let account = &set_up.account;
    let roles = account.roles.iter().map(|role| {
        json!({
            "role": role.arn.as_str(),
            "trust_policy": role.trust_policy(),
            "permissions": role.permissions,
            "max_duration_seconds": role.max_duration.seconds(),
        })
    });
    let left_out = set_up.left_out.iter();
    let left_out = left_out.map(|(role, why)| json!({ "role": role.as_str(), "reason": why }));
    let parsed = |text: &String| serde_json::from_str::<Value>(text).unwrap_or_default();
    json!({
        "account": account.account.as_str(),
        "saml_provider": account.saml_provider.as_ref().map(|provider| &provider.name),
        "oidc_provider": account.oidc_provider.as_ref().map(|provider| &provider.url),
        "roles": roles.collect::<Vec<_>>(),
        "broker_policy": set_up.broker_policy.as_ref().map(parsed),
        "left_out": left_out.collect::<Vec<_>>(),
    })
}
