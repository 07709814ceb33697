//! Codes and refresh tokens become new tokens, once (RFC 6749, 4.1.3 and 6; RFC 9700, 4.14).

use secrecy::SecretString;

use super::{ClientProof, IssuedTokens, TokenOrder, TokenRefused};
use crate::{
    broker::{Broker, Client},
    store::StoreError,
};

impl Broker {
    /// Exchanges a code or a refresh token. A second use of either ends the device's session.
    pub async fn create_token(
        &self,
        proof: &ClientProof,
        order: &TokenOrder,
        client: &Client,
    ) -> Result<IssuedTokens, TokenRefused> {
        let _ = (proof, order, client);
        Err(TokenRefused::InvalidClient)
    }

    /// Ends the device's session of an access or refresh token; says whether there was one. What is
    /// none of ours, such as a token of AWS's own, is not looked at further.
    pub async fn end_token(
        &self,
        token: &SecretString,
        client: &Client,
    ) -> Result<bool, StoreError> {
        let _ = (token, client);
        Ok(false)
    }
}
