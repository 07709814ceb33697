//! What every call that issues credentials answers.
//!
//! Never here: what a refusal means. Entry point: [`Answer::issued`].

use aws_sdk_sts::types::{AssumedRoleUser, Credentials, FederatedUser};
use time::OffsetDateTime;

use super::StsError;
use crate::{
    access::SessionDuration,
    aws::{Issued, SessionCredentials},
};

/// An answer, in the words that all calls share.
pub(super) struct Answer {
    pub(super) request_id: Option<String>,
    pub(super) credentials: Option<Credentials>,
    pub(super) who: Option<Who>,
}

/// Whose the credentials are.
pub(super) struct Who {
    pub(super) arn: String,
    /// `aws:userid`.
    pub(super) id: String,
}

impl From<AssumedRoleUser> for Who {
    fn from(user: AssumedRoleUser) -> Self {
        Self {
            arn: user.arn,
            id: user.assumed_role_id,
        }
    }
}

impl From<FederatedUser> for Who {
    fn from(user: FederatedUser) -> Self {
        Self {
            arn: user.arn,
            id: user.federated_user_id,
        }
    }
}

impl Answer {
    /// What was issued; `is_chained` where the console session's length cannot be chosen.
    pub(super) fn issued(
        self,
        region: &str,
        duration: SessionDuration,
        is_chained: bool,
    ) -> Result<Issued, StsError> {
        let (Some(credentials), Some(who)) = (self.credentials, self.who) else {
            return Err(no_answer());
        };
        let expiration = OffsetDateTime::from_unix_timestamp(credentials.expiration.secs());
        if credentials.access_key_id.is_empty() || credentials.session_token.is_empty() {
            return Err(no_answer());
        }
        Ok(Issued {
            credentials: SessionCredentials {
                access_key_id: credentials.access_key_id,
                secret_access_key: credentials.secret_access_key.into(),
                session_token: credentials.session_token.into(),
                expiration: expiration.map_err(|_| no_answer())?,
            },
            assumed_role_arn: who.arn,
            assumed_role_id: who.id,
            request_id: self.request_id,
            region: region.to_owned(),
            duration,
            is_chained,
        })
    }
}

pub(super) fn no_answer() -> StsError {
    StsError::Unavailable("the answer of STS lacks what it must hold".into())
}
