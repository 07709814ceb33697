//! The requests that we send: AuthnRequest (SAML core 3.4.1), and how any message of ours travels.
//!
//! Nothing that a browser sent goes into a request. Never here: what comes back. Entry points:
//! [`authentication`], [`carried`].

use base64::{Engine as _, engine::general_purpose::STANDARD};
use openssl::pkey::Id;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use url::Url;

use super::{
    document::escaped,
    provider_metadata::{POST, PROTOCOL, SIGNATURE},
    redirect_binding::{self, Kind},
    settings::{Binding, Key, Settings},
    signature,
};
use crate::identity::{Carried, Cause};

/// The namespace of assertions.
pub(super) const ASSERTION: &str = "urn:oasis:names:tc:SAML:2.0:assertion";
/// SAML core 8.3.8, for which nothing is created.
const TRANSIENT: &str = "urn:oasis:names:tc:SAML:2.0:nameid-format:transient";

/// A message of ours before it is signed.
pub(super) struct Outgoing<'a> {
    pub(super) kind: Kind,
    /// The message's ID, which a signature refers to.
    pub(super) id: &'a str,
    /// The start tag, to behind its Issuer: a signature stands here (SAML core 1.3).
    pub(super) head: String,
    /// The rest.
    pub(super) tail: String,
    pub(super) relay_state: Option<&'a str>,
}

/// Where a message goes, and when.
pub(super) struct Addressed<'a> {
    pub(super) destination: &'a Url,
    pub(super) now: OffsetDateTime,
}

/// A fresh id of 160 random bits, an NCName (SAML core 1.3.4).
pub(super) fn fresh_id() -> Result<String, Cause> {
    random().map(|text| format!("_{text}"))
}

/// 160 random bits in hexadecimal, fit for a RelayState of at most 80 bytes.
pub(super) fn random() -> Result<String, Cause> {
    let mut bytes = [0; 20];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| "no random bytes can be had")?;
    Ok(hex::encode(bytes))
}

/// The start tag of a message and its Issuer.
pub(super) fn head(
    settings: &Settings,
    name: &str,
    id: &str,
    addressed: &Addressed<'_>,
    attributes: &str,
) -> Result<String, Cause> {
    Ok(format!(
        "<samlp:{name} xmlns:samlp=\"{PROTOCOL}\" xmlns:saml=\"{ASSERTION}\" ID=\"{id}\" \
         Version=\"2.0\" IssueInstant=\"{instant}\" Destination=\"{destination}\"{attributes}>\
         <saml:Issuer>{issuer}</saml:Issuer>",
        id = escaped(id),
        instant = instant(addressed.now)?,
        destination = escaped(addressed.destination.as_str()),
        issuer = escaped(&settings.entity_id),
    ))
}

/// A moment as SAML writes it, whole seconds in UTC.
pub(super) fn instant(at: OffsetDateTime) -> Result<String, Cause> {
    let seconds = at.to_offset(time::UtcOffset::UTC).truncate_to_second();
    Ok(seconds.format(&Rfc3339)?)
}

/// Writes a request for authentication.
pub(super) fn authentication<'a>(
    settings: &Settings,
    id: &'a str,
    relay_state: &'a str,
    addressed: &Addressed<'_>,
    forces: bool,
) -> Result<Outgoing<'a>, Cause> {
    let force = if forces { " ForceAuthn=\"true\"" } else { "" };
    let attributes = format!(
        "{force} ProtocolBinding=\"{POST}\" AssertionConsumerServiceURL=\"{}\"",
        escaped(settings.acs_url.as_str())
    );
    let policy = match settings.name_id_format.as_deref() {
        Some(TRANSIENT) => format!("<samlp:NameIDPolicy Format=\"{TRANSIENT}\"/>"),
        Some(format) => format!(
            "<samlp:NameIDPolicy Format=\"{}\" AllowCreate=\"true\"/>",
            escaped(format)
        ),
        None => "<samlp:NameIDPolicy AllowCreate=\"true\"/>".to_owned(),
    };
    let contexts: Vec<String> = settings
        .authn_contexts
        .iter()
        .map(|context| {
            let context = escaped(context);
            format!("<saml:AuthnContextClassRef>{context}</saml:AuthnContextClassRef>")
        })
        .collect();
    let requested = if contexts.is_empty() {
        String::new()
    } else {
        format!(
            "<samlp:RequestedAuthnContext Comparison=\"exact\">{}\
             </samlp:RequestedAuthnContext>",
            contexts.concat()
        )
    };
    Ok(Outgoing {
        kind: Kind::Request,
        id,
        head: head(settings, "AuthnRequest", id, addressed, &attributes)?,
        tail: format!("{policy}{requested}</samlp:AuthnRequest>"),
        relay_state: Some(relay_state),
    })
}

/// Signs a message where there is a key, and says how the browser carries it. Blocks.
pub(super) fn carried(
    message: &Outgoing<'_>,
    destination: &Url,
    binding: Binding,
    key: Option<&Key>,
) -> Result<Carried, Cause> {
    match binding {
        Binding::Redirect => {
            // The signature of a redirect stands in its query (SAML bindings 3.4.4.1).
            let xml = format!("{}{}", message.head, message.tail);
            let key = key.map(|key| &key.private);
            let url =
                redirect_binding::url(destination, message.kind, &xml, message.relay_state, key)?;
            Ok(Carried::Redirect(url))
        }
        Binding::Post => {
            let xml = match key {
                Some(key) => {
                    let template = signature_template(message.id, key);
                    let xml = format!("{}{template}{}", message.head, message.tail);
                    signature::sign(&xml, &key.private)?
                }
                None => format!("{}{}", message.head, message.tail),
            };
            let field = match message.kind {
                Kind::Request => "SAMLRequest",
                Kind::Response => "SAMLResponse",
            };
            let mut fields = vec![(field, STANDARD.encode(xml))];
            if let Some(relay_state) = message.relay_state {
                fields.push(("RelayState", relay_state.to_owned()));
            }
            Ok(Carried::Form {
                action: destination.clone(),
                fields,
            })
        }
    }
}

/// An empty enveloped signature for xmlsec to fill. It names no key: the provider has ours.
fn signature_template(id: &str, key: &Key) -> String {
    let method = if key.private.id() == Id::EC {
        "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256"
    } else {
        "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256"
    };
    format!(
        "<ds:Signature xmlns:ds=\"{SIGNATURE}\"><ds:SignedInfo>\
         <ds:CanonicalizationMethod Algorithm=\"http://www.w3.org/2001/10/xml-exc-c14n#\"/>\
         <ds:SignatureMethod Algorithm=\"{method}\"/><ds:Reference URI=\"#{id}\"><ds:Transforms>\
         <ds:Transform Algorithm=\"http://www.w3.org/2000/09/xmldsig#enveloped-signature\"/>\
         <ds:Transform Algorithm=\"http://www.w3.org/2001/10/xml-exc-c14n#\"/></ds:Transforms>\
         <ds:DigestMethod Algorithm=\"http://www.w3.org/2001/04/xmlenc#sha256\"/>\
         <ds:DigestValue/></ds:Reference></ds:SignedInfo><ds:SignatureValue/></ds:Signature>",
        id = escaped(id),
    )
}
