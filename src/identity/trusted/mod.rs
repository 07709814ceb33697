//! Issuers whose tokens applications bring: JWTs by their published keys, and opaque tokens by
//! introspection (RFC 7662).
//!
//! A token is read by the same steps as an ID token (`verified` in [`oidc::token`](super::oidc::token)); what it has to say is judged
//! here. Never here: people who sign in by a browser; what a holder may do. Entry point:
//! [`TokenIssuer`].

mod introspection;
mod keys;
pub mod settings;

use std::sync::Arc;

use async_trait::async_trait;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;
use time::{Duration, OffsetDateTime};

use self::{
    introspection::Introspection,
    keys::PublishedKeys,
    settings::{Requirement, Way},
};
use super::{
    Cause, TokenHolder, TokenRefusal, TrustedIssuer,
    oidc::{
        claims::Claims,
        http::Http,
        json,
        person::Person,
        refusal::{Reason, Refused},
        token::{check_times, verified},
    },
};
use crate::{
    access::{AuthenticationMethod, ConnectorId, Group, GroupKey, GroupKeyForm, Identity},
    clock::Clock,
};

pub use settings::Settings;

/// The values of `typ` that are taken: access tokens (RFC 9068) and what does not say more.
const TYPES: [&str; 2] = ["jwt", "at+jwt"];
/// Claims that hold words with blanks between (RFC 8693, 4.2; Entra).
const SCOPES: [&str; 2] = ["scope", "scp"];

/// Every code that a token can be refused with.
pub const CODES: &[&str] = &[
    "token_malformed",
    "token_type",
    "token_bound",
    "algorithm_refused",
    "signature_invalid",
    "wrong_issuer",
    "wrong_audience",
    "token_expired",
    "token_not_yet_valid",
    "token_lasts_too_long",
    "token_inactive",
    "claim_missing",
    "claim_invalid",
    "claim_refused",
    "groups_missing",
    "groups_incomplete",
];

/// A trusted issuer.
#[expect(missing_debug_implementations, reason = "keys and a client of it")]
pub struct TokenIssuer {
    settings: Settings,
    groups: Vec<Group>,
    verifier: Verifier,
    clock: Arc<dyn Clock>,
}

enum Verifier {
    Keys(PublishedKeys),
    Introspection(Introspection),
}

impl TokenIssuer {
    /// Nothing is asked yet.
    ///
    /// # Errors
    /// When the certificates cannot be used, or a group has no name.
    pub fn new(settings: Settings, clock: Arc<dyn Clock>) -> Result<Self, Cause> {
        let http = Http::new(settings.ca_pem.as_deref())?;
        let verifier = match &settings.way {
            Way::Keys(url) => Verifier::Keys(PublishedKeys::new(
                settings.id.clone(),
                url.clone(),
                http,
                Arc::clone(&clock),
            )),
            Way::Introspection {
                url,
                client_id,
                client_secret,
            } => Verifier::Introspection(Introspection::new(
                url.clone(),
                client_id,
                client_secret,
                http,
            )),
        };
        let groups = settings.groups.iter().map(|name| {
            let key = GroupKey::new(&settings.id, name, GroupKeyForm::Exact)?;
            Ok::<_, Cause>(Group {
                key,
                name: name.clone(),
                stable_id: None,
                through: None,
            })
        });
        Ok(Self {
            groups: groups.collect::<Result<_, _>>()?,
            settings,
            verifier,
            clock,
        })
    }

    async fn by_keys(&self, keys: &PublishedKeys, token: &str) -> Result<Claims, TokenRefusal> {
        let algorithms = &self.settings.algorithms;
        let used = keys.current().await?;
        let refusal = match verified(token, &used.keys, algorithms, &TYPES) {
            Ok(verified) => return Ok(verified.claims),
            Err(refusal) => refusal,
        };
        if matches!(refusal.reason, Reason::UnknownKey | Reason::Signature)
            && let Some(newer) = keys.newer_than(&used).await
        {
            let again = verified(token, &newer.keys, algorithms, &TYPES);
            return again.map(|verified| verified.claims).map_err(restated);
        }
        Err(restated(refusal))
    }

    /// Judges what was verified.
    fn judge(&self, claims: &Claims, now: OffsetDateTime) -> Result<TokenHolder, TokenRefusal> {
        self.check_parties(claims)?;
        // A logout token has the same issuer and audience.
        if claims.value("events").is_some() {
            return Err(refused("token_type", "this tells of an event".to_owned()));
        }
        if claims.value("cnf").is_some() {
            let detail = "the token is bound to a key (cnf), which cannot be proved here";
            return Err(refused("token_bound", detail.to_owned()));
        }
        let (issued_at, ends_at) = self.check_times(claims, now)?;
        for (path, requirement) in &self.settings.required {
            if !is_met(path, requirement, claims) {
                let detail = format!("the claim {path:?} is not what required_claims wants");
                return Err(refused("claim_refused", detail));
            }
        }
        let (id, names) = (&self.settings.id, &self.settings.claims);
        let person = Person::read(id, names, claims, None).map_err(restated)?;
        let groups = self.groups_of(claims, &person)?;
        Ok(TokenHolder {
            ends_at,
            identity: Identity {
                connector: id.clone(),
                groups,
                subject: person.subject,
                username: person.username,
                display_name: person.display_name,
                email: person.email,
                entry_dn: None,
                groups_read_at: now,
                authenticated_at: issued_at.unwrap_or(now).min(now),
                method: AuthenticationMethod::Token,
                authentication_context: person.authentication_context,
                asserted_roles: Vec::new(),
            },
        })
    }

    /// An issuer that is asked need not say again who it is.
    fn check_parties(&self, claims: &Claims) -> Result<(), TokenRefusal> {
        let issuer = claims.text("iss").map_err(restated)?;
        let was_asked = matches!(self.verifier, Verifier::Introspection(_));
        if issuer.map_or(!was_asked, |issuer| issuer != self.settings.issuer) {
            let told: String = issuer.unwrap_or_default().chars().take(100).collect();
            let expected = &self.settings.issuer;
            let detail = format!("the token is from {told:?}; expected {expected:?}");
            return Err(refused("wrong_issuer", detail));
        }
        let audiences = claims.texts("aud").map_err(restated)?;
        let expected = &self.settings.audiences;
        let is_ours = audiences
            .iter()
            .any(|one| expected.iter().any(|own| own == one));
        if !expected.is_empty() && !is_ours {
            let detail = format!("the token is not for {}", expected.join(" or "));
            return Err(refused("wrong_audience", detail));
        }
        Ok(())
    }

    /// When it was made, where it says so, and when it ends.
    fn check_times(
        &self,
        claims: &Claims,
        now: OffsetDateTime,
    ) -> Result<(Option<OffsetDateTime>, OffsetDateTime), TokenRefusal> {
        let missing = |name: &str| refused("claim_missing", format!("the token has no {name}"));
        let issued_at = check_times(claims, now, self.settings.clock_skew).map_err(restated)?;
        let ends_at = claims.moment("exp").map_err(restated)?;
        let ends_at = ends_at.ok_or_else(|| missing("exp"))?;
        if issued_at.is_none() && matches!(self.verifier, Verifier::Keys(_)) {
            return Err(missing("iat"));
        }
        let lasts: Duration = ends_at - issued_at.unwrap_or(now);
        if lasts > self.settings.longest_lifetime {
            let longest = self.settings.longest_lifetime.as_secs();
            let lasts = lasts.whole_seconds();
            let detail =
                format!("the token lasts {lasts} s; longest_lifetime takes {longest} s at most");
            return Err(refused("token_lasts_too_long", detail));
        }
        Ok((issued_at, ends_at))
    }

    /// Those of the configuration, or all that the token names; not knowing them is no empty list.
    fn groups_of(&self, claims: &Claims, person: &Person) -> Result<Vec<Group>, TokenRefusal> {
        let Some(path) = &self.settings.claims.groups else {
            return Ok(self.groups.clone());
        };
        if person.groups_overage {
            let detail = "the issuer left groups out because they are too many";
            return Err(refused("groups_incomplete", detail.to_owned()));
        }
        if claims.at(path).is_none() {
            let detail = format!("there is no claim {path:?}, which claims.groups names");
            return Err(refused("groups_missing", detail));
        }
        Ok(person.groups.clone())
    }
}

#[async_trait]
impl TrustedIssuer for TokenIssuer {
    fn id(&self) -> &ConnectorId {
        &self.settings.id
    }

    fn allowed_origins(&self) -> &[String] {
        &self.settings.allowed_origins
    }

    fn may_be_of(&self, token: &SecretString) -> bool {
        match said_issuer(token.expose_secret()) {
            Some(said) => said.as_deref() == Some(self.settings.issuer.as_str()),
            None => matches!(self.verifier, Verifier::Introspection(_)),
        }
    }

    async fn identify(&self, token: &SecretString) -> Result<TokenHolder, TokenRefusal> {
        let claims = match &self.verifier {
            Verifier::Keys(keys) => self.by_keys(keys, token.expose_secret()).await?,
            Verifier::Introspection(introspection) => {
                if !self.may_be_of(token) {
                    let detail = "the token says that it is another issuer's; it was not sent to \
                                  this one";
                    return Err(refused("wrong_issuer", detail.to_owned()));
                }
                introspection.claims(token).await?
            }
        };
        self.judge(&claims, self.clock.now())
    }
}

/// The `iss` of a JWT, which is not verified; none of all where the token is no JWT.
#[expect(clippy::option_option, reason = "a JWT without iss is no opaque token")]
fn said_issuer(token: &str) -> Option<Option<String>> {
    let mut parts = token.split('.');
    let (header, payload) = (parts.next()?, parts.next()?);
    parts.next()?;
    if parts.next().is_some() {
        return None;
    }
    let read = |part: &str| {
        let bytes = URL_SAFE_NO_PAD.decode(part).ok()?;
        json::object(&bytes, "the token").ok().map(Claims::new)
    };
    read(header)?;
    Some(read(payload).and_then(|claims| claims.text("iss").ok()?.map(str::to_owned)))
}

fn is_met(path: &str, requirement: &Requirement, claims: &Claims) -> bool {
    let Some(value) = claims.at(path) else {
        return false;
    };
    match (requirement, value) {
        (Requirement::Flag(wanted), Value::Bool(said)) => wanted == said,
        (Requirement::Words(words), Value::String(text)) if SCOPES.contains(&path) => {
            let said: Vec<&str> = text.split_ascii_whitespace().collect();
            words.iter().all(|word| said.contains(&word.as_str()))
        }
        (Requirement::Words(words), Value::String(text)) => words.iter().all(|word| word == text),
        (Requirement::Words(words), Value::Array(said)) => {
            (words.iter()).all(|word| said.iter().any(|said| said == word.as_str()))
        }
        _ => false,
    }
}

fn refused(code: &'static str, detail: String) -> TokenRefusal {
    // Cut and without control characters, since parts of a stranger's message are in it.
    let Refused { detail, .. } = Refused::new(Reason::Claim, detail);
    TokenRefusal::Refused { code, detail }
}

fn restated(refusal: Refused) -> TokenRefusal {
    refused(code(refusal.reason), refusal.detail)
}

/// The code of a rule that ID tokens have too.
fn code(reason: Reason) -> &'static str {
    match reason {
        Reason::Malformed | Reason::DuplicateKey => "token_malformed",
        Reason::Header => "token_type",
        Reason::Algorithm => "algorithm_refused",
        Reason::UnknownKey | Reason::Signature => "signature_invalid",
        Reason::Issuer => "wrong_issuer",
        Reason::Audience => "wrong_audience",
        Reason::Expired => "token_expired",
        Reason::NotYetValid => "token_not_yet_valid",
        Reason::MissingClaim => "claim_missing",
        _ => "claim_invalid",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn claims(value: &Value) -> Claims {
        Claims::new(value.as_object().cloned().unwrap_or_default())
    }

    #[test]
    fn a_token_says_whose_it_is_or_is_opaque() {
        let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
        let jwt = |payload: &str| format!("{}.{}.c2ln", part(r#"{"alg":"RS256"}"#), part(payload));
        let shop = Some(Some("https://shop.example".to_owned()));
        assert_eq!(said_issuer(&jwt(r#"{"iss":"https://shop.example"}"#)), shop);
        for of_nobody in [
            jwt("{}"),
            jwt("no json"),
            jwt(r#"{"iss":1}"#),
            jwt(r#"{"iss":"a","iss":"b"}"#),
        ] {
            assert_eq!(said_issuer(&of_nobody), Some(None), "{of_nobody}");
        }
        for opaque in [
            "",
            "abc",
            "a.b.c",
            "a.b",
            "e30.e30.e30.e30.e30",
            "..",
            "MTIz.e30.x",
        ] {
            assert_eq!(said_issuer(opaque), None, "{opaque}");
        }
    }

    #[test]
    fn a_required_claim_is_met_to_the_letter() {
        let said = claims(&json!({
            "azp": "shop-web", "scope": "read upload", "roles": ["a", "b"], "mfa": true,
            "realm": { "name": "shop" }, "note": "read upload",
        }));
        let words = |words: &[&str]| {
            Requirement::Words(words.iter().map(|word| (*word).to_owned()).collect())
        };
        for (path, requirement, holds) in [
            ("azp", words(&["shop-web"]), true),
            ("azp", words(&["shop"]), false),
            ("scope", words(&["upload"]), true),
            ("scope", words(&["upload", "read"]), true),
            ("scope", words(&["upload", "write"]), false),
            ("scope", words(&["up"]), false),
            ("note", words(&["upload"]), false),
            ("roles", words(&["b"]), true),
            ("roles", words(&["b", "c"]), false),
            ("realm.name", words(&["shop"]), true),
            ("realm", words(&["shop"]), false),
            ("nothing", words(&["shop"]), false),
            ("mfa", Requirement::Flag(true), true),
            ("mfa", Requirement::Flag(false), false),
            ("mfa", words(&["true"]), false),
            ("nothing", Requirement::Flag(false), false),
        ] {
            assert_eq!(
                is_met(path, &requirement, &said),
                holds,
                "{path} {requirement:?}"
            );
        }
    }

    #[test]
    fn every_rule_of_a_token_has_a_code_that_is_told() {
        for reason in Reason::ALL {
            assert!(CODES.contains(&code(*reason)), "{reason}");
        }
    }
}
