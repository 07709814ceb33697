//! The JSON API: who may call, what is answered, and the exact form of every refusal.

use reqwest::Method;
use rolegate::{
    access::{Conditions, Mapping, TokenScope},
    demo::{
        aws::{Fault, StsFault},
        directory,
    },
    store::Change,
};
use serde_json::{Value, json};

use crate::support::{
    api::{ApiCaller, made_token},
    app::{Options, TestApp},
    editing::mapping,
    token_server::TokenServer,
};

const SHOP_READER: &str = "arn:aws:iam::222233334444:role/ReadOnly";
const SHORT: &str = "arn:aws:iam::111122223333:role/Administrator";
const STAGING: &str = "arn:aws:iam::111122224444:role/team/Developer";
const CREDENTIALS: &str = "/api/v1/credentials";

const ALL: [TokenScope; 6] = TokenScope::ALL;

async fn of_linus(app: &TestApp) -> ApiCaller {
    ApiCaller::token(app, "linus", &ALL, None).await
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_is_told_who_they_are() {
    let app = TestApp::start().await;
    let by_password = ApiCaller::password(&app, "linus").get("/api/v1/me").await;
    assert_eq!(by_password.status, 200, "{}", by_password.text);
    let me = by_password.json();
    assert_eq!(
        (&me["connector"], &me["username"], &me["way"]),
        (&json!("corp"), &json!("linus"), &json!("password"),)
    );
    assert_eq!(me["scopes"], json!(["roles", "credentials"]));
    assert_eq!(me["device"], Value::Null);
    assert!(me["groups"].as_array().unwrap().len() >= 2, "{me}");
    assert_eq!(by_password.header("cache-control"), "no-store");

    let me = of_linus(&app).await.get("/api/v1/me").await.json();
    assert_eq!(me["way"], "token");
    assert_eq!(me["device"]["name"], "of the tests");
    assert_eq!(me["scopes"].as_array().unwrap().len(), 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cookie_is_nobody() {
    let app = TestApp::start().await;
    let browser = app.signed_in("linus").await;
    let cookie = format!("rolegate={}", browser.cookies["rolegate"]);
    let reply = ApiCaller::nobody(&app).with("cookie", &cookie);
    let reply = reply.get("/api/v1/me").await;
    assert_eq!(reply.error(), (401, "unauthenticated".to_owned()));
    assert_eq!(reply.json()["authenticated"], false);
    assert_eq!(reply.json()["request_id"], reply.header("x-request-id"));
    let challenges: Vec<&str> = (reply.headers.get_all("www-authenticate").iter())
        .map(|value| value.to_str().unwrap())
        .collect();
    assert_eq!(challenges.len(), 2, "{challenges:?}");
    // A browser would ask for the password, and then send it along with everything.
    let browser = ApiCaller::nobody(&app).with("sec-fetch-mode", "navigate");
    let reply = browser.get("/api/v1/me").await;
    assert_eq!(
        reply.header("www-authenticate"),
        "Bearer realm=\"rolegate\""
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn roles_come_in_pages_and_by_words() {
    let app = TestApp::start().await;
    let ada = ApiCaller::token(&app, "ada", &[TokenScope::Roles], None).await;
    let whole = ada.get("/api/v1/roles").await;
    assert_eq!(whole.status, 200, "{}", whole.text);
    let whole = whole.json();
    assert_eq!(whole["next_cursor"], Value::Null);
    let whole = whole["roles"].as_array().unwrap().clone();
    assert!(whole.len() > 15);
    let mut pages = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = ada.get(&format!("/api/v1/roles?limit=4{cursor}")).await;
        let page = page.json();
        pages.extend(page["roles"].as_array().unwrap().clone());
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(pages, whole);
    let some = ada.get("/api/v1/roles?filter=staging%20DEVEL").await.json();
    let found = some["roles"].as_array().unwrap();
    assert_eq!(found.len(), 1, "{some}");
    let role = &found[0];
    assert_eq!(role["arn"], STAGING);
    assert_eq!(
        (
            &role["name"],
            &role["account"]["name"],
            &role["account"]["environment"]
        ),
        (
            &json!("Developer"),
            &json!("Payments staging"),
            &json!("test"),
        )
    );
    assert_eq!(role["longest_seconds"], 43_200);
    assert_eq!(
        (&role["opens_console"], &role["opens_credentials"]),
        (&json!(true), &json!(true))
    );
    assert_eq!(
        (&role["requires_reason"], &role["state"]),
        (&json!(false), &Value::Null)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_are_those_of_a_credential_process() {
    let app = TestApp::start().await;
    for caller in [ApiCaller::password(&app, "linus"), of_linus(&app).await] {
        let reply = caller
            .post(
                CREDENTIALS,
                &json!({"role": SHOP_READER, "duration": "20m"}),
            )
            .await;
        assert_eq!(reply.status, 200, "{}", reply.text);
        let issued = app.aws.issued().pop().unwrap();
        let answer = reply.json();
        assert_eq!(answer["Version"], 1);
        assert_eq!(answer["AccessKeyId"], issued.access_key_id);
        assert_eq!(answer["SecretAccessKey"], issued.secret_access_key);
        assert_eq!(answer["SessionToken"], issued.session_token);
        assert_eq!(answer["AccountId"], "222233334444");
        assert_eq!(answer["RoleArn"], SHOP_READER);
        let arn = answer["AssumedRoleArn"].as_str().unwrap();
        assert!(arn.ends_with("assumed-role/ReadOnly/linus"), "{arn}");
        assert!(
            answer["AssumedRoleId"]
                .as_str()
                .unwrap()
                .ends_with(":linus")
        );
        assert_eq!(
            (&answer["read_only"], &answer["public_values"]),
            (&json!(false), &json!({}))
        );
        assert_eq!(reply.header("cache-control"), "no-store");
        let event = app.last_audit_event().await;
        assert_eq!(
            (&event["action"], &event["outcome"]),
            (&json!("credentials.issue"), &json!("ok"))
        );
        assert_eq!(event["request_id"], reply.header("x-request-id"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_may_be_left_out_where_just_one_is_held() {
    let app = TestApp::start().await;
    let reply = ApiCaller::password(&app, "linus")
        .post(CREDENTIALS, &json!({}))
        .await;
    assert_eq!(reply.json()["RoleArn"], SHOP_READER, "{}", reply.text);
    let ada = ApiCaller::token(&app, "ada", &ALL, None).await;
    let reply = ada.post(CREDENTIALS, &json!({"role": "  "})).await;
    assert_eq!(reply.error(), (422, "role_ambiguous".to_owned()));
    let choices = reply.json()["choices"].as_array().unwrap().clone();
    assert!(choices.contains(&json!(STAGING)), "{choices:?}");
    let margaret = ApiCaller::password(&app, "margaret")
        .post(CREDENTIALS, &json!({}))
        .await;
    assert_eq!(margaret.error(), (403, "not_entitled".to_owned()));
    let limited = ApiCaller::token(&app, "ada", &ALL, Some(STAGING)).await;
    let reply = limited.post(CREDENTIALS, &json!({})).await;
    assert_eq!(reply.json()["RoleArn"], STAGING, "{}", reply.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_one_role_sees_and_opens_that_one() {
    let app = TestApp::start().await;
    let scopes = [
        TokenScope::Roles,
        TokenScope::Credentials,
        TokenScope::Sessions,
    ];
    let all = ApiCaller::token(&app, "ada", &scopes, None).await;
    all.post(CREDENTIALS, &json!({"role": SHORT})).await;
    let foreign = all.get("/api/v1/sessions").await.json()["sessions"][0]["id"].clone();
    let limited = ApiCaller::token(&app, "ada", &ALL, Some(STAGING)).await;
    let roles = limited.get("/api/v1/roles").await.json();
    assert_eq!(roles["roles"].as_array().unwrap().len(), 1);
    assert_eq!(roles["roles"][0]["arn"], STAGING);
    let calls = app.aws.sts_calls();
    for path in [CREDENTIALS, "/api/v1/console"] {
        let reply = limited.post(path, &json!({"role": SHORT})).await;
        assert_eq!(reply.error(), (403, "outside_token".to_owned()), "{path}");
        assert_eq!(app.last_audit_event().await["reason"], "outside_token");
    }
    assert_eq!(app.aws.sts_calls(), calls, "STS was asked");
    let short = limited
        .post(CREDENTIALS, &json!({"role": "111122224444/developer"}))
        .await;
    assert_eq!(short.status, 200, "{}", short.text);
    let sessions = limited.get("/api/v1/sessions").await.json();
    assert_eq!(sessions["sessions"].as_array().unwrap().len(), 1);
    let path = format!("/api/v1/sessions/{}/revoke", foreign.as_str().unwrap());
    assert_eq!(limited.call(Method::POST, &path, None).await.status, 404);
    let more = json!({"name": "more", "scopes": ["credentials"]});
    let reply = limited.post("/api/v1/tokens", &more).await;
    assert_eq!(reply.error(), (403, "not_allowed".to_owned()));
    for path in ["/api/v1/mappings", "/api/v1/audit"] {
        assert_eq!(limited.get(path).await.status, 403, "{path}");
    }
    assert_eq!(
        limited.get("/api/v1/tokens").await.json()["tokens"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_console_opens_at_an_address_that_aws_gave() {
    let app = TestApp::start().await;
    let linus = of_linus(&app).await;
    let order = json!({"role": "222233334444/readonly", "destination": "s3"});
    let reply = linus.post("/api/v1/console", &order).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    let answer = reply.json();
    assert_eq!(
        (&answer["expires_in"], &answer["opens_here"]),
        (&json!(900), &Value::Null)
    );
    let url = answer["url"].as_str().unwrap();
    assert!(url.starts_with(app.aws.federation_url().as_str()), "{url}");
    assert!(url.contains("SigninToken="), "{url}");
    assert_eq!(reply.header("referrer-policy"), "no-referrer");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_scope_is_asked_for() {
    let app = TestApp::start().await;
    let calls = [
        (Method::GET, "/api/v1/roles", None, TokenScope::Roles),
        (
            Method::POST,
            CREDENTIALS,
            Some(json!({"role": SHOP_READER})),
            TokenScope::Credentials,
        ),
        (
            Method::POST,
            "/api/v1/console",
            Some(json!({"role": SHOP_READER})),
            TokenScope::Credentials,
        ),
        (Method::GET, "/api/v1/sessions", None, TokenScope::Sessions),
        (
            Method::POST,
            "/api/v1/sessions/x/revoke",
            None,
            TokenScope::Sessions,
        ),
        (Method::GET, "/api/v1/tokens", None, TokenScope::Sessions),
        (
            Method::POST,
            "/api/v1/tokens",
            Some(json!({"name": "x", "scopes": ["roles"]})),
            TokenScope::Sessions,
        ),
        (
            Method::DELETE,
            "/api/v1/tokens/x",
            None,
            TokenScope::Sessions,
        ),
        (Method::GET, "/api/v1/mappings", None, TokenScope::Mappings),
        (Method::GET, "/api/v1/audit", None, TokenScope::Audit),
    ];
    for scope in ALL {
        let rest: Vec<TokenScope> = ALL.into_iter().filter(|other| *other != scope).collect();
        let caller = ApiCaller::token(&app, "linus", &rest, None).await;
        assert_eq!(caller.get("/api/v1/me").await.status, 200);
        for (method, path, body, _) in calls.iter().filter(|call| call.3 == scope) {
            let body = body.as_ref().map(Value::to_string);
            let reply = caller.call(method.clone(), path, body).await;
            assert_eq!(
                reply.error(),
                (403, "insufficient_scope".to_owned()),
                "{method} {path}"
            );
            let challenge = reply.header("www-authenticate");
            assert!(challenge.contains(scope.as_str()), "{challenge}");
        }
    }
    assert!(app.aws.issued().is_empty());
    // A token makes none that may do more.
    let some = [TokenScope::Sessions, TokenScope::Roles];
    let caller = ApiCaller::token(&app, "linus", &some, None).await;
    let order = json!({"name": "x", "scopes": ["roles", "credentials"]});
    let reply = caller.post("/api/v1/tokens", &order).await;
    assert_eq!(
        reply.error(),
        (400, "invalid_request".to_owned()),
        "{}",
        reply.text
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_used_is_named() {
    let app = TestApp::start().await;
    let linus = of_linus(&app).await;
    let role = |more: Value| {
        let mut order = json!({"role": SHOP_READER});
        for (name, value) in more.as_object().unwrap() {
            order[name] = value.clone();
        }
        order
    };
    for (order, status, code) in [
        (json!({"rôle": SHOP_READER}), 400, "invalid_request"),
        (json!({"role": 7}), 400, "invalid_request"),
        (json!([]), 400, "invalid_request"),
        (role(json!({"duration": "soon"})), 400, "duration_invalid"),
        (role(json!({"duration": "1m"})), 400, "duration_invalid"),
        (role(json!({"duration": "12h"})), 400, "duration_too_long"),
        (
            role(json!({"reason": "x".repeat(501)})),
            400,
            "reason_too_long",
        ),
        (
            role(json!({"region": "cn-north-1"})),
            400,
            "destination_refused",
        ),
        (json!({"role": SHORT}), 403, "not_entitled"),
        (
            json!({"role": "arn:aws:iam::999999999999:role/None"}),
            403,
            "not_entitled",
        ),
        (json!({"role": "nonsense"}), 403, "not_entitled"),
    ] {
        let reply = linus.post(CREDENTIALS, &order).await;
        assert_eq!(
            reply.error(),
            (status, code.to_owned()),
            "{order} {}",
            reply.text
        );
        assert_eq!(reply.header("content-type"), "application/json");
        assert_eq!(reply.json()["request_id"], reply.header("x-request-id"));
    }
    let broken = linus
        .call(Method::POST, CREDENTIALS, Some("{".to_owned()))
        .await;
    assert_eq!(broken.error(), (400, "invalid_request".to_owned()));
    let form = linus
        .clone()
        .with("content-type", "application/x-www-form-urlencoded");
    let form = form
        .call(Method::POST, CREDENTIALS, Some("role=x".to_owned()))
        .await;
    assert_eq!(form.error(), (415, "unsupported_media_type".to_owned()));
    let large = json!({"role": "x".repeat(2_000_000)});
    assert_eq!(
        linus.post(CREDENTIALS, &large).await.error(),
        (413, "too_large".to_owned())
    );
    for (path, code) in [
        ("/api/v1/roles?limit=0", "invalid_request"),
        ("/api/v1/roles?limit=1001", "invalid_request"),
        ("/api/v1/roles?limit=x", "invalid_request"),
        ("/api/v1/roles?nothing=1", "invalid_request"),
        ("/api/v1/roles?cursor=x", "invalid_cursor"),
    ] {
        assert_eq!(
            linus.get(path).await.error(),
            (400, code.to_owned()),
            "{path}"
        );
    }
    for path in ["/api/v1/nothing", "/api/", "/api/v2/me", "/api/v1/me/more"] {
        let reply = linus.get(path).await;
        assert_eq!(reply.error(), (404, "not_found".to_owned()), "{path}");
    }
    assert!(app.aws.issued().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_not_known_is_told_so_in_one_form() {
    let app = TestApp::start().await;
    let wrong = |value: &str| ApiCaller::nobody(&app).with("authorization", value);
    let ended = of_linus(&app).await;
    let logout = ended.call(Method::POST, "/api/v1/logout", None).await;
    assert_eq!(logout.status, 204, "{}", logout.text);
    for (caller, code) in [
        (ApiCaller::nobody(&app), "unauthenticated"),
        (wrong("Bearer"), "invalid_authorization"),
        (wrong("Negotiate x"), "invalid_authorization"),
        (wrong("Bearer rga_no-such-token"), "invalid_token"),
        (wrong("Basic bGludXM6d3Jvbmc="), "invalid_password"),
        (wrong("Basic bm9ib2R5Ondyb25n"), "invalid_password"),
        (ended, "invalid_token"),
    ] {
        let reply = caller
            .post(CREDENTIALS, &json!({"role": SHOP_READER}))
            .await;
        assert_eq!(reply.error(), (401, code.to_owned()), "{caller:?}");
        assert_eq!(reply.json()["authenticated"], false);
        assert!(reply.header("www-authenticate").starts_with("Bearer"));
    }
    assert!(app.aws.issued().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_end_after_their_time() {
    let app = TestApp::start().await;
    let linus = of_linus(&app).await;
    app.clock.advance(time::Duration::days(31));
    let reply = linus.get("/api/v1/me").await;
    assert_eq!(reply.status, 401, "{}", reply.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_somebody_elses_is_not_there() {
    let app = TestApp::start().await;
    let ada = ApiCaller::token(&app, "ada", &ALL, None).await;
    let linus = of_linus(&app).await;
    ada.post(CREDENTIALS, &json!({"role": SHORT})).await;
    let session = ada.get("/api/v1/sessions").await.json()["sessions"][0].clone();
    assert_eq!(
        (&session["role"], &session["delivery"]),
        (&json!(SHORT), &json!("credentials"))
    );
    let token = ada.get("/api/v1/tokens").await.json()["tokens"][0]["id"].clone();
    let revoke = format!(
        "/api/v1/sessions/{}/revoke",
        session["id"].as_str().unwrap()
    );
    let end = format!("/api/v1/tokens/{}", token.as_str().unwrap());
    for (method, path) in [(Method::POST, &revoke), (Method::DELETE, &end)] {
        let reply = linus.call(method.clone(), path, None).await;
        assert_eq!(reply.error(), (404, "not_found".to_owned()), "{path}");
    }
    let revoked = ada.call(Method::POST, &revoke, None).await;
    assert_eq!(revoked.status, 200, "{}", revoked.text);
    assert_eq!(revoked.json()["roles"][0]["role"], SHORT);
    assert_eq!(ada.call(Method::DELETE, &end, None).await.status, 204);
    assert_eq!(ada.get("/api/v1/me").await.status, 401, "it ended itself");
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_are_made_listed_and_ended() {
    let app = TestApp::start().await;
    let linus = of_linus(&app).await;
    let order =
        json!({"name": "backup", "scopes": ["credentials"], "role": SHOP_READER, "lasts": "2h"});
    let made = linus.post("/api/v1/tokens", &order).await;
    assert_eq!(made.status, 200, "{}", made.text);
    let made = made.json();
    assert_eq!(
        (&made["scopes"], &made["role"]),
        (&json!(["credentials"]), &json!(SHOP_READER))
    );
    let token = made["token"].as_str().unwrap();
    let listed = linus.get("/api/v1/tokens").await;
    assert!(!listed.text.contains(token), "a token is shown once");
    let listed = listed.json();
    let listed = listed["tokens"].as_array().unwrap();
    assert_eq!(listed.len(), 2);
    assert!(
        listed
            .iter()
            .any(|one| one["id"] == made["id"] && one["name"] == "backup")
    );
    let backup = ApiCaller::bearer(&app, token);
    assert_eq!(backup.post(CREDENTIALS, &json!({})).await.status, 200);
    let end = format!("/api/v1/tokens/{}", made["id"].as_str().unwrap());
    assert_eq!(linus.call(Method::DELETE, &end, None).await.status, 204);
    assert_eq!(backup.post(CREDENTIALS, &json!({})).await.status, 401);
    for order in [
        json!({"name": "", "scopes": ["roles"]}),
        json!({"name": "x", "scopes": []}),
        json!({"name": "x", "scopes": ["everything"]}),
        json!({"name": "x", "scopes": ["roles"], "lasts": "soon"}),
    ] {
        let reply = linus.post("/api/v1/tokens", &order).await;
        assert_eq!(
            reply.error(),
            (400, "invalid_request".to_owned()),
            "{order}"
        );
    }
    let order = json!({"name": "x", "scopes": ["credentials"], "role": SHORT});
    let reply = linus.post("/api/v1/tokens", &order).await;
    assert_eq!(reply.error(), (403, "not_entitled".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_asks_for_more_says_where_a_person_can_give_it() {
    let app = TestApp::start().await;
    let margaret = ApiCaller::password(&app, "margaret");
    app.edit(vec![Change::PutMapping(Mapping {
        conditions: Conditions {
            require_reason: true,
            ..Conditions::default()
        },
        ..mapping("book-club", SHOP_READER)
    })])
    .await;
    let reply = margaret
        .post(CREDENTIALS, &json!({"role": SHOP_READER}))
        .await;
    assert_eq!(reply.error(), (400, "reason_required".to_owned()));
    let url = reply.json()["url"].as_str().unwrap().to_owned();
    assert_eq!(url, format!("{}console/222233334444/ReadOnly", app.url));
    let order = json!({"role": SHOP_READER, "reason": "incident 7"});
    assert_eq!(margaret.post(CREDENTIALS, &order).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_heals_says_when_to_come_again() {
    let app = TestApp::start().await;
    let linus = of_linus(&app).await;
    app.aws.set_fault(Fault::Sts(StsFault::Throttle(100)));
    let reply = linus.post(CREDENTIALS, &json!({"role": SHOP_READER})).await;
    assert_eq!(reply.error(), (503, "aws_throttled".to_owned()));
    assert_eq!(reply.header("retry-after"), "5");
    app.aws.clear_faults();
    app.aws.set_fault(Fault::Sts(StsFault::AccessDenied));
    let reply = linus.post(CREDENTIALS, &json!({"role": SHOP_READER})).await;
    assert_eq!(reply.error(), (502, "aws_access_denied".to_owned()));
    app.aws.clear_faults();
    app.directory
        .set_fault(Some(directory::Fault::CloseConnections));
    let by_password = ApiCaller::password(&app, "linus").get("/api/v1/me").await;
    assert_eq!(
        by_password.error(),
        (503, "directory_unavailable".to_owned())
    );
    assert_eq!(by_password.header("retry-after"), "5");
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_have_quotas_of_their_own() {
    let app = TestApp::start_overriding(&[
        ("API__REQUESTS_PER_MINUTE", "5"),
        ("API__CREDENTIALS_PER_MINUTE", "2"),
    ])
    .await;
    let (linus, ada) = (
        of_linus(&app).await,
        ApiCaller::token(&app, "ada", &ALL, None).await,
    );
    let order = json!({"role": SHOP_READER});
    for _ in 0..2 {
        assert_eq!(linus.post(CREDENTIALS, &order).await.status, 200);
    }
    let reply = linus.post(CREDENTIALS, &order).await;
    assert_eq!(reply.error(), (429, "too_many_credentials".to_owned()));
    assert_eq!(reply.header("retry-after"), "30");
    assert_eq!(linus.get("/api/v1/me").await.status, 200);
    assert_eq!(linus.get("/api/v1/me").await.status, 200);
    let reply = linus.get("/api/v1/me").await;
    assert_eq!(reply.error(), (429, "too_many_requests".to_owned()));
    assert_eq!(ada.get("/api/v1/me").await.status, 200, "somebody else's");
    app.clock.advance(time::Duration::minutes(1));
    assert_eq!(linus.get("/api/v1/me").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn staff_read_the_table_and_the_log_and_others_do_not() {
    let club = "[\"corp:cn=book-club,ou=groups,dc=example,dc=com\"]";
    let app = TestApp::start_overriding(&[("ACCESS__AUDITOR", club)]).await;
    let linus = of_linus(&app).await;
    for path in ["/api/v1/mappings", "/api/v1/audit"] {
        assert_eq!(
            linus.get(path).await.error(),
            (403, "not_staff".to_owned()),
            "{path}"
        );
    }
    let grace = ApiCaller::token(&app, "grace", &ALL, None).await;
    assert_eq!(grace.get("/api/v1/mappings").await.status, 200);
    assert_eq!(
        grace.get("/api/v1/audit").await.status,
        403,
        "helpdesk is no auditor"
    );
    let margaret = ApiCaller::token(&app, "margaret", &ALL, None).await;
    let (mut rows, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = margaret
            .get(&format!("/api/v1/mappings?limit=7{cursor}"))
            .await;
        let page = page.json();
        rows.extend(page["mappings"].as_array().unwrap().clone());
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    let whole = margaret.get("/api/v1/mappings").await.json();
    assert_eq!(&rows, whole["mappings"].as_array().unwrap());
    assert!(
        rows.iter()
            .any(|row| row["role"] == SHOP_READER && row["kind"] == "mapping")
    );
    let log = margaret
        .get("/api/v1/audit?action=export&limit=2")
        .await
        .json();
    assert_eq!(log["rows"].as_array().unwrap().len(), 2, "{log}");
    let first = log["rows"][0]["seq"].as_i64().unwrap();
    let next = log["next_cursor"].as_str().unwrap();
    let path = format!("/api/v1/audit?action=export&limit=2&cursor={next}");
    let second = margaret.get(&path).await.json();
    assert!(second["rows"][0]["seq"].as_i64().unwrap() < first - 1);
    for bad in ["action=nothing", "since=soon", "outcome=perhaps"] {
        let reply = margaret.get(&format!("/api/v1/audit?{bad}")).await;
        assert_eq!(reply.error(), (400, "invalid_request".to_owned()), "{bad}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_opens_roles_with_its_own_issuers_token() {
    let issuer = TokenServer::start("RS256").await;
    let origin = "https://shop.example.com";
    let more = format!("allowed_origins = [\"{origin}\"]");
    let app = TestApp::start_with(Options {
        overrides: vec![(
            "AWS__SESSION_NAME".to_owned(),
            "{connector}-{username}".to_owned(),
        )],
        more_toml: issuer.by_keys("shop", &more),
        ..Options::default()
    })
    .await;
    let group = rolegate::access::GroupKey::from_stored("shop:uploaders".to_owned());
    app.edit(vec![Change::PutMapping(Mapping {
        group,
        ..mapping("book-club", SHOP_READER)
    })])
    .await;
    let now = rolegate::clock::Clock::now(app.clock.as_ref());
    let shop = ApiCaller::bearer(&app, &issuer.token(now)).with("origin", origin);
    let me = shop.get("/api/v1/me").await;
    assert_eq!(me.json()["way"], "issuer", "{}", me.text);
    assert_eq!(
        me.header("access-control-allow-origin"),
        "",
        "on one address alone"
    );
    let reply = shop.post(CREDENTIALS, &json!({})).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    assert_eq!(reply.header("access-control-allow-origin"), origin);
    assert!(reply.header("access-control-allow-credentials").is_empty());
    let vary: Vec<&str> = (reply.headers.get_all("vary").iter())
        .map(|value| value.to_str().unwrap())
        .collect();
    assert!(vary.contains(&"origin"), "{vary:?}");

    let forged = ApiCaller::bearer(&app, &format!("{}x", issuer.token(now))).with("origin", origin);
    let reply = forged.post(CREDENTIALS, &json!({})).await;
    assert_eq!(
        (reply.status, &reply.json()["authenticated"]),
        (401, &json!(false))
    );
    assert_eq!(
        reply.header("access-control-allow-origin"),
        origin,
        "a script reads it"
    );
    let elsewhere =
        ApiCaller::bearer(&app, &issuer.token(now)).with("origin", "https://evil.example");
    let reply = elsewhere.post(CREDENTIALS, &json!({})).await;
    assert_eq!(reply.header("access-control-allow-origin"), "");
    let password = ApiCaller::password(&app, "linus").with("origin", origin);
    let reply = password.post(CREDENTIALS, &json!({})).await;
    assert_eq!(
        (reply.status, reply.header("access-control-allow-origin")),
        (200, "")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn browsers_ask_first_and_are_told_for_one_address() {
    let issuer = TokenServer::start("RS256").await;
    let origin = "https://shop.example.com";
    let app = TestApp::start_with(Options {
        overrides: vec![(
            "AWS__SESSION_NAME".to_owned(),
            "{connector}-{username}".to_owned(),
        )],
        more_toml: issuer.by_keys("shop", &format!("allowed_origins = [\"{origin}\"]")),
        ..Options::default()
    })
    .await;
    let ask = |from: &str| {
        ApiCaller::nobody(&app)
            .with("origin", from)
            .with("access-control-request-method", "POST")
            .with(
                "access-control-request-headers",
                "authorization,content-type",
            )
    };
    let reply = ask(origin).call(Method::OPTIONS, CREDENTIALS, None).await;
    assert_eq!(reply.status, 204);
    assert_eq!(reply.header("access-control-allow-origin"), origin);
    assert_eq!(reply.header("access-control-allow-methods"), "POST");
    assert!(
        reply
            .header("access-control-allow-headers")
            .contains("authorization")
    );
    assert!(reply.header("access-control-allow-credentials").is_empty());
    for from in [
        "https://evil.example",
        "null",
        "https://shop.example.com.evil.example",
    ] {
        let reply = ask(from).call(Method::OPTIONS, CREDENTIALS, None).await;
        assert_eq!(reply.header("access-control-allow-origin"), "", "{from}");
    }
    let reply = ask(origin)
        .call(Method::OPTIONS, "/api/v1/roles", None)
        .await;
    assert_eq!(reply.error(), (405, "method_not_allowed".to_owned()));
    assert_eq!(reply.header("access-control-allow-origin"), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_document_and_its_page_are_there_for_everybody() {
    let app = TestApp::start().await;
    let nobody = ApiCaller::nobody(&app);
    let reply = nobody.call(Method::DELETE, "/api/v1/me", None).await;
    assert_eq!(reply.error(), (405, "method_not_allowed".to_owned()));
    assert!(reply.header("allow").contains("GET"), "{reply:?}");
    let document = nobody.get("/api/v1/openapi.json").await;
    assert_eq!(document.status, 200);
    let document = document.json();
    assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
    let page = nobody.get("/api/v1").await;
    assert_eq!(page.status, 200, "{}", page.text);
    assert!(page.header("content-type").starts_with("text/html"));
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let id = operation["operationId"].as_str().unwrap();
            let title = format!("data-operation=\"{id}\"");
            assert!(
                page.text.contains(&title),
                "{method} {path} is not on the page"
            );
            assert!(
                !operation["summary"].as_str().unwrap_or_default().is_empty(),
                "{path}"
            );
        }
    }
    let head = nobody
        .call(Method::HEAD, "/api/v1/openapi.json", None)
        .await;
    assert_eq!((head.status, head.text.as_str()), (200, ""));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_no_part_of_any_answer_to_whoever_brings_it() {
    let app = TestApp::start().await;
    let token = made_token(&app, "linus", &ALL, None).await;
    let caller = ApiCaller::bearer(&app, &token);
    for path in [
        "/api/v1/me",
        "/api/v1/tokens",
        "/api/v1/roles?cursor=x",
        "/api/v1/nothing",
    ] {
        let reply = caller.get(path).await;
        assert!(!reply.text.contains(&token), "{path}");
    }
    let rows = serde_json::to_string(&app.audit_rows().await).unwrap();
    assert!(!rows.contains(&token));
}
