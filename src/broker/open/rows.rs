//! The audit rows of a grant: its refusal, its intent and its end, and the role session behind it.
//!
//! Never here: a secret. Entry points: [`Broker::refuse`], [`Broker::outcome`],
//! [`intent_details`], [`outcome_details`].

use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::{Asked, OpenRefused};
use crate::{
    access::{ConsoleWay, Delivery, Grant, GrantMethod, Identity, Voucher},
    audit::{Action, AuditEvent, Outcome},
    aws::Issued,
    broker::{
        Broker, Client,
        service::{ASSERTION_ID, Minted},
        sign_in::person,
    },
    store::{RoleSession, StoreError},
};

impl Broker {
    /// Records a refusal. The refusal stands even where that fails.
    pub(super) async fn refuse(
        &self,
        identity: &Identity,
        asked: &Asked<'_>,
        refused: OpenRefused,
        client: &Client,
    ) -> Result<OpenRefused, OpenRefused> {
        let (order, delivery) = (asked.order, asked.delivery);
        let role = match &refused {
            // Nothing can be recorded either.
            OpenRefused::StoreUnavailable(_) => return Err(refused),
            OpenRefused::NotEntitled { role, .. } => role.clone(),
            _ => order.role.parse().ok(),
        };
        let code = refused.code();
        let mut event = self.event(action(delivery), Outcome::Refused, person(identity), client);
        event.reason = Some(code.to_owned());
        event.account = role.as_ref().map(|role| role.account().to_string());
        event.role = role.map(|role| role.to_string());
        self.adapters.audit.append(&event).await?;
        count_refused(delivery, code);
        Ok(refused)
    }

    /// A row about a grant: its intent or its end.
    pub(super) fn outcome(
        &self,
        grant: &Grant,
        intent: &str,
        outcome: Outcome,
        client: &Client,
    ) -> AuditEvent {
        let actor = crate::audit::Actor::Person {
            connector: grant.connector().to_string(),
            subject: Some(grant.subject().to_owned()),
            username: Some(grant.username().to_owned()),
        };
        AuditEvent {
            role: Some(grant.target().to_string()),
            account: Some(grant.target().account().to_string()),
            intent: Some(intent.to_owned()),
            ..self.event(action(grant.delivery()), outcome, actor, client)
        }
    }

    /// Writes and counts the end of a grant that failed; `event` tells what is known of it.
    pub(super) async fn conclude_failed(
        &self,
        grant: &Grant,
        event: AuditEvent,
        code: &'static str,
    ) -> Result<(), StoreError> {
        let event = AuditEvent {
            outcome: Outcome::Failed,
            reason: Some(code.to_owned()),
            ..event
        };
        self.adapters.audit.conclude(&event, None).await?;
        count(grant, code);
        Ok(())
    }
}

/// What is asked for, before AWS is.
pub(super) fn intent_details(event: AuditEvent, grant: &Grant) -> AuditEvent {
    let event = event
        .with("mapping", grant.mapping().0.as_str())
        .with("policy_version", grant.policy_version())
        .with("console", grant.console().as_str());
    let event = match grant.reason() {
        Some(reason) => event.with("reason", reason),
        None => event,
    };
    if grant.console() == ConsoleWay::IdpInitiated {
        // How the role is assumed, and for how long, is between the provider and AWS.
        return event;
    }
    let event = event
        .with("grant_method", grant.method().as_str())
        .with("duration_seconds", grant.duration().seconds())
        .with("read_only", grant.is_read_only());
    let event = match grant.voucher() {
        Some(voucher) => event.with("vouched_by", voucher.as_str()),
        None => event,
    };
    let event = if grant.mfa_serial().is_some() {
        event.with("mfa", true)
    } else {
        event
    };
    let is_ours = grant.voucher() != Some(Voucher::Provider);
    if grant.method() == GrantMethod::AssumeRoleWithSaml && !is_ours {
        // The assertion names the session; what AWS made of it stands in the outcome.
        return event;
    }
    let event = event.with("session_name", asked_name(grant));
    let event = match grant.source_identity() {
        Some(name) => event.with("source_identity", name.as_str()),
        None => event,
    };
    if grant.wants_audit_tag() {
        // Its value is the hash of this very row, so that the row cannot hold it.
        event.with("audit_tag", true)
    } else {
        event
    }
}

/// The name that AWS is asked to give the session; for an IAM user's there is no choice.
fn asked_name(grant: &Grant) -> String {
    match grant.method() {
        GrantMethod::FederationToken => grant.federated_name(),
        GrantMethod::SessionToken => grant.target().name().to_owned(),
        _ => grant.session_name().as_str().to_owned(),
    }
}

/// The name of the session as AWS gave it: a provider's assertion chooses it itself.
fn session_name(grant: &Grant, issued: &Issued) -> String {
    match grant.method() {
        GrantMethod::AssumeRoleWithSaml => {
            let in_arn = issued.assumed_role_arn.rsplit('/').next();
            in_arn.unwrap_or_default().to_owned()
        }
        _ => asked_name(grant),
    }
}

/// What AWS answered, and by what our issuer vouched.
pub(super) fn outcome_details(
    event: AuditEvent,
    grant: &Grant,
    issued: &Issued,
    minted: Option<&Minted>,
) -> AuditEvent {
    let event = match minted {
        Some(minted) => event.with(minted.key, minted.id.as_str()),
        None => event,
    };
    event
        .with("session_name", session_name(grant, issued))
        .with("access_key_id", issued.credentials.access_key_id.as_str())
        .with("assumed_role_arn", issued.assumed_role_arn.as_str())
        .with("assumed_role_id", issued.assumed_role_id.as_str())
        .with("aws_request_id", issued.request_id.as_deref())
        .with("sts_region", issued.region.as_str())
        .with("duration_seconds", issued.duration.seconds())
        .with(
            "expires_at",
            issued
                .credentials
                .expiration
                .format(&Rfc3339)
                .unwrap_or_default(),
        )
}

/// What our issuer said in an assertion that the browser posts.
pub(super) fn posted_details(
    event: AuditEvent,
    grant: &Grant,
    session: &RoleSession,
    assertion_id: &str,
) -> AuditEvent {
    let ends = session.expires_at.format(&Rfc3339).unwrap_or_default();
    event
        .with("session_name", session.session_name.as_str())
        .with(ASSERTION_ID, assertion_id)
        .with("duration_seconds", grant.duration().seconds())
        .with("expires_at", ends)
}

/// The role session that an assertion opens; AWS tells nobody here its access key.
pub(super) fn posted_session(grant: &Grant, intent: &str, now: OffsetDateTime) -> RoleSession {
    let granted = now + std::time::Duration::from(grant.duration());
    RoleSession {
        id: intent.to_owned(),
        connector: grant.connector().to_string(),
        subject: grant.subject().to_owned(),
        role: grant.target().to_string(),
        delivery: word(grant.delivery()).to_owned(),
        session_name: grant.session_name().as_str().to_owned(),
        access_key_id: String::new(),
        aws_request_id: None,
        read_only: grant.is_read_only(),
        started_at: now,
        expires_at: grant.ends_by().map_or(granted, |end| end.min(granted)),
    }
}

pub(super) fn role_session(
    grant: &Grant,
    intent: &str,
    issued: &Issued,
    now: OffsetDateTime,
) -> RoleSession {
    RoleSession {
        id: intent.to_owned(),
        connector: grant.connector().to_string(),
        subject: grant.subject().to_owned(),
        role: grant.target().to_string(),
        delivery: word(grant.delivery()).to_owned(),
        session_name: session_name(grant, issued),
        access_key_id: issued.credentials.access_key_id.clone(),
        aws_request_id: issued.request_id.clone(),
        read_only: grant.is_read_only(),
        started_at: now,
        expires_at: issued.credentials.expiration,
    }
}

fn action(delivery: Delivery) -> Action {
    match delivery {
        Delivery::Console => Action::ConsoleOpen,
        Delivery::Credentials => Action::CredentialsIssue,
    }
}

fn word(delivery: Delivery) -> &'static str {
    match delivery {
        Delivery::Console => "console",
        Delivery::Credentials => "credentials",
    }
}

/// Counts an order that no grant came of.
pub(super) fn count_refused(delivery: Delivery, code: &'static str) {
    metrics::counter!("rolegate_grants_total", "delivery" => word(delivery), "outcome" => code)
        .increment(1);
}

/// Counts the end of a grant.
pub(super) fn count(grant: &Grant, outcome: &'static str) {
    metrics::counter!(
        "rolegate_grants_total",
        "delivery" => word(grant.delivery()),
        "outcome" => outcome
    )
    .increment(1);
}
