//! Whose sessions of which roles are meant, and by which names AWS knows them.

use time::Duration;

use super::{Broker, RevokeRefused, RevokedBy, Whom};
use crate::{
    access::{TargetArn, TargetKind, revocation::LONGEST_ROLE_SESSION},
    store::{OpenedRole, Revoked, StoreError},
};

/// After so long no session of an IAM user's keys is left: 36 hours, and clocks that differ.
const LONGEST_TOKEN_SESSION: Duration = Duration::minutes(36 * 60 + 30);

/// Whose sessions are meant.
pub(super) struct Meant {
    pub(super) whose: Revoked,
    /// In words, such as `ada at corp`.
    pub(super) words: String,
    pub(super) username: Option<String>,
    pub(super) session_names: Vec<String>,
    pub(super) source_identities: Vec<String>,
    pub(super) places: Vec<Place>,
}

/// A role where such sessions may be left.
pub(super) struct Place {
    pub(super) role: TargetArn,
    /// Why no policy of this target can end them.
    pub(super) never: Option<String>,
}

impl Broker {
    pub(super) async fn meant(
        &self,
        whom: &Whom,
        by: &RevokedBy<'_>,
    ) -> Result<Meant, RevokeRefused> {
        match whom {
            Whom::Person { connector, subject } => {
                if let RevokedBy::Themselves(session) = by {
                    let own = &session.identity;
                    if own.connector != *connector || own.subject != *subject {
                        return Err(RevokeRefused::NotAllowed(
                            "Only your own sessions are yours to end.".to_owned(),
                        ));
                    }
                }
                self.meant_person(connector.as_str(), subject).await
            }
            Whom::RoleSession(id) => self.meant_role_session(id, by).await,
            Whom::Role(role) => {
                if matches!(by, RevokedBy::Themselves(_)) {
                    return Err(RevokeRefused::NotAllowed(
                        "Only your own sessions are yours to end.".to_owned(),
                    ));
                }
                Ok(Meant {
                    whose: Revoked::Role {
                        role: role.to_string(),
                    },
                    words: format!("everybody in {role}"),
                    username: None,
                    session_names: Vec::new(),
                    source_identities: Vec::new(),
                    places: vec![place(role.clone())],
                })
            }
        }
    }

    async fn meant_person(&self, connector: &str, subject: &str) -> Result<Meant, RevokeRefused> {
        let since = self.now() - LONGEST_TOKEN_SESSION;
        let revocations = &self.adapters.revocations;
        let mut opened = revocations
            .roles_with_sessions(connector, subject, since)
            .await?;
        let now = self.now();
        opened.retain(|opened| {
            opened.role.kind() != TargetKind::Role || opened.latest > now - LONGEST_ROLE_SESSION
        });
        let (names, sources) = names(&opened);
        let whose = Revoked::Person {
            connector: connector.to_owned(),
            subject: subject.to_owned(),
        };
        let mut meant = Meant {
            words: self.words_about(&whose).await?,
            whose,
            username: None,
            session_names: names,
            source_identities: sources,
            places: opened
                .into_iter()
                .map(|opened| place(opened.role))
                .collect(),
        };
        self.add_own_names(&mut meant, connector, subject).await?;
        Ok(meant)
    }

    async fn meant_role_session(
        &self,
        id: &str,
        by: &RevokedBy<'_>,
    ) -> Result<Meant, RevokeRefused> {
        let unknown = || RevokeRefused::NotFound(format!("There is no role session {id}."));
        let session = self.adapters.revocations.role_session(id).await?;
        let session = session.ok_or_else(unknown)?;
        if let RevokedBy::Themselves(own) = by {
            let own = &own.identity;
            if own.connector.as_str() != session.connector || own.subject != session.subject {
                // Somebody else's reads like none at all.
                return Err(unknown());
            }
        }
        let role: TargetArn = session.role.parse().map_err(|_| unknown())?;
        let (connector, subject) = (session.connector.as_str(), session.subject.as_str());
        let revocations = &self.adapters.revocations;
        let since = self.now() - LONGEST_TOKEN_SESSION;
        let mut opened = revocations
            .roles_with_sessions(connector, subject, since)
            .await?;
        opened.retain(|opened| opened.role == role);
        let (mut names, sources) = names(&opened);
        if !session.session_name.is_empty() && !names.contains(&session.session_name) {
            names.push(session.session_name.clone());
        }
        let whose = Revoked::RoleSession {
            connector: session.connector.clone(),
            subject: session.subject.clone(),
            role: role.to_string(),
        };
        let mut meant = Meant {
            words: self.words_about(&whose).await?,
            whose,
            username: None,
            session_names: names,
            source_identities: sources,
            places: vec![place(role)],
        };
        self.add_own_names(&mut meant, connector, subject).await?;
        Ok(meant)
    }

    /// The user name, and the names that we ourselves give the person's sessions, which may be on
    /// their way.
    async fn add_own_names(
        &self,
        meant: &mut Meant,
        connector: &str,
        subject: &str,
    ) -> Result<(), StoreError> {
        let known = &self.adapters.known_people;
        let Some(known) = known.known_person(connector, subject).await? else {
            return Ok(());
        };
        let identity = known.identity;
        let policy = &self.settings.policy;
        let own = policy.session_name.role_session_name(&identity);
        if !meant.session_names.iter().any(|name| name == own.as_str()) {
            meant.session_names.push(own.to_string());
        }
        if let Some(template) = &policy.source_identity {
            let source = template.source_identity(&identity).as_str().to_owned();
            if !meant.source_identities.contains(&source) {
                meant.source_identities.push(source);
            }
        }
        meant.username = Some(identity.username);
        Ok(())
    }

    /// Whose sessions, in words.
    pub(super) async fn words_about(&self, whose: &Revoked) -> Result<String, StoreError> {
        let (connector, subject, role) = match whose {
            Revoked::Person { connector, subject } => (connector, subject, None),
            Revoked::RoleSession {
                connector,
                subject,
                role,
            } => (connector, subject, Some(role)),
            Revoked::Role { role } => return Ok(format!("everybody in {role}")),
        };
        let known = &self.adapters.known_people;
        let known = known.known_person(connector, subject).await?;
        let name = known.map_or_else(|| subject.clone(), |known| known.identity.username);
        Ok(match role {
            Some(role) => format!("{name} at {connector} in {role}"),
            None => format!("{name} at {connector}"),
        })
    }
}

fn place(role: TargetArn) -> Place {
    Place {
        never: never(&role),
        role,
    }
}

/// Why no inline policy of the target can end its sessions (IAM User Guide, "Revoke IAM role
/// temporary security credentials").
fn never(role: &TargetArn) -> Option<String> {
    let text = match role.kind() {
        TargetKind::User => {
            "The sessions of an IAM user's keys (session-token) are ended by a policy of that user, \
             which is not written here. It ends everybody's sessions of these keys."
        }
        TargetKind::FederatedUser => {
            "Federated users (federation-token) are ended by a policy of the IAM user whose keys \
             open them, which is not written here."
        }
        TargetKind::Role if role.name().starts_with("AWSReservedSSO_") => {
            "AWS lets nobody change a role of IAM Identity Center. Its sessions are ended there."
        }
        TargetKind::Role if role.as_str().contains(":role/aws-service-role/") => {
            "AWS lets nobody change a service-linked role."
        }
        TargetKind::Role => return None,
    };
    Some(text.to_owned())
}

fn names(opened: &[OpenedRole]) -> (Vec<String>, Vec<String>) {
    let all = |of: fn(&OpenedRole) -> &Vec<String>| {
        let mut names: Vec<String> = opened.iter().flat_map(of).cloned().collect();
        names.sort_unstable();
        names.dedup();
        names
    };
    (
        all(|opened| &opened.session_names),
        all(|opened| &opened.source_identities),
    )
}
