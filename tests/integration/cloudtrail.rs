//! CloudTrail as the witness of the audit log, against trails of what the stand-in issued.

use std::{io::Write as _, path::Path};

use flate2::{Compression, write::GzEncoder};
use rolegate::{
    clock::{Clock as _, SystemClock},
    store::{AuditLog as _, sql::SqlStore},
};
use serde_json::{Value, json};
use sqlx::{Connection as _, SqliteConnection};
use time::Duration;

use super::audit_verify::{Ended, alone};
use crate::{
    process::{Installation, run},
    support::{
        app::TestApp,
        cloudtrail::{CLI_USER_AGENT, Call, other_event},
    },
};

const READER: &str = "arn:aws:iam::222233334444:role/ReadOnly";

/// Cuts everything from the last intent on, so that the chain holds.
const CUT: &str = "DELETE FROM audit_event WHERE seq >=
         (SELECT MAX(seq) FROM audit_event WHERE outcome = 'intent');
     UPDATE audit_head SET seq = (SELECT MAX(seq) FROM audit_event),
         hash = (SELECT hash FROM audit_event ORDER BY seq DESC LIMIT 1);";

/// A program that opened a role three times, and the trail of it.
struct Scene {
    app: TestApp,
    calls: Vec<Call>,
}

impl Scene {
    async fn new(has_tag: bool) -> Self {
        Box::pin(Self::start(has_tag)).await
    }

    async fn start(has_tag: bool) -> Self {
        let tag = if has_tag { "true" } else { "false" };
        let app = TestApp::start_overriding(&[("ROLE_DEFAULTS__AUDIT_TAG", tag)]).await;
        let mut browser = app.signed_in("linus").await;
        for _ in 0..3 {
            let answer = browser.open_console(&[("role", READER)]).await;
            assert_eq!(answer.status, 303, "{}", answer.body);
        }
        let calls = app.aws.issued().iter().map(Call::of).collect();
        Self { app, calls }
    }

    /// The trail of some calls, which covers an hour before and after.
    fn trail(&self, calls: &[Call]) -> Vec<Value> {
        trail(&self.calls[0], calls)
    }

    fn verified(&self, calls: &[Call], more: &[&str]) -> (i32, Value) {
        let file = self.app.dir.path().join("trail.json");
        let records = json!({ "Records": self.trail(calls) });
        std::fs::write(&file, records.to_string()).unwrap();
        verify(&self.app.database(), &file, more)
    }
}

/// The trail of some calls in the accounts of `home`, an hour before and after.
fn trail(home: &Call, calls: &[Call]) -> Vec<Value> {
    let now = SystemClock.now();
    let accounts = [home.caller.split(':').nth(4).unwrap(), "222233334444"];
    let hours = [now - Duration::hours(1), now + Duration::hours(1)];
    let around = accounts
        .iter()
        .flat_map(|account| hours.map(|at| other_event(at, account, &home.region)));
    around.chain(calls.iter().flat_map(Call::events)).collect()
}

fn verify(database: &Path, trail: &Path, more: &[&str]) -> (i32, Value) {
    let (database, trail) = (database.to_str().unwrap(), trail.to_str().unwrap());
    let arguments = [
        "audit",
        "verify",
        "--database",
        database,
        "--output",
        "json",
    ];
    let Ended { code, out, err } =
        alone(&[&arguments[..], more, &["--cloudtrail", trail]].concat());
    let told: Value = serde_json::from_str(&out).unwrap_or_else(|_| panic!("{out}{err}"));
    (code, told["cloudtrail"].clone())
}

fn kinds(told: &Value) -> Vec<&str> {
    let findings = told["findings"].as_array().unwrap().iter();
    findings.map(|one| one["kind"].as_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_place_in_the_log_travels_as_a_session_tag() {
    let scene = Scene::new(true).await;
    let rows = scene.app.audit_rows().await;
    let issued = scene.app.aws.issued();
    for one in &issued {
        let (key, value) = &one.tags[0];
        assert_eq!(key, "rolegate:audit");
        assert!(one.transitive_tag_keys.is_empty());
        let (seq, hash) = value.split_once('-').unwrap();
        let row = rows.iter().find(|row| row.seq.to_string() == seq).unwrap();
        assert_eq!(row.event.outcome.as_str(), "intent");
        assert_eq!(row.event.details["audit_tag"], true);
        assert_eq!((hash.len(), row.hash.starts_with(hash)), (32, true));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clean_trail_agrees_whatever_else_is_in_it() {
    for has_tag in [true, false] {
        let scene = Scene::new(has_tag).await;
        let mut calls = scene.calls.clone();
        // Failed calls, and other people's.
        calls.push(Call {
            request_id: "failed".to_owned(),
            error: Some("AccessDenied"),
            ..scene.calls[0].clone()
        });
        calls.push(Call {
            request_id: "other".to_owned(),
            caller: "arn:aws:iam::222233334444:user/somebody".to_owned(),
            user_agent: CLI_USER_AGENT.to_owned(),
            session_name: "somebody".to_owned(),
            tags: Vec::new(),
            ..scene.calls[0].clone()
        });
        let (code, told) = scene.verified(&calls, &[]);
        assert_eq!((code, kinds(&told)), (0, vec![]), "{told}");
        assert_eq!(
            (&told["matched"], &told["others"]),
            (&3.into(), &1.into()),
            "{told}"
        );
        assert_eq!(
            (&told["failed"], &told["issuances"]),
            (&1.into(), &4.into()),
            "{told}"
        );
        // Each cross-account call of ours left two events.
        assert_eq!(told["duplicates"], 3, "{told}");
        assert_eq!(told["witnessed"], if has_tag { 3 } else { 0 }, "{told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_tail_shows_though_the_chain_holds() {
    let scene = Scene::new(true).await;
    let calls = scene.calls.clone();
    scene.app.store.close().await;
    let url = format!("sqlite://{}", scene.app.database().display());
    let mut connection = SqliteConnection::connect(&url).await.unwrap();
    sqlx::raw_sql(CUT).execute(&mut connection).await.unwrap();
    let (code, told) = scene.verified(&calls, &[]);
    assert_eq!((code, kinds(&told)), (1, vec!["cut_tail"]), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rewritten_log_shows_though_the_chain_holds() {
    let scene = Scene::new(true).await;
    let file = scene.app.dir.path().join("rewritten.db");
    let store = SqlStore::open(&format!("sqlite://{}", file.display()))
        .await
        .unwrap();
    for row in scene.app.audit_rows().await.into_iter().rev() {
        store.append(&row.event).await.unwrap();
    }
    store.close().await;
    let trail = scene.app.dir.path().join("trail.json");
    let records = json!({ "Records": scene.trail(&scene.calls) });
    std::fs::write(&trail, records.to_string()).unwrap();
    let (code, told) = verify(&file, &trail, &[]);
    assert_eq!((code, kinds(&told)), (1, vec!["rewritten"; 3]), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_issuance_that_our_log_lacks_shows() {
    let scene = Scene::new(false).await;
    let forged = |request_id: &str, caller: &str, user_agent: &str| Call {
        at: scene.calls[0].at + Duration::minutes(20),
        request_id: request_id.to_owned(),
        caller: caller.to_owned(),
        user_agent: user_agent.to_owned(),
        ..scene.calls[0].clone()
    };
    let broker = scene.calls[0].caller.clone();
    let somebody = "arn:aws:iam::222233334444:role/another";
    // By the broker's own keys from a shell, and by a program that calls itself Rolegate.
    for call in [
        forged("stolen", &broker, CLI_USER_AGENT),
        forged("twin", somebody, crate::support::cloudtrail::OUR_USER_AGENT),
    ] {
        let calls = [scene.calls.clone(), vec![call]].concat();
        let (code, told) = scene.verified(&calls, &[]);
        assert_eq!((code, kinds(&told)), (1, vec!["not_in_log"]), "{told}");
    }
    // By a principal that only the operator knows.
    let calls = [
        scene.calls.clone(),
        vec![forged("named", somebody, CLI_USER_AGENT)],
    ]
    .concat();
    let (code, told) = scene.verified(&calls, &[]);
    assert_eq!((code, &told["others"]), (0, &1.into()), "{told}");
    let (code, told) = scene.verified(&calls, &["--principal", somebody]);
    assert_eq!((code, kinds(&told)), (1, vec!["not_in_log"]), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tag_on_another_session_convinces_nobody() {
    let scene = Scene::new(true).await;
    let copied = Call {
        request_id: "copied".to_owned(),
        session_name: "mallory".to_owned(),
        ..scene.calls[0].clone()
    };
    let invented = Call {
        request_id: "invented".to_owned(),
        tags: vec![("rolegate:audit".to_owned(), "hello".to_owned())],
        ..scene.calls[0].clone()
    };
    for (call, kind) in [(copied, "other_grant"), (invented, "not_in_log")] {
        let calls = [scene.calls.clone(), vec![call]].concat();
        let (code, told) = scene.verified(&calls, &[]);
        assert_eq!((code, kinds(&told)), (1, vec![kind]), "{told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_issuance_that_the_trail_lacks_shows_only_where_the_trail_reaches() {
    let scene = Scene::new(true).await;
    let (code, told) = scene.verified(&scene.calls[1..], &[]);
    assert_eq!((code, kinds(&told)), (1, vec!["not_in_trail"]), "{told}");
    // A trail of another account says nothing about it.
    let file = scene.app.dir.path().join("elsewhere.json");
    let now = SystemClock.now();
    let hours = [now - Duration::hours(1), now + Duration::hours(1)];
    let elsewhere = hours.map(|at| other_event(at, "999999999999", "eu-west-1"));
    std::fs::write(&file, json!(elsewhere).to_string()).unwrap();
    let (code, told) = verify(&scene.app.database(), &file, &[]);
    assert_eq!((code, &told["not_covered"]), (0, &3.into()), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_form_of_an_export_is_read() {
    let scene = Scene::new(true).await;
    let events = scene.trail(&scene.calls);
    let lines: Vec<String> = events.iter().map(Value::to_string).collect();
    let lines = lines.join("\n") + "\n";
    let looked_up: Vec<Value> = events
        .iter()
        .map(|event| json!({ "CloudTrailEvent": event.to_string() }))
        .collect();
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    let records = json!({ "Records": events }).to_string();
    packed.write_all(records.as_bytes()).unwrap();
    let forms = [
        records.into_bytes(),
        json!(events).to_string().into_bytes(),
        lines.into_bytes(),
        json!({ "Events": looked_up }).to_string().into_bytes(),
        packed.finish().unwrap(),
    ];
    let file = scene.app.dir.path().join("form");
    for form in forms {
        std::fs::write(&file, form).unwrap();
        let (code, told) = verify(&scene.app.database(), &file, &[]);
        assert_eq!((code, &told["matched"]), (0, &3.into()), "{told}");
    }
    for wrong in ["", "no json", "[1]", "{\"a\":1}"] {
        std::fs::write(&file, wrong).unwrap();
        let database = scene.app.database().display().to_string();
        let file = file.display().to_string();
        let ended = alone(&[
            "audit",
            "verify",
            "--database",
            &database,
            "--cloudtrail",
            &file,
        ]);
        assert_eq!(
            ended.code,
            if wrong.is_empty() { 0 } else { 2 },
            "{wrong}: {}",
            ended.err
        );
    }
}

/// The built program between the directory and the stand-in for AWS, and a trail of what the
/// stand-in itself says that it was asked.
#[tokio::test(flavor = "multi_thread")]
async fn the_program_itself_agrees_with_the_trail_until_either_is_changed() {
    let mut installation = Installation::start();
    run(
        &installation.process,
        &["role", "add", READER, "--audit-tag"],
    );
    let mut browser = installation.process.browser();
    assert_eq!(browser.sign_in("linus", "linus-demo").await.status, 303);
    for number in 0..4 {
        if number == 2 {
            installation.process.kill();
            installation.process.start_again();
        }
        let answer = browser.open_console(&[("role", READER)]).await;
        assert_eq!(answer.status, 303, "{}", answer.body);
    }
    let calls: Vec<Call> = installation.aws.issued().iter().map(Call::of).collect();
    assert_eq!(calls.len(), 4);
    assert!(calls.iter().all(|call| call.tags[0].0 == "rolegate:audit"));
    let database = installation.dir.path().join("rolegate.db");
    let file = installation.dir.path().join("trail.json");
    let verified = |calls_of_trail: &[Call]| {
        let records = json!({ "Records": trail(&calls[0], calls_of_trail) });
        std::fs::write(&file, records.to_string()).unwrap();
        verify(&database, &file, &[])
    };
    // The two events of a call across accounts count once.
    let (code, told) = verified(&calls);
    assert_eq!((code, kinds(&told)), (0, vec![]), "{told}");
    for (count, expected) in [("matched", 4), ("witnessed", 4), ("duplicates", 4)] {
        assert_eq!(told[count], expected, "{count} in {told}");
    }
    let (code, told) = verified(&calls[1..]);
    assert_eq!((code, kinds(&told)), (1, vec!["not_in_trail"]), "{told}");
    let stolen = Call {
        at: calls[0].at + Duration::minutes(20),
        request_id: "stolen".to_owned(),
        user_agent: CLI_USER_AGENT.to_owned(),
        tags: Vec::new(),
        ..calls[0].clone()
    };
    let (code, told) = verified(&[calls.clone(), vec![stolen]].concat());
    assert_eq!((code, kinds(&told)), (1, vec!["not_in_log"]), "{told}");
    installation.process.stop();
    let url = format!("sqlite://{}", database.display());
    let mut connection = SqliteConnection::connect(&url).await.unwrap();
    sqlx::raw_sql(CUT).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    run(&installation.process, &["audit", "verify"]);
    let (code, told) = verified(&calls);
    assert_eq!((code, kinds(&told)), (1, vec!["cut_tail"]), "{told}");
}
