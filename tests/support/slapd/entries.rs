//! The organisation that [`Slapd`](super::Slapd) holds, written as LDIF.

use std::{collections::BTreeSet, fmt::Write};

use base64::{Engine, prelude::BASE64_STANDARD};

use super::{SUFFIX, password_of};

/// People by name, and what each is for. `NAME@example.org` is their mail where it is ASCII.
const PEOPLE: [&str; 20] = [
    "alice",  // administrator: flat groups, posix group, the group with the awkward name
    "bob",    // reads only: flat, unique and posix group
    "carol",  // three levels below a group that matters
    "dave",   // directly in the group that carol reaches by nesting
    "erin",   // in one group of a cycle
    "frank",  // at the bottom of a diamond
    "grace",  // in sixty groups
    "norole", // in no group at all
    // The password policy speaks about these:
    "locked",
    "mustchange",
    "expired",
    // Names that want escaping in a filter, a DN, or both:
    "zoë",
    "u5",
    "pat.o'brien",
    "sam+ops@example.org",
    "j.r-smith_2",
    "star*",
    "paren(t)",
    "comma, jr",
    r"back\slash",
];

/// Members of the group `everyone`: `user000` to `user299`.
pub const CROWD: usize = 300;
/// Groups that grace is in: `grace-00` to `grace-59`.
pub const GROUPS_OF_GRACE: usize = 60;

/// Groups by name and their members: people, or groups where the name starts with `cn=`.
const GROUPS: [(&str, &[&str]); 13] = [
    ("aws-111111111111-admin", &["alice"]),
    ("aws-111111111111-readonly", &["alice", "bob", "zoë", "u5"]),
    // Nested three levels deep.
    ("team-leaf", &["carol"]),
    ("team-mid", &["cn=team-leaf"]),
    ("aws-222222222222-dev", &["cn=team-mid", "dave"]),
    // A cycle.
    ("loop-a", &["cn=loop-b", "erin"]),
    ("loop-b", &["cn=loop-a"]),
    // A diamond.
    ("diamond-bottom", &["frank"]),
    ("diamond-left", &["cn=diamond-bottom"]),
    ("diamond-right", &["cn=diamond-bottom"]),
    ("diamond-top", &["cn=diamond-left", "cn=diamond-right"]),
    // Its name wants escaping in a DN (the comma) and in a filter (the rest).
    ("comma, inc (x)*", &["alice"]),
    (
        "odd-names",
        &[
            "pat.o'brien",
            "sam+ops@example.org",
            "star*",
            "paren(t)",
            "comma, jr",
            r"back\slash",
        ],
    ),
];

/// What only the server may write in normal operation.
pub const OPERATIONAL_CHANGES: &str = "\
dn: uid=locked,ou=people,dc=example,dc=org
changetype: modify
replace: pwdAccountLockedTime
pwdAccountLockedTime: 000001010000Z

dn: uid=mustchange,ou=people,dc=example,dc=org
changetype: modify
replace: pwdReset
pwdReset: TRUE

dn: uid=expired,ou=people,dc=example,dc=org
changetype: modify
replace: pwdChangedTime
pwdChangedTime: 20200101000000Z
";

/// All entries, parents first.
pub fn ldif() -> String {
    let mut ldif = Ldif::default();
    containers(&mut ldif);
    policies(&mut ldif);
    people(&mut ldif);
    groups(&mut ldif);
    ldif.text
}

fn containers(ldif: &mut Ldif) {
    ldif.entry(
        SUFFIX,
        &[
            ("objectClass", "dcObject"),
            ("objectClass", "organization"),
            ("dc", "example"),
            ("o", "Example"),
        ],
    );
    for unit in ["people", "groups", "services", "policies"] {
        ldif.entry(
            &format!("ou={unit},{SUFFIX}"),
            &[("objectClass", "organizationalUnit"), ("ou", unit)],
        );
    }
    ldif.entry(
        super::BIND_DN,
        &[
            ("objectClass", "applicationProcess"),
            ("objectClass", "simpleSecurityObject"),
            ("cn", "svc"),
            ("userPassword", super::BIND_PASSWORD),
        ],
    );
}

fn policies(ldif: &mut Ldif) {
    let one_day = "86400";
    for (name, max_age) in [("default", "0"), ("expiring", one_day)] {
        ldif.entry(
            &format!("cn={name},ou=policies,{SUFFIX}"),
            &[
                ("objectClass", "person"),
                ("objectClass", "pwdPolicy"),
                ("cn", name),
                ("sn", name),
                ("pwdAttribute", "userPassword"),
                ("pwdLockout", "TRUE"),
                ("pwdMaxFailure", "3"),
                ("pwdLockoutDuration", "600"),
                ("pwdMustChange", "TRUE"),
                ("pwdAllowUserChange", "TRUE"),
                ("pwdMaxAge", max_age),
                ("pwdGraceAuthNLimit", "0"),
            ],
        );
    }
}

fn people(ldif: &mut Ldif) {
    let crowd = (0..CROWD).map(crowd_name);
    for (number, uid) in PEOPLE
        .into_iter()
        .map(str::to_owned)
        .chain(crowd)
        .enumerate()
    {
        let password = password_of(&uid);
        let mail = if uid.contains('@') {
            uid.clone()
        } else {
            format!("{uid}@example.org")
        };
        let uid_number = (2_000 + number).to_string();
        let policy = format!("cn=expiring,ou=policies,{SUFFIX}");
        let mut attributes = vec![
            ("objectClass", "inetOrgPerson"),
            ("objectClass", "posixAccount"),
            ("uid", &uid),
            ("cn", &uid),
            ("sn", "Example"),
            ("uidNumber", &uid_number),
            ("gidNumber", "2000"),
            ("homeDirectory", "/home/nobody"),
            ("userPassword", &password),
        ];
        if mail.is_ascii() && !mail.contains([' ', '(', '\\', '*']) {
            attributes.push(("mail", &mail));
        }
        if uid == "expired" {
            attributes.push(("pwdPolicySubentry", &policy));
        }
        ldif.entry(&person(&uid), &attributes);
    }
}

fn groups(ldif: &mut Ldif) {
    // A group may name one that comes later: the server does not ask whether a member exists.
    for (name, members) in GROUPS {
        let members: Vec<String> = members.iter().map(|member| member_dn(member)).collect();
        group_of_names(ldif, name, &members);
    }
    let crowd: Vec<String> = (0..CROWD)
        .map(|number| person(&crowd_name(number)))
        .collect();
    group_of_names(ldif, "everyone", &crowd);
    for number in 0..GROUPS_OF_GRACE {
        group_of_names(ldif, &format!("grace-{number:02}"), &[person("grace")]);
    }
    ldif.entry(
        &group("unique-ops"),
        &[
            ("objectClass", "groupOfUniqueNames"),
            ("cn", "unique-ops"),
            ("uniqueMember", &person("bob")),
        ],
    );
    for (name, number, members) in [
        ("posix-ops", "3000", &["alice", "bob"][..]),
        ("posix-people", "2000", &[]),
    ] {
        let mut attributes = vec![
            ("objectClass", "posixGroup"),
            ("cn", name),
            ("gidNumber", number),
        ];
        attributes.extend(members.iter().map(|uid| ("memberUid", *uid)));
        ldif.entry(&group(name), &attributes);
    }
}

fn group_of_names(ldif: &mut Ldif, name: &str, members: &[String]) {
    let mut attributes = vec![("objectClass", "groupOfNames"), ("cn", name)];
    attributes.extend(members.iter().map(|dn| ("member", dn.as_str())));
    ldif.entry(&group(name), &attributes);
}

fn crowd_name(number: usize) -> String {
    format!("user{number:03}")
}

fn member_dn(member: &str) -> String {
    member
        .strip_prefix("cn=")
        .map_or_else(|| person(member), group)
}

fn person(uid: &str) -> String {
    format!("uid={},ou=people,{SUFFIX}", escaped(uid))
}

fn group(cn: &str) -> String {
    format!("cn={},ou=groups,{SUFFIX}", escaped(cn))
}

/// A value as RFC 4514 section 2.4 wants it inside a DN.
fn escaped(value: &str) -> String {
    let special = BTreeSet::from(['"', '+', ',', ';', '<', '>', '\\']);
    let mut escaped = String::new();
    for character in value.chars() {
        if special.contains(&character) {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    escaped
}

/// Text in the format of RFC 2849.
#[derive(Debug, Default)]
struct Ldif {
    text: String,
}

impl Ldif {
    fn entry(&mut self, dn: &str, attributes: &[(&str, &str)]) {
        self.line("dn", dn);
        for (name, value) in attributes {
            self.line(name, value);
        }
        self.text.push('\n');
    }

    fn line(&mut self, name: &str, value: &str) {
        let written = if value.is_ascii() && !value.ends_with(' ') {
            writeln!(self.text, "{name}: {value}")
        } else {
            writeln!(self.text, "{name}:: {}", BASE64_STANDARD.encode(value))
        };
        written.expect("a string takes any text");
    }
}
