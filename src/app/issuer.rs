//! The issuer that `[issuer]` makes of Rolegate. Entry points: [`issuer`], [`in_force`].

use std::sync::Arc;

use time::OffsetDateTime;

use super::{StartError, chain};
use crate::{
    access::Abilities,
    aws::{
        Issuer,
        issuer::{
            self as adapter,
            keys::KeyState,
            signer::{FileSigner, Signer},
        },
    },
    clock::Clock,
    config::{self, Config},
};

/// For what there is a key.
pub(super) fn abilities(issuer: &config::Issuer) -> Abilities {
    Abilities {
        saml: !issuer.saml_keys.is_empty(),
        oidc: !issuer.oidc_keys.is_empty(),
    }
}

/// The issuer, whatever the state of its certificates; none where none is configured.
pub(crate) fn issuer(
    config: &Config,
    clock: &Arc<dyn Clock>,
) -> Result<Option<Issuer>, StartError> {
    let Some(settings) = &config.issuer else {
        return Ok(None);
    };
    let saml_keys = settings.saml_keys.iter().map(|pair| {
        let signer = FileSigner::new(pair.key.clone(), Some(&pair.certificate));
        signer.map(|signer| Arc::new(signer) as Arc<dyn Signer>)
    });
    let oidc_keys = settings.oidc_keys.iter().map(|key| {
        let signer = FileSigner::new(key.key.clone(), None);
        signer.map(|signer| Arc::new(signer) as Arc<dyn Signer>)
    });
    let failed = |key: &str, message: String| StartError::Setting {
        key: key.to_owned(),
        message,
    };
    let settings = adapter::Settings {
        url: settings.url.clone(),
        sign_in_url: config.public_url.url().clone(),
        token_audience: settings.token_audience.clone(),
        lifetime: settings.assertion_lifetime,
        sign_response: settings.sign_response,
        saml_keys: saml_keys
            .collect::<Result<_, _>>()
            .map_err(|error| failed("issuer.saml_keys", chain(error.as_ref())))?,
        oidc_keys: oidc_keys
            .collect::<Result<_, _>>()
            .map_err(|error| failed("issuer.oidc_keys", chain(error.as_ref())))?,
    };
    Issuer::new(settings, Arc::clone(clock))
        .map(Some)
        .map_err(|error| failed("issuer", chain(&error)))
}

/// The issuer as a server may use it: a certificate that has ended does not sign. Ends that are near
/// are logged.
pub(super) fn in_force(
    config: &Config,
    clock: &Arc<dyn Clock>,
) -> Result<Option<Arc<Issuer>>, StartError> {
    let Some(issuer) = issuer(config, clock)? else {
        return Ok(None);
    };
    for aging in aging(&issuer, clock.now())? {
        if aging.keeps_from_signing {
            return Err(StartError::Setting {
                key: aging.key,
                message: aging.message,
            });
        }
        tracing::warn!(key = aging.key, "{}", aging.message);
    }
    Ok(Some(Arc::new(issuer)))
}

/// A certificate that ends soon or has ended.
pub(crate) struct Aging {
    /// Its key in the configuration.
    pub(crate) key: String,
    /// What follows and what to do.
    pub(crate) message: String,
    /// Whether the issuer cannot be used like this.
    pub(crate) keeps_from_signing: bool,
}

/// Certificates that end soon or have ended.
pub(crate) fn aging(issuer: &Issuer, now: OffsetDateTime) -> Result<Vec<Aging>, StartError> {
    let keys = issuer.keys().map_err(|error| StartError::Setting {
        key: "issuer.saml_keys".to_owned(),
        message: chain(&error),
    })?;
    // Only those of assertions have certificates, and they come first.
    let aging = keys
        .iter()
        .enumerate()
        .filter(|(_, key)| key.ends_soon(now));
    Ok(aging
        .map(|(place, key)| Aging {
            key: format!("issuer.saml_keys[{place}].certificate_file"),
            message: what_follows(key, now),
            keeps_from_signing: key.signs && key.has_ended(now),
        })
        .collect())
}

fn what_follows(key: &KeyState, now: OffsetDateTime) -> String {
    let on = key
        .ends_at
        .map_or_else(String::new, |end| end.date().to_string());
    let days = key.days_left(now).unwrap_or_default();
    match (key.has_ended(now), key.signs) {
        (true, true) => format!(
            "the certificate ended on {on} and cannot sign; put another pair before it, once IAM \
             has the metadata with both"
        ),
        (true, false) => format!("the certificate ended on {on}; remove the pair"),
        (false, _) => format!(
            "the certificate ends on {on}, in {days} days; `rolegate issuer init` makes the next \
             pair, and docs/issuer.md says how one follows the other"
        ),
    }
}
