//! `rolegate account import --from organizations`: ids and names as the organization has them.
//!
//! Never here: an account removed. Entry point: [`import`].

use std::io::Write;

use super::{
    Failure,
    edit::{Edit, EditArguments, NOTHING_CHANGED},
    failure::with_causes,
    installation::Installation,
    progress::{note, while_waiting},
};
use crate::{
    access::{Account, PolicyTables, RoleDefaults},
    app,
    aws::{IamError, OrganizationAccount},
    clock,
    store::{Change, PolicyStore},
};

pub(super) async fn import(
    installation: &Installation,
    store: &dyn PolicyStore,
    source: &str,
    (dry_run, arguments): (bool, &EditArguments),
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let known = &installation.config.aws.credential_sources;
    if !known.iter().any(|known| known.id == source) {
        let known: Vec<&str> = known.iter().map(|source| source.id.as_str()).collect();
        return Err(Failure::Usage(format!(
            "no credential source `{source}` is configured; there are: {}",
            known.join(", ")
        )));
    }
    let iam = app::iam(&installation.config, clock::system()).await;
    let iam = iam.map_err(|error| Failure::Refused(with_causes(&error)))?;
    let listing = iam.organization_accounts(source);
    let listed = while_waiting("asking AWS Organizations", listing).await;
    let listed = listed.map_err(|error| refused(&error, source))?;
    let before = store.tables().await?;
    let all = installation.all_tables(store).await?;
    let (changes, left_out) = changes(listed, &before, &all);
    for reason in left_out {
        note(&reason);
    }
    let edit = Edit {
        store,
        before: &before,
        changes,
    };
    if edit.changes.is_empty() {
        note("the table has every account of the organization under its name");
        return Ok(());
    }
    if dry_run {
        edit.preview()?.write(out)?;
        note(NOTHING_CHANGED);
        return Ok(());
    }
    edit.make(arguments, out).await?;
    Ok(())
}

fn refused(error: &IamError, source: &str) -> Failure {
    let next = match error {
        IamError::AccessDenied { .. } => {
            "use a credential source of the management account or of a delegated administrator, \
             which may call organizations:ListAccounts"
        }
        IamError::Invalid { code, .. } if code == "AWSOrganizationsNotInUseException" => {
            "the account of this credential source is in no organization"
        }
        IamError::Invalid { .. } => "the message says what AWS does not take",
        IamError::Throttled => "try again in a minute",
        IamError::Unavailable(_) => {
            "check the credential source, and that Rolegate reaches Organizations, or \
             aws.organizations_endpoint"
        }
    };
    let why = with_causes(error);
    Failure::Refused(format!(
        "AWS Organizations could not be asked with `{source}`: {why}; {next}"
    ))
}

/// What has to change, and sentences about what is left out.
fn changes(
    listed: Vec<OrganizationAccount>,
    before: &PolicyTables,
    all: &PolicyTables,
) -> (Vec<Change>, Vec<String>) {
    let (mut changes, mut left_out) = (Vec::new(), Vec::new());
    for listed in listed {
        let OrganizationAccount { id, name, .. } = listed;
        let row = before.accounts.iter().find(|account| account.id == id);
        let is_of_file = row.is_none() && all.accounts.iter().any(|account| account.id == id);
        match row {
            Some(row) if row.name == name => {}
            Some(row) => changes.push(Change::PutAccount(Account {
                name,
                ..row.clone()
            })),
            None if is_of_file => {}
            None if !listed.is_active => left_out.push(format!(
                "account {id}, {name}, is suspended or not active yet, and was left out"
            )),
            None => changes.push(Change::PutAccount(Account {
                id,
                name,
                alias: None,
                environment: None,
                colour: None,
                description: None,
                owner: None,
                protected: false,
                role_defaults: RoleDefaults::default(),
            })),
        }
    }
    (changes, left_out)
}
