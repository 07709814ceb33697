//! Our side: the grants of the audit log, and what they and the trail say of each other.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use serde::Serialize;
use serde_json::Value;
use time::{Duration, OffsetDateTime};

use super::trail::{Issuance, Trail};
use crate::audit::{Action, AuditEvent, Outcome, witness::Witness};

/// By how much two clocks may differ.
const SKEW: Duration = Duration::minutes(2);
/// How long after its intent AWS may answer, where no end was written.
const LONGEST_CALL: Duration = Duration::minutes(10);
/// How late CloudTrail delivers: what is younger may be missing at the end of an export.
const DELIVERY: Duration = Duration::minutes(15);

/// The grant method whose calls we sign.
const SIGNED: &str = "assume-role";

/// A grant that was announced.
#[derive(Debug, Clone)]
struct Announced {
    seq: i64,
    at: OffsetDateTime,
    role: String,
    account: String,
    session_name: Option<String>,
    /// Whether the broker's own account has an event of it too.
    is_signed: bool,
    end: Option<End>,
}

#[derive(Debug, Clone)]
struct End {
    seq: i64,
    at: OffsetDateTime,
    request_id: Option<String>,
    region: Option<String>,
    /// Whether AWS issued something.
    is_issued: bool,
}

/// A row that a tag names.
#[derive(Debug, Clone)]
struct Row {
    hash: String,
    is_erased: bool,
}

/// What the audit log says of grants, as far as it is needed.
#[derive(Debug)]
pub struct Ledger {
    head: i64,
    dropped_through: i64,
    begins_at: Option<OffsetDateTime>,
    grants: BTreeMap<String, Announced>,
    rows: HashMap<i64, Row>,
}

/// What kind of disagreement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FindingKind {
    /// AWS was told of a row that lies beyond our last one.
    CutTail,
    /// AWS was told of another row at that place.
    Rewritten,
    /// AWS issued a session of ours that our log does not have.
    NotInLog,
    /// AWS issued something else than the row announced.
    OtherGrant,
    /// Our log has an issuance that the trail should have and has not.
    NotInTrail,
}

/// One disagreement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What kind.
    pub kind: FindingKind,
    /// The row of our log, or the place that was named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seq: Option<i64>,
    /// When it was issued.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    /// The role's ARN.
    pub role: String,
    /// The RoleSessionName.
    pub session_name: String,
    /// STS's request id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// The same in words.
    pub message: String,
}

/// What the two sides say of each other.
#[derive(Debug, Default, Serialize)]
pub struct Comparison {
    /// Events that were read.
    pub events: usize,
    /// Role sessions that AWS issued, to whomever.
    pub issuances: usize,
    /// Events about a call that another event is about too.
    pub duplicates: usize,
    /// Calls that failed.
    pub failed: usize,
    /// Role sessions of ours in the trail.
    pub ours: usize,
    /// Those of them that our log announced.
    pub matched: usize,
    /// Those of them that carry a place in our log as a tag, which is there.
    pub witnessed: usize,
    /// Further sessions of one grant: calls that were repeated because no answer came.
    pub repeated: usize,
    /// Role sessions of other programs.
    pub others: usize,
    /// Ours from before the rows that our log still has.
    pub before_log: usize,
    /// Issuances of our log that the trail does not reach: another time, account or region.
    pub not_covered: usize,
    /// The disagreements.
    pub findings: Vec<Finding>,
}

impl Ledger {
    /// An empty ledger of a log with its last row at `head`, from which the rows up to
    /// `dropped_through` were dropped. `begins_at` is the first row with its payload, where older
    /// ones were erased or dropped.
    pub fn new(head: i64, dropped_through: i64, begins_at: Option<OffsetDateTime>) -> Self {
        Self {
            head,
            dropped_through,
            begins_at,
            grants: BTreeMap::new(),
            rows: HashMap::new(),
        }
    }

    /// Notes a row, if it is about a grant, in any order.
    pub fn add(&mut self, seq: i64, event: &AuditEvent) {
        let is_grant = matches!(
            event.action,
            Action::ConsoleOpen | Action::CredentialsIssue | Action::RoleProbe
        );
        let (Some(intent), Some(role), true) = (&event.intent, &event.role, is_grant) else {
            return;
        };
        let said = |key: &str| {
            let said = event.details.get(key).and_then(Value::as_str);
            said.map(str::to_owned)
        };
        let grant = self
            .grants
            .entry(intent.clone())
            .or_insert_with(|| Announced {
                seq,
                at: event.at,
                role: role.clone(),
                account: event.account.clone().unwrap_or_default(),
                session_name: None,
                is_signed: said("grant_method").is_none_or(|method| method == SIGNED),
                end: None,
            });
        if event.outcome == Outcome::Intent {
            (grant.seq, grant.at) = (seq, event.at);
            grant.session_name = grant.session_name.take().or_else(|| said("session_name"));
            grant.is_signed = said("grant_method").is_none_or(|method| method == SIGNED);
            return;
        }
        // What STS made of an assertion stands in the end alone.
        grant.session_name = said("session_name").or_else(|| grant.session_name.take());
        grant.end = Some(End {
            seq,
            at: event.at,
            request_id: said("aws_request_id"),
            region: said("sts_region"),
            is_issued: event.details.contains_key("assumed_role_arn"),
        });
    }

    /// Notes the row that a tag names.
    pub fn add_row(&mut self, seq: i64, hash: &str, is_erased: bool) {
        let hash = hash.to_owned();
        self.rows.insert(seq, Row { hash, is_erased });
    }

    /// Holds both sides against each other. A session is ours by its tag, by the user agent, by a
    /// caller among `principals`, or by a caller who obtained one of ours in the same trail.
    pub fn compare(&self, trail: &Trail, principals: &[String]) -> Comparison {
        let mut joining = Joining::new(self);
        let callers = joining.callers(trail, principals);
        for issuance in trail.issuances() {
            joining.judge(issuance, &callers);
        }
        joining.look_for_missing(trail);
        let mut told = joining.told;
        told.events = trail.events();
        told.issuances = trail.issuances().len();
        told.duplicates = trail.duplicates();
        told.failed = trail.failed();
        told.findings.sort_by_key(|finding| finding.at);
        told
    }
}

/// How an issuance is known.
enum Join<'a> {
    /// To this grant.
    Grant(&'a str),
    /// By its tag, to a row that was erased.
    Erased,
    /// It is another's, or from before our rows.
    None,
    /// It contradicts the log.
    Finding(FindingKind, Option<i64>, String),
}

struct Joining<'a> {
    ledger: &'a Ledger,
    by_request: HashMap<&'a str, &'a str>,
    by_seq: HashMap<i64, &'a str>,
    by_name: HashMap<(&'a str, &'a str), Vec<&'a str>>,
    joined: HashSet<&'a str>,
    /// The accounts that our calls came from.
    homes: BTreeSet<String>,
    told: Comparison,
}

impl<'a> Joining<'a> {
    fn new(ledger: &'a Ledger) -> Self {
        let mut joining = Self {
            ledger,
            by_request: HashMap::new(),
            by_seq: HashMap::new(),
            by_name: HashMap::new(),
            joined: HashSet::new(),
            homes: BTreeSet::new(),
            told: Comparison::default(),
        };
        for (intent, grant) in &ledger.grants {
            joining.by_seq.insert(grant.seq, intent);
            if let Some(request_id) = grant.end.as_ref().and_then(|end| end.request_id.as_ref()) {
                joining.by_request.insert(request_id, intent);
            }
            if let Some(session_name) = &grant.session_name {
                let name = (grant.role.as_str(), session_name.as_str());
                joining.by_name.entry(name).or_default().push(intent);
            }
        }
        joining
    }

    /// Who calls for us: whom the operator names, and who obtained a session that we know.
    fn callers(&self, trail: &Trail, principals: &[String]) -> BTreeSet<String> {
        let known = trail.issuances().iter().filter(|issuance| {
            let request_id = issuance.request_id.as_deref();
            request_id.is_some_and(|id| self.by_request.contains_key(id))
        });
        let learned = known.flat_map(|issuance| issuance.callers.iter().cloned());
        learned.chain(principals.iter().cloned()).collect()
    }

    fn judge(&mut self, issuance: &Issuance, callers: &BTreeSet<String>) {
        let joined = self.join(issuance);
        let is_called_by_us = !issuance.callers.is_disjoint(callers);
        let names_itself = is_our_user_agent(&issuance.user_agent);
        let is_ours = issuance.witness.is_some()
            || names_itself
            || is_called_by_us
            || matches!(joined, Join::Grant(_));
        if !is_ours {
            self.told.others += 1;
            return;
        }
        self.told.ours += 1;
        for caller in &issuance.callers {
            self.homes
                .extend(caller.split(':').nth(4).map(str::to_owned));
        }
        match joined {
            Join::Grant(intent) => {
                self.told.matched += 1;
                self.told.witnessed += usize::from(issuance.witness.is_some());
                self.told.repeated += usize::from(!self.joined.insert(intent));
            }
            Join::Erased => {
                self.told.matched += 1;
                self.told.witnessed += 1;
            }
            Join::None if self.is_before_log(issuance.at) => self.told.before_log += 1,
            Join::None => {
                let message = "AWS issued this for Rolegate, and no row of the log announces it";
                self.find(FindingKind::NotInLog, None, issuance, message.to_owned());
            }
            Join::Finding(kind, seq, message) => {
                // Both sides have it, and one finding about it is enough.
                let request_id = issuance.request_id.as_deref();
                let named = request_id.and_then(|id| self.by_request.get(id));
                self.joined.extend(named);
                self.find(kind, seq, issuance, message);
            }
        }
    }

    fn is_before_log(&self, at: OffsetDateTime) -> bool {
        (self.ledger.begins_at).is_some_and(|begins_at| at < begins_at + SKEW)
    }

    fn find(&mut self, kind: FindingKind, seq: Option<i64>, issuance: &Issuance, message: String) {
        self.told.findings.push(Finding {
            kind,
            seq,
            at: issuance.at,
            role: issuance.role.clone(),
            session_name: issuance.session_name.clone(),
            request_id: issuance.request_id.clone(),
            message,
        });
    }

    fn join(&self, issuance: &Issuance) -> Join<'a> {
        match &issuance.witness {
            Some(Some(witness)) => return self.join_by_tag(issuance, witness),
            Some(None) => {
                let message = "the session's tag is not one that Rolegate sends".to_owned();
                return Join::Finding(FindingKind::NotInLog, None, message);
            }
            None => {}
        }
        let by_request = issuance.request_id.as_deref();
        if let Some(intent) = by_request.and_then(|id| self.by_request.get(id)) {
            return self.checked(issuance, intent);
        }
        let name = (issuance.role.as_str(), issuance.session_name.as_str());
        let candidates = self.by_name.get(&name).into_iter().flatten();
        let mut fitting = candidates.filter(|intent| self.is_during(issuance, intent));
        fitting
            .next()
            .map_or(Join::None, |intent| Join::Grant(intent))
    }

    fn join_by_tag(&self, issuance: &Issuance, witness: &Witness) -> Join<'a> {
        let (seq, head) = (witness.seq, self.ledger.head);
        if seq > head {
            let message = format!(
                "the tail was cut: AWS was told of row {seq}, and the log ends at row {head}"
            );
            return Join::Finding(FindingKind::CutTail, Some(seq), message);
        }
        if seq < self.ledger.dropped_through {
            return Join::None;
        }
        let row = self.ledger.rows.get(&seq);
        if !row.is_some_and(|row| witness.is_of(&row.hash)) {
            let message = format!(
                "the log was rewritten: AWS was told of another row {seq} than there is now"
            );
            return Join::Finding(FindingKind::Rewritten, Some(seq), message);
        }
        match self.by_seq.get(&seq) {
            Some(intent) => self.checked(issuance, intent),
            None if row.is_some_and(|row| row.is_erased) || seq == self.ledger.dropped_through => {
                Join::Erased
            }
            None => {
                let message = format!("row {seq}, which its tag names, announces no grant");
                Join::Finding(FindingKind::OtherGrant, Some(seq), message)
            }
        }
    }

    /// The grant that request id or tag name has to be about the same.
    fn checked(&self, issuance: &Issuance, intent: &'a str) -> Join<'a> {
        let Some(grant) = self.ledger.grants.get(intent) else {
            return Join::None;
        };
        let name = grant.session_name.as_deref();
        let is_same = grant.role == issuance.role
            && name.is_none_or(|name| name == issuance.session_name)
            && self.is_during(issuance, intent);
        if is_same {
            return Join::Grant(intent);
        }
        let message = format!(
            "row {} announces {} as {} at {}, and AWS issued something else for it",
            grant.seq,
            grant.role,
            name.unwrap_or("?"),
            grant.at
        );
        Join::Finding(FindingKind::OtherGrant, Some(grant.seq), message)
    }

    /// Whether it was issued between a grant's intent and its end.
    fn is_during(&self, issuance: &Issuance, intent: &str) -> bool {
        self.ledger.grants.get(intent).is_some_and(|grant| {
            let is_told = |end: &&End| end.is_issued;
            let end = grant.end.as_ref().filter(is_told).map(|end| end.at);
            let end = end.unwrap_or(grant.at + LONGEST_CALL);
            (grant.at - SKEW..=end + SKEW).contains(&issuance.at)
        })
    }

    /// Issuances of ours that the trail should have.
    fn look_for_missing(&mut self, trail: &Trail) {
        for (intent, grant) in &self.ledger.grants {
            let Some(end) = grant.end.as_ref().filter(|end| end.is_issued) else {
                continue;
            };
            if self.joined.contains(intent.as_str()) {
                continue;
            }
            if !self.is_covered(trail, grant, end) {
                self.told.not_covered += 1;
                continue;
            }
            self.told.findings.push(Finding {
                kind: FindingKind::NotInTrail,
                seq: Some(end.seq),
                at: end.at,
                role: grant.role.clone(),
                session_name: grant.session_name.clone().unwrap_or_default(),
                request_id: end.request_id.clone(),
                message: format!(
                    "row {} says that AWS issued this, and the trail, which covers its account, \
                     region and time, does not have it",
                    end.seq
                ),
            });
        }
    }

    /// Whether the trail has the events of the moment, of the role's account or of the one that the
    /// calls come from.
    fn is_covered(&self, trail: &Trail, grant: &Announced, end: &End) -> bool {
        let Some(region) = &end.region else {
            return false;
        };
        let homes = self.homes.iter().filter(|_| grant.is_signed);
        let accounts = homes.chain([&grant.account]);
        accounts
            .filter_map(|account| trail.spans.get(&(account.clone(), region.clone())))
            .any(|(first, last)| (*first + SKEW..=*last - DELIVERY).contains(&end.at))
    }
}

/// `aws-sdk-rust/… lib/rolegate/0.1.0 … app/rolegate-0.1.0`.
fn is_our_user_agent(user_agent: &str) -> bool {
    let is_ours = |word: &str| word.starts_with("app/rolegate-") || word.contains("rolegate/");
    user_agent.split_whitespace().any(is_ours)
}
