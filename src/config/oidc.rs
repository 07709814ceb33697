//! A `[[connector]]` of type `oidc`.
//!
//! Only checks what can be known without asking the provider. Entry point: [`Oidc`].

use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;
use url::Url;

use super::address;
use super::document::Value;
use super::reader::Section;

/// What signatures may be made with, in the names of JWS.
pub const OIDC_ALGORITHMS: [&str; 9] = [
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA",
];

/// The providers whose access tokens AWS takes, by their `ProviderId`.
const PROVIDER_IDS: [(&str, &str); 2] = [
    ("graph.facebook.com", "graph.facebook.com"),
    ("www.amazon.com", "www.amazon.com"),
];

/// A connector of type `oidc`.
#[derive(Clone, Debug)]
pub struct Oidc {
    /// The provider, by the very text that it calls itself.
    pub issuer: String,
    /// Who we are to it.
    pub client_id: String,
    /// What proves it; none for a public client.
    pub client_secret: Option<SecretString>,
    /// How the secret is shown; none chooses what the provider offers.
    pub token_auth: Option<TokenAuth>,
    /// Where codes are exchanged, for a provider whose discovery does not say.
    pub token_endpoint: Option<Url>,
    /// What is asked for beside `openid`.
    pub scopes: Vec<String>,
    /// Which claims tell about a person.
    pub claims: OidcClaims,
    /// Whether claims that the ID token lacks are read from the userinfo endpoint.
    pub userinfo: bool,
    /// What the provider may sign with.
    pub allowed_algorithms: Vec<String>,
    /// By how much the provider's clock may differ from ours.
    pub clock_skew: Duration,
    /// How long ago a person may have authenticated; none does not look.
    pub longest_authentication_age: Option<Duration>,
    /// Whether the provider shall always ask for the credentials again.
    pub force_authn: bool,
    /// The directory whose groups count instead of the provider's.
    pub groups_from: Option<String>,
    /// What is held for AWS.
    pub pass_through: OidcPassThrough,
    /// PEM certificates to trust instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// How often what the provider publishes is fetched.
    pub metadata_refresh: Duration,
}

/// How the client secret is shown to the token endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenAuth {
    /// In the header.
    Basic,
    /// In the body.
    Post,
    /// There is none.
    None,
}

/// What of a sign-in is held for AssumeRoleWithWebIdentity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OidcPassThrough {
    /// Nothing.
    Nothing,
    /// The ID token.
    IdToken,
    /// The access token, for the provider of that id.
    AccessToken(String),
}

/// Which claims tell about a person: a name, or a path with dots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OidcClaims {
    /// Stable and never used again.
    pub subject: String,
    /// What role session names are made of.
    pub username: String,
    /// Shown on the pages.
    pub display_name: Option<String>,
    /// The mail address.
    pub email: Option<String>,
    /// The groups.
    pub groups: Option<String>,
}

impl Oidc {
    /// `None` when something it cannot do without was reported.
    pub(super) fn read(section: &mut Section<'_>) -> Option<Self> {
        section.demand("issuer", "the address by which the provider calls itself");
        section.demand("client_id", "the id that the provider gave to Rolegate");
        let issuer = section.parsed("issuer", issuer);
        let client_id = section.parsed("client_id", plain);
        let client_secret = section.secret("client_secret");
        let token_auth = TokenAuth::read(section, client_secret.is_some());
        let ages = Duration::from_mins(1)..=Duration::from_hours(30 * 24);
        let refresh = Duration::from_mins(1)..=Duration::from_hours(7 * 24);
        let clock_skew = section.duration("clock_skew", Duration::ZERO..=Duration::from_mins(5));
        let metadata_refresh = section.duration("metadata_refresh", refresh);
        Some(Self {
            client_secret,
            token_auth,
            token_endpoint: section.parsed("token_endpoint", address::upstream),
            scopes: scopes(section),
            claims: section.table("claims", OidcClaims::read),
            userinfo: section.boolean("userinfo").unwrap_or(false),
            allowed_algorithms: algorithms(section),
            clock_skew: clock_skew.unwrap_or(Duration::from_mins(1)),
            longest_authentication_age: section.duration("longest_authentication_age", ages),
            force_authn: section.boolean("force_authn").unwrap_or(false),
            groups_from: section.string("groups_from"),
            pass_through: OidcPassThrough::read(section),
            ca_file: section.readable_file("ca_file"),
            metadata_refresh: metadata_refresh.unwrap_or(Duration::from_hours(1)),
            issuer: issuer?,
            client_id: client_id?,
        })
    }
}

impl TokenAuth {
    const NAMES: [(&'static str, Self); 3] = [
        ("client_secret_basic", Self::Basic),
        ("client_secret_post", Self::Post),
        ("none", Self::None),
    ];

    fn read(section: &mut Section<'_>, has_secret: bool) -> Option<Self> {
        let auth = section.choice("token_auth", &Self::NAMES);
        match (auth, has_secret) {
            (Some(Self::None), true) => {
                let message = "the secret would not be used; expected client_secret_basic, or no \
                               client_secret";
                section.refuse("token_auth", message);
            }
            (Some(Self::Basic | Self::Post), false) => {
                section.refuse("token_auth", "needs client_secret or client_secret_file");
            }
            _ => {}
        }
        auth
    }
}

impl OidcPassThrough {
    fn read(section: &mut Section<'_>) -> Self {
        let wanted = "true, false or \"access_token\"";
        let chosen = section.take("pass_through", |value| match value {
            Value::Boolean(true) => Ok(Self::IdToken),
            Value::Boolean(false) => Ok(Self::Nothing),
            Value::String(text) | Value::Text(text) => match text.as_str() {
                "true" => Ok(Self::IdToken),
                "false" => Ok(Self::Nothing),
                "access_token" => Ok(Self::AccessToken(String::new())),
                other => Err(format!("expected {wanted}, found {other:?}")),
            },
            _ => Err(format!("expected {wanted}")),
        });
        let is_named = section.has("provider_id");
        let provider_id = section.choice("provider_id", &PROVIDER_IDS);
        match (chosen, provider_id) {
            (Some(Self::AccessToken(_)), Some(id)) => Self::AccessToken(id.to_owned()),
            (Some(Self::AccessToken(_)), None) => {
                if !is_named {
                    let message = "is missing; AWS wants to know whose access token it is: \
                                   expected \"graph.facebook.com\" or \"www.amazon.com\"";
                    section.refuse("provider_id", message);
                }
                Self::Nothing
            }
            (chosen, Some(_)) => {
                let message = "goes with access tokens alone; remove it, or set pass_through = \
                               \"access_token\"";
                section.refuse("provider_id", message);
                chosen.unwrap_or(Self::Nothing)
            }
            (chosen, None) => chosen.unwrap_or(Self::Nothing),
        }
    }
}

impl OidcClaims {
    fn read(section: &mut Section<'_>) -> Self {
        let mut or = |key: &str, default: &str| {
            let claim = section.parsed(key, claim);
            claim.unwrap_or_else(|| default.to_owned())
        };
        Self {
            subject: or("subject", "sub"),
            username: or("username", "preferred_username"),
            display_name: Some(or("display_name", "name")),
            email: Some(or("email", "email")),
            groups: Some(or("groups", "groups")),
        }
    }
}

/// Compared with what the provider says to the letter, so nothing is made regular.
pub(super) fn issuer(text: &str) -> Result<String, String> {
    let url = address::upstream(text).map_err(|error| error.to_string())?;
    if url.query().is_some() || text.trim() != text {
        return Err("has a query or blanks around it; expected https://HOST/PATH".to_owned());
    }
    Ok(text.to_owned())
}

pub(super) fn plain(text: &str) -> Result<String, String> {
    let is_plain = !text.chars().any(|c| c.is_whitespace() || c.is_control());
    if is_plain && (1..=1024).contains(&text.len()) {
        return Ok(text.to_owned());
    }
    Err(format!(
        "expected 1 to 1024 characters without blanks, found {text:?}"
    ))
}

/// RFC 6749, 3.3. `openid` is asked for in any case.
fn scopes(section: &mut Section<'_>) -> Vec<String> {
    let scope = |text: &str| {
        let is_legal = |c: char| c.is_ascii_graphic() && c != '"' && c != '\\';
        if !text.is_empty() && text.chars().all(is_legal) {
            return Ok(text.to_owned());
        }
        Err(format!("expected a scope without blanks, found {text:?}"))
    };
    let default = || vec!["profile".to_owned(), "email".to_owned()];
    let mut scopes = section.list("scopes", scope).unwrap_or_else(default);
    scopes.retain(|scope| scope != "openid");
    scopes
}

pub(super) fn algorithms(section: &mut Section<'_>) -> Vec<String> {
    let algorithm = |text: &str| {
        if OIDC_ALGORITHMS.contains(&text) {
            return Ok(text.to_owned());
        }
        let names = OIDC_ALGORITHMS.join(", ");
        Err(format!("expected one of {names}, found {text:?}"))
    };
    let all = || OIDC_ALGORITHMS.map(str::to_owned).to_vec();
    section
        .non_empty_list("allowed_algorithms", algorithm)
        .unwrap_or_else(all)
}

pub(super) fn claim(text: &str) -> Result<String, String> {
    let is_legal = text.trim() == text && !text.is_empty() && !text.chars().any(char::is_control);
    if is_legal && text.len() <= 512 {
        return Ok(text.to_owned());
    }
    Err(format!(
        "expected a claim's name, or a path with dots such as \"realm_access.roles\", found {text:?}"
    ))
}
