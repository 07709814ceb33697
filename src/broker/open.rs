//! Opening a role: from a click to a console session or to credentials.

use std::str::FromStr;

use thiserror::Error;
use time::{Duration, OffsetDateTime, format_description::well_known::Rfc3339};
use url::Url;

use super::{Broker, Client, SessionSecret, groups::GroupsRefused, sign_in::person};
use crate::{
    access::{
        AccountId, ConsoleWay, Delivery, DurationError, Grant, GrantMethod, Identity, NotEntitled,
        Policy, Request, SessionDuration, TargetArn, Voucher,
    },
    audit::{Action, AuditEvent, Outcome, witness},
    aws::{
        ConsoleVisit, Issued, Proof, SessionCredentials, SignInUrl, SignInUrlError, StsError,
        destination::{Console, Destination, DestinationError},
        partition::partition_of_region,
    },
    identity::{AwsApplication, Connector},
    store::{RoleSession, SignInSession, StoreError},
};

/// How often a decision is made anew because the table was edited under it.
const DECISIONS: usize = 3;
/// The longest reason, in characters: it is kept as long as the audit log is.
const LONGEST_REASON: usize = 500;
/// By how much a session may end after its mapping: STS counts from when it answers.
const CALL_ALLOWANCE: Duration = Duration::minutes(1);
/// An assertion that AWS will refuse so soon is not sent there any more.
const REDEEM_ALLOWANCE: Duration = Duration::seconds(5);
/// Whoever comes from their provider and has no assertion by now will have none the next time.
const JUST_SIGNED_IN: Duration = Duration::seconds(15);
/// AWS takes assertions for five minutes: one that is so young and too old means a wrong clock.
const YOUNG_ASSERTION: Duration = Duration::minutes(1);

/// What a person asks to open, as it came in the form; nothing here is trusted.
#[derive(Debug, Clone, Default)]
pub struct OpenOrder {
    /// The role's ARN, or `account/role`.
    pub role: String,
    /// Where in the console: a URL or the name of a service.
    pub destination: Option<String>,
    /// The region.
    pub region: Option<String>,
    /// `45m`, seconds, or an RFC 3339 end; none asks for the longest allowed.
    pub duration: Option<String>,
    /// Why.
    pub reason: Option<String>,
    /// Whether to narrow the session to reading.
    pub read_only: bool,
    /// Whether to sign the browser out of AWS on the way.
    pub sign_out_first: bool,
}

/// Why a role was not opened.
#[derive(Debug, Error)]
pub enum OpenRefused {
    /// The person may not, or not so.
    #[error("not entitled: {reason}")]
    NotEntitled {
        /// Why.
        reason: NotEntitled,
        /// What was asked for, where it was an ARN at all.
        role: Option<TargetArn>,
        /// How many groups were looked at.
        groups: usize,
    },
    /// The destination is no console address of the role's partition.
    #[error("the destination is not acceptable")]
    Destination(#[source] DestinationError),
    /// The reason is longer than is kept.
    #[error("the reason has more than {LONGEST_REASON} characters")]
    ReasonTooLong,
    /// The duration is none.
    #[error("the duration is not acceptable")]
    Duration(#[source] DurationError),
    /// The groups cannot be relied on.
    #[error("the groups cannot be relied on")]
    Groups(#[source] GroupsRefused),
    /// AWS wants to see an assertion of the person's provider, and the one that is held is too old
    /// or missing: a new sign-in at the provider, of the same person, brings one.
    #[error("a fresh assertion of the identity provider is needed")]
    FreshAssertion,
    /// AWS wants to see an assertion, and signing in again would bring none: the person signed in
    /// with a password, or their provider just now sent nothing that AWS takes.
    #[error("the sign-in brought no assertion that AWS takes")]
    NoAssertion,
    /// The role opens at the identity provider, in the console alone.
    #[error("the role opens in the console alone")]
    ConsoleOnly,
    /// The role opens at the identity provider, and the person's connector names no address there.
    #[error("the person's connector names no AWS application")]
    NoAwsApplication,
    /// STS issued nothing.
    #[error("STS issued nothing")]
    Sts(#[source] StsError),
    /// The federation endpoint gave no URL.
    #[error("the federation endpoint gave no sign-in URL")]
    SignIn(#[source] SignInUrlError),
    /// Nothing can be recorded, so nothing is issued.
    #[error("the store is unavailable")]
    StoreUnavailable(#[from] StoreError),
}

impl OpenRefused {
    /// Whether AWS did not answer, or asked for patience: nothing is wrong, and later helps.
    pub fn is_aws_outage(&self) -> bool {
        matches!(
            self,
            Self::Sts(StsError::Throttled | StsError::Unavailable(_))
                | Self::SignIn(SignInUrlError::Unavailable(_))
        )
    }
}

/// Credentials to show or hand out once.
#[derive(Debug)]
pub struct IssuedCredentials {
    /// The credentials.
    pub credentials: SessionCredentials,
    /// The role.
    pub role: TargetArn,
    /// The region to work in, where one is known.
    pub region: Option<String>,
    /// Whether they are narrowed to reading.
    pub is_read_only: bool,
}

/// A role that is being opened in the console.
#[derive(Debug)]
pub enum Opened {
    /// By us.
    Console(SignInUrl),
    /// By the person's identity provider, at this address.
    HandOver(Url),
}

/// What is asked for, and by whom.
struct Asked<'a> {
    order: &'a OpenOrder,
    delivery: Delivery,
    secret: Option<&'a SessionSecret>,
}

/// How a grant is carried out.
enum Way {
    /// By STS.
    Sts {
        proof: Proof,
        /// Whether the proof was made a moment ago, so that another one would be no better.
        is_young: bool,
    },
    /// By the identity provider's own AWS application.
    HandOver(Url),
}

/// What was decided.
struct Decided {
    grant: Grant,
    destination: Option<Url>,
    region: Option<String>,
}

/// A decision whose intent is on disk.
struct Announced {
    decided: Decided,
    way: Way,
    intent: String,
}

impl Broker {
    /// Opens a role in the AWS console. `secret` opens the assertion that is held with the session.
    pub async fn open_console(
        &self,
        session: &mut SignInSession,
        order: &OpenOrder,
        secret: Option<&SessionSecret>,
        client: &Client,
    ) -> Result<Opened, OpenRefused> {
        let asked = Asked {
            order,
            delivery: Delivery::Console,
            secret,
        };
        let announced = self.announced(session, &asked, client).await?;
        if let Way::HandOver(url) = &announced.way {
            let Announced {
                decided, intent, ..
            } = &announced;
            let event = self
                .outcome(&decided.grant, intent, Outcome::Ok, client)
                .with("handed_over", true);
            self.adapters.audit.conclude(&event, None).await?;
            count(&decided.grant, "ok");
            return Ok(Opened::HandOver(url.clone()));
        }
        let issued = self.issue(&announced, session, client).await?;
        self.sign_in_url(announced, issued, order, client)
            .await
            .map(Opened::Console)
    }

    /// Turns credentials into the URL that opens the console.
    async fn sign_in_url(
        &self,
        announced: Announced,
        issued: Issued,
        order: &OpenOrder,
        client: &Client,
    ) -> Result<SignInUrl, OpenRefused> {
        let Announced {
            decided, intent, ..
        } = announced;
        let Decided {
            grant,
            destination,
            region,
        } = decided;
        let visit = ConsoleVisit {
            partition: grant.target().partition(),
            region,
            issuer: self.deep_link(grant.target(), destination.as_ref()),
            destination: destination.unwrap_or_else(|| self.settings.public_url.clone()),
            session_duration: (!issued.is_chained).then_some(issued.duration),
            sign_out_first: order.sign_out_first,
        };
        let role_session = role_session(&grant, &intent, &issued, self.now());
        let event = self.outcome(&grant, &intent, Outcome::Ok, client);
        let details = outcome_details(event, &grant, &issued);
        match self
            .adapters
            .sign_in
            .sign_in_url(issued.credentials, &visit)
            .await
        {
            Ok(url) => {
                self.adapters
                    .audit
                    .conclude(&details, Some(&role_session))
                    .await?;
                count(&grant, "ok");
                Ok(url)
            }
            Err(error) => {
                tracing::error!(
                    request.id = client.request_id,
                    role.arn = %grant.target(),
                    error = &error as &dyn std::error::Error,
                    "{}", error.for_operator()
                );
                self.conclude_failed(&grant, details, error.code()).await?;
                Err(OpenRefused::SignIn(error))
            }
        }
    }

    /// Issues credentials for a shell or a tool. `secret` opens the assertion that is held with the
    /// session.
    pub async fn issue_credentials(
        &self,
        session: &mut SignInSession,
        order: &OpenOrder,
        secret: Option<&SessionSecret>,
        client: &Client,
    ) -> Result<IssuedCredentials, OpenRefused> {
        let asked = Asked {
            order,
            delivery: Delivery::Credentials,
            secret,
        };
        let announced = self.announced(session, &asked, client).await?;
        let issued = self.issue(&announced, session, client).await?;
        let Announced {
            decided, intent, ..
        } = announced;
        let Decided { grant, region, .. } = decided;
        let role_session = role_session(&grant, &intent, &issued, self.now());
        let event = self.outcome(&grant, &intent, Outcome::Ok, client);
        let event = outcome_details(event, &grant, &issued);
        self.adapters
            .audit
            .conclude(&event, Some(&role_session))
            .await?;
        count(&grant, "ok");
        Ok(IssuedCredentials {
            credentials: issued.credentials,
            role: grant.target().clone(),
            region,
            is_read_only: grant.is_read_only(),
        })
    }

    /// Asks STS. A failure there is concluded here.
    async fn issue(
        &self,
        announced: &Announced,
        session: &SignInSession,
        client: &Client,
    ) -> Result<Issued, OpenRefused> {
        let Announced {
            decided: Decided { grant, .. },
            way,
            intent,
        } = announced;
        let event = self.outcome(grant, intent, Outcome::Failed, client);
        let Way::Sts { proof, is_young } = way else {
            self.conclude_failed(grant, event, "console_only").await?;
            return Err(OpenRefused::ConsoleOnly);
        };
        let issued = match self.adapters.sts.issue(grant, proof).await {
            Ok(issued) => issued,
            Err(error) => {
                tracing::error!(
                    request.id = client.request_id,
                    role.arn = %grant.target(),
                    error = &error as &dyn std::error::Error,
                    "{}", error.for_operator()
                );
                self.conclude_failed(grant, event, error.code()).await?;
                return Err(match error {
                    StsError::AssertionExpired if !is_young => OpenRefused::FreshAssertion,
                    // Another one would be as old: our clock, or the provider's, is wrong.
                    error => OpenRefused::Sts(error),
                });
            }
        };
        if let Some(reason) = outlived(grant, &issued) {
            let event = outcome_details(event, grant, &issued);
            self.conclude_failed(grant, event, "session_outlives_mapping")
                .await?;
            return Err(OpenRefused::NotEntitled {
                reason,
                role: Some(grant.target().clone()),
                groups: session.identity.groups.len(),
            });
        }
        Ok(issued)
    }

    /// Writes and counts the end of a grant that failed; `event` tells what is known of it.
    async fn conclude_failed(
        &self,
        grant: &Grant,
        event: AuditEvent,
        code: &'static str,
    ) -> Result<(), StoreError> {
        let event = AuditEvent {
            outcome: Outcome::Failed,
            reason: Some(code.to_owned()),
            ..event
        };
        self.adapters.audit.conclude(&event, None).await?;
        count(grant, code);
        Ok(())
    }

    /// Fresh groups → decision → durable intent. Decides on the newest table and writes the intent
    /// in a transaction that holds only if the table is still that one.
    async fn announced(
        &self,
        session: &mut SignInSession,
        asked: &Asked<'_>,
        client: &Client,
    ) -> Result<Announced, OpenRefused> {
        self.freshen(session, client)
            .await
            .map_err(OpenRefused::Groups)?;
        for _ in 0..DECISIONS {
            let (mut decided, way) = match self.decided(session, asked).await {
                Ok(decided) => decided,
                Err(refused) => {
                    return Err(self
                        .refuse(&session.identity, asked, refused, client)
                        .await?);
                }
            };
            let grant = &decided.grant;
            let intent = uuid::Uuid::now_v7().to_string();
            let event = self.outcome(grant, &intent, Outcome::Intent, client);
            let event = intent_details(event, grant);
            match self
                .adapters
                .audit
                .announce(&event, grant.policy_version())
                .await
            {
                Ok(head) => {
                    decided.grant.witness(witness::tag(head.seq, &head.hash));
                    return Ok(Announced {
                        decided,
                        way,
                        intent,
                    });
                }
                Err(StoreError::PolicyChanged) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(StoreError::PolicyChanged.into())
    }

    /// Whether the role may be opened, and how it will be.
    async fn decided(
        &self,
        session: &SignInSession,
        asked: &Asked<'_>,
    ) -> Result<(Decided, Way), OpenRefused> {
        let policy = self.policy().await?;
        let decided = self.decide(&policy, &session.identity, asked)?;
        let way = self.way(&decided, session, asked.secret).await?;
        Ok((decided, way))
    }

    /// How a grant will be carried out; refuses before anything is announced where it cannot be.
    async fn way(
        &self,
        decided: &Decided,
        session: &SignInSession,
        secret: Option<&SessionSecret>,
    ) -> Result<Way, OpenRefused> {
        let grant = &decided.grant;
        if grant.console() == ConsoleWay::IdpInitiated {
            return self.hand_over(decided).map(Way::HandOver);
        }
        match grant.voucher() {
            None => {
                return Ok(Way::Sts {
                    proof: Proof::Own,
                    is_young: false,
                });
            }
            Some(Voucher::Issuer) => {
                let minted = self.vouched_by_us(grant).await;
                let proof = minted.map_err(|error| OpenRefused::Sts(StsError::Issuer(error)))?;
                return Ok(Way::Sts {
                    proof,
                    is_young: true,
                });
            }
            Some(Voucher::Provider) => {}
        }
        let held = match secret {
            Some(secret) => self.held(&session.id_hash, secret).await?,
            None => None,
        };
        let now = self.now();
        if let Some(held) = held.filter(|held| held.redeem_by - REDEEM_ALLOWANCE > now) {
            return Ok(Way::Sts {
                proof: Proof::SamlResponse(held.secret),
                is_young: now - held.since < YOUNG_ASSERTION,
            });
        }
        let provider = self.connector(&session.identity.connector);
        let is_redirected = matches!(provider, Some(Connector::Redirect(_)));
        // Whoever was sent there and comes back without must not be sent there again, and again.
        if is_redirected && now - session.created_at >= JUST_SIGNED_IN {
            return Err(OpenRefused::FreshAssertion);
        }
        Err(OpenRefused::NoAssertion)
    }

    /// Where the identity provider itself opens the role.
    fn hand_over(&self, decided: &Decided) -> Result<Url, OpenRefused> {
        let grant = &decided.grant;
        if grant.delivery() == Delivery::Credentials {
            return Err(OpenRefused::ConsoleOnly);
        }
        let Some(Connector::Redirect(provider)) = self.connector(grant.connector()) else {
            return Err(OpenRefused::NoAwsApplication);
        };
        let application = AwsApplication {
            account: grant.target().account_digits(),
            role_arn: grant.target().as_str(),
            role_name: grant.target().name(),
            destination: decided.destination.as_ref(),
        };
        provider
            .aws_application(&application)
            .ok_or(OpenRefused::NoAwsApplication)
    }

    /// The pure part: what is asked for, and whether it may be.
    fn decide(
        &self,
        policy: &Policy,
        identity: &Identity,
        asked: &Asked<'_>,
    ) -> Result<Decided, OpenRefused> {
        let order = asked.order;
        let groups = identity.groups.len();
        let reason = order.reason.as_deref().unwrap_or_default();
        if reason.chars().count() > LONGEST_REASON {
            return Err(OpenRefused::ReasonTooLong);
        }
        let target = named_role(policy, &order.role);
        let Some(target) = target else {
            return Err(OpenRefused::NotEntitled {
                reason: NotEntitled::UnknownRole,
                role: None,
                groups,
            });
        };
        let source = policy
            .effective(&target)
            .map(|role| role.credential_source.clone());
        let request = Request {
            delivery: asked.delivery,
            duration: order
                .duration
                .as_deref()
                .map(|text| wanted_duration(text, self.now()))
                .transpose()
                .map_err(OpenRefused::Duration)?,
            read_only: order.read_only,
            reason: order.reason.clone(),
            ceiling: source.and_then(|source| self.adapters.sts.ceiling(&source)),
        };
        let grant = policy
            .authorize(identity, &target, &request, self.now())
            .map_err(|reason| OpenRefused::NotEntitled {
                reason,
                role: Some(target.clone()),
                groups,
            })?;
        let (destination, region) = self.destination(&grant, order)?;
        Ok(Decided {
            grant,
            destination,
            region,
        })
    }

    /// Where the console opens, and the region that is meant.
    fn destination(
        &self,
        grant: &Grant,
        order: &OpenOrder,
    ) -> Result<(Option<Url>, Option<String>), OpenRefused> {
        let partition = grant.target().partition();
        let default = self.settings.default_region.as_str();
        let default = (partition_of_region(default) == Some(partition)).then_some(default);
        let asked = order.region.as_deref();
        // What was typed stands in shell commands and in hosts later, and links can fill it in.
        if let Some(region) = asked.filter(|name| partition_of_region(name) != Some(partition)) {
            return Err(OpenRefused::Destination(DestinationError::Region {
                region: region.chars().take(40).collect(),
                partition,
            }));
        }
        let region = asked.or(grant.region()).or(default);
        if grant.delivery() == Delivery::Credentials {
            return Ok((None, region.map(str::to_owned)));
        }
        let console = Console {
            partition,
            region,
            console_url: self.settings.console_url.as_ref(),
        };
        let destination = match order.destination.as_deref() {
            Some(text) => Destination::parse(text, console),
            None => Destination::home(console),
        }
        .map_err(OpenRefused::Destination)?;
        let region = destination.region().or_else(|| region.map(str::to_owned));
        Ok((Some(destination.into_url()), region))
    }

    /// Records a refusal. The refusal stands even where that fails.
    async fn refuse(
        &self,
        identity: &Identity,
        asked: &Asked<'_>,
        refused: OpenRefused,
        client: &Client,
    ) -> Result<OpenRefused, OpenRefused> {
        let (order, delivery) = (asked.order, asked.delivery);
        let (code, role) = match &refused {
            // Nothing can be recorded either.
            OpenRefused::StoreUnavailable(_) => return Err(refused),
            OpenRefused::NotEntitled { reason, role, .. } => (reason.code(), role.clone()),
            OpenRefused::Destination(_) => ("destination_refused", order.role.parse().ok()),
            OpenRefused::Duration(_) => ("duration_invalid", order.role.parse().ok()),
            OpenRefused::ReasonTooLong => ("reason_too_long", order.role.parse().ok()),
            OpenRefused::FreshAssertion => ("fresh_assertion_needed", order.role.parse().ok()),
            OpenRefused::NoAssertion => ("no_assertion", order.role.parse().ok()),
            OpenRefused::ConsoleOnly => ("console_only", order.role.parse().ok()),
            OpenRefused::NoAwsApplication => ("no_aws_application", order.role.parse().ok()),
            _ => ("refused", None),
        };
        let mut event = self.event(action(delivery), Outcome::Refused, person(identity), client);
        event.reason = Some(code.to_owned());
        event.account = role.as_ref().map(|role| role.account().to_string());
        event.role = role.map(|role| role.to_string());
        self.adapters.audit.append(&event).await?;
        metrics::counter!("rolegate_grants_total", "delivery" => word(delivery), "outcome" => code)
            .increment(1);
        Ok(refused)
    }

    /// A row about a grant: its intent or its end.
    fn outcome(
        &self,
        grant: &Grant,
        intent: &str,
        outcome: Outcome,
        client: &Client,
    ) -> AuditEvent {
        let actor = crate::audit::Actor::Person {
            connector: grant.connector().to_string(),
            subject: Some(grant.subject().to_owned()),
            username: Some(grant.username().to_owned()),
        };
        AuditEvent {
            role: Some(grant.target().to_string()),
            account: Some(grant.target().account().to_string()),
            intent: Some(intent.to_owned()),
            ..self.event(action(grant.delivery()), outcome, actor, client)
        }
    }

    /// The address that opens a role again: AWS sends people there when their session has ended.
    pub fn deep_link(&self, target: &TargetArn, destination: Option<&Url>) -> Url {
        let mut url = self.settings.public_url.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty()
                .extend(["console", target.account().as_str(), target.name()]);
        }
        if let Some(destination) = destination {
            url.query_pairs_mut()
                .append_pair("destination", destination.as_str());
        }
        url
    }
}

/// Whether what STS issued outlives its mapping by more than a call takes: then our clock is wrong,
/// and the session must not be handed out.
fn outlived(grant: &Grant, issued: &Issued) -> Option<NotEntitled> {
    let at = grant.ends_by()?;
    (issued.credentials.expiration > at + CALL_ALLOWANCE).then(|| NotEntitled::EndsTooSoon {
        mapping: grant.mapping().clone(),
        at,
    })
}

/// A role by its ARN or as `account/role`; only what the table has.
fn named_role(policy: &Policy, text: &str) -> Option<TargetArn> {
    if let Ok(arn) = text.parse::<TargetArn>() {
        return Some(arn);
    }
    let (account, name) = text.split_once('/')?;
    policy
        .role_named(&account.parse::<AccountId>().ok()?, name)
        .cloned()
}

/// `45m`, seconds, or the moment at which it shall end.
fn wanted_duration(text: &str, now: OffsetDateTime) -> Result<SessionDuration, DurationError> {
    match OffsetDateTime::parse(text.trim(), &Rfc3339) {
        Ok(end) => {
            let seconds = (end - now).max(Duration::ZERO).whole_seconds();
            SessionDuration::from_seconds(seconds.unsigned_abs())
        }
        Err(_) => SessionDuration::from_str(text),
    }
}

fn intent_details(event: AuditEvent, grant: &Grant) -> AuditEvent {
    let event = event
        .with("mapping", grant.mapping().0.as_str())
        .with("policy_version", grant.policy_version())
        .with("console", grant.console().as_str());
    let event = match grant.reason() {
        Some(reason) => event.with("reason", reason),
        None => event,
    };
    if grant.console() == ConsoleWay::IdpInitiated {
        // How the role is assumed, and for how long, is between the provider and AWS.
        return event;
    }
    let event = event
        .with("grant_method", grant.method().as_str())
        .with("duration_seconds", grant.duration().seconds())
        .with("read_only", grant.is_read_only());
    if grant.method() == GrantMethod::AssumeRoleWithSaml {
        // The assertion names the session; what AWS made of it stands in the outcome.
        return event;
    }
    let event = event.with("session_name", grant.session_name().as_str());
    let event = match grant.source_identity() {
        Some(name) => event.with("source_identity", name.as_str()),
        None => event,
    };
    if grant.wants_audit_tag() {
        // Its value is the hash of this very row, so that the row cannot hold it.
        event.with("audit_tag", true)
    } else {
        event
    }
}

/// The name of the session, which an assertion chooses itself.
fn session_name<'a>(grant: &'a Grant, issued: &'a Issued) -> &'a str {
    let in_arn = issued.assumed_role_arn.rsplit('/').next();
    match grant.method() {
        GrantMethod::AssumeRoleWithSaml => in_arn.unwrap_or_default(),
        _ => grant.session_name().as_str(),
    }
}

fn outcome_details(event: AuditEvent, grant: &Grant, issued: &Issued) -> AuditEvent {
    event
        .with("session_name", session_name(grant, issued))
        .with("access_key_id", issued.credentials.access_key_id.as_str())
        .with("assumed_role_arn", issued.assumed_role_arn.as_str())
        .with("assumed_role_id", issued.assumed_role_id.as_str())
        .with("aws_request_id", issued.request_id.as_deref())
        .with("sts_region", issued.region.as_str())
        .with("duration_seconds", issued.duration.seconds())
        .with(
            "expires_at",
            issued
                .credentials
                .expiration
                .format(&Rfc3339)
                .unwrap_or_default(),
        )
}

fn role_session(grant: &Grant, intent: &str, issued: &Issued, now: OffsetDateTime) -> RoleSession {
    RoleSession {
        id: intent.to_owned(),
        connector: grant.connector().to_string(),
        subject: grant.subject().to_owned(),
        role: grant.target().to_string(),
        delivery: word(grant.delivery()).to_owned(),
        session_name: session_name(grant, issued).to_owned(),
        access_key_id: issued.credentials.access_key_id.clone(),
        aws_request_id: issued.request_id.clone(),
        read_only: grant.is_read_only(),
        started_at: now,
        expires_at: issued.credentials.expiration,
    }
}

fn action(delivery: Delivery) -> Action {
    match delivery {
        Delivery::Console => Action::ConsoleOpen,
        Delivery::Credentials => Action::CredentialsIssue,
    }
}

fn word(delivery: Delivery) -> &'static str {
    match delivery {
        Delivery::Console => "console",
        Delivery::Credentials => "credentials",
    }
}

fn count(grant: &Grant, outcome: &'static str) {
    metrics::counter!(
        "rolegate_grants_total",
        "delivery" => word(grant.delivery()),
        "outcome" => outcome
    )
    .increment(1);
}
