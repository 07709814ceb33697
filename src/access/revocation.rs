//! The inline policy that ends the sessions of one role that were issued before a moment.
//!
//! AWS cannot take temporary credentials back; it can deny them everything, by when they were issued
//! (`aws:TokenIssueTime`) and to whom (`aws:userid`, `aws:SourceIdentity`): IAM User Guide, "Revoke
//! IAM role temporary security credentials". Never here: writing it. Entry point: [`compose`].
//!
//! AWS tells the moment of issue in whole seconds, and so does the policy: a session of 12:00:00.9
//! has the moment 12:00:00. A revocation of 12:00:00.5 therefore denies what was issued before
//! 12:00:01, see [`whole_second`]; otherwise sessions of the very second would live on. Whoever
//! revokes waits for that second to pass before saying that a new session can be opened.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;
use time::{Duration, OffsetDateTime};

use super::in_utc;

/// The name of the inline policy; nothing else in it survives.
pub const REVOCATION_POLICY: &str = "RolegateRevocations";
/// The size that the policy may have, in characters without blanks: IAM counts 10,240 for all inline
/// policies of a role together (IAM User Guide, "IAM and AWS STS quotas").
pub const REVOCATION_BUDGET: usize = 9_500;
/// After so long no session of a role is left: 12 hours, the 15 minutes in which a console's
/// sign-in token can be used, and clocks that differ.
pub const LONGEST_ROLE_SESSION: Duration = Duration::minutes(12 * 60 + 30);

/// Whose sessions of the role are denied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Denied {
    /// Everybody's.
    Everybody,
    /// One person's, by the names that their sessions have.
    Person {
        /// The `RoleSessionName`s.
        session_names: Vec<String>,
        /// The `SourceIdentity`s; empty where none is sent.
        source_identities: Vec<String>,
    },
}

/// A revocation as it counts for one role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denial {
    /// Whose sessions.
    pub who: Denied,
    /// Those issued before this moment.
    pub issued_before: OffsetDateTime,
    /// From when on none of them can be left.
    pub expires_at: OffsetDateTime,
}

/// What had to be given up so that the policy fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coarser {
    /// Nothing: exactly what was revoked is denied.
    No,
    /// So many names share a later moment than their own: if they opened the role again between the
    /// two, they have to open it once more.
    Raised(usize),
    /// Everybody's sessions issued before this moment are denied.
    Everybody(OffsetDateTime),
}

impl Coarser {
    /// What people have to know about it; none where there is nothing.
    pub fn sentence(self) -> Option<String> {
        match self {
            Self::No => None,
            Self::Raised(names) => Some(format!(
                "So many revocations are in force that the policy would be too long. {names} \
                 revoked session names share one later moment: whoever of them opened the role \
                 again before it has to open it once more."
            )),
            Self::Everybody(before) => Some(format!(
                "So many revocations are in force that the policy would be too long. Everybody's \
                 sessions of this role issued before {} are denied: others may have to open the \
                 role again.",
                instant(before)
            )),
        }
    }
}

/// The inline policy of one role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevocationPolicy {
    /// The policy, JSON without blanks.
    pub document: String,
    /// What had to be given up so that it fits.
    pub coarser: Coarser,
}

/// The first whole second that is not before `at`.
pub fn whole_second(at: OffsetDateTime) -> OffsetDateTime {
    let at = in_utc(at);
    let second = at - Duration::nanoseconds(i64::from(at.nanosecond()));
    if second == at {
        at
    } else {
        second.checked_add(Duration::SECOND).unwrap_or(second)
    }
}

/// The policy of a role for the revocations in force at `now`, at most [`REVOCATION_BUDGET`] less
/// `taken` characters long; none where nothing is left to deny. Never denies less than was asked:
/// where all of it does not fit it denies more, and says so.
///
/// `taken` is what the role's other inline policies have beyond the allowance for them. A policy
/// that denies everybody is what is left at last, whatever `taken` says.
pub fn compose(denials: &[Denial], now: OffsetDateTime, taken: usize) -> Option<RevocationPolicy> {
    let budget = REVOCATION_BUDGET.saturating_sub(taken);
    let Gathered { everybody, groups } = Gathered::of(denials, now);
    if everybody.is_none() && groups.is_empty() {
        return None;
    }
    let exact = document(everybody, &groups);
    if size(&exact) <= budget {
        return Some(RevocationPolicy {
            document: exact,
            coarser: Coarser::No,
        });
    }
    raised(everybody, &groups, budget)
        .or_else(|| cut(&groups, budget))
        .or_else(|| {
            let newest = groups.keys().next_back().copied().or(everybody)?;
            Some(of_everybody(newest, &BTreeMap::new()))
        })
}

/// The names that are denied before a moment.
#[derive(Debug, Clone, Default)]
struct Names {
    sessions: BTreeSet<String>,
    sources: BTreeSet<String>,
}

impl Names {
    fn count(&self) -> usize {
        self.sessions.len().max(self.sources.len())
    }

    fn extend(&mut self, other: &Self) {
        self.sessions.extend(other.sessions.iter().cloned());
        self.sources.extend(other.sources.iter().cloned());
    }
}

/// Who shares a moment, oldest first.
type Groups = BTreeMap<OffsetDateTime, Names>;

struct Gathered {
    everybody: Option<OffsetDateTime>,
    groups: Groups,
}

impl Gathered {
    /// What is in force: each name with its newest moment, unless everybody's is as new.
    fn of(denials: &[Denial], now: OffsetDateTime) -> Self {
        let mut everybody = None;
        let mut sessions: BTreeMap<&str, OffsetDateTime> = BTreeMap::new();
        let mut sources: BTreeMap<&str, OffsetDateTime> = BTreeMap::new();
        for denial in denials.iter().filter(|denial| denial.expires_at > now) {
            let before = whole_second(denial.issued_before);
            match &denial.who {
                Denied::Person {
                    session_names,
                    source_identities,
                } if are_names(session_names, source_identities) => {
                    newest_of(&mut sessions, session_names, before);
                    newest_of(&mut sources, source_identities, before);
                }
                // Somebody who cannot be named safely is denied with everybody.
                Denied::Everybody | Denied::Person { .. } => {
                    everybody = everybody.max(Some(before));
                }
            }
        }
        let is_beyond = |moment: &OffsetDateTime| everybody.is_none_or(|all| *moment > all);
        let mut groups = Groups::new();
        for (name, moment) in sessions.into_iter().filter(|(_, moment)| is_beyond(moment)) {
            let group = groups.entry(moment).or_default();
            group.sessions.insert(name.to_owned());
        }
        for (name, moment) in sources.into_iter().filter(|(_, moment)| is_beyond(moment)) {
            groups
                .entry(moment)
                .or_default()
                .sources
                .insert(name.to_owned());
        }
        Self { everybody, groups }
    }
}

fn newest_of<'a>(
    newest: &mut BTreeMap<&'a str, OffsetDateTime>,
    names: &'a [String],
    before: OffsetDateTime,
) {
    for name in names {
        let moment = newest.entry(name).or_insert(before);
        *moment = before.max(*moment);
    }
}

/// Whether these are names as STS takes them, `[\w+=,.@-]`: then no wildcard and no policy variable
/// is in them. Somebody without a name cannot be told from others.
fn are_names(session_names: &[String], source_identities: &[String]) -> bool {
    let is_name = |name: &String| {
        !name.is_empty()
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"_+=,.@-".contains(&byte))
    };
    !session_names.is_empty()
        && session_names.iter().all(is_name)
        && source_identities.iter().all(is_name)
}

/// As few of the oldest groups as needed share one moment; none where that is not enough.
fn raised(
    everybody: Option<OffsetDateTime>,
    groups: &Groups,
    budget: usize,
) -> Option<RevocationPolicy> {
    let sharing = |count: usize| {
        let mut shared = Names::default();
        for names in groups.values().take(count) {
            shared.extend(names);
        }
        let mut candidate: Groups = (groups.iter().skip(count))
            .map(|(moment, names)| (*moment, names.clone()))
            .collect();
        let moment = groups.keys().nth(count.saturating_sub(1));
        candidate.extend(moment.map(|moment| (*moment, shared)));
        candidate
    };
    let fits = |count: usize| size(&document(everybody, &sharing(count))) <= budget;
    let count = fewest(groups.len(), fits)?;
    let before_their_own = groups.values().take(count.saturating_sub(1));
    Some(RevocationPolicy {
        document: document(everybody, &sharing(count)),
        coarser: Coarser::Raised(before_their_own.map(Names::count).sum()),
    })
}

/// Everybody is denied before the moment of as few of the oldest groups as needed, and the newer
/// ones stay as they are.
fn cut(groups: &Groups, budget: usize) -> Option<RevocationPolicy> {
    let without = |count: usize| {
        let rest = groups.iter().skip(count);
        let rest = rest
            .map(|(moment, names)| (*moment, names.clone()))
            .collect();
        let moment = groups.keys().nth(count.saturating_sub(1))?;
        Some(of_everybody(*moment, &rest))
    };
    let fits = |count: usize| without(count).is_some_and(|policy| size(&policy.document) <= budget);
    without(fewest(groups.len(), fits)?)
}

/// The smallest count from 1 to `most` that fits, where every larger one fits too.
fn fewest(most: usize, fits: impl Fn(usize) -> bool) -> Option<usize> {
    if most == 0 || !fits(most) {
        return None;
    }
    let (mut too_few, mut enough) = (0, most);
    while enough - too_few > 1 {
        let middle = too_few.midpoint(enough);
        if fits(middle) {
            enough = middle;
        } else {
            too_few = middle;
        }
    }
    Some(enough)
}

fn of_everybody(before: OffsetDateTime, groups: &Groups) -> RevocationPolicy {
    RevocationPolicy {
        document: document(Some(before), groups),
        coarser: Coarser::Everybody(before),
    }
}

/// What IAM counts: characters without blanks.
fn size(document: &str) -> usize {
    document
        .chars()
        .filter(|character| !character.is_whitespace())
        .count()
}

fn document(everybody: Option<OffsetDateTime>, groups: &Groups) -> String {
    let mut statements = Vec::new();
    if let Some(before) = everybody {
        statements.push(statement(before, None));
    }
    for (before, names) in groups {
        if !names.sessions.is_empty() {
            // `aws:userid` is the role's unique id, a colon, and the session's name, which has no
            // colon in it.
            let ids: Vec<String> = (names.sessions.iter())
                .map(|name| format!("*:{name}"))
                .collect();
            let one = json!({ "aws:userid": ids });
            statements.push(statement(*before, Some(("StringLike", one))));
        }
        if !names.sources.is_empty() {
            // It stays with whoever opens a further role from within the session, under whatever
            // name.
            let one = json!({ "aws:SourceIdentity": names.sources });
            statements.push(statement(*before, Some(("StringEquals", one))));
        }
    }
    json!({ "Version": "2012-10-17", "Statement": statements }).to_string()
}

fn statement(before: OffsetDateTime, who: Option<(&str, serde_json::Value)>) -> serde_json::Value {
    let mut condition = serde_json::Map::new();
    condition.insert(
        "DateLessThan".to_owned(),
        json!({ "aws:TokenIssueTime": instant(before) }),
    );
    condition.extend(who.map(|(operator, one)| (operator.to_owned(), one)));
    json!({ "Effect": "Deny", "Action": "*", "Resource": "*", "Condition": condition })
}

/// `2026-11-24T12:00:01Z`.
fn instant(at: OffsetDateTime) -> String {
    let at = in_utc(at);
    let (date, time) = (at.date(), at.time());
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z",
        date.year(),
        u8::from(date.month()),
        date.day(),
        time.hour(),
        time.minute(),
        time.second()
    )
}

#[cfg(test)]
mod tests;
