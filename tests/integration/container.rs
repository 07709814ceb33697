//! Container credentials: by AWS's own tools and SDK, from what is kept, and everything that takes it
//! away again.

use std::{fs, path::Path, process::Command, sync::Arc, time::Duration as Wait};

use rolegate::{
    access::TokenScope,
    audit::{Action, Actor, Outcome},
    broker::{MadeToken, RevokeOrder, RevokedBy, TokenWish, Whom},
    demo::aws::{Fault, StsFault},
    store::{Change, PolicyStore as _},
};
use secrecy::ExposeSecret as _;
use serde_json::Value;
use time::{Duration, OffsetDateTime, format_description::well_known::Rfc3339};

use crate::support::{
    app::TestApp,
    children::{run, run_or_panic},
    cookie_browser::client as http,
    editing::{client, mapping},
    stock_tools::aws_cli,
    temporary_dir,
    tokens::browser_of,
    tools_dir,
};

const SHOP_READER: &str = "arn:aws:iam::222233334444:role/ReadOnly";
const SHOP_PATH: &str = "222233334444/ReadOnly";
const CALL_AWS: &str = "import boto3; print(boto3.client('sts').get_caller_identity()['Arn'])";

/// A token of a sample person, limited to one role where one is named.
async fn made(app: &TestApp, username: &str, role: Option<&str>) -> MadeToken {
    let mut session = browser_of(app, username).await;
    let wish = TokenWish {
        name: "backup on db1".to_owned(),
        scopes: [TokenScope::Credentials].into_iter().collect(),
        role: role.map(str::to_owned),
        lasts: None,
    };
    let made = app.broker.make_token(&mut session, &wish, &client()).await;
    made.unwrap()
}

/// What an SDK sends: the token and nothing else.
async fn get(app: &TestApp, path: &str, token: &MadeToken) -> (u16, Value, String) {
    let request = http().get(format!("{}api/v1/container/{path}", app.url));
    let request = request.header("authorization", token.token.expose_secret());
    let answer = request.send().await.unwrap();
    let header = |name: &str| {
        let value = answer.headers().get(name);
        value.map(|value| value.to_str().unwrap().to_owned())
    };
    let retry_after = header("retry-after").unwrap_or_default();
    assert_eq!(header("cache-control").as_deref(), Some("no-store"));
    let status = answer.status().as_u16();
    let text = answer.text().await.unwrap();
    let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
    (status, body, retry_after)
}

async fn key_of(app: &TestApp, token: &MadeToken) -> String {
    let (status, body, _) = get(app, SHOP_PATH, token).await;
    assert_eq!(status, 200, "{body}");
    body["AccessKeyId"].as_str().unwrap().to_owned()
}

/// Rolegate with sessions of an hour, whose clock alone is moved: what AWS issues ends an hour after the
/// real moment.
async fn with_short_sessions() -> TestApp {
    TestApp::start_overriding(&[("ROLE_DEFAULTS__MAX_DURATION", "1h")]).await
}

fn calls(app: &TestApp) -> u64 {
    app.aws.sts_calls_of("AssumeRole")
}

async fn rows(app: &TestApp, outcome: Outcome) -> usize {
    let rows = app.audit_rows().await;
    let is_one = |event: &rolegate::audit::AuditEvent| {
        event.action == Action::CredentialsIssue && event.outcome == outcome
    };
    rows.iter().filter(|row| is_one(&row.event)).count()
}

/// A program with nothing but the variables of container credentials.
fn program(app: &TestApp, path: &Path, home: &Path, file: &Path) -> Command {
    let mut command = Command::new(path);
    command.env_clear().env("PATH", "/usr/bin:/bin");
    container_variables(app, &mut command, home, file);
    command
}

fn container_variables(app: &TestApp, command: &mut Command, home: &Path, file: &Path) {
    let address = app.url.join("/api/v1/container/").unwrap();
    command
        .env("HOME", home)
        .env("AWS_REGION", "eu-west-1")
        .env("AWS_DEFAULT_REGION", "eu-west-1")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("AWS_ENDPOINT_URL_STS", app.aws.url().as_str())
        .env(
            "AWS_CONTAINER_CREDENTIALS_FULL_URI",
            address.join(SHOP_PATH).unwrap().as_str(),
        )
        .env("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", file);
}

#[tokio::test(flavor = "multi_thread")]
async fn boto3_and_the_aws_cli_call_aws_with_a_token_in_a_file() {
    let app = TestApp::start().await;
    let token = made(&app, "linus", Some(SHOP_READER)).await;
    let dir = temporary_dir("container");
    let file = dir.path().join("token");
    fs::write(&file, token.token.expose_secret()).unwrap();
    let expected = "arn:aws:sts::222233334444:assumed-role/ReadOnly/linus";

    let mut boto3 = program(
        &app,
        &tools_dir().join("venv/bin/python"),
        dir.path(),
        &file,
    );
    boto3.args(["-c", CALL_AWS]);
    let mut calling = vec![boto3];
    for cli in aws_cli() {
        let mut command = std::process::Command::new(&cli.path);
        command.env_clear().env("HOME", dir.path());
        container_variables(&app, &mut command, dir.path(), &file);
        command.args([
            "sts",
            "get-caller-identity",
            "--query",
            "Arn",
            "--output",
            "text",
        ]);
        calling.push(command);
    }
    for command in calling {
        let said = tokio::task::spawn_blocking(move || run_or_panic("the client", &command, None));
        assert_eq!(said.await.unwrap().trim(), expected);
    }
    assert_eq!(
        calls(&app),
        1,
        "all of them were given the same credentials"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_file_that_ends_in_a_line_break_fails_in_boto3_as_documented() {
    let app = TestApp::start().await;
    let token = made(&app, "linus", Some(SHOP_READER)).await;
    let dir = temporary_dir("container");
    let file = dir.path().join("token");
    fs::write(&file, format!("{}\n", token.token.expose_secret())).unwrap();
    let mut boto3 = program(
        &app,
        &tools_dir().join("venv/bin/python"),
        dir.path(),
        &file,
    );
    boto3.args(["-c", CALL_AWS]);
    let output = tokio::task::spawn_blocking(move || run("boto3", &boto3, None));
    let output = output.await.unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        !output.status.success() && said.contains("not a legal header value"),
        "{said}"
    );
    assert_eq!(calls(&app), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_answer_has_what_sdks_and_metadata_services_name() {
    let app = TestApp::start().await;
    let token = made(&app, "linus", Some(SHOP_READER)).await;
    for path in [SHOP_PATH, SHOP_READER, "ReadOnly"] {
        let (status, body, _) = get(&app, path, &token).await;
        assert_eq!(status, 200, "{path}: {body}");
        let issued = &app.aws.issued()[0];
        assert_eq!(body["AccessKeyId"], issued.access_key_id);
        assert_eq!(body["SecretAccessKey"], issued.secret_access_key);
        assert_eq!(body["Token"], issued.session_token);
        assert_eq!(
            (&body["Code"], &body["Type"]),
            (&"Success".into(), &"AWS-HMAC".into())
        );
        assert_eq!(body["AccountId"], "222233334444");
        assert_eq!(body["RoleArn"], SHOP_READER);
        for key in ["Expiration", "LastUpdated"] {
            let text = body[key].as_str().unwrap();
            assert!(
                OffsetDateTime::parse(text, &Rfc3339).is_ok(),
                "{key} is {text}"
            );
            assert!(
                text.len() == "2026-11-24T10:00:00Z".len(),
                "{key} is {text}"
            );
        }
    }
    let (_, names, _) = get(&app, "", &token).await;
    assert_eq!(names, "ReadOnly\n");

    let url = app.url.join("/api/v1/container/ReadOnly").unwrap();
    let token = token.token.expose_secret();
    let head = http().head(url).bearer_auth(token).send().await.unwrap();
    assert_eq!(head.status().as_u16(), 200);
    assert_eq!(calls(&app), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_calls_at_once_make_one_call_to_aws() {
    let app = Arc::new(TestApp::start().await);
    let token = Arc::new(made(&app, "linus", Some(SHOP_READER)).await);
    let calling: Vec<_> = (0..100)
        .map(|_| {
            let (app, token) = (Arc::clone(&app), Arc::clone(&token));
            tokio::spawn(async move { key_of(&app, &token).await })
        })
        .collect();
    let mut keys = std::collections::BTreeSet::new();
    for call in calling {
        keys.insert(call.await.unwrap());
    }
    assert_eq!(keys.len(), 1);
    assert_eq!((calls(&app), rows(&app, Outcome::Intent).await), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_kept_is_renewed_on_the_side_and_never_served_to_its_end() {
    let app = with_short_sessions().await;
    let advance = |minutes| app.clock.advance(Duration::minutes(minutes));
    let token = made(&app, "linus", Some(SHOP_READER)).await;
    let first = key_of(&app, &token).await;
    advance(35);
    assert_eq!(key_of(&app, &token).await, first);
    assert_eq!(calls(&app), 1, "25 minutes are left");
    advance(10);
    assert_eq!(
        key_of(&app, &token).await,
        first,
        "the old ones serve meanwhile"
    );
    while rows(&app, Outcome::Ok).await < 2 {
        tokio::task::yield_now().await;
    }
    let mut second = key_of(&app, &token).await;
    while second == first {
        second = key_of(&app, &token).await;
    }
    advance(11);
    let third = key_of(&app, &token).await;
    let before = app.aws.issued().len();
    assert!(third != first, "less than five minutes are left of it");
    assert_ne!(key_of(&app, &token).await, third, "and of this one");
    assert!(app.aws.issued().len() > before);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_kept_serves_while_aws_is_down_until_it_is_nearly_over() {
    let app = with_short_sessions().await;
    let token = made(&app, "linus", Some(SHOP_READER)).await;
    let first = key_of(&app, &token).await;
    app.aws.set_fault(Fault::Sts(StsFault::Down));
    for minutes in [30, 20] {
        app.clock.advance(Duration::minutes(minutes));
        assert_eq!(key_of(&app, &token).await, first);
    }
    app.clock.advance(Duration::minutes(6));
    let (status, body, retry_after) = get(&app, SHOP_PATH, &token).await;
    assert_eq!(
        (status, &body["code"]),
        (503, &"AwsUnavailable".into()),
        "{body}"
    );
    assert!(!retry_after.is_empty());
    app.aws.clear_faults();
    assert_ne!(key_of(&app, &token).await, first);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_to_a_slow_aws_goes_on_when_the_client_hangs_up() {
    let app = TestApp::start().await;
    let token = made(&app, "linus", Some(SHOP_READER)).await;
    app.aws.set_fault(Fault::Sts(StsFault::Hang));
    let url = app.url.join("/api/v1/container/ReadOnly").unwrap();
    let impatient = http().get(url).timeout(Wait::from_millis(300));
    let impatient = impatient.bearer_auth(token.token.expose_secret());
    assert!(impatient.send().await.unwrap_err().is_timeout());
    app.aws.clear_faults();
    key_of(&app, &token).await;
    assert_eq!(rows(&app, Outcome::Intent).await, 1, "it was the same call");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_revoked_is_not_handed_out_again() {
    let app = TestApp::start().await;
    let token = made(&app, "linus", Some(SHOP_READER)).await;
    let first = key_of(&app, &token).await;
    let order = RevokeOrder {
        whom: Whom::Role(SHOP_READER.parse().unwrap()),
        reason: Some("drill".to_owned()),
    };
    let host = || RevokedBy::Host(Actor::Host { uid: 0 });
    app.broker.revoke(&order, host(), None).await.unwrap();
    assert_ne!(key_of(&app, &token).await, first);

    let session = browser_of(&app, "linus").await;
    let order = RevokeOrder {
        whom: Whom::Person {
            connector: session.identity.connector.clone(),
            subject: session.identity.subject.clone(),
        },
        reason: None,
    };
    app.broker.revoke(&order, host(), None).await.unwrap();
    let (status, body, _) = get(&app, SHOP_PATH, &token).await;
    assert_eq!(
        (status, &body["code"]),
        (401, &"InvalidToken".into()),
        "{body}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_that_takes_the_role_away_takes_what_is_kept_away() {
    let app = TestApp::start().await;
    let token = made(&app, "linus", Some(SHOP_READER)).await;
    let first = key_of(&app, &token).await;
    let tables = app.store.tables().await.unwrap();
    let given: Vec<_> = (tables.mappings.into_iter())
        .filter(|mapping| mapping.role.as_str() == SHOP_READER)
        .collect();
    let ends = given.iter().map(|row| Change::EndMapping(row.id.clone()));
    app.edit(ends.collect()).await;
    let (status, body, _) = get(&app, SHOP_PATH, &token).await;
    assert_eq!(
        (status, &body["code"]),
        (403, &"NotEntitled".into()),
        "{body}"
    );

    // Given anew, under other terms: what was issued under the earlier ones does not come back.
    let mut again = mapping("webshop-readers", SHOP_READER);
    again.conditions.read_only = true;
    app.edit(vec![Change::PutMapping(again)]).await;
    assert_ne!(key_of(&app, &token).await, first);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_opens_its_own_role_and_ends_with_its_device() {
    let app = TestApp::start().await;
    let token = made(&app, "ada", Some("arn:aws:iam::222233335555:role/Preview")).await;
    let before = calls(&app);
    for path in [SHOP_READER, SHOP_PATH, "111122224444/LoadTest"] {
        let (status, body, _) = get(&app, path, &token).await;
        assert_eq!(
            (status, &body["code"]),
            (403, &"NotEntitled".into()),
            "{path}: {body}"
        );
    }
    assert_eq!(app.last_audit_event().await["reason"], "outside_token");
    assert_eq!(calls(&app), before);
    let (status, body, _) = get(&app, "Preview", &token).await;
    assert_eq!(status, 200, "{body}");

    let session = browser_of(&app, "ada").await;
    let devices = app.broker.devices(&session.identity).await.unwrap();
    let who = client();
    let ended = app
        .broker
        .end_own_session(&session.identity, &devices[0].id_hash, &who);
    assert!(ended.await.unwrap());
    let (status, body, _) = get(&app, "Preview", &token).await;
    assert_eq!(
        (status, &body["code"]),
        (401, &"InvalidToken".into()),
        "{body}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_asks_for_a_reason_is_refused_with_where_a_person_can_open_it() {
    let app = TestApp::start().await;
    let tables = app.store.tables().await.unwrap();
    let asking = tables.mappings.into_iter().map(|mut row| {
        row.conditions.require_reason = row.role.as_str() == SHOP_READER;
        Change::PutMapping(row)
    });
    app.edit(asking.collect()).await;
    let token = made(&app, "linus", None).await;
    let (status, body, _) = get(&app, SHOP_PATH, &token).await;
    assert_eq!(
        (status, &body["code"]),
        (403, &"ReasonRequired".into()),
        "{body}"
    );
    let here = format!("{}console/222233334444/ReadOnly", app.url);
    assert!(body["message"].as_str().unwrap().contains(&here), "{body}");
    let (_, names, _) = get(&app, "", &token).await;
    assert_eq!(names, "", "what it can never have is not listed");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_let_in_by_a_cookie_or_by_a_token_that_is_not_good() {
    let app = TestApp::start().await;
    let mut browser = app.signed_in("linus").await;
    let answer = browser.get("/api/v1/container/ReadOnly").await;
    assert_eq!(answer.status, 401, "{}", answer.body);
    let url = app.url.join("/api/v1/container/ReadOnly").unwrap();
    for value in ["rgk_x", "Bearer rgk_x", "Basic bGludXM6bGludXMtZGVtbw=="] {
        let request = http().get(url.clone()).header("authorization", value);
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status().as_u16(), 401, "{value}");
        let body: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
        assert_eq!(body["code"], "InvalidToken");
    }
    assert_eq!(calls(&app), 0);
}
