//! A running Rolegate that trusts a provider of ours, and the browsers between the two.

use std::{
    fs,
    path::Path,
    sync::{Arc, OnceLock},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use reqwest::Method;
use rolegate::{
    audit::AuditEvent,
    clock::Clock as _,
    identity::saml::redirect_binding,
    store::{AuditFilter, AuditLog as _, SignInSession, SignInSessions as _},
};
use time::Duration;
use url::{Url, form_urlencoded::Serializer};

use super::{
    canary::Canary,
    keys::KeyPair,
    provider::{Draft, TestIdentityProvider},
    scene::{Context, Scene},
};
use crate::support::{
    app::{Options, TestApp},
    cookie_browser::{Answer, CookieBrowser},
    temporary_dir,
};

/// The connector's id.
pub const CONNECTOR: &str = "idp";
/// Where its provider's answers are posted.
pub const ACS: &str = "/saml/idp/acs";

/// Reasons that have a page of their own: no message is at fault, or not by itself.
const WITH_PAGES: [&str; 6] = [
    "unsolicited",
    "unknown_request",
    "request_expired",
    "other_browser",
    "groups_overage",
    "groups_from_unknown_person",
];

/// What a test changes before the start.
pub struct Setup {
    /// Chooses people and spellings.
    pub seed: u64,
    /// Keys and values of the connector beside those that it needs.
    pub connector: String,
    /// Whether the connector has a key, and signs with it.
    pub has_key: bool,
    /// Everything else.
    pub options: Options,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            seed: 1,
            connector: String::new(),
            has_key: true,
            options: Options::default(),
        }
    }
}

/// The service, its provider, and whom the provider signs in.
pub struct Stage {
    pub app: TestApp,
    /// Nobody has asked for anything in it yet.
    pub scene: Scene,
    pub canary: Canary,
    _dir: tempfile::TempDir,
}

/// A sign-in that waits for the provider's answer.
pub struct Attempt {
    pub request_id: String,
    pub relay_state: String,
    /// Where the browser was sent.
    pub url: Url,
    /// The request, XML.
    pub request: String,
    /// The answer that sent it.
    pub answer: Answer,
}

impl Stage {
    /// Starts with the defaults.
    pub async fn start() -> Self {
        Self::start_with(Setup::default()).await
    }

    /// Starts with more under the connector.
    pub async fn configured(connector: &str) -> Self {
        let connector = connector.to_owned();
        Self::start_with(Setup {
            connector,
            ..Setup::default()
        })
        .await
    }

    /// Starts with what the test wants.
    pub async fn start_with(setup: Setup) -> Self {
        let (canary, dir) = (Canary::start(), temporary_dir("stage"));
        let (provider, decryption) = parties(setup.seed);
        let file = canary.file.to_str().expect("a plain path");
        let context = Context::from_seed(setup.seed, &canary.url, file);
        let mut scene = Scene::new(provider, decryption, context);
        let mut options = setup.options;
        options.more_toml += &connector(&scene, dir.path(), &setup.connector, setup.has_key);
        let public = options
            .overrides
            .iter()
            .find(|(key, _)| key == "PUBLIC_URL");
        let public: Option<Url> = public.map(|(_, url)| url.parse().expect("an address"));
        let session_name = ("AWS__SESSION_NAME", "{connector}-{username}");
        options
            .overrides
            .push((session_name.0.to_owned(), session_name.1.to_owned()));
        let app = TestApp::start_with(options).await;
        // Providers write whole seconds, and some cases stand at the very edge of one.
        let beyond = app.clock.now().nanosecond();
        app.clock.advance(-Duration::nanoseconds(beyond.into()));
        let origin = public.unwrap_or_else(|| app.url.clone());
        let address = |place| {
            let place = origin.join(&format!("saml/{CONNECTOR}/{place}"));
            place.expect("an address").to_string()
        };
        scene.context.acs_url = address("acs");
        scene.context.audience = address("metadata");
        scene.context.in_response_to = None;
        Self {
            app,
            scene,
            canary,
            _dir: dir,
        }
    }

    /// A browser that has opened the sign-in page.
    pub async fn browser(&self) -> CookieBrowser {
        at_sign_in(self.app.browser()).await
    }

    /// Begins a sign-in.
    pub async fn begin(&self, browser: &mut CookieBrowser) -> Attempt {
        self.begin_with(browser, &[]).await
    }

    /// Begins a sign-in with more fields in the form.
    pub async fn begin_with(
        &self,
        browser: &mut CookieBrowser,
        fields: &[(&str, &str)],
    ) -> Attempt {
        begin(browser, fields).await
    }

    /// Begins a sign-in in a browser in which somebody is signed in, whose sign-in page would send
    /// them on: with a page that was opened before.
    pub async fn begin_signed_in(&self, browser: &mut CookieBrowser) -> Attempt {
        let mut fresh = self.browser().await;
        let session = browser.cookies.remove("rolegate");
        browser.cookies.append(&mut fresh.cookies);
        browser.csrf_token = fresh.csrf_token;
        let attempt = begin(browser, &[]).await;
        let session = session.expect("somebody is signed in");
        browser.cookies.insert("rolegate".to_owned(), session);
        attempt
    }

    /// The scene in which the attempt waits for its answer now.
    pub fn answering(&self, attempt: &Attempt) -> Scene {
        let mut scene = self.scene.clone();
        // IDs may not come twice, and the request's is as random as can be.
        let digits = attempt.request_id.get(1..17).expect("an ID of ours");
        scene.context.seed = u64::from_str_radix(digits, 16).expect("hexadecimal digits");
        let scene = scene.for_case("answer");
        scene.answering(&attempt.request_id, self.app.clock.now())
    }

    /// The good answer to an attempt.
    pub fn answer(&self, attempt: &Attempt) -> Draft {
        self.answering(attempt).signed()
    }

    /// A good answer to nobody's question.
    pub fn unsolicited(&self, id: &str) -> Draft {
        let mut scene = self.scene.for_case(id);
        scene.context.now = self.app.clock.now();
        scene.signed()
    }

    /// Begins a sign-in and brings the good answer.
    pub async fn sign_in(&self, browser: &mut CookieBrowser) -> Answer {
        let attempt = self.begin(browser).await;
        let draft = self.answer(&attempt);
        post(browser, &draft.xml(), Some(&attempt.relay_state)).await
    }

    /// A browser in which the person of the scene has signed in.
    pub async fn signed_in(&self) -> CookieBrowser {
        let mut browser = self.browser().await;
        let answer = self.sign_in(&mut browser).await;
        assert_eq!(
            (answer.status, answer.location()),
            (303, "/"),
            "{:#?}",
            self.event(&answer).await
        );
        browser
    }

    /// The newest row of the audit, which has to be about this answer.
    pub async fn event(&self, answer: &Answer) -> AuditEvent {
        let event = self.last_event().await;
        let about = event.request_id.as_deref();
        assert_eq!(about, Some(answer.header("x-request-id")), "{event:#?}");
        event
    }

    /// The newest row of the audit.
    pub async fn last_event(&self) -> AuditEvent {
        let filter = AuditFilter {
            limit: 1,
            ..AuditFilter::default()
        };
        let mut rows = self.app.store.audit_rows(&filter).await.expect("a store");
        rows.remove(0).event
    }

    /// The answer is a page that refuses, for this reason in the audit, and nobody is signed in.
    /// Whatever is wrong with a message itself, the page is the same one.
    pub async fn assert_refused(&self, browser: &mut CookieBrowser, answer: &Answer, reason: &str) {
        assert_eq!(answer.status, 403, "{}", answer.body);
        assert_eq!(answer.location(), "");
        let event = self.event(answer).await;
        assert_eq!(event.reason.as_deref(), Some(reason), "{event:#?}");
        assert!(!answer.body.contains(reason), "{}", answer.body);
        assert_nobody(browser, answer).await;
        if !WITH_PAGES.contains(&reason) {
            let nonsense = post(&mut self.app.browser(), "nonsense", None).await;
            assert_eq!(without_request_id(answer), without_request_id(&nonsense));
        }
    }

    /// The sessions of somebody, newest first.
    pub async fn sessions(&self, subject: &str) -> Vec<SignInSession> {
        let sessions = self.app.store.sessions_of(CONNECTOR, subject).await;
        sessions.expect("a store")
    }
}

/// The provider and our key. Making keys takes longest, so those of the default seed are shared by
/// the tests of a process.
pub fn parties(seed: u64) -> (Arc<TestIdentityProvider>, Arc<KeyPair>) {
    static SHARED: OnceLock<(Arc<TestIdentityProvider>, Arc<KeyPair>)> = OnceLock::new();

    let make = || {
        let provider = TestIdentityProvider::new("https://idp.test/saml", seed);
        (
            Arc::new(provider),
            Arc::new(KeyPair::rsa("service provider", 1)),
        )
    };
    if seed == Setup::default().seed {
        SHARED.get_or_init(make).clone()
    } else {
        make()
    }
}

/// The page without what differs each time it is made.
pub fn without_request_id(answer: &Answer) -> String {
    let id = answer.header("x-request-id");
    assert!(!id.is_empty() && answer.body.contains(id));
    answer.body.replace(id, "")
}

/// Opens the sign-in page.
pub async fn at_sign_in(mut browser: CookieBrowser) -> CookieBrowser {
    assert_eq!(browser.get("/login").await.status, 200);
    browser
}

/// Begins a sign-in with more fields in the form.
pub async fn begin(browser: &mut CookieBrowser, fields: &[(&str, &str)]) -> Attempt {
    let answer = browser.post(&format!("/login/{CONNECTOR}"), fields).await;
    assert_eq!(answer.status, 303, "{}", answer.body);
    let url: Url = answer.location().parse().expect("an address");
    let message = redirect_binding::parse(url.query().expect("a query")).expect("a message");
    let request = String::from_utf8(message.xml).expect("UTF-8");
    let id = regex::Regex::new(r#"\sID="([^"]+)""#).expect("a pattern");
    Attempt {
        request_id: id.captures(&request).expect("an ID")[1].to_owned(),
        relay_state: message.relay_state.expect("a RelayState"),
        url,
        request,
        answer,
    }
}

/// Posts a message to the ACS.
pub async fn post(
    browser: &mut CookieBrowser,
    message: impl AsRef<[u8]>,
    relay_state: Option<&str>,
) -> Answer {
    post_form(browser, ACS, &form(&STANDARD.encode(message), relay_state)).await
}

/// The form of an answer.
pub fn form(message: &str, relay_state: Option<&str>) -> String {
    let mut form = Serializer::new(String::new());
    form.append_pair("SAMLResponse", message);
    if let Some(relay_state) = relay_state {
        form.append_pair("RelayState", relay_state);
    }
    form.finish()
}

/// Posts a form as another site makes the browser do it.
pub async fn post_form(browser: &mut CookieBrowser, path: &str, body: &str) -> Answer {
    let headers = [
        ("sec-fetch-site", "cross-site"),
        ("origin", "https://idp.test"),
    ];
    let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let own = std::mem::replace(&mut browser.headers, headers.into());
    let answer = browser
        .send(Method::POST, path, Some(body.to_owned()))
        .await;
    browser.headers = own;
    answer
}

/// The answer set no session, and the browser has none.
pub async fn assert_nobody(browser: &mut CookieBrowser, answer: &Answer) {
    for line in answer.headers.get_all("set-cookie") {
        let line = line.to_str().expect("ASCII");
        let name = line.split('=').next().expect("a name");
        assert_ne!(name.trim_start_matches("__Host-"), "rolegate", "{line}");
    }
    let picker = browser.get("/").await;
    assert_eq!(
        (picker.status, picker.location().split('?').next()),
        (303, Some("/login")),
        "somebody is signed in"
    );
}

/// What the service has to know of the provider; the files go into `dir`.
pub fn connector(scene: &Scene, dir: &Path, more: &str, has_key: bool) -> String {
    let provider = &scene.provider;
    let path = |name: &str| dir.join(name).display().to_string();
    fs::write(path("idp.xml"), provider.metadata(&[&provider.primary])).expect("a folder");
    fs::write(path("sp.key"), scene.decryption.key_pem()).expect("a folder");
    fs::write(path("sp.crt"), scene.decryption.certificate_pem()).expect("a folder");
    let attributes = format!(
        r#"attributes = {{ username = "NameID", email = "mail", groups = "{}" }}"#,
        scene.claims[0].name
    );
    let keys = format!(
        r#"keys = [{{ key_file = "{}", certificate_file = "{}" }}]"#,
        path("sp.key"),
        path("sp.crt")
    );
    format!(
        r#"
[[connector]]
id = "{CONNECTOR}"
type = "saml"
label = "Company"
idp_metadata_file = "{}"
{}
{}
{more}
"#,
        path("idp.xml"),
        if more.contains("attributes") {
            ""
        } else {
            &attributes
        },
        if has_key { &*keys } else { "" },
    )
}
