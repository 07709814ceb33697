//! What is refused, with status, page and audit row, and without a call to STS.

use std::collections::HashMap;

use rolegate::{
    access::{Conditions, GroupKey, GroupKeyForm, Mapping, MappingId, Origin},
    clock::Clock as _,
    demo::sample::{group_dn, person_dn},
    store::Change,
};
use time::Duration;

use crate::support::{app::TestApp, cookie_browser::Answer};

const SHOP_READER: &str = "arn:aws:iam::222233334444:role/ReadOnly";
const SHORT: &str = "arn:aws:iam::111122223333:role/Administrator";
const EXPIRED: &str = "arn:aws:iam::444455556666:role/Billing";

/// The answer has this status, the newest audit row this reason, and STS heard nothing.
async fn assert_refused(app: &TestApp, answer: &Answer, status: u16, reason: &str) {
    assert_eq!(answer.status, status, "{}", answer.body);
    let event = app.last_audit_event().await;
    assert_eq!(
        (event["outcome"].as_str(), event["reason"].as_str()),
        (Some("refused"), Some(reason)),
        "{event}"
    );
    assert_eq!(event["request_id"], answer.header("x-request-id"));
    assert!(
        answer.body.contains(answer.header("x-request-id")),
        "{}",
        answer.body
    );
    assert_nothing_issued(app);
}

/// The page without what differs each time it is made.
fn without_tokens(html: &str) -> String {
    let tokens = regex::Regex::new(r#"value="?[0-9a-f]{64}"?"#).unwrap();
    tokens.replace_all(html, "").into_owned()
}

fn assert_nothing_issued(app: &TestApp) {
    assert!(app.aws.issued().is_empty(), "STS issued credentials");
}

#[tokio::test]
async fn a_role_of_somebody_else() {
    let app = TestApp::start().await;
    let mut browser = app.signed_in("linus").await;
    let answer = browser.open_console(&[("role", SHORT)]).await;
    assert_refused(&app, &answer, 403, "no_mapping").await;
    assert!(
        !answer.body.contains("Payments production"),
        "tells a stranger the account's name"
    );
}

#[tokio::test]
async fn a_role_that_does_not_exist_looks_the_same() {
    let app = TestApp::start().await;
    let mut browser = app.signed_in("linus").await;
    let there = browser.open_console(&[("role", SHORT)]).await;
    let not_there = "arn:aws:iam::111122223333:role/Administrato_";
    let answer = browser.open_console(&[("role", not_there)]).await;
    assert_refused(&app, &answer, 403, "unknown_role").await;
    let same = |answer: &Answer| {
        let id = answer.header("x-request-id");
        let body = answer
            .body
            .replace(id, "")
            .replace("Administrato_", "Administrator");
        without_tokens(&body)
    };
    assert_eq!(same(&there), same(&answer));
}

#[tokio::test]
async fn a_mapping_that_expired() {
    let app = TestApp::start().await;
    let mut browser = app.signed_in("grace").await;
    let answer = browser.open_console(&[("role", EXPIRED)]).await;
    assert_refused(&app, &answer, 403, "mapping_expired").await;
}

#[tokio::test]
async fn a_group_that_the_person_left_since_signing_in() {
    let app = TestApp::start().await;
    let mut browser = app.signed_in("linus").await;
    app.directory
        .remove_member(&group_dn("webshop-readers"), &person_dn("linus"));
    app.clock.advance(Duration::minutes(6));
    let answer = browser.open_console(&[("role", SHOP_READER)]).await;
    assert_refused(&app, &answer, 403, "no_mapping").await;
}

#[tokio::test]
async fn an_account_that_is_gone_ends_every_session_at_once() {
    let app = TestApp::start().await;
    let mut browser = app.signed_in("linus").await;
    let mut other = app.signed_in("linus").await;
    app.directory.remove_entry(&person_dn("linus"));
    app.clock.advance(Duration::minutes(6));
    let answer = browser.open_console(&[("role", SHOP_READER)]).await;
    assert_eq!(answer.status, 403);
    assert_nothing_issued(&app);
    let event = app.last_audit_event().await;
    assert_eq!(
        (&event["action"], &event["reason"]),
        (&"sign_out".into(), &"account_gone".into())
    );
    assert_eq!(other.get("/").await.status, 303);
}

#[tokio::test]
async fn a_missing_or_foreign_csrf_token() {
    let app = TestApp::start().await;
    let mut browser = app.signed_in("linus").await;
    browser.get("/").await;
    let bare = browser
        .post_without_token("/console", &[("role", SHOP_READER)])
        .await;
    let mut stranger = app.signed_in("ada").await;
    stranger.get("/").await;
    let fields = [
        ("role", SHOP_READER),
        ("csrf_token", stranger.csrf_token.as_str()),
    ];
    let foreign = browser.post_without_token("/console", &fields).await;
    assert_eq!((bare.status, foreign.status), (403, 403));
    assert_nothing_issued(&app);
}

#[tokio::test]
async fn a_form_from_another_site() {
    let app = TestApp::start().await;
    let mut browser = app.signed_in("linus").await;
    browser.get("/").await;
    for headers in [
        vec![("sec-fetch-site", "cross-site")],
        vec![("sec-fetch-site", "same-site")],
        vec![("origin", "https://evil.example")],
        vec![("origin", "null")],
    ] {
        browser.headers = headers
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect();
        let answer = browser.post("/console", &[("role", SHOP_READER)]).await;
        assert_eq!(answer.status, 403, "{headers:?}");
    }
    assert_nothing_issued(&app);
}

#[tokio::test]
async fn a_foreign_next_goes_to_the_picker() {
    let app = TestApp::start().await;
    for next in [
        "https://evil.example/",
        "//evil.example",
        "/\\evil.example",
        "/%0d%0ax",
    ] {
        let mut browser = app.browser();
        browser.get("/login").await;
        let fields = [
            ("username", "linus"),
            ("password", "linus-demo"),
            ("next", next),
        ];
        let answer = browser.post("/login/corp", &fields).await;
        assert_eq!(answer.status, 303);
        let stays = answer.location().starts_with('/') && !answer.location().starts_with("//");
        assert!(stays, "{next} led to {}", answer.location());
    }
}

#[tokio::test]
async fn a_destination_outside_the_console() {
    let app = TestApp::start().await;
    let mut browser = app.signed_in("linus").await;
    for destination in [
        "https://evil.example/",
        "https://console.aws.amazon.com.evil.example/",
        "https://console.aws.amazon.com@evil.example/",
        "http://console.aws.amazon.com/",
        "https://console.amazonaws.cn/",
        "javascript:alert(1)",
    ] {
        let fields = [("role", SHOP_READER), ("destination", destination)];
        let answer = browser.open_console(&fields).await;
        assert_refused(&app, &answer, 400, "destination_refused").await;
    }
}

#[tokio::test]
async fn a_region_that_is_none_of_the_partitions() {
    let app = TestApp::start().await;
    let mut browser = app.signed_in("linus").await;
    browser.get("/").await;
    // A link can fill the field in, and what is shown is pasted into shells and AWS's files.
    for region in [
        "x\" & calc & rem \"",
        "x\ncredential_process = x",
        "cn-north-1",
    ] {
        for path in ["/credentials", "/console"] {
            let fields = [("role", SHOP_READER), ("region", region)];
            let answer = browser.post(path, &fields).await;
            assert_refused(&app, &answer, 400, "destination_refused").await;
        }
    }
}

#[tokio::test]
async fn a_duration_over_the_limit_names_the_limit_and_offers_it() {
    let app = TestApp::start().await;
    let mut browser = app.signed_in("ada").await;
    let answer = browser
        .open_console(&[("role", SHORT), ("duration", "4h")])
        .await;
    assert_refused(&app, &answer, 400, "duration_too_long").await;
    assert!(answer.body.contains("1 h"), "{}", answer.body);
    let offered = browser
        .post("/console", &[("role", SHORT), ("duration", "3600")])
        .await;
    assert_eq!(offered.status, 303);
}

#[tokio::test]
async fn nonsense_durations_say_what_would_be_right() {
    let app = TestApp::start().await;
    let mut browser = app.signed_in("ada").await;
    for duration in ["soon", "14m", "-1", "37h", "1969-07-20T20:17:00Z"] {
        let answer = browser
            .open_console(&[("role", SHORT), ("duration", duration)])
            .await;
        assert_refused(&app, &answer, 400, "duration_invalid").await;
    }
}

#[tokio::test]
async fn signing_in_with_a_wrong_password_an_unknown_name_and_a_locked_account_look_the_same() {
    let app = TestApp::start().await;
    let mut answers = Vec::new();
    for (username, password) in [("ada", "wrong"), ("nobody", "x"), ("locked", "locked-demo")] {
        let mut browser = app.browser();
        let answer = browser.sign_in(username, password).await;
        assert_eq!(answer.status, 401);
        let body = answer
            .body
            .replace(answer.header("x-request-id"), "")
            .replace(&format!("value=\"{username}\""), "");
        answers.push(without_tokens(&body));
    }
    assert_eq!(answers[0], answers[1]);
    assert_eq!(answers[0], answers[2]);
    let rows = app.audit_rows().await;
    let reasons: Vec<_> = rows[..3]
        .iter()
        .map(|row| row.event.reason.clone().unwrap())
        .collect();
    assert_eq!(reasons[1..], ["unknown_user", "wrong_password"]);
}

#[tokio::test]
async fn an_empty_password_is_refused_before_the_directory_is_asked_to_check_it() {
    let app = TestApp::start().await;
    let mut browser = app.browser();
    browser.sign_in("ada", "ada-demo").await;
    let binds = app.directory.binds();
    let mut other = app.browser();
    assert_eq!(other.sign_in("ada", "").await.status, 401);
    let event = app.last_audit_event().await;
    assert_eq!(event["reason"], "empty_password");
    assert_eq!(app.directory.binds(), binds);
}

#[tokio::test]
async fn too_many_failures_make_that_person_wait_there_and_nowhere_else() {
    let app = TestApp::start_overriding(&[("SERVER__TRUSTED_PROXIES", "[\"127.0.0.1/32\"]")]).await;
    let mut known = app.signed_in("ada").await;
    known.get("/").await;
    known.post("/logout", &[]).await;
    let mut browser = app.browser();
    let mut last = browser.sign_in("ada", "wrong").await;
    for _ in 0..6 {
        last = browser.sign_in("ADA ", "wrong").await;
    }
    assert_eq!(last.status, 429, "{}", last.body);
    assert!(last.header("retry-after").parse::<u64>().unwrap() >= 1);
    assert_eq!(app.browser().sign_in("ada", "ada-demo").await.status, 429);
    assert_eq!(
        app.browser().sign_in("grace", "grace-demo").await.status,
        303
    );
    assert_eq!(
        known.sign_in("ada", "ada-demo").await.status,
        303,
        "a stranger locked her out"
    );
    let mut elsewhere = app.browser();
    elsewhere
        .headers
        .push(("x-forwarded-for".to_owned(), "198.51.100.7".to_owned()));
    assert_eq!(elsewhere.sign_in("ada", "ada-demo").await.status, 303);
}

#[tokio::test]
async fn too_many_failures_from_one_address_keep_no_known_browser_out() {
    let app = TestApp::start().await;
    let mut known = app.signed_in("ada").await;
    known.get("/").await;
    known.post("/logout", &[]).await;
    let mut stranger = app.browser();
    let mut last = stranger.sign_in("nobody-0", "wrong").await;
    for number in 1..80 {
        last = stranger.sign_in(&format!("nobody-{number}"), "wrong").await;
    }
    assert_eq!(last.status, 429, "{}", last.body);
    assert_eq!(
        app.browser().sign_in("grace", "grace-demo").await.status,
        429,
        "an unknown browser there waits"
    );
    assert_eq!(
        known.sign_in("grace", "grace-demo").await.status,
        429,
        "it is known for ada alone"
    );
    assert_eq!(known.sign_in("ada", "ada-demo").await.status, 303);
}

#[tokio::test]
async fn sessions_end_when_idle_and_when_too_old() {
    let app = TestApp::start().await;
    let mut idle = app.signed_in("linus").await;
    app.clock.advance(Duration::hours(7));
    assert_eq!(idle.get("/").await.status, 200);
    app.clock.advance(Duration::hours(4));
    assert_eq!(idle.get("/").await.status, 200);
    app.clock.advance(Duration::hours(2));
    let away = idle.get("/").await;
    assert_eq!(
        (away.status, away.location()),
        (303, "/login?next=%2F&expired=1"),
        "twelve hours are over"
    );

    let mut idle = app.signed_in("linus").await;
    app.clock.advance(Duration::hours(8));
    assert_eq!(idle.get("/").await.status, 303);
}

#[tokio::test]
async fn signing_out_ends_the_session_on_the_server_and_signing_in_makes_a_new_id() {
    let app = TestApp::start().await;
    let mut browser = app.signed_in("linus").await;
    let stolen = browser.clone();
    browser.get("/").await;
    let answer = browser.post("/logout", &[]).await;
    assert_eq!((answer.status, answer.location()), (303, "/signed-out"));
    assert_eq!(stolen.clone().get("/").await.status, 303);

    let mut fixed = app.browser();
    fixed
        .cookies
        .insert("rolegate".to_owned(), "AAAAAAAAAAAAAAAAAAAAAA".to_owned());
    fixed.sign_in("linus", "linus-demo").await;
    assert_ne!(fixed.cookies["rolegate"], "AAAAAAAAAAAAAAAAAAAAAA");
    let first = fixed.cookies["rolegate"].clone();
    let mut old = fixed.clone();
    fixed.cookies.insert("keep".to_owned(), "1".to_owned());
    fixed.get("/signed-out").await;
    let token = {
        fixed.get("/").await;
        fixed.csrf_token.clone()
    };
    let fields = [
        ("username", "linus"),
        ("password", "linus-demo"),
        ("csrf_token", token.as_str()),
    ];
    assert_eq!(
        fixed
            .post_without_token("/login/corp", &fields)
            .await
            .status,
        303
    );
    assert_ne!(fixed.cookies["rolegate"], first);
    assert_eq!(
        old.get("/").await.status,
        303,
        "the id before the second sign-in still works"
    );
}

#[tokio::test]
async fn one_session_can_be_ended_from_another_and_strangers_sessions_cannot() {
    let app = TestApp::start().await;
    let mut here = app.signed_in("linus").await;
    let mut there = app.signed_in("linus").await;
    let mut ada = app.signed_in("ada").await;
    let foreign = app.store_sessions("ada").await.remove(0);
    here.get("/sessions").await;
    assert_eq!(
        here.post("/sessions/sign-out", &[("session", &foreign)])
            .await
            .status,
        404
    );
    assert_eq!(ada.get("/").await.status, 200);
    here.get("/sessions").await;
    assert_eq!(
        here.post("/sessions/sign-out-everywhere", &[]).await.status,
        303
    );
    assert_eq!(
        (here.get("/").await.status, there.get("/").await.status),
        (303, 303)
    );
    assert_eq!(ada.get("/").await.status, 200);
}

#[tokio::test]
async fn every_answer_carries_the_security_headers() {
    let app = TestApp::start().await;
    let mut browser = app.browser();
    for (path, status) in [
        ("/login", 200),
        ("/", 303),
        ("/nowhere", 404),
        ("/console", 405),
    ] {
        let answer = browser.get(path).await;
        assert_eq!(answer.status, status, "{path}");
        let policy = answer.header("content-security-policy");
        assert!(
            policy.contains("default-src 'none'") && !policy.contains("unsafe"),
            "{path}"
        );
        assert!(policy.contains("frame-ancestors 'none'"), "{path}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(answer.header("referrer-policy"), "same-origin", "{path}");
        assert_eq!(answer.header("cache-control"), "no-store", "{path}");
        assert!(!answer.header("x-request-id").is_empty(), "{path}");
        assert!(
            answer.header("access-control-allow-origin").is_empty(),
            "{path}"
        );
    }
    assert_eq!(browser.get("/console").await.header("allow"), "POST");
}

#[tokio::test]
async fn behind_https_cookies_are_host_bound_and_hsts_is_sent() {
    let app = TestApp::start_overriding(&[("PUBLIC_URL", "https://aws.example.com")]).await;
    let mut browser = app.browser();
    let login = browser.get("/login").await;
    assert!(
        login
            .header("strict-transport-security")
            .contains("max-age=63072000")
    );
    assert!(
        !login
            .header("content-security-policy")
            .contains("127.0.0.1")
    );
    let answer = browser
        .post(
            "/login/corp",
            &[("username", "linus"), ("password", "linus-demo")],
        )
        .await;
    let session = answer
        .headers
        .get_all("set-cookie")
        .iter()
        .map(|cookie| cookie.to_str().unwrap())
        .find(|cookie| cookie.starts_with("__Host-rolegate="))
        .unwrap();
    for attribute in ["Secure", "HttpOnly", "SameSite=Lax", "Path=/"] {
        assert!(session.contains(attribute), "{session}");
    }
    assert!(!session.contains("Domain"), "{session}");
    browser.get("/").await;
    let out = browser.post("/logout", &[]).await;
    let removals: Vec<_> = out
        .headers
        .get_all("set-cookie")
        .iter()
        .map(|c| c.to_str().unwrap())
        .collect();
    let removal = removals
        .iter()
        .find(|c| c.starts_with("__Host-rolegate=;"))
        .unwrap();
    assert!(
        removal.contains("Secure") && removal.contains("Max-Age=0"),
        "{removals:?}"
    );
}

#[tokio::test]
async fn large_bodies_doubled_fields_and_wrong_types_are_refused() {
    let app = TestApp::start().await;
    let mut browser = app.signed_in("linus").await;
    browser.get("/").await;
    let large = "x".repeat(100_000);
    assert_eq!(
        browser.post("/console", &[("role", &large)]).await.status,
        413
    );
    let doubled = [("role", SHOP_READER), ("role", SHORT)];
    assert_eq!(browser.post("/console", &doubled).await.status, 400);
    assert_eq!(browser.post("/console", &[]).await.status, 400);
    assert_nothing_issued(&app);
}

#[tokio::test]
async fn a_session_that_would_outlive_its_mapping_because_our_clock_is_slow_is_dropped() {
    let forms = HashMap::from([("corp".parse().unwrap(), GroupKeyForm::DistinguishedName)]);
    let app = TestApp::start().await;
    let group = format!("corp:{}", group_dn("everyone"));
    app.edit(vec![Change::PutMapping(Mapping {
        id: MappingId("new".to_owned()),
        group: GroupKey::parse(&group, &forms).unwrap(),
        role: "arn:aws:iam::111122224444:role/LoadTest".parse().unwrap(),
        conditions: Conditions {
            expires: Some(app.clock.now() + Duration::minutes(45)),
            ..Conditions::default()
        },
        ticket: None,
        origin: Origin::Store,
    })])
    .await;
    app.clock.advance(-Duration::minutes(30));
    let mut browser = app.signed_in("linus").await;
    let fields = [("role", "arn:aws:iam::111122224444:role/LoadTest")];
    let answer = browser.open_console(&fields).await;
    assert_eq!(answer.status, 403, "{}", answer.body);
    assert!(app.aws.sign_ins().is_empty());
    let event = app.last_audit_event().await;
    assert_eq!(event["reason"], "session_outlives_mapping");
    assert_eq!(
        event["details"]["access_key_id"],
        app.aws.issued()[0].access_key_id
    );
}

#[tokio::test]
async fn a_reason_longer_than_is_kept() {
    let app = TestApp::start().await;
    let mut browser = app.signed_in("linus").await;
    let reason = "x".repeat(501);
    let answer = browser
        .open_console(&[("role", SHOP_READER), ("reason", &reason)])
        .await;
    assert_refused(&app, &answer, 400, "reason_too_long").await;
}
