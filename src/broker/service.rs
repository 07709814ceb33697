//! The broker's own errands at AWS, and what vouches for people there.
//!
//! Never here: a person's order. What an errand opens is used where it was asked for and dropped.
//! Entry points: [`Broker::service_session`], [`Broker::vouched_by_us`].

use url::Url;

use super::Broker;
use crate::{
    access::{Grant, GrantMethod, ServiceGrant, Voucher},
    aws::{Issued, IssuerError, Proof, StsError, partition::saml_sign_in_url},
};

impl Broker {
    /// Opens a role for the broker itself.
    pub(super) async fn service_session(&self, leave: &ServiceGrant) -> Result<Issued, StsError> {
        let grant = leave.grant();
        let proof = match grant.voucher() {
            None => Proof::Own,
            Some(_) => self.vouched_by_us(grant).await.map_err(StsError::Issuer)?,
        };
        self.adapters.sts.issue(grant, &proof).await
    }

    /// What our issuer says for a grant, to be brought to STS.
    pub(super) async fn vouched_by_us(&self, grant: &Grant) -> Result<Proof, IssuerError> {
        let (Some(issuer), Some(Voucher::Issuer)) = (&self.adapters.issuer, grant.voucher()) else {
            return Err(IssuerError::NoKey("this grant"));
        };
        match grant.method() {
            GrantMethod::AssumeRoleWithSaml => {
                let recipient = self.recipient(grant).ok_or(IssuerError::Unfit {
                    what: "partition",
                    problem: "has no known SAML sign-in address; set aws.saml_endpoint".to_owned(),
                })?;
                let minted = issuer.assertion(grant, &recipient).await?;
                Ok(Proof::SamlResponse(minted.response))
            }
            GrantMethod::AssumeRoleWithWebIdentity => {
                let minted = issuer.token(grant).await?;
                Ok(Proof::WebIdentity {
                    token: minted.token,
                    provider_id: None,
                })
            }
            _ => Err(IssuerError::NoKey("this grant method")),
        }
    }

    /// Where browsers post assertions for a grant's partition, and their Recipient.
    pub(super) fn recipient(&self, grant: &Grant) -> Option<Url> {
        let configured = self.settings.saml_endpoint.clone();
        configured.or_else(|| saml_sign_in_url(grant.target().partition()))
    }
}
