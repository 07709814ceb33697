//! The broker's own credentials, for the one service beside STS that they sign for.
//!
//! Never here: people's credentials. Entry point: [`SdkSts::credentials`].

use aws_credential_types::{
    Credentials,
    provider::{ProvideCredentials as _, error::CredentialsError},
};

use super::{SdkSts, sources};
use crate::aws::StsError;

impl SdkSts {
    /// The credentials of a source. A bearer secret: for one errand, and dropped after it.
    pub(in crate::aws) async fn credentials(&self, source: &str) -> Result<Credentials, StsError> {
        let unknown = || StsError::UnknownSource(source.to_owned());
        let chain = self.settings.chain(source).ok_or_else(unknown)?;
        let region = match self.settings.partition(source) {
            Some(partition) => self.region_in(partition),
            None => self.settings.default_region.clone(),
        };
        let provider = sources::provider(&chain, &self.base, &region)
            .await
            .ok_or_else(unknown)?;
        let provided =
            tokio::time::timeout(self.settings.call_timeout, provider.provide_credentials())
                .await
                .map_err(|_| StsError::Unavailable("no credentials within the deadline".into()))?;
        provided.map_err(|error| StsError::BrokerCredentials {
            code: match &error {
                CredentialsError::CredentialsNotLoaded(_) => "none",
                CredentialsError::InvalidConfiguration(_) => "configuration",
                _ => "provider",
            }
            .to_owned(),
            cause: Some(Box::new(error)),
        })
    }
}
