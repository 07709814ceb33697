//! Reading IAM by the read role, once opened for each account.
//!
//! Never here: what is read judged. The credentials live as long as the reader. Entry point:
//! [`Reader::role`].

use std::{collections::HashMap, sync::Arc};

use time::Duration;
use tokio::sync::{Mutex, mpsc};

use super::{Event, ServiceSession};
use crate::{
    access::{AccountId, Errand, Partition, Policy, TargetArn},
    audit::{Action, Actor, AuditEvent, Outcome},
    aws::{IamError, IamRole, SessionCredentials, StsError},
    broker::{Broker, NotDiscovered},
};

/// What the read role's session may do, whatever the role may.
const READING: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["iam:GetRole","iam:ListRoles","iam:ListAccountAliases"],"Resource":"*"}]}"#;
/// What is left of a session that is not worth using.
const REST: Duration = Duration::minutes(1);

type Held = Arc<Mutex<Tried>>;

/// How far the read role of an account came.
#[derive(Debug, Default)]
enum Tried {
    #[default]
    Not,
    /// Not tried again: most accounts have no read role, and each role of them would ask.
    Failed,
    Opened(Arc<SessionCredentials>),
}

/// Reads IAM of many accounts.
pub(super) struct Reader {
    policy: Arc<Policy>,
    /// By account; the outer lock is never held while AWS is asked.
    held: Mutex<HashMap<String, Held>>,
    sessions: mpsc::UnboundedSender<Event>,
}

/// Why IAM could not be read.
#[derive(Debug, thiserror::Error)]
pub enum NotRead {
    /// `aws.read_role` is not set.
    #[error("no read role is configured; set aws.read_role")]
    NoReadRole,
    /// The account's settings do not let the broker open a role by itself.
    #[error("the account's settings do not let Rolegate open {0} by itself")]
    NoLeave(String),
    /// The read role cannot be opened.
    #[error("the read role cannot be opened")]
    Sts(#[source] StsError),
    /// The read role could not be opened for another role of the account.
    #[error("the read role of account {0} could not be opened a moment ago")]
    Before(String),
    /// IAM did not answer.
    #[error("IAM could not be read")]
    Iam(#[from] IamError),
}

impl Reader {
    pub(super) fn new(policy: Arc<Policy>, sessions: mpsc::UnboundedSender<Event>) -> Self {
        Self {
            policy,
            held: Mutex::default(),
            sessions,
        }
    }

    /// What IAM says about a role. None where there is none.
    pub(super) async fn role(
        &self,
        broker: &Broker,
        role: &TargetArn,
    ) -> Result<Option<IamRole>, NotRead> {
        let credentials = self.credentials(broker, role).await?;
        Ok(broker.adapters.iam.role(&credentials, role).await?)
    }

    /// All roles of the account that `within` is of.
    pub(super) async fn roles(
        &self,
        broker: &Broker,
        within: &TargetArn,
    ) -> Result<Vec<IamRole>, NotRead> {
        let credentials = self.credentials(broker, within).await?;
        Ok(broker.adapters.iam.roles(&credentials, within).await?)
    }

    async fn credentials(
        &self,
        broker: &Broker,
        within: &TargetArn,
    ) -> Result<Arc<SessionCredentials>, NotRead> {
        let arn = read_role(broker, within)?;
        let account = arn.account_digits().to_owned();
        let held = Arc::clone(self.held.lock().await.entry(account).or_default());
        let mut held = held.lock().await;
        match &*held {
            Tried::Opened(credentials) if credentials.expiration - REST > broker.now() => {
                return Ok(Arc::clone(credentials));
            }
            Tried::Failed => return Err(NotRead::Before(arn.account_digits().to_owned())),
            _ => *held = Tried::Failed,
        }
        let leave = self.policy.errand(Errand::Read, &arn, READING.to_owned());
        let leave = leave.map_err(|_| NotRead::NoLeave(arn.to_string()))?;
        let issued = match broker.service_session(&leave).await {
            Ok(issued) => issued,
            Err(error) => {
                if matches!(error, StsError::Throttled) {
                    *held = Tried::Not;
                }
                return Err(NotRead::Sts(error));
            }
        };
        // Where nobody listens any more, the round has ended and nothing is done with it.
        let session = ServiceSession::of(leave.grant(), &issued);
        let _ = self.sessions.send(Event::Session(Box::new(session)));
        let credentials = Arc::new(issued.credentials);
        *held = Tried::Opened(Arc::clone(&credentials));
        Ok(credentials)
    }
}

/// The read role of the account that `within` is of.
fn read_role(broker: &Broker, within: &TargetArn) -> Result<TargetArn, NotRead> {
    in_account(broker, within.partition(), &within.account())
}

/// The read role of an account.
pub(in crate::broker) fn in_account(
    broker: &Broker,
    partition: Partition,
    account: &AccountId,
) -> Result<TargetArn, NotRead> {
    let name = broker
        .settings
        .read_role
        .as_ref()
        .ok_or(NotRead::NoReadRole)?;
    let arn = format!("arn:{partition}:iam::{account}:role/{name}");
    arn.parse().map_err(|_| NotRead::NoLeave(arn))
}

impl Broker {
    /// All roles of the account that `within` is of, by its read role.
    pub(in crate::broker) async fn read_roles(
        &self,
        within: &TargetArn,
        by: Actor,
    ) -> Result<Vec<IamRole>, NotDiscovered> {
        let id = uuid::Uuid::now_v7().to_string();
        let (events, mut told) = mpsc::unbounded_channel();
        let intent = self.reading_event(Outcome::Intent, &by, &id, within);
        self.adapters.audit.append(&intent).await?;
        let reader = Reader::new(self.policy().await?, events);
        let listed = reader.roles(self, within).await;
        drop(reader);
        while let Some(event) = told.recv().await {
            if let Event::Session(session) = event {
                let row = self.session_event(&by, &session, &id);
                self.adapters.audit.append(&row).await?;
            }
        }
        let outcome = match &listed {
            Ok(_) => Outcome::Ok,
            Err(_) => Outcome::Failed,
        };
        let mut end = self.reading_event(outcome, &by, &id, within);
        if let Err(error) = &listed {
            end.reason = Some(error.code().to_owned());
        }
        self.adapters.audit.conclude(&end, None).await?;
        Ok(listed?)
    }

    fn reading_event(
        &self,
        outcome: Outcome,
        by: &Actor,
        id: &str,
        within: &TargetArn,
    ) -> AuditEvent {
        let event = AuditEvent::new(self.now(), Action::RoleProbe, outcome, by.clone());
        AuditEvent {
            account: Some(within.account().to_string()),
            intent: Some(id.to_owned()),
            ..event.with("listed", true)
        }
    }
}

impl NotRead {
    /// Whether AWS may answer in a moment.
    pub(super) fn is_throttling(&self) -> bool {
        matches!(
            self,
            Self::Sts(StsError::Throttled) | Self::Iam(IamError::Throttled)
        )
    }

    /// A stable code for audit rows.
    fn code(&self) -> &'static str {
        match self {
            Self::NoReadRole | Self::NoLeave(_) => "no_read_role",
            Self::Before(_) => "read_role_refused",
            Self::Sts(error) => error.code(),
            Self::Iam(error) => match error {
                IamError::AccessDenied { .. } => "iam_access_denied",
                IamError::Invalid { .. } => "iam_invalid_request",
                IamError::Throttled => "iam_throttled",
                IamError::Unavailable(_) => "iam_unavailable",
            },
        }
    }

    /// What went wrong and what to do, for whoever mends it.
    pub fn for_operator(&self) -> String {
        match self {
            Self::NoReadRole => {
                "Set aws.read_role to the name of a role in each account that lets Rolegate call \
                 iam:ListRoles and iam:GetRole."
                    .to_owned()
            }
            Self::NoLeave(role) => format!(
                "The settings of the account do not let Rolegate open {role} by itself. Check its \
                 grant method and its SAML provider."
            ),
            Self::Before(account) => format!(
                "The read role of account {account} could not be opened a moment ago. Try again."
            ),
            Self::Sts(error) => format!("The read role cannot be opened. {}", error.for_operator()),
            Self::Iam(IamError::AccessDenied { message }) => format!(
                "IAM does not let the read role list the account's roles: {message}. Give it a \
                 policy that allows iam:ListRoles and iam:GetRole."
            ),
            Self::Iam(IamError::Throttled) => {
                "IAM is throttling requests of this account. Try again in a minute.".to_owned()
            }
            Self::Iam(error) => format!(
                "IAM could not be read: {error}. Check that Rolegate reaches the partition's IAM \
                 endpoint, or aws.iam_endpoint."
            ),
        }
    }
}
