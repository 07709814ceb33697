//! An assertion in place of a signature: `AssumeRoleWithSAML`, and what the sign-in page shares
//! with it.

use time::OffsetDateTime;

use super::assume_role::AssumeRole;
use super::catalogue::{Catalogue, Role};
use super::saml::{Assertion, SamlProvider};
use super::session::{Caller, issue, result_xml};
use super::sts::{StsAction, StsError, federate};
use super::{SamlEvidence, Shared};

/// A role that an assertion opens, and for how long it says so.
pub(super) struct Vouched<'a> {
    pub(super) role: &'a Role,
    pub(super) wanted: AssumeRole,
    pub(super) evidence: SamlEvidence,
    /// `SessionDuration`.
    pub(super) session_seconds: Option<u32>,
    /// What `SessionNotOnOrAfter` leaves.
    pub(super) seconds_left: Option<u32>,
}

/// `AssumeRoleWithSAML`.
pub(super) fn answer(
    shared: &Shared,
    parameters: &[(String, String)],
    request_id: &str,
) -> Result<String, StsError> {
    let (wanted, provider_arn, response) = AssumeRole::parse_with_saml(parameters)?;
    let now = shared.now();
    let catalogue = shared.catalogue();
    let assertion = read(&catalogue, &provider_arn, &response, now)?;
    let vouched = assertion.vouch(&catalogue, wanted, &provider_arn, now)?;
    let mut wanted = vouched.wanted;
    if wanted.duration_seconds > vouched.role.max_session_seconds {
        return Err(StsError::validation(
            "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.",
        ));
    }
    for limit in [vouched.session_seconds, vouched.seconds_left] {
        wanted.duration_seconds = wanted.duration_seconds.min(limit.unwrap_or(u32::MAX));
    }
    let caller = Caller::provider(&provider_arn);
    let action = StsAction::AssumeRoleWithSaml;
    let mut issued = issue(action, caller, wanted, now, request_id);
    issued.saml = Some(SamlEvidence {
        response,
        ..vouched.evidence
    });
    let result = result_xml(&issued);
    shared.keep(issued);
    Ok(result)
}

/// Reads a response by the keys of a provider.
pub(super) fn read(
    catalogue: &Catalogue,
    provider_arn: &str,
    response: &str,
    now: OffsetDateTime,
) -> Result<Assertion, StsError> {
    let provider = catalogue.saml_provider(provider_arn).ok_or_else(|| {
        let message = "Specified provider doesn't exist (Service: AWSOpenIdDiscoveryService; \
                       Status Code: 400; Error Code: AuthSamlManifestNotFoundException)";
        StsError::sender(400, "InvalidIdentityToken", message)
    })?;
    Assertion::read(response, provider, now)
}

impl Assertion {
    /// Holds the assertion against the role's trust, and takes from it what only it may say of the
    /// session. The evidence has no response yet.
    pub(super) fn vouch<'a>(
        self,
        catalogue: &'a Catalogue,
        mut wanted: AssumeRole,
        provider_arn: &str,
        now: OffsetDateTime,
    ) -> Result<Vouched<'a>, StsError> {
        if !self.names(&wanted.role_arn, provider_arn) {
            let message = "SAML Assertion doesn't contain the requested Role and Metadata in the \
                           attributes";
            return Err(StsError::sender(400, "InvalidIdentityToken", message));
        }
        let role = federate(catalogue, &wanted, provider_arn, &self)?;
        wanted.check_policy_arns(role.arn())?;
        let left = (self.session_end).map(|end| (end - now).whole_seconds());
        wanted.session_name = self.session_name;
        wanted.tags = self.tags;
        wanted.transitive_tag_keys = self.transitive_tag_keys;
        wanted.source_identity = self.source_identity;
        wanted.check_vouched_tags()?;
        let provider = catalogue.saml_provider(provider_arn);
        Ok(Vouched {
            role,
            wanted,
            evidence: SamlEvidence {
                response: String::new(),
                assertion_id: self.id,
                provider_arn: provider_arn.to_owned(),
                issuer: self.issuer,
                subject: self.name_id.unwrap_or_default(),
                subject_type: self.name_id_type,
                audience: self.recipient,
                name_qualifier: provider.map_or_else(String::new, SamlProvider::name_qualifier),
            },
            session_seconds: self.session_seconds,
            seconds_left: left.and_then(|seconds| u32::try_from(seconds).ok()),
        })
    }
}
