//! Sign-in and sign-out through npm's oidc-provider, over plain HTTP.

use std::{
    fs, io,
    sync::{Arc, Mutex},
};

use rolegate::{config::OIDC_ALGORITHMS, demo::sample, identity::oidc};
use serde_json::{Value, json};
use time::Duration;

use crate::support::{
    app::{Options, TestApp},
    identity_providers::{
        IdentityProvider, Page, Walker,
        openid::{CLIENT_ID, CLIENT_SECRET, OpenIdProvider},
    },
    openid::{PuppetStage, Reply},
};

const READER: &str = "arn:aws:iam::222233334444:role/ReadOnly";
const SCOPES: &str = "scopes = [\"openid\", \"profile\", \"email\", \"groups\"]";

/// Rolegate with the connector `campus`, and the provider behind it.
struct Campus {
    app: TestApp,
    provider: OpenIdProvider,
}

impl Campus {
    /// Starts both; `connector` is put under the connector's other keys, `client` to what the
    /// provider knows of Rolegate.
    async fn start(connector: &str, client: Value) -> Self {
        let [address, provider_address] =
            [IdentityProvider::reserve(), IdentityProvider::reserve()];
        let origin = format!("http://{address}/");
        let provider = OpenIdProvider::start_at(provider_address, &origin, "campus", &client);
        let secret = match client["token_endpoint_auth_method"].as_str() {
            Some("none") => String::new(),
            _ => format!("client_secret = \"{CLIENT_SECRET}\""),
        };
        let more_toml = format!(
            r#"
[[connector]]
id = "campus"
type = "oidc"
label = "Campus"
issuer = "{}"
client_id = "{CLIENT_ID}"
{secret}
{SCOPES}
{connector}
"#,
            provider.issuer()
        );
        let mapping = format!(
            "{}\n[[mapping]]\ngroup = \"campus:payments-dev\"\nrole = \"{READER}\"\n",
            sample::mapping_toml()
        );
        let options = Options {
            address: Some(address),
            more_toml,
            mapping_toml: Some(mapping),
            overrides: vec![(
                "AWS__SESSION_NAME".to_owned(),
                "{connector}-{username}".to_owned(),
            )],
            ..Options::default()
        };
        Self {
            app: Box::pin(TestApp::start_with(options)).await,
            provider,
        }
    }

    fn walker(&self) -> Walker {
        Walker::new(self.app.browser())
    }

    /// Goes from our sign-in page through the provider's to wherever that leads.
    async fn sign_in(&self, walker: &mut Walker, username: &str) -> Page {
        let page = walker.choose(&self.app.url, "campus").await;
        assert!(
            page.url.as_str().starts_with(&self.provider.issuer()),
            "{}",
            page.url
        );
        walker
            .enter(&page, username, &format!("{username}-idp"))
            .await
    }

    /// Signs `ada` in; panics where that does not lead to the picker.
    async fn signed_in(&self) -> (Walker, Page) {
        let mut walker = self.walker();
        let page = self.sign_in(&mut walker, "ada").await;
        self.assert_picker(&page).await;
        (walker, page)
    }

    async fn assert_picker(&self, page: &Page) {
        assert_eq!(
            (page.url.as_str(), page.answer.status),
            (self.app.url.as_str(), 200),
            "{}\n{:#?}\n{}",
            page.answer.body,
            self.app.last_audit_event().await,
            self.provider.log()
        );
    }
}

fn sign_out_form(page: &Page) -> crate::support::identity_providers::Form {
    let mut forms = page.forms().into_iter();
    let form = forms.find(|form| form.action.path() == "/logout");
    form.expect("there is a way out")
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_of_a_provider_open_a_role() {
    let campus = Campus::start("", json!({})).await;
    let (mut walker, page) = campus.signed_in().await;
    assert_eq!(page.offered_roles(), [READER]);
    assert!(page.answer.body.contains("Ada Lovelace"));
    let events = campus.app.audit_rows().await;
    let signed_in = events
        .iter()
        .map(|row| serde_json::to_value(&row.event).unwrap())
        .find(|event| event["action"] == "sign_in")
        .unwrap();
    assert_eq!(signed_in["actor"]["subject"], "5f0e-ada", "{signed_in:#}");
    assert_eq!(signed_in["actor"]["username"], "ada");
    assert_eq!(signed_in["details"]["method"], "oidc");
    let answer = walker.browser.open_console(&[("role", READER)]).await;
    assert_eq!(answer.status, 303, "{}", answer.body);
    assert_eq!(campus.app.aws.issued()[0].session_name, "campus-ada");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_public_client_signs_people_in_and_userinfo_has_their_claims() {
    let client = json!({ "token_endpoint_auth_method": "none", "userinfo_alone": true });
    let campus = Campus::start("userinfo = true", client).await;
    let (_, page) = campus.signed_in().await;
    assert_eq!(page.offered_roles(), [READER]);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_cancels_at_the_provider_is_told_so() {
    let campus = Campus::start("", json!({})).await;
    let mut walker = campus.walker();
    let page = walker.choose(&campus.app.url, "campus").await;
    let mut form = page.form_with("password").unwrap();
    form.set("cancel", "yes");
    let page = walker.submit(&form).await;
    assert_eq!(page.answer.status, 403);
    assert!(
        page.answer
            .body
            .contains("Your identity provider did not sign you in")
    );
    let event = campus.app.last_audit_event().await;
    assert_eq!(
        (&event["outcome"], &event["reason"]),
        (&json!("refused"), &json!("oidc_access_denied"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_key_of_the_provider_needs_no_restart() {
    let mut campus = Campus::start("", json!({})).await;
    campus.signed_in().await;
    campus.provider.rotate_key();
    // As long as the keys are kept without asking again.
    let refused = campus.sign_in(&mut campus.walker(), "ada").await;
    assert_eq!(refused.answer.status, 403);
    assert_eq!(
        campus.app.last_audit_event().await["reason"],
        "oidc_unknown_key"
    );
    campus.app.clock.advance(Duration::seconds(61));
    campus.signed_in().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn signing_out_here_ends_the_providers_session_too() {
    let campus = Campus::start("", json!({})).await;
    let (mut walker, page) = campus.signed_in().await;
    let page = walker.submit(&sign_out_form(&page)).await;
    let mut form = page
        .forms()
        .into_iter()
        .next()
        .unwrap_or_else(|| panic!("{} {}", page.url, page.answer.body));
    assert!(page.url.as_str().starts_with(&campus.provider.issuer()));
    form.set("logout", "yes");
    let page = walker.submit(&form).await;
    assert_eq!(page.url.path(), "/signed-out", "{}", page.answer.body);
    assert_eq!(page.answer.status, 200);
    assert_eq!(walker.browser.get("/").await.status, 303);
    // The provider asks for the password again.
    let page = walker.choose(&campus.app.url, "campus").await;
    assert!(page.form_with("password").is_some(), "{}", page.url);
}

#[tokio::test(flavor = "multi_thread")]
async fn signing_out_at_the_provider_ends_the_session_here() {
    let campus = Campus::start("", json!({})).await;
    let (mut walker, _) = campus.signed_in().await;
    let page = walker.open(&campus.provider.url("session/end")).await;
    let mut form = page.forms().into_iter().next().unwrap();
    form.set("logout", "yes");
    // It tells its clients before it answers.
    walker.submit(&form).await;
    assert_eq!(
        walker.browser.get("/").await.status,
        303,
        "{}",
        campus.provider.log()
    );
    let event = campus.app.last_audit_event().await;
    assert_eq!(
        (
            &event["action"],
            &event["reason"],
            &event["actor"]["username"]
        ),
        (&json!("sign_out"), &json!("provider"), &json!("ada")),
        "{}",
        campus.provider.log()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_is_down_keeps_its_place_over_a_restart() {
    let mut stage = PuppetStage::start("", Options::default()).await;
    assert_eq!(
        stage.sign_in(&mut stage.app.browser(), |_| {}).await.status,
        303
    );
    let keys = std::mem::take(&mut stage.provider.script().keys);
    stage.app.restart().await;
    // Its keys cannot be fetched; the last good ones serve.
    assert_eq!(
        stage.sign_in(&mut stage.app.browser(), |_| {}).await.status,
        303
    );
    stage.provider.script().keys = keys;
}

#[tokio::test(flavor = "multi_thread")]
async fn live_findings_say_what_does_not_work() {
    let stage = PuppetStage::start("", Options::default()).await;
    let probe = async || {
        let rolegate::broker::Connector::Redirect(provider) = &stage.app.broker.connectors()[1]
        else {
            panic!("the second connector is a provider");
        };
        let findings = provider.probe().await;
        findings
            .iter()
            .map(|finding| (finding.is_error, finding.message.clone()))
            .collect::<Vec<_>>()
    };
    let well = probe().await;
    assert_eq!(
        well.iter().filter(|(is_error, _)| *is_error).count(),
        0,
        "{well:?}"
    );
    assert!(well[0].1.starts_with("publishes 4 keys"), "{well:?}");
    stage
        .provider
        .script()
        .discovery
        .insert("issuer".to_owned(), json!("https://evil.example"));
    stage.app.clock.advance(Duration::hours(2));
    let broken = probe().await;
    assert!(
        broken[0].0 && broken[0].1.contains("https://evil.example"),
        "{broken:?}"
    );
    stage.provider.script().discovery.clear();
    stage.app.clock.advance(Duration::hours(2));
    let apart = probe().await;
    assert!(
        apart
            .iter()
            .any(|(is_error, text)| *is_error && text.contains("its clock is")),
        "{apart:?}"
    );
}

#[test]
fn the_configuration_and_the_connector_know_the_same_algorithms() {
    assert_eq!(
        oidc::settings::ALGORITHMS.map(|(name, _)| name),
        OIDC_ALGORITHMS
    );
}

/// Whatever is logged on this thread.
#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl io::Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn no_token_code_or_secret_is_kept_or_logged_at_any_level() {
    let written = Written::default();
    let writer = written.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let stage =
        PuppetStage::start("pass_through = true\nuserinfo = true", Options::default()).await;
    let info = json!({ "sub": "5f0e-ada", "groups": [] });
    stage.provider.script().userinfo = Reply::Json(200, info);
    let mut browser = stage.app.browser();
    let begun = stage.begin(&mut browser).await;
    let id_token = stage.sign(&stage.claims(&begun));
    stage.hand_out(&id_token);
    let answer = stage.come_back_well(&mut browser, &begun).await;
    assert_eq!(answer.status, 303);
    let held = stage.app.metrics().await;
    let form = stage.provider.script().asked[0].1.clone();
    let second = stage.begin(&mut browser).await;
    stage.hand_out(&id_token);
    assert_eq!(
        stage.come_back_well(&mut browser, &second).await.status,
        403
    );
    stage.begin(&mut browser).await;

    let secrets = [
        id_token.as_str(),
        id_token.rsplit('.').next().unwrap(),
        form["code_verifier"].as_str(),
        begun.nonce(),
        "planted",
        "cGxhbnRlZC1jbGllbnQtc2VjcmV0",
    ];
    let log = String::from_utf8_lossy(&written.0.lock().unwrap()).into_owned();
    assert!(log.contains("TRACE"), "nothing was logged");
    let audit: Vec<_> = stage
        .app
        .audit_rows()
        .await
        .iter()
        .map(|row| json!(row.event))
        .collect();
    let database: Vec<u8> = ["", "-wal"]
        .iter()
        .flat_map(|end| {
            let path = format!("{}{end}", stage.app.database().display());
            fs::read(path).unwrap_or_default()
        })
        .collect();
    let database = String::from_utf8_lossy(&database).into_owned();
    for secret in secrets {
        for (place, text) in [
            ("log", &log),
            ("audit", &json!(audit).to_string()),
            ("database", &database),
            ("metrics", &held),
        ] {
            let at = text.find(secret);
            assert!(
                at.is_none(),
                "{secret} is in the {place}: {:?}",
                at.map(|at| {
                    text[at.saturating_sub(300)..]
                        .chars()
                        .take(500)
                        .collect::<String>()
                })
            );
        }
    }
}
