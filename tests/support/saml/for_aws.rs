//! Responses that AWS takes as well (IAM User Guide, "Configure SAML assertions").

use std::sync::Arc;

use time::OffsetDateTime;

use super::{
    provider::{Claim, Draft, PERSISTENT, Request, TestIdentityProvider},
    random::Random,
    xml::Element,
};

/// The audience that AWS wants to find.
pub const AUDIENCE: &str = "urn:amazon:webservices";
/// A provider, our address and a person, where a test needs no others.
pub const ISSUER: &str = "https://idp.example.com/metadata";
pub const ACS: &str = "https://aws.example.com/saml/okta/acs";
pub const SUBJECT: &str = "ada@example.com";
const ATTRIBUTES: &str = "https://aws.amazon.com/SAML/Attributes/";

/// An attribute that AWS reads, by the end of its name.
pub fn claim(name: &str, values: &[&str]) -> Claim {
    Claim::new(&format!("{ATTRIBUTES}{name}"), values)
}

/// A provider called [`ISSUER`], with new keys.
pub fn provider() -> Arc<TestIdentityProvider> {
    Arc::new(TestIdentityProvider::new(ISSUER, 1))
}

/// A response for nobody but AWS that says [`SUBJECT`], with `roleArn,providerArn` values and the
/// session name `ada`.
pub fn request(now: OffsetDateTime, roles: &[&str]) -> Request {
    Request {
        acs_url: ACS.to_owned(),
        audience: AUDIENCE.to_owned(),
        in_response_to: None,
        now,
        name_id: SUBJECT.to_owned(),
        name_id_format: PERSISTENT,
        attributes: vec![claim("Role", roles), claim("RoleSessionName", &["ada"])],
        random: Random::new(now.unix_timestamp().unsigned_abs(), "for AWS"),
    }
}

impl Request {
    /// With this AWS attribute instead of an earlier one; without values, without it.
    pub fn with_aws(mut self, name: &str, values: &[&str]) -> Self {
        let claim = claim(name, values);
        self.attributes.retain(|known| known.name != claim.name);
        self.attributes
            .extend((!values.is_empty()).then_some(claim));
        self
    }
}

impl Draft {
    /// With one more audience.
    pub fn audience(self, audience: &str) -> Self {
        self.edit(|root| {
            let audience = Element::new("saml:Audience").child(audience);
            root.at("Assertion/Conditions/AudienceRestriction")
                .push(audience);
        })
    }

    /// With another end of the provider's session, or none.
    pub fn session_end(self, end: Option<OffsetDateTime>) -> Self {
        self.edit(|root| {
            let statement = root.at("Assertion/AuthnStatement");
            match end {
                Some(end) => statement.set("SessionNotOnOrAfter", super::provider::instant(end)),
                None => statement.unset("SessionNotOnOrAfter"),
            }
        })
    }

    /// The message as a browser posts it.
    pub fn posted(&self) -> String {
        use base64::{Engine as _, engine::general_purpose::STANDARD};
        STANDARD.encode(self.xml())
    }
}
