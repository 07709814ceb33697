//! Sign-in and sign-out through identity providers by other people, over plain HTTP.

use std::{fs, net::SocketAddr};

use rolegate::demo::{aws::SignInOutcome, sample};
use tempfile::TempDir;

use crate::support::{
    app::{Options, TestApp},
    cookie_browser::client,
    identity_providers::{
        Encryption, IdentityProvider, Page, Product, ServiceProvider, Settings, Signed, Walker,
        key_and_certificate,
    },
    temporary_dir,
};

const READER: &str = "arn:aws:iam::222233334444:role/ReadOnly";

/// Rolegate with the connector `campus`, and the identity provider behind it.
pub(crate) struct Campus {
    pub(crate) app: TestApp,
    pub(crate) provider: IdentityProvider,
    _keys: TempDir,
}

impl Campus {
    /// Starts both; `connector` is put under the connector's other keys.
    pub(crate) async fn start(
        product: Product,
        connector: &str,
        change: impl FnOnce(&mut Settings),
    ) -> Self {
        let address = IdentityProvider::reserve();
        let origin = format!("http://{address}/");
        Box::pin(Self::start_as(
            product,
            (address, &origin),
            connector,
            change,
        ))
        .await
    }

    /// The same at an address that browsers know by another origin, which ends in a slash.
    pub(crate) async fn start_as(
        product: Product,
        (address, origin): (SocketAddr, &str),
        connector: &str,
        change: impl FnOnce(&mut Settings),
    ) -> Self {
        let keys = temporary_dir("sp");
        let (key, certificate) = key_and_certificate("Rolegate of the tests");
        fs::write(keys.path().join("sp.key"), key).unwrap();
        fs::write(keys.path().join("sp.crt"), &certificate).unwrap();
        let service_provider = ServiceProvider::of_connector(origin, "campus", &certificate);
        let mut settings = Settings::new(service_provider);
        change(&mut settings);
        let provider = IdentityProvider::start(product, &settings);
        let mut options = options(address, &provider, &keys, connector);
        let public_url = ("PUBLIC_URL".to_owned(), origin.to_owned());
        options.overrides.push(public_url);
        Self {
            app: Box::pin(TestApp::start_with(options)).await,
            provider,
            _keys: keys,
        }
    }

    /// What carries the signature, an assertion in the clear.
    async fn signing(product: Product, signed: Signed) -> Self {
        Self::start(product, "", |settings| settings.signed = signed).await
    }

    fn walker(&self) -> Walker {
        Walker::new(self.app.browser())
    }

    /// Goes from our sign-in page through the provider's to wherever that leads.
    async fn sign_in(&self, walker: &mut Walker, username: &str) -> Page {
        let page = walker.choose(&self.app.url, "campus").await;
        assert_eq!(
            page.url.port(),
            self.provider.url("").parse::<url::Url>().unwrap().port(),
            "the way to the provider ends at {}:\n{}",
            page.url,
            page.answer.body
        );
        walker
            .enter(&page, username, &format!("{username}-idp"))
            .await
    }

    /// Signs `ada` in; panics where that does not lead to the picker.
    async fn signed_in(&self) -> (Walker, Page) {
        let mut walker = self.walker();
        let page = self.sign_in(&mut walker, "ada").await;
        assert_eq!(
            (page.url.as_str(), page.answer.status),
            (self.app.url.as_str(), 200),
            "{}\n{:#?}\n{}",
            page.answer.body,
            self.app.last_audit_event().await,
            self.provider.log()
        );
        (walker, page)
    }

    /// Tries to sign `ada` in and returns the reason in the audit log for which that fails.
    async fn refused(&self) -> String {
        let mut walker = self.walker();
        let page = self.sign_in(&mut walker, "ada").await;
        assert!(
            (400..500).contains(&page.answer.status),
            "{} {}:\n{}",
            page.answer.status,
            page.url,
            page.answer.body
        );
        let answer = walker.browser.get("/").await;
        assert_eq!(answer.status, 303, "somebody is signed in");
        let event = self.app.last_audit_event().await;
        assert_eq!(event["outcome"], "refused", "{event:#}");
        let reason = event["reason"].as_str().unwrap_or_default().to_owned();
        assert!(
            !page.answer.body.contains(&reason),
            "the page tells the reason:\n{}",
            page.answer.body
        );
        reason
    }
}

fn options(
    address: SocketAddr,
    provider: &IdentityProvider,
    keys: &TempDir,
    connector: &str,
) -> Options {
    let file = |name: &str| keys.path().join(name).display().to_string();
    let more_toml = format!(
        r#"
[[connector]]
id = "campus"
type = "saml"
label = "Campus"
idp_metadata_file = "{}"
attributes = {{ username = "uid", email = "mail", display_name = "displayName", groups = "groups" }}
keys = [{{ key_file = "{}", certificate_file = "{}" }}]
{connector}
"#,
        provider.metadata_path().display(),
        file("sp.key"),
        file("sp.crt"),
    );
    let mapping = format!(
        "{}\n[[mapping]]\ngroup = \"campus:payments-dev\"\nrole = \"{READER}\"\n",
        sample::mapping_toml()
    );
    Options {
        address: Some(address),
        more_toml,
        mapping_toml: Some(mapping),
        overrides: vec![(
            "AWS__SESSION_NAME".to_owned(),
            "{connector}-{username}".to_owned(),
        )],
        ..Options::default()
    }
}

/// Presses the button in the head of every page of ours.
async fn sign_out(walker: &mut Walker, page: &Page) -> Page {
    let mut forms = page.forms().into_iter();
    let form = forms.find(|form| form.action.path() == "/logout");
    walker.submit(&form.expect("there is a way out")).await
}

/// Drops our cookies and keeps the provider's.
fn forget_rolegate(walker: &mut Walker) {
    let cookies = &mut walker.browser.cookies;
    cookies.retain(|name, _| !name.starts_with("rolegate"));
}

async fn assert_picker_needs_sign_in(walker: &mut Walker) {
    let answer = walker.browser.get("/").await;
    assert_eq!(
        (answer.status, answer.location().split('?').next()),
        (303, Some("/login")),
        "the session goes on:\n{}",
        answer.body
    );
}

async fn assert_opens_the_console(campus: &Campus, walker: &mut Walker) {
    let answer = walker.browser.open_console(&[("role", READER)]).await;
    assert_eq!(answer.status, 303, "{}", answer.body);
    let console = client().get(answer.location()).send().await.unwrap();
    assert!(console.status().is_success() || console.status().is_redirection());
    let issued = &campus.app.aws.issued()[0];
    assert_eq!(
        (issued.role_arn.as_str(), issued.session_name.as_str()),
        (READER, "campus-ada")
    );
    let sign_in = &campus.app.aws.sign_ins()[0];
    assert_eq!(sign_in.outcome, SignInOutcome::SignedIn);
}

#[tokio::test]
async fn groups_from_simplesamlphp_open_a_role_whatever_it_signs() {
    opens_a_role_whatever_is_signed(Product::SimpleSamlPhp).await;
}

#[tokio::test]
async fn groups_from_pysaml2_open_a_role_whatever_it_signs() {
    opens_a_role_whatever_is_signed(Product::Pysaml2).await;
}

#[tokio::test]
async fn groups_from_samlify_open_a_role_whatever_it_signs() {
    opens_a_role_whatever_is_signed(Product::Samlify).await;
}

async fn opens_a_role_whatever_is_signed(product: Product) {
    for signed in [Signed::Assertion, Signed::Response, Signed::Both] {
        let campus = Campus::signing(product, signed).await;
        let (mut walker, picker) = campus.signed_in().await;
        assert_eq!(picker.offered_roles(), [READER], "{product:?} {signed:?}");
        assert!(picker.answer.body.contains("Ada Lovelace"));
        assert_opens_the_console(&campus, &mut walker).await;
    }
}

#[tokio::test]
async fn an_encrypted_assertion_signs_people_in_where_its_integrity_is_sure() {
    let takes_cbc = "allow_cbc_encryption = true";
    for (product, encryption, signed, connector) in [
        (
            Product::SimpleSamlPhp,
            Encryption::Aes128Cbc,
            Signed::Assertion,
            takes_cbc,
        ),
        (
            Product::SimpleSamlPhp,
            Encryption::Aes128Cbc,
            Signed::Response,
            "",
        ),
        (
            Product::SimpleSamlPhp,
            Encryption::Aes128Cbc,
            Signed::Both,
            "",
        ),
        (
            Product::Samlify,
            Encryption::Aes256Cbc,
            Signed::Assertion,
            takes_cbc,
        ),
        (
            Product::Samlify,
            Encryption::Aes256Gcm,
            Signed::Assertion,
            "",
        ),
        (Product::Samlify, Encryption::Aes128Gcm, Signed::Both, ""),
        (
            Product::Samlify,
            Encryption::Aes256Gcm,
            Signed::Response,
            "",
        ),
    ] {
        let campus = Campus::start(
            product,
            &format!("require_encrypted_assertions = true\n{connector}"),
            |settings| (settings.encryption, settings.signed) = (encryption, signed),
        )
        .await;
        let (_, picker) = campus.signed_in().await;
        assert_eq!(
            picker.offered_roles(),
            [READER],
            "{product:?} {encryption:?} {signed:?}"
        );
    }
}

#[tokio::test]
async fn encryption_without_integrity_or_with_3des_is_refused() {
    let unsigned_cbc = Campus::start(Product::SimpleSamlPhp, "", |settings| {
        settings.encryption = Encryption::Aes128Cbc;
    });
    assert_eq!(unsigned_cbc.await.refused().await, "encryption_not_allowed");
    for signed in [Signed::Assertion, Signed::Both] {
        let triple_des = Campus::start(
            Product::Pysaml2,
            "allow_cbc_encryption = true",
            |settings| {
                (settings.encryption, settings.signed) = (Encryption::TripleDes, signed);
            },
        );
        assert_eq!(triple_des.await.refused().await, "encryption_not_allowed");
    }
}

#[tokio::test]
async fn an_assertion_in_the_clear_is_refused_where_encryption_is_required() {
    let required = "require_encrypted_assertions = true";
    let campus = Campus::start(Product::Pysaml2, required, |_| ()).await;
    assert_eq!(campus.refused().await, "not_encrypted");
}

#[tokio::test]
async fn sha_1_is_refused() {
    for product in [Product::SimpleSamlPhp, Product::Pysaml2] {
        let campus = Campus::start(product, "", |settings| settings.signs_with_sha1 = true).await;
        assert_eq!(
            campus.refused().await,
            "algorithm_not_allowed",
            "{product:?}"
        );
    }
}

#[tokio::test]
async fn somebody_without_groups_is_signed_in_and_is_told_that_nothing_is_there_for_them() {
    for product in Product::ALL {
        let campus = Campus::signing(product, Signed::Assertion).await;
        let mut walker = campus.walker();
        let page = campus.sign_in(&mut walker, "bob").await;
        assert_eq!(page.answer.status, 200, "{}", page.answer.body);
        assert!(page.offered_roles().is_empty(), "{product:?}");
        assert!(
            page.answer
                .body
                .contains("Bob &#60;Builder&#62; &#38; Sons"),
            "{}",
            page.answer.body
        );
    }
}

#[tokio::test]
async fn a_wrong_password_stays_at_the_provider() {
    let campus = Campus::signing(Product::Samlify, Signed::Assertion).await;
    let mut walker = campus.walker();
    let page = walker.choose(&campus.app.url, "campus").await;
    let page = walker.enter(&page, "ada", "bob-idp").await;
    assert!(page.form_with("password").is_some());
    assert_picker_needs_sign_in(&mut walker).await;
}

#[tokio::test]
async fn requests_travel_in_a_posted_form_where_that_is_configured() {
    // SimpleSAMLphp publishes no address for that binding by default.
    for product in [Product::Pysaml2, Product::Samlify] {
        let campus = Campus::start(product, r#"request_binding = "post""#, |_| ()).await;
        let (_, picker) = campus.signed_in().await;
        assert_eq!(picker.offered_roles(), [READER], "{product:?}");
    }
}

#[tokio::test]
async fn the_provider_asks_for_no_password_while_its_session_lasts() {
    for product in Product::ALL {
        let campus = Campus::signing(product, Signed::Assertion).await;
        let (mut walker, _) = campus.signed_in().await;
        forget_rolegate(&mut walker);
        let page = walker.choose(&campus.app.url, "campus").await;
        assert_eq!(page.url, campus.app.url, "{}", page.answer.body);
        assert_eq!(page.offered_roles(), [READER], "{product:?}");
    }
}

#[tokio::test]
async fn force_authn_asks_for_the_password_in_spite_of_the_providers_session() {
    for product in Product::ALL {
        let campus = Campus::start(product, "force_authn = true", |_| ()).await;
        let (mut walker, _) = campus.signed_in().await;
        forget_rolegate(&mut walker);
        let page = walker.choose(&campus.app.url, "campus").await;
        assert!(page.form_with("password").is_some(), "{product:?}");
    }
}

#[tokio::test]
async fn groups_grown_too_old_are_read_again_at_the_provider() {
    let campus = Campus::signing(Product::Samlify, Signed::Assertion).await;
    let (mut walker, _) = campus.signed_in().await;
    campus.app.clock.advance(time::Duration::minutes(61));

    let single_sign_on = campus.provider.single_sign_on_url();
    for (path, fields) in [
        ("/console", vec![("role", READER)]),
        ("/credentials", vec![("role", READER)]),
        ("/refresh", vec![]),
    ] {
        walker.browser.get("/").await;
        let answer = walker.browser.post(path, &fields).await;
        assert_eq!(answer.status, 303, "{path}:\n{}", answer.body);
        assert!(
            answer.location().starts_with(&single_sign_on),
            "{path} leads to {}",
            answer.location()
        );
    }
}

#[tokio::test]
async fn signing_out_here_ends_the_session_at_the_provider() {
    for product in Product::ALL {
        let campus = Campus::signing(product, Signed::Assertion).await;
        let (mut walker, picker) = campus.signed_in().await;

        let page = sign_out(&mut walker, &picker).await;

        assert_eq!(page.answer.status, 200, "{}", page.answer.body);
        assert_eq!(
            page.url.path(),
            "/signed-out",
            "{product:?} {:#?}",
            walker.steps
        );
        assert_picker_needs_sign_in(&mut walker).await;
        let page = walker.choose(&campus.app.url, "campus").await;
        assert!(
            page.form_with("password").is_some(),
            "{product:?} still knows ada:\n{}",
            page.answer.body
        );
    }
}

#[tokio::test]
async fn signing_out_at_the_provider_ends_the_session_here() {
    for product in Product::ALL {
        let campus = Campus::signing(product, Signed::Assertion).await;
        let (mut walker, _) = campus.signed_in().await;

        let page = walker.open(&campus.provider.logout_url()).await;

        assert_eq!(page.answer.status, 200, "{}", page.answer.body);
        let slo = campus.app.url.join("saml/campus/slo").unwrap();
        assert!(
            (walker.steps.iter()).any(|step| step.path() == slo.path()),
            "{product:?} told nobody: {:#?}",
            walker.steps
        );
        assert_ne!(
            page.url.port(),
            campus.app.url.port(),
            "our answer did not go back to {product:?}:\n{}",
            page.answer.body
        );
        assert_picker_needs_sign_in(&mut walker).await;
    }
}
