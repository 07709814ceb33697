//! IAM and Organizations, as far as the broker reads roles and writes what ends sessions.
//!
//! Never here: deciding what to write. Credentials come from a
//! [`ServiceGrant`](crate::access::ServiceGrant) and are used for one errand. Source: AWS API
//! references of IAM (2010-05-08, query protocol) and Organizations. Entry points: [`Iam`],
//! [`IamClient`].

mod answer;
mod client;
mod endpoint;
mod organizations;

use async_trait::async_trait;
use thiserror::Error;
use time::OffsetDateTime;

pub use self::client::{IamClient, Settings, SettingsError};
use super::{Cause, SessionCredentials};
use crate::access::{AccountId, SessionDuration, TargetArn};

/// What IAM says about a role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IamRole {
    /// Its ARN, path included.
    pub arn: TargetArn,
    /// `MaxSessionDuration`.
    pub max_duration: SessionDuration,
    /// `AssumeRolePolicyDocument`, decoded: who may open it.
    pub trust: String,
    /// What it is for.
    pub description: Option<String>,
    /// When it was made.
    pub created_at: Option<OffsetDateTime>,
}

/// An account of the organization.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrganizationAccount {
    /// Its id.
    pub id: AccountId,
    /// Its name.
    pub name: String,
    /// Its e-mail address.
    pub email: Option<String>,
    /// Whether it can be used: neither suspended nor being closed.
    pub is_active: bool,
}

/// IAM of one account, and Organizations.
#[async_trait]
pub trait Iam: Send + Sync {
    /// `GetRole`. None where there is no such role.
    async fn role(
        &self,
        credentials: &SessionCredentials,
        arn: &TargetArn,
    ) -> Result<Option<IamRole>, IamError>;

    /// `ListRoles`, all pages, of the account that the credentials are of. `within` is a role of
    /// that account, for its partition.
    async fn roles(
        &self,
        credentials: &SessionCredentials,
        within: &TargetArn,
    ) -> Result<Vec<IamRole>, IamError>;

    /// `GetRolePolicy`: the inline policy `name` of a role, decoded. None where there is none.
    async fn role_policy(
        &self,
        credentials: &SessionCredentials,
        arn: &TargetArn,
        name: &str,
    ) -> Result<Option<String>, IamError>;

    /// `PutRolePolicy`: writes the inline policy `name`; at most 10,240 characters for all inline
    /// policies of a role, blanks not counted.
    async fn put_role_policy(
        &self,
        credentials: &SessionCredentials,
        arn: &TargetArn,
        name: &str,
        document: &str,
    ) -> Result<(), IamError>;

    /// `DeleteRolePolicy`. Nothing happens where there is none.
    async fn delete_role_policy(
        &self,
        credentials: &SessionCredentials,
        arn: &TargetArn,
        name: &str,
    ) -> Result<(), IamError>;

    /// `organizations:ListAccounts`, all pages, with a credential source of the management account
    /// or a delegated administrator.
    async fn organization_accounts(
        &self,
        credential_source: &str,
    ) -> Result<Vec<OrganizationAccount>, IamError>;
}

/// Why IAM gave nothing.
#[derive(Debug, Error)]
pub enum IamError {
    /// The credentials may not.
    #[error("AWS refused: {message}")]
    AccessDenied {
        /// What AWS said.
        message: String,
    },
    /// A parameter does not fit, or a limit is reached (`LimitExceeded`).
    #[error("AWS found the request invalid ({code}): {message}")]
    Invalid {
        /// The error code.
        code: String,
        /// What AWS said.
        message: String,
    },
    /// Asked too often.
    #[error("AWS is throttling requests")]
    Throttled,
    /// No answer, or one that is none, within the deadline.
    #[error("IAM is unavailable")]
    Unavailable(#[source] Cause),
}
