//! Edits that nobody decided on in time.

use crate::{
    audit::{Action, Actor, AuditEvent, Outcome},
    broker::Broker,
    store::{PendingEdit, PendingState, StoreError},
};

use super::refusal::count;

/// How many edits one round looks at.
const SWEPT: u32 = 10_000;

impl Broker {
    /// Lets edits lapse whose time is over; says how many.
    pub(in crate::broker) async fn expire_edits(&self) -> Result<u64, StoreError> {
        let edits = &self.adapters.pending_edits;
        let waiting = edits.pending_edits(Some(PendingState::Waiting), SWEPT);
        let mut lapsed = 0;
        for edit in waiting.await? {
            if edit.expires_at <= self.now() {
                self.expire(&edit).await?;
                lapsed += 1;
            }
        }
        Ok(lapsed)
    }

    /// Lets one edit lapse, unless somebody decided at this very moment.
    pub(super) async fn expire(&self, edit: &PendingEdit) -> Result<(), StoreError> {
        let event = AuditEvent::new(self.now(), Action::EditExpire, Outcome::Ok, Actor::System)
            .with("pending", edit.id.as_str());
        let edits = &self.adapters.pending_edits;
        let settled = edits.settle(&edit.id, PendingState::Expired, None, &event);
        match settled.await {
            Ok(()) => count("expired"),
            Err(StoreError::Conflict(_)) => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }
}
