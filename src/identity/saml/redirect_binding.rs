//! The HTTP-Redirect binding (SAML bindings 3.4): a message deflated into a query, signed as a
//! string.
//!
//! What is signed is the query as it was sent, so that it is read raw here and nowhere else. Never
//! here: the structure of the message, which is the [`gate`](super::gate)'s; HTTP. Entry points:
//! [`parse`] for what comes in, [`url()`] for what goes out.

use std::{borrow::Cow, fmt, fmt::Write as _, io::Write as _};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use flate2::{Compression, Decompress, FlushDecompress, Status, write::DeflateEncoder};
use openssl::{
    bn::BigNum,
    ecdsa::EcdsaSig,
    error::ErrorStack,
    hash::MessageDigest,
    pkey::{Id, PKey, Private, Public},
    sign::{Signer, Verifier},
    x509::X509,
};
use thiserror::Error;
use url::Url;

use super::{
    gate::LARGEST,
    refusal::{Reason, Refused},
};

/// The longest RelayState that may be sent, in bytes (SAML bindings 3.4.3).
pub const LONGEST_RELAY_STATE: usize = 80;

const DEFLATE: &str = "urn:oasis:names:tc:SAML:2.0:bindings:URL-Encoding:DEFLATE";
const RSA_SHA256: &str = "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256";
const ECDSA_SHA256: &str = "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256";

/// Whether a message asks or answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `SAMLRequest`.
    Request,
    /// `SAMLResponse`.
    Response,
}

impl Kind {
    fn parameter(self) -> &'static str {
        match self {
            Self::Request => "SAMLRequest",
            Self::Response => "SAMLResponse",
        }
    }
}

/// A message that came as a query.
#[derive(Clone, PartialEq, Eq)]
pub struct RedirectMessage {
    /// Whether it asks or answers.
    pub kind: Kind,
    /// The message, inflated; not looked at yet.
    pub xml: Vec<u8>,
    /// The RelayState as it was sent; an empty one is `Some("")`.
    pub relay_state: Option<String>,
    signature: Option<QuerySignature>,
}

impl fmt::Debug for RedirectMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedirectMessage")
            .field("kind", &self.kind)
            .field("is_signed", &self.is_signed())
            .finish_non_exhaustive()
    }
}

#[derive(Clone, PartialEq, Eq)]
struct QuerySignature {
    algorithm: Algorithm,
    value: Vec<u8>,
    /// The signed octets: SAMLRequest or SAMLResponse, RelayState, SigAlg in this order.
    octets: String,
}

/// An algorithm by what it takes: the kind of key and the digest.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Algorithm {
    key: Id,
    digest: Digest,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Digest {
    Sha256,
    Sha384,
    Sha512,
}

impl Algorithm {
    fn of(uri: &str) -> Option<Self> {
        let (key, digest) = uri
            .strip_prefix("http://www.w3.org/2001/04/xmldsig-more#")?
            .split_once('-')?;
        Some(Self {
            key: match key {
                "rsa" => Id::RSA,
                "ecdsa" => Id::EC,
                _ => return None,
            },
            digest: match digest {
                "sha256" => Digest::Sha256,
                "sha384" => Digest::Sha384,
                "sha512" => Digest::Sha512,
                _ => return None,
            },
        })
    }

    fn message_digest(self) -> MessageDigest {
        match self.digest {
            Digest::Sha256 => MessageDigest::sha256(),
            Digest::Sha384 => MessageDigest::sha384(),
            Digest::Sha512 => MessageDigest::sha512(),
        }
    }
}

/// Reads the raw query of a request, without its `?`.
///
/// Parameters that are not SAML's are left alone. SAML's may each stand once, spelled as they are.
///
/// # Errors
/// [`Refused`]: [`Reason::Encoding`] for what cannot be read, [`Reason::TooLarge`],
/// [`Reason::Algorithm`] for a signature that could never count.
pub fn parse(query: &str) -> Result<RedirectMessage, Refused> {
    if query.len() > LARGEST {
        return Err(Refused::new(
            Reason::TooLarge,
            format!(
                "a query of {} bytes; at most {LARGEST} are read",
                query.len()
            ),
        ));
    }
    let parameters = Parameters::of(query)?;
    let (kind, raw) = match (parameters.request, parameters.response) {
        (Some(raw), None) => (Kind::Request, raw),
        (None, Some(raw)) => (Kind::Response, raw),
        _ => return Err(unreadable("not one of SAMLRequest and SAMLResponse")),
    };
    if let Some(raw) = parameters.encoding
        && decoded(raw)? != DEFLATE
    {
        return Err(unreadable("a SAMLEncoding other than DEFLATE"));
    }
    let relay_state = parameters.relay_state.map(decoded).transpose()?;
    let signature = match (parameters.algorithm, parameters.signature) {
        (None, None) => None,
        (Some(algorithm), Some(value)) => Some(QuerySignature {
            algorithm: allowed(&decoded(algorithm)?)?,
            value: from_base64(value)?,
            octets: octets(kind, raw, parameters.relay_state, algorithm),
        }),
        _ => return Err(unreadable("one of SigAlg and Signature without the other")),
    };
    Ok(RedirectMessage {
        kind,
        xml: inflated(&from_base64(raw)?)?,
        relay_state: relay_state.map(Cow::into_owned),
        signature,
    })
}

impl RedirectMessage {
    /// Whether the query carries a signature. Nothing is said about whose.
    pub fn is_signed(&self) -> bool {
        self.signature.is_some()
    }

    /// Verifies the signature of the query with any of these certificates, DER.
    ///
    /// # Errors
    /// [`Refused`]: [`Reason::Unsigned`], or [`Reason::Signature`] where none of the keys made it.
    pub fn verify(&self, certificates: &[Vec<u8>]) -> Result<(), Refused> {
        let signature = self
            .signature
            .as_ref()
            .ok_or_else(|| Refused::new(Reason::Unsigned, "the query is not signed"))?;
        let is_made_by = |certificate: &Vec<u8>| {
            X509::from_der(certificate)
                .and_then(|certificate| certificate.public_key())
                .is_ok_and(|key| signature.is_made_by(&key))
        };
        if certificates.iter().any(is_made_by) {
            return Ok(());
        }
        Err(Refused::new(
            Reason::Signature,
            "no configured key made this signature over this query",
        ))
    }
}

impl QuerySignature {
    fn is_made_by(&self, key: &PKey<Public>) -> bool {
        if key.id() != self.algorithm.key {
            return false;
        }
        let is_right = |value: &[u8]| {
            Verifier::new(self.algorithm.message_digest(), key)
                .and_then(|mut verifier| verifier.verify_oneshot(value, self.octets.as_bytes()))
                .unwrap_or(false)
        };
        // RFC 9231 writes ECDSA as r and s side by side; Java's providers write DER.
        is_right(&self.value)
            || (self.algorithm.key == Id::EC
                && side_by_side(&self.value).is_some_and(|der| is_right(&der)))
    }
}

fn side_by_side(value: &[u8]) -> Option<Vec<u8>> {
    if value.is_empty() || !value.len().is_multiple_of(2) {
        return None;
    }
    let (r, s) = value.split_at(value.len() / 2);
    let r = BigNum::from_slice(r).ok()?;
    let s = BigNum::from_slice(s).ok()?;
    EcdsaSig::from_private_components(r, s).ok()?.to_der().ok()
}

/// The parameters that are SAML's, raw.
#[derive(Default)]
struct Parameters<'a> {
    request: Option<&'a str>,
    response: Option<&'a str>,
    relay_state: Option<&'a str>,
    algorithm: Option<&'a str>,
    signature: Option<&'a str>,
    encoding: Option<&'a str>,
}

impl<'a> Parameters<'a> {
    fn of(query: &'a str) -> Result<Self, Refused> {
        let mut parameters = Self::default();
        for pair in query.split('&') {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let Some(parameter) = parameters.named(name) else {
                refuse_imitation(name)?;
                continue;
            };
            if parameter.replace(value).is_some() {
                return Err(unreadable(&format!("{name} stands twice")));
            }
        }
        Ok(parameters)
    }

    fn named(&mut self, name: &str) -> Option<&mut Option<&'a str>> {
        Some(match name {
            "SAMLRequest" => &mut self.request,
            "SAMLResponse" => &mut self.response,
            "RelayState" => &mut self.relay_state,
            "SigAlg" => &mut self.algorithm,
            "Signature" => &mut self.signature,
            "SAMLEncoding" => &mut self.encoding,
            _ => return None,
        })
    }
}

/// Refuses a name that another reader would take for one of SAML's.
fn refuse_imitation(name: &str) -> Result<(), Refused> {
    let plain = decoded(name)?;
    let is_imitation = [
        "SAMLRequest",
        "SAMLResponse",
        "RelayState",
        "SigAlg",
        "Signature",
        "SAMLEncoding",
    ]
    .iter()
    .any(|known| plain.trim().eq_ignore_ascii_case(known));
    if is_imitation {
        return Err(unreadable(&format!("a parameter that is spelled {name:?}")));
    }
    Ok(())
}

/// A percent-encoded part of a query as text; `+` is a blank.
fn decoded(raw: &str) -> Result<Cow<'_, str>, Refused> {
    if !raw.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(unreadable("a character that has to be percent-encoded"));
    }
    if !raw.contains(['%', '+']) {
        return Ok(Cow::Borrowed(raw));
    }
    let mut bytes = Vec::with_capacity(raw.len());
    let mut rest = raw.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        bytes.push(match first {
            b'+' => b' ',
            b'%' => {
                let (digits, after) = rest
                    .split_at_checked(2)
                    .ok_or_else(|| unreadable("a broken percent-encoding"))?;
                rest = after;
                let mut byte = [0];
                hex::decode_to_slice(digits, &mut byte)
                    .map_err(|_| unreadable("a broken percent-encoding"))?;
                byte[0]
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes)
        .map(Cow::Owned)
        .map_err(|_| unreadable("a percent-encoding of something that is not UTF-8"))
}

fn from_base64(raw: &str) -> Result<Vec<u8>, Refused> {
    let text = decoded(raw)?;
    if text.is_empty() {
        return Err(unreadable("an empty value"));
    }
    STANDARD
        .decode(text.as_bytes())
        .map_err(|_| unreadable("a value that is not base64"))
}

/// The message behind raw DEFLATE (RFC 1951), whole and not larger than is read.
fn inflated(bytes: &[u8]) -> Result<Vec<u8>, Refused> {
    // One byte more than may come out: whoever fills it is too large, and nothing more is read.
    let mut xml = vec![0; LARGEST + 1];
    let mut inflater = Decompress::new(false);
    let status = inflater.decompress(bytes, &mut xml, FlushDecompress::Finish);
    let length = usize::try_from(inflater.total_out()).unwrap_or(usize::MAX);
    if length > LARGEST {
        return Err(Refused::new(
            Reason::TooLarge,
            format!("it inflates to more than {LARGEST} bytes"),
        ));
    }
    let is_whole = inflater.total_in() == bytes.len() as u64;
    if !matches!(status, Ok(Status::StreamEnd)) || !is_whole {
        return Err(unreadable("not one whole DEFLATE stream"));
    }
    xml.truncate(length);
    xml.shrink_to_fit();
    Ok(xml)
}

fn allowed(uri: &str) -> Result<Algorithm, Refused> {
    Algorithm::of(uri).ok_or_else(|| {
        Refused::new(
            Reason::Algorithm,
            format!("SigAlg {uri:?}; RSA and ECDSA with SHA-256, -384 or -512 are taken"),
        )
    })
}

fn unreadable(what: &str) -> Refused {
    Refused::new(Reason::Encoding, format!("in the query: {what}"))
}

/// What is signed, of raw values (SAML bindings 3.4.4.1).
fn octets(kind: Kind, message: &str, relay_state: Option<&str>, algorithm: &str) -> String {
    let mut octets = format!("{}={message}", kind.parameter());
    if let Some(relay_state) = relay_state {
        octets.push_str("&RelayState=");
        octets.push_str(relay_state);
    }
    octets.push_str("&SigAlg=");
    octets.push_str(algorithm);
    octets
}

/// Why no address could be made.
#[derive(Debug, Error)]
pub enum UrlError {
    /// Longer than every receiver has to take.
    #[error("a RelayState of {0} bytes; at most {LONGEST_RELAY_STATE} may be sent")]
    RelayState(usize),
    /// Neither an RSA nor an elliptic-curve key.
    #[error("a key that is neither RSA nor elliptic-curve cannot sign a redirect")]
    KeyKind,
    /// The key does not sign.
    #[error("the redirect cannot be signed")]
    Signing(#[from] ErrorStack),
    /// The message cannot be deflated.
    #[error("the message cannot be deflated")]
    Deflate(#[from] std::io::Error),
}

/// The address that carries a message to `destination`, signed where there is a key: RSA-SHA256 or
/// ECDSA-SHA256, whichever the key is for.
///
/// A query that `destination` has already is kept and is not signed; a fragment is dropped. The
/// message itself should hold no signature (SAML bindings 3.4.4.1).
///
/// # Errors
/// [`UrlError`].
pub fn url(
    destination: &Url,
    kind: Kind,
    xml: &str,
    relay_state: Option<&str>,
    key: Option<&PKey<Private>>,
) -> Result<Url, UrlError> {
    if let Some(long) = relay_state.filter(|state| state.len() > LONGEST_RELAY_STATE) {
        return Err(UrlError::RelayState(long.len()));
    }
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(xml.as_bytes())?;
    let message = percent_encoded(&STANDARD.encode(encoder.finish()?));
    let relay_state = relay_state.map(percent_encoded);
    let added = match key {
        Some(key) => signed(kind, &message, relay_state.as_deref(), key)?,
        None => match relay_state {
            Some(state) => format!("{}={message}&RelayState={state}", kind.parameter()),
            None => format!("{}={message}", kind.parameter()),
        },
    };
    let mut address = destination.clone();
    address.set_fragment(None);
    let query = match destination.query() {
        Some(query) if !query.is_empty() => format!("{query}&{added}"),
        _ => added,
    };
    address.set_query(Some(&query));
    Ok(address)
}

fn signed(
    kind: Kind,
    message: &str,
    relay_state: Option<&str>,
    key: &PKey<Private>,
) -> Result<String, UrlError> {
    let algorithm = match key.id() {
        Id::RSA => RSA_SHA256,
        Id::EC => ECDSA_SHA256,
        _ => return Err(UrlError::KeyKind),
    };
    let octets = octets(kind, message, relay_state, &percent_encoded(algorithm));
    let signature =
        Signer::new(MessageDigest::sha256(), key)?.sign_oneshot_to_vec(octets.as_bytes())?;
    let signature = percent_encoded(&STANDARD.encode(signature));
    Ok(format!("{octets}&Signature={signature}"))
}

/// Everything but unreserved characters (RFC 3986 2.3) encoded, so that nothing on the way has a
/// reason to write it differently.
fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len() + text.len() / 4);
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing to a String does not fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use openssl::{
        asn1::Asn1Time,
        bn::BigNum,
        ec::{EcGroup, EcKey},
        nid::Nid,
        rsa::Rsa,
        x509::X509Name,
    };

    use super::*;

    const XML: &str = "<p:LogoutRequest xmlns:p=\"urn:oasis:names:tc:SAML:2.0:protocol\"/>";

    fn rsa() -> PKey<Private> {
        PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap()
    }

    fn elliptic() -> PKey<Private> {
        let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
        PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap()
    }

    fn certificate(key: &PKey<Private>) -> Vec<u8> {
        let mut name = X509Name::builder().unwrap();
        name.append_entry_by_text("CN", "idp").unwrap();
        let name = name.build();
        let mut builder = X509::builder().unwrap();
        builder.set_version(2).unwrap();
        let serial = BigNum::from_u32(1).unwrap().to_asn1_integer().unwrap();
        builder.set_serial_number(&serial).unwrap();
        builder.set_subject_name(&name).unwrap();
        builder.set_issuer_name(&name).unwrap();
        builder.set_pubkey(key).unwrap();
        builder
            .set_not_before(&Asn1Time::days_from_now(0).unwrap())
            .unwrap();
        builder
            .set_not_after(&Asn1Time::days_from_now(1).unwrap())
            .unwrap();
        builder.sign(key, MessageDigest::sha256()).unwrap();
        builder.build().to_der().unwrap()
    }

    fn destination() -> Url {
        Url::parse("https://idp.test/slo?tenant=a%20b#part").unwrap()
    }

    fn sent(relay_state: Option<&str>, key: Option<&PKey<Private>>) -> String {
        let address = url(&destination(), Kind::Request, XML, relay_state, key).unwrap();
        assert_eq!(address.fragment(), None);
        address.query().unwrap().to_owned()
    }

    fn deflated(bytes: &[u8]) -> String {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(bytes).unwrap();
        percent_encoded(&STANDARD.encode(encoder.finish().unwrap()))
    }

    fn reason(query: &str) -> Reason {
        parse(query).unwrap_err().reason
    }

    #[test]
    fn what_is_sent_signed_is_read_and_verified() {
        for key in [rsa(), elliptic()] {
            for relay_state in [None, Some("a b&c=d+\u{e9}%"), Some("")] {
                let query = sent(relay_state, Some(&key));
                assert!(query.starts_with("tenant=a%20b&SAMLRequest="), "{query}");
                let message = parse(&query).unwrap();
                assert_eq!(message.kind, Kind::Request);
                assert_eq!(message.xml, XML.as_bytes());
                assert_eq!(message.relay_state.as_deref(), relay_state);
                assert!(message.is_signed());
                let others = [vec![1, 2, 3], certificate(&rsa()), certificate(&elliptic())];
                assert_eq!(
                    message.verify(&others).unwrap_err().reason,
                    Reason::Signature
                );
                assert_eq!(message.verify(&[]).unwrap_err().reason, Reason::Signature);
                message
                    .verify(&[certificate(&rsa()), certificate(&key)])
                    .unwrap();
            }
        }
    }

    #[test]
    fn the_order_and_the_spelling_of_the_sender_are_what_is_signed() {
        let key = rsa();
        let query = sent(Some("state"), Some(&key));
        let mut parts: Vec<&str> = query.split('&').collect();
        parts.reverse();
        let certificates = [certificate(&key)];
        parse(&parts.join("&"))
            .unwrap()
            .verify(&certificates)
            .unwrap();

        // The same value in another spelling was not signed.
        let respelled = query.replace("RelayState=state", "RelayState=%73tate");
        let message = parse(&respelled).unwrap();
        assert_eq!(message.relay_state.as_deref(), Some("state"));
        assert_eq!(
            message.verify(&certificates).unwrap_err().reason,
            Reason::Signature
        );

        // Lower-case percent-encodings, as .NET writes them, are signed as they are.
        let message = deflated(XML.as_bytes())
            .replace("%2B", "%2b")
            .replace("%2F", "%2f");
        let algorithm = "http%3a%2f%2fwww.w3.org%2f2001%2f04%2fxmldsig-more%23rsa-sha512";
        let octets = format!("SAMLResponse={message}&SigAlg={algorithm}");
        let signature = Signer::new(MessageDigest::sha512(), &key)
            .unwrap()
            .sign_oneshot_to_vec(octets.as_bytes())
            .unwrap();
        let signature = percent_encoded(&STANDARD.encode(signature));
        let message = parse(&format!("{octets}&Signature={signature}")).unwrap();
        assert_eq!(message.kind, Kind::Response);
        message.verify(&certificates).unwrap();
    }

    #[test]
    fn both_ways_to_write_an_elliptic_signature_are_read() {
        let key = elliptic();
        let message = deflated(XML.as_bytes());
        let octets = octets(
            Kind::Request,
            &message,
            None,
            &percent_encoded(ECDSA_SHA256),
        );
        let der = Signer::new(MessageDigest::sha256(), &key)
            .unwrap()
            .sign_oneshot_to_vec(octets.as_bytes())
            .unwrap();
        let signature = EcdsaSig::from_der(&der).unwrap();
        let mut raw = signature.r().to_vec_padded(32).unwrap();
        raw.extend(signature.s().to_vec_padded(32).unwrap());
        let query = |value: &[u8]| {
            format!(
                "{octets}&Signature={}",
                percent_encoded(&STANDARD.encode(value))
            )
        };
        let certificates = [certificate(&key)];
        parse(&query(&raw)).unwrap().verify(&certificates).unwrap();
        parse(&query(&der)).unwrap().verify(&certificates).unwrap();
        for forged in [vec![0; 64], vec![0; 1], vec![0x30, 6, 2, 1, 0, 2, 1, 0]] {
            let message = parse(&query(&forged)).unwrap();
            assert_eq!(
                message.verify(&certificates).unwrap_err().reason,
                Reason::Signature
            );
        }
    }

    #[test]
    fn a_changed_query_does_not_verify() {
        let key = rsa();
        let certificates = [certificate(&key)];
        let query = sent(Some("state"), Some(&key));
        let other = deflated(b"<other/>");
        let mine = query.split('&').nth(1).unwrap();
        for changed in [
            query.replace("RelayState=state", "RelayState=evil"),
            query.replace("&RelayState=state", ""),
            query.replace(mine, &format!("SAMLRequest={other}")),
            query.replace("SAMLRequest=", "SAMLResponse="),
            query.replace("rsa-sha256", "rsa-sha512"),
            query.replace("rsa-sha256", "ecdsa-sha256"),
        ] {
            let message = parse(&changed).unwrap();
            assert_eq!(
                message.verify(&certificates).unwrap_err().reason,
                Reason::Signature
            );
        }
        let unsigned = parse(&sent(None, None)).unwrap();
        assert!(!unsigned.is_signed());
        assert_eq!(
            unsigned.verify(&certificates).unwrap_err().reason,
            Reason::Unsigned
        );
    }

    #[test]
    fn each_parameter_stands_once_and_is_spelled_as_it_is() {
        let query = sent(Some("state"), Some(&rsa()));
        for added in [
            "SAMLRequest=AA",
            "SAMLResponse=AA",
            "RelayState=x",
            "RelayState",
            "SigAlg=x",
            "Signature=AA",
            "%53AMLRequest=AA",
            "samlrequest=AA",
            "relaystate=x",
            "SAMLRequest+=AA",
            "Relay%53tate=x",
            "%zz=1",
            "SAMLEncoding=x",
            "a%ff=1",
            "a=\u{e9}&\u{e9}=b",
        ] {
            assert_eq!(
                reason(&format!("{query}&{added}")),
                Reason::Encoding,
                "{added}"
            );
            assert_eq!(
                reason(&format!("{added}&{query}")),
                Reason::Encoding,
                "{added}"
            );
        }
        parse(&format!("{query}&&a=1&a=2&SAMLEncoding={DEFLATE}")).unwrap();
        for wrong in ["", "a=b", "SAMLRequest", "SAMLRequest=", "RelayState=x"] {
            assert_eq!(reason(wrong), Reason::Encoding, "{wrong}");
        }
        let lone = format!("SAMLRequest={}&Signature=AAAA", deflated(XML.as_bytes()));
        assert_eq!(reason(&lone), Reason::Encoding);
        assert_eq!(
            reason(&lone.replace("Signature", "SigAlg")),
            Reason::Encoding
        );
    }

    #[test]
    fn only_known_algorithms_are_taken() {
        let query = sent(None, Some(&rsa()));
        for other in [
            "hmac-sha256",
            "rsa-sha1",
            "rsa-md5",
            "rsa-sha256x",
            "rsa",
            "",
        ] {
            assert_eq!(
                reason(&query.replace("rsa-sha256", other)),
                Reason::Algorithm,
                "{other}"
            );
        }
        let sha1 = "http%3A%2F%2Fwww.w3.org%2F2000%2F09%2Fxmldsig%23rsa-sha1";
        let query = query.replace(&percent_encoded(RSA_SHA256), sha1);
        assert_eq!(reason(&query), Reason::Algorithm);
    }

    #[test]
    fn what_is_not_base64_of_one_deflate_stream_is_refused() {
        let raw = deflated(XML.as_bytes());
        let plain = STANDARD.encode(XML);
        for wrong in [
            raw.trim_end_matches("%3D").trim_end_matches('='),
            &format!("{raw}%3D"),
            &format!("%20{raw}"),
            &format!("{raw}%0A"),
            "AA+A",
            "A_-A",
            "A%2",
            "A%g0",
            "A%+1",
            &plain,
            &percent_encoded(&plain),
        ] {
            let query = format!("SAMLRequest={wrong}");
            if wrong != raw {
                assert_eq!(reason(&query), Reason::Encoding, "{wrong}");
            }
        }
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(XML.as_bytes()).unwrap();
        let stream = encoder.finish().unwrap();
        let mut longer = stream.clone();
        longer.push(0);
        for broken in [&stream[..stream.len() - 1], &longer] {
            let query = format!("SAMLRequest={}", percent_encoded(&STANDARD.encode(broken)));
            assert_eq!(reason(&query), Reason::Encoding);
        }
    }

    #[test]
    fn bombs_do_not_go_off() {
        let largest = parse(&format!("SAMLRequest={}", deflated(&vec![b' '; LARGEST]))).unwrap();
        assert_eq!(largest.xml.len(), LARGEST);
        for size in [LARGEST + 1, 64 * 1024 * 1024] {
            let query = format!("SAMLRequest={}", deflated(&vec![b' '; size]));
            assert_eq!(reason(&query), Reason::TooLarge);
        }
        assert_eq!(reason(&"a".repeat(LARGEST + 1)), Reason::TooLarge);
    }

    #[test]
    fn long_relay_states_and_other_keys_are_not_sent() {
        let state = "a".repeat(LONGEST_RELAY_STATE + 1);
        let sent = url(&destination(), Kind::Response, XML, Some(&state), None);
        assert!(matches!(sent, Err(UrlError::RelayState(81))));
        let key = PKey::generate_ed25519().unwrap();
        let sent = url(&destination(), Kind::Response, XML, None, Some(&key));
        assert!(matches!(sent, Err(UrlError::KeyKind)));
    }

    #[test]
    fn messages_are_not_printed() {
        let message = parse(&sent(Some("secret"), None)).unwrap();
        let printed = format!("{message:?}");
        assert!(
            !printed.contains("secret") && !printed.contains("Logout"),
            "{printed}"
        );
    }
}
