//! `rolegate role`. Entry point: [`run`].

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

use clap::Subcommand;

use super::{
    Failure,
    edit::{Edit, EditArguments, warn},
    failure::with_causes,
    import::{self, ExportArguments, ImportArguments, Kind},
    installation::{Installation, host_actor},
    output::{self, Format, OutputArguments, Table},
    progress::{note, while_waiting},
    reference, row,
    row::Row,
};
use crate::{
    access::{
        AccountId, ConsoleWay, EffectiveRole, GrantMethod, NameTemplate, Policy, PolicyTables,
        Role, RoleDefaults, SessionDuration, TargetArn, Voucher, check_public_value, mfa_serial,
    },
    app,
    broker::{DiscoveredRole, NotDiscovered, Trust, fresh_external_id},
    clock,
    store::{Change, PolicyStore},
};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List the roles
    List(ListArguments),
    /// Add a role, or replace the one with the same ARN
    Add(Box<AddArguments>),
    /// Remove a role that no mapping gives any more
    Remove(RemoveArguments),
    /// Add or replace the roles of a file
    Import(ImportArguments),
    /// Write all roles to standard output
    Export(ExportArguments),
    /// List the roles of an account that trust Rolegate and are not in the table
    Discover(DiscoverArguments),
}

#[derive(Debug, clap::Args)]
pub(super) struct DiscoverArguments {
    /// Its id, name or alias
    account: String,
    #[command(flatten)]
    output: OutputArguments,
}

#[derive(Debug, clap::Args)]
pub(super) struct ListArguments {
    /// Only those of this account: its id, name or alias
    #[arg(long)]
    account: Option<String>,
    #[command(flatten)]
    output: OutputArguments,
}

/// What a role says itself, and an account says for its roles.
#[derive(Debug, clap::Args)]
pub(super) struct DefaultArguments {
    /// How credentials are obtained: assume-role, assume-role-with-saml,
    /// assume-role-with-web-identity, federation-token or session-token
    #[arg(long, value_name = "METHOD")]
    grant_method: Option<GrantMethod>,
    /// The id of an `[[aws.credential_source]]`
    #[arg(long, value_name = "ID")]
    credential_source: Option<String>,
    /// What the trust policy asks for
    #[arg(long, value_name = "TEXT")]
    external_id: Option<String>,
    /// Make a random ExternalId, and print it to be copied into the trust policy
    #[arg(long, conflicts_with = "external_id")]
    generate_external_id: bool,
    /// The longest role session, such as 45m or 4h; 12h at most, or 36h for federation-token and
    /// session-token
    #[arg(long, value_name = "DURATION")]
    max_duration: Option<SessionDuration>,
    /// Where STS is asked and the console opens
    #[arg(long)]
    region: Option<String>,
    /// What CloudTrail shows, such as {username}; the trust policy needs `sts:SetSourceIdentity`
    #[arg(long, value_name = "TEMPLATE")]
    source_identity: Option<NameTemplate>,
    /// The IAM SAML provider for assume-role-with-saml; {account} in it stands for the account
    #[arg(long, value_name = "ARN")]
    saml_provider_arn: Option<String>,
    /// How the console is reached: federation, saml-post for an assertion of Rolegate's own that
    /// the browser takes to AWS, or, for single roles, idp-initiated for the identity provider's
    /// own AWS application, on which nothing can be limited
    #[arg(long, value_name = "WAY")]
    console: Option<ConsoleWay>,
    /// Whose word AWS goes by, for assume-role-with-saml and assume-role-with-web-identity:
    /// provider or issuer
    #[arg(long, value_name = "WHO")]
    vouched_by: Option<Voucher>,
    /// The MFA device of the IAM user whose keys sign, of which a code is asked for each session;
    /// for assume-role and session-token
    #[arg(long, value_name = "ARN", value_parser = mfa_serial)]
    mfa_serial: Option<String>,
    /// Whether sessions carry the place in the audit log as a tag, so that CloudTrail is its
    /// witness; the trust policy needs `sts:TagSession`
    #[arg(
        long,
        value_name = "BOOL",
        num_args = 0..=1,
        default_missing_value = "true",
        require_equals = true
    )]
    audit_tag: Option<bool>,
    /// What applications are told with the credentials, such as bucket=uploads or
    /// prefix=home/{subject}/; nothing secret; may be there several times
    #[arg(long = "public-value", value_name = "NAME=TEXT", value_parser = name_and_text)]
    public_values: Vec<(String, String)>,
}

/// Tells an ExternalId that was made, to be copied into trust policies, and what writes them.
pub(super) fn tell_external_id(
    made: Option<&str>,
    account: &AccountId,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    if let Some(external_id) = made {
        writeln!(out, "ExternalId: {external_id}")?;
        note(&format!(
            "the trust policy has to ask for it as sts:ExternalId; `rolegate aws-setup {account}` \
             writes it whole"
        ));
    }
    Ok(())
}

impl DefaultArguments {
    /// Whether an ExternalId is to be made.
    pub(super) fn makes_external_id(&self) -> bool {
        self.generate_external_id
    }

    /// The settings, once the configuration is known to have what they name.
    pub(super) fn checked(self, installation: &Installation) -> Result<RoleDefaults, Failure> {
        let known: Vec<&str> = (installation.config.aws.credential_sources.iter())
            .map(|source| source.id.as_str())
            .collect();
        match &self.credential_source {
            Some(id) if !known.contains(&id.as_str()) => Err(Failure::Usage(format!(
                "no credential source `{id}` is configured; there are: {}",
                known.join(", ")
            ))),
            _ => Ok(RoleDefaults {
                grant_method: self.grant_method,
                credential_source: self.credential_source,
                external_id: if self.generate_external_id {
                    let fresh = fresh_external_id();
                    Some(fresh.ok_or_else(|| {
                        Failure::Refused("there are no random bytes to be had".to_owned())
                    })?)
                } else {
                    self.external_id
                },
                max_duration: self.max_duration,
                region: self.region,
                source_identity: self.source_identity,
                saml_provider_arn: self.saml_provider_arn,
                console: self.console,
                vouched_by: self.vouched_by,
                mfa_serial: self.mfa_serial,
                audit_tag: self.audit_tag,
                public_values: BTreeMap::from_iter(self.public_values),
            }),
        }
    }
}

#[derive(Debug, clap::Args)]
pub(super) struct AddArguments {
    /// Its ARN
    arn: TargetArn,
    /// A line for people
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// Whom to ask about it: a team, a person, an address
    #[arg(long, value_name = "TEXT")]
    owner: Option<String>,
    #[command(flatten)]
    defaults: DefaultArguments,
    /// A file with a session policy (JSON) that narrows every session; {username} and other
    /// placeholders in it stand for the person's values
    #[arg(long, value_name = "FILE")]
    session_policy: Option<PathBuf>,
    /// A managed policy that narrows every session; may be there several times
    #[arg(long = "policy-arn", value_name = "ARN")]
    policy_arns: Vec<String>,
    /// A tag of every session, with placeholders as above; may be there several times; the trust
    /// policy needs `sts:TagSession`
    #[arg(long = "session-tag", value_name = "KEY=VALUE", value_parser = key_and_value)]
    session_tags: Vec<(String, String)>,
    /// Let pattern rules give it only where they say `allow_protected`
    #[arg(long)]
    protected: bool,
    /// Keep it in the table, show it to nobody
    #[arg(long)]
    disabled: bool,
    #[command(flatten)]
    edit: EditArguments,
}

#[derive(Debug, clap::Args)]
pub(super) struct RemoveArguments {
    /// Its ARN, or ACCOUNT/ROLE
    role: String,
    #[command(flatten)]
    edit: EditArguments,
}

fn key_and_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("write KEY=VALUE, such as team=payments".to_owned()),
    }
}

fn name_and_text(text: &str) -> Result<(String, String), String> {
    let (name, value) = (text.split_once('='))
        .ok_or_else(|| "write NAME=TEXT, such as bucket=uploads".to_owned())?;
    check_public_value(name, value)?;
    Ok((name.to_owned(), value.to_owned()))
}

pub(super) async fn run(file: Option<&Path>, command: Command) -> Result<(), Failure> {
    let installation = Installation::load(file)?;
    let store = installation.open_store().await?;
    let out = &mut io::stdout().lock();
    match command {
        Command::List(arguments) => {
            let tables = installation.all_tables(store.as_ref()).await?;
            list(&installation, tables, &arguments, out)
        }
        Command::Add(arguments) => add(&installation, store.as_ref(), *arguments, out).await,
        Command::Remove(arguments) => remove(store.as_ref(), &arguments, out).await,
        Command::Import(arguments) => {
            import::run(&installation, store.as_ref(), Kind::Role, &arguments, out).await
        }
        Command::Export(arguments) => {
            import::export(store.tables().await?, Kind::Role, arguments, out)
        }
        Command::Discover(arguments) => discover(&installation, &arguments, out).await,
    }
}

async fn discover(
    installation: &Installation,
    arguments: &DiscoverArguments,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let broker = app::broker(&installation.config, clock::system()).await;
    let broker = broker.map_err(|error| Failure::Refused(with_causes(&error)))?;
    let account = match arguments.account.parse() {
        Ok(id) => id,
        Err(_) => reference::account_id(&arguments.account, &*broker.tables().await?)?,
    };
    let discovering = broker.discover_roles(&account, host_actor()?);
    let found = while_waiting("reading the roles of the account", discovering).await;
    let found = found.map_err(|error| match error {
        NotDiscovered::Store(error) => Failure::from(error),
        NotDiscovered::NotRead(error) => Failure::Refused(error.for_operator()),
    })?;
    let trust = |role: &DiscoveredRole| match role.trust {
        Trust::Named => "names us",
        Trust::Perhaps => "perhaps",
    };
    if arguments.output.output == Format::Json {
        let rows: Vec<serde_json::Value> = found
            .iter()
            .map(|role| {
                serde_json::json!({
                    "arn": role.arn,
                    "description": role.description,
                    "max_duration_seconds": role.longest.seconds(),
                    "is_named": role.trust == Trust::Named,
                })
            })
            .collect();
        return output::json_array(out, &rows);
    }
    let mut table = Table::new(&["ROLE", "TRUST", "LONGEST", "DESCRIPTION"]);
    for role in &found {
        table.push([
            role.arn.to_string(),
            trust(role).to_owned(),
            row::duration(Some(role.longest)),
            role.description.clone().unwrap_or_default(),
        ]);
    }
    if table.is_empty() {
        note("no role that is not in the table trusts Rolegate");
        return Ok(());
    }
    Ok(table.write(out)?)
}

fn list(
    installation: &Installation,
    mut tables: PolicyTables,
    arguments: &ListArguments,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    if let Some(account) = &arguments.account {
        let id = reference::account_id(account, &tables)?;
        tables.roles.retain(|role| role.arn.account() == id);
    }
    if arguments.output.output == Format::Json {
        let rows: Vec<Row> = tables.roles.iter().map(Row::from).collect();
        return output::json_array(out, &rows);
    }
    let mut table = Table::new(&[
        "ROLE",
        "ACCOUNT",
        "METHOD",
        "LONGEST",
        "MAPPINGS",
        "STATE",
        "DESCRIPTION",
    ]);
    let policy = Policy::new(tables.clone(), app::policy_settings(&installation.config));
    let mut mappings: HashMap<&TargetArn, usize> = HashMap::new();
    for mapping in &tables.mappings {
        *mappings.entry(&mapping.role).or_default() += 1;
    }
    for role in &tables.roles {
        let mappings = mappings.get(&role.arn).copied().unwrap_or_default();
        let account = policy.account(&role.arn.account());
        let effective = policy.effective(&role.arn);
        let longest = effective.map(|effective| effective.max_duration);
        table.push([
            role.arn.to_string(),
            account
                .map(|account| account.name.clone())
                .unwrap_or_default(),
            effective.map(way).unwrap_or_default(),
            row::duration(longest),
            mappings.to_string(),
            state(role).to_owned(),
            role.description.clone().unwrap_or_default(),
        ]);
    }
    if table.is_empty() {
        note("there are no roles; add one with `rolegate role add ARN`");
        return Ok(());
    }
    Ok(table.write(out)?)
}

/// How it is opened: the console's way where that decides, else the grant method.
fn way(effective: &EffectiveRole) -> String {
    match effective.console {
        ConsoleWay::Federation => effective.grant_method.to_string(),
        ConsoleWay::SamlPost | ConsoleWay::IdpInitiated => effective.console.as_str().to_owned(),
    }
}

fn state(role: &Role) -> &'static str {
    match (role.disabled, role.protected) {
        (true, _) => "disabled",
        (false, true) => "protected",
        (false, false) => "",
    }
}

async fn add(
    installation: &Installation,
    store: &dyn PolicyStore,
    arguments: AddArguments,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let before = store.tables().await?;
    let arn = arguments.arn;
    let makes = arguments.defaults.makes_external_id();
    let own = arguments.defaults.checked(installation)?;
    let made = own.external_id.clone().filter(|_| makes);
    let role = Role {
        arn: arn.clone(),
        description: arguments.description,
        owner: arguments.owner,
        own,
        session_policy: (arguments.session_policy.as_deref())
            .map(session_policy)
            .transpose()?,
        policy_arns: arguments.policy_arns,
        session_tags: BTreeMap::from_iter(arguments.session_tags),
        protected: arguments.protected,
        disabled: arguments.disabled,
    };
    let row = PolicyTables {
        roles: vec![role.clone()],
        ..PolicyTables::default()
    };
    import::judge(&row, installation)?;
    contradicts(&role, installation.all_tables(store).await?, installation)?;
    let edit = Edit {
        store,
        before: &before,
        changes: vec![Change::PutRole(Box::new(role))],
    };
    edit.make(&arguments.edit, out).await?;
    let account = arn.account();
    tell_external_id(made.as_deref(), &account, out)?;
    let tables = installation.all_tables(store).await?;
    if !tables.accounts.iter().any(|known| known.id == account) {
        warn(&format!(
            "account {account} has no name yet; `rolegate account add {account} --name NAME` \
             gives it one"
        ));
    }
    warn_about(&[arn.as_str()], tables, installation);
    Ok(())
}

/// Refuses a role that, with what its account and the configuration say, nobody could open.
fn contradicts(
    role: &Role,
    tables: PolicyTables,
    installation: &Installation,
) -> Result<(), Failure> {
    let alone = PolicyTables {
        accounts: tables.accounts,
        roles: vec![role.clone()],
        ..PolicyTables::default()
    };
    let policy = Policy::new(alone, app::policy_settings(&installation.config));
    match policy.contradiction(&role.arn) {
        Some(found) => Err(Failure::Usage(format!("{}: {}", found.key, found.message))),
        None => Ok(()),
    }
}

/// Says what keeps rows from giving anything.
pub(super) fn warn_about(rows: &[&str], tables: PolicyTables, installation: &Installation) {
    let policy = Policy::new(tables, app::policy_settings(&installation.config));
    for problem in policy.problems() {
        if rows.contains(&problem.about.as_str()) {
            warn(&format!("{}: {}", problem.about, problem.message));
        }
    }
}

/// Reads a session policy, which goes to AWS without the blanks between its words.
fn session_policy(file: &Path) -> Result<String, Failure> {
    let shown = file.display();
    let text = fs::read_to_string(file)
        .map_err(|error| Failure::Usage(format!("{shown} cannot be read: {error}")))?;
    let policy: serde_json::Value = serde_json::from_str(&text)
        .map_err(|error| Failure::Usage(format!("{shown} is not JSON: {error}")))?;
    Ok(policy.to_string())
}

async fn remove(
    store: &dyn PolicyStore,
    arguments: &RemoveArguments,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let before = store.tables().await?;
    let arn = reference::role(&arguments.role, &before)?;
    let edit = Edit {
        store,
        before: &before,
        changes: vec![Change::RemoveRole(arn)],
    };
    edit.make(&arguments.edit, out).await?;
    Ok(())
}
