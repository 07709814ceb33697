//! What is written down of a session that AWS issued to the broker itself.

use crate::{
    access::{Grant, TargetArn},
    audit::AuditEvent,
    aws::Issued,
};

/// A session without its secrets.
#[derive(Debug, Clone)]
pub(super) struct ServiceSession {
    pub(super) role: TargetArn,
    grant_method: &'static str,
    session_name: String,
    access_key_id: String,
    assumed_role_arn: String,
    request_id: Option<String>,
    region: String,
}

impl ServiceSession {
    pub(super) fn of(grant: &Grant, issued: &Issued) -> Self {
        Self {
            role: grant.target().clone(),
            grant_method: grant.method().as_str(),
            session_name: grant.session_name().as_str().to_owned(),
            access_key_id: issued.credentials.access_key_id.clone(),
            assumed_role_arn: issued.assumed_role_arn.clone(),
            request_id: issued.request_id.clone(),
            region: issued.region.clone(),
        }
    }

    /// The same details as rows about people's sessions have.
    pub(super) fn details(&self, event: AuditEvent) -> AuditEvent {
        event
            .with("grant_method", self.grant_method)
            .with("session_name", self.session_name.as_str())
            .with("access_key_id", self.access_key_id.as_str())
            .with("assumed_role_arn", self.assumed_role_arn.as_str())
            .with("aws_request_id", self.request_id.as_deref())
            .with("sts_region", self.region.as_str())
    }
}
