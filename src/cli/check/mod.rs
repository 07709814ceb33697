//! `rolegate check`: what is wrong, one line for each thing, before people find out.
//!
//! Offline it opens nothing but files and the store. Entry point: [`run`].

mod live;
mod long_term_keys;
mod person;
mod roles;

use std::{
    fmt,
    io::{self, Write},
    path::Path,
    sync::Arc,
};

use serde::Serialize;

use self::long_term_keys::Need;
use super::{
    Failure,
    failure::with_causes,
    import::{self, ImportError, Source},
    installation::Installation,
    output::{self, Format, OutputArguments, counted, printable},
};
use crate::{
    access::{Conditions, Policy, PolicyTables, TargetArn, Voucher},
    app, clock,
    config::{self, Findings, Severity},
    store::{PolicyStore, sql::SqlStore},
};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Also speak to the directories, STS, the sign-in endpoint, write to the store, and open every
    /// role for a moment in which nothing is allowed
    #[arg(long)]
    live: bool,
    /// Look a person up and print their groups and roles; 1 when there is no such person
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// Look in this connector alone
    #[arg(long, value_name = "ID", requires = "user")]
    connector: Option<String>,
    #[command(flatten)]
    output: OutputArguments,
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Level {
    Error,
    Warning,
    Ok,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Ok => "ok",
        })
    }
}

/// One line of the result.
#[derive(Debug, Clone, Serialize)]
struct Line {
    level: Level,
    about: String,
    message: String,
}

/// The lines so far.
#[derive(Debug, Default)]
struct Lines(Vec<Line>);

impl Lines {
    fn error(&mut self, about: impl fmt::Display, message: impl fmt::Display) {
        self.push(Level::Error, &about, &message);
    }

    fn warning(&mut self, about: impl fmt::Display, message: impl fmt::Display) {
        self.push(Level::Warning, &about, &message);
    }

    fn ok(&mut self, about: impl fmt::Display, message: impl fmt::Display) {
        self.push(Level::Ok, &about, &message);
    }

    fn push(&mut self, level: Level, about: &dyn fmt::Display, message: &dyn fmt::Display) {
        self.0.push(Line {
            level,
            about: about.to_string(),
            message: message.to_string(),
        });
    }

    fn findings(&mut self, findings: &[config::Finding]) {
        for finding in findings {
            let level = match finding.severity {
                Severity::Error => Level::Error,
                Severity::Warning => Level::Warning,
            };
            let about = match (&finding.variable, finding.line) {
                (Some(variable), _) => variable.clone(),
                (None, Some(line)) => format!("{}:{line}", finding.file.display()),
                (None, None) => finding.file.display().to_string(),
            };
            let message = if finding.key.is_empty() {
                finding.message.clone()
            } else {
                format!("{}: {}", finding.key, finding.message)
            };
            self.push(level, &about, &message);
        }
    }

    fn count(&self, level: Level) -> usize {
        self.0.iter().filter(|line| line.level == level).count()
    }

    fn write(&self, format: Format, out: &mut dyn Write) -> Result<(), Failure> {
        if format == Format::Json {
            return output::json_array(out, &self.0);
        }
        for line in &self.0 {
            let text = format!("{:<7}  {}: {}", line.level, line.about, line.message);
            writeln!(out, "{}", printable(&text))?;
        }
        writeln!(
            out,
            "{}, {}, {} ok",
            counted(self.count(Level::Error), "error"),
            counted(self.count(Level::Warning), "warning"),
            self.count(Level::Ok)
        )?;
        Ok(())
    }
}

pub(super) async fn run(file: Option<&Path>, arguments: &Arguments) -> Result<(), Failure> {
    let out = &mut io::stdout().lock();
    let format = arguments.output.output;
    if arguments.live && arguments.user.is_some() && format == Format::Json {
        return Err(Failure::Usage(
            "--output json is one array: write --live or --user, not both".to_owned(),
        ));
    }
    let installation = match Installation::load(file) {
        Ok(installation) => installation,
        Err(Failure::Configuration(Findings(findings))) => {
            let mut lines = Lines::default();
            lines.findings(&findings);
            lines.write(format, out)?;
            return Err(Failure::Told(2));
        }
        Err(failure) => return Err(failure),
    };
    if let Some(username) = &arguments.user {
        if arguments.live {
            everything(&installation, arguments, out).await?;
            writeln!(out)?;
        }
        let connector = arguments.connector.as_deref();
        return person::show(&installation, (username, connector), format, out).await;
    }
    everything(&installation, arguments, out).await
}

/// Checks all but people.
async fn everything(
    installation: &Installation,
    arguments: &Arguments,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let mut lines = Lines::default();
    configuration(installation, &mut lines);
    let mut tables = mapping_file(installation, &mut lines);
    let store = store(installation, arguments.live, &mut tables, &mut lines).await;
    let needs = policy(installation, tables, &mut lines);
    if arguments.live {
        live::check(installation, (store.as_deref(), &needs), &mut lines).await;
        if store.is_some() {
            roles::check(installation, &mut lines).await;
        }
    }
    lines.write(arguments.output.output, out)?;
    if lines.count(Level::Error) > 0 {
        return Err(Failure::Told(1));
    }
    Ok(())
}

fn configuration(installation: &Installation, lines: &mut Lines) {
    let config = &installation.config;
    lines.findings(&installation.warnings);
    lines.ok(
        installation.file.display(),
        format!(
            "can be used: {}, {}",
            counted(config.connectors.len(), "connector"),
            counted(config.aws.credential_sources.len(), "credential source")
        ),
    );
    // What only the connectors themselves can tell; nothing is connected for it.
    if let Err(error) = app::connectors(config, &clock::system()) {
        lines.error(installation.file.display(), with_causes(&error));
    }
    if let Err(error) = issuer(config, installation, lines) {
        lines.error(installation.file.display(), with_causes(&error));
    }
    if let Err(error) = app::access_rules(config) {
        lines.error(installation.file.display(), error);
    }
}

/// What only the time tells about the issuer's keys.
fn issuer(
    config: &config::Config,
    installation: &Installation,
    lines: &mut Lines,
) -> Result<(), app::StartError> {
    let clock = clock::system();
    let Some(issuer) = app::issuer::issuer(config, &clock)? else {
        return Ok(());
    };
    for aging in app::issuer::aging(&issuer, clock.now())? {
        let message = format!("{}: {}", aging.key, aging.message);
        if aging.keeps_from_signing {
            lines.error(installation.file.display(), message);
        } else {
            lines.warning(installation.file.display(), message);
        }
    }
    Ok(())
}

/// The rows of the mapping file, where there is one.
fn mapping_file(installation: &Installation, lines: &mut Lines) -> PolicyTables {
    let Some(file) = &installation.config.mappings_file else {
        return PolicyTables::default();
    };
    match import::read(&Source::File(file.clone()), &installation.group_forms()) {
        Ok(tables) => {
            lines.ok(file.display(), contents(&tables));
            tables
        }
        Err(ImportError::Findings(Findings(findings))) => {
            lines.findings(&findings);
            PolicyTables::default()
        }
        Err(ImportError::Unreadable { error, .. }) => {
            lines.error(file.display(), format!("cannot be read: {error}"));
            PolicyTables::default()
        }
    }
}

/// Reads the store's rows; a store that is not there yet is made by the first start, or by
/// `--live`, which has to write.
async fn store(
    installation: &Installation,
    is_live: bool,
    tables: &mut PolicyTables,
    lines: &mut Lines,
) -> Option<Arc<SqlStore>> {
    let url = &installation.config.store.url;
    let path = url.trim_start_matches("sqlite:");
    let path = path.strip_prefix("//").unwrap_or(path);
    let path = path.split('?').next().unwrap_or(path);
    if !is_live && !Path::new(path).exists() {
        lines.ok(url, "is not there yet; the first start creates it");
        return None;
    }
    let store = match installation.open_store().await {
        Ok(store) => store,
        Err(failure) => {
            lines.error(url, failure.to_string().trim_start_matches("error: "));
            return None;
        }
    };
    match store.tables().await {
        Ok(rows) => {
            lines.ok(url, contents(&rows));
            tables.accounts.extend(rows.accounts);
            tables.roles.extend(rows.roles);
            tables.mappings.extend(rows.mappings);
            tables.rules.extend(rows.rules);
        }
        Err(error) => lines.error(url, with_causes(&error)),
    }
    Some(store)
}

fn contents(tables: &PolicyTables) -> String {
    format!(
        "{}, {}, {}, {}",
        counted(tables.accounts.len(), "account"),
        counted(tables.roles.len(), "role"),
        counted(tables.mappings.len(), "mapping"),
        counted(tables.rules.len(), "rule")
    )
}

/// What gives nothing until it is mended; returns what has to be seen of credential sources.
fn policy(installation: &Installation, tables: PolicyTables, lines: &mut Lines) -> Vec<Need> {
    let arns: Vec<_> = tables.roles.iter().map(|role| role.arn.clone()).collect();
    let conditions: Vec<_> = (tables.mappings.iter())
        .map(|mapping| (mapping.role.clone(), mapping.conditions.clone()))
        .collect();
    let policy = Policy::new(tables, app::policy_settings(&installation.config));
    let file = installation.config.mappings_file.as_deref();
    for problem in policy.problems() {
        let about = match (problem.about.strip_prefix("file:"), file) {
            (Some(line), Some(file)) => format!("{}:{line}", file.display()),
            _ => problem.about.clone(),
        };
        lines.error(about, &problem.message);
    }
    let sources = &installation.config.aws.credential_sources;
    let known: Vec<&str> = sources.iter().map(|source| source.id.as_str()).collect();
    for arn in &arns {
        // The other methods need no credentials of ours.
        let source = (policy.effective(arn))
            .filter(|role| !role.grant_method.is_federated())
            .map(|role| role.credential_source.as_str());
        if let Some(source) = source.filter(|source| !known.contains(source)) {
            let known = known.join(", ");
            lines.error(
                arn,
                format!("names the credential source `{source}`, and there are: {known}"),
            );
        }
    }
    let needs = long_term_keys::needs(&policy, &arns);
    for need in &needs {
        if let Some(problem) = need.offline(sources) {
            lines.error(&need.role, problem);
        }
    }
    soft_conditions(&policy, &conditions, lines);
    needs
}

/// Conditions that hold for what passes through us, and only for that.
fn soft_conditions(policy: &Policy, conditions: &[(TargetArn, Conditions)], lines: &mut Lines) {
    for (arn, conditions) in conditions {
        let is_passed_through =
            (policy.effective(arn)).is_some_and(|role| role.voucher == Some(Voucher::Provider));
        let keys: Vec<&str> = conditions.keys().collect();
        if is_passed_through && !keys.is_empty() {
            let message = format!(
                "a mapping asks for {}, and the identity provider's assertion or token gives the \
                 role for its few minutes to whoever carries it: the condition binds people only while they \
                 come through Rolegate; use assume-role where it has to bind them",
                keys.join(", ")
            );
            lines.warning(arn, message);
        }
    }
}
