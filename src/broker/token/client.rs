//! Clients, which register themselves (RFC 7591).
//!
//! A client's id holds what it said about itself and commits to its secret, so that nothing is kept
//! for clients that nobody ever agrees to. Anybody can register, under any name, and can as well write
//! an id without registering: so nothing trusts a client by its id. All that an id and its secret say is
//! that whoever exchanges a code is who asked for it. What is in an id is judged each time as it was at
//! the registration, and where answers go is this machine's loopback alone, whoever asks.

use aws_lc_rs::{
    constant_time::verify_slices_are_equal,
    digest::{self, SHA256},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use time::{Duration, OffsetDateTime};
use url::Url;

use super::{ClientProof, ClientWish, RegisteredClient, TokenRefused, secret};
use crate::{
    access::{TokenScope, TokenScopes},
    broker::{Broker, Client, throttle::Key},
};

/// How long a registration lasts; AWS's own last as long.
const LASTS: Duration = Duration::days(90);
/// A registration of a replica whose clock is ahead is one too.
const LEEWAY: Duration = Duration::minutes(5);
pub(super) const NAME_AT_MOST: usize = 100;
const REDIRECT_URIS_AT_MOST: usize = 5;
const REDIRECT_URI_AT_MOST: usize = 300;
/// No registration makes a longer id.
const ID_AT_MOST: usize = 8_192;

/// How a client may ask, and renew.
pub(super) const BY_CODE: &str = "authorization_code";
pub(super) const BY_DEVICE: &str = "urn:ietf:params:oauth:grant-type:device_code";
pub(super) const BY_REFRESH: &str = "refresh_token";

/// What a client said about itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Card {
    pub(super) name: String,
    redirect_uris: Vec<String>,
    scopes: TokenScopes,
    grant_types: Vec<String>,
    /// Seconds since 1970.
    expires: i64,
}

/// What an id is made of: the card, and SHA-256 of card and secret in base64url.
type Id = (Card, String);

impl Broker {
    /// Registers a client.
    pub fn register_client(
        &self,
        wish: &ClientWish,
        client: &Client,
    ) -> Result<RegisteredClient, TokenRefused> {
        let taken = self
            .throttle
            .take(&Key::clients(client.address), self.now());
        taken.map_err(|retry_after| TokenRefused::Throttled { retry_after })?;
        if wish.kind != "public" {
            let message = "the client's type has to be `public`: it can keep no secret of its own";
            return Err(TokenRefused::InvalidClientMetadata(message.to_owned()));
        }
        let scopes = wish.scopes.iter().map(|word| word.parse::<TokenScope>());
        let scopes: Result<TokenScopes, _> = scopes.collect();
        let issued_at = self.now();
        let expires_at = issued_at + LASTS;
        let card = Card {
            name: wish.name.clone(),
            redirect_uris: wish.redirect_uris.clone(),
            scopes: scopes.map_err(|error| TokenRefused::InvalidScope(error.to_string()))?,
            grant_types: wish.grant_types.clone(),
            expires: expires_at.unix_timestamp(),
        };
        card.check(issued_at)?;
        let secret = secret::fresh("")?.secret;
        super::count("register", "ok");
        Ok(RegisteredClient {
            client_id: card.id(&secret),
            client_secret: secret,
            issued_at,
            expires_at,
        })
    }

    /// What an id says, without a proof: enough to ask a person, and to know where answers may go.
    pub(super) fn card(&self, client_id: &str) -> Result<Card, TokenRefused> {
        self.read(client_id).map(|(card, _)| card)
    }

    /// What an id says, of whoever knows its secret.
    pub(super) fn proven(&self, proof: &ClientProof) -> Result<Card, TokenRefused> {
        let (card, commitment) = self.read(&proof.client_id)?;
        let expected = card.commitment(&proof.client_secret);
        verify_slices_are_equal(commitment.as_bytes(), expected.as_bytes())
            .map_err(|_| TokenRefused::InvalidClient)?;
        Ok(card)
    }

    fn read(&self, client_id: &str) -> Result<Id, TokenRefused> {
        if client_id.len() > ID_AT_MOST {
            return Err(TokenRefused::InvalidClient);
        }
        let bytes = URL_SAFE_NO_PAD.decode(client_id);
        let bytes = bytes.map_err(|_| TokenRefused::InvalidClient)?;
        let (card, commitment): Id =
            serde_json::from_slice(&bytes).map_err(|_| TokenRefused::InvalidClient)?;
        card.check(self.now())
            .map_err(|_| TokenRefused::InvalidClient)?;
        Ok((card, commitment))
    }
}

impl Card {
    fn id(&self, secret: &SecretString) -> String {
        let id = (self, self.commitment(secret));
        // Texts and numbers always have a JSON.
        URL_SAFE_NO_PAD.encode(serde_json::to_vec(&id).unwrap_or_default())
    }

    fn commitment(&self, secret: &SecretString) -> String {
        let mut context = digest::Context::new(&SHA256);
        context.update(b"rolegate client 1\n");
        context.update(&serde_json::to_vec(self).unwrap_or_default());
        // No line feed stands in JSON as it is written here.
        context.update(b"\n");
        context.update(secret.expose_secret().as_bytes());
        URL_SAFE_NO_PAD.encode(context.finish())
    }

    /// Whether a registration could have said so, and has not ended.
    fn check(&self, now: OffsetDateTime) -> Result<(), TokenRefused> {
        let wrong = |message: String| Err(TokenRefused::InvalidClientMetadata(message));
        if let Err(message) = check_name(&self.name) {
            return wrong(format!("the client's name {message}"));
        }
        let known = [BY_CODE, BY_DEVICE, BY_REFRESH];
        if let Some(other) = (self.grant_types.iter()).find(|it| !known.contains(&it.as_str())) {
            let other: String = other.chars().take(60).collect();
            return wrong(format!(
                "{other:?} is no grant type; there are: {}",
                known.join(", ")
            ));
        }
        if self.grant_types.len() > known.len() {
            return wrong("a grant type is named more than once".to_owned());
        }
        if self.redirect_uris.len() > REDIRECT_URIS_AT_MOST {
            let message = format!("at most {REDIRECT_URIS_AT_MOST} redirect addresses are taken");
            return Err(TokenRefused::InvalidRedirectUri(message));
        }
        for uri in &self.redirect_uris {
            loopback(uri).map_err(|why| TokenRefused::InvalidRedirectUri(why.to_owned()))?;
        }
        let ends = now.unix_timestamp()..(now + LASTS + LEEWAY).unix_timestamp();
        if !ends.contains(&self.expires) {
            return wrong("the registration has ended".to_owned());
        }
        Ok(())
    }

    /// Whether the client may ask in this way; one that named none may ask in all.
    pub(super) fn may(&self, grant_type: &str) -> Result<(), TokenRefused> {
        let is_named = self.grant_types.iter().any(|named| named == grant_type);
        if self.grant_types.is_empty() || is_named {
            Ok(())
        } else {
            Err(TokenRefused::UnauthorizedClient)
        }
    }

    /// What the client may ask for at most, and asks for where it says nothing.
    pub(super) fn scopes(&self) -> TokenScopes {
        if self.scopes.is_empty() {
            TokenScopes::from_iter([TokenScope::Aws])
        } else {
            self.scopes.clone()
        }
    }

    /// The redirect address of a request, where it is one of the client's but for the port
    /// (RFC 8252, 7.3).
    pub(super) fn redirect(&self, uri: &str) -> Result<Url, &'static str> {
        let asked = loopback(uri)?;
        let is_same = |own: &String| {
            loopback(own).is_ok_and(|own| own.host() == asked.host() && own.path() == asked.path())
        };
        if self.redirect_uris.iter().any(is_same) {
            Ok(asked)
        } else {
            Err("the redirect address is none of those that the client registered")
        }
    }
}

/// What a client, or a person for it, may call it; else what is wrong with that.
pub(super) fn check_name(name: &str) -> Result<(), String> {
    if name.trim().is_empty() {
        return Err("is empty".to_owned());
    }
    if name.chars().count() > NAME_AT_MOST {
        return Err(format!("has more than {NAME_AT_MOST} characters"));
    }
    // What turns the direction of a text, or is not seen, makes a name look like another.
    let hides = |letter: char| {
        letter.is_control()
            || matches!(letter, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}' | '\u{feff}')
    };
    if name.chars().any(hides) {
        return Err("has characters that cannot be seen".to_owned());
    }
    Ok(())
}

/// A loopback address, written as everybody writes it: nothing that two parsers could read in two ways.
fn loopback(uri: &str) -> Result<Url, &'static str> {
    const WRONG: &str = "a redirect address has to be this machine's own, such as \
         http://127.0.0.1/oauth/callback: http, 127.0.0.1, [::1] or localhost, any port, a path, and \
         nothing else";
    if uri.len() > REDIRECT_URI_AT_MOST {
        return Err(WRONG);
    }
    let url: Url = uri.parse().map_err(|_| WRONG)?;
    let is_written_plainly = url.as_str() == uri || url.as_str().strip_suffix('/') == Some(uri);
    let is_loopback = matches!(url.host_str(), Some("127.0.0.1" | "[::1]" | "localhost"));
    let is_bare = url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none();
    if url.scheme() == "http" && is_written_plainly && is_loopback && is_bare {
        Ok(url)
    } else {
        Err(WRONG)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_loopback_addresses_are_taken() {
        for good in [
            "http://127.0.0.1/oauth/callback",
            "http://127.0.0.1:49152/oauth/callback",
            "http://[::1]:5000/",
            "http://localhost:1",
        ] {
            assert!(loopback(good).is_ok(), "{good}");
        }
        for bad in [
            "https://127.0.0.1/cb",
            "http://127.0.0.1.evil.example/cb",
            "http://127.0.0.1@evil.example/cb",
            "http://user@127.0.0.1/cb",
            "http://127.0.0.2/cb",
            "http://0x7f.1/cb",
            "http://2130706433/cb",
            "http://127.1/cb",
            "http://localhost.evil.example/cb",
            "http://LOCALHOST/cb",
            "http://localhost./cb",
            "http://[::ffff:127.0.0.1]/cb",
            "http:\\\\127.0.0.1\\cb",
            "http://127.0.0.1\\@evil.example/cb",
            "http://127.0.0.1/a/../cb",
            "http://127.0.0.1/cb?next=x",
            "http://127.0.0.1/cb#x",
            "http://127.0.0.1/cb?",
            "http://127.0.0.1/cb#",
            " http://127.0.0.1/cb",
            "http://127.0.0.1/c\tb",
            "http://127.0.0.1:99999/cb",
            "javascript://127.0.0.1/%0aalert(1)",
            "com.example:/cb",
            "/cb",
            "",
        ] {
            assert!(loopback(bad).is_err(), "{bad}");
        }
        let long = format!("http://127.0.0.1/{}", "a".repeat(300));
        assert!(loopback(&long).is_err());
    }

    #[test]
    fn ports_do_not_count_and_all_else_does() {
        let card = Card {
            name: "x".to_owned(),
            redirect_uris: vec!["http://127.0.0.1/oauth/callback".to_owned()],
            scopes: TokenScopes::default(),
            grant_types: Vec::new(),
            expires: 0,
        };
        assert!(card.redirect("http://127.0.0.1/oauth/callback").is_ok());
        assert!(card.redirect("http://127.0.0.1:5/oauth/callback").is_ok());
        for other in [
            "http://localhost:5/oauth/callback",
            "http://[::1]:5/oauth/callback",
            "http://127.0.0.1:5/oauth/callback/",
            "http://127.0.0.1:5/oauth/Callback",
            "http://127.0.0.1:5/oauth/callbac%6b",
            "http://127.0.0.1:5/",
        ] {
            assert!(card.redirect(other).is_err(), "{other}");
        }
    }

    #[test]
    fn names_show_what_they_are() {
        assert!(check_name("botocore-client-1764000000").is_ok());
        assert!(check_name("Ünïcode ☕").is_ok());
        for bad in [
            "",
            "  ",
            "a\nb",
            "a\u{1b}[2J",
            "evil\u{202e}txt",
            "a\u{200b}b",
        ] {
            assert!(check_name(bad).is_err(), "{bad:?}");
        }
        assert!(check_name(&"x".repeat(101)).is_err());
    }
}
