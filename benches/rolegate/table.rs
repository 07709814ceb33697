//! Tables of any size in which one person has forty roles and another one all of them.

use std::fmt::Write as _;

use rolegate::demo::{
    directory::{Directory, Entry},
    sample,
};

/// Has forty roles through ten groups.
pub const FORTY: (&str, &str) = ("linus", "linus-demo");
/// Has every role.
pub const EVERYTHING: (&str, &str) = ("margaret", "margaret-demo");

const EVERYBODY_GROUP: &str = "bench-everything";
const TEAMS: usize = 10;
const ROLES_OF_A_TEAM: usize = 4;
const ROLES_OF_AN_ACCOUNT: usize = 10;

const AREAS: [&str; 8] = [
    "Payments",
    "Web shop",
    "Data platform",
    "Search",
    "Logistics",
    "Identity",
    "Mobile",
    "Reporting",
];
const STAGES: [&str; 3] = ["production", "test", "development"];
const ROLES: [&str; ROLES_OF_AN_ACCOUNT] = [
    "Administrator",
    "ReadOnly",
    "Developer",
    "DatabaseAdministrator",
    "NetworkAdministrator",
    "Billing",
    "SecurityAudit",
    "Operations",
    "DataScientist",
    "SupportEngineer",
];

fn team(number: usize) -> String {
    format!("bench-team-{number}")
}

/// The sample directory with the groups that the tables speak of.
pub fn directory() -> Directory {
    let directory = Directory::sample();
    let group = |name: &str, member: &str| {
        Entry::new(sample::group_dn(name))
            .with("objectClass", ["top", "groupOfNames"])
            .with("cn", [name])
            .with("member", [sample::person_dn(member)])
    };
    directory.add_entry(group(EVERYBODY_GROUP, EVERYTHING.0));
    for number in 0..TEAMS {
        directory.add_entry(group(&team(number), FORTY.0));
    }
    directory
}

/// So many accounts with ten roles each, as `mapping import` reads them.
pub fn toml(accounts: usize) -> String {
    let mut text = String::new();
    let group = |name: &str| format!("{}:{}", sample::CONNECTOR, sample::group_dn(name));
    let arn = |account: usize, role: usize| {
        let id = account_id(account);
        format!("arn:aws:iam::{id}:role/{}", ROLES[role])
    };
    let mapping = |text: &mut String, group: &str, role: &str| {
        let _ = writeln!(
            text,
            "[[mapping]]\ngroup = \"{group}\"\nrole = \"{role}\"\n"
        );
    };
    for account in 0..accounts {
        let (area, stage) = (AREAS[account % AREAS.len()], STAGES[account % STAGES.len()]);
        let id = account_id(account);
        let _ = writeln!(
            text,
            "[[account]]\nid = \"{id}\"\nname = \"{area} {stage} {account:04}\"\n\
             environment = \"{stage}\"\n"
        );
        for (number, role) in ROLES.iter().enumerate() {
            let arn = arn(account, number);
            let _ = writeln!(
                text,
                "[[role]]\narn = \"{arn}\"\ndescription = \"{role} of {area}\"\n"
            );
            mapping(&mut text, &group(EVERYBODY_GROUP), &arn);
        }
    }
    for number in 0..TEAMS {
        for role in 0..ROLES_OF_A_TEAM {
            mapping(&mut text, &group(&team(number)), &arn(number, role));
        }
    }
    let _ = writeln!(
        text,
        "[[mapping_rule]]\nconnector = \"corp\"\n\
         group_pattern = '^cn=aws-(?<account>[0-9]{{12}})-(?<role>[A-Za-z0-9_-]+),ou=aws,{}$'\n\
         role = \"arn:aws:iam::{{account}}:role/{{role}}\"",
        sample::GROUPS_BASE
    );
    text
}

fn account_id(number: usize) -> String {
    format!("{:012}", 100_000_000_000 + number)
}
