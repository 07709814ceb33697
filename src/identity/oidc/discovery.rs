//! What a provider says of itself (OpenID Connect Discovery 1.0; RFC 8414 for what it adds).
//!
//! Never here: when it is fetched. Entry point: [`Provider::read`].

use openidconnect::{
    AdditionalProviderMetadata, ProviderMetadata, TokenUrl,
    core::{
        CoreAuthDisplay, CoreClaimName, CoreClaimType, CoreClientAuthMethod, CoreGrantType,
        CoreJsonWebKey, CoreJweContentEncryptionAlgorithm, CoreJweKeyManagementAlgorithm,
        CoreResponseMode, CoreResponseType, CoreSubjectIdentifierType,
    },
};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use url::Url;

use super::settings::{Settings, TokenAuth};

/// What we read beside the metadata that the library knows.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub(super) struct More {
    /// OpenID Connect RP-Initiated Logout 1.0.
    end_session_endpoint: Option<String>,
    /// RFC 9207.
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
}

impl AdditionalProviderMetadata for More {}

/// The metadata as the library knows it.
pub(super) type Metadata = ProviderMetadata<
    More,
    CoreAuthDisplay,
    CoreClientAuthMethod,
    CoreClaimName,
    CoreClaimType,
    CoreGrantType,
    CoreJweContentEncryptionAlgorithm,
    CoreJweKeyManagementAlgorithm,
    CoreJsonWebKey,
    CoreResponseMode,
    CoreResponseType,
    CoreSubjectIdentifierType,
>;

/// A provider, with endpoints that may be asked.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Provider {
    pub(super) metadata: Metadata,
    /// Where people are signed out; none where there is no such place.
    pub(super) end_session: Option<Url>,
    /// Whether it says in its answers who it is (RFC 9207).
    pub(super) names_itself: bool,
    /// How our secret is shown to it.
    pub(super) token_auth: TokenAuth,
}

impl Provider {
    /// Reads the document and judges it against the settings.
    ///
    /// # Errors
    /// What does not fit, for an operator.
    pub(super) fn read(text: &str, settings: &Settings) -> Result<Self, String> {
        let mut metadata: Metadata = serde_json::from_str(text)
            .map_err(|error| format!("the discovery document cannot be read: {error}"))?;
        let found = metadata.issuer().as_str();
        if found != settings.issuer {
            return Err(format!(
                "the discovery document is of {found:?}; expected {:?}, to the letter",
                settings.issuer
            ));
        }
        if let (None, Some(url)) = (metadata.token_endpoint(), &settings.token_endpoint) {
            metadata = metadata.set_token_endpoint(Some(TokenUrl::from_url(url.clone())));
        }
        let allows_plain =
            Url::parse(&settings.issuer).is_ok_and(|issuer| issuer.scheme() == "http");
        let check = |name: &str, url: &Url| check_endpoint(name, url, allows_plain);
        check(
            "authorization_endpoint",
            metadata.authorization_endpoint().url(),
        )?;
        check("jwks_uri", metadata.jwks_uri().url())?;
        let Some(token_endpoint) = metadata.token_endpoint() else {
            let problem = "the discovery document has no token_endpoint; expected one, or \
                           token_endpoint in the configuration";
            return Err(problem.to_owned());
        };
        check("token_endpoint", token_endpoint.url())?;
        match metadata.userinfo_endpoint() {
            Some(url) => check("userinfo_endpoint", url.url())?,
            None if settings.userinfo => {
                return Err(
                    "the provider has no userinfo_endpoint; expected userinfo = false".into(),
                );
            }
            None => {}
        }
        let more = metadata.additional_metadata();
        // What is wrong with it keeps nobody from signing in.
        let end_session = more
            .end_session_endpoint
            .as_ref()
            .and_then(|text| Url::parse(text).ok())
            .filter(|url| check("end_session_endpoint", url).is_ok());
        Ok(Self {
            token_auth: token_auth(&metadata, settings)?,
            names_itself: more.authorization_response_iss_parameter_supported,
            end_session,
            metadata,
        })
    }
}

/// https, or http where the issuer itself is on this machine.
fn check_endpoint(name: &str, url: &Url, allows_plain: bool) -> Result<(), String> {
    let is_taken = match url.scheme() {
        "https" => true,
        "http" => allows_plain && is_loopback(url),
        _ => false,
    };
    let is_plain =
        url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
    if is_taken && is_plain {
        return Ok(());
    }
    Err(format!("{name} is {url}; expected an https address"))
}

/// Whether a host can only mean this machine.
fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let host = host.trim_start_matches('[').trim_end_matches(']');
    match host.parse::<IpAddr>() {
        Ok(address) => address.is_loopback(),
        Err(_) => host.eq_ignore_ascii_case("localhost"),
    }
}

/// As configured, or the first of basic and post that the provider takes; basic is what one takes
/// that does not say (Discovery, 3).
fn token_auth(metadata: &Metadata, settings: &Settings) -> Result<TokenAuth, String> {
    if let Some(auth) = settings.token_auth {
        return Ok(auth);
    }
    if settings.client_secret.is_none() {
        return Ok(TokenAuth::None);
    }
    let Some(offered) = metadata.token_endpoint_auth_methods_supported() else {
        return Ok(TokenAuth::Basic);
    };
    if offered.contains(&CoreClientAuthMethod::ClientSecretBasic) {
        Ok(TokenAuth::Basic)
    } else if offered.contains(&CoreClientAuthMethod::ClientSecretPost) {
        Ok(TokenAuth::Post)
    } else {
        Err("the token endpoint takes neither client_secret_basic nor client_secret_post".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_https_unless_the_provider_is_on_this_machine() {
        let taken = |url: &str, plain| check_endpoint("x", &url.parse().unwrap(), plain).is_ok();
        assert!(taken("https://idp.example.com/token", false));
        assert!(taken("http://127.0.0.1:4000/token", true));
        assert!(taken("http://[::1]/token", true));
        for (url, plain) in [
            ("http://127.0.0.1:4000/token", false),
            ("http://idp.example.com/token", true),
            ("http://127.0.0.1.example.com/", true),
            ("https://user@idp.example.com/", true),
            ("https://idp.example.com/#x", true),
            ("ftp://127.0.0.1/", true),
        ] {
            assert!(!taken(url, plain), "{url}");
        }
    }
}
