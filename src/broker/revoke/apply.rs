//! Writing to the roles of AWS what is written down here.
//!
//! The store is the truth: the policy of a role is composed of all that is in force for it, so that
//! two revocations at the same time, of this program or another one on the same store, end in the
//! same policy. Entry points: [`Broker::apply_everywhere`], [`Broker::settle_revocations`].

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use serde_json::json;
use tokio::time::timeout;

use super::{Broker, Meant, Reach, RoleAnswer, whom::Place};
use crate::{
    access::{
        Errand, TargetArn, TargetKind,
        revocation::{
            Coarser, Denial, Denied, REVOCATION_BUDGET, REVOCATION_POLICY, RevocationPolicy,
            compose,
        },
    },
    audit::{Action, Actor, AuditEvent, Outcome},
    aws::{IamError, SessionCredentials},
    broker::{Client, EditRefused, people::together, sign_in::person},
    store::{Revocation, Revoked, SignInSession, StoreError},
};

/// How many roles are written to at the same time.
const AT_ONCE: usize = 16;
/// How long whoever revokes waits for AWS; what is not done by then is done by the settling task.
const PATIENCE: Duration = Duration::from_secs(8);
/// How often a role's policy is composed anew because revocations came meanwhile.
const ROUNDS: usize = 4;
/// What other inline policies may have taken, where IAM says that ours is too long beside them.
const TAKEN: [usize; 4] = [0, 4_000, 8_000, REVOCATION_BUDGET];

/// Which roles are being written to; one at a time each.
#[derive(Debug, Default)]
pub(in crate::broker) struct Writing(Mutex<HashMap<TargetArn, Arc<LastFailure>>>);

/// What stood in the way the last time, held while a role is written to.
type LastFailure = tokio::sync::Mutex<Option<String>>;

impl Writing {
    fn of(&self, role: &TargetArn) -> Arc<LastFailure> {
        let mut roles = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // What nobody holds and nothing stood in the way of need not be remembered.
        if roles.len() > 10_000 {
            roles.retain(|_, place| Arc::strong_count(place) > 1);
        }
        Arc::clone(roles.entry(role.clone()).or_default())
    }
}

impl Broker {
    /// Writes to every role that is meant, and says how far that came.
    pub(super) async fn apply_everywhere(
        &self,
        meant: &Meant,
        revocation: &Revocation,
    ) -> Vec<RoleAnswer> {
        let began = Instant::now();
        let mut answers = Vec::with_capacity(meant.places.len());
        for places in meant.places.chunks(AT_ONCE) {
            let left = PATIENCE.saturating_sub(began.elapsed());
            let applied = places.iter().map(|place| self.apply_at(place, left));
            for (place, reach) in places.iter().zip(together(applied).await) {
                let policy = match reach {
                    Reach::Never(_) => self.policy_of_user(&place.role, revocation),
                    // It is written down already; what cannot be shown now is on its page.
                    _ => self.policy_with(&place.role, None).await.unwrap_or(None),
                };
                answers.push(RoleAnswer {
                    role: place.role.clone(),
                    reach,
                    policy,
                });
            }
        }
        answers
    }

    async fn apply_at(&self, place: &Place, patience: Duration) -> Reach {
        if let Some(why) = &place.never {
            return Reach::Never(why.clone());
        }
        if self.settings.revoker_role.is_none() {
            return Reach::Paste;
        }
        match self.write_within(patience, &place.role).await {
            Ok(()) => Reach::Applied,
            Err(why) => Reach::Later(why),
        }
    }

    /// Brings a role's policy to what the store has, if AWS answers in time.
    async fn write_within(&self, patience: Duration, role: &TargetArn) -> Result<(), String> {
        if let Ok(written) = timeout(patience, self.write_revocations(role)).await {
            return written;
        }
        let why = "AWS has not answered yet.";
        self.doubt(role, why).await;
        Err(why.to_owned())
    }

    /// What was sent and not answered may still be carried out, after what somebody else wrote
    /// meanwhile and knows to be there: so everything is written again.
    async fn doubt(&self, role: &TargetArn, why: &str) {
        let revocations = &self.adapters.revocations;
        if let Err(error) = revocations.doubt_revoked(role, why, self.now()).await {
            tracing::warn!(%role, error = &error as &dyn std::error::Error, "a revocation waits");
        }
    }

    /// Applies what is missing at AWS, and takes away what has expired; run now and then. Says at how
    /// many roles that could not be done.
    pub async fn settle_revocations(&self) -> Result<usize, StoreError> {
        // AWS's own deadlines are shorter.
        self.settle_within(Duration::from_mins(5)).await
    }

    async fn settle_within(&self, patience: Duration) -> Result<usize, StoreError> {
        if self.settings.revoker_role.is_none() {
            return Ok(0);
        }
        let roles = self
            .adapters
            .revocations
            .roles_to_settle(self.now())
            .await?;
        let began = Instant::now();
        let mut failed = 0;
        for roles in roles.chunks(AT_ONCE) {
            let left = patience.saturating_sub(began.elapsed());
            if left.is_zero() {
                // They are no worse off than before, and first in the next round.
                break;
            }
            let written = roles.iter().map(|role| self.write_within(left, role));
            let written = together(written).await;
            failed += written.iter().filter(|written| written.is_err()).count();
        }
        Ok(failed)
    }

    /// The same, at once, for somebody of the staff.
    pub async fn retry_revocations(
        &self,
        session: &mut SignInSession,
        client: &Client,
    ) -> Result<usize, EditRefused> {
        let editor = self.editor(session, client).await;
        let editor = editor.map_err(|refusal| refusal.why)?;
        let authority = self.authority(&editor.identity);
        if authority.helpdesk.is_empty() && !authority.is_admin {
            let actor = person(&editor.identity);
            self.note_refusal("not_staff", actor, client).await?;
            let message = "Trying again takes somebody of the helpdesk or an admin.";
            return Err(EditRefused::NotAllowed(message.to_owned()));
        }
        Ok(self.settle_within(PATIENCE).await?)
    }

    /// The policy of a role as the store has it, with one more revocation.
    pub(super) async fn policy_with(
        &self,
        role: &TargetArn,
        more: Option<&Revocation>,
    ) -> Result<Option<RevocationPolicy>, StoreError> {
        let now = self.now();
        let in_force = self.adapters.revocations.revocations_of(role, now).await?;
        let denials: Vec<Denial> = in_force.iter().chain(more).map(denial).collect();
        Ok(compose(&denials, now, 0))
    }

    /// The policy of the IAM user behind a target that has none of its own.
    pub(super) fn policy_of_user(
        &self,
        target: &TargetArn,
        revocation: &Revocation,
    ) -> Option<RevocationPolicy> {
        let denial = denial(revocation);
        let who = match target.kind() {
            TargetKind::Role => return None,
            TargetKind::FederatedUser => denial.who,
            // The keys of an IAM user have one `aws:userid`, whoever uses them.
            TargetKind::User => Denied::Everybody,
        };
        compose(&[Denial { who, ..denial }], self.now(), 0)
    }

    /// Brings a role's policy to what the store has; what stands in the way is noted and told.
    async fn write_revocations(&self, role: &TargetArn) -> Result<(), String> {
        let writing = self.revoking.of(role);
        let mut last_failure = writing.lock().await;
        let unavailable = |error: StoreError| {
            tracing::warn!(%role, error = &error as &dyn std::error::Error, "a revocation waits");
            "the store does not answer".to_owned()
        };
        for _ in 0..ROUNDS {
            let now = self.now();
            let revocations = &self.adapters.revocations;
            let in_force = revocations.revocations_of(role, now).await;
            let in_force = in_force.map_err(unavailable)?;
            let ids: Vec<String> = in_force.iter().map(|one| one.id.clone()).collect();
            let denials: Vec<Denial> = in_force.iter().map(denial).collect();
            let written = self.write_policy(role, &denials).await;
            let event = self.event_of_writing(role, ids.len(), &written);
            let result = match &written {
                Ok(_) => Ok(now),
                Err(why) => Err(why.clone()),
            };
            let is_news = result.is_ok() || *last_failure != result.as_ref().err().cloned();
            if is_news {
                self.adapters
                    .audit
                    .append(&event)
                    .await
                    .map_err(unavailable)?;
            }
            let noted = revocations.note_revoked(role, &ids, result).await;
            noted.map_err(unavailable)?;
            *last_failure = written.as_ref().err().cloned();
            written?;
            // Another program may have written an older state over a newer one meanwhile, or the
            // other way round: whoever writes last has seen everything.
            let after = revocations.revocations_of(role, now).await;
            if after
                .map_err(unavailable)?
                .iter()
                .map(|one| &one.id)
                .eq(&ids)
            {
                return Ok(());
            }
        }
        Ok(())
    }

    async fn write_policy(&self, role: &TargetArn, denials: &[Denial]) -> Result<Coarser, String> {
        let credentials = self.revoker_credentials(role).await?;
        let iam = &self.adapters.iam;
        for taken in TAKEN {
            let Some(policy) = compose(denials, self.now(), taken) else {
                let deleted = iam.delete_role_policy(&credentials, role, REVOCATION_POLICY);
                return deleted.await.map(|()| Coarser::No).map_err(in_words);
            };
            let document = &policy.document;
            let put = iam.put_role_policy(&credentials, role, REVOCATION_POLICY, document);
            match put.await {
                Ok(()) => return Ok(policy.coarser),
                // Other inline policies of the role need the room.
                Err(IamError::Invalid { code, .. }) if code == "LimitExceeded" => {}
                Err(error @ IamError::Unavailable(_)) => {
                    let why = in_words(error);
                    self.doubt(role, &why).await;
                    return Err(why);
                }
                Err(error) => return Err(in_words(error)),
            }
        }
        Err(
            "The role's other inline policies leave no room for one more statement. Make one of \
             them a managed policy."
                .to_owned(),
        )
    }

    /// Opens the revoker role of a role's account, for the policies of that role alone.
    async fn revoker_credentials(&self, role: &TargetArn) -> Result<SessionCredentials, String> {
        let Some(name) = &self.settings.revoker_role else {
            return Err("No revoker role is configured.".to_owned());
        };
        let (partition, account) = (role.partition(), role.account_digits());
        let revoker = format!("arn:{}:iam::{account}:role/{name}", partition.as_str());
        let revoker: TargetArn = revoker.parse().map_err(|_| {
            format!("`{name}` of aws.revoker_role cannot be the name of a role: mend it.")
        })?;
        let narrowed = json!({
            "Version": "2012-10-17",
            "Statement": [{
                "Effect": "Allow",
                "Action": [
                    "iam:GetRolePolicy",
                    "iam:PutRolePolicy",
                    "iam:DeleteRolePolicy",
                    "iam:ListRolePolicies",
                ],
                "Resource": role.as_str(),
            }],
        });
        let policy = self.policy().await;
        let policy = policy.map_err(|_| "the store does not answer".to_owned())?;
        let leave = policy
            .errand(Errand::Revoke, &revoker, narrowed.to_string())
            .map_err(|error| format!("The revoker role {revoker} cannot be opened: {error}."))?;
        let issued = self.service_session(&leave).await.map_err(|error| {
            let why = error.for_operator();
            format!("The revoker role {revoker} could not be opened. {why}")
        })?;
        Ok(issued.credentials)
    }

    fn event_of_writing(
        &self,
        role: &TargetArn,
        in_force: usize,
        written: &Result<Coarser, String>,
    ) -> AuditEvent {
        let outcome = match written {
            Ok(_) => Outcome::Ok,
            Err(_) => Outcome::Failed,
        };
        let event = AuditEvent {
            role: Some(role.to_string()),
            account: Some(role.account().to_string()),
            ..AuditEvent::new(self.now(), Action::RevocationApply, outcome, Actor::System)
        };
        let event = event.with("revocations", in_force);
        match written {
            Ok(coarser) => match coarser.sentence() {
                Some(sentence) => event.with("coarser", sentence),
                None => event,
            },
            Err(why) => event.with("failure", why.as_str()),
        }
    }
}

/// A revocation as it counts for each of its roles.
fn denial(revocation: &Revocation) -> Denial {
    let who = match &revocation.whose {
        Revoked::Role { .. } => Denied::Everybody,
        Revoked::Person { .. } | Revoked::RoleSession { .. } => Denied::Person {
            session_names: revocation.session_names.clone(),
            source_identities: revocation.source_identities.clone(),
        },
    };
    Denial {
        who,
        issued_before: revocation.issued_before,
        expires_at: revocation.expires_at,
    }
}

fn in_words(error: IamError) -> String {
    match error {
        IamError::AccessDenied { message } => format!(
            "The revoker role may not write the policy: AWS says `{message}`. It needs \
             iam:PutRolePolicy and iam:DeleteRolePolicy on the role."
        ),
        IamError::Invalid { code, message } => {
            format!("AWS did not take the policy ({code}): {message}")
        }
        IamError::Throttled => "AWS is answering too many requests just now.".to_owned(),
        IamError::Unavailable(cause) => {
            tracing::warn!(
                error = &*cause as &dyn std::error::Error,
                "IAM does not answer"
            );
            "IAM does not answer.".to_owned()
        }
    }
}
