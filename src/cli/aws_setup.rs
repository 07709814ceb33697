//! `rolegate aws-setup`: what has to be made at AWS, to be run there. Entry point: [`run`].

use std::{
    io::{self, Write},
    path::Path,
};

use clap::ValueEnum;
use serde_json::{Value, json};

use super::{Failure, failure::with_causes, installation::Installation, progress::note, reference};
use crate::{
    access::{AccountId, TargetArn, TargetKind},
    app,
    aws::setup::{self, BrokerHost},
    broker::{Broker, SetUp, SetUpOrder, SetUpRefused},
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
    /// Write the trust and the policy of Rolegate's own role instead, for where it runs: ec2, ecs
    /// or lambda; with accounts: for their roles alone
    #[arg(long, value_name = "SERVICE", value_parser = host)]
    broker_on: Option<BrokerHost>,
    /// Rolegate's own role or user, where AWS cannot tell it from here
    #[arg(long, value_name = "ARN", value_parser = principal)]
    principal: Option<TargetArn>,
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

/// Who may be trusted to open roles: a role or a user.
fn principal(text: &str) -> Result<TargetArn, String> {
    let expected = "expected the ARN of Rolegate's own role or user, such as \
                    arn:aws:iam::444455556666:role/rolegate";
    let arn: TargetArn = text.parse().map_err(|_| expected.to_owned())?;
    match arn.kind() {
        TargetKind::Role | TargetKind::User => Ok(arn),
        TargetKind::FederatedUser => Err(expected.to_owned()),
    }
}

/// What is asked for of each account.
struct Wish<'a> {
    broker: &'a Broker,
    accounts: &'a [AccountId],
    only: &'a [TargetArn],
    principal: Option<&'a TargetArn>,
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
    let wish = Wish {
        broker: &broker,
        accounts: &accounts,
        only: &only,
        principal: arguments.principal.as_ref(),
    };
    if let Some(host) = arguments.broker_on {
        return own_role(&wish, host, out).await;
    }
    if arguments.format == Format::Terraform && accounts.len() > 1 {
        return Err(Failure::Usage(
            "one Terraform configuration is for one account: name one at a time".to_owned(),
        ));
    }
    for account in &accounts {
        let set_up = set_up(&wish, account).await?;
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

/// The setup of one account; what of it cannot be written goes to standard error.
async fn set_up(wish: &Wish<'_>, account: &AccountId) -> Result<SetUp, Failure> {
    let order = SetUpOrder {
        account,
        only: wish.only,
        principal: wish.principal,
    };
    let set_up = wish.broker.account_setup(order).await;
    let set_up = set_up.map_err(|error| match error {
        SetUpRefused::UnknownAccount(_) => Failure::Refused(error.to_string()),
        SetUpRefused::Store(error) => error.into(),
    })?;
    for (role, why) in &set_up.left_out {
        note(&format!("left out: {role}, because {why}"));
    }
    if let Some(hint) = set_up.hint {
        note(hint);
    }
    Ok(set_up)
}

async fn own_role(wish: &Wish<'_>, host: BrokerHost, out: &mut dyn Write) -> Result<(), Failure> {
    let (mut roles, mut is_whole) = (Vec::new(), true);
    for account in wish.accounts {
        let set_up = set_up(wish, account).await?;
        is_whole &= set_up.left_out.is_empty();
        roles.extend(set_up.account.roles);
    }
    let home = wish.principal.map(TargetArn::account);
    let trust = host.trust_policy(home.as_ref());
    writeln!(
        out,
        "Trust policy of Rolegate's own role, on {}:\n{}",
        host.as_str(),
        setup::printed(&trust)
    )?;
    let policies = setup::broker_policies(&roles);
    own_policies(policies.iter().map(setup::printed), out)?;
    match (policies.is_empty(), is_whole) {
        (true, true) => writeln!(
            out,
            "\nIt needs no policy: no role is opened with its credentials."
        )?,
        (_, false) => note("the roles that were left out are in no policy"),
        (false, true) => {}
    }
    if policies.len() > MANAGED_POLICIES {
        note(&format!(
            "IAM attaches {MANAGED_POLICIES} managed policies to a role, or 20 when it is asked to; \
             these are {}: name roles by patterns of your own, such as \
             arn:aws:iam::*:role/NAME",
            policies.len()
        ));
    }
    Ok(())
}

/// IAM's quota for the managed policies of a role, unless it was raised.
const MANAGED_POLICIES: usize = 10;

fn own_policies(
    policies: impl ExactSizeIterator<Item = String>,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let count = policies.len();
    for (place, policy) in policies.enumerate() {
        let part = match count {
            1 => String::new(),
            _ => format!(" ({} of {count}, each a managed policy)", place + 1),
        };
        writeln!(
            out,
            "\nWhat Rolegate's own principal needs, and no more{part}:\n{policy}"
        )?;
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
    own_policies(set_up.broker_policies.iter().cloned(), out)
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
        "broker_policies": set_up.broker_policies.iter().map(parsed).collect::<Vec<_>>(),
        "left_out": left_out.collect::<Vec<_>>(),
    })
}
