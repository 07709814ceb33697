//! Roles that AWS opens for the identity provider's own word: from the provider's answer to the
//! console, without any AWS credentials of ours, and by the provider alone.

use std::{
    collections::BTreeMap,
    fs, io,
    process::Command,
    sync::{Arc, Mutex},
};

use rolegate::{
    app::Application,
    broker::{SessionSecret, SignInSession},
    clock::Clock as _,
    demo::aws::{Account, Role, SamlProvider, SignInOutcome, Trust},
    store::{Conversations as _, SignInSessions as _},
};
use serde_json::Value;
use time::Duration;
use url::Url;

use crate::support::{
    company::{self, Company, PROVIDER, Plan, READER, SESSION_COOKIE, STRANGE, Said, TABLE, asked},
    cookie_browser::{Answer, CookieBrowser, arrive, client},
    moto::{self, Moto},
};

const APPLICATION: &str =
    "aws_application_url = \"https://apps.campus.example/aws?acct={account}&role={role_arn}\"";
const HANDED: &str = "arn:aws:iam::111122223333:role/team/Handed";
const HANDED_ROWS: &str = r#"
[[role]]
arn = "arn:aws:iam::111122223333:role/team/Handed"
console = "idp-initiated"

[[mapping]]
group = "campus:staff"
role = "arn:aws:iam::111122223333:role/team/Handed"
"#;

/// Follows redirects through the stand-in's sign-in to its console.
async fn follow(location: &str) -> String {
    arrive(client().get(location)).await.1
}

/// Who reads where assertions stand open: the only role in the only account.
fn ada() -> Said {
    Said::of("ada", &[READER])
}

fn json(event: impl serde::Serialize) -> Value {
    serde_json::to_value(event).unwrap()
}

/// The newest events, the newest first.
async fn events(company: &Company) -> Vec<Value> {
    let rows = company.app.audit_rows().await;
    rows.iter().map(|row| json(&row.event)).collect()
}

async fn assert_refused(company: &Company, answer: &Answer, status: u16, code: &str) {
    assert_eq!(answer.status, status, "{}", answer.body);
    let event = company.app.last_audit_event().await;
    assert_eq!(event["reason"], code, "{event:#}");
    assert!(!answer.body.contains(code), "{}", answer.body);
}

#[tokio::test]
async fn the_providers_word_alone_opens_the_console() {
    let company = Company::start().await;
    let mut browser = company.signed_in(&ada()).await;
    assert_eq!(company.offered(&mut browser).await, [READER]);

    let answer = browser.post("/console", &[("role", READER)]).await;

    assert_eq!(answer.status, 303, "{}", answer.body);
    assert_eq!(answer.header("cache-control"), "no-store");
    let console = follow(answer.location()).await;
    for fact in ["111122223333", "Reader", "ada-by-idp"] {
        assert!(console.contains(fact), "{fact} is missing:\n{console}");
    }
    let issued = &company.app.aws.issued()[0];
    assert_eq!(
        (issued.role_arn.as_str(), issued.session_name.as_str()),
        (READER, "ada-by-idp")
    );
    assert_eq!(issued.caller_arn, PROVIDER);
    assert_eq!(issued.duration_seconds, 43_200);
    assert_eq!(issued.saml.as_ref().unwrap().audience, company.acs_url());
    let sign_in = &company.app.aws.sign_ins()[0];
    assert_eq!(sign_in.outcome, SignInOutcome::SignedIn);
    assert_eq!(sign_in.session_duration.as_deref(), Some("43200"));
    let session: Value = serde_json::from_str(&sign_in.session).unwrap();
    assert_eq!(
        session,
        serde_json::json!({
            "sessionId": issued.access_key_id,
            "sessionKey": issued.secret_access_key,
            "sessionToken": issued.session_token,
        })
    );
}

#[tokio::test]
async fn the_role_may_stand_behind_the_provider_in_its_pair() {
    let company = Company::start().await;
    let turned = ada().with_aws("Role", &[&format!("{PROVIDER}, {READER}")]);
    let mut browser = company.signed_in(&turned).await;
    let answer = browser.open_console(&[("role", READER)]).await;
    assert_eq!(answer.status, 303, "{}", answer.body);
    assert_eq!(company.app.aws.issued()[0].role_arn, READER);
}

#[tokio::test]
async fn audit_and_role_session_name_what_the_assertion_chose() {
    let company = Company::start().await;
    let mut browser = company.signed_in(&ada()).await;
    let answer = browser.open_console(&[("role", READER)]).await;
    let events = events(&company).await;
    let (outcome, intent) = (&events[0], &events[1]);
    assert_eq!(
        (&intent["outcome"], &outcome["outcome"]),
        (&"intent".into(), &"ok".into())
    );
    assert_eq!(intent["intent"], outcome["intent"]);
    assert_eq!(outcome["request_id"], answer.header("x-request-id"));
    assert_eq!(intent["details"]["grant_method"], "assume-role-with-saml");
    assert_eq!(intent["details"]["session_name"], Value::Null);
    assert_eq!(outcome["details"]["session_name"], "ada-by-idp");
    let issued = &company.app.aws.issued()[0];
    assert_eq!(outcome["details"]["assumed_role_arn"], issued.arn);
    assert_eq!(outcome["details"]["aws_request_id"], issued.request_id);
    let page = browser.get("/sessions").await;
    assert!(page.body.contains("ada-by-idp"), "{}", page.body);
}

#[tokio::test]
async fn credentials_come_by_the_same_word_and_a_session_policy_narrows_them() {
    let narrowed = TABLE.replace(
        "max_duration = \"12h\"",
        "max_duration = \"12h\"\nsession_policy = '{\"Version\":\"2012-10-17\",\"Statement\":{\"Effect\":\"Allow\",\"Action\":\"s3:Get*\",\"Resource\":\"*\"}}'",
    );
    let company = Company::start_with(Plan {
        table: narrowed,
        ..Plan::default()
    })
    .await;
    let mut browser = company.signed_in(&ada()).await;
    browser.get("/").await;
    let page = browser.post("/credentials", &[("role", READER)]).await;
    assert_eq!(page.status, 200, "{}", page.body);
    let issued = &company.app.aws.issued()[0];
    let html = page.body.replace("&#43;", "+").replace("&#x2f;", "/");
    for secret in [
        &issued.access_key_id,
        &issued.secret_access_key,
        &issued.session_token,
    ] {
        assert!(html.contains(secret.as_str()), "{secret} is missing");
    }
    let policy = issued.policy.as_deref().unwrap_or_default();
    assert!(policy.contains("2012-10-17"), "{policy}");
    assert!(company.app.aws.sign_ins().is_empty());
}

#[tokio::test]
async fn reading_and_a_shorter_session_can_be_chosen() {
    let company = Company::start().await;
    let mut browser = company.signed_in(&ada()).await;
    let fields = [("role", READER), ("duration", "45m"), ("read_only", "true")];
    let answer = browser.open_console(&fields).await;
    assert_eq!(answer.status, 303, "{}", answer.body);
    let issued = &company.app.aws.issued()[0];
    assert_eq!(issued.duration_seconds, 2_700);
    assert_eq!(
        issued.policy_arns,
        ["arn:aws:iam::aws:policy/ReadOnlyAccess"]
    );
}

#[tokio::test]
async fn moto_takes_the_word_too() {
    let moto = Moto::start();
    let provider = format!("arn:aws:iam::{}:saml-provider/campus", moto::ACCOUNT_ID);
    let rows = format!(
        "[[account]]\nid = \"{}\"\nname = \"Moto\"\n[[role]]\narn = \"{}\"\n\
         grant_method = \"assume-role-with-saml\"\n[[mapping]]\ngroup = \"campus:staff\"\n\
         role = \"{}\"\n",
        moto::ACCOUNT_ID,
        moto::ROLE_ARN,
        moto::ROLE_ARN
    );
    let company = Company::start_with(Plan {
        overrides: vec![("AWS__STS_ENDPOINT".to_owned(), moto.url())],
        ..Plan::default().rows(&rows)
    })
    .await;
    let said = ada().with_aws("Role", &[&format!("{},{provider}", moto::ROLE_ARN)]);
    let mut browser = company.signed_in(&said).await;
    assert_eq!(company.offered(&mut browser).await, [moto::ROLE_ARN]);

    let page = browser
        .post("/credentials", &[("role", moto::ROLE_ARN)])
        .await;

    assert_eq!(page.status, 200, "{}", page.body);
    assert!(page.body.contains("ASIA"), "{}", page.body);
    let event = company.app.last_audit_event().await;
    assert_eq!(event["outcome"], "ok", "{event:#}");
    assert_eq!(event["details"]["session_name"], "ada-by-idp");
    assert_eq!(company.app.aws.sts_calls(), 0);
}

/// A writer for log lines of this thread.
#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl io::Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Written {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }

    /// What the operator reads of what happens on this thread until the guard is dropped.
    fn collect(&self, level: tracing::Level) -> tracing::subscriber::DefaultGuard {
        let writer = self.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(level)
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .finish();
        tracing::subscriber::set_default(subscriber)
    }
}

#[tokio::test]
async fn nothing_of_an_assertion_is_written_in_the_clear() {
    let written = Written::default();
    let _guard = written.collect(tracing::Level::TRACE);
    let company = Company::start().await;
    let mut browser = company.app.browser();
    let asked = company.ask(&mut browser).await;
    let message = company.answer(&asked, &ada());
    assert_eq!(
        company.post(&mut browser, &asked, &message).await.status,
        303
    );
    let answer = browser.open_console(&[("role", READER)]).await;
    assert_eq!(answer.status, 303, "{}", answer.body);
    // Refused ones too: a second use, and one that was changed.
    company.post(&mut browser, &asked, &message).await;
    let asked = company.ask(&mut browser).await;
    let broken = company.answer(&asked, &ada()).replace("AAA", "AAB");
    company.post(&mut browser, &asked, &broken).await;

    let log = written.text();
    assert!(log.contains("TRACE"), "nothing was logged");
    let audit = json(events(&company).await).to_string();
    let database: Vec<u8> = ["", "-wal"]
        .iter()
        .flat_map(|end| {
            let path = format!("{}{end}", company.app.database().display());
            fs::read(path).unwrap_or_default()
        })
        .collect();
    let xml = {
        use base64::{Engine as _, engine::general_purpose::STANDARD};
        String::from_utf8(STANDARD.decode(&message).unwrap()).unwrap()
    };
    let signature = regex::Regex::new(r"SignatureValue>([A-Za-z0-9+/]{40})").unwrap();
    let signature = &signature.captures(&xml).unwrap()[1];
    let middle = message.len() / 2;
    for part in [signature, &message[..60], &message[middle..middle + 60]] {
        let encoded: String = url::form_urlencoded::byte_serialize(part.as_bytes()).collect();
        for part in [part, &encoded] {
            let line = log.lines().find(|line| line.contains(part));
            assert_eq!(line, None, "the log has it");
            assert!(!audit.contains(part), "the audit has it");
            let is_kept = database
                .windows(part.len())
                .any(|window| window == part.as_bytes());
            assert!(!is_kept, "the database has it");
        }
    }
}

/// The one session of somebody, and what its browser opens its proofs with.
async fn session(company: &Company, browser: &CookieBrowser, said: &Said) -> SignInSession {
    let sessions = company.app.store.sessions_of("campus", &said.name_id);
    let hash = {
        use aws_lc_rs::digest::{SHA256, digest};
        hex::encode(digest(&SHA256, &secret_id(browser).to_be_bytes()))
    };
    let mut sessions = sessions.await.unwrap().into_iter();
    sessions.find(|session| session.id_hash == hash).unwrap()
}

fn secret_id(browser: &CookieBrowser) -> i128 {
    let id: tower_sessions::session::Id = browser.cookies[SESSION_COOKIE].parse().unwrap();
    id.0
}

fn secret(browser: &CookieBrowser) -> SessionSecret {
    SessionSecret::new(secret_id(browser).to_be_bytes())
}

#[tokio::test]
async fn a_held_assertion_opens_for_its_own_session_alone_and_goes_with_it() {
    let company = Company::start().await;
    let (ada, bob) = (ada(), Said::of("bob", &[READER]));
    let mut hers = company.signed_in(&ada).await;
    let his = company.signed_in(&bob).await;
    let (her_session, his_session) = (
        session(&company, &hers, &ada).await,
        session(&company, &his, &bob).await,
    );
    // Another process on the same store, as a second replica is.
    let replica = Application::new(&company.app.config, company.app.clock.clone())
        .await
        .unwrap();
    let replica = replica.broker();
    let held = async |session: &SignInSession, browser: &CookieBrowser| {
        let held = replica.held_proof(session, &secret(browser)).await;
        held.unwrap().is_some()
    };
    assert!(held(&her_session, &hers).await && held(&his_session, &his).await);
    assert!(!held(&her_session, &his).await && !held(&his_session, &hers).await);

    let start = company.app.clock.now();
    let row = async |session: &SignInSession| {
        let row = company.app.store.held_proof(&session.id_hash, start).await;
        row.unwrap().is_some()
    };
    assert!(row(&her_session).await && row(&his_session).await);
    hers.get("/").await;
    hers.post("/logout", &[]).await;
    assert!(!row(&her_session).await && row(&his_session).await);

    company.app.clock.advance(Duration::minutes(6));
    assert!(!held(&his_session, &his).await);
    assert!(row(&his_session).await, "nobody has swept yet");
    replica.sweep().await.unwrap();
    assert!(!row(&his_session).await);
    assert!(
        replica
            .session(&his_session.id_hash)
            .await
            .unwrap()
            .is_some(),
        "the session itself goes on"
    );
}

#[tokio::test]
async fn an_assertion_grown_too_old_is_renewed_on_the_way_to_the_same_role() {
    let company = Company::start().await;
    let mut browser = company.signed_in(&ada()).await;
    company.app.clock.advance(Duration::minutes(5));
    let fields = [("role", READER), ("destination", "s3")];
    let away = browser.open_console(&fields).await;
    let asked = asked(&away);
    assert_eq!(company.app.aws.sts_calls(), 0);
    let event = company.app.last_audit_event().await;
    assert_eq!(event["reason"], "fresh_assertion_needed", "{event:#}");

    let landed = company.come_back(&mut browser, &asked, &ada()).await;

    assert_eq!(landed.status, 303, "{}", landed.body);
    follow(landed.location()).await;
    let sign_in = &company.app.aws.sign_ins()[0];
    assert_eq!(sign_in.outcome, SignInOutcome::SignedIn);
    let destination = sign_in.destination.as_deref().unwrap();
    assert!(destination.contains("/console/s3"), "{destination}");
    assert_eq!(company.app.aws.issued()[0].role_arn, READER);
    let sessions = company
        .app
        .store
        .sessions_of("campus", "ada@campus.example");
    assert_eq!(
        sessions.await.unwrap().len(),
        1,
        "the older one has no browser"
    );
}

#[tokio::test]
async fn what_was_chosen_for_an_old_assertion_is_chosen_once_more() {
    let company = Company::start().await;
    let mut browser = company.signed_in(&ada()).await;
    company.app.clock.advance(Duration::minutes(5));
    let away = browser
        .open_console(&[("role", READER), ("read_only", "true")])
        .await;
    let page = company.come_back(&mut browser, &asked(&away), &ada()).await;
    assert_eq!(page.status, 200, "{}", page.body);
    assert!(page.body.contains("Choose once more"), "{}", page.body);
    assert!(company.app.aws.issued().is_empty());

    company.app.clock.advance(Duration::minutes(5));
    browser.get("/").await;
    let away = browser.post("/credentials", &[("role", READER)]).await;
    let page = company.come_back(&mut browser, &asked(&away), &ada()).await;
    assert!(page.body.contains("Choose once more"), "{}", page.body);
    assert!(company.app.aws.issued().is_empty());
}

#[tokio::test]
async fn nobody_else_comes_back_into_a_session() {
    let company = Company::start().await;
    let mut browser = company.signed_in(&ada()).await;
    company.app.clock.advance(Duration::minutes(5));
    let away = browser.open_console(&[("role", READER)]).await;
    let before = browser.cookies[SESSION_COOKIE].clone();
    let asked = asked(&away);
    let message = company.answer(&asked, &Said::of("eve", &[READER]));
    let answer = company.post(&mut browser, &asked, &message).await;
    assert_refused(&company, &answer, 403, "other_subject").await;
    let eves = company
        .app
        .store
        .sessions_of("campus", "eve@campus.example");
    assert!(eves.await.unwrap().is_empty());
    assert_eq!(browser.cookies[SESSION_COOKIE], before);
    let picker = browser.get("/").await;
    assert!(
        picker.body.contains("ada") && !picker.body.contains("eve"),
        "{}",
        picker.body
    );
    assert!(company.app.aws.issued().is_empty());
}

#[tokio::test]
async fn a_clock_of_aws_that_is_ahead_ends_on_one_page_and_not_in_a_loop() {
    let written = Written::default();
    let _guard = written.collect(tracing::Level::WARN);
    let company = Company::start().await;
    company.shift_aws_clock(Duration::minutes(7));
    let mut browser = company.signed_in(&ada()).await;
    let page = browser.open_console(&[("role", READER)]).await;
    assert_refused(&company, &page, 502, "aws_assertion_expired").await;
    assert!(page.body.contains("clock"), "{}", page.body);

    // Later the provider is asked for a fresh one, once.
    company.app.clock.advance(Duration::minutes(2));
    let away = browser.open_console(&[("role", READER)]).await;
    let asked = asked(&away);
    let page = company.come_back(&mut browser, &asked, &ada()).await;
    assert_refused(&company, &page, 502, "aws_assertion_expired").await;
    assert!(written.text().contains("clock"), "{}", written.text());
}

#[tokio::test]
async fn a_session_that_brings_no_assertion_is_not_sent_around() {
    let company = Company::start().await;
    let mut without = ada();
    without.audiences.clear();
    let mut browser = company.signed_in(&without).await;
    let page = browser.open_console(&[("role", READER)]).await;
    assert_refused(&company, &page, 403, "no_assertion").await;
    company.app.clock.advance(Duration::minutes(1));
    let away = browser.open_console(&[("role", READER)]).await;
    let page = company
        .come_back(&mut browser, &asked(&away), &without)
        .await;
    assert_refused(&company, &page, 403, "no_assertion").await;
    assert_eq!(company.app.aws.sts_calls(), 0);
}

/// What somebody sees who opens the reader's role with this assertion, and what the operator reads.
async fn opened(company: &Company, said: &Said) -> (Answer, String) {
    let written = Written::default();
    let mut browser = company.signed_in(said).await;
    let guard = written.collect(tracing::Level::ERROR);
    let answer = browser.open_console(&[("role", READER)]).await;
    drop(guard);
    (answer, written.text())
}

#[tokio::test]
async fn what_aws_refuses_is_a_page_for_the_person_and_a_cure_for_the_operator() {
    let wrong_audience = Said {
        audiences: vec!["urn:amazon:webservices:govcloud".to_owned()],
        ..ada()
    };
    let two_names = ada().with_aws("RoleSessionName", &["ada", "bob"]);
    let unusable = ada().with_aws("RoleSessionName", &["a b"]);
    let company = Company::start().await;
    for (said, cure) in [
        (wrong_audience, "add it at the identity provider"),
        (two_names, "RoleSessionName, one value"),
        (unusable, "RoleSessionName, one value"),
    ] {
        let (page, log) = opened(&company, &said).await;
        assert_refused(&company, &page, 502, "aws_assertion_refused").await;
        assert!(page.body.contains("AWS refused this role"), "{}", page.body);
        assert!(log.contains(cure), "{cure}:\n{log}");
    }
    assert!(company.app.aws.issued().is_empty());
}

#[tokio::test]
async fn a_provider_that_iam_does_not_know_is_told_to_the_operator() {
    let company = Company::start().await;
    let elsewhere = "arn:aws:iam::111122223333:saml-provider/forgotten";
    let said = ada().with_aws("Role", &[&format!("{READER},{elsewhere}")]);
    let (page, log) = opened(&company, &said).await;
    assert_refused(&company, &page, 502, "aws_assertion_refused").await;
    assert!(log.contains("There is no such IAM SAML provider"), "{log}");
}

#[tokio::test]
async fn a_trust_that_does_not_name_our_address_is_told_to_the_operator() {
    let company = Company::start().await;
    let mut browser = company.signed_in(&Said::of("ada", &[STRANGE])).await;
    let written = Written::default();
    let guard = written.collect(tracing::Level::ERROR);
    let page = browser.open_console(&[("role", STRANGE)]).await;
    drop(guard);
    assert_refused(&company, &page, 502, "aws_access_denied").await;
    let log = written.text();
    assert!(
        log.contains("SAML:aud lists our assertion consumer"),
        "{log}"
    );
}

#[tokio::test]
async fn a_role_that_the_assertion_does_not_name_is_neither_offered_nor_opened() {
    let company = Company::start().await;
    let mut browser = company.signed_in(&Said::of("ada", &[STRANGE])).await;
    assert_eq!(company.offered(&mut browser).await, [STRANGE]);
    let page = browser.open_console(&[("role", READER)]).await;
    assert_refused(&company, &page, 403, "role_not_asserted").await;
    assert!(
        page.body.contains("did not name this role"),
        "{}",
        page.body
    );
    assert_eq!(company.app.aws.sts_calls(), 0);
}

#[tokio::test]
async fn without_a_session_name_there_is_no_assertion_for_aws() {
    let company = Company::start().await;
    let (page, _) = opened(&company, &ada().with_aws("RoleSessionName", &[])).await;
    assert_refused(&company, &page, 403, "no_assertion").await;
    assert_eq!(company.app.aws.sts_calls(), 0);
}

const FREE: &str = "arn:aws:iam::444455556666:role/team/Free";
const CLOSED: &str = "arn:aws:iam::111122223333:role/Closed";
const GUARDED: &str = "arn:aws:iam::111122223333:role/Guarded";
const MAPPED: &str = "arn:aws:iam::444455556666:role/Mapped";
const OFFERED_ROWS: &str = r#"
[[account]]
id = "444455556666"
name = "Astronomy"

[[role]]
arn = "arn:aws:iam::111122223333:role/Closed"
grant_method = "assume-role-with-saml"
disabled = true

[[role]]
arn = "arn:aws:iam::111122223333:role/Guarded"
grant_method = "assume-role-with-saml"
protected = true

[[role]]
arn = "arn:aws:iam::444455556666:role/Mapped"
grant_method = "assume-role-with-saml"

[[mapping]]
group = "campus:astronomers"
role = "arn:aws:iam::444455556666:role/Mapped"
"#;

/// AWS with the second account's provider and roles.
fn with_astronomy(mode: &str) -> Plan {
    let mut plan =
        Plan::connector(&format!("offer_asserted_roles = \"{mode}\"")).rows(OFFERED_ROWS);
    plan.aws = |catalogue, acs| {
        let provider = "arn:aws:iam::444455556666:saml-provider/campus";
        let trust = || Trust::default().with_saml(provider, [acs]);
        catalogue
            .with_account(Account::new("444455556666", "Astronomy"))
            .with_role(Role::new(FREE, trust()))
            .with_role(Role::new(MAPPED, trust()))
    };
    plan
}

/// A member of no group whose provider names everything, in both orders.
fn everything() -> Said {
    let other = "arn:aws:iam::444455556666:saml-provider/campus";
    ada().in_groups(&[]).with_aws(
        "Role",
        &[
            &format!("{READER},{PROVIDER}"),
            &format!("{other},{FREE}"),
            &format!("{MAPPED},{other}"),
            &format!("{CLOSED},{PROVIDER}"),
            &format!("{PROVIDER},{GUARDED}"),
            "not a pair",
        ],
    )
}

#[tokio::test]
async fn roles_that_the_assertion_names_are_offered_without_a_mapping_where_that_is_configured() {
    let mut company = Company::start_with(with_astronomy("all")).await;
    let mut browser = company.signed_in(&everything()).await;
    let offered = [READER, MAPPED, FREE];
    assert_eq!(company.offered(&mut browser).await, offered);
    let picker = browser.get("/").await.body;
    assert!(
        picker.contains("Astronomy") && picker.contains("Research"),
        "{picker}"
    );
    for shut in [CLOSED, GUARDED] {
        let page = browser.open_console(&[("role", shut)]).await;
        assert_eq!(page.status, 403, "{shut}");
    }
    company.app.restart().await;
    assert_eq!(company.offered(&mut browser).await, offered);
    let answer = browser.open_console(&[("role", READER)]).await;
    assert_eq!(answer.status, 303, "{}", answer.body);
    let event = company.app.last_audit_event().await;
    assert_eq!(event["outcome"], "ok");
    let events = events(&company).await;
    assert_eq!(
        events[1]["details"]["mapping"], "asserted",
        "{:#}",
        events[1]
    );
    assert_eq!(company.app.aws.issued()[0].role_arn, READER);
    let page = browser.get("/console/444455556666/Free").await;
    assert!(page.body.contains(FREE), "{}", page.body);
}

#[tokio::test]
async fn a_role_of_no_row_opens_by_the_assertions_own_provider() {
    let idp = Arc::new(crate::support::saml::provider::TestIdentityProvider::new(
        company::IDP,
        3,
    ));
    let mut plan = with_astronomy("all");
    plan.aws = |catalogue, acs| {
        let provider = "arn:aws:iam::444455556666:saml-provider/campus";
        catalogue
            .with_account(Account::new("444455556666", "Astronomy"))
            .with_role(Role::new(FREE, Trust::default().with_saml(provider, [acs])))
    };
    // The same metadata is uploaded to both accounts.
    let metadata = idp.metadata(&[&idp.primary]);
    let uploaded =
        SamlProvider::new("arn:aws:iam::444455556666:saml-provider/campus", &metadata).unwrap();
    plan.saml_providers.push(uploaded);
    let company = Company::start_behind(idp, plan).await;
    let mut browser = company.signed_in(&everything()).await;
    let answer = browser.open_console(&[("role", FREE)]).await;
    assert_eq!(answer.status, 303, "{}", answer.body);
    let issued = &company.app.aws.issued()[0];
    assert_eq!(issued.role_arn, FREE);
    assert_eq!(issued.duration_seconds, 3_600);
}

#[tokio::test]
async fn asserted_roles_are_limited_by_mappings_where_that_is_configured() {
    let company = Company::start_with(with_astronomy("mapped")).await;
    let mut browser = company.signed_in(&everything()).await;
    let nothing: [&str; 0] = [];
    assert_eq!(company.offered(&mut browser).await, nothing);
    let astronomer = everything().in_groups(&["astronomers"]);
    let mut browser = company.signed_in(&astronomer).await;
    assert_eq!(company.offered(&mut browser).await, [MAPPED]);
    let page = browser.open_console(&[("role", FREE)]).await;
    assert_eq!(page.status, 403);
}

fn handing_over() -> Plan {
    Plan::connector(APPLICATION).rows(HANDED_ROWS)
}

#[tokio::test]
async fn a_role_that_the_provider_opens_is_handed_over_with_its_deep_link() {
    let company = Company::start_with(handing_over()).await;
    // Nothing that AWS could take came along, and nothing is needed.
    let mut plain = ada().with_aws("Role", &[]);
    plain.audiences.clear();
    let mut browser = company.signed_in(&plain).await;
    let picker = browser.get("/").await;
    assert!(
        picker.body.contains("opens at your identity provider"),
        "{}",
        picker.body
    );

    let fields = [
        ("role", HANDED),
        ("destination", "s3"),
        ("region", "eu-central-1"),
    ];
    let answer = browser.post("/console", &fields).await;

    assert_eq!(answer.status, 303, "{}", answer.body);
    assert_eq!(answer.header("referrer-policy"), "no-referrer");
    let url: Url = answer.location().parse().unwrap();
    let pairs: BTreeMap<String, String> = url.query_pairs().into_owned().collect();
    assert_eq!(url.host_str(), Some("apps.campus.example"));
    assert_eq!(pairs["acct"], "111122223333");
    assert_eq!(pairs["role"], HANDED);
    let relay_state = &pairs["RelayState"];
    assert!(
        relay_state.contains("/console/s3") && relay_state.contains("eu-central-1"),
        "{relay_state}"
    );
    assert_eq!(company.app.aws.sts_calls(), 0);
    let events = events(&company).await;
    let (outcome, intent) = (&events[0], &events[1]);
    assert_eq!(
        (&intent["outcome"], &outcome["outcome"]),
        (&"intent".into(), &"ok".into())
    );
    assert_eq!(intent["details"]["console"], "idp-initiated");
    assert_eq!(outcome["details"]["handed_over"], true);
    let page = browser.get("/sessions").await;
    assert!(!page.body.contains(HANDED), "{}", page.body);
}

#[tokio::test]
async fn nothing_can_be_asked_of_a_role_that_the_provider_opens() {
    let company = Company::start_with(handing_over()).await;
    let mut browser = company.signed_in(&ada()).await;
    for (field, value, words) in [
        ("read_only", "true", "cannot be narrowed to reading"),
        ("duration", "45m", "length of this session cannot be chosen"),
    ] {
        let page = browser
            .open_console(&[("role", HANDED), (field, value)])
            .await;
        assert_refused(&company, &page, 400, "hand_over_as_is").await;
        assert!(page.body.contains(words), "{}", page.body);
    }
    let page = browser.post("/credentials", &[("role", HANDED)]).await;
    assert_refused(&company, &page, 400, "console_only").await;
    assert!(page.body.contains("console only"), "{}", page.body);
    assert_eq!(company.app.aws.sts_calls(), 0);
}

#[tokio::test]
async fn nobody_with_a_password_gets_what_the_provider_opens() {
    let rows = format!(
        "{HANDED_ROWS}\n[[mapping]]\n\
         group = \"corp:cn=payments-dev,ou=groups,dc=example,dc=com\"\nrole = \"{HANDED}\"\n\
         [[mapping]]\ngroup = \"corp:cn=payments-dev,ou=groups,dc=example,dc=com\"\n\
         role = \"{READER}\"\n"
    );
    let company = Company::start_with(Plan::connector(APPLICATION).rows(&rows)).await;
    let mut browser = company.app.signed_in("ada").await;
    let nothing: [&str; 0] = [];
    assert_eq!(company.offered(&mut browser).await, nothing);
    let page = browser.open_console(&[("role", HANDED)]).await;
    assert_refused(&company, &page, 403, "no_hand_over").await;
    let page = browser.open_console(&[("role", READER)]).await;
    assert_refused(&company, &page, 403, "saml_needed").await;
    assert!(
        page.body.contains("needs another way to sign in"),
        "{}",
        page.body
    );
}

/// The program on the running installation's store; what it printed.
fn command(company: &Company, arguments: &[&str]) -> (Option<i32>, String, String) {
    let config = company.file("command-line.toml");
    let keys = company.file("idp.xml");
    let text = format!(
        "public_url = {:?}\n[store]\nurl = \"sqlite://{}\"\n[[connector]]\nid = \"campus\"\n\
         type = \"saml\"\nidp_metadata_file = {:?}\n{APPLICATION}\n\
         [aws]\ndefault_region = \"eu-west-1\"\n",
        company.app.url.as_str(),
        company.app.database().display(),
        keys.display().to_string()
    );
    fs::write(&config, text).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_rolegate"))
        .arg("--config")
        .arg(&config)
        .args(arguments)
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
    )
}

#[tokio::test]
async fn a_role_added_by_the_command_line_is_handed_over_and_takes_no_conditions() {
    let company = Company::start_with(Plan::connector(APPLICATION)).await;
    let mut browser = company.signed_in(&ada()).await;
    let added = command(
        &company,
        &[
            "role",
            "add",
            HANDED,
            "--saml-provider-arn",
            PROVIDER,
            "--console",
            "idp-initiated",
        ],
    );
    assert_eq!(added.0, Some(0), "{added:?}");
    let (_, listed, _) = command(&company, &["role", "list", "--output", "json"]);
    let listed: Value = serde_json::from_str(&listed).unwrap();
    let row = listed
        .as_array()
        .unwrap()
        .iter()
        .find(|row| row["arn"] == HANDED);
    let row = row.unwrap();
    assert_eq!(row["console"], "idp-initiated", "{row:#}");
    assert_eq!(row["saml_provider_arn"], PROVIDER, "{row:#}");

    let mapping = [
        "mapping",
        "add",
        "--group",
        "campus:staff",
        "--role",
        HANDED,
    ];
    let refused = command(&company, &[&mapping[..], &["--read-only"]].concat());
    assert_eq!(refused.0, Some(1), "{refused:?}");
    assert!(refused.2.contains("read_only"), "{refused:?}");
    let given = command(&company, &mapping);
    assert_eq!(given.0, Some(0), "{given:?}");
    let answer = browser.open_console(&[("role", HANDED)]).await;
    let location = answer.location();
    assert!(
        location.starts_with("https://apps.campus.example/aws?"),
        "{location}"
    );
}
