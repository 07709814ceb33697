//! `rolegate account`. Entry point: [`run`].

use std::{
    collections::HashMap,
    io::{self, Write},
    path::{Path, PathBuf},
};

use clap::Subcommand;

use super::{
    Failure,
    edit::{Edit, EditArguments},
    import::{self, ExportArguments, ImportArguments, Kind},
    installation::Installation,
    organization,
    output::{self, Format, OutputArguments, Table},
    progress::note,
    reference,
    role::{DefaultArguments, tell_external_id},
    row::Row,
};
use crate::{
    access::{Account, AccountId, PolicyTables},
    store::{Change, PolicyStore},
};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List the accounts
    List(OutputArguments),
    /// Add an account, or replace the one with the same id
    Add(Box<AddArguments>),
    /// Remove an account that has no roles left
    Remove(RemoveArguments),
    /// Add or replace the accounts of a file, or fill ids and names from AWS Organizations
    Import(AccountImportArguments),
    /// Write all accounts to standard output
    Export(ExportArguments),
}

#[derive(Debug, clap::Args)]
pub(super) struct AddArguments {
    /// The twelve digits
    id: AccountId,
    /// What people call it
    #[arg(long)]
    name: String,
    /// The IAM account alias
    #[arg(long)]
    alias: Option<String>,
    /// production, test, development or a word of your own
    #[arg(long, value_name = "WORD")]
    environment: Option<String>,
    /// red, amber, green, blue or grey, where the environment's own colour is not meant
    #[arg(long, value_parser = ["red", "amber", "green", "blue", "grey"])]
    colour: Option<String>,
    /// A line for people
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// Whom to ask about it: a team, a person, an address
    #[arg(long, value_name = "TEXT")]
    owner: Option<String>,
    /// Let pattern rules give its roles only where they say `allow_protected`
    #[arg(long)]
    protected: bool,
    #[command(flatten)]
    defaults: DefaultArguments,
    #[command(flatten)]
    edit: EditArguments,
}

#[derive(Debug, clap::Args)]
pub(super) struct RemoveArguments {
    /// Its id, name or alias
    account: String,
    #[command(flatten)]
    edit: EditArguments,
}

#[derive(Debug, clap::Args)]
pub(super) struct AccountImportArguments {
    /// A TOML file of `[[account]]`; - is standard input
    #[arg(required_unless_present = "from", conflicts_with = "from")]
    file: Option<PathBuf>,
    /// Fill ids and names from here instead: accounts are added and named anew, none is removed
    #[arg(long, value_enum)]
    from: Option<From>,
    /// With --from: the `[[aws.credential_source]]` that may call organizations:ListAccounts; the
    /// first one unless said
    #[arg(long, value_name = "ID", requires = "from")]
    credential_source: Option<String>,
    /// Remove the accounts that the file does not have
    #[arg(long, conflicts_with = "from")]
    replace: bool,
    /// Say what would change and change nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    edit: EditArguments,
}

/// Where accounts come from beside files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum From {
    /// AWS Organizations
    Organizations,
}

pub(super) async fn run(file: Option<&Path>, command: Command) -> Result<(), Failure> {
    let installation = Installation::load(file)?;
    let store = installation.open_store().await?;
    let out = &mut io::stdout().lock();
    match command {
        Command::List(arguments) => {
            let tables = installation.all_tables(store.as_ref()).await?;
            list(&tables, arguments.output, out)
        }
        Command::Add(arguments) => add(&installation, store.as_ref(), *arguments, out).await,
        Command::Remove(arguments) => remove(store.as_ref(), &arguments, out).await,
        Command::Import(arguments) => import(&installation, store.as_ref(), arguments, out).await,
        Command::Export(arguments) => {
            import::export(store.tables().await?, Kind::Account, arguments, out)
        }
    }
}

async fn import(
    installation: &Installation,
    store: &dyn PolicyStore,
    arguments: AccountImportArguments,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let AccountImportArguments {
        file,
        credential_source,
        replace,
        dry_run,
        edit,
        ..
    } = arguments;
    if let Some(file) = file {
        let arguments = ImportArguments::new(file, replace, dry_run, edit);
        return import::run(installation, store, Kind::Account, &arguments, out).await;
    }
    let source = match credential_source {
        Some(source) => source,
        None => installation.first_credential_source(),
    };
    organization::import(installation, store, &source, (dry_run, &edit), out).await
}

fn list(tables: &PolicyTables, format: Format, out: &mut dyn Write) -> Result<(), Failure> {
    if format == Format::Json {
        let rows: Vec<Row> = tables.accounts.iter().map(Row::from).collect();
        return output::json_array(out, &rows);
    }
    let mut table = Table::new(&[
        "ACCOUNT",
        "NAME",
        "ALIAS",
        "ENVIRONMENT",
        "ROLES",
        "PROTECTED",
    ]);
    let mut roles: HashMap<AccountId, usize> = HashMap::new();
    for role in &tables.roles {
        *roles.entry(role.arn.account()).or_default() += 1;
    }
    for account in &tables.accounts {
        let roles = roles.get(&account.id).copied().unwrap_or_default();
        table.push([
            account.id.to_string(),
            account.name.clone(),
            account.alias.clone().unwrap_or_default(),
            account.environment.clone().unwrap_or_default(),
            roles.to_string(),
            if account.protected { "yes" } else { "" }.to_owned(),
        ]);
    }
    if table.is_empty() {
        note("there are no accounts; add one with `rolegate account add ID --name NAME`");
        return Ok(());
    }
    Ok(table.write(out)?)
}

async fn add(
    installation: &Installation,
    store: &dyn PolicyStore,
    arguments: AddArguments,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let before = store.tables().await?;
    let makes = arguments.defaults.makes_external_id();
    let account = Account {
        id: arguments.id,
        name: arguments.name,
        alias: arguments.alias,
        environment: arguments.environment,
        colour: arguments.colour,
        description: arguments.description,
        owner: arguments.owner,
        protected: arguments.protected,
        role_defaults: arguments.defaults.checked(installation)?,
    };
    let row = PolicyTables {
        accounts: vec![account.clone()],
        ..PolicyTables::default()
    };
    import::judge(&row, installation)?;
    let id = account.id.clone();
    let external_id = account.role_defaults.external_id.clone();
    let edit = Edit {
        store,
        before: &before,
        changes: vec![Change::PutAccount(account)],
    };
    edit.make(&arguments.edit, out).await?;
    tell_external_id(external_id.as_deref().filter(|_| makes), &id, out)
}

async fn remove(
    store: &dyn PolicyStore,
    arguments: &RemoveArguments,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let before = store.tables().await?;
    let id = reference::account_id(&arguments.account, &before)?;
    if !before.accounts.iter().any(|account| account.id == id) {
        return Err(Failure::Refused(format!(
            "there is no account {id}; `rolegate account list` shows what there is"
        )));
    }
    let edit = Edit {
        store,
        before: &before,
        changes: vec![Change::RemoveAccount(id)],
    };
    edit.make(&arguments.edit, out).await?;
    Ok(())
}
