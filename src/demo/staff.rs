//! What `rolegate demo` adds to the [`sample`] for those who look after the table: people of the
//! helpdesk, an auditor and an admin with their groups, and rows that want a second look.
//!
//! Apart from the sample, which the tests count on. Entry points: [`join`], [`mapping_toml`].

use std::fmt::Write as _;

use time::{Duration, OffsetDateTime, format_description::well_known::Rfc3339};

use super::{
    directory::Directory,
    sample::{self, CONNECTOR, Person, group_dn, person, person_dn},
};

/// The account whose mappings wait for a second person.
pub const PROTECTED_ACCOUNT: &str = "111122223333";

/// The people, in the order the demo prints them, behind those of the sample.
pub const PEOPLE: [Person; 3] = [
    person(
        "radia",
        "radia-demo",
        "Radia Perlman",
        "helpdesk for development and test accounts alone",
    ),
    person(
        "annie",
        "annie-demo",
        "Annie Easley",
        "admin and helpdesk, approves what others propose",
    ),
    person(
        "katherine",
        "katherine-demo",
        "Katherine Johnson",
        "auditor, reads everything",
    ),
];

/// Group name, people in it, groups in it.
const GROUPS: [(&str, &[&str], &[&str]); 4] = [
    ("helpdesk-dev", &["radia"], &[]),
    ("cloud-admins", &["annie"], &[]),
    ("auditors", &["katherine"], &[]),
    ("incident-2071", &["radia"], &["payments-leads"]),
];

/// Puts the people and groups into the directory.
pub fn join(directory: &Directory) {
    for person in &PEOPLE {
        directory.add_entry(sample::person_entry(person));
        directory.add_member(&group_dn("everyone"), &person.dn());
    }
    for (name, people, groups) in &GROUPS {
        directory.add_entry(sample::group_entry(name, people, groups));
    }
    directory.add_member(&group_dn("helpdesk"), &person_dn("annie"));
}

/// The sample's table and four more rows, some of which a helpdesk would look after at `now`.
pub fn mapping_toml(now: OffsetDateTime) -> String {
    let soon = now.replace_time(time::Time::MIDNIGHT) + Duration::days(6);
    // Formatting a time of this century cannot fail; without an end the row is merely dull.
    let expires = soon
        .format(&Rfc3339)
        .map(|end| format!("expires = {end}\n"))
        .unwrap_or_default();
    let support = format!("{PROTECTED_ACCOUNT}:role/team/Support");
    let rows = [
        (
            "incident-2071",
            support.as_str(),
            "HD-2071",
            expires.as_str(),
        ),
        // This version cannot check a second factor, so the row gives nothing and says so.
        (
            "webshop-readers",
            "222233334444:role/ContentEditor",
            "HD-1402",
            "require_mfa = true\n",
        ),
        // No such group in the directory.
        (
            "payments-interns",
            "111122225555:role/Sandbox",
            "HD-0977",
            "",
        ),
        (
            "helpdesk-dev",
            "111122225555:role/team/ReadOnly",
            "HD-1811",
            "read_only = true\n",
        ),
    ];
    let mut text = sample::mapping_toml();
    for (group, role, ticket, conditions) in rows {
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            "\n[[mapping]]\ngroup = \"{CONNECTOR}:{}\"\nrole = \"arn:aws:iam::{role}\"\n\
             ticket = \"{ticket}\"\n{conditions}",
            group_dn(group)
        );
    }
    text
}
