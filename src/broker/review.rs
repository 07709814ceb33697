//! Access reviews: the rows of a moment, each kept or ended by somebody who may edit it, signed off
//! at the end; and who can open what, as a list.
//!
//! A review ends nothing by itself: what is to be ended becomes an edit, which is previewed and
//! saved like any other, second person included. Entry points: [`Broker::start_review`],
//! [`Broker::close_review`], [`Broker::access_rows`].

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use time::OffsetDateTime;
use uuid::Uuid;

use super::{
    Broker, Client,
    edit::{Attempt, EditDraft, EditRefused, Editor, Refusal, Surroundings, WORDS_AT_MOST},
    sign_in::person,
};
use crate::{
    access::{
        AccountId, Change, Conditions, ConnectorId, Group, GroupKey, Identity, Mapping, MappingId,
        MappingRule, Origin, Policy, PolicyTables, Row, RowName, TargetArn,
    },
    audit::{Action, Actor, Outcome},
    store::{AccessReview, ReviewDecision, ReviewItem, SignInSession, StoreError},
};

/// What a review or a list of who can open what is limited to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum ReviewScope {
    /// Everything.
    #[default]
    All,
    /// The roles of one account.
    Account(AccountId),
    /// One role.
    Role(TargetArn),
    /// What one group gives.
    Group(GroupKey),
}

impl ReviewScope {
    /// The limit in words; empty for everything.
    pub fn words(&self) -> String {
        match self {
            Self::All => String::new(),
            Self::Account(id) => format!("account {id}"),
            Self::Role(arn) => format!("role {arn}"),
            Self::Group(key) => format!("group {key}"),
        }
    }

    fn holds_role(&self, arn: &TargetArn) -> bool {
        match self {
            Self::All | Self::Group(_) => true,
            Self::Account(id) => arn.account() == *id,
            Self::Role(role) => arn == role,
        }
    }

    fn holds_group(&self, key: &GroupKey) -> bool {
        match self {
            Self::Group(group) => group == key,
            _ => true,
        }
    }
}

/// A review that somebody wants to begin.
#[derive(Debug, Clone, Default)]
pub struct ReviewWish {
    /// What people call it; at most 500 characters.
    pub name: String,
    /// What it is limited to.
    pub scope: ReviewScope,
    /// By when it should be done.
    pub due_at: Option<OffsetDateTime>,
}

/// What was decided of a review's rows, before it is noted.
#[derive(Debug, Clone)]
pub struct ReviewWord<'a> {
    /// The rows.
    pub rows: &'a [MappingId],
    /// Whether to keep them.
    pub keep: bool,
    /// Why; at most 500 characters.
    pub note: Option<&'a str>,
}

/// What a review that was signed off leaves to be done.
#[derive(Debug, Clone, Default)]
pub struct ReviewEnds {
    /// The edit that ends what is to be ended; without changes where there is nothing.
    pub draft: EditDraft,
    /// Rows to be ended that are kept in the mapping file, to be ended there.
    pub in_file: Vec<MappingId>,
}

/// One way in which one person can open one role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessRow {
    /// The user name.
    pub username: String,
    /// What to call the person.
    pub display_name: Option<String>,
    /// The e-mail address.
    pub email: Option<String>,
    /// The connector that vouches for the person.
    pub connector: ConnectorId,
    /// The stable id.
    pub subject: String,
    /// When the person's groups were last read.
    pub groups_read_at: OffsetDateTime,
    /// The account's id.
    pub account: AccountId,
    /// What people call it; its id where the table has no name.
    pub account_name: String,
    /// The role.
    pub role: TargetArn,
    /// The mapping or rule; `asserted` for a role that the identity provider gives.
    pub row: MappingId,
    /// Whether that is a rule.
    pub is_rule: bool,
    /// The group; none where the identity provider gives the role.
    pub group: Option<GroupKey>,
    /// What is asked for.
    pub conditions: Conditions,
    /// Whether the role or its account is protected.
    pub is_protected: bool,
}

impl Broker {
    /// Begins a review of the mappings and rules within a limit; says its id. For everybody who may
    /// see the tables.
    pub async fn start_review(
        &self,
        starter: &mut SignInSession,
        wish: &ReviewWish,
        client: &Client,
    ) -> Result<String, EditRefused> {
        match self.begin_review(starter, wish, client).await {
            Ok(id) => Ok(id),
            Err(refusal) => {
                let attempt = attempt(Action::ReviewStart, starter, client, None);
                Err(self.refuse_edit(refusal, attempt).await)
            }
        }
    }

    async fn begin_review(
        &self,
        starter: &mut SignInSession,
        wish: &ReviewWish,
        client: &Client,
    ) -> Result<String, Refusal> {
        let editor = self.editor(starter, client).await?;
        if !self.authority(&editor.identity).may_see_tables() {
            let message = "Reviews are begun by the helpdesk, auditors and admins.";
            return Err(Refusal::not_allowed("not_staff", message));
        }
        let name = wish.name.trim();
        if name.is_empty() || name.chars().count() > WORDS_AT_MOST {
            return Err(Refusal::problem(format!(
                "Give the review a name of at most {WORDS_AT_MOST} characters."
            )));
        }
        let tables = self.tables().await?;
        let counts = self.people_by_row().await?;
        let items = items(&tables, &wish.scope, &counts);
        if items.is_empty() {
            return Err(Refusal::problem(
                "There is no mapping or rule within this limit, so that there is nothing to \
                 review.",
            ));
        }
        let review = AccessReview {
            id: Uuid::now_v7().to_string(),
            name: name.to_owned(),
            scope: wish.scope.words(),
            created_by: person(&editor.identity),
            created_at: self.now(),
            due_at: wish.due_at,
            closed_at: None,
            closed_by: None,
            items: u32::try_from(items.len()).unwrap_or(u32::MAX),
            decided: 0,
        };
        let actor = review.created_by.clone();
        let event = self
            .event(Action::ReviewStart, Outcome::Ok, actor, client)
            .with("review", review.id.as_str())
            .with("name", name)
            .with("scope", review.scope.as_str())
            .with("items", items.len());
        let reviews = &self.adapters.reviews;
        reviews.start_review(&review, &items, &event).await?;
        Ok(review.id)
    }

    /// All reviews, newest first.
    pub async fn reviews(&self) -> Result<Vec<AccessReview>, StoreError> {
        self.adapters.reviews.reviews().await
    }

    /// One review with its rows, by role and group.
    pub async fn review(
        &self,
        id: &str,
    ) -> Result<Option<(AccessReview, Vec<ReviewItem>)>, StoreError> {
        self.adapters.reviews.review(id).await
    }

    /// Notes what becomes of rows of an open review. For whoever may edit these rows.
    pub async fn decide_review(
        &self,
        reviewer: &mut SignInSession,
        id: &str,
        word: &ReviewWord<'_>,
        client: &Client,
    ) -> Result<(), EditRefused> {
        match self.note_decision(reviewer, id, word, client).await {
            Ok(()) => Ok(()),
            Err(refusal) => {
                let attempt = attempt(Action::ReviewDecide, reviewer, client, Some(id));
                Err(self.refuse_edit(refusal, attempt).await)
            }
        }
    }

    async fn note_decision(
        &self,
        reviewer: &mut SignInSession,
        id: &str,
        word: &ReviewWord<'_>,
        client: &Client,
    ) -> Result<(), Refusal> {
        let length = word.note.map_or(0, |note| note.chars().count());
        if length > WORDS_AT_MOST {
            return Err(Refusal::problem(format!(
                "The note has {length} characters; there is room for {WORDS_AT_MOST}."
            )));
        }
        let editor = self.editor(reviewer, client).await?;
        let (review, items) = self.open_review(id).await?;
        self.permit_items(&editor, &items, word.rows).await?;
        let decision = ReviewDecision {
            keep: word.keep,
            note: word.note.map(str::to_owned),
            by: person(&editor.identity),
            at: self.now(),
        };
        let rows: Vec<&str> = word.rows.iter().map(|row| row.0.as_str()).collect();
        let event = self
            .event(
                Action::ReviewDecide,
                Outcome::Ok,
                decision.by.clone(),
                client,
            )
            .with("review", review.id.as_str())
            .with("decision", if word.keep { "keep" } else { "end" })
            .with("rows", rows);
        let event = match word.note {
            Some(note) => event.with("note", note),
            None => event,
        };
        let reviews = &self.adapters.reviews;
        let decided = reviews.decide_review(id, word.rows, &decision, &event);
        settled(decided.await)
    }

    /// Refuses somebody who may not edit all of these rows of a review.
    async fn permit_items(
        &self,
        editor: &Editor,
        items: &[ReviewItem],
        rows: &[MappingId],
    ) -> Result<(), Refusal> {
        let items: HashMap<&MappingId, &ReviewItem> =
            items.iter().map(|item| (&item.row, item)).collect();
        let authority = self.authority(&editor.identity);
        let tables = self.tables().await?;
        let around = Surroundings::of(&[&tables]);
        for row in rows {
            let item = items
                .get(row)
                .ok_or_else(|| EditRefused::NotFound(format!("row {row} of this review")))?;
            let change = end_of(item);
            // By what it was when the review began too, for it may be gone.
            let by_item = match (&change, item.role.parse::<TargetArn>()) {
                (Change::EndMapping(_), Ok(role)) => around.permit_role(&authority, &role),
                _ => Ok(()),
            };
            by_item
                .and_then(|()| around.permit_changes(&authority, &[change], &tables))
                .map_err(|refusal| refusal.about(name_of(item)))?;
        }
        Ok(())
    }

    /// Signs a review off, once every row is decided, and says what is to be ended. For whoever
    /// began it, and admins.
    pub async fn close_review(
        &self,
        closer: &mut SignInSession,
        id: &str,
        client: &Client,
    ) -> Result<ReviewEnds, EditRefused> {
        match self.sign_off(closer, id, client).await {
            Ok(ends) => Ok(ends),
            Err(refusal) => {
                let attempt = attempt(Action::ReviewClose, closer, client, Some(id));
                Err(self.refuse_edit(refusal, attempt).await)
            }
        }
    }

    async fn sign_off(
        &self,
        closer: &mut SignInSession,
        id: &str,
        client: &Client,
    ) -> Result<ReviewEnds, Refusal> {
        let editor = self.editor(closer, client).await?;
        let (review, items) = self.open_review(id).await?;
        let authority = self.authority(&editor.identity);
        let by = person(&editor.identity);
        let is_own = is_same(&review.created_by, &by) && authority.may_see_tables();
        if !is_own && !authority.is_admin {
            let message = "A review is signed off by whoever began it, or by an admin.";
            return Err(Refusal::not_allowed("not_the_reviewer", message));
        }
        let open = items.iter().filter(|item| item.keep.is_none()).count();
        if open > 0 {
            return Err(Refusal::problem(format!(
                "{open} of {} rows are not decided yet. Decide on each of them first.",
                items.len()
            )));
        }
        let kept = items.iter().filter(|item| item.keep == Some(true)).count();
        let event = self
            .event(Action::ReviewClose, Outcome::Ok, by.clone(), client)
            .with("review", id)
            .with("name", review.name.as_str())
            .with("kept", kept)
            .with("ended", items.len() - kept);
        settled(self.adapters.reviews.close_review(id, &by, &event).await)?;
        Ok(self.ends_of(&review, &items).await?)
    }

    /// What a review that was signed off leaves to be ended now; shown until it is done.
    pub async fn review_ends(&self, id: &str) -> Result<ReviewEnds, EditRefused> {
        let (review, items) = self.kept_review(id).await?;
        if review.closed_at.is_none() {
            return Err(EditRefused::Problems(vec![
                "This review is not signed off yet.".to_owned(),
            ]));
        }
        Ok(self.ends_of(&review, &items).await?)
    }

    async fn ends_of(
        &self,
        review: &AccessReview,
        items: &[ReviewItem],
    ) -> Result<ReviewEnds, StoreError> {
        let tables = self.tables().await?;
        let mut ends = ReviewEnds::default();
        for item in items.iter().filter(|item| item.keep == Some(false)) {
            let name = name_of(item);
            let Some(row) = tables.row(&name) else {
                continue;
            };
            if is_in_file(&row) {
                ends.in_file.push(item.row.clone());
                continue;
            }
            ends.draft.seen.push((name, Some(row.revision())));
            ends.draft.changes.push(end_of(item));
        }
        let name: String = review.name.chars().take(WORDS_AT_MOST / 2).collect();
        ends.draft.reason = Some(format!("Access review: {name}"));
        Ok(ends)
    }

    /// Who can open what within a limit, as far as people are known here: groups as last seen.
    pub async fn access_rows(&self, scope: &ReviewScope) -> Result<Vec<AccessRow>, StoreError> {
        let (policy, people) = self.everybody().await?;
        let (scope, now) = (scope.clone(), self.now());
        tokio::task::spawn_blocking(move || {
            let mut is_within = within(&policy, &scope);
            let people = people.iter().filter(|person| is_within(person));
            let rows = people.flat_map(|person| rows_of(person, &policy, &scope, now));
            rows.collect()
        })
        .await
        .map_err(StoreError::unavailable)
    }

    /// How many people have a role by each row.
    async fn people_by_row(&self) -> Result<HashMap<MappingId, u32>, StoreError> {
        let (policy, people) = self.everybody().await?;
        let now = self.now();
        tokio::task::spawn_blocking(move || {
            let mut counts = HashMap::new();
            for person in &people {
                let entitlements = policy.entitlements(person, now);
                let givers = entitlements.iter().flat_map(|found| &found.givers);
                // A rule may give one person several roles.
                let rows: BTreeSet<&MappingId> = givers.map(|giver| giver.mapping).collect();
                for row in rows {
                    *counts.entry(row.clone()).or_default() += 1;
                }
            }
            counts
        })
        .await
        .map_err(StoreError::unavailable)
    }

    async fn everybody(&self) -> Result<(Arc<Policy>, Vec<Identity>), StoreError> {
        let known = self.adapters.known_people.known_people().await?;
        let people = known.into_iter().map(|person| person.identity).collect();
        Ok((self.policy().await?, people))
    }

    async fn kept_review(&self, id: &str) -> Result<(AccessReview, Vec<ReviewItem>), EditRefused> {
        let found = self.adapters.reviews.review(id).await?;
        found.ok_or_else(|| EditRefused::NotFound(format!("access review {id}")))
    }

    async fn open_review(&self, id: &str) -> Result<(AccessReview, Vec<ReviewItem>), Refusal> {
        let (review, items) = self.kept_review(id).await?;
        if review.closed_at.is_some() {
            return Err(Refusal::coded(
                EditRefused::AlreadyDecided,
                "already_closed",
            ));
        }
        Ok((review, items))
    }
}

fn attempt<'a>(
    action: Action,
    session: &SignInSession,
    client: &'a Client,
    review: Option<&'a str>,
) -> Attempt<'a> {
    Attempt {
        action,
        actor: person(&session.identity),
        client,
        about: review.map(|id| ("review", id)),
    }
}

/// A review that was closed meanwhile is decided.
fn settled(done: Result<(), StoreError>) -> Result<(), Refusal> {
    match done {
        Err(StoreError::Conflict(_)) => Err(Refusal::coded(
            EditRefused::AlreadyDecided,
            "already_closed",
        )),
        done => Ok(done?),
    }
}

fn is_same(one: &Actor, other: &Actor) -> bool {
    match (one, other) {
        (
            Actor::Person {
                connector: one,
                subject: Some(subject),
                ..
            },
            Actor::Person {
                connector: other,
                subject: Some(same),
                ..
            },
        ) => one == other && subject == same,
        _ => false,
    }
}

/// The rows within a limit, by role and group.
fn items(
    tables: &PolicyTables,
    scope: &ReviewScope,
    counts: &HashMap<MappingId, u32>,
) -> Vec<ReviewItem> {
    let mappings = tables
        .mappings
        .iter()
        .filter(|row| holds_mapping(scope, row));
    let mappings = mappings.map(|row| (&row.id, row.group.to_string(), row.role.to_string()));
    let rules = tables.rules.iter().filter(|row| holds_rule(scope, row));
    let rules = rules.map(|row| (&row.id, row.group_pattern.clone(), row.role.clone()));
    let mut items: Vec<ReviewItem> = mappings
        .chain(rules)
        .map(|(id, group, role)| ReviewItem {
            row: id.clone(),
            group,
            role,
            people: counts.get(id).copied().unwrap_or(0),
            keep: None,
            note: None,
            decided_by: None,
            decided_at: None,
        })
        .collect();
    items.sort_by(|a, b| (&a.role, &a.group).cmp(&(&b.role, &b.group)));
    items
}

fn holds_mapping(scope: &ReviewScope, mapping: &Mapping) -> bool {
    scope.holds_role(&mapping.role) && scope.holds_group(&mapping.group)
}

/// A rule is of every account or role that it can be of; a group is reviewed by its mappings.
fn holds_rule(scope: &ReviewScope, rule: &MappingRule) -> bool {
    let account = rule.role.split(':').nth(4).unwrap_or_default();
    match scope {
        ReviewScope::All => true,
        ReviewScope::Account(id) => account == id.as_str() || account.contains('{'),
        ReviewScope::Role(arn) => {
            account.contains('{')
                || (account == arn.account_digits() && rule.role.contains('{'))
                || rule.role.eq_ignore_ascii_case(arn.as_str())
        }
        ReviewScope::Group(_) => false,
    }
}

/// Whether an item is a mapping: its role is an ARN and its group has a connector in front, while a
/// rule's pattern begins with `^`.
fn is_mapping(item: &ReviewItem) -> bool {
    !item.group.starts_with('^') && item.role.parse::<TargetArn>().is_ok()
}

fn name_of(item: &ReviewItem) -> RowName {
    if is_mapping(item) {
        RowName::Mapping(item.row.clone())
    } else {
        RowName::Rule(item.row.clone())
    }
}

fn end_of(item: &ReviewItem) -> Change {
    if is_mapping(item) {
        Change::EndMapping(item.row.clone())
    } else {
        Change::EndRule(item.row.clone())
    }
}

fn is_in_file(row: &Row) -> bool {
    let origin = match row {
        Row::Mapping(mapping) => &mapping.origin,
        Row::Rule(rule) => &rule.origin,
        Row::Account(_) | Row::Role(_) => return false,
    };
    *origin != Origin::Store
}

/// Says of people whether they may have anything within a limit. What a group gives is asked once
/// for each group, which for tens of thousands of people is a small part of all there is to ask.
fn within<'a>(policy: &'a Policy, scope: &'a ReviewScope) -> impl FnMut(&&'a Identity) -> bool {
    let mut known: HashMap<&'a Group, bool> = HashMap::new();
    let mut gives = move |group: &'a Group| {
        *known.entry(group).or_insert_with(|| {
            scope.holds_group(&group.key) && policy.gives(group, |role| scope.holds_role(role))
        })
    };
    move |person| !person.asserted_roles.is_empty() || person.groups.iter().any(&mut gives)
}

fn rows_of(
    person: &Identity,
    policy: &Policy,
    scope: &ReviewScope,
    now: OffsetDateTime,
) -> Vec<AccessRow> {
    let mut rows = Vec::new();
    let entitlements = match scope {
        ReviewScope::Role(role) => Vec::from_iter(policy.entitlement_to(person, role, now)),
        _ => policy.entitlements(person, now),
    };
    for entitlement in entitlements {
        let arn = &entitlement.role.arn;
        if !scope.holds_role(arn) {
            continue;
        }
        let is_protected = entitlement.role.protected
            || entitlement.account.is_some_and(|account| account.protected);
        for giver in &entitlement.givers {
            let is_within = match &giver.group {
                Some(group) => scope.holds_group(group),
                None => !matches!(scope, ReviewScope::Group(_)),
            };
            if is_within {
                rows.push(AccessRow {
                    username: person.username.clone(),
                    display_name: person.display_name.clone(),
                    email: person.email.clone(),
                    connector: person.connector.clone(),
                    subject: person.subject.clone(),
                    groups_read_at: person.groups_read_at,
                    account: arn.account(),
                    account_name: entitlement.account_name(),
                    role: arn.clone(),
                    row: giver.mapping.clone(),
                    is_rule: giver.is_rule,
                    group: giver.group.clone(),
                    conditions: giver.conditions.clone(),
                    is_protected,
                });
            }
        }
    }
    rows
}
