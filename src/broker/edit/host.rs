//! What changes by the host's command line would do. It stands outside four eyes and scopes, so
//! nobody's authority is asked; nothing is saved here. Entry point: [`Broker::preview_changes`].

use std::sync::Arc;

use crate::{
    access::{Change, GroupKey},
    broker::{Broker, Progress},
};

use super::{EditPreview, EditRefused, digest, moment::differences, preview::compared};

impl Broker {
    /// What changes of the store's rows would do, whoever makes them, however many they are.
    ///
    /// # Errors
    /// [`EditRefused::Problems`] where they do not fit; [`EditRefused::StoreUnavailable`].
    pub async fn preview_changes(
        &self,
        changes: &[Change],
        progress: &Progress,
    ) -> Result<EditPreview, EditRefused> {
        let moment = self.moment().await?;
        let after = moment.store.after(changes).map_err(EditRefused::Problems)?;
        let rows = differences(&moment.store, &after);
        let after = moment.joined(after);
        let policies = (Arc::clone(&moment.policy), Arc::new(self.policy_of(&after)));
        let touched = self.touched(&rows, &[&moment.tables, &after]).await?;
        let groups: Vec<GroupKey> = touched.groups.into_iter().collect();
        let crowd = self.crowd(&groups, progress).await?;
        let (people, effects) = compared(policies, crowd.people, self.now()).await?;
        let mut unresolved = touched.unresolved;
        unresolved.extend(crowd.unresolved);
        let mut preview = EditPreview {
            rows,
            people,
            effects,
            unresolved,
            waits: Vec::new(),
            own_gains: Vec::new(),
            digest: String::new(),
        };
        preview.digest = digest::of(&preview);
        Ok(preview)
    }
}
