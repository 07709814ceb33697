//! Ending role sessions that AWS has issued: one person's, one person's of a role, or a role's.
//!
//! First what is ours ends at once, the sign-in sessions; then the revocation is written down; then
//! a policy that denies what was issued before goes to every role that is touched, by the revoker
//! role of its account where there is one, and is otherwise handed out to be pasted. What AWS does
//! not take now is tried again by [`Broker::settle_revocations`], from what is written down. Never
//! here: the policy's text, which is [`access::revocation`](crate::access::revocation)'s. Entry
//! points: [`Broker::plan_revocation`], [`Broker::revoke`].

mod apply;
mod whom;

use std::time::Duration;

use thiserror::Error;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Broker, Client, EditRefused, edit::Refusal, edit::WORDS_AT_MOST, sign_in::person};
use crate::{
    access::{
        ConnectorId, TargetArn,
        revocation::{LONGEST_ROLE_SESSION, RevocationPolicy, whole_second},
    },
    audit::{Action, Actor, AuditEvent, Outcome},
    aws::issuer::LONGEST_LIFETIME,
    store::{Revocation, Revoked, RevokedRole, SignInSession, StoreError},
};
pub(super) use apply::Writing;
use whom::Meant;

/// How long it takes AWS.
pub const TAKES_EFFECT: &str = "AWS spreads a changed policy within seconds, at times up to five \
                                minutes. Until then the sessions can still be used.";
/// What no revocation can do; sentences.
pub const CANNOT_BE_UNDONE: [&str; 3] = [
    "What the sessions have done stays done: look at CloudTrail for it.",
    "A resource policy that names the session itself may still allow it, and a further role that was \
     opened from within a session is another session.",
    "A revocation is not taken back: whoever is entitled opens the role anew.",
];

/// How many revocations a page lists.
const LISTED: u32 = 200;

/// Whose sessions are to be ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whom {
    /// All of one person's, and their sign-ins here.
    Person {
        /// The connector.
        connector: ConnectorId,
        /// The stable id.
        subject: String,
    },
    /// Those of the role and the person of one role session, by its id: AWS cannot tell two sessions
    /// of one person in one role apart.
    RoleSession(String),
    /// Everybody's of one role.
    Role(TargetArn),
}

/// What somebody wants to revoke.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevokeOrder {
    /// Whose sessions.
    pub whom: Whom,
    /// Why; at most 500 characters.
    pub reason: Option<String>,
}

/// Who revokes.
#[derive(Debug)]
pub enum RevokedBy<'a> {
    /// Somebody their own sessions. The browser that asks stays signed in.
    Themselves(&'a SignInSession),
    /// Helpdesk, who may end a person's sessions whatever their scope is, or admins, who may end a
    /// whole role's too. The groups are read anew.
    Staff(&'a mut SignInSession),
    /// The host's command line.
    Host(Actor),
}

/// How the policy comes to a role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WrittenHow {
    /// Through the revoker role.
    Here,
    /// By hand: no revoker role is configured.
    ByHand,
    /// Not at all, and why.
    Never(String),
}

/// A role as a revocation would touch it.
#[derive(Debug, Clone)]
pub struct PlannedRole {
    /// The role.
    pub role: TargetArn,
    /// How the policy comes there.
    pub how: WrittenHow,
    /// The policy as it would be, with what is in force already; for targets that have none of
    /// their own, that of the IAM user behind them.
    pub policy: Option<RevocationPolicy>,
}

/// What a revocation would do.
#[derive(Debug, Clone)]
pub struct RevocationPlan {
    /// Whose sessions, in words: `ada at corp`.
    pub whose: String,
    /// Whether sign-ins here end too.
    pub ends_sign_ins: bool,
    /// How many sign-ins there are.
    pub sign_ins: usize,
    /// The roles.
    pub roles: Vec<PlannedRole>,
}

/// How far a revocation came at one role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reach {
    /// The policy is there.
    Applied,
    /// It is not there yet, why, and that it will be tried again.
    Later(String),
    /// No revoker role is configured: the policy is to be pasted.
    Paste,
    /// It cannot be done by a policy of this target, and why.
    Never(String),
}

/// What became of a revocation at one role.
#[derive(Debug, Clone)]
pub struct RoleAnswer {
    /// The role.
    pub role: TargetArn,
    /// How far it came.
    pub reach: Reach,
    /// The policy that is there, or should be.
    pub policy: Option<RevocationPolicy>,
}

/// What became of a revocation.
#[derive(Debug, Clone)]
pub struct RevokeAnswer {
    /// Its id.
    pub id: String,
    /// Whose sessions, in words.
    pub whose: String,
    /// Sessions issued before this moment are denied.
    pub issued_before: OffsetDateTime,
    /// From when on none of them can be left.
    pub expires_at: OffsetDateTime,
    /// How many sign-ins here have ended.
    pub sign_ins_ended: u64,
    /// The roles.
    pub roles: Vec<RoleAnswer>,
}

impl RevokeAnswer {
    /// At how many roles the policy is not there yet and will be tried again.
    pub fn later(&self) -> usize {
        let is_later = |role: &&RoleAnswer| matches!(role.reach, Reach::Later(_));
        self.roles.iter().filter(is_later).count()
    }
}

/// A revocation as it is kept.
#[derive(Debug, Clone)]
pub struct RevocationRecord {
    /// Its id.
    pub id: String,
    /// Whose sessions, in words.
    pub whose: String,
    /// The connector and the stable id of the person; none for a whole role.
    pub person: Option<(String, String)>,
    /// Sessions issued before this moment are denied.
    pub issued_before: OffsetDateTime,
    /// From when on none of them can be left.
    pub expires_at: OffsetDateTime,
    /// Who revoked.
    pub by: String,
    /// Why.
    pub reason: Option<String>,
    /// How far it came, role by role.
    pub roles: Vec<(String, Reach)>,
}

/// Why nothing was revoked.
#[derive(Debug, Error)]
pub enum RevokeRefused {
    /// The person may not.
    #[error("{0}")]
    NotAllowed(String),
    /// There is no such person or session.
    #[error("{0}")]
    NotFound(String),
    /// The order cannot be taken.
    #[error("{0}")]
    Problem(String),
    /// The store does not answer. Sign-ins may have ended.
    #[error("the store is unavailable")]
    StoreUnavailable(#[from] StoreError),
}

/// Who revokes, after it is known that they may.
struct Permitted {
    actor: Actor,
    name: String,
    /// The sign-in that stays.
    keep: Option<String>,
}

impl Broker {
    /// What a revocation would do; nothing is done and nothing written down.
    pub async fn plan_revocation(
        &self,
        whom: &Whom,
        mut by: RevokedBy<'_>,
        client: Option<&Client>,
    ) -> Result<RevocationPlan, RevokeRefused> {
        self.permit(whom, &mut by, client).await?;
        let meant = self.meant(whom, &by).await?;
        let revocation = self.revocation_of(&meant, String::new(), "").await?;
        let mut roles = Vec::with_capacity(meant.places.len());
        for place in &meant.places {
            let policy = match &place.never {
                Some(_) => self.policy_of_user(&place.role, &revocation),
                None => self.policy_with(&place.role, Some(&revocation)).await?,
            };
            roles.push(PlannedRole {
                role: place.role.clone(),
                how: match &place.never {
                    Some(why) => WrittenHow::Never(why.clone()),
                    None if self.settings.revoker_role.is_some() => WrittenHow::Here,
                    None => WrittenHow::ByHand,
                },
                policy,
            });
        }
        let ends_sign_ins = matches!(whom, Whom::Person { .. });
        let sign_ins = match whom {
            Whom::Person { connector, subject } => {
                let sessions = self.adapters.sessions.as_ref();
                sessions
                    .sessions_of(connector.as_str(), subject)
                    .await?
                    .len()
            }
            _ => 0,
        };
        Ok(RevocationPlan {
            whose: meant.words,
            ends_sign_ins,
            sign_ins,
            roles,
        })
    }

    /// Ends sessions, as far as that can be done now. Where this returns, a session that is opened
    /// from then on is not touched, unless assertions for the browser were made a moment ago: then
    /// from [`issued_before`](RevokeAnswer::issued_before) on.
    pub async fn revoke(
        &self,
        order: &RevokeOrder,
        mut by: RevokedBy<'_>,
        client: Option<&Client>,
    ) -> Result<RevokeAnswer, RevokeRefused> {
        let reason = order.reason.as_deref().map(str::trim).unwrap_or_default();
        if reason.chars().count() > WORDS_AT_MOST {
            return Err(RevokeRefused::Problem(format!(
                "The reason has more than {WORDS_AT_MOST} characters."
            )));
        }
        let permitted = self.permit(&order.whom, &mut by, client).await?;
        let meant = self.meant(&order.whom, &by).await?;
        // First, so that nothing new is opened from them after the moment that counts.
        let sign_ins_ended = self.end_sign_ins(&order.whom, &permitted).await?;
        // What was opened until now, with what was on its way.
        let meant = match order.whom {
            Whom::Person { .. } => self.meant(&order.whom, &by).await?,
            _ => meant,
        };
        let revocation = self.revocation_of(&meant, permitted.name.clone(), reason);
        let revocation = revocation.await?;
        let event = self.event_about(&revocation, &meant, permitted.actor, client);
        let event = event.with("sign_ins_ended", sign_ins_ended);
        let kept: Vec<RevokedRole> = (meant.places.iter())
            .map(|place| RevokedRole {
                revocation: revocation.id.clone(),
                role: place.role.to_string(),
                applied_at: None,
                failure: place.never.clone(),
                is_final: place.never.is_some(),
            })
            .collect();
        let revocations = &self.adapters.revocations;
        revocations.revoke(&revocation, &kept, &event).await?;
        self.keep.forget(&revocation.whose);
        let roles = self.apply_everywhere(&meant, &revocation).await;
        self.wait_until(revocation.issued_before).await;
        Ok(RevokeAnswer {
            id: revocation.id,
            whose: meant.words,
            issued_before: revocation.issued_before,
            expires_at: revocation.expires_at,
            sign_ins_ended,
            roles,
        })
    }

    /// The newest revocations, and how far they came.
    pub async fn revocations(&self) -> Result<Vec<RevocationRecord>, StoreError> {
        let rows = self.adapters.revocations.revocations(LISTED).await?;
        let mut records = Vec::with_capacity(rows.len());
        for (revocation, roles) in rows {
            records.push(self.recorded(revocation, roles).await?);
        }
        Ok(records)
    }

    /// One of the newest revocations, with the policies that are there or should be, role by role.
    pub async fn revocation(
        &self,
        id: &str,
    ) -> Result<Option<(RevocationRecord, Vec<Option<RevocationPolicy>>)>, StoreError> {
        let rows = self.adapters.revocations.revocations(LISTED).await?;
        let found = rows.into_iter().find(|(revocation, _)| revocation.id == id);
        let Some((revocation, roles)) = found else {
            return Ok(None);
        };
        let mut policies = Vec::with_capacity(roles.len());
        for role in &roles {
            let policy = match role.role.parse::<TargetArn>() {
                Ok(arn) if role.is_final => self.policy_of_user(&arn, &revocation),
                Ok(arn) => self.policy_with(&arn, None).await?,
                Err(_) => None,
            };
            policies.push(policy);
        }
        let record = self.recorded(revocation, roles).await?;
        Ok(Some((record, policies)))
    }

    async fn recorded(
        &self,
        revocation: Revocation,
        roles: Vec<RevokedRole>,
    ) -> Result<RevocationRecord, StoreError> {
        let is_written_here = self.settings.revoker_role.is_some();
        let is_past = revocation.expires_at <= self.now();
        let roles = roles.into_iter().map(|role| {
            let reach = match (role.applied_at, role.failure) {
                (Some(_), _) => Reach::Applied,
                (None, why) if role.is_final => Reach::Never(why.unwrap_or_default()),
                (None, _) if is_past => {
                    Reach::Never("It was never written, and all such sessions have ended.".into())
                }
                (None, why) if is_written_here => {
                    Reach::Later(why.unwrap_or_else(|| "It is next.".to_owned()))
                }
                (None, _) => Reach::Paste,
            };
            (role.role, reach)
        });
        Ok(RevocationRecord {
            roles: roles.collect(),
            whose: self.words_about(&revocation.whose).await?,
            person: match revocation.whose {
                Revoked::Person { connector, subject }
                | Revoked::RoleSession {
                    connector, subject, ..
                } => Some((connector, subject)),
                Revoked::Role { .. } => None,
            },
            id: revocation.id,
            issued_before: revocation.issued_before,
            expires_at: revocation.expires_at,
            by: revocation.by,
            reason: revocation.reason,
        })
    }

    /// A revocation of this moment. AWS tells whole seconds of issue, so the second that has begun
    /// counts in full. An assertion that a browser may still hold opens a session as long as it is
    /// good, so that time counts too.
    async fn revocation_of(
        &self,
        meant: &Meant,
        by: String,
        reason: &str,
    ) -> Result<Revocation, StoreError> {
        let created_at = self.now();
        let revocations = &self.adapters.revocations;
        let since = created_at - LONGEST_LIFETIME;
        let last_posted = revocations.last_posted(&meant.whose, since).await?;
        let redeemed_by = last_posted.map(|posted| posted + LONGEST_LIFETIME);
        let last_issue = redeemed_by.map_or(created_at, |redeemed| redeemed.max(created_at));
        let issued_before = whole_second(last_issue + time::Duration::NANOSECOND);
        Ok(Revocation {
            id: Uuid::now_v7().to_string(),
            whose: meant.whose.clone(),
            session_names: meant.session_names.clone(),
            source_identities: meant.source_identities.clone(),
            issued_before,
            created_at,
            expires_at: issued_before + LONGEST_ROLE_SESSION,
            by,
            reason: (!reason.is_empty()).then(|| reason.to_owned()),
        })
    }

    /// Waits for the rest of the second, which is denied in full.
    async fn wait_until(&self, moment: OffsetDateTime) {
        let rest = Duration::try_from(moment - self.now()).unwrap_or_default();
        tokio::time::sleep(rest.min(Duration::from_secs(1))).await;
    }

    /// Whether they may; a refusal is audited.
    async fn permit(
        &self,
        whom: &Whom,
        by: &mut RevokedBy<'_>,
        client: Option<&Client>,
    ) -> Result<Permitted, RevokeRefused> {
        match by {
            RevokedBy::Host(actor) => Ok(Permitted {
                name: match actor {
                    Actor::Host { uid } => format!("host:{uid}"),
                    _ => "host".to_owned(),
                },
                actor: actor.clone(),
                keep: None,
            }),
            // That they are their own, `meant` has seen.
            RevokedBy::Themselves(session) => Ok(Permitted {
                actor: person(&session.identity),
                name: session.identity.username.clone(),
                keep: Some(session.id_hash.clone()),
            }),
            RevokedBy::Staff(session) => {
                let Some(client) = client else {
                    let message = "Staff comes by a page.".to_owned();
                    return Err(RevokeRefused::NotAllowed(message));
                };
                let editor = self.editor(session, client).await;
                let identity = match editor {
                    Ok(editor) => editor.identity,
                    Err(refusal) => return Err(in_words(refusal)),
                };
                let authority = self.authority(&identity);
                let actor = person(&identity);
                let missing = match whom {
                    _ if authority.is_admin => None,
                    Whom::Role(_) => Some((
                        "not_admin",
                        "Ending everybody's sessions of a role takes an admin.",
                    )),
                    _ if authority.helpdesk.is_empty() => Some((
                        "not_staff",
                        "Ending somebody's sessions takes somebody of the helpdesk or an admin.",
                    )),
                    _ => None,
                };
                if let Some((code, message)) = missing {
                    self.note_refusal(code, actor, client).await?;
                    return Err(RevokeRefused::NotAllowed(message.to_owned()));
                }
                Ok(Permitted {
                    actor,
                    name: identity.username,
                    keep: None,
                })
            }
        }
    }

    async fn note_refusal(
        &self,
        code: &str,
        actor: Actor,
        client: &Client,
    ) -> Result<(), StoreError> {
        let event = AuditEvent {
            reason: Some(code.to_owned()),
            ..self.event(Action::SessionRevoke, Outcome::Refused, actor, client)
        };
        self.adapters.audit.append(&event).await?;
        Ok(())
    }

    async fn end_sign_ins(&self, whom: &Whom, by: &Permitted) -> Result<u64, StoreError> {
        let Whom::Person { connector, subject } = whom else {
            return Ok(0);
        };
        let sessions = &self.adapters.sessions;
        let Some(keep) = &by.keep else {
            return sessions.end_sessions_of(connector.as_str(), subject).await;
        };
        let mut ended = 0;
        for session in sessions.sessions_of(connector.as_str(), subject).await? {
            if session.id_hash != *keep {
                sessions.end_session(&session.id_hash).await?;
                ended += 1;
            }
        }
        Ok(ended)
    }

    fn event_about(
        &self,
        revocation: &Revocation,
        meant: &Meant,
        actor: Actor,
        client: Option<&Client>,
    ) -> AuditEvent {
        let event = match client {
            Some(client) => self.event(Action::SessionRevoke, Outcome::Ok, actor, client),
            None => AuditEvent::new(self.now(), Action::SessionRevoke, Outcome::Ok, actor),
        };
        let (kind, whose) = match &revocation.whose {
            Revoked::Person { connector, subject } => ("person", Some((connector, subject))),
            Revoked::RoleSession {
                connector, subject, ..
            } => ("role_session", Some((connector, subject))),
            Revoked::Role { .. } => ("role", None),
        };
        let about_one = match &revocation.whose {
            Revoked::Person { .. } => None,
            _ => meant.places.first(),
        };
        let mut event = AuditEvent {
            role: about_one.map(|place| place.role.to_string()),
            account: about_one.map(|place| place.role.account().to_string()),
            ..event
        }
        .with("revocation", revocation.id.as_str())
        .with("whose", kind)
        .with("issued_before", rfc3339(revocation.issued_before))
        .with("expires_at", rfc3339(revocation.expires_at))
        .with("roles", meant.places.len());
        if let Some((connector, subject)) = whose {
            let about = serde_json::json!({
                "connector": connector,
                "subject": subject,
                "username": meant.username,
            });
            event = event
                .with("person", about)
                .with("session_names", revocation.session_names.clone());
        }
        match &revocation.reason {
            Some(reason) => event.with("reason", reason.as_str()),
            None => event,
        }
    }
}

fn in_words(refusal: Refusal) -> RevokeRefused {
    match refusal.why {
        EditRefused::NotAllowed(message) => RevokeRefused::NotAllowed(message),
        EditRefused::StoreUnavailable(error) => RevokeRefused::StoreUnavailable(error),
        other => RevokeRefused::Problem(other.to_string()),
    }
}

fn rfc3339(at: OffsetDateTime) -> String {
    at.format(&time::format_description::well_known::Rfc3339)
        .unwrap_or_default()
}
