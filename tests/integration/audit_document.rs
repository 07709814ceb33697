//! docs/audit.md against what is really written: every action is driven once, and each of its
//! details and reason codes has to be in the document.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use regex::Regex;
use rolegate::{
    access::PolicyTables,
    audit::{Action, Actor, AuditEvent, Outcome, checkpoint::CheckpointKey},
    broker::{
        Asker, EditDraft, PersonRecord, Presented, ProbeBudget, ProbeOrder, ReviewScope,
        ReviewWish, ReviewWord, RevokeOrder, RevokedBy, Undo, Whom,
    },
    clock::Clock as _,
    demo::{
        aws::{Fault, StsFault, Trust},
        directory, sample,
    },
    store::{AuditLog as _, Change, Retirement},
};
use secrecy::SecretString;
use time::Duration;

use crate::support::{
    app::Options,
    editing::{Desk, ORDER_DESK, PAYMENTS_ADMIN, SANDBOX, client, draft, mapping, putting, rule},
    temporary_dir, tokens,
};

const DOCUMENT: &str = include_str!("../../docs/audit.md");
const SAML_DOCUMENT: &str = include_str!("../../docs/saml.md");
const READER: &str = "arn:aws:iam::222233334444:role/ReadOnly";

/// What the document says that each action's rows can have.
struct Documented(BTreeMap<String, BTreeSet<String>>);

impl Documented {
    fn read() -> Self {
        let mut actions = BTreeMap::new();
        for line in section("## Actions").lines() {
            let cells: Vec<&str> = line.split(" | ").collect();
            if let [action, _, details] = cells[..]
                && let Some(action) = words(action).into_iter().next()
            {
                actions.insert(action, words(details));
            }
        }
        // One row of the table may refer to another, or to the text below.
        let same = actions["account.change"].clone();
        for action in ["role.change", "mapping.change", "rule.change"] {
            actions
                .entry(action.to_owned())
                .or_default()
                .extend(same.clone());
        }
        let text = section("## Actions");
        let below = text.find("\n\n`console.open`").unwrap()..text.find("\n### ").unwrap();
        let below = words(&text[below]);
        for action in ["console.open", "credentials.issue"] {
            actions
                .entry(action.to_owned())
                .or_default()
                .extend(below.clone());
        }
        let refused = words(section("### Edits that were refused"));
        for (action, details) in &mut actions {
            let is_edit = ["edit.", "review.", ".change"];
            if is_edit.iter().any(|part| action.contains(part)) {
                details.extend(refused.clone());
            }
        }
        Self(actions)
    }
}

/// A part of the document, up to the next heading of its level or above.
fn section(heading: &str) -> &'static str {
    let start = DOCUMENT.find(&format!("\n{heading}\n")).unwrap_or_else(|| {
        panic!("docs/audit.md has no {heading}");
    });
    let rest = &DOCUMENT[start + heading.len() + 2..];
    let level = heading.split(' ').next().unwrap().len();
    let next = |level: usize| rest.find(&format!("\n{} ", "#".repeat(level)));
    let end = (1..=level).filter_map(next).min();
    &rest[..end.unwrap_or(rest.len())]
}

/// Whatever is set as code.
fn words(text: &str) -> BTreeSet<String> {
    let code = Regex::new("`([^`]+)`").unwrap();
    code.captures_iter(text)
        .map(|found| found[1].to_owned())
        .collect()
}

async fn started() -> Desk {
    let dir = temporary_dir("document");
    let key = dir.path().join("key.pem");
    std::fs::write(&key, CheckpointKey::generate().unwrap().as_bytes()).unwrap();
    let overrides = [
        ("AUDIT__CHECKPOINT_KEY_FILE", key.display().to_string()),
        ("ROLE_DEFAULTS__AUDIT_TAG", "true".to_owned()),
        ("AWS__REVOKER_ROLE", "rolegate-revoker".to_owned()),
    ];
    Desk::start_with(Options {
        overrides: overrides
            .map(|(name, value)| (name.to_owned(), value))
            .to_vec(),
        ..Options::default()
    })
    .await
}

/// Ends a person's sessions, and a role's, whose account has no revoker role.
async fn revoke(desk: &Desk) {
    let person = Whom::Person {
        connector: "corp".parse().unwrap(),
        subject: "somebody".to_owned(),
    };
    for whom in [person, Whom::Role(READER.parse().unwrap())] {
        let reason = Some("drill".to_owned());
        let by = RevokedBy::Host(Actor::Host { uid: 0 });
        let order = RevokeOrder { whom, reason };
        desk.app.broker.revoke(&order, by, None).await.unwrap();
    }
}

/// Looks whether roles open, of which one has changed at AWS, and which roles an account has.
async fn probe(desk: &Desk) {
    let order = || ProbeOrder {
        roles: None,
        budget: ProbeBudget {
            longest: std::time::Duration::from_mins(2),
            per_second: 10_000,
            parallel: 8,
        },
        by: Actor::System,
    };
    let broker = &desk.app.broker;
    broker.probe_round(order(), &|_, _| ()).await.unwrap();
    desk.app.aws.update(|catalogue| {
        let foreign = Trust::of(["arn:aws:iam::999999999999:root"]);
        assert!(catalogue.set_trust(READER, foreign));
    });
    broker.probe_round(order(), &|_, _| ()).await.unwrap();
    desk.app.aws.update(|catalogue| {
        assert!(catalogue.set_trust(READER, Trust::of([sample::BROKER_ARN])));
    });
    let account = "222233334444".parse().unwrap();
    let listed = broker.discover_roles(&account, Actor::System).await;
    assert!(listed.is_err(), "there is no read role: {listed:?}");
}

async fn sign_in_and_open(desk: &Desk) {
    let app = &desk.app;
    app.browser().sign_in("locked", "locked-demo").await;
    app.browser().sign_in("nobody", "nobody").await;
    let mut linus = app.signed_in("linus").await;
    let role = [("role", READER), ("reason", "INC-1")];
    assert_eq!(linus.open_console(&role).await.status, 303);
    linus.get("/").await;
    assert_eq!(linus.post("/credentials", &role).await.status, 200);
    linus.open_console(&[("role", PAYMENTS_ADMIN)]).await;
    app.aws.set_fault(Fault::Sts(StsFault::AccessDenied));
    linus.open_console(&role).await;
    app.aws.clear_faults();
    let (broker, client) = (&app.broker, client());
    let session = desk.session("linus").await;
    broker.sign_out(&session, &client).await.unwrap();
    let session = desk.session("linus").await;
    let everywhere = broker.sign_out_everywhere(&session.identity, "asked_by_person", &client);
    everywhere.await.unwrap();
}

async fn edit(desk: &Desk) {
    let (mut grace, mut hal) = (desk.session("grace").await, desk.session("hal").await);
    let mut amy = desk.session("amy").await;
    let mut account = desk.tables().await.accounts.remove(0);
    account.description = Some("changed".to_owned());
    let mut role = desk.role(SANDBOX).await;
    role.description = Some("changed".to_owned());
    let pattern = "^cn=nobody-(?<rest>.*),ou=groups,dc=example,dc=com$";
    let by_admin = draft(vec![
        Change::PutAccount(account),
        Change::PutRole(Box::new(role)),
        Change::PutRule(rule(pattern, SANDBOX)),
    ]);
    desk.save_now(&mut amy, &by_admin).await;
    let reasoned = |edit: EditDraft| EditDraft {
        reason: Some("HD-1".to_owned()),
        ..edit
    };
    let for_others = reasoned(putting([mapping("book-club", ORDER_DESK)]));
    let saved = desk.save_now(&mut grace, &for_others).await;
    let back = reasoned(desk.undo(Undo::Edit(saved)).await);
    desk.save_now(&mut grace, &back).await;

    let for_oneself = reasoned(putting([mapping("finance", SANDBOX)]));
    let (broker, client) = (&desk.app.broker, client());
    let withdrawn = desk.save_waiting(&mut grace, &for_oneself).await;
    let taken_back = broker.decline_edit(&mut grace, &withdrawn, None, &client);
    taken_back.await.unwrap();
    let declined = desk.save_waiting(&mut grace, &for_oneself).await;
    let declining = broker.decline_edit(&mut hal, &declined, Some("no"), &client);
    declining.await.unwrap();
    let approved = desk.save_waiting(&mut grace, &for_oneself).await;
    assert!(desk.approve(&mut grace, &approved).await.is_err());
    desk.approve(&mut hal, &approved).await.unwrap();
    // What is taken back may have to wait as well.
    let mut ended = desk.mapping("finance", SANDBOX).await.unwrap();
    let ending = draft(vec![Change::EndMapping(ended.id.clone())]);
    let ending = desk.save_now(&mut hal, &ending).await;
    let again = desk.undo(Undo::Edit(ending)).await;
    let pending = desk.save_waiting(&mut grace, &again).await;
    desk.approve(&mut hal, &pending).await.unwrap();
    // And whoever may not is refused.
    ended.ticket = Some("HD-2".to_owned());
    let mut linus = desk.session("linus").await;
    assert!(desk.save(&mut linus, &putting([ended])).await.is_err());
    let lapsing = putting([mapping("finance", ORDER_DESK)]);
    desk.save_waiting(&mut grace, &lapsing).await;
    desk.app.clock.advance(Duration::days(8));
    broker.sweep().await.unwrap();
}

async fn review(desk: &Desk) {
    let mut grace = desk.session("grace").await;
    let (broker, client) = (&desk.app.broker, client());
    let wish = ReviewWish {
        name: "Spring".to_owned(),
        scope: ReviewScope::Role(ORDER_DESK.parse().unwrap()),
        due_at: None,
    };
    let mut amy = desk.session("amy").await;
    let id = broker.start_review(&mut grace, &wish, &client).await;
    let id = id.unwrap();
    let (_, items) = broker.review(&id).await.unwrap().unwrap();
    // The helpdesk decides on mappings, admins on rules.
    for item in items {
        let word = ReviewWord {
            rows: std::slice::from_ref(&item.row),
            keep: true,
            note: Some("asked"),
        };
        let (right, wrong) = if item.group.starts_with('^') {
            (&mut amy, &mut grace)
        } else {
            (&mut grace, &mut amy)
        };
        let refused = broker.decide_review(wrong, &id, &word, &client).await;
        assert!(refused.is_err());
        let decided = broker.decide_review(right, &id, &word, &client);
        decided.await.unwrap();
    }
    let closed = broker.close_review(&mut grace, &id, &client);
    closed.await.unwrap();
}

async fn ask(desk: &Desk) {
    let (broker, client) = (&desk.app.broker, client());
    let grace = desk.session("grace").await;
    let ada: PersonRecord = broker.person(None, "ada").await.unwrap().items.remove(0);
    let actor = Actor::Host { uid: 0 };
    let asker = Asker {
        actor: &actor,
        client: Some(&client),
    };
    let role = PAYMENTS_ADMIN.parse().unwrap();
    broker.explain(&ada, &role, &asker).await.unwrap();
    let yesterday = desk.app.clock.now() - Duration::DAY;
    let then = broker.explain_at(&ada, &role, yesterday, &asker);
    then.await.unwrap();
    broker.explain_person(&ada, &asker).await.unwrap();
    let identity = &grace.identity;
    let seen = broker.note_view_as(identity, &ada.identity, &client);
    seen.await.unwrap();
    let mut amy = desk.app.signed_in("amy").await;
    assert_eq!(amy.get("/audit.csv?action=export").await.status, 200);
    assert_eq!(amy.get("/helpdesk/who.csv").await.status, 200);
}

async fn load_file(desk: &Desk) {
    let broker = &desk.app.broker;
    broker.note_file_at_start("f.toml", "ab").await.unwrap();
    let loaded = broker.replace_file_tables("f.toml", "cd", PolicyTables::default());
    loaded.await.unwrap();
    let findings = vec!["f.toml:1: wrong".to_owned()];
    let refused = broker.refuse_file("f.toml", Some("ef"), findings.clone());
    refused.await.unwrap();
    broker.refuse_file("f.toml", None, findings).await.unwrap();
}

/// Lets clients ask, be refused, and bring what is not good any more.
async fn ask_for_tokens(desk: &Desk) {
    let (app, client) = (&desk.app, client());
    let (proof, issued) = tokens::tokens(app, "ada", &tokens::wish()).await;
    let ada = tokens::browser_of(app, "ada").await;
    let order = tokens::order(&proof);
    app.broker
        .decline_code(&ada, &order, &client)
        .await
        .unwrap();
    let refresh = tokens::by_refresh(issued.refresh_token.as_ref().unwrap());
    tokens::exchange(app, &proof, &refresh).await.unwrap();
    let present = async |token: &SecretString| {
        let presented = Presented::Bearer {
            token: token.clone(),
            issuer: None,
        };
        assert!(app.broker.caller(presented, &client).await.is_err());
    };
    app.clock.advance(Duration::hours(2));
    present(&issued.access_token).await;
    assert!(
        tokens::exchange(app, &proof, &refresh).await.is_err(),
        "a second use"
    );
    present(&issued.access_token).await;
    let (_, issued) = tokens::tokens(app, "ada", &tokens::wish()).await;
    let ended = app.broker.end_token(&issued.access_token, &client).await;
    assert!(ended.unwrap());
}

/// Lets the directory be gone for a while.
async fn refresh_groups(desk: &Desk) {
    let mut linus = desk.app.signed_in("linus").await;
    linus.get("/").await;
    let gone = Some(directory::Fault::CloseConnections);
    desk.app.directory.set_fault(gone);
    desk.app.clock.advance(Duration::minutes(30));
    linus.open_console(&[("role", READER)]).await;
    desk.app.directory.set_fault(None);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_detail_and_reason_that_is_written_is_in_the_document() {
    let desk = started().await;
    sign_in_and_open(&desk).await;
    ask(&desk).await;
    review(&desk).await;
    load_file(&desk).await;
    ask_for_tokens(&desk).await;
    refresh_groups(&desk).await;
    edit(&desk).await;
    revoke(&desk).await;
    probe(&desk).await;
    let is_signed = |event: &AuditEvent| event.action == Action::AuditCheckpoint;
    while !desk
        .app
        .audit_rows()
        .await
        .iter()
        .any(|row| is_signed(&row.event))
    {
        desk.app.operations("healthz").await;
    }
    let mut rows = desk.app.audit_rows().await;
    let now = desk.app.clock.now();
    let record = AuditEvent::new(now, Action::AuditErase, Outcome::Ok, Actor::System);
    let retirement = Retirement::Erase(rows.last().unwrap().event.at + Duration::MILLISECOND);
    desk.app.store.retire(&retirement, &record).await.unwrap();
    rows.push(desk.app.audit_rows().await.remove(0));

    let documented = Documented::read();
    let codes = words(section("## Reason codes"));
    let mut missing = BTreeSet::new();
    for row in &rows {
        let action = row.event.action.as_str();
        let named = &documented.0[action];
        for key in row.event.details.keys().filter(|key| !named.contains(*key)) {
            missing.insert(format!("{action}: detail {key}"));
        }
        let reason = row.event.reason.as_ref();
        if let Some(code) = reason.filter(|code| !codes.contains(*code)) {
            missing.insert(format!("{action}: reason {code}"));
        }
    }
    assert!(missing.is_empty(), "docs/audit.md lacks {missing:#?}");
    let driven: HashSet<Action> = rows.iter().map(|row| row.event.action).collect();
    let left: Vec<_> = Action::ALL
        .iter()
        .filter(|action| !driven.contains(action))
        .collect();
    assert!(left.is_empty(), "nobody did {left:?}");
}

#[test]
fn every_reason_that_an_edit_can_be_refused_for_is_in_the_document() {
    let codes = words(section("## Reason codes"));
    let all = words(SAML_DOCUMENT);
    let code = r#"(?:not_allowed|not_second)\(\s*"([a-z_]+)"|coded\((?:[^;]*?)"([a-z_]+)",?\s*\)"#;
    let code = Regex::new(code).unwrap();
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/broker");
    let mut files = vec![root.join("review.rs")];
    for file in std::fs::read_dir(root.join("edit")).unwrap() {
        files.push(file.unwrap().path());
    }
    let mut found = BTreeSet::new();
    for file in files {
        let text = std::fs::read_to_string(file).unwrap();
        for code in code.captures_iter(&text) {
            found.insert(code.get(1).or(code.get(2)).unwrap().as_str().to_owned());
        }
    }
    assert!(found.len() >= 12, "{found:?}");
    let missing: Vec<_> = found
        .iter()
        .filter(|code| !codes.contains(*code) && !all.contains(*code))
        .collect();
    assert!(missing.is_empty(), "docs/audit.md lacks {missing:?}");
}
