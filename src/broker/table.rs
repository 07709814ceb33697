//! What pages ask of the table beside decisions: which group a text means, and that somebody took
//! the table away as a file. Entry points: [`Broker::group_key`], [`Broker::note_export`].

use std::collections::HashMap;

use super::{Broker, Client, sign_in::person};
use crate::{
    access::{ConnectorId, GroupKey, GroupKeyError, GroupKeyForm, Identity},
    audit::{Action, Outcome},
    identity::Connector,
    store::StoreError,
};

impl Broker {
    /// The group that `connector:name` means, in the form that mappings compare.
    pub fn group_key(&self, text: &str) -> Result<GroupKey, GroupKeyError> {
        GroupKey::parse(text.trim(), &self.group_forms())
    }

    fn group_forms(&self) -> HashMap<ConnectorId, GroupKeyForm> {
        let form = |connector: &Connector| match connector {
            Connector::Password(_) => GroupKeyForm::DistinguishedName,
            Connector::Redirect(_) => GroupKeyForm::Exact,
        };
        let connectors = self.adapters.connectors.iter();
        connectors
            .map(|connector| (connector.id().clone(), form(connector)))
            .collect()
    }

    /// Notes in the audit log that `rows` rows of `what` were taken away as a file; nothing is
    /// handed out before.
    pub async fn note_export(
        &self,
        who: &Identity,
        what: &str,
        rows: usize,
        client: &Client,
    ) -> Result<(), StoreError> {
        let event = self
            .event(Action::Export, Outcome::Ok, person(who), client)
            .with("what", what)
            .with("rows", rows);
        self.adapters.audit.append(&event).await.map(|_| ())
    }
}
