//! Asking a person by a code that is typed elsewhere (RFC 8628).

use super::{ClientProof, DeviceAsked, DeviceRefused, DeviceStarted, TokenRefused};
use crate::{
    broker::{Broker, Client},
    store::SignInSession,
};

impl Broker {
    /// Begins a device authorization.
    pub async fn start_device(
        &self,
        proof: &ClientProof,
        client: &Client,
    ) -> Result<DeviceStarted, TokenRefused> {
        let _ = (proof, client);
        Err(TokenRefused::InvalidClient)
    }

    /// What waits with a typed code. A wrong one costs a try.
    pub async fn device_asked(
        &self,
        session: &SignInSession,
        user_code: &str,
        client: &Client,
    ) -> Result<DeviceAsked, DeviceRefused> {
        let _ = (session, user_code, client);
        Err(DeviceRefused::Unknown)
    }

    /// The person agrees or declines.
    pub async fn decide_device(
        &self,
        session: &SignInSession,
        user_code: &str,
        agrees: bool,
        client: &Client,
    ) -> Result<DeviceAsked, DeviceRefused> {
        let _ = agrees;
        self.device_asked(session, user_code, client).await
    }
}
