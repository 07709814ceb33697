//! The decision itself: what a person may open, and the one way to a grant.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use time::OffsetDateTime;

use super::{NotEntitled, PlacedRole, Policy, reach::Person, snapshot::rank};
use crate::access::{
    Account, Clipped, Conditions, ConsoleWay, Delivery, EffectiveRole, Grant, GrantMethod,
    GroupKey, Identity, Limit, MappingId, Request, Role, SamlProviderArn, SessionDuration,
    TargetArn, Voucher, template::Values,
};

/// A mapping, a rule or the identity provider's own word, as it gives a role to a person.
#[derive(Debug, Clone)]
pub struct Giver<'a> {
    /// The row's id; `asserted` where the person's assertion names the role and no row is needed.
    pub mapping: &'a MappingId,
    /// The person's group that it names or matches; none where the assertion gives the role.
    pub group: Option<GroupKey>,
    /// What it asks for.
    pub conditions: &'a Conditions,
    /// Whether the row is a pattern rule.
    pub is_rule: bool,
}

/// A role that one person may open now.
#[derive(Debug)]
pub struct Entitlement<'a> {
    /// The role: its row, or what stands for it where only the assertion names it.
    pub role: Arc<Role>,
    /// Its settings with the gaps filled.
    pub effective: Arc<EffectiveRole>,
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

    /// Whether its sessions open a console at all; else they are credentials alone.
    pub fn opens_console(&self) -> bool {
        self.effective.grant_method != GrantMethod::SessionToken
    }

    /// Whether a program can take credentials for it with nothing but the word of who asks: no
    /// reason, no code, no fresh word of the person's provider, and not at the provider alone.
    pub fn opens_without_asking(&self) -> bool {
        let effective = &self.effective;
        !self.requires_reason()
            && effective.mfa_serial.is_none()
            && effective.voucher != Some(Voucher::Provider)
            && effective.console != ConsoleWay::IdpInitiated
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
        self.entitlements_where(identity, now, |_| true)
    }

    /// Those of the [`entitlements`](Self::entitlements) whose role is wanted; no other is judged.
    pub fn entitlements_where(
        &self,
        identity: &Identity,
        now: OffsetDateTime,
        is_wanted: impl Fn(&TargetArn) -> bool,
    ) -> Vec<Entitlement<'_>> {
        let person = Person::of(identity);
        let mut given: HashMap<&TargetArn, Vec<Giver<'_>>> = HashMap::new();
        self.each_giver(identity, None, |arn, giver| {
            if is_wanted(arn) {
                given.entry(arn).or_default().push(giver);
            }
        });
        let mut asserted = self.asserted(&person);
        asserted.retain(|arn| is_wanted(arn));
        for arn in &asserted {
            given.entry(arn).or_default().push(self.asserted_giver());
        }
        let mut of_table: Vec<(usize, Entitlement<'_>)> = Vec::with_capacity(given.len());
        let mut implied = Vec::new();
        for (arn, givers) in given {
            if let Some(placed) = self.roles.get(arn) {
                let entitlement = self.entitlement(&person, placed, givers, now);
                of_table.extend(entitlement.map(|found| (placed.place, found)));
            } else if asserted.contains(&arn) {
                let placed = self.implied(arn);
                implied.extend(self.entitlement(&person, &placed, givers, now));
            }
        }
        of_table.sort_unstable_by_key(|(place, _)| *place);
        merged(of_table.into_iter().map(|(_, found)| found), implied)
    }

    /// A name for a role that its account has once: the role's own name, or its kind, path and name
    /// where that alone could be another's.
    pub fn name_in_account<'r>(&self, role: &'r TargetArn) -> &'r str {
        let key = (role.account(), role.name().to_lowercase());
        match self.by_name.get(&key) {
            Some(Some(named)) if named == role => role.name(),
            None => role.name(),
            Some(_) => role.resource(),
        }
    }

    /// Whether `identity` may open one role at `now`: what
    /// [`entitlements`](Self::entitlements) has of it.
    pub fn entitlement_to(
        &self,
        identity: &Identity,
        role: &TargetArn,
        now: OffsetDateTime,
    ) -> Option<Entitlement<'_>> {
        let person = Person::of(identity);
        let mut givers = Vec::new();
        self.each_giver(identity, Some(role), |_, giver| givers.push(giver));
        let is_asserted = self.asserted(&person).contains(role);
        givers.extend(is_asserted.then(|| self.asserted_giver()));
        match self.roles.get(role) {
            Some(placed) => self.entitlement(&person, placed, givers, now),
            None if is_asserted => self.entitlement(&person, &self.implied(role), givers, now),
            None => None,
        }
    }

    pub(super) fn entitlement<'a>(
        &'a self,
        person: &Person<'_>,
        placed: &PlacedRole,
        givers: Vec<Giver<'a>>,
        now: OffsetDateTime,
    ) -> Option<Entitlement<'a>> {
        if placed.role.disabled {
            return None;
        }
        self.reach(person, placed, &placed.plain_click()).ok()?;
        let mut usable: Vec<(Giver<'a>, Clipped)> = givers
            .into_iter()
            .filter_map(|giver| {
                let clipped = offered(&giver, placed, now)?;
                Some((giver, clipped))
            })
            .collect();
        usable.sort_by(|(a, a_longest), (b, b_longest)| {
            preference(a, *a_longest).cmp(&preference(b, *b_longest))
        });
        let longest = usable.first()?.1;
        Some(Entitlement {
            role: Arc::clone(&placed.role),
            effective: Arc::clone(&placed.effective),
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
        let person = Person::of(identity);
        let is_asserted = self.asserted(&person).contains(&target);
        let implied;
        let placed = match self.roles.get(target) {
            Some(placed) => placed,
            None if is_asserted => {
                implied = self.implied(target);
                &implied
            }
            None => return Err(NotEntitled::UnknownRole),
        };
        if placed.role.disabled {
            return Err(NotEntitled::UnknownRole);
        }
        let mut givers = Vec::new();
        self.each_giver(identity, Some(target), |_, giver| givers.push(giver));
        givers.extend(is_asserted.then(|| self.asserted_giver()));
        let provider = self.reach(&person, placed, request);
        let mut nearest = match self.of_another_group(identity, target) {
            Some(mapping) => NotEntitled::GroupRecreated(mapping),
            None => NotEntitled::NoMapping,
        };
        let mut best: Option<(&Giver<'_>, Clipped)> = None;
        for giver in &givers {
            // Why the role cannot be reached is told to those whom a row gives it.
            let judged = match &provider {
                Ok(_) => judge(giver, placed, request, now),
                Err(miss) => Err(miss.clone()),
            };
            match judged {
                Ok(longest) => {
                    let is_better = best.is_none_or(|(other, other_longest)| {
                        preference(giver, longest) < preference(other, other_longest)
                    });
                    if is_better {
                        best = Some((giver, longest));
                    }
                }
                Err(miss) if miss.nearness() > nearest.nearness() => nearest = miss,
                Err(_) => {}
            }
        }
        match (best, provider) {
            (Some(best), Ok(provider)) => self.grant(identity, (placed, provider), request, best),
            _ => Err(nearest),
        }
    }

    fn grant(
        &self,
        identity: &Identity,
        (placed, saml_provider): (&PlacedRole, Option<SamlProviderArn>),
        request: &Request,
        (giver, longest): (&Giver<'_>, Clipped),
    ) -> Result<Grant, NotEntitled> {
        let PlacedRole {
            role, effective, ..
        } = placed;
        let read_only = request.read_only || giver.conditions.read_only;
        let narrowed = Narrowed::of(identity, role, read_only)?;
        // With a provider's assertion or token AWS takes these from there alone.
        let is_ours = effective.console != ConsoleWay::IdpInitiated
            && match effective.grant_method {
                GrantMethod::AssumeRole => true,
                GrantMethod::AssumeRoleWithSaml | GrantMethod::AssumeRoleWithWebIdentity => {
                    effective.voucher == Some(Voucher::Issuer)
                }
                // GetFederationToken and GetSessionToken take no source identity.
                GrantMethod::FederationToken | GrantMethod::SessionToken => false,
            };
        let source_identity = (effective.source_identity.as_ref())
            .or(self.settings.source_identity.as_ref())
            .filter(|_| is_ours);
        Ok(Grant {
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
            source_identity: source_identity.map(|template| template.source_identity(identity)),
            external_id: (effective.external_id.clone())
                .filter(|_| effective.grant_method == GrantMethod::AssumeRole),
            credential_source: effective.credential_source.clone(),
            region: effective.region.clone(),
            session_policy: narrowed.session_policy,
            policy_arns: narrowed.policy_arns,
            session_tags: narrowed.session_tags,
            read_only,
            reason: request.reason.clone(),
            saml_provider,
            console: effective.console,
            audit_tag: effective.audit_tag,
            voucher: effective.voucher,
            mfa_serial: effective.mfa_serial.clone(),
            public_values: public_values(identity, placed),
        })
    }

    /// What applications are told about a role, filled in for a person who holds it.
    pub fn public_values(
        &self,
        identity: &Identity,
        target: &TargetArn,
    ) -> BTreeMap<String, String> {
        let placed = self.roles.get(target);
        placed.map_or_else(BTreeMap::new, |placed| public_values(identity, placed))
    }
}

fn public_values(identity: &Identity, placed: &PlacedRole) -> BTreeMap<String, String> {
    let target = &placed.role.arn;
    Values { identity, target }.public_values(&placed.effective.public_values)
}

/// What narrows and marks one person's session, with their values put in.
pub(super) struct Narrowed {
    session_policy: Option<String>,
    policy_arns: Vec<String>,
    session_tags: BTreeMap<String, String>,
}

impl Narrowed {
    /// What a role narrows `identity` to; or what it needs of them that cannot be had.
    pub(super) fn of(
        identity: &Identity,
        role: &Role,
        read_only: bool,
    ) -> Result<Self, NotEntitled> {
        let mut policy_arns = role.policy_arns.clone();
        if read_only {
            let arn = read_only_policy(&role.arn);
            if !policy_arns.contains(&arn) {
                policy_arns.push(arn);
            }
        }
        let values = Values {
            identity,
            target: &role.arn,
        };
        let policy = role.session_policy.as_deref();
        let policy = policy.map(|template| values.policy(template, &policy_arns));
        Ok(Self {
            session_policy: policy.transpose()?,
            policy_arns,
            session_tags: values.tags(&role.session_tags)?,
        })
    }
}

impl PlacedRole {
    /// What a person asks for who merely clicks on it.
    pub(super) fn plain_click(&self) -> Request {
        let delivery = match self.effective.grant_method {
            GrantMethod::SessionToken => Delivery::Credentials,
            _ => Delivery::Console,
        };
        Request {
            delivery,
            ..Request::console()
        }
    }
}

/// Whether one mapping alone satisfies the request, and how long it then allows.
pub(super) fn judge(
    giver: &Giver<'_>,
    placed: &PlacedRole,
    request: &Request,
    now: OffsetDateTime,
) -> Result<Clipped, NotEntitled> {
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
    if (request.read_only || giver.conditions.read_only) && !can_be_read_only(placed) {
        return Err(NotEntitled::ReadOnlyUnavailable);
    }
    Ok(longest)
}

/// How long a mapping gives a role by the plain click at `now`, if it does.
pub(super) fn offered(
    giver: &Giver<'_>,
    placed: &PlacedRole,
    now: OffsetDateTime,
) -> Option<Clipped> {
    let longest = usable_until(giver, &placed.effective, &Request::console(), now).ok()?;
    (!giver.conditions.read_only || can_be_read_only(placed)).then_some(longest)
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
    if role.console == ConsoleWay::IdpInitiated
        && let Some(key) = conditions.keys().next()
    {
        return Err(NotEntitled::HandOverUnlimited {
            mapping: giver.mapping.clone(),
            key,
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
    // Role chaining is about our own credentials, and an assertion needs none.
    let uses_ours = !role.grant_method.is_federated();
    if let Some(ceiling) = request.ceiling.filter(|_| uses_ours) {
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

/// The roles of the table, which are in order, with those that are not in it put between.
fn merged<'a>(
    of_table: impl Iterator<Item = Entitlement<'a>>,
    implied: Vec<Entitlement<'a>>,
) -> Vec<Entitlement<'a>> {
    let of_table: Vec<Entitlement<'a>> = of_table.collect();
    if implied.is_empty() {
        return of_table;
    }
    let rank_of = |found: &Entitlement<'_>| rank(&found.role.arn, found.account);
    let mut implied: Vec<_> = implied
        .into_iter()
        .map(|found| {
            let rank = rank_of(&found);
            let before = of_table.partition_point(|other| rank_of(other) <= rank);
            (before, rank, found)
        })
        .collect();
    implied.sort_by(|(_, one, _), (_, other, _)| one.cmp(other));
    let mut implied = implied.into_iter().peekable();
    let mut merged = Vec::with_capacity(of_table.len() + implied.len());
    for (place, found) in of_table.into_iter().enumerate() {
        while let Some((.., earlier)) = implied.next_if(|(before, ..)| *before <= place) {
            merged.push(earlier);
        }
        merged.push(found);
    }
    merged.extend(implied.map(|(.., found)| found));
    merged
}

/// Session policies are united, so ReadOnlyAccess narrows only where it stands alone.
fn can_be_read_only(placed: &PlacedRole) -> bool {
    let role = &placed.role;
    placed.effective.grant_method.can_be_narrowed()
        && role.session_policy.is_none()
        && role
            .policy_arns
            .iter()
            .all(|arn| *arn == read_only_policy(&role.arn))
}

fn read_only_policy(arn: &TargetArn) -> String {
    format!("arn:{}:iam::aws:policy/ReadOnlyAccess", arn.partition())
}
