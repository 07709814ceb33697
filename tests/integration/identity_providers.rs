//! Shows that the identity providers the tests start are real and answer as they are told.

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use rolegate::clock::{Clock as _, SystemClock};
use time::format_description::well_known::Rfc3339;
use url::Url;

use crate::support::{
    cookie_browser::CookieBrowser,
    identity_providers::{
        self, Encryption, Form, IdentityProvider, Page, Product, ServiceProvider, Settings, Signed,
        Walker, key_and_certificate,
    },
};

const ORIGIN: &str = "http://127.0.0.1:9/";

/// A provider for a service provider that nobody runs, which takes requests without a signature.
fn start(product: Product, change: impl FnOnce(&mut Settings)) -> IdentityProvider {
    let (_, certificate) = key_and_certificate("Service provider of the tests");
    let service_provider = ServiceProvider::of_connector(ORIGIN, "campus", &certificate);
    let mut settings = Settings::new(service_provider);
    settings.validates_requests = false;
    change(&mut settings);
    IdentityProvider::start(product, &settings)
}

fn walker() -> Walker {
    let mut walker = Walker::new(CookieBrowser::new(ORIGIN.parse().unwrap()));
    walker.never_to = Some(ORIGIN.to_owned());
    walker
}

/// An AuthnRequest without a signature, as a form for the POST binding would carry it.
fn request(provider: &IdentityProvider, id: &str) -> Form {
    let destination = provider.single_sign_on_url();
    let now = SystemClock.now().replace_nanosecond(0).unwrap();
    let now = now.format(&Rfc3339).unwrap();
    let xml = format!(
        r#"<samlp:AuthnRequest xmlns:samlp="urn:oasis:names:tc:SAML:2.0:protocol" ID="{id}" Version="2.0" IssueInstant="{now}" Destination="{destination}" AssertionConsumerServiceURL="{ORIGIN}saml/campus/acs" ProtocolBinding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST"><saml:Issuer xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion">{ORIGIN}saml/campus/metadata</saml:Issuer></samlp:AuthnRequest>"#
    );
    let fields = [
        ("SAMLRequest", BASE64.encode(xml)),
        ("RelayState", "a & b".to_owned()),
    ];
    Form {
        action: destination.parse().unwrap(),
        is_post: true,
        fields: fields.map(|(name, value)| (name.to_owned(), value)).into(),
    }
}

/// Signs in and returns the page that would hand the response over.
async fn response_page(provider: &IdentityProvider, walker: &mut Walker, username: &str) -> Page {
    let page = walker.submit(&request(provider, "_request1")).await;
    if page.form_with("SAMLResponse").is_some() {
        return page;
    }
    let page = walker
        .enter(&page, username, &format!("{username}-idp"))
        .await;
    assert!(
        page.form_with("SAMLResponse").is_some(),
        "no response at {}:\n{}\n{}",
        page.url,
        page.answer.body,
        provider.log()
    );
    page
}

fn response_xml(page: &Page) -> String {
    let form = page.form_with("SAMLResponse").unwrap();
    assert_eq!(form.action.as_str(), format!("{ORIGIN}saml/campus/acs"));
    assert!(form.is_post);
    assert_eq!(form.value("RelayState"), Some("a & b"));
    let message = form.value("SAMLResponse").unwrap();
    let message: String = message.split_whitespace().collect();
    String::from_utf8(BASE64.decode(message).unwrap()).unwrap()
}

#[tokio::test]
async fn identity_providers_answer_with_the_signatures_that_are_asked_for() {
    for product in Product::ALL {
        for signed in [Signed::Assertion, Signed::Response, Signed::Both] {
            let provider = start(product, |settings| settings.signed = signed);
            let page = response_page(&provider, &mut walker(), "ada").await;
            let xml = response_xml(&page);
            let (head, assertion) = xml.split_at(xml.find("Assertion ").unwrap());
            let found = [head, assertion].map(|part| part.contains("SignatureValue"));
            let wanted = [signed != Signed::Assertion, signed != Signed::Response];
            assert_eq!(found, wanted, "{product:?} with {signed:?}:\n{xml}");
            for text in ["payments-dev", "platform", "5f0e-ada", "rsa-sha256"] {
                assert!(xml.contains(text), "{product:?} lacks {text}:\n{xml}");
            }
            assert!(xml.contains(r#"InResponseTo="_request1""#), "{xml}");
        }
    }
}

#[tokio::test]
async fn identity_providers_encrypt_with_what_they_can() {
    for (product, encryption, algorithm) in [
        (Product::SimpleSamlPhp, Encryption::Aes128Cbc, "aes128-cbc"),
        (Product::Pysaml2, Encryption::TripleDes, "tripledes-cbc"),
        (Product::Samlify, Encryption::Aes256Cbc, "aes256-cbc"),
        (Product::Samlify, Encryption::Aes128Gcm, "aes128-gcm"),
        (Product::Samlify, Encryption::Aes256Gcm, "aes256-gcm"),
    ] {
        let provider = start(product, |settings| settings.encryption = encryption);
        let xml = response_xml(&response_page(&provider, &mut walker(), "ada").await);
        assert!(xml.contains("EncryptedAssertion"), "{product:?}:\n{xml}");
        assert!(xml.contains(algorithm), "{product:?}:\n{xml}");
        assert!(!xml.contains("payments-dev"), "{product:?}:\n{xml}");
    }
}

#[tokio::test]
async fn identity_providers_remember_people_until_they_log_out() {
    for product in Product::ALL {
        let provider = start(product, |_| ());
        let mut walker = walker();
        response_page(&provider, &mut walker, "bob").await;

        let page = walker.submit(&request(&provider, "_request2")).await;
        let xml = response_xml(&page);
        assert!(xml.contains(r#"InResponseTo="_request2""#), "{xml}");
        assert!(xml.contains("Bob"), "{product:?} lacks the name:\n{xml}");

        let page = walker.open(&provider.logout_url()).await;
        let slo: Url = page.url.join(page.answer.location()).unwrap();
        let query: Vec<String> = slo.query_pairs().map(|(name, _)| name.into()).collect();
        assert_eq!(slo.path(), "/saml/campus/slo", "{}", page.answer.body);
        for name in ["SAMLRequest", "SigAlg", "Signature"] {
            assert!(
                query.iter().any(|found| found == name),
                "{product:?}: {slo}"
            );
        }
        if product != Product::SimpleSamlPhp {
            // That one forgets people once the service provider has answered.
            let page = walker.submit(&request(&provider, "_request3")).await;
            assert!(
                page.form_with("password").is_some(),
                "{product:?} asks for nothing"
            );
        }
    }
}

#[tokio::test]
async fn identity_providers_refuse_a_wrong_password_and_a_request_that_nobody_signed() {
    for product in Product::ALL {
        let provider = start(product, |_| ());
        let mut walker = walker();
        let page = walker.submit(&request(&provider, "_request1")).await;
        let page = walker.enter(&page, "ada", "bob-idp").await;
        assert!(page.form_with("password").is_some(), "{}", page.answer.body);

        let provider = start(product, |settings| settings.validates_requests = true);
        let page = walker.submit(&request(&provider, "_request1")).await;
        assert!(page.form_with("password").is_none(), "{}", page.answer.body);
        assert!(page.form_with("SAMLResponse").is_none());
    }
}

#[tokio::test]
async fn identity_providers_name_a_role_as_aws_wants_it() {
    let (role, saml_provider) = (
        "arn:aws:iam::123456789012:role/Reader",
        "arn:aws:iam::123456789012:saml-provider/campus",
    );
    for product in Product::ALL {
        let provider = start(product, |settings| {
            let mut people = identity_providers::people();
            let ada = people.remove("ada").unwrap();
            people.insert(
                "ada".to_owned(),
                ada.with_aws_role(role, saml_provider, "ada"),
            );
            settings.people = people;
            if product != Product::Pysaml2 {
                settings.more_audiences = vec!["urn:amazon:webservices".to_owned()];
            }
        });
        let xml = response_xml(&response_page(&provider, &mut walker(), "ada").await);
        for text in [
            "https://aws.amazon.com/SAML/Attributes/Role\"",
            "https://aws.amazon.com/SAML/Attributes/RoleSessionName\"",
            &format!("{role},{saml_provider}"),
        ] {
            assert!(xml.contains(text), "{product:?} lacks {text}:\n{xml}");
        }
        assert_eq!(
            xml.contains(":Audience>urn:amazon:webservices<"),
            product != Product::Pysaml2,
            "{xml}"
        );
    }
}
