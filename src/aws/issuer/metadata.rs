//! Our metadata as an identity provider (SAML 2.0 metadata), for IAM to keep.
//!
//! The same bytes as long as URL and keys are the same; no validity, since IAM reads it once. Entry
//! point: [`document`].

use std::fmt::Write as _;

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::{saml::PERSISTENT, xml::attribute};

/// The metadata with every certificate, DER, in their order.
///
/// `sign_in_url` is where a person who begins at AWS would come to; IAM's parser wants one. IAM also
/// wants at least 1,000 characters, which one certificate brings already.
pub(super) fn document<'c>(
    entity_id: &str,
    sign_in_url: &str,
    certificates: impl Iterator<Item = &'c [u8]>,
) -> String {
    let mut out = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<md:EntityDescriptor \
                   xmlns:md=\"urn:oasis:names:tc:SAML:2.0:metadata\""
        .to_owned();
    attribute(&mut out, "entityID", entity_id);
    out.push_str(
        ">\n  <md:IDPSSODescriptor WantAuthnRequestsSigned=\"false\" \
         protocolSupportEnumeration=\"urn:oasis:names:tc:SAML:2.0:protocol\">\n",
    );
    for certificate in certificates {
        // Writing to a String cannot fail.
        let _ = writeln!(
            out,
            "    <md:KeyDescriptor use=\"signing\">\n      \
             <ds:KeyInfo xmlns:ds=\"http://www.w3.org/2000/09/xmldsig#\"><ds:X509Data>\
             <ds:X509Certificate>{}</ds:X509Certificate></ds:X509Data></ds:KeyInfo>\n    \
             </md:KeyDescriptor>",
            STANDARD.encode(certificate)
        );
    }
    let _ = writeln!(out, "    <md:NameIDFormat>{PERSISTENT}</md:NameIDFormat>");
    for binding in ["HTTP-Redirect", "HTTP-POST"] {
        let _ = write!(
            out,
            "    <md:SingleSignOnService Binding=\"urn:oasis:names:tc:SAML:2.0:bindings:{binding}\""
        );
        attribute(&mut out, "Location", sign_in_url);
        out.push_str("></md:SingleSignOnService>\n");
    }
    out.push_str("  </md:IDPSSODescriptor>\n</md:EntityDescriptor>\n");
    out
}
