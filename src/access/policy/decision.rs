//! The decision itself: what a person may open, and the one way to a grant.

use std::collections::{BTreeMap, HashMap};

use time::OffsetDateTime;

use super::{NotEntitled, PlacedRole, Policy};
use crate::access::{
    Account, Clipped, Conditions, EffectiveRole, Grant, GroupKey, Identity, Limit, MappingId,
    Request, Role, SessionDuration, TargetArn,
};

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

impl Policy {
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
            saml_provider: None,
            console: effective.console,
        }
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
