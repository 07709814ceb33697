//! *My sessions*, as far as it is about devices and tokens: what stands there, making a token by hand
//! and ending it, by forms and in Chromium.

use regex::Regex;
use rolegate::audit::Action;

use crate::support::{
    app::TestApp,
    browser::run_browser_script,
    cookie_browser::{CookieBrowser, client as http},
    tokens::{tokens, wish},
};

const SHOP_READER: &str = "arn:aws:iam::222233334444:role/ReadOnly";

async fn make(
    browser: &mut CookieBrowser,
    fields: &[(&str, &str)],
) -> crate::support::cookie_browser::Answer {
    browser.get("/sessions/tokens/new").await;
    browser.post("/sessions/tokens", fields).await
}

fn token_in(page: &str) -> Option<String> {
    let pattern = Regex::new("rgk_[A-Za-z0-9_-]{43}").unwrap();
    pattern.find(page).map(|found| found.as_str().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_made_by_hand_shown_once_used_and_signed_out() {
    let app = TestApp::start().await;
    let mut browser = app.signed_in("linus").await;
    let empty = browser.get("/sessions").await.body;
    assert!(empty.contains("Nothing acts for you outside of a browser."));
    assert!(empty.contains("href=\"/device\"") && empty.contains("(1 browser)"));

    let fields = [
        ("name", "backup on db1"),
        ("role", SHOP_READER),
        ("lasts", "86400"),
    ];
    let made = make(&mut browser, &fields).await;
    assert_eq!(made.status, 200, "{}", made.body);
    assert_eq!(made.header("cache-control"), "no-store");
    assert_eq!(made.header("referrer-policy"), "no-referrer");
    let token = token_in(&made.body).unwrap();
    let address = format!("{}api/v1/container/222233334444/ReadOnly", app.url);
    for line in [
        format!("printf '%s' '{token}' &#62; \"$HOME/.rolegate-token\"")
            .replace('\'', "&#39;")
            .replace('"', "&#34;"),
        "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE".to_owned(),
        address.clone(),
        "LoadCredential=rolegate-token".to_owned(),
    ] {
        assert!(
            made.body.contains(&line),
            "{line} is missing:\n{}",
            made.body
        );
    }
    let used = http().get(&address).header("authorization", &token).send();
    assert_eq!(used.await.unwrap().status().as_u16(), 200);

    let page = browser.get("/sessions").await.body;
    assert!(page.contains("backup on db1") && page.contains("Open one role"));
    assert!(page.contains(&format!("data-role-arn=\"{SHOP_READER}\"")));
    assert!(page.contains("(1 browser)"), "a token is no browser");
    assert_eq!(token_in(&page), None, "it is shown once");
    let handle = Regex::new(r#"name="?session"? value="?([0-9a-f]{64})"#).unwrap();
    let handles: Vec<String> = (handle.captures_iter(&page))
        .map(|found| found[1].to_owned())
        .collect();
    let ended = browser
        .post("/sessions/sign-out", &[("session", &handles[1])])
        .await;
    assert_eq!((ended.status, ended.location()), (303, "/sessions"));
    let used = http().get(&address).header("authorization", &token).send();
    assert_eq!(used.await.unwrap().status().as_u16(), 401);
    let rows = app.audit_rows().await;
    let made = rows
        .iter()
        .find(|row| row.event.action == Action::TokenIssue);
    let made = serde_json::to_string(&made.unwrap().event).unwrap();
    assert!(made.contains("backup on db1") && !made.contains(&token));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_that_cannot_be_taken_keeps_what_was_typed() {
    let app = TestApp::start().await;
    let mut browser = app.signed_in("linus").await;
    let other = "arn:aws:iam::111122223333:role/Administrator";
    for (fields, words) in [
        (
            [("name", "backup"), ("role", ""), ("lasts", "86400")],
            "Choose the role",
        ),
        (
            [("name", " "), ("role", SHOP_READER), ("lasts", "86400")],
            "Give the token a name",
        ),
        (
            [("name", "backup"), ("role", SHOP_READER), ("lasts", "x")],
            "Choose how long",
        ),
        (
            [
                ("name", "backup"),
                ("role", SHOP_READER),
                ("lasts", "999999999"),
            ],
            "A token lasts between",
        ),
        (
            [("name", "backup"), ("role", other), ("lasts", "86400")],
            "None of your groups",
        ),
    ] {
        let answer = make(&mut browser, &fields).await;
        assert_eq!(answer.status, 422, "{words}: {}", answer.body);
        assert!(answer.body.contains(words), "{words}:\n{}", answer.body);
        if fields[0].1 == "backup" {
            assert!(answer.body.contains("value=\"backup\""), "{}", answer.body);
        }
        if fields[1].1 == SHOP_READER {
            let option = format!("data-role-arn=\"{SHOP_READER}\" selected");
            assert!(answer.body.contains(&option), "{}", answer.body);
        }
        assert_eq!(token_in(&answer.body), None);
    }
    let answer = browser
        .post_without_token(
            "/sessions/tokens",
            &[("name", "a"), ("role", SHOP_READER), ("lasts", "86400")],
        )
        .await;
    assert_eq!(answer.status, 403, "a form without its token makes nothing");
    assert!(
        browser
            .get("/sessions")
            .await
            .body
            .contains("Nothing acts for you")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_without_a_role_for_programs_is_told_so() {
    let app = TestApp::start().await;
    let mut browser = app.signed_in("margaret").await;
    let page = browser.get("/sessions/tokens/new").await;
    assert_eq!(page.status, 200);
    assert!(
        page.body
            .contains("None of your roles can be opened by a program alone")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn signing_out_everywhere_ends_devices_and_tokens_too() {
    let app = TestApp::start().await;
    tokens(&app, "linus", &wish()).await;
    let mut browser = app.signed_in("linus").await;
    let page = browser.get("/sessions").await.body;
    assert!(page.contains("botocore-client-corp") && page.contains("See and open your roles"));
    let ended = browser.post("/sessions/sign-out-everywhere", &[]).await;
    assert_eq!(ended.status, 303, "{}", ended.body);
    let mut again = app.signed_in("linus").await;
    assert!(
        again
            .get("/sessions")
            .await
            .body
            .contains("Nothing acts for you")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_browser_a_token_is_made_copied_and_signed_out() {
    let app = TestApp::start().await;
    tokens(&app, "ada", &wish()).await;
    run_browser_script("tokens", &[app.url.as_str()]).await;
}
