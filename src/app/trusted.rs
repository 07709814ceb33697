//! From `[[trusted_issuer]]` to the adapters that verify their tokens.

use std::sync::Arc;

use super::{StartError, chain, read};
use crate::{
    clock::Clock,
    config::{self, Config, RequiredClaim, TokenVerification},
    identity::{
        TrustedIssuer,
        oidc::settings::ClaimNames,
        trusted::{
            Settings, TokenIssuer,
            settings::{Requirement, Way},
        },
    },
};

/// The trusted issuers, without any connection made.
pub(super) fn issuers(
    config: &Config,
    clock: &Arc<dyn Clock>,
) -> Result<Vec<Arc<dyn TrustedIssuer>>, StartError> {
    let issuer = |issuer: &config::TrustedIssuer| {
        let unusable = |message: String| StartError::Setting {
            key: format!("trusted_issuer.{}", issuer.id),
            message,
        };
        let id = issuer.id.parse();
        let settings = Settings {
            id: id.map_err(|error| unusable(chain(&error)))?,
            issuer: issuer.issuer.clone(),
            way: way(&issuer.verification),
            audiences: issuer.audience.clone(),
            claims: ClaimNames {
                subject: issuer.claims.subject.clone(),
                username: issuer.claims.username.clone(),
                display_name: issuer.claims.display_name.clone(),
                email: issuer.claims.email.clone(),
                groups: issuer.claims.groups.clone(),
            },
            required: requirements(&issuer.required_claims),
            algorithms: issuer.allowed_algorithms.clone(),
            clock_skew: issuer.clock_skew,
            longest_lifetime: issuer.longest_lifetime,
            ca_pem: issuer.ca_file.as_ref().map(read).transpose()?,
            allowed_origins: issuer.allowed_origins.clone(),
            groups: issuer.groups.clone(),
        };
        TokenIssuer::new(settings, Arc::clone(clock))
            .map(|issuer| Arc::new(issuer) as Arc<dyn TrustedIssuer>)
            .map_err(|error| unusable(chain(error.as_ref())))
    };
    config.trusted_issuers.iter().map(issuer).collect()
}

fn way(verification: &TokenVerification) -> Way {
    match verification {
        TokenVerification::Keys(url) => Way::Keys(url.clone()),
        TokenVerification::Introspection {
            url,
            client_id,
            client_secret,
        } => Way::Introspection {
            url: url.clone(),
            client_id: client_id.clone(),
            client_secret: client_secret.clone(),
        },
    }
}

fn requirements(required: &[(String, RequiredClaim)]) -> Vec<(String, Requirement)> {
    let requirement = |(claim, required): &(String, RequiredClaim)| {
        let requirement = match required {
            RequiredClaim::Words(words) => Requirement::Words(words.clone()),
            RequiredClaim::Flag(flag) => Requirement::Flag(*flag),
        };
        (claim.clone(), requirement)
    };
    required.iter().map(requirement).collect()
}
