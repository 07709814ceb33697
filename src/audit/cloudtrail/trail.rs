//! Reading an export of CloudTrail's events, and finding the role sessions in it.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    io::Read as _,
};

use flate2::read::MultiGzDecoder;
use serde::Deserialize;
use serde_json::Value;
use thiserror::Error;
use time::OffsetDateTime;

use crate::{access::AUDIT_TAG, audit::witness::Witness};

/// What a gzip file begins with.
const GZIP: [u8; 2] = [0x1f, 0x8b];
/// The most bytes that one file may hold, unpacked: CloudTrail's own have a few megabytes, and as
/// values they take ten times that.
const MOST_BYTES: u64 = 1 << 30;

/// A file that is no export of CloudTrail's.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
pub enum NotATrail {
    /// It cannot be unpacked.
    #[error("it is no gzip file that can be read")]
    Gzip,
    /// It would fill the memory.
    #[error("it holds more than {0} bytes: split it")]
    TooLarge(u64),
    /// It is no JSON.
    #[error("it is not JSON: {0}")]
    Json(String),
    /// It is JSON of another shape.
    #[error(
        "it holds no CloudTrail events: expected {{\"Records\":[…]}}, an array of events, or an \
         event a line"
    )]
    Shape,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    #[serde(rename = "eventTime", with = "time::serde::rfc3339")]
    at: OffsetDateTime,
    #[serde(rename = "eventSource")]
    service: String,
    #[serde(rename = "eventName")]
    call: String,
    aws_region: Option<String>,
    user_agent: Option<String>,
    error_code: Option<String>,
    #[serde(rename = "requestID")]
    request_id: Option<String>,
    #[serde(rename = "eventID")]
    id: Option<String>,
    #[serde(rename = "sharedEventID")]
    shared_event_id: Option<String>,
    recipient_account_id: Option<String>,
    #[serde(default)]
    user_identity: Value,
    #[serde(default)]
    request_parameters: Value,
}

/// A role session that AWS issued, from all events about the one call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issuance {
    /// When.
    pub at: OffsetDateTime,
    /// `AssumeRole`, `AssumeRoleWithSAML` or `AssumeRoleWithWebIdentity`.
    pub call: String,
    /// STS's request id.
    pub request_id: Option<String>,
    /// The role's ARN.
    pub role: String,
    /// The RoleSessionName.
    pub session_name: String,
    /// The region whose endpoint answered.
    pub region: String,
    /// The accounts that have an event about it.
    pub accounts: BTreeSet<String>,
    /// Who called: the user's ARN, or the role's where a role session did.
    pub callers: BTreeSet<String>,
    /// The program that called, as it named itself.
    pub user_agent: String,
    /// What the session tag says, where there is one; none inside where that is nothing of ours.
    pub witness: Option<Option<Witness>>,
}

/// First and last moment of the events of one account in one region.
pub(super) type Span = (OffsetDateTime, OffsetDateTime);

/// All role sessions of the files that were read.
#[derive(Debug, Default)]
pub struct Trail {
    events: usize,
    duplicates: usize,
    failed: usize,
    issuances: Vec<Issuance>,
    seen: HashSet<String>,
    by_call: HashMap<String, usize>,
    failed_calls: HashSet<String>,
    pub(super) spans: BTreeMap<(String, String), Span>,
}

impl Trail {
    /// Reads one file, gzip or not: `{"Records":[…]}`, an array, events in a row, or what
    /// `aws cloudtrail lookup-events` prints. Says how many events it had.
    pub fn read(&mut self, bytes: &[u8]) -> Result<usize, NotATrail> {
        if bytes.starts_with(&GZIP) {
            return self.read_plain(&unpacked(bytes, MOST_BYTES)?);
        }
        self.read_plain(bytes)
    }

    fn read_plain(&mut self, bytes: &[u8]) -> Result<usize, NotATrail> {
        let before = self.events;
        for value in serde_json::Deserializer::from_slice(bytes).into_iter::<Value>() {
            let value = value.map_err(|error| NotATrail::Json(error.to_string()))?;
            self.add_value(value)?;
        }
        Ok(self.events - before)
    }

    fn add_value(&mut self, value: Value) -> Result<(), NotATrail> {
        let events = match value {
            Value::Array(events) => events,
            Value::Object(mut object) => {
                if let Some(Value::Array(records)) = object.remove("Records") {
                    records
                } else if let Some(Value::Array(events)) = object.remove("Events") {
                    return events.into_iter().try_for_each(|event| {
                        let text = event.get("CloudTrailEvent").and_then(Value::as_str);
                        let event = serde_json::from_str(text.ok_or(NotATrail::Shape)?);
                        self.add(event.map_err(|_| NotATrail::Shape)?)
                    });
                } else {
                    vec![Value::Object(object)]
                }
            }
            _ => return Err(NotATrail::Shape),
        };
        events.into_iter().try_for_each(|event| self.add(event))
    }

    fn add(&mut self, event: Value) -> Result<(), NotATrail> {
        let event: Event = serde_json::from_value(event).map_err(|_| NotATrail::Shape)?;
        self.events += 1;
        if let Some(id) = &event.id
            && !self.seen.insert(id.clone())
        {
            // The same event in two files.
            self.duplicates += 1;
            return Ok(());
        }
        if let (Some(account), Some(region)) = (&event.recipient_account_id, &event.aws_region) {
            let at = event.at;
            let span = self
                .spans
                .entry((account.clone(), region.clone()))
                .or_insert((at, at));
            *span = (span.0.min(at), span.1.max(at));
        }
        if event.service == "sts.amazonaws.com" && event.call.starts_with("AssumeRole") {
            self.add_call(&event);
        }
        Ok(())
    }

    fn add_call(&mut self, event: &Event) {
        let request = event.request_id.iter().map(|id| format!("request {id}"));
        let shared = (event.shared_event_id.iter()).map(|id| format!("shared {id}"));
        let keys: Vec<String> = request.chain(shared).collect();
        let known = keys.iter().find_map(|key| self.by_call.get(key)).copied();
        if event.error_code.is_some() {
            let is_new = keys.iter().all(|key| !self.failed_calls.contains(key));
            self.failed += usize::from(is_new);
            self.failed_calls.extend(keys);
            return;
        }
        let Some(issuance) = issuance(event) else {
            return;
        };
        let index = if let Some(index) = known {
            self.duplicates += 1;
            merge(&mut self.issuances[index], issuance);
            index
        } else {
            self.issuances.push(issuance);
            self.issuances.len() - 1
        };
        self.by_call
            .extend(keys.into_iter().map(|key| (key, index)));
    }

    /// How many events were read.
    pub fn events(&self) -> usize {
        self.events
    }

    /// How many of them were about a call that another one is about too.
    pub fn duplicates(&self) -> usize {
        self.duplicates
    }

    /// How many calls for a role session failed.
    pub fn failed(&self) -> usize {
        self.failed
    }

    /// The role sessions.
    pub fn issuances(&self) -> &[Issuance] {
        &self.issuances
    }

    /// First and last moment of all events.
    pub fn span(&self) -> Option<(OffsetDateTime, OffsetDateTime)> {
        let first = self.spans.values().map(|span| span.0).min()?;
        let last = self.spans.values().map(|span| span.1).max()?;
        Some((first, last))
    }
}

/// What a gzip file holds, where that is no more than `most` bytes.
fn unpacked(bytes: &[u8], most: u64) -> Result<Vec<u8>, NotATrail> {
    let mut plain = Vec::new();
    MultiGzDecoder::new(bytes)
        .take(most.saturating_add(1))
        .read_to_end(&mut plain)
        .map_err(|_| NotATrail::Gzip)?;
    if plain.len() as u64 > most {
        return Err(NotATrail::TooLarge(most));
    }
    Ok(plain)
}

fn text(value: &Value, path: &[&str]) -> Option<String> {
    let found = path.iter().try_fold(value, |value, key| value.get(key))?;
    found.as_str().map(str::to_owned)
}

fn issuance(event: &Event) -> Option<Issuance> {
    let parameters = &event.request_parameters;
    let identity = &event.user_identity;
    let issuer = text(identity, &["sessionContext", "sessionIssuer", "arn"]);
    let caller = text(identity, &["arn"]);
    Some(Issuance {
        at: event.at,
        call: event.call.clone(),
        request_id: event.request_id.clone(),
        role: text(parameters, &["roleArn"])?,
        session_name: text(parameters, &["roleSessionName"]).unwrap_or_default(),
        region: event.aws_region.clone().unwrap_or_default(),
        accounts: event.recipient_account_id.iter().cloned().collect(),
        callers: issuer.into_iter().chain(caller).collect(),
        user_agent: event.user_agent.clone().unwrap_or_default(),
        witness: audit_tag(parameters).map(|value| value.parse().ok()),
    })
}

fn audit_tag(parameters: &Value) -> Option<String> {
    let tags = parameters.get("tags")?.as_array()?;
    tags.iter().find_map(|tag| {
        let key = text(tag, &["key"])?;
        key.eq_ignore_ascii_case(AUDIT_TAG)
            .then(|| text(tag, &["value"]).unwrap_or_default())
    })
}

/// Two accounts tell of the same call; one of them may leave out who called and with what.
fn merge(known: &mut Issuance, other: Issuance) {
    known.accounts.extend(other.accounts);
    known.callers.extend(other.callers);
    known.witness = known.witness.take().or(other.witness);
    if !known.user_agent.contains("rolegate") {
        known.user_agent = other.user_agent;
    }
    if known.session_name.is_empty() {
        known.session_name = other.session_name;
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::{Compression, write::GzEncoder};

    use super::*;

    #[test]
    fn a_file_that_unpacks_to_too_much_is_refused_before_it_is_whole() {
        let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
        packed.write_all(&[b' '; 10_000]).unwrap();
        let packed = packed.finish().unwrap();
        assert_eq!(unpacked(&packed, 10_000).unwrap().len(), 10_000);
        assert_eq!(unpacked(&packed, 9_999), Err(NotATrail::TooLarge(9_999)));
        assert_eq!(unpacked(&packed[..20], 9_999), Err(NotATrail::Gzip));
    }
}
