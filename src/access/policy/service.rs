//! Leave for the broker itself: to probe a role, to read what IAM says, to end sessions.
//!
//! There is no person behind these, so nothing of a mapping counts; a session policy narrows each.
//! Entry points: [`Policy::probe`], [`Policy::errand`].

use std::collections::BTreeMap;

use thiserror::Error;

use super::{PlacedRole, Policy, reach::own_provider};
use crate::access::{
    ConsoleWay, Delivery, EffectiveRole, Errand, Grant, GrantMethod, MappingId, Role, RoleDefaults,
    RoleSessionName, ServiceGrant, SessionDuration, TargetArn, Voucher,
};

/// What a probe's session may do.
const NOTHING: &str =
    r#"{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"*","Resource":"*"}]}"#;

/// Why a role cannot be opened without a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum NotProbed {
    /// The table has no such role, or it is disabled, or its row contradicts itself.
    #[error("the role's row cannot be used")]
    Unusable,
    /// Only the person's own identity provider can vouch for it.
    #[error("only a person's own identity provider can vouch for the role")]
    NeedsPerson,
    /// AWS wants a code of an MFA device.
    #[error("the role wants a code of an MFA device")]
    NeedsCode,
    /// The session cannot be narrowed to nothing (GetSessionToken).
    #[error("a session of this grant method cannot be narrowed")]
    NotNarrowable,
}

/// What people's sessions of a role carry and a probe's do not; the role's trust has to allow an
/// action for each.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sends {
    /// Session tags (`sts:TagSession`).
    pub tags: bool,
    /// A SourceIdentity (`sts:SetSourceIdentity`).
    pub source_identity: bool,
}

impl Policy {
    /// What people's sessions of a role carry; nothing where the table has no such role.
    pub fn sends(&self, target: &TargetArn) -> Sends {
        let Some(placed) = self.roles.get(target) else {
            return Sends::default();
        };
        let effective = &placed.effective;
        let says_source_identity =
            effective.source_identity.is_some() || self.settings.source_identity.is_some();
        let is_ours = effective.grant_method == GrantMethod::AssumeRole
            || effective.voucher == Some(Voucher::Issuer);
        Sends {
            tags: is_ours && (effective.audit_tag || !placed.role.session_tags.is_empty()),
            source_identity: is_ours && says_source_identity,
        }
    }

    /// Leave to see whether `target` can be opened: 900 seconds, in which nothing is allowed.
    pub fn probe(&self, target: &TargetArn) -> Result<ServiceGrant, NotProbed> {
        let placed = self.roles.get(target).ok_or(NotProbed::Unusable)?;
        if placed.role.disabled || placed.contradiction.is_some() {
            return Err(NotProbed::Unusable);
        }
        let effective = &placed.effective;
        if effective.console == ConsoleWay::IdpInitiated
            || effective.voucher == Some(Voucher::Provider)
        {
            return Err(NotProbed::NeedsPerson);
        }
        if effective.grant_method == GrantMethod::SessionToken {
            return Err(NotProbed::NotNarrowable);
        }
        if effective.mfa_serial.is_some() {
            return Err(NotProbed::NeedsCode);
        }
        self.service(Errand::Probe, placed, NOTHING.to_owned())
    }

    /// Leave for the broker to open `role`, which need not be in the table, with the settings of
    /// its account, narrowed to `session_policy` (JSON).
    pub fn errand(
        &self,
        errand: Errand,
        role: &TargetArn,
        session_policy: String,
    ) -> Result<ServiceGrant, NotProbed> {
        let mut effective = self.with_defaults(&RoleDefaults::default(), role.account_digits());
        let opens_roles = effective.grant_method.target_kind() == role.kind();
        if effective.voucher == Some(Voucher::Provider) || !opens_roles {
            // Nobody is there whose provider could vouch, and what opens no role may be what the
            // account's people get by default; our own credentials may do.
            effective.grant_method = GrantMethod::AssumeRole;
            effective.voucher = None;
        }
        let placed = bare(role, effective);
        self.service(errand, &placed, session_policy)
    }

    fn service(
        &self,
        errand: Errand,
        placed: &PlacedRole,
        session_policy: String,
    ) -> Result<ServiceGrant, NotProbed> {
        let effective = &placed.effective;
        let is_vouched = effective.grant_method == GrantMethod::AssumeRoleWithSaml;
        let saml_provider = if is_vouched {
            Some(own_provider(placed).map_err(|_| NotProbed::Unusable)?)
        } else {
            None
        };
        let is_assumed = effective.grant_method == GrantMethod::AssumeRole;
        let grant = Grant {
            connector: "rolegate".parse().map_err(|_| NotProbed::Unusable)?,
            subject: errand.session_name().to_owned(),
            username: errand.session_name().to_owned(),
            target: placed.role.arn.clone(),
            method: effective.grant_method,
            mapping: MappingId(errand.session_name().to_owned()),
            policy_version: self.version,
            delivery: Delivery::Credentials,
            duration: SessionDuration::SHORTEST,
            duration_is_explicit: true,
            ends_by: None,
            session_name: RoleSessionName::of_errand(errand),
            source_identity: None,
            external_id: effective.external_id.clone().filter(|_| is_assumed),
            credential_source: effective.credential_source.clone(),
            region: effective.region.clone(),
            session_policy: Some(session_policy),
            policy_arns: Vec::new(),
            session_tags: BTreeMap::new(),
            read_only: false,
            reason: None,
            saml_provider,
            console: ConsoleWay::Federation,
            audit_tag: false,
            voucher: effective.voucher,
            mfa_serial: None,
            public_values: BTreeMap::new(),
        };
        Ok(ServiceGrant { errand, grant })
    }
}

/// The row of a role that the table need not have.
fn bare(arn: &TargetArn, effective: EffectiveRole) -> PlacedRole {
    let role = Role {
        arn: arn.clone(),
        description: None,
        owner: None,
        own: RoleDefaults::default(),
        session_policy: None,
        policy_arns: Vec::new(),
        session_tags: BTreeMap::new(),
        protected: false,
        disabled: false,
    };
    PlacedRole {
        role: role.into(),
        effective: effective.into(),
        contradiction: None,
        place: 0,
    }
}
