//! The decision: which roles a person may open now, and under which grant.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use thiserror::Error;
use time::OffsetDateTime;

use super::{
    Account, AccountId, Clipped, Conditions, EffectiveRole, Grant, GrantMethod, Group, GroupKey,
    Identity, Limit, Mapping, MappingId, MappingRule, NameTemplate, Origin, Request, Role,
    RoleDefaults, SessionDuration, TargetArn, Unenforceable, rule::CompiledRule,
};

/// The rows that a [`Policy`] is made of, as one consistent reading of the store.
#[derive(Debug, Clone, Default)]
pub struct PolicyTables {
    /// The number that every edit raises.
    pub version: i64,
    /// The accounts.
    pub accounts: Vec<Account>,
    /// The roles.
    pub roles: Vec<Role>,
    /// The explicit mappings.
    pub mappings: Vec<Mapping>,
    /// The pattern rules.
    pub rules: Vec<MappingRule>,
    /// The stable id of the group that a mapping means, once somebody of it was seen.
    pub group_ids: HashMap<MappingId, String>,
}

/// What the configuration adds to the table.
#[derive(Debug, Clone)]
pub struct PolicySettings {
    /// For roles and accounts that do not say.
    pub role_defaults: RoleDefaults,
    /// How people are called in RoleSessionName.
    pub session_name: NameTemplate,
    /// How people are called in SourceIdentity, where it is sent at all.
    pub source_identity: Option<NameTemplate>,
}

/// An indexed, immutable snapshot of the table.
///
/// The cost of one person's entitlements grows with their groups, not with the table.
#[derive(Debug)]
pub struct Policy {
    version: i64,
    settings: PolicySettings,
    accounts: HashMap<AccountId, Account>,
    roles: HashMap<TargetArn, PlacedRole>,
    mappings: HashMap<GroupKey, Vec<PlacedMapping>>,
    rules: Vec<CompiledRule>,
    /// By account and name in lower case; none where several have the name.
    by_name: HashMap<(AccountId, String), Option<TargetArn>>,
    problems: Vec<PolicyProblem>,
}

#[derive(Debug)]
struct PlacedMapping {
    mapping: Mapping,
    group_id: Option<String>,
}

impl PlacedMapping {
    /// Whether it is about this very group, and not one made again under the same name.
    fn means(&self, group: &Group) -> bool {
        let Some(id) = &self.group_id else {
            return true;
        };
        group.stable_id.as_ref() == Some(id)
    }
}

#[derive(Debug)]
struct PlacedRole {
    role: Arc<Role>,
    effective: EffectiveRole,
    /// Its place among all roles by account name, then role name; sorting a person's roles by
    /// names anew for each page is what costs most with thousands of them.
    place: usize,
}

/// Something in the table that gives nothing until it is mended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyProblem {
    /// The row: an ARN or a mapping's id.
    pub about: String,
    /// What is wrong and what would be right.
    pub message: String,
}

/// A mapping or rule that gives a role to a person.
#[derive(Debug, Clone)]
pub struct Giver<'a> {
    /// The row's id.
    pub mapping: &'a MappingId,
    /// The person's group that it names or matches.
    pub group: GroupKey,
    /// What it asks for.
    pub conditions: &'a Conditions,
    /// Whether the row is a pattern rule.
    pub is_rule: bool,
}

/// A role that one person may open now.
#[derive(Debug)]
pub struct Entitlement<'a> {
    /// The role.
    pub role: &'a Role,
    /// Its settings with the gaps filled.
    pub effective: &'a EffectiveRole,
    /// Its account, where the table has it.
    pub account: Option<&'a Account>,
    /// The rows that give it, usable ones only, the preferred one first.
    pub givers: Vec<Giver<'a>>,
    /// The longest session that the preferred row allows.
    pub longest: Clipped,
}

impl Entitlement<'_> {
    /// Whether every row asks for a reason.
    pub fn requires_reason(&self) -> bool {
        self.givers
            .iter()
            .all(|giver| giver.conditions.require_reason)
    }

    /// Whether every row gives reading alone.
    pub fn is_read_only(&self) -> bool {
        self.givers.iter().all(|giver| giver.conditions.read_only)
    }

    /// What people call the account: its name, else its id.
    pub fn account_name(&self) -> String {
        self.account
            .map_or_else(|| self.role.arn.account().to_string(), |a| a.name.clone())
    }
}

/// Why a person may not open a role as asked.
///
/// `UnknownRole` and `NoMapping` are told apart here and in the audit, never to the person.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NotEntitled {
    /// The table has no such role, or it is disabled.
    #[error("the role is not in the table")]
    UnknownRole,
    /// None of the person's groups gives it.
    #[error("none of the person's groups gives the role")]
    NoMapping,
    /// A mapping names the person's group, but was about another one of that name, which is gone.
    #[error("mapping {0} is about an earlier group of the same name")]
    GroupRecreated(MappingId),
    /// A mapping gave it until it expired.
    #[error("mapping {mapping} expired at {at}")]
    Expired {
        /// The mapping.
        mapping: MappingId,
        /// When.
        at: OffsetDateTime,
    },
    /// A mapping gives it for less than the 15 minutes that AWS needs.
    #[error("mapping {mapping} ends at {at}, in less than 15 minutes")]
    EndsTooSoon {
        /// The mapping.
        mapping: MappingId,
        /// When.
        at: OffsetDateTime,
    },
    /// A mapping gives it under a condition that this version cannot enforce.
    #[error("mapping {mapping} asks for {}, which this version cannot enforce", condition.key())]
    Unenforceable {
        /// The mapping.
        mapping: MappingId,
        /// The condition.
        condition: Unenforceable,
    },
    /// The role's grant method is not there in this version.
    #[error("the grant method {0} is not available")]
    MethodUnavailable(GrantMethod),
    /// A reason must be given.
    #[error("mapping {0} asks for a reason")]
    ReasonRequired(MappingId),
    /// Longer than allowed.
    #[error("at most {} is allowed", .0.longest)]
    TooLong(Clipped),
    /// Read-only was asked for, by person or mapping, and the role narrows sessions by policies
    /// of its own: session policies are united by AWS, so both together would widen access.
    #[error("read-only cannot be joined with the role's own session policies")]
    ReadOnlyUnavailable,
}

impl NotEntitled {
    /// A stable code for audit rows and JSON.
    pub fn code(&self) -> &'static str {
        match self {
            Self::UnknownRole => "unknown_role",
            Self::NoMapping => "no_mapping",
            Self::GroupRecreated(_) => "group_recreated",
            Self::Expired { .. } => "mapping_expired",
            Self::EndsTooSoon { .. } => "mapping_ends_too_soon",
            Self::Unenforceable { .. } => "condition_unenforceable",
            Self::MethodUnavailable(_) => "grant_method_unavailable",
            Self::ReasonRequired(_) => "reason_required",
            Self::TooLong(_) => "duration_too_long",
            Self::ReadOnlyUnavailable => "read_only_unavailable",
        }
    }

    /// How near this miss is; the nearest is the one worth telling.
    fn nearness(&self) -> u8 {
        match self {
            Self::UnknownRole => 0,
            Self::NoMapping => 1,
            Self::GroupRecreated(_) => 2,
            Self::MethodUnavailable(_) => 3,
            Self::Unenforceable { .. } => 4,
            Self::Expired { .. } => 5,
            Self::EndsTooSoon { .. } => 6,
            Self::ReadOnlyUnavailable => 7,
            Self::TooLong(_) => 8,
            Self::ReasonRequired(_) => 9,
        }
    }
}

impl Policy {
    /// Indexes the table. Broken rows become [`problems`](Self::problems) and give nothing.
    pub fn new(tables: PolicyTables, settings: PolicySettings) -> Self {
        let mut policy = Self {
            version: tables.version,
            settings,
            accounts: HashMap::with_capacity(tables.accounts.len()),
            roles: HashMap::with_capacity(tables.roles.len()),
            mappings: HashMap::new(),
            rules: Vec::new(),
            by_name: HashMap::with_capacity(tables.roles.len()),
            problems: Vec::new(),
        };
        for account in tables.accounts {
            policy.place_account(account);
        }
        for role in tables.roles {
            policy.place_role(role);
        }
        policy.order_roles();
        let mut group_ids = tables.group_ids;
        for mapping in tables.mappings {
            let group_id = group_ids.remove(&mapping.id);
            policy.place_mapping(mapping, group_id);
        }
        for rule in tables.rules {
            policy.place_rule(&rule);
        }
        policy
    }

    fn place_account(&mut self, mut account: Account) {
        if let Some(twin) = self.accounts.get(&account.id) {
            account.protected |= twin.protected;
        }
        self.accounts.insert(account.id.clone(), account);
    }

    fn place_role(&mut self, mut role: Role) {
        let twin = self.roles.get(&role.arn);
        if twin.is_some_and(|twin| *twin.role != role) {
            // Which row narrows more, or was disabled, cannot be left to their order.
            role.disabled = true;
            let message = "is there twice and not the same, in the store and in a file: end one";
            self.problem(role.arn.as_str(), message.to_owned());
        }
        let settings = match self.accounts.get(role.arn.account_digits()) {
            Some(account) => role.own.or(&account.role_defaults),
            None => role.own.clone(),
        };
        let effective = EffectiveRole::from(settings.or(&self.settings.role_defaults));
        if !effective.grant_method.is_available() {
            let message = format!(
                "grant method {} is not in this version",
                effective.grant_method
            );
            self.problem(role.arn.as_str(), message);
        }
        let key = (role.arn.account(), role.arn.name().to_lowercase());
        let other = self.by_name.insert(key.clone(), Some(role.arn.clone()));
        if let Some(other) = other.filter(|other| other.as_ref() != Some(&role.arn)) {
            // Neither rules nor links may guess which one is meant.
            self.by_name.insert(key, None);
            let other = other.map_or_else(|| "others".to_owned(), |arn| arn.to_string());
            let message = format!("has the same name in its account as {other}");
            self.problem(role.arn.as_str(), message);
        }
        self.roles.insert(
            role.arn.clone(),
            PlacedRole {
                role: Arc::new(role),
                effective,
                place: 0,
            },
        );
    }

    fn order_roles(&mut self) {
        let accounts = &self.accounts;
        let mut roles: Vec<&mut PlacedRole> = self.roles.values_mut().collect();
        roles.sort_by_cached_key(|placed| {
            let arn = &placed.role.arn;
            let account = arn.account();
            let name = accounts.get(&account).map(|account| account.name.as_str());
            (
                name.unwrap_or(account.as_str()).to_lowercase(),
                account,
                arn.name().to_lowercase(),
            )
        });
        for (place, role) in roles.into_iter().enumerate() {
            role.place = place;
        }
    }

    fn place_mapping(&mut self, mapping: Mapping, group_id: Option<String>) {
        if !self.roles.contains_key(&mapping.role) {
            let message = format!("names {}, and there is no such role", mapping.role);
            self.problem(&mapping.id.0, message);
        }
        if let Some(condition) = mapping.conditions.unenforceable() {
            let message = format!("{} cannot be enforced by this version", condition.key());
            self.problem(&mapping.id.0, message);
        }
        self.mappings
            .entry(mapping.group.clone())
            .or_default()
            .push(PlacedMapping { mapping, group_id });
    }

    fn place_rule(&mut self, rule: &MappingRule) {
        if let Some(condition) = rule.conditions.unenforceable() {
            let message = format!("{} cannot be enforced by this version", condition.key());
            self.problem(&rule.id.0, message);
        }
        match rule.compile() {
            Ok(compiled) => self.rules.push(compiled),
            Err(error) => self.problem(&rule.id.0, error.to_string()),
        }
    }

    fn problem(&mut self, about: &str, message: String) {
        self.problems.push(PolicyProblem {
            about: about.to_owned(),
            message,
        });
    }

    /// The version of the table that this is a snapshot of.
    pub fn version(&self) -> i64 {
        self.version
    }

    /// What in the table gives nothing until it is mended.
    pub fn problems(&self) -> &[PolicyProblem] {
        &self.problems
    }

    /// A role of the table, whoever may open it.
    pub fn role(&self, arn: &TargetArn) -> Option<&Role> {
        self.roles.get(arn).map(|placed| placed.role.as_ref())
    }

    /// A role's settings with the gaps filled.
    pub fn effective(&self, arn: &TargetArn) -> Option<&EffectiveRole> {
        self.roles.get(arn).map(|placed| &placed.effective)
    }

    /// An account of the table.
    pub fn account(&self, id: &AccountId) -> Option<&Account> {
        self.accounts.get(id)
    }

    /// The role that an account knows under a name (the last part of its path), ignoring case.
    pub fn role_named(&self, account: &AccountId, name: &str) -> Option<&TargetArn> {
        self.by_name
            .get(&(account.clone(), name.to_lowercase()))?
            .as_ref()
    }

    /// How many accounts and roles there are.
    pub fn counts(&self) -> (usize, usize) {
        (self.accounts.len(), self.roles.len())
    }

    /// Every role that `identity` may open at `now`, by account name, then role name.
    pub fn entitlements(&self, identity: &Identity, now: OffsetDateTime) -> Vec<Entitlement<'_>> {
        let mut given: HashMap<&TargetArn, Vec<Giver<'_>>> = HashMap::new();
        self.each_giver(identity, None, |arn, giver| {
            given.entry(arn).or_default().push(giver);
        });
        let plain = Request::console();
        let mut entitlements: Vec<(usize, Entitlement<'_>)> = given
            .into_iter()
            .filter_map(|(arn, givers)| {
                let placed = self.roles.get(arn)?;
                let entitlement = self.entitlement(placed, givers, &plain, now)?;
                Some((placed.place, entitlement))
            })
            .collect();
        entitlements.sort_unstable_by_key(|(place, _)| *place);
        entitlements
            .into_iter()
            .map(|(_, entitlement)| entitlement)
            .collect()
    }

    fn entitlement<'a>(
        &'a self,
        placed: &'a PlacedRole,
        givers: Vec<Giver<'a>>,
        plain: &Request,
        now: OffsetDateTime,
    ) -> Option<Entitlement<'a>> {
        if placed.role.disabled || !placed.effective.grant_method.is_available() {
            return None;
        }
        let mut usable: Vec<(Giver<'a>, Clipped)> = givers
            .into_iter()
            .filter_map(|giver| {
                let clipped = usable_until(&giver, &placed.effective, plain, now).ok()?;
                Some((giver, clipped))
            })
            .filter(|(giver, _)| !giver.conditions.read_only || can_be_read_only(&placed.role))
            .collect();
        usable.sort_by(|(a, a_longest), (b, b_longest)| {
            preference(a, *a_longest).cmp(&preference(b, *b_longest))
        });
        let longest = usable.first()?.1;
        Some(Entitlement {
            role: &placed.role,
            effective: &placed.effective,
            account: self.accounts.get(placed.role.arn.account_digits()),
            givers: usable.into_iter().map(|(giver, _)| giver).collect(),
            longest,
        })
    }

    /// Decides whether `identity` may open `target` as `request` asks.
    ///
    /// Every mapping is judged alone. Among those that satisfy the whole request the one with the
    /// fewest obligations is taken, then the one that gives the longest session.
    pub fn authorize(
        &self,
        identity: &Identity,
        target: &TargetArn,
        request: &Request,
        now: OffsetDateTime,
    ) -> Result<Grant, NotEntitled> {
        let placed = self
            .roles
            .get(target)
            .filter(|placed| !placed.role.disabled)
            .ok_or(NotEntitled::UnknownRole)?;
        let mut nearest = match self.of_another_group(identity, target) {
            Some(mapping) => NotEntitled::GroupRecreated(mapping),
            None => NotEntitled::NoMapping,
        };
        let mut best: Option<(Giver<'_>, Clipped)> = None;
        self.each_giver(identity, Some(target), |_, giver| {
            match judge(&giver, placed, request, now) {
                Ok(longest) => {
                    let is_better = best.as_ref().is_none_or(|(other, other_longest)| {
                        preference(&giver, longest) < preference(other, *other_longest)
                    });
                    if is_better {
                        best = Some((giver, longest));
                    }
                }
                Err(miss) if miss.nearness() > nearest.nearness() => nearest = miss,
                Err(_) => {}
            }
        });
        let (giver, longest) = best.ok_or(nearest)?;
        Ok(self.grant(identity, placed, request, (&giver, longest)))
    }

    fn grant(
        &self,
        identity: &Identity,
        placed: &PlacedRole,
        request: &Request,
        (giver, longest): (&Giver<'_>, Clipped),
    ) -> Grant {
        let PlacedRole {
            role, effective, ..
        } = placed;
        let read_only = request.read_only || giver.conditions.read_only;
        let mut policy_arns = role.policy_arns.clone();
        if read_only {
            let arn = read_only_policy(&role.arn);
            if !policy_arns.contains(&arn) {
                policy_arns.push(arn);
            }
        }
        Grant {
            connector: identity.connector.clone(),
            subject: identity.subject.clone(),
            username: identity.username.clone(),
            target: role.arn.clone(),
            method: effective.grant_method,
            mapping: giver.mapping.clone(),
            policy_version: self.version,
            delivery: request.delivery,
            duration: request.duration.unwrap_or(longest.longest),
            duration_is_explicit: request.duration.is_some(),
            ends_by: giver.conditions.expires,
            session_name: self.settings.session_name.role_session_name(identity),
            source_identity: effective
                .source_identity
                .as_ref()
                .or(self.settings.source_identity.as_ref())
                .map(|template| template.source_identity(identity)),
            external_id: effective.external_id.clone(),
            credential_source: effective.credential_source.clone(),
            region: effective.region.clone(),
            session_policy: role.session_policy.clone(),
            policy_arns,
            session_tags: BTreeMap::clone(&role.session_tags),
            read_only,
            reason: request.reason.clone(),
        }
    }

    /// The person's groups whose mappings in the store do not know yet which group they mean, with
    /// the stable id to note.
    pub fn unbound_groups(&self, identity: &Identity) -> Vec<(GroupKey, String)> {
        let is_unbound = |placed: &PlacedMapping| {
            placed.group_id.is_none() && placed.mapping.origin == Origin::Store
        };
        let groups = identity.groups.iter().filter(|group| {
            self.mappings
                .get(&group.key)
                .is_some_and(|rows| rows.iter().any(is_unbound))
        });
        groups
            .filter_map(|group| Some((group.key.clone(), group.stable_id.clone()?)))
            .collect()
    }

    /// The mapping that gave `target` to a group of the same name as one of the person's.
    fn of_another_group(&self, identity: &Identity, target: &TargetArn) -> Option<MappingId> {
        let mut rows = identity.groups.iter().flat_map(|group| {
            let rows = self.mappings.get(&group.key).into_iter().flatten();
            rows.filter(move |placed| placed.mapping.role == *target && !placed.means(group))
        });
        rows.next().map(|placed| placed.mapping.id.clone())
    }

    /// Calls `found` with every row that names or matches one of the person's groups.
    fn each_giver<'a>(
        &'a self,
        identity: &Identity,
        only: Option<&TargetArn>,
        mut found: impl FnMut(&'a TargetArn, Giver<'a>),
    ) {
        for group in &identity.groups {
            for placed in self.mappings.get(&group.key).into_iter().flatten() {
                let PlacedMapping { mapping, .. } = placed;
                let is_asked = only.is_none_or(|target| *target == mapping.role);
                if is_asked && placed.means(group) {
                    found(
                        &mapping.role,
                        Giver {
                            mapping: &mapping.id,
                            group: mapping.group.clone(),
                            conditions: &mapping.conditions,
                            is_rule: false,
                        },
                    );
                }
            }
        }
        for compiled in &self.rules {
            self.each_rule_giver(compiled, identity, only, &mut found);
        }
    }

    fn each_rule_giver<'a>(
        &'a self,
        compiled: &'a CompiledRule,
        identity: &Identity,
        only: Option<&TargetArn>,
        found: &mut impl FnMut(&'a TargetArn, Giver<'a>),
    ) {
        let CompiledRule { rule, .. } = compiled;
        for group in &identity.groups {
            if group.key.connector() != rule.connector.as_str() {
                continue;
            }
            let Some(role) = compiled
                .role_for(&group.name)
                .and_then(|arn| self.find_ruled(&arn))
            else {
                continue;
            };
            let PlacedRole { role: row, .. } = role;
            let is_protected = row.protected
                || self
                    .accounts
                    .get(row.arn.account_digits())
                    .is_some_and(|account| account.protected);
            if (is_protected && !rule.allow_protected) || only.is_some_and(|t| *t != row.arn) {
                continue;
            }
            found(
                &row.arn,
                Giver {
                    mapping: &rule.id,
                    group: group.key.clone(),
                    conditions: &rule.conditions,
                    is_rule: true,
                },
            );
        }
    }

    /// The role of the table that a rule's filled-in ARN means: by account and name, ignoring case.
    ///
    /// A path confines: `role/readonly/{team}` never gives a role outside of `readonly/`, whatever
    /// a group is called. A bare name finds the role whatever its path.
    fn find_ruled(&self, arn: &str) -> Option<&PlacedRole> {
        let mut parts = arn.splitn(6, ':');
        let partition = parts.nth(1)?;
        let account: AccountId = parts.nth(2)?.parse().ok()?;
        let (_, path) = parts.next()?.split_once('/')?;
        let name = path.rsplit('/').next()?;
        let found = self.role_named(&account, name)?;
        let is_meant = found.partition().as_str() == partition
            && (path == name || found.as_str().eq_ignore_ascii_case(arn));
        is_meant.then(|| self.roles.get(found)).flatten()
    }
}

/// Whether one mapping alone satisfies the request, and how long it then allows.
fn judge(
    giver: &Giver<'_>,
    placed: &PlacedRole,
    request: &Request,
    now: OffsetDateTime,
) -> Result<Clipped, NotEntitled> {
    if !placed.effective.grant_method.is_available() {
        return Err(NotEntitled::MethodUnavailable(
            placed.effective.grant_method,
        ));
    }
    let longest = usable_until(giver, &placed.effective, request, now)?;
    if giver.conditions.require_reason && request.reason.is_none() {
        return Err(NotEntitled::ReasonRequired(giver.mapping.clone()));
    }
    if request
        .duration
        .is_some_and(|asked| asked > longest.longest)
    {
        return Err(NotEntitled::TooLong(longest));
    }
    if (request.read_only || giver.conditions.read_only) && !can_be_read_only(&placed.role) {
        return Err(NotEntitled::ReadOnlyUnavailable);
    }
    Ok(longest)
}

/// How long a mapping allows at `now`, or why it allows nothing.
fn usable_until(
    giver: &Giver<'_>,
    role: &EffectiveRole,
    request: &Request,
    now: OffsetDateTime,
) -> Result<Clipped, NotEntitled> {
    let conditions = giver.conditions;
    if let Some(condition) = conditions.unenforceable() {
        return Err(NotEntitled::Unenforceable {
            mapping: giver.mapping.clone(),
            condition,
        });
    }
    let mut longest = Clipped {
        longest: role.max_duration,
        limit: Limit::Role,
    };
    let mut clip = |limit, duration: SessionDuration| {
        if duration < longest.longest {
            longest = Clipped {
                longest: duration,
                limit,
            };
        }
    };
    if let Some(duration) = conditions.max_duration {
        clip(Limit::Mapping, duration);
    }
    if let Some(ceiling) = request.ceiling {
        clip(Limit::RoleChaining, ceiling);
    }
    if let Some(at) = conditions.expires {
        let mapping = giver.mapping.clone();
        if at <= now {
            return Err(NotEntitled::Expired { mapping, at });
        }
        let left = u64::try_from((at - now).whole_seconds()).unwrap_or(0);
        if left < u64::from(SessionDuration::SHORTEST.seconds()) {
            return Err(NotEntitled::EndsTooSoon { mapping, at });
        }
        if let Ok(left) = SessionDuration::from_seconds(left) {
            clip(Limit::MappingExpiry, left);
        }
    }
    Ok(longest)
}

/// What decides between two mappings that both satisfy a request; the least is taken.
fn preference<'a>(
    giver: &Giver<'a>,
    longest: Clipped,
) -> (usize, std::cmp::Reverse<SessionDuration>, &'a MappingId) {
    (
        giver.conditions.obligations(),
        std::cmp::Reverse(longest.longest),
        giver.mapping,
    )
}

/// Session policies are united, so ReadOnlyAccess narrows only where it stands alone.
fn can_be_read_only(role: &Role) -> bool {
    role.session_policy.is_none()
        && role
            .policy_arns
            .iter()
            .all(|arn| *arn == read_only_policy(&role.arn))
}

fn read_only_policy(arn: &TargetArn) -> String {
    format!("arn:{}:iam::aws:policy/ReadOnlyAccess", arn.partition())
}

#[cfg(test)]
#[path = "policy_tests.rs"]
mod tests;
