//! A person's own devices and tokens.

use time::{Duration, OffsetDateTime, format_description::well_known::Rfc3339};

use super::{
    MadeToken, NotMade, TokenWish,
    client::{NAME_AT_MOST, check_name},
    secret,
};
use crate::{
    access::{Identity, TargetArn, TokenScope},
    audit::{Action, AuditEvent, Outcome},
    broker::{Broker, Client, GroupsRefused, open::named_role, sign_in::person},
    store::{BrokerToken, Device, SignInSession, StoreError, TokenKind},
};

const SHORTEST: Duration = Duration::minutes(1);

impl Broker {
    /// The sessions of a person's devices, newest first. They are ended as sign-in sessions are, by
    /// [`Broker::end_own_session`].
    pub async fn devices(&self, identity: &Identity) -> Result<Vec<SignInSession>, StoreError> {
        let sessions = self.sign_in_sessions(identity).await?;
        Ok((sessions.into_iter())
            .filter(|session| session.device.is_some())
            .collect())
    }

    /// Makes a token by hand. `session` is a browser's, or that of a device with the scope
    /// `sessions`, whose own scopes, role and end bound those of the new token.
    pub async fn make_token(
        &self,
        session: &mut SignInSession,
        wish: &TokenWish,
        client: &Client,
    ) -> Result<MadeToken, NotMade> {
        check_wish(wish, session.device.as_ref())?;
        if session.is_of_one_call() {
            return Err(NotMade::Unfit(SIGN_IN_FIRST.to_owned()));
        }
        let expires_at = self.end_of(wish, session)?;
        self.freshen(session, client).await.map_err(not_fresh)?;
        let role = match &wish.role {
            Some(role) => Some(self.held_role(&session.identity, role).await?),
            None => None,
        };
        if let Some(own) = session.device.as_ref().and_then(|own| own.role.as_ref())
            && role.as_ref() != Some(own)
        {
            let message = format!("A token limited to {own} makes none for anything else.");
            return Err(NotMade::Unfit(message));
        }
        let device = Device {
            name: wish.name.trim().to_owned(),
            scopes: wish.scopes.clone(),
            role,
        };
        let made = SignInSession {
            expires_at,
            ..self.device_session(session, device.clone(), client)?
        };
        let token = secret::fresh(secret::MADE)?;
        let kept = BrokerToken {
            hash: token.hash,
            session: made.id_hash.clone(),
            kind: TokenKind::Access,
            client: None,
            scopes: device.scopes.clone(),
            created_at: made.created_at,
            expires_at,
            used_at: None,
        };
        let event = self.issue_event(&made, client);
        let tokens = &self.adapters.tokens;
        tokens.begin_device(&made, &[kept], &event).await?;
        let sessions = &self.adapters.sessions;
        if sessions.session(&session.id_hash).await?.is_none() {
            // Signed out everywhere meanwhile, which this one has missed.
            sessions.end_session(&made.id_hash).await?;
            return Err(NotMade::Unfit(SIGN_IN_AGAIN.to_owned()));
        }
        super::count("made", "ok");
        Ok(MadeToken {
            token: token.secret,
            id: made.id_hash,
            expires_at,
            device,
        })
    }

    /// When the token ends: no later than the device that makes it, or it could go on for ever without
    /// a person.
    fn end_of(&self, wish: &TokenWish, by: &SignInSession) -> Result<OffsetDateTime, NotMade> {
        let now = self.now();
        let latest = match by.device {
            Some(_) => by.expires_at.min(now + self.settings.tokens.refresh),
            None => now + self.settings.tokens.refresh,
        };
        let Some(lasts) = wish.lasts else {
            return Ok(latest);
        };
        let longest = std::time::Duration::try_from(latest - now).unwrap_or_default();
        if lasts < SHORTEST || lasts > longest {
            let longest = std::time::Duration::from_secs(longest.as_secs());
            return Err(NotMade::Unfit(format!(
                "A token lasts between one minute and {} here.",
                humantime::format_duration(longest)
            )));
        }
        Ok(now + lasts)
    }

    async fn held_role(&self, identity: &Identity, role: &str) -> Result<TargetArn, NotMade> {
        let policy = self.policy().await?;
        let role = named_role(&policy, role).ok_or(NotMade::NotEntitled(None))?;
        match policy.entitlement_to(identity, &role, self.now()) {
            Some(_) => Ok(role),
            None => Err(NotMade::NotEntitled(Some(role))),
        }
    }

    /// A session for a device of the person behind `parent`. It goes on when `parent` ends, but not when
    /// the provider's session that both rest on does.
    pub(super) fn device_session(
        &self,
        parent: &SignInSession,
        device: Device,
        client: &Client,
    ) -> Result<SignInSession, StoreError> {
        let now = self.now();
        Ok(SignInSession {
            id_hash: secret::nobodys_hash()?,
            identity: parent.identity.clone(),
            client_address: client.address.to_string(),
            user_agent: client.user_agent.clone(),
            created_at: now,
            last_seen_at: now,
            expires_at: now + self.settings.tokens.refresh,
            provider_session: parent.provider_session.clone(),
            device: Some(device),
        })
    }

    /// The row that says that tokens were issued for a device.
    pub(super) fn issue_event(&self, session: &SignInSession, client: &Client) -> AuditEvent {
        let actor = person(&session.identity);
        let ends = session.expires_at.format(&Rfc3339).unwrap_or_default();
        let mut event = self
            .event(Action::TokenIssue, Outcome::Ok, actor, client)
            .with("device", session.id_hash.as_str())
            .with("expires_at", ends);
        if let Some(device) = &session.device {
            event.role = device.role.as_ref().map(ToString::to_string);
            event.account = (device.role.as_ref()).map(|role| role.account().to_string());
            event = event
                .with("client", device.name.as_str())
                .with("scopes", device.scopes.to_string());
        }
        event
    }

    /// Notes that a device was used, at most once a minute.
    pub(in crate::broker) async fn note_use(
        &self,
        session: &SignInSession,
    ) -> Result<(), StoreError> {
        let now = self.now();
        if now - session.last_seen_at < Duration::MINUTE {
            return Ok(());
        }
        let sessions = &self.adapters.sessions;
        sessions.touch_session(&session.id_hash, now).await
    }
}

const SIGN_IN_FIRST: &str = "Sign in by a browser or with `rolegate login` to make tokens.";
const SIGN_IN_AGAIN: &str = "Your sign-in has ended: sign in again, then make the token.";

/// What is wrong with a wish by itself, or with asking for it by this device.
fn check_wish(wish: &TokenWish, by: Option<&Device>) -> Result<(), NotMade> {
    let unfit = |message: String| Err(NotMade::Unfit(message));
    if let Err(why) = check_name(&wish.name) {
        return unfit(format!(
            "The name {why}: call the token by 1 to {NAME_AT_MOST} characters."
        ));
    }
    if wish.scopes.is_empty() {
        let all: Vec<&str> = TokenScope::ALL.map(TokenScope::as_str).into();
        return unfit(format!(
            "Say what the token may be used for, by one or more of: {}.",
            all.join(", ")
        ));
    }
    let Some(device) = by else {
        return Ok(());
    };
    if !device.scopes.contains(TokenScope::Sessions) {
        return unfit("Making tokens needs the scope `sessions`.".to_owned());
    }
    if !wish.scopes.is_within(&device.scopes) {
        return unfit(format!(
            "A token can give no more than it has itself: {}.",
            device.scopes
        ));
    }
    Ok(())
}

fn not_fresh(refused: GroupsRefused) -> NotMade {
    NotMade::Unfit(match refused {
        GroupsRefused::StoreUnavailable(error) => return NotMade::StoreUnavailable(error),
        GroupsRefused::AccountGone => "The account is gone or disabled.".to_owned(),
        GroupsRefused::SignInAgain => SIGN_IN_AGAIN.to_owned(),
        GroupsRefused::DirectoryUnavailable(_) => {
            "Your groups cannot be read: the directory does not answer. Try again later.".to_owned()
        }
    })
}
