//! Good messages to break, signed with keys of the moment.
//!
//! The templates in `tests/fixtures/saml/seeds` are written in their canonical form already, so
//! that what is digested and signed is the text itself and no other XML software takes part.

#![allow(unreachable_pub, reason = "a test includes this as a part of itself")]

use openssl::{
    asn1::Asn1Time,
    bn::BigNum,
    ec::{EcGroup, EcKey},
    ecdsa::EcdsaSig,
    hash::MessageDigest,
    nid::Nid,
    pkey::{PKey, Private},
    rand::rand_bytes,
    rsa::{Padding, Rsa},
    sha::sha256,
    sign::Signer,
    symm::{Cipher, encrypt_aead},
    x509::{X509, X509Name},
};
use rolegate::identity::saml::{
    gate::Root,
    redirect_binding::{self, Kind},
    verify::{Expectations, Solicited, Trust, Verified, verify},
};
use time::{OffsetDateTime, macros::datetime};

const SIGNATURE: &str = include_str!("../../tests/fixtures/saml/seeds/signature.xml");
const ASSERTION: &str = include_str!("../../tests/fixtures/saml/seeds/assertion.xml");
const RESPONSE: &str = include_str!("../../tests/fixtures/saml/seeds/response.xml");
const ENCRYPTED: &str = include_str!("../../tests/fixtures/saml/seeds/encrypted_assertion.xml");
const LOGOUT_REQUEST: &str = include_str!("../../tests/fixtures/saml/seeds/logout_request.xml");
const LOGOUT_RESPONSE: &str = include_str!("../../tests/fixtures/saml/seeds/logout_response.xml");

const DSIG: &str = " xmlns:ds=\"http://www.w3.org/2000/09/xmldsig#\"";

/// The moment at which the seeds are valid.
pub const NOW: OffsetDateTime = datetime!(2030-06-01 12:00:30 UTC);

/// Everything that a target needs.
pub struct Seeds {
    /// Responses that are accepted, and what each says.
    pub responses: Vec<Vec<u8>>,
    pub verified: Vec<Verified>,
    /// All documents with the root that each has.
    pub documents: Vec<(Root, Vec<u8>)>,
    /// Signed queries of the redirect binding, and what each carries.
    pub queries: Vec<Vec<u8>>,
    pub redirected: Vec<(Kind, Vec<u8>, Option<String>)>,
    pub trust: Trust,
    pub expected: Expectations,
}

impl Seeds {
    /// Seeds signed with fresh keys.
    pub fn new() -> Self {
        let rsa = PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap();
        let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
        let elliptic = PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap();
        let service = PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap();
        let trust = Trust {
            entity_id: "https://idp.seed.test".to_owned(),
            certificates: vec![certificate(&rsa), certificate(&elliptic)],
        };
        let expected = expectations(service.clone());
        let responses = responses(&rsa, &elliptic, &service);
        let verified = responses
            .iter()
            .enumerate()
            .map(|(position, response)| {
                verify(response, &trust, &expected, NOW)
                    .unwrap_or_else(|refused| panic!("the seed {position} is refused: {refused}"))
            })
            .collect();
        let mut documents: Vec<(Root, Vec<u8>)> = responses
            .iter()
            .map(|response| (Root::Response, response.clone()))
            .collect();
        documents.push((Root::Assertion, assertion("_a", Some(&rsa)).into_bytes()));
        documents.push((Root::LogoutRequest, LOGOUT_REQUEST.as_bytes().to_vec()));
        documents.push((Root::LogoutResponse, LOGOUT_RESPONSE.as_bytes().to_vec()));
        let redirected = vec![
            (Kind::Request, LOGOUT_REQUEST.as_bytes().to_vec(), None),
            (
                Kind::Response,
                LOGOUT_RESPONSE.as_bytes().to_vec(),
                Some("a state".to_owned()),
            ),
        ];
        let queries = redirected
            .iter()
            .zip([&rsa, &elliptic])
            .map(|((kind, xml, state), key)| query(*kind, xml, state.as_deref(), key))
            .collect();
        Self {
            responses,
            verified,
            documents,
            queries,
            redirected,
            trust,
            expected,
        }
    }
}

fn responses(
    rsa: &PKey<Private>,
    elliptic: &PKey<Private>,
    service: &PKey<Private>,
) -> Vec<Vec<u8>> {
    [
        response("_r1", &assertion("_a1", Some(rsa)), None),
        response("_r2", &assertion("_a2", None), Some(rsa)),
        response("_r3", &assertion("_a3", Some(rsa)), Some(rsa)),
        response("_r4", &assertion("_a4", Some(elliptic)), None),
        response(
            "_r5",
            &encrypted(&assertion("_a5", Some(rsa)), service),
            None,
        ),
        response(
            "_r6",
            &encrypted(&assertion("_a6", None), service),
            Some(rsa),
        ),
    ]
    .map(String::into_bytes)
    .to_vec()
}

fn expectations(service: PKey<Private>) -> Expectations {
    Expectations {
        audiences: vec!["https://sp.seed.test".to_owned()],
        acs_url: "https://sp.seed.test/acs".to_owned(),
        in_response_to: Solicited::By("_request".to_owned()),
        decryption_keys: vec![service],
        require_encryption: false,
        allow_cbc: false,
        clock_skew: std::time::Duration::from_mins(1),
        longest_authentication_age: None,
        authn_contexts: Vec::new(),
        allow_sha1: false,
        check_destination: true,
    }
}

fn assertion(id: &str, key: Option<&PKey<Private>>) -> String {
    signed(&ASSERTION.replace("{ID}", id), id, key)
}

fn response(id: &str, assertion: &str, key: Option<&PKey<Private>>) -> String {
    let whole = RESPONSE
        .replace("{ID}", id)
        .replace("{ASSERTION}", assertion);
    signed(&whole, id, key)
}

/// The element with its signature where the template leaves room for it.
fn signed(template: &str, id: &str, key: Option<&PKey<Private>>) -> String {
    let bare = template.replace("{SIGNATURE}", "");
    let Some(key) = key else {
        return bare;
    };
    let algorithm = if key.ec_key().is_ok() {
        "ecdsa-sha256"
    } else {
        "rsa-sha256"
    };
    let signature = SIGNATURE
        .replace("{ALGORITHM}", algorithm)
        .replace("{ID}", id)
        .replace("{DIGEST}", &base64(&sha256(bare.as_bytes())));
    let start = signature.find("<ds:SignedInfo>").unwrap();
    let end = signature.find("<ds:SignatureValue>").unwrap();
    // Canonical on its own, SignedInfo declares the prefix that it uses.
    let info =
        signature[start..end].replacen("<ds:SignedInfo", &format!("<ds:SignedInfo{DSIG}"), 1);
    let value = signature_value(key, info.as_bytes());
    template.replacen(
        "{SIGNATURE}",
        &signature.replace("{VALUE}", &base64(&value)),
        1,
    )
}

fn signature_value(key: &PKey<Private>, bytes: &[u8]) -> Vec<u8> {
    let value = Signer::new(MessageDigest::sha256(), key)
        .and_then(|mut signer| signer.sign_oneshot_to_vec(bytes))
        .unwrap();
    if key.ec_key().is_err() {
        return value;
    }
    let pair = EcdsaSig::from_der(&value).unwrap();
    let mut raw = pair.r().to_vec_padded(32).unwrap();
    raw.extend(pair.s().to_vec_padded(32).unwrap());
    raw
}

fn encrypted(assertion: &str, service: &PKey<Private>) -> String {
    let (mut key, mut nonce, mut tag) = ([0; 32], [0; 12], [0; 16]);
    rand_bytes(&mut key).unwrap();
    rand_bytes(&mut nonce).unwrap();
    let text = assertion.as_bytes();
    let sealed = encrypt_aead(
        Cipher::aes_256_gcm(),
        &key,
        Some(&nonce),
        &[],
        text,
        &mut tag,
    )
    .unwrap();
    let rsa = service.rsa().unwrap();
    let mut wrapped = vec![0; rsa.size() as usize];
    let length = rsa
        .public_encrypt(&key, &mut wrapped, Padding::PKCS1_OAEP)
        .unwrap();
    wrapped.truncate(length);
    ENCRYPTED
        .replace("{KEY}", &base64(&wrapped))
        .replace("{DATA}", &base64(&[&nonce[..], &sealed, &tag].concat()))
}

fn query(kind: Kind, xml: &[u8], relay_state: Option<&str>, key: &PKey<Private>) -> Vec<u8> {
    let destination = url::Url::parse("https://sp.seed.test/slo").unwrap();
    let xml = std::str::from_utf8(xml).unwrap();
    let address = redirect_binding::url(&destination, kind, xml, relay_state, Some(key)).unwrap();
    address.query().unwrap().as_bytes().to_vec()
}

fn certificate(key: &PKey<Private>) -> Vec<u8> {
    let mut name = X509Name::builder().unwrap();
    name.append_entry_by_text("CN", "idp.seed.test").unwrap();
    let name = name.build();
    let mut builder = X509::builder().unwrap();
    builder.set_version(2).unwrap();
    let serial = BigNum::from_u32(1).unwrap().to_asn1_integer().unwrap();
    builder.set_serial_number(&serial).unwrap();
    builder.set_subject_name(&name).unwrap();
    builder.set_issuer_name(&name).unwrap();
    builder.set_pubkey(key).unwrap();
    let (from, to) = (
        Asn1Time::days_from_now(0).unwrap(),
        Asn1Time::days_from_now(2).unwrap(),
    );
    builder.set_not_before(&from).unwrap();
    builder.set_not_after(&to).unwrap();
    builder.sign(key, MessageDigest::sha256()).unwrap();
    builder.build().to_der().unwrap()
}

fn base64(bytes: &[u8]) -> String {
    openssl::base64::encode_block(bytes)
}
