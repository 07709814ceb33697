//! The command line, as a stranger meets it: the built program, in a folder of its own.

use std::{
    fs,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use rolegate::{
    clock::{Clock as _, SystemClock},
    demo::{
        aws::{Catalogue, StandIn},
        directory::{Directory, RunningDirectory},
        sample,
    },
};
use serde_json::Value;
use sqlx::{Connection, SqliteConnection};
use tempfile::TempDir;

use crate::support::{
    self,
    saml::{for_aws, provider::TestIdentityProvider},
};

const FEDERATED: &str = "arn:aws:iam::111122223333:role/Federated";
const READ_ONLY: &str = "arn:aws:iam::111122223333:role/team/ReadOnly";
const DEVELOPERS: &str = "corp:cn=dev,ou=groups,dc=example,dc=com";

const ROWS: &str = r#"
[[account]]
id = "111122223333"
name = "Payments production"
environment = "production"

[[account]]
id = "444455556666"
name = "Payments development"

[[role]]
arn = "arn:aws:iam::111122223333:role/team/ReadOnly"
description = "Look, do not touch"
max_duration = "4h"

[[role]]
arn = "arn:aws:iam::444455556666:role/Developer"

[[mapping]]
group = "corp:CN=Dev, OU=groups, DC=example, DC=com"
role = "arn:aws:iam::444455556666:role/Developer"
ticket = "HD-1"
expires = 2999-01-31T01:00:00+01:00

[[mapping_rule]]
connector = "corp"
group_pattern = "^cn=aws-(?<account>[0-9]{12})-(?<role>[A-Za-z]+),ou=groups,dc=example,dc=com$"
role = "arn:aws:iam::{account}:role/{role}"
"#;

/// A folder with a configuration, and the program run on it.
struct Installation {
    folder: TempDir,
}

/// How a run of the program ended; the folder's path reads `DIR`.
#[derive(Debug, PartialEq, Eq)]
struct Ended {
    code: i32,
    out: String,
    err: String,
}

impl Installation {
    fn new() -> Self {
        let installation = Self {
            folder: support::temporary_dir("command-line"),
        };
        installation.write("rolegate.toml", &installation.configuration());
        installation.write("password", "secret");
        installation
    }

    fn with_rows() -> Self {
        let installation = Self::new();
        installation.write("rows.toml", ROWS);
        installation.done(&["mapping", "import", "DIR/rows.toml"]);
        installation
    }

    fn configuration(&self) -> String {
        let folder = self.path("").display().to_string();
        format!(
            r#"public_url = "https://aws.example.com"

[store]
url = "sqlite://{folder}rolegate.db"

[[connector]]
id = "corp"
type = "ldap"
urls = ["ldap://127.0.0.1:3890"]
bind_dn = "cn=rolegate,dc=example,dc=com"
bind_password_file = "{folder}password"
user_base = "ou=people,dc=example,dc=com"
group_base = "ou=groups,dc=example,dc=com"

[aws]
default_region = "eu-west-1"
"#
        )
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        use std::os::unix::fs::PermissionsExt;

        let path = self.path(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    }

    fn run(&self, arguments: &[&str]) -> Ended {
        let folder = self.folder.path().display().to_string();
        let mut command = program();
        command.env("ROLEGATE_CONFIG", self.path("rolegate.toml"));
        command.args(arguments.iter().map(|text| text.replace("DIR", &folder)));
        ended(&command.output().unwrap(), Some(self.folder.path()))
    }

    /// Runs a command that has to do what it is asked; returns what it printed.
    fn done(&self, arguments: &[&str]) -> String {
        let ended = self.run(arguments);
        assert_eq!(ended.code, 0, "{arguments:?}: {ended:?}");
        ended.out
    }

    fn json(&self, arguments: &[&str]) -> Vec<Value> {
        let out = self.done(&[arguments, &["--output", "json"]].concat());
        serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}"))
    }

    /// Runs a command that has to fail; returns its exit code and what it told.
    fn refused(&self, arguments: &[&str]) -> (i32, String) {
        let ended = self.run(arguments);
        assert_eq!(ended.out, "", "{arguments:?} printed a result as well");
        (ended.code, ended.err)
    }

    async fn sql(&self, sql: &'static str) {
        let url = format!("sqlite://{}", self.path("rolegate.db").display());
        let mut connection = SqliteConnection::connect(&url).await.unwrap();
        sqlx::query(sql).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    }
}

/// The built program without the variables of whoever runs the tests.
fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rolegate"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("ROLEGATE_") {
            command.env_remove(name);
        }
    }
    command.stdin(Stdio::null());
    command
}

fn ended(output: &Output, folder: Option<&Path>) -> Ended {
    let text = |bytes: &[u8]| {
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        match folder {
            Some(folder) => text.replace(&folder.display().to_string(), "DIR"),
            None => text,
        }
    };
    Ended {
        code: output.status.code().unwrap(),
        out: text(&output.stdout),
        err: text(&output.stderr),
    }
}

fn alone(arguments: &[&str]) -> Ended {
    ended(&program().args(arguments).output().unwrap(), None)
}

#[test]
fn an_unknown_command_is_wrong_usage() {
    assert_eq!(
        alone(&["frobnicate"]),
        Ended {
            code: 2,
            out: String::new(),
            err: "error: unrecognized subcommand 'frobnicate'\n\n\
                  Usage: rolegate [OPTIONS] <COMMAND>\n\n\
                  For more information, try '--help'.\n"
                .to_owned()
        }
    );
}

#[test]
fn help_and_version_are_no_failures() {
    let help = alone(&["--help"]);
    assert_eq!((help.code, help.err.as_str()), (0, ""));
    for command in [
        "serve", "demo", "check", "account", "role", "mapping", "audit",
    ] {
        assert!(
            help.out.contains(&format!("\n  {command} ")),
            "{}",
            help.out
        );
    }
    let version = alone(&["--version"]);
    assert_eq!(version.code, 0);
    assert_eq!(
        version.out,
        format!("rolegate {}\n", env!("CARGO_PKG_VERSION"))
    );
    assert_eq!(alone(&[]).code, 2, "no command at all is wrong usage");
}

#[test]
fn ten_mistakes_in_the_configuration_give_ten_findings() {
    let installation = Installation::new();
    installation.write(
        "rolegate.toml",
        r#"public_ulr = "https://aws.example.com"
public_url = "http://aws.example.com"

[server]
listen = "localhost"
body_limit = "64k"

[sign_in_session]
idle_timeout = "soon"

[access]
admin = ["crop:cn=admins,dc=example,dc=com"]

[[connector]]
id = "corp"
type = "ldap"
urls = ["ldaps://one.example.com", "ldap://two.example.com"]
bind_dn = "cn=rolegate,dc=example,dc=com"
bind_password_file = "/nowhere/ldap.password"
user_base = "ou=people,dc=example,dc=com"
user_filter = "(uid=*)"
group_base = "ou=groups,dc=example,dc=com"

[aws]
default_region = "eu-west-1"

[issuer]
"#,
    );
    let check = installation.run(&["check"]);
    assert_eq!((check.code, check.err.as_str()), (2, ""));
    insta::assert_snapshot!(check.out, @r#"
    error    DIR/rolegate.toml:1: public_ulr: unknown key; did you mean "public_url"?
    error    DIR/rolegate.toml:2: public_url: plain http is taken for loopback hosts alone; expected https://
    error    DIR/rolegate.toml:5: server.listen: expected ADDRESS:PORT such as "127.0.0.1:8080", found "localhost"
    error    DIR/rolegate.toml:6: server.body_limit: expected an integer from 1024 to 16777216, found a string
    error    DIR/rolegate.toml:9: sign_in_session.idle_timeout: expected a duration such as "30m" or "12h", found "soon" (expected number at 0)
    error    DIR/rolegate.toml:12: access.admin[0]: there is no connector "crop"; known are corp
    error    DIR/rolegate.toml:17: connector.corp.urls[1]: passwords would travel in clear; expected ldaps://, or start_tls = true
    error    DIR/rolegate.toml:19: connector.corp.bind_password_file: "/nowhere/ldap.password" cannot be read: No such file or directory (os error 2)
    error    DIR/rolegate.toml:21: connector.corp.user_filter: does not contain {username}
    error    DIR/rolegate.toml:27: issuer: has no keys; expected saml_keys or oidc_keys, which `rolegate issuer init` makes
    10 errors, 0 warnings, 0 ok
    "#);
    let findings = installation.run(&["check", "--output", "json"]);
    let array: Vec<Value> = serde_json::from_str(&findings.out).unwrap();
    assert_eq!((findings.code, array.len()), (2, 10));
    assert_eq!(array[2]["about"], "DIR/rolegate.toml:5");

    let (code, told) = installation.refused(&["account", "list"]);
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!((code, lines.len()), (2, 11), "{told}");
    assert_eq!(
        lines[0],
        "error: DIR/rolegate.toml:1: public_ulr: unknown key; did you mean \"public_url\"?"
    );
    assert_eq!(
        lines[10],
        "the configuration cannot be used until this is mended"
    );
}

#[test]
fn a_configuration_that_is_not_there_is_told_in_one_sentence() {
    for command in [&["serve"][..], &["account", "list"], &["audit", "verify"]] {
        let mut arguments = vec!["--config", "/nowhere/rolegate.toml"];
        arguments.extend(command);
        let ended = alone(&arguments);
        assert_eq!(ended.code, 2);
        assert_eq!(
            ended.err,
            "error: /nowhere/rolegate.toml: cannot be read (No such file or directory (os error \
             2)); name the configuration with --config FILE or ROLEGATE_CONFIG\n"
        );
    }
}

#[test]
fn a_sound_installation_passes_the_check() {
    let installation = Installation::new();
    let check = installation.run(&["check"]);
    assert_eq!((check.code, check.err.as_str()), (0, ""), "{check:?}");
    insta::assert_snapshot!(check.out, @r#"
    ok       DIR/rolegate.toml: can be used: 1 connector, 1 credential source
    ok       sqlite://DIR/rolegate.db: is not there yet; the first start creates it
    0 errors, 0 warnings, 2 ok
    "#);
    assert!(
        !installation.path("rolegate.db").exists(),
        "a check creates no store"
    );

    installation.write("rows.toml", ROWS);
    installation.done(&["mapping", "import", "DIR/rows.toml"]);
    insta::assert_snapshot!(installation.done(&["check"]), @r#"
    ok       DIR/rolegate.toml: can be used: 1 connector, 1 credential source
    ok       sqlite://DIR/rolegate.db: 2 accounts, 2 roles, 1 mapping, 1 rule
    0 errors, 0 warnings, 2 ok
    "#);
}

#[test]
fn a_check_names_the_rows_that_give_nothing() {
    let installation = Installation::new();
    let configuration = installation.configuration();
    let more = "\n[access]\nadmin = [\"corp:admins\"]\n\n[mappings]\nfile = \"DIR/rows.toml\"\n";
    let more = more.replace("DIR", &installation.folder.path().display().to_string());
    installation.write("rolegate.toml", &(configuration + &more));
    let broken = r#"
[[role]]
arn = "arn:aws:iam::111122223333:role/Other"
credential_source = "partner"

[[role]]
arn = "arn:aws:iam::111122223333:user/session"
grant_method = "session-token"
credential_source = "hub"

[[mapping]]
group = "corp:cn=dev,dc=example,dc=com"
role = "arn:aws:iam::111122223333:role/Nowhere"
require_mfa = true
"#;
    installation.write("rows.toml", broken);
    let check = installation.run(&["check"]);
    assert_eq!((check.code, check.err.as_str()), (1, ""));
    insta::assert_snapshot!(check.out, @r#"
    ok       DIR/rolegate.toml: can be used: 1 connector, 1 credential source
    error    DIR/rolegate.toml: access.admin: `admins` is not a distinguished name: `admins` has no attribute=value
    ok       DIR/rows.toml: 0 accounts, 2 roles, 1 mapping, 0 rules
    ok       sqlite://DIR/rolegate.db: is not there yet; the first start creates it
    error    DIR/rows.toml:11: names arn:aws:iam::111122223333:role/Nowhere, and there is no such role
    error    DIR/rows.toml:11: require_mfa cannot be enforced by this version
    error    arn:aws:iam::111122223333:role/Other: names the credential source `partner`, and there are: default
    error    arn:aws:iam::111122223333:user/session: names the credential source `hub`, and there are: default
    5 errors, 0 warnings, 3 ok
    "#);

    installation.write(
        "rows.toml",
        "[[role]]\narn = 7\n[[mapping]]\ngroup = \"corp:x\"\n",
    );
    let check = installation.run(&["check"]);
    assert_eq!(check.code, 1);
    insta::assert_snapshot!(check.out, @r#"
    ok       DIR/rolegate.toml: can be used: 1 connector, 1 credential source
    error    DIR/rolegate.toml: access.admin: `admins` is not a distinguished name: `admins` has no attribute=value
    error    DIR/rows.toml:2: role[0].arn: expected a string, found an integer
    error    DIR/rows.toml:3: mapping[0].role: is missing; expected the ARN of a role
    error    DIR/rows.toml:4: mapping[0].group: `x` is not a distinguished name: `x` has no attribute=value
    ok       sqlite://DIR/rolegate.db: is not there yet; the first start creates it
    4 errors, 0 warnings, 2 ok
    "#);
}

/// An installation with one account, one role and one mapping, written one by one.
fn one_by_one() -> Installation {
    let installation = Installation::new();
    let account = [
        "account",
        "add",
        "111122223333",
        "--name",
        "Payments production",
    ];
    assert_eq!(
        installation.done(&account),
        "added account 111122223333 (Payments production)\n"
    );
    assert_eq!(
        installation.done(&account),
        "unchanged account 111122223333 (Payments production)\n"
    );
    assert_eq!(
        installation.done(&["role", "add", READ_ONLY, "--max-duration", "4h"]),
        format!("added role {READ_ONLY}\n")
    );
    let written = "corp:CN=Dev, OU=groups, DC=example,DC=com";
    let mapping = [
        "mapping",
        "add",
        "--group",
        written,
        "--role",
        "111122223333/readonly",
    ];
    assert_eq!(
        installation.done(&mapping),
        format!("added mapping {DEVELOPERS} → {READ_ONLY}\n")
    );
    let by_name = [
        "mapping",
        "add",
        "--group",
        written,
        "--role",
        "Payments production/ReadOnly",
    ];
    assert_eq!(
        installation.done(&[&by_name[..], &["--ticket", "HD-7", "--read-only"]].concat()),
        format!(
            "replaced mapping {DEVELOPERS} → {READ_ONLY}: read_only: false → true; \
             ticket: nothing → \"HD-7\"\n"
        )
    );
    installation
}

#[test]
fn rows_are_added_listed_and_removed() {
    let installation = one_by_one();
    insta::assert_snapshot!(installation.done(&["account", "list"]), @r#"
    ACCOUNT       NAME                 ALIAS  ENVIRONMENT  ROLES  PROTECTED
    111122223333  Payments production                      1
    "#);
    insta::assert_snapshot!(installation.done(&["role", "list"]), @r#"
    ROLE                                          ACCOUNT              METHOD       LONGEST  MAPPINGS  STATE  DESCRIPTION
    arn:aws:iam::111122223333:role/team/ReadOnly  Payments production  assume-role  4 h      1
    "#);
    let mappings = installation.json(&["mapping", "list"]);
    let [mapping] = mappings.as_slice() else {
        panic!("{mappings:?}");
    };
    assert_eq!(mapping["group"], DEVELOPERS);
    assert_eq!(mapping["role"], READ_ONLY);
    assert_eq!(mapping["ticket"], "HD-7");
    assert_eq!(mapping["read_only"], true);
    let id = mapping["id"].as_str().unwrap();
    let listed = installation.done(&["mapping", "list", "--role", READ_ONLY]);
    assert_eq!(listed.lines().count(), 2);
    assert!(
        listed.contains(id) && listed.contains("read-only"),
        "{listed}"
    );

    let role = &installation.json(&["role", "list", "--account", "Payments production"])[0];
    assert_eq!(
        (role["arn"].as_str(), role["max_duration"].as_u64()),
        (Some(READ_ONLY), Some(14400))
    );
    assert_eq!(
        installation.json(&["account", "list"])[0]["id"],
        "111122223333"
    );

    installation.done(&["mapping", "remove", id]);
    assert_eq!(
        installation.done(&["role", "remove", "111122223333/ReadOnly"]),
        format!("removed role {READ_ONLY}\n")
    );
    installation.done(&["account", "remove", "Payments production"]);
    for kind in ["account", "role", "mapping"] {
        let ended = installation.run(&[kind, "list"]);
        assert_eq!((ended.code, ended.out.as_str()), (0, ""));
        assert!(ended.err.starts_with("there are no "), "{}", ended.err);
        assert_eq!(installation.json(&[kind, "list"]), Vec::<Value>::new());
    }
}

#[test]
fn an_export_is_an_import() {
    let installation = Installation::with_rows();
    let exported = installation.done(&["mapping", "export"]);
    insta::assert_snapshot!(exported, @r#"
    [[account]]
    id = "111122223333"
    name = "Payments production"
    environment = "production"

    [[account]]
    id = "444455556666"
    name = "Payments development"

    [[role]]
    arn = "arn:aws:iam::111122223333:role/team/ReadOnly"
    description = "Look, do not touch"
    max_duration = "4h"

    [[role]]
    arn = "arn:aws:iam::444455556666:role/Developer"

    [[mapping]]
    group = "corp:cn=dev,ou=groups,dc=example,dc=com"
    role = "arn:aws:iam::444455556666:role/Developer"
    ticket = "HD-1"
    expires = 2999-01-31T00:00:00Z

    [[mapping_rule]]
    connector = "corp"
    group_pattern = "^cn=aws-(?<account>[0-9]{12})-(?<role>[A-Za-z]+),ou=groups,dc=example,dc=com$"
    role = "arn:aws:iam::{account}:role/{role}"
    "#);

    let other = Installation::new();
    other.write("exported.toml", &exported);
    let import = ["mapping", "import", "--replace", "DIR/exported.toml"];
    let first = other.run(&import);
    assert_eq!(first.err, "6 added, 0 replaced, 0 removed, 0 unchanged\n");
    let again = other.run(&import);
    assert_eq!((again.code, again.out.as_str()), (0, ""));
    assert_eq!(again.err, "0 added, 0 replaced, 0 removed, 6 unchanged\n");
    assert_eq!(other.done(&["mapping", "export"]), exported);

    for kind in ["account", "role"] {
        other.write(
            "kind.toml",
            &installation.done(&[kind, "export", "--format", "toml"]),
        );
        let again = other.run(&[kind, "import", "--replace", "DIR/kind.toml"]);
        assert_eq!(again.err, "0 added, 0 replaced, 0 removed, 2 unchanged\n");
        let lines = installation.done(&[kind, "export"]);
        let rows: Vec<Value> = lines
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(rows, installation.json(&[kind, "list"]));
    }
}

#[test]
fn an_import_takes_the_rows_of_its_kind_and_replaces_on_request() {
    let installation = Installation::new();
    installation.write("rows.toml", ROWS);
    installation.done(&["account", "import", "DIR/rows.toml"]);
    assert_eq!(installation.json(&["role", "list"]).len(), 0);
    installation.done(&["role", "import", "DIR/rows.toml"]);
    assert_eq!(installation.json(&["mapping", "list"]).len(), 0);

    let trial = installation.run(&["mapping", "import", "--dry-run", "DIR/rows.toml"]);
    assert_eq!(trial.code, 0);
    assert_eq!(trial.out.lines().count(), 2, "{}", trial.out);
    assert_eq!(
        trial.err,
        "nothing was changed; without --dry-run: 2 added, 0 replaced, 0 removed, 4 unchanged\n"
    );
    assert_eq!(installation.json(&["mapping", "list"]).len(), 0);

    installation.done(&["mapping", "import", "DIR/rows.toml"]);
    let other = ["mapping", "add", "--group", DEVELOPERS, "--role", READ_ONLY];
    installation.done(&other);
    let replaced = installation.run(&["mapping", "import", "--replace", "DIR/rows.toml"]);
    assert_eq!(
        replaced.out,
        format!("removed mapping {DEVELOPERS} → {READ_ONLY}\n")
    );
    assert_eq!(installation.json(&["mapping", "list"]).len(), 2);

    installation.write("empty.toml", "");
    let (code, told) = installation.refused(&["mapping", "import", "--replace", "DIR/empty.toml"]);
    assert_eq!(code, 1);
    assert_eq!(
        told,
        "error: DIR/empty.toml has no rows for this command, and --replace would remove all \
         there are; remove them one by one if that is meant\n"
    );
}

#[test]
fn a_broken_file_changes_nothing_and_every_problem_is_told() {
    let installation = Installation::with_rows();
    let before = installation.done(&["mapping", "export"]);
    installation.write(
        "broken.toml",
        r#"
[[account]]
id = "1234"
name = "Short"

[[role]]
arn = "arn:aws:iam::111122223333:role/New"
max_duration = "13h"

[[mapping]]
group = "crop:cn=dev,dc=example,dc=com"
role = "arn:aws:iam::111122223333:role/New"
tikcet = "HD-1"
"#,
    );
    let (code, told) = installation.refused(&["mapping", "import", "DIR/broken.toml"]);
    assert_eq!(code, 1);
    insta::assert_snapshot!(told, @r#"
    error: DIR/broken.toml:3: account.1234.id: `1234` is not an AWS account id: it has twelve digits, such as 111122223333
    error: DIR/broken.toml:8: role.arn:aws:iam::111122223333:role/New.max_duration: assume-role gives sessions of 12 h at most; longer ones, up to 36 h, come by federation-token and session-token alone
    error: DIR/broken.toml:11: mapping[0].group: no connector `crop` is configured; there are: corp
    error: DIR/broken.toml:13: mapping[0].tikcet: unknown key; did you mean "ticket"?
    nothing was changed
    "#);

    installation.write(
        "orphans.toml",
        r#"
[[role]]
arn = "arn:aws:iam::111122223333:role/other/readonly"

[[mapping]]
group = "corp:cn=dev,dc=example,dc=com"
role = "arn:aws:iam::111122223333:role/Gone"

[[mapping]]
group = "corp:cn=ops,dc=example,dc=com"
role = "arn:aws:iam::111122223333:role/Gone"
"#,
    );
    let (code, told) = installation.refused(&["mapping", "import", "DIR/orphans.toml"]);
    assert_eq!(code, 1);
    insta::assert_snapshot!(told, @r#"
    error: arn:aws:iam::111122223333:role/Gone is not in the table, and 2 mappings would give it: add the role first
    error: arn:aws:iam::111122223333:role/other/readonly and arn:aws:iam::111122223333:role/team/ReadOnly have the same name in one account: keep one of the two
    nothing was changed
    "#);
    assert_eq!(installation.done(&["mapping", "export"]), before);
}

/// Arguments, the exit code, and what is told behind `error: `.
const REFUSALS: [(&[&str], i32, &str); 12] = [
    (
        &["mapping", "add", "--group", "dev", "--role", READ_ONLY],
        2,
        "`dev` is not a group: write connector:name, such as corp:cn=dev,ou=groups,dc=x",
    ),
    (
        &["mapping", "add", "--group", "corp:dev", "--role", READ_ONLY],
        2,
        "`dev` is not a distinguished name: `dev` has no attribute=value; write the group as \
             its directory does, such as corp:cn=dev,dc=example",
    ),
    (
        &[
            "mapping",
            "add",
            "--group",
            "crop:cn=dev",
            "--role",
            READ_ONLY,
        ],
        2,
        "no connector `crop` is configured; there are: corp",
    ),
    (
        &[
            "mapping", "add", "--group", DEVELOPERS, "--role", "ReadOnly",
        ],
        2,
        "`ReadOnly` is no role; write its ARN, or ACCOUNT/ROLE such as 111122223333/ReadOnly",
    ),
    (
        &[
            "mapping",
            "add",
            "--group",
            DEVELOPERS,
            "--role",
            "Payments/ReadOnly",
        ],
        1,
        "no role of the store is called `Payments/ReadOnly`; `rolegate role list` shows what \
             there is, and rows of a mapping file are edited there",
    ),
    (
        &[
            "mapping",
            "add",
            "--group",
            DEVELOPERS,
            "--role",
            "arn:aws:iam::111122223333:role/x",
        ],
        1,
        "arn:aws:iam::111122223333:role/x is not in the table; add it with `rolegate role add \
             arn:aws:iam::111122223333:role/x`",
    ),
    (
        &[
            "mapping", "remove", "--group", DEVELOPERS, "--role", READ_ONLY,
        ],
        1,
        "no mapping gives arn:aws:iam::111122223333:role/team/ReadOnly to \
             corp:cn=dev,ou=groups,dc=example,dc=com",
    ),
    (
        &["mapping", "remove", "nope"],
        1,
        "no mapping or rule has the id `nope`; `rolegate mapping list` shows what there is",
    ),
    (
        &["role", "remove", "444455556666/Developer"],
        1,
        "arn:aws:iam::444455556666:role/Developer is still given by 1 mapping: end those \
             first, such as mapping corp:cn=dev,ou=groups,dc=example,dc=com → \
             arn:aws:iam::444455556666:role/Developer",
    ),
    (
        &["account", "remove", "Payments production"],
        1,
        "account 111122223333 still has 1 role: remove those first",
    ),
    (
        &["role", "add", READ_ONLY, "--credential-source", "partner"],
        2,
        "no credential source `partner` is configured; there are: default",
    ),
    (
        &[
            "role",
            "add",
            READ_ONLY,
            "--external-id",
            "a b",
            "--region",
            "Frankfurt",
        ],
        2,
        "external_id: expected 2 to 1224 letters, digits or characters of _+=,.@:/-; region: \
             expected a region such as \"eu-west-1\", found \"Frankfurt\"",
    ),
];

#[test]
fn refusals_say_what_to_do() {
    let installation = Installation::with_rows();
    for (arguments, code, told) in REFUSALS {
        let expected = (code, format!("error: {told}\n"));
        assert_eq!(installation.refused(arguments), expected, "{arguments:?}");
    }
}

#[test]
fn what_an_identity_providers_role_cannot_hold_is_refused() {
    let installation = one_by_one();
    let add = |role: &str, more: &[&str]| {
        let arguments = [&["role", "add", role][..], more].concat();
        installation.refused(&arguments)
    };
    let (code, told) = add(
        FEDERATED,
        &[
            "--grant-method",
            "assume-role-with-saml",
            "--session-tag",
            "team=payments",
        ],
    );
    assert_eq!(code, 2);
    assert_eq!(
        told,
        "error: session_tags: assume-role-with-saml cannot send session_tags, for AWS goes by what \
         the person's provider says alone: remove it, or let Rolegate vouch (vouched_by = \
         \"issuer\")\n"
    );
    let (code, told) = add(
        FEDERATED,
        &["--console", "idp-initiated", "--max-duration", "1h"],
    );
    assert_eq!(code, 2);
    assert!(
        told.starts_with("error: max_duration: console = "),
        "{told}"
    );
    let (code, told) = add(FEDERATED, &["--saml-provider-arn", "corp"]);
    assert_eq!(code, 2);
    assert!(
        told.contains("`corp` is not the ARN of an IAM SAML provider"),
        "{told}"
    );
    let (code, told) = add(FEDERATED, &["--console", "saml-post"]);
    assert_eq!(code, 2);
    assert!(told.contains("vouched_by = \"issuer\""), "{told}");
    let (code, told) = add(FEDERATED, &["--mfa-serial", "my phone"]);
    assert_eq!(code, 2);
    assert!(told.contains("the ARN of an MFA device"), "{told}");
    let (code, told) = add(FEDERATED, &["--vouched-by", "issuer"]);
    assert_eq!(code, 2);
    assert!(
        told.starts_with("error: vouched_by: assume-role goes by"),
        "{told}"
    );

    // The mapping of this role gives it read-only.
    let (code, told) = add(READ_ONLY, &["--console", "idp-initiated"]);
    assert_eq!(code, 1);
    assert_eq!(
        told,
        format!(
            "error: mapping {DEVELOPERS} → {READ_ONLY} asks for read_only, and the identity \
             provider opens this role itself (console = \"idp-initiated\"), so that nothing can \
             be asked for: drop it, or let the console open by federation\n"
        )
    );
    let added = installation.done(&[
        "role",
        "add",
        FEDERATED,
        "--grant-method",
        "assume-role-with-saml",
        "--saml-provider-arn",
        "arn:aws:iam::{account}:saml-provider/corp",
    ]);
    assert_eq!(added, format!("added role {FEDERATED}\n"));
    let listed = installation.done(&["role", "list"]);
    assert!(listed.contains("assume-role-with-saml"), "{listed}");
}

#[test]
fn a_role_that_two_accounts_of_one_name_have_is_asked_for_by_arn() {
    let installation = Installation::new();
    for id in ["111122223333", "444455556666"] {
        installation.done(&["account", "add", id, "--name", "Twin"]);
        installation.done(&["role", "add", &format!("arn:aws:iam::{id}:role/Admin")]);
    }
    let (code, told) = installation.refused(&["role", "remove", "Twin/Admin"]);
    assert_eq!(code, 1);
    assert_eq!(
        told,
        "error: `Twin/Admin` could be any of arn:aws:iam::111122223333:role/Admin, \
         arn:aws:iam::444455556666:role/Admin; write the ARN\n"
    );
}

#[test]
fn a_store_that_cannot_be_opened_is_told_with_where_to_look() {
    let installation = Installation::new();
    let folder = installation.folder.path().display().to_string();
    let elsewhere = installation
        .configuration()
        .replace(&format!("sqlite://{folder}/"), "sqlite:///nowhere/at/all/");
    installation.write("rolegate.toml", &elsewhere);
    let (code, told) = installation.refused(&["account", "list"]);
    assert_eq!(code, 1);
    assert_eq!(
        told,
        "error: the store sqlite:///nowhere/at/all/rolegate.db cannot be used: the store is \
         unavailable: there is no folder /nowhere/at/all: create it; [store] url in \
         DIR/rolegate.toml says where it is\n"
    );
}

#[test]
fn edits_are_in_the_audit_log_with_who_made_them() {
    use std::os::unix::fs::MetadataExt;

    let installation = Installation::with_rows();
    let uid = fs::metadata(installation.path("rows.toml")).unwrap().uid();
    installation.done(&[
        "account",
        "add",
        "777788889999",
        "--name",
        "New",
        "--reason",
        "HD-9",
    ]);
    let rows = installation.json(&["audit", "list", "--limit", "1"]);
    let event = &rows[0]["event"];
    assert_eq!(event["action"], "account.change");
    assert_eq!(
        event["actor"],
        serde_json::json!({ "kind": "host", "uid": uid })
    );
    assert_eq!(event["account"], "777788889999");

    let all = installation.json(&["audit", "list"]);
    assert_eq!(all.len(), 7);
    let roles = installation.json(&["audit", "list", "--action", "role.change"]);
    assert_eq!(roles.len(), 2);
    let one = installation.json(&["audit", "list", "--role", "444455556666/Developer"]);
    assert!(
        one.iter()
            .all(|row| row["event"]["role"] == "arn:aws:iam::444455556666:role/Developer")
    );
    assert_eq!(
        installation
            .json(&["audit", "list", "--account", "New"])
            .len(),
        1
    );
    assert_eq!(
        installation.json(&["audit", "list", "--since", "1h"]).len(),
        7
    );
    assert_eq!(
        installation
            .json(&["audit", "list", "--until", "2020-01-01"])
            .len(),
        0
    );
    let table = installation.done(&["audit", "list", "--limit", "1"]);
    assert!(table.contains(&format!("host:{uid}")), "{table}");

    let exported = installation.done(&["audit", "export"]);
    let mut exported: Vec<Value> = exported
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(exported[0]["seq"], 1, "the oldest comes first");
    exported.reverse();
    assert_eq!(exported, all);
    let first = installation.done(&["audit", "export", "--action", "role.change", "--limit", "1"]);
    assert_eq!(first.lines().count(), 1);

    let none = installation.run(&["audit", "list", "--person", "ada"]);
    assert_eq!((none.code, none.out.as_str()), (0, ""));
    assert_eq!(none.err, "no row of the audit log matches\n");
    let wrong = installation.run(&["audit", "list", "--outcome", "good"]);
    assert_eq!(wrong.code, 2);
    assert!(
        wrong.err.starts_with(
            "error: invalid value 'good' for '--outcome <OUTCOME>': there are: intent, ok, \
             refused, failed, unknown\n"
        ),
        "{}",
        wrong.err
    );
}

#[tokio::test]
async fn a_changed_row_of_the_audit_log_is_found() {
    let installation = Installation::with_rows();
    let verified = installation.done(&["audit", "verify"]);
    assert!(
        verified.starts_with("the chain holds: 6 rows, head "),
        "{verified}"
    );

    let tamper = "UPDATE audit_event SET payload = REPLACE(payload, 'Payments', 'Payment') \
                  WHERE seq = 2";
    installation.sql(tamper).await;
    let (code, told) = installation.refused(&["audit", "verify"]);
    assert_eq!(code, 1);
    assert_eq!(
        told,
        "error: the audit log was changed: row 2 is the first that does not hold (the payload was \
         edited: it does not match its hash)\n"
    );
    let ended = installation.run(&["audit", "verify", "--output", "json"]);
    let told: Value = serde_json::from_str(&ended.out).unwrap();
    assert_eq!(
        (ended.code, &told["holds"], &told["seq"]),
        (1, &false.into(), &2.into())
    );
}

#[test]
fn what_a_file_says_cannot_steer_a_terminal() {
    let installation = Installation::new();
    let name = "Pay\u{1b}[2Jments";
    installation.write(
        "rows.toml",
        "[[account]]\nid = \"111122223333\"\nname = \"Pay\\u001b[2Jments\"\n",
    );
    let out = installation.done(&["account", "import", "DIR/rows.toml"]);
    let list = installation.done(&["account", "list"]);
    assert!(
        !out.contains('\u{1b}') && !list.contains('\u{1b}'),
        "{out}{list}"
    );
    assert_eq!(installation.json(&["account", "list"])[0]["name"], name);
}

#[test]
fn whoever_reads_the_output_may_stop() {
    let installation = Installation::with_rows();
    let mut command = program();
    command.env("ROLEGATE_CONFIG", installation.path("rolegate.toml"));
    let mut child = command
        .args(["audit", "export"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), told.as_str()), (Some(0), ""));
}

#[test]
fn a_taken_port_is_told_with_the_way_out() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let ended = alone(&["demo", "--listen", &address.to_string()]);
    assert_eq!(ended.code, 1);
    assert_eq!(ended.out, "");
    assert_eq!(
        ended.err,
        format!(
            "error: port {} is taken; choose another with --listen 127.0.0.1:PORT\n",
            address.port()
        )
    );
}

#[test]
fn the_demo_stays_on_loopback() {
    let ended = alone(&["demo", "--listen", "0.0.0.0:8080"]);
    assert_eq!(ended.code, 2);
    assert!(
        ended
            .err
            .contains("the demo listens on 127.0.0.1 or [::1] alone: everybody knows"),
        "{}",
        ended.err
    );
}

#[test]
fn rows_of_a_mapping_file_are_listed_and_left_alone() {
    let installation = Installation::new();
    let folder = installation.folder.path().display().to_string();
    let more = format!("\n[mappings]\nfile = \"{folder}/rows.toml\"\n");
    installation.write("rolegate.toml", &(installation.configuration() + &more));
    installation.write("rows.toml", ROWS);
    let rows = installation.json(&["mapping", "list"]);
    let ids: Vec<&str> = rows.iter().filter_map(|row| row["id"].as_str()).collect();
    assert_eq!(ids, ["file:19", "file:25"]);
    let (code, told) = installation.refused(&["mapping", "remove", "file:19"]);
    assert_eq!(
        (code, told.as_str()),
        (
            1,
            "error: file:19 is a row of the mapping file: remove it there\n"
        )
    );

    installation.write("rows.toml", "[[account]]\nid = \"1\"\n");
    let (code, told) = installation.refused(&["mapping", "list"]);
    assert_eq!(code, 1);
    insta::assert_snapshot!(told, @r#"
    error: DIR/rows.toml:1: account.1.name: is missing; expected what people call the account
    error: DIR/rows.toml:2: account.1.id: `1` is not an AWS account id: it has twelve digits, such as 111122223333
    the mapping file has to be mended first
    "#);
}

#[test]
fn what_gives_nothing_is_written_with_a_warning() {
    let installation = Installation::new();
    let role = installation.run(&["role", "add", READ_ONLY]);
    assert_eq!(role.code, 0);
    assert_eq!(
        role.err,
        "warning: account 111122223333 has no name yet; `rolegate account add 111122223333 \
         --name NAME` gives it one\n"
    );
    let past = ["--expires", "2020-01-31T00:00:00Z"];
    let mapping = ["mapping", "add", "--group", DEVELOPERS, "--role", READ_ONLY];
    let mapping = installation.run(&[&mapping[..], &past].concat());
    assert_eq!(mapping.code, 0);
    assert_eq!(
        mapping.err,
        "warning: its end lies in the past, so it gives nothing\n"
    );
    let listed = installation.done(&["mapping", "list"]);
    assert!(listed.contains("expired 2020-01-31T00:00:00Z"), "{listed}");
}

#[test]
fn standard_input_is_a_file_too() {
    let installation = Installation::new();
    installation.write("rows.toml", ROWS);
    let mut command = program();
    command.env("ROLEGATE_CONFIG", installation.path("rolegate.toml"));
    let rows = fs::File::open(installation.path("rows.toml")).unwrap();
    let output = command
        .args(["mapping", "import", "-"])
        .stdin(rows)
        .output()
        .unwrap();
    let ended = ended(&output, None);
    assert_eq!(
        (ended.code, ended.err.as_str()),
        (0, "6 added, 0 replaced, 0 removed, 0 unchanged\n")
    );
}

/// The sample directory and the stand-in for AWS, with a configuration that names them.
fn live() -> (Installation, RunningDirectory, StandIn) {
    let any_port = SocketAddr::from(([127, 0, 0, 1], 0));
    let directory = Directory::sample().start(any_port).unwrap();
    let aws = StandIn::start(Catalogue::sample(), any_port).unwrap();
    let installation = Installation::new();
    let keys = format!(
        "AWS_ACCESS_KEY_ID={}\nAWS_SECRET_ACCESS_KEY={}\n",
        sample::BROKER_ACCESS_KEY_ID,
        sample::BROKER_SECRET_ACCESS_KEY
    );
    installation.write("aws.env", &keys);
    installation.write("password", sample::SERVICE_PASSWORD);
    let (sts, sign_in) = (aws.url(), aws.federation_url());
    let folder = installation.folder.path().display().to_string();
    let configuration = installation
        .configuration()
        .replace("ldap://127.0.0.1:3890", &directory.url())
        .replace("cn=rolegate,dc=example,dc=com", sample::SERVICE_DN)
        + &format!(
            "sts_endpoint = \"{sts}\"\nsign_in_endpoint = \"{sign_in}\"\n\n\
             [[aws.credential_source]]\nid = \"default\"\ntype = \"environment-file\"\n\
             path = \"{folder}/aws.env\"\n"
        );
    installation.write("rolegate.toml", &configuration);
    installation.write("rows.toml", &sample::mapping_toml());
    installation.done(&["mapping", "import", "DIR/rows.toml"]);
    (installation, directory, aws)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_live_check_speaks_to_every_server() {
    let (installation, directory, aws) = live();
    let (ldap, sts, sign_in) = (directory.url(), aws.url(), aws.federation_url());
    let check = installation.run(&["check", "--live"]);
    assert_eq!((check.code, check.err.as_str()), (0, ""), "{check:?}");
    for line in [
        format!("ok       corp {ldap}: "),
        format!(
            "ok       credential source default: is {}\n",
            sample::BROKER_ARN
        ),
        format!("ok       clock: agrees with {sts}\n"),
        format!("ok       {sign_in}: answers\n"),
        "ok       sqlite://DIR/rolegate.db: can be written\n".to_owned(),
    ] {
        assert!(
            check.out.contains(&line),
            "{line:?} is not in {}",
            check.out
        );
    }

    installation.write(
        "aws.env",
        "AWS_ACCESS_KEY_ID=AKIAX\nAWS_SECRET_ACCESS_KEY=x\n",
    );
    installation.write("password", "wrong");
    let check = installation.run(&["check", "--live"]);
    assert_eq!(check.code, 1, "{check:?}");
    let errors: Vec<&str> = check
        .out
        .lines()
        .filter(|line| line.starts_with("error "))
        .collect();
    assert_eq!(errors.len(), 2, "{}", check.out);
    assert!(errors[0].starts_with("error    corp ldap://"), "{errors:?}");
    assert!(
        errors[1].starts_with("error    credential source default: "),
        "{errors:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_is_shown_with_groups_and_roles() {
    let (installation, directory, _aws) = live();
    let ada = installation.done(&["check", "--user", " ADA"]);
    assert!(
        ada.starts_with("user name  ada\nname       Ada Lovelace\n"),
        "{ada}"
    );
    assert!(
        ada.contains("\n11 groups\n") && ada.contains("\n27 roles\n"),
        "{ada}"
    );
    let nested = "  cn=payments-dev,ou=groups,dc=example,dc=com  (through \
                  cn=payments-leads,ou=groups,dc=example,dc=com)\n";
    assert!(ada.contains(nested), "{ada}");
    let linus = &installation.json(&["check", "--user", "linus"])[0];
    assert_eq!(linus["username"], "linus");
    assert_eq!(linus["roles"].as_array().unwrap().len(), 1);

    assert_eq!(
        installation.refused(&["check", "--user", "nobody"]),
        (
            1,
            "error: nobody is called `nobody` in any connector; user_filter decides what a name \
             means\n"
                .to_owned()
        )
    );
    assert_eq!(
        installation.refused(&["check", "--user", "ada", "--connector", "other"]),
        (
            2,
            "error: no connector `other` is configured; there are: corp\n".to_owned()
        )
    );
    let url = directory.url();
    drop(directory);
    let (code, told) = installation.refused(&["check", "--user", "ada"]);
    assert_eq!(code, 1);
    let expected = format!("error: corp: the directory is unavailable: no answer from {url}");
    assert!(told.starts_with(&expected), "{told}");
}

#[test]
fn a_saml_response_is_not_looked_at_when_the_arguments_do_not_say_what_to_expect() {
    let installation = Installation::new();
    installation.write("response.xml", "<a/>");
    installation.write("nothing.pem", "nothing");
    let common = [
        "saml",
        "verify",
        "--audience",
        "https://rolegate.example.com/saml/metadata",
        "--acs",
        "https://rolegate.example.com/saml/acs",
    ];
    let run = |more: &[&str]| installation.run(&[&common[..], more].concat());
    for more in [
        &["DIR/response.xml"][..],
        &["--idp-cert", "DIR/nothing.pem", "DIR/response.xml"],
        &[
            "--idp-entity-id",
            "https://idp.example.com",
            "DIR/response.xml",
        ],
    ] {
        let run = run(more);
        assert_eq!((run.code, run.out.as_str()), (2, ""), "{run:?}");
    }
    let trust = ["--idp-cert", "DIR/nothing.pem", "--idp-entity-id", "x"];
    let run = installation.run(&[&common[..], &trust, &["DIR/response.xml"]].concat());
    assert_eq!(
        (run.code, run.err.as_str()),
        (
            2,
            "error: DIR/nothing.pem cannot be read: it holds no certificate in PEM\n"
        )
    );
}

/// An installation with a provider, `okta`, beside the directory.
fn with_provider(provider: &TestIdentityProvider) -> Installation {
    let installation = Installation::new();
    installation.write("idp.xml", &provider.metadata(&[&provider.primary]));
    let folder = installation.folder.path().display().to_string();
    let connector = format!(
        "[[connector]]\nid = \"okta\"\ntype = \"saml\"\nidp_metadata_file = \"{folder}/idp.xml\"\n\n\
         [aws]\nsession_name = \"{{connector}}-{{username}}\"\n"
    );
    let configuration = installation.configuration().replace("[aws]\n", &connector);
    installation.write("rolegate.toml", &configuration);
    installation
}

#[test]
fn the_metadata_of_a_connector_is_printed() {
    let installation = with_provider(&for_aws::provider());
    let metadata = installation.done(&["saml", "metadata", "okta"]);
    for part in [
        "entityID=\"https://aws.example.com/saml/okta/metadata\"",
        "Location=\"https://aws.example.com/saml/okta/acs\"",
        "Location=\"https://aws.example.com/saml/okta/slo\"",
    ] {
        assert!(metadata.contains(part), "{part} is not in {metadata}");
    }
    assert_eq!(metadata, installation.done(&["saml", "metadata", "okta"]));

    assert_eq!(
        installation.refused(&["saml", "metadata"]),
        (
            2,
            "error: there is no [issuer] in DIR/rolegate.toml, so Rolegate is no identity provider \
             itself; name a connector of type saml, there are: okta\n"
                .to_owned()
        )
    );
    assert_eq!(
        installation.refused(&["saml", "metadata", "corp"]),
        (
            2,
            "error: no connector `corp` is of type saml; there are: okta\n".to_owned()
        )
    );
    let (code, told) = Installation::new().refused(&["saml", "metadata", "okta"]);
    assert_eq!(code, 2);
    assert!(
        told.ends_with("of type saml; none is configured\n"),
        "{told}"
    );
}

#[test]
fn a_check_finds_metadata_without_a_key_that_can_be_used() {
    let provider = for_aws::provider();
    let installation = with_provider(&provider);
    let check = installation.run(&["check"]);
    assert_eq!((check.code, check.err.as_str()), (0, ""), "{check:?}");

    let only_to_encrypt = provider
        .metadata(&[&provider.primary])
        .replace("signing", "encryption");
    installation.write("idp.xml", &only_to_encrypt);
    let check = installation.run(&["check"]);
    let line = format!(
        "error    DIR/rolegate.toml: connector.okta: the provider's metadata of \"{}\" has no \
         signing key that can be used: it lists none with use=\"signing\" or without use\n",
        for_aws::ISSUER
    );
    assert_eq!(check.code, 1, "{check:?}");
    assert!(check.out.contains(&line), "{check:?}");
}

#[test]
fn a_response_is_verified_with_what_the_provider_publishes() {
    let provider = for_aws::provider();
    let installation = Installation::new();
    installation.write("idp.xml", &provider.metadata(&[&provider.primary]));
    let now = SystemClock.now().replace_nanosecond(0).unwrap();
    let request = for_aws::request(now, &["a role,its provider"]);
    let response = provider.response(&request).sign_assertion();
    installation.write("response.b64", &response.posted());
    let verify = |metadata: &str, more: &[&str]| {
        let known = ["saml", "verify", "--idp-metadata", metadata];
        let expected = [
            "--audience",
            "urn:amazon:webservices",
            "--acs",
            for_aws::ACS,
        ];
        let file = ["--allow-unsolicited", "DIR/response.b64"];
        installation.run(&[&known[..], &expected, &file, more].concat())
    };
    let accepted = verify("DIR/idp.xml", &[]);
    assert_eq!(
        (accepted.code, accepted.err.as_str()),
        (0, ""),
        "{accepted:?}"
    );
    let told: Value = serde_json::from_str(&accepted.out).unwrap();
    assert_eq!(told["name_id"], for_aws::SUBJECT);

    let other = for_aws::provider();
    installation.write("other.xml", &other.metadata(&[&other.primary]));
    let refused = verify("DIR/other.xml", &[]);
    assert_eq!((refused.code, refused.out.as_str()), (1, ""));
    let told: Value = serde_json::from_str(&refused.err).unwrap();
    assert_eq!(told["reason"], "signature_invalid");

    installation.write(
        "none.xml",
        &provider
            .metadata(&[&provider.primary])
            .replace("signing", "encryption"),
    );
    for (metadata, more, problem) in [
        (
            "DIR/none.xml",
            &[][..],
            "has no signing key that can be used",
        ),
        (
            "DIR/idp.xml",
            &["--idp-entity-id", "https://other.example.com"],
            "does not speak of \"https://other.example.com\"",
        ),
    ] {
        let refused = verify(metadata, more);
        assert_eq!((refused.code, refused.out.as_str()), (2, ""), "{refused:?}");
        let told = format!("error: {metadata}: the provider's metadata ");
        assert!(
            refused.err.starts_with(&told) && refused.err.contains(problem),
            "{refused:?}"
        );
    }
}
