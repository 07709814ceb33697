//! Signed JWTs of a provider: a strict reading, the signature, and what an ID token may say.
//!
//! Nothing of a token is believed before its signature is verified with a key that the provider
//! publishes; of its header only the algorithm's and the key's name are read, and the algorithm has
//! to be on our list. Never here: which claims tell about a person. Entry points:
//! `verified`, `IdToken::read`.

use std::time::Duration;

use aws_lc_rs::digest::{self, Algorithm as Hash};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use time::OffsetDateTime;

use super::{
    claims::Claims,
    conversation::is_same,
    json,
    keys::Keys,
    refusal::{Reason, Refused},
    settings::ALGORITHMS,
};

/// The longest token that is read, in bytes; groups make them long.
const LARGEST: usize = 128 * 1024;
/// The longest name of a key that is looked for.
const LONGEST_KEY_ID: usize = 512;
/// The longest `sub` (OpenID Connect Core, 2).
const LONGEST_SUBJECT: usize = 255;
/// What a logout token says, and an ID token never does.
pub(super) const LOGOUT_EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

/// A verified payload, and how its signature was made.
pub(in crate::identity) struct Verified {
    pub(in crate::identity) claims: Claims,
    /// The name of the algorithm.
    algorithm: &'static str,
}

/// Reads a token and verifies its signature. `types` are the values of `typ` that are taken, in
/// lower case; a token without is taken too.
pub(in crate::identity) fn verified(
    token: &str,
    keys: &Keys,
    allowed: &[String],
    types: &[&str],
) -> Result<Verified, Refused> {
    let malformed = |detail: &str| Refused::new(Reason::Malformed, detail);
    if token.len() > LARGEST {
        return Err(malformed("the token is too long"));
    }
    let (message, signature) = (token.rsplit_once('.'))
        .ok_or_else(|| malformed("the token is no signed JWT of three parts"))?;
    let (header, payload) = (message.split_once('.'))
        .filter(|(_, payload)| !payload.contains('.'))
        .ok_or_else(|| malformed("the token is no signed JWT of three parts"))?;
    let part = |text: &str| {
        URL_SAFE_NO_PAD
            .decode(text)
            .map_err(|_| malformed("a part of the token is not base64url"))
    };
    let header = Claims::new(json::object(&part(header)?, "the token's header")?);
    let (payload, signature) = (part(payload)?, part(signature)?);
    let named = header.text("alg")?.unwrap_or_default();
    let algorithm = ALGORITHMS
        .iter()
        .find(|(name, _)| *name == named && allowed.iter().any(|allowed| allowed == name));
    let Some((name, algorithm)) = algorithm else {
        let told: String = named.chars().take(20).collect();
        return Err(Refused::new(
            Reason::Algorithm,
            format!(
                "the token is signed with {told:?}; expected {}",
                allowed.join(", ")
            ),
        ));
    };
    check_header(&header, types)?;
    let key_id = header.text("kid")?;
    if key_id.is_some_and(|id| id.len() > LONGEST_KEY_ID) {
        return Err(Refused::new(
            Reason::UnknownKey,
            "the key's name is too long",
        ));
    }
    keys.verify(algorithm, key_id, message.as_bytes(), &signature)?;
    Ok(Verified {
        claims: Claims::new(json::object(&payload, "the token's payload")?),
        algorithm: name,
    })
}

/// What must be understood and is not (RFC 7515, 4.1.11), and what is another kind of token
/// (RFC 8725, 3.11).
fn check_header(header: &Claims, types: &[&str]) -> Result<(), Refused> {
    if header.value("crit").is_some() {
        let detail = "the header says that something has to be understood that is not";
        return Err(Refused::new(Reason::Header, detail));
    }
    let Some(kind) = header.text("typ")? else {
        return Ok(());
    };
    let kind = kind.to_ascii_lowercase();
    let kind = kind.strip_prefix("application/").unwrap_or(&kind);
    if types.contains(&kind) {
        return Ok(());
    }
    let told: String = kind.chars().take(40).collect();
    let detail = format!(
        "the token is of the type {told:?}; expected {}",
        types.join(" or ")
    );
    Err(Refused::new(Reason::Header, detail))
}

/// Who a token has to be from and for, and when it is read.
pub(super) struct Expected<'a> {
    pub(super) issuer: &'a str,
    pub(super) client_id: &'a str,
    pub(super) clock_skew: Duration,
    pub(super) now: OffsetDateTime,
}

impl Expected<'_> {
    /// Issuer and audience, which every token has.
    pub(super) fn check_parties(&self, claims: &Claims) -> Result<(), Refused> {
        let issuer = claims.text("iss")?.unwrap_or_default();
        if issuer != self.issuer {
            let told: String = issuer.chars().take(100).collect();
            let detail = format!("the token is from {told:?}; expected {:?}", self.issuer);
            return Err(Refused::new(Reason::Issuer, detail));
        }
        let audiences = claims.texts("aud")?;
        if !audiences.contains(&self.client_id) {
            return Err(Refused::new(Reason::Audience, "the token is not for us"));
        }
        let party = claims.text("azp")?;
        if party.is_some_and(|party| party != self.client_id) {
            let detail = "the token was issued to another client";
            return Err(Refused::new(Reason::AuthorizedParty, detail));
        }
        // Other audiences are trusted as little as anybody (Core, 3.1.3.7, 3), unless the provider
        // says that it issued the token to us.
        let is_for_others = audiences.iter().any(|audience| *audience != self.client_id);
        if is_for_others && party.is_none() {
            let detail =
                "the token is for others too and does not say in azp whom it was issued to";
            return Err(Refused::new(Reason::Audience, detail));
        }
        Ok(())
    }

    /// The end where there is one, and that it was not made in the future; says when it was made.
    pub(super) fn check_times(&self, claims: &Claims) -> Result<OffsetDateTime, Refused> {
        check_times(claims, self.now, self.clock_skew)?
            .ok_or_else(|| Refused::new(Reason::MissingClaim, "the token has no iat"))
    }
}

/// The end and the beginning where there are any, and that it was not made in the future; says when
/// it was made, where it says so.
pub(in crate::identity) fn check_times(
    claims: &Claims,
    now: OffsetDateTime,
    clock_skew: Duration,
) -> Result<Option<OffsetDateTime>, Refused> {
    let not_yet = |detail: &str| Refused::new(Reason::NotYetValid, detail);
    if let Some(end) = claims.moment("exp")?
        // The token's own moments may be at the end of time, where nothing can be added.
        && end <= now - clock_skew
    {
        let detail = format!("the token ended at {end}; it is {now} here");
        return Err(Refused::new(Reason::Expired, detail));
    }
    let latest = now + clock_skew;
    if claims.moment("nbf")?.is_some_and(|begin| begin > latest) {
        return Err(not_yet("the token is not valid yet; is the clock right?"));
    }
    let issued_at = claims.moment("iat")?;
    if issued_at.is_some_and(|at| at > latest) {
        return Err(not_yet(
            "the token was issued in the future; is the clock right?",
        ));
    }
    Ok(issued_at)
}

/// A subject that can be one: of 1 to 255 characters, none of which is a control character.
pub(in crate::identity) fn check_subject(subject: &str) -> Result<(), Refused> {
    let is_legal = (1..=LONGEST_SUBJECT).contains(&subject.chars().count())
        && subject.trim() == subject
        && !subject.chars().any(char::is_control);
    if is_legal {
        return Ok(());
    }
    let detail = "the sub is empty, longer than 255 characters, or has blanks around it or control \
                  characters in it";
    Err(Refused::new(Reason::Subject, detail))
}

/// What this sign-in asked for.
pub(super) struct Asked<'a> {
    pub(super) nonce: &'a str,
    /// The access token that came along.
    pub(super) access_token: &'a str,
    /// How long ago a person may have authenticated.
    pub(super) longest_age: Option<Duration>,
}

/// An ID token that passed every rule.
pub(super) struct IdToken {
    pub(super) claims: Claims,
    /// `sub`.
    pub(super) subject: String,
    /// `sid`.
    pub(super) session: Option<String>,
    pub(super) ends_at: OffsetDateTime,
    pub(super) authenticated_at: OffsetDateTime,
}

impl IdToken {
    /// Judges a verified token (OpenID Connect Core, 3.1.3.7).
    pub(super) fn read(
        verified: Verified,
        expected: &Expected<'_>,
        asked: &Asked<'_>,
    ) -> Result<Self, Refused> {
        let Verified { claims, algorithm } = verified;
        expected.check_parties(&claims)?;
        let ends_at = claims
            .moment("exp")?
            .ok_or_else(|| Refused::new(Reason::MissingClaim, "the token has no exp"))?;
        let issued_at = expected.check_times(&claims)?;
        // A logout token of the same provider has the same issuer and audience.
        if claims.value("events").is_some() {
            return Err(Refused::new(Reason::Header, "this is a logout token"));
        }
        if !claims
            .text("nonce")?
            .is_some_and(|nonce| is_same(nonce, asked.nonce))
        {
            let detail = "the nonce is not the one that was sent";
            return Err(Refused::new(Reason::Nonce, detail));
        }
        check_access_token(&claims, algorithm, asked.access_token)?;
        let authenticated_at = authenticated_at(&claims, expected, asked.longest_age)?;
        let subject = claims.text("sub")?.unwrap_or_default().to_owned();
        check_subject(&subject)?;
        let session = claims.text("sid")?.map(str::to_owned);
        Ok(Self {
            claims,
            subject,
            session,
            ends_at,
            authenticated_at: authenticated_at.unwrap_or(issued_at).min(expected.now),
        })
    }
}

/// Whether the access token is the one that the ID token was issued with (Core, 3.1.3.8): the left
/// half of its hash, by the hash of the signature.
fn check_access_token(claims: &Claims, algorithm: &str, access_token: &str) -> Result<(), Refused> {
    let Some(expected) = claims.text("at_hash")? else {
        return Ok(());
    };
    let hash: &Hash = match algorithm {
        "EdDSA" => &digest::SHA512,
        name if name.ends_with("256") => &digest::SHA256,
        name if name.ends_with("384") => &digest::SHA384,
        _ => &digest::SHA512,
    };
    let whole = digest::digest(hash, access_token.as_bytes());
    let (left, _) = whole.as_ref().split_at(hash.output_len() / 2);
    if is_same(&URL_SAFE_NO_PAD.encode(left), expected) {
        return Ok(());
    }
    let detail = "at_hash is not that of the access token";
    Err(Refused::new(Reason::AccessTokenHash, detail))
}

fn authenticated_at(
    claims: &Claims,
    expected: &Expected<'_>,
    longest_age: Option<Duration>,
) -> Result<Option<OffsetDateTime>, Refused> {
    let at = claims.moment("auth_time")?;
    let Some(longest) = longest_age else {
        return Ok(at);
    };
    let refused = |detail: String| Refused::new(Reason::AuthenticationAge, detail);
    let Some(moment) = at else {
        let detail = "the token does not say in auth_time when the person authenticated";
        return Err(refused(detail.to_owned()));
    };
    if moment < expected.now - longest - expected.clock_skew {
        return Err(refused(format!("the person authenticated at {moment}")));
    }
    Ok(at)
}
