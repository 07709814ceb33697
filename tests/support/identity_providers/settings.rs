//! What an identity provider of the tests is told to do.

use std::{collections::BTreeMap, net::SocketAddr, path::Path};

use serde::Serialize;

/// The service provider that it serves.
#[derive(Debug, Clone, Serialize)]
pub struct ServiceProvider {
    pub entity_id: String,
    pub acs_url: String,
    pub slo_url: String,
    /// PEM; for signatures of requests and for encryption.
    pub certificate: String,
}

impl ServiceProvider {
    /// The addresses that Rolegate has for a connector, `origin` ending in a slash.
    pub fn of_connector(origin: &str, connector: &str, certificate: &str) -> Self {
        let url = |page: &str| format!("{origin}saml/{connector}/{page}");
        Self {
            entity_id: url("metadata"),
            acs_url: url("acs"),
            slo_url: url("slo"),
            certificate: certificate.to_owned(),
        }
    }
}

/// What carries a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signed {
    Assertion,
    Response,
    Both,
}

/// How an assertion is encrypted; [`Encryption::TripleDes`] is all that pysaml2 knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encryption {
    None,
    Aes128Cbc,
    Aes256Cbc,
    Aes128Gcm,
    Aes256Gcm,
    TripleDes,
}

impl Encryption {
    /// The algorithm's identifier; empty for none.
    fn algorithm(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Aes128Cbc => "http://www.w3.org/2001/04/xmlenc#aes128-cbc",
            Self::Aes256Cbc => "http://www.w3.org/2001/04/xmlenc#aes256-cbc",
            Self::Aes128Gcm => "http://www.w3.org/2009/xmlenc11#aes128-gcm",
            Self::Aes256Gcm => "http://www.w3.org/2009/xmlenc11#aes256-gcm",
            Self::TripleDes => "http://www.w3.org/2001/04/xmlenc#tripledes-cbc",
        }
    }
}

/// Somebody who can sign in.
#[derive(Debug, Clone, Serialize)]
pub struct Person {
    pub password: String,
    /// The persistent NameID.
    pub subject: String,
    pub attributes: BTreeMap<String, Vec<String>>,
}

impl Person {
    fn new(username: &str, name: &str, groups: &[&str]) -> Self {
        let mut attributes = BTreeMap::from([
            ("uid".to_owned(), vec![username.to_owned()]),
            ("mail".to_owned(), vec![format!("{username}@example.com")]),
            ("displayName".to_owned(), vec![name.to_owned()]),
        ]);
        if !groups.is_empty() {
            let groups = groups.iter().map(|&group| group.to_owned()).collect();
            attributes.insert("groups".to_owned(), groups);
        }
        Self {
            password: format!("{username}-idp"),
            subject: format!("5f0e-{username}"),
            attributes,
        }
    }

    /// Adds the attributes that AWS reads: one pair of role and provider, and the session's name.
    #[must_use]
    pub fn with_aws_role(mut self, role_arn: &str, provider_arn: &str, session: &str) -> Self {
        let name = |last: &str| format!("https://aws.amazon.com/SAML/Attributes/{last}");
        let pair = format!("{role_arn},{provider_arn}");
        self.attributes.insert(name("Role"), vec![pair]);
        self.attributes
            .insert(name("RoleSessionName"), vec![session.to_owned()]);
        self
    }
}

/// `ada` with the groups `payments-dev` and `platform`, and `bob` without any; the password of each
/// is the name with `-idp` behind it.
pub fn people() -> BTreeMap<String, Person> {
    let ada = Person::new("ada", "Ada Lovelace", &["payments-dev", "platform"]);
    let bob = Person::new("bob", "Bob <Builder> & Sons", &[]);
    BTreeMap::from([("ada".to_owned(), ada), ("bob".to_owned(), bob)])
}

/// Everything that a provider is told.
#[derive(Debug, Clone)]
pub struct Settings {
    pub service_provider: ServiceProvider,
    pub signed: Signed,
    pub encryption: Encryption,
    /// Whether a request without a valid signature is refused.
    pub validates_requests: bool,
    /// RSA-SHA1 signatures over SHA-1 digests instead of SHA-256.
    pub signs_with_sha1: bool,
    /// Audiences beside the service provider's entity id.
    pub more_audiences: Vec<String>,
    /// What browsers know it by, without a slash at the end, where that is not its address.
    pub origin: Option<String>,
    pub people: BTreeMap<String, Person>,
}

impl Settings {
    /// An assertion that is signed and in the clear, for the people of [`people`].
    pub fn new(service_provider: ServiceProvider) -> Self {
        Self {
            service_provider,
            signed: Signed::Assertion,
            encryption: Encryption::None,
            validates_requests: true,
            signs_with_sha1: false,
            more_audiences: Vec::new(),
            origin: None,
            people: people(),
        }
    }

    /// The document that the providers read.
    pub fn json(&self, address: SocketAddr, dir: &Path, key: &Path, certificate: &Path) -> String {
        let document = serde_json::json!({
            "address": address.ip(),
            "port": address.port(),
            "origin": self.origin.clone().unwrap_or_else(|| format!("http://{address}")),
            "directory": dir,
            "key_file": key,
            "certificate_file": certificate,
            "service_provider": self.service_provider,
            "signs_assertion": self.signed != Signed::Response,
            "signs_response": self.signed != Signed::Assertion,
            "encryption": self.encryption.algorithm(),
            "validates_requests": self.validates_requests,
            "signs_with_sha1": self.signs_with_sha1,
            "more_audiences": self.more_audiences,
            "people": self.people,
        });
        document.to_string()
    }
}
