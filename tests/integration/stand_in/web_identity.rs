//! `AssumeRoleWithWebIdentity` of the stand-in: tokens of OpenID providers, and access tokens.

use aws_sdk_sts::operation::assume_role_with_web_identity::builders::AssumeRoleWithWebIdentityFluentBuilder;
use rolegate::demo::aws::{AccessToken, OidcProvider, StsAction};
use serde_json::{Value, json};

use super::*;
use crate::support::web_token::{Published, TokenIssuer, TokenKey, key_set};

const ISSUER: &str = "https://issuer.example.com/tenant";
const OIDC: &str = "arn:aws:iam::111111111111:oidc-provider/issuer.example.com/tenant";
const CLIENT: &str = "sts.amazonaws.com";
const WEB: &str = "arn:aws:iam::111111111111:role/Web";
const RICH: &str = "arn:aws:iam::111111111111:role/Rich";
const OTHER: &str = "arn:aws:iam::111111111111:role/Other";
const GUARDED: &str = "arn:aws:iam::111111111111:role/Guarded";
const SOCIAL: &str = "arn:aws:iam::111111111111:role/Social";
const FACEBOOK: &str = "graph.facebook.com";

fn web_catalogue(provider: OidcProvider) -> Catalogue {
    let trust = || Trust::default().with_web_identity(OIDC, [CLIENT], ["corp:*"]);
    let rich = trust().with_session_tags().with_source_identity();
    let other = Trust::default().with_web_identity(OIDC, ["another"], []);
    let social = Trust::default().with_web_identity(FACEBOOK, ["app-1"], []);
    Catalogue::default()
        .with_account(Account::new("111111111111", "One"))
        .with_account(Account::new("222222222222", "Two"))
        .with_oidc_provider(provider)
        .with_role(Role::new(WEB, trust()))
        .with_role(Role::new(RICH, rich).with_max_session_seconds(7_200))
        .with_role(Role::new(OTHER, other))
        .with_role(Role::new(GUARDED, trust().with_mfa_required()))
        .with_role(Role::new(SOCIAL, social))
        .with_role(Role::new(
            "arn:aws:iam::222222222222:role/Web",
            Trust::default().with_web_identity(OIDC, [CLIENT], []),
        ))
        .with_access_token(AccessToken::new(FACEBOOK, "EAAB1234", "app-1", "4711"))
}

fn provider() -> OidcProvider {
    OidcProvider::new(OIDC, [CLIENT, "another"]).expect("IAM would take it")
}

fn web_stand_in(keys: &[&TokenKey]) -> StandIn {
    let provider = provider().with_keys(&key_set(keys)).expect("keys");
    StandIn::start(web_catalogue(provider), ANY_PORT).expect("a free port on 127.0.0.1")
}

fn claims() -> Value {
    let seconds = now().unix_timestamp();
    json!({
        "iss": ISSUER, "aud": CLIENT, "sub": "corp:ada", "jti": "t-1",
        "iat": seconds, "nbf": seconds, "exp": seconds + 300,
    })
}

/// The claims with another value; null takes one away.
fn with(name: &str, value: Value) -> Value {
    let mut claims = claims();
    if value.is_null() {
        claims.as_object_mut().expect("claims").remove(name);
    } else {
        claims[name] = value;
    }
    claims
}

fn call(stand_in: &StandIn, role: &str, token: &str) -> AssumeRoleWithWebIdentityFluentBuilder {
    anybody(stand_in)
        .assume_role_with_web_identity()
        .role_arn(role)
        .role_session_name("ada")
        .web_identity_token(token)
}

async fn web_refusal(request: AssumeRoleWithWebIdentityFluentBuilder) -> (u16, String, String) {
    describe(&request.send().await.expect_err("is refused"))
}

#[tokio::test]
async fn a_token_is_redeemed_whatever_its_algorithm() {
    let algorithms = ["RS256", "RS384", "RS512", "ES256", "ES384", "ES512"];
    let keys = algorithms.map(|algorithm| TokenKey::new(algorithm, algorithm));
    let stand_in = web_stand_in(&keys.each_ref());
    for key in &keys {
        let token = key.sign(&claims());
        let answer = call(&stand_in, WEB, &token).send().await;
        let answer = answer.unwrap_or_else(|error| panic!("{}: {error:?}", key.algorithm));
        assert_eq!(answer.subject_from_web_identity_token(), Some("corp:ada"));
        assert_eq!(answer.audience(), Some(CLIENT));
        assert_eq!(answer.provider(), Some(ISSUER));
        let issued = stand_in.issued().pop().expect("a session");
        assert_eq!(issued.action, StsAction::AssumeRoleWithWebIdentity);
        assert_eq!(issued.arn, "arn:aws:sts::111111111111:assumed-role/Web/ada");
        assert!(!issued.is_chained);
        let evidence = issued.web_identity.as_ref().expect("a token");
        assert_eq!(evidence.token, token);
        assert_eq!(evidence.token_id.as_deref(), Some("t-1"));
        assert_eq!(evidence.provider_arn, OIDC);
        assert!(!format!("{issued:?}{evidence:?}").contains(&token));
        let token = signin_token(&stand_in, &issued, Some("43200")).await;
        assert!(token.is_ok(), "twelve hours at the console");
    }
}

#[tokio::test]
async fn tags_and_source_identity_come_from_the_token() {
    let key = TokenKey::new("k", "ES256");
    let stand_in = web_stand_in(&[&key]);
    let mut claims = claims();
    claims["https://aws.amazon.com/tags"] =
        json!({"principal_tags": {"team": ["payments"]}, "transitive_tag_keys": ["team"]});
    claims["https://aws.amazon.com/source_identity"] = json!("ada.l");
    claims["azp"] = json!("another");
    claims["aud"] = json!([CLIENT, "third"]);
    let rich = Trust::default()
        .with_web_identity(OIDC, ["another"], [])
        .with_session_tags();
    stand_in.update(|catalogue| {
        catalogue.set_trust(RICH, rich.clone().with_source_identity());
    });
    let token = key.sign(&claims);
    let answer = call(&stand_in, RICH, &token).duration_seconds(7_200);
    let answer = answer.send().await.expect("is allowed");
    assert_eq!(answer.source_identity(), Some("ada.l"));
    assert_eq!(answer.audience(), Some("another"), "azp goes before aud");
    let issued = stand_in.issued().pop().expect("a session");
    assert_eq!(issued.tags, [("team".to_owned(), "payments".to_owned())]);
    assert_eq!(issued.transitive_tag_keys, ["team"]);
    stand_in.update(|catalogue| assert!(catalogue.set_trust(RICH, rich)));
    let (status, code, _) = web_refusal(call(&stand_in, RICH, &token)).await;
    assert_eq!((status, code.as_str()), (403, "AccessDenied"));
    let refused = call(&stand_in, WEB, &key.sign(&self::claims())).duration_seconds(3_601);
    let (_, code, message) = web_refusal(refused).await;
    assert_eq!(code, "ValidationError");
    assert!(message.contains("MaxSessionDuration"), "{message}");
}

const INVALID: &str = "InvalidIdentityToken";

/// Claims, and their refusal: code and words.
type BadClaims = (Value, &'static str, &'static str);

fn with_bad_evidence() -> Vec<BadClaims> {
    let seconds = now().unix_timestamp();
    vec![
        (
            with("iss", json!("https://other.example.com")),
            INVALID,
            "No OpenIDConnect provider",
        ),
        (with("iss", Value::Null), INVALID, "claim: iss"),
        (
            with("aud", json!("somebody")),
            INVALID,
            "Incorrect token audience",
        ),
        (
            with("aud", json!([CLIENT, "another"])),
            INVALID,
            "Incorrect token audience",
        ),
        (
            with("azp", json!("somebody")),
            INVALID,
            "Incorrect token audience",
        ),
        (with("aud", Value::Null), INVALID, "claim: aud"),
        (
            with("exp", json!(seconds)),
            "ExpiredTokenException",
            "Token expired",
        ),
        (with("exp", Value::Null), INVALID, "claim: exp"),
        (with("exp", json!(1.5)), INVALID, "integer"),
        (with("exp", json!("tomorrow")), INVALID, "integer"),
        (with("iat", Value::Null), INVALID, "claim: iat"),
        (with("iat", json!(seconds + 301)), INVALID, "iat"),
        (with("nbf", json!(seconds + 330)), INVALID, "nbf"),
        (with("sub", json!("ada")), INVALID, "sub"),
        (with("sub", json!("x".repeat(256))), INVALID, "sub"),
        (with("sub", Value::Null), INVALID, "claim: sub"),
        (
            with("sub", json!("other:ada")),
            "AccessDenied",
            "sts:AssumeRoleWithWebIdentity",
        ),
        (
            with("aud", json!("another")),
            "AccessDenied",
            "sts:AssumeRoleWithWebIdentity",
        ),
    ]
}

fn with_bad_session() -> Vec<BadClaims> {
    let tags = |tags: Value| with("https://aws.amazon.com/tags", tags);
    let many = (0..51).map(|n| (format!("k{n}"), json!(["v"])));
    let many: serde_json::Map<String, Value> = many.collect();
    vec![
        (
            tags(json!({"principal_tags": {"team": "payments"}})),
            INVALID,
            "tags claim",
        ),
        (
            tags(json!({"principal_tags": {"team": ["a", "b"]}})),
            INVALID,
            "tags claim",
        ),
        (
            tags(json!({"principal_tags": {"a": ["b;"]}})),
            INVALID,
            "'tags'",
        ),
        (
            tags(json!({"principal_tags": {"a": ["1"], "A": ["2"]}})),
            INVALID,
            "Duplicate",
        ),
        (tags(json!({"principal_tags": many})), INVALID, "'tags'"),
        (
            tags(json!({"principal_tags": {}, "transitive_tag_keys": ["a"]})),
            INVALID,
            "transitive",
        ),
        (
            tags(json!({"principal_tags": {"team": ["a"]}})),
            "AccessDenied",
            "",
        ),
        (
            with("https://aws.amazon.com/source_identity", json!("a b")),
            INVALID,
            "Source Identity",
        ),
        (
            with("https://aws.amazon.com/source_identity", json!("ada")),
            "AccessDenied",
            "",
        ),
    ]
}

#[tokio::test]
async fn tokens_are_refused_as_aws_refuses_them() {
    let key = TokenKey::new("k", "RS256");
    let stand_in = web_stand_in(&[&key]);
    let cases = [with_bad_evidence(), with_bad_session()];
    for (claims, code, words) in cases.into_iter().flatten() {
        let (_, seen, message) = web_refusal(call(&stand_in, WEB, &key.sign(&claims))).await;
        assert_eq!(seen, code, "{message}: {claims}");
        assert!(message.contains(words), "{message}: {claims}");
    }
    let good = key.sign(&claims());
    for role in [OTHER, GUARDED, "arn:aws:iam::111111111111:role/Nowhere"] {
        assert_eq!(
            web_refusal(call(&stand_in, role, &good)).await.1,
            "AccessDenied"
        );
    }
    let elsewhere = call(&stand_in, "arn:aws:iam::222222222222:role/Web", &good);
    assert!(
        web_refusal(elsewhere)
            .await
            .2
            .contains("No OpenIDConnect provider")
    );
    assert!(stand_in.issued().is_empty());
    call(&stand_in, WEB, &good)
        .send()
        .await
        .expect("nothing is wrong with it");
}

#[tokio::test]
async fn a_signature_that_is_not_the_issuers_is_refused() {
    let key = TokenKey::new("k", "RS256");
    let stranger = TokenKey::new("k", "RS256");
    let curve = TokenKey::new("e", "ES256");
    let stand_in = web_stand_in(&[&key, &curve]);
    let good = key.sign(&claims());
    let (signed, signature) = good.rsplit_once('.').expect("a token");
    let none = json!({"alg": "none"});
    let unsigned = key.sign_with_header(&none, &claims());
    let (unsigned, _) = unsigned.rsplit_once('.').expect("a token");
    let header = |header: Value| key.sign_with_header(&header, &claims());
    let elevated = stranger.sign(&with("sub", json!("corp:root")));
    let (elevated, _) = elevated.rsplit_once('.').expect("a token");
    for (token, words) in [
        (stranger.sign(&claims()), "signature"),
        (format!("{elevated}.{signature}"), "signature"),
        (format!("{unsigned}."), "signature"),
        (format!("{signed}."), "signature"),
        (header(json!({"alg": "RS384", "kid": "k"})), "signature"),
        (header(json!({"alg": "HS256", "kid": "k"})), "signature"),
        (header(json!({"alg": "ES256", "kid": "k"})), "signature"),
        (header(json!({"alg": "RS256", "kid": "e"})), "signature"),
        (header(json!({"alg": "RS256", "kid": "gone"})), "signature"),
        (header(json!({"alg": "RS256"})), "signature"),
        (
            header(json!({"alg": "RS256", "kid": "k", "crit": ["x"]})),
            "signature",
        ),
        (format!("{good}="), "not a valid JWT"),
        ("an-access-token".to_owned(), "not a valid JWT"),
    ] {
        let (status, code, message) = web_refusal(call(&stand_in, WEB, &token)).await;
        assert_eq!(
            (status, code.as_str()),
            (400, "InvalidIdentityToken"),
            "{message}"
        );
        assert!(message.contains(words), "{message}");
    }
    let alone = web_stand_in(&[&key]);
    let token = header(json!({"alg": "RS256"}));
    call(&alone, WEB, &token)
        .send()
        .await
        .expect("there is one key alone");
}

#[tokio::test]
async fn keys_are_fetched_from_the_issuer_at_every_call() {
    let (old, new) = (TokenKey::new("old", "ES256"), TokenKey::new("new", "ES256"));
    let discovery =
        |issuer: &str| json!({"issuer": issuer, "jwks_uri": format!("{ISSUER}/jwks")}).to_string();
    let published = |keys: &[&TokenKey]| Published {
        discovery: (200, discovery(ISSUER)),
        keys: (200, key_set(keys)),
    };
    let issuer = TokenIssuer::start(published(&[&old])).await;
    let fetching = provider().fetched_from(issuer.url.clone());
    let stand_in = StandIn::start(web_catalogue(fetching), ANY_PORT).expect("starts");
    let redeemed = async |key: &TokenKey| {
        let answer = call(&stand_in, WEB, &key.sign(&claims())).send().await;
        answer.map(|_| ()).map_err(|error| describe(&error).1)
    };
    assert_eq!(redeemed(&old).await, Ok(()));
    assert_eq!(redeemed(&new).await, Err("InvalidIdentityToken".to_owned()));
    issuer.publish(published(&[&new, &old]));
    assert_eq!(
        (redeemed(&old).await, redeemed(&new).await),
        (Ok(()), Ok(()))
    );

    let good = published(&[&old]);
    for (bad, code) in [
        (
            Published {
                discovery: (200, discovery("https://other.example.com")),
                ..good.clone()
            },
            "InvalidIdentityToken",
        ),
        (
            Published {
                discovery: (200, "<html>".to_owned()),
                ..good.clone()
            },
            "InvalidIdentityToken",
        ),
        (
            Published {
                keys: (404, String::new()),
                ..good.clone()
            },
            "InvalidIdentityToken",
        ),
        (
            Published {
                keys: (503, String::new()),
                ..good.clone()
            },
            "IDPCommunicationError",
        ),
    ] {
        issuer.publish(bad);
        assert_eq!(redeemed(&old).await, Err(code.to_owned()));
    }
    let nobody = std::net::TcpListener::bind(ANY_PORT).expect("a free port");
    let nobody = nobody.local_addr().expect("an address");
    let nobody = Url::parse(&format!("http://{nobody}/")).expect("a URL");
    stand_in.update(|catalogue| {
        let unreachable = provider().fetched_from(nobody);
        *catalogue = std::mem::take(catalogue).with_oidc_provider(unreachable);
    });
    assert_eq!(
        redeemed(&old).await,
        Err("IDPCommunicationError".to_owned())
    );
}

#[tokio::test]
async fn an_issuer_on_the_loopback_address_can_be_trusted_as_well() {
    let key = TokenKey::new("k", "ES256");
    let empty = Published {
        discovery: (404, String::new()),
        keys: (200, key_set(&[&key])),
    };
    let issuer = TokenIssuer::start(empty.clone()).await;
    let url = issuer.url.as_str().trim_end_matches('/');
    let discovery = json!({"issuer": url, "jwks_uri": format!("{url}/jwks")});
    issuer.publish(Published {
        discovery: (200, discovery.to_string()),
        ..empty
    });
    let catalogue = web_catalogue(provider().with_url(url));
    let stand_in = StandIn::start(catalogue, ANY_PORT).expect("starts");
    let token = key.sign(&with("iss", json!(url)));
    let answer = call(&stand_in, WEB, &token).send().await;
    assert_eq!(answer.expect("is allowed").provider(), Some(url));
}

#[tokio::test]
async fn an_access_token_goes_with_its_provider_id_alone() {
    let key = TokenKey::new("k", "ES256");
    let stand_in = web_stand_in(&[&key]);
    let answer = call(&stand_in, SOCIAL, "EAAB1234").provider_id(FACEBOOK);
    let answer = answer.send().await.expect("is allowed");
    assert_eq!(answer.provider(), Some(FACEBOOK));
    assert_eq!(answer.audience(), Some("app-1"));
    assert_eq!(answer.subject_from_web_identity_token(), Some("4711"));
    let token = key.sign(&claims());
    for (request, code) in [
        (
            call(&stand_in, SOCIAL, "EAAB9999").provider_id(FACEBOOK),
            "InvalidIdentityToken",
        ),
        (call(&stand_in, SOCIAL, "EAAB1234"), "InvalidIdentityToken"),
        (
            call(&stand_in, WEB, "EAAB1234").provider_id(FACEBOOK),
            "AccessDenied",
        ),
        (
            call(&stand_in, WEB, &token).provider_id("issuer.example.com"),
            "ValidationError",
        ),
        (
            call(&stand_in, WEB, &token).role_session_name("a b"),
            "ValidationError",
        ),
        (
            call(&stand_in, WEB, &token).duration_seconds(899),
            "ValidationError",
        ),
        (call(&stand_in, WEB, &"x".repeat(20_001)), "ValidationError"),
        (
            call(&stand_in, WEB, &token).policy("{"),
            "MalformedPolicyDocument",
        ),
    ] {
        let (_, seen, message) = web_refusal(request).await;
        assert_eq!(seen, code, "{message}");
    }
}

#[tokio::test]
async fn a_token_is_never_taken_with_a_signature() {
    let key = TokenKey::new("k", "ES256");
    let stand_in = web_stand_in(&[&key]);
    let token = key.sign(&claims());
    let form = [
        ("Action", "AssumeRoleWithWebIdentity"),
        ("Version", "2011-06-15"),
        ("RoleArn", WEB),
        ("RoleSessionName", "ada"),
        ("WebIdentityToken", token.as_str()),
    ];
    let post = || http().post(stand_in.url()).form(&form);
    let signed = post().header("authorization", "AWS4-HMAC-SHA256 Credential=x");
    assert_eq!(signed.send().await.expect("answers").status().as_u16(), 400);
    assert_eq!(post().send().await.expect("answers").status().as_u16(), 200);
    let missing = http().post(stand_in.url()).form(&form[..2]);
    let text = missing.send().await.expect("answers").text().await;
    let text = text.expect("text");
    for field in ["roleArn", "roleSessionName", "webIdentityToken"] {
        assert!(text.contains(field), "{text}");
    }
    assert_eq!(stand_in.sts_calls_of("AssumeRoleWithWebIdentity"), 3);
}

#[test]
fn oidc_providers_are_taken_as_iam_takes_them() {
    let long = "x".repeat(256);
    let many: Vec<String> = (0..101).map(|n| format!("client-{n}")).collect();
    let account = "arn:aws:iam::111111111111";
    for (arn, client_ids) in [
        ("issuer.example.com".to_owned(), vec!["a"]),
        (format!("{account}:saml-provider/x"), vec!["a"]),
        (
            format!("{account}:oidc-provider/issuer.example.com:8443"),
            vec!["a"],
        ),
        (
            format!("{account}:oidc-provider/issuer.example.com/?x"),
            vec!["a"],
        ),
        (format!("{account}:oidc-provider/{long}"), vec!["a"]),
        (OIDC.to_owned(), vec![long.as_str()]),
        (OIDC.to_owned(), many.iter().map(String::as_str).collect()),
    ] {
        assert!(OidcProvider::new(&arn, client_ids).is_err(), "{arn}");
    }
    assert!(provider().with_keys("[]").is_err());
}
