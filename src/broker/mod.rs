//! The use-cases: they order the steps of signing in and opening a role, and audit them.
//!
//! Never here: HTTP, HTML, SQL, LDAP, wire formats. Every grant goes authorize → durable intent →
//! STS → sign-in token → outcome → answer; without an intent row there is no call to AWS, and
//! without an outcome row the credentials are dropped. Entry point: [`Broker`].

mod audit_trail;
mod caller;
mod crowd;
mod discovery;
mod edit;
mod explain;
mod foreign;
mod groups;
mod kept;
mod links;
mod logout;
mod mapping_file;
mod open;
mod people;
mod person;
mod policy_cache;
mod probe;
mod proof;
mod quota;
mod redirect;
mod review;
mod revoke;
mod service;
mod setup;
mod sign_in;
mod stock;
mod table;
mod throttle;
mod token;

use std::{net::IpAddr, sync::Arc, time::Duration};

use url::Url;

use crate::{
    access::{AccessRules, ConnectorId, Policy, PolicySettings, PolicyTables},
    aws::{Iam, SignIn, Sts},
    clock::Clock,
    store::{
        AccessReviews, AuditLog, BrokerTokens, Conversations, KnownPeople, PendingEdits,
        PersonStore, PolicyStore, Revocations, RoleProbes, SignInSessions, StoreHealth,
    },
};

pub use crate::aws::setup::printed as setup_text;
pub use crate::{
    audit::{Action, Actor, AuditEvent, Outcome, csv},
    aws::{Issuer, SignInUrl, destination::DestinationError, paste::Pasted as PastedText},
    identity::{
        Answer, AttemptSecret, Carried, Connector, Departure, GroupMembers, GroupSummary,
        HeldProof, LogoutMessage, Member, Protocol, RedirectConnector, TokenRefusal, TrustedIssuer,
        saml::refusal::Reason,
    },
    store::{
        AccessReview, AuditFilter, AuditRow, ChainHead, ChainReport, ChainStatus, Device, OpenRole,
        PendingEdit, PendingState, Preferences, ProbeState, ReviewDecision, ReviewItem, RoleProbe,
        RoleSession, SignInSession, StoreError,
    },
};
pub use audit_trail::{ChainCheck, ChainVerdict};
pub use caller::{Caller, CallerRefused, CallerWay, Presented};
pub use discovery::{DiscoveredRole, NotDiscovered, Trust};
pub use edit::{
    CHANGES_AT_MOST, Conflict, EditDraft, EditPreview, EditRefused, HistoryEntry, HistoryFilter,
    RowChange, Saved, Undo, Wait,
};
pub use explain::{Asker, ExplainRefused, PersonExplained};
pub use groups::GroupsRefused;
pub use kept::KeptCredentials;
pub use links::Links;
pub use logout::ProviderLogout;
pub use mapping_file::{MappingFileState, MappingFileTrouble};
pub use open::{
    CallerOpened, CodeTrouble, IssuedCredentials, OpenOrder, OpenRefused, Opened, SamlPost,
};
pub use people::{Crowd, Found, FoundPerson, GroupRecord, PersonRecord, Progress};
pub use person::PickerState;
pub use probe::{NotRead, ProbeBudget, ProbeOrder, ProbeRound, TrustToAdd};
pub use proof::SessionSecret;
pub use quota::ApiSettings;
pub use redirect::{Finished, Kept, RedirectArrival, RedirectSignInRefused, RedirectWish};
pub use review::{AccessRow, ReviewEnds, ReviewScope, ReviewWish, ReviewWord};
pub use revoke::{
    CANNOT_BE_UNDONE, PlannedRole, Reach, RevocationPlan, RevocationRecord, RevokeAnswer,
    RevokeOrder, RevokeRefused, RevokedBy, RoleAnswer, TAKES_EFFECT, Whom, WrittenHow,
};
pub use setup::{SetUp, SetUpOrder, SetUpRefused, fresh_external_id};
pub use sign_in::{SignInAttempt, SignInRefused, person as acting_person};
pub use stock::{ListPart, ListPlace, StockAccount, StockRoles};

pub use token::{
    AuthorizeOrder, AuthorizeRefused, ClientProof, ClientWish, Consent, DeviceAsked, DeviceRefused,
    DeviceStarted, IssuedTokens, MadeToken, NotMade, RegisteredClient, TokenOrder, TokenRefused,
    TokenSettings, TokenWish,
};

use mapping_file::MappingFileWatch;
use policy_cache::PolicyCache;
use throttle::Throttle;

/// The deadlines and names that the use-cases follow.
#[derive(Debug, Clone)]
pub struct BrokerSettings {
    /// What browsers see.
    pub public_url: Url,
    /// A sign-in session unused for so long ends.
    pub idle_timeout: Duration,
    /// A sign-in session ends after so long, whatever happens.
    pub absolute_timeout: Duration,
    /// Groups older than this are read again before a grant.
    pub groups_refresh_after: Duration,
    /// How long old groups serve while the directory is unreachable.
    pub groups_valid_for: Duration,
    /// The region that consoles open in where nothing else says.
    pub default_region: String,
    /// The console's address where it is not AWS's own.
    pub console_url: Option<Url>,
    /// AWS's SAML sign-in address where it is not the partition's own.
    pub saml_endpoint: Option<Url>,
    /// The name of the role by which IAM is read, in each account.
    pub read_role: Option<String>,
    /// The name of the role by which sessions are ended, in each account.
    pub revoker_role: Option<String>,
    /// Where people change an expired password, by connector.
    pub password_change_urls: Vec<(ConnectorId, Url)>,
    /// What the configuration adds to the table.
    pub policy: PolicySettings,
    /// The rows of the mapping file at the start, which stand beside the store's.
    pub file_tables: PolicyTables,
    /// Who may do what here.
    pub access: AccessRules,
    /// How long an edit waits for a second person before it lapses.
    pub pending_edits_expire_after: Duration,
    /// How often one caller of the API may ask.
    pub api: ApiSettings,
    /// The deadlines of broker tokens.
    pub tokens: TokenSettings,
}

/// What the use-cases work with.
#[expect(missing_debug_implementations, reason = "a bundle of trait objects")]
pub struct Adapters {
    /// The ways to sign in, in the order people see them.
    pub connectors: Vec<Connector>,
    /// The Security Token Service.
    pub sts: Arc<dyn Sts>,
    /// The console's federation endpoint.
    pub sign_in: Arc<dyn SignIn>,
    /// The broker as an identity provider, where it is one.
    pub issuer: Option<Arc<Issuer>>,
    /// IAM and Organizations.
    pub iam: Arc<dyn Iam>,
    /// Accounts, roles, mappings.
    pub policy: Arc<dyn PolicyStore>,
    /// Sign-in sessions.
    pub sessions: Arc<dyn SignInSessions>,
    /// Broker tokens.
    pub tokens: Arc<dyn BrokerTokens>,
    /// Whose tokens applications may bring.
    pub trusted_issuers: Vec<Arc<dyn TrustedIssuer>>,
    /// What is going on between people and their providers.
    pub conversations: Arc<dyn Conversations>,
    /// What belongs to one person.
    pub people: Arc<dyn PersonStore>,
    /// Whoever has signed in here.
    pub known_people: Arc<dyn KnownPeople>,
    /// Edits that wait for a second person.
    pub pending_edits: Arc<dyn PendingEdits>,
    /// Access reviews.
    pub reviews: Arc<dyn AccessReviews>,
    /// What is known of roles by probing them.
    pub probes: Arc<dyn RoleProbes>,
    /// Revocations.
    pub revocations: Arc<dyn Revocations>,
    /// The audit log.
    pub audit: Arc<dyn AuditLog>,
    /// Whether the store answers.
    pub health: Arc<dyn StoreHealth>,
    /// Wall time.
    pub clock: Arc<dyn Clock>,
}

/// The use-cases, shared by every request.
#[expect(missing_debug_implementations, reason = "a bundle of trait objects")]
pub struct Broker {
    adapters: Adapters,
    settings: BrokerSettings,
    policy: PolicyCache,
    mapping_file: MappingFileWatch,
    throttle: Throttle,
    chain_checks: audit_trail::ChainChecks,
    revoking: revoke::Writing,
    known_probes: probe::KnownProbes,
    keep: kept::Keep,
}

/// From where a request comes.
#[derive(Debug, Clone)]
pub struct Client {
    /// The client's address, behind trusted proxies.
    pub address: IpAddr,
    /// The id on the response and in the log.
    pub request_id: String,
    /// The browser, as it names itself; cut to 200 characters.
    pub user_agent: String,
    /// What tells browsers with an earlier sign-in apart; the hash of a cookie.
    pub browser: Option<String>,
}

impl Broker {
    /// Joins the adapters.
    pub fn new(adapters: Adapters, settings: BrokerSettings) -> Self {
        let policy = PolicyCache::new(settings.policy.clone(), settings.file_tables.clone());
        Self {
            adapters,
            settings,
            policy,
            mapping_file: MappingFileWatch::default(),
            throttle: Throttle::default(),
            chain_checks: audit_trail::ChainChecks::default(),
            revoking: revoke::Writing::default(),
            known_probes: probe::KnownProbes::default(),
            keep: kept::Keep::default(),
        }
    }

    /// Closes what a crash left open and notes the start; nothing is served before.
    pub async fn start(&self) -> Result<u64, StoreError> {
        let now = self.now();
        let orphans = self.adapters.audit.close_orphans(now).await?;
        let event = AuditEvent::new(now, Action::ProgramStart, Outcome::Ok, Actor::System)
            .with("version", env!("CARGO_PKG_VERSION"))
            .with("orphaned_intents", orphans);
        self.adapters.audit.append(&event).await?;
        Ok(orphans)
    }

    /// What is decided on at this moment: the snapshot, renewed when the table was edited.
    pub async fn policy(&self) -> Result<Arc<Policy>, StoreError> {
        self.policy.current(self.adapters.policy.as_ref()).await
    }

    /// The ways to sign in.
    pub fn connectors(&self) -> &[Connector] {
        &self.adapters.connectors
    }

    /// Rolegate as an identity provider, where it is one.
    pub fn issuer(&self) -> Option<&Issuer> {
        self.adapters.issuer.as_deref()
    }

    /// Whose tokens applications may bring.
    pub fn trusted_issuers(&self) -> &[Arc<dyn TrustedIssuer>] {
        &self.adapters.trusted_issuers
    }

    /// Whether the store can be read and written.
    pub async fn is_ready(&self) -> Result<(), StoreError> {
        self.adapters.health.ping().await
    }

    /// The deadlines and names in force.
    pub fn settings(&self) -> &BrokerSettings {
        &self.settings
    }

    /// The present moment.
    pub fn now(&self) -> time::OffsetDateTime {
        self.adapters.clock.now()
    }

    fn connector(&self, id: &ConnectorId) -> Option<&Connector> {
        self.adapters
            .connectors
            .iter()
            .find(|connector| connector.id() == id)
    }

    /// An event about a person, with what the request tells.
    fn event(&self, action: Action, outcome: Outcome, actor: Actor, client: &Client) -> AuditEvent {
        AuditEvent {
            client_address: Some(client.address),
            request_id: Some(client.request_id.clone()),
            ..AuditEvent::new(self.now(), action, outcome, actor)
        }
    }
}
