//! How explanations speak: names, moments, sentences, and the tree as text.
//!
//! A distinguished name is read by its first value; its whole key stands beside it once. Entry
//! points: [`Telling`], [`Explanation::to_text`], [`Explanation::for_ticket`].

use std::fmt::Write as _;

use time::OffsetDateTime;

use super::{Basis, Explanation, Finding, Remedy, Situation, Statement, Surroundings};
use crate::access::{
    Conditions, Dn, Giver, GroupKey, Identity, Mapping, MappingId, Origin, Policy, RowName,
    TargetArn, policy::Source,
};

/// How many requests a ticket holds: the nearest.
const TICKET_REQUESTS: usize = 3;

/// The question: who, which role, and what is known beside.
#[derive(Clone, Copy)]
pub(super) struct Telling<'a> {
    pub(super) policy: &'a Policy,
    pub(super) identity: &'a Identity,
    pub(super) target: &'a TargetArn,
    pub(super) around: &'a Surroundings,
    pub(super) now: OffsetDateTime,
}

impl Telling<'_> {
    /// What to call the person.
    pub(super) fn person(&self) -> &str {
        self.identity.display()
    }

    /// The person so that nobody else can be meant.
    pub(super) fn full_person(&self) -> String {
        let Identity {
            connector,
            username,
            ..
        } = self.identity;
        if self.person() == username {
            format!("{username} (at {connector})")
        } else {
            format!("{} ({username} at {connector})", self.person())
        }
    }

    /// What people call the account: its name, else its id.
    pub(super) fn account(&self) -> String {
        let digits = self.target.account();
        self.policy
            .account(&digits)
            .map_or_else(|| digits.to_string(), |account| account.name.clone())
    }

    /// `ReadOnly in Payments production`.
    pub(super) fn role(&self) -> String {
        format!("{} in {}", self.target.name(), self.account())
    }

    /// A group's short name.
    pub(super) fn short(&self, key: &GroupKey) -> String {
        let groups = &self.identity.groups;
        if let Some(group) = groups.iter().find(|group| group.key == *key) {
            return shortened(&group.name);
        }
        let known = self.around.groups.iter().find(|group| group.key == *key);
        let name = known.and_then(|known| known.name.as_deref());
        shortened(name.unwrap_or(key.value()))
    }

    /// A group's short name with its whole key.
    pub(super) fn group(&self, key: &GroupKey) -> String {
        format!("{} ({key})", self.short(key))
    }

    /// `mapping 0190…, ticket HD-1,` or `the rule at line 12 of the mapping file`.
    pub(super) fn row(&self, giver: &Giver<'_>) -> String {
        match self.policy.source(giver) {
            Some(source) => row_called(giver.mapping, &source),
            None => "the identity provider's assertion".to_owned(),
        }
    }
}

/// A mapping as sentences name it.
pub(super) fn mapping_called(mapping: &Mapping) -> String {
    let source = Source {
        origin: &mapping.origin,
        ticket: mapping.ticket.as_deref(),
        pattern: None,
    };
    row_called(&mapping.id, &source)
}

pub(super) fn row_called(id: &MappingId, source: &Source<'_>) -> String {
    let kind = if source.pattern.is_some() {
        "rule"
    } else {
        "mapping"
    };
    let name = match source.origin {
        Origin::File { line } => format!("the {kind} at line {line} of the mapping file"),
        Origin::Store => format!("{kind} {id}"),
    };
    match source.ticket {
        Some(ticket) => format!("{name} ({ticket})"),
        None => name,
    }
}

/// What people call a group whose name may be a distinguished name.
pub(super) fn shortened(name: &str) -> String {
    match name.parse::<Dn>() {
        Ok(dn) if is_distinguished(name) => dn.leading_value().to_owned(),
        _ => name.to_owned(),
    }
}

/// Whether a text is meant as a distinguished name; a claim such as `team=dev` is not.
pub(super) fn is_distinguished(text: &str) -> bool {
    let folded = text.trim_start().to_ascii_lowercase();
    folded.starts_with("cn=") || folded.starts_with("ou=") || text.contains(',')
}

/// `2027-01-31 08:00 UTC`.
pub(super) fn when(at: OffsetDateTime) -> String {
    let at = crate::access::in_utc(at);
    format!(
        "{:04}-{:02}-{:02} {:02}:{:02} UTC",
        at.year(),
        u8::from(at.month()),
        at.day(),
        at.hour(),
        at.minute()
    )
}

/// `1 group`, `14 groups`.
pub(super) fn counted(count: usize, noun: &str) -> String {
    counted_of(u64::try_from(count).unwrap_or(u64::MAX), noun)
}

/// The same for other numbers.
pub(super) fn counted_of(count: u64, noun: &str) -> String {
    let end = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{end}")
}

/// `groups_overage` as people say it.
pub(super) fn trouble_called(code: &str) -> String {
    let said = match code {
        "groups_overage" => "the identity provider left the groups out because they are too many",
        "groups_unknown" => "the directory that knows the groups does not know the person",
        "groups_unavailable" | "directory_unavailable" => "the directory could not be read",
        "not_supported" => "the groups had grown old and cannot be read without a sign-in",
        _ => "the groups could not be read",
    };
    format!("{said} ({code})")
}

/// Each condition of a row with its value.
pub(super) fn conditions(conditions: &Conditions, now: OffsetDateTime) -> Vec<Statement> {
    let mut said = Vec::new();
    if let Some(at) = conditions.expires {
        let verb = if conditions.is_expired(now) {
            "ended"
        } else {
            "ends"
        };
        said.push(format!("It {verb} on {} (expires).", when(at)));
    }
    if let Some(longest) = conditions.max_duration {
        said.push(format!("Sessions last at most {longest} (max_duration)."));
    }
    if conditions.read_only {
        said.push("It gives read-only access (read_only).".to_owned());
    }
    if conditions.require_reason {
        said.push("It asks for a reason each time (require_reason).".to_owned());
    }
    if conditions.require_mfa {
        said.push(
            "It asks for a second factor, which cannot be checked here (require_mfa).".to_owned(),
        );
    }
    if let Some(group) = &conditions.require_approval_by {
        said.push(format!(
            "It asks for approval by {group}, which cannot be had here (require_approval_by)."
        ));
    }
    if said.is_empty() {
        said.push("It has no conditions and no end.".to_owned());
    }
    said.into_iter().map(Statement::says).collect()
}

/// A sentence's beginning with a capital, where it begins with one of our own words.
pub(super) fn capital(text: &str) -> String {
    let mut characters = text.chars();
    let Some(first) = characters.next() else {
        return String::new();
    };
    first.to_uppercase().chain(characters).collect()
}

/// A sentence inside another one: without its dot, and without the capital of our own words.
fn inside(text: &str) -> String {
    let text = text.strip_suffix('.').unwrap_or(text);
    let ours = ["Mapping ", "Rule ", "The ", "None ", "Pending ", "It "];
    if ours.iter().any(|word| text.starts_with(word)) {
        let (first, rest) = text.split_at(1);
        return first.to_lowercase() + rest;
    }
    text.to_owned()
}

/// One sentence that answers.
pub(super) fn summary(telling: &Telling<'_>, is_held: bool, findings: &[Finding]) -> String {
    let (person, role) = (telling.person(), telling.role());
    let Some(first) = findings.first() else {
        return format!("{person} cannot open {role}.");
    };
    if !is_held {
        let why = match first.situation {
            Situation::NotGiven => nothing_gives(telling),
            _ => inside(&first.proof.text),
        };
        return format!("{person} cannot open {role}: {why}.");
    }
    let but = findings
        .iter()
        .find(|finding| finding.remedy.is_some())
        .map(|finding| format!(", but {}", inside(&finding.proof.text)));
    let why = inside(&first.proof.text);
    format!(
        "{person} can open {role}: {why}{}.",
        but.unwrap_or_default()
    )
}

/// `none of ada's 14 groups gives it`.
pub(super) fn nothing_gives(telling: &Telling<'_>) -> String {
    match telling.identity.groups.len() {
        0 => "they are in no group".to_owned(),
        1 => "their one group does not give it".to_owned(),
        count => format!("none of their {} gives it", counted(count, "group")),
    }
}

impl Statement {
    pub(super) fn says(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            row: None,
            group: None,
            because: Vec::new(),
        }
    }

    pub(super) fn about_row(mut self, row: RowName) -> Self {
        self.row = Some(row);
        self
    }

    pub(super) fn about_group(mut self, group: &GroupKey) -> Self {
        self.group = Some(group.clone());
        self
    }

    pub(super) fn because(mut self, because: impl IntoIterator<Item = Self>) -> Self {
        self.because.extend(because);
        self
    }

    fn write(&self, depth: usize, out: &mut String) {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{:width$}{}", "", self.text, width = depth * 2);
        for statement in &self.because {
            statement.write(depth + 1, out);
        }
    }
}

impl Finding {
    /// A reason why the role is held.
    pub(super) fn held(situation: Situation, proof: Statement) -> Self {
        Self {
            situation,
            proof,
            remedy: None,
            request: String::new(),
        }
    }

    /// Something that is missing, with what would mend it.
    pub(super) fn miss(
        situation: Situation,
        proof: Statement,
        remedy: Remedy,
        request: impl Into<String>,
    ) -> Self {
        Self {
            situation,
            proof,
            remedy: Some(remedy),
            request: request.into(),
        }
    }
}

impl Situation {
    /// What the situation is called in text.
    pub fn label(self) -> &'static str {
        match self {
            Self::HeldByMapping => "held by a mapping",
            Self::HeldByRule => "held by a rule",
            Self::HeldThroughNestedGroups => "held through nested groups",
            Self::HeldByAssertion => "held by the identity provider's word",
            Self::MappingExpired => "mapping expired",
            Self::MappingPending => "mapping waits for a second person",
            Self::MappingEnded => "mapping was ended",
            Self::GroupWrittenOtherwise => "group written otherwise",
            Self::GroupOneLevelAway => "group one level away",
            Self::GroupAtAnotherConnector => "group held at another connector",
            Self::GroupRenamed => "group was renamed",
            Self::GroupRecreated => "group was made again",
            Self::RoleDisabled => "role disabled",
            Self::RoleRefusedByAws => "role refused by AWS",
            Self::ConditionUnmet => "condition not met",
            Self::GroupsNotKnown => "groups not known",
            Self::SignInDoesNotFit => "sign-in does not fit",
            Self::NotGiven => "not given",
            Self::UnknownRole => "unknown role",
        }
    }
}

impl Basis {
    /// Where the groups come from, as a sentence.
    pub fn sentence(&self) -> String {
        match self {
            Self::Live => "The groups were read from the directory for this question.".to_owned(),
            Self::LastSeen { at } => format!("The groups are as last seen here, on {}.", when(*at)),
            Self::Given => "The groups were given with the question.".to_owned(),
        }
    }
}

impl Explanation {
    /// The tree as indented text, a statement to a line.
    pub fn to_text(&self) -> String {
        let mut out = format!("{}\n{}\n", self.summary, self.role);
        for finding in &self.findings {
            // Writing to a String cannot fail.
            let _ = writeln!(out, "\n  {}", finding.situation.label());
            finding.proof.write(2, &mut out);
            if !finding.request.is_empty() {
                let _ = writeln!(out, "    > {}", finding.request);
            }
        }
        let _ = writeln!(out, "\n  {}", self.basis.sentence());
        for sentence in &self.unknown {
            let _ = writeln!(out, "  Not known: {sentence}");
        }
        out
    }

    /// The whole question and answer in a few lines, for a ticket.
    pub fn for_ticket(&self, person: &str) -> String {
        let mut out = format!(
            "{person} asks about the role {} ({}), account {}.\n{}\n",
            self.role.name(),
            self.role,
            self.account,
            self.summary
        );
        let requests = self.findings.iter().map(|finding| &finding.request);
        for request in requests
            .filter(|request| !request.is_empty())
            .take(TICKET_REQUESTS)
        {
            // Writing to a String cannot fail.
            let _ = writeln!(out, "- {request}");
        }
        let _ = write!(out, "Asked on {}. {}", when(self.at), self.basis.sentence());
        out
    }

    /// The same for the person it is about, who sees what is near their own groups and nothing else
    /// of the table: a role that is disabled, not there, or given to others alone reads alike.
    #[must_use]
    pub fn for_its_person(mut self) -> Self {
        if self.is_held {
            return self;
        }
        self.findings.retain(|finding| {
            !matches!(
                finding.situation,
                Situation::NotGiven | Situation::UnknownRole | Situation::RoleDisabled
            )
        });
        if self.findings.is_empty() {
            self.account = self.role.account().to_string();
            self.summary = format!(
                "None of your groups gives the role {} in account {}.",
                self.role.name(),
                self.account
            );
            self.findings = vec![Finding {
                situation: Situation::NotGiven,
                proof: Statement::says("None of your groups gives it."),
                remedy: None,
                request: format!("Please give me access to the role {}.", self.role),
            }];
        } else if let Some(first) = self.findings.first() {
            // Said of every role, whether it is there or not.
            let is_about_role = |finding: &Finding| finding.situation != Situation::GroupsNotKnown;
            if !self.findings.iter().any(is_about_role) {
                self.account = self.role.account().to_string();
            }
            self.summary = format!(
                "You cannot open {} in {}: {}.",
                self.role.name(),
                self.account,
                inside(&first.proof.text)
            );
        }
        self
    }
}
