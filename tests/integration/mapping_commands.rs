//! `rolegate mapping preview`, `history`, `undo`, `review` and the import of another portal's rows,
//! run as the built program on a folder of its own, with the sample directory beside it.

use std::{
    fs,
    net::SocketAddr,
    path::PathBuf,
    process::{Command, Stdio},
};

use rolegate::{
    access::{
        AuthenticationMethod, Group, GroupKey, Identity, Policy, PolicySettings, PolicyTables,
    },
    config::mapping_file::MappingFile,
    demo::{
        directory::{Directory, RunningDirectory},
        sample,
    },
    store::{SignInSession, SignInSessions as _, sql::SqlStore},
};
use serde_json::Value;
use tempfile::TempDir;
use time::{OffsetDateTime, macros::datetime};

use crate::support;

const NOW: OffsetDateTime = datetime!(2026-06-01 12:00 UTC);
const ROWS: &str = r#"
[[account]]
id = "111122223333"
name = "Payments production"
protected = true

[[role]]
arn = "arn:aws:iam::111122223333:role/Operator"

[[role]]
arn = "arn:aws:iam::222233335555:role/ReadOnly"

[[mapping]]
group = "corp:cn=finance,ou=groups,dc=example,dc=com"
role = "arn:aws:iam::222233335555:role/ReadOnly"
ticket = "HD-1"
"#;
/// Gives `everyone` the reading and `finance` the operating.
const MORE: &str = r#"
[[mapping]]
group = "corp:cn=everyone,ou=groups,dc=example,dc=com"
role = "arn:aws:iam::222233335555:role/ReadOnly"

[[mapping]]
group = "corp:cn=finance,ou=groups,dc=example,dc=com"
role = "arn:aws:iam::111122223333:role/Operator"
require_reason = true
"#;

struct Installation {
    folder: TempDir,
    _directory: RunningDirectory,
}

#[derive(Debug)]
struct Ended {
    code: i32,
    out: String,
    err: String,
}

impl Installation {
    fn new() -> Self {
        let any_port = SocketAddr::from(([127, 0, 0, 1], 0));
        let directory = Directory::sample().start(any_port).unwrap();
        let folder = support::temporary_dir("mapping-commands");
        let path = folder.path().display().to_string();
        let configuration = format!(
            r#"public_url = "https://aws.example.com"
[store]
url = "sqlite://{path}/rolegate.db"
[[connector]]
id = "corp"
type = "ldap"
urls = ["{}"]
bind_dn = "{}"
bind_password_file = "{path}/password"
user_base = "{}"
group_base = "{}"
nested_groups = true
[aws]
default_region = "eu-west-1"
"#,
            directory.url(),
            sample::SERVICE_DN,
            sample::PEOPLE_BASE,
            sample::GROUPS_BASE,
        );
        let installation = Self {
            folder,
            _directory: directory,
        };
        installation.write("password", sample::SERVICE_PASSWORD);
        installation.write("rolegate.toml", &configuration);
        installation.write("rows.toml", ROWS);
        installation.write("more.toml", MORE);
        installation.done(&["mapping", "import", "DIR/rows.toml"]);
        installation
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        use std::os::unix::fs::PermissionsExt;

        fs::write(self.path(name), text).unwrap();
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(0o600)).unwrap();
    }

    fn run(&self, arguments: &[&str]) -> Ended {
        let folder = self.folder.path().display().to_string();
        let mut command = Command::new(env!("CARGO_BIN_EXE_rolegate"));
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("ROLEGATE_") {
                command.env_remove(name);
            }
        }
        command
            .stdin(Stdio::null())
            .env("ROLEGATE_CONFIG", self.path("rolegate.toml"))
            .args(arguments.iter().map(|text| text.replace("DIR", &folder)));
        let output = command.output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        Ended {
            code: output.status.code().unwrap(),
            out: text(&output.stdout),
            err: text(&output.stderr),
        }
    }

    fn done(&self, arguments: &[&str]) -> Ended {
        let ended = self.run(arguments);
        assert_eq!(ended.code, 0, "{arguments:?}: {ended:?}");
        ended
    }

    fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.done(arguments).out).unwrap()
    }

    /// Somebody whom the store knows, with the groups as last seen.
    async fn know(&self, username: &str, groups: &[&str]) {
        let url = format!("sqlite://{}", self.path("rolegate.db").display());
        let store = SqlStore::open(&url).await.unwrap();
        let session = SignInSession {
            id_hash: format!("{:0>64}", hex::encode(username)),
            identity: person(username, groups),
            client_address: "127.0.0.1".to_owned(),
            user_agent: String::new(),
            created_at: NOW,
            last_seen_at: NOW,
            expires_at: NOW,
            provider_session: None,
            device: None,
        };
        store.save_session(&session).await.unwrap();
    }
}

fn person(username: &str, groups: &[&str]) -> Identity {
    let groups = groups.iter().map(|name| {
        let dn = if name.contains('=') {
            (*name).to_owned()
        } else {
            sample::group_dn(name)
        };
        Group {
            key: GroupKey::from_stored(format!("corp:{}", dn.to_lowercase())),
            name: dn,
            stable_id: None,
            through: None,
        }
    });
    Identity {
        connector: "corp".parse().unwrap(),
        subject: format!("subject-{username}"),
        username: username.to_owned(),
        display_name: None,
        email: None,
        entry_dn: None,
        groups: groups.collect(),
        groups_read_at: NOW,
        authenticated_at: NOW,
        method: AuthenticationMethod::Password,
        authentication_context: None,
        asserted_roles: Vec::new(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preview_names_who_gains_protected_roles_first() {
    let installation = Installation::new();
    let preview = installation.run(&["mapping", "preview", "DIR/more.toml", "--fail-on-change"]);
    assert_eq!(preview.code, 1, "{preview:?}");
    let operator = preview
        .out
        .find("PROTECTED arn:aws:iam::111122223333:role/Operator: 1 person gains it");
    let reading = preview
        .out
        .find("arn:aws:iam::222233335555:role/ReadOnly: ");
    assert!(operator.unwrap() < reading.unwrap(), "{preview:?}");
    assert!(
        preview.out.contains("+ corp:grace (Grace Hopper)"),
        "{preview:?}"
    );
    assert!(
        preview.out.contains("+ corp:linus (Linus Brook)"),
        "{preview:?}"
    );

    let told = installation.json(&["mapping", "preview", "DIR/more.toml", "--output", "json"]);
    assert_eq!(told["rows"].as_array().unwrap().len(), 2);
    assert_eq!(told["roles"][0]["protected"], true);
    assert_eq!(told["roles"][0]["gains"][0]["username"], "grace");

    installation.done(&["mapping", "import", "DIR/more.toml"]);
    let again = installation.done(&["mapping", "preview", "DIR/more.toml", "--fail-on-change"]);
    assert_eq!(again.out, "nobody gains or loses anything\n");
    let replacing = installation.done(&["mapping", "preview", "DIR/rows.toml", "--replace"]);
    assert!(
        replacing.out.contains("role/Operator: 1 person loses it"),
        "{replacing:?}"
    );
    assert!(replacing.out.contains("  - corp:grace"), "{replacing:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preview_of_what_does_not_fit_says_why() {
    let installation = Installation::new();
    let text = "[[mapping]]\ngroup = \"corp:cn=finance,ou=groups,dc=example,dc=com\"\n\
                role = \"arn:aws:iam::111122223333:role/Gone\"\n";
    installation.write("bad.toml", text);
    let preview = installation.run(&["mapping", "preview", "DIR/bad.toml"]);
    assert_eq!(preview.code, 1);
    assert!(preview.err.contains("add the role first"), "{preview:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn history_tells_every_change_and_undo_takes_it_back() {
    let installation = Installation::new();
    installation.done(&["mapping", "import", "DIR/more.toml", "--reason", "HD-7"]);
    let all = installation.json(&["mapping", "history", "--output", "json"]);
    let newest = &all[0];
    assert_eq!(newest["reason"], "HD-7");
    assert_eq!(newest["by"]["kind"], "host");
    assert!(newest["before"].is_null() && !newest["after"].is_null());
    let edit = newest["edit"].as_str().unwrap().to_owned();
    let of_edit = installation.json(&["mapping", "history", "--edit", &edit, "--output", "json"]);
    assert_eq!(of_edit.as_array().unwrap().len(), 2);
    let of_group = installation.json(&[
        "mapping",
        "history",
        "--group",
        "corp:cn=everyone,ou=groups,dc=example,dc=com",
        "--output",
        "json",
    ]);
    assert_eq!(of_group.as_array().unwrap().len(), 1);
    let text = installation.done(&[
        "mapping",
        "history",
        "--role",
        "Payments production/Operator",
    ]);
    assert_eq!(text.out.lines().count(), 3, "{}", text.out);

    let undone = installation.done(&["mapping", "undo", &edit, "--reason", "a mistake"]);
    assert_eq!(
        undone.out.matches("removed mapping").count(),
        2,
        "{undone:?}"
    );
    let list = installation.json(&["mapping", "list", "--output", "json"]);
    assert_eq!(list.as_array().unwrap().len(), 1);
    let last = installation.json(&["mapping", "history", "--limit", "1", "--output", "json"]);
    assert_eq!(last[0]["undoes"].as_str(), Some(edit.as_str()));
    let log = installation.done(&["audit", "list", "--action", "edit.undo", "--output", "json"]);
    assert!(log.out.contains(&edit), "{log:?}");

    let seq = last[0]["seq"].to_string();
    let back = installation.done(&["mapping", "undo", &seq]);
    assert!(back.out.contains("added mapping"), "{back:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn undo_refuses_what_somebody_changed_since() {
    let installation = Installation::new();
    let group = "corp:cn=finance,ou=groups,dc=example,dc=com";
    let role = "222233335555/ReadOnly";
    let history = installation.json(&["mapping", "history", "--group", group, "--output", "json"]);
    let seq = history[0]["seq"].to_string();
    installation.done(&[
        "mapping",
        "add",
        "--group",
        group,
        "--role",
        role,
        "--read-only",
    ]);
    let refused = installation.run(&["mapping", "undo", &seq]);
    assert_eq!(refused.code, 1);
    assert!(
        refused.err.contains("was changed since, by host:")
            && refused.err.contains("take that back first"),
        "{refused:?}"
    );
    let list = installation.json(&["mapping", "list", "--output", "json"]);
    assert_eq!(list[0]["read_only"], true);
    let nothing = installation.run(&["mapping", "undo", "999999"]);
    assert!(nothing.err.contains("does not exist"), "{nothing:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_review_says_who_can_open_what_by_which_row() {
    let installation = Installation::new();
    installation.know("grace", &["finance"]).await;
    installation.know("ada", &["engineering"]).await;
    let review = installation.done(&["mapping", "review"]);
    let lines: Vec<&str> = review.out.lines().collect();
    assert_eq!(lines.len(), 2, "{review:?}");
    assert!(lines[0].starts_with("connector,username,"), "{review:?}");
    assert!(lines[1].starts_with("corp,grace,"), "{review:?}");
    assert!(
        lines[1].contains("role/ReadOnly,false,mapping,"),
        "{review:?}"
    );
    assert!(review.err.contains("never signed in"), "{review:?}");
    let json = installation.json(&[
        "mapping",
        "review",
        "--output",
        "json",
        "--account",
        "222233335555",
    ]);
    assert_eq!(json[0]["username"], "grace");
    assert!(json[0]["last_opened"].is_null());
    let none = installation.json(&[
        "mapping",
        "review",
        "--output",
        "json",
        "--role",
        "Payments production/Operator",
    ]);
    assert_eq!(none.as_array().unwrap().len(), 0);
    let log = installation.done(&["audit", "list", "--action", "export", "--output", "json"]);
    assert_eq!(log.out.matches("access_review").count(), 3, "{log:?}");
}

const FROM: [&str; 6] = [
    "--from",
    "consoleme",
    "--connector",
    "corp",
    "--group-form",
    "cn={name},ou=groups,dc=example,dc=com",
];

#[tokio::test(flavor = "multi_thread")]
async fn the_dynamic_configuration_of_consoleme_becomes_mappings() {
    let installation = Installation::new();
    installation.write(
        "consoleme.json",
        r#"{
            "group_mapping": {
                "everyone@example.com": {
                    "roles": ["arn:aws:iam::222233335555:role/ReadOnly", "arn:aws:iam::222233335555:role/New"],
                    "cli_only_roles": ["arn:aws:iam::111122223333:role/Operator"],
                    "colour": "blue"
                },
                "finance": { "roles": ["arn:aws:iam::222233335555:role/ReadOnly", "not a role"] }
            },
            "account_ids_to_name": {}
        }"#,
    );
    let import = |more: &[&str]| {
        let mut arguments = vec!["mapping", "import", "DIR/consoleme.json"];
        arguments.extend(FROM);
        arguments.extend(more);
        installation.done(&arguments)
    };
    let dry = import(&["--dry-run"]);
    assert!(
        dry.out
            .contains("added role arn:aws:iam::222233335555:role/New"),
        "{dry:?}"
    );
    assert!(dry.out.contains("+ corp:linus (Linus Brook)"), "{dry:?}");
    for told in [
        "not taken over of the dynamic configuration: account_ids_to_name",
        "everyone@example.com: colour is not taken over",
        "finance: not a role: ",
        "1 grant left out, for they gave the command line alone",
        "1 mapping there already and left as it is",
        "does not tell people from groups",
    ] {
        assert!(dry.err.contains(told), "{told} is not in {}", dry.err);
    }
    let list = || installation.json(&["mapping", "list", "--output", "json"]);
    assert_eq!(
        list().as_array().unwrap().len(),
        1,
        "a dry run changes nothing"
    );
    import(&["--reason", "ConsoleMe was archived"]);
    assert_eq!(list().as_array().unwrap().len(), 3);
    assert_eq!(
        list()[0]["ticket"],
        "HD-1",
        "what was there stays as it was"
    );
    import(&["--include-cli-only"]);
    assert_eq!(list().as_array().unwrap().len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn tagged_roles_become_mappings_in_each_form_that_holds_them() {
    let policy = r#"{\"Tags\": [{\"Key\": \"consoleme-authorized\", \"Value\": \"finance:everyone@example.com\"}, {\"Key\": \"consoleme-owner-dl\", \"Value\": \"helpdesk\"}]}"#;
    let cache = format!(
        r#"{{"arn:aws:iam::222233335555:role/Tagged": "{{\"policy\": \"{}\"}}"}}"#,
        policy.replace('\\', "\\\\\\")
    );
    let iam = r#"{"RoleDetailList": [{"Arn": "arn:aws:iam::222233335555:role/Tagged", "Tags": [
        {"Key": "consoleme-authorized", "Value": "finance:everyone@example.com"},
        {"Key": "consoleme-owner-dl", "Value": "helpdesk"}, {"Key": "team", "Value": "x"}]}], "IsTruncated": false}"#;
    let mapping = r#"{
        "finance": {"authorized_roles": ["arn:aws:iam::222233335555:role/Tagged"], "authorized_roles_cli_only": []},
        "everyone@example.com": {"authorized_roles": ["arn:aws:iam::222233335555:role/Tagged"]},
        "helpdesk": {"authorized_roles_cli_only": ["arn:aws:iam::222233335555:role/Tagged"]}}"#;
    for text in [cache.as_str(), iam, mapping] {
        let installation = Installation::new();
        installation.write("export.json", text);
        let mut arguments = vec!["mapping", "import", "DIR/export.json"];
        arguments.extend(FROM);
        let import = installation.done(&arguments);
        assert_eq!(import.out.matches("added mapping").count(), 2, "{import:?}");
        assert!(
            import.err.contains("cn=helpdesk") || import.err.contains("helpdesk → arn"),
            "{import:?}"
        );
    }
    let installation = Installation::new();
    installation.write("other.json", r#"{"hello": 1}"#);
    installation.write("other.yaml", "group_mapping:\n  x: 1\n");
    for (file, told) in [
        ("DIR/other.json", "none of what ConsoleMe keeps"),
        ("DIR/other.yaml", "yq -o=json"),
    ] {
        let mut arguments = vec!["mapping", "import", file];
        arguments.extend(FROM);
        let refused = installation.run(&arguments);
        assert_eq!(refused.code, 1);
        assert!(refused.err.contains(told), "{refused:?}");
    }
}

/// What the rule under a heading of docs/mappings.md gives to a member of a group.
fn given(heading: &str, group: &str, roles: &[&str]) -> Vec<String> {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/mappings.md");
    let page = fs::read_to_string(path).unwrap();
    let (_, section) = page.split_once(&format!("\n### {heading}\n")).unwrap();
    let (_, block) = section.split_once("```toml\n").unwrap();
    let (rule, _) = block.split_once("```").unwrap();
    let forms = [(
        "corp".parse().unwrap(),
        rolegate::access::GroupKeyForm::DistinguishedName,
    )]
    .into();
    let file =
        |text: &str| MappingFile::parse(text, std::path::Path::new("mappings.md"), &forms).unwrap();
    let rows: Vec<String> = roles
        .iter()
        .map(|arn| format!("[[role]]\narn = \"{arn}\"\n"))
        .collect();
    let rows = rows.concat();
    let tables = PolicyTables {
        roles: file(&rows).roles,
        rules: file(rule).rules,
        ..PolicyTables::default()
    };
    let policy = Policy::new(tables, PolicySettings::default());
    assert_eq!(policy.problems(), []);
    let found = policy.entitlements(&person("ada", &[group]), NOW);
    found
        .iter()
        .map(|found| found.role.arn.to_string())
        .collect()
}

#[test]
fn the_recipes_for_conventions_of_other_brokers_give_what_they_gave() {
    let operator = "arn:aws:iam::111122223333:role/Operator";
    let elsewhere = "arn:aws:iam::444455556666:role/Operator";
    let roles = [
        operator,
        elsewhere,
        "arn:aws:iam::111122223333:role/ADFS-Operator",
    ];
    let adfs = "AD FS: AWS-<account>-<role>";
    let dn = |name: &str| format!("CN={name},OU=AWS,OU=Groups,DC=example,DC=com");
    assert_eq!(
        given(adfs, &dn("AWS-111122223333-Operator"), &roles),
        [operator]
    );
    assert_eq!(
        given(adfs, &dn("aws-444455556666-operator"), &roles),
        [elsewhere]
    );
    assert!(given(adfs, &dn("AWS-111122223333"), &roles).is_empty());
    assert!(
        given(
            adfs,
            "CN=AWS-111122223333-Operator,OU=Mine,DC=example,DC=com",
            &roles
        )
        .is_empty()
    );
    let prefixed = "AD FS with a prefix: ADFS-<role>";
    assert_eq!(
        given(prefixed, &dn("AWS-111122223333-Operator"), &roles),
        [roles[2]]
    );
    let afp = "AFP: <account>-<role> in a regular expression";
    assert_eq!(
        given(afp, &dn("aws_111122223333_operator"), &roles),
        [operator]
    );
    assert!(
        given(afp, &dn("aws_payments_operator"), &roles).is_empty(),
        "names are a rule each"
    );
    let named = "AFP with account names";
    assert_eq!(
        given(named, &dn("aws_payments_operator"), &roles),
        [operator]
    );
    assert!(given(named, &dn("aws_other_operator"), &roles).is_empty());
}
