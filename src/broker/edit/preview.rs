//! The look at an edit: which rows change, who gains and who loses, and why it has to wait.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use time::OffsetDateTime;

use crate::{
    access::{Authority, GroupKey, Identity, Policy, PolicyProblem, PolicyTables, Preview, Row},
    broker::{Broker, Client, Progress, sign_in::person},
    identity::Connector,
    store::{SignInSession, StoreError},
};

use super::{
    Conflict, EditDraft, EditPreview, EditRefused, Editor, HistoryFilter, Refusal, RowChange, Wait,
    digest, editor,
    gains::{self, Evidence},
    moment::{Moment, differences},
    permission::Surroundings,
    refusal::{Attempt, action_of},
    touched::is_cosmetic,
};

/// Of how many conflicts it is told who made them.
const EXPLAINED: usize = 50;

/// What is to be looked at, and for whom.
pub(super) struct Wish<'a> {
    pub(super) draft: &'a EditDraft,
    /// Whose gains make it wait; none for an author who is not known any more.
    pub(super) author: Option<&'a Editor>,
    /// Somebody else who has to be among the people.
    pub(super) reader: Option<&'a Editor>,
    /// What has to cover every row; none where that is not asked.
    pub(super) authority: Option<&'a Authority>,
    pub(super) progress: &'a Progress,
}

/// What a look found.
pub(super) struct Look {
    pub(super) preview: EditPreview,
    /// The version of the tables that was looked at.
    pub(super) version: i64,
    before: Arc<PolicyTables>,
    after_tables: Arc<PolicyTables>,
    after: Arc<Policy>,
    opened: Option<Policy>,
    /// Whether somebody might gain, the author among them, whose groups there are not known.
    is_author_unread: bool,
    now: OffsetDateTime,
}

impl Look {
    /// The roles that the edit gives `person`, as ARNs.
    pub(super) fn gains_of(&self, person: &Identity) -> BTreeSet<String> {
        self.evidence().gains_of(person)
    }

    fn evidence(&self) -> Evidence<'_> {
        Evidence {
            rows: &self.preview.rows,
            people: &self.preview.people,
            effects: &self.preview.effects,
            after: &self.after,
            opened: self.opened.as_ref(),
            now: self.now,
        }
    }

    /// The accounts and roles before and after.
    pub(super) fn surroundings(&self) -> Surroundings<'_> {
        Surroundings::of(&[&self.before, &self.after_tables])
    }

    fn waits(&self, author: Option<&Editor>) -> Vec<Wait> {
        let mut waits = BTreeSet::new();
        if !self.preview.own_gains.is_empty() {
            waits.insert(Wait::SelfGain);
        }
        let mut effects = self.preview.effects.roles.iter();
        let around = self.surroundings();
        let mut rows = self.preview.rows.iter();
        if effects.any(|effect| effect.is_protected) || rows.any(|row| around.is_protected(row)) {
            waits.insert(Wait::Protected);
        }
        if self.is_author_unread || author.is_none_or(|author| author.doubt.is_some()) {
            waits.insert(Wait::Unresolved);
        }
        waits.into_iter().collect()
    }
}

impl Broker {
    /// What an edit would do. Reads the author's groups anew.
    pub async fn preview_edit(
        &self,
        author: &mut SignInSession,
        draft: &EditDraft,
        progress: &Progress,
        client: &Client,
    ) -> Result<EditPreview, EditRefused> {
        let looked = async {
            let editor = self.editor(author, client).await?;
            self.look_for(&editor, draft, progress).await
        };
        match looked.await {
            Ok(look) => Ok(look.preview),
            Err(refusal) => {
                // Whoever only looks has not tried to overwrite anything.
                let code = refusal
                    .code
                    .filter(|_| matches!(refusal.why, EditRefused::NotAllowed(_)));
                let refusal = Refusal { code, ..refusal };
                let attempt = Attempt {
                    action: action_of(&draft.changes),
                    actor: person(&author.identity),
                    client,
                    about: None,
                };
                Err(self.refuse_edit(refusal, attempt).await)
            }
        }
    }

    /// The look of somebody at their own edit.
    pub(super) async fn look_for(
        &self,
        author: &Editor,
        draft: &EditDraft,
        progress: &Progress,
    ) -> Result<Look, Refusal> {
        let authority = self.authority(&author.identity);
        self.look(&Wish {
            draft,
            author: Some(author),
            reader: None,
            authority: Some(&authority),
            progress,
        })
        .await
    }

    /// Looks at an edit on the tables of this moment.
    pub(super) async fn look(&self, wish: &Wish<'_>) -> Result<Look, Refusal> {
        let moment = self.moment().await?;
        moment.check(wish.draft)?;
        let after = moment.store.after(&wish.draft.changes);
        let rows = after
            .as_ref()
            .map(|after| differences(&moment.store, after))
            .unwrap_or_default();
        if let Some(authority) = wish.authority {
            permit(&moment, wish.draft, authority, after.as_ref().ok(), &rows)?;
        }
        self.check_seen(&moment, wish.draft).await?;
        let after = Arc::new(moment.joined(after.map_err(EditRefused::Problems)?));
        let after_policy = Arc::new(self.policy_of(&after));
        if wish.draft.undoes.is_none() {
            sound(&moment.policy, &after_policy, &rows)?;
        }
        let now = self.now();
        let touched = self.touched(&rows, &[&moment.tables, &after]).await?;
        let groups: Vec<GroupKey> = touched.groups.into_iter().collect();
        let crowd = self.crowd(&groups, wish.progress).await?;
        let people = with_these(crowd.people, [wish.author, wish.reader]);
        let policies = (Arc::clone(&moment.policy), Arc::clone(&after_policy));
        let (people, effects) = compared(policies, people, now).await?;
        let mut unresolved = touched.unresolved;
        unresolved.extend(crowd.unresolved);
        unresolved.extend(doubts(wish));
        let opened = gains::opened(&rows, &after, &self.settings.policy);
        let may_give = opened.is_some() || rows.iter().any(may_give);
        let unread = touched.unread.into_iter().chain(crowd.unread);
        let unread = self.elsewhere(wish.author, unread.collect());
        let is_author_unread = may_give && !unread.is_empty();
        if is_author_unread {
            unresolved.push(format!(
                "Who is in these groups at {} is not known in full, and so not whether its author \
                 is.",
                unread.join(", ")
            ));
        }
        let mut look = Look {
            version: moment.version(),
            before: moment.tables,
            opened,
            is_author_unread,
            after_tables: after,
            after: after_policy,
            now,
            preview: EditPreview {
                rows,
                people,
                effects,
                unresolved,
                waits: Vec::new(),
                own_gains: Vec::new(),
                digest: String::new(),
            },
        };
        if let Some(author) = wish.author {
            let gains = look.gains_of(&author.identity);
            look.preview.own_gains = gains.into_iter().collect();
        }
        look.preview.waits = look.waits(wish.author);
        look.preview.digest = digest::of(&look.preview);
        Ok(look)
    }

    /// The labels of those of the connectors whose groups the author does not come with: at these
    /// they may be in groups under another name.
    fn elsewhere(&self, author: Option<&Editor>, connectors: BTreeSet<String>) -> Vec<String> {
        let own = author.map(|author| &author.identity.connector);
        let from = own.and_then(|own| match self.connector(own) {
            Some(Connector::Redirect(provider)) => provider.groups_from(),
            _ => None,
        });
        let is_own = |id: &str| {
            [own, from]
                .into_iter()
                .flatten()
                .any(|own| own.as_str() == id)
        };
        let others = connectors.into_iter().filter(|id| !is_own(id));
        let label = |id: String| {
            let known = id.parse().ok();
            let known = known.and_then(|id| self.connector(&id));
            known.map_or(id, |connector| connector.label().to_owned())
        };
        others.map(label).collect()
    }

    /// Refuses an edit of rows that are not any more as its author saw them.
    async fn check_seen(&self, moment: &Moment, draft: &EditDraft) -> Result<(), Refusal> {
        let mut conflicts = Vec::new();
        for (name, seen) in &draft.seen {
            let now = moment.row(name);
            if now.as_ref().map(Row::revision) == *seen {
                continue;
            }
            let last = HistoryFilter {
                row: Some(name.clone()),
                limit: 1,
                ..HistoryFilter::default()
            };
            let by = if conflicts.len() < EXPLAINED {
                self.history(&last).await?.into_iter().next()
            } else {
                None
            };
            conflicts.push(Conflict {
                name: name.clone(),
                now,
                by,
            });
        }
        if conflicts.is_empty() {
            return Ok(());
        }
        let row = conflicts[0].name.clone();
        Err(Refusal::coded(EditRefused::Conflicts(conflicts), "conflict").about(row))
    }
}

/// Whether the edit may be made, asked before anything about it is told.
fn permit(
    moment: &Moment,
    draft: &EditDraft,
    authority: &Authority,
    after: Option<&PolicyTables>,
    rows: &[RowChange],
) -> Result<(), Refusal> {
    let tables = &moment.tables;
    match after {
        Some(after) => Surroundings::of(&[tables, after]).permit(authority, rows),
        None => Surroundings::of(&[tables]).permit_changes(authority, &draft.changes, tables),
    }
}

/// Refuses rows that would give nothing because something about them is wrong. Conditions that this
/// version cannot enforce are not wrong; they wait for one that can.
fn sound(before: &Policy, after: &Policy, rows: &[RowChange]) -> Result<(), EditRefused> {
    let mut changed = HashMap::new();
    for row in rows.iter().filter_map(|row| row.after.as_ref()) {
        match row {
            Row::Role(role) => changed.insert(role.arn.to_string(), "Role"),
            Row::Mapping(row) if row.conditions.unenforceable().is_none() => {
                changed.insert(row.id.0.clone(), "The mapping")
            }
            Row::Rule(row) if row.conditions.unenforceable().is_none() => {
                changed.insert(row.id.0.clone(), "The rule")
            }
            _ => None,
        };
    }
    let is_new = |found: &&PolicyProblem| !before.problems().contains(found);
    let problems = after.problems().iter();
    let sentences: Vec<String> = problems
        .filter(|found| changed.contains_key(&found.about))
        .filter(is_new)
        .filter_map(|found| {
            let kind = changed.get(found.about.as_str())?;
            let name = if *kind == "Role" {
                found.about.as_str()
            } else {
                ""
            };
            Some(format!("{kind} {name} {}.", found.message).replace("  ", " "))
        })
        .collect();
    if sentences.is_empty() {
        return Ok(());
    }
    Err(EditRefused::Problems(sentences))
}

/// Whether a changed account or role may give somebody more than before. What mappings and rules
/// give is told by [`gains::opened`].
fn may_give(row: &RowChange) -> bool {
    !is_cosmetic(row)
        && match &row.after {
            Some(Row::Role(role)) => !role.disabled,
            Some(Row::Account(_)) => true,
            _ => false,
        }
}

/// The people, with these as they were just read.
fn with_these(mut people: Vec<Identity>, these: [Option<&Editor>; 2]) -> Vec<Identity> {
    for this in these.into_iter().flatten() {
        let this = &this.identity;
        let is_this = |found: &Identity| editor::is_one(found, &this.connector, &this.subject);
        people.retain(|found| !is_this(found));
        people.push(this.clone());
    }
    people
}

/// Compares two tables away from what answers requests: it may take seconds.
pub(super) async fn compared(
    (before, after): (Arc<Policy>, Arc<Policy>),
    people: Vec<Identity>,
    now: OffsetDateTime,
) -> Result<(Vec<Identity>, Preview), StoreError> {
    tokio::task::spawn_blocking(move || {
        let effects = Preview::between(&before, &after, &people, now);
        (people, effects)
    })
    .await
    .map_err(StoreError::unavailable)
}

fn doubts(wish: &Wish<'_>) -> Vec<String> {
    let Some(author) = wish.author else {
        return vec![
            "The author is not known any more, so that what it gives them is unknown.".to_owned(),
        ];
    };
    author.doubt.iter().cloned().collect()
}
