//! Keys and certificates for the tests, made anew by each run.

use openssl::{
    asn1::Asn1Time,
    bn::BigNum,
    ec::{EcGroup, EcKey},
    hash::MessageDigest,
    nid::Nid,
    pkey::{PKey, Private, Public},
    rsa::Rsa,
    x509::{X509, X509NameBuilder},
};

/// A key with its certificate.
#[derive(Debug, Clone)]
pub struct KeyPair {
    pub key: PKey<Private>,
    pub certificate: X509,
}

impl KeyPair {
    /// RSA of 2048 bits.
    pub fn rsa(name: &str, serial: u32) -> Self {
        Self::rsa_with_exponent(name, serial, 65537)
    }

    /// RSA of 2048 bits with a public exponent.
    pub fn rsa_with_exponent(name: &str, serial: u32, exponent: u32) -> Self {
        let exponent = BigNum::from_u32(exponent).expect("a number");
        let key = Rsa::generate_with_e(2048, &exponent).expect("OpenSSL makes RSA keys");
        Self::certified(PKey::from_rsa(key).expect("an RSA key"), name, serial)
    }

    /// ECDSA on P-256 or P-384.
    pub fn ec(name: &str, serial: u32, curve: Nid) -> Self {
        let group = EcGroup::from_curve_name(curve).expect("OpenSSL knows the curve");
        let key = EcKey::generate(&group).expect("OpenSSL makes EC keys");
        Self::certified(PKey::from_ec_key(key).expect("an EC key"), name, serial)
    }

    /// The certificate, DER.
    pub fn der(&self) -> Vec<u8> {
        self.certificate.to_der().expect("a certificate")
    }

    /// The certificate, PEM.
    pub fn certificate_pem(&self) -> String {
        let pem = self.certificate.to_pem().expect("a certificate");
        String::from_utf8(pem).expect("PEM is ASCII")
    }

    /// The private key, PKCS#8 PEM.
    pub fn key_pem(&self) -> String {
        let pem = self.key.private_key_to_pem_pkcs8().expect("a private key");
        String::from_utf8(pem).expect("PEM is ASCII")
    }

    /// The public key.
    pub fn public_key(&self) -> PKey<Public> {
        self.certificate
            .public_key()
            .expect("a certificate has a key")
    }

    fn certified(key: PKey<Private>, name: &str, serial: u32) -> Self {
        let mut names = X509NameBuilder::new().expect("OpenSSL works");
        names
            .append_entry_by_nid(Nid::COMMONNAME, name)
            .expect("a name");
        let names = names.build();
        let mut builder = X509::builder().expect("OpenSSL works");
        let number = |value| BigNum::from_u32(value).and_then(|n| n.to_asn1_integer());
        builder.set_version(2).expect("X.509 version 3");
        builder
            .set_serial_number(&number(serial).expect("a number"))
            .expect("a number");
        builder.set_subject_name(&names).expect("a name");
        builder.set_issuer_name(&names).expect("a name");
        let from = Asn1Time::from_str("20200101000000Z").expect("a time");
        let until = Asn1Time::from_str("20491231235959Z").expect("a time");
        builder.set_not_before(&from).expect("a time");
        builder.set_not_after(&until).expect("a time");
        builder.set_pubkey(&key).expect("a key");
        builder
            .sign(&key, MessageDigest::sha256())
            .expect("the key signs");
        Self {
            certificate: builder.build(),
            key,
        }
    }
}
