//! `[[connector]]`: the directories people sign in with, of whatever type.
//!
//! What a type needs is in a file of its own. Entry point: [`Connector`].

use std::time::Duration;

use super::ldap::{Bind, Ldap};
use super::oidc::Oidc;
use super::reader::{Place, Section};
use super::saml::Saml;

/// The deadline of a sign-in at a provider, as far as it is ours: fetching its metadata once.
const PROVIDER_TIMEOUT: Duration = Duration::from_secs(5);
/// The same where codes are exchanged: tokens, new keys and userinfo, each asked for once.
const EXCHANGE_TIMEOUT: Duration = Duration::from_secs(20);

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
        let (mut ids, mut places) = (Vec::new(), Vec::new());
        let connectors = top.array_of_tables("connector", "id", |section| {
            let place = section.place("groups_from");
            let connector = Self::read(section, &mut ids)?;
            places.push(place);
            Some(connector)
        });
        for (connector, place) in connectors.iter().zip(&places) {
            check_groups_from(top, connector, &connectors, &ids, place);
        }
        (connectors, ids)
    }

    /// The deadline of a sign-in.
    pub(super) fn sign_in_timeout(&self) -> Duration {
        match &self.kind {
            ConnectorKind::Ldap(ldap) => ldap.sign_in_timeout,
            ConnectorKind::Saml(_) => PROVIDER_TIMEOUT,
            ConnectorKind::Oidc(_) => EXCHANGE_TIMEOUT,
        }
    }

    fn read(section: &mut Section<'_>, ids: &mut Vec<String>) -> Option<Self> {
        section.demand("type", "\"ldap\", \"saml\" or \"oidc\"");
        let id = section.identifier("id", ids);
        let label = section.string("label");
        let kinds = [("ldap", "ldap"), ("saml", "saml"), ("oidc", "oidc")];
        let kind = match section.choice("type", &kinds) {
            Some("ldap") => Ldap::read(section).map(|ldap| ConnectorKind::Ldap(Box::new(ldap))),
            Some("saml") => Saml::read(section).map(|saml| ConnectorKind::Saml(Box::new(saml))),
            Some(_) => Oidc::read(section).map(|oidc| ConnectorKind::Oidc(Box::new(oidc))),
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
    /// At a SAML 2.0 identity provider.
    Saml(Box<Saml>),
    /// At an OpenID Connect provider.
    Oidc(Box<Oidc>),
}

/// Refuses a `groups_from` that names no directory in which people can be looked up.
fn check_groups_from(
    top: &Section<'_>,
    connector: &Connector,
    connectors: &[Connector],
    ids: &[String],
    place: &Place,
) {
    let named = match &connector.kind {
        ConnectorKind::Ldap(_) => return,
        ConnectorKind::Saml(saml) => &saml.groups_from,
        ConnectorKind::Oidc(oidc) => &oidc.groups_from,
    };
    let Some(named) = named else {
        return;
    };
    let found = connectors.iter().find(|connector| connector.id == *named);
    let problem = match found.map(|connector| &connector.kind) {
        Some(ConnectorKind::Ldap(ldap)) => match ldap.bind {
            Bind::Service { .. } => return,
            Bind::Direct { .. } => "binds with the person's own password, which is not at hand",
        },
        Some(ConnectorKind::Saml(_) | ConnectorKind::Oidc(_)) => "is not a directory",
        // It is there and was reported.
        None if ids.contains(named) => return,
        None => "is not there",
    };
    let message = format!("connector {named:?} {problem}; expected one of type ldap with bind_dn");
    top.refuse_at(place, message);
}
