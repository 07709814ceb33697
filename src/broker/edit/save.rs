//! Saving: the same look again, and only what was shown is made, or put before a second person.

use std::collections::HashSet;

use uuid::Uuid;

use crate::{
    access::{Row, RowName},
    audit::{Action, AuditEvent, Outcome},
    broker::{Broker, Client, Progress, sign_in::person},
    store::{EditContext, PendingEdit, PendingState, SignInSession, StoreError},
};

use super::{
    EditDraft, EditRefused, Editor, Refusal, Saved, Wait,
    moment::TRIES,
    preview::Look,
    refusal::{Attempt, action_of, count},
};

impl Broker {
    /// Saves an edit whose preview had the digest `shown`, or puts it before a second person.
    pub async fn save_edit(
        &self,
        author: &mut SignInSession,
        draft: &EditDraft,
        shown: &str,
        client: &Client,
    ) -> Result<Saved, EditRefused> {
        let saved = async {
            let editor = self.editor(author, client).await?;
            for _ in 0..TRIES {
                if let Some(saved) = self.save_as(&editor, draft, shown, client).await? {
                    return Ok(saved);
                }
            }
            Err(StoreError::PolicyChanged.into())
        };
        match saved.await {
            Ok(saved) => {
                count(match saved {
                    Saved::InForce { .. } => "saved",
                    Saved::Waits { .. } => "waiting",
                    Saved::Unchanged => "unchanged",
                });
                Ok(saved)
            }
            Err(refusal) => {
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

    /// One try; none where the tables were edited while it looked.
    async fn save_as(
        &self,
        editor: &Editor,
        draft: &EditDraft,
        shown: &str,
        client: &Client,
    ) -> Result<Option<Saved>, Refusal> {
        let look = self.look_for(editor, draft, &Progress::default()).await?;
        if look.preview.rows.is_empty() {
            return Ok(Some(Saved::Unchanged));
        }
        let look = as_shown(look, shown)?;
        if !look.preview.waits.is_empty() {
            return self.propose(editor, draft, &look, client).await.map(Some);
        }
        let context = EditContext {
            reason: draft.reason.clone(),
            request_id: Some(client.request_id.clone()),
            at_version: Some(look.version),
            undoes: draft.undoes.clone(),
            announced_by: self.undo_row(draft, editor, &look, client),
            ..EditContext::new(person(&editor.identity), self.now())
        };
        let applied = self.adapters.policy.apply(draft.changes.clone(), &context);
        match applied.await {
            Ok(applied) if applied.changed == 0 => Ok(Some(Saved::Unchanged)),
            Ok(applied) => Ok(Some(Saved::InForce {
                edit: applied.edit,
                rows: applied.changed,
            })),
            Err(StoreError::PolicyChanged) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The same edit by the same person where it waits already, as after a second click.
    async fn waiting_twin(
        &self,
        editor: &Editor,
        draft: &EditDraft,
    ) -> Result<Option<String>, StoreError> {
        let author = person(&editor.identity);
        let waiting = self.pending_edits(false).await?;
        let twin = waiting.into_iter().find(|edit| {
            edit.author == author && edit.changes == draft.changes && edit.reason == draft.reason
        });
        Ok(twin.map(|edit| edit.id))
    }

    /// Keeps an edit until a second person decides.
    async fn propose(
        &self,
        editor: &Editor,
        draft: &EditDraft,
        look: &Look,
        client: &Client,
    ) -> Result<Saved, Refusal> {
        let now = self.now();
        if let Some(twin) = self.waiting_twin(editor, draft).await? {
            return Ok(Saved::Waits { pending: twin });
        }
        let mut seen = draft.seen.clone();
        let named: HashSet<&RowName> = draft.seen.iter().map(|(name, _)| name).collect();
        // What nobody looked at in a form, such as an import, was seen in the preview.
        let rows = look.preview.rows.iter();
        let rows = rows.filter(|row| !named.contains(&row.name));
        seen.extend(rows.map(|row| (row.name.clone(), row.before.as_ref().map(Row::revision))));
        let why = look.preview.waits.iter().map(|wait| wait.code().to_owned());
        let edit = PendingEdit {
            id: Uuid::now_v7().to_string(),
            author: person(&editor.identity),
            author_name: editor.identity.display().to_owned(),
            created_at: now,
            expires_at: now + self.settings.pending_edits_expire_after,
            reason: draft.reason.clone(),
            changes: draft.changes.clone(),
            seen,
            why: why.collect(),
            undoes: draft.undoes.clone(),
            state: PendingState::Waiting,
            decided_by: None,
            decided_at: None,
            note: None,
        };
        let actor = edit.author.clone();
        let event = self.event(Action::EditPropose, Outcome::Ok, actor, client);
        let event = told(event, look, draft.reason.as_deref())
            .with("pending", edit.id.as_str())
            .with("why", edit.why.clone());
        let event = match &draft.undoes {
            Some(edit) => event.with("undoes", edit.as_str()),
            None => event,
        };
        self.adapters.pending_edits.propose(&edit, &event).await?;
        Ok(Saved::Waits { pending: edit.id })
    }

    /// The row of the log that an undo is announced with.
    pub(super) fn undo_row(
        &self,
        draft: &EditDraft,
        author: &Editor,
        look: &Look,
        client: &Client,
    ) -> Vec<AuditEvent> {
        let Some(undone) = &draft.undoes else {
            return Vec::new();
        };
        let actor = person(&author.identity);
        let event = self.event(Action::EditUndo, Outcome::Ok, actor, client);
        let event = told(event, look, draft.reason.as_deref());
        vec![event.with("undoes", undone.as_str())]
    }
}

/// The look, if what it found is what was shown.
pub(super) fn as_shown(look: Look, shown: &str) -> Result<Look, Refusal> {
    if look.preview.digest == shown {
        return Ok(look);
    }
    let row = look.preview.rows.first().map(|row| row.name.clone());
    let why = EditRefused::PreviewChanged(Box::new(look.preview));
    let refusal = Refusal::coded(why, "preview_changed");
    Err(match row {
        Some(row) => refusal.about(row),
        None => refusal,
    })
}

/// An event about an edit, with how much it does.
pub(super) fn told(event: AuditEvent, look: &Look, reason: Option<&str>) -> AuditEvent {
    let effects = &look.preview.effects.roles;
    let gains: usize = effects.iter().map(|effect| effect.gains.len()).sum();
    let losses: usize = effects.iter().map(|effect| effect.losses.len()).sum();
    let event = event
        .with("rows", look.preview.rows.len())
        .with("gains", gains)
        .with("losses", losses);
    let event = match reason {
        Some(reason) => event.with("reason", reason),
        None => event,
    };
    if look.preview.waits.contains(&Wait::SelfGain) {
        return event.with("own_gains", look.preview.own_gains.clone());
    }
    event
}
