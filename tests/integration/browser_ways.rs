//! Headless Chromium where people sign in by OpenID Connect, where Rolegate vouches for them itself,
//! and where a code is asked for; and the pages about all that. The steps are in `tests/browser`.

use std::{
    fmt::Write as _,
    fs,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{Router, routing::post};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use rolegate::{
    audit::Actor,
    aws::Issuer,
    broker::{ProbeBudget, ProbeOrder},
    demo::{
        aws::{MfaDevice, Principal, Role, SamlProvider, StandIn, Trust},
        directory::Directory,
        sample::{
            self, BROKER_ACCESS_KEY_ID, BROKER_ARN, BROKER_SECRET_ACCESS_KEY, group_dn, person_dn,
        },
    },
};
use serde_json::json;
use tokio::net::TcpListener;

use crate::support::{
    app::{Options, TestApp},
    browser::run_browser_script,
    editing::{self, person},
    identity_providers::{
        IdentityProvider,
        openid::{CLIENT_ID, CLIENT_SECRET, OpenIdProvider},
    },
    saml::keys::KeyPair,
    temporary_dir,
    tls::Authority,
};

const READER: &str = "arn:aws:iam::222233334444:role/ReadOnly";
const POSTED: &str = "arn:aws:iam::222233334444:role/Posted";
const CODED: &str = "arn:aws:iam::222233334444:role/Coded";
const BROKEN: &str = "arn:aws:iam::222233334444:role/Broken";
const PASSED_ON: &str = "arn:aws:iam::222233334444:role/PassedOn";
const TEMPLATED: &str = "arn:aws:iam::222233334444:role/Templated";
const PROVIDER: &str = "arn:aws:iam::222233334444:saml-provider/Rolegate";
const DEVICE: &str = "arn:aws:iam::444455556666:mfa/rolegate";
const CODES: [&str; 2] = ["246810", "135791"];

/// A role for each of the ways, for everybody in the directory and for these groups.
fn roles(others: &[&str]) -> String {
    let vouched = format!(
        "grant_method = \"assume-role-with-saml\"\nvouched_by = \"issuer\"\n\
         saml_provider_arn = \"{PROVIDER}\"\nconsole = \"saml-post\""
    );
    let narrowed = r#"session_policy = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::reports/{email}/{subject}/*"}]}'"#;
    let rows = [
        (READER, None),
        (POSTED, Some(vouched)),
        (CODED, Some(format!("mfa_serial = \"{DEVICE}\""))),
        (
            BROKER_ARN,
            Some("grant_method = \"session-token\"".to_owned()),
        ),
        (BROKEN, Some(String::new())),
        (
            PASSED_ON,
            Some(
                "grant_method = \"assume-role-with-web-identity\"\nvouched_by = \"provider\""
                    .to_owned(),
            ),
        ),
        (TEMPLATED, Some(narrowed.to_owned())),
    ];
    let mut toml = String::new();
    for (arn, settings) in rows {
        if let Some(settings) = settings {
            let _ = write!(toml, "\n[[role]]\narn = \"{arn}\"\n{settings}\n");
        }
        let everyone = format!("corp:{}", group_dn("everyone"));
        for group in others.iter().copied().chain([everyone.as_str()]) {
            let _ = write!(
                toml,
                "\n[[mapping]]\ngroup = \"{group}\"\nrole = \"{arn}\"\n"
            );
        }
    }
    toml
}

fn written(dir: &Path, name: &str, text: &str) -> String {
    use std::os::unix::fs::PermissionsExt as _;

    let path = dir.join(name);
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    path.display().to_string()
}

/// `[issuer]` with a key of its own for SAML.
fn issuer(dir: &Path) -> String {
    let keys = KeyPair::rsa("issuer", 1);
    format!(
        "\n[issuer]\nsaml_keys = [{{ key_file = {:?}, certificate_file = {:?} }}]\n",
        written(dir, "issuer.key", &keys.key_pem()),
        written(dir, "issuer.crt", &keys.certificate_pem()),
    )
}

/// A third connector, which is only seen on the sign-in page.
fn saml_connector(dir: &Path) -> String {
    let certificate = STANDARD.encode(KeyPair::rsa("partner", 2).der());
    let metadata = format!(
        "<EntityDescriptor xmlns=\"urn:oasis:names:tc:SAML:2.0:metadata\" \
         entityID=\"https://idp.example.com\"><IDPSSODescriptor \
         protocolSupportEnumeration=\"urn:oasis:names:tc:SAML:2.0:protocol\">\
         <KeyDescriptor use=\"signing\"><KeyInfo xmlns=\"http://www.w3.org/2000/09/xmldsig#\">\
         <X509Data><X509Certificate>{certificate}</X509Certificate></X509Data></KeyInfo>\
         </KeyDescriptor><SingleSignOnService \
         Binding=\"urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect\" \
         Location=\"https://idp.example.com/sso\"/></IDPSSODescriptor></EntityDescriptor>"
    );
    format!(
        "\n[[connector]]\nid = \"partner\"\ntype = \"saml\"\nlabel = \"Partners\"\n\
         idp_metadata_file = {:?}\nattributes = {{ username = \"uid\", groups = \"groups\" }}\n",
        written(dir, "partner.xml", &metadata),
    )
}

fn openid_connector(provider: &OpenIdProvider) -> String {
    format!(
        "\n[[connector]]\nid = \"campus\"\ntype = \"oidc\"\nlabel = \"Campus\"\nissuer = \"{}\"\n\
         client_id = \"{CLIENT_ID}\"\nclient_secret = \"{CLIENT_SECRET}\"\npass_through = true\n\
         scopes = [\"openid\", \"profile\", \"email\", \"groups\"]\n",
        provider.issuer()
    )
}

/// The sample people, editors, and somebody whose address cannot stand in a pattern.
fn people() -> Directory {
    let directory = editing::directory();
    directory.add_entry(person("odd", "odd*"));
    assert!(directory.add_member(&group_dn("everyone"), &person_dn("odd")));
    directory
}

/// Gives the stand-in for AWS what the roles need there: the provider, the device, and trust.
fn prepare(aws: &StandIn, app: &TestApp) {
    let metadata = app.broker.issuer().and_then(Issuer::saml_metadata);
    let provider = SamlProvider::new(PROVIDER, &metadata.unwrap()).unwrap();
    let codes = MfaDevice::Codes(CODES.map(str::to_owned).to_vec());
    let user = Principal::user(BROKER_ARN, BROKER_ACCESS_KEY_ID, BROKER_SECRET_ACCESS_KEY)
        .which_may_assume("*")
        .with_mfa_device(DEVICE, codes);
    let audience = aws.saml_url().to_string();
    aws.update(|catalogue| {
        let own = Trust::of([BROKER_ARN])
            .with_session_tags()
            .with_source_identity();
        let vouched = Trust::default()
            .with_saml(PROVIDER, [audience.as_str()])
            .with_session_tags()
            .with_source_identity();
        *catalogue = std::mem::take(catalogue)
            .with_saml_provider(provider)
            .with_principal(user)
            .with_role(Role::new(POSTED, vouched))
            .with_role(
                Role::new(CODED, own.clone().with_mfa_required()).with_max_session_seconds(14_400),
            )
            .with_role(Role::new(BROKEN, Trust::default()))
            .with_role(Role::new("arn:aws:iam::222233334444:role/Unlisted", own));
    });
}

/// A server that changes the provider's key, and lets the minute go by in which Rolegate does not
/// ask for keys again.
async fn rotator(provider: OpenIdProvider, app: &TestApp) -> String {
    let (provider, clock) = (Arc::new(Mutex::new(provider)), Arc::clone(&app.clock));
    let rotate = move || {
        let (provider, clock) = (Arc::clone(&provider), Arc::clone(&clock));
        async move {
            let turned = tokio::task::spawn_blocking(move || {
                provider.lock().unwrap().rotate_key();
                clock.advance(time::Duration::seconds(61));
            });
            turned.await.unwrap();
        }
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let router = Router::new().route("/", post(rotate));
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

#[tokio::test(flavor = "multi_thread")]
async fn every_way_to_aws_is_gone_in_a_browser() {
    let dir = temporary_dir("ways");
    let [address, at] = [(); 2].map(|()| IdentityProvider::reserve());
    let origin = format!("http://{address}/");
    let provider = OpenIdProvider::start_at(at, &origin, "campus", &json!({}));
    let app = Box::pin(TestApp::start_with(Options {
        address: Some(address),
        more_toml: [
            saml_connector(dir.path()),
            openid_connector(&provider),
            issuer(dir.path()),
        ]
        .concat(),
        mapping_toml: Some(sample::mapping_toml() + &roles(&["campus:payments-dev"])),
        directory: Some(people()),
        overrides: vec![(
            "AWS__SESSION_NAME".to_owned(),
            "{connector}-{username}".to_owned(),
        )],
        ..Options::default()
    }))
    .await;
    prepare(&app.aws, &app);
    let unable = TestApp::start_with(Options {
        mapping_toml: Some(sample::mapping_toml() + &roles(&[])),
        ..Options::default()
    })
    .await;
    let budget = ProbeBudget {
        longest: Duration::from_mins(1),
        per_second: 10_000,
        parallel: 4,
    };
    let order = ProbeOrder {
        roles: None,
        budget,
        by: Actor::System,
    };
    app.broker.probe_round(order, &|_, _| ()).await.unwrap();

    let state = json!({
        "url": app.url.as_str(),
        "provider": provider.issuer(),
        "unable": unable.url.as_str(),
        "codes": CODES,
        "user": BROKER_ARN,
    });
    let mut state = state;
    state["rotate"] = rotator(provider, &app).await.into();
    run("openid", &state).await;
    run("ways", &state).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_assertion_goes_from_an_https_page_to_aws_itself() {
    let dir = temporary_dir("ways");
    let (address, port) = (
        IdentityProvider::reserve(),
        IdentityProvider::reserve().port(),
    );
    let origin = format!("https://rolegate.localhost:{port}");
    let (certificate, key) = Authority::new().sign(&["rolegate.localhost"], &[]);
    let overrides = [
        ("PUBLIC_URL", format!("{origin}/")),
        (
            "AWS__SAML_ENDPOINT",
            "https://signin.aws.amazon.com/saml".to_owned(),
        ),
    ];
    let app = TestApp::start_with(Options {
        address: Some(address),
        more_toml: issuer(dir.path()),
        mapping_toml: Some(sample::mapping_toml() + &roles(&[])),
        overrides: overrides
            .map(|(key, value)| (key.to_owned(), value))
            .to_vec(),
        ..Options::default()
    })
    .await;
    let state = json!({
        "origin": origin,
        "upstream": app.url.port(),
        "key": key,
        "certificate": certificate,
    });
    run("posting_over_https", &state).await;
}

async fn run(script: &str, state: &serde_json::Value) {
    print!(
        "{}",
        run_browser_script(script, &[&state.to_string()]).await
    );
}
