//! `[[connector]]`: the directories people sign in with, of whatever type.
//!
//! What a type needs is in a file of its own. Entry point: [`Connector`].

use std::time::Duration;

use super::ldap::Ldap;
use super::reader::Section;

/// One directory or identity provider.
#[derive(Clone, Debug)]
pub struct Connector {
    /// 1 to 32 of `a`–`z`, `0`–`9` and `-`; unique.
    pub id: String,
    /// What people see on the sign-in page.
    pub label: String,
    /// How people are recognised.
    pub kind: ConnectorKind,
}

impl Connector {
    /// Reads `[[connector]]`; the ids come back too, also those of connectors that were reported.
    pub(super) fn read_all(top: &mut Section<'_>) -> (Vec<Self>, Vec<String>) {
        top.demand("connector", "a [[connector]], or nobody can sign in");
        let mut ids = Vec::new();
        let connectors =
            top.array_of_tables("connector", "id", |section| Self::read(section, &mut ids));
        (connectors, ids)
    }

    /// The deadline of a sign-in.
    pub(super) fn sign_in_timeout(&self) -> Duration {
        match &self.kind {
            ConnectorKind::Ldap(ldap) => ldap.sign_in_timeout,
        }
    }

    fn read(section: &mut Section<'_>, ids: &mut Vec<String>) -> Option<Self> {
        section.demand("type", "\"ldap\"");
        let id = section.identifier("id", ids);
        let label = section.string("label");
        let kinds = [("ldap", "ldap"), ("saml", "saml"), ("oidc", "oidc")];
        let kind = match section.choice("type", &kinds) {
            Some("ldap") => Ldap::read(section).map(|ldap| ConnectorKind::Ldap(Box::new(ldap))),
            Some(other) => {
                let message =
                    format!("{other:?} is not available in this version; expected \"ldap\"");
                section.refuse("type", message);
                section.ignore_rest();
                None
            }
            // What the other keys mean is not known.
            None => {
                section.ignore_rest();
                None
            }
        };
        let id = id?;
        Some(Self {
            label: label.unwrap_or_else(|| id.clone()),
            id,
            kind: kind?,
        })
    }
}

/// How a connector recognises people.
#[derive(Clone, Debug)]
pub enum ConnectorKind {
    /// By their password in an LDAP directory.
    Ldap(Box<Ldap>),
}
