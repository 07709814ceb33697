//! Edits that wait: a second person looks at them anew, and approves or declines.

use std::collections::HashSet;

use crate::{
    access::RowName,
    audit::{Action, Actor, AuditEvent, Outcome},
    broker::{Broker, Client, Progress, sign_in::person},
    store::{EditContext, PendingEdit, PendingState, Settles, SignInSession, StoreError},
};

use super::{
    Conflict, EditDraft, EditPreview, EditRefused, Editor, Refusal, Saved, WORDS_AT_MOST,
    editor::{is_own, is_same_word, may_be_same},
    moment::TRIES,
    permission::Surroundings,
    preview::{Look, Wish},
    refusal::{Attempt, count},
    save::{as_shown, told},
};

/// How many edits a page lists.
const LISTED: u32 = 500;

impl Broker {
    /// The edits that wait, or the latest of all.
    pub async fn pending_edits(&self, all: bool) -> Result<Vec<PendingEdit>, StoreError> {
        let state = (!all).then_some(PendingState::Waiting);
        let mut edits = self
            .adapters
            .pending_edits
            .pending_edits(state, LISTED)
            .await?;
        let now = self.now();
        // One that has lapsed waits no more, whether it was swept yet or not.
        edits.retain(|edit| all || edit.expires_at > now);
        Ok(edits)
    }

    /// How many edits wait: a number on every page, for which their changes are not read.
    pub async fn count_pending_edits(&self) -> Result<usize, StoreError> {
        self.adapters.pending_edits.count_waiting(self.now()).await
    }

    /// One pending edit with what it would do now.
    pub async fn pending_edit(
        &self,
        reader: &mut SignInSession,
        id: &str,
        progress: &Progress,
        client: &Client,
    ) -> Result<(PendingEdit, Result<EditPreview, EditRefused>), EditRefused> {
        let edit = self.kept_edit(id).await.map_err(|refusal| refusal.why)?;
        if edit.state != PendingState::Waiting {
            return Ok((edit, Err(EditRefused::AlreadyDecided)));
        }
        let looked = async {
            let reader = self.editor(reader, client).await?;
            let author = self.author_beside(&edit, &reader).await?;
            self.look_at(&edit, author.as_ref(), &reader, progress)
                .await
        };
        let looked = looked.await.map(|look| look.preview);
        Ok((edit, looked.map_err(|refusal| refusal.why)))
    }

    /// Approves a pending edit whose preview had the digest `shown`, and carries it out.
    pub async fn approve_edit(
        &self,
        approver: &mut SignInSession,
        id: &str,
        shown: &str,
        client: &Client,
    ) -> Result<Saved, EditRefused> {
        let approved = async {
            let edit = self.waiting_edit(id).await?;
            let second = self.editor(approver, client).await?;
            let author = self.first_person(&edit, &second).await?;
            for _ in 0..TRIES {
                let people = (&author, &second);
                if let Some(saved) = self.approve_as(people, &edit, shown, client).await? {
                    return Ok(saved);
                }
            }
            Err(StoreError::PolicyChanged.into())
        };
        match approved.await {
            Ok(saved) => {
                count("approved");
                Ok(saved)
            }
            Err(refusal) => {
                let attempt = Attempt {
                    action: Action::EditApprove,
                    actor: person(&approver.identity),
                    client,
                    about: Some(("pending", id)),
                };
                Err(self.refuse_edit(refusal, attempt).await)
            }
        }
    }

    /// Declines a pending edit, or takes it back where the person is its author.
    pub async fn decline_edit(
        &self,
        session: &mut SignInSession,
        id: &str,
        note: Option<&str>,
        client: &Client,
    ) -> Result<(), EditRefused> {
        let declined = self.decline(session, id, note, client).await;
        match declined {
            Ok(outcome) => {
                count(outcome);
                Ok(())
            }
            Err(refusal) => {
                let attempt = Attempt {
                    action: Action::EditDecline,
                    actor: person(&session.identity),
                    client,
                    about: Some(("pending", id)),
                };
                Err(self.refuse_edit(refusal, attempt).await)
            }
        }
    }

    async fn decline(
        &self,
        session: &mut SignInSession,
        id: &str,
        note: Option<&str>,
        client: &Client,
    ) -> Result<&'static str, Refusal> {
        let length = note.map_or(0, |note| note.chars().count());
        if length > WORDS_AT_MOST {
            return Err(Refusal::problem(format!(
                "The note has {length} characters; there is room for {WORDS_AT_MOST}."
            )));
        }
        let edit = self.waiting_edit(id).await?;
        let (state, action, outcome) = if is_own(&edit.author, &session.identity) {
            (PendingState::Withdrawn, Action::EditWithdraw, "withdrawn")
        } else {
            let editor = self.editor(session, client).await?;
            let authority = self.authority(&editor.identity);
            let tables = self.tables().await?;
            let around = Surroundings::of(&[&tables]);
            around.permit_changes(&authority, &edit.changes, &tables)?;
            (PendingState::Declined, Action::EditDecline, "declined")
        };
        let actor = person(&session.identity);
        let event = self.event(action, Outcome::Ok, actor, client);
        let event = event.with("pending", id);
        let event = match note {
            Some(note) => event.with("note", note),
            None => event,
        };
        self.settle(id, state, note, &event).await?;
        Ok(outcome)
    }

    async fn settle(
        &self,
        id: &str,
        state: PendingState,
        note: Option<&str>,
        event: &AuditEvent,
    ) -> Result<(), Refusal> {
        let edits = &self.adapters.pending_edits;
        match edits.settle(id, state, note, event).await {
            Err(StoreError::Conflict(_)) => Err(already_decided()),
            settled => Ok(settled?),
        }
    }

    /// One try; none where the tables were edited while it looked.
    async fn approve_as(
        &self,
        (author, second): (&Editor, &Editor),
        edit: &PendingEdit,
        shown: &str,
        client: &Client,
    ) -> Result<Option<Saved>, Refusal> {
        let progress = Progress::default();
        let look = self.look_at(edit, Some(author), second, &progress).await?;
        self.permit_both(&look, author, second)?;
        let gains = look.gains_of(&second.identity);
        if !gains.is_empty() {
            let gains: Vec<String> = gains.into_iter().collect();
            let message = format!(
                "It gives you something yourself ({}), so that somebody else has to decide.",
                gains.join(", ")
            );
            return Err(Refusal::not_second("approver_gains", message));
        }
        let look = as_shown(look, shown)?;
        same_rows(&look, edit)?;
        let by = person(&second.identity);
        let event = self.event(Action::EditApprove, Outcome::Ok, by.clone(), client);
        let event = told(event, &look, edit.reason.as_deref()).with("pending", edit.id.as_str());
        let mut announced_by = vec![event];
        let draft = draft_of(edit);
        announced_by.extend(self.undo_row(&draft, author, &look, client));
        let context = EditContext {
            reason: edit.reason.clone(),
            request_id: Some(client.request_id.clone()),
            at_version: Some(look.version),
            settles: Some(Settles {
                pending: edit.id.clone(),
                by: by.clone(),
            }),
            undoes: edit.undoes.clone(),
            approved_by: Some(by),
            announced_by,
            ..EditContext::new(edit.author.clone(), self.now())
        };
        self.carry_out(edit, &context).await
    }

    async fn carry_out(
        &self,
        edit: &PendingEdit,
        context: &EditContext,
    ) -> Result<Option<Saved>, Refusal> {
        let applied = self.adapters.policy.apply(edit.changes.clone(), context);
        match applied.await {
            Ok(applied) if applied.changed == 0 => Ok(Some(Saved::Unchanged)),
            Ok(applied) => Ok(Some(Saved::InForce {
                edit: applied.edit,
                rows: applied.changed,
            })),
            Err(StoreError::PolicyChanged) => Ok(None),
            Err(StoreError::Conflict(problem)) => {
                // Either somebody was faster, or the tables have a rule that the look has not.
                self.waiting_edit(&edit.id).await?;
                Err(Refusal::problem(problem))
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn look_at(
        &self,
        edit: &PendingEdit,
        author: Option<&Editor>,
        reader: &Editor,
        progress: &Progress,
    ) -> Result<Look, Refusal> {
        self.look(&Wish {
            draft: &draft_of(edit),
            author,
            reader: Some(reader),
            authority: None,
            progress,
        })
        .await
    }

    /// Both may make every change of the edit, by their groups of now.
    fn permit_both(&self, look: &Look, author: &Editor, second: &Editor) -> Result<(), Refusal> {
        let rows = &look.preview.rows;
        let around = look.surroundings();
        let permitted = around.permit(&self.authority(&second.identity), rows);
        permitted.map_err(|refusal| Refusal {
            code: Some("approver_without_authority"),
            ..refusal
        })?;
        let permitted = around.permit(&self.authority(&author.identity), rows);
        permitted.map_err(|refusal| Refusal {
            why: EditRefused::NotAllowed(format!(
                "{} may not make this edit any more. Decline it.",
                author.identity.display()
            )),
            code: Some("author_without_authority"),
            row: refusal.row,
        })
    }

    /// The author, once it is certain that the approver is somebody else with groups of now.
    async fn first_person(&self, edit: &PendingEdit, second: &Editor) -> Result<Editor, Refusal> {
        if is_own(&edit.author, &second.identity) {
            let message = "You wrote this edit yourself; somebody else has to approve it.";
            return Err(Refusal::not_second("own_edit", message));
        }
        let twin = "The author of this edit has the same name or e-mail address as you. As that \
                    may be you, somebody else has to approve it.";
        let username = match &edit.author {
            Actor::Person { username, .. } => username.as_deref(),
            _ => None,
        };
        if username.is_some_and(|name| is_same_word(name, &second.identity.username)) {
            return Err(Refusal::not_second("same_person", twin));
        }
        if let Some(doubt) = &second.doubt {
            return Err(Refusal::not_second("groups_unresolved", doubt));
        }
        let Some(author) = self.absent_author(&edit.author).await? else {
            let message = "The author of this edit is gone from their directory, or not known here \
                           any more. Decline it, and make it yourself if it is still right.";
            return Err(Refusal::not_allowed("author_gone", message));
        };
        if may_be_same(&author.identity, &second.identity) {
            return Err(Refusal::not_second("same_person", twin));
        }
        Ok(author)
    }

    async fn author_beside(
        &self,
        edit: &PendingEdit,
        reader: &Editor,
    ) -> Result<Option<Editor>, StoreError> {
        if is_own(&edit.author, &reader.identity) {
            return Ok(Some(reader.clone()));
        }
        self.absent_author(&edit.author).await
    }

    /// A pending edit; one that has lapsed is settled as that.
    async fn kept_edit(&self, id: &str) -> Result<PendingEdit, Refusal> {
        let edits = &self.adapters.pending_edits;
        let missing = || EditRefused::NotFound(format!("pending edit {id}"));
        let edit = edits.pending_edit(id).await?.ok_or_else(missing)?;
        if edit.state != PendingState::Waiting || edit.expires_at > self.now() {
            return Ok(edit);
        }
        self.expire(&edit).await?;
        Ok(edits.pending_edit(id).await?.ok_or_else(missing)?)
    }

    async fn waiting_edit(&self, id: &str) -> Result<PendingEdit, Refusal> {
        let edit = self.kept_edit(id).await?;
        if edit.state == PendingState::Waiting {
            return Ok(edit);
        }
        Err(already_decided())
    }
}

fn already_decided() -> Refusal {
    Refusal::coded(EditRefused::AlreadyDecided, "already_decided")
}

fn draft_of(edit: &PendingEdit) -> EditDraft {
    EditDraft {
        changes: edit.changes.clone(),
        seen: edit.seen.clone(),
        reason: edit.reason.clone(),
        undoes: edit.undoes.clone(),
    }
}

/// Refuses an edit that would now change a row which it did not change when it was proposed.
fn same_rows(look: &Look, edit: &PendingEdit) -> Result<(), Refusal> {
    let seen = edit.seen.iter().filter(|(_, revision)| revision.is_some());
    let seen: HashSet<&RowName> = seen.map(|(name, _)| name).collect();
    let rows = look.preview.rows.iter();
    let conflicts: Vec<Conflict> = rows
        .filter(|row| row.before.is_some() && !seen.contains(&row.name))
        .map(|row| Conflict {
            name: row.name.clone(),
            now: row.before.clone(),
            by: None,
        })
        .collect();
    if conflicts.is_empty() {
        return Ok(());
    }
    Err(Refusal::coded(
        EditRefused::Conflicts(conflicts),
        "conflict",
    ))
}
