//! What an OpenID Connect provider says about logout, honest and not.

use rolegate::clock::Clock as _;
use serde_json::{Map, Value, json};
use time::Duration;

use crate::support::{
    app::Options,
    cookie_browser::CookieBrowser,
    openid::{Hand, PuppetStage},
};

const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";
const ADDRESS: &str = "/oidc/idp/backchannel-logout";

/// The claims of an honest logout token.
fn claims(stage: &PuppetStage, id: &str) -> Map<String, Value> {
    let now = stage.app.clock.now().unix_timestamp();
    let claims = json!({
        "iss": stage.provider.issuer,
        "aud": "rolegate",
        "iat": now,
        "exp": now + 120,
        "jti": id,
        "events": { EVENT: {} },
        "sub": "5f0e-ada",
        "sid": "session-of-ada",
    });
    claims.as_object().unwrap().clone()
}

fn signed(stage: &PuppetStage, header: &Value, claims: &Map<String, Value>, hand: &Hand) -> String {
    let payload = Value::Object(claims.clone()).to_string();
    stage.provider.keys.sign(header, &payload, hand)
}

fn header() -> Value {
    json!({ "alg": "RS256", "kid": "k1", "typ": "logout+jwt" })
}

/// The provider's own request, which brings neither a cookie nor what browsers say.
async fn post(stage: &PuppetStage, token: &str) -> crate::support::cookie_browser::Answer {
    let mut provider = stage.app.browser();
    provider.headers.clear();
    let answer = provider
        .post_without_token(ADDRESS, &[("logout_token", token)])
        .await;
    assert_eq!(answer.header("cache-control"), "no-store");
    answer
}

async fn signed_in(stage: &PuppetStage, session: &str) -> CookieBrowser {
    let mut browser = stage.app.browser();
    let session = session.to_owned();
    let answer = stage
        .sign_in(&mut browser, |claims| {
            claims.insert("sid".to_owned(), session.into());
        })
        .await;
    assert_eq!(answer.status, 303, "{}", answer.body);
    browser
}

async fn is_signed_in(browser: &mut CookieBrowser) -> bool {
    browser.get("/").await.status == 200
}

#[tokio::test(flavor = "multi_thread")]
async fn a_logout_token_ends_the_sessions_that_it_names_and_no_other() {
    let stage = PuppetStage::start("", Options::default()).await;
    let (mut first, mut second) = (signed_in(&stage, "s1").await, signed_in(&stage, "s2").await);
    let mut named = claims(&stage, "1");
    named.insert("sid".to_owned(), "s1".into());
    let answer = post(&stage, &signed(&stage, &header(), &named, &Hand::Provider)).await;
    assert_eq!((answer.status, answer.body.as_str()), (200, ""));
    assert!(!is_signed_in(&mut first).await && is_signed_in(&mut second).await);
    let event = stage.app.last_audit_event().await;
    assert_eq!(event["action"], "sign_out", "{event:#}");
    assert_eq!(
        (&event["reason"], &event["actor"]["username"]),
        (&json!("provider"), &json!("ada"))
    );

    // By the session alone, whosever it is.
    let mut session_alone = claims(&stage, "2");
    session_alone.remove("sub");
    session_alone.insert("sid".to_owned(), "s2".into());
    let token = signed(&stage, &header(), &session_alone, &Hand::Provider);
    assert_eq!(post(&stage, &token).await.status, 200);
    assert!(!is_signed_in(&mut second).await);

    // By the person alone: all of them.
    let (mut third, mut fourth) = (signed_in(&stage, "s3").await, signed_in(&stage, "s4").await);
    let mut person_alone = claims(&stage, "3");
    person_alone.remove("sid");
    let token = signed(&stage, &header(), &person_alone, &Hand::Provider);
    assert_eq!(post(&stage, &token).await.status, 200);
    assert!(!is_signed_in(&mut third).await && !is_signed_in(&mut fourth).await);

    // Nobody's session is no mistake.
    let token = signed(&stage, &header(), &claims(&stage, "4"), &Hand::Provider);
    assert_eq!(post(&stage, &token).await.status, 200);
}

/// Changes header, claims and who signs.
type Change = fn(&mut Value, &mut Map<String, Value>, &mut Hand);

/// A name, the code, and what is not honest.
const DISHONEST: [(&str, &str, Change); 21] = [
    ("alg none", "oidc_algorithm", |header, _, hand| {
        header["alg"] = "none".into();
        *hand = Hand::Nobody;
    }),
    ("a secret", "oidc_algorithm", |header, _, hand| {
        header["alg"] = "HS256".into();
        *hand = Hand::Secret(b"planted-client-secret".to_vec());
    }),
    ("a stranger", "oidc_signature", |_, _, hand| {
        *hand = Hand::Stranger;
    }),
    ("an unknown key", "oidc_unknown_key", |header, _, _| {
        header["kid"] = "k9".into();
    }),
    ("an access token", "oidc_header", |header, _, _| {
        header["typ"] = "at+jwt".into();
    }),
    ("another issuer", "oidc_issuer", |_, claims, _| {
        claims.insert("iss".to_owned(), "https://evil.example".into());
    }),
    ("another audience", "oidc_audience", |_, claims, _| {
        claims.insert("aud".to_owned(), "another".into());
    }),
    ("two audiences", "oidc_audience", |_, claims, _| {
        claims.insert("aud".to_owned(), json!(["rolegate", "another"]));
    }),
    ("ended", "oidc_expired", |_, claims, _| {
        let ended = claims["iat"].as_i64().unwrap() - 61;
        claims.insert("exp".to_owned(), ended.into());
    }),
    ("made long ago", "oidc_expired", |_, claims, _| {
        let made = claims["iat"].as_i64().unwrap() - 3_600;
        claims.insert("iat".to_owned(), made.into());
    }),
    (
        "made in the future",
        "oidc_not_yet_valid",
        |_, claims, _| {
            let made = claims["iat"].as_i64().unwrap() + 61;
            claims.insert("iat".to_owned(), made.into());
        },
    ),
    ("no iat", "oidc_missing_claim", |_, claims, _| {
        claims.remove("iat");
    }),
    ("no jti", "oidc_logout_token", |_, claims, _| {
        claims.remove("jti");
    }),
    ("no events", "oidc_logout_token", |_, claims, _| {
        claims.remove("events");
    }),
    ("another event", "oidc_logout_token", |_, claims, _| {
        claims.insert(
            "events".to_owned(),
            json!({ "https://example.com/event": {} }),
        );
    }),
    (
        "an event that is no object",
        "oidc_logout_token",
        |_, claims, _| {
            claims.insert("events".to_owned(), json!({ EVENT: "yes" }));
        },
    ),
    (
        "events that are a list",
        "oidc_logout_token",
        |_, claims, _| {
            claims.insert("events".to_owned(), json!([EVENT]));
        },
    ),
    (
        "a nonce, as an ID token has",
        "oidc_logout_token",
        |_, claims, _| {
            claims.insert("nonce".to_owned(), "x".into());
        },
    ),
    ("nobody's", "oidc_logout_token", |_, claims, _| {
        claims.remove("sub");
        claims.remove("sid");
    }),
    ("an empty session", "oidc_logout_token", |_, claims, _| {
        claims.remove("sub");
        claims.insert("sid".to_owned(), "".into());
    }),
    ("a subject that is a list", "oidc_claim", |_, claims, _| {
        claims.insert("sub".to_owned(), json!(["5f0e-ada"]));
    }),
];

#[tokio::test(flavor = "multi_thread")]
async fn logout_tokens_that_are_not_honest_end_nothing() {
    let stage = PuppetStage::start("", Options::default()).await;
    let mut browser = signed_in(&stage, "session-of-ada").await;
    for (name, code, change) in DISHONEST {
        let (mut header, mut claims) = (header(), claims(&stage, name));
        let mut hand = Hand::Provider;
        change(&mut header, &mut claims, &mut hand);
        let answer = post(&stage, &signed(&stage, &header, &claims, &hand)).await;
        assert_eq!(
            (answer.status, answer.body.as_str()),
            (400, r#"{"error":"invalid_request"}"#)
        );
        let event = stage.app.last_audit_event().await;
        assert_eq!(
            (&event["action"], &event["reason"]),
            (&json!("sign_out"), &json!(code)),
            "{name}"
        );
        assert!(is_signed_in(&mut browser).await, "{name} ended a session");
    }
    // The ID token of the sign-in itself is no logout token.
    let begun = stage.begin(&mut stage.app.browser()).await;
    let id_token = stage.sign(&stage.claims(&begun));
    assert_eq!(post(&stage, &id_token).await.status, 400);
    for body in [
        "",
        "logout_token=",
        "logout_token=a&logout_token=b",
        "logout_token=a.b.c",
    ] {
        let mut provider = stage.app.browser();
        let answer = provider
            .send(reqwest::Method::POST, ADDRESS, Some(body.to_owned()))
            .await;
        assert_eq!(answer.status, 400, "{body}");
    }
    assert!(is_signed_in(&mut browser).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_logout_token_is_taken_once() {
    let stage = PuppetStage::start("", Options::default()).await;
    let token = signed(&stage, &header(), &claims(&stage, "once"), &Hand::Provider);
    assert_eq!(post(&stage, &token).await.status, 200);
    let mut browser = signed_in(&stage, "session-of-ada").await;
    let answer = post(&stage, &token).await;
    assert_eq!(answer.status, 400);
    assert_eq!(stage.app.last_audit_event().await["reason"], "replayed");
    assert!(is_signed_in(&mut browser).await);
    // Older than it may be, whatever its end says.
    let mut lasting = claims(&stage, "lasting");
    lasting.insert("exp".to_owned(), 253_402_300_799_i64.into());
    let token = signed(&stage, &header(), &lasting, &Hand::Provider);
    stage.app.clock.advance(Duration::minutes(12));
    assert_eq!(post(&stage, &token).await.status, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn signing_out_here_goes_on_at_the_provider_without_a_token() {
    let stage = PuppetStage::start("", Options::default()).await;
    let mut browser = signed_in(&stage, "session-of-ada").await;
    browser.get("/").await;
    let answer = browser.post("/logout", &[]).await;
    assert_eq!(answer.status, 303);
    let url: url::Url = answer.location().parse().unwrap();
    assert_eq!(url.path(), "/logout");
    let sent: std::collections::BTreeMap<_, _> = url.query_pairs().into_owned().collect();
    assert_eq!(sent["client_id"], "rolegate");
    assert_eq!(sent["logout_hint"], "5f0e-ada");
    let back = stage.app.url.join("signed-out").unwrap();
    assert_eq!(sent["post_logout_redirect_uri"], back.as_str());
    assert!(!sent.contains_key("id_token_hint"));
    let answer = browser
        .get(&format!("/signed-out?state={}", sent["state"]))
        .await;
    assert_eq!(answer.status, 200);
    assert!(!is_signed_in(&mut browser).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_addresses_of_one_protocol_are_not_for_the_other() {
    let stage = PuppetStage::start("", Options::default()).await;
    let mut browser = stage.app.browser();
    for path in [
        "/saml/idp/metadata",
        "/oidc/corp/callback",
        "/oidc/nobody/callback",
    ] {
        assert_eq!(browser.get(path).await.status, 404, "{path}");
    }
    for path in [
        "/saml/idp/acs",
        "/saml/idp/slo",
        "/oidc/corp/backchannel-logout",
    ] {
        let answer = browser
            .post_without_token(path, &[("SAMLResponse", "x")])
            .await;
        assert_eq!(answer.status, 404, "{path}");
    }
    assert_eq!(browser.get(ADDRESS).await.status, 405);
}
