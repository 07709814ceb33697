//! The page where a person types the code of a terminal elsewhere, and every way around it.

use reqwest::Method;
use serde_json::Value;
use time::Duration;

use crate::{
    aws_tool::{Tool, hidden_fields, press},
    support::app::TestApp,
};

async fn approvals(app: &TestApp) -> Vec<Value> {
    let rows = app.audit_rows().await;
    let rows = rows
        .iter()
        .map(|row| serde_json::to_value(&row.event).unwrap());
    rows.filter(|event| event["action"] == "token.approve")
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tool_elsewhere_waits_until_a_person_typed_its_code_and_agreed() {
    let app = TestApp::start().await;
    let tool = Tool::by_device(&app).await;
    let started = tool.start_device().await;
    let (device_code, user_code) = (started.text("deviceCode"), started.text("userCode"));
    assert_eq!(started.body["expiresIn"], 600);
    assert_eq!(started.body["interval"], 5);
    let here = app.url.join("device").unwrap();
    assert_eq!(started.text("verificationUri"), here.as_str());
    assert_eq!(
        started.text("verificationUriComplete"),
        here.as_str(),
        "without the code"
    );

    // The command line asks twice at once, then waits.
    let first = tool.poll(&device_code).await;
    assert_eq!(first.outcome(), (400, "AuthorizationPendingException"));
    assert_eq!(first.text("error"), "authorization_pending");
    let second = tool.poll(&device_code).await;
    assert_eq!(second.outcome(), (400, "SlowDownException"));
    app.clock.advance(Duration::seconds(11));
    let third = tool.poll(&device_code).await;
    assert_eq!(third.outcome(), (400, "AuthorizationPendingException"));

    let mut browser = app.signed_in("linus").await;
    let form = browser.get("/device").await;
    assert_eq!(form.status, 200);
    let typed = user_code.to_lowercase().replace('-', " ");
    let page = browser.post("/device", &[("user_code", &typed)]).await;
    assert_eq!(page.status, 200, "{}", page.body);
    for words in [
        "calls itself",
        "botocore-client-1767225600",
        "Nobody vouches",
        "127.0.0.1",
        "the same address as yours",
        "ago",
        "linus",
        "If somebody gave you the code, decline",
    ] {
        assert!(page.body.contains(words), "{words} in {}", page.body);
    }
    assert_eq!(approvals(&app).await.len(), 0, "looking is not agreeing");
    app.clock.advance(Duration::seconds(11));
    let fourth = tool.poll(&device_code).await;
    assert_eq!(fourth.outcome(), (400, "AuthorizationPendingException"));

    let done = press(&mut browser, &page, "/device", "allow").await;
    assert_eq!(done.status, 200, "{}", done.body);
    assert!(
        done.body
            .contains("You can close this page and go back to the terminal.")
    );
    app.clock.advance(Duration::seconds(11));
    let tokens = tool.poll(&device_code).await;
    assert_eq!(tokens.status, 200, "{tokens:?}");
    let token = tokens.text("accessToken");
    let accounts = tool.get("assignment/accounts", &token).await;
    assert_eq!(accounts.body["accountList"][0]["accountId"], "222233334444");

    // Neither code is good again; the second use of the device code ends what the first gave.
    let again = browser.post("/device", &[("user_code", &user_code)]).await;
    assert_eq!(again.status, 400);
    app.clock.advance(Duration::seconds(11));
    let reused = tool.poll(&device_code).await;
    assert_eq!(reused.outcome(), (400, "InvalidGrantException"));
    let refused = tool.get("assignment/accounts", &token).await;
    assert_eq!(refused.outcome(), (401, "UnauthorizedException"));
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_declines_ends_it_and_so_does_time() {
    let app = TestApp::start().await;
    let tool = Tool::by_device(&app).await;
    let started = tool.start_device().await;
    let mut browser = app.signed_in("linus").await;
    browser.get("/device").await;
    let code = started.text("userCode");
    let page = browser.post("/device", &[("user_code", &code)]).await;
    let done = press(&mut browser, &page, "/device", "decline").await;
    assert_eq!(done.status, 200);
    assert!(done.body.contains("Declined"));
    let refused = tool.poll(&started.text("deviceCode")).await;
    assert_eq!(refused.outcome(), (400, "AccessDeniedException"));
    let changed = browser
        .post("/device", &[("user_code", &code), ("decision", "allow")])
        .await;
    assert_eq!(changed.status, 400, "a decision stands");
    assert_eq!(approvals(&app).await[0]["outcome"], "refused");

    let started = tool.start_device().await;
    app.clock.advance(Duration::minutes(11));
    let late = tool.poll(&started.text("deviceCode")).await;
    assert_eq!(late.outcome(), (400, "ExpiredTokenException"));
    let mut browser = app.signed_in("linus").await;
    browser.get("/device").await;
    let code = started.text("userCode");
    let page = browser.post("/device", &[("user_code", &code)]).await;
    assert_eq!(page.status, 400);
    assert!(page.body.contains("Nothing waits with this code."));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_code_is_typed_and_never_comes_with_an_address() {
    let app = TestApp::start().await;
    let tool = Tool::by_device(&app).await;
    let code = tool.start_device().await.text("userCode");
    let link = format!("/device?user_code={code}&code={code}&decision=allow");

    let mut browser = app.browser();
    let away = browser.get(&link).await;
    assert_eq!(
        (away.status, away.location()),
        (303, "/login?next=%2Fdevice")
    );
    let mut browser = app.signed_in("linus").await;
    browser.headers = vec![("sec-fetch-site".to_owned(), "cross-site".to_owned())];
    let page = browser.get(&link).await;
    assert_eq!(page.status, 200);
    assert!(!page.body.contains(&code), "{}", page.body);
    assert!(page.body.contains("autocomplete=\"off\""));
    assert_eq!(page.header("x-frame-options"), "DENY");
    assert_eq!(page.header("cache-control"), "no-store");
    assert_eq!(approvals(&app).await.len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_code_stays_in_the_field_and_there_are_few_tries() {
    let app = TestApp::start().await;
    let tool = Tool::by_device(&app).await;
    let right = tool.start_device().await.text("userCode");
    let mut browser = app.signed_in("linus").await;
    browser.get("/device").await;
    let mut refused = None;
    for _ in 0..60 {
        let page = browser
            .post("/device", &[("user_code", "bcdfg hjklm \"<")])
            .await;
        if page.status == 429 {
            refused = Some(page);
            break;
        }
        assert_eq!(page.status, 400);
        assert!(
            page.body.contains("value=\"bcdfg hjklm &#34;&#60;\""),
            "{}",
            page.body
        );
    }
    let refused = refused.expect("nobody may guess sixty times");
    assert!(refused.header("retry-after").parse::<u64>().unwrap() > 0);
    assert!(refused.body.contains("too many wrong codes"));
    let right_too = browser.post("/device", &[("user_code", &right)]).await;
    assert_eq!(right_too.status, 429, "the right one is none the wiser");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_else_presses_the_button() {
    let app = TestApp::start().await;
    let tool = Tool::by_device(&app).await;
    let code = tool.start_device().await.text("userCode");
    let fields = [("user_code", code.as_str()), ("decision", "allow")];
    let mut browser = app.signed_in("linus").await;
    browser.get("/device").await;
    let answer = browser.post_without_token("/device", &fields).await;
    assert_eq!(answer.status, 403);
    browser.headers = vec![("sec-fetch-site".to_owned(), "cross-site".to_owned())];
    assert_eq!(browser.post("/device", &fields).await.status, 403);
    let mut nobody = app.browser();
    nobody.get("/login").await;
    let answer = nobody.post("/device", &fields).await;
    assert_eq!(
        (answer.status, answer.location()),
        (303, "/login?next=%2Fdevice&expired=1")
    );
    let deleted = nobody.send(Method::DELETE, "/device", None).await;
    assert_ne!(deleted.status, 200);
    assert_eq!(approvals(&app).await.len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tokens_are_those_of_whoever_agreed_and_of_nobody_else() {
    let app = TestApp::start().await;
    let tool = Tool::by_device(&app).await;
    let started = tool.start_device().await;
    let code = started.text("userCode");
    // ada looks first, and grace decides.
    let mut ada = app.signed_in("ada").await;
    ada.get("/device").await;
    let seen = ada.post("/device", &[("user_code", &code)]).await;
    let mut linus = app.signed_in("linus").await;
    linus.get("/device").await;
    let page = linus.post("/device", &[("user_code", &code)]).await;
    assert_eq!(
        press(&mut linus, &page, "/device", "allow").await.status,
        200
    );
    let late = press(&mut ada, &seen, "/device", "allow").await;
    assert_eq!(late.status, 400, "{}", late.body);

    // Another client that learned the device code gets nothing, and does not spoil it.
    let other = Tool::by_device(&app).await;
    let stolen = other.poll(&started.text("deviceCode")).await;
    assert_eq!(stolen.outcome(), (400, "InvalidGrantException"));
    app.clock.advance(Duration::seconds(11));
    let tokens = tool.poll(&started.text("deviceCode")).await;
    assert_eq!(tokens.status, 200, "{tokens:?}");
    let token = tokens.text("accessToken");
    let accounts = tool.get("assignment/accounts", &token).await;
    assert_eq!(
        accounts.body["accountList"].as_array().unwrap().len(),
        1,
        "linus's one"
    );
    let issue = "federation/credentials?account_id=111122223333&role_name=ReadOnly";
    assert_eq!(
        tool.get(issue, &token).await.outcome(),
        (403, "ForbiddenException")
    );
    let [approval] = &approvals(&app).await[..] else {
        panic!("one approval");
    };
    assert_eq!(approval["actor"]["username"], "linus", "{approval}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_at_another_address_is_pointed_out() {
    let app = TestApp::start_overriding(&[("SERVER__TRUSTED_PROXIES", "[\"127.0.0.1/32\"]")]).await;
    let mut tool = Tool::by_device(&app).await;
    tool.forwarded_for = Some("203.0.113.7".to_owned());
    let code = tool.start_device().await.text("userCode");
    let mut browser = app.signed_in("linus").await;
    let address = ("x-forwarded-for".to_owned(), "198.51.100.9".to_owned());
    browser.headers.push(address);
    browser.get("/device").await;
    let page = browser.post("/device", &[("user_code", &code)]).await;
    assert_eq!(page.status, 200, "{}", page.body);
    for words in [
        "This program is not where you are.",
        "203.0.113.7",
        "198.51.100.9",
    ] {
        assert!(page.body.contains(words), "{words}");
    }
    assert!(
        hidden_fields(&page.body)
            .iter()
            .any(|(_, value)| *value == code)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn without_typed_codes_there_is_no_such_page_and_tools_are_told() {
    let app = TestApp::start_overriding(&[("TOKENS__DEVICE_FLOW", "false")]).await;
    let tool = Tool::by_device(&app).await;
    let refused = tool
        .post(
            "device_authorization",
            &serde_json::json!({
                "clientId": tool.client_id, "clientSecret": tool.client_secret, "startUrl": "x",
            }),
        )
        .await;
    assert_eq!(refused.outcome(), (400, "UnauthorizedClientException"));
    let mut browser = app.signed_in("linus").await;
    assert_eq!(browser.get("/device").await.status, 404);
}
