//! Import and export of accounts, roles and mappings: one file format for the three commands.
//!
//! An import is one transaction: all of it or nothing. Entry points: [`run`], [`export`].

use std::{
    collections::{BTreeSet, HashMap},
    fmt,
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use super::{
    Failure, consoleme,
    edit::{Edit, EditArguments, NOTHING_CHANGED},
    installation::Installation,
    output, preview,
    progress::note,
    role::warn_about,
    row::Row,
};
use crate::{
    access::{ConnectorId, GroupKeyForm, PolicyTables},
    config::{
        Findings,
        mapping_file::{self, MappingFile},
    },
    store::{Change, PolicyStore},
};
use clap::ValueEnum;

/// Which rows of a file a command is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// `[[account]]` alone.
    Account,
    /// `[[role]]` alone.
    Role,
    /// Everything: mappings and rules name roles, and roles have accounts.
    Mapping,
}

#[derive(Debug, clap::Args)]
pub(super) struct ImportArguments {
    /// A TOML file of `[[account]]`, `[[role]]`, `[[mapping]]` and `[[mapping_rule]]`; - is standard
    /// input
    file: PathBuf,
    /// Remove the rows that the file does not have (of the command's own kind alone)
    #[arg(long)]
    replace: bool,
    #[command(flatten)]
    write: WriteArguments,
}

impl ImportArguments {
    /// What another command's arguments say.
    pub(super) fn new(file: PathBuf, replace: bool, dry_run: bool, edit: EditArguments) -> Self {
        let write = WriteArguments { dry_run, edit };
        Self {
            file,
            replace,
            write,
        }
    }
}

/// `mapping import`: the same, and from another portal.
#[derive(Debug, clap::Args)]
pub(super) struct MappingImportArguments {
    #[command(flatten)]
    source: ImportSource,
    #[command(flatten)]
    write: WriteArguments,
}

/// What rows are made of: a file of ours, or what another portal kept.
#[derive(Debug, clap::Args)]
pub(super) struct ImportSource {
    /// A TOML file of `[[account]]`, `[[role]]`, `[[mapping]]` and `[[mapping_rule]]`, or what
    /// --from says; - is standard input
    file: PathBuf,
    /// Remove the mappings and rules that the file does not have
    #[arg(long, conflicts_with = "from")]
    replace: bool,
    #[command(flatten)]
    portal: consoleme::PortalArguments,
}

#[derive(Debug, clap::Args)]
struct WriteArguments {
    /// Say what would change and change nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    edit: EditArguments,
}

#[derive(Debug, Clone, Copy, clap::Args)]
pub(super) struct ExportArguments {
    /// How to write them: toml can be imported, jsonl is one JSON object to a line
    #[arg(long, value_enum, value_name = "FORMAT")]
    format: Option<ExportFormat>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ExportFormat {
    Toml,
    Jsonl,
}

/// Where the rows are read.
pub(super) enum Source {
    /// From a file.
    File(PathBuf),
    /// From standard input.
    Input,
}

impl Source {
    fn of(path: &Path) -> Self {
        if path == Path::new("-") {
            Self::Input
        } else {
            Self::File(path.to_owned())
        }
    }

    fn path(&self) -> &Path {
        match self {
            Self::File(path) => path,
            Self::Input => Path::new("standard input"),
        }
    }

    fn text(&self) -> io::Result<String> {
        match self {
            Self::File(path) => std::fs::read_to_string(path),
            Self::Input => {
                let mut text = String::new();
                io::stdin().read_to_string(&mut text)?;
                Ok(text)
            }
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path().display())
    }
}

/// Reads a file of rows.
pub(super) fn read(
    source: &Source,
    forms: &HashMap<ConnectorId, GroupKeyForm>,
) -> Result<PolicyTables, ImportError> {
    let text = source.text().map_err(|error| ImportError::Unreadable {
        source_name: source.to_string(),
        error,
    })?;
    let rows = MappingFile::parse(&text, source.path(), forms).map_err(ImportError::Findings)?;
    Ok(rows.into_tables(0))
}

/// Why a file of rows cannot be used.
pub(super) enum ImportError {
    /// It is not there, or not ours to read.
    Unreadable {
        source_name: String,
        error: io::Error,
    },
    /// What it says cannot be used.
    Findings(Findings),
}

impl ImportError {
    /// The failure of a command that `closing` says the rest of.
    pub(super) fn closed_by(self, closing: &'static str) -> Failure {
        match self {
            Self::Unreadable { source_name, error } => {
                Failure::Refused(format!("{source_name} cannot be read: {error}"))
            }
            Self::Findings(Findings(findings)) => {
                let problems = findings.iter().map(ToString::to_string).collect();
                Failure::Problems(problems, closing)
            }
        }
    }
}

/// Judges rows that were written as arguments by the rules that rows of a file have.
///
/// Every kind of row goes to TOML and back, so that there is one place that knows the limits.
pub(super) fn judge(tables: &PolicyTables, installation: &Installation) -> Result<(), Failure> {
    let text = mapping_file::to_toml(tables);
    let file = Path::new("arguments");
    let Err(Findings(findings)) = MappingFile::parse(&text, file, &installation.group_forms())
    else {
        return Ok(());
    };
    let told: Vec<String> = (findings.iter())
        .map(|finding| {
            let key = finding.key.rsplit('.').next().unwrap_or_default();
            format!("{key}: {}", finding.message)
        })
        .collect();
    Err(Failure::Usage(told.join("; ")))
}

/// Imports the rows of one kind from a file of ours.
pub(super) async fn run(
    installation: &Installation,
    store: &dyn PolicyStore,
    kind: Kind,
    arguments: &ImportArguments,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let before = store.tables().await?;
    let source = Source::of(&arguments.file);
    let rows = read(&source, &installation.group_forms())
        .map_err(|error| error.closed_by(NOTHING_CHANGED))?;
    let changes = changes_of(&source, rows, (kind, arguments.replace), &before)?;
    let edit = Edit {
        store,
        before: &before,
        changes,
    };
    import(installation, edit, &arguments.write, out).await
}

/// Imports mappings and what they need, from a file of ours or of another portal.
pub(super) async fn run_mappings(
    installation: &Installation,
    store: &dyn PolicyStore,
    arguments: &MappingImportArguments,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let before = store.tables().await?;
    let changes = arguments
        .source
        .changes(installation, Kind::Mapping, &before)?;
    let is_looked_at = arguments.write.dry_run && arguments.source.portal.is_asked();
    let copy = is_looked_at.then(|| changes.clone());
    let edit = Edit {
        store,
        before: &before,
        changes,
    };
    import(installation, edit, &arguments.write, out).await?;
    if let Some(changes) = copy {
        let effects = preview::look(installation, &changes).await?;
        preview::write(&effects, out)?;
    }
    Ok(())
}

impl ImportSource {
    /// The changes that the rows of the file are.
    pub(super) fn changes(
        &self,
        installation: &Installation,
        kind: Kind,
        before: &PolicyTables,
    ) -> Result<Vec<Change>, Failure> {
        let source = Source::of(&self.file);
        let forms = installation.group_forms();
        if !self.portal.is_asked() {
            let rows = read(&source, &forms).map_err(|error| error.closed_by(NOTHING_CHANGED))?;
            return changes_of(&source, rows, (kind, self.replace), before);
        }
        let text = source
            .text()
            .map_err(|error| Failure::Refused(format!("{source} cannot be read: {error}")))?;
        let name = source.to_string();
        let export = consoleme::read((&text, &name), &self.portal, &forms, before)?;
        for text in &export.notes {
            note(&output::printable(text));
        }
        changes_of(&source, export.rows, (kind, false), before)
    }
}

fn changes_of(
    source: &Source,
    rows: PolicyTables,
    (kind, replace): (Kind, bool),
    before: &PolicyTables,
) -> Result<Vec<Change>, Failure> {
    let mut changes = changes(kind, rows);
    if changes.is_empty() && replace {
        // More likely the wrong file than the wish to lose every row.
        return Err(Failure::Refused(format!(
            "{source} has no rows for this command, and --replace would remove all there are; \
             remove them one by one if that is meant"
        )));
    }
    if changes.is_empty() {
        note(&format!("{source} has no rows for this command"));
    }
    if replace {
        changes.extend(removals(kind, before, &changes));
    }
    Ok(changes)
}

async fn import(
    installation: &Installation,
    edit: Edit<'_>,
    arguments: &WriteArguments,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let (store, before) = (edit.store, edit.before);
    if arguments.dry_run {
        let summary = edit.preview()?;
        summary.write(out)?;
        note(&format!(
            "nothing was changed; without --dry-run: {}",
            summary.counts()
        ));
        return Ok(());
    }
    let summary = edit.make(&arguments.edit, out).await?;
    note(&summary.counts());
    warn_about_new(before, installation.all_tables(store).await?, installation);
    Ok(())
}

/// Says what of the rows that were not there before gives nothing.
fn warn_about_new(before: &PolicyTables, after: PolicyTables, installation: &Installation) {
    let old: BTreeSet<&str> = names(before).collect();
    let new: Vec<String> = (names(&after).filter(|name| !old.contains(name)))
        .map(str::to_owned)
        .collect();
    let new: Vec<&str> = new.iter().map(String::as_str).collect();
    warn_about(&new, after, installation);
}

fn names(tables: &PolicyTables) -> impl Iterator<Item = &str> {
    let roles = tables.roles.iter().map(|role| role.arn.as_str());
    let mappings = tables.mappings.iter().map(|mapping| mapping.id.0.as_str());
    let patterns = tables.rules.iter().map(|rule| rule.id.0.as_str());
    roles.chain(mappings).chain(patterns)
}

/// The rows of `kind`, in an order in which each finds what it names.
pub(super) fn changes(kind: Kind, tables: PolicyTables) -> Vec<Change> {
    let mut changes = Vec::new();
    if kind != Kind::Role {
        changes.extend(tables.accounts.into_iter().map(Change::PutAccount));
    }
    if kind != Kind::Account {
        let roles = tables.roles.into_iter().map(Box::new);
        changes.extend(roles.map(Change::PutRole));
    }
    if kind == Kind::Mapping {
        for mut mapping in tables.mappings {
            mapping.conditions = mapping.conditions.as_kept();
            changes.push(Change::PutMapping(mapping));
        }
        for mut rule in tables.rules {
            rule.conditions = rule.conditions.as_kept();
            changes.push(Change::PutRule(rule));
        }
    }
    changes
}

/// Removes what is there and not among the changes; of a mapping file the mappings and rules, for
/// roles and accounts may be used by more than it tells.
fn removals(kind: Kind, before: &PolicyTables, changes: &[Change]) -> Vec<Change> {
    let mut removals = Vec::new();
    match kind {
        Kind::Account => {
            let kept: BTreeSet<&str> = (changes.iter())
                .filter_map(|change| match change {
                    Change::PutAccount(account) => Some(account.id.as_str()),
                    _ => None,
                })
                .collect();
            let gone = before
                .accounts
                .iter()
                .filter(|account| !kept.contains(account.id.as_str()));
            removals.extend(gone.map(|account| Change::RemoveAccount(account.id.clone())));
        }
        Kind::Role => {
            let kept: BTreeSet<&str> = (changes.iter())
                .filter_map(|change| match change {
                    Change::PutRole(role) => Some(role.arn.as_str()),
                    _ => None,
                })
                .collect();
            let gone = before
                .roles
                .iter()
                .filter(|role| !kept.contains(role.arn.as_str()));
            removals.extend(gone.map(|role| Change::RemoveRole(role.arn.clone())));
        }
        Kind::Mapping => {
            let kept: BTreeSet<_> = (changes.iter())
                .filter_map(|change| match change {
                    Change::PutMapping(mapping) => Some((&mapping.group, &mapping.role)),
                    _ => None,
                })
                .collect();
            let gone = (before.mappings.iter())
                .filter(|mapping| !kept.contains(&(&mapping.group, &mapping.role)));
            removals.extend(gone.map(|mapping| Change::EndMapping(mapping.id.clone())));
            let kept: BTreeSet<_> = (changes.iter())
                .filter_map(|change| match change {
                    Change::PutRule(rule) => {
                        Some((&rule.connector, &rule.group_pattern, &rule.role))
                    }
                    _ => None,
                })
                .collect();
            let gone = (before.rules.iter())
                .filter(|rule| !kept.contains(&(&rule.connector, &rule.group_pattern, &rule.role)));
            removals.extend(gone.map(|rule| Change::EndRule(rule.id.clone())));
        }
    }
    removals
}

/// Writes the rows of one kind: TOML that can be imported again, or JSON lines.
///
/// Mappings come with the roles and accounts they need, as TOML unless asked otherwise; accounts
/// and roles alone as JSON lines unless asked otherwise.
pub(super) fn export(
    mut tables: PolicyTables,
    kind: Kind,
    arguments: ExportArguments,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let usual = match kind {
        Kind::Mapping => ExportFormat::Toml,
        Kind::Account | Kind::Role => ExportFormat::Jsonl,
    };
    if arguments.format.unwrap_or(usual) == ExportFormat::Toml {
        if kind != Kind::Mapping {
            tables.mappings.clear();
            tables.rules.clear();
        }
        match kind {
            Kind::Account => tables.roles.clear(),
            Kind::Role => tables.accounts.clear(),
            Kind::Mapping => {}
        }
        return Ok(out.write_all(mapping_file::to_toml(&tables).as_bytes())?);
    }
    let rows: Vec<Row> = match kind {
        Kind::Account => tables.accounts.iter().map(Row::from).collect(),
        Kind::Role => tables.roles.iter().map(Row::from).collect(),
        Kind::Mapping => {
            let rules = tables.rules.iter().map(Row::from);
            tables.mappings.iter().map(Row::from).chain(rules).collect()
        }
    };
    rows.iter().try_for_each(|row| output::json_line(out, row))
}
