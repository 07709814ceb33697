//! One Rolegate with three connectors and an issuer, and one AWS that knows all of them.

use std::fs;

use openssl::nid::Nid;
use rolegate::{
    clock::Clock as _,
    demo::aws::{Catalogue, MfaDevice, OidcProvider, Principal, Role, SamlProvider, Trust},
};
use serde_json::json;
use tempfile::TempDir;
use url::Url;

use super::{
    grid::{Delivery, SignIn, Way},
    roles::{self, role_toml},
};
use crate::support::{
    company::{ACCOUNT, Company, IDP, PROVIDER, Plan, Said},
    cookie_browser::CookieBrowser,
    openid::{Hand, Puppet, Reply},
    saml::{keys::KeyPair, provider::TestIdentityProvider},
    temporary_dir,
};

/// The IAM user whose keys Rolegate signs with.
pub(super) const BROKER: &str = "arn:aws:iam::111122223333:user/broker";
pub(super) const BROKER_KEY: &str = "AKIAMATRIX0000000001";
pub(super) const BROKER_SECRET: &str = "planted/broker+secret";
/// The device of [`BROKER`]; its codes count up from one.
pub(super) const DEVICE: &str = "arn:aws:iam::111122223333:mfa/broker";
const CODES: u32 = 60;
/// A role whose session is another credential source: what it opens is chained.
const HUB: &str = "arn:aws:iam::111122223333:role/hub";
/// What stands for our issuer in IAM.
pub(super) const OWN_SAML: &str = "arn:aws:iam::111122223333:saml-provider/rolegate";
pub(super) const OWN_OIDC: &str = "arn:aws:iam::111122223333:oidc-provider/rolegate.campus.example";
/// What stands for the people's own provider of tokens.
pub(super) const THEIR_OIDC: &str = "arn:aws:iam::111122223333:oidc-provider/idp.campus.example";
/// The `aud` of our own tokens, and of theirs.
pub(super) const OWN_AUDIENCE: &str = "sts.amazonaws.com";
pub(super) const THEIR_AUDIENCE: &str = "rolegate";

/// Everything that takes part.
pub(super) struct Stage {
    pub(super) company: Company,
    puppet: Puppet,
    _files: TempDir,
    codes: std::cell::Cell<u32>,
}

impl Stage {
    pub(super) async fn start() -> Self {
        let files = temporary_dir("matrix");
        let puppet = Puppet::start().await;
        let file = |name: &str, text: String| private_file(&files, name, &text);
        let keys = |id: &str, secret: &str, token: &str| {
            format!("AWS_ACCESS_KEY_ID={id}\nAWS_SECRET_ACCESS_KEY={secret}\n{token}")
        };
        let broker = file("broker.env", keys(BROKER_KEY, BROKER_SECRET, ""));
        let token = "AWS_SESSION_TOKEN=planted-hub-token\n";
        let hub = file(
            "hub.env",
            keys("ASIAMATRIX0000000002", "planted-hub", token),
        );
        let stolen = file("wrong.env", keys(BROKER_KEY, "not the secret", ""));
        let connector = [
            "pass_through = true\n".to_owned(),
            their_connector(&puppet.issuer),
            credential_source("hub", &hub),
            credential_source("wrong", &stolen),
            issuer_toml(&files),
        ];
        let plan = Plan {
            connector: connector.concat(),
            table: roles::table(),
            overrides: [
                ("AWS__CREDENTIAL_SOURCE__DEFAULT__PATH", broker.as_str()),
                ("ROLE_DEFAULTS__CREDENTIAL_SOURCE", "default"),
                (
                    "ACCESS__ADMIN",
                    "corp:cn=helpdesk,ou=groups,dc=example,dc=com",
                ),
            ]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .to_vec(),
            ..Plan::default()
        };
        let idp = TestIdentityProvider::new(IDP, 20_261_124);
        let company = Box::pin(Company::start_behind(idp.into(), plan)).await;
        let stage = Self {
            company,
            puppet,
            _files: files,
            codes: std::cell::Cell::new(0),
        };
        stage.reset();
        // As at a start with AWS as it is now.
        stage.company.app.broker.learn_callers().await;
        stage
    }

    /// AWS as everything works.
    pub(super) fn reset(&self) {
        self.company.shift_aws_clock(time::Duration::ZERO);
        let whole = self.catalogue();
        self.company.app.aws.update(|catalogue| *catalogue = whole);
    }

    fn catalogue(&self) -> Catalogue {
        let app = &self.company.app;
        let issuer = app.broker.issuer().unwrap();
        let own = SamlProvider::new(OWN_SAML, &issuer.saml_metadata().unwrap()).unwrap();
        let idp = &self.company.idp;
        let theirs = SamlProvider::new(PROVIDER, &idp.metadata(&[&idp.primary])).unwrap();
        let codes = (1..=CODES).map(|code| format!("{code:06}")).collect();
        let broker = Principal::user(BROKER, BROKER_KEY, BROKER_SECRET)
            .which_may_assume("*")
            .which_may_federate()
            .with_mfa_device(DEVICE, MfaDevice::Codes(codes));
        let hub = Principal::role_session(HUB, "task", "ASIAMATRIX0000000002")
            .with_secret("planted-hub", "planted-hub-token")
            .which_may_assume("*");
        let account = rolegate::demo::aws::Account::new(ACCOUNT, "Research");
        let whole = Catalogue::default()
            .with_account(account)
            .with_saml_provider(own)
            .with_saml_provider(theirs)
            .with_oidc_provider(published_at(OWN_OIDC, OWN_AUDIENCE, app.url.clone()))
            .with_oidc_provider(published_at(
                THEIR_OIDC,
                THEIR_AUDIENCE,
                self.puppet.issuer.parse().unwrap(),
            ))
            .with_principal(broker)
            .with_principal(hub);
        let trusted = roles::ALL_OF_IAM.iter().map(|(name, longest)| {
            let arn = roles::role_arn(name);
            Role::new(&arn, self.trust(name)).with_max_session_seconds(*longest)
        });
        trusted.fold(whole, Catalogue::with_role)
    }

    /// Where the provider's assertions and ours are sent.
    pub(super) fn recipients(&self) -> [String; 2] {
        [
            self.company.acs_url(),
            self.company.app.aws.saml_url().to_string(),
        ]
    }

    /// What the role's own administrator would have written.
    pub(super) fn trust(&self, name: &str) -> Trust {
        let [acs, ours] = self.recipients();
        let marked = |trust: Trust| trust.with_session_tags().with_source_identity();
        match name {
            "Assume" => marked(Trust::of([BROKER])).with_external_id(roles::EXTERNAL_ID),
            "Coded" => marked(Trust::of([BROKER])).with_mfa_required(),
            "Chained" => Trust::of([HUB]),
            "Packed" => marked(Trust::of([BROKER])),
            "Vouched" | "Posted" => marked(Trust::default().with_saml(OWN_SAML, [ours.as_str()])),
            "Passed" => Trust::default().with_saml(PROVIDER, [acs.as_str()]),
            "Token" => {
                let subject = roles::own_subjects(name);
                let own = Trust::default();
                marked(own.with_web_identity(OWN_OIDC, [OWN_AUDIENCE], [subject.as_str()]))
            }
            "PassedToken" => {
                let theirs = Trust::default();
                theirs.with_web_identity(THEIR_OIDC, [THEIR_AUDIENCE], ["5f0e-ada"])
            }
            _ => Trust::of([BROKER]),
        }
    }

    /// Another trust for a role, until the next reset.
    pub(super) fn distrust(&self, name: &str, trust: Trust) {
        let arn = roles::role_arn(name);
        self.company.app.aws.update(|catalogue| {
            assert!(catalogue.set_trust(&arn, trust), "{arn}");
        });
    }

    /// A role that IAM lets open for an hour alone, until the next reset.
    pub(super) fn shorten(&self, name: &str) {
        let role = Role::new(&roles::role_arn(name), self.trust(name));
        self.company.app.aws.update(|catalogue| {
            *catalogue = std::mem::take(catalogue).with_role(role);
        });
    }

    /// An IAM SAML provider with the metadata of somebody who calls themselves us, until the next
    /// reset.
    pub(super) fn forget_our_key(&self) {
        let issuer = self.company.app.broker.issuer().unwrap();
        let impostor = TestIdentityProvider::new(issuer.entity_id(), 7);
        let metadata = impostor.metadata(&[&impostor.primary]);
        let provider = SamlProvider::new(OWN_SAML, &metadata).unwrap();
        self.company.app.aws.update(|catalogue| {
            *catalogue = std::mem::take(catalogue).with_saml_provider(provider);
        });
    }

    /// A code of [`DEVICE`] that was not used before.
    pub(super) fn code(&self) -> String {
        let next = self.codes.get() + 1;
        assert!(next <= CODES, "the device has no more codes");
        self.codes.set(next);
        format!("{next:06}")
    }

    /// A browser in which Ada has signed in so.
    pub(super) async fn signed_in(&self, how: SignIn) -> CookieBrowser {
        match how {
            SignIn::Ldap => self.company.app.signed_in("ada").await,
            SignIn::Saml => {
                let roles = roles::ALL_OF_IAM.map(|(name, _)| roles::role_arn(name));
                let named: Vec<&str> = roles.iter().map(String::as_str).collect();
                self.company.signed_in(&Said::of("ada", &named)).await
            }
            SignIn::Oidc => self.signed_in_by_token().await,
        }
    }

    async fn signed_in_by_token(&self) -> CookieBrowser {
        let mut browser = self.company.app.browser();
        browser.get("/login").await;
        let answer = browser.post("/login/idp", &[]).await;
        assert_eq!(answer.status, 303, "{}", answer.body);
        let url: Url = answer.location().parse().unwrap();
        let sent = |name: &str| {
            let mut pairs = url.query_pairs();
            pairs.find(|(key, _)| key == name).unwrap().1.into_owned()
        };
        let now = self.company.app.clock.now().unix_timestamp();
        let claims = json!({
            "iss": self.puppet.issuer, "aud": THEIR_AUDIENCE, "sub": "5f0e-ada",
            "iat": now, "auth_time": now, "exp": now + 600, "nonce": sent("nonce"),
            "preferred_username": "ada", "name": "Ada Lovelace", "groups": ["staff"],
        });
        let header = json!({ "alg": "RS256", "kid": "k1", "typ": "JWT" });
        let token = (self.puppet.keys).sign(&header, &claims.to_string(), &Hand::Provider);
        let answer = json!({
            "access_token": "planted-access-token", "token_type": "Bearer", "expires_in": 300,
            "id_token": token,
        });
        self.puppet.script().token = Reply::Json(200, answer);
        let state = sent("state");
        let back = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("code", &format!("code-{state}"))
            .append_pair("state", &state)
            .append_pair("iss", &self.puppet.issuer)
            .finish();
        let answer = browser.get(&format!("/oidc/idp/callback?{back}")).await;
        assert_eq!(
            (answer.status, answer.location()),
            (303, "/"),
            "{}\n{:#?}",
            answer.body,
            self.company.app.last_audit_event().await
        );
        browser
    }

    /// The role that a cell opens.
    pub(super) fn role(way: Way, delivery: Delivery) -> String {
        match (way, delivery) {
            (Way::SamlOfIssuer, Delivery::ConsoleByPost) => roles::role_arn("Posted"),
            _ => role_toml(way).arn,
        }
    }
}

/// An IAM OIDC provider whose keys are fetched where they are.
fn published_at(arn: &str, audience: &str, base: Url) -> OidcProvider {
    let provider = OidcProvider::new(arn, [audience]).unwrap();
    provider.with_url(base.as_str()).fetched_from(base)
}

fn their_connector(issuer: &str) -> String {
    format!(
        "[[connector]]\nid = \"idp\"\ntype = \"oidc\"\nlabel = \"Tokens\"\nissuer = \"{issuer}\"\n\
         client_id = \"{THEIR_AUDIENCE}\"\nclient_secret = \"planted-client-secret\"\n\
         pass_through = true\n"
    )
}

fn credential_source(id: &str, path: &str) -> String {
    format!(
        "[[aws.credential_source]]\nid = \"{id}\"\ntype = \"environment-file\"\npath = {path:?}\n"
    )
}

/// `[issuer]` with keys of the test's own in a folder.
pub(super) fn issuer_toml(dir: &TempDir) -> String {
    let saml = KeyPair::rsa("issuer", 1);
    let oidc = KeyPair::ec("issuer", 2, Nid::X9_62_PRIME256V1);
    format!(
        "[issuer]\nsaml_keys = [{{ key_file = {:?}, certificate_file = {:?} }}]\n\
         oidc_keys = [{{ key_file = {:?} }}]\n",
        private_file(dir, "saml.key", &saml.key_pem()),
        private_file(dir, "saml.crt", &saml.certificate_pem()),
        private_file(dir, "oidc.key", &oidc.key_pem()),
    )
}

/// Writes a file that its owner alone may read; its path.
pub(super) fn private_file(dir: &TempDir, name: &str, text: &str) -> String {
    use std::os::unix::fs::PermissionsExt as _;

    let path = dir.path().join(name);
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    path.display().to_string()
}
