//! Signed SAML responses as an identity provider posts them for AWS, with its metadata. As small as
//! STS needs them; the stand-in and the production adapter are asked with these.

use base64::{Engine, engine::general_purpose::STANDARD};
use openssl::{
    asn1::Asn1Time,
    bn::{BigNum, MsbOption},
    hash::MessageDigest,
    pkey::PKey,
    rsa::Rsa,
    x509::{X509, X509NameBuilder},
};
use samael::crypto::{Crypto, CryptoProvider};
use time::{Duration, OffsetDateTime, format_description::well_known::Rfc3339};

pub(crate) const ISSUER: &str = "https://idp.example.com/metadata";
pub(crate) const ACS: &str = "https://aws.example.com/saml/okta/acs";
pub(crate) const SUBJECT: &str = "ada@example.com";
const ATTRIBUTES: &str = "https://aws.amazon.com/SAML/Attributes/";

/// An identity provider's key and certificate.
pub(crate) struct IdentityProvider {
    key: Vec<u8>,
    certificate: String,
}

/// Where the signature is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signed {
    Assertion,
    Response,
    Nothing,
}

/// A response before it is signed; each field may be changed.
pub(crate) struct Response {
    pub(crate) signed: Signed,
    pub(crate) issuer: String,
    pub(crate) status: &'static str,
    pub(crate) audience: String,
    pub(crate) recipient: String,
    pub(crate) name_id: Option<&'static str>,
    pub(crate) issued_at: OffsetDateTime,
    pub(crate) not_on_or_after: OffsetDateTime,
    pub(crate) session_end: Option<OffsetDateTime>,
    /// By the end of their names behind AWS's prefix.
    pub(crate) attributes: Vec<(String, Vec<String>)>,
}

impl Response {
    /// A response that AWS takes at `now`, for these `roleArn,providerArn` values.
    pub(crate) fn at(now: OffsetDateTime, roles: &[&str]) -> Self {
        let roles = roles.iter().map(|role| (*role).to_owned()).collect();
        Self {
            signed: Signed::Assertion,
            issuer: ISSUER.to_owned(),
            status: "Success",
            audience: "urn:amazon:webservices".to_owned(),
            recipient: ACS.to_owned(),
            name_id: Some(SUBJECT),
            issued_at: now,
            not_on_or_after: now + Duration::minutes(10),
            session_end: None,
            attributes: vec![
                ("Role".to_owned(), roles),
                ("RoleSessionName".to_owned(), vec!["ada".to_owned()]),
            ],
        }
    }

    pub(crate) fn with(mut self, name: &str, values: &[&str]) -> Self {
        self.attributes.retain(|(known, _)| known != name);
        if !values.is_empty() {
            let values = values.iter().map(|value| (*value).to_owned()).collect();
            self.attributes.push((name.to_owned(), values));
        }
        self
    }

    fn xml(&self) -> String {
        let template = |id: &str, is_here: bool| {
            if is_here {
                signature_template(id)
            } else {
                String::new()
            }
        };
        let of_response = template("_r", self.signed == Signed::Response);
        let of_assertion = template("_a", self.signed == Signed::Assertion);
        let name_id = self.name_id.map_or_else(String::new, |name| {
            format!(
                "<saml:NameID Format=\"urn:oasis:names:tc:SAML:2.0:nameid-format:persistent\">\
                 {name}</saml:NameID>"
            )
        });
        let session_end = self.session_end.map_or_else(String::new, |end| {
            format!(" SessionNotOnOrAfter=\"{}\"", instant(end))
        });
        let attributes = self.attributes.iter().map(|(name, values)| {
            let values = values
                .iter()
                .map(|value| format!("<saml:AttributeValue>{value}</saml:AttributeValue>"));
            let values: String = values.collect();
            format!("<saml:Attribute Name=\"{ATTRIBUTES}{name}\">{values}</saml:Attribute>")
        });
        let attributes: String = attributes.collect();
        let (issuer, at) = (&self.issuer, instant(self.issued_at));
        let end = instant(self.not_on_or_after);
        let (status, recipient, audience) = (self.status, &self.recipient, &self.audience);
        format!(
            "<samlp:Response xmlns:samlp=\"urn:oasis:names:tc:SAML:2.0:protocol\" \
             xmlns:saml=\"urn:oasis:names:tc:SAML:2.0:assertion\" ID=\"_r\" Version=\"2.0\" \
             IssueInstant=\"{at}\" Destination=\"{recipient}\"><saml:Issuer>{issuer}</saml:Issuer>\
             {of_response}<samlp:Status><samlp:StatusCode \
             Value=\"urn:oasis:names:tc:SAML:2.0:status:{status}\"/></samlp:Status>\
             <saml:Assertion ID=\"_a\" Version=\"2.0\" IssueInstant=\"{at}\">\
             <saml:Issuer>{issuer}</saml:Issuer>{of_assertion}<saml:Subject>{name_id}\
             <saml:SubjectConfirmation Method=\"urn:oasis:names:tc:SAML:2.0:cm:bearer\">\
             <saml:SubjectConfirmationData NotOnOrAfter=\"{end}\" Recipient=\"{recipient}\"/>\
             </saml:SubjectConfirmation></saml:Subject><saml:Conditions NotOnOrAfter=\"{end}\">\
             <saml:AudienceRestriction><saml:Audience>https://aws.example.com/saml/okta/metadata\
             </saml:Audience><saml:Audience>{audience}</saml:Audience></saml:AudienceRestriction>\
             </saml:Conditions><saml:AuthnStatement AuthnInstant=\"{at}\"{session_end}>\
             <saml:AuthnContext><saml:AuthnContextClassRef>\
             urn:oasis:names:tc:SAML:2.0:ac:classes:Password</saml:AuthnContextClassRef>\
             </saml:AuthnContext></saml:AuthnStatement><saml:AttributeStatement>{attributes}\
             </saml:AttributeStatement></saml:Assertion></samlp:Response>"
        )
    }
}

impl IdentityProvider {
    pub(crate) fn new() -> Self {
        let key = PKey::from_rsa(Rsa::generate(2_048).unwrap()).unwrap();
        let mut name = X509NameBuilder::new().unwrap();
        name.append_entry_by_text("CN", "idp.example.com").unwrap();
        let name = name.build();
        let mut serial = BigNum::new().unwrap();
        serial.rand(127, MsbOption::MAYBE_ZERO, false).unwrap();
        let mut certificate = X509::builder().unwrap();
        certificate.set_version(2).unwrap();
        certificate
            .set_serial_number(&serial.to_asn1_integer().unwrap())
            .unwrap();
        certificate.set_subject_name(&name).unwrap();
        certificate.set_issuer_name(&name).unwrap();
        certificate.set_pubkey(&key).unwrap();
        certificate
            .set_not_before(&Asn1Time::days_from_now(0).unwrap())
            .unwrap();
        certificate
            .set_not_after(&Asn1Time::days_from_now(30).unwrap())
            .unwrap();
        certificate.sign(&key, MessageDigest::sha256()).unwrap();
        Self {
            certificate: STANDARD.encode(certificate.build().to_der().unwrap()),
            key: key.private_key_to_der().unwrap(),
        }
    }

    /// What is uploaded to IAM.
    pub(crate) fn metadata(&self) -> String {
        format!(
            "<md:EntityDescriptor xmlns:md=\"urn:oasis:names:tc:SAML:2.0:metadata\" \
             entityID=\"{ISSUER}\"><md:IDPSSODescriptor \
             protocolSupportEnumeration=\"urn:oasis:names:tc:SAML:2.0:protocol\">\
             <md:KeyDescriptor use=\"signing\"><ds:KeyInfo \
             xmlns:ds=\"http://www.w3.org/2000/09/xmldsig#\"><ds:X509Data><ds:X509Certificate>\
             {}</ds:X509Certificate></ds:X509Data></ds:KeyInfo></md:KeyDescriptor>\
             <md:SingleSignOnService Binding=\"urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect\" \
             Location=\"https://idp.example.com/sso\"/></md:IDPSSODescriptor>\
             </md:EntityDescriptor>",
            self.certificate
        )
    }

    /// The signed document.
    pub(crate) fn document(&self, response: &Response) -> String {
        match response.signed {
            Signed::Nothing => response.xml(),
            _ => Crypto::sign_xml(response.xml(), &self.key).expect("the template can be signed"),
        }
    }

    /// The response as a browser posts it.
    pub(crate) fn post(&self, response: &Response) -> String {
        STANDARD.encode(self.document(response))
    }
}

fn instant(at: OffsetDateTime) -> String {
    at.truncate_to_second().format(&Rfc3339).unwrap()
}

fn signature_template(id: &str) -> String {
    format!(
        "<ds:Signature xmlns:ds=\"http://www.w3.org/2000/09/xmldsig#\"><ds:SignedInfo>\
         <ds:CanonicalizationMethod Algorithm=\"http://www.w3.org/2001/10/xml-exc-c14n#\"/>\
         <ds:SignatureMethod Algorithm=\"http://www.w3.org/2001/04/xmldsig-more#rsa-sha256\"/>\
         <ds:Reference URI=\"#{id}\"><ds:Transforms><ds:Transform \
         Algorithm=\"http://www.w3.org/2000/09/xmldsig#enveloped-signature\"/><ds:Transform \
         Algorithm=\"http://www.w3.org/2001/10/xml-exc-c14n#\"/></ds:Transforms><ds:DigestMethod \
         Algorithm=\"http://www.w3.org/2001/04/xmlenc#sha256\"/><ds:DigestValue/></ds:Reference>\
         </ds:SignedInfo><ds:SignatureValue/></ds:Signature>"
    )
}
