//! What applications come for: a token of their own, or a password, becomes AWS credentials of what
//! is the person's and nothing else; anything doubtful becomes 401.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::Command,
    sync::{Arc, OnceLock},
};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::Request,
    http::{HeaderValue, Method, Response, header},
    routing::get,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use openssl::nid::Nid;
use rolegate::{
    clock::Clock as _,
    demo::{
        aws::{Catalogue, OidcProvider, Principal, Role, StsAction, Trust},
        sample::{self, BROKER_ACCESS_KEY_ID, BROKER_ARN, BROKER_SECRET_ACCESS_KEY, group_dn},
    },
};
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinSet};

use crate::support::{
    app::{Options, TestApp},
    browser::run_browser_script,
    children::{free_port, run_or_panic},
    cookie_browser::client,
    identity_providers::openid::{CLIENT_ID, CLIENT_SECRET, OpenIdProvider},
    moto::{self, Moto},
    saml::keys::KeyPair,
    temporary_dir,
    token_server::TokenServer,
    tools_dir,
    web_token::TokenKey,
};

const APPS: &str = include_str!("../../docs/apps.md");
/// The role of the document's example.
const UPLOAD: &str = "arn:aws:iam::111122223333:role/Upload";
const FEDERATED: &str = "arn:aws:sts::444455556666:federated-user/Uploads";
const VOUCHED: &str = "arn:aws:iam::111122223333:role/Vouched";
const ALL_OF_S3: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:*","organizations:ListAccounts"],"Resource":"*"}]}"#;

/// The first block of a language in the document that has `text` in it.
fn block(language: &str, text: &str) -> &'static str {
    let fence = format!("\n```{language}\n");
    let mut blocks = APPS.split(&fence).skip(1);
    let found = blocks.find_map(|rest| {
        let (block, _) = rest.split_once("\n```")?;
        block.contains(text).then_some(block)
    });
    found.unwrap_or_else(|| panic!("docs/apps.md has no {language} with {text}"))
}

/// A Rolegate that trusts an issuer, with the document's role for its uploaders.
struct Shop {
    app: TestApp,
    server: TokenServer,
}

impl Shop {
    async fn start() -> Self {
        let server = TokenServer::start("ES256").await;
        let more = server.by_keys("shop", "required_claims = { scope = [\"upload\"] }");
        Self::with(server, more, Vec::new()).await
    }

    async fn by_introspection() -> Self {
        let server = TokenServer::start("RS256").await;
        let more = server.by_introspection("shop", "");
        Self::with(server, more, Vec::new()).await
    }

    async fn with(server: TokenServer, more: String, overrides: Vec<(String, String)>) -> Self {
        let role = Role::new(UPLOAD, Trust::of([BROKER_ARN]));
        let broker = Principal::user(BROKER_ARN, BROKER_ACCESS_KEY_ID, BROKER_SECRET_ACCESS_KEY)
            .which_may_assume("*")
            .which_may_federate();
        let names = (
            "AWS__SESSION_NAME".to_owned(),
            "{connector}-{username}".to_owned(),
        );
        let app = TestApp::start_with(Options {
            overrides: overrides.into_iter().chain([names]).collect(),
            mapping_toml: Some(sample::mapping_toml() + &rows()),
            catalogue: Some(
                Catalogue::sample()
                    .with_role(role.with_policy(ALL_OF_S3).unwrap())
                    .with_principal(broker.with_policy(ALL_OF_S3).unwrap()),
            ),
            more_toml: more,
            ..Options::default()
        })
        .await;
        Self { app, server }
    }

    /// Asks for credentials.
    async fn ask(&self, authorization: &str, body: &Value) -> (u16, Value) {
        ask(&self.app, &[("authorization", authorization)], body).await
    }

    /// Asks for those of the document's role with a token.
    async fn with_token(&self, token: &str) -> (u16, Value) {
        let body = json!({ "role": "111122223333/Upload", "duration": "15m" });
        self.ask(&format!("Bearer {token}"), &body).await
    }

    /// A good token with some claims changed.
    fn token(&self, changes: &Value) -> String {
        self.server.key.sign(&self.claims(changes))
    }

    fn claims(&self, changes: &Value) -> Value {
        let mut claims = self.server.claims(self.app.clock.now());
        for (name, value) in changes.as_object().unwrap() {
            claims[name] = value.clone();
        }
        claims
    }

    /// How often AWS was asked for credentials; who we are it is asked at the start.
    fn calls_for_credentials(&self) -> u64 {
        let calls = |action| self.app.aws.sts_calls_of(action);
        calls("AssumeRole") + calls("GetFederationToken")
    }

    /// Whether credentials may read and write below `prefix`.
    fn may(&self, credentials: &Value, prefix: &str) -> bool {
        let key = credentials["AccessKeyId"].as_str().unwrap();
        let object = format!("arn:aws:s3:::uploads/{prefix}photo.jpg");
        let may = |action| self.app.aws.is_allowed(key, action, &object);
        let both = [may("s3:PutObject"), may("s3:GetObject")];
        assert_eq!(both[0], both[1], "{prefix}");
        assert!(!may("s3:DeleteObject"), "{prefix}");
        both[0]
    }
}

async fn ask(app: &TestApp, headers: &[(&str, &str)], body: &Value) -> (u16, Value) {
    let url = app.url.join("api/v1/credentials").unwrap();
    let mut request = client().post(url).json(body);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = request.send().await.unwrap();
    let status = answer.status().as_u16();
    assert_eq!(answer.headers()[header::CACHE_CONTROL], "no-store");
    (status, answer.json().await.unwrap())
}

/// The document's rows, and the same for people of the directory and for the issuer's word.
fn rows() -> String {
    let document = block("toml", "[role.public_values]");
    let (_, policy) = document.split_once("session_policy = '''").unwrap();
    let (policy, _) = policy.split_once("'''").unwrap();
    let everyone = group_dn("everyone");
    let mut parts = vec![format!("\n{document}\n")];
    let methods = [
        (FEDERATED, "federation-token"),
        (VOUCHED, "assume-role-with-web-identity"),
    ];
    for (arn, method) in methods {
        parts.push(format!(
            "\n[[role]]\narn = \"{arn}\"\ngrant_method = \"{method}\"\n\
             session_policy = '''{policy}'''\n"
        ));
    }
    for (group, arn) in [
        (format!("corp:{everyone}"), UPLOAD),
        (format!("corp:{everyone}"), FEDERATED),
        ("shop:uploaders".to_owned(), FEDERATED),
        ("shop:machines".to_owned(), VOUCHED),
    ] {
        parts.push(format!(
            "\n[[mapping]]\ngroup = \"{group}\"\nrole = \"{arn}\"\n"
        ));
    }
    parts.concat()
}

fn basic(username: &str, password: &str) -> String {
    format!(
        "Basic {}",
        STANDARD.encode(format!("{username}:{password}"))
    )
}

#[tokio::test]
async fn a_token_opens_what_is_its_holders_and_nothing_else() {
    let shop = Shop::start().await;
    let (status, given) = shop.with_token(&shop.token(&json!({}))).await;
    assert_eq!(status, 200, "{given}");
    assert_eq!(given["RoleArn"], UPLOAD);
    assert_eq!(given["public_values"]["prefix"], "home/shop/ada/");
    for (prefix, expected) in [
        ("home/shop/ada/", true),
        ("home/shop/ada/deep/", true),
        ("home/shop/adam/", false),
        ("home/shop/eve/", false),
        ("home/corp/ada/", false),
        ("home/shop/", false),
        ("", false),
    ] {
        assert_eq!(shop.may(&given, prefix), expected, "{prefix}");
    }
    let issued = shop.app.aws.issued();
    assert_eq!(issued[0].session_name, "shop-ada");
    assert_eq!(issued[0].duration_seconds, 900);
    let row = shop.app.last_audit_event().await;
    assert_eq!(row["action"], "credentials.issue");
    let actor = &row["actor"];
    assert_eq!(
        (&actor["connector"], &actor["subject"]),
        (&json!("shop"), &json!("ada"))
    );
}

#[tokio::test]
async fn a_name_that_is_a_pattern_or_a_path_stays_where_it_is() {
    let shop = Shop::start().await;
    for (name, own) in [
        ("*", "=2A"),
        ("../eve", "..=2Feve"),
        ("..", "=2E=2E"),
        ("${aws:username}", "=24=7Baws=3Ausername=7D"),
        ("ada/", "ada=2F"),
    ] {
        let (status, given) = shop.with_token(&shop.token(&json!({ "sub": name }))).await;
        assert_eq!(status, 200, "{name}: {given}");
        assert!(shop.may(&given, &format!("home/shop/{own}/")), "{name}");
        for other in ["home/shop/eve/", "home/shop/ada/", "home/eve/", ""] {
            assert!(!shop.may(&given, other), "{name} reaches {other}");
        }
    }
}

#[tokio::test]
async fn a_bad_token_is_401_and_audited_and_asks_aws_nothing() {
    let shop = Shop::start().await;
    let now = shop.app.clock.now().unix_timestamp();
    let stranger = TokenKey::new("k1", "ES256");
    let key = &shop.server.key;
    let good = shop.token(&json!({}));
    let (head, rest) = good.split_once('.').unwrap();
    let none = json!({ "alg": "none" }).to_string();
    let none = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(none);
    let payload = rest.split_once('.').unwrap().0;
    let calls = shop.calls_for_credentials();
    for (token, code, is_of_shop) in [
        (
            stranger.sign(&shop.claims(&json!({}))),
            "signature_invalid",
            true,
        ),
        (
            shop.token(&json!({ "iat": now - 1_200, "exp": now - 600 })),
            "token_expired",
            true,
        ),
        (
            shop.token(&json!({ "aud": "elsewhere" })),
            "wrong_audience",
            true,
        ),
        (
            shop.token(&json!({ "scope": "read" })),
            "claim_refused",
            true,
        ),
        (
            shop.token(&json!({ "iss": "https://evil.example" })),
            "invalid_token",
            false,
        ),
        (
            hs256(key, &shop.claims(&json!({}))),
            "algorithm_refused",
            true,
        ),
        (format!("{none}.{payload}."), "algorithm_refused", true),
        (format!("{head}.{payload}.AAAA"), "signature_invalid", true),
        ("opaque".to_owned(), "invalid_token", false),
        (
            "rga_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA".to_owned(),
            "invalid_token",
            false,
        ),
    ] {
        let (status, answer) = shop.with_token(&token).await;
        assert_eq!(status, 401, "{code}: {answer}");
        assert_eq!(answer["authenticated"], false, "{answer}");
        assert_eq!(answer["error"], code, "{answer}");
        let row = shop.app.last_audit_event().await;
        assert_eq!(
            (&row["action"], &row["outcome"], &row["reason"]),
            (&json!("token.refuse"), &json!("refused"), &json!(code))
        );
        assert_eq!(row["actor"]["connector"] == "shop", is_of_shop, "{row}");
        assert!(!row.to_string().contains(&token), "{row}");
    }
    assert_eq!(shop.calls_for_credentials(), calls);
    let (status, _) = shop.with_token(&good).await;
    assert_eq!(status, 200);
}

/// A token whose signature is made with the public key as a shared secret.
fn hs256(key: &TokenKey, claims: &Value) -> String {
    let part =
        |value: &Value| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(value.to_string());
    let header = json!({ "alg": "HS256", "kid": key.kid });
    let signed = format!("{}.{}", part(&header), part(claims));
    let secret = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, &key.public_pem());
    let tag = aws_lc_rs::hmac::sign(&secret, signed.as_bytes());
    let tag = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(tag);
    format!("{signed}.{tag}")
}

#[tokio::test]
async fn an_opaque_token_is_good_until_its_issuer_revokes_it() {
    let shop = Shop::by_introspection().await;
    let mut answer = shop.claims(&json!({ "active": true, "token_type": "Bearer" }));
    shop.server.say_of("opaque-1", answer.clone());
    let (status, given) = shop.with_token("opaque-1").await;
    assert_eq!(status, 200, "{given}");
    assert!(shop.may(&given, "home/shop/ada/") && !shop.may(&given, "home/shop/eve/"));
    answer["active"] = json!(false);
    shop.server.say_of("opaque-1", answer);
    let calls = shop.calls_for_credentials();
    for token in ["opaque-1", "guessed"] {
        let (status, told) = shop.with_token(token).await;
        assert_eq!((status, &told["error"]), (401, &json!("token_inactive")));
        assert_eq!(told["authenticated"], false);
        let row = shop.app.last_audit_event().await;
        assert_eq!(row["reason"], "token_inactive");
    }
    assert_eq!(shop.calls_for_credentials(), calls);
    shop.server.answer(500);
    let (status, told) = shop.with_token("opaque-1").await;
    assert_eq!(status, 503, "{told}");
    let row = shop.app.last_audit_event().await;
    assert_eq!(
        (&row["outcome"], &row["reason"]),
        (&json!("failed"), &json!("issuer_unavailable"))
    );
}

#[tokio::test]
async fn a_password_opens_the_same_by_a_federation_token() {
    let shop = Shop::start().await;
    for (role, action) in [
        (UPLOAD, StsAction::AssumeRole),
        (FEDERATED, StsAction::GetFederationToken),
    ] {
        let body = json!({ "role": role });
        let (status, given) = shop.ask(&basic("linus", "linus-demo"), &body).await;
        assert_eq!(status, 200, "{role}: {given}");
        assert!(shop.may(&given, "home/corp/linus/"), "{role}");
        for other in ["home/corp/ada/", "home/shop/linus/", ""] {
            assert!(!shop.may(&given, other), "{role} {other}");
        }
        assert_eq!(shop.app.aws.issued().last().unwrap().action, action);
    }
    // The issuer's holders too.
    let bearer = format!("Bearer {}", shop.token(&json!({})));
    let (status, given) = shop.ask(&bearer, &json!({ "role": FEDERATED })).await;
    assert_eq!(status, 200, "{given}");
    assert!(shop.may(&given, "home/shop/ada/") && !shop.may(&given, "home/corp/ada/"));
    let calls = shop.calls_for_credentials();
    let wrong = basic("linus", "guessed");
    let (status, told) = shop.ask(&wrong, &json!({ "role": FEDERATED })).await;
    assert_eq!((status, &told["authenticated"]), (401, &json!(false)));
    assert_eq!(shop.calls_for_credentials(), calls);
}

#[tokio::test]
async fn a_machine_opens_a_role_by_rolegates_own_word() {
    let server = TokenServer::start("RS256").await;
    let dir = temporary_dir("issuer");
    let key = dir.path().join("oidc.key");
    let pair = KeyPair::ec("issuer", 2, Nid::X9_62_PRIME256V1);
    fs::write(&key, pair.key_pem()).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    let issuer = format!("\n[issuer]\noidc_keys = [{{ key_file = {key:?} }}]\n");
    let more = server.by_keys("shop", "") + &issuer;
    let shop = Shop::with(server, more, Vec::new()).await;
    let url = shop.app.url.clone();
    let provider = "arn:aws:iam::111122223333:oidc-provider/rolegate.example.com";
    let audience = "sts.amazonaws.com";
    let subjects = "role:111122223333/Vouched:*";
    let trust = Trust::default().with_web_identity(provider, [audience], [subjects]);
    let trust = trust.with_session_tags().with_source_identity();
    let role = Role::new(VOUCHED, trust).with_policy(ALL_OF_S3).unwrap();
    let provider = OidcProvider::new(provider, [audience]).unwrap();
    let provider = provider.with_url(url.as_str()).fetched_from(url);
    shop.app.aws.update(|catalogue| {
        *catalogue = catalogue
            .clone()
            .with_oidc_provider(provider)
            .with_role(role);
    });
    let claims = json!({ "sub": "nightly-backup", "groups": ["machines"] });
    let bearer = format!("Bearer {}", shop.token(&claims));
    // It holds one role, which need not be named.
    let (status, given) = shop.ask(&bearer, &json!({})).await;
    assert_eq!(status, 200, "{given}");
    assert_eq!(given["RoleArn"], VOUCHED);
    assert!(shop.may(&given, "home/shop/nightly-backup/"));
    assert!(!shop.may(&given, "home/shop/ada/"));
    let issued = shop.app.aws.issued();
    assert_eq!(
        issued.last().unwrap().action,
        StsAction::AssumeRoleWithWebIdentity
    );
}

#[tokio::test]
async fn a_token_gives_its_own_groups_roles_alone() {
    let shop = Shop::start().await;
    for groups in [json!([]), json!(["admins"]), json!(["corp:cn=everyone"])] {
        let token = shop.token(&json!({ "groups": groups }));
        let (status, told) = shop.with_token(&token).await;
        assert_eq!(status, 403, "{groups}: {told}");
    }
    // Nobody sits at it: there is no session that a broker token could be made of.
    let url = shop.app.url.join("api/v1/tokens").unwrap();
    let request = client().post(url).bearer_auth(shop.token(&json!({})));
    let request = request.json(&json!({ "name": "for ever", "scopes": ["credentials"] }));
    assert_eq!(request.send().await.unwrap().status(), 403);
}

#[tokio::test]
async fn of_several_issuers_the_token_or_the_caller_names_one() {
    let first = TokenServer::start("ES256").await;
    let second = TokenServer::start("ES256").await;
    let more = first.by_introspection("shop", "") + &second.by_introspection("till", "");
    let shop = Shop::with(first, more, Vec::new()).await;
    let answer = shop.claims(&json!({ "active": true }));
    shop.server.say_of("opaque", answer);
    let (status, told) = shop.with_token("opaque").await;
    assert_eq!(status, 401, "{told}");
    let message = told["message"].as_str().unwrap();
    assert!(message.contains("shop, till"), "{message}");
    assert!(shop.server.questions().is_empty() && second.questions().is_empty());
    let body = json!({ "role": UPLOAD });
    for (issuer, expected) in [("shop", 200), ("till", 401), ("nobody", 401)] {
        let headers = [
            ("authorization", "Bearer opaque"),
            ("rolegate-issuer", issuer),
        ];
        let (status, told) = ask(&shop.app, &headers, &body).await;
        assert_eq!(status, expected, "{issuer}: {told}");
    }
    // A JWT goes to whom it names, whatever the caller says.
    let jwt = shop.token(&json!({}));
    let bearer = format!("Bearer {jwt}");
    let headers = [
        ("authorization", bearer.as_str()),
        ("rolegate-issuer", "till"),
    ];
    let (status, told) = ask(&shop.app, &headers, &body).await;
    assert_eq!((status, &told["error"]), (401, &json!("wrong_issuer")));
    assert!(second.questions().iter().all(|asked| asked.token != jwt));
}

#[tokio::test]
async fn an_address_that_guesses_has_to_wait() {
    let shop = Shop::start().await;
    let forged = TokenKey::new("k1", "ES256").sign(&shop.claims(&json!({})));
    let url = shop.app.url.join("api/v1/credentials").unwrap();
    let request = client().post(url).bearer_auth(forged).json(&json!({}));
    let mut statuses = Vec::new();
    // So few at once that none is turned away for being too many.
    for _ in 0..51 {
        let mut some = JoinSet::new();
        for _ in 0..20 {
            let request = request.try_clone().unwrap();
            some.spawn(async move { request.send().await.unwrap().status().as_u16() });
        }
        statuses.extend(some.join_all().await);
    }
    let count = |status| statuses.iter().filter(|told| **told == status).count();
    assert_eq!((count(401), count(429)), (1_000, 20));
}

/// A token of oidc-provider for a machine, of one format; and what it revokes.
async fn client_credentials(provider: &OpenIdProvider, format: &str) -> String {
    let form = [
        ("grant_type", "client_credentials"),
        ("scope", "upload"),
        ("resource", &format!("urn:rolegate:{format}")),
    ];
    let request = client().post(provider.url("token")).form(&form);
    let answer = request.basic_auth(CLIENT_ID, Some(CLIENT_SECRET)).send();
    let answer: Value = answer.await.unwrap().json().await.unwrap();
    let token = answer["access_token"].as_str();
    token
        .unwrap_or_else(|| panic!("{answer}\n{}", provider.log()))
        .to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_of_a_provider_by_other_people_are_taken_until_they_are_revoked() {
    let address = ([127, 0, 0, 1], free_port()).into();
    let machine = json!({
        "applications": true, "grant_types": ["client_credentials"], "response_types": [],
        "redirect_uris": [], "post_logout_redirect_uris": [],
    });
    let provider = OpenIdProvider::start_at(address, "http://127.0.0.1:1/", "none", &machine);
    let issuer = provider.issuer();
    let lines = format!(
        "[[trusted_issuer]]\nid = \"shop\"\nissuer = \"{issuer}\"\naudience = \"rolegate\"\n\
         claims = {{ subject = \"client_id\", username = \"client_id\" }}\n\
         required_claims = {{ scope = [\"upload\"] }}\n"
    );
    let by_keys = format!("{lines}jwks_url = \"{issuer}/jwks\"\n");
    let asking = format!(
        "{lines}introspection_url = \"{issuer}/token/introspection\"\n\
         client_id = \"{CLIENT_ID}\"\nclient_secret = \"{CLIENT_SECRET}\"\n"
    );
    for (more, format) in [(by_keys, "jwt"), (asking, "opaque")] {
        let shop = Shop::with(TokenServer::start("ES256").await, more, Vec::new()).await;
        let token = client_credentials(&provider, format).await;
        assert_eq!(token.contains('.'), format == "jwt", "{token}");
        let (status, given) = shop.with_token(&token).await;
        assert_eq!(status, 200, "{given}");
        assert_eq!(given["public_values"]["prefix"], "home/shop/rolegate/");
        if format == "opaque" {
            let url = provider.url("token/revocation");
            let request = client().post(url).form(&[("token", &token)]);
            let request = request.basic_auth(CLIENT_ID, Some(CLIENT_SECRET));
            assert_eq!(request.send().await.unwrap().status(), 200);
            let (status, told) = shop.with_token(&token).await;
            assert_eq!((status, &told["error"]), (401, &json!("token_inactive")));
        }
    }
}

/// What a server of the application does: uploads with the credentials, reads back, and tries others.
const BOTO: &str = r#"
import boto3, json, sys
from botocore.exceptions import ClientError
endpoint, given = sys.argv[1], json.loads(sys.argv[2])
def s3(secret):
    return boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1",
        aws_access_key_id=given["AccessKeyId"], aws_secret_access_key=secret,
        aws_session_token=given["SessionToken"])
key = given["public_values"]["prefix"] + "photo.jpg"
good = s3(given["SecretAccessKey"])
good.put_object(Bucket="uploads", Key=key, Body=b"a photo")
read = good.get_object(Bucket="uploads", Key=key)["Body"].read().decode()
try:
    s3("A" * 40).put_object(Bucket="uploads", Key=key, Body=b"forged")
    forged = "taken"
except ClientError as error:
    forged = error.response["Error"]["Code"]
print(json.dumps({"key": key, "read": read, "forged": forged}))
"#;

/// Makes the bucket, while moto believes everybody.
const BUCKET: &str = r#"
import boto3, sys
s3 = boto3.client("s3", endpoint_url=sys.argv[1], region_name="us-east-1",
    aws_access_key_id="AKIAUNCHECKED", aws_secret_access_key="unchecked")
s3.create_bucket(Bucket="uploads")
"#;
/// What the document says that the bucket's CORS has to allow.
const ALLOWED_HEADERS: &str =
    "authorization, content-type, x-amz-content-sha256, x-amz-date, x-amz-security-token";

async fn python(script: &str, arguments: &[&str]) -> String {
    let mut command = Command::new(tools_dir().join("venv/bin/python"));
    command.args(["-c", script]).args(arguments);
    command
        .env_remove("AWS_PROFILE")
        .env("AWS_CONFIG_FILE", "/dev/null");
    let run = move || run_or_panic("boto3", &command, None);
    tokio::task::spawn_blocking(run).await.unwrap()
}

/// The shop at moto, which checks signatures and the role's own policy: STS and S3.
async fn at_moto(server: TokenServer, more: &str) -> (Shop, Moto) {
    let moto = Moto::start();
    python(BUCKET, &[&moto.url()]).await;
    moto.iam(&[
        ("Action", "PutRolePolicy"),
        ("RoleName", "rolegate-target"),
        ("PolicyName", "s3"),
        ("PolicyDocument", ALL_OF_S3),
    ]);
    moto.require_signatures();
    let dir = temporary_dir("moto-keys");
    let keys = dir.keep().join("aws.env");
    let broker = moto.broker_keys();
    let text = format!(
        "AWS_ACCESS_KEY_ID={}\nAWS_SECRET_ACCESS_KEY={}\n",
        broker.id, broker.secret
    );
    fs::write(&keys, text).unwrap();
    let overrides = [
        ("AWS__STS_ENDPOINT", moto.url()),
        ("AWS__CREDENTIAL_SOURCE__DEFAULT__PATH", path(&keys)),
        ("AWS__DEFAULT_REGION", "us-east-1".to_owned()),
    ];
    let overrides = overrides
        .map(|(key, value)| (key.to_owned(), value))
        .to_vec();
    let shop = Shop::with(server, more.to_owned(), overrides).await;
    let rows = block("toml", "[role.public_values]").replace(UPLOAD, moto::ROLE_ARN);
    let account = format!(
        "[[account]]\nid = \"{}\"\nname = \"Moto\"\n\n",
        moto::ACCOUNT_ID
    );
    crate::support::app::import(&shop.app.config, &shop.app.store, &(account + &rows)).await;
    (shop, moto)
}

fn path(path: &Path) -> String {
    path.display().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_uploads_with_what_its_token_gave() {
    let server = TokenServer::start("ES256").await;
    let more = server.by_keys("shop", "");
    let (shop, moto) = at_moto(server, &more).await;
    let bearer = format!("Bearer {}", shop.token(&json!({})));
    let (status, given) = shop.ask(&bearer, &json!({ "role": moto::ROLE_ARN })).await;
    assert_eq!(status, 200, "{given}");
    let seen = python(BOTO, &[&moto.url(), &given.to_string()]).await;
    let seen: Value = serde_json::from_str(&seen).unwrap();
    assert_eq!(
        (&seen["key"], &seen["read"]),
        (&json!("home/shop/ada/photo.jpg"), &json!("a photo"))
    );
    assert_eq!(seen["forged"], "SignatureDoesNotMatch");
}

/// A place for the document's page, whose address is known before the page is.
struct Page {
    origin: String,
    html: Arc<OnceLock<String>>,
}

impl Page {
    async fn serve() -> Self {
        let html = Arc::new(OnceLock::<String>::new());
        let of = |kind: &'static str| [(header::CONTENT_TYPE, kind)];
        let served = Arc::clone(&html);
        let script = block("js", "applicationToken");
        let router = Router::new()
            .route(
                "/upload.html",
                get(move || async move { (of("text/html"), served.get().cloned().unwrap()) }),
            )
            .route(
                "/upload.js",
                get(move || async move { (of("text/javascript"), script) }),
            );
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { origin, html }
    }
}

/// A door before moto, which wants a signature on what browsers ask before they ask: there OPTIONS is
/// answered as S3 does for a bucket that pages of `listed` may write to. All else is moto's to judge, to
/// the letter of what was signed. Its address.
async fn bucket_door(moto: String, listed: String) -> String {
    let pass = move |request: Request| {
        let (moto, listed) = (moto.clone(), listed.clone());
        async move {
            let (parts, body) = request.into_parts();
            let origin = parts.headers.get(header::ORIGIN);
            let may_read = origin.is_some_and(|origin| origin == listed.as_str());
            let mut answer = if parts.method == Method::OPTIONS {
                let mut answer = Response::new(Body::empty());
                for (name, value) in [
                    (header::ACCESS_CONTROL_ALLOW_METHODS, "PUT"),
                    (header::ACCESS_CONTROL_ALLOW_HEADERS, ALLOWED_HEADERS),
                ] {
                    answer
                        .headers_mut()
                        .insert(name, HeaderValue::from_static(value));
                }
                answer
            } else {
                let body = to_bytes(body, 1_000_000).await.unwrap();
                let url = format!("{moto}{}", parts.uri.path_and_query().unwrap());
                let request = client().request(parts.method, url).headers(parts.headers);
                let passed = request.body(body).send().await.unwrap();
                let status = passed.status();
                let mut answer = Response::new(Body::from(passed.bytes().await.unwrap()));
                *answer.status_mut() = status;
                answer
            };
            if may_read {
                let listed = HeaderValue::from_str(&listed).unwrap();
                let name = header::ACCESS_CONTROL_ALLOW_ORIGIN;
                answer.headers_mut().insert(name, listed);
            }
            answer
        }
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new().fallback(pass);
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_documents_page_uploads_from_a_browser() {
    let server = TokenServer::start("RS256").await;
    let (listed, stranger) = (Page::serve().await, Page::serve().await);
    let allowed = format!("allowed_origins = [\"{}\"]", listed.origin);
    let more = server.by_keys("shop", &allowed);
    let (shop, moto) = at_moto(server, &more).await;
    let bucket = bucket_door(moto.url(), listed.origin.clone()).await;
    let broker = shop.app.url.as_str().trim_end_matches('/');
    let html = block("html", "id=\"upload\"")
        .replace("https://aws.example.com", broker)
        .replace("111122223333/Upload", moto::ROLE_ARN)
        .replace(
            "https://uploads.s3.eu-west-1.amazonaws.com",
            &format!("{bucket}/uploads"),
        )
        .replace("eu-west-1", "us-east-1");
    for page in [&listed, &stranger] {
        page.html.set(html.clone()).unwrap();
    }
    let arguments = json!({
        "listed": format!("{}/upload.html", listed.origin),
        "stranger": format!("{}/upload.html", stranger.origin),
        "broker": broker,
        "bucket": bucket,
        "token": shop.token(&json!({})),
        "foreign": shop.token(&json!({ "aud": "elsewhere" })),
    });
    run_browser_script("upload", &[&arguments.to_string()]).await;
    let log = moto.log();
    let uploads = log.matches("PUT /uploads/home/shop/ada/").count();
    assert_eq!(uploads, 1, "{log}");
}
