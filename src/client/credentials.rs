//! Credentials of a role: asked for once, kept until five minutes before their end.
//!
//! Of many processes that want the same at once, one asks and the others wait. Never here: how they
//! are written for a shell. Entry point: [`Session::credentials`].

use reqwest::Method;
use serde::{Deserialize, Serialize};
use time::{Duration, OffsetDateTime, format_description::well_known::Rfc3339};

use super::{
    ClientError, Secret, Session,
    session::{moment, now},
};

/// Credentials that have less than this left are not handed out.
const LEFT: Duration = Duration::minutes(5);
const PREFIX: &str = "credentials-";

/// Which credentials are wanted.
#[derive(Debug, Clone, Default, Serialize)]
pub struct CredentialOrder {
    /// The role's ARN.
    pub role: String,
    /// How long, such as `1h`; the server's own choice where it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration: Option<String>,
    /// Whether they may only read.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub read_only: bool,
    /// The region.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The code of an MFA device.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mfa_code: Option<Secret>,
}

/// Temporary credentials, as the server answers them.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Credentials {
    /// `ASIA…`.
    pub access_key_id: String,
    /// The key.
    pub secret_access_key: Secret,
    /// The token that goes with it.
    pub session_token: Secret,
    /// When they end (RFC 3339).
    pub expiration: String,
    /// The account.
    #[serde(default)]
    pub account_id: Option<String>,
    /// The role.
    #[serde(default)]
    pub role_arn: Option<String>,
    /// Who AWS takes their bearer for.
    #[serde(default)]
    pub assumed_role_arn: Option<String>,
    /// The same, as an id.
    #[serde(default)]
    pub assumed_role_id: Option<String>,
    /// Where the role works.
    #[serde(default)]
    pub region: Option<String>,
}

impl Credentials {
    /// When they end, where that can be read.
    pub fn expires_at(&self) -> Option<OffsetDateTime> {
        OffsetDateTime::parse(&self.expiration, &Rfc3339).ok()
    }

    fn is_fresh(&self, at: OffsetDateTime) -> bool {
        self.expires_at().is_some_and(|end| end - at > LEFT)
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    credentials: Credentials,
    reason: Option<String>,
}

impl Kept {
    /// Another reason is another session, which is audited for itself.
    fn serves(&self, order: &CredentialOrder) -> bool {
        let is_same = order.reason.is_none() || order.reason == self.reason;
        is_same && order.mfa_code.is_none() && self.credentials.is_fresh(moment())
    }
}

impl Session {
    /// Credentials of a role, with at least five minutes left: kept ones, or new ones.
    pub fn credentials(&self, order: &CredentialOrder) -> Result<Credentials, ClientError> {
        if let Some(credentials) = self.kept_credentials(order)? {
            return Ok(credentials);
        }
        let name = self.file_name(order)?;
        let _lock = self.folder.lock(&name)?;
        if let Some(credentials) = self.kept_credentials(order)? {
            return Ok(credentials);
        }
        let credentials: Credentials =
            self.call(Method::POST, "api/v1/credentials", Some(order))?;
        self.folder.forget_ended_credentials();
        let kept = Kept {
            credentials,
            reason: order.reason.clone(),
        };
        self.folder.write(&name, &kept)?;
        Ok(kept.credentials)
    }

    /// Credentials that are here already, without asking anybody.
    pub fn kept_credentials(
        &self,
        order: &CredentialOrder,
    ) -> Result<Option<Credentials>, ClientError> {
        let kept: Option<Kept> = self.folder.read(&self.file_name(order)?)?;
        let kept = kept.filter(|kept| kept.serves(order));
        Ok(kept.map(|kept| kept.credentials))
    }

    /// A name for what makes credentials the same: the person, the role, how long, and what for.
    fn file_name(&self, order: &CredentialOrder) -> Result<String, ClientError> {
        let key = serde_json::json!([
            self.kept()?.person,
            order.role,
            order.duration,
            order.read_only,
            order.region,
        ]);
        let digest =
            aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, key.to_string().as_bytes());
        Ok(format!("{PREFIX}{}.json", hex::encode(digest)))
    }
}

impl super::state::ServerFolder {
    fn forget_ended_credentials(&self) {
        let at = moment();
        self.remove_where(PREFIX, |kept: &Kept| !kept.credentials.is_fresh(at));
    }
}

/// The present moment as the container credentials protocol writes it.
pub(super) fn last_updated() -> String {
    let now = OffsetDateTime::from_unix_timestamp(now()).ok();
    now.and_then(|now| now.format(&Rfc3339).ok())
        .unwrap_or_default()
}
