//! Tokens of trusted issuers: which are believed, and whose they are.

use std::{sync::Arc, time::Duration};

use aws_lc_rs::hmac;
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use rolegate::{
    access::AuthenticationMethod,
    clock::{Clock as _, FixedClock, SystemClock},
    identity::{
        TokenHolder, TokenRefusal, TrustedIssuer as _,
        oidc::settings::ClaimNames,
        trusted::{
            CODES, Settings, TokenIssuer,
            settings::{Requirement, Way},
        },
    },
};
use secrecy::SecretString;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::support::{token_server::TokenServer, web_token::TokenKey};

const APPS: &str = include_str!("../../docs/apps.md");

/// An issuer, and the adapter that trusts it.
struct Scene {
    server: TokenServer,
    issuer: TokenIssuer,
    clock: Arc<FixedClock>,
}

impl Scene {
    async fn by_keys() -> Self {
        Self::with("RS256", |_| {}).await
    }

    async fn by_introspection() -> Self {
        Self::with("RS256", |settings| {
            let url = format!("{}/introspect", settings.issuer);
            settings.way = Way::Introspection {
                url: url.parse().unwrap(),
                client_id: "role gate".to_owned(),
                client_secret: SecretString::from("50 % : öre"),
            };
        })
        .await
    }

    async fn with(algorithm: &'static str, change: impl FnOnce(&mut Settings)) -> Self {
        let server = TokenServer::start(algorithm).await;
        let clock = Arc::new(FixedClock::new(SystemClock.now()));
        let mut settings = Settings {
            id: "shop".parse().unwrap(),
            issuer: server.issuer.clone(),
            way: Way::Keys(format!("{}/jwks", server.issuer).parse().unwrap()),
            audiences: vec!["rolegate".to_owned(), "https://aws.example.com".to_owned()],
            claims: ClaimNames {
                subject: "sub".to_owned(),
                username: "sub".to_owned(),
                display_name: Some("name".to_owned()),
                email: Some("email".to_owned()),
                groups: Some("groups".to_owned()),
            },
            required: vec![(
                "scope".to_owned(),
                Requirement::Words(vec!["upload".to_owned()]),
            )],
            algorithms: vec!["RS256".to_owned(), "ES256".to_owned()],
            clock_skew: Duration::from_mins(1),
            longest_lifetime: Duration::from_hours(1),
            ca_pem: None,
            allowed_origins: Vec::new(),
            groups: Vec::new(),
        };
        change(&mut settings);
        let issuer = TokenIssuer::new(settings, clock.clone()).unwrap();
        Self {
            server,
            issuer,
            clock,
        }
    }

    /// Claims of a good token with some of them changed; null takes one away.
    fn claims(&self, changes: &Value) -> Value {
        let mut claims = self.server.claims(self.clock.now());
        for (name, value) in changes.as_object().unwrap() {
            claims[name] = value.clone();
            if value.is_null() {
                claims.as_object_mut().unwrap().remove(name);
            }
        }
        claims
    }

    async fn identify(&self, token: &str) -> Result<TokenHolder, TokenRefusal> {
        let token = SecretString::from(token.to_owned());
        self.issuer.identify(&token).await
    }

    async fn code(&self, token: &str) -> &'static str {
        match self.identify(token).await {
            Ok(_) => "ok",
            Err(TokenRefusal::Refused { code, .. }) => {
                assert!(CODES.contains(&code), "{code}");
                code
            }
            Err(TokenRefusal::Unavailable(_)) => "unavailable",
        }
    }

    /// What becomes of a token of these claims.
    async fn code_of(&self, changes: &Value) -> &'static str {
        self.code(&self.server.key.sign(&self.claims(changes)))
            .await
    }

    /// The same where the issuer says it of an opaque token.
    async fn code_said(&self, changes: &Value) -> &'static str {
        let mut answer = self.claims(&json!({ "active": true }));
        for (name, value) in changes.as_object().unwrap() {
            answer[name] = value.clone();
            if value.is_null() {
                answer.as_object_mut().unwrap().remove(name);
            }
        }
        self.server.say_of("opaque", answer);
        self.code("opaque").await
    }
}

#[tokio::test]
async fn a_good_token_says_whose_it_is() {
    for algorithm in ["RS256", "ES256"] {
        let scene = Scene::with(algorithm, |_| {}).await;
        let more = json!({
            "aud": ["other", "https://aws.example.com"], "name": "Ada L.", "email": "ada@x.example",
            "email_verified": false, "groups": ["uploaders", "shop/a:b", "uploaders"],
        });
        let claims = scene.claims(&more);
        let header = json!({ "typ": "at+jwt", "alg": algorithm, "kid": "k1" });
        let token = scene.server.key.sign_with_header(&header, &claims);
        let holder = scene.identify(&token).await.unwrap();
        let identity = &holder.identity;
        assert_eq!(
            (identity.connector.as_str(), identity.subject.as_str()),
            ("shop", "ada")
        );
        assert_eq!(identity.method, AuthenticationMethod::Token);
        assert_eq!(identity.display_name.as_deref(), Some("Ada L."));
        assert_eq!(identity.email, None);
        let groups: Vec<_> = identity
            .groups
            .iter()
            .map(|group| group.key.as_str())
            .collect();
        assert_eq!(groups, ["shop:uploaders", "shop:shop/a:b"]);
        assert_eq!(json!(holder.ends_at.unix_timestamp()), claims["exp"]);
        assert_eq!(
            json!(identity.authenticated_at.unix_timestamp()),
            claims["iat"]
        );
        assert_eq!(identity.groups_read_at, scene.clock.now());
    }
}

#[tokio::test]
async fn every_claim_is_judged() {
    let scene = Scene::by_keys().await;
    let now = scene.clock.now().unix_timestamp();
    for (changes, code) in [
        (json!({}), "ok"),
        (json!({ "iss": "https://evil.example" }), "wrong_issuer"),
        (
            json!({ "iss": format!("{}/", scene.server.issuer) }),
            "wrong_issuer",
        ),
        (json!({ "iss": null }), "wrong_issuer"),
        (json!({ "iss": [scene.server.issuer] }), "claim_invalid"),
        (json!({ "aud": "another" }), "wrong_audience"),
        (json!({ "aud": ["another", "rolegate2"] }), "wrong_audience"),
        (json!({ "aud": null }), "wrong_audience"),
        (json!({ "aud": { "rolegate": true } }), "claim_invalid"),
        (json!({ "exp": now - 61 }), "token_expired"),
        (json!({ "exp": now - 59 }), "ok"),
        (json!({ "exp": null }), "claim_missing"),
        (json!({ "exp": "9999999999" }), "claim_invalid"),
        (json!({ "exp": now + 3_601 }), "token_lasts_too_long"),
        (
            json!({ "exp": 253_402_300_799_i64 }),
            "token_lasts_too_long",
        ),
        (json!({ "iat": now - 7_200 }), "token_lasts_too_long"),
        (json!({ "iat": null }), "claim_missing"),
        (
            json!({ "iat": now + 61, "exp": now + 300 }),
            "token_not_yet_valid",
        ),
        (json!({ "nbf": now + 61 }), "token_not_yet_valid"),
        (json!({ "nbf": null }), "ok"),
        (json!({ "sub": null }), "claim_missing"),
        (json!({ "sub": "" }), "claim_missing"),
        (json!({ "sub": "a\u{0}" }), "claim_invalid"),
        (json!({ "sub": 7 }), "claim_invalid"),
        (json!({ "scope": "read" }), "claim_refused"),
        (json!({ "scope": null }), "claim_refused"),
        (json!({ "groups": null }), "groups_missing"),
        (json!({ "groups": [] }), "ok"),
        (json!({ "groups": ["a", 1] }), "claim_invalid"),
        (json!({ "groups": ["a\nb"] }), "claim_invalid"),
        (json!({ "hasgroups": true }), "groups_incomplete"),
        (
            json!({ "groups": null, "_claim_names": { "groups": "src1" } }),
            "groups_incomplete",
        ),
        (json!({ "cnf": { "jkt": "x" } }), "token_bound"),
        (json!({ "events": {} }), "token_type"),
    ] {
        assert_eq!(scene.code_of(&changes).await, code, "{changes}");
    }
}

#[tokio::test]
async fn a_forged_token_is_refused() {
    let scene = Scene::by_keys().await;
    let claims = scene.claims(&json!({}));
    let key = &scene.server.key;
    let good = key.sign(&claims);
    let stranger = TokenKey::new("k1", "RS256");
    let (signed, signature) = good.rsplit_once('.').unwrap();
    let part = |value: &str| URL_SAFE_NO_PAD.encode(value);
    let hmac_with = |secret: &[u8], kid: bool| {
        let mut header = json!({ "typ": "JWT", "alg": "HS256" });
        if kid {
            header["kid"] = json!("k1");
        }
        let signed = format!(
            "{}.{}",
            part(&header.to_string()),
            part(&claims.to_string())
        );
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
        let tag = hmac::sign(&key, signed.as_bytes());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(tag))
    };
    let none = |alg: &str| {
        let header = format!(r#"{{"typ":"JWT","alg":"{alg}"}}"#);
        format!("{}.{}.", part(&header), part(&claims.to_string()))
    };
    let header = |header: Value| key.sign_with_header(&header, &claims);
    let other = claims.to_string().replace("ada", "eve");
    let (head, _) = signed.split_once('.').unwrap();
    for (token, code) in [
        (good.clone(), "ok"),
        (stranger.sign(&claims), "signature_invalid"),
        (
            stranger.sign_with_header(
                &json!({ "alg": "RS256", "kid": "k1", "jwk": stranger.public() }),
                &claims,
            ),
            "signature_invalid",
        ),
        (
            header(json!({ "alg": "RS256", "kid": "another" })),
            "signature_invalid",
        ),
        (header(json!({ "alg": "RS256" })), "ok"),
        (hmac_with(&key.public_pem(), true), "algorithm_refused"),
        (
            hmac_with(key.public().to_string().as_bytes(), false),
            "algorithm_refused",
        ),
        (none("none"), "algorithm_refused"),
        (none("None"), "algorithm_refused"),
        (none("RS256"), "signature_invalid"),
        (
            header(json!({ "alg": "RS512", "kid": "k1" })),
            "algorithm_refused",
        ),
        (
            header(json!({ "alg": "ES256", "kid": "k1" })),
            "signature_invalid",
        ),
        (
            header(json!({ "alg": "RS256", "kid": "k1", "crit": ["x"], "x": 1 })),
            "token_type",
        ),
        (
            header(json!({ "alg": "RS256", "kid": "k1", "typ": "logout+jwt" })),
            "token_type",
        ),
        (format!("{signed}."), "signature_invalid"),
        (
            format!("{head}.{}.{signature}", part(&other)),
            "signature_invalid",
        ),
        (signed.to_owned(), "token_malformed"),
        (format!("{good}.x"), "token_malformed"),
        (format!("{good}="), "token_malformed"),
        (String::new(), "token_malformed"),
        ("opaque".to_owned(), "token_malformed"),
    ] {
        assert_eq!(scene.code(&token).await, code, "{token}");
    }
}

#[tokio::test]
async fn a_member_that_is_there_twice_is_refused() {
    let scene = Scene::by_keys().await;
    let claims = scene.claims(&json!({})).to_string();
    let doubled = claims.replacen('{', r#"{"sub":"eve","#, 1);
    let nested = claims.replacen('{', r#"{"x":{"y":1,"y":2},"#, 1);
    for claims in [doubled, nested] {
        // The signer writes what it is given: a raw value keeps both members.
        let token = scene.server.key.sign_text(&claims);
        assert_eq!(scene.code(&token).await, "token_malformed", "{claims}");
    }
}

#[tokio::test]
async fn new_keys_are_fetched_when_a_token_needs_them_and_never_in_a_hurry() {
    let scene = Scene::by_keys().await;
    let second = TokenKey::new("k2", "ES256");
    assert_eq!(scene.code_of(&json!({})).await, "ok");
    for _ in 0..20 {
        let forged = second.sign(&scene.claims(&json!({})));
        assert_eq!(scene.code(&forged).await, "signature_invalid");
    }
    assert_eq!(scene.server.fetches(), 1);
    scene.server.publish(&[&second]);
    scene.clock.advance(time::Duration::minutes(2));
    let token = second.sign(&scene.claims(&json!({})));
    assert_eq!(scene.code(&token).await, "ok");
    assert_eq!(scene.server.fetches(), 2);
    // The first key is not there any more.
    assert_eq!(scene.code_of(&json!({})).await, "signature_invalid");
    assert_eq!(scene.server.fetches(), 2);
}

#[tokio::test]
async fn the_last_good_keys_serve_for_a_day() {
    let scene = Scene::by_keys().await;
    scene.server.answer(503);
    assert_eq!(scene.code_of(&json!({})).await, "unavailable");
    scene.server.answer(200);
    // Asked again after a minute, not before.
    assert_eq!(scene.code_of(&json!({})).await, "unavailable");
    scene.clock.advance(time::Duration::minutes(1));
    assert_eq!(scene.code_of(&json!({})).await, "ok");
    scene.server.publish_text("no keys");
    scene.clock.advance(time::Duration::hours(23));
    assert_eq!(scene.code_of(&json!({})).await, "ok");
    scene.clock.advance(time::Duration::hours(1));
    assert_eq!(scene.code_of(&json!({})).await, "unavailable");
}

#[tokio::test]
async fn many_tokens_at_once_fetch_the_keys_once() {
    let scene = Arc::new(Scene::by_keys().await);
    let token = scene.server.token(scene.clock.now());
    let mut all = JoinSet::new();
    for _ in 0..50 {
        let (scene, token) = (Arc::clone(&scene), token.clone());
        all.spawn(async move { scene.code(&token).await });
    }
    let codes = all.join_all().await;
    assert!(codes.iter().all(|code| *code == "ok"), "{codes:?}");
    assert_eq!(scene.server.fetches(), 1);
}

#[tokio::test]
async fn an_opaque_token_is_what_its_issuer_says() {
    let scene = Scene::by_introspection().await;
    let now = scene.clock.now().unix_timestamp();
    for (changes, code) in [
        (json!({}), "ok"),
        (json!({ "active": false }), "token_inactive"),
        (json!({ "active": "true" }), "token_inactive"),
        (json!({ "active": null }), "token_inactive"),
        (json!({ "token_type": "Bearer" }), "ok"),
        (json!({ "token_type": "refresh_token" }), "token_type"),
        (json!({ "token_type": "DPoP" }), "token_type"),
        (json!({ "cnf": { "x5t#S256": "x" } }), "token_bound"),
        (json!({ "iss": null }), "ok"),
        (json!({ "iss": "https://evil.example" }), "wrong_issuer"),
        (json!({ "aud": null }), "wrong_audience"),
        (json!({ "aud": "another" }), "wrong_audience"),
        (json!({ "exp": null }), "claim_missing"),
        (json!({ "exp": now - 61 }), "token_expired"),
        (json!({ "iat": null }), "ok"),
        (
            json!({ "iat": null, "exp": now + 3_700 }),
            "token_lasts_too_long",
        ),
        (json!({ "groups": null }), "groups_missing"),
        (json!({ "scope": "read" }), "claim_refused"),
    ] {
        assert_eq!(scene.code_said(&changes).await, code, "{changes}");
    }
    let question = &scene.server.questions()[0];
    let expected = STANDARD.encode("role+gate:50+%25+%3A+%C3%B6re");
    assert_eq!(question.authorization, format!("Basic {expected}"));
    // Each time anew.
    assert_eq!(scene.server.questions().len(), 18);
}

#[tokio::test]
async fn an_issuer_that_answers_badly_vouches_for_nobody() {
    let scene = Scene::by_introspection().await;
    let good = scene.claims(&json!({ "active": true })).to_string();
    let doubled = good.replacen('{', r#"{"active":true,"#, 1);
    let long = good.replacen('{', &format!("{{\"x\":\"{}\",", "y".repeat(64 * 1024)), 1);
    for text in [
        doubled,
        long,
        "[]".to_owned(),
        "true".to_owned(),
        "no JSON".to_owned(),
    ] {
        scene.server.say_of("opaque", Value::String(text));
        assert_eq!(scene.code("opaque").await, "unavailable");
    }
    scene.server.say_of("opaque", Value::String(good));
    assert_eq!(scene.code("opaque").await, "ok");
    for status in [302, 401, 403, 500] {
        scene.server.answer(status);
        assert_eq!(scene.code("opaque").await, "unavailable", "{status}");
    }
}

#[tokio::test]
async fn a_token_goes_to_no_issuer_that_it_does_not_say_it_is_of() {
    let scene = Scene::by_introspection().await;
    let of_another = scene.claims(&json!({ "iss": "https://another.example" }));
    let of_nobody = scene.claims(&json!({ "iss": null }));
    for claims in [of_another, of_nobody] {
        let token = scene.server.key.sign(&claims);
        let secret = SecretString::from(token.clone());
        assert!(!scene.issuer.may_be_of(&secret));
        assert_eq!(scene.code(&token).await, "wrong_issuer");
    }
    for junk in ["", "a b", "a\nb", "ä", &"x".repeat(16 * 1024 + 1)] {
        assert_eq!(scene.code(junk).await, "token_malformed");
    }
    assert!(scene.server.questions().is_empty());
    let own = scene.server.token(scene.clock.now());
    assert!(scene.issuer.may_be_of(&SecretString::from(own.clone())));
    assert!(scene.issuer.may_be_of(&SecretString::from("opaque")));
    assert_eq!(scene.code(&own).await, "token_inactive");
    assert_eq!(scene.server.questions()[0].token, own);
    let by_keys = Scene::by_keys().await;
    assert!(!by_keys.issuer.may_be_of(&SecretString::from("opaque")));
}

#[tokio::test]
async fn fixed_groups_stand_in_for_those_of_a_token() {
    let scene = Scene::with("ES256", |settings| {
        settings.claims.groups = None;
        settings.groups = vec!["uploaders".to_owned()];
    })
    .await;
    let claims = scene.claims(&json!({ "groups": ["admins"], "hasgroups": true }));
    let holder = scene
        .identify(&scene.server.key.sign(&claims))
        .await
        .unwrap();
    let [group] = &holder.identity.groups[..] else {
        panic!("there is one group");
    };
    assert_eq!(group.key.as_str(), "shop:uploaders");
}

#[tokio::test]
async fn a_refusal_tells_nothing_of_the_token() {
    let scene = Scene::by_keys().await;
    let claims = scene.claims(&json!({ "aud": "elsewhere", "secret": "planted" }));
    let token = scene.server.key.sign(&claims);
    let refusal = scene.identify(&token).await.unwrap_err();
    let told = format!("{refusal:?} {refusal}");
    let (_, signature) = token.rsplit_once('.').unwrap();
    assert!(
        !told.contains("planted") && !told.contains(signature),
        "{told}"
    );
}

#[test]
fn every_code_is_in_the_documentation() {
    for code in CODES {
        assert!(APPS.contains(&format!("| `{code}` |")), "{code}");
    }
}
