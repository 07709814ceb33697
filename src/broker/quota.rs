//! How often one caller of the API may ask, whatever they ask for.

use std::time::Duration;

use super::{Broker, throttle::Key};
use crate::access::Identity;

/// How often one person or application may ask the API.
#[derive(Debug, Clone)]
pub struct ApiSettings {
    /// Requests in a minute.
    pub requests_per_minute: u32,
    /// Roles opened in a minute.
    pub credentials_per_minute: u32,
}

impl Broker {
    /// Counts a request to the API.
    ///
    /// # Errors
    /// How long to wait, where there were too many.
    pub fn count_request(&self, identity: &Identity) -> Result<(), Duration> {
        let key = Key::requests(identity, self.settings.api.requests_per_minute);
        self.throttle.take(&key, self.now())
    }

    /// Counts a role that is to be opened by the API, whatever comes of it.
    ///
    /// # Errors
    /// How long to wait, where there were too many.
    pub fn count_api_order(&self, identity: &Identity) -> Result<(), Duration> {
        let key = Key::api_orders(identity, self.settings.api.credentials_per_minute);
        self.throttle.take(&key, self.now())
    }
}
