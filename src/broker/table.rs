//! What pages ask of the table beside decisions: which group a text means. Entry point:
//! [`Broker::group_key`].

use std::collections::HashMap;

use super::Broker;
use crate::{
    access::{ConnectorId, GroupKey, GroupKeyError, GroupKeyForm},
    identity::Connector,
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
        let issuers = self.adapters.trusted_issuers.iter();
        connectors
            .map(|connector| (connector.id().clone(), form(connector)))
            .chain(issuers.map(|issuer| (issuer.id().clone(), GroupKeyForm::Exact)))
            .collect()
    }
}
