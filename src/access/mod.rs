//! Who may open what: people, groups, accounts, roles, mappings, and the decision.
//!
//! Pure. Never here: I/O, async, a clock, HTTP, an SDK. Times come in as arguments, and the only
//! way to a [`Grant`] is [`Policy::authorize`].

mod account;
mod arn;
mod authority;
mod change;
mod contradiction;
mod dn;
mod duration;
pub mod explain;
mod grant;
mod identity;
mod mapping;
mod policy;
mod preview;
pub mod revocation;
mod role;
mod rule;
mod session_name;
mod template;
mod token_scope;

pub use account::Account;
pub use arn::{AccountId, ArnError, Partition, SamlProviderArn, TargetArn, TargetKind};
pub use authority::{AccessRules, Authority, HelpdeskGroup, Scope};
pub use change::{Change, Row, RowName};
pub use contradiction::Contradiction;
pub use dn::{Dn, DnError};
pub use duration::{DurationError, SessionDuration};
pub use grant::{Clipped, Delivery, Errand, Grant, Limit, Request, ServiceGrant};
pub use identity::{
    AssertedRole, AuthenticationMethod, ConnectorId, Group, GroupKey, GroupKeyError, GroupKeyForm,
    Identity, ProviderSession,
};
pub use mapping::{Conditions, Mapping, MappingId, Origin, Unenforceable, in_utc};
pub use policy::{
    Abilities, Entitlement, Giver, NotEntitled, NotProbed, Policy, PolicyProblem, PolicySettings,
    PolicyTables, RoleRank, Sends,
};
pub use preview::{Altered, Preview, RoleEffect, Terms, touched_groups};
pub use role::{
    AUDIT_TAG, ConsoleWay, EffectiveRole, GrantMethod, Role, RoleDefaults, SESSION_TAGS, Voucher,
    mfa_serial,
};
pub use rule::{MappingRule, RuleError};
pub use session_name::{NameTemplate, RoleSessionName, SourceIdentity, TemplateError};
pub use template::{
    LONGEST_POLICY, PUBLIC_VALUES, check_public_value, check_session_policy, check_session_tag,
    encoded,
};
pub use token_scope::{TokenScope, TokenScopes, UnknownScope};
