//! One response that everybody in the comparison accepts, signed with a key of its own.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use rcgen::{CertificateParams, DnType, KeyPair, PKCS_RSA_SHA256};
use rolegate::identity::saml::verify::{Expectations, Solicited, Trust};
use samael::crypto::{Crypto, CryptoProvider as _};
use serde::{Deserialize, Serialize};
use time::{Duration, OffsetDateTime, format_description::well_known::Rfc3339};

const SP: &str = "https://rolegate.example.com/saml/campus/metadata";
const ACS: &str = "https://rolegate.example.com/saml/campus/acs";
const IDP: &str = "https://idp.example.org/metadata";
const SSO: &str = "https://idp.example.org/sso";
const REQUEST: &str = "_4f9c7d1e2b3a48569f0e1d2c3b4a5968";
const NAME_ID: &str = "5f0e2d6a-ada";
const REDIRECT: &str = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect";
const POST: &str = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST";
const MD: &str = "urn:oasis:names:tc:SAML:2.0:metadata";
const PROTOCOL: &str = "urn:oasis:names:tc:SAML:2.0:protocol";
const DSIG: &str = "http://www.w3.org/2000/09/xmldsig#";

/// What a contestant is given, as a JSON file.
#[derive(Debug, Serialize, Deserialize)]
pub struct Case {
    /// Base64, as in the form field.
    pub response: String,
    pub request_id: String,
    pub sp_entity_id: String,
    pub sp_metadata: String,
    pub acs_url: String,
    pub acs_host: String,
    pub acs_path: String,
    pub idp_entity_id: String,
    pub idp_sso_url: String,
    pub idp_metadata: String,
    /// The provider's, the base64 of its DER.
    pub certificate: String,
    pub name_id: String,
    /// How many values the attribute `groups` has.
    pub groups: usize,
    /// For how long to go on.
    pub seconds: f64,
}

/// The files of a case.
pub struct Files {
    /// The [`Case`].
    pub json: PathBuf,
    /// The response alone, as base64.
    pub response: PathBuf,
    /// The provider's metadata.
    pub metadata: PathBuf,
    /// The size of the response in bytes of XML.
    pub size: usize,
    /// When it was made.
    pub at: OffsetDateTime,
}

/// A provider's key.
pub struct Signer {
    key: KeyPair,
    certificate: String,
}

impl Signer {
    /// RSA-2048.
    pub fn new() -> Self {
        let key = KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        let name = &mut params.distinguished_name;
        name.push(DnType::CommonName, "Identity provider of the benchmark");
        let certificate = BASE64.encode(params.self_signed(&key).unwrap().der());
        Self { key, certificate }
    }

    /// A response with so many groups in a signed assertion, valid from now on for an hour.
    pub fn case(&self, dir: &Path, groups: usize, seconds: f64, now: OffsetDateTime) -> Files {
        let at = now.replace_nanosecond(0).unwrap();
        let xml = self.signed(&attributes(groups), at);
        let idp_metadata = idp_metadata(&self.certificate);
        let case = Case {
            response: BASE64.encode(&xml),
            request_id: REQUEST.to_owned(),
            sp_entity_id: SP.to_owned(),
            sp_metadata: sp_metadata(),
            acs_url: ACS.to_owned(),
            acs_host: "rolegate.example.com".to_owned(),
            acs_path: "/saml/campus/acs".to_owned(),
            idp_entity_id: IDP.to_owned(),
            idp_sso_url: SSO.to_owned(),
            idp_metadata: idp_metadata.clone(),
            certificate: self.certificate.clone(),
            name_id: NAME_ID.to_owned(),
            groups,
            seconds,
        };
        let file = |end: &str| dir.join(format!("{groups}.{end}"));
        let files = Files {
            json: file("json"),
            response: file("b64"),
            metadata: file("xml"),
            size: xml.len(),
            at,
        };
        fs::write(&files.json, serde_json::to_string(&case).unwrap()).unwrap();
        fs::write(&files.response, &case.response).unwrap();
        fs::write(&files.metadata, idp_metadata).unwrap();
        files
    }

    /// A response with these attributes in a signed assertion.
    pub fn signed(&self, attributes: &str, at: OffsetDateTime) -> String {
        let template = response_template(attributes, at, &self.certificate);
        Crypto::sign_xml(template, &self.key.serialize_der()).unwrap()
    }

    /// The certificate, DER.
    pub fn certificate(&self) -> Vec<u8> {
        BASE64.decode(&self.certificate).unwrap()
    }
}

/// Whose signatures count: those of these signers.
pub fn trust(signers: &[&Signer]) -> Trust {
    Trust {
        entity_id: IDP.to_owned(),
        certificates: signers.iter().map(|signer| signer.certificate()).collect(),
    }
}

/// What the responses say.
pub fn expectations() -> Expectations {
    Expectations {
        audiences: vec![SP.to_owned()],
        acs_url: ACS.to_owned(),
        in_response_to: Solicited::By(REQUEST.to_owned()),
        decryption_keys: Vec::new(),
        require_encryption: false,
        allow_cbc: false,
        clock_skew: std::time::Duration::from_mins(1),
        longest_authentication_age: None,
        authn_contexts: Vec::new(),
        allow_sha1: false,
        check_destination: true,
    }
}

fn response_template(attributes: &str, at: OffsetDateTime, certificate: &str) -> String {
    let instant = |moment: OffsetDateTime| moment.format(&Rfc3339).unwrap();
    let now = instant(at);
    let from = instant(at - Duration::minutes(1));
    let end = instant(at + Duration::hours(1));
    let signature = signature_template("_assertion1", certificate);
    format!(
        r#"<samlp:Response xmlns:samlp="{PROTOCOL}" xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion" ID="_response1" Version="2.0" IssueInstant="{now}" Destination="{ACS}" InResponseTo="{REQUEST}"><saml:Issuer>{IDP}</saml:Issuer><samlp:Status><samlp:StatusCode Value="urn:oasis:names:tc:SAML:2.0:status:Success"/></samlp:Status><saml:Assertion xmlns:xs="http://www.w3.org/2001/XMLSchema" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" ID="_assertion1" Version="2.0" IssueInstant="{now}"><saml:Issuer>{IDP}</saml:Issuer>{signature}<saml:Subject><saml:NameID Format="urn:oasis:names:tc:SAML:2.0:nameid-format:persistent">{NAME_ID}</saml:NameID><saml:SubjectConfirmation Method="urn:oasis:names:tc:SAML:2.0:cm:bearer"><saml:SubjectConfirmationData NotOnOrAfter="{end}" Recipient="{ACS}" InResponseTo="{REQUEST}"/></saml:SubjectConfirmation></saml:Subject><saml:Conditions NotBefore="{from}" NotOnOrAfter="{end}"><saml:AudienceRestriction><saml:Audience>{SP}</saml:Audience></saml:AudienceRestriction></saml:Conditions><saml:AuthnStatement AuthnInstant="{now}" SessionIndex="_session1"><saml:AuthnContext><saml:AuthnContextClassRef>urn:oasis:names:tc:SAML:2.0:ac:classes:PasswordProtectedTransport</saml:AuthnContextClassRef></saml:AuthnContext></saml:AuthnStatement><saml:AttributeStatement>{attributes}</saml:AttributeStatement></saml:Assertion></samlp:Response>"#
    )
}

/// The attributes of a person with so many groups.
pub fn attributes(groups: usize) -> String {
    let groups: Vec<String> = (0..groups)
        .map(|n| format!("aws-payments-{n:04}"))
        .collect();
    let single = |value: &str| vec![value.to_owned()];
    let attributes = [
        ("uid", single("ada")),
        ("mail", single("ada@example.com")),
        ("displayName", single("Ada Lovelace")),
        ("groups", groups),
    ];
    let mut xml = String::new();
    for (name, values) in attributes {
        let _ = write!(
            xml,
            r#"<saml:Attribute Name="{name}" NameFormat="urn:oasis:names:tc:SAML:2.0:attrname-format:basic">"#
        );
        for value in values {
            let _ = write!(
                xml,
                r#"<saml:AttributeValue xsi:type="xs:string">{value}</saml:AttributeValue>"#
            );
        }
        xml.push_str("</saml:Attribute>");
    }
    xml
}

fn signature_template(id: &str, certificate: &str) -> String {
    let exclusive = "http://www.w3.org/2001/10/xml-exc-c14n#";
    format!(
        r##"<ds:Signature xmlns:ds="{DSIG}"><ds:SignedInfo><ds:CanonicalizationMethod Algorithm="{exclusive}"/><ds:SignatureMethod Algorithm="http://www.w3.org/2001/04/xmldsig-more#rsa-sha256"/><ds:Reference URI="#{id}"><ds:Transforms><ds:Transform Algorithm="{DSIG}enveloped-signature"/><ds:Transform Algorithm="{exclusive}"/></ds:Transforms><ds:DigestMethod Algorithm="http://www.w3.org/2001/04/xmlenc#sha256"/><ds:DigestValue/></ds:Reference></ds:SignedInfo><ds:SignatureValue/><ds:KeyInfo><ds:X509Data><ds:X509Certificate>{certificate}</ds:X509Certificate></ds:X509Data></ds:KeyInfo></ds:Signature>"##
    )
}

fn idp_metadata(certificate: &str) -> String {
    format!(
        r#"<md:EntityDescriptor xmlns:md="{MD}" entityID="{IDP}"><md:IDPSSODescriptor protocolSupportEnumeration="{PROTOCOL}"><md:KeyDescriptor use="signing"><ds:KeyInfo xmlns:ds="{DSIG}"><ds:X509Data><ds:X509Certificate>{certificate}</ds:X509Certificate></ds:X509Data></ds:KeyInfo></md:KeyDescriptor><md:SingleSignOnService Binding="{REDIRECT}" Location="{SSO}"/></md:IDPSSODescriptor></md:EntityDescriptor>"#
    )
}

fn sp_metadata() -> String {
    format!(
        r#"<md:EntityDescriptor xmlns:md="{MD}" entityID="{SP}"><md:SPSSODescriptor AuthnRequestsSigned="false" WantAssertionsSigned="true" protocolSupportEnumeration="{PROTOCOL}"><md:AssertionConsumerService Binding="{POST}" Location="{ACS}" index="0" isDefault="true"/></md:SPSSODescriptor></md:EntityDescriptor>"#
    )
}
