//! The algorithms that pass, by the URIs of xmldsig, RFC 9231 and xmlenc. Closed lists.

const EXCLUSIVE: &str = "http://www.w3.org/2001/10/xml-exc-c14n#";
const INCLUSIVE: &str = "http://www.w3.org/TR/2001/REC-xml-c14n-20010315";
const SHA1: &str = "http://www.w3.org/2000/09/xmldsig#sha1";

/// The transform that leaves the signature itself out.
pub(super) const ENVELOPED: &str = "http://www.w3.org/2000/09/xmldsig#enveloped-signature";

/// Canonicalization, exclusive or inclusive (1.0), without comments.
pub(super) fn is_canonicalization(uri: &str) -> bool {
    matches!(uri, EXCLUSIVE | INCLUSIVE)
}

/// Whether an `InclusiveNamespaces` may stand in it.
pub(super) fn is_exclusive(uri: &str) -> bool {
    uri == EXCLUSIVE
}

/// A `SignatureMethod`.
pub(super) fn is_signature(uri: &str, allows_sha1: bool) -> bool {
    match uri {
        "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256"
        | "http://www.w3.org/2001/04/xmldsig-more#rsa-sha384"
        | "http://www.w3.org/2001/04/xmldsig-more#rsa-sha512"
        | "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256"
        | "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha384"
        | "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha512" => true,
        "http://www.w3.org/2000/09/xmldsig#rsa-sha1"
        | "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha1" => allows_sha1,
        _ => false,
    }
}

/// A `DigestMethod` of a signature.
pub(super) fn is_digest(uri: &str, allows_sha1: bool) -> bool {
    match uri {
        "http://www.w3.org/2001/04/xmlenc#sha256"
        | "http://www.w3.org/2001/04/xmldsig-more#sha384"
        | "http://www.w3.org/2001/04/xmlenc#sha512" => true,
        SHA1 => allows_sha1,
        _ => false,
    }
}

/// An `EncryptionMethod` of data, in CBC mode.
pub(super) fn is_cbc(uri: &str) -> bool {
    matches!(
        uri,
        "http://www.w3.org/2001/04/xmlenc#aes128-cbc"
            | "http://www.w3.org/2001/04/xmlenc#aes192-cbc"
            | "http://www.w3.org/2001/04/xmlenc#aes256-cbc"
    )
}

/// An `EncryptionMethod` of data.
pub(super) fn is_data_encryption(uri: &str) -> bool {
    is_cbc(uri)
        || matches!(
            uri,
            "http://www.w3.org/2009/xmlenc11#aes128-gcm"
                | "http://www.w3.org/2009/xmlenc11#aes192-gcm"
                | "http://www.w3.org/2009/xmlenc11#aes256-gcm"
        )
}

/// An `EncryptionMethod` of a key: RSA-OAEP alone; PKCS#1 v1.5 tells too much when it fails.
pub(super) fn is_key_encryption(uri: &str) -> bool {
    matches!(
        uri,
        "http://www.w3.org/2001/04/xmlenc#rsa-oaep-mgf1p"
            | "http://www.w3.org/2009/xmlenc11#rsa-oaep"
    )
}

/// A `DigestMethod` of RSA-OAEP, where SHA-1 is no weakness.
pub(super) fn is_padding_digest(uri: &str) -> bool {
    is_digest(uri, true)
}

/// A mask generation function of RSA-OAEP.
pub(super) fn is_mask(uri: &str) -> bool {
    matches!(
        uri,
        "http://www.w3.org/2009/xmlenc11#mgf1sha1"
            | "http://www.w3.org/2009/xmlenc11#mgf1sha256"
            | "http://www.w3.org/2009/xmlenc11#mgf1sha384"
            | "http://www.w3.org/2009/xmlenc11#mgf1sha512"
    )
}
