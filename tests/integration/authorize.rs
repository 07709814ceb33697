//! The page where a person lets a program on their computer act for them, and every way around it.

use std::collections::BTreeMap;

use serde_json::json;
use time::Duration;

use crate::{
    aws_tool::{CALLBACK, STATE, Tool, VERIFIER, answered, hidden_fields, path, press},
    support::{app::TestApp, cookie_browser::CookieBrowser},
};

const ROLES: &str = "assignment/roles?account_id=222233334444";

async fn approvals(app: &TestApp) -> usize {
    let rows = app.audit_rows().await;
    let rows = rows
        .iter()
        .map(|row| serde_json::to_value(&row.event).unwrap());
    rows.filter(|event| event["action"] == "token.approve")
        .count()
}

async fn asked(browser: &mut CookieBrowser, question: &BTreeMap<&'static str, String>) -> String {
    let page = browser.get(&path(question)).await;
    assert_eq!(page.status, 200, "{}", page.body);
    page.body
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_says_who_asks_for_what_and_does_nothing_by_itself() {
    let app = TestApp::start().await;
    let tool = Tool::by_code(&app).await;
    let mut browser = app.signed_in("linus").await;
    let page = browser.get(&path(&tool.question())).await;
    for words in [
        "calls itself",
        "botocore-client-corp",
        "Nobody vouches",
        "127.0.0.1:43211",
        "linus",
        "take short-lived credentials",
        "30 days",
        "started this yourself",
    ] {
        assert!(page.body.contains(words), "{words} in {}", page.body);
    }
    assert_eq!(page.header("cache-control"), "no-store");
    assert_eq!(page.header("x-frame-options"), "DENY");
    let policy = page.header("content-security-policy");
    assert!(
        policy.contains("form-action 'self' https: http://127.0.0.1:*"),
        "{policy}"
    );
    assert!(policy.contains("frame-ancestors 'none'"));
    for _ in 0..3 {
        asked(&mut browser, &tool.question()).await;
    }
    assert_eq!(approvals(&app).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_declines_gives_nothing_and_the_program_is_told() {
    let app = TestApp::start().await;
    let tool = Tool::by_code(&app).await;
    let mut browser = app.signed_in("linus").await;
    let page = browser.get(&path(&tool.question())).await;
    let answer = press(&mut browser, &page, "/authorize", "decline").await;
    assert_eq!(answer.status, 303);
    let sent = answered(&answer);
    assert_eq!(sent["error"], "access_denied");
    assert_eq!(sent["state"], STATE);
    assert!(!sent.contains_key("code"));
    let event = app.last_audit_event().await;
    assert_eq!(event["action"], "token.approve");
    assert_eq!(event["outcome"], "refused");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_program_wants_to_see_again_comes_back_as_it_was() {
    let app = TestApp::start().await;
    let tool = Tool::by_code(&app).await;
    let mut browser = app.signed_in("linus").await;
    let mut question = tool.question();
    let odd = "a b+c&d=e#f?\"<>'%20é\u{202e}/../";
    question.insert("state", odd.to_owned());
    let page = browser.get(&path(&question)).await;
    let hidden: BTreeMap<String, String> = hidden_fields(&page.body).into_iter().collect();
    assert_eq!(hidden["state"], odd);
    let answer = press(&mut browser, &page, "/authorize", "allow").await;
    assert_eq!(answered(&answer)["state"], odd);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_address_of_any_other_kind_is_an_error_page_of_ours() {
    let app = TestApp::start().await;
    let tool = Tool::by_code(&app).await;
    let mut browser = app.signed_in("linus").await;
    let tricks = [
        "",
        "http://evil.example/oauth/callback",
        "https://127.0.0.1:43211/oauth/callback",
        "http://127.0.0.1.evil.example:43211/oauth/callback",
        "http://127.0.0.1@evil.example/oauth/callback",
        "http://evil.example@127.0.0.1:43211/oauth/callback",
        "http://user:pw@127.0.0.1:43211/oauth/callback",
        "http://127.0.0.1:43211/oauth/callback/../../other",
        "http://127.0.0.1:43211/oauth/callback/",
        "http://127.0.0.1:43211/other",
        "http://127.0.0.1:43211/oauth/callback?more=1",
        "http://127.0.0.1:43211/oauth/callback#fragment",
        "http://localhost:43211/oauth/callback",
        "http://127.0.0.2:43211/oauth/callback",
        "http://127.1:43211/oauth/callback",
        "http://[::1]:43211/oauth/callback",
        "http://2130706433:43211/oauth/callback",
        "http:\\\\127.0.0.1:43211\\oauth\\callback",
        "//127.0.0.1:43211/oauth/callback",
        "javascript:alert(1)",
    ];
    for trick in tricks {
        let mut question = tool.question();
        question.insert("redirect_uri", trick.to_owned());
        let page = browser.get(&path(&question)).await;
        assert_eq!((page.status, page.location()), (400, ""), "{trick}");
        assert!(page.body.contains("<h1>"), "{trick}");
        // Nor by the form alone.
        browser.get("/").await;
        let mut fields: Vec<(&str, &str)> = (question.iter())
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        fields.push(("decision", "allow"));
        let answer = browser.post("/authorize", &fields).await;
        assert_eq!((answer.status, answer.location()), (400, ""), "{trick}");
    }
    let mut question = tool.question();
    question.remove("redirect_uri");
    assert_eq!(browser.get(&path(&question)).await.status, 400);
    question = tool.question();
    question.insert("client_id", "somebody".to_owned());
    assert_eq!(browser.get(&path(&question)).await.status, 400);
    for name in [
        "redirect_uri",
        "state",
        "client_id",
        "code_challenge",
        "scope",
    ] {
        let query = path(&tool.question());
        let page = browser.get(&format!("{query}&{name}=x")).await;
        assert_eq!((page.status, page.location()), (400, ""), "{name} twice");
    }
    assert_eq!(approvals(&app).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_without_a_good_challenge_or_with_more_scopes_gets_no_code() {
    let app = TestApp::start().await;
    let tool = Tool::by_code(&app).await;
    let mut browser = app.signed_in("linus").await;
    for (name, value, error) in [
        ("code_challenge_method", "plain", "invalid_request"),
        ("code_challenge_method", "", "invalid_request"),
        ("code_challenge_method", "s256", "invalid_request"),
        ("code_challenge", "", "invalid_request"),
        ("code_challenge", VERIFIER, "invalid_request"),
        ("response_type", "token", "unsupported_response_type"),
        ("response_type", "code token", "unsupported_response_type"),
        ("state", "", "invalid_request"),
        ("scopes", "roles", "invalid_scope"),
        ("scopes", "sso:account:access audit:read", "invalid_scope"),
        ("scopes", "everything", "invalid_scope"),
    ] {
        let mut question = tool.question();
        question.insert(name, value.to_owned());
        let answer = browser.get(&path(&question)).await;
        assert_eq!(answer.status, 303, "{name}={value}: {}", answer.body);
        let sent = answered(&answer);
        assert_eq!(sent["error"], error, "{name}={value}");
        assert!(!sent.contains_key("code"));

        browser.get("/").await;
        let mut fields: Vec<(&str, &str)> = (question.iter())
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        fields.push(("decision", "allow"));
        let answer = browser.post("/authorize", &fields).await;
        assert!(!answered(&answer).contains_key("code"), "{name}={value}");
    }
    assert_eq!(approvals(&app).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_else_presses_the_button() {
    let app = TestApp::start().await;
    let tool = Tool::by_code(&app).await;
    let mut browser = app.signed_in("linus").await;
    asked(&mut browser, &tool.question()).await;
    let question = tool.question();
    let mut fields: Vec<(&str, &str)> = (question.iter())
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    fields.push(("decision", "allow"));
    let answer = browser.post_without_token("/authorize", &fields).await;
    assert_eq!((answer.status, answer.location()), (403, ""));

    // Another person's token is as good as none.
    let mut other = app.signed_in("ada").await;
    other.get("/").await;
    let token = other.csrf_token.clone();
    fields.push(("csrf_token", &token));
    let answer = browser.post_without_token("/authorize", &fields).await;
    assert_eq!((answer.status, answer.location()), (403, ""));
    fields.pop();

    browser.headers = vec![("sec-fetch-site".to_owned(), "cross-site".to_owned())];
    let answer = browser.post("/authorize", &fields).await;
    assert_eq!((answer.status, answer.location()), (403, ""));
    let page = browser.get(&path(&question)).await;
    assert_eq!(
        page.status, 200,
        "a link from elsewhere asks, as the terminal's does"
    );
    browser.headers = vec![("sec-fetch-site".to_owned(), "same-origin".to_owned())];
    fields.pop();
    for decision in ["", "yes", "Allow"] {
        fields.push(("decision", decision));
        let answer = browser.post("/authorize", &fields).await;
        assert_eq!((answer.status, answer.location()), (400, ""), "{decision}");
        fields.pop();
    }
    assert_eq!(approvals(&app).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_was_signed_out_meanwhile_signs_in_and_is_asked_again() {
    let app = TestApp::start().await;
    let tool = Tool::by_code(&app).await;
    let mut browser = app.signed_in("linus").await;
    let page = browser.get(&path(&tool.question())).await;
    app.clock.advance(Duration::days(2));
    let answer = press(&mut browser, &page, "/authorize", "allow").await;
    assert_eq!(answer.status, 303, "{}", answer.body);
    assert!(answer.location().starts_with("/login?next=%2Fauthorize%3F"));
    assert_eq!(approvals(&app).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_is_good_once_for_its_client_its_address_and_its_verifier() {
    let app = TestApp::start().await;
    let tool = Tool::by_code(&app).await;
    let mut browser = app.signed_in("linus").await;
    let bad = |code: &str| {
        let code = code.to_owned();
        [
            (
                "another verifier",
                json!({ "code": code, "redirectUri": CALLBACK, "codeVerifier": "x".repeat(43) }),
            ),
            (
                "another port",
                json!({ "code": code, "redirectUri": CALLBACK.replace("43211", "43212"), "codeVerifier": VERIFIER }),
            ),
            (
                "the challenge itself",
                json!({ "code": code, "redirectUri": CALLBACK, "codeVerifier": tool.question()["code_challenge"] }),
            ),
        ]
    };
    for index in 0..3 {
        let code = tool.code(&mut browser).await;
        let (what, mut members) = bad(&code)[index].clone();
        members["grantType"] = "authorization_code".into();
        let refused = tool.token(members).await;
        assert_eq!(refused.outcome(), (400, "InvalidGrantException"), "{what}");
    }
    let code = tool.code(&mut browser).await;
    let other = Tool::by_code(&app).await;
    let refused = other.redeem(&code).await;
    assert_eq!(refused.outcome(), (400, "InvalidGrantException"));

    let code = tool.code(&mut browser).await;
    let first = tool.redeem(&code).await;
    assert_eq!(first.status, 200, "{first:?}");
    let token = first.text("accessToken");
    assert_eq!(tool.get(ROLES, &token).await.status, 200);
    let second = tool.redeem(&code).await;
    assert_eq!(second.outcome(), (400, "InvalidGrantException"));
    let refused = tool.get(ROLES, &token).await;
    assert_eq!(
        refused.outcome(),
        (401, "UnauthorizedException"),
        "the thief's or the owner's"
    );

    let code = tool.code(&mut browser).await;
    app.clock.advance(Duration::minutes(5));
    let late = tool.redeem(&code).await;
    assert_eq!(late.status, 400, "{late:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_token_that_comes_twice_ends_the_whole_family() {
    let app = TestApp::start().await;
    let tool = Tool::by_code(&app).await;
    let mut browser = app.signed_in("linus").await;
    let first = tool.signed_in(&mut browser).await;
    let second = tool.renew(&first.text("refreshToken")).await;
    assert_eq!(second.status, 200);
    let stolen = tool.renew(&first.text("refreshToken")).await;
    assert_eq!(stolen.outcome(), (400, "InvalidGrantException"));
    for tokens in [&first, &second] {
        let refused = tool.get(ROLES, &tokens.text("accessToken")).await;
        assert_eq!(refused.outcome(), (401, "UnauthorizedException"));
    }
    let refused = tool.renew(&second.text("refreshToken")).await;
    assert_eq!(refused.outcome(), (400, "InvalidGrantException"));
    let event = app.audit_rows().await;
    let events = event
        .iter()
        .map(|row| serde_json::to_value(&row.event).unwrap());
    assert!(
        events
            .filter(|event| event["action"] == "token.refresh")
            .any(|event| event["outcome"] == "refused")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_cannot_ask_for_more_when_it_exchanges_its_code() {
    let app = TestApp::start().await;
    let tool = Tool::by_code(&app).await;
    let mut browser = app.signed_in("grace").await;
    let code = tool.code(&mut browser).await;
    let tokens = tool
        .token(json!({
            "grantType": "authorization_code", "code": code, "redirectUri": CALLBACK,
            "codeVerifier": VERIFIER, "scope": ["audit:read", "sessions"],
        }))
        .await;
    let renewed = tool
        .token(json!({
            "grantType": "refresh_token", "refreshToken": tokens.text("refreshToken"),
            "scope": ["audit:read", "sessions"],
        }))
        .await;
    let rows = app.audit_rows().await;
    let issued = (rows.iter())
        .map(|row| serde_json::to_value(&row.event).unwrap())
        .find(|event| event["action"] == "token.issue")
        .unwrap();
    assert_eq!(
        issued["details"]["scopes"], "sso:account:access",
        "{issued}"
    );
    assert_eq!(
        tool.get("assignment/accounts", &renewed.text("accessToken"))
            .await
            .status,
        200
    );
}
