//! The one organisation that the sample directory, the stand-in for AWS and the demo's mapping
//! table agree on: people, groups, eight accounts, thirty roles, who may open which.
//!
//! Every password and key here is public by design and works against the stand-ins alone.

use std::fmt::Write;

use super::aws::{Account, Catalogue, Principal, Role, Trust};
use super::directory::Entry;

/// The directory's suffix.
pub const SUFFIX: &str = "dc=example,dc=com";
/// Where the people are.
pub const PEOPLE_BASE: &str = "ou=people,dc=example,dc=com";
/// Where the groups are.
pub const GROUPS_BASE: &str = "ou=groups,dc=example,dc=com";
/// The DN that Rolegate searches with.
pub const SERVICE_DN: &str = "cn=rolegate,ou=services,dc=example,dc=com";
/// The password of [`SERVICE_DN`].
pub const SERVICE_PASSWORD: &str = "rolegate-service";
/// The connector that the groups of [`mapping_toml`] belong to.
pub const CONNECTOR: &str = "corp";

/// The account that Rolegate's own user lives in.
pub const BROKER_ACCOUNT: &str = "444455556666";
/// The IAM user whose keys Rolegate signs with in the demo.
pub const BROKER_ARN: &str = "arn:aws:iam::444455556666:user/rolegate";
/// The long-term access key of [`BROKER_ARN`].
pub const BROKER_ACCESS_KEY_ID: &str = "AKIADEMOROLEGATE0001";
/// The secret of [`BROKER_ACCESS_KEY_ID`].
pub const BROKER_SECRET_ACCESS_KEY: &str = "demo/only/this+secret/opens+the/stand+in";

/// The role that Rolegate runs as where tests want temporary credentials (role chaining).
pub const BROKER_ROLE_ARN: &str = "arn:aws:iam::444455556666:role/service/rolegate";
/// The access key of a session of [`BROKER_ROLE_ARN`]; the stand-in never expires it.
pub const BROKER_ROLE_ACCESS_KEY_ID: &str = "ASIADEMOROLEGATE0002";
/// The session token that goes with it.
pub const BROKER_ROLE_SESSION_TOKEN: &str = "demo-session-token-of-the-broker-role";
/// Another session of the same role, as EC2 gives it to an instance: not counted as chaining.
pub const INSTANCE_ACCESS_KEY_ID: &str = "ASIADEMOROLEGATE0003";
/// The session token that goes with [`INSTANCE_ACCESS_KEY_ID`].
pub const INSTANCE_SESSION_TOKEN: &str = "demo-session-token-of-the-instance";

/// The external id that one of the roles requires.
pub const EXTERNAL_ID: &str = "rolegate-7f3c";

/// Someone who can be tried in the demo.
#[derive(Clone, Copy, Debug)]
pub struct Person {
    /// What is typed as the username (`uid`).
    pub username: &'static str,
    /// What is typed as the password.
    pub password: &'static str,
    /// First and last name (`cn`).
    pub name: &'static str,
    /// One clause for the list that the demo prints.
    pub note: &'static str,
    /// Whether the directory refuses the right password too.
    pub is_locked: bool,
}

impl Person {
    /// The entry's name.
    pub fn dn(&self) -> String {
        person_dn(self.username)
    }
}

/// The people, in the order the demo prints them.
pub const PEOPLE: [Person; 5] = [
    person(
        "ada",
        "ada-demo",
        "Ada Lovelace",
        "engineer, many roles through nested groups",
    ),
    person(
        "grace",
        "grace-demo",
        "Grace Hopper",
        "helpdesk, a few roles",
    ),
    person("linus", "linus-demo", "Linus Brook", "exactly one role"),
    person(
        "margaret",
        "margaret-demo",
        "Margaret Hamilton",
        "in groups, but no role yet",
    ),
    Person {
        is_locked: true,
        ..person(
            "locked",
            "locked-demo",
            "Lock Keeper",
            "locked in the directory",
        )
    },
];

pub(super) const fn person(
    username: &'static str,
    password: &'static str,
    name: &'static str,
    note: &'static str,
) -> Person {
    Person {
        username,
        password,
        name,
        note,
        is_locked: false,
    }
}

/// The DN of a person.
pub fn person_dn(username: &str) -> String {
    format!("uid={username},{PEOPLE_BASE}")
}

/// The DN of a group right below [`GROUPS_BASE`], or of `aws-…` groups below its `ou=aws`.
pub fn group_dn(name: &str) -> String {
    if name.starts_with("aws-") {
        format!("cn={name},ou=aws,{GROUPS_BASE}")
    } else {
        format!("cn={name},{GROUPS_BASE}")
    }
}

/// Group name, people in it, groups in it. `platform-core` and `platform-oncall` are a cycle;
/// `everyone` holds ada twice over, directly and through `engineering`.
const GROUPS: [(&str, &[&str], &[&str]); 13] = [
    (
        "everyone",
        &["ada", "grace", "linus", "margaret", "locked"],
        &["engineering"],
    ),
    (
        "engineering",
        &[],
        &["payments-dev", "webshop-dev", "platform-core"],
    ),
    ("payments-dev", &["locked"], &["payments-leads"]),
    ("payments-leads", &["ada"], &[]),
    ("webshop-dev", &["ada"], &[]),
    ("webshop-readers", &["linus"], &["webshop-dev"]),
    ("data-analysts", &["ada"], &[]),
    ("platform-core", &["ada"], &["platform-oncall"]),
    ("platform-oncall", &[], &["platform-core"]),
    ("helpdesk", &["grace"], &[]),
    ("finance", &["grace"], &[]),
    ("book-club", &["margaret", "ada"], &[]),
    ("aws-333344445555-DataExplorer", &["ada"], &[]),
];

/// Id, name and environment of the eight accounts.
pub(super) const ACCOUNTS: [(&str, &str, &str); 8] = [
    ("111122223333", "Payments production", "production"),
    ("111122224444", "Payments staging", "test"),
    ("111122225555", "Payments development", "development"),
    ("222233334444", "Web shop production", "production"),
    ("222233335555", "Web shop development", "development"),
    ("333344445555", "Data platform production", "production"),
    ("333344446666", "Data platform sandbox", "development"),
    (BROKER_ACCOUNT, "Shared services", "production"),
];

#[derive(Clone, Copy)]
struct SampleRole {
    account: &'static str,
    /// Path and name, as after `role/` in the ARN.
    name: &'static str,
    description: &'static str,
    /// What IAM allows.
    max_seconds: u32,
    /// What Rolegate's own role table allows, where it says so.
    max_duration: Option<&'static str>,
    external_id: Option<&'static str>,
    groups: &'static [&'static str],
}

const fn role(
    account: &'static str,
    name: &'static str,
    description: &'static str,
    groups: &'static [&'static str],
) -> SampleRole {
    SampleRole {
        account,
        name,
        description,
        max_seconds: 14_400,
        max_duration: None,
        external_id: None,
        groups,
    }
}

const fn short(role: SampleRole) -> SampleRole {
    SampleRole {
        max_seconds: 3_600,
        max_duration: Some("1h"),
        ..role
    }
}

const fn long(role: SampleRole) -> SampleRole {
    SampleRole {
        max_seconds: 43_200,
        max_duration: Some("12h"),
        ..role
    }
}

/// The thirty roles. `finance` grants one role by a mapping that has expired.
const ROLES: [SampleRole; 30] = [
    role(
        "111122223333",
        "team/ReadOnly",
        "Look, do not touch",
        &["payments-dev"],
    ),
    role(
        "111122223333",
        "team/Support",
        "Read payments and refund one at a time",
        &["helpdesk"],
    ),
    short(role(
        "111122223333",
        "Administrator",
        "Everything, for emergencies",
        &["payments-leads"],
    )),
    SampleRole {
        external_id: Some(EXTERNAL_ID),
        ..role(
            "111122223333",
            "partner/Settlement",
            "Settlement files",
            &["payments-leads"],
        )
    },
    role(
        "111122224444",
        "team/ReadOnly",
        "Look at staging",
        &["payments-dev"],
    ),
    long(role(
        "111122224444",
        "team/Developer",
        "Deploy and debug staging",
        &["payments-dev"],
    )),
    role(
        "111122224444",
        "Administrator",
        "Everything in staging",
        &["payments-leads"],
    ),
    role(
        "111122224444",
        "LoadTest",
        "Start and stop load tests",
        &["payments-dev"],
    ),
    long(role(
        "111122225555",
        "team/Developer",
        "Build and break things",
        &["payments-dev"],
    )),
    role(
        "111122225555",
        "team/ReadOnly",
        "Look at development",
        &["payments-dev"],
    ),
    role(
        "111122225555",
        "Administrator",
        "Everything in development",
        &["payments-leads"],
    ),
    role(
        "111122225555",
        "Sandbox",
        "Own experiments, cleaned up at night",
        &["payments-dev"],
    ),
    role(
        "222233334444",
        "ReadOnly",
        "Look at the shop",
        &["webshop-readers"],
    ),
    role(
        "222233334444",
        "ContentEditor",
        "Change shop content",
        &["webshop-dev"],
    ),
    short(role(
        "222233334444",
        "Administrator",
        "Everything in the shop",
        &["platform-oncall"],
    )),
    role(
        "222233334444",
        "OrderDesk",
        "Look up and correct orders",
        &["helpdesk"],
    ),
    long(role(
        "222233335555",
        "Developer",
        "Build the shop",
        &["webshop-dev"],
    )),
    role(
        "222233335555",
        "ReadOnly",
        "Look at shop development",
        &["webshop-dev"],
    ),
    role(
        "222233335555",
        "Preview",
        "Open preview environments",
        &["webshop-dev"],
    ),
    role(
        "333344445555",
        "DataExplorer",
        "Query the lake, by naming convention",
        &[],
    ),
    role(
        "333344445555",
        "team/Analyst",
        "Dashboards and notebooks",
        &["data-analysts"],
    ),
    role(
        "333344445555",
        "team/Engineer",
        "Pipelines",
        &["platform-core"],
    ),
    short(role(
        "333344445555",
        "Administrator",
        "Everything in data",
        &["platform-oncall"],
    )),
    role(
        "333344446666",
        "Analyst",
        "Notebooks with test data",
        &["data-analysts"],
    ),
    long(role(
        "333344446666",
        "Engineer",
        "Pipelines with test data",
        &["platform-core"],
    )),
    role(
        "333344446666",
        "ReadOnly",
        "Look at the sandbox",
        &["data-analysts"],
    ),
    role(
        BROKER_ACCOUNT,
        "NetworkOperator",
        "Routes, peering, name service",
        &["platform-oncall"],
    ),
    role(
        BROKER_ACCOUNT,
        "LogReader",
        "Central logs",
        &["engineering", "helpdesk"],
    ),
    role(
        BROKER_ACCOUNT,
        "Billing",
        "Invoices and budgets",
        &["finance"],
    ),
    short(role(
        BROKER_ACCOUNT,
        "BreakGlass",
        "Everything, watched",
        &["platform-core"],
    )),
];

impl SampleRole {
    fn arn(&self) -> String {
        format!("arn:aws:iam::{}:role/{}", self.account, self.name)
    }
}

/// The directory entries: the tree, the service account, the people and the groups.
pub fn entries() -> Vec<Entry> {
    let unit = |name: &str, parent: &str| {
        Entry::new(format!("ou={name},{parent}"))
            .with("objectClass", ["top", "organizationalUnit"])
            .with("ou", [name])
    };
    let mut entries = vec![
        Entry::new(SUFFIX)
            .with("objectClass", ["top", "dcObject", "organization"])
            .with("dc", ["example"])
            .with("o", ["Example Corp"]),
        unit("people", SUFFIX),
        unit("groups", SUFFIX),
        unit("services", SUFFIX),
        unit("aws", GROUPS_BASE),
        Entry::new(SERVICE_DN)
            .with(
                "objectClass",
                ["top", "organizationalRole", "simpleSecurityObject"],
            )
            .with("cn", ["rolegate"])
            .with("userPassword", [SERVICE_PASSWORD]),
    ];
    entries.extend(PEOPLE.iter().map(person_entry));
    let groups = GROUPS.iter();
    entries.extend(groups.map(|(name, people, groups)| group_entry(name, people, groups)));
    entries
}

pub(super) fn group_entry(name: &str, people: &[&str], groups: &[&str]) -> Entry {
    let people = people.iter().map(|username| person_dn(username));
    let groups = groups.iter().map(|group| group_dn(group));
    Entry::new(group_dn(name))
        .with("objectClass", ["top", "groupOfNames"])
        .with("cn", [name])
        .with("member", people.chain(groups))
}

pub(super) fn person_entry(person: &Person) -> Entry {
    let (given_name, surname) = person.name.split_once(' ').unwrap_or(("", person.name));
    let entry = Entry::new(person.dn())
        .with(
            "objectClass",
            ["top", "person", "organizationalPerson", "inetOrgPerson"],
        )
        .with("uid", [person.username])
        .with("cn", [person.name])
        .with("givenName", [given_name])
        .with("sn", [surname])
        .with("mail", [format!("{}@example.com", person.username)])
        .with("userPassword", [person.password]);
    if person.is_locked {
        entry.with("pwdAccountLockedTime", ["000001010000Z"])
    } else {
        entry
    }
}

/// What the stand-in for AWS knows: the same accounts and roles, and the broker's principals.
pub(super) fn catalogue() -> Catalogue {
    let mut catalogue = Catalogue::default();
    for (id, name, _) in ACCOUNTS {
        catalogue = catalogue.with_account(Account::new(id, name));
    }
    for role in &ROLES {
        let mut trust = Trust::of([BROKER_ARN, BROKER_ROLE_ARN]).with_session_tags();
        trust = trust.with_source_identity();
        if let Some(external_id) = role.external_id {
            trust = trust.with_external_id(external_id);
        }
        catalogue = catalogue
            .with_role(Role::new(&role.arn(), trust).with_max_session_seconds(role.max_seconds));
    }
    let broker_role = Role::new(BROKER_ROLE_ARN, Trust::of([BROKER_ARN])).which_may_assume("*");
    let user = Principal::user(BROKER_ARN, BROKER_ACCESS_KEY_ID, BROKER_SECRET_ACCESS_KEY)
        .which_may_federate();
    let session = Principal::role_session(BROKER_ROLE_ARN, "broker", BROKER_ROLE_ACCESS_KEY_ID)
        .with_secret(BROKER_SECRET_ACCESS_KEY, BROKER_ROLE_SESSION_TOKEN);
    let instance = Principal::role_session(BROKER_ROLE_ARN, "i-0abc", INSTANCE_ACCESS_KEY_ID)
        .with_secret(BROKER_SECRET_ACCESS_KEY, INSTANCE_SESSION_TOKEN)
        .from_instance_profile();
    [user, session, instance]
        .map(as_broker)
        .into_iter()
        .fold(catalogue, Catalogue::with_principal)
        .with_role(broker_role)
        .with_management_account(BROKER_ACCOUNT)
}

/// The broker may open every role and list the organization's accounts.
fn as_broker(principal: Principal) -> Principal {
    let principal = principal.which_may_assume("*");
    let listing = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"organizations:ListAccounts","Resource":"*"}]}"#;
    (principal.clone().with_policy(listing)).unwrap_or(principal)
}

/// Rolegate's mapping table for the sample, in the shape that `mapping import` reads.
pub fn mapping_toml() -> String {
    let mut text = String::from("# The demo's accounts, roles and mappings.\n");
    for (id, name, environment) in ACCOUNTS {
        table(
            &mut text,
            "account",
            &[("id", id), ("name", name), ("environment", environment)],
        );
    }
    for role in &ROLES {
        let arn = role.arn();
        let mut pairs = vec![("arn", arn.as_str()), ("description", role.description)];
        pairs.extend(role.external_id.map(|value| ("external_id", value)));
        pairs.extend(role.max_duration.map(|value| ("max_duration", value)));
        table(&mut text, "role", &pairs);
    }
    for role in &ROLES {
        for group in role.groups {
            let (group, arn) = (format!("{CONNECTOR}:{}", group_dn(group)), role.arn());
            table(&mut text, "mapping", &[("group", &group), ("role", &arn)]);
            if role.name == "Billing" {
                // The last table is still open: this is its `expires`.
                text.push_str("ticket = \"HD-0815\"\nexpires = 2025-01-31T00:00:00Z\n");
            }
        }
    }
    let pattern =
        format!("^cn=aws-(?<account>[0-9]{{12}})-(?<role>[A-Za-z0-9_-]+),ou=aws,{GROUPS_BASE}$");
    let rule = [
        ("connector", CONNECTOR),
        ("group_pattern", pattern.as_str()),
        ("role", "arn:aws:iam::{account}:role/{role}"),
    ];
    table(&mut text, "mapping_rule", &rule);
    text
}

fn table(text: &mut String, name: &str, pairs: &[(&str, &str)]) {
    let _ = writeln!(text, "\n[[{name}]]");
    for (key, value) in pairs {
        let _ = writeln!(text, "{key} = {}", toml::Value::from(*value));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{ACCOUNTS, GROUPS, PEOPLE, ROLES, group_dn, mapping_toml};

    #[test]
    fn the_mapping_table_is_toml_with_eight_accounts_and_thirty_roles() {
        let table: toml::Table = mapping_toml().parse().unwrap();
        let count = |key: &str| table[key].as_array().unwrap().len();
        assert_eq!(
            (count("account"), count("role"), count("mapping_rule")),
            (8, 30, 1)
        );
        let expired = (table["mapping"].as_array().unwrap().iter())
            .filter(|mapping| mapping.get("expires").is_some())
            .count();
        assert_eq!(expired, 1);
    }

    #[test]
    fn names_refer_to_something() {
        let accounts: BTreeSet<_> = ACCOUNTS.iter().map(|(id, ..)| *id).collect();
        let groups: BTreeSet<_> = GROUPS.iter().map(|(name, ..)| *name).collect();
        let people: BTreeSet<_> = PEOPLE.iter().map(|person| person.username).collect();
        for role in &ROLES {
            assert!(accounts.contains(role.account), "{}", role.account);
            for group in role.groups {
                assert!(groups.contains(group), "{group}");
            }
        }
        for (_, members, nested) in GROUPS {
            assert!(members.iter().all(|name| people.contains(name)));
            assert!(nested.iter().all(|name| groups.contains(name)));
        }
        assert_eq!(
            group_dn("aws-333344445555-DataExplorer"),
            "cn=aws-333344445555-DataExplorer,ou=aws,ou=groups,dc=example,dc=com"
        );
        let names: BTreeSet<_> = (ROLES.iter())
            .map(|role| (role.account, role.name.rsplit('/').next()))
            .collect();
        assert_eq!(
            names.len(),
            ROLES.len(),
            "last path parts are unique within the account"
        );
    }

    /// How many roles a person gets through direct and nested groups, expired mappings included.
    fn roles_of(username: &str) -> usize {
        let mut reached: BTreeSet<&str> = BTreeSet::new();
        loop {
            let found: BTreeSet<_> = (GROUPS.iter())
                .filter(|(_, people, groups)| {
                    people.contains(&username) || groups.iter().any(|group| reached.contains(group))
                })
                .map(|(name, ..)| *name)
                .collect();
            if found == reached {
                break;
            }
            reached = found;
        }
        let is_open = |role: &&super::SampleRole| {
            role.groups.iter().any(|group| reached.contains(group))
                || reached.contains(format!("aws-{}-{}", role.account, role.name).as_str())
        };
        ROLES.iter().filter(is_open).count()
    }

    #[test]
    fn people_have_the_roles_that_their_note_promises() {
        let counts = PEOPLE.map(|person| (person.username, roles_of(person.username)));
        let expected = [
            ("ada", 27),
            ("grace", 4),
            ("linus", 1),
            ("margaret", 0),
            ("locked", 8),
        ];
        assert_eq!(counts, expected);
    }
}
