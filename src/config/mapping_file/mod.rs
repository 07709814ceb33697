//! The table of accounts, roles, mappings and rules as a TOML text: what `import` reads, `export`
//! writes, and `[mappings] file` names.
//!
//! All problems are reported at once, with line and key, as for the configuration. Never here: the
//! store; rows are only read and written. Entry points: [`MappingFile::parse`], [`to_toml`],
//! [`to_json_lines`].

mod export;
mod role;

use std::{
    collections::{HashMap, HashSet},
    path::Path,
};

pub use export::{to_json_lines, to_toml};

use super::{
    Colour,
    finding::Findings,
    reader::{self, Section},
};
use crate::access::{
    Account, AccountId, Conditions, ConnectorId, ConsoleWay, GroupKey, GroupKeyForm, Mapping,
    MappingId, MappingRule, Origin, PolicyTables, Role, SessionDuration, TargetArn,
};

/// The rows of a mapping file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MappingFile {
    /// The `[[account]]` tables.
    pub accounts: Vec<Account>,
    /// The `[[role]]` tables.
    pub roles: Vec<Role>,
    /// The `[[mapping]]` tables; ids are `file:LINE`.
    pub mappings: Vec<Mapping>,
    /// The `[[mapping_rule]]` tables; ids are `file:LINE`.
    pub rules: Vec<MappingRule>,
}

impl MappingFile {
    /// Reads a text that came from `file`; `forms` has the connectors there are.
    ///
    /// Roles may be named that are not in the file: the store may have them.
    ///
    /// # Errors
    /// Every finding, in the order of the file.
    pub fn parse(
        text: &str,
        file: &Path,
        forms: &HashMap<ConnectorId, GroupKeyForm>,
    ) -> Result<Self, Findings> {
        let build = |top: &mut Section<'_>| Reading::new(forms).read(top);
        let (rows, _) = reader::read(text, file, |_, _| (), build)?;
        Ok(rows)
    }

    /// The rows as the table of `version`.
    pub fn into_tables(self, version: i64) -> PolicyTables {
        PolicyTables {
            version,
            accounts: self.accounts,
            roles: self.roles,
            mappings: self.mappings,
            rules: self.rules,
            ..PolicyTables::default()
        }
    }
}

/// What was read so far, to notice what is there twice.
struct Reading<'f> {
    forms: &'f HashMap<ConnectorId, GroupKeyForm>,
    accounts: HashSet<AccountId>,
    roles: HashMap<(AccountId, String), TargetArn>,
    /// Roles that the identity provider opens itself.
    handed_over: HashSet<TargetArn>,
    mappings: HashMap<(GroupKey, TargetArn), Option<usize>>,
    rules: HashMap<(ConnectorId, String, String), Option<usize>>,
}

impl<'f> Reading<'f> {
    fn new(forms: &'f HashMap<ConnectorId, GroupKeyForm>) -> Self {
        Self {
            forms,
            accounts: HashSet::new(),
            roles: HashMap::new(),
            handed_over: HashSet::new(),
            mappings: HashMap::new(),
            rules: HashMap::new(),
        }
    }

    fn read(mut self, top: &mut Section<'_>) -> MappingFile {
        MappingFile {
            accounts: top.array_of_tables("account", "id", |section| self.account(section)),
            roles: top.array_of_tables("role", "arn", |section| self.role(section)),
            // Nothing in these rows is a short name, so findings count them.
            mappings: top.array_of_tables("mapping", "", |section| self.mapping(section)),
            rules: top.array_of_tables("mapping_rule", "", |section| self.rule(section)),
        }
    }

    fn account(&mut self, section: &mut Section<'_>) -> Option<Account> {
        section.demand("id", "the twelve digits of an AWS account");
        section.demand("name", "what people call the account");
        let id = section.parsed("id", str::parse::<AccountId>);
        let name = section.string("name");
        let alias = section.string("alias");
        let environment = section.string("environment");
        let colour = section.choice("colour", &Colour::NAMES);
        let colour = colour.map(|colour| colour.name().to_owned());
        let description = section.string("description");
        let owner = section.string("owner");
        let protected = section.boolean("protected").unwrap_or_default();
        let role_defaults = section.table("role_defaults", role::defaults);
        let id = id?;
        if !self.accounts.insert(id.clone()) {
            section.refuse("id", format!("account {id} is there twice"));
        }
        Some(Account {
            id,
            name: name?,
            alias,
            environment,
            colour,
            description,
            owner,
            protected,
            role_defaults,
        })
    }

    fn role(&mut self, section: &mut Section<'_>) -> Option<Role> {
        let role = role::read(section)?;
        if role.own.console == Some(ConsoleWay::IdpInitiated) {
            self.handed_over.insert(role.arn.clone());
        }
        let key = (role.arn.account(), role.arn.name().to_lowercase());
        match self.roles.insert(key, role.arn.clone()) {
            Some(other) if other == role.arn => section.refuse("arn", "the role is there twice"),
            Some(other) => section.refuse(
                "arn",
                format!(
                    "has the same name as {other}; names are unique within an account, \
                     ignoring case"
                ),
            ),
            None => {}
        }
        Some(role)
    }

    fn mapping(&mut self, section: &mut Section<'_>) -> Option<Mapping> {
        section.demand(
            "group",
            "connector:name, such as \"corp:cn=dev,ou=groups,dc=x\"",
        );
        section.demand("role", "the ARN of a role");
        let group = section.parsed("group", |text| {
            GroupKey::parse(text, self.forms).map_err(|error| with_cause(&error))
        });
        let role = section.parsed("role", str::parse::<TargetArn>);
        let conditions = self.conditions(section);
        let ticket = section.string("ticket");
        let (group, role) = (group?, role?);
        let line = section.line();
        if let Some(first) = self.mappings.insert((group.clone(), role.clone()), line) {
            section.refuse("group", format!("gives the same role as {}", at(first)));
        }
        if let Some(key) = conditions
            .keys()
            .next()
            .filter(|_| self.handed_over.contains(&role))
        {
            let message = "cannot hold: the identity provider opens this role itself (console = \
                           \"idp-initiated\"); remove it, or let the console open by federation";
            section.refuse(key, message);
        }
        Some(Mapping {
            id: id_at(line),
            group,
            role,
            conditions,
            ticket,
            origin: origin_at(line),
        })
    }

    fn rule(&mut self, section: &mut Section<'_>) -> Option<MappingRule> {
        section.demand("connector", "the id of a connector");
        section.demand("group_pattern", "a regular expression between ^ and $");
        section.demand(
            "role",
            "the ARN of a role, with {name} for what the pattern captures",
        );
        let connector = section.parsed("connector", |text| self.connector(text));
        let group_pattern = section.string("group_pattern");
        let role = section.string("role");
        let line = section.line();
        let conditions = self.conditions(section);
        let allow_protected = section.boolean("allow_protected").unwrap_or_default();
        let ticket = section.string("ticket");
        let (connector, group_pattern, role) = (connector?, group_pattern?, role?);
        let row = MappingRule {
            id: id_at(line),
            connector,
            group_pattern,
            role,
            conditions,
            allow_protected,
            ticket,
            origin: origin_at(line),
        };
        if let Err(error) = row.check() {
            section.refuse("group_pattern", with_cause(&error));
        }
        let key = (
            row.connector.clone(),
            row.group_pattern.clone(),
            row.role.clone(),
        );
        if let Some(first) = self.rules.insert(key, line) {
            section.refuse("group_pattern", format!("says the same as {}", at(first)));
        }
        Some(row)
    }

    fn connector(&self, text: &str) -> Result<ConnectorId, String> {
        let id: ConnectorId = text
            .parse()
            .map_err(|error: crate::access::GroupKeyError| error.to_string())?;
        if self.forms.contains_key(&id) {
            return Ok(id);
        }
        let mut known: Vec<&str> = self.forms.keys().map(ConnectorId::as_str).collect();
        known.sort_unstable();
        let known = known.join(", ");
        Err(format!(
            "no connector `{id}` is configured; there are: {known}"
        ))
    }

    fn conditions(&self, section: &mut Section<'_>) -> Conditions {
        Conditions {
            expires: section.instant("expires"),
            max_duration: session_duration(section),
            read_only: section.boolean("read_only").unwrap_or_default(),
            require_mfa: section.boolean("require_mfa").unwrap_or_default(),
            require_reason: section.boolean("require_reason").unwrap_or_default(),
            require_approval_by: section.parsed("require_approval_by", |text| {
                GroupKey::parse(text, self.forms)
                    .map(|group| group.as_str().to_owned())
                    .map_err(|error| with_cause(&error))
            }),
        }
    }
}

/// `max_duration`, within what STS gives.
fn session_duration(section: &mut Section<'_>) -> Option<SessionDuration> {
    let (least, most) = (SessionDuration::SHORTEST, SessionDuration::LONGEST_TOKEN);
    let duration = section.duration("max_duration", least.into()..=most.into())?;
    SessionDuration::try_from(duration)
        .map_err(|error| section.refuse("max_duration", error.to_string()))
        .ok()
}

/// An error and what it says below, in one sentence: a finding has no source.
fn with_cause(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

fn id_at(line: Option<usize>) -> MappingId {
    MappingId(format!("file:{}", line.unwrap_or_default()))
}

fn origin_at(line: Option<usize>) -> Origin {
    Origin::File {
        line: line.unwrap_or_default(),
    }
}

fn at(line: Option<usize>) -> String {
    line.map_or_else(|| "another row".to_owned(), |line| format!("line {line}"))
}
