//! What has to be added to a role's trust policy for the broker to open it.
//!
//! Entry point: [`Broker::trust_to_add`].

use crate::{
    access::{Grant, GrantMethod, TargetArn},
    aws::{
        broker_statement,
        issuer::subject::subject_pattern,
        trust::{TrustStatement, Trusted},
    },
    broker::Broker,
    store::StoreError,
};

/// What to look out for where the broker is known by a session of its role.
pub(in crate::broker) const PATH_UNKNOWN: &str = "AWS does not tell the path of Rolegate's own \
     role: where it has one, complete the principal.";

/// What mends a role that AWS does not open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustToAdd {
    /// The statement for the role's trust policy, as JSON.
    pub statement: String,
    /// The statement that the broker's own principal needs too, where it is in another account.
    pub own_statement: Option<String>,
    /// What to look out for when it is pasted.
    pub hint: Option<&'static str>,
}

impl Broker {
    /// The statement that lets the broker open a role of the table. None where no trust of the role
    /// is concerned, or where AWS does not tell who the broker is.
    pub async fn trust_to_add(&self, role: &TargetArn) -> Result<Option<TrustToAdd>, StoreError> {
        let policy = self.policy().await?;
        let Ok(leave) = policy.probe(role) else {
            return Ok(None);
        };
        let grant = leave.grant();
        let caller = self.caller_of(grant).await;
        let Some(trusted) = self.trusted_by(grant, caller) else {
            return Ok(None);
        };
        let sends = policy.sends(role);
        let is_session =
            matches!(&trusted, Trusted::Caller { arn, .. } if arn.contains(":assumed-role/"));
        let own_statement = match &trusted {
            Trusted::Caller { arn, .. } => {
                let account = arn.split(':').nth(4).unwrap_or_default();
                (account != role.account_digits())
                    .then(|| broker_statement(role, sends.source_identity, sends.tags))
            }
            Trusted::Saml { .. } | Trusted::WebIdentity { .. } => None,
        };
        Ok(Some(TrustToAdd {
            statement: TrustStatement { trusted, sends }.json(),
            own_statement,
            hint: is_session.then_some(PATH_UNKNOWN),
        }))
    }

    /// The ARN of the credential source that signs for a grant, where one does and AWS tells.
    pub(in crate::broker) async fn caller_of(&self, grant: &Grant) -> Option<String> {
        if grant.voucher().is_some() {
            return None;
        }
        let caller = self.adapters.sts.caller(grant.credential_source()).await;
        caller.ok().map(|caller| caller.arn)
    }

    /// Whom a role has to trust for a grant of ours; `caller` is the credential source's ARN.
    pub(in crate::broker) fn trusted_by(
        &self,
        grant: &Grant,
        caller: Option<String>,
    ) -> Option<Trusted> {
        match grant.method() {
            GrantMethod::AssumeRole => Some(Trusted::Caller {
                arn: caller?,
                external_id: grant.external_id().map(str::to_owned),
            }),
            GrantMethod::AssumeRoleWithSaml => Some(Trusted::Saml {
                provider: grant.saml_provider()?.clone(),
                recipient: self.recipient(grant)?.into(),
                issuer: Some(self.issuer()?.entity_id().to_owned()),
            }),
            GrantMethod::AssumeRoleWithWebIdentity => {
                let issuer = self.issuer()?;
                let name = issuer.name().split_once("://")?.1;
                let (partition, account) = (grant.target().partition(), grant.target().account());
                Some(Trusted::WebIdentity {
                    provider: format!("arn:{partition}:iam::{account}:oidc-provider/{name}"),
                    audience: issuer.token_audience().to_owned(),
                    subject_pattern: Some(subject_pattern(grant.target())),
                })
            }
            GrantMethod::FederationToken | GrantMethod::SessionToken => None,
        }
    }
}
