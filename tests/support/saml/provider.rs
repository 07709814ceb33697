//! An identity provider that signs whatever it is told to.

use std::sync::Arc;

use openssl::{
    nid::Nid,
    pkey::{PKey, Public},
};
use time::{Duration, OffsetDateTime, macros::format_description};

use super::{
    encryption::Encryption,
    keys::KeyPair,
    random::Random,
    signature::{Signing, algorithm, x509_data},
    xml::{Element, Prefixes, write},
};

/// The value of `Method` for bearer confirmation.
pub const BEARER: &str = "urn:oasis:names:tc:SAML:2.0:cm:bearer";
/// The status of a provider that signed somebody in.
pub const SUCCESS: &str = "urn:oasis:names:tc:SAML:2.0:status:Success";
/// NameID formats.
pub const EMAIL: &str = "urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress";
pub const PERSISTENT: &str = "urn:oasis:names:tc:SAML:2.0:nameid-format:persistent";
pub const TRANSIENT: &str = "urn:oasis:names:tc:SAML:2.0:nameid-format:transient";
/// Attribute name formats.
pub const BASIC: &str = "urn:oasis:names:tc:SAML:2.0:attrname-format:basic";
pub const URI: &str = "urn:oasis:names:tc:SAML:2.0:attrname-format:uri";
/// Signed in with a password over TLS.
pub const PASSWORD: &str = "urn:oasis:names:tc:SAML:2.0:ac:classes:PasswordProtectedTransport";

/// An identity provider: its keys, those of somebody who imitates it, and its way of writing XML.
#[derive(Debug)]
pub struct TestIdentityProvider {
    pub entity_id: String,
    /// What signs.
    pub primary: KeyPair,
    /// What signs after a rollover.
    pub second: KeyPair,
    /// ECDSA on P-256.
    pub ec: KeyPair,
    /// ECDSA on P-384.
    pub ec384: KeyPair,
    /// RSA with the public exponent 3.
    pub low_exponent: KeyPair,
    /// A stranger's, whose certificate has the subject, issuer and serial number of `primary`'s.
    pub attacker: KeyPair,
    pub prefixes: Prefixes,
}

impl TestIdentityProvider {
    /// A provider with new keys. The seed chooses its prefixes.
    pub fn new(entity_id: &str, seed: u64) -> Self {
        let mut random = Random::new(seed, "provider");
        let name = format!("{} signing", random.word(6));
        let other = random.word(7);
        Self {
            entity_id: entity_id.to_owned(),
            primary: KeyPair::rsa(&name, 1000),
            second: KeyPair::rsa(&name, 1001),
            ec: KeyPair::ec(&name, 1002, Nid::X9_62_PRIME256V1),
            ec384: KeyPair::ec(&name, 1003, Nid::SECP384R1),
            low_exponent: KeyPair::rsa_with_exponent(&name, 1004, 3),
            attacker: KeyPair::rsa(&name, 1000),
            prefixes: Prefixes::with(&[
                ("saml", random.pick(&["saml", "saml2", "a", "", &other])),
                ("samlp", random.pick(&["samlp", "saml2p", "p"])),
                ("ds", random.pick(&["ds", "dsig", "", "d"])),
                ("xenc", random.pick(&["xenc", "e"])),
            ]),
        }
    }

    /// Its metadata, with certificates for signing in order.
    pub fn metadata(&self, signing: &[&KeyPair]) -> String {
        let location = |name: &str, binding: &str, path: &str| {
            Element::new(name)
                .with(
                    "Binding",
                    format!("urn:oasis:names:tc:SAML:2.0:bindings:{binding}"),
                )
                .with("Location", format!("{}/{path}", self.entity_id))
        };
        let mut role = Element::new("md:IDPSSODescriptor").with(
            "protocolSupportEnumeration",
            "urn:oasis:names:tc:SAML:2.0:protocol",
        );
        for pair in signing {
            role.push(
                Element::new("md:KeyDescriptor")
                    .with("use", "signing")
                    .child(x509_data(&[&pair.der()])),
            );
        }
        for binding in ["HTTP-Redirect", "HTTP-POST"] {
            role.push(location("md:SingleLogoutService", binding, "slo"));
        }
        role.push(Element::new("md:NameIDFormat").child(EMAIL));
        for binding in ["HTTP-Redirect", "HTTP-POST"] {
            role.push(location("md:SingleSignOnService", binding, "sso"));
        }
        let descriptor = Element::new("md:EntityDescriptor")
            .with("entityID", &*self.entity_id)
            .child(role);
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{}",
            write(&descriptor, &self.prefixes)
        )
    }

    /// A response as it has to be, unsigned.
    pub fn response(self: &Arc<Self>, request: &Request) -> Draft {
        let mut random = request.random.clone();
        let assertion = self.assertion(request, &mut random);
        let mut root = Element::new("samlp:Response")
            .declaring("saml")
            .with("ID", random.id())
            .with("Version", "2.0")
            .with("IssueInstant", instant(request.now))
            .with("Destination", &*request.acs_url);
        if let Some(id) = &request.in_response_to {
            root.set("InResponseTo", id);
        }
        root.push(self.issuer());
        root.push(
            Element::new("samlp:Status")
                .child(Element::new("samlp:StatusCode").with("Value", SUCCESS)),
        );
        root.push(assertion);
        Draft {
            provider: Arc::clone(self),
            root,
            prefixes: self.prefixes.clone(),
        }
    }

    /// Its `Issuer`.
    pub fn issuer(&self) -> Element {
        Element::new("saml:Issuer").child(&*self.entity_id)
    }

    fn assertion(&self, request: &Request, random: &mut Random) -> Element {
        let now = request.now;
        let (from, until) = (
            instant(now - Duration::minutes(1)),
            instant(now + Duration::minutes(5)),
        );
        let mut data = Element::new("saml:SubjectConfirmationData")
            .with("NotOnOrAfter", &*until)
            .with("Recipient", &*request.acs_url);
        if let Some(id) = &request.in_response_to {
            data.set("InResponseTo", id);
        }
        let subject = Element::new("saml:Subject")
            .child(
                Element::new("saml:NameID")
                    .with("Format", request.name_id_format)
                    .child(&*request.name_id),
            )
            .child(
                Element::new("saml:SubjectConfirmation")
                    .with("Method", BEARER)
                    .child(data),
            );
        let audience = Element::new("saml:Audience").child(&*request.audience);
        let conditions = Element::new("saml:Conditions")
            .with("NotBefore", from)
            .with("NotOnOrAfter", until)
            .child(Element::new("saml:AudienceRestriction").child(audience));
        let authenticated_at = now - Duration::seconds(i64::from(random.next().to_le_bytes()[0]));
        let context = Element::new("saml:AuthnContextClassRef").child(PASSWORD);
        let authn = Element::new("saml:AuthnStatement")
            .with("AuthnInstant", instant(authenticated_at))
            .with("SessionIndex", random.id())
            .with("SessionNotOnOrAfter", instant(now + Duration::hours(8)))
            .child(Element::new("saml:AuthnContext").child(context));
        let mut statement = Element::new("saml:AttributeStatement");
        for attribute in &request.attributes {
            statement.push(attribute.element());
        }
        Element::new("saml:Assertion")
            .with("ID", random.id())
            .with("Version", "2.0")
            .with("IssueInstant", instant(now))
            .child(self.issuer())
            .child(subject)
            .child(conditions)
            .child(authn)
            .child(statement)
    }
}

/// What a response says.
#[derive(Debug, Clone)]
pub struct Request {
    pub acs_url: String,
    pub audience: String,
    pub in_response_to: Option<String>,
    pub now: OffsetDateTime,
    pub name_id: String,
    pub name_id_format: &'static str,
    pub attributes: Vec<Claim>,
    /// What IDs come from.
    pub random: Random,
}

/// An attribute of a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    pub name: String,
    pub friendly_name: Option<String>,
    pub name_format: Option<&'static str>,
    pub values: Vec<String>,
    /// Whether values carry `xsi:type="xs:string"`.
    pub is_typed: bool,
}

impl Claim {
    /// An attribute with values.
    pub fn new(name: &str, values: &[&str]) -> Self {
        Self {
            name: name.to_owned(),
            friendly_name: None,
            name_format: Some(BASIC),
            values: values.iter().map(|value| (*value).to_owned()).collect(),
            is_typed: false,
        }
    }

    /// With another `NameFormat`, or none.
    pub fn format(self, name_format: Option<&'static str>) -> Self {
        Self {
            name_format,
            ..self
        }
    }

    /// With a `FriendlyName`.
    pub fn friendly(self, friendly_name: &str) -> Self {
        Self {
            friendly_name: Some(friendly_name.to_owned()),
            ..self
        }
    }

    /// With `xsi:type="xs:string"` at its values.
    pub fn typed(self) -> Self {
        Self {
            is_typed: true,
            ..self
        }
    }

    /// The `Attribute`.
    pub fn element(&self) -> Element {
        let mut attribute = Element::new("saml:Attribute").with("Name", &*self.name);
        if let Some(name) = &self.friendly_name {
            attribute.set("FriendlyName", name);
        }
        if let Some(format) = self.name_format {
            attribute.set("NameFormat", format);
        }
        for value in &self.values {
            let mut element = Element::new("saml:AttributeValue");
            if self.is_typed {
                element = element.declaring("xs").with("xsi:type", "xs:string");
            }
            if !value.is_empty() {
                element.push(&**value);
            }
            attribute.push(element);
        }
        attribute
    }
}

/// A message in the making. What is done to it is done in the order of the calls, so an edit
/// between two signatures is covered by the second alone.
#[derive(Debug, Clone)]
pub struct Draft {
    pub provider: Arc<TestIdentityProvider>,
    pub root: Element,
    pub prefixes: Prefixes,
}

impl Draft {
    /// Changes anything.
    pub fn edit(mut self, change: impl FnOnce(&mut Element)) -> Self {
        change(&mut self.root);
        self
    }

    /// Signs the assertion with the provider's key.
    pub fn sign_assertion(self) -> Self {
        let signing = self.usual();
        self.sign("Assertion", &signing)
    }

    /// Signs the whole response with the provider's key.
    pub fn sign_response(self) -> Self {
        let signing = self.usual();
        self.sign("", &signing)
    }

    /// Signs what is under a path.
    pub fn sign(mut self, path: &str, signing: &Signing) -> Self {
        signing.sign(&mut self.root, path, &self.prefixes);
        self
    }

    /// The provider's key and certificate with RSA-SHA256.
    pub fn usual(&self) -> Signing {
        let primary = &self.provider.primary;
        Signing::new(&primary.key, Some(&primary.der()))
    }

    /// Encrypts the assertion to whoever holds the key.
    pub fn encrypt(mut self, encryption: Encryption, recipient: &PKey<Public>) -> Self {
        let plain = write(&self.root.copy("Assertion"), &self.prefixes);
        let encrypted = encryption.encrypt(plain.as_bytes(), recipient);
        self.root.replace("Assertion", encrypted);
        self
    }

    /// Indents everything that is there by now.
    pub fn indent(self, unit: &str) -> Self {
        self.edit(|root| root.indent(unit))
    }

    /// The message.
    pub fn xml(&self) -> String {
        write(&self.root, &self.prefixes)
    }
}

impl From<Draft> for Vec<u8> {
    fn from(draft: Draft) -> Self {
        draft.xml().into_bytes()
    }
}

/// A time as SAML writes it, to the second.
pub fn instant(time: OffsetDateTime) -> String {
    let format = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]Z");
    time.format(&format).expect("a year of four digits")
}

/// A `StatusCode`.
pub fn status_code(name: &str) -> Element {
    Element::new("samlp:StatusCode").with(
        "Value",
        format!("urn:oasis:names:tc:SAML:2.0:status:{name}"),
    )
}

/// A transform.
pub fn transform(identifier: &str) -> Element {
    algorithm("ds:Transform", identifier)
}
