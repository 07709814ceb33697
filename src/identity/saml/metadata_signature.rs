//! The signature of a metadata document: a strict look at its shape, then the cryptography.
//!
//! The document comes from the network, and xmlsec follows references and runs transforms before it
//! looks at a key, so only the one plain shape goes through to it. Entry point: [`verified`].

use super::{
    document::Element,
    gate::Allowances,
    provider_metadata::{METADATA, MetadataError, SIGNATURE},
    signature,
};

/// Canonicalization without comments, inclusive and exclusive.
const CANONICALIZATIONS: [&str; 2] = [
    "http://www.w3.org/TR/2001/REC-xml-c14n-20010315",
    "http://www.w3.org/2001/10/xml-exc-c14n#",
];
/// XML signature 6.6.4.
const ENVELOPED: &str = "http://www.w3.org/2000/09/xmldsig#enveloped-signature";
/// RFC 6931.
const SIGNATURE_METHODS: [&str; 6] = [
    "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256",
    "http://www.w3.org/2001/04/xmldsig-more#rsa-sha384",
    "http://www.w3.org/2001/04/xmldsig-more#rsa-sha512",
    "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256",
    "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha384",
    "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha512",
];
/// XML encryption 5.7 and RFC 6931.
const DIGEST_METHODS: [&str; 3] = [
    "http://www.w3.org/2001/04/xmlenc#sha256",
    "http://www.w3.org/2001/04/xmldsig-more#sha384",
    "http://www.w3.org/2001/04/xmlenc#sha512",
];

/// The bytes that one of the `certificates` (DER) signed: those of the root element. Blocks.
///
/// # Errors
/// When the root is not signed just as metadata should be, or by another key.
pub(super) fn verified(text: &str, certificates: &[Vec<u8>]) -> Result<String, MetadataError> {
    let root = Element::parse(text).map_err(MetadataError)?;
    check_shape(&root)
        .map_err(|problem| MetadataError(format!("is not signed as it has to be: {problem}")))?;
    signature::verified(text, certificates, Allowances::default()).map_err(|refused| {
        MetadataError(format!(
            "was not signed with metadata_certificate_file: {}",
            refused.detail
        ))
    })
}

fn check_shape(root: &Element) -> Result<(), String> {
    if !root.is(METADATA, "EntityDescriptor") && !root.is(METADATA, "EntitiesDescriptor") {
        return Err("it is no metadata".to_owned());
    }
    if root.count(SIGNATURE, "Signature") != 1 {
        return Err("expected exactly one signature".to_owned());
    }
    let signature = one(root, "Signature")?;
    only(signature, &["SignedInfo", "SignatureValue", "KeyInfo"])?;
    let signed_info = one(signature, "SignedInfo")?;
    only(
        signed_info,
        &["CanonicalizationMethod", "SignatureMethod", "Reference"],
    )?;
    algorithm(
        one(signed_info, "CanonicalizationMethod")?,
        &CANONICALIZATIONS,
    )?;
    let method = one(signed_info, "SignatureMethod")?;
    only(method, &[])?;
    algorithm(method, &SIGNATURE_METHODS)?;
    let reference = one(signed_info, "Reference")?;
    only(reference, &["Transforms", "DigestMethod", "DigestValue"])?;
    let id = root.attribute("ID").filter(|id| is_name(id));
    let is_own = id.is_some_and(|id| reference.attribute("URI") == Some(&format!("#{id}")));
    if !is_own {
        return Err("its Reference is not the root element's ID".to_owned());
    }
    let transforms = one(reference, "Transforms")?;
    only(transforms, &["Transform"])?;
    for (index, transform) in transforms.children(SIGNATURE, "Transform").enumerate() {
        match index {
            0 => algorithm(transform, &[ENVELOPED])?,
            1 => algorithm(transform, &CANONICALIZATIONS)?,
            _ => return Err("it has over two transforms".to_owned()),
        }
    }
    algorithm(one(reference, "DigestMethod")?, &DIGEST_METHODS)
}

fn one<'e>(parent: &'e Element, name: &str) -> Result<&'e Element, String> {
    parent
        .child(SIGNATURE, name)
        .ok_or_else(|| format!("expected one {name}"))
}

/// Refuses children of any other name.
fn only(parent: &Element, names: &[&str]) -> Result<(), String> {
    let known: usize = names
        .iter()
        .map(|name| parent.children(SIGNATURE, name).count())
        .sum();
    if known == parent.children_count() {
        return Ok(());
    }
    Err(format!(
        "{} holds what does not belong there",
        parent.name()
    ))
}

fn algorithm(element: &Element, allowed: &[&str]) -> Result<(), String> {
    let named = element.attribute("Algorithm").unwrap_or_default();
    if allowed.contains(&named) {
        return Ok(());
    }
    let shown: String = named.chars().take(100).collect();
    Err(format!("{} {shown:?} is not allowed", element.name()))
}

/// An ID that means one element alone, without the syntax of XPointer.
fn is_name(id: &str) -> bool {
    let is_legal = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    id.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') && id.chars().all(is_legal)
}
