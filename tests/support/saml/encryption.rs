//! XML encryption of assertions.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use openssl::{
    encrypt::Encrypter,
    hash::MessageDigest,
    pkey::{PKey, Public},
    rand::rand_bytes,
    rsa::Padding,
    symm::{Cipher, Crypter, Mode, encrypt_aead},
};

use super::{signature::algorithm, xml::Element};

/// How the content is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    Aes128Gcm,
    Aes256Gcm,
    Aes128Cbc,
    Aes256Cbc,
    TripleDesCbc,
}

impl Content {
    fn identifier(self) -> &'static str {
        match self {
            Self::Aes128Gcm => "http://www.w3.org/2009/xmlenc11#aes128-gcm",
            Self::Aes256Gcm => "http://www.w3.org/2009/xmlenc11#aes256-gcm",
            Self::Aes128Cbc => "http://www.w3.org/2001/04/xmlenc#aes128-cbc",
            Self::Aes256Cbc => "http://www.w3.org/2001/04/xmlenc#aes256-cbc",
            Self::TripleDesCbc => "http://www.w3.org/2001/04/xmlenc#tripledes-cbc",
        }
    }

    fn cipher(self) -> Cipher {
        match self {
            Self::Aes128Gcm => Cipher::aes_128_gcm(),
            Self::Aes256Gcm => Cipher::aes_256_gcm(),
            Self::Aes128Cbc => Cipher::aes_128_cbc(),
            Self::Aes256Cbc => Cipher::aes_256_cbc(),
            Self::TripleDesCbc => Cipher::des_ede3_cbc(),
        }
    }

    /// The initialisation vector, the ciphertext and, for GCM, the tag, in one.
    fn encrypt(self, key: &[u8], plain: &[u8]) -> Vec<u8> {
        let cipher = self.cipher();
        let iv = random_bytes(cipher.iv_len().expect("all of them have one"));
        if matches!(self, Self::Aes128Gcm | Self::Aes256Gcm) {
            let mut tag = [0; 16];
            let sealed = encrypt_aead(cipher, key, Some(&iv), &[], plain, &mut tag);
            return [iv, sealed.expect("AES works"), tag.to_vec()].concat();
        }
        // XML encryption 5.2: anything, and in the last byte how long the padding is.
        let padding = cipher.block_size() - plain.len() % cipher.block_size();
        let mut padded = plain.to_vec();
        padded.extend(random_bytes(padding - 1));
        padded.push(u8::try_from(padding).expect("no more than a block"));
        let mut crypter =
            Crypter::new(cipher, Mode::Encrypt, key, Some(&iv)).expect("the key has its length");
        crypter.pad(false);
        let mut sealed = vec![0; padded.len() + cipher.block_size()];
        let length = crypter.update(&padded, &mut sealed).expect("whole blocks");
        sealed.truncate(length);
        [iv, sealed].concat()
    }
}

/// How the content's key is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyTransport {
    /// `rsa-oaep-mgf1p` with SHA-1, as most providers do it.
    Oaep,
    /// `xmlenc11#rsa-oaep` with SHA-256 for both.
    Oaep11,
    /// RSA 1.5, which is broken by padding oracles.
    Rsa15,
}

/// How to encrypt an assertion.
#[derive(Debug, Clone, Copy)]
pub struct Encryption {
    pub content: Content,
    pub key_transport: KeyTransport,
    /// Whether EncryptedKey stands beside EncryptedData rather than inside it.
    pub is_key_beside: bool,
}

impl Encryption {
    /// AES-256-GCM with RSA-OAEP.
    pub const USUAL: Self = Self {
        content: Content::Aes256Gcm,
        key_transport: KeyTransport::Oaep,
        is_key_beside: false,
    };

    /// Another cipher.
    pub fn content(self, content: Content) -> Self {
        Self { content, ..self }
    }

    /// Another way for the key.
    pub fn key_transport(self, key_transport: KeyTransport) -> Self {
        Self {
            key_transport,
            ..self
        }
    }

    /// An EncryptedAssertion that holds `plain`.
    pub fn encrypt(self, plain: &[u8], recipient: &PKey<Public>) -> Element {
        let key = random_bytes(self.content.cipher().key_len());
        let sealed_key = self.encrypt_key(&key, recipient);
        let mut encrypted_key = Element::new("xenc:EncryptedKey")
            .child(self.key_method())
            .child(cipher_data(&sealed_key));
        let mut key_info = Element::new("ds:KeyInfo");
        if self.is_key_beside {
            encrypted_key.set("Id", "_encrypted_key");
            key_info.push(
                Element::new("ds:RetrievalMethod")
                    .with("Type", "http://www.w3.org/2001/04/xmlenc#EncryptedKey")
                    .with("URI", "#_encrypted_key"),
            );
        } else {
            key_info.push(encrypted_key.clone());
        }
        let data = Element::new("xenc:EncryptedData")
            .with("Type", "http://www.w3.org/2001/04/xmlenc#Element")
            .child(algorithm(
                "xenc:EncryptionMethod",
                self.content.identifier(),
            ))
            .child(key_info)
            .child(cipher_data(&self.content.encrypt(&key, plain)));
        let assertion = Element::new("saml:EncryptedAssertion").child(data);
        if self.is_key_beside {
            assertion.child(encrypted_key)
        } else {
            assertion
        }
    }

    fn key_method(self) -> Element {
        let name = "xenc:EncryptionMethod";
        match self.key_transport {
            KeyTransport::Oaep => {
                algorithm(name, "http://www.w3.org/2001/04/xmlenc#rsa-oaep-mgf1p").child(algorithm(
                    "ds:DigestMethod",
                    "http://www.w3.org/2000/09/xmldsig#sha1",
                ))
            }
            KeyTransport::Oaep11 => algorithm(name, "http://www.w3.org/2009/xmlenc11#rsa-oaep")
                .child(algorithm(
                    "ds:DigestMethod",
                    "http://www.w3.org/2001/04/xmlenc#sha256",
                ))
                .child(algorithm(
                    "xenc11:MGF",
                    "http://www.w3.org/2009/xmlenc11#mgf1sha256",
                )),
            KeyTransport::Rsa15 => algorithm(name, "http://www.w3.org/2001/04/xmlenc#rsa-1_5"),
        }
    }

    fn encrypt_key(self, key: &[u8], recipient: &PKey<Public>) -> Vec<u8> {
        let mut encrypter = Encrypter::new(recipient).expect("an RSA key");
        let padding = match self.key_transport {
            KeyTransport::Rsa15 => Padding::PKCS1,
            KeyTransport::Oaep | KeyTransport::Oaep11 => Padding::PKCS1_OAEP,
        };
        encrypter.set_rsa_padding(padding).expect("an RSA key");
        if self.key_transport == KeyTransport::Oaep11 {
            encrypter
                .set_rsa_oaep_md(MessageDigest::sha256())
                .expect("OAEP");
            encrypter
                .set_rsa_mgf1_md(MessageDigest::sha256())
                .expect("OAEP");
        }
        let mut sealed = vec![0; encrypter.encrypt_len(key).expect("an RSA key")];
        let length = encrypter.encrypt(key, &mut sealed).expect("a short key");
        sealed.truncate(length);
        sealed
    }
}

fn cipher_data(sealed: &[u8]) -> Element {
    let sealed = STANDARD.encode(sealed);
    Element::new("xenc:CipherData").child(Element::new("xenc:CipherValue").child(sealed.as_str()))
}

fn random_bytes(length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    rand_bytes(&mut bytes).expect("OpenSSL has random numbers");
    bytes
}
