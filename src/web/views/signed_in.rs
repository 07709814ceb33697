//! The pages between an identity provider's answer and where the person wanted to go.

use askama::Template;

use super::Layout;
use crate::access::ConnectorId;

/// Goes on to a deep link by a navigation that starts on a page of ours.
///
/// The browser calls the whole chain that began at the provider cross-site, and a deep link asks
/// for a click whatever another site started; a refresh begins a navigation of our own.
#[derive(Template)]
#[template(path = "signed_in.html", whitespace = "minimize")]
pub(crate) struct SignedInView {
    layout: Layout,
    next: String,
}

impl SignedInView {
    /// `next` is a path of ours, checked by the caller.
    pub(crate) fn new(layout: Layout, next: String) -> Self {
        Self { layout, next }
    }
}

/// Asks before signing in somebody who was sent here without having started here: a stranger could
/// have sent them with an answer about the stranger.
#[derive(Template)]
#[template(path = "confirm_sign_in.html", whitespace = "minimize")]
pub(crate) struct ConfirmSignInView {
    layout: Layout,
    name: String,
    provider: String,
    action: String,
    message: String,
}

/// What [`ConfirmSignInView`] is made from. No `Debug`: the message is a bearer secret.
pub(crate) struct ConfirmSignInInput {
    /// The frame; nobody is signed in yet.
    pub(crate) layout: Layout,
    /// What to call the person.
    pub(crate) name: String,
    /// What people call the provider.
    pub(crate) provider: String,
    /// Its connector.
    pub(crate) connector: ConnectorId,
    /// The provider's message, which is posted once more.
    pub(crate) message: String,
}

impl ConfirmSignInView {
    /// One button says yes.
    pub(crate) fn new(input: ConfirmSignInInput) -> Self {
        Self {
            layout: input.layout,
            name: input.name,
            provider: input.provider,
            action: format!("/saml/{}/acs/confirm", input.connector),
            message: input.message,
        }
    }
}
