//! A person's own devices and tokens.

use super::{MadeToken, NotMade, TokenWish};
use crate::{
    access::Identity,
    broker::{Broker, Client},
    store::{SignInSession, StoreError},
};

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
    /// `sessions`, whose own scopes bound those of the new token.
    pub async fn make_token(
        &self,
        session: &mut SignInSession,
        wish: &TokenWish,
        client: &Client,
    ) -> Result<MadeToken, NotMade> {
        let _ = (session, wish, client);
        Err(NotMade::Unfit("not yet".to_owned()))
    }
}
