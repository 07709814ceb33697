//! What ConsoleMe kept of who may open what, read from its JSON and made rows of the tables.
//!
//! It has no conditions and does not tell people from groups, so what it says is taken as groups
//! and everything that cannot be is told. Entry points: [`PortalArguments`], [`read`].

use std::collections::{BTreeMap, HashMap, HashSet};

use clap::ValueEnum;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::{Failure, output::counted, reference};
use crate::access::{
    Conditions, ConnectorId, GroupKeyForm, Mapping, MappingId, Origin, PolicyTables, Role,
    RoleDefaults, TargetArn,
};

/// The tags that ConsoleMe's own examples read for console and command line.
const TAGS: [&str; 1] = ["consoleme-authorized"];
/// Those for the command line alone.
const CLI_ONLY_TAGS: [&str; 2] = ["consoleme-owner-dl", "consoleme-authorized-cli-only"];
/// How many names a note lists.
const NAMES_SHOWN: usize = 5;

/// Whose export is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Portal {
    /// `ConsoleMe`: its dynamic configuration, its role cache or tagged roles of IAM, as JSON
    Consoleme,
}

#[derive(Debug, Clone, Default, clap::Args)]
pub(super) struct PortalArguments {
    /// Read what another portal kept, as JSON, instead of a file of ours
    #[arg(long, value_enum, value_name = "PORTAL", requires = "connector")]
    from: Option<Portal>,
    /// Whose groups the portal's names are, such as corp
    #[arg(long, value_name = "ID", requires = "from")]
    connector: Option<String>,
    /// What the groups are called there: {group} is the portal's name, {name} its part before @
    /// [default: {group}]
    #[arg(long, value_name = "TEMPLATE", requires = "from")]
    group_form: Option<String>,
    /// A tag of roles that names groups; may be repeated [default: consoleme-authorized]
    #[arg(long = "tag", value_name = "KEY", requires = "from")]
    tags: Vec<String>,
    /// A tag that names groups for the command line alone; may be repeated
    /// [default: consoleme-owner-dl, consoleme-authorized-cli-only]
    #[arg(long = "cli-only-tag", value_name = "KEY", requires = "from")]
    cli_only_tags: Vec<String>,
    /// Give the console too to those who had a role on the command line alone
    #[arg(long, requires = "from")]
    include_cli_only: bool,
}

impl PortalArguments {
    pub(super) fn is_asked(&self) -> bool {
        self.from.is_some()
    }
}

/// What was read.
#[derive(Debug, Default)]
pub(super) struct Export {
    /// Roles and mappings that the tables have not.
    pub(super) rows: PolicyTables,
    /// What was not taken over, and what to look at.
    pub(super) notes: Vec<String>,
}

/// A group or a person, as ConsoleMe calls them, and a role.
#[derive(Debug)]
struct Given {
    name: String,
    role: String,
    is_cli_only: bool,
}

/// Reads an export that came from `source`.
///
/// # Errors
/// Where it is not JSON, or of no form that is known; or where the arguments make no group.
pub(super) fn read(
    (text, source): (&str, &str),
    arguments: &PortalArguments,
    forms: &HashMap<ConnectorId, GroupKeyForm>,
    before: &PolicyTables,
) -> Result<Export, Failure> {
    let value: Value = serde_json::from_str(text).map_err(|error| {
        Failure::Refused(format!(
            "{source} is not JSON ({error}); ConsoleMe's configuration is YAML: convert it with \
             `yq -o=json . FILE`"
        ))
    })?;
    let mut reading = Reading {
        tags: chosen(&arguments.tags, &TAGS),
        cli_only_tags: chosen(&arguments.cli_only_tags, &CLI_ONLY_TAGS),
        given: Vec::new(),
        notes: Vec::new(),
    };
    if !reading.read(&value) {
        return Err(Failure::Refused(format!(
            "{source} is none of what ConsoleMe keeps: expected its dynamic configuration \
             (group_mapping), its role cache (ARNs with their policy), its authorization mapping, \
             or roles of IAM with their tags (RoleDetailList)"
        )));
    }
    rows(reading, arguments, forms, before)
}

fn chosen(asked: &[String], usual: &[&str]) -> HashSet<String> {
    if asked.is_empty() {
        usual.iter().map(|tag| (*tag).to_owned()).collect()
    } else {
        asked.iter().cloned().collect()
    }
}

struct Reading {
    tags: HashSet<String>,
    cli_only_tags: HashSet<String>,
    given: Vec<Given>,
    notes: Vec<String>,
}

impl Reading {
    /// Whether the form is known.
    fn read(&mut self, value: &Value) -> bool {
        match value {
            Value::Array(roles) => self.roles(roles),
            Value::Object(entries) => self.object(entries),
            _ => false,
        }
    }

    fn object(&mut self, entries: &Map<String, Value>) -> bool {
        if let Some(Value::Object(mapping)) = entries.get("group_mapping") {
            let rest = entries.keys().filter(|key| *key != "group_mapping");
            self.ignored("the dynamic configuration", rest);
            self.names(mapping, ["roles", "cli_only_roles"]);
            return true;
        }
        for key in ["RoleDetailList", "Roles"] {
            if let Some(Value::Array(roles)) = entries.get(key) {
                self.ignored(
                    "the list of roles",
                    entries.keys().filter(|other| *other != key),
                );
                return self.roles(roles);
            }
        }
        if entries.is_empty() {
            return false;
        }
        if entries.keys().all(|key| key.starts_with("arn:")) {
            for (arn, entry) in entries {
                self.cached(arn, entry);
            }
            return true;
        }
        let keys = ["authorized_roles", "authorized_roles_cli_only"];
        let is_mapping = |entry: &Value| keys.iter().any(|key| entry.get(key).is_some());
        if entries.values().all(is_mapping) {
            self.names(entries, keys);
            return true;
        }
        false
    }

    fn ignored<'k>(&mut self, of: &str, keys: impl Iterator<Item = &'k String>) {
        let keys: Vec<&str> = keys.map(String::as_str).collect();
        if !keys.is_empty() {
            self.notes
                .push(format!("not taken over of {of}: {}", keys.join(", ")));
        }
    }

    /// Names with their roles.
    fn names(&mut self, mapping: &Map<String, Value>, [both, cli_only]: [&str; 2]) {
        for (name, entry) in mapping {
            let Value::Object(entry) = entry else {
                self.notes
                    .push(format!("{name}: has no lists of roles, and is left out"));
                continue;
            };
            for (key, value) in entry {
                if key != both && key != cli_only {
                    self.notes.push(format!("{name}: {key} is not taken over"));
                    continue;
                }
                let Value::Array(roles) = value else {
                    self.notes
                        .push(format!("{name}: {key} is no list, and is left out"));
                    continue;
                };
                for role in roles {
                    self.give(name, role, key == cli_only);
                }
            }
        }
    }

    fn give(&mut self, name: &str, role: &Value, is_cli_only: bool) {
        match role {
            Value::String(role) => self.given.push(Given {
                name: name.to_owned(),
                role: role.clone(),
                is_cli_only,
            }),
            other => self
                .notes
                .push(format!("{name}: {other} is no role, and is left out")),
        }
    }

    /// Roles as IAM lists them.
    fn roles(&mut self, roles: &[Value]) -> bool {
        let arn_of = |role: &Value| {
            let arn = role.get("Arn").or_else(|| role.get("arn"))?;
            Some(arn.as_str()?.to_owned())
        };
        let are_roles = roles.iter().all(|role| arn_of(role).is_some());
        for role in roles.iter().filter(|_| are_roles) {
            if let Some(arn) = arn_of(role) {
                let tags = role.get("Tags").or_else(|| role.get("tags"));
                self.tagged(&arn, tags);
            }
        }
        are_roles
    }

    /// An entry of the role cache: the role's policy is an object, or its JSON in a string.
    fn cached(&mut self, arn: &str, entry: &Value) {
        let entry = unpacked(entry);
        let policy = entry
            .as_ref()
            .and_then(|entry| unpacked(entry.get("policy")?));
        if let Some(policy) = policy {
            return self.tagged(arn, policy.get("Tags"));
        }
        self.notes.push(format!(
            "{arn}: has no policy that can be read, and is left out"
        ));
    }

    fn tagged(&mut self, arn: &str, tags: Option<&Value>) {
        let pairs: Vec<(String, String)> = match tags {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::Array(tags)) => tags.iter().filter_map(pair).collect(),
            Some(Value::Object(tags)) => (tags.iter())
                .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
                .collect(),
            Some(_) => {
                self.notes.push(format!("{arn}: its tags cannot be read"));
                return;
            }
        };
        for (key, value) in pairs {
            let is_cli_only = self.cli_only_tags.contains(&key);
            if !is_cli_only && !self.tags.contains(&key) {
                if key.starts_with("consoleme") {
                    self.notes
                        .push(format!("{arn}: the tag {key} is not taken over"));
                }
                continue;
            }
            let names = value.split(':').map(str::trim);
            for name in names.filter(|name| !name.is_empty()) {
                self.give(name, &Value::from(arn), is_cli_only);
            }
        }
    }
}

fn pair(tag: &Value) -> Option<(String, String)> {
    let text = |key| Some(tag.get(key)?.as_str()?.to_owned());
    Some((text("Key")?, text("Value")?))
}

/// The value, or what its text holds.
fn unpacked(value: &Value) -> Option<Value> {
    match value {
        Value::String(text) => serde_json::from_str(text).ok(),
        other => Some(other.clone()),
    }
}

fn rows(
    reading: Reading,
    arguments: &PortalArguments,
    forms: &HashMap<ConnectorId, GroupKeyForm>,
    before: &PolicyTables,
) -> Result<Export, Failure> {
    let template = arguments.group_form.as_deref().unwrap_or("{group}");
    if !template.contains("{group}") && !template.contains("{name}") {
        let message = "--group-form needs {group} or {name}, such as \
                       cn={name},ou=groups,dc=example,dc=com";
        return Err(Failure::Usage(message.to_owned()));
    }
    let connector = arguments.connector.as_deref().unwrap_or_default();
    let is_dn = connector
        .parse()
        .ok()
        .and_then(|id: ConnectorId| forms.get(&id))
        == Some(&GroupKeyForm::DistinguishedName);
    let mut notes = reading.notes;
    let mut skipped = Skipped::default();
    // What both gives, the console too is given by.
    let mut pairs: BTreeMap<(String, TargetArn), bool> = BTreeMap::new();
    for given in reading.given {
        match given.role.parse::<TargetArn>() {
            Ok(role) => {
                let is_cli_only = pairs.entry((given.name, role)).or_insert(true);
                *is_cli_only &= given.is_cli_only;
            }
            Err(error) => notes.push(format!("{}: {}: {error}", given.name, given.role)),
        }
    }
    let mut rows = PolicyTables::default();
    let mut known: HashSet<TargetArn> = before.roles.iter().map(|role| role.arn.clone()).collect();
    for ((name, role), is_cli_only) in pairs {
        if is_cli_only && !arguments.include_cli_only {
            skipped.cli_only.push(format!("{name} → {role}"));
            continue;
        }
        let group = format!("{connector}:{}", filled(template, &name, is_dn));
        let group = reference::group(&group, forms)?;
        let mut mappings = before.mappings.iter().chain(&rows.mappings);
        if mappings.any(|mapping| mapping.group == group && mapping.role == role) {
            skipped.present += 1;
            continue;
        }
        if name.contains('@') {
            skipped.addresses.push(name);
        }
        if known.insert(role.clone()) {
            rows.roles.push(plain(role.clone()));
        }
        rows.mappings.push(Mapping {
            id: MappingId(Uuid::now_v7().to_string()),
            group,
            role,
            conditions: Conditions::default(),
            ticket: None,
            origin: Origin::Store,
        });
    }
    notes.extend(skipped.notes());
    Ok(Export { rows, notes })
}

#[derive(Default)]
struct Skipped {
    cli_only: Vec<String>,
    present: usize,
    addresses: Vec<String>,
}

impl Skipped {
    fn notes(mut self) -> Vec<String> {
        let mut notes = Vec::new();
        let listed = |names: &[String]| {
            let first: Vec<&str> = names.iter().take(NAMES_SHOWN).map(String::as_str).collect();
            let more = names.len().saturating_sub(NAMES_SHOWN);
            let rest = if more > 0 {
                format!(" and {more} more")
            } else {
                String::new()
            };
            format!("{}{rest}", first.join(", "))
        };
        if !self.cli_only.is_empty() {
            notes.push(format!(
                "{} left out, for they gave the command line alone and a mapping here gives the \
                 console too; --include-cli-only takes them over: {}",
                counted(self.cli_only.len(), "grant"),
                listed(&self.cli_only)
            ));
        }
        if self.present > 0 {
            notes.push(format!(
                "{} there already and left as it is",
                counted(self.present, "mapping")
            ));
        }
        self.addresses.sort();
        self.addresses.dedup();
        if !self.addresses.is_empty() {
            notes.push(format!(
                "ConsoleMe does not tell people from groups, and {} an address: a mapping gives \
                 nothing to the person of that name; look at {}",
                counted_names(self.addresses.len()),
                listed(&self.addresses)
            ));
        }
        notes
    }
}

fn counted_names(count: usize) -> String {
    let verb = if count == 1 { "is" } else { "are" };
    format!("{} {verb}", counted(count, "name"))
}

fn filled(template: &str, group: &str, is_dn: bool) -> String {
    let name = group.split('@').next().unwrap_or(group);
    let written = |text: &str| {
        if is_dn {
            escaped(text)
        } else {
            text.to_owned()
        }
    };
    // One pass: what is filled in must not be filled again.
    let mut filled = String::new();
    let mut rest = template;
    while let Some(at) = rest.find('{') {
        filled.push_str(&rest[..at]);
        rest = &rest[at..];
        if let Some(after) = rest.strip_prefix("{group}") {
            filled.push_str(&written(group));
            rest = after;
        } else if let Some(after) = rest.strip_prefix("{name}") {
            filled.push_str(&written(name));
            rest = after;
        } else {
            filled.push('{');
            rest = &rest[1..];
        }
    }
    filled + rest
}

/// A value as distinguished names write it (RFC 4514, 2.4); escaping more than need be is allowed.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        if matches!(
            character,
            ',' | '+' | '"' | '\\' | '<' | '>' | ';' | '=' | '#' | ' '
        ) {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    escaped
}

fn plain(arn: TargetArn) -> Role {
    Role {
        arn,
        description: None,
        owner: None,
        own: RoleDefaults::default(),
        session_policy: None,
        policy_arns: Vec::new(),
        session_tags: BTreeMap::new(),
        protected: false,
        disabled: false,
    }
}
