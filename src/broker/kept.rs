//! Credentials that are kept for a while, for clients that ask again and again and will not wait.
//!
//! In memory alone, and wiped when they go. Handing kept credentials out needs the same decision as
//! issuing them, without the call to AWS. Entry point: [`Broker::kept_credentials`].

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use secrecy::SecretString;
use time::{Duration, OffsetDateTime};
use tokio::sync::watch;

use super::{
    Broker, Caller, CallerWay, Client, GroupsRefused, OpenOrder, OpenRefused, open::named_role,
};
use crate::{
    access::{
        Delivery, Grant, GrantMethod, Identity, MappingId, NotEntitled, Policy, Request, TargetArn,
    },
    aws::StsError,
    store::{Revoked, SignInSession, StoreError},
};

/// With less than this left they are not handed out: clients renew five minutes before the end.
const SPENT: Duration = Duration::minutes(5);
/// With less than this left, or a third of their life, new ones are fetched on the side: from then
/// on botocore asks before each of its calls.
const STALE: Duration = Duration::minutes(15);
/// By how much kept ones may outlast what would be granted now: STS counts from when it answers.
const CALL_ALLOWANCE: Duration = Duration::minutes(1);
/// How long an AWS that throttles is left alone.
const THROTTLED_PAUSE: Duration = Duration::seconds(2);
/// How long kept credentials are served before new ones are tried for again, where that failed.
const FAILED_PAUSE: Duration = Duration::seconds(30);
/// How often the groups of one device are read on the side at most.
const GROUPS_PAUSE: Duration = Duration::minutes(1);
/// So many are kept at most; beyond, the oldest go.
const KEPT_AT_MOST: usize = 10_000;

/// Credentials that may be handed out more than once, to the one token they were issued for.
#[derive(Debug)]
pub struct KeptCredentials {
    /// The access key's id.
    pub access_key_id: String,
    /// The secret key.
    pub secret_access_key: SecretString,
    /// The session token.
    pub session_token: SecretString,
    /// When they end.
    pub expires_at: OffsetDateTime,
    /// When they were asked for: AWS issued them at that moment or a little later.
    pub issued_at: OffsetDateTime,
    /// The role.
    pub role: TargetArn,
}

/// What a call for credentials comes to, shared by all who wait for it.
type Answer = Result<Arc<KeptCredentials>, Arc<OpenRefused>>;
/// A call for credentials that is under way.
type Flight = watch::Receiver<Option<Answer>>;

/// For which device and which role.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Slot {
    session: String,
    role: TargetArn,
}

/// What is kept for one slot, and what is on its way there.
struct Entry {
    connector: String,
    subject: String,
    kept: Option<(Arc<KeptCredentials>, Terms)>,
    flight: Option<Flight>,
    /// Until when nothing new is asked for on the side.
    rests_until: Option<OffsetDateTime>,
    /// What AWS said that throttles, and until when that stands.
    throttled: Option<(Arc<OpenRefused>, OffsetDateTime)>,
    groups_asked_at: Option<OffsetDateTime>,
}

/// Everything that is kept.
#[derive(Default)]
pub(super) struct Keep(Mutex<HashMap<Slot, Entry>>);

/// What a grant makes of a session, beside its length. Whoever would be granted other terms now gets
/// new credentials.
#[derive(Clone, PartialEq, Eq)]
struct Terms {
    mapping: MappingId,
    method: GrantMethod,
    credential_source: String,
    session_name: String,
    source_identity: Option<String>,
    session_policy: Option<String>,
    policy_arns: Vec<String>,
    session_tags: BTreeMap<String, String>,
    is_read_only: bool,
    ends_by: Option<OffsetDateTime>,
}

impl Terms {
    fn of(grant: &Grant) -> Self {
        Self {
            mapping: grant.mapping().clone(),
            method: grant.method(),
            credential_source: grant.credential_source().to_owned(),
            session_name: grant.session_name().as_str().to_owned(),
            source_identity: (grant.source_identity()).map(|name| name.as_str().to_owned()),
            session_policy: grant.session_policy().map(str::to_owned),
            policy_arns: grant.policy_arns().to_vec(),
            session_tags: grant.session_tags().clone(),
            is_read_only: grant.is_read_only(),
            ends_by: grant.ends_by(),
        }
    }
}

impl KeptCredentials {
    fn is_spent(&self, now: OffsetDateTime) -> bool {
        self.expires_at - now < SPENT
    }

    /// Whether new ones should be on their way. Never in the first half of their life, so that a role
    /// with short sessions does not ask AWS on every call.
    fn is_stale(&self, now: OffsetDateTime) -> bool {
        let life = self.expires_at - self.issued_at;
        self.expires_at - now < STALE.max(life / 3).min(life / 2)
    }
}

impl Broker {
    /// The credentials of a role for a caller: those that were issued before while they last long
    /// enough, else new ones. Many calls at once make one call to AWS, which goes on when whoever
    /// asked hangs up. `role` is an ARN or `account/role`.
    ///
    /// Only what a broker token asks for is kept. Whether its scopes are enough is not looked at here;
    /// the role it is limited to is. The refusal is shared, since many wait for it.
    pub async fn kept_credentials(
        self: &Arc<Self>,
        caller: Caller,
        role: &str,
        client: &Client,
    ) -> Result<Arc<KeptCredentials>, Arc<OpenRefused>> {
        let policy = self.policy().await.map_err(unavailable)?;
        let target = named_role(&policy, role);
        let is_of_token = caller
            .role
            .as_ref()
            .is_none_or(|only| target.as_ref() == Some(only));
        let slot = match target {
            Some(role) if caller.way == CallerWay::Token && is_of_token => Slot {
                session: caller.session.id_hash.clone(),
                role,
            },
            // A session of this one call, for which nothing is kept; or refused, and recorded.
            _ => return self.issued_once(caller, role, client).await,
        };
        let session = &caller.session;
        if let Some((kept, terms)) = self.keep.look(&slot) {
            if self.may_still_have(&policy, session, &kept, &terms).await? {
                count("hit");
                self.renew_aside(&slot, &caller, &kept, client);
                return Ok(kept);
            }
            self.keep.drop_kept(&slot, &kept);
        }
        if let Some(refused) = self.keep.throttled(&slot, self.now()) {
            return Err(refused);
        }
        landed(self.flight(&slot, &caller, client, "miss")).await
    }

    /// Whether the person could have them anew just as they are; no call to AWS or the directory.
    async fn may_still_have(
        &self,
        policy: &Policy,
        session: &SignInSession,
        kept: &KeptCredentials,
        terms: &Terms,
    ) -> Result<bool, Arc<OpenRefused>> {
        let now = self.now();
        let age = now - session.identity.groups_read_at;
        let has_good_groups = !age.is_negative() && age < self.settings.groups_valid_for;
        if kept.is_spent(now) || !has_good_groups {
            return Ok(false);
        }
        let Ok(grant) = self.grant_of(policy, &session.identity, &kept.role) else {
            return Ok(false);
        };
        let longest = std::time::Duration::from(grant.duration());
        if Terms::of(&grant) != *terms || kept.expires_at > now + longest + CALL_ALLOWANCE {
            return Ok(false);
        }
        let revoked = self.adapters.revocations.revocations_of(&kept.role, now);
        let revoked = revoked.await.map_err(unavailable)?;
        let identity = &session.identity;
        let whose = (identity.connector.as_str(), identity.subject.as_str());
        Ok(!revoked.iter().any(|revocation| {
            revocation.issued_before > kept.issued_at
                && concerns(&revocation.whose, whose, &kept.role)
        }))
    }

    /// What the policy says to a program that asks for as long as it may, without a reason.
    fn grant_of(
        &self,
        policy: &Policy,
        identity: &Identity,
        role: &TargetArn,
    ) -> Result<Grant, NotEntitled> {
        let source = policy
            .effective(role)
            .map(|role| role.credential_source.clone());
        let request = Request {
            delivery: Delivery::Credentials,
            ceiling: source.and_then(|source| self.adapters.sts.ceiling(&source)),
            ..Request::console()
        };
        policy.authorize(identity, role, &request, self.now())
    }

    /// Sees to it that there are new ones, and newer groups, before the old ones no longer serve.
    fn renew_aside(
        self: &Arc<Self>,
        slot: &Slot,
        caller: &Caller,
        kept: &KeptCredentials,
        client: &Client,
    ) {
        let (session, now) = (&caller.session, self.now());
        if kept.is_stale(now) {
            if self.keep.may_renew(slot, now) {
                drop(self.flight(slot, caller, client, "refresh"));
            }
            return;
        }
        let age = now - session.identity.groups_read_at;
        if age < self.settings.groups_refresh_after || !self.keep.may_read_groups(slot, now) {
            return;
        }
        let (broker, client) = (Arc::clone(self), client.clone());
        let mut session = session.clone();
        tokio::spawn(async move {
            // Logged and recorded there; the next call sees what came of it.
            let _ = broker.freshen(&mut session, &client).await;
        });
    }

    /// The call for new credentials that is under way, or a new one in a task of its own.
    fn flight(
        self: &Arc<Self>,
        slot: &Slot,
        caller: &Caller,
        client: &Client,
        why: &'static str,
    ) -> Flight {
        let (sender, receiver) = watch::channel(None);
        if let Some(under_way) = self.keep.join(slot, &caller.session, &receiver) {
            return under_way;
        }
        count(why);
        let (broker, slot) = (Arc::clone(self), slot.clone());
        let (caller, client) = (again(caller), client.clone());
        let own = receiver.clone();
        tokio::spawn(async move {
            let issued = broker.issued_anew(caller, slot.role.as_str(), &client);
            let (answer, terms) = match issued.await {
                Ok((kept, terms)) => (Ok(Arc::new(kept)), terms),
                Err(refused) => (Err(Arc::new(refused)), None),
            };
            broker
                .keep
                .land(&slot, &own, (&answer, terms), broker.now());
            sender.send_replace(Some(answer));
        });
        receiver
    }

    /// For one call alone, which goes on when whoever asked hangs up.
    async fn issued_once(self: &Arc<Self>, caller: Caller, role: &str, client: &Client) -> Answer {
        let (broker, client, role) = (Arc::clone(self), client.clone(), role.to_owned());
        let issued = tokio::spawn(async move { broker.issued_anew(caller, &role, &client).await });
        match issued.await {
            Ok(Ok((kept, _))) => Ok(Arc::new(kept)),
            Ok(Err(refused)) => Err(Arc::new(refused)),
            Err(_) => Err(broke_off()),
        }
    }

    /// New credentials, by the same way as everybody's, with the terms they were given under where
    /// these are known for sure.
    async fn issued_anew(
        &self,
        mut caller: Caller,
        role: &str,
        client: &Client,
    ) -> Result<(KeptCredentials, Option<Terms>), OpenRefused> {
        let (before, issued_at) = (self.policy().await?, self.now());
        let order = OpenOrder {
            role: role.to_owned(),
            ..OpenOrder::default()
        };
        let issued = self.caller_credentials(&mut caller, &order, client);
        let issued = issued.await?;
        let after = self.policy().await?;
        // Where the table was edited meanwhile, it is open on which of the two was decided.
        let terms = (Arc::ptr_eq(&before, &after))
            .then(|| self.grant_of(&after, &caller.session.identity, &issued.role))
            .and_then(Result::ok)
            .map(|grant| Terms::of(&grant));
        let kept = KeptCredentials {
            access_key_id: issued.credentials.access_key_id,
            secret_access_key: issued.credentials.secret_access_key,
            session_token: issued.credentials.session_token,
            expires_at: issued.credentials.expiration,
            issued_at,
            role: issued.role,
        };
        Ok((kept, terms))
    }
}

impl Keep {
    fn entries(&self) -> MutexGuard<'_, HashMap<Slot, Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn look(&self, slot: &Slot) -> Option<(Arc<KeptCredentials>, Terms)> {
        self.entries().get(slot)?.kept.clone()
    }

    /// Drops these, unless newer ones have come meanwhile.
    fn drop_kept(&self, slot: &Slot, kept: &Arc<KeptCredentials>) {
        if let Some(entry) = self.entries().get_mut(slot)
            && (entry.kept.as_ref()).is_some_and(|(held, _)| Arc::ptr_eq(held, kept))
        {
            entry.kept = None;
        }
    }

    fn throttled(&self, slot: &Slot, now: OffsetDateTime) -> Option<Arc<OpenRefused>> {
        let entries = self.entries();
        let (refused, until) = entries.get(slot)?.throttled.as_ref()?;
        (*until > now).then(|| Arc::clone(refused))
    }

    fn may_renew(&self, slot: &Slot, now: OffsetDateTime) -> bool {
        let entries = self.entries();
        let rests_until = entries.get(slot).and_then(|entry| entry.rests_until);
        rests_until.is_none_or(|until| until <= now)
    }

    /// Whether the groups were not asked for just now; notes that they are.
    fn may_read_groups(&self, slot: &Slot, now: OffsetDateTime) -> bool {
        let mut entries = self.entries();
        let Some(entry) = entries.get_mut(slot) else {
            return false;
        };
        let may = (entry.groups_asked_at).is_none_or(|at| now - at >= GROUPS_PAUSE);
        if may {
            entry.groups_asked_at = Some(now);
        }
        may
    }

    /// The flight that is under way; else notes that this one is.
    fn join(&self, slot: &Slot, session: &SignInSession, flight: &Flight) -> Option<Flight> {
        let mut entries = self.entries();
        let entry = entries.entry(slot.clone()).or_insert_with(|| Entry {
            connector: session.identity.connector.to_string(),
            subject: session.identity.subject.clone(),
            kept: None,
            flight: None,
            rests_until: None,
            throttled: None,
            groups_asked_at: None,
        });
        // One whose task broke off has nobody left to send its answer.
        let is_alive = |flight: &Flight| flight.has_changed().is_ok();
        if let Some(under_way) = entry.flight.clone().filter(is_alive) {
            return Some(under_way);
        }
        entry.flight = Some(flight.clone());
        None
    }

    /// Keeps what a flight brought, unless the slot was forgotten meanwhile.
    fn land(
        &self,
        slot: &Slot,
        flight: &Flight,
        (answer, terms): (&Answer, Option<Terms>),
        now: OffsetDateTime,
    ) {
        let mut entries = self.entries();
        let Some(entry) = entries.get_mut(slot) else {
            return;
        };
        if !(entry.flight.as_ref()).is_some_and(|own| own.same_channel(flight)) {
            return;
        }
        entry.flight = None;
        match answer {
            Ok(kept) => {
                entry.kept = terms.map(|terms| (Arc::clone(kept), terms));
                entry.rests_until = None;
                entry.throttled = None;
            }
            Err(refused) => {
                entry.rests_until = Some(now + FAILED_PAUSE);
                entry.throttled =
                    is_throttled(refused).then(|| (Arc::clone(refused), now + THROTTLED_PAUSE));
                if takes_away(refused) {
                    entry.kept = None;
                }
            }
        }
        tidy(&mut entries, now);
    }

    /// Drops what a revocation is about, and keeps nothing that is on its way there.
    pub(super) fn forget(&self, whose: &Revoked) {
        self.entries().retain(|slot, entry| {
            let person = (entry.connector.as_str(), entry.subject.as_str());
            !concerns(whose, person, &slot.role)
        });
    }
}

/// Drops what is over, and the oldest where it is too much.
fn tidy(entries: &mut HashMap<Slot, Entry>, now: OffsetDateTime) {
    entries.retain(|_, entry| {
        let is_kept = (entry.kept.as_ref()).is_some_and(|(kept, _)| !kept.is_spent(now));
        let is_throttled = (entry.throttled.as_ref()).is_some_and(|(_, until)| *until > now);
        entry.flight.is_some() || is_kept || is_throttled
    });
    if entries.len() <= KEPT_AT_MOST {
        return;
    }
    let mut ages: Vec<(OffsetDateTime, Slot)> = (entries.iter())
        .filter_map(|(slot, entry)| Some((entry.kept.as_ref()?.0.issued_at, slot.clone())))
        .collect();
    ages.sort_by_key(|(issued_at, _)| *issued_at);
    // Some more than needed, so that this is not done for each that comes.
    let surplus = entries.len() - KEPT_AT_MOST + KEPT_AT_MOST / 10;
    for (_, slot) in ages.into_iter().take(surplus) {
        entries.remove(&slot);
    }
}

/// The same caller, for a task of its own.
fn again(caller: &Caller) -> Caller {
    Caller {
        session: caller.session.clone(),
        scopes: caller.scopes.clone(),
        role: caller.role.clone(),
        way: caller.way.clone(),
    }
}

/// Waits for a flight.
async fn landed(mut flight: Flight) -> Answer {
    match flight.wait_for(Option::is_some).await {
        Ok(answer) => answer.clone().unwrap_or_else(|| Err(broke_off())),
        Err(_) => Err(broke_off()),
    }
}

/// The task that issues panicked.
fn broke_off() -> Arc<OpenRefused> {
    unavailable(StoreError::unavailable("issuing credentials broke off"))
}

fn unavailable(error: StoreError) -> Arc<OpenRefused> {
    Arc::new(OpenRefused::StoreUnavailable(error))
}

fn is_throttled(refused: &OpenRefused) -> bool {
    matches!(refused, OpenRefused::Sts(StsError::Throttled))
}

/// Whether a refusal says that the person may not, rather than that something does not answer.
fn takes_away(refused: &OpenRefused) -> bool {
    match refused {
        OpenRefused::Groups(refused) => !matches!(refused, GroupsRefused::StoreUnavailable(_)),
        OpenRefused::StoreUnavailable(_) | OpenRefused::Throttled { .. } | OpenRefused::Sts(_) => {
            false
        }
        _ => true,
    }
}

/// Whether a revocation is about a person's sessions of a role.
fn concerns(whose: &Revoked, (connector, subject): (&str, &str), role: &TargetArn) -> bool {
    let is_of = |named: &String, id: &String| named == connector && id == subject;
    match whose {
        Revoked::Person {
            connector: named,
            subject: id,
        } => is_of(named, id),
        Revoked::RoleSession {
            connector: named,
            subject: id,
            role: of,
        } => is_of(named, id) && of == role.as_str(),
        Revoked::Role { role: of } => of == role.as_str(),
    }
}

fn count(outcome: &'static str) {
    metrics::counter!("rolegate_kept_credentials_total", "outcome" => outcome).increment(1);
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    const ISSUED: OffsetDateTime = datetime!(2026-11-24 10:00 UTC);

    fn kept(life: Duration) -> KeptCredentials {
        KeptCredentials {
            access_key_id: "ASIAEXAMPLE".to_owned(),
            secret_access_key: "planted".to_owned().into(),
            session_token: "planted".to_owned().into(),
            expires_at: ISSUED + life,
            issued_at: ISSUED,
            role: "arn:aws:iam::111122223333:role/ReadOnly".parse().unwrap(),
        }
    }

    #[test]
    fn kept_credentials_are_renewed_in_time_for_clients_and_never_in_their_first_half() {
        let stale_after = |life: i64| {
            let kept = kept(Duration::minutes(life));
            (0..life).find(|minutes| kept.is_stale(ISSUED + Duration::minutes(*minutes)))
        };
        // A whole minute later than a third, 15 minutes or the half are left.
        assert_eq!(stale_after(720), Some(481));
        assert_eq!(stale_after(60), Some(41));
        assert_eq!(stale_after(40), Some(26));
        assert_eq!(stale_after(15), Some(8));
    }

    #[test]
    fn kept_credentials_are_not_handed_out_with_less_than_five_minutes_left() {
        let kept = kept(Duration::HOUR);
        assert!(!kept.is_spent(ISSUED + Duration::minutes(55)));
        assert!(kept.is_spent(ISSUED + Duration::minutes(55) + Duration::SECOND));
    }

    #[test]
    fn what_is_kept_does_not_show_its_secrets() {
        let shown = format!("{:?}", kept(Duration::HOUR));
        assert!(!shown.contains("planted"), "{shown}");
    }

    #[test]
    fn a_revocation_is_about_those_whom_it_names_and_nobody_else() {
        let role = kept(Duration::HOUR).role;
        let ada = ("corp", "ada");
        let text = |text: &str| text.to_owned();
        let person = |subject| Revoked::Person {
            connector: text("corp"),
            subject: text(subject),
        };
        assert!(concerns(&person("ada"), ada, &role));
        assert!(!concerns(&person("bob"), ada, &role));
        let session = |role: &str| Revoked::RoleSession {
            connector: text("corp"),
            subject: text("ada"),
            role: text(role),
        };
        assert!(concerns(&session(role.as_str()), ada, &role));
        let other = "arn:aws:iam::111122223333:role/Admin";
        assert!(!concerns(&session(other), ada, &role));
        let whole = |role: &str| Revoked::Role { role: text(role) };
        assert!(concerns(&whole(role.as_str()), ("corp", "bob"), &role));
        assert!(!concerns(&whole(other), ada, &role));
    }
}
