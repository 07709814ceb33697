//! The assertion for one role (IAM User Guide, "Configure SAML assertions"; SAML 2.0 core and
//! bindings), signed as XML Signature wants it.
//!
//! The document is written in canonical form, so what is hashed are the bytes written and the only
//! thing asked of the [`Signer`] is one RSA signature. Never here: whether somebody may. Entry
//! point: [`Statement::sign`].

use std::{collections::BTreeMap, fmt::Write as _};

use aws_lc_rs::digest::{SHA256, digest};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use time::{OffsetDateTime, macros::format_description};
use zeroize::Zeroizing;

use super::{
    IssuerError,
    signer::Signer,
    xml::{attribute, element, text, unwritable},
};
use crate::access::Partition;

const PROTOCOL: &str = "urn:oasis:names:tc:SAML:2.0:protocol";
const ASSERTION: &str = "urn:oasis:names:tc:SAML:2.0:assertion";
const SIGNATURE: &str = "http://www.w3.org/2000/09/xmldsig#";
pub(super) const PERSISTENT: &str = "urn:oasis:names:tc:SAML:2.0:nameid-format:persistent";
/// Before the name of everything that AWS reads.
const ATTRIBUTES: &str = "https://aws.amazon.com/SAML/Attributes/";

/// The entityID of AWS as a service provider (IAM User Guide; the isolated partitions' are not
/// public, so they get the commercial one).
pub(super) fn audience(partition: Partition) -> &'static str {
    match partition {
        Partition::AwsUsGov => "urn:amazon:webservices:govcloud",
        Partition::AwsCn => "urn:amazon:webservices:cn-north-1",
        _ => "urn:amazon:webservices",
    }
}

/// What one assertion says.
pub(super) struct Statement<'a> {
    /// The assertion's id, an NCName.
    pub(super) id: &'a str,
    /// The response's id, another one.
    pub(super) response_id: &'a str,
    /// Our entityID.
    pub(super) issuer: &'a str,
    /// Where it is posted, which trust policies pin by `SAML:aud`.
    pub(super) recipient: &'a str,
    pub(super) audience: &'a str,
    pub(super) name_id: &'a str,
    pub(super) issued_at: OffsetDateTime,
    pub(super) not_before: OffsetDateTime,
    pub(super) not_on_or_after: OffsetDateTime,
    /// When the role session has to be over.
    pub(super) session_ends: OffsetDateTime,
    /// `role,provider`.
    pub(super) role: &'a str,
    pub(super) session_name: &'a str,
    pub(super) session_seconds: u32,
    pub(super) source_identity: Option<&'a str>,
    pub(super) tags: &'a BTreeMap<String, String>,
}

impl Statement<'_> {
    /// The response with its signed assertion; signed itself as well where `sign_response`.
    ///
    /// # Errors
    /// [`IssuerError::Unfit`] where XML cannot hold something; [`IssuerError::Signer`].
    pub(super) async fn sign(
        &self,
        signer: &dyn Signer,
        sign_response: bool,
    ) -> Result<Zeroizing<String>, IssuerError> {
        self.check()?;
        let assertion = self.assertion();
        let assertion = assertion.signed_in(signer, self.id).await?;
        let response = self.response(&assertion);
        if sign_response {
            response.signed_in(signer, self.response_id).await
        } else {
            Ok(response.whole(""))
        }
    }

    /// That a document can hold all of it. Nothing else has to be looked at: escaping leaves no
    /// text any meaning.
    fn check(&self) -> Result<(), IssuerError> {
        let fixed = [
            ("issuer", self.issuer),
            ("recipient", self.recipient),
            ("subject", self.name_id),
            ("role", self.role),
            ("session_name", self.session_name),
            ("source_identity", self.source_identity.unwrap_or_default()),
        ];
        let tags = self.tags.iter();
        let tags =
            tags.flat_map(|(key, value)| [("session_tags", &**key), ("session_tags", value)]);
        for (what, said) in fixed.into_iter().chain(tags) {
            fit(what, said)?;
        }
        Ok(())
    }

    fn response<'d>(&self, assertion: &'d str) -> Document<'d> {
        let mut head = format!("<saml2p:Response xmlns:saml2p=\"{PROTOCOL}\"");
        attribute(&mut head, "Destination", self.recipient);
        attribute(&mut head, "ID", self.response_id);
        attribute(&mut head, "IssueInstant", &instant(self.issued_at));
        head.push_str(" Version=\"2.0\">");
        let _ = write!(head, "<saml2:Issuer xmlns:saml2=\"{ASSERTION}\">");
        text(&mut head, self.issuer);
        head.push_str("</saml2:Issuer>");
        Document {
            head,
            middle: "<saml2p:Status><saml2p:StatusCode \
                     Value=\"urn:oasis:names:tc:SAML:2.0:status:Success\"></saml2p:StatusCode>\
                     </saml2p:Status>"
                .to_owned(),
            inner: assertion,
            end: "</saml2p:Response>",
        }
    }

    fn assertion(&self) -> Document<'static> {
        let mut head = format!("<saml2:Assertion xmlns:saml2=\"{ASSERTION}\"");
        attribute(&mut head, "ID", self.id);
        attribute(&mut head, "IssueInstant", &instant(self.issued_at));
        head.push_str(" Version=\"2.0\">");
        element(&mut head, "saml2:Issuer", self.issuer);
        let mut middle = String::with_capacity(2_048);
        self.subject(&mut middle);
        self.conditions(&mut middle);
        self.authentication(&mut middle);
        self.attributes(&mut middle);
        Document {
            head,
            middle,
            inner: "",
            end: "</saml2:Assertion>",
        }
    }

    fn subject(&self, out: &mut String) {
        let _ = write!(out, "<saml2:Subject><saml2:NameID Format=\"{PERSISTENT}\">");
        text(out, self.name_id);
        out.push_str(
            "</saml2:NameID><saml2:SubjectConfirmation \
             Method=\"urn:oasis:names:tc:SAML:2.0:cm:bearer\"><saml2:SubjectConfirmationData",
        );
        attribute(out, "NotOnOrAfter", &instant(self.not_on_or_after));
        attribute(out, "Recipient", self.recipient);
        out.push_str(
            "></saml2:SubjectConfirmationData></saml2:SubjectConfirmation></saml2:Subject>",
        );
    }

    fn conditions(&self, out: &mut String) {
        out.push_str("<saml2:Conditions");
        attribute(out, "NotBefore", &instant(self.not_before));
        attribute(out, "NotOnOrAfter", &instant(self.not_on_or_after));
        out.push_str("><saml2:AudienceRestriction>");
        element(out, "saml2:Audience", self.audience);
        out.push_str("</saml2:AudienceRestriction></saml2:Conditions>");
    }

    fn authentication(&self, out: &mut String) {
        out.push_str("<saml2:AuthnStatement");
        attribute(out, "AuthnInstant", &instant(self.issued_at));
        attribute(out, "SessionIndex", self.id);
        attribute(out, "SessionNotOnOrAfter", &instant(self.session_ends));
        out.push_str("><saml2:AuthnContext>");
        element(
            out,
            "saml2:AuthnContextClassRef",
            "urn:oasis:names:tc:SAML:2.0:ac:classes:unspecified",
        );
        out.push_str("</saml2:AuthnContext></saml2:AuthnStatement>");
    }

    fn attributes(&self, out: &mut String) {
        out.push_str("<saml2:AttributeStatement>");
        let mut say = |name: &str, value: &str| {
            out.push_str("<saml2:Attribute");
            attribute(out, "Name", &format!("{ATTRIBUTES}{name}"));
            out.push('>');
            element(out, "saml2:AttributeValue", value);
            out.push_str("</saml2:Attribute>");
        };
        say("Role", self.role);
        say("RoleSessionName", self.session_name);
        say("SessionDuration", &self.session_seconds.to_string());
        if let Some(source_identity) = self.source_identity {
            say("SourceIdentity", source_identity);
        }
        for (key, value) in self.tags {
            say(&format!("PrincipalTag:{key}"), value);
        }
        out.push_str("</saml2:AttributeStatement>");
    }
}

/// Refuses what XML cannot hold. Tokens could, and AWS takes none of it in either.
pub(super) fn fit(what: &'static str, said: &str) -> Result<(), IssuerError> {
    match unwritable(said) {
        None => Ok(()),
        Some(found) => Err(IssuerError::Unfit {
            what,
            problem: format!(
                "it has the character {}, which no XML document can hold; remove it at its source",
                found.escape_unicode()
            ),
        }),
    }
}

/// A signed element in canonical form, open where the schema wants its signature: behind the Issuer.
struct Document<'d> {
    head: String,
    middle: String,
    inner: &'d str,
    end: &'static str,
}

impl Document<'_> {
    fn whole(&self, signature: &str) -> Zeroizing<String> {
        let parts = [&self.head, signature, &self.middle, self.inner, self.end];
        Zeroizing::new(parts.concat())
    }

    /// The element with an enveloped signature over itself.
    async fn signed_in(
        &self,
        signer: &dyn Signer,
        id: &str,
    ) -> Result<Zeroizing<String>, IssuerError> {
        // The enveloped-signature transform takes the signature out again, so this is what is hashed.
        let hash = digest(&SHA256, self.whole("").as_bytes());
        let content = signed_info(id, &STANDARD.encode(hash));
        let canonical =
            format!("<ds:SignedInfo xmlns:ds=\"{SIGNATURE}\">{content}</ds:SignedInfo>");
        let value = signer.sign(canonical.as_bytes()).await;
        let value = STANDARD.encode(value.map_err(IssuerError::Signer)?);
        let certificate = STANDARD.encode(signer.certificate().unwrap_or_default());
        // In the document the prefix is declared above SignedInfo, and once alone.
        let signature = format!(
            "<ds:Signature xmlns:ds=\"{SIGNATURE}\"><ds:SignedInfo>{content}</ds:SignedInfo>\
             <ds:SignatureValue>{value}</ds:SignatureValue><ds:KeyInfo><ds:X509Data>\
             <ds:X509Certificate>{certificate}</ds:X509Certificate></ds:X509Data></ds:KeyInfo>\
             </ds:Signature>"
        );
        Ok(self.whole(&signature))
    }
}

fn signed_info(id: &str, hash: &str) -> String {
    const CANONICAL: &str = "http://www.w3.org/2001/10/xml-exc-c14n#";
    format!(
        "<ds:CanonicalizationMethod Algorithm=\"{CANONICAL}\"></ds:CanonicalizationMethod>\
         <ds:SignatureMethod \
         Algorithm=\"http://www.w3.org/2001/04/xmldsig-more#rsa-sha256\"></ds:SignatureMethod>\
         <ds:Reference URI=\"#{id}\"><ds:Transforms><ds:Transform \
         Algorithm=\"{SIGNATURE}enveloped-signature\"></ds:Transform>\
         <ds:Transform Algorithm=\"{CANONICAL}\"></ds:Transform></ds:Transforms>\
         <ds:DigestMethod Algorithm=\"http://www.w3.org/2001/04/xmlenc#sha256\"></ds:DigestMethod>\
         <ds:DigestValue>{hash}</ds:DigestValue></ds:Reference>"
    )
}

/// xs:dateTime in UTC, whole seconds.
fn instant(at: OffsetDateTime) -> String {
    let form = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]Z");
    // Formatting the parts that every date has cannot fail.
    at.to_offset(time::UtcOffset::UTC)
        .format(form)
        .unwrap_or_default()
}
