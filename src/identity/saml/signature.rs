//! XML signatures, by samael and the C libraries under it (xmlsec1, libxml2).
//!
//! The only place of the production path that calls `samael::crypto`; the demo's stand-in for AWS
//! judges for itself. Never here: a message that did not pass the
//! [`gate`](super::gate), and keys from a message. Blocks for a millisecond or so: off the async
//! threads. Entry points: [`verified`], [`sign`].

use std::{ffi::c_void, sync::OnceLock};

use openssl::{
    ec::{EcGroup, EcKey},
    error::ErrorStack,
    nid::Nid,
    pkey::{Id, PKey, Private},
    x509::X509,
};
use samael::crypto::{
    AllowedSignatureAlgorithm as Algorithm, CertificateDer, Crypto, CryptoProvider, ReduceMode,
};
use zeroize::Zeroizing;

use super::{
    gate::Allowances,
    refusal::{Reason, Refused},
};
use crate::identity::Cause;

/// The algorithms that are taken, with the digests that belong to them.
const ALGORITHMS: &[Algorithm] = &[
    Algorithm::RsaSha256,
    Algorithm::RsaSha384,
    Algorithm::RsaSha512,
    Algorithm::EcdsaSha256,
    Algorithm::EcdsaSha384,
    Algorithm::EcdsaSha512,
];

/// Verifies every signature in `text` and returns the canonical bytes that were signed: those of
/// the whole response where it is signed itself, else of the assertion.
///
/// # Errors
/// [`Reason::Signature`] unless one of the `certificates` (DER) made each signature; without
/// certificates always.
pub fn verified(
    text: &str,
    certificates: &[Vec<u8>],
    allowances: Allowances,
) -> Result<String, Refused> {
    let refused = |detail: &str| Refused::new(Reason::Signature, detail);
    if certificates.is_empty() {
        return Err(refused("no certificate of the provider is configured"));
    }
    prepare().map_err(|error| refused(&format!("OpenSSL fails: {error}")))?;
    let ders = |certificates: &[Vec<u8>]| -> Vec<CertificateDer> {
        (certificates.iter().cloned().map(CertificateDer::from)).collect()
    };
    let mut signed = reduce(text, &ders(certificates), allowances);
    if signed.is_none() && certificates.len() > 1 {
        // A key that the signature cannot be of ends xmlsec's search instead of being passed over,
        // which would break a rollover from RSA to an elliptic curve, or to another curve.
        let kinds = by_kind(certificates);
        if kinds.len() > 1 {
            signed = (kinds.iter()).find_map(|kind| reduce(text, &ders(kind), allowances));
        }
    }
    // Nothing at all is a digest too (CVE-2025-66568).
    signed
        .filter(|bytes| !bytes.is_empty())
        .ok_or_else(|| refused("no configured certificate made this signature over this content"))
}

/// One call of samael. What OpenSSL noted about a failure is dropped, so that it is not taken for
/// that of something later on the same thread.
fn reduce(text: &str, certificates: &[CertificateDer], allowances: Allowances) -> Option<String> {
    // samael's list cannot name SHA-1; without a list it is the gate alone that limits.
    let algorithms = (!allowances.sha1).then_some(ALGORITHMS);
    let signed = Crypto::reduce_xml_to_signed_with_allowed_algorithms(
        text,
        certificates,
        ReduceMode::PreDigest,
        algorithms,
    );
    signed.inspect_err(|_| drop(ErrorStack::get())).ok()
}

/// The certificates by the kind of their key, and by its curve; those that cannot be read are left
/// out. RSA keys of any length are passed over where they do not fit.
fn by_kind(certificates: &[Vec<u8>]) -> Vec<Vec<Vec<u8>>> {
    let (mut kinds, mut groups) = (Vec::new(), Vec::<Vec<Vec<u8>>>::new());
    for der in certificates {
        let Ok(key) = X509::from_der(der).and_then(|certificate| certificate.public_key()) else {
            continue;
        };
        let kind = (key.id(), if key.id() == Id::EC { key.bits() } else { 0 });
        if let Some(group) = (kinds.iter().position(|known| *known == kind))
            .and_then(|position| groups.get_mut(position))
        {
            group.push(der.clone());
        } else {
            kinds.push(kind);
            groups.push(vec![der.clone()]);
        }
    }
    groups
}

/// Fills the first `ds:Signature` template of `xml`, in document order, and returns the document.
///
/// # Errors
/// What samael says of a template or a key that it cannot use.
pub fn sign(xml: &str, key: &PKey<Private>) -> Result<String, Cause> {
    prepare()?;
    let der = Zeroizing::new(key.private_key_to_pkcs8()?);
    let signed = Crypto::sign_xml(xml, &der);
    Ok(signed.inspect_err(|_| drop(ErrorStack::get()))?)
}

#[expect(
    unsafe_code,
    reason = "xmlsec and libxml2 have no safe way to forget how to fetch, nor to be silent"
)]
mod c {
    use super::c_void;

    unsafe extern "C" {
        fn xmlSecIOCleanupCallbacks();
        fn xmlSecErrorsSetCallback(callback: Option<unsafe extern "C" fn()>);
        fn xmlSetStructuredErrorFunc(
            context: *mut c_void,
            handler: Option<unsafe extern "C" fn(*mut c_void, *mut c_void)>,
        );
    }

    /// Takes an error of libxml2 and says nothing.
    unsafe extern "C" fn ignore(_context: *mut c_void, _error: *mut c_void) {}

    /// Removes every reader of addresses and files from xmlsec, and its voice. For the process;
    /// xmlSecInit must have run.
    pub(super) fn confine() {
        // SAFETY: both change static tables of xmlsec, which this is called once for, before any
        // document of a stranger is read and while no other thread is inside xmlsec: `prepare` runs
        // before every use. No callback is what the header documents as "no output".
        unsafe {
            xmlSecIOCleanupCallbacks();
            xmlSecErrorsSetCallback(None);
        }
    }

    /// Silences libxml2 on this thread.
    pub(super) fn silence() {
        // SAFETY: the setting belongs to the thread; the handler has the signature of
        // xmlStructuredErrorFunc, touches neither pointer and lives as long as the program.
        unsafe { xmlSetStructuredErrorFunc(std::ptr::null_mut(), Some(ignore)) }
    }
}

/// Before every use: once per process xmlsec is started and loses the means to fetch, and libxml2 is
/// silenced on this thread, since a stranger must not write to our log.
fn prepare() -> Result<(), ErrorStack> {
    static PREPARED: OnceLock<Result<(), ErrorStack>> = OnceLock::new();
    c::silence();
    PREPARED
        .get_or_init(|| {
            let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1)?;
            let key = PKey::from_ec_key(EcKey::generate(&group)?)?;
            let der = Zeroizing::new(key.private_key_to_pkcs8()?);
            // There is nothing to sign in it; what counts is that xmlsec was started.
            drop(Crypto::sign_xml("<start/>", &der));
            c::confine();
            Ok(())
        })
        .clone()
}

#[cfg(test)]
mod tests {
    use std::{io::ErrorKind, net::TcpListener};

    use openssl::{asn1::Asn1Time, hash::MessageDigest, pkey::PKeyRef, rsa::Rsa, x509::X509Name};

    use super::*;

    const RSA_SHA256: &str = "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256";
    const ECDSA_SHA256: &str = "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256";
    const RSA_SHA1: &str = "http://www.w3.org/2000/09/xmldsig#rsa-sha1";

    const STRICT: Allowances = Allowances { sha1: false };

    fn rsa() -> PKey<Private> {
        PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap()
    }

    fn elliptic() -> PKey<Private> {
        let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
        PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap()
    }

    fn certificate(key: &PKeyRef<Private>) -> Vec<u8> {
        let mut name = X509Name::builder().unwrap();
        name.append_entry_by_text("CN", "idp.example").unwrap();
        let name = name.build();
        let mut certificate = X509::builder().unwrap();
        certificate.set_version(2).unwrap();
        certificate.set_subject_name(&name).unwrap();
        certificate.set_issuer_name(&name).unwrap();
        certificate.set_pubkey(key).unwrap();
        (certificate.set_not_before(&Asn1Time::days_from_now(0).unwrap())).unwrap();
        (certificate.set_not_after(&Asn1Time::days_from_now(1).unwrap())).unwrap();
        certificate.sign(key, MessageDigest::sha256()).unwrap();
        certificate.build().to_der().unwrap()
    }

    fn template(algorithm: &str, reference: &str) -> String {
        format!(
            r#"<a ID="_1"><b>Ada &amp; co</b><Signature xmlns="http://www.w3.org/2000/09/xmldsig#"><SignedInfo><CanonicalizationMethod Algorithm="http://www.w3.org/2001/10/xml-exc-c14n#"/><SignatureMethod Algorithm="{algorithm}"/><Reference URI="{reference}"><Transforms><Transform Algorithm="http://www.w3.org/2000/09/xmldsig#enveloped-signature"/><Transform Algorithm="http://www.w3.org/2001/10/xml-exc-c14n#"/></Transforms><DigestMethod Algorithm="http://www.w3.org/2001/04/xmlenc#sha256"/><DigestValue/></Reference></SignedInfo><SignatureValue/></Signature></a>"#
        )
    }

    #[test]
    fn what_was_signed_comes_back_and_nothing_else() {
        for (key, algorithm) in [(rsa(), RSA_SHA256), (elliptic(), ECDSA_SHA256)] {
            let signed = sign(&template(algorithm, "#_1"), &key).unwrap();
            let ours = certificate(&key);
            let verified_bytes = verified(&signed, std::slice::from_ref(&ours), STRICT);
            assert_eq!(
                verified_bytes.as_deref(),
                Ok(r#"<a ID="_1"><b>Ada &amp; co</b></a>"#)
            );
            let tampered = signed.replace("Ada", "Bob");
            let strangers = certificate(&rsa());
            for (text, certificates) in [
                (&tampered, vec![ours]),
                (&signed, vec![strangers]),
                (&signed, vec![b"no certificate".to_vec()]),
                (&signed, vec![]),
            ] {
                let refused = verified(text, &certificates, STRICT).unwrap_err();
                assert_eq!(refused.reason, Reason::Signature);
            }
        }
    }

    #[test]
    fn keys_roll_over_between_kinds() {
        let (old, new) = (rsa(), elliptic());
        let certificates = [certificate(&old), b"none".to_vec(), certificate(&new)];
        for (key, algorithm) in [(&old, RSA_SHA256), (&new, ECDSA_SHA256)] {
            let signed = sign(&template(algorithm, "#_1"), key).unwrap();
            verified(&signed, &certificates, STRICT).unwrap();
            let reversed: Vec<Vec<u8>> = certificates.iter().rev().cloned().collect();
            verified(&signed, &reversed, STRICT).unwrap();
        }
    }

    #[test]
    fn keys_roll_over_between_sizes() {
        let curve = |name| {
            let group = EcGroup::from_curve_name(name).unwrap();
            PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap()
        };
        let long = PKey::from_rsa(Rsa::generate(3072).unwrap()).unwrap();
        let keys = [
            (elliptic(), ECDSA_SHA256),
            (curve(Nid::SECP384R1), ECDSA_SHA256),
            (curve(Nid::SECP521R1), ECDSA_SHA256),
            (rsa(), RSA_SHA256),
            (long, RSA_SHA256),
        ];
        for (old, _) in &keys {
            for (new, algorithm) in &keys {
                let certificates = [certificate(old), certificate(new)];
                let signed = sign(&template(algorithm, "#_1"), new).unwrap();
                assert!(
                    verified(&signed, &certificates, STRICT).is_ok(),
                    "{:?} {} to {:?} {}",
                    old.id(),
                    old.bits(),
                    new.id(),
                    new.bits()
                );
            }
        }
    }

    #[test]
    fn sha1_needs_an_allowance() {
        let key = rsa();
        let signed = sign(&template(RSA_SHA1, "#_1"), &key).unwrap();
        let certificates = [certificate(&key)];
        assert!(verified(&signed, &certificates, STRICT).is_err());
        verified(&signed, &certificates, Allowances { sha1: true }).unwrap();
    }

    #[test]
    fn nothing_is_fetched_and_no_file_is_opened() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let key = rsa();
        let certificates = [certificate(&key)];
        let signed = sign(&template(RSA_SHA256, "#_1"), &key).unwrap();
        for reference in [url.as_str(), "file:///etc/passwd", "/etc/passwd"] {
            // Signing has to read what is referred to, so it shows that nothing can be read.
            assert!(sign(&template(RSA_SHA256, reference), &key).is_err());
            let moved = signed.replace("\"#_1\"", &format!("\"{reference}\""));
            assert!(moved.contains(reference));
            assert!(verified(&moved, &certificates, STRICT).is_err());
        }
        listener.set_nonblocking(true).unwrap();
        let accepted = listener.accept().map(|(_, from)| from);
        assert_eq!(accepted.unwrap_err().kind(), ErrorKind::WouldBlock);
    }
}
