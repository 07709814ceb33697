//! What an edit changes: who gains which roles, who loses them, whose terms change.
//!
//! Pure, and made for tens of thousands of people: what a group gives is worked out once for each
//! group, not for each person. Entry points: [`Preview::between`], [`touched_groups`].

use std::collections::{BTreeMap, BTreeSet, HashMap};

use time::OffsetDateTime;

use super::{
    Group, GroupKey, Identity, Policy, PolicySettings, PolicyTables, SessionDuration, TargetArn,
    policy::{Gift, Offer, Person},
};

/// How a person may open a role.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// The longest session.
    pub longest: SessionDuration,
    /// Whether it is narrowed to reading.
    pub is_read_only: bool,
    /// Whether a reason is asked for.
    pub requires_reason: bool,
}

/// A person whose terms change; they have the role before and after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Altered {
    /// The person's place in the list that was asked about.
    pub person: usize,
    /// How they may open it before the edit.
    pub before: Terms,
    /// And after.
    pub after: Terms,
}

/// What an edit does to one role. People are places in the list that was asked about, ascending.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleEffect {
    /// The role.
    pub role: TargetArn,
    /// Whether it or its account is protected, before or after.
    pub is_protected: bool,
    /// Who gains it.
    pub gains: Vec<usize>,
    /// Who loses it.
    pub losses: Vec<usize>,
    /// Who keeps it on other terms.
    pub altered: Vec<Altered>,
}

/// What an edit does.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Preview {
    /// The roles that somebody gains, loses or keeps on other terms: protected ones first, then by
    /// ARN.
    pub roles: Vec<RoleEffect>,
}

impl Preview {
    /// What changes for `people` when the table `before` becomes `after`, at `now`.
    pub fn between(
        before: &Policy,
        after: &Policy,
        people: &[Identity],
        now: OffsetDateTime,
    ) -> Self {
        let mut comparison = Comparison::of(before, after, now);
        for (place, identity) in people.iter().enumerate() {
            comparison.look_at(place, identity);
        }
        comparison.end()
    }

    /// Whether nobody gains, loses or keeps anything on other terms.
    pub fn is_empty(&self) -> bool {
        self.roles.is_empty()
    }
}

/// What a group's rows offer of one role, before and after.
#[derive(Debug, Clone, Copy)]
struct Offered {
    role: usize,
    before: Option<Offer>,
    after: Option<Offer>,
}

/// A group of one key, name and stable id, whoever is in it.
#[derive(Debug)]
struct GroupInView<'a> {
    name: &'a str,
    stable_id: Option<&'a str>,
    /// By role.
    offers: Vec<Offered>,
    /// The roles that its members may have otherwise after the edit.
    affected: Vec<usize>,
}

/// Two tables while people are looked at.
struct Comparison<'a> {
    before: &'a Policy,
    after: &'a Policy,
    now: OffsetDateTime,
    /// Each role with whether its own row or account decides otherwise after the edit.
    roles: Vec<(RoleEffect, bool)>,
    places: HashMap<&'a TargetArn, usize>,
    groups: Vec<GroupInView<'a>>,
    /// The places of the groups of a key.
    by_key: HashMap<&'a GroupKey, Vec<usize>>,
    /// Whether an assertion that names the role gives something else after the edit.
    asserted: HashMap<&'a TargetArn, bool>,
    hands_over_alike: bool,
}

impl<'a> Comparison<'a> {
    fn of(before: &'a Policy, after: &'a Policy, now: OffsetDateTime) -> Self {
        Self {
            before,
            after,
            now,
            roles: Vec::new(),
            places: HashMap::new(),
            groups: Vec::new(),
            by_key: HashMap::new(),
            asserted: HashMap::new(),
            hands_over_alike: before.hands_over_like(after),
        }
    }

    fn look_at(&mut self, place: usize, identity: &'a Identity) {
        let groups: Vec<usize> = (identity.groups.iter())
            .map(|group| self.known(group).unwrap_or_else(|| self.know(group)))
            .collect();
        let mut affected: Vec<usize> = Vec::new();
        for group in groups.iter().filter_map(|group| self.groups.get(*group)) {
            affected.extend_from_slice(&group.affected);
        }
        let person = Person::of(identity);
        affected.extend(self.affected_by_assertion(&person, identity));
        affected.sort_unstable();
        affected.dedup();
        for role in affected {
            self.compare(role, place, (&person, &groups));
        }
    }

    fn known(&self, group: &Group) -> Option<usize> {
        let mut places = self.by_key.get(&group.key)?.iter();
        let found = places.find(|place| {
            let known = self.groups.get(**place);
            known.is_some_and(|known| known.is(group))
        });
        found.copied()
    }

    /// Works out what a group gives.
    fn know(&mut self, group: &'a Group) -> usize {
        let mut offers: BTreeMap<usize, Offered> = BTreeMap::new();
        let (before, after, now) = (self.before, self.after, self.now);
        before.each_gift(group, |gift| {
            let Some(offer) = before.offer(&gift, now) else {
                return;
            };
            let all = &mut self.offered(&mut offers, gift.role).before;
            *all = Some(all.map_or(offer, |all| all.and(offer)));
        });
        after.each_gift(group, |gift| {
            let Some(offer) = after.offer(&gift, now) else {
                return;
            };
            let all = &mut self.offered(&mut offers, gift.role).after;
            *all = Some(all.map_or(offer, |all| all.and(offer)));
        });
        let offers: Vec<Offered> = offers.into_values().collect();
        let is_affected = |offered: &&Offered| {
            let is_role_changed = self.roles.get(offered.role).is_none_or(|(_, is)| *is);
            offered.before != offered.after || is_role_changed
        };
        let affected = offers.iter().filter(is_affected);
        let affected = affected.map(|offered| offered.role).collect();
        let place = self.groups.len();
        self.by_key.entry(&group.key).or_default().push(place);
        self.groups.push(GroupInView {
            name: &group.name,
            stable_id: group.stable_id.as_deref(),
            offers,
            affected,
        });
        place
    }

    fn offered<'o>(
        &mut self,
        offers: &'o mut BTreeMap<usize, Offered>,
        role: &'a TargetArn,
    ) -> &'o mut Offered {
        let role = self.role(role);
        offers.entry(role).or_insert(Offered {
            role,
            before: None,
            after: None,
        })
    }

    fn role(&mut self, arn: &'a TargetArn) -> usize {
        let (before, after) = (self.before, self.after);
        if let Some(place) = self.places.get(arn) {
            return *place;
        }
        let is_changed = !self.hands_over_alike || before.way_to(arn) != after.way_to(arn);
        let effect = RoleEffect {
            role: arn.clone(),
            is_protected: before.is_protected(arn) || after.is_protected(arn),
            gains: Vec::new(),
            losses: Vec::new(),
            altered: Vec::new(),
        };
        self.places.insert(arn, self.roles.len());
        self.roles.push((effect, is_changed));
        self.roles.len() - 1
    }

    /// The roles that the person's assertion names and that it may give otherwise after the edit.
    fn affected_by_assertion(&mut self, person: &Person<'a>, identity: &Identity) -> Vec<usize> {
        let connector = &identity.connector;
        let is_taken = [self.before, self.after].map(|policy| policy.takes_asserted(connector));
        if is_taken == [false, false] {
            return Vec::new();
        }
        let arns: Vec<&'a TargetArn> = person.asserted().collect();
        let affected = arns.into_iter().filter_map(|arn| {
            let is_otherwise = is_taken[0] != is_taken[1] || self.is_asserted_otherwise(arn);
            is_otherwise.then(|| self.role(arn))
        });
        affected.collect()
    }

    fn is_asserted_otherwise(&mut self, arn: &'a TargetArn) -> bool {
        let (before, after) = (self.before, self.after);
        let is_otherwise = || {
            before.asserted_way(arn) != after.asserted_way(arn)
                || before.way_to(arn) != after.way_to(arn)
        };
        let is_hand_over_otherwise = !self.hands_over_alike;
        let known = self.asserted.entry(arn);
        *known.or_insert_with(|| is_hand_over_otherwise || is_otherwise())
    }

    fn compare(&mut self, role: usize, place: usize, (person, groups): (&Person<'_>, &[usize])) {
        let mut offers: [Option<Offer>; 2] = [None, None];
        let groups = groups.iter().filter_map(|group| self.groups.get(*group));
        for offered in groups.filter_map(|group| group.offered(role)) {
            for (all, offer) in offers.iter_mut().zip([offered.before, offered.after]) {
                *all = match (*all, offer) {
                    (Some(all), Some(offer)) => Some(all.and(offer)),
                    (all, offer) => all.or(offer),
                };
            }
        }
        let (before, after) = (self.before, self.after);
        let Some((effect, _)) = self.roles.get_mut(role) else {
            return;
        };
        let opening = [
            before.opening(person, &effect.role, offers[0]),
            after.opening(person, &effect.role, offers[1]),
        ];
        match opening {
            [None, Some(_)] => effect.gains.push(place),
            [Some(_), None] => effect.losses.push(place),
            [Some(before), Some(after)] if before != after => effect.altered.push(Altered {
                person: place,
                before,
                after,
            }),
            _ => {}
        }
    }

    fn end(self) -> Preview {
        let effects = self.roles.into_iter().map(|(effect, _)| effect);
        let mut roles: Vec<RoleEffect> = effects
            .filter(|effect| {
                !(effect.gains.is_empty() && effect.losses.is_empty() && effect.altered.is_empty())
            })
            .collect();
        roles.sort_by(|one, other| {
            let key = |effect: &RoleEffect| !effect.is_protected;
            (key(one), &one.role).cmp(&(key(other), &other.role))
        });
        Preview { roles }
    }
}

impl GroupInView<'_> {
    fn is(&self, group: &Group) -> bool {
        self.name == group.name && self.stable_id == group.stable_id.as_deref()
    }

    fn offered(&self, role: usize) -> Option<&Offered> {
        let place = (self.offers).binary_search_by_key(&role, |offered| offered.role);
        self.offers.get(place.ok()?)
    }
}

/// The groups whose members an edit may touch: those whose givers differ, and those that give a
/// role whose own row or account differs.
///
/// `seen` are the groups that are known, by key and name, for rules name none: a group that is not
/// among them and that no mapping names is not found.
pub fn touched_groups<'a>(
    before: &PolicyTables,
    after: &PolicyTables,
    seen: impl IntoIterator<Item = (&'a GroupKey, &'a str)>,
) -> Vec<GroupKey> {
    let policy = |tables: &PolicyTables| Policy::new(tables.clone(), PolicySettings::default());
    let (before, after) = (policy(before), policy(after));
    let mut touched: BTreeSet<&GroupKey> = BTreeSet::new();
    let keys: BTreeSet<&GroupKey> = before
        .mapped_groups()
        .chain(after.mapped_groups())
        .collect();
    let mut are_alike = likeness(&before, &after);
    for key in keys {
        if !are_alike(in_order(before.rows_of(key)), in_order(after.rows_of(key))) {
            touched.insert(key);
        }
    }
    let mut looked_at = BTreeSet::new();
    for (key, name) in seen {
        if touched.contains(key) || !looked_at.insert((key, name)) {
            continue;
        }
        let mut of_before = Vec::new();
        before.each_ruled(key, name, |gift| of_before.push((gift, None)));
        let mut of_after = Vec::new();
        after.each_ruled(key, name, |gift| of_after.push((gift, None)));
        if !are_alike(in_order(of_before), in_order(of_after)) {
            touched.insert(key);
        }
    }
    touched.into_iter().cloned().collect()
}

/// A row as it is compared, with the id of the group that it means.
type ComparedRow<'p> = (Gift<'p>, Option<&'p str>);

fn in_order<'p>(rows: impl IntoIterator<Item = ComparedRow<'p>>) -> Vec<ComparedRow<'p>> {
    let mut rows: Vec<ComparedRow<'p>> = rows.into_iter().collect();
    rows.sort_by_key(|(gift, _)| (gift.role, gift.row));
    rows
}

/// Says of a group's rows before and after whether they are the same and give roles that are.
fn likeness<'p>(
    before: &'p Policy,
    after: &'p Policy,
) -> impl FnMut(Vec<ComparedRow<'p>>, Vec<ComparedRow<'p>>) -> bool {
    let mut ways: HashMap<&'p TargetArn, bool> = HashMap::new();
    move |one, other| {
        one == other
            && one.iter().all(|(gift, _)| {
                let way = ways.entry(gift.role);
                *way.or_insert_with(|| before.way_to(gift.role) == after.way_to(gift.role))
            })
    }
}
