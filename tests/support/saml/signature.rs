//! XML signatures: as they have to be, and with anything in them changed.

use std::{fmt, rc::Rc};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use openssl::{
    ecdsa::EcdsaSig,
    hash::{MessageDigest, hash},
    pkey::{Id, PKey, Private},
    sign::Signer,
};

use super::xml::{Canonicalization, Element, Prefixes, canonicalize};

/// The identifiers of canonicalizations and of the transform that leaves the signature out.
pub const EXCLUSIVE: &str = "http://www.w3.org/2001/10/xml-exc-c14n#";
pub const INCLUSIVE: &str = "http://www.w3.org/TR/2001/REC-xml-c14n-20010315";
pub const ENVELOPED: &str = "http://www.w3.org/2000/09/xmldsig#enveloped-signature";

/// A hash with its identifier as DigestMethod and its name in signature methods.
#[derive(Debug, Clone, Copy)]
pub struct Hash {
    pub digest_method: &'static str,
    pub rsa: &'static str,
    pub ecdsa: &'static str,
    pub hmac: &'static str,
    algorithm: fn() -> MessageDigest,
}

impl Hash {
    pub const MD5: Self = Self {
        digest_method: "http://www.w3.org/2001/04/xmldsig-more#md5",
        rsa: "http://www.w3.org/2001/04/xmldsig-more#rsa-md5",
        ecdsa: "",
        hmac: "http://www.w3.org/2001/04/xmldsig-more#hmac-md5",
        algorithm: MessageDigest::md5,
    };
    pub const SHA1: Self = Self {
        digest_method: "http://www.w3.org/2000/09/xmldsig#sha1",
        rsa: "http://www.w3.org/2000/09/xmldsig#rsa-sha1",
        ecdsa: "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha1",
        hmac: "http://www.w3.org/2000/09/xmldsig#hmac-sha1",
        algorithm: MessageDigest::sha1,
    };
    pub const SHA256: Self = Self {
        digest_method: "http://www.w3.org/2001/04/xmlenc#sha256",
        rsa: "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256",
        ecdsa: "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256",
        hmac: "http://www.w3.org/2001/04/xmldsig-more#hmac-sha256",
        algorithm: MessageDigest::sha256,
    };
    pub const SHA384: Self = Self {
        digest_method: "http://www.w3.org/2001/04/xmldsig-more#sha384",
        rsa: "http://www.w3.org/2001/04/xmldsig-more#rsa-sha384",
        ecdsa: "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha384",
        hmac: "http://www.w3.org/2001/04/xmldsig-more#hmac-sha384",
        algorithm: MessageDigest::sha384,
    };
    pub const SHA512: Self = Self {
        digest_method: "http://www.w3.org/2001/04/xmlenc#sha512",
        rsa: "http://www.w3.org/2001/04/xmldsig-more#rsa-sha512",
        ecdsa: "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha512",
        hmac: "http://www.w3.org/2001/04/xmldsig-more#hmac-sha512",
        algorithm: MessageDigest::sha512,
    };

    /// The hash in base64, as DigestValue has it.
    pub fn of(self, content: &[u8]) -> String {
        let digest = hash((self.algorithm)(), content).expect("the hash is known to OpenSSL");
        STANDARD.encode(digest)
    }
}

/// Changes a signature between its digest and its signing.
pub type Tweak = Rc<dyn Fn(&mut Element)>;

/// How to sign.
#[derive(Clone)]
pub struct Signing {
    /// With what; an HMAC key too.
    pub key: PKey<Private>,
    /// What `KeyInfo` holds; none leaves it out.
    pub key_info: Option<Element>,
    /// For the signature.
    pub hash: Hash,
    /// For the reference.
    pub digest: Hash,
    /// Of SignedInfo and of what is signed.
    pub canonicalization: Canonicalization,
    /// At which column base64 is wrapped.
    pub wrapped_at: Option<usize>,
    /// Changes the signature element before SignedInfo is signed.
    pub tweak: Option<Tweak>,
}

impl fmt::Debug for Signing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signing").finish_non_exhaustive()
    }
}

impl Signing {
    /// RSA-SHA256 with exclusive canonicalization, or ECDSA where the key is for that.
    pub fn new(key: &PKey<Private>, certificate: Option<&[u8]>) -> Self {
        Self {
            key: key.clone(),
            key_info: certificate.map(|certificate| x509_data(&[certificate])),
            hash: Hash::SHA256,
            digest: Hash::SHA256,
            canonicalization: Canonicalization::Exclusive(Vec::new()),
            wrapped_at: None,
            tweak: None,
        }
    }

    /// With this hash for signature and reference.
    pub fn hashed(mut self, hash: Hash) -> Self {
        self.hash = hash;
        self.digest = hash;
        self
    }

    /// With this canonicalization.
    pub fn canonicalized(mut self, canonicalization: Canonicalization) -> Self {
        self.canonicalization = canonicalization;
        self
    }

    /// With this in `KeyInfo`.
    pub fn key_info(mut self, key_info: Option<Element>) -> Self {
        self.key_info = key_info;
        self
    }

    /// With the signature element changed before SignedInfo is signed.
    pub fn tweaked(mut self, tweak: impl Fn(&mut Element) + 'static) -> Self {
        self.tweak = Some(Rc::new(tweak));
        self
    }

    /// Signs the element under `path` and puts the signature behind its Issuer, or first.
    pub fn sign(&self, root: &mut Element, path: &str, prefixes: &Prefixes) {
        let content = canonicalize(&root.way_to(path), None, &self.canonicalization, prefixes);
        let target = root.at(path);
        let id = target.attribute("ID").unwrap_or_default().to_owned();
        let mut signature = self.template(&id, &self.digest.of(&content), prefixes);
        if let Some(tweak) = &self.tweak {
            tweak(&mut signature);
        }
        if target.has("Issuer") {
            target.insert_after("Issuer", signature);
        } else {
            target.push_front(signature);
        }
        self.sign_signed_info(root, &join(path, "Signature"), prefixes);
    }

    /// Signs the SignedInfo of the signature under `path` again.
    pub fn sign_signed_info(&self, root: &mut Element, path: &str, prefixes: &Prefixes) {
        let way = root.way_to(&join(path, "SignedInfo"));
        let signed_info = canonicalize(&way, None, &self.canonicalization, prefixes);
        let value = self.wrap(&STANDARD.encode(self.raw_signature(&signed_info)));
        root.at(&join(path, "SignatureValue")).fill(value.as_str());
    }

    /// The signature of bytes, in the form of XML signatures.
    pub fn raw_signature(&self, content: &[u8]) -> Vec<u8> {
        let mut signer = Signer::new((self.hash.algorithm)(), &self.key).expect("the key signs");
        let signature = signer.sign_oneshot_to_vec(content).expect("the key signs");
        if self.key.id() != Id::EC {
            return signature;
        }
        let bits = self.key.ec_key().expect("an EC key").group().degree();
        let length = i32::try_from(bits.div_ceil(8)).expect("a small number");
        let signature = EcdsaSig::from_der(&signature).expect("OpenSSL reads its own");
        let halves = [signature.r(), signature.s()].map(|half| {
            half.to_vec_padded(length)
                .expect("it is no longer than the group")
        });
        halves.concat()
    }

    /// The signature element with an empty value.
    fn template(&self, id: &str, digest: &str, prefixes: &Prefixes) -> Element {
        let method = match self.key.id() {
            Id::EC => self.hash.ecdsa,
            Id::HMAC => self.hash.hmac,
            _ => self.hash.rsa,
        };
        let canonicalization = |name| match &self.canonicalization {
            Canonicalization::Inclusive => algorithm(name, INCLUSIVE),
            Canonicalization::Exclusive(list) if list.is_empty() => algorithm(name, EXCLUSIVE),
            Canonicalization::Exclusive(list) => {
                let listed: Vec<&str> = list
                    .iter()
                    .map(|prefix| Some(prefixes.written(prefix)).filter(|p| !p.is_empty()))
                    .map(|prefix| prefix.unwrap_or("#default"))
                    .collect();
                algorithm(name, EXCLUSIVE).child(
                    Element::new("ec:InclusiveNamespaces").with("PrefixList", listed.join(" ")),
                )
            }
        };
        let reference = Element::new("ds:Reference")
            .with("URI", format!("#{id}"))
            .child(
                Element::new("ds:Transforms")
                    .child(algorithm("ds:Transform", ENVELOPED))
                    .child(canonicalization("ds:Transform")),
            )
            .child(algorithm("ds:DigestMethod", self.digest.digest_method))
            .child(Element::new("ds:DigestValue").child(digest));
        let signed_info = Element::new("ds:SignedInfo")
            .child(canonicalization("ds:CanonicalizationMethod"))
            .child(algorithm("ds:SignatureMethod", method))
            .child(reference);
        let mut signature = Element::new("ds:Signature")
            .child(signed_info)
            .child(Element::new("ds:SignatureValue").child(""));
        if let Some(key_info) = &self.key_info {
            let mut key_info = key_info.clone();
            self.wrap_certificates(&mut key_info);
            signature.push(key_info);
        }
        signature
    }

    fn wrap_certificates(&self, element: &mut Element) {
        if element.local_name() == "X509Certificate" {
            let wrapped = self.wrap(&element.text());
            element.fill(wrapped.as_str());
        }
        for child in &mut element.children {
            if let super::xml::Node::Element(child) = child {
                self.wrap_certificates(child);
            }
        }
    }

    fn wrap(&self, base64: &str) -> String {
        let Some(columns) = self.wrapped_at else {
            return base64.to_owned();
        };
        let lines: Vec<&str> = base64
            .as_bytes()
            .chunks(columns)
            .map(|line| std::str::from_utf8(line).expect("base64 is ASCII"))
            .collect();
        format!("\n{}\n", lines.join("\n"))
    }
}

/// An element with an `Algorithm`.
pub fn algorithm(name: &str, identifier: &str) -> Element {
    Element::new(name).with("Algorithm", identifier)
}

/// A KeyInfo with certificates, DER.
pub fn x509_data(certificates: &[&[u8]]) -> Element {
    let mut data = Element::new("ds:X509Data");
    for certificate in certificates {
        let certificate = STANDARD.encode(certificate);
        data.push(Element::new("ds:X509Certificate").child(certificate.as_str()));
    }
    Element::new("ds:KeyInfo").child(data)
}

/// A path and a step further.
pub fn join(path: &str, step: &str) -> String {
    if path.is_empty() {
        step.to_owned()
    } else {
        format!("{path}/{step}")
    }
}
