//! Ended role sessions: what would be ended, what was, and how far that came at AWS.

use askama::Template;
use time::OffsetDateTime;

use super::{
    super::{Layout, Moment, words},
    Desk,
};
use crate::{
    access::revocation::RevocationPolicy,
    broker::{
        CANNOT_BE_UNDONE, PlannedRole, Reach, RevocationPlan, RevocationRecord, TAKES_EFFECT,
        WrittenHow,
    },
};

/// A role in a plan or a record.
struct RoleRow {
    arn: String,
    /// A word for the column.
    word: &'static str,
    /// What there is to say, sentences.
    notes: Vec<String>,
    /// What is to be pasted; empty for nothing.
    policy: String,
}

/// A hidden field of the confirmation.
pub(crate) type HiddenField = (&'static str, String);

/// `GET /helpdesk/revocations/new`
#[derive(Template)]
#[template(path = "helpdesk/revoke.html", whitespace = "minimize")]
pub(crate) struct ConfirmView {
    layout: Layout,
    desk: Desk,
    title: String,
    button: String,
    sign_ins: Option<String>,
    roles: Vec<RoleRow>,
    role_count: String,
    fields: Vec<HiddenField>,
    back: String,
}

impl ConfirmView {
    /// What the words `takes effect` mean.
    const TAKES_EFFECT: &'static str = TAKES_EFFECT;
    /// What cannot be undone.
    const CANNOT_BE_UNDONE: [&'static str; 3] = CANNOT_BE_UNDONE;

    /// Prepares the page; `fields` say whose sessions, and `back` is where the person came from.
    pub(crate) fn new(
        (layout, desk): (Layout, Desk),
        plan: &RevocationPlan,
        fields: Vec<HiddenField>,
        back: String,
    ) -> Self {
        let role_count = words::counted(plan.roles.len(), "role", "roles");
        Self {
            layout,
            desk,
            title: format!("End the sessions of {}", plan.whose),
            button: match (plan.roles.len(), plan.ends_sign_ins) {
                (0, true) => "End their sign-ins".to_owned(),
                (_, true) => format!("End their sign-ins and sessions of {role_count}"),
                (_, false) => format!("End sessions of {role_count}"),
            },
            sign_ins: plan
                .ends_sign_ins
                .then(|| words::counted(plan.sign_ins, "sign-in", "sign-ins")),
            roles: plan.roles.iter().map(planned_row).collect(),
            role_count,
            fields,
            back,
        }
    }
}

fn planned_row(planned: &PlannedRole) -> RoleRow {
    let (word, why) = match &planned.how {
        WrittenHow::Here => ("is written", None),
        WrittenHow::ByHand => ("to paste", None),
        WrittenHow::Never(why) => ("cannot be", Some(why.clone())),
    };
    RoleRow {
        arn: planned.role.to_string(),
        word,
        notes: why
            .into_iter()
            .chain(coarser(planned.policy.as_ref()))
            .collect(),
        policy: text(planned.policy.as_ref()),
    }
}

fn coarser(policy: Option<&RevocationPolicy>) -> Option<String> {
    policy.and_then(|policy| policy.coarser.sentence())
}

fn text(policy: Option<&RevocationPolicy>) -> String {
    policy
        .map(|policy| policy.document.clone())
        .unwrap_or_default()
}

/// `GET /helpdesk/revocations/{id}`
#[derive(Template)]
#[template(path = "helpdesk/revocation.html", whitespace = "minimize")]
pub(crate) struct RevocationView {
    layout: Layout,
    desk: Desk,
    whose: String,
    is_person: bool,
    before: Moment,
    until: Moment,
    by: String,
    reason: String,
    summary: String,
    roles: Vec<RoleRow>,
    may_retry: bool,
}

impl RevocationView {
    /// What the words `takes effect` mean.
    const TAKES_EFFECT: &'static str = TAKES_EFFECT;
    /// What cannot be undone.
    const CANNOT_BE_UNDONE: [&'static str; 3] = CANNOT_BE_UNDONE;

    /// Prepares the page.
    pub(crate) fn new(
        (layout, desk): (Layout, Desk),
        record: &RevocationRecord,
        policies: &[Option<RevocationPolicy>],
        now: OffsetDateTime,
    ) -> Self {
        let rows = record.roles.iter().zip(policies);
        let has_later = (record.roles.iter()).any(|(_, reach)| matches!(reach, Reach::Later(_)));
        Self {
            may_retry: has_later && (desk.may_edit_mappings || desk.is_admin),
            layout,
            desk,
            whose: record.whose.clone(),
            is_person: record.person.is_some(),
            before: Moment::clock(record.issued_before, now),
            until: Moment::relative(record.expires_at, now),
            by: record.by.clone(),
            reason: record.reason.clone().unwrap_or_default(),
            summary: summary(record),
            roles: rows
                .map(|((role, reach), policy)| recorded_row(role, reach, policy.as_ref()))
                .collect(),
        }
    }
}

fn recorded_row(role: &str, reach: &Reach, policy: Option<&RevocationPolicy>) -> RoleRow {
    let (word, why) = match reach {
        Reach::Applied => ("written", None),
        Reach::Later(why) => (
            "will be tried again",
            Some(format!("Not yet applied. {why}")),
        ),
        Reach::Paste => ("to paste", None),
        Reach::Never(why) => ("cannot be", Some(why.clone())),
    };
    let policy_text = match reach {
        Reach::Applied => String::new(),
        _ => text(policy),
    };
    RoleRow {
        arn: role.to_owned(),
        word,
        notes: why.into_iter().chain(coarser(policy)).collect(),
        policy: policy_text,
    }
}

/// How far a revocation came, in a sentence.
pub(crate) fn summary(record: &RevocationRecord) -> String {
    let count = |is_it: fn(&Reach) -> bool| {
        record
            .roles
            .iter()
            .filter(|(_, reach)| is_it(reach))
            .count()
    };
    let applied = count(|reach| matches!(reach, Reach::Applied));
    let later = count(|reach| matches!(reach, Reach::Later(_)));
    let paste = count(|reach| matches!(reach, Reach::Paste));
    let never = count(|reach| matches!(reach, Reach::Never(_)));
    let mut parts = Vec::new();
    if applied > 0 {
        let roles = words::counted(applied, "role", "roles");
        parts.push(format!("Written at {roles}."));
    }
    if later > 0 {
        let roles = words::counted(later, "role", "roles");
        parts.push(format!(
            "Not yet applied at {roles}; it is tried again every minute."
        ));
    }
    if paste > 0 {
        let roles = words::counted(paste, "role", "roles");
        parts.push(format!(
            "At {roles} an admin of the AWS account has to put the policy in place."
        ));
    }
    if never > 0 {
        let roles = words::counted(never, "target", "targets");
        parts.push(format!("{roles} cannot be reached from here."));
    }
    if parts.is_empty() {
        parts.push("No role was opened lately, so nothing can be left at AWS.".to_owned());
    }
    parts.join(" ")
}

struct ListRow {
    href: String,
    whose: String,
    before: Moment,
    by: String,
    reason: String,
    state: String,
    until: Moment,
}

/// `GET /helpdesk/revocations`
#[derive(Template)]
#[template(path = "helpdesk/revocations.html", whitespace = "minimize")]
pub(crate) struct RevocationsView {
    layout: Layout,
    desk: Desk,
    rows: Vec<ListRow>,
    may_retry: bool,
    message: Option<&'static str>,
}

impl RevocationsView {
    /// Prepares the page.
    pub(crate) fn new(
        (layout, desk): (Layout, Desk),
        records: &[RevocationRecord],
        message: Option<&'static str>,
        now: OffsetDateTime,
    ) -> Self {
        let mut roles = records.iter().flat_map(|record| &record.roles);
        let has_later = roles.any(|(_, reach)| matches!(reach, Reach::Later(_)));
        Self {
            may_retry: has_later && (desk.may_edit_mappings || desk.is_admin),
            layout,
            desk,
            rows: records
                .iter()
                .map(|record| ListRow {
                    href: format!("/helpdesk/revocations/{}", record.id),
                    whose: record.whose.clone(),
                    before: Moment::clock(record.issued_before, now),
                    by: record.by.clone(),
                    reason: record.reason.clone().unwrap_or_default(),
                    state: summary(record),
                    until: Moment::relative(record.expires_at, now),
                })
                .collect(),
            message,
        }
    }
}
