//! `/helpdesk/…`: the pages of those who keep the table. Whether an edit may be made is asked of the
//! broker; these handlers only show.

pub(in crate::web) mod confirm;
pub(in crate::web) mod groups;
pub(in crate::web) mod people;
pub(in crate::web) mod reviews;
pub(in crate::web) mod roles;
mod settings;

use super::super::{
    App,
    staff::Staff,
    views::helpdesk::{Desk, Section},
};
use crate::broker::StoreError;

/// The frame of a helpdesk page.
async fn desk(app: &App, staff: &Staff, section: Section) -> Result<Desk, StoreError> {
    let pending = app.broker.pending_edits(false).await?.len();
    let file = app.broker.mapping_file();
    Ok(Desk {
        section,
        pending,
        may_edit_mappings: !staff.authority.helpdesk.is_empty(),
        is_admin: staff.authority.is_admin,
        file_trouble: file.trouble.map(|trouble| {
            format!(
                "The mapping file cannot be loaded; the last good one stays in force. {}",
                trouble.findings.join(" ")
            )
        }),
    })
}
