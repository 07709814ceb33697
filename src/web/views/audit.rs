//! The audit log as a page: rows, filters, and whether the chain holds.

use std::{collections::BTreeMap, fmt::Write as _};

use askama::Template;
use serde_json::Value;
use time::OffsetDateTime;

use super::{Layout, Moment, query_string, words};
use crate::{
    access::TargetArn,
    broker::{
        Action, AuditRow, ChainCheck, ChainHead, ChainReport, ChainStatus, ChainVerdict, Outcome,
    },
};

/// The account's id and the role's name of an ARN; what is no ARN stands as the role's name.
pub(crate) fn account_and_role(arn: &str) -> (String, String) {
    match arn.parse::<TargetArn>() {
        Ok(role) => (role.account().to_string(), role.name().to_owned()),
        Err(_) => (String::new(), arn.to_owned()),
    }
}

/// What was done, in a few words.
pub(crate) fn action_in_words(action: Action) -> &'static str {
    match action {
        Action::SignIn => "Sign-in",
        Action::SignOut => "Sign-out",
        Action::ConsoleOpen => "Console",
        Action::CredentialsIssue => "Credentials",
        Action::GroupsRefresh => "Groups read again",
        Action::AccountChange => "Changed an account",
        Action::RoleChange => "Changed a role",
        Action::MappingChange => "Changed a mapping",
        Action::RuleChange => "Changed a rule",
        Action::ProgramStart => "Program started",
        Action::EditPropose => "Proposed an edit",
        Action::EditApprove => "Approved an edit",
        Action::EditDecline => "Declined an edit",
        Action::EditWithdraw => "Took back a waiting edit",
        Action::EditExpire => "A waiting edit lapsed",
        Action::EditUndo => "Undid an edit",
        Action::Explain => "Asked why",
        Action::ViewAs => "Looked at somebody's roles",
        Action::Export => "Took rows away as a file",
        Action::SettingsLoad => "Configuration loaded",
        Action::MappingFileLoad => "Mapping file loaded",
        Action::ReviewStart => "Began an access review",
        Action::ReviewDecide => "Decided in an access review",
        Action::ReviewClose => "Signed an access review off",
        Action::AuditCheckpoint => "Checkpoint signed",
        Action::AuditErase => "Old rows erased",
        Action::SessionRevoke => "Sessions revoked",
        Action::RevocationApply => "Revocation written at AWS",
        Action::RoleProbe => "Roles looked at",
        Action::TokenApprove => "A client's request decided",
        Action::TokenIssue => "Broker tokens issued",
        Action::TokenRefresh => "Broker tokens renewed",
        Action::TokenRefuse => "A caller refused",
    }
}

/// How it went, in a word.
fn outcome_in_words(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Intent => "announced",
        Outcome::Ok => "done",
        Outcome::Refused => "refused",
        Outcome::Failed => "failed",
        Outcome::Unknown => "end unknown",
    }
}

/// Why something was refused or failed: a sentence for the codes that a helpdesk meets, else the
/// code as words.
pub(crate) fn reason_in_words(code: &str) -> String {
    match code {
        "wrong_password" => {
            "The directory refused the password; some say the same of a locked account."
        }
        "empty_password" => "The password was empty.",
        "locked" => "The account is locked in the directory.",
        "disabled" => "The account is disabled in the directory.",
        "account_expired" => "The account has expired in the directory.",
        "password_expired" => "The password has expired.",
        "password_must_change" => "The password must be changed first.",
        "unknown_user" => "The directory knows nobody of that name.",
        "ambiguous_user" => "The directory knows several people of that name.",
        "incomplete_entry" => "The directory's entry lacks what a sign-in needs.",
        "throttled" => "There were too many tries.",
        "directory_unavailable" => "The directory did not answer.",
        "groups_unavailable" => "The groups could not be read.",
        "groups_overage" => "The provider left the groups out because there are too many.",
        "account_gone" => "The account is gone from the directory, or disabled.",
        "no_mapping" => "None of the groups gives the role.",
        "unknown_role" => "The table has no such role, or it is disabled.",
        "mapping_expired" => "The mapping has expired.",
        "mapping_ends_too_soon" => "The mapping ends in less than 15 minutes.",
        "group_recreated" => "The mapping is about an earlier group of the same name.",
        "outside_token" => "The token is limited to another role.",
        "reason_required" => "A reason was not given.",
        "aws_access_denied" => "AWS denied it: the role does not trust Rolegate, or may not.",
        "" => "",
        code => return format!("{}.", capitalised(&code.replace('_', " "))),
    }
    .to_owned()
}

fn capitalised(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(characters).collect()
    })
}

/// What the rows are narrowed to, as typed and as sent on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct AuditQuery {
    /// User name or stable id.
    pub(crate) person: String,
    /// Account id.
    pub(crate) account: String,
    /// Role ARN.
    pub(crate) role: String,
    /// The action's name.
    pub(crate) action: String,
    /// The outcome's name.
    pub(crate) outcome: String,
    /// Not before.
    pub(crate) since: String,
    /// Before.
    pub(crate) until: String,
}

impl AuditQuery {
    /// Name and value of everything, for links.
    pub(crate) fn pairs(&self) -> [(&'static str, &str); 7] {
        [
            ("person", &self.person),
            ("account", &self.account),
            ("role", &self.role),
            ("action", &self.action),
            ("outcome", &self.outcome),
            ("since", &self.since),
            ("until", &self.until),
        ]
    }

    /// In one line, for the audit row of an export.
    pub(crate) fn in_words(&self) -> String {
        let set = self.pairs();
        let set = set.iter().filter(|(_, value)| !value.is_empty());
        let set: Vec<String> = set.map(|(name, value)| format!("{name}={value}")).collect();
        set.join(" ")
    }

    /// Whether everything is listed.
    fn is_empty(&self) -> bool {
        self.pairs().iter().all(|(_, value)| value.is_empty())
    }
}

/// One row of the log.
pub(crate) struct EventRow {
    seq: i64,
    at: Moment,
    who: String,
    what: &'static str,
    outcome: &'static str,
    outcome_code: &'static str,
    role: String,
    account: String,
    why: String,
    /// Everything, by name; JSON where the value is no text.
    fields: Vec<(String, String)>,
}

impl EventRow {
    fn new(row: &AuditRow, account_name: &dyn Fn(&str) -> String, now: OffsetDateTime) -> Self {
        let event = &row.event;
        let arn = event.role.as_deref().unwrap_or_default();
        let (account, role) = account_and_role(arn);
        Self {
            seq: row.seq,
            at: Moment::clock(event.at, now),
            who: words::actor(&event.actor),
            what: action_in_words(event.action),
            outcome: outcome_in_words(event.outcome),
            outcome_code: event.outcome.as_str(),
            role,
            account: match (arn.is_empty(), event.account.as_deref()) {
                (false, _) if !account.is_empty() => account_name(arn),
                (_, Some(id)) => id.to_owned(),
                _ => account,
            },
            why: reason_in_words(event.reason.as_deref().unwrap_or_default()),
            fields: fields(row),
        }
    }
}

fn fields(row: &AuditRow) -> Vec<(String, String)> {
    let Ok(Value::Object(event)) = serde_json::to_value(&row.event) else {
        return Vec::new();
    };
    let ordered: BTreeMap<String, Value> = event.into_iter().collect();
    let mut fields = Vec::new();
    for (name, value) in ordered {
        match value {
            Value::Object(inner) if name == "details" || name == "actor" => {
                for (key, value) in inner {
                    fields.push((format!("{name}.{key}"), shown(&value)));
                }
            }
            value => fields.push((name, shown(&value))),
        }
    }
    fields.push(("hash".to_owned(), row.hash.clone()));
    fields
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Object(_) | Value::Array(_) => {
            serde_json::to_string_pretty(value).unwrap_or_default()
        }
        other => other.to_string(),
    }
}

/// An option of a drop-down list.
pub(crate) struct Choice {
    value: &'static str,
    text: &'static str,
    is_chosen: bool,
}

/// What is known of the chain.
struct ChainPart {
    head: String,
    head_hash: String,
    is_broken: bool,
    verdict: String,
    verified: Option<Moment>,
    running_since: Option<Moment>,
    progress: Option<String>,
}

impl ChainPart {
    fn new(head: &ChainHead, check: &ChainCheck, now: OffsetDateTime) -> Self {
        let count = |rows: i64| {
            let rows = usize::try_from(rows).unwrap_or_default();
            words::counted(rows, "row", "rows")
        };
        let (is_broken, verdict) = match check.last.as_ref().map(|(_, verdict)| verdict) {
            None => (
                false,
                "It was not verified since Rolegate started.".to_owned(),
            ),
            Some(ChainVerdict::Walked(ChainReport {
                status: ChainStatus::Holds { rows, .. },
                dropped_through,
                erased,
                ..
            })) => {
                let mut told = format!("The chain holds over {}.", count(*rows));
                if *dropped_through > 0 {
                    let _ = write!(
                        told,
                        " Rows up to {dropped_through} were dropped on purpose."
                    );
                }
                if *erased > 0 {
                    let _ = write!(
                        told,
                        " The content of {} was erased on purpose.",
                        count(*erased)
                    );
                }
                (false, told)
            }
            Some(ChainVerdict::Walked(ChainReport {
                status: ChainStatus::Broken { seq, problem },
                ..
            })) => (
                true,
                format!(
                    "The chain is broken at row {seq}: {problem}. Keep the database as it is, and \
                     compare it with a backup and with what was exported."
                ),
            ),
            Some(ChainVerdict::Unavailable) => (
                true,
                "The last try to verify it failed, because the store did not answer.".to_owned(),
            ),
        };
        Self {
            head: words::grouped(usize::try_from(head.seq).unwrap_or_default()),
            head_hash: head.hash.clone(),
            is_broken,
            verdict,
            verified: check
                .last
                .as_ref()
                .map(|(at, _)| Moment::relative(*at, now)),
            running_since: check.running_since.map(|at| Moment::relative(at, now)),
            progress: match check.progress {
                (_, 0) => None,
                (done, of) => Some(format!("{done} of {}", count(of))),
            },
        }
    }
}

/// What the page is made from.
pub(crate) struct AuditInput<'a> {
    /// The frame.
    pub(crate) layout: Layout,
    /// What the rows are narrowed to.
    pub(crate) query: AuditQuery,
    /// What is wrong with it.
    pub(crate) problem: Option<String>,
    /// The rows, newest first.
    pub(crate) rows: &'a [AuditRow],
    /// The cursor of the next page.
    pub(crate) next: Option<i64>,
    /// Whether this is not the first page.
    pub(crate) is_later: bool,
    /// What people call an account, by the ARN of a role in it.
    pub(crate) account_name: &'a dyn Fn(&str) -> String,
    /// The last row.
    pub(crate) head: &'a ChainHead,
    /// Whether the chain was walked.
    pub(crate) check: &'a ChainCheck,
    /// The present.
    pub(crate) now: OffsetDateTime,
}

/// `GET /audit`
#[derive(Template)]
#[template(path = "audit.html", whitespace = "minimize")]
pub(crate) struct AuditView {
    layout: Layout,
    query: AuditQuery,
    problem: Option<String>,
    actions: Vec<Choice>,
    outcomes: Vec<Choice>,
    rows: Vec<EventRow>,
    older: Option<String>,
    newest: Option<String>,
    json_href: String,
    csv_href: String,
    chain: ChainPart,
}

impl AuditView {
    /// Where the chain is verified.
    pub(crate) const VERIFY: &'static str = "/audit/verify";

    /// Prepares the page.
    pub(crate) fn new(input: AuditInput<'_>) -> Self {
        let query = input.query;
        let link = |path: &str, before: &str| {
            let mut pairs = query.pairs().to_vec();
            pairs.push(("before", before));
            query_string(path, &pairs)
        };
        Self {
            actions: Action::ALL
                .into_iter()
                .map(|action| Choice {
                    value: action.as_str(),
                    text: action_in_words(action),
                    is_chosen: action.as_str() == query.action,
                })
                .collect(),
            outcomes: OUTCOMES
                .into_iter()
                .map(|outcome| Choice {
                    value: outcome.as_str(),
                    text: outcome_in_words(outcome),
                    is_chosen: outcome.as_str() == query.outcome,
                })
                .collect(),
            rows: input
                .rows
                .iter()
                .map(|row| EventRow::new(row, input.account_name, input.now))
                .collect(),
            older: input.next.map(|seq| link("/audit", &seq.to_string())),
            newest: input.is_later.then(|| link("/audit", "")),
            json_href: link("/audit.jsonl", ""),
            csv_href: link("/audit.csv", ""),
            chain: ChainPart::new(input.head, input.check, input.now),
            problem: input.problem,
            layout: input.layout,
            query,
        }
    }
}

/// Every outcome.
pub(crate) const OUTCOMES: [Outcome; 5] = [
    Outcome::Intent,
    Outcome::Ok,
    Outcome::Refused,
    Outcome::Failed,
    Outcome::Unknown,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_told_in_words_whatever_the_code() {
        assert_eq!(
            reason_in_words("locked"),
            "The account is locked in the directory."
        );
        assert_eq!(reason_in_words("some_new_code"), "Some new code.");
        assert_eq!(reason_in_words(""), "");
    }

    #[test]
    fn a_query_is_told_in_a_line() {
        let query = AuditQuery {
            person: "ada".to_owned(),
            outcome: "refused".to_owned(),
            ..AuditQuery::default()
        };
        assert_eq!(query.in_words(), "person=ada outcome=refused");
        assert!(AuditQuery::default().is_empty());
    }
}
