//! The broker's own errands at AWS, and what vouches for people there.
//!
//! Never here: a person's order. What an errand opens is used where it was asked for and dropped.
//! Entry points: [`Broker::service_session`], [`Broker::vouched_by_us`].

use url::Url;

use super::Broker;
use crate::{
    access::{Grant, GrantMethod, ServiceGrant, Voucher},
    aws::{
        Issued, Issuer, IssuerError, MintedAssertion, Proof, StsError, partition::saml_sign_in_url,
    },
};

/// The audit detail of an assertion's id, which CloudTrail shows as `sAMLAssertionID`.
pub(super) const ASSERTION_ID: &str = "assertion_id";
/// The audit detail of a token's `jti`.
const TOKEN_ID: &str = "token_id";

/// What our issuer said, to be brought to STS.
pub(super) struct Vouched {
    pub(super) proof: Proof,
    pub(super) minted: Minted,
}

/// By what an assertion or a token is known in the logs.
pub(super) struct Minted {
    /// [`ASSERTION_ID`] or `token_id`.
    pub(super) key: &'static str,
    pub(super) id: String,
}

impl Broker {
    /// Opens a role for the broker itself.
    pub(super) async fn service_session(&self, leave: &ServiceGrant) -> Result<Issued, StsError> {
        let grant = leave.grant();
        let proof = if grant.voucher().is_some() {
            let vouched = self.vouched_by_us(grant).await;
            vouched.map_err(StsError::Issuer)?.proof
        } else {
            Proof::Own
        };
        self.adapters.sts.issue(grant, &proof).await
    }

    /// What our issuer says for a grant, to be brought to STS.
    pub(super) async fn vouched_by_us(&self, grant: &Grant) -> Result<Vouched, IssuerError> {
        match grant.method() {
            GrantMethod::AssumeRoleWithSaml => {
                let (minted, _) = self.assertion_of_ours(grant).await?;
                Ok(Vouched {
                    proof: Proof::SamlResponse(minted.response),
                    minted: Minted {
                        key: ASSERTION_ID,
                        id: minted.id,
                    },
                })
            }
            GrantMethod::AssumeRoleWithWebIdentity => {
                let minted = self.issuer_for(grant)?.token(grant).await?;
                Ok(Vouched {
                    proof: Proof::WebIdentity {
                        token: minted.token,
                        provider_id: None,
                    },
                    minted: Minted {
                        key: TOKEN_ID,
                        id: minted.id,
                    },
                })
            }
            _ => Err(IssuerError::NoKey("this grant method")),
        }
    }

    /// An assertion of our issuer for a grant, and where a browser would post it.
    pub(super) async fn assertion_of_ours(
        &self,
        grant: &Grant,
    ) -> Result<(MintedAssertion, Url), IssuerError> {
        let recipient = self.recipient(grant).ok_or(IssuerError::Unfit {
            what: "partition",
            problem: "has no known SAML sign-in address; set aws.saml_endpoint".to_owned(),
        })?;
        let minted = self.issuer_for(grant)?.assertion(grant, &recipient).await?;
        Ok((minted, recipient))
    }

    /// Our issuer, where the grant says that it vouches.
    fn issuer_for(&self, grant: &Grant) -> Result<&Issuer, IssuerError> {
        match (&self.adapters.issuer, grant.voucher()) {
            (Some(issuer), Some(Voucher::Issuer)) => Ok(issuer),
            _ => Err(IssuerError::NoKey("this grant")),
        }
    }

    /// Where browsers post assertions for a grant's partition, and their Recipient.
    pub(super) fn recipient(&self, grant: &Grant) -> Option<Url> {
        let configured = self.settings.saml_endpoint.clone();
        configured.or_else(|| saml_sign_in_url(grant.target().partition()))
    }
}
