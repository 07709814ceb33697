//! `[[trusted_issuer]]`: whose tokens applications may bring to the API.
//!
//! Only checks what can be known without asking the issuer. Entry point: [`TrustedIssuer`].

use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;
use url::Url;

use super::address;
use super::document::{Node, Value};
use super::oidc::{algorithms, claim, issuer, plain};
use super::reader::Section;

/// How long a token may last where the configuration does not say.
const LONGEST_LIFETIME: Duration = Duration::from_hours(24);

/// A `[[trusted_issuer]]`.
#[derive(Clone, Debug)]
pub struct TrustedIssuer {
    /// Its id, which groups of its tokens begin with.
    pub id: String,
    /// The issuer, by the very text that it calls itself.
    pub issuer: String,
    /// How tokens are verified.
    pub verification: TokenVerification,
    /// One of these has to be in `aud`. Empty for introspection alone, which then does not look.
    pub audience: Vec<String>,
    /// Which claims tell about the holder.
    pub claims: TokenClaims,
    /// Claims that have to be there, and what they must say.
    pub required_claims: Vec<(String, RequiredClaim)>,
    /// What tokens may be signed with.
    pub allowed_algorithms: Vec<String>,
    /// By how much the issuer's clock may differ from ours.
    pub clock_skew: Duration,
    /// How long a token may last in all.
    pub longest_lifetime: Duration,
    /// PEM certificates to trust instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// The origins of pages that may call the API with these tokens.
    pub allowed_origins: Vec<String>,
    /// Groups of whoever holds a token, instead of those of a claim.
    pub groups: Vec<String>,
}

/// How tokens are verified.
#[derive(Clone, Debug)]
pub enum TokenVerification {
    /// They are JWTs, signed with keys that are published here.
    Keys(Url),
    /// The issuer is asked about each of them (RFC 7662).
    Introspection {
        /// Where.
        url: Url,
        /// Who we are to it.
        client_id: String,
        /// What proves it.
        client_secret: SecretString,
    },
}

/// Which claims tell about a token's holder: a name, or a path with dots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenClaims {
    /// Stable and never used again.
    pub subject: String,
    /// What role session names are made of.
    pub username: String,
    /// What to call the holder.
    pub display_name: Option<String>,
    /// The mail address.
    pub email: Option<String>,
    /// The groups; none where they are fixed.
    pub groups: Option<String>,
}

/// What a claim must say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RequiredClaim {
    /// All of these: a text is it, a list or a scope holds them.
    Words(Vec<String>),
    /// `true` or `false`.
    Flag(bool),
}

impl TrustedIssuer {
    /// Reads them all; `connectors` are the ids of the connectors, which an issuer must not have. The
    /// issuers' ids come back too, also those of issuers that were reported.
    pub(super) fn read_all(
        top: &mut Section<'_>,
        connectors: &[String],
    ) -> (Vec<Self>, Vec<String>) {
        let mut ids = connectors.to_vec();
        let issuers = top.array_of_tables("trusted_issuer", "id", |section| {
            Self::read(section, &mut ids)
        });
        (issuers, ids.split_off(connectors.len()))
    }

    fn read(section: &mut Section<'_>, ids: &mut Vec<String>) -> Option<Self> {
        let id = section.identifier("id", ids);
        section.demand("issuer", "the address by which the issuer calls itself");
        let issuer = section.parsed("issuer", issuer);
        let verification = TokenVerification::read(section);
        let required_claims = required_claims(section);
        let audience = audience(section, verification.as_ref(), !required_claims.is_empty());
        let groups = section.non_empty_list("groups", group);
        let lifetimes = Duration::from_mins(1)..=Duration::from_hours(30 * 24);
        let clock_skew = section.duration("clock_skew", Duration::ZERO..=Duration::from_mins(5));
        let longest_lifetime = section.duration("longest_lifetime", lifetimes);
        Some(Self {
            claims: section.table("claims", |section| {
                TokenClaims::read(section, groups.is_some())
            }),
            audience,
            required_claims,
            allowed_algorithms: algorithms(section),
            clock_skew: clock_skew.unwrap_or(Duration::from_mins(1)),
            longest_lifetime: longest_lifetime.unwrap_or(LONGEST_LIFETIME),
            ca_file: section.readable_file("ca_file"),
            allowed_origins: section.list("allowed_origins", origin).unwrap_or_default(),
            groups: groups.unwrap_or_default(),
            id: id?,
            issuer: issuer?,
            verification: verification?,
        })
    }
}

impl TokenVerification {
    fn read(section: &mut Section<'_>) -> Option<Self> {
        let has = ["jwks_url", "introspection_url"].map(|key| section.has(key));
        match has {
            [true, true] => {
                let message = "stands beside introspection_url; give one of the two";
                section.refuse("jwks_url", message);
            }
            [false, false] => {
                let expected = "the address of the issuer's keys, or introspection_url where its \
                                tokens are no JWTs";
                section.demand("jwks_url", expected);
            }
            _ => {}
        }
        let keys = section.parsed("jwks_url", address::upstream);
        let url = section.parsed("introspection_url", address::upstream);
        let is_asked = has == [false, true];
        if is_asked {
            section.demand("client_id", "the id that the issuer gave to Rolegate");
        } else {
            let idle = ["client_id", "client_secret", "client_secret_file"];
            for key in idle.into_iter().filter(|key| section.has(key)) {
                section.refuse(key, "goes with introspection_url alone; remove it");
            }
        }
        let has_secret = section.has("client_secret") || section.has("client_secret_file");
        if is_asked && !has_secret {
            let expected = "the secret that the issuer gave to Rolegate, or client_secret_file";
            section.demand("client_secret", expected);
        }
        let client_id = section.parsed("client_id", plain);
        let client_secret = section.secret("client_secret");
        if is_asked {
            return Some(Self::Introspection {
                url: url?,
                client_id: client_id?,
                client_secret: client_secret?,
            });
        }
        keys.map(Self::Keys)
    }
}

impl TokenClaims {
    fn read(section: &mut Section<'_>, has_fixed_groups: bool) -> Self {
        if has_fixed_groups && section.has("groups") {
            let message = "stands beside groups that everybody has; give one of the two";
            section.refuse("groups", message);
        }
        let mut named = |key: &str| section.parsed(key, claim);
        let groups = named("groups").unwrap_or_else(|| "groups".to_owned());
        Self {
            subject: named("subject").unwrap_or_else(|| "sub".to_owned()),
            username: named("username").unwrap_or_else(|| "sub".to_owned()),
            display_name: named("display_name"),
            email: named("email"),
            groups: (!has_fixed_groups).then_some(groups),
        }
    }
}

/// One text or a list. Without any, whoever the issuer gives a token for whatever could use it here.
fn audience(
    section: &mut Section<'_>,
    verification: Option<&TokenVerification>,
    has_required_claims: bool,
) -> Vec<String> {
    match verification {
        Some(TokenVerification::Introspection { .. }) if has_required_claims => {}
        Some(TokenVerification::Introspection { .. }) => section.demand(
            "audience",
            "what the issuer calls Rolegate in aud, or required_claims that only tokens for \
             Rolegate have",
        ),
        _ => section.demand("audience", "what the issuer calls Rolegate in aud"),
    }
    let audience = section.take("audience", |value| words(value, "\"rolegate\""));
    audience.unwrap_or_default()
}

fn required_claims(section: &mut Section<'_>) -> Vec<(String, RequiredClaim)> {
    let wanted = "a table of claims such as { azp = \"shop-web\", scope = [\"upload\"] }";
    let required = section.take("required_claims", |value| {
        let Value::Table(claims) = value else {
            return Err(format!("expected {wanted}, found {}", value.description()));
        };
        let required = claims.iter().map(|(name, Node { value, .. })| {
            let name = claim(name)?;
            let required = match value {
                Value::Boolean(flag) => RequiredClaim::Flag(*flag),
                value => RequiredClaim::Words(
                    words(value, "\"upload\"").map_err(|error| format!("{name}: {error}"))?,
                ),
            };
            Ok((name, required))
        });
        required.collect()
    });
    required.unwrap_or_default()
}

/// One text, or a list that is not empty, none of them blank.
fn words(value: &Value, example: &str) -> Result<Vec<String>, String> {
    let wanted = format!("a string such as {example}, or a list of them");
    let word = |value: &Value| match value.as_str() {
        Some(text) if text.trim() == text && !text.is_empty() => Ok(text.to_owned()),
        Some(text) => Err(format!(
            "expected {wanted}, without blanks around it, found {text:?}"
        )),
        None => Err(format!("expected {wanted}, found {}", value.description())),
    };
    match value {
        Value::Array(items) if items.is_empty() => Err(format!("is empty; expected {wanted}")),
        Value::Array(items) => items.iter().map(|item| word(&item.value)).collect(),
        value => word(value).map(|word| vec![word]),
    }
}

/// As browsers write it in `Origin`: without a path, and without a port that goes without saying.
fn origin(text: &str) -> Result<String, String> {
    if text == "*" {
        return Err("would let every page call; expected the pages' own origins".to_owned());
    }
    let url = address::upstream(text).map_err(|error| error.to_string())?;
    address::nothing_after_host(&url).map_err(|error| error.to_string())?;
    Ok(url.origin().ascii_serialization())
}

fn group(text: &str) -> Result<String, String> {
    let is_legal = text.trim() == text && !text.is_empty() && !text.chars().any(char::is_control);
    if is_legal {
        return Ok(text.to_owned());
    }
    Err(format!(
        "expected the name of a group, without blanks around it, found {text:?}"
    ))
}
