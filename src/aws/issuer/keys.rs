//! Keys of the issuer: making new ones, and what can be told of those in use.
//!
//! Never here: files; a private key leaves as PEM for its owner to keep. Entry points:
//! [`new_saml_key`], [`new_oidc_key`], [`KeyState`].

use aws_lc_rs::digest::{SHA256, digest};
use openssl::{
    asn1::{Asn1Time, Asn1TimeRef},
    bn::{BigNum, MsbOption},
    ec::{EcGroup, EcKey},
    error::ErrorStack,
    hash::MessageDigest,
    nid::Nid,
    pkey::{PKey, Private},
    rsa::Rsa,
    symm::Cipher,
    x509::{X509, X509NameBuilder, extension::KeyUsage},
};
use secrecy::{ExposeSecret as _, SecretString};
use time::OffsetDateTime;
use zeroize::Zeroizing;

use super::{super::Cause, signer::Algorithm, signer::Signer};

/// The bits of a new RSA key: every more costs several times the processor time for each sign-in.
const RSA_BITS: u32 = 2048;
/// The bits of a serial number (RFC 5280 allows 159).
const SERIAL_BITS: i32 = 127;
/// From when on a certificate that ends is worth a warning.
pub const ENDS_SOON: time::Duration = time::Duration::days(30);

/// A new private key as PKCS#8 in PEM, encrypted where there was a passphrase, and its certificate.
pub struct NewKey {
    /// The private key.
    pub key_pem: Zeroizing<Vec<u8>>,
    /// The certificate, where one was made.
    pub certificate_pem: Option<Vec<u8>>,
}

impl std::fmt::Debug for NewKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewKey").finish_non_exhaustive()
    }
}

/// A new RSA key for assertions, with a certificate signed by itself that is good for `days` from
/// `now` on.
pub fn new_saml_key(
    passphrase: Option<&SecretString>,
    now: OffsetDateTime,
    days: u32,
) -> Result<NewKey, Cause> {
    let key = PKey::from_rsa(Rsa::generate(RSA_BITS)?)?;
    let mut name = X509NameBuilder::new()?;
    name.append_entry_by_nid(Nid::COMMONNAME, "Rolegate issuer")?;
    let name = name.build();
    let mut serial = BigNum::new()?;
    serial.rand(SERIAL_BITS, MsbOption::MAYBE_ZERO, false)?;
    let mut builder = X509::builder()?;
    // Version 3 counts from zero.
    builder.set_version(2)?;
    builder.set_serial_number(serial.to_asn1_integer()?.as_ref())?;
    builder.set_subject_name(&name)?;
    builder.set_issuer_name(&name)?;
    builder.set_not_before(asn1(now)?.as_ref())?;
    builder.set_not_after(asn1(now + time::Duration::days(days.into()))?.as_ref())?;
    builder.set_pubkey(&key)?;
    builder.append_extension(KeyUsage::new().critical().digital_signature().build()?)?;
    builder.sign(&key, MessageDigest::sha256())?;
    Ok(NewKey {
        key_pem: pem(&key, passphrase)?,
        certificate_pem: Some(builder.build().to_pem()?),
    })
}

/// A new key on P-256 for tokens.
pub fn new_oidc_key(passphrase: Option<&SecretString>) -> Result<NewKey, Cause> {
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1)?;
    let key = PKey::from_ec_key(EcKey::generate(&group)?)?;
    Ok(NewKey {
        key_pem: pem(&key, passphrase)?,
        certificate_pem: None,
    })
}

fn pem(
    key: &PKey<Private>,
    passphrase: Option<&SecretString>,
) -> Result<Zeroizing<Vec<u8>>, ErrorStack> {
    let pem = match passphrase {
        Some(passphrase) => {
            let passphrase = passphrase.expose_secret().as_bytes();
            key.private_key_to_pem_pkcs8_passphrase(Cipher::aes_256_cbc(), passphrase)
        }
        None => key.private_key_to_pem_pkcs8(),
    };
    pem.map(Zeroizing::new)
}

fn asn1(at: OffsetDateTime) -> Result<Asn1Time, ErrorStack> {
    Asn1Time::from_unix(at.unix_timestamp())
}

/// What a key is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Assertions.
    Saml,
    /// Tokens.
    Oidc,
}

/// What can be told of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyState {
    /// What it is for.
    pub purpose: Purpose,
    /// Whether it signs; the others are published alone.
    pub signs: bool,
    /// With what it signs.
    pub algorithm: Algorithm,
    /// For assertions the SHA-256 of the certificate in hexadecimal, for tokens the `kid`.
    pub thumbprint: String,
    /// When its certificate ends, where it has one.
    pub ends_at: Option<OffsetDateTime>,
}

impl KeyState {
    pub(super) fn of_saml(signer: &dyn Signer, signs: bool) -> Result<Self, Cause> {
        let der = signer.certificate().unwrap_or_default();
        let certificate = X509::from_der(der)?;
        Ok(Self {
            purpose: Purpose::Saml,
            signs,
            algorithm: signer.algorithm(),
            thumbprint: hex::encode(digest(&SHA256, der)),
            ends_at: Some(moment(certificate.not_after())?),
        })
    }

    pub(super) fn of_oidc(signer: &dyn Signer, kid: &str, signs: bool) -> Self {
        Self {
            purpose: Purpose::Oidc,
            signs,
            algorithm: signer.algorithm(),
            thumbprint: kid.to_owned(),
            ends_at: None,
        }
    }

    /// Whole days until its certificate ends; negative once it has.
    pub fn days_left(&self, now: OffsetDateTime) -> Option<i64> {
        let left = self.ends_at? - now;
        Some(left.whole_seconds().div_euclid(24 * 60 * 60))
    }

    /// Whether its certificate has ended.
    pub fn has_ended(&self, now: OffsetDateTime) -> bool {
        self.ends_at.is_some_and(|end| end <= now)
    }

    /// Whether its certificate ends within [`ENDS_SOON`], or has.
    pub fn ends_soon(&self, now: OffsetDateTime) -> bool {
        self.ends_at.is_some_and(|end| end <= now + ENDS_SOON)
    }
}

fn moment(at: &Asn1TimeRef) -> Result<OffsetDateTime, Cause> {
    let since = Asn1Time::from_unix(0)?.diff(at)?;
    let seconds = i64::from(since.days) * 24 * 60 * 60 + i64::from(since.secs);
    Ok(OffsetDateTime::from_unix_timestamp(seconds)?)
}
