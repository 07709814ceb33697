//! Keys and certificates that change, and metadata that cannot be had, without a lost sign-in.

use std::{
    fs,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use axum::{Router, extract::State, response::IntoResponse, routing::get};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use openssl::{hash::MessageDigest, sign::Verifier};
use rolegate::{clock::Clock as _, config::ConnectorKind};
use time::Duration;
use tokio::{net::TcpListener, task::JoinHandle};
use url::Url;

use crate::support::{
    children::free_port,
    company::{Company, IDP, Plan, READER, Said},
    cookie_browser::Answer,
    saml::{
        keys::KeyPair,
        provider::{TestIdentityProvider, instant},
    },
    temporary_dir,
};

const FRESH: &str = "rolegate_provider_metadata_fresh";
const AGE: &str = "rolegate_provider_metadata_age_seconds";

/// The provider's web server, which can be stopped and started again.
struct Published {
    address: SocketAddr,
    document: Arc<Mutex<String>>,
    running: Option<JoinHandle<()>>,
}

impl Published {
    /// An address at which nobody answers yet.
    fn at_rest(document: String) -> Self {
        Self {
            address: SocketAddr::from(([127, 0, 0, 1], free_port())),
            document: Arc::new(Mutex::new(document)),
            running: None,
        }
    }

    async fn start(document: String) -> Self {
        let mut published = Self::at_rest(document);
        published.come_up().await;
        published
    }

    async fn come_up(&mut self) {
        async fn serve(State(document): State<Arc<Mutex<String>>>) -> impl IntoResponse {
            // No connection outlives the answer, so that nobody is served once it is stopped.
            ([("connection", "close")], document.lock().unwrap().clone())
        }
        let router = Router::new()
            .route("/metadata", get(serve))
            .with_state(Arc::clone(&self.document));
        let listener = TcpListener::bind(self.address).await.unwrap();
        let running = async move { axum::serve(listener, router).await.unwrap() };
        self.running = Some(tokio::spawn(running));
    }

    async fn go_down(&mut self) {
        if let Some(running) = self.running.take() {
            running.abort();
            assert!(running.await.unwrap_err().is_cancelled());
        }
    }

    fn publish(&self, document: String) {
        *self.document.lock().unwrap() = document;
    }

    /// A company that takes its provider's metadata from here.
    async fn company(&self, id: &'static str, idp: &Arc<TestIdentityProvider>) -> Company {
        let plan = Plan {
            id,
            metadata: Some(format!(
                "idp_metadata_url = \"http://{}/metadata\"",
                self.address
            )),
            ..Plan::default()
        };
        Company::start_behind(Arc::clone(idp), plan).await
    }
}

fn identity_provider() -> Arc<TestIdentityProvider> {
    Arc::new(TestIdentityProvider::new(IDP, 8))
}

fn ada() -> Said {
    Said::of("ada", &[READER])
}

fn assert_signed_in(answer: &Answer) {
    assert_eq!(
        (answer.status, answer.location()),
        (303, "/"),
        "{}",
        answer.body
    );
}

async fn assert_unavailable(company: &Company, page: &Answer) {
    assert_eq!(page.status, 503, "{}", page.body);
    assert!(
        page.body
            .contains("identity provider cannot be used right now"),
        "{}",
        page.body
    );
    assert_ne!(page.header("retry-after"), "");
    let event = company.app.last_audit_event().await;
    assert_eq!(
        (&event["outcome"], &event["reason"]),
        (&"failed".into(), &"provider_unavailable".into()),
        "{event:#}"
    );
}

#[tokio::test]
async fn the_providers_new_key_loses_no_sign_in() {
    let idp = identity_provider();
    let (old, new) = (&idp.primary, &idp.second);
    let published = Published::start(idp.metadata(&[old])).await;
    let company = published.company("idp-rollover", &idp).await;
    let by_old = ada();
    let by_new = ada().signed_by(new);
    company.signed_in(&by_old).await;

    // Both are published; two sign-ins are under way, and each ends with another key.
    let (mut one, mut two) = (company.app.browser(), company.app.browser());
    let (asked_one, asked_two) = (company.ask(&mut one).await, company.ask(&mut two).await);
    published.publish(idp.metadata(&[old, new]));
    company.app.clock.advance(Duration::minutes(2));
    let message = company.answer(&asked_one, &by_new);
    assert_signed_in(&company.post(&mut one, &asked_one, &message).await);
    let message = company.answer(&asked_two, &by_old);
    assert_signed_in(&company.post(&mut two, &asked_two, &message).await);

    // The old one is taken away while somebody is at the provider, which signs with the new one.
    let mut browser = company.app.browser();
    let asked = company.ask(&mut browser).await;
    published.publish(idp.metadata(&[new]));
    company.app.clock.advance(Duration::minutes(2));
    let message = company.answer(&asked, &by_new);
    assert_signed_in(&company.post(&mut browser, &asked, &message).await);
    company.app.clock.advance(Duration::hours(1));
    company.refresh_trust().await;
    company.signed_in(&by_new).await;
    let (_, refused) = company.sign_in(&by_old).await;
    assert_eq!(refused.status, 403);
    let event = company.app.last_audit_event().await;
    assert_eq!(event["reason"], "signature_invalid", "{event:#}");
}

/// Starts a company with two keys of ours, of which the configuration names the old one alone.
async fn company_with_keys(new: &KeyPair, old: &KeyPair) -> Company {
    let files = temporary_dir("sp-keys");
    let file = |name: &str, text: String| {
        let path = files.path().join(name);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let pair = |name: &str, pair: &KeyPair| {
        format!(
            "{{ key_file = {:?}, certificate_file = {:?} }}",
            file(&format!("{name}.key"), pair.key_pem()),
            file(&format!("{name}.crt"), pair.certificate_pem())
        )
    };
    let keys = format!("keys = [{}, {}]", pair("new", new), pair("old", old));
    Company::start_with(Plan::connector(&keys)).await
}

/// Restarts with these of the two keys: 0 is the new one, 1 the old one.
async fn restart_with(company: &mut Company, all: &[rolegate::config::KeyPair], used: &[usize]) {
    for connector in &mut company.app.config.connectors {
        if let ConnectorKind::Saml(saml) = &mut connector.kind {
            saml.keys = used.iter().map(|index| all[*index].clone()).collect();
        }
    }
    company.app.restart().await;
}

fn our_keys(company: &Company) -> Vec<rolegate::config::KeyPair> {
    let mut connectors = company.app.config.connectors.iter();
    let keys = connectors.find_map(|connector| match &connector.kind {
        ConnectorKind::Saml(saml) => Some(saml.keys.clone()),
        ConnectorKind::Ldap(_) | ConnectorKind::Oidc(_) => None,
    });
    keys.unwrap()
}

fn encrypted_to(pair: &KeyPair) -> Said {
    Said {
        encrypted_to: Some(pair.public_key()),
        ..ada()
    }
}

/// Where our metadata publishes a certificate; none where it does not.
async fn published_at(company: &Company, pair: &KeyPair) -> Option<usize> {
    let answer = company.app.browser().get("/saml/campus/metadata").await;
    let text: String = answer.body.split_whitespace().collect();
    text.find(&STANDARD.encode(pair.der()))
}

/// Whether the request that a browser carries is signed with this key (SAML bindings 3.4.4.1).
async fn signs_requests(company: &Company, pair: &KeyPair) -> bool {
    let away = company.depart(&mut company.app.browser()).await;
    let url: Url = away.location().parse().unwrap();
    let (signed, signature) = url.query().unwrap().split_once("&Signature=").unwrap();
    let signature = url::form_urlencoded::parse(format!("s={signature}").as_bytes())
        .next()
        .unwrap()
        .1
        .into_owned();
    let key = pair.public_key();
    let mut verifier = Verifier::new(MessageDigest::sha256(), &key).unwrap();
    verifier.update(signed.as_bytes()).unwrap();
    verifier
        .verify(&STANDARD.decode(signature).unwrap())
        .unwrap()
}

#[tokio::test]
async fn our_new_key_loses_no_sign_in() {
    let (new, old) = (KeyPair::rsa("new", 2), KeyPair::rsa("old", 1));
    let mut company = company_with_keys(&new, &old).await;
    let all = our_keys(&company);
    restart_with(&mut company, &all, &[1]).await;
    assert_eq!(published_at(&company, &new).await, None);
    assert!(signs_requests(&company, &old).await);
    company.signed_in(&encrypted_to(&old)).await;

    // The new one comes first; the provider has not read that yet, and somebody is there.
    let mut browser = company.app.browser();
    let asked = company.ask(&mut browser).await;
    restart_with(&mut company, &all, &[0, 1]).await;
    let message = company.answer(&asked, &encrypted_to(&old));
    assert_signed_in(&company.post(&mut browser, &asked, &message).await);
    let (first, second) = (
        published_at(&company, &new).await,
        published_at(&company, &old).await,
    );
    assert!(first.is_some() && first < second, "{first:?} {second:?}");
    assert!(signs_requests(&company, &new).await);
    company.signed_in(&encrypted_to(&old)).await;
    company.signed_in(&encrypted_to(&new)).await;

    restart_with(&mut company, &all, &[0]).await;
    assert_eq!(published_at(&company, &old).await, None);
    company.signed_in(&encrypted_to(&new)).await;
    let (_, refused) = company.sign_in(&encrypted_to(&old)).await;
    assert_eq!(refused.status, 403);
    let event = company.app.last_audit_event().await;
    assert_eq!(event["reason"], "decryption_failed", "{event:#}");
}

#[tokio::test]
async fn sign_in_goes_on_while_the_metadata_is_dead_for_a_day_and_over_a_restart() {
    let idp = identity_provider();
    let mut published = Published::start(idp.metadata(&[&idp.primary])).await;
    let mut company = published.company("idp-dead", &idp).await;
    company.signed_in(&ada()).await;
    company.refresh_trust().await;
    assert_eq!(company.metric(FRESH).await, Some(1.0));

    published.go_down().await;
    for _ in 0..24 {
        company.app.clock.advance(Duration::hours(1));
        company.refresh_trust().await;
    }
    company.signed_in(&ada()).await;
    assert_eq!(company.metric(FRESH).await, Some(0.0));
    assert_eq!(company.metric(AGE).await, Some(86_400.0));

    company.app.restart().await;
    company.signed_in(&ada()).await;
    company.refresh_trust().await;
    assert_eq!(company.metric(FRESH).await, Some(0.0));
    assert_eq!(company.metric(AGE).await, Some(86_400.0));

    published.come_up().await;
    company.app.clock.advance(Duration::minutes(1));
    company.refresh_trust().await;
    company.signed_in(&ada()).await;
    assert_eq!(company.metric(FRESH).await, Some(1.0));
    assert_eq!(company.metric(AGE).await, Some(0.0));
}

#[tokio::test]
async fn without_any_copy_there_is_a_page_until_the_metadata_comes_back() {
    let idp = identity_provider();
    let mut published = Published::at_rest(idp.metadata(&[&idp.primary]));
    let company = published.company("idp-never", &idp).await;
    let page = company.depart(&mut company.app.browser()).await;
    assert_unavailable(&company, &page).await;
    company.refresh_trust().await;
    assert_eq!(company.metric(FRESH).await, Some(0.0));
    assert_eq!(company.metric(AGE).await, None);

    published.come_up().await;
    company.app.clock.advance(Duration::minutes(1));
    company.signed_in(&ada()).await;
    company.refresh_trust().await;
    assert_eq!(company.metric(FRESH).await, Some(1.0));
}

#[tokio::test]
async fn metadata_beyond_its_own_end_signs_nobody_in() {
    let idp = identity_provider();
    let ending = |company_now: time::OffsetDateTime, minutes: i64| {
        let end = instant(company_now + Duration::minutes(minutes));
        idp.metadata(&[&idp.primary])
            .replace(" entityID=", &format!(" validUntil=\"{end}\" entityID="))
    };
    let mut published = Published::at_rest(String::new());
    let company = published.company("idp-ended", &idp).await;
    published.publish(ending(company.app.clock.now(), 60));
    published.come_up().await;
    company.app.clock.advance(Duration::minutes(1));
    company.signed_in(&ada()).await;
    published.go_down().await;

    company.app.clock.advance(Duration::minutes(56));
    company.refresh_trust().await;
    company.signed_in(&ada()).await;
    let mut browser = company.app.browser();
    let asked = company.ask(&mut browser).await;
    company.app.clock.advance(Duration::minutes(4));
    let message = company.answer(&asked, &ada());
    let page = company.post(&mut browser, &asked, &message).await;
    assert_unavailable(&company, &page).await;
    let page = company.depart(&mut company.app.browser()).await;
    assert_unavailable(&company, &page).await;
    company.refresh_trust().await;
    assert_eq!(company.metric(FRESH).await, Some(0.0));

    published.publish(ending(company.app.clock.now(), 60));
    published.come_up().await;
    company.app.clock.advance(Duration::minutes(1));
    company.signed_in(&ada()).await;
}
