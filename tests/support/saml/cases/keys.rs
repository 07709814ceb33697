//! Signatures of strangers, who say in KeyInfo why they should be believed.

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::{Recipe, reject};
use crate::support::saml::{
    provider::Draft,
    scene::Scene,
    signature::{Signing, x509_data},
    xml::Element,
};

const INVALID: &[&str] = &["signature_invalid"];
const NOT_TAKEN: &[&str] = &["signature_invalid", "signature_shape", "unexpected_element"];

pub(super) fn recipes() -> Vec<Recipe> {
    vec![
        // CVE-2021-21239
        reject("key-certificate-of-stranger", INVALID, |s| {
            strange(s, s.attacker().key_info)
        }),
        reject("key-certificate-of-provider", INVALID, |s| {
            strange(s, Some(x509_data(&[&s.provider.primary.der()])))
        }),
        reject("key-none-in-key-info", INVALID, |s| strange(s, None)),
        reject("key-two-certificates-provider-first", INVALID, |s| {
            let certificates = [s.provider.primary.der(), s.provider.attacker.der()];
            strange(s, Some(x509_data(&[&certificates[0], &certificates[1]])))
        }),
        reject("key-two-certificates-stranger-first", INVALID, |s| {
            let certificates = [s.provider.attacker.der(), s.provider.primary.der()];
            strange(s, Some(x509_data(&[&certificates[0], &certificates[1]])))
        }),
        reject("key-value", NOT_TAKEN, |s| {
            let rsa = s.provider.attacker.key.rsa().expect("an RSA key");
            let part = |name: &str, number: &openssl::bn::BigNumRef| {
                Element::new(name).child(&*STANDARD.encode(number.to_vec()))
            };
            let value = Element::new("ds:RSAKeyValue")
                .child(part("ds:Modulus", rsa.n()))
                .child(part("ds:Exponent", rsa.e()));
            strange(s, Some(key_info(Element::new("ds:KeyValue").child(value))))
        }),
        reject("key-retrieval-method", NOT_TAKEN, |s| {
            let method = Element::new("ds:RetrievalMethod")
                .with("URI", format!("{}/key", s.context.forbidden_url))
                .with("Type", "http://www.w3.org/2000/09/xmldsig#X509Data");
            strange(s, Some(key_info(method)))
        }),
        reject("key-retrieval-method-file", NOT_TAKEN, |s| {
            let method = Element::new("ds:RetrievalMethod")
                .with("URI", format!("file://{}", s.context.forbidden_file))
                .with(
                    "Type",
                    "http://www.w3.org/2000/09/xmldsig#rawX509Certificate",
                );
            strange(s, Some(key_info(method)))
        }),
        reject("key-name-is-path", NOT_TAKEN, |s| {
            let name = Element::new("ds:KeyName").child(&*s.context.forbidden_file);
            strange(s, Some(key_info(name)))
        }),
        reject("key-not-configured", INVALID, |s| {
            // The provider's next key, before anybody configured it.
            let second = &s.provider.second;
            let signing = Signing::new(&second.key, Some(&second.der()));
            s.draft().sign("Assertion", &signing)
        }),
        reject("key-removed", INVALID, Scene::signed)
            .adjust(|s, case| case.certificates = vec![s.provider.second.der()]),
        reject(
            "key-stranger-signs-response-of-signed-assertion",
            INVALID,
            |s| s.signed().sign("", &s.attacker()),
        ),
    ]
}

fn strange(scene: &Scene, key_info: Option<Element>) -> Draft {
    let draft = scene.draft().edit(|r| scene.corrupt(r.at("Assertion")));
    draft.sign("Assertion", &scene.attacker().key_info(key_info))
}

fn key_info(content: Element) -> Element {
    Element::new("ds:KeyInfo").child(content)
}
