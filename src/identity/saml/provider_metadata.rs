//! What an identity provider publishes about itself (SAML metadata 2.0).
//!
//! Never here: fetching, keeping, and whether a signature of the document holds. A provider without
//! a signing key that can be used is refused: nothing it says could be verified. Entry point:
//! [`ProviderMetadata::parse`].

use base64::{Engine as _, engine::general_purpose::STANDARD};
use openssl::{
    bn::BigNum,
    nid::Nid,
    pkey::{Id, PKey, Public},
    x509::X509,
};
use thiserror::Error;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use url::Url;

use super::{document::Element, settings::Binding};

/// The largest document that is read, in bytes.
pub const LARGEST: usize = 2 * 1024 * 1024;

/// The namespace of metadata (SAML metadata 2.0, 1.1).
pub(super) const METADATA: &str = "urn:oasis:names:tc:SAML:2.0:metadata";
/// The namespace of XML signatures.
pub(super) const SIGNATURE: &str = "http://www.w3.org/2000/09/xmldsig#";
/// The protocol, in `protocolSupportEnumeration`.
pub(super) const PROTOCOL: &str = "urn:oasis:names:tc:SAML:2.0:protocol";
/// SAML bindings 3.4.
pub(super) const REDIRECT: &str = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect";
/// SAML bindings 3.5.
pub(super) const POST: &str = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST";
/// The least bits of an RSA key (NIST SP 800-131A).
const LEAST_RSA_BITS: u32 = 2048;
/// The least public exponent: below, forgeries of padding are known (CVE-2006-4339).
const LEAST_RSA_EXPONENT: u32 = 65_537;

/// Why a document cannot be used, and what would be right.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("the provider's metadata {0}")]
pub struct MetadataError(pub(super) String);

/// What a provider says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderMetadata {
    /// Its entity id.
    pub entity_id: String,
    /// The certificates that it signs with, DER; at least one.
    pub certificates: Vec<Vec<u8>>,
    /// Why certificates that it lists are not used.
    pub ignored: Vec<String>,
    /// Where people sign in; at least one address.
    pub sign_in: Endpoints,
    /// Where people sign out, if anywhere.
    pub logout: Endpoints,
    /// Whether it takes signed requests alone.
    pub wants_signed_requests: bool,
    /// The NameID formats that it names.
    pub name_id_formats: Vec<String>,
    /// Until when this holds.
    pub valid_until: Option<OffsetDateTime>,
}

/// The addresses of one service, by binding.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Endpoints {
    /// For redirects.
    pub redirect: Option<Endpoint>,
    /// For posted forms.
    pub post: Option<Endpoint>,
}

impl Endpoints {
    /// The endpoint of the binding that is preferred, else of the other.
    pub fn choose(&self, preferred: Binding) -> Option<(Binding, &Endpoint)> {
        let redirect = self.redirect.as_ref().map(|url| (Binding::Redirect, url));
        let post = self.post.as_ref().map(|url| (Binding::Post, url));
        match preferred {
            Binding::Redirect => redirect.or(post),
            Binding::Post => post.or(redirect),
        }
    }

    fn is_empty(&self) -> bool {
        self.redirect.is_none() && self.post.is_none()
    }
}

/// Where a message goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Where requests go, and answers where nothing else is said.
    pub location: Url,
    /// Where answers go instead.
    pub response_location: Option<Url>,
}

impl Endpoint {
    /// Where answers go.
    pub fn for_answers(&self) -> &Url {
        self.response_location.as_ref().unwrap_or(&self.location)
    }
}

impl ProviderMetadata {
    /// Reads a document. `entity_id` chooses where it speaks of several providers, and has to
    /// match where it speaks of one.
    ///
    /// # Errors
    /// When it is not metadata, when no provider or more than one is meant, and when the provider
    /// has no signing key or no sign-in address that can be used. `validUntil` is not judged.
    pub fn parse(text: &str, entity_id: Option<&str>) -> Result<Self, MetadataError> {
        if text.len() > LARGEST {
            let message = format!("is larger than {LARGEST} bytes");
            return Err(MetadataError(message));
        }
        let root = Element::parse(text).map_err(MetadataError)?;
        let mut found = Vec::new();
        collect(&root, None, &mut found)?;
        let (entity, role, valid_until) = chosen(found, entity_id)?;
        Self::of(entity, role, valid_until)
    }

    fn of(
        entity: &Element,
        role: &Element,
        valid_until: Option<OffsetDateTime>,
    ) -> Result<Self, MetadataError> {
        let entity_id = entity.attribute("entityID").unwrap_or_default().to_owned();
        let (certificates, ignored) = signing_certificates(role);
        if certificates.is_empty() {
            let why = if ignored.is_empty() {
                "it lists none with use=\"signing\" or without use".to_owned()
            } else {
                ignored.join("; ")
            };
            let message = format!("of {entity_id:?} has no signing key that can be used: {why}");
            return Err(MetadataError(message));
        }
        let mut unusable = Vec::new();
        let sign_in = endpoints(role, "SingleSignOnService", &mut unusable);
        if sign_in.is_empty() {
            let why = if unusable.is_empty() {
                "expected a SingleSignOnService with HTTP-Redirect or HTTP-POST".to_owned()
            } else {
                unusable.join("; ")
            };
            let message =
                format!("of {entity_id:?} has no sign-in address that can be used: {why}");
            return Err(MetadataError(message));
        }
        Ok(Self {
            certificates,
            ignored,
            sign_in,
            logout: endpoints(role, "SingleLogoutService", &mut unusable),
            wants_signed_requests: matches!(
                role.attribute("WantAuthnRequestsSigned").map(str::trim),
                Some("true" | "1")
            ),
            name_id_formats: role
                .children(METADATA, "NameIDFormat")
                .map(|format| format.text().to_owned())
                .collect(),
            valid_until: earlier(valid_until, instant(role)?),
            entity_id,
        })
    }
}

/// An entity, its role as a provider, and until when what is around the role holds.
type Found<'e> = (&'e Element, &'e Element, Option<OffsetDateTime>);

/// The providers of a document; aggregates may nest (SAML metadata 2.0, 2.3.1).
fn collect<'e>(
    element: &'e Element,
    valid_until: Option<OffsetDateTime>,
    found: &mut Vec<Found<'e>>,
) -> Result<(), MetadataError> {
    let valid_until = earlier(valid_until, instant(element)?);
    if element.is(METADATA, "EntityDescriptor") {
        let supports = |role: &&Element| {
            let protocols = role.attribute("protocolSupportEnumeration");
            protocols.is_some_and(|list| list.split_whitespace().any(|one| one == PROTOCOL))
        };
        let role = element
            .children(METADATA, "IDPSSODescriptor")
            .find(supports);
        found.extend(role.map(|role| (element, role, valid_until)));
        return Ok(());
    }
    if !element.is(METADATA, "EntitiesDescriptor") {
        let message = format!(
            "is a {:?} document; expected an EntityDescriptor",
            element.name()
        );
        return Err(MetadataError(message));
    }
    for name in ["EntityDescriptor", "EntitiesDescriptor"] {
        for child in element.children(METADATA, name) {
            collect(child, valid_until, found)?;
        }
    }
    Ok(())
}

fn chosen<'e>(found: Vec<Found<'e>>, entity_id: Option<&str>) -> Result<Found<'e>, MetadataError> {
    let mut names: Vec<String> = found
        .iter()
        .filter_map(named)
        .take(10)
        .map(str::to_owned)
        .collect();
    names.sort();
    let mut wanted: Vec<Found<'e>> = found
        .into_iter()
        .filter(|one| entity_id.is_none_or(|id| named(one) == Some(id)))
        .collect();
    let message = match (wanted.len(), entity_id) {
        (1, _) => {
            let one = wanted.remove(0);
            if named(&one).is_some_and(|id| !id.trim().is_empty()) {
                return Ok(one);
            }
            "names no entityID".to_owned()
        }
        (0, _) if names.is_empty() => {
            "speaks of no identity provider: there is no IDPSSODescriptor for SAML 2.0".to_owned()
        }
        (0, Some(id)) => format!(
            "does not speak of {id:?}; there is {}; mend idp_entity_id",
            names.join(", ")
        ),
        (_, Some(id)) => format!("speaks of {id:?} more than once"),
        (_, None) => format!(
            "speaks of several providers; name one in idp_entity_id: {}",
            names.join(", ")
        ),
    };
    Err(MetadataError(message))
}

fn named<'e>(found: &Found<'e>) -> Option<&'e str> {
    found.0.attribute("entityID")
}

fn earlier(one: Option<OffsetDateTime>, other: Option<OffsetDateTime>) -> Option<OffsetDateTime> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

fn instant(element: &Element) -> Result<Option<OffsetDateTime>, MetadataError> {
    let Some(text) = element.attribute("validUntil") else {
        return Ok(None);
    };
    OffsetDateTime::parse(text.trim(), &Rfc3339)
        .map(Some)
        .map_err(|_| MetadataError(format!("has a validUntil that is no time: {text:?}")))
}

/// The certificates that can be used, and why others cannot.
fn signing_certificates(role: &Element) -> (Vec<Vec<u8>>, Vec<String>) {
    let (mut usable, mut ignored) = (Vec::new(), Vec::new());
    let keys = role.children(METADATA, "KeyDescriptor");
    for key in keys.filter(|key| matches!(key.attribute("use"), None | Some("signing"))) {
        let held = key
            .children(SIGNATURE, "KeyInfo")
            .flat_map(|info| info.children(SIGNATURE, "X509Data"))
            // Those behind the first are its issuers, whose keys sign no messages.
            .filter_map(|held| held.children(SIGNATURE, "X509Certificate").next());
        let before = usable.len() + ignored.len();
        for certificate in held {
            match usable_certificate(certificate.text()) {
                Ok(der) if usable.contains(&der) => {}
                Ok(der) => usable.push(der),
                Err(problem) => ignored.push(problem),
            }
        }
        if before == usable.len() + ignored.len() && usable.is_empty() {
            ignored.push("a KeyDescriptor holds no X509Certificate".to_owned());
        }
    }
    (usable, ignored)
}

fn usable_certificate(text: &str) -> Result<Vec<u8>, String> {
    let base64: String = text.split_ascii_whitespace().collect();
    let der = STANDARD
        .decode(base64)
        .map_err(|_| "a certificate is no base64".to_owned())?;
    let certificate =
        X509::from_der(&der).map_err(|_| "a certificate cannot be read".to_owned())?;
    let key = certificate
        .public_key()
        .map_err(|_| "a certificate has a key of an unknown kind".to_owned())?;
    check_key(&key)?;
    Ok(der)
}

fn check_key(key: &PKey<Public>) -> Result<(), String> {
    let curves = [Nid::X9_62_PRIME256V1, Nid::SECP384R1, Nid::SECP521R1];
    match key.id() {
        Id::RSA if key.bits() < LEAST_RSA_BITS => Err(format!(
            "a certificate has an RSA key of {} bits; expected {LEAST_RSA_BITS} or more",
            key.bits()
        )),
        Id::RSA => {
            let least = BigNum::from_u32(LEAST_RSA_EXPONENT);
            match (key.rsa(), least) {
                (Ok(rsa), Ok(least)) if *rsa.e() >= *least => Ok(()),
                _ => Err(format!(
                    "a certificate has an RSA key with a public exponent below \
                     {LEAST_RSA_EXPONENT}"
                )),
            }
        }
        Id::EC => {
            let curve = key.ec_key().ok().and_then(|key| key.group().curve_name());
            if curve.is_some_and(|curve| curves.contains(&curve)) {
                return Ok(());
            }
            Err("a certificate has a key on a curve other than P-256, P-384 and P-521".to_owned())
        }
        _ => Err("a certificate has a key that is neither RSA nor ECDSA".to_owned()),
    }
}

fn endpoints(role: &Element, name: &str, unusable: &mut Vec<String>) -> Endpoints {
    let mut found = Endpoints::default();
    for service in role.children(METADATA, name) {
        let place = match service.attribute("Binding") {
            Some(REDIRECT) => &mut found.redirect,
            Some(POST) => &mut found.post,
            _ => continue,
        };
        if place.is_some() {
            continue;
        }
        let location = service.attribute("Location").unwrap_or_default();
        let response = service.attribute("ResponseLocation").map(address);
        match (address(location), response.transpose()) {
            (Ok(location), Ok(response_location)) => {
                *place = Some(Endpoint {
                    location,
                    response_location,
                });
            }
            (Err(problem), _) | (_, Err(problem)) => unusable.push(problem),
        }
    }
    found
}

/// Where browsers are sent: https, or http to this machine; never `javascript:` and the like.
fn address(text: &str) -> Result<Url, String> {
    let shown: String = text.chars().take(200).collect();
    let url = Url::parse(text.trim()).map_err(|_| format!("{shown:?} is no URL"))?;
    let is_loopback = match url.host() {
        Some(url::Host::Domain(name)) => name.eq_ignore_ascii_case("localhost"),
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    let is_taken = url.scheme() == "https" || (url.scheme() == "http" && is_loopback);
    let is_plain =
        url.fragment().is_none() && url.username().is_empty() && url.password().is_none();
    if is_taken && is_plain && url.has_host() {
        return Ok(url);
    }
    Err(format!("{shown:?} is not an https address"))
}
