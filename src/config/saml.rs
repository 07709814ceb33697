//! A `[[connector]]` of type `saml`.
//!
//! Only checks what can be known without asking the provider; keys and certificates are read here,
//! so that a pair that does not fit is told with everything else. What the provider's metadata
//! says is judged where it is used. Entry point: [`Saml`].

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use openssl::nid::Nid;
use openssl::pkey::{HasPublic, Id, PKey, PKeyRef, Private};
use openssl::x509::X509;
use url::Url;

use super::address;
use super::reader::Section;
use super::template;

/// What `attributes` says for the subject's NameID instead of an attribute.
pub const NAME_ID: &str = "NameID";

/// What `aws_application_url` may contain.
pub const APPLICATION_PLACEHOLDERS: [&str; 4] = ["account", "role_arn", "role_name", "relay_state"];

/// The most pairs in `keys`: two that roll over, for signing and for encryption.
const MOST_KEYS: usize = 4;
/// The least bits of an RSA key (NIST SP 800-131A).
const LEAST_RSA_BITS: u32 = 2048;
/// The most bytes of a key or certificate file; more is a mistake in the path.
const LARGEST_FILE: u64 = 256 * 1024;
/// SAML core 8.3.8.
const TRANSIENT: &str = "urn:oasis:names:tc:SAML:2.0:nameid-format:transient";

/// A connector of type `saml`, with the defaults of its preset filled in.
#[derive(Clone, Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a setting of its own"
)]
pub struct Saml {
    /// Where the provider's metadata comes from.
    pub metadata: MetadataSource,
    /// Certificates of which one has to have signed the metadata; empty does not look.
    pub metadata_certificates: Vec<X509>,
    /// The provider, where the metadata speaks of several.
    pub idp_entity_id: Option<String>,
    /// Which attributes tell about a person.
    pub attributes: SamlAttributes,
    /// Our keys: the first signs, all are published, any decrypts.
    pub keys: Vec<KeyPair>,
    /// Our entity id; none stands for the address of our metadata.
    pub sp_entity_id: Option<String>,
    /// Audiences that are ours beside the entity id.
    pub audiences: Vec<String>,
    /// Whether requests are signed.
    pub sign_requests: bool,
    /// How requests travel.
    pub request_binding: RequestBinding,
    /// Whether the provider shall always ask for the credentials again.
    pub force_authn: bool,
    /// The authentication contexts of which one is asked for; empty does not ask.
    pub authn_contexts: Vec<String>,
    /// The NameID format that is asked for, as an URN.
    pub name_id_format: Option<String>,
    /// By how much the provider's clock may differ from ours.
    pub clock_skew: Duration,
    /// How long ago a person may have authenticated; none does not look.
    pub longest_authentication_age: Option<Duration>,
    /// Whether an assertion in the clear is refused.
    pub require_encrypted_assertions: bool,
    /// Whether AES-CBC is taken.
    pub allow_cbc_encryption: bool,
    /// Whether an answer to no request of ours is taken.
    pub allow_idp_initiated: bool,
    /// The directory whose groups count instead of the provider's.
    pub groups_from: Option<String>,
    /// Whether an answer that AWS takes too is kept for it.
    pub pass_through: bool,
    /// Whether roles that the assertion names are offered.
    pub offer_asserted_roles: OfferedRoles,
    /// Where the provider opens an AWS role itself; may contain [`APPLICATION_PLACEHOLDERS`].
    pub aws_application_url: Option<String>,
}

/// Where the provider's metadata comes from.
#[derive(Clone, Debug)]
pub enum MetadataSource {
    /// A file, read at start.
    File(PathBuf),
    /// An address, fetched at start and again and again.
    Url {
        /// https, or http to this machine.
        url: Url,
        /// How often.
        refresh: Duration,
    },
}

/// How a request travels to the provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestBinding {
    /// In the query of a redirect.
    Redirect,
    /// In a form that the browser posts.
    Post,
}

/// Which of the roles that an assertion names are offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OfferedRoles {
    /// Those that a mapping gives too.
    Mapped,
    /// All.
    All,
}

/// A private key with its certificate.
#[derive(Clone)]
pub struct KeyPair {
    /// The key's file.
    pub key_file: PathBuf,
    /// The certificate's file.
    pub certificate_file: PathBuf,
    /// The key; RSA of 2048 bits or more, or ECDSA on a NIST curve.
    pub key: PKey<Private>,
    /// The certificate, which holds the key's public half.
    pub certificate: X509,
}

impl fmt::Debug for KeyPair {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("KeyPair")
            .field("key_file", &self.key_file)
            .field("certificate_file", &self.certificate_file)
            .finish_non_exhaustive()
    }
}

/// Which attributes tell about a person: their `Name` or `FriendlyName`, or [`NAME_ID`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SamlAttributes {
    /// Stable and never used again.
    pub subject: String,
    /// What role session names are made of.
    pub username: String,
    /// Shown on the pages.
    pub display_name: Option<String>,
    /// The mail address.
    pub email: Option<String>,
    /// The groups.
    pub groups: Option<String>,
}

impl Saml {
    /// `None` when something it cannot do without was reported.
    pub(super) fn read(section: &mut Section<'_>) -> Option<Self> {
        let preset = section
            .choice("preset", &SamlAttributes::PRESETS)
            .unwrap_or(SamlAttributes::UNKNOWN);
        let metadata = MetadataSource::read(section);
        let attributes = section.table("attributes", |section| {
            SamlAttributes::read(section, &preset)
        });
        let keys = KeyPair::read_all(section);
        let encryption = Encryption::read(section, &keys);
        let sign_requests = sign_requests(section, &keys);
        let clock_skew = section.duration("clock_skew", Duration::ZERO..=Duration::from_mins(5));
        let ages = Duration::from_mins(1)..=Duration::from_hours(30 * 24);
        Some(Self {
            metadata_certificates: metadata_certificates(section),
            idp_entity_id: section.string("idp_entity_id"),
            name_id_format: name_id_format(section, &attributes),
            attributes,
            keys,
            sp_entity_id: section.parsed("sp_entity_id", entity_id),
            audiences: section.list("audiences", entity_id).unwrap_or_default(),
            sign_requests,
            request_binding: section
                .choice("request_binding", &RequestBinding::NAMES)
                .unwrap_or(RequestBinding::Redirect),
            force_authn: section.boolean("force_authn").unwrap_or(false),
            authn_contexts: section
                .list("authn_contexts", entity_id)
                .unwrap_or_default(),
            clock_skew: clock_skew.unwrap_or(Duration::from_mins(1)),
            longest_authentication_age: section.duration("longest_authentication_age", ages),
            require_encrypted_assertions: encryption.is_required,
            allow_cbc_encryption: encryption.allows_cbc,
            allow_idp_initiated: section.boolean("allow_idp_initiated").unwrap_or(false),
            groups_from: section.string("groups_from"),
            pass_through: encryption.passes_through,
            offer_asserted_roles: section
                .choice("offer_asserted_roles", &OfferedRoles::NAMES)
                .unwrap_or(OfferedRoles::Mapped),
            aws_application_url: section.parsed("aws_application_url", application_url),
            metadata: metadata?,
        })
    }
}

impl MetadataSource {
    fn read(section: &mut Section<'_>) -> Option<Self> {
        if section.has("idp_metadata_url") && section.has("idp_metadata_file") {
            let message = "is given beside idp_metadata_file; give one of the two";
            section.refuse("idp_metadata_url", message);
        } else if !section.has("idp_metadata_url") {
            let expected = "the file with the provider's metadata, or idp_metadata_url";
            section.demand("idp_metadata_file", expected);
        }
        let has_url = section.has("idp_metadata_url");
        let file = section.readable_file("idp_metadata_file");
        let url = section.parsed("idp_metadata_url", address::upstream);
        let range = Duration::from_mins(1)..=Duration::from_hours(7 * 24);
        if section.has("metadata_refresh") && !has_url {
            let message = "a file is read at start alone; expected idp_metadata_url beside it";
            section.refuse("metadata_refresh", message);
        }
        let refresh = section.duration("metadata_refresh", range);
        match (file, url) {
            (_, Some(url)) => Some(Self::Url {
                url,
                refresh: refresh.unwrap_or(Duration::from_hours(1)),
            }),
            (Some(file), None) => Some(Self::File(file)),
            (None, None) => None,
        }
    }
}

impl RequestBinding {
    const NAMES: [(&'static str, Self); 2] = [("redirect", Self::Redirect), ("post", Self::Post)];
}

impl OfferedRoles {
    const NAMES: [(&'static str, Self); 2] = [("mapped", Self::Mapped), ("all", Self::All)];
}

/// What a connector reads about encryption, and what follows from it.
struct Encryption {
    is_required: bool,
    allows_cbc: bool,
    passes_through: bool,
}

impl Encryption {
    fn read(section: &mut Section<'_>, keys: &[KeyPair]) -> Self {
        let is_required = section.boolean("require_encrypted_assertions") == Some(true);
        let allows_cbc = section.boolean("allow_cbc_encryption") == Some(true);
        // Encryption to an elliptic curve key needs a key agreement that is not built.
        let has_key = keys.iter().any(|pair| pair.key.id() == Id::RSA);
        for (key, is_set) in [
            ("require_encrypted_assertions", is_required),
            ("allow_cbc_encryption", allows_cbc),
        ] {
            if is_set && !has_key {
                section.refuse(key, "needs an RSA key in keys, to decrypt with");
            }
        }
        let passes_through = section.boolean("pass_through");
        if is_required && passes_through == Some(true) {
            let message = "AWS cannot read an assertion that is encrypted for us; expected false, \
                           or require_encrypted_assertions = false";
            section.refuse("pass_through", message);
        }
        Self {
            is_required,
            allows_cbc,
            passes_through: passes_through.unwrap_or(!is_required),
        }
    }
}

fn sign_requests(section: &mut Section<'_>, keys: &[KeyPair]) -> bool {
    let wanted = section.boolean("sign_requests");
    if wanted == Some(true) && keys.is_empty() {
        section.refuse("sign_requests", "needs keys, of which the first signs");
    }
    wanted.unwrap_or(!keys.is_empty())
}

fn metadata_certificates(section: &mut Section<'_>) -> Vec<X509> {
    let read = |text: &str| {
        let path = Path::new(text);
        let certificates = X509::stack_from_pem(&contents(path)?)
            .ok()
            .filter(|certificates| !certificates.is_empty());
        let certificates =
            certificates.ok_or_else(|| format!("{text:?} holds no PEM certificate"))?;
        for certificate in &certificates {
            check_certificate(certificate).map_err(|problem| format!("{text:?} {problem}"))?;
        }
        Ok::<_, String>(certificates)
    };
    section
        .parsed("metadata_certificate_file", read)
        .unwrap_or_default()
}

/// Short names of SAML core 8.3, or any URN.
fn name_id_format(section: &mut Section<'_>, attributes: &SamlAttributes) -> Option<String> {
    let format = section.parsed("name_id_format", |text| match text {
        "persistent" | "transient" | "entity" | "kerberos" => {
            Ok(format!("urn:oasis:names:tc:SAML:2.0:nameid-format:{text}"))
        }
        "emailAddress" | "unspecified" | "X509SubjectName" | "WindowsDomainQualifiedName" => {
            Ok(format!("urn:oasis:names:tc:SAML:1.1:nameid-format:{text}"))
        }
        urn if urn.starts_with("urn:") && is_plain(urn) => Ok(urn.to_owned()),
        other => Err(format!(
            "expected \"persistent\", \"emailAddress\", \"unspecified\", \"transient\" or an URN, \
             found {other:?}"
        )),
    });
    if format.as_deref() == Some(TRANSIENT) && attributes.subject == NAME_ID {
        let message = "a transient NameID is another one at every sign-in; name a stable attribute \
                       in attributes.subject";
        section.refuse("name_id_format", message);
    }
    format
}

fn is_plain(text: &str) -> bool {
    !text.chars().any(|c| c.is_whitespace() || c.is_control())
}

/// An entity id, an audience or a class reference: an URI by the book, compared as it stands.
fn entity_id(text: &str) -> Result<String, String> {
    if is_plain(text) && text.len() <= 1024 {
        return Ok(text.to_owned());
    }
    Err(format!(
        "expected an URI without blanks of at most 1024 characters, found {text:?}"
    ))
}

fn application_url(text: &str) -> Result<String, String> {
    template::check(text, &APPLICATION_PLACEHOLDERS)?;
    let mut filled = text.to_owned();
    for name in APPLICATION_PLACEHOLDERS {
        filled = filled.replace(&format!("{{{name}}}"), "x");
    }
    address::upstream(&filled).map_err(|error| error.to_string())?;
    // A placeholder before the path would let a role's name choose the host.
    let behind_scheme = text.split_once("://").map_or("", |(_, rest)| rest);
    let host = behind_scheme.split(['/', '?']).next();
    if host.is_some_and(|host| host.contains('{')) {
        return Err("the host is fixed; expected placeholders behind it alone".to_owned());
    }
    Ok(text.to_owned())
}

impl KeyPair {
    fn read_all(section: &mut Section<'_>) -> Vec<Self> {
        let mut count = 0;
        let pairs = section.array_of_tables("keys", "", |section| {
            count += 1;
            Self::read(section)
        });
        if count > MOST_KEYS {
            let message = format!("expected at most {MOST_KEYS} pairs, found {count}");
            section.refuse("keys", message);
        }
        pairs
    }

    fn read(section: &mut Section<'_>) -> Option<Self> {
        section.demand("key_file", "the PEM file of a private key");
        section.demand("certificate_file", "the PEM file of the key's certificate");
        let key = section.parsed("key_file", |text| {
            private_key(Path::new(text)).map(|key| (PathBuf::from(text), key))
        });
        let certificate = section.parsed("certificate_file", |text| {
            certificate(Path::new(text)).map(|certificate| (PathBuf::from(text), certificate))
        });
        let ((key_file, key), (certificate_file, certificate)) = (key?, certificate?);
        let is_pair = certificate
            .public_key()
            .is_ok_and(|public| public.public_eq(&key));
        if !is_pair {
            let message = format!("is not the certificate of {}", key_file.display());
            section.refuse("certificate_file", message);
            return None;
        }
        Some(Self {
            key_file,
            certificate_file,
            key,
            certificate,
        })
    }
}

pub(super) fn contents(path: &Path) -> Result<Vec<u8>, String> {
    let unreadable = |error| format!("{:?} cannot be read: {error}", path.display().to_string());
    let metadata = std::fs::metadata(path).map_err(unreadable)?;
    if metadata.len() > LARGEST_FILE {
        return Err(format!(
            "{:?} is longer than {LARGEST_FILE} bytes; is it the right file?",
            path.display().to_string()
        ));
    }
    std::fs::read(path).map_err(unreadable)
}

fn private_key(path: &Path) -> Result<PKey<Private>, String> {
    let pem = zeroize::Zeroizing::new(contents(path)?);
    let name = path.display().to_string();
    // An empty pass phrase, or OpenSSL would ask for one at the terminal.
    let key = PKey::private_key_from_pem_passphrase(&pem, b"").map_err(|_| {
        format!("{name:?} holds no PEM private key that can be used without a pass phrase")
    })?;
    check_key(&key).map_err(|problem| format!("{name:?} {problem}"))?;
    Ok(key)
}

pub(super) fn certificate(path: &Path) -> Result<X509, String> {
    let name = path.display().to_string();
    let certificate = X509::from_pem(&contents(path)?)
        .map_err(|_| format!("{name:?} holds no PEM certificate"))?;
    check_certificate(&certificate).map_err(|problem| format!("{name:?} {problem}"))?;
    Ok(certificate)
}

fn check_certificate(certificate: &X509) -> Result<(), String> {
    let key = certificate
        .public_key()
        .map_err(|_| "holds a public key of an unknown kind".to_owned())?;
    check_key(&key)
}

pub(super) fn check_key<K: HasPublic>(key: &PKeyRef<K>) -> Result<(), String> {
    let curves = [Nid::X9_62_PRIME256V1, Nid::SECP384R1, Nid::SECP521R1];
    match key.id() {
        Id::RSA if key.bits() >= LEAST_RSA_BITS => Ok(()),
        Id::RSA => Err(format!(
            "holds an RSA key of {} bits; expected {LEAST_RSA_BITS} or more",
            key.bits()
        )),
        Id::EC => {
            let curve = key.ec_key().ok().and_then(|key| key.group().curve_name());
            if curve.is_some_and(|curve| curves.contains(&curve)) {
                return Ok(());
            }
            Err(
                "holds a key on a curve that SAML does not know; expected P-256, P-384 or P-521"
                    .to_owned(),
            )
        }
        _ => Err("holds a key that is neither RSA nor ECDSA".to_owned()),
    }
}

/// The attributes of a preset, known when the program is built.
#[derive(Clone, Copy)]
struct PresetAttributes {
    subject: &'static str,
    username: &'static str,
    display_name: Option<&'static str>,
    email: Option<&'static str>,
    groups: Option<&'static str>,
}

impl SamlAttributes {
    const UNKNOWN: PresetAttributes = PresetAttributes {
        subject: NAME_ID,
        username: NAME_ID,
        display_name: None,
        email: None,
        groups: None,
    };

    /// What each provider sends when it is set up as its own manual says.
    const PRESETS: [(&'static str, PresetAttributes); 6] = [
        (
            // The group list mapper's default name, and the built-in X.500 mappers.
            "keycloak",
            PresetAttributes {
                email: Some("email"),
                groups: Some("member"),
                ..Self::UNKNOWN
            },
        ),
        (
            // The claim types of the standard rules; the NameID is what a rule makes it.
            "adfs",
            PresetAttributes {
                username: "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/upn",
                display_name: Some("http://schemas.xmlsoap.org/ws/2005/05/identity/claims/name"),
                email: Some("http://schemas.xmlsoap.org/ws/2005/05/identity/claims/emailaddress"),
                groups: Some("http://schemas.xmlsoap.org/claims/Group"),
                ..Self::UNKNOWN
            },
        ),
        (
            "okta",
            PresetAttributes {
                display_name: Some("displayName"),
                email: Some("email"),
                groups: Some("groups"),
                ..Self::UNKNOWN
            },
        ),
        (
            // The object id never changes; the NameID (the UPN) does, when people marry.
            "entra",
            PresetAttributes {
                subject: "http://schemas.microsoft.com/identity/claims/objectidentifier",
                username: "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/name",
                display_name: Some("http://schemas.microsoft.com/identity/claims/displayname"),
                email: Some("http://schemas.xmlsoap.org/ws/2005/05/identity/claims/emailaddress"),
                groups: Some("http://schemas.microsoft.com/ws/2008/06/identity/claims/groups"),
            },
        ),
        (
            // Names are the administrator's own; these are those of Google's examples.
            "google",
            PresetAttributes {
                display_name: Some("displayName"),
                email: Some("email"),
                groups: Some("groups"),
                ..Self::UNKNOWN
            },
        ),
        (
            // Its NameID is transient; subject-id is the SAML profile of that name, 2019.
            "shibboleth",
            PresetAttributes {
                subject: "urn:oasis:names:tc:SAML:attribute:subject-id",
                username: "urn:oid:0.9.2342.19200300.100.1.1",
                display_name: Some("urn:oid:2.16.840.1.113730.3.1.241"),
                email: Some("urn:oid:0.9.2342.19200300.100.1.3"),
                groups: Some("urn:oid:1.3.6.1.4.1.5923.1.5.1.1"),
            },
        ),
    ];

    fn read(section: &mut Section<'_>, preset: &PresetAttributes) -> Self {
        let mut name = |key| section.parsed(key, attribute);
        let or =
            |name: Option<String>, preset: Option<&str>| name.or_else(|| preset.map(str::to_owned));
        Self {
            subject: name("subject").unwrap_or_else(|| preset.subject.to_owned()),
            username: name("username").unwrap_or_else(|| preset.username.to_owned()),
            display_name: or(name("display_name"), preset.display_name),
            email: or(name("email"), preset.email),
            groups: or(name("groups"), preset.groups),
        }
    }
}

fn attribute(text: &str) -> Result<String, String> {
    let is_legal = text.trim() == text && !text.chars().any(char::is_control);
    if is_legal && text.len() <= 512 {
        return Ok(text.to_owned());
    }
    Err(format!(
        "expected the Name or FriendlyName of an attribute, or \"{NAME_ID}\", found {text:?}"
    ))
}
