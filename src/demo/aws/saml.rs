//! What AWS looks at in an assertion, and the IAM SAML providers that it is judged by.
//!
//! It shares no code with `crate::identity`, whose assertions it has to judge: structure, signature
//! and rules are read anew. Entry points: [`SamlProvider::new`], [`Assertion::read`].

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use samael::crypto::{
    AllowedSignatureAlgorithm, CertificateDer, Crypto, CryptoProvider, ReduceMode,
};
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};

use super::partition::Partition;
use super::policy::Context;
use super::sts::StsError;
use super::xml::Element;

const ASSERTION: &str = "urn:oasis:names:tc:SAML:2.0:assertion";
const PROTOCOL: &str = "urn:oasis:names:tc:SAML:2.0:protocol";
const METADATA: &str = "urn:oasis:names:tc:SAML:2.0:metadata";
const SIGNATURE: &str = "http://www.w3.org/2000/09/xmldsig#";
const SUCCESS: &str = "urn:oasis:names:tc:SAML:2.0:status:Success";
const BEARER: &str = "urn:oasis:names:tc:SAML:2.0:cm:bearer";
const NAME_ID_FORMAT: &str = "urn:oasis:names:tc:SAML:2.0:nameid-format:";
const ATTRIBUTES: &str = "https://aws.amazon.com/SAML/Attributes/";
const TRANSFORMS: [&str; 5] = [
    "http://www.w3.org/2000/09/xmldsig#enveloped-signature",
    "http://www.w3.org/2001/10/xml-exc-c14n#",
    "http://www.w3.org/2001/10/xml-exc-c14n#WithComments",
    "http://www.w3.org/TR/2001/REC-xml-c14n-20010315",
    "http://www.w3.org/TR/2001/REC-xml-c14n-20010315#WithComments",
];
const REDEEMABLE: Duration = Duration::minutes(5);
/// How far a provider's clock may be ahead. AWS says nothing about it.
const SKEW: Duration = Duration::minutes(5);
/// What IAM takes as metadata, in characters.
const METADATA_CHARACTERS: std::ops::RangeInclusive<usize> = 1_000..=10_000_000;
const ALGORITHMS: [AllowedSignatureAlgorithm; 6] = [
    AllowedSignatureAlgorithm::RsaSha256,
    AllowedSignatureAlgorithm::RsaSha384,
    AllowedSignatureAlgorithm::RsaSha512,
    AllowedSignatureAlgorithm::EcdsaSha256,
    AllowedSignatureAlgorithm::EcdsaSha384,
    AllowedSignatureAlgorithm::EcdsaSha512,
];

/// An IAM SAML provider: an identity provider's metadata, uploaded to an account.
#[derive(Clone)]
pub struct SamlProvider {
    arn: String,
    entity_id: String,
    certificates: Vec<CertificateDer>,
}

impl SamlProvider {
    /// Uploads metadata as `arn:…:iam::ACCOUNT:saml-provider/NAME`.
    ///
    /// # Errors
    /// When IAM would not take the metadata: its size, its form, or no signing certificate in it.
    pub fn new(arn: &str, metadata: &str) -> Result<Self, String> {
        let unparsable = || "Could not parse metadata".to_owned();
        if !METADATA_CHARACTERS.contains(&metadata.chars().count()) {
            return Err("metadata has 1,000 to 10,000,000 characters".to_owned());
        }
        let root = Element::parse(metadata).ok_or_else(unparsable)?;
        let entity = (root.descendants().into_iter())
            .find(|element| {
                element.is(METADATA, "EntityDescriptor")
                    && element.child(METADATA, "IDPSSODescriptor").is_some()
            })
            .ok_or_else(unparsable)?;
        let entity_id = entity.attribute("entityID").ok_or_else(unparsable)?;
        let certificates: Vec<CertificateDer> = entity
            .all(METADATA, "IDPSSODescriptor")
            .flat_map(|descriptor| descriptor.all(METADATA, "KeyDescriptor"))
            .filter(|key| key.attribute("use").is_none_or(|used| used == "signing"))
            .flat_map(Element::descendants)
            .filter(|element| element.is(SIGNATURE, "X509Certificate"))
            .map(|element| {
                let text: String = element.text.split_whitespace().collect();
                STANDARD.decode(text).map(CertificateDer::from)
            })
            .collect::<Result<_, _>>()
            .map_err(|_| unparsable())?;
        if certificates.is_empty() {
            return Err("metadata has no signing certificate".to_owned());
        }
        Ok(Self {
            arn: arn.to_owned(),
            entity_id: entity_id.to_owned(),
            certificates,
        })
    }

    /// Its ARN.
    pub fn arn(&self) -> &str {
        &self.arn
    }

    /// `NameQualifier` of the answer: what tells two providers' people apart.
    pub(super) fn name_qualifier(&self) -> String {
        let account = super::catalogue::account_of(&self.arn);
        let name = self.arn.rsplit('/').next().unwrap_or_default();
        let text = format!("{}{account}/{name}", self.entity_id);
        let algorithm = &aws_lc_rs::digest::SHA1_FOR_LEGACY_USE_ONLY;
        STANDARD.encode(aws_lc_rs::digest::digest(algorithm, text.as_bytes()))
    }
}

impl fmt::Debug for SamlProvider {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("SamlProvider")
            .field("arn", &self.arn)
            .field("entity_id", &self.entity_id)
            .finish_non_exhaustive()
    }
}

/// What an accepted assertion says.
pub(super) struct Assertion {
    pub(super) id: String,
    /// The `Destination` of the response around it, which need not be signed.
    pub(super) destination: Option<String>,
    pub(super) issuer: String,
    pub(super) name_id: Option<String>,
    pub(super) name_id_type: String,
    pub(super) recipient: String,
    /// Roles, each with its provider.
    pub(super) roles: Vec<(String, String)>,
    pub(super) session_name: String,
    pub(super) session_seconds: Option<u32>,
    pub(super) session_end: Option<OffsetDateTime>,
    pub(super) tags: Vec<(String, String)>,
    pub(super) transitive_tag_keys: Vec<String>,
    pub(super) source_identity: Option<String>,
}

fn invalid(message: &str) -> StsError {
    StsError::sender(400, "InvalidIdentityToken", message)
}

fn unreadable(message: &str) -> StsError {
    invalid(&format!(
        "{message} (Service: AWSOpenIdDiscoveryService; Status Code: 400; Error Code: \
         AuthSamlInvalidSamlResponseException)"
    ))
}

impl Assertion {
    /// Judges a response as STS does, all but the role's trust.
    pub(super) fn read(
        base64: &str,
        provider: &SamlProvider,
        now: OffsetDateTime,
    ) -> Result<Self, StsError> {
        let bytes = STANDARD.decode(base64);
        let document = bytes.ok().and_then(|bytes| String::from_utf8(bytes).ok());
        let document = document.ok_or_else(|| unreadable("Invalid base64 SAMLResponse"))?;
        let sent = Element::parse(&document)
            .filter(|root| root.is(PROTOCOL, "Response"))
            .ok_or_else(|| unreadable("Invalid SAMLResponse"))?;
        if sent.child(ASSERTION, "EncryptedAssertion").is_some() {
            return Err(unreadable("Encrypted assertion and no private key"));
        }
        let claimed = sent.child(ASSERTION, "Assertion");
        let claimed = claimed.ok_or_else(|| unreadable("Invalid SAMLResponse"))?;
        for issuer in [claimed, &sent].map(|part| part.child(ASSERTION, "Issuer")) {
            if issuer.is_some_and(|issuer| issuer.text.trim() != provider.entity_id) {
                return Err(unreadable("Issuer not present in specified provider"));
            }
        }
        let signed = verified(&document, &sent, provider)?;
        let status = sent.child(PROTOCOL, "Status");
        let status = status.and_then(|status| status.child(PROTOCOL, "StatusCode"));
        if status.and_then(|code| code.attribute("Value")) != Some(SUCCESS) {
            let message = "The identity provider did not report success.";
            return Err(StsError::sender(403, "IDPRejectedClaim", message));
        }
        let assertion = if signed.is(ASSERTION, "Assertion") {
            Some(&signed)
        } else {
            signed.child(ASSERTION, "Assertion")
        };
        let assertion = assertion.ok_or_else(|| unreadable("Invalid SAMLResponse"))?;
        Ok(Self {
            destination: sent.attribute("Destination").map(str::to_owned),
            ..Self::accept(assertion, provider, now)?
        })
    }

    /// The `roleArn,providerArn` values of a response that nothing is known of yet: where to look
    /// for keys, no more.
    pub(super) fn claimed_roles(base64: &str) -> Option<Vec<(String, String)>> {
        let document = String::from_utf8(STANDARD.decode(base64).ok()?).ok()?;
        let sent = Element::parse(&document)?;
        let assertion = sent.child(ASSERTION, "Assertion")?;
        Some(Attributes::of(assertion).roles())
    }

    fn accept(
        assertion: &Element,
        provider: &SamlProvider,
        now: OffsetDateTime,
    ) -> Result<Self, StsError> {
        let issuer = assertion.child(ASSERTION, "Issuer");
        let issuer = issuer.map(|issuer| issuer.text.trim().to_owned());
        if issuer.as_ref() != Some(&provider.entity_id) {
            return Err(unreadable("Issuer not present in specified provider"));
        }
        check_audience(assertion, Partition::of_arn(&provider.arn))?;
        let issued = instant(assertion, "IssueInstant")?;
        if issued.is_none_or(|issued| now >= issued + REDEEMABLE) {
            return Err(expired(
                "Token must be redeemed within 5 minutes of issuance",
            ));
        }
        let subject = assertion.child(ASSERTION, "Subject");
        let recipient = confirmed(subject, now)?;
        let conditions = assertion.child(ASSERTION, "Conditions");
        if let Some(conditions) = conditions
            && instant(conditions, "NotBefore")?.is_some_and(|begin| begin > now + SKEW)
        {
            return Err(invalid("Token is not valid yet (NotBefore)"));
        }
        if let Some(conditions) = conditions
            && instant(conditions, "NotOnOrAfter")?.is_some_and(|end| end <= now)
        {
            return Err(expired(
                "Token expired: current date/time must be before its end",
            ));
        }
        let session_end = match assertion.child(ASSERTION, "AuthnStatement") {
            Some(statement) => instant(statement, "SessionNotOnOrAfter")?,
            None => None,
        };
        if session_end.is_some_and(|end| end <= now) {
            return Err(expired("Token expired: the session is over"));
        }
        let name_id = subject.and_then(|subject| subject.child(ASSERTION, "NameID"));
        let format = name_id.and_then(|name_id| name_id.attribute("Format"));
        let attributes = Attributes::of(assertion);
        Ok(Self {
            id: assertion.attribute("ID").unwrap_or_default().to_owned(),
            destination: None,
            issuer: provider.entity_id.clone(),
            name_id: name_id.map(|name_id| name_id.text.trim().to_owned()),
            name_id_type: format.map_or("unspecified", short_format).to_owned(),
            recipient,
            roles: attributes.roles(),
            session_name: attributes.session_name()?,
            session_seconds: attributes.session_seconds()?,
            session_end,
            tags: attributes.tags()?,
            transitive_tag_keys: attributes.values("TransitiveTagKeys"),
            source_identity: attributes.source_identity()?,
        })
    }

    /// What trust policies may look at: `SAML:aud` and its like.
    pub(super) fn context(&self, provider: &SamlProvider) -> Context {
        let mut context = Context::default();
        let account = super::catalogue::account_of(&provider.arn);
        let name = provider.arn.rsplit('/').next().unwrap_or_default();
        context.set("saml:aud", &self.recipient);
        context.set("saml:iss", &self.issuer);
        context.set_all("saml:sub", self.name_id.as_deref());
        context.set("saml:sub_type", &self.name_id_type);
        context.set("saml:namequalifier", &provider.name_qualifier());
        context.set("saml:doc", &format!("{account}/{name}"));
        context
    }

    /// Whether it names the role with the provider.
    pub(super) fn names(&self, role: &str, provider: &str) -> bool {
        (self.roles.iter()).any(|(one, other)| one == role && other == provider)
    }
}

/// The signed part alone, as its signature covers it.
fn verified(document: &str, sent: &Element, provider: &SamlProvider) -> Result<Element, StsError> {
    let bad = || invalid("Response signature invalid");
    if !sent.descendants().into_iter().all(is_harmless) {
        return Err(bad());
    }
    let signed = Crypto::reduce_xml_to_signed_with_allowed_algorithms(
        document,
        &provider.certificates,
        ReduceMode::PreDigest,
        Some(&ALGORITHMS),
    );
    let signed = signed.ok().and_then(|signed| Element::parse(&signed));
    signed.ok_or_else(bad)
}

/// Whether xmlsec may see this part of a signature: it would fetch what is named elsewhere, and run
/// what is written in XSLT.
fn is_harmless(element: &Element) -> bool {
    if element.namespace != SIGNATURE {
        return true;
    }
    match element.name.as_str() {
        "Reference" => {
            let uri = element.attribute("URI");
            uri.is_some_and(|uri| uri.len() > 1 && uri.starts_with('#'))
        }
        "Transform" => {
            let algorithm = element.attribute("Algorithm");
            algorithm.is_some_and(|algorithm| TRANSFORMS.contains(&algorithm))
        }
        "RetrievalMethod" | "Manifest" | "Object" => false,
        _ => true,
    }
}

fn expired(message: &str) -> StsError {
    StsError::sender(400, "ExpiredTokenException", message)
}

/// The moment in an attribute; none where it is not there.
fn instant(element: &Element, name: &str) -> Result<Option<OffsetDateTime>, StsError> {
    let Some(text) = element.attribute(name) else {
        return Ok(None);
    };
    let parsed = OffsetDateTime::parse(text, &Rfc3339);
    parsed
        .map(Some)
        .map_err(|_| unreadable(&format!("{name} is no date")))
}

/// Every restriction has to name AWS, as AWS's own metadata calls itself in the partition.
fn check_audience(assertion: &Element, partition: Option<Partition>) -> Result<(), StsError> {
    let wanted = match partition {
        Some(Partition::GovCloud) => "urn:amazon:webservices:govcloud",
        Some(Partition::China) => "urn:amazon:webservices:cn-north-1",
        _ => "urn:amazon:webservices",
    };
    let conditions = assertion.child(ASSERTION, "Conditions");
    let mut restrictions = conditions
        .into_iter()
        .flat_map(|conditions| conditions.all(ASSERTION, "AudienceRestriction"))
        .peekable();
    let is_restricted = restrictions.peek().is_some();
    let is_for_aws = restrictions.all(|restriction| {
        (restriction.all(ASSERTION, "Audience")).any(|audience| audience.text.trim() == wanted)
    });
    if is_restricted && is_for_aws {
        Ok(())
    } else {
        let message = "Response does not contain the required audience";
        Err(unreadable(message))
    }
}

/// The `Recipient` of the one confirmation, which AWS calls the audience.
fn confirmed(subject: Option<&Element>, now: OffsetDateTime) -> Result<String, StsError> {
    let malformed = || unreadable("Subject has not one bearer confirmation with Recipient and end");
    let subject = subject.ok_or_else(malformed)?;
    let mut confirmations = subject.all(ASSERTION, "SubjectConfirmation");
    let confirmation = confirmations.next().ok_or_else(malformed)?;
    if confirmations.next().is_some() || confirmation.attribute("Method") != Some(BEARER) {
        return Err(malformed());
    }
    let data = confirmation.child(ASSERTION, "SubjectConfirmationData");
    let data = data.ok_or_else(malformed)?;
    let end = instant(data, "NotOnOrAfter")?.ok_or_else(malformed)?;
    if end <= now {
        return Err(expired(
            "Token expired: current date/time must be before its end",
        ));
    }
    let recipient = data.attribute("Recipient").ok_or_else(malformed)?;
    Ok(recipient.to_owned())
}

fn short_format(format: &str) -> &str {
    format.strip_prefix(NAME_ID_FORMAT).unwrap_or(format)
}

/// The attributes that AWS reads, by the end of their names.
struct Attributes(Vec<(String, Vec<String>)>);

impl Attributes {
    fn of(assertion: &Element) -> Self {
        let statements = assertion.all(ASSERTION, "AttributeStatement");
        let attributes = statements
            .flat_map(|statement| statement.all(ASSERTION, "Attribute"))
            .filter_map(|attribute| {
                let name = attribute.attribute("Name")?.strip_prefix(ATTRIBUTES)?;
                let values = attribute.all(ASSERTION, "AttributeValue");
                let values = values.map(|value| value.text.trim().to_owned()).collect();
                Some((name.to_owned(), values))
            });
        Self(attributes.collect())
    }

    fn values(&self, name: &str) -> Vec<String> {
        let named = self.0.iter().filter(|(known, _)| known == name);
        named.flat_map(|(_, values)| values.clone()).collect()
    }

    fn roles(&self) -> Vec<(String, String)> {
        let values = self.values("Role");
        let pairs = values.iter().filter_map(|value| value.split_once(','));
        let pairs = pairs.map(|(one, other)| (one.trim().to_owned(), other.trim().to_owned()));
        // The documented order is role and provider; the other is taken as well.
        pairs
            .map(|(one, other)| {
                if one.contains(":saml-provider/") {
                    (other, one)
                } else {
                    (one, other)
                }
            })
            .collect()
    }

    fn session_name(&self) -> Result<String, StsError> {
        match <[String; 1]>::try_from(self.values("RoleSessionName")) {
            Ok([name]) if is_word(&name) => Ok(name),
            Ok(_) => Err(invalid(
                "RoleSessionName in AuthnResponse must match [a-zA-Z_0-9+=,.@-]{2,64}",
            )),
            Err(_) => Err(invalid("RoleSessionName is required in AuthnResponse")),
        }
    }

    fn source_identity(&self) -> Result<Option<String>, StsError> {
        let mut values = self.values("SourceIdentity").into_iter();
        match values.next() {
            Some(_) if values.next().is_some() => Err(invalid("Source Identity must be one value")),
            Some(name) if !is_word(&name) || name.to_lowercase().starts_with("aws:") => {
                Err(invalid(
                    "Source Identity must match [a-zA-Z_0-9+=,.@-]{2,64} and not begin with aws:",
                ))
            }
            value => Ok(value),
        }
    }

    fn session_seconds(&self) -> Result<Option<u32>, StsError> {
        let Some(text) = self.values("SessionDuration").into_iter().next() else {
            return Ok(None);
        };
        let seconds = text.parse().ok();
        match seconds.filter(|seconds| (900..=43_200).contains(seconds)) {
            Some(seconds) => Ok(Some(seconds)),
            None => Err(invalid(
                "SessionDuration in AuthnResponse must be 900 to 43200",
            )),
        }
    }

    fn tags(&self) -> Result<Vec<(String, String)>, StsError> {
        let tags = self.0.iter().filter_map(|(name, values)| {
            let key = name.strip_prefix("PrincipalTag:")?;
            Some(match values.as_slice() {
                [value] => Ok((key.to_owned(), value.clone())),
                _ => Err(invalid("PrincipalTag attributes must have one value")),
            })
        });
        tags.collect()
    }
}

/// Whether AWS takes it as a session name or source identity.
pub(super) fn is_word(text: &str) -> bool {
    (2..=64).contains(&text.len())
        && (text.bytes()).all(|byte| byte.is_ascii_alphanumeric() || b"_+=,.@-".contains(&byte))
}
