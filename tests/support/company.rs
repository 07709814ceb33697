//! A company that signs its people in at an identity provider of the tests' own, before Rolegate
//! and before AWS: nobody has AWS credentials there but by the provider's word.

use std::{
    fs,
    io::Read as _,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use openssl::pkey::{PKey, Public};
use reqwest::Method;
use rolegate::{
    broker::Connector,
    clock::{Clock as _, SystemClock},
    demo::aws::{Account, Catalogue, Role, SamlProvider, Trust},
};
use tempfile::TempDir;
use time::{Duration, OffsetDateTime};
use url::Url;

use super::{
    app::{Options, TestApp},
    children::free_port,
    cookie_browser::{Answer, CookieBrowser},
    identity_providers::Page,
    saml::{
        encryption::Encryption,
        for_aws,
        keys::KeyPair,
        provider::{Claim, EMAIL, Request, TestIdentityProvider},
        random::Random,
        signature::Signing,
    },
    temporary_dir,
};

/// The account that everything is in.
pub const ACCOUNT: &str = "111122223333";
/// The IAM SAML provider with the company's metadata.
pub const PROVIDER: &str = "arn:aws:iam::111122223333:saml-provider/campus";
/// A role that opens by assertion for twelve hours at most.
pub const READER: &str = "arn:aws:iam::111122223333:role/team/Reader";
/// The same, whose `SAML:aud` knows AWS's own address alone.
pub const STRANGE: &str = "arn:aws:iam::111122223333:role/Strange";
/// The cookie of a sign-in session, over plain HTTP.
pub const SESSION_COOKIE: &str = "rolegate";
/// The entity id of the identity provider.
pub const IDP: &str = "https://idp.campus.example";

/// Accounts, roles and mappings behind [`READER`] and [`STRANGE`].
pub const TABLE: &str = r#"
[[account]]
id = "111122223333"
name = "Research"

[[role]]
arn = "arn:aws:iam::111122223333:role/team/Reader"
grant_method = "assume-role-with-saml"
saml_provider_arn = "arn:aws:iam::{account}:saml-provider/campus"
max_duration = "12h"

[[role]]
arn = "arn:aws:iam::111122223333:role/Strange"
grant_method = "assume-role-with-saml"

[[mapping]]
group = "campus:staff"
role = "arn:aws:iam::111122223333:role/team/Reader"

[[mapping]]
group = "campus:staff"
role = "arn:aws:iam::111122223333:role/Strange"
"#;

/// What a test wants otherwise.
pub struct Plan {
    /// The connector's id; metrics are by it and shared by all tests.
    pub id: &'static str,
    /// More keys of the connector, in TOML.
    pub connector: String,
    /// Where the metadata comes from, in TOML; none writes it to a file.
    pub metadata: Option<String>,
    /// The table.
    pub table: String,
    /// Roles of AWS beside the two, and other things there, by our ACS.
    pub aws: fn(Catalogue, &str) -> Catalogue,
    /// Of other accounts.
    pub saml_providers: Vec<SamlProvider>,
    /// Of [`Options`].
    pub overrides: Vec<(String, String)>,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            id: "campus",
            connector: String::new(),
            metadata: None,
            table: TABLE.to_owned(),
            aws: |catalogue, _| catalogue,
            saml_providers: Vec::new(),
            overrides: Vec::new(),
        }
    }
}

impl Plan {
    /// With more keys of the connector.
    pub fn connector(keys: &str) -> Self {
        Self {
            connector: keys.to_owned(),
            ..Self::default()
        }
    }

    /// With more rows in the table.
    pub fn rows(mut self, rows: &str) -> Self {
        self.table.push_str(rows);
        self
    }
}

/// Rolegate with the connector `campus`, the identity provider behind it, and AWS, which knows it.
pub struct Company {
    pub id: &'static str,
    pub app: TestApp,
    pub idp: Arc<TestIdentityProvider>,
    /// By how many seconds AWS's clock is ahead of the real one.
    pub aws_shift: Arc<AtomicI64>,
    files: TempDir,
}

/// A request that waits for its answer.
#[derive(Debug, Clone)]
pub struct Asked {
    pub id: String,
    pub relay_state: String,
}

/// What the provider says of somebody, and how.
#[derive(Clone)]
pub struct Said {
    pub name_id: String,
    pub claims: Vec<Claim>,
    /// Beside ours.
    pub audiences: Vec<String>,
    /// By how much the assertion is older than the moment of answering.
    pub age: Duration,
    /// What signs instead of the provider's first key.
    pub signer: Option<KeyPair>,
    /// Whose key the assertion is encrypted to.
    pub encrypted_to: Option<PKey<Public>>,
}

impl Said {
    /// Somebody of the staff, for whom AWS takes the provider's word on these roles.
    pub fn of(name: &str, roles: &[&str]) -> Self {
        let pairs: Vec<String> = roles
            .iter()
            .map(|role| format!("{role},{PROVIDER}"))
            .collect();
        let pairs: Vec<&str> = pairs.iter().map(String::as_str).collect();
        Self {
            name_id: format!("{name}@campus.example"),
            claims: vec![Claim::new("uid", &[name]), Claim::new("groups", &["staff"])],
            audiences: vec![for_aws::AUDIENCE.to_owned()],
            age: Duration::ZERO,
            signer: None,
            encrypted_to: None,
        }
        .with_aws("Role", &pairs)
        .with_aws("RoleSessionName", &[&format!("{name}-by-idp")])
    }

    /// With this AWS attribute instead of an earlier one; without values, without it.
    pub fn with_aws(mut self, name: &str, values: &[&str]) -> Self {
        let claim = for_aws::claim(name, values);
        self.claims.retain(|known| known.name != claim.name);
        self.claims.extend((!values.is_empty()).then_some(claim));
        self
    }

    /// With these groups instead of `staff`.
    pub fn in_groups(mut self, groups: &[&str]) -> Self {
        self.claims.retain(|known| known.name != "groups");
        self.claims.push(Claim::new("groups", groups));
        self
    }

    /// Signed with another key.
    pub fn signed_by(self, signer: &KeyPair) -> Self {
        Self {
            signer: Some(signer.clone()),
            ..self
        }
    }
}

impl Company {
    /// Starts with [`TABLE`].
    pub async fn start() -> Self {
        Self::start_with(Plan::default()).await
    }

    /// Starts as planned.
    pub async fn start_with(plan: Plan) -> Self {
        let idp = Arc::new(TestIdentityProvider::new(IDP, 20_261_124));
        Self::start_behind(idp, plan).await
    }

    /// Starts behind an identity provider that is there already.
    pub async fn start_behind(idp: Arc<TestIdentityProvider>, plan: Plan) -> Self {
        let files = temporary_dir("company");
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let id = plan.id;
        let acs = format!("http://{address}/saml/{id}/acs");
        let metadata = idp.metadata(&[&idp.primary]);
        let file = |name: &str, text: &str| {
            let path = files.path().join(name);
            fs::write(&path, text).unwrap();
            path.display().to_string()
        };
        let source = plan
            .metadata
            .unwrap_or_else(|| format!("idp_metadata_file = {:?}", file("idp.xml", &metadata)));
        let catalogue = Catalogue::default()
            .with_account(Account::new(ACCOUNT, "Research"))
            .with_saml_provider(SamlProvider::new(PROVIDER, &metadata).unwrap())
            .with_role(
                Role::new(READER, Trust::default().with_saml(PROVIDER, [acs.as_str()]))
                    .with_max_session_seconds(43_200),
            )
            .with_role(Role::new(
                STRANGE,
                Trust::default().with_saml(PROVIDER, ["https://signin.aws.amazon.com/saml"]),
            ));
        let providers = plan.saml_providers.into_iter();
        let catalogue = providers.fold(catalogue, Catalogue::with_saml_provider);
        let aws_shift = Arc::new(AtomicI64::new(0));
        let mut overrides = vec![
            (
                "AWS__SESSION_NAME".to_owned(),
                "{connector}-{username}".to_owned(),
            ),
            (
                "AWS__CREDENTIAL_SOURCE__DEFAULT__PATH".to_owned(),
                file("no-credentials.env", "# nothing\n"),
            ),
        ];
        overrides.extend(plan.overrides);
        let options = Options {
            overrides,
            mapping_toml: Some(plan.table.replace("\"campus:", &format!("\"{id}:"))),
            catalogue: Some((plan.aws)(catalogue, &acs)),
            aws_clock: Some(shifted_clock(&aws_shift)),
            address: Some(address),
            more_toml: format!(
                "[[connector]]\nid = \"{id}\"\ntype = \"saml\"\nlabel = \"Campus\"\n{source}\n\
                 attributes = {{ username = \"uid\", groups = \"groups\" }}\n{}\n",
                plan.connector
            ),
            ..Options::default()
        };
        Self {
            id: plan.id,
            app: TestApp::start_with(options).await,
            idp,
            aws_shift,
            files,
        }
    }

    /// Moves AWS's clock away from the real one.
    pub fn shift_aws_clock(&self, by: Duration) {
        self.aws_shift.store(by.whole_seconds(), Ordering::SeqCst);
    }

    fn place(&self, name: &str) -> Url {
        let path = format!("saml/{}/{name}", self.id);
        self.app.url.join(&path).unwrap()
    }

    /// Where the provider posts its answers.
    pub fn acs_url(&self) -> String {
        self.place("acs").to_string()
    }

    /// Presses the connector's button on the sign-in page; what comes of it.
    pub async fn depart(&self, browser: &mut CookieBrowser) -> Answer {
        browser.get("/login").await;
        browser.post(&format!("/login/{}", self.id), &[]).await
    }

    /// Presses the connector's button; the provider is asked.
    pub async fn ask(&self, browser: &mut CookieBrowser) -> Asked {
        asked(&self.depart(browser).await)
    }

    /// What the provider answers: base64, as posted.
    pub fn answer(&self, asked: &Asked, said: &Said) -> String {
        let now = self.app.clock.now() - said.age;
        let request = Request {
            acs_url: self.acs_url(),
            audience: self.place("metadata").into(),
            in_response_to: Some(asked.id.clone()),
            now,
            name_id: said.name_id.clone(),
            name_id_format: EMAIL,
            attributes: said.claims.clone(),
            random: Random::new(seed(&asked.id), "answer"),
        };
        let mut draft = self.idp.response(&request);
        draft = draft.session_end(Some(now + Duration::hours(13)));
        for audience in &said.audiences {
            draft = draft.audience(audience);
        }
        draft = match &said.signer {
            Some(pair) => draft.sign("Assertion", &Signing::new(&pair.key, Some(&pair.der()))),
            None => draft.sign_assertion(),
        };
        if let Some(key) = &said.encrypted_to {
            draft = draft.encrypt(Encryption::USUAL, key);
        }
        draft.posted()
    }

    /// Brings the answer back, as the provider's page does: a form of another site, with which
    /// browsers do not send the session's cookie (`SameSite=Lax`).
    pub async fn post(&self, browser: &mut CookieBrowser, asked: &Asked, message: &str) -> Answer {
        cross_site(browser, true);
        let session = browser.cookies.remove(SESSION_COOKIE);
        let fields = [
            ("SAMLResponse", message),
            ("RelayState", asked.relay_state.as_str()),
        ];
        let answer = browser
            .post_without_token(self.place("acs").path(), &fields)
            .await;
        if let Some(session) = session {
            let cookies = &mut browser.cookies;
            cookies.entry(SESSION_COOKIE.to_owned()).or_insert(session);
        }
        cross_site(browser, false);
        answer
    }

    /// Tries to sign somebody in; what comes of it.
    pub async fn sign_in(&self, said: &Said) -> (CookieBrowser, Answer) {
        let mut browser = self.app.browser();
        let asked = self.ask(&mut browser).await;
        let message = self.answer(&asked, said);
        let answer = self.post(&mut browser, &asked, &message).await;
        (browser, answer)
    }

    /// Signs somebody in; panics where that fails.
    pub async fn signed_in(&self, said: &Said) -> CookieBrowser {
        let (browser, answer) = self.sign_in(said).await;
        assert_eq!(
            (answer.status, answer.location()),
            (303, "/"),
            "{}\n{:#?}",
            answer.body,
            self.app.last_audit_event().await
        );
        browser
    }

    /// Answers a request, and goes where the browser goes by itself then: redirects, which count
    /// as started by the provider's site, pages that refresh, and forms that a script sends.
    pub async fn come_back(
        &self,
        browser: &mut CookieBrowser,
        asked: &Asked,
        said: &Said,
    ) -> Answer {
        let mut answer = self.post(browser, asked, &self.answer(asked, said)).await;
        cross_site(browser, true);
        for _ in 0..8 {
            let url = self.app.url.clone();
            let page = Page { url, answer };
            let is_ours = page.answer.location().starts_with('/');
            let sent_by_script = page.answer.body.contains("data-auto-submit");
            answer = if page.answer.status == 303 && is_ours {
                browser.get(page.answer.location()).await
            } else if let Some(next) = page.refreshes_to() {
                cross_site(browser, false);
                browser.get(next.as_str()).await
            } else if let Some(form) = page.form_with("role").filter(|_| sent_by_script) {
                cross_site(browser, false);
                let path = form.action.path().to_owned();
                browser
                    .send(Method::POST, &path, Some(form.encoded()))
                    .await
            } else {
                cross_site(browser, false);
                return page.answer;
            };
        }
        panic!("the way back does not end: {}", answer.location());
    }

    /// The roles that the picker shows.
    pub async fn offered(&self, browser: &mut CookieBrowser) -> Vec<String> {
        let url = self.app.url.clone();
        let answer = browser.get("/").await;
        Page { url, answer }.offered_roles()
    }

    /// What the server does once a minute: fetches the provider's metadata where it is time to.
    pub async fn refresh_trust(&self) {
        for connector in self.app.broker.connectors() {
            if let Connector::Redirect(connector) = connector {
                connector.refresh_trust().await;
            }
        }
    }

    /// A gauge or counter of this connector.
    pub async fn metric(&self, name: &str) -> Option<f64> {
        let line = format!("{name}{{connector=\"{}\"}} ", self.id);
        let text = self.app.metrics().await;
        let value = text.lines().find_map(|text| text.strip_prefix(&line))?;
        value.parse().ok()
    }

    /// A file that a test writes.
    pub fn file(&self, name: &str) -> std::path::PathBuf {
        self.files.path().join(name)
    }
}

/// A clock ahead of the real one by so many seconds.
fn shifted_clock(shift: &Arc<AtomicI64>) -> rolegate::demo::aws::Clock {
    let shift = Arc::clone(shift);
    Arc::new(move || -> OffsetDateTime {
        SystemClock.now() + Duration::seconds(shift.load(Ordering::SeqCst))
    })
}

/// The request with which a browser is sent to the provider.
pub fn asked(answer: &Answer) -> Asked {
    let location = answer.location();
    assert!(
        answer.status == 303 && location.starts_with(&format!("{IDP}/sso?")),
        "{} {location}\n{}",
        answer.status,
        answer.body
    );
    let url: Url = location.parse().unwrap();
    let value = |name: &str| {
        let mut pairs = url.query_pairs();
        pairs.find(|(key, _)| key == name).unwrap().1.into_owned()
    };
    let deflated = STANDARD.decode(value("SAMLRequest")).unwrap();
    let mut xml = String::new();
    flate2::read::DeflateDecoder::new(deflated.as_slice())
        .read_to_string(&mut xml)
        .unwrap();
    let id = regex::Regex::new(r#" ID="([^"]+)""#).unwrap();
    Asked {
        id: id.captures(&xml).unwrap()[1].to_owned(),
        relay_state: value("RelayState"),
    }
}

/// Whether the next requests count as started by another site.
fn cross_site(browser: &mut CookieBrowser, is_cross: bool) {
    let site = if is_cross {
        "cross-site"
    } else {
        "same-origin"
    };
    browser.headers = vec![("sec-fetch-site".to_owned(), site.to_owned())];
}

fn seed(text: &str) -> u64 {
    text.bytes().fold(7, |seed: u64, byte| {
        seed.wrapping_mul(31).wrapping_add(u64::from(byte))
    })
}
