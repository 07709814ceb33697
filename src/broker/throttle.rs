//! How often sign-ins may fail, and how often one person may ask for roles.

use std::{
    collections::{HashMap, HashSet},
    net::IpAddr,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use aws_lc_rs::digest::{SHA256, digest};
use time::OffsetDateTime;

use crate::access::Identity;

/// Failures in a row that one person may have from one place before they must wait.
const PERSON_BURST: f64 = 6.0;
/// How often one more try is given back.
const PERSON_REFILL: Duration = Duration::from_secs(30);
/// Failures that one address may have over all names.
const ADDRESS_BURST: f64 = 60.0;
/// How often an address is given one more.
const ADDRESS_REFILL: Duration = Duration::from_secs(2);
/// Sign-ins that one address may begin at providers and leave unfinished; each waits in the store
/// for minutes. Far more than an office that shares an address comes with in the morning.
const DEPARTURE_BURST: f64 = 600.0;
/// How often an address is given one more.
const DEPARTURE_REFILL: Duration = Duration::from_millis(500);
/// Messages of providers from one address that may be refused: each costs a row in the audit.
const ANSWER_BURST: f64 = 1_000.0;
/// How often an address is given one more.
const ANSWER_REFILL: Duration = Duration::from_millis(100);
/// Roles that one person may ask for, whatever comes of it: each costs a signature, a call to AWS
/// and rows in the audit. Far more than anybody clicks.
const ORDER_BURST: f64 = 1_500.0;
/// How often a person is given one more.
const ORDER_REFILL: Duration = Duration::from_secs(1);
/// What the API's limits are counted in.
const MINUTE: Duration = Duration::from_mins(1);
/// What clients of one address may begin: each device authorization waits in the store for minutes.
const CLIENT_BURST: f64 = 200.0;
/// How often an address is given one more.
const CLIENT_REFILL: Duration = Duration::from_secs(3);
/// Above this many buckets the full ones are dropped, so that strangers cannot fill the memory.
const BUCKETS_BEFORE_SWEEP: usize = 10_000;

/// So many browsers are remembered at most; beyond, all are forgotten and seen anew.
const BROWSERS_SEEN: usize = 100_000;

/// Token buckets that failures empty: a try takes a token before the password is checked, and a
/// success gives it back, so that parallel tries cannot outrun the count.
#[derive(Default)]
pub(super) struct Throttle {
    buckets: Mutex<Buckets>,
    /// Browsers that somebody signed in with since the start.
    seen: Mutex<HashSet<Fingerprint>>,
}

struct Buckets {
    by_key: HashMap<Key, Bucket>,
    /// Grows with what a sweep could not drop, so that sweeping stays cheap per try.
    sweep_above: usize,
}

impl Default for Buckets {
    fn default() -> Self {
        Self {
            by_key: HashMap::new(),
            sweep_above: BUCKETS_BEFORE_SWEEP,
        }
    }
}

/// What is counted by. Per person *and* place: a stranger elsewhere cannot lock a colleague out,
/// and a browser with an earlier success counts for itself.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Key {
    /// All tries from an address (IPv6: from its /64).
    Address(IpAddr),
    /// Sign-ins at providers that were begun from an address and not finished.
    Departures(IpAddr),
    /// Messages of providers that came from an address and were refused.
    Answers(IpAddr),
    /// Tries for one person from an address.
    PersonAt(Fingerprint, IpAddr),
    /// Tries for one person from a browser that signed in as them before.
    PersonIn(Fingerprint, Fingerprint),
    /// Roles that one person asks for.
    Orders(Fingerprint),
    /// Codes of MFA devices that one person brings and AWS does not take: a million are soon tried.
    Codes(Fingerprint),
    /// Requests to the API by one person or application; so many in a minute.
    Requests(Fingerprint, u32),
    /// Roles that one person or application opens by the API; so many in a minute.
    ApiOrders(Fingerprint, u32),
    /// Registrations and device authorizations that are begun from an address.
    Clients(IpAddr),
    /// Codes of devices that one person types and nobody waits with.
    TypedCodes(Fingerprint),
    /// The same, from an address.
    TypedCodesAt(IpAddr),
    /// Tokens that came from an address and are none.
    Tokens(IpAddr),
}

/// Stands for a text of any length: people type what they like, and it is kept for a while.
type Fingerprint = [u8; 16];

fn fingerprint(text: &str) -> Fingerprint {
    let mut short = Fingerprint::default();
    short.copy_from_slice(&digest(&SHA256, text.as_bytes()).as_ref()[..16]);
    short
}

/// A connector's id has no colon.
fn of_person(identity: &Identity) -> Fingerprint {
    fingerprint(&format!("{}:{}", identity.connector, identity.subject))
}

#[derive(Debug, Clone, Copy)]
struct Bucket {
    tokens: f64,
    at: OffsetDateTime,
}

impl Key {
    pub(super) fn address(address: IpAddr) -> Self {
        Self::Address(place(address))
    }

    pub(super) fn departures(address: IpAddr) -> Self {
        Self::Departures(place(address))
    }

    pub(super) fn answers(address: IpAddr) -> Self {
        Self::Answers(place(address))
    }

    pub(super) fn person(throttle_key: &str, address: IpAddr, browser: Option<&str>) -> Self {
        let person = fingerprint(throttle_key);
        match browser {
            Some(browser) => Self::PersonIn(person, fingerprint(browser)),
            None => Self::PersonAt(person, place(address)),
        }
    }

    pub(super) fn orders(identity: &Identity) -> Self {
        Self::Orders(of_person(identity))
    }

    pub(super) fn codes(identity: &Identity) -> Self {
        Self::Codes(of_person(identity))
    }

    pub(super) fn requests(identity: &Identity, per_minute: u32) -> Self {
        Self::Requests(of_person(identity), per_minute.max(1))
    }

    pub(super) fn api_orders(identity: &Identity, per_minute: u32) -> Self {
        Self::ApiOrders(of_person(identity), per_minute.max(1))
    }

    pub(super) fn clients(address: IpAddr) -> Self {
        Self::Clients(place(address))
    }

    pub(super) fn typed_codes(identity: &Identity) -> Self {
        Self::TypedCodes(of_person(identity))
    }

    pub(super) fn typed_codes_at(address: IpAddr) -> Self {
        Self::TypedCodesAt(place(address))
    }

    pub(super) fn tokens(address: IpAddr) -> Self {
        Self::Tokens(place(address))
    }

    fn limits(&self) -> (f64, Duration) {
        match self {
            Self::Address(_) | Self::TypedCodesAt(_) | Self::Tokens(_) => {
                (ADDRESS_BURST, ADDRESS_REFILL)
            }
            Self::Departures(_) => (DEPARTURE_BURST, DEPARTURE_REFILL),
            Self::Answers(_) => (ANSWER_BURST, ANSWER_REFILL),
            Self::PersonAt(..) | Self::PersonIn(..) | Self::Codes(_) | Self::TypedCodes(_) => {
                (PERSON_BURST, PERSON_REFILL)
            }
            Self::Clients(_) => (CLIENT_BURST, CLIENT_REFILL),
            Self::Orders(_) => (ORDER_BURST, ORDER_REFILL),
            Self::Requests(_, per_minute) | Self::ApiOrders(_, per_minute) => {
                (f64::from(*per_minute), MINUTE / *per_minute)
            }
        }
    }
}

/// One customer holds a whole IPv6 /64, so that is one place.
fn place(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6((u128::from(v6) & !u128::from(u64::MAX)).into()),
        v4 @ IpAddr::V4(_) => v4,
    }
}

impl Throttle {
    /// Takes one token, or says how long to wait for the next.
    pub(super) fn take(&self, key: &Key, now: OffsetDateTime) -> Result<(), Duration> {
        let (burst, refill) = key.limits();
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.by_key.len() > buckets.sweep_above {
            buckets.by_key.retain(|key, bucket| {
                let (burst, refill) = key.limits();
                bucket.tokens_at(now, burst, refill) < burst
            });
            buckets.sweep_above = BUCKETS_BEFORE_SWEEP.max(buckets.by_key.len() * 2);
        }
        let bucket = buckets.by_key.entry(key.clone()).or_insert(Bucket {
            tokens: burst,
            at: now,
        });
        let tokens = bucket.tokens_at(now, burst, refill);
        if tokens < 1.0 {
            return Err(refill.mul_f64(1.0 - tokens));
        }
        *bucket = Bucket {
            tokens: tokens - 1.0,
            at: now,
        };
        Ok(())
    }

    /// Notes that somebody signed in with this browser.
    pub(super) fn see(&self, browser: &str) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.len() >= BROWSERS_SEEN {
            seen.clear();
        }
        seen.insert(fingerprint(browser));
    }

    /// Whether somebody signed in with this browser since the start.
    pub(super) fn has_seen(&self, browser: &str) -> bool {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.contains(&fingerprint(browser))
    }

    /// Gives a token back after a success.
    pub(super) fn give_back(&self, key: &Key) {
        let (burst, _) = key.limits();
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bucket) = buckets.by_key.get_mut(key) {
            bucket.tokens = (bucket.tokens + 1.0).min(burst);
        }
    }
}

impl Bucket {
    fn tokens_at(&self, now: OffsetDateTime, burst: f64, refill: Duration) -> f64 {
        let elapsed = (now - self.at).as_seconds_f64().max(0.0);
        (self.tokens + elapsed / refill.as_secs_f64()).min(burst)
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    const NOW: OffsetDateTime = datetime!(2026-11-24 10:00 UTC);

    fn key(browser: Option<&str>) -> Key {
        Key::person("ada", "192.0.2.1".parse().unwrap(), browser)
    }

    fn exhaust(throttle: &Throttle, key: &Key) {
        for _ in 0..6 {
            throttle.take(key, NOW).unwrap();
        }
    }

    #[test]
    fn six_failures_make_the_seventh_wait_until_time_passes() {
        let throttle = Throttle::default();
        exhaust(&throttle, &key(None));
        assert_eq!(throttle.take(&key(None), NOW).unwrap_err(), PERSON_REFILL);
        assert!(throttle.take(&key(None), NOW + PERSON_REFILL).is_ok());
    }

    #[test]
    fn successes_cost_nothing() {
        let throttle = Throttle::default();
        for _ in 0..100 {
            throttle.take(&key(None), NOW).unwrap();
            throttle.give_back(&key(None));
        }
    }

    #[test]
    fn a_stranger_cannot_lock_out_a_known_browser_or_another_place() {
        let throttle = Throttle::default();
        exhaust(&throttle, &key(None));
        assert!(throttle.take(&key(Some("known")), NOW).is_ok());
        let elsewhere = Key::person("ada", "192.0.2.2".parse().unwrap(), None);
        assert!(throttle.take(&elsewhere, NOW).is_ok());
    }

    #[test]
    fn sign_ins_left_unfinished_at_providers_keep_nobody_from_typing_a_password() {
        let throttle = Throttle::default();
        let address = "192.0.2.1".parse().unwrap();
        let departures = Key::departures(address);
        let left = (0..10_000).filter(|_| throttle.take(&departures, NOW).is_ok());
        assert_eq!(left.count(), 600);
        assert!(throttle.take(&Key::answers(address), NOW).is_ok());
        assert!(throttle.take(&Key::address(address), NOW).is_ok());
    }

    #[test]
    fn what_is_typed_is_not_kept() {
        let long = format!("typed:{}", "x".repeat(60_000));
        let key = Key::person(&long, "192.0.2.1".parse().unwrap(), Some(&long));
        assert!(format!("{key:?}").len() < 500);
        assert_ne!(
            key,
            Key::person("x", "192.0.2.1".parse().unwrap(), Some(&long))
        );
    }

    #[test]
    fn addresses_of_one_network_are_one_place() {
        let a = Key::address("2001:db8::1".parse().unwrap());
        assert_eq!(a, Key::address("2001:db8::ffff:1".parse().unwrap()));
        assert_ne!(a, Key::address("2001:db8:0:1::1".parse().unwrap()));
    }
}
