//! Why somebody may or may not open a role, as `rolegate explain` says it: each situation against
//! real slapd, in which carol is three levels below a group that matters.

use std::{
    fs,
    process::{Command, Stdio},
};

use regex::Regex;
use rolegate::{
    access::{
        AuthenticationMethod, Change, Conditions, Group, GroupKey, Identity, Mapping, MappingId,
        Origin,
    },
    audit::{Action, Actor, AuditEvent, Outcome},
    clock::{Clock as _, SystemClock},
    store::{
        AuditFilter, AuditLog as _, EditContext, PendingEdit, PendingEdits as _, PendingState,
        PolicyStore as _, SignInSession, SignInSessions as _, sql::SqlStore,
    },
};
use serde_json::Value;
use tempfile::TempDir;
use time::{Duration, OffsetDateTime};

use crate::support::{
    self,
    saml::for_aws,
    slapd::{BIND_DN, BIND_PASSWORD, SUFFIX, Slapd, group_dn, person_dn},
};

const ROWS: &str = r#"
[[account]]
id = "111111111111"
name = "Payments production"

[[account]]
id = "222222222222"
name = "Payments development"
alias = "payments-dev"

[[role]]
arn = "arn:aws:iam::111111111111:role/Admin"

[[role]]
arn = "arn:aws:iam::111111111111:role/ReadOnly"

[[role]]
arn = "arn:aws:iam::222222222222:role/Dev"

[[role]]
arn = "arn:aws:iam::222222222222:role/Old"

[[role]]
arn = "arn:aws:iam::222222222222:role/Waits"

[[role]]
arn = "arn:aws:iam::222222222222:role/Claims"

[[role]]
arn = "arn:aws:iam::222222222222:role/Flat"

[[role]]
arn = "arn:aws:iam::222222222222:role/Off"
disabled = true

[[role]]
arn = "arn:aws:iam::222222222222:role/Factor"

[[role]]
arn = "arn:aws:iam::222222222222:role/Reason"

[[mapping]]
group = "corp:cn=aws-111111111111-admin,ou=groups,dc=example,dc=org"
role = "arn:aws:iam::111111111111:role/Admin"
ticket = "HD-1"
expires = 2999-01-31T01:00:00Z
max_duration = "1h"

[[mapping]]
group = "corp:cn=aws-222222222222-dev,ou=groups,dc=example,dc=org"
role = "arn:aws:iam::222222222222:role/Dev"

[[mapping]]
group = "corp:cn=aws-222222222222-dev,ou=groups,dc=example,dc=org"
role = "arn:aws:iam::222222222222:role/Old"
expires = 2020-01-31T01:00:00Z

[[mapping]]
group = "idp:payments"
role = "arn:aws:iam::222222222222:role/Claims"

[[mapping]]
group = "idp:team-leaf"
role = "arn:aws:iam::222222222222:role/Claims"

[[mapping]]
group = "flat:cn=team-mid,ou=groups,dc=example,dc=org"
role = "arn:aws:iam::222222222222:role/Flat"

[[mapping]]
group = "corp:cn=aws-222222222222-dev,ou=groups,dc=example,dc=org"
role = "arn:aws:iam::222222222222:role/Off"

[[mapping]]
group = "corp:cn=aws-222222222222-dev,ou=groups,dc=example,dc=org"
role = "arn:aws:iam::222222222222:role/Factor"
require_mfa = true

[[mapping]]
group = "corp:cn=aws-222222222222-dev,ou=groups,dc=example,dc=org"
role = "arn:aws:iam::222222222222:role/Reason"
require_reason = true
"#;

const RULE_FILE: &str = r#"
[[mapping_rule]]
connector = "corp"
group_pattern = "^cn=aws-(?<account>[0-9]{12})-(?<role>readonly),ou=groups,dc=example,dc=org$"
role = "arn:aws:iam::{account}:role/{role}"
ticket = "HD-2"
"#;

const DEV: &str = "corp:cn=aws-222222222222-dev,ou=groups,dc=example,dc=org";

/// A folder with a configuration, and the program run on it.
struct Desk {
    folder: TempDir,
}

impl Desk {
    fn new(slapd: &Slapd) -> Self {
        let desk = Self {
            folder: support::temporary_dir("explain"),
        };
        let provider = for_aws::provider();
        desk.write("idp.xml", &provider.metadata(&[&provider.primary]));
        desk.write("password", BIND_PASSWORD);
        desk.write("rules.toml", RULE_FILE);
        desk.write("rows.toml", ROWS);
        desk.write("rolegate.toml", &desk.configuration(slapd));
        let imported = desk.run(&["mapping", "import", "DIR/rows.toml"]);
        assert_eq!(imported.0, 0, "{imported:?}");
        desk
    }

    fn configuration(&self, slapd: &Slapd) -> String {
        let folder = self.folder.path().display();
        let directory = |id: &str, nested: bool| {
            format!(
                r#"
[[connector]]
id = "{id}"
type = "ldap"
preset = "openldap"
urls = ["{url}"]
ca_file = "{ca}"
bind_dn = "{BIND_DN}"
bind_password_file = "{folder}/password"
user_base = "ou=people,{SUFFIX}"
group_base = "ou=groups,{SUFFIX}"
nested_groups = {nested}
"#,
                url = slapd.ldaps_url(),
                ca = slapd.ca_pem_path().display(),
            )
        };
        format!(
            r#"public_url = "https://aws.example.com"

[store]
url = "sqlite://{folder}/rolegate.db"

[mappings]
file = "{folder}/rules.toml"

[aws]
default_region = "eu-west-1"
session_name = "{{connector}}-{{username}}"
{corp}{flat}
[[connector]]
id = "idp"
type = "saml"
idp_metadata_file = "{folder}/idp.xml"
"#,
            corp = directory("corp", true),
            flat = directory("flat", false),
        )
    }

    fn write(&self, name: &str, text: &str) {
        use std::os::unix::fs::PermissionsExt;

        let path = self.folder.path().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    }

    /// Exit code, standard output and standard error.
    fn run(&self, arguments: &[&str]) -> (i32, String, String) {
        let folder = self.folder.path().display().to_string();
        let mut command = Command::new(env!("CARGO_BIN_EXE_rolegate"));
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("ROLEGATE_") {
                command.env_remove(name);
            }
        }
        command
            .env("ROLEGATE_CONFIG", self.folder.path().join("rolegate.toml"))
            .stdin(Stdio::null())
            .args(arguments.iter().map(|text| text.replace("DIR", &folder)));
        let output = command.output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        (
            output.status.code().unwrap(),
            text(&output.stdout),
            text(&output.stderr),
        )
    }

    /// The answer as text and as JSON, with what differs from run to run taken out.
    fn told(&self, arguments: &[&str]) -> String {
        let (code, text, noise) = self.run(&[&["explain"], arguments].concat());
        let as_json = [&["explain"], arguments, &["--output", "json"]].concat();
        let (json_code, json, _) = self.run(&as_json);
        assert_eq!(code, json_code, "{noise}");
        let json: Value =
            serde_json::from_str(&json).unwrap_or_else(|error| panic!("{error}: {noise}"));
        let json = serde_json::to_string_pretty(&json).unwrap();
        let arguments = arguments.join(" ");
        steady(&format!(
            "$ rolegate explain {arguments}\n{text}{noise}exit code {code}\n\n{json}\n"
        ))
    }

    async fn store(&self) -> SqlStore {
        let url = format!("sqlite://{}/rolegate.db", self.folder.path().display());
        SqlStore::open(&url).await.unwrap()
    }

    /// The groups of a person as the directory has them, with their stable ids.
    fn stable_id(&self, user: &str, group: &str) -> String {
        let arguments = ["check", "--user", user, "--connector", "corp", "--output"];
        let (_, json, noise) = self.run(&[&arguments[..], &["json"]].concat());
        let people: Value = serde_json::from_str(&json).expect(&noise);
        let groups = people[0]["groups"].as_array().unwrap();
        let found = groups.iter().find(|found| found["key"] == group);
        found.unwrap()["stable_id"].as_str().unwrap().to_owned()
    }
}

/// Ids and moments of this run read alike in every run.
fn steady(text: &str) -> String {
    let replaced = [
        (
            r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
            "ID",
        ),
        (r"20[2-9]\d-\d\d-\d\dT[0-9:.]+Z", "MOMENT"),
        (r"20(2[1-9]|[3-9]\d)-\d\d-\d\d \d\d:\d\d UTC", "MOMENT"),
        (r"\(user id \d+\)", "(user id UID)"),
    ];
    let mut text = text.to_owned();
    for (pattern, with) in replaced {
        let pattern = Regex::new(pattern).unwrap();
        text = pattern.replace_all(&text, with).into_owned();
    }
    text
}

fn now() -> OffsetDateTime {
    SystemClock.now().truncate_to_second()
}

/// Somebody who signed in at a connector so long ago, with these groups.
fn session(connector: &str, username: &str, groups: &[&str], ago: Duration) -> SignInSession {
    let then = now() - ago;
    let group = |name: &&str| Group {
        key: GroupKey::from_stored(format!("{connector}:{name}")),
        name: (*name).to_owned(),
        stable_id: None,
        through: None,
    };
    SignInSession {
        id_hash: format!("{:0>64}", connector.len() + username.len()),
        identity: Identity {
            connector: connector.parse().unwrap(),
            subject: format!("{username}-at-{connector}"),
            username: username.to_owned(),
            display_name: None,
            email: None,
            entry_dn: None,
            groups: groups.iter().map(group).collect(),
            groups_read_at: then,
            authenticated_at: then,
            method: AuthenticationMethod::Saml,
            authentication_context: None,
            asserted_roles: Vec::new(),
        },
        client_address: "192.0.2.7".to_owned(),
        user_agent: "Browser/1".to_owned(),
        created_at: then,
        last_seen_at: then,
        expires_at: then + Duration::hours(12),
        provider_session: None,
        device: None,
    }
}

fn person(connector: &str, username: &str) -> Actor {
    Actor::Person {
        connector: connector.to_owned(),
        subject: Some(format!("{username}-at-{connector}")),
        username: Some(username.to_owned()),
    }
}

#[test]
fn a_role_held_by_a_mapping() {
    let desk = Desk::new(Slapd::shared());
    insta::assert_snapshot!(desk.told(&["alice", "111111111111/admin", "--connector", "corp"]));
}

#[test]
fn a_role_held_by_a_rule_of_the_mapping_file() {
    let desk = Desk::new(Slapd::shared());
    let role = "arn:aws:iam::111111111111:role/ReadOnly";
    insta::assert_snapshot!(desk.told(&["bob", role, "--connector", "corp"]));
}

#[test]
fn a_role_held_through_three_levels_of_groups() {
    let desk = Desk::new(Slapd::shared());
    insta::assert_snapshot!(desk.told(&["carol", "payments-dev/Dev", "--connector", "corp"]));
}

#[test]
fn a_mapping_that_expired() {
    let desk = Desk::new(Slapd::shared());
    let role = "payments development/Old";
    insta::assert_snapshot!(desk.told(&["dave", role, "--connector", "corp"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mapping_that_waits_for_a_second_person() {
    let desk = Desk::new(Slapd::shared());
    let mapping = Mapping {
        id: MappingId("new".to_owned()),
        group: GroupKey::from_stored(DEV.to_owned()),
        role: "arn:aws:iam::222222222222:role/Waits".parse().unwrap(),
        conditions: Conditions::default(),
        ticket: Some("HD-3".to_owned()),
        origin: Origin::Store,
    };
    let edit = PendingEdit {
        id: "0192d3a0-0000-7000-8000-000000000001".to_owned(),
        author: person("corp", "grace"),
        author_name: "grace".to_owned(),
        created_at: now(),
        expires_at: now() + Duration::days(7),
        reason: Some("HD-3".to_owned()),
        changes: vec![Change::PutMapping(mapping)],
        seen: Vec::new(),
        why: vec!["self_gain".to_owned()],
        undoes: None,
        state: PendingState::Waiting,
        decided_by: None,
        decided_at: None,
        note: None,
    };
    let event = AuditEvent::new(
        now(),
        Action::EditPropose,
        Outcome::Ok,
        person("corp", "grace"),
    );
    let store = desk.store().await;
    store.propose(&edit, &event).await.unwrap();
    insta::assert_snapshot!(desk.told(&["dave", "222222222222/Waits", "--connector", "corp"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mapping_that_somebody_ended() {
    let desk = Desk::new(Slapd::shared());
    let store = desk.store().await;
    let tables = store.tables().await.unwrap();
    let is_dev = |mapping: &&Mapping| mapping.role.name() == "Dev";
    let mapping = tables.mappings.iter().find(is_dev).unwrap();
    let context = EditContext {
        reason: Some("HD-9".to_owned()),
        ..EditContext::new(person("corp", "grace"), now())
    };
    let end = vec![Change::EndMapping(mapping.id.clone())];
    store.apply(end, &context).await.unwrap();
    insta::assert_snapshot!(desk.told(&["carol", "222222222222/Dev", "--connector", "corp"]));
}

#[test]
fn a_group_that_is_written_in_another_case() {
    let desk = Desk::new(Slapd::shared());
    let role = "222222222222/Claims";
    insta::assert_snapshot!(desk.told(&["erin", role, "--group", "idp:Payments"]));
}

#[test]
fn a_group_that_comes_as_a_distinguished_name() {
    let desk = Desk::new(Slapd::shared());
    let claim = "idp:CN=Team-Leaf,OU=Groups,DC=example,DC=org";
    insta::assert_snapshot!(desk.told(&["erin", "222222222222/Claims", "--group", claim]));
}

#[test]
fn a_group_that_is_one_level_away() {
    let desk = Desk::new(Slapd::shared());
    insta::assert_snapshot!(desk.told(&["carol", "222222222222/Flat", "--connector", "flat"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_that_is_held_through_another_connector() {
    let desk = Desk::new(Slapd::shared());
    let store = desk.store().await;
    let dev = DEV.split_once(':').unwrap().1;
    let sessions = [
        session("corp", "zed", &[dev], Duration::hours(1)),
        session("idp", "zed", &["staff"], Duration::hours(1)),
    ];
    for session in sessions {
        store.save_session(&session).await.unwrap();
    }
    insta::assert_snapshot!(desk.told(&["zed", "222222222222/Dev", "--connector", "idp"]));
}

#[test]
fn a_group_of_the_same_name_at_another_connector() {
    let desk = Desk::new(Slapd::shared());
    let group = "idp:aws-222222222222-dev";
    insta::assert_snapshot!(desk.told(&["erin", "222222222222/Dev", "--group", group]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_that_was_renamed_and_one_that_was_made_again() {
    let slapd = Slapd::start();
    let desk = Desk::new(&slapd);
    let bind = Change::BindGroup {
        group: GroupKey::from_stored(DEV.to_owned()),
        group_id: desk.stable_id("dave", DEV),
    };
    let context = EditContext::new(Actor::System, now());
    let store = desk.store().await;
    store.apply(vec![bind], &context).await.unwrap();

    let (old, person) = (group_dn("aws-222222222222-dev"), person_dn("dave"));
    slapd.modify(&format!(
        "dn: {old}\nchangetype: modrdn\nnewrdn: cn=payments-developers\ndeleteoldrdn: 1\n"
    ));
    let arguments = ["dave", "222222222222/Dev", "--connector", "corp"];
    insta::assert_snapshot!("a_group_that_was_renamed", desk.told(&arguments));

    let new = group_dn("payments-developers");
    slapd.modify(&format!(
        "dn: {new}\nchangetype: delete\n\ndn: {old}\nchangetype: add\n\
         objectClass: groupOfNames\ncn: aws-222222222222-dev\nmember: {person}\n"
    ));
    insta::assert_snapshot!("a_group_that_was_made_again", desk.told(&arguments));
}

#[test]
fn a_role_that_is_disabled() {
    let desk = Desk::new(Slapd::shared());
    insta::assert_snapshot!(desk.told(&["dave", "222222222222/Off", "--connector", "corp"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_aws_refused_the_last_time() {
    let desk = Desk::new(Slapd::shared());
    let refused = AuditEvent {
        role: Some("arn:aws:iam::222222222222:role/Dev".to_owned()),
        reason: Some("aws_access_denied".to_owned()),
        ..AuditEvent::new(
            now(),
            Action::ConsoleOpen,
            Outcome::Failed,
            person("corp", "carol"),
        )
    };
    let store = desk.store().await;
    store.append(&refused).await.unwrap();
    let arguments = ["dave", "222222222222/Dev", "--connector", "corp"];
    insta::assert_snapshot!(
        "a_role_that_aws_refused_the_last_time",
        desk.told(&arguments)
    );

    let opened = AuditEvent {
        outcome: Outcome::Ok,
        reason: None,
        ..refused
    };
    store.append(&opened).await.unwrap();
    assert!(!desk.told(&arguments).contains("refused"));
}

#[test]
fn a_second_factor_that_is_asked_for() {
    let desk = Desk::new(Slapd::shared());
    insta::assert_snapshot!(desk.told(&["dave", "222222222222/Factor", "--connector", "corp"]));
}

#[test]
fn a_reason_that_is_asked_for() {
    let desk = Desk::new(Slapd::shared());
    insta::assert_snapshot!(desk.told(&["dave", "222222222222/Reason", "--connector", "corp"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_that_are_too_old() {
    let desk = Desk::new(Slapd::shared());
    let store = desk.store().await;
    let session = session("idp", "zed", &["payments"], Duration::days(9));
    store.save_session(&session).await.unwrap();
    insta::assert_snapshot!(desk.told(&["zed", "222222222222/Claims"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_that_the_provider_left_out() {
    let desk = Desk::new(Slapd::shared());
    let store = desk.store().await;
    let session = session("idp", "zed", &["staff"], Duration::hours(2));
    store.save_session(&session).await.unwrap();
    let refused = AuditEvent {
        reason: Some("groups_overage".to_owned()),
        ..AuditEvent::new(
            now(),
            Action::SignIn,
            Outcome::Refused,
            person("idp", "zed"),
        )
    };
    store.append(&refused).await.unwrap();
    insta::assert_snapshot!(desk.told(&["zed", "222222222222/Claims"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_that_the_directory_did_not_tell() {
    let slapd = Slapd::start();
    let desk = Desk::new(&slapd);
    let store = desk.store().await;
    let session = session("corp", "zed", &["cn=staff,dc=x"], Duration::hours(2));
    store.save_session(&session).await.unwrap();
    let failed = AuditEvent {
        reason: Some("directory_unavailable".to_owned()),
        ..AuditEvent::new(
            now(),
            Action::GroupsRefresh,
            Outcome::Failed,
            person("corp", "zed"),
        )
    };
    store.append(&failed).await.unwrap();
    slapd.stop();
    insta::assert_snapshot!(desk.told(&["zed", "222222222222/Dev", "--connector", "corp"]));
}

#[test]
fn a_role_that_nothing_gives_the_person() {
    let desk = Desk::new(Slapd::shared());
    insta::assert_snapshot!(desk.told(&["norole", "111111111111/ReadOnly", "--connector", "corp"]));
}

#[test]
fn a_role_that_is_not_in_the_table() {
    let desk = Desk::new(Slapd::shared());
    let role = "arn:aws:iam::999999999999:role/Nowhere";
    insta::assert_snapshot!(desk.told(&["dave", role, "--connector", "corp"]));
}

#[test]
fn everything_that_somebody_may_open_and_the_nearest_misses() {
    let desk = Desk::new(Slapd::shared());
    insta::assert_snapshot!(desk.told(&["dave", "--connector", "corp"]));
}

#[test]
fn a_whole_account() {
    let desk = Desk::new(Slapd::shared());
    let (code, text, _) = desk.run(&[
        "explain",
        "alice",
        "Payments Production",
        "--connector",
        "corp",
    ]);
    assert_eq!(code, 0, "{text}");
    assert!(
        text.contains("alice can open Admin in Payments production"),
        "{text}"
    );
    assert!(
        text.contains("alice can open ReadOnly in Payments production"),
        "{text}"
    );
}

#[test]
fn names_that_mean_no_role_are_told_what_is_near() {
    let desk = Desk::new(Slapd::shared());
    let told: Vec<String> = [
        "payments-dve/Dev",
        "payments-dev/Devv",
        "ReadOnly",
        "arn:aws:iam::1:role/X",
        "nothing like it",
    ]
    .iter()
    .map(|role| {
        let (code, out, err) = desk.run(&["explain", "dave", role, "--group", DEV]);
        assert_eq!((code, out.as_str()), (1, ""), "{role}: {err}");
        err
    })
    .collect();
    insta::assert_snapshot!(told.concat());
}

#[test]
fn people_and_connectors_that_nobody_knows_are_told() {
    let desk = Desk::new(Slapd::shared());
    let (code, out, err) = desk.run(&["explain", "nobody-at-all", "--connector", "corp"]);
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(
        err.contains("nobody is called `nobody-at-all` in `corp`"),
        "{err}"
    );
    let (code, _, err) = desk.run(&["explain", "dave", "--connector", "crop"]);
    assert_eq!(code, 2);
    assert!(err.contains("there are: corp, flat, idp"), "{err}");
    let (code, _, err) = desk.run(&["explain", "dave", "--group", "crop:x"]);
    assert_eq!(code, 2, "{err}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_moment_in_the_past_is_told_by_the_tables_and_groups_of_then() {
    let desk = Desk::new(Slapd::shared());
    let store = desk.store().await;
    let dev = DEV.split_once(':').unwrap().1;
    let before = session("corp", "zed", &[dev], Duration::seconds(2));
    store.save_session(&before).await.unwrap();
    let tables = store.tables().await.unwrap();
    let then = SystemClock.now();
    let is_dev = |mapping: &&Mapping| mapping.role.name() == "Dev";
    let mapping = tables.mappings.iter().find(is_dev).unwrap();
    let context = EditContext::new(person("corp", "grace"), then + Duration::seconds(1));
    let end = vec![Change::EndMapping(mapping.id.clone())];
    store.apply(end, &context).await.unwrap();
    let arguments = ["zed", "222222222222/Dev", "--connector", "corp"];
    assert!(desk.told(&arguments).contains("cannot open"));

    let format = time::format_description::well_known::Rfc3339;
    let at = then.format(&format).unwrap();
    let told = desk.told(&[&arguments[..], &["--at", &at]].concat());
    insta::assert_snapshot!(told);
    let long_ago = desk.told(&[&arguments[..], &["--at", "2020-06-01"]].concat());
    insta::assert_snapshot!("a_moment_before_everything", long_ago);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_question_is_in_the_audit_log() {
    let desk = Desk::new(Slapd::shared());
    desk.run(&["explain", "dave", "222222222222/Off", "--group", DEV]);
    let filter = AuditFilter {
        actions: vec![Action::Explain],
        limit: 10,
        ..AuditFilter::default()
    };
    let rows = desk.store().await.audit_rows(&filter).await.unwrap();
    let [row] = rows.as_slice() else {
        panic!("{rows:?}")
    };
    assert!(matches!(row.event.actor, Actor::Host { .. }));
    assert_eq!(
        row.event.role.as_deref(),
        Some("arn:aws:iam::222222222222:role/Off")
    );
    insta::assert_snapshot!(serde_json::to_string(&row.event.details).unwrap(), @r#"
    {"held":false,"person":{"connector":"corp","subject":"dave","username":"dave"},"situations":["role_disabled"]}
    "#);
}
