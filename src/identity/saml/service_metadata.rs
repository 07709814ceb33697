//! The service provider metadata that is handed to the identity provider (SAML metadata 2.0).
//!
//! The same settings give the same bytes: no time, no random value. Never here: trust. Entry point:
//! [`metadata`].

use base64::{Engine as _, engine::general_purpose::STANDARD};
use openssl::pkey::Id;

use super::{
    document::escaped,
    provider_metadata::{METADATA, POST, PROTOCOL, REDIRECT, SIGNATURE},
    settings::{Key, Settings},
};
use crate::identity::Cause;

/// What we decrypt, in the order of preference (XML encryption 1.1); CBC where it is allowed alone.
const ENCRYPTION_METHODS: [(&str, bool); 5] = [
    ("http://www.w3.org/2009/xmlenc11#aes256-gcm", false),
    ("http://www.w3.org/2009/xmlenc11#aes128-gcm", false),
    ("http://www.w3.org/2001/04/xmlenc#aes256-cbc", true),
    ("http://www.w3.org/2001/04/xmlenc#aes128-cbc", true),
    ("http://www.w3.org/2001/04/xmlenc#rsa-oaep-mgf1p", false),
];

/// Writes the metadata of a connector.
///
/// # Errors
/// When a certificate cannot be written as DER, which one that was read always can.
pub(super) fn metadata(settings: &Settings) -> Result<String, Cause> {
    let mut keys = String::new();
    for key in &settings.keys {
        keys.push_str(&descriptor(key, "signing", "")?);
    }
    let methods: Vec<String> = ENCRYPTION_METHODS
        .iter()
        .filter(|(_, is_cbc)| settings.allow_cbc || !is_cbc)
        .map(|(method, _)| format!("      <md:EncryptionMethod Algorithm=\"{method}\"/>\n"))
        .collect();
    for key in &settings.keys {
        // An elliptic curve key would need a key agreement that is not built.
        if key.private.id() == Id::RSA {
            keys.push_str(&descriptor(key, "encryption", &methods.concat())?);
        }
    }
    let slo = escaped(settings.slo_url.as_str());
    let format = settings
        .name_id_format
        .as_ref()
        .map_or_else(String::new, |format| {
            format!(
                "    <md:NameIDFormat>{}</md:NameIDFormat>\n",
                escaped(format)
            )
        });
    Ok(format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <md:EntityDescriptor xmlns:md=\"{METADATA}\" entityID=\"{entity_id}\">\n  \
         <md:SPSSODescriptor AuthnRequestsSigned=\"{signs}\" WantAssertionsSigned=\"true\" \
         protocolSupportEnumeration=\"{PROTOCOL}\">\n\
         {keys}    \
         <md:SingleLogoutService Binding=\"{REDIRECT}\" Location=\"{slo}\"/>\n    \
         <md:SingleLogoutService Binding=\"{POST}\" Location=\"{slo}\"/>\n\
         {format}    \
         <md:AssertionConsumerService Binding=\"{POST}\" Location=\"{acs}\" index=\"0\" \
         isDefault=\"true\"/>\n  \
         </md:SPSSODescriptor>\n\
         </md:EntityDescriptor>\n",
        entity_id = escaped(&settings.entity_id),
        signs = settings.sign_requests,
        acs = escaped(settings.acs_url.as_str()),
    ))
}

fn descriptor(key: &Key, purpose: &str, methods: &str) -> Result<String, Cause> {
    let certificate = STANDARD.encode(key.certificate.to_der()?);
    Ok(format!(
        "    <md:KeyDescriptor use=\"{purpose}\">\n      \
         <ds:KeyInfo xmlns:ds=\"{SIGNATURE}\"><ds:X509Data><ds:X509Certificate>{certificate}\
         </ds:X509Certificate></ds:X509Data></ds:KeyInfo>\n\
         {methods}    </md:KeyDescriptor>\n"
    ))
}
