//! Ending role sessions that were issued: what happens here at once, what is handed out where no
//! revoker role is configured, and what waits for AWS.

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use regex::Regex;
use rolegate::{
    access::{ConsoleWay, GrantMethod, Role, RoleDefaults, TargetArn, Voucher},
    audit::{Action, Actor, Outcome},
    broker::{Reach, RevokeOrder, RevokedBy, SignInSession, Whom, WrittenHow},
    demo::{
        directory::Entry,
        sample::{group_dn, person_dn},
    },
    store::{Change, KnownPeople as _, Revocations as _, SignInSessions as _},
};
use serde_json::Value;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::{
    issuer::issuer_toml,
    support::{
        app::{Options, TestApp},
        editing::{Desk, mapping, person},
        temporary_dir,
    },
};

const SHOP_READER: &str = "arn:aws:iam::222233334444:role/ReadOnly";

fn host() -> RevokedBy<'static> {
    RevokedBy::Host(Actor::Host { uid: 0 })
}

fn order(whom: Whom) -> RevokeOrder {
    RevokeOrder {
        whom,
        reason: Some("lost laptop".to_owned()),
    }
}

async fn session_of(app: &TestApp, username: &str) -> SignInSession {
    let known = app.store.known_people().await.unwrap();
    let person = known
        .iter()
        .find(|known| known.identity.username == username);
    let subject = &person.unwrap().identity.subject;
    app.store
        .sessions_of("corp", subject)
        .await
        .unwrap()
        .remove(0)
}

fn whole(session: &SignInSession) -> Whom {
    Whom::Person {
        connector: session.identity.connector.clone(),
        subject: session.identity.subject.clone(),
    }
}

#[tokio::test]
async fn a_person_s_sign_ins_end_at_once_and_the_policy_is_handed_out() {
    let app = TestApp::start().await;
    let mut browser = app.signed_in("linus").await;
    browser.open_console(&[("role", SHOP_READER)]).await;
    let session = session_of(&app, "linus").await;
    let whom = whole(&session);
    let plan = app.broker.plan_revocation(&whom, host(), None);
    let plan = plan.await.unwrap();
    assert_eq!((plan.sign_ins, plan.roles.len()), (1, 1));
    assert_eq!(plan.roles[0].how, WrittenHow::ByHand);
    assert_eq!(browser.get("/").await.status, 200, "a plan ends nothing");

    let answer = app
        .broker
        .revoke(&order(whole(&session)), host(), None)
        .await;

    let answer = answer.unwrap();
    assert_eq!(answer.sign_ins_ended, 1);
    assert_eq!(answer.roles.len(), 1);
    assert_eq!(answer.roles[0].role.as_str(), SHOP_READER);
    assert_eq!(answer.roles[0].reach, Reach::Paste);
    let policy = &answer.roles[0].policy.as_ref().unwrap().document;
    let policy: Value = serde_json::from_str(policy).unwrap();
    let condition = &policy["Statement"][0]["Condition"];
    assert_eq!(condition["StringLike"]["aws:userid"][0], "*:linus");
    assert!(answer.issued_before > app.broker.now());
    assert_eq!(browser.get("/").await.status, 303, "the sign-in is over");

    let mut again = app.signed_in("linus").await;
    let opened = again.open_console(&[("role", SHOP_READER)]).await;
    assert_eq!(
        opened.status, 303,
        "a new sign-in works at once: {}",
        opened.body
    );
    let rows = app.audit_rows().await;
    let row = rows
        .iter()
        .find(|row| row.event.action == Action::SessionRevoke);
    let event = serde_json::to_value(&row.unwrap().event).unwrap();
    assert_eq!(event["actor"]["kind"], "host");
    assert_eq!(event["details"]["reason"], "lost laptop");
    assert_eq!(event["details"]["person"]["username"], "linus");
    assert_eq!(
        event["details"]["session_names"],
        serde_json::json!(["linus"])
    );
    assert_eq!(event["details"]["sign_ins_ended"], 1);
}

#[tokio::test]
async fn what_aws_does_not_take_waits_and_is_told_once() {
    let app = TestApp::start_overriding(&[("AWS__REVOKER_ROLE", "rolegate-revoker")]).await;
    let mut browser = app.signed_in("linus").await;
    browser.open_console(&[("role", SHOP_READER)]).await;
    let session = session_of(&app, "linus").await;
    let everybody = Whom::Role(SHOP_READER.parse().unwrap());
    for whom in [whole(&session), everybody] {
        // The account has no such role, so that STS refuses to open it.
        let answer = app.broker.revoke(&order(whom), host(), None).await.unwrap();
        let Reach::Later(why) = &answer.roles[0].reach else {
            panic!("{:?}", answer.roles)
        };
        assert!(
            why.contains("arn:aws:iam::222233334444:role/rolegate-revoker"),
            "{why}"
        );
        assert_eq!(answer.later(), 1);
    }
    assert_eq!(app.broker.settle_revocations().await.unwrap(), 1);
    let waiting = app.store.roles_to_settle(app.broker.now()).await.unwrap();
    assert_eq!(waiting, [SHOP_READER.parse::<TargetArn>().unwrap()]);
    let rows = app.audit_rows().await;
    let tries: Vec<_> = rows
        .iter()
        .filter(|row| row.event.action == Action::RevocationApply)
        .collect();
    assert_eq!(tries.len(), 1, "the same failure again is no news");
    assert_eq!(tries[0].event.outcome, Outcome::Failed);
    assert_eq!(tries[0].event.role.as_deref(), Some(SHOP_READER));
    let records = app.broker.revocations().await.unwrap();
    assert_eq!(records.len(), 2);
    assert!(matches!(records[0].roles[0].1, Reach::Later(_)));
}

#[tokio::test]
async fn what_no_policy_of_a_role_can_end_says_so() {
    let app = TestApp::start().await;
    for (arn, has_policy) in [
        ("arn:aws:iam::222233334444:user/uploader", true),
        ("arn:aws:sts::222233334444:federated-user/uploads", true),
        (
            "arn:aws:iam::222233334444:role/aws-reserved/sso.amazonaws.com/AWSReservedSSO_Admin_1",
            false,
        ),
        (
            "arn:aws:iam::222233334444:role/aws-service-role/x.amazonaws.com/AWSServiceRoleForX",
            false,
        ),
    ] {
        let whom = Whom::Role(arn.parse().unwrap());
        let answer = app.broker.revoke(&order(whom), host(), None).await.unwrap();
        assert!(matches!(answer.roles[0].reach, Reach::Never(_)), "{arn}");
        assert_eq!(answer.roles[0].policy.is_some(), has_policy, "{arn}");
    }
    assert_eq!(
        app.store.roles_to_settle(app.broker.now()).await.unwrap(),
        []
    );
}

#[tokio::test]
async fn people_end_their_own_sessions_and_nobody_else_s() {
    let app = TestApp::start().await;
    let mut browser = app.signed_in("linus").await;
    let mut other = app.signed_in("linus").await;
    browser.open_console(&[("role", SHOP_READER)]).await;
    let page = browser.get("/sessions").await.body;
    let id = Regex::new(r#"action="/sessions/revoke">.*?name="session" value="([^"]+)""#).unwrap();
    let id = id.captures(&page).unwrap_or_else(|| panic!("{page}"))[1].to_owned();

    let mut stranger = app.signed_in("ada").await;
    stranger.get("/sessions").await;
    let refused = stranger.post("/sessions/revoke", &[("session", &id)]).await;
    assert_eq!(refused.status, 404, "{}", refused.body);
    let forged = browser
        .post_without_token("/sessions/revoke", &[("session", &id)])
        .await;
    assert_eq!(forged.status, 403, "{}", forged.body);
    assert!(app.broker.revocations().await.unwrap().is_empty());

    let ended = browser.post("/sessions/revoke", &[("session", &id)]).await;
    assert_eq!(ended.status, 303, "{}", ended.body);
    let page = browser.get(ended.location()).await.body;
    assert!(page.contains("At 1 role an admin"), "{page}");
    let read_by_stranger = stranger.get(ended.location()).await.body;
    assert!(
        !read_by_stranger.contains("At 1 role"),
        "{read_by_stranger}"
    );
    assert_eq!(
        other.get("/").await.status,
        200,
        "one role session is no sign-in"
    );

    let all = browser.post("/sessions/revoke-all", &[]).await;
    assert_eq!(all.status, 303, "{}", all.body);
    assert_eq!(browser.get("/").await.status, 200, "the own browser stays");
    assert_eq!(other.get("/").await.status, 303, "the other one does not");
    assert_eq!(stranger.get("/").await.status, 200);
}

#[tokio::test]
async fn the_helpdesk_ends_a_person_s_sessions_and_admins_a_role_s() {
    let desk = Desk::start().await;
    let mut linus = desk.app.signed_in("linus").await;
    linus.open_console(&[("role", SHOP_READER)]).await;
    let subject = session_of(&desk.app, "linus").await.identity.subject;
    let mut hal = desk.app.signed_in("hal").await;
    let page = hal.get(&format!("/helpdesk/people/corp/{subject}")).await;
    let address = format!("/helpdesk/revocations/new?person=corp%3A{subject}");
    assert!(page.body.contains(&address), "{}", page.body);
    let confirm = hal.get(&address).await;
    assert_eq!(confirm.status, 200);
    for words in [
        "What will happen",
        "What cannot be undone",
        SHOP_READER,
        "*:linus",
    ] {
        assert!(confirm.body.contains(words), "{words}: {}", confirm.body);
    }
    assert_eq!(linus.get("/").await.status, 200, "nothing has happened yet");

    let fields = [
        ("connector", "corp"),
        ("subject", subject.as_str()),
        ("reason", "HD-7"),
    ];
    let revoked = hal.post("/helpdesk/revocations", &fields).await;
    assert_eq!(revoked.status, 303, "{}", revoked.body);
    assert_eq!(linus.get("/").await.status, 303);
    let page = hal.get(revoked.location()).await;
    for words in [
        "linus at corp",
        "HD-7",
        "to paste",
        SHOP_READER,
        "five minutes",
    ] {
        assert!(page.body.contains(words), "{words}: {}", page.body);
    }
    let list = hal.get("/helpdesk/revocations").await;
    assert!(list.body.contains(revoked.location()), "{}", list.body);

    let role = [("role", SHOP_READER)];
    let refused = hal.post("/helpdesk/revocations", &role).await;
    assert_eq!(refused.status, 403, "{}", refused.body);
    let event = serde_json::to_value(desk.last_event().await).unwrap();
    assert_eq!(
        (&event["action"], &event["reason"]),
        (&"session.revoke".into(), &"not_admin".into())
    );
    let mut amy = desk.app.signed_in("amy").await;
    let page = amy.get(&format!("/helpdesk/roles/{SHOP_READER}")).await;
    let href = Regex::new(r#"href="(/helpdesk/revocations/new\?role=[^"]+)""#).unwrap();
    let href = href
        .captures(&page.body)
        .unwrap_or_else(|| panic!("{}", page.body))[1]
        .to_owned();
    assert_eq!(amy.get(&href).await.status, 200);
    let revoked = amy.post("/helpdesk/revocations", &role).await;
    assert_eq!(revoked.status, 303, "{}", revoked.body);
}

#[tokio::test]
async fn nobody_but_the_staff_reaches_the_pages_and_auditors_only_read() {
    let desk = Desk::start_with(Options::default()).await;
    desk.app.directory.add_entry(person("olga", "olga"));
    let group = Entry::new(group_dn("auditors"))
        .with("objectClass", ["top", "groupOfNames"])
        .with("cn", ["auditors"])
        .with("member", [person_dn("olga")]);
    desk.app.directory.add_entry(group);
    let mut linus = desk.app.signed_in("linus").await;
    let role = [("role", SHOP_READER)];
    assert_eq!(linus.get("/helpdesk/revocations").await.status, 403);
    assert_eq!(linus.post("/helpdesk/revocations", &role).await.status, 403);
    assert_eq!(
        linus.post("/helpdesk/revocations/retry", &[]).await.status,
        403
    );
    let subject = session_of(&desk.app, "linus").await.identity.subject;
    let mut olga = desk.app.signed_in("olga").await;
    assert_eq!(olga.get("/helpdesk/revocations").await.status, 200);
    let fields = [("connector", "corp"), ("subject", subject.as_str())];
    let refused = olga.post("/helpdesk/revocations", &fields).await;
    assert_eq!(refused.status, 403, "{}", refused.body);
    assert_eq!(
        olga.post("/helpdesk/revocations/retry", &[]).await.status,
        403
    );
    assert_eq!(linus.get("/").await.status, 200);
    assert!(desk.app.broker.revocations().await.unwrap().is_empty());
}

#[tokio::test]
async fn the_command_line_prints_revokes_and_lists() {
    let desk = Desk::start().await;
    let mut linus = desk.app.signed_in("linus").await;
    linus.open_console(&[("role", SHOP_READER)]).await;
    let json = |arguments: &[&str], code: i32| -> Value {
        let output = desk.command(arguments);
        let err = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{err}");
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let printed = json(
        &["revoke", "person", "linus", "--print", "--output", "json"],
        0,
    );
    assert_eq!(printed[0]["role"], SHOP_READER);
    assert_eq!(printed[0]["how"], "paste");
    assert_eq!(linus.get("/").await.status, 200, "printing ends nothing");
    assert_eq!(
        json(&["revoke", "list", "--output", "json"], 0),
        serde_json::json!([])
    );

    let revoked = json(&["revoke", "person", "linus", "--output", "json"], 1);
    assert_eq!(revoked[0]["sign_ins_ended"], 1);
    assert_eq!(revoked[0]["roles"][0]["state"], "paste");
    assert_eq!(revoked[0]["roles"][0]["policy"]["Version"], "2012-10-17");
    assert_eq!(linus.get("/").await.status, 303);
    let listed = json(&["revoke", "list", "--output", "json"], 0);
    assert_eq!(listed[0]["whose"], "linus at corp");

    let told = desk.command(&["revoke", "role", SHOP_READER, "--reason", "drill"]);
    let told = String::from_utf8(told.stdout).unwrap();
    for words in [
        "everybody in",
        "paste",
        "five minutes",
        "RolegateRevocations",
        "CloudTrail",
    ] {
        assert!(told.contains(words), "{words}: {told}");
    }
    let unknown = desk.command(&["revoke", "person", "nobody-here"]);
    assert_eq!(unknown.status.code(), Some(1));
    let unknown = desk.command(&["revoke", "session", "0000"]);
    assert_eq!(unknown.status.code(), Some(1));
}

#[tokio::test]
async fn an_assertion_that_a_browser_still_holds_opens_nothing_after_the_revocation() {
    const POSTED: &str = "arn:aws:iam::222233334444:role/Posted";
    let dir = temporary_dir("issuer");
    let app = TestApp::start_with(Options {
        more_toml: issuer_toml(dir.path()),
        ..Options::default()
    })
    .await;
    let role = Role {
        owner: None,
        arn: POSTED.parse().unwrap(),
        description: None,
        own: RoleDefaults {
            grant_method: Some(GrantMethod::AssumeRoleWithSaml),
            vouched_by: Some(Voucher::Issuer),
            console: Some(ConsoleWay::SamlPost),
            ..RoleDefaults::default()
        },
        session_policy: None,
        policy_arns: Vec::new(),
        session_tags: BTreeMap::new(),
        protected: false,
        disabled: false,
    };
    app.edit(vec![
        Change::PutRole(Box::new(role)),
        Change::PutMapping(mapping("book-club", POSTED)),
    ])
    .await;
    let mut browser = app.signed_in("ada").await;
    let page = browser.open_console(&[("role", POSTED)]).await;
    assert_eq!(page.status, 200, "{}", page.body);
    let held = Regex::new(r#"name="?SAMLResponse"?\s+value="?([^"\s>]+)"#).unwrap();
    let held = held.captures(&page.body).unwrap()[1]
        .replace("&#43;", "+")
        .replace("&#61;", "=");
    let held = String::from_utf8(STANDARD.decode(held).unwrap()).unwrap();
    let end = Regex::new(r#"NotOnOrAfter="([^"]+)" Recipient"#).unwrap();
    let end = OffsetDateTime::parse(&end.captures(&held).unwrap()[1], &Rfc3339).unwrap();
    let session = session_of(&app, "ada").await;
    for whom in [whole(&session), Whom::Role(POSTED.parse().unwrap())] {
        let answer = app.broker.revoke(&order(whom), host(), None).await.unwrap();
        // A session counts by when AWS issued it.
        assert!(
            answer.issued_before >= end,
            "{} {end}",
            answer.issued_before
        );
        let policy = &answer.roles[0].policy.as_ref().unwrap().document;
        let before = answer.issued_before.format(&Rfc3339).unwrap();
        assert!(policy.contains(&before), "{policy}");
    }
    let other = Whom::Role(SHOP_READER.parse().unwrap());
    let answer = app
        .broker
        .revoke(&order(other), host(), None)
        .await
        .unwrap();
    assert!(
        answer.issued_before < end,
        "nothing was posted for that role"
    );
}
