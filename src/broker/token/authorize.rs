//! Asking a person by a browser on the same machine: authorization codes with PKCE (RFC 6749, 4.1;
//! RFC 7636; RFC 8252).

use url::Url;

use super::{AuthorizeOrder, AuthorizeRefused, Consent};
use crate::{
    broker::{Broker, Client},
    store::SignInSession,
};

impl Broker {
    /// What the person would agree to; nothing is kept.
    pub fn consent(&self, order: &AuthorizeOrder) -> Result<Consent, AuthorizeRefused> {
        let _ = order;
        Err(AuthorizeRefused::NoRedirect("the client is not known"))
    }

    /// The person agrees: the address to send the browser to, with the code.
    pub async fn approve_code(
        &self,
        session: &SignInSession,
        order: &AuthorizeOrder,
        client: &Client,
    ) -> Result<Url, AuthorizeRefused> {
        let _ = (session, client);
        self.consent(order).map(|consent| consent.redirect_uri)
    }

    /// The person declines: the address to send the browser to, with the error.
    pub async fn decline_code(
        &self,
        session: &SignInSession,
        order: &AuthorizeOrder,
        client: &Client,
    ) -> Result<Url, AuthorizeRefused> {
        let _ = (session, client);
        self.consent(order).map(|consent| consent.redirect_uri)
    }
}
