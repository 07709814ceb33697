//! Clients, which register themselves (RFC 7591).
//!
//! A client's id holds what it said about itself and commits to its secret, so that nothing is kept
//! for clients that nobody ever agrees to.

use super::{ClientWish, RegisteredClient, TokenRefused};
use crate::broker::{Broker, Client};

impl Broker {
    /// Registers a client.
    pub fn register_client(
        &self,
        wish: &ClientWish,
        client: &Client,
    ) -> Result<RegisteredClient, TokenRefused> {
        let _ = (wish, client);
        Err(TokenRefused::InvalidClient)
    }
}
