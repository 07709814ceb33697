//! Opening a role: from a click to a console session or to credentials.
//!
//! Never here: who may; how AWS is asked. Entry points: [`Broker::open_console`],
//! [`Broker::issue_credentials`].

mod called;
mod decide;
mod rows;
mod way;

use std::collections::BTreeMap;

use secrecy::SecretString;
use thiserror::Error;
use time::Duration;
use url::Url;

pub use self::called::CallerOpened;
pub(super) use decide::named_role;

use self::{
    rows::{count, count_refused, intent_details, outcome_details, role_session},
    way::Way,
};
use super::{Broker, Client, SessionSecret, groups::GroupsRefused, service::Minted, throttle::Key};
use crate::{
    access::{Delivery, DurationError, Grant, NotEntitled, TargetArn},
    audit::{AuditEvent, Outcome, witness},
    aws::{
        ConsoleVisit, Issued, SessionCredentials, SignInUrl, SignInUrlError, StsError,
        destination::DestinationError,
    },
    store::{SignInSession, StoreError},
};

/// How often a decision is made anew because the table was edited under it.
const DECISIONS: usize = 3;
/// The longest reason, in characters: it is kept as long as the audit log is.
const LONGEST_REASON: usize = 500;
/// By how much a session may end after its mapping: STS counts from when it answers.
const CALL_ALLOWANCE: Duration = Duration::minutes(1);

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
    /// The code of an MFA device, where the role wants one: six digits, blanks do not count. Used
    /// once and never kept.
    pub mfa_code: Option<SecretString>,
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
    /// AWS wants to see an assertion or a token of the person's provider, and the one that is held
    /// is too old or missing: a new sign-in at the provider, of the same person, brings one.
    #[error("a fresh word of the identity provider is needed")]
    FreshAssertion,
    /// AWS wants to see an assertion or a token, and signing in again would bring none: the person
    /// signed in with a password, or their provider just now sent nothing that AWS takes.
    #[error("the sign-in brought no word of a provider that AWS takes")]
    NoAssertion,
    /// AWS wants a code of an MFA device, and none that it takes was brought: ask for one.
    #[error("a code of the MFA device {serial} is needed")]
    CodeNeeded {
        /// The device, as AWS names it.
        serial: String,
        /// What was wrong with the code that was brought; none where there was none.
        trouble: Option<CodeTrouble>,
    },
    /// The role opens at the identity provider, in the console alone.
    #[error("the role opens in the console alone")]
    ConsoleOnly,
    /// The role opens at the identity provider, and the person's connector names no address there.
    #[error("the person's connector names no AWS application")]
    NoAwsApplication,
    /// The person asked too often, or brought too many codes that AWS did not take. Counted, not
    /// recorded: what led here is.
    #[error("too many orders of one person")]
    Throttled {
        /// How long to wait.
        retry_after: std::time::Duration,
    },
    /// STS issued nothing.
    #[error("STS issued nothing")]
    Sts(#[source] StsError),
    /// The federation endpoint gave no URL.
    #[error("the federation endpoint gave no sign-in URL")]
    SignIn(#[source] SignInUrlError),
    /// The caller's token is limited to another role.
    #[error("the token is limited to another role")]
    OutsideToken,
    /// Nothing can be recorded, so nothing is issued.
    #[error("the store is unavailable")]
    StoreUnavailable(#[from] StoreError),
}

impl OpenRefused {
    /// A stable code for audit rows, metrics and JSON.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotEntitled { reason, .. } => reason.code(),
            Self::Destination(_) => "destination_refused",
            Self::Duration(_) => "duration_invalid",
            Self::ReasonTooLong => "reason_too_long",
            Self::Groups(GroupsRefused::AccountGone) => "account_gone",
            Self::Groups(GroupsRefused::SignInAgain) => "sign_in_again",
            Self::Groups(GroupsRefused::DirectoryUnavailable(_)) => "directory_unavailable",
            Self::FreshAssertion => "fresh_assertion_needed",
            Self::NoAssertion => "no_assertion",
            Self::CodeNeeded { trouble: None, .. } => "code_needed",
            Self::CodeNeeded { .. } => "code_invalid",
            Self::ConsoleOnly => "console_only",
            Self::NoAwsApplication => "no_aws_application",
            Self::Throttled { .. } => "throttled",
            Self::Sts(error) => error.code(),
            Self::SignIn(error) => error.code(),
            Self::OutsideToken => "outside_token",
            Self::StoreUnavailable(_) | Self::Groups(GroupsRefused::StoreUnavailable(_)) => {
                "store_unavailable"
            }
        }
    }

    /// Whether AWS did not answer, or asked for patience: nothing is wrong, and later helps.
    pub fn is_aws_outage(&self) -> bool {
        matches!(
            self,
            Self::Sts(StsError::Throttled | StsError::Unavailable(_))
                | Self::SignIn(SignInUrlError::Unavailable(_))
        )
    }
}

/// What is wrong with a code of an MFA device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CodeTrouble {
    /// It has other characters than six digits.
    NotSixDigits,
    /// AWS did not take it.
    Refused,
    /// AWS took it a moment ago, and takes it once.
    Used,
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
    /// What the application is told with them, by name; nothing secret.
    pub public_values: BTreeMap<String, String>,
    /// `arn:…:sts::A:assumed-role/NAME/SESSION`, `…:federated-user/NAME`, or the IAM user's ARN.
    pub assumed_role_arn: String,
    /// `aws:userid`: `AROA…:SESSION`, `ACCOUNT:NAME`, or empty where STS does not tell.
    pub assumed_role_id: String,
}

/// A role that is being opened in the console.
#[derive(Debug)]
pub enum Opened {
    /// By us.
    Console(SignInUrl),
    /// By an assertion of ours, which the browser posts to AWS.
    Post(SamlPost),
    /// By the person's identity provider, at this address.
    HandOver(Url),
}

/// What the browser posts to AWS's SAML sign-in address to open the console.
#[derive(Debug)]
pub struct SamlPost {
    /// Where to.
    pub action: Url,
    /// `SAMLResponse`: the whole response, base64. A bearer secret for five minutes.
    pub response: SecretString,
    /// `RelayState`: where the console opens.
    pub relay_state: Url,
}

/// What is asked for, and by whom.
struct Asked<'a> {
    order: &'a OpenOrder,
    delivery: Delivery,
    secret: Option<&'a SessionSecret>,
    /// The one role that may be opened, where the caller's token says so.
    limit: Option<&'a TargetArn>,
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

/// What AWS gave for a decision.
struct Obtained {
    decided: Decided,
    intent: String,
    issued: Issued,
    /// What our issuer said for it, where it did.
    minted: Option<Minted>,
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
            limit: None,
        };
        self.opened_for(session, &asked, client).await
    }

    async fn opened_for(
        &self,
        session: &mut SignInSession,
        asked: &Asked<'_>,
        client: &Client,
    ) -> Result<Opened, OpenRefused> {
        let announced = self.announced(session, asked, client).await?;
        match announced.way {
            Way::HandOver(url) => {
                let Decided { grant, .. } = &announced.decided;
                let event = self
                    .outcome(grant, &announced.intent, Outcome::Ok, client)
                    .with("handed_over", true);
                self.adapters.audit.conclude(&event, None).await?;
                count(grant, "ok");
                Ok(Opened::HandOver(url))
            }
            Way::Posted => {
                let Announced {
                    decided, intent, ..
                } = announced;
                self.post(decided, &intent, client).await.map(Opened::Post)
            }
            Way::Sts { .. } | Way::Vouched => {
                let obtained = self.obtained(announced, session, client).await?;
                self.sign_in_url(obtained, asked.order, client)
                    .await
                    .map(Opened::Console)
            }
        }
    }

    /// Turns credentials into the URL that opens the console.
    async fn sign_in_url(
        &self,
        obtained: Obtained,
        order: &OpenOrder,
        client: &Client,
    ) -> Result<SignInUrl, OpenRefused> {
        let Obtained {
            decided,
            intent,
            issued,
            minted,
        } = obtained;
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
        let details = outcome_details(event, &grant, &issued, minted.as_ref());
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
            limit: None,
        };
        self.issued_for(session, &asked, client).await
    }

    async fn issued_for(
        &self,
        session: &mut SignInSession,
        asked: &Asked<'_>,
        client: &Client,
    ) -> Result<IssuedCredentials, OpenRefused> {
        let announced = self.announced(session, asked, client).await?;
        let Obtained {
            decided,
            intent,
            issued,
            minted,
        } = self.obtained(announced, session, client).await?;
        let Decided { grant, region, .. } = decided;
        let role_session = role_session(&grant, &intent, &issued, self.now());
        let event = self.outcome(&grant, &intent, Outcome::Ok, client);
        let event = outcome_details(event, &grant, &issued, minted.as_ref());
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
            public_values: grant.public_values().clone(),
            assumed_role_arn: issued.assumed_role_arn,
            assumed_role_id: issued.assumed_role_id,
        })
    }

    /// Asks STS, with what our issuer says now that the intent is written where it has to vouch. A
    /// failure is concluded here.
    async fn obtained(
        &self,
        announced: Announced,
        session: &SignInSession,
        client: &Client,
    ) -> Result<Obtained, OpenRefused> {
        let Announced {
            decided,
            way,
            intent,
        } = announced;
        let grant = &decided.grant;
        let event = self.outcome(grant, &intent, Outcome::Failed, client);
        let (proof, is_young, minted) = match way {
            Way::Sts { proof, is_young } => (proof, is_young, None),
            Way::Vouched => match self.vouched_by_us(grant).await {
                // Another one would be no better.
                Ok(vouched) => (vouched.proof, true, Some(vouched.minted)),
                Err(error) => {
                    let error = StsError::Issuer(error);
                    let failed = self.conclude_unissued(grant, event, &error, client);
                    failed.await?;
                    return Err(OpenRefused::Sts(error));
                }
            },
            Way::Posted | Way::HandOver(_) => {
                self.conclude_failed(grant, event, "console_only").await?;
                return Err(OpenRefused::ConsoleOnly);
            }
        };
        let event = match &minted {
            Some(minted) => event.with(minted.key, minted.id.as_str()),
            None => event,
        };
        let issued = match self.adapters.sts.issue(grant, &proof).await {
            Ok(issued) => {
                self.throttle.give_back(&Key::codes(&session.identity));
                issued
            }
            Err(error) => {
                if !matches!(error, StsError::CodeRefused { .. } | StsError::CodeUsed) {
                    self.throttle.give_back(&Key::codes(&session.identity));
                }
                self.conclude_unissued(grant, event, &error, client).await?;
                return Err(unissued(error, grant, is_young));
            }
        };
        if let Some(reason) = outlived(grant, &issued) {
            let event = outcome_details(event, grant, &issued, minted.as_ref());
            self.conclude_failed(grant, event, "session_outlives_mapping")
                .await?;
            return Err(OpenRefused::NotEntitled {
                reason,
                role: Some(grant.target().clone()),
                groups: session.identity.groups.len(),
            });
        }
        Ok(Obtained {
            decided,
            intent,
            issued,
            minted,
        })
    }

    /// Logs and writes that nothing was issued.
    async fn conclude_unissued(
        &self,
        grant: &Grant,
        event: AuditEvent,
        error: &StsError,
        client: &Client,
    ) -> Result<(), StoreError> {
        if matches!(error, StsError::CodeRefused { .. } | StsError::CodeUsed) {
            // People mistype; the row tells whoever wants to know.
            tracing::info!(request.id = client.request_id, role.arn = %grant.target(), "{error}");
        } else {
            tracing::error!(
                request.id = client.request_id,
                role.arn = %grant.target(),
                error = error as &dyn std::error::Error,
                "{}", error.for_operator()
            );
        }
        self.conclude_failed(grant, event, error.code()).await
    }

    /// Fresh groups → decision → durable intent. Decides on the newest table and writes the intent
    /// in a transaction that holds only if the table is still that one.
    async fn announced(
        &self,
        session: &mut SignInSession,
        asked: &Asked<'_>,
        client: &Client,
    ) -> Result<Announced, OpenRefused> {
        self.take_turn(&Key::orders(&session.identity), asked)?;
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
            if grant.mfa_serial().is_some() {
                self.take_turn(&Key::codes(&session.identity), asked)?;
            }
            let intent = uuid::Uuid::now_v7().to_string();
            let event = self.outcome(grant, &intent, Outcome::Intent, client);
            let event = intent_details(event, grant);
            let (audit, version) = (&self.adapters.audit, grant.policy_version());
            let announced = if session.is_of_one_call() {
                audit.announce(&event, version).await
            } else {
                audit.announce_for(&event, version, &session.id_hash).await
            };
            match announced {
                Ok(head) => {
                    decided.grant.witness(witness::tag(head.seq, &head.hash));
                    return Ok(Announced {
                        decided,
                        way,
                        intent,
                    });
                }
                Err(StoreError::PolicyChanged) => {}
                // It was ended, such as by a revocation, since the request came.
                Err(StoreError::NotFound(_)) => {
                    return Err(OpenRefused::Groups(GroupsRefused::SignInAgain));
                }
                Err(error) => return Err(error.into()),
            }
        }
        Err(StoreError::PolicyChanged.into())
    }

    /// Takes one of the person's turns.
    fn take_turn(&self, key: &Key, asked: &Asked<'_>) -> Result<(), OpenRefused> {
        self.throttle.take(key, self.now()).map_err(|retry_after| {
            count_refused(asked.delivery, "throttled");
            OpenRefused::Throttled { retry_after }
        })
    }

    /// Whether the role may be opened, and how it will be.
    async fn decided(
        &self,
        session: &SignInSession,
        asked: &Asked<'_>,
    ) -> Result<(Decided, Way), OpenRefused> {
        let policy = self.policy().await?;
        let decided = self.decide(&policy, &session.identity, asked)?;
        let way = self.way(&decided, session, asked).await?;
        Ok((decided, way))
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

/// What a person can do where STS issued nothing.
fn unissued(error: StsError, grant: &Grant, is_young: bool) -> OpenRefused {
    let code_needed = |trouble| OpenRefused::CodeNeeded {
        serial: grant.mfa_serial().unwrap_or_default().to_owned(),
        trouble: Some(trouble),
    };
    match error {
        StsError::AssertionExpired if !is_young => OpenRefused::FreshAssertion,
        StsError::CodeRefused { .. } => code_needed(CodeTrouble::Refused),
        StsError::CodeUsed => code_needed(CodeTrouble::Used),
        // Another word would be as old: our clock, or the provider's, is wrong.
        error => OpenRefused::Sts(error),
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
