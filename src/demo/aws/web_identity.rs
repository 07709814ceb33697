//! A token in place of a signature: `AssumeRoleWithWebIdentity`, and the providers that it is
//! judged by.
//!
//! Entry points: [`OidcProvider::new`], [`AccessToken::new`], [`answer`].

use std::fmt;
use std::time::Duration as Patience;

use reqwest::{Client, redirect::Policy};
use serde_json::{Map, Value};
use time::{Duration, OffsetDateTime};
use url::Url;

use super::assume_role::AssumeRole;
use super::catalogue::{Catalogue, Role, account_of};
use super::jwt::{KeySet, Token};
use super::permissions::web_context;
use super::saml::is_word;
use super::session::{Caller, issue, result_xml};
use super::sts::{StsAction, StsError, is_for_federation};
use super::{Shared, WebIdentityEvidence};

const TAGS: &str = "https://aws.amazon.com/tags";
const SOURCE_IDENTITY: &str = "https://aws.amazon.com/source_identity";
const OAUTH_PROVIDERS: [&str; 2] = ["graph.facebook.com", "www.amazon.com"];
/// How far an issuer's clock may be ahead.
const SKEW: Duration = Duration::minutes(5);
const PATIENCE: Patience = Patience::from_secs(5);
const MOST_DOCUMENT_BYTES: usize = 1 << 20;

/// An IAM OIDC provider: an issuer of tokens that an account trusts.
#[derive(Clone, Debug)]
pub struct OidcProvider {
    arn: String,
    url: String,
    client_ids: Vec<String>,
    keys: Keys,
}

#[derive(Clone, Debug)]
enum Keys {
    Given(KeySet),
    /// As AWS does it, from the base of the issuer or from another one.
    Fetched(Option<Url>),
}

impl OidcProvider {
    /// `arn:…:iam::ACCOUNT:oidc-provider/HOST/PATH`, whose tokens say `iss` `https://HOST/PATH`
    /// and one of the client ids as `aud`. The keys are fetched from there at every call.
    ///
    /// # Errors
    /// When IAM would not take it: a port or a query, or too many or too long client ids.
    pub fn new<'a>(
        arn: &str,
        client_ids: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, String> {
        let (_, place) = (arn.split_once(":oidc-provider/"))
            .filter(|_| arn.starts_with("arn:") && account_of(arn).len() == 12)
            .ok_or("the ARN is that of no OIDC provider")?;
        let url = format!("https://{place}");
        let parsed = Url::parse(&url).map_err(|error| error.to_string())?;
        if parsed.port().is_some() || place.contains([':', '?', '#', '@']) || url.len() > 255 {
            return Err("a provider's URL has 255 characters, no port and no query".to_owned());
        }
        let client_ids: Vec<String> = client_ids.into_iter().map(str::to_owned).collect();
        if client_ids.len() > 100 || client_ids.iter().any(|id| id.is_empty() || id.len() > 255) {
            return Err("a provider has 100 client ids of 255 characters".to_owned());
        }
        Ok(Self {
            arn: arn.to_owned(),
            url,
            client_ids,
            keys: Keys::Fetched(None),
        })
    }

    /// Takes these keys (a JWKS as JSON) instead of fetching any.
    ///
    /// # Errors
    /// When it is no JWKS.
    pub fn with_keys(mut self, jwks: &str) -> Result<Self, String> {
        let keys = KeySet::parse(jwks.as_bytes()).ok_or("the keys are no JWKS")?;
        self.keys = Keys::Given(keys);
        Ok(self)
    }

    /// Fetches from `base` what AWS would fetch from the issuer's own address: the discovery
    /// document, and the keys where `jwks_uri` is below the issuer.
    #[must_use]
    pub fn fetched_from(mut self, base: Url) -> Self {
        self.keys = Keys::Fetched(Some(base));
        self
    }

    /// Expects another `iss`, such as that of an issuer on the loopback address, which IAM would
    /// not take.
    #[must_use]
    pub fn with_url(mut self, url: &str) -> Self {
        url.trim_end_matches('/').clone_into(&mut self.url);
        self
    }

    /// Its ARN.
    pub fn arn(&self) -> &str {
        &self.arn
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    async fn keys(&self) -> Result<KeySet, StsError> {
        let base = match &self.keys {
            Keys::Given(keys) => return Ok(keys.clone()),
            Keys::Fetched(base) => base.as_ref(),
        };
        let base = base.map_or(self.url.as_str(), |base| base.as_str());
        let base = base.trim_end_matches('/');
        let client = client()?;
        let discovery = format!("{base}/.well-known/openid-configuration");
        let discovery = fetch(&client, &discovery).await?;
        let discovery: Map<String, Value> =
            serde_json::from_slice(&discovery).map_err(|_| no_key())?;
        let text = |name: &str| discovery.get(name).and_then(Value::as_str);
        if text("issuer") != Some(self.url.as_str()) {
            return Err(no_key());
        }
        let address = text("jwks_uri").ok_or_else(no_key)?;
        let address = match address.strip_prefix(self.url.as_str()) {
            Some(path) => format!("{base}{path}"),
            None => address.to_owned(),
        };
        KeySet::parse(&fetch(&client, &address).await?).ok_or_else(no_key)
    }
}

/// An OAuth 2.0 access token of Facebook or Login with Amazon. Debug leaves the token out.
#[derive(Clone)]
pub struct AccessToken {
    provider_id: String,
    token: String,
    application: String,
    subject: String,
}

impl AccessToken {
    /// A token of `graph.facebook.com` or `www.amazon.com`, for an application (`…:app_id`) and a
    /// person (`…:id`, `…:user_id`).
    pub fn new(provider_id: &str, token: &str, application: &str, subject: &str) -> Self {
        Self {
            provider_id: provider_id.to_owned(),
            token: token.to_owned(),
            application: application.to_owned(),
            subject: subject.to_owned(),
        }
    }

    pub(super) fn is(&self, provider_id: &str, token: &str) -> bool {
        self.provider_id == provider_id && self.token == token
    }
}

impl fmt::Debug for AccessToken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("AccessToken")
            .field("provider_id", &self.provider_id)
            .field("subject", &self.subject)
            .finish_non_exhaustive()
    }
}

/// `AssumeRoleWithWebIdentity`.
pub(super) async fn answer(
    shared: &Shared,
    parameters: &[(String, String)],
    request_id: &str,
) -> Result<String, StsError> {
    let (mut wanted, token, provider_id) = AssumeRole::parse_with_web_identity(parameters)?;
    let now = shared.now();
    let catalogue = shared.catalogue();
    let identity = match provider_id {
        Some(id) => by_access_token(&catalogue, &id, &token)?,
        None => by_id_token(&catalogue, account_of(&wanted.role_arn), &token, now).await?,
    };
    wanted.tags = identity.tags;
    wanted.transitive_tag_keys = identity.transitive_tag_keys;
    wanted.source_identity = identity.source_identity;
    wanted.check_vouched_tags()?;
    let evidence = WebIdentityEvidence {
        token,
        ..identity.evidence
    };
    let role = federate(&catalogue, &wanted, &evidence)?;
    wanted.check_policy_arns(role.arn())?;
    if wanted.duration_seconds > role.max_session_seconds {
        return Err(StsError::validation(
            "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.",
        ));
    }
    let caller = Caller::provider(&evidence.provider_arn);
    let action = StsAction::AssumeRoleWithWebIdentity;
    let mut issued = issue(action, caller, wanted, now, request_id);
    issued.web_identity = Some(evidence);
    let result = result_xml(&issued);
    shared.keep(issued);
    Ok(result)
}

/// The role's trust; a role that does not exist is refused in the same words.
fn federate<'a>(
    catalogue: &'a Catalogue,
    wanted: &AssumeRole,
    evidence: &WebIdentityEvidence,
) -> Result<&'a Role, StsError> {
    const OPENING: &str = "sts:AssumeRoleWithWebIdentity";
    let context = web_context(evidence);
    let role = catalogue.role(&wanted.role_arn).filter(|role| {
        catalogue.account(account_of(role.arn())).is_some()
            && (role.trust).admits(OPENING, &evidence.provider_arn, &wanted.wishes(), &context)
            && is_for_federation(role)
    });
    role.ok_or_else(|| {
        let message = "Not authorized to perform sts:AssumeRoleWithWebIdentity";
        StsError::sender(403, "AccessDenied", message)
    })
}

/// What an accepted token says. The evidence has no token yet.
struct WebIdentity {
    evidence: WebIdentityEvidence,
    tags: Vec<(String, String)>,
    transitive_tag_keys: Vec<String>,
    source_identity: Option<String>,
}

fn by_access_token(
    catalogue: &Catalogue,
    provider_id: &str,
    token: &str,
) -> Result<WebIdentity, StsError> {
    if !OAUTH_PROVIDERS.contains(&provider_id) {
        let message = "ProviderId is for OAuth 2.0 access tokens of graph.facebook.com and \
                       www.amazon.com alone.";
        return Err(StsError::validation(message));
    }
    let known = catalogue.access_token(provider_id, token);
    let known = known.ok_or_else(|| invalid("The access token is not valid"))?;
    Ok(WebIdentity {
        evidence: WebIdentityEvidence {
            token: String::new(),
            token_id: None,
            provider_arn: provider_id.to_owned(),
            provider: provider_id.to_owned(),
            subject: known.subject.clone(),
            audience: known.application.clone(),
        },
        tags: Vec::new(),
        transitive_tag_keys: Vec::new(),
        source_identity: None,
    })
}

async fn by_id_token(
    catalogue: &Catalogue,
    account_id: &str,
    text: &str,
    now: OffsetDateTime,
) -> Result<WebIdentity, StsError> {
    let token = Token::parse(text).ok_or_else(|| {
        let message = "The ID Token provided is not a valid JWT. (You may see this error if you \
                       sent an Access Token)";
        invalid(message)
    })?;
    let issuer = required(&token.claims, "iss")?;
    let provider = catalogue.oidc_provider(account_id, issuer).ok_or_else(|| {
        let message = format!("No OpenIDConnect provider found in your account for {issuer}");
        invalid(&message)
    })?;
    let keys = provider.keys().await?;
    if !token.is_signed_by(&keys) {
        return Err(invalid("Provided Token signature is not valid"));
    }
    let claims = &token.claims;
    check_times(claims, now)?;
    let subject = required(claims, "sub")?;
    if !(6..=255).contains(&subject.len()) {
        return Err(invalid("The subject (sub) must have 6 to 255 characters"));
    }
    let (tags, transitive_tag_keys) = tags(claims.get(TAGS))?;
    Ok(WebIdentity {
        evidence: WebIdentityEvidence {
            token: String::new(),
            token_id: claims.get("jti").and_then(Value::as_str).map(str::to_owned),
            provider_arn: provider.arn.clone(),
            provider: issuer.to_owned(),
            subject: subject.to_owned(),
            audience: audience(claims, &provider.client_ids)?,
        },
        tags,
        transitive_tag_keys,
        source_identity: source_identity(claims.get(SOURCE_IDENTITY))?,
    })
}

/// `exp` and `iat`, which must be there, and `nbf`: whole seconds all of them.
fn check_times(claims: &Map<String, Value>, now: OffsetDateTime) -> Result<(), StsError> {
    let seconds = |name: &str| match claims.get(name) {
        None => Ok(None),
        Some(value) => value
            .as_i64()
            .map(Some)
            .ok_or_else(|| invalid(&format!("The {name} claim must be an integer of seconds"))),
    };
    let missing = |name: &str| invalid(&format!("Missing a required claim: {name}"));
    let expires = seconds("exp")?.ok_or_else(|| missing("exp"))?;
    let issued = seconds("iat")?.ok_or_else(|| missing("iat"))?;
    let now = now.unix_timestamp();
    if expires <= now {
        let message = format!(
            "Token expired: current date/time {now} must be before the expiration date/time \
             {expires}"
        );
        return Err(StsError::sender(400, "ExpiredTokenException", &message));
    }
    if issued > now + SKEW.whole_seconds() || issued >= expires {
        return Err(invalid("The token was issued in the future (iat)"));
    }
    if seconds("nbf")?.is_some_and(|begin| begin > now + SKEW.whole_seconds()) {
        return Err(invalid("The token is not valid yet (nbf)"));
    }
    Ok(())
}

/// The client that the token is for: `azp` where there is one, else the one `aud`.
fn audience(claims: &Map<String, Value>, client_ids: &[String]) -> Result<String, StsError> {
    let audiences: Vec<&str> = match claims.get("aud") {
        Some(Value::String(audience)) => vec![audience.as_str()],
        Some(Value::Array(audiences)) => audiences.iter().filter_map(Value::as_str).collect(),
        _ => return Err(invalid("Missing a required claim: aud")),
    };
    let party = claims.get("azp").and_then(Value::as_str);
    let audience = match (party, audiences.as_slice()) {
        (Some(party), _) => Some(party),
        (None, [audience]) => Some(*audience),
        (None, _) => None,
    };
    audience
        .filter(|audience| client_ids.iter().any(|known| known == audience))
        .map(str::to_owned)
        .ok_or_else(|| invalid("Incorrect token audience"))
}

type Tags = (Vec<(String, String)>, Vec<String>);

/// `{"principal_tags": {"Key": ["value"]}, "transitive_tag_keys": ["Key"]}`.
fn tags(claim: Option<&Value>) -> Result<Tags, StsError> {
    let malformed = || invalid("The tags claim is not as AWS reads it");
    let Some(claim) = claim else {
        return Ok(Tags::default());
    };
    let claim = claim.as_object().ok_or_else(malformed)?;
    let tags = match claim.get("principal_tags") {
        None => Vec::new(),
        Some(tags) => (tags.as_object().ok_or_else(malformed)?.iter())
            .map(|(key, values)| match values.as_array().map(Vec::as_slice) {
                Some([Value::String(value)]) => Ok((key.clone(), value.clone())),
                _ => Err(malformed()),
            })
            .collect::<Result<_, _>>()?,
    };
    let keys = match claim.get("transitive_tag_keys") {
        None => Vec::new(),
        Some(keys) => (keys.as_array().ok_or_else(malformed)?.iter())
            .map(|key| key.as_str().map(str::to_owned).ok_or_else(malformed))
            .collect::<Result<_, _>>()?,
    };
    Ok((tags, keys))
}

fn source_identity(claim: Option<&Value>) -> Result<Option<String>, StsError> {
    let Some(claim) = claim else {
        return Ok(None);
    };
    let name = claim
        .as_str()
        .filter(|name| is_word(name) && !name.to_lowercase().starts_with("aws:"));
    let message = "Source Identity must match [a-zA-Z_0-9+=,.@-]{2,64} and not begin with aws:";
    name.map(|name| Some(name.to_owned()))
        .ok_or_else(|| invalid(message))
}

fn required<'a>(claims: &'a Map<String, Value>, name: &str) -> Result<&'a str, StsError> {
    let claim = claims.get(name).and_then(Value::as_str);
    claim.ok_or_else(|| invalid(&format!("Missing a required claim: {name}")))
}

fn invalid(message: &str) -> StsError {
    StsError::sender(400, "InvalidIdentityToken", message)
}

fn no_key() -> StsError {
    invalid(
        "Couldn't retrieve verification key from your identity provider, please reference \
         AssumeRoleWithWebIdentity documentation for requirements",
    )
}

fn unreachable(_: reqwest::Error) -> StsError {
    let message = "The identity provider that was asked to verify the incoming identity token \
                   could not be reached. Try again.";
    StsError::sender(400, "IDPCommunicationError", message)
}

/// Made for each call: a test's runtime may end before the next one begins.
fn client() -> Result<Client, StsError> {
    let client = Client::builder()
        .timeout(PATIENCE)
        .redirect(Policy::none())
        .no_proxy();
    client.build().map_err(unreachable)
}

/// One document of an issuer. An issuer that cannot be reached is not one that says nonsense.
async fn fetch(client: &Client, address: &str) -> Result<Vec<u8>, StsError> {
    let answer = client.get(address).send().await.map_err(unreachable)?;
    if answer.status().is_server_error() {
        return Err(StsError::sender(
            400,
            "IDPCommunicationError",
            "The identity provider answered with an error of its own. Try again.",
        ));
    }
    if !answer.status().is_success() {
        return Err(no_key());
    }
    let document = answer.bytes().await.map_err(unreachable)?;
    if document.len() > MOST_DOCUMENT_BYTES {
        return Err(no_key());
    }
    Ok(document.to_vec())
}
