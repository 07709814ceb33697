//! A stand-in for AWS on the loopback address: STS, the sign-in (federation) endpoint and a small
//! console page, as strict as AWS where AWS is strict.
//!
//! It shares no code with `crate::aws`, whose requests it judges. It keeps what it issued in
//! memory, secrets included, so that tests can compare; nothing of that is printed by Debug.
//! `AssumeRoleWithSAML` and `AssumeRoleWithWebIdentity` are taken without a signature alone, as they
//! need none, so that credentials which had no business there are noticed. Of STS's other calls
//! those of a broker are spoken. At the address of STS IAM answers too (by `Version`), and
//! Organizations (by `X-Amz-Target`). Trust, identity and session policies are documents that one
//! evaluator decides. Entry point: [`StandIn::start`].

mod assume_role;
mod catalogue;
mod console;
mod faults;
mod federation;
mod for_users;
mod iam;
mod jwt;
mod listener;
mod mfa;
mod organizations;
mod partition;
mod permissions;
mod policy;
mod records;
mod saml;
mod saml_sign_in;
mod session;
mod signature;
mod sts;
mod trust;
mod web_identity;
mod with_saml;
mod xml;

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use axum::Router;
use axum::http::{HeaderMap, header};
use axum::routing::{get, post};
use time::OffsetDateTime;
use tokio::sync::watch;
use url::Url;
use uuid::Uuid;

pub use catalogue::{Account, AccountStatus, Catalogue, Principal, PrincipalKind, Role, Trust};
pub use faults::{Fault, FederationFault, StsFault};
pub use mfa::MfaDevice;
pub use records::{Issued, SamlEvidence, SignIn, SignInOutcome, WebIdentityEvidence};
pub use saml::SamlProvider;
pub use sts::StsAction;
pub use web_identity::{AccessToken, OidcProvider};

use super::locked;
use faults::Faults;
use federation::{ConsoleSession, SigninToken};
use listener::{CuttableListener, Line};
use permissions::{Authority, Verdict};
use policy::Context;

/// Where the stand-in reads the time.
pub type Clock = Arc<dyn Fn() -> OffsetDateTime + Send + Sync>;

/// How many console sessions one browser can hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BrowserMode {
    /// One identity at a time: a second sign-in is refused until the first signs out.
    SingleSession,
    /// Up to five identities at once.
    #[default]
    MultiSession,
}

/// The running stand-in; dropping it stops the listener.
pub struct StandIn {
    shared: Shared,
}

impl StandIn {
    /// Listens on `address` (port 0: any free one) with the system's clock. Must be called inside
    /// a tokio runtime.
    pub fn start(catalogue: Catalogue, address: SocketAddr) -> io::Result<Self> {
        #[expect(
            clippy::disallowed_methods,
            reason = "the stand-in is a server of its own"
        )]
        Self::start_with_clock(catalogue, address, Arc::new(OffsetDateTime::now_utc))
    }

    /// The same with a clock of the caller's: signatures, credentials, tokens and console
    /// sessions are all judged by it.
    pub fn start_with_clock(
        catalogue: Catalogue,
        address: SocketAddr,
        clock: Clock,
    ) -> io::Result<Self> {
        let listener = std::net::TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let origin = format!("http://{}/", listener.local_addr()?);
        let origin = Url::parse(&origin).map_err(io::Error::other)?;
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let shared = Shared(Arc::new(Inner {
            catalogue: RwLock::new(Arc::new(catalogue)),
            clock,
            origin,
            ledger: Mutex::new(Ledger::default()),
            faults: watch::Sender::new(Faults::default()),
        }));
        let service = router(shared.clone()).into_make_service_with_connect_info::<Line>();
        let mut faults = shared.0.faults.subscribe();
        let stopped = async move {
            let _ = faults.wait_for(|faults| faults.is_stopped).await;
        };
        let server = axum::serve(CuttableListener(listener), service);
        tokio::spawn(async move { server.with_graceful_shutdown(stopped).await });
        Ok(Self { shared })
    }

    /// Changes what exists from the next request on, as an administrator of AWS would at run time;
    /// sessions that were issued stay issued.
    pub fn update(&self, change: impl FnOnce(&mut Catalogue)) {
        self.shared.change(change);
    }

    /// The STS endpoint, the base of all other addresses: `http://127.0.0.1:port/`.
    pub fn url(&self) -> Url {
        self.shared.0.origin.clone()
    }

    /// Where `getSigninToken` and `login` are.
    pub fn federation_url(&self) -> Url {
        self.shared.at("/federation")
    }

    /// The console that the stand-in takes as a `Destination` beside the real ones.
    pub fn console_url(&self) -> Url {
        self.shared.at("/console")
    }

    /// Every session issued so far, oldest first.
    pub fn issued(&self) -> Vec<Issued> {
        self.shared.ledger().issued.clone()
    }

    /// STS requests so far, refused and broken ones included.
    pub fn sts_calls(&self) -> u64 {
        self.shared.ledger().sts_calls
    }

    /// Where a browser brings an assertion: AWS's SAML sign-in, which takes it as `Recipient` beside
    /// AWS's own addresses.
    pub fn saml_url(&self) -> Url {
        self.shared.at("/saml")
    }

    /// The same of one action by its name, such as `AssumeRole`.
    pub fn sts_calls_of(&self, action: &str) -> u64 {
        let action = StsAction::named(action);
        let ledger = self.shared.ledger();
        let calls = action.and_then(|action| ledger.calls_by_action.get(&action));
        calls.copied().unwrap_or_default()
    }

    /// IAM and Organizations requests so far, refused and broken ones included.
    pub fn iam_calls(&self) -> u64 {
        self.shared.ledger().iam_calls
    }

    /// The inline policies of a role as they are now: names and documents.
    pub fn role_policies(&self, role_arn: &str) -> Vec<(String, String)> {
        let catalogue = self.shared.catalogue();
        let policies = catalogue.role(role_arn).map(|role| &role.inline_policies);
        let pairs = policies.into_iter().flatten();
        pairs
            .map(|(name, document)| (name.clone(), document.clone()))
            .collect()
    }

    /// Whether the holder of an access key may do something now: what AWS would decide by the
    /// identity policies, those of the role's name included, and the session policies. `action` is
    /// `service:Name`, `resource` an ARN or `*`. Keys that are unknown or have expired may nothing.
    pub fn is_allowed(&self, access_key_id: &str, action: &str, resource: &str) -> bool {
        let now = self.shared.now();
        let signer = self.shared.signer(access_key_id);
        let in_time = signer.filter(|(_, end)| end.is_none_or(|end| end > now));
        in_time.is_some_and(|(principal, _)| {
            let authority = self.shared.authority(&principal, now);
            let verdict = authority.verdict(action, resource, &Context::default());
            verdict == Verdict::Allowed
        })
    }

    /// The same for an open console session, by the `session` in its address. It has the identity of
    /// the credentials that opened it, and may outlive them.
    pub fn is_allowed_in_console(&self, session: &str, action: &str, resource: &str) -> bool {
        let now = self.shared.now();
        let opened_with = {
            let ledger = self.shared.ledger();
            let mut sessions = ledger.browsers.values().flatten();
            let open = sessions.find(|open| open.id == session && open.expires > now);
            open.map(|open| open.access_key_id.clone())
        };
        let signer = opened_with.and_then(|key| self.shared.signer(&key));
        signer.is_some_and(|(principal, _)| {
            let authority = self.shared.authority(&principal, now);
            let verdict = authority.verdict(action, resource, &Context::default());
            verdict == Verdict::Allowed
        })
    }

    /// Every attempt to sign in so far, oldest first.
    pub fn sign_ins(&self) -> Vec<SignIn> {
        self.shared.ledger().sign_ins.clone()
    }

    /// The `User-Agent` of every API and `getSigninToken` request so far.
    pub fn user_agents(&self) -> Vec<String> {
        self.shared.ledger().user_agents.clone()
    }

    /// What browsers behave like from now on; sessions that are open stay open.
    pub fn set_browser_mode(&self, mode: BrowserMode) {
        self.shared.ledger().mode = mode;
    }

    /// Sets a fault; one of STS and one of the sign-in endpoint can be set at a time.
    pub fn set_fault(&self, fault: Fault) {
        self.shared.0.faults.send_modify(|faults| faults.set(fault));
    }

    /// Lifts all faults.
    pub fn clear_faults(&self) {
        self.shared
            .0
            .faults
            .send_modify(|faults| *faults = Faults::default());
    }
}

impl fmt::Debug for StandIn {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("StandIn")
            .field("url", &self.shared.0.origin.as_str())
            .finish_non_exhaustive()
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        let stopped = Faults {
            is_stopped: true,
            ..Faults::default()
        };
        self.shared.0.faults.send_replace(stopped);
    }
}

fn router(shared: Shared) -> Router {
    let federation = get(federation::by_query).post(federation::by_form);
    Router::new()
        .route("/", post(sts::call).get(console::home))
        .route("/federation", federation)
        .route("/saml", post(saml_sign_in::post).get(saml_sign_in::get))
        .route("/oauth", get(federation::oauth))
        .route("/sessions/v1/opt-in", get(federation::opt_in))
        .route("/console", get(console::page))
        .route("/console/{*path}", get(console::page))
        .route("/stand-in.css", get(console::style))
        .with_state(shared)
}

#[derive(Clone)]
struct Shared(Arc<Inner>);

struct Inner {
    catalogue: RwLock<Arc<Catalogue>>,
    clock: Clock,
    origin: Url,
    ledger: Mutex<Ledger>,
    faults: watch::Sender<Faults>,
}

/// Everything that happened so far.
#[derive(Default)]
struct Ledger {
    sts_calls: u64,
    calls_by_action: HashMap<StsAction, u64>,
    used_codes: mfa::UsedCodes,
    iam_calls: u64,
    user_agents: Vec<String>,
    issued: Vec<Issued>,
    issued_by_key: HashMap<String, usize>,
    sign_ins: Vec<SignIn>,
    tokens: HashMap<String, SigninToken>,
    browsers: HashMap<String, Vec<ConsoleSession>>,
    mode: BrowserMode,
}

impl Ledger {
    fn issued(&self, access_key_id: &str) -> Option<&Issued> {
        self.issued.get(*self.issued_by_key.get(access_key_id)?)
    }
}

impl Shared {
    fn now(&self) -> OffsetDateTime {
        (self.0.clock)()
    }

    /// What exists at this moment; a request is judged by one and the same from its begin to its end.
    fn catalogue(&self) -> Arc<Catalogue> {
        let catalogue = self.0.catalogue.read();
        Arc::clone(&catalogue.unwrap_or_else(PoisonError::into_inner))
    }

    fn ledger(&self) -> std::sync::MutexGuard<'_, Ledger> {
        locked(&self.0.ledger)
    }

    fn at(&self, path: &str) -> Url {
        let mut url = self.0.origin.clone();
        url.set_path(path);
        url
    }

    fn is_own(&self, url: &Url) -> bool {
        url.origin() == self.0.origin.origin() && url.username().is_empty()
    }

    fn note_call(&self, headers: &HeaderMap, is_iam: bool) {
        let mut ledger = self.ledger();
        if is_iam {
            ledger.iam_calls += 1;
        } else {
            ledger.sts_calls += 1;
        }
        ledger.user_agents.push(user_agent(headers));
    }

    fn keep(&self, issued: Issued) {
        let mut ledger = self.ledger();
        let position = ledger.issued.len();
        ledger
            .issued_by_key
            .insert(issued.access_key_id.clone(), position);
        ledger.issued.push(issued);
    }

    /// The holder of an access key and, for issued sessions, when the key expires.
    fn signer(&self, access_key_id: &str) -> Option<(Principal, Option<OffsetDateTime>)> {
        let catalogue = self.catalogue();
        if let Some(principal) = catalogue.principal(access_key_id) {
            return Some((principal.clone(), None));
        }
        let ledger = self.ledger();
        let issued = ledger.issued(access_key_id)?;
        let (key, secret) = (&issued.access_key_id, &issued.secret_access_key);
        let role = catalogue.role(&issued.role_arn);
        let is_role = !issued.role_arn.is_empty();
        let mut principal = if is_role {
            Principal::role_session(&issued.role_arn, &issued.session_name, key)
        } else {
            Principal::user(&issued.caller_arn, key, secret)
        };
        match issued.action {
            StsAction::GetSessionToken => principal.kind = PrincipalKind::UserSession,
            StsAction::GetFederationToken => principal.kind = PrincipalKind::FederatedUser,
            _ => {}
        }
        // Of a user's session the user's own policies hold; a role that is gone allows nothing.
        principal.may_assume = match issued.action {
            StsAction::GetSessionToken => catalogue.permissions_of(&issued.caller_arn),
            _ => role.map(|role| role.may_assume.clone()).unwrap_or_default(),
        };
        principal.caller_arn.clone_from(&issued.arn);
        principal.has_mfa = issued.has_mfa;
        principal.inherited_tags = issued.transitive_tags();
        (principal.source_identity).clone_from(&issued.source_identity);
        if is_role && role.is_none() {
            return None;
        }
        let principal = principal.with_secret(secret, &issued.session_token);
        Some((principal, Some(issued.expiration)))
    }

    /// What the holder of a key may do at this moment.
    fn authority(&self, principal: &Principal, now: OffsetDateTime) -> Authority {
        let issued = self.ledger().issued(&principal.access_key_id).cloned();
        Authority::of(principal, issued.as_ref(), &self.catalogue(), now)
    }

    /// Changes what exists.
    fn change<T>(&self, change: impl FnOnce(&mut Catalogue) -> T) -> T {
        let catalogue = self.0.catalogue.write();
        let mut catalogue = catalogue.unwrap_or_else(PoisonError::into_inner);
        change(Arc::make_mut(&mut catalogue))
    }

    /// The fault for this call, counted down; waits while STS hangs.
    async fn next_sts_fault(&self) -> Option<StsFault> {
        let mut fault = None;
        self.0.faults.send_if_modified(|faults| {
            let (next, is_changed) = faults.next_of_sts();
            fault = next;
            is_changed
        });
        if fault == Some(StsFault::Hang) {
            let mut faults = self.0.faults.subscribe();
            let _ = faults
                .wait_for(|faults| faults.sts != Some(StsFault::Hang))
                .await;
        }
        fault
    }

    /// The same for the sign-in endpoint.
    async fn federation_fault(&self) -> Option<FederationFault> {
        let fault = self.0.faults.borrow().federation;
        if fault == Some(FederationFault::Hang) {
            let hang = Some(FederationFault::Hang);
            let mut faults = self.0.faults.subscribe();
            let _ = faults.wait_for(|faults| faults.federation != hang).await;
        }
        fault
    }
}

fn user_agent(headers: &HeaderMap) -> String {
    let value = headers
        .get(header::USER_AGENT)
        .and_then(|value| value.to_str().ok());
    value.unwrap_or_default().to_owned()
}

/// Random bytes; a few bits in sixteen bytes are fixed by the UUID format.
fn random_bytes(count: usize) -> Vec<u8> {
    std::iter::repeat_with(|| Uuid::new_v4().into_bytes())
        .flatten()
        .take(count)
        .collect()
}

/// Escapes text for XML and HTML, attribute values included.
fn escape(text: &str) -> String {
    text.chars().fold(
        String::with_capacity(text.len()),
        |mut escaped, character| {
            match character {
                '&' => escaped.push_str("&amp;"),
                '<' => escaped.push_str("&lt;"),
                '>' => escaped.push_str("&gt;"),
                '"' => escaped.push_str("&quot;"),
                '\'' => escaped.push_str("&#39;"),
                other => escaped.push(other),
            }
            escaped
        },
    )
}
