//! `rolegate audit`: checkpoints, copies, retention and exports, as an auditor meets them.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::PathBuf,
    process::{Command, Stdio},
};

use rolegate::{
    audit::{Action, Actor, AuditEvent, Outcome},
    clock::{Clock as _, SystemClock},
    store::{AuditLog as _, sql::SqlStore},
};
use serde_json::Value;
use sqlx::{Connection as _, SqliteConnection};
use tempfile::TempDir;
use time::Duration;

use crate::support::temporary_dir;

/// How a run of the program ended.
pub(super) struct Ended {
    pub(super) code: i32,
    pub(super) out: String,
    pub(super) err: String,
}

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

fn ended(command: &mut Command) -> Ended {
    let output = command.output().unwrap();
    Ended {
        code: output.status.code().unwrap(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Runs the program without a configuration.
pub(super) fn alone(arguments: &[&str]) -> Ended {
    ended(program().args(arguments))
}

/// A folder with a configuration that signs, a key, and a log of some rows.
struct Desk {
    folder: TempDir,
}

impl Desk {
    async fn with_rows(rows: i64) -> Self {
        let desk = Self {
            folder: temporary_dir("audit"),
        };
        let key = desk.text("key.pem");
        let made = alone(&["audit", "key", &key]);
        assert_eq!(made.code, 0, "{}", made.err);
        fs::write(desk.path("public.pem"), made.out).unwrap();
        fs::write(desk.path("password"), "secret").unwrap();
        let folder = desk.text("");
        let configuration = format!(
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
[audit]
checkpoint_key_file = "{folder}key.pem"
checkpoint_file = "{folder}checkpoints.jsonl"
"#
        );
        fs::write(desk.path("rolegate.toml"), configuration).unwrap();
        desk.append(rows).await;
        desk
    }

    async fn append(&self, rows: i64) {
        let store = self.store().await;
        for number in 0..rows {
            let age = Duration::days(500 - number);
            let actor = Actor::Person {
                connector: "corp".to_owned(),
                subject: Some("s-1".to_owned()),
                username: Some("ada".to_owned()),
            };
            let at = SystemClock.now() - age;
            let event = AuditEvent::new(at, Action::SignIn, Outcome::Ok, actor);
            store.append(&event.with("note", "=1+1")).await.unwrap();
        }
        store.close().await;
    }

    async fn store(&self) -> SqlStore {
        let url = format!("sqlite://{}", self.text("rolegate.db"));
        SqlStore::open(&url).await.unwrap()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    fn run(&self, arguments: &[&str]) -> Ended {
        let config = self.text("rolegate.toml");
        ended(program().env("ROLEGATE_CONFIG", config).args(arguments))
    }

    fn done(&self, arguments: &[&str]) -> String {
        let Ended { code, out, err } = self.run(arguments);
        assert_eq!(code, 0, "{arguments:?}: {out}{err}");
        out
    }

    fn verified_with_checkpoints(&self) -> Ended {
        self.run(&[
            "audit",
            "verify",
            "--checkpoints",
            &self.text("checkpoints.jsonl"),
        ])
    }

    async fn sql(&self, sql: &'static str) {
        let url = format!("sqlite://{}", self.text("rolegate.db"));
        let mut connection = SqliteConnection::connect(&url).await.unwrap();
        sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    }
}

const CUT_AT_TWO: &str = "DELETE FROM audit_event WHERE seq > 2;
     UPDATE audit_head SET seq = 2, hash = (SELECT hash FROM audit_event WHERE seq = 2);";

#[tokio::test]
async fn a_key_is_its_owners_alone_and_never_replaced() {
    let desk = Desk::with_rows(0).await;
    let mode = fs::metadata(desk.path("key.pem"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    let again = alone(&["audit", "key", &desk.text("key.pem")]);
    assert_eq!(again.code, 1, "{}", again.out);
    let public = fs::read_to_string(desk.path("public.pem")).unwrap();
    assert!(
        public.starts_with("-----BEGIN PUBLIC KEY-----\n"),
        "{public}"
    );
}

#[tokio::test]
async fn a_checkpoint_is_appended_audited_and_agrees() {
    let desk = Desk::with_rows(3).await;
    let line = desk.done(&["audit", "checkpoint"]);
    assert_eq!(
        fs::read_to_string(desk.path("checkpoints.jsonl")).unwrap(),
        line
    );
    let signed: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(signed["seq"], 3);
    let row = desk.done(&["audit", "list", "--limit", "1", "--output", "json"]);
    let row: Value = serde_json::from_str(&row).unwrap();
    assert_eq!(row[0]["event"]["action"], "audit.checkpoint");
    assert_eq!(row[0]["event"]["details"]["checkpoint"], signed);
    let verified = desk.verified_with_checkpoints();
    assert_eq!(verified.code, 0, "{}", verified.err);
    assert!(
        verified
            .out
            .contains("checkpoints that agree: 1, the last at row 3"),
        "{}",
        verified.out
    );
    // With the public key alone, on a copy, without any configuration; and from exported rows.
    let exported = desk.done(&["audit", "export"]);
    fs::write(desk.path("rows.jsonl"), exported).unwrap();
    for file in ["checkpoints.jsonl", "rows.jsonl"] {
        let (copy, public, file) = (
            desk.text("rolegate.db"),
            desk.text("public.pem"),
            desk.text(file),
        );
        let verified = alone(&[
            "audit",
            "verify",
            "--database",
            &copy,
            "--checkpoint-key",
            &public,
            "--checkpoints",
            &file,
        ]);
        assert_eq!(verified.code, 0, "{}{}", verified.out, verified.err);
    }
}

#[tokio::test]
async fn checkpoints_tell_of_a_cut_tail_a_rewritten_chain_and_a_forged_signature() {
    let desk = Desk::with_rows(3).await;
    desk.done(&["audit", "checkpoint"]);
    desk.sql(CUT_AT_TWO).await;
    let verified = desk.verified_with_checkpoints();
    assert_eq!(verified.code, 1);
    assert!(
        verified.out.contains("the tail was cut"),
        "{}",
        verified.out
    );
    // The attacker goes on: the chain holds, with another third row.
    desk.append(4).await;
    assert_eq!(desk.run(&["audit", "verify"]).code, 0);
    let verified = desk.verified_with_checkpoints();
    assert_eq!(verified.code, 1);
    assert!(
        verified.out.contains("the log was rewritten at row 3"),
        "{}",
        verified.out
    );
    // And signs what there is now with a key of their own.
    let other = Desk::with_rows(0).await;
    let key = fs::read(other.path("key.pem")).unwrap();
    let own = fs::read(desk.path("key.pem")).unwrap();
    fs::write(desk.path("key.pem"), key).unwrap();
    fs::remove_file(desk.path("checkpoints.jsonl")).unwrap();
    let forged = desk.done(&["audit", "checkpoint"]);
    fs::write(desk.path("key.pem"), own).unwrap();
    let verified = desk.verified_with_checkpoints();
    assert_eq!(verified.code, 1);
    assert!(
        verified.out.contains("was signed by the key"),
        "{}",
        verified.out
    );
    // Or writes the right key's id there.
    let mut forged: Value = serde_json::from_str(&forged).unwrap();
    let public = fs::read(desk.path("public.pem")).unwrap();
    let key = rolegate::audit::checkpoint::CheckpointVerifier::from_pem(&public).unwrap();
    forged["key_id"] = key.key_id().into();
    fs::write(desk.path("checkpoints.jsonl"), forged.to_string()).unwrap();
    let verified = desk.verified_with_checkpoints();
    assert_eq!(verified.code, 1);
    assert!(
        verified.out.contains("its signature is forged"),
        "{}",
        verified.out
    );
}

#[tokio::test]
async fn a_copy_that_cannot_be_written_is_verified_and_left_alone() {
    let desk = Desk::with_rows(3).await;
    let folder = desk.path("copy");
    fs::create_dir(&folder).unwrap();
    let copy = folder.join("rolegate.db");
    fs::copy(desk.path("rolegate.db"), &copy).unwrap();
    let before = fs::read(&copy).unwrap();
    fs::set_permissions(&copy, fs::Permissions::from_mode(0o400)).unwrap();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o500)).unwrap();
    let verified = alone(&["audit", "verify", "--database", copy.to_str().unwrap()]);
    assert_eq!(verified.code, 0, "{}", verified.err);
    assert!(
        verified.out.starts_with("the chain holds: 3 rows"),
        "{}",
        verified.out
    );
    let files: Vec<_> = fs::read_dir(&folder).unwrap().collect();
    assert_eq!(files.len(), 1, "something was written beside the copy");
    assert_eq!(fs::read(&copy).unwrap(), before);
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o700)).unwrap();
    let nothing = alone(&["audit", "verify", "--database", "/nowhere/rolegate.db"]);
    assert_eq!(nothing.code, 1);
    assert!(nothing.err.contains("there is no file"), "{}", nothing.err);
}

#[tokio::test]
async fn erased_rows_keep_the_chain_and_lose_the_person() {
    let desk = Desk::with_rows(6).await;
    // Rows 1 to 6 are 500 to 495 days old.
    let erased = desk.done(&["audit", "erase", "--older-than", "11930h"]);
    let erased: Value = serde_json::from_str(&erased).unwrap();
    assert_eq!(
        (&erased["erased_through"], &erased["recorded_at"]),
        (&3.into(), &7.into())
    );
    let verified = desk.done(&["audit", "verify"]);
    assert!(
        verified.contains("3 rows erased, as the log says"),
        "{verified}"
    );
    assert_eq!(desk.done(&["audit", "export"]).lines().count(), 4);
    let database = fs::read(desk.path("rolegate.db")).unwrap();
    let count = |text: &[u8]| database.windows(text.len()).filter(|w| *w == text).count();
    assert!(
        count(b"\"username\":\"ada\"") <= 3,
        "erased names are still in the file"
    );
    // The same again does nothing.
    assert_eq!(desk.done(&["audit", "erase", "--older-than", "11930h"]), "");
    // A row that nobody recorded is another matter.
    desk.sql(
        "UPDATE audit_event SET payload = NULL, salt = NULL, connector = NULL, subject = NULL,
             username = NULL WHERE seq = 5",
    )
    .await;
    let verified = desk.run(&["audit", "verify"]);
    assert_eq!(verified.code, 1);
    assert!(
        verified.err.contains("row 5 is the first"),
        "{}",
        verified.err
    );
}

#[tokio::test]
async fn rows_are_dropped_behind_a_signed_checkpoint_alone() {
    let desk = Desk::with_rows(3).await;
    let refused = desk.run(&["audit", "drop", "--through", "3"]);
    assert_eq!(
        refused.code, 2,
        "there is no checkpoint file: {}",
        refused.err
    );
    desk.done(&["audit", "checkpoint"]);
    let refused = desk.run(&["audit", "drop", "--through", "4"]);
    assert_eq!(refused.code, 1);
    assert!(
        refused.err.contains("the nearest before is 3"),
        "{}",
        refused.err
    );
    let dropped = desk.done(&["audit", "drop", "--through", "3"]);
    let dropped: Value = serde_json::from_str(&dropped).unwrap();
    assert_eq!(dropped["dropped_through"], 3);
    let verified = desk.verified_with_checkpoints();
    assert_eq!(verified.code, 0, "{}{}", verified.out, verified.err);
    assert!(
        verified.out.contains("it begins behind row 3"),
        "{}",
        verified.out
    );
    // An older erasure does not hide the record of the drop.
    desk.append(2).await;
    desk.done(&["audit", "erase", "--older-than", "1day"]);
    assert_eq!(desk.run(&["audit", "verify"]).code, 0);
    // Who drops without a record, or behind something else, is found.
    desk.sql("UPDATE audit_base SET checkpoint = NULL").await;
    let verified = desk.verified_with_checkpoints();
    assert_eq!(verified.code, 1);
    assert!(
        verified.out.contains("missing or forged"),
        "{}",
        verified.out
    );
    desk.sql(
        "UPDATE audit_base SET seq = 4, hash = (SELECT hash FROM audit_event WHERE seq = 4);
         DELETE FROM audit_event WHERE seq <= 4",
    )
    .await;
    let verified = desk.run(&["audit", "verify"]);
    assert_eq!(verified.code, 1);
    assert!(
        verified.err.contains("no row of the log says so"),
        "{}",
        verified.err
    );
}

#[tokio::test]
async fn an_export_for_spreadsheets_runs_no_formula_and_is_noted() {
    let desk = Desk::with_rows(1).await;
    let csv = desk.done(&["audit", "export", "--format", "csv"]);
    let lines: Vec<&str> = csv.split("\r\n").collect();
    assert!(
        lines[0].starts_with("seq,at,action,outcome,actor_kind,connector"),
        "{csv}"
    );
    assert!(
        lines[1].contains(",\"{\"\"note\"\":\"\"=1+1\"\"}\","),
        "{csv}"
    );
    assert_eq!(lines.len(), 3, "{csv}");
    let row = desk.done(&["audit", "list", "--limit", "1", "--output", "json"]);
    let row: Value = serde_json::from_str(&row).unwrap();
    assert_eq!(row[0]["event"]["action"], "export");
    assert_eq!(row[0]["event"]["details"]["format"], "csv");
}

#[tokio::test]
async fn every_way_to_change_rows_behind_the_programs_back_is_named_with_its_row() {
    let cases = [
        (
            "UPDATE audit_event SET payload = replace(payload, 'ada', 'bob') WHERE seq = 3",
            3,
            "the payload was edited",
        ),
        (
            "UPDATE audit_event SET username = 'bob' WHERE seq = 3",
            3,
            "the column username was edited",
        ),
        (
            "UPDATE audit_event SET salt = (SELECT salt FROM audit_event WHERE seq = 1)
             WHERE seq = 3",
            3,
            "the payload was edited",
        ),
        (
            "DELETE FROM audit_event WHERE seq = 4",
            4,
            "the row is missing",
        ),
        (
            "UPDATE audit_event SET seq = -2 WHERE seq = 2;
             UPDATE audit_event SET seq = 2 WHERE seq = 5;
             UPDATE audit_event SET seq = 5 WHERE seq = -2",
            2,
            "does not follow from the row before",
        ),
        (
            "DELETE FROM audit_event WHERE seq > 4",
            5,
            "the tail was cut: the head says there are 6 rows",
        ),
        (
            "DELETE FROM audit_event",
            1,
            "the tail was cut: the head says there are 6 rows",
        ),
        (
            "DELETE FROM audit_event WHERE seq < 3;
             UPDATE audit_base SET seq = 2,
                 hash = (SELECT previous_hash FROM audit_event WHERE seq = 3)",
            3,
            "the rows before were dropped, and no row of the log says so",
        ),
        (
            "UPDATE audit_event SET payload = NULL, salt = NULL, connector = NULL,
                 subject = NULL, username = NULL WHERE seq IN (2, 3, 5)",
            2,
            "the payload was erased, and no row of the log says so",
        ),
        (
            "UPDATE audit_event SET payload = NULL WHERE seq = 5",
            5,
            "a part of the row was erased",
        ),
        ("DELETE FROM audit_head", 6, "the head row is missing"),
    ];
    for (sql, row, words) in cases {
        let desk = Desk::with_rows(6).await;
        desk.sql(sql).await;
        let verified = desk.run(&["audit", "verify"]);
        assert_eq!(verified.code, 1, "{sql}: {}", verified.out);
        let expected = format!("row {row} is the first that does not hold");
        for words in [expected.as_str(), words] {
            assert!(verified.err.contains(words), "{sql}: {}", verified.err);
        }
        let told = desk.run(&["audit", "verify", "--output", "json"]);
        let told: Value = serde_json::from_str(&told.out).unwrap();
        assert_eq!((&told["holds"], &told["seq"]), (&false.into(), &row.into()));
    }
}

#[tokio::test]
async fn what_the_stream_does_not_have_yet_is_told_before_it_is_dropped() {
    let desk = Desk::with_rows(3).await;
    let configuration = fs::read_to_string(desk.path("rolegate.toml")).unwrap();
    let stream = format!("file:{}", desk.text("stream.jsonl"));
    let configuration = format!("{configuration}stream = \"{stream}\"\n");
    fs::write(desk.path("rolegate.toml"), configuration).unwrap();
    desk.done(&["audit", "checkpoint"]);
    let store = desk.store().await;
    store.move_stream_cursor(&stream, 1).await.unwrap();
    store.close().await;
    let dropped = desk.run(&["audit", "drop", "--through", "3"]);
    assert_eq!(dropped.code, 0, "{}", dropped.err);
    let words = "has the rows up to 1; those from there to 3 are dropped";
    assert!(dropped.err.contains(words), "{}", dropped.err);
}
