//! LDAP and Active Directory.
//!
//! A sign-in costs one search for the entry, one bind with the password and one search for groups,
//! whether or not the person exists. Never here: what groups open, and the configuration file.
//! Entry point: [`LdapConnector::new`].

mod bind_outcome;
mod bind_times;
mod connection;
mod direct;
mod entry;
mod failure;
mod groups;
mod lookups;
mod members;
mod pool;
mod probe;
mod refresh;
mod settings;
mod template;

use std::{
    fmt,
    sync::{Arc, atomic::AtomicBool},
};

use async_trait::async_trait;
use ldap3::Scope;
use secrecy::{ExposeSecret, SecretString};
use tokio::time::Instant;

pub use settings::{Attributes, Bind, Flavour, GroupStrategy, Settings, SettingsError};
pub use template::TemplateError;

use self::{
    bind_outcome::{BindAnswer, BindOutcome},
    bind_times::BindTimes,
    connection::{Connection, Dialling, SIZE_LIMIT_EXCEEDED, SearchRequest},
    direct::DirectSignIn,
    entry::Entry,
    failure::{Answer, Failure},
    groups::{GroupReader, MEMBER_OF, Member, Search, Searcher},
    pool::{Operation, Purpose, Servers},
    settings::Templates,
    template::Value,
};
use super::{
    Candidate, Finding, GroupMembers, GroupSummary, Listing, LocatedEntry, LookUpError,
    PasswordConnector, RefreshError, Refusal, SignInError,
};
use crate::{
    access::{
        AuthenticationMethod, ConnectorId, Group, GroupKey, Identity, explain::GroupRelations,
    },
    clock::Clock,
};

/// A directory that people sign in with.
pub struct LdapConnector {
    settings: Settings,
    templates: Templates,
    servers: Servers,
    /// Has the shape of people's DNs and belongs to nobody.
    nobody: String,
    bind_times: BindTimes,
    knows_matched_values: AtomicBool,
    clock: Arc<dyn Clock>,
}

impl fmt::Debug for LdapConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LdapConnector")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

impl LdapConnector {
    /// A connector that has not connected yet.
    pub fn new(settings: Settings, clock: Arc<dyn Clock>) -> Result<Self, SettingsError> {
        let templates = settings.checked()?;
        let dialling = Dialling {
            tls: settings.tls_client()?,
            start_tls: settings.start_tls,
            connect_timeout: settings.connect_timeout,
            operation_timeout: settings.operation_timeout,
        };
        let service_account = match &settings.bind {
            Bind::Service { dn, password } => Some((dn.clone(), password.clone())),
            Bind::Direct { .. } => None,
        };
        let servers = Servers::new(
            settings.id.clone(),
            &settings.urls,
            dialling,
            service_account,
            settings.pool_size,
        );
        Ok(Self {
            nobody: format!("cn=rolegate-nobody,{}", settings.user_base),
            bind_times: BindTimes::default(),
            templates,
            servers,
            settings,
            knows_matched_values: AtomicBool::new(true),
            clock,
        })
    }

    fn deadline(&self) -> Instant {
        Instant::now() + self.settings.sign_in_timeout
    }

    /// The attributes of a person's entry that a sign-in needs.
    fn attributes(&self) -> Vec<&str> {
        let names = &self.settings.attributes;
        let mut attributes = vec![names.subject.as_str(), names.username.as_str()];
        attributes.extend(names.display_name.as_deref());
        attributes.extend(names.email.as_deref());
        if matches!(
            self.settings.group_strategy,
            GroupStrategy::MemberOf | GroupStrategy::InChain
        ) {
            attributes.push(MEMBER_OF);
        }
        attributes
    }

    /// A search for people. More than one may not match, so that two entries are enough to know.
    fn person_search<'r>(
        &'r self,
        filter: &'r str,
        attributes: &'r [&'r str],
    ) -> SearchRequest<'r> {
        SearchRequest {
            base: &self.settings.user_base,
            scope: Scope::Subtree,
            filter,
            attributes,
            page_size: None,
            limit: 2,
            value_limit: None,
            matched_values: None,
        }
    }

    /// The entry that a typed name means, or why it means none.
    async fn find(
        &self,
        username: &str,
        deadline: Instant,
    ) -> Result<Result<LocatedEntry, Refusal>, Failure> {
        if username.trim().is_empty() {
            return Ok(Err(Refusal::UnknownUser));
        }
        let filter = self.user_filter(username);
        let attributes = self.attributes();
        let search = Search(self.person_search(&filter, &attributes));
        let found = only_entry(self.servers.run(&search, deadline).await);
        Ok(found
            .inspect_err(|failure| {
                if !failure.is_of_one_server() {
                    self.warn(failure, "a person could not be searched for");
                }
            })?
            .and_then(|entry| self.located(&entry)))
    }

    fn user_filter(&self, username: &str) -> String {
        let username = Value::Filter(username);
        self.templates.user_filter.render(&[("username", username)])
    }

    fn located(&self, entry: &Entry) -> Result<LocatedEntry, Refusal> {
        let names = &self.settings.attributes;
        let text = |name: &Option<String>| {
            let value = name.as_deref().and_then(|name| entry.text(name));
            value.map(str::to_owned)
        };
        Ok(LocatedEntry {
            dn: entry.dn.clone(),
            subject: entry
                .stable_id(&names.subject)
                .ok_or(Refusal::IncompleteEntry)?,
            username: entry
                .text(&names.username)
                .ok_or(Refusal::IncompleteEntry)?
                .to_owned(),
            display_name: text(&names.display_name),
            email: text(&names.email),
            member_of: entry.all_texts(MEMBER_OF),
        })
    }

    async fn groups(
        &self,
        entry: &LocatedEntry,
        searcher: &mut Searcher<'_>,
        deadline: Instant,
    ) -> Result<Vec<Group>, Failure> {
        let reader = GroupReader {
            settings: &self.settings,
            filter: &self.templates.group_filter,
            knows_matched_values: &self.knows_matched_values,
            deadline,
        };
        let member = Member {
            dn: &entry.dn,
            username: &entry.username,
            named_groups: entry.member_of.as_deref(),
        };
        reader.groups_of(&member, searcher).await
    }

    fn identity(&self, entry: LocatedEntry, groups: Vec<Group>) -> Identity {
        let now = self.clock.now();
        Identity {
            connector: self.settings.id.clone(),
            subject: entry.subject,
            username: entry.username,
            display_name: entry.display_name,
            email: entry.email,
            entry_dn: Some(entry.dn),
            groups,
            groups_read_at: now,
            authenticated_at: now,
            method: AuthenticationMethod::Password,
            authentication_context: None,
            asserted_roles: Vec::new(),
        }
    }

    /// What the answer to a password means for the sign-in; nothing when it was accepted.
    fn judge(&self, answer: BindAnswer, subject: Option<&str>) -> Result<(), SignInError> {
        let subject = subject.map(str::to_owned);
        match answer.outcome(self.settings.flavour) {
            BindOutcome::Accepted => {
                if let Some(left) = answer.policy.grace_sign_ins_left {
                    tracing::info!(
                        connector.id = %self.settings.id,
                        person.subject = subject.as_deref().unwrap_or_default(),
                        grace.sign_ins_left = left,
                        "an expired password was accepted"
                    );
                }
                Ok(())
            }
            BindOutcome::Refused(cause) => Err(SignInError::Refused { subject, cause }),
            BindOutcome::Unusable => {
                let failure = Failure::Refused(answer.answer);
                self.warn(&failure, "the directory does not take passwords");
                Err(failure.into())
            }
            BindOutcome::ChangeRequired { is_expired } => Err(match subject {
                Some(subject) => SignInError::PasswordChangeRequired {
                    subject,
                    is_expired,
                },
                // Nobody's password was right.
                None => SignInError::Refused {
                    subject,
                    cause: Refusal::WrongPassword,
                },
            }),
        }
    }

    /// Tries the password of an entry that the service account found, or of nobody.
    async fn verify_located(
        &self,
        candidate: Candidate,
        password: &SecretString,
        deadline: Instant,
    ) -> Result<Identity, SignInError> {
        let dn = match &candidate.entry {
            Some(entry) => &entry.dn,
            None => &self.nobody,
        };
        let bind = UserBind { dn, password };
        let started = Instant::now();
        let answer = self.servers.run(&bind, deadline).await?;
        if candidate.entry.is_some() {
            self.bind_times.note(started.elapsed());
        } else {
            let lead = self.bind_times.lead(started.elapsed());
            if !lead.is_zero() {
                tokio::time::sleep_until((Instant::now() + lead).min(deadline)).await;
            }
        }
        let Some(entry) = candidate.entry else {
            // A server that takes no passwords at all says so for nobody too.
            if let Err(error @ SignInError::Misconfigured(_)) = self.judge(answer, None) {
                return Err(error);
            }
            return Err(SignInError::Refused {
                subject: None,
                cause: candidate.refusal.unwrap_or(Refusal::UnknownUser),
            });
        };
        self.judge(answer, Some(&entry.subject))?;
        let searcher = &mut Searcher::Pool(&self.servers);
        match self.groups(&entry, searcher, deadline).await {
            Ok(groups) => Ok(self.identity(entry, groups)),
            Err(failure) => Err(self.groups_unavailable(entry.subject, failure)),
        }
    }

    fn groups_unavailable(&self, subject: String, failure: Failure) -> SignInError {
        self.warn(&failure, "the groups of a person could not be read");
        SignInError::GroupsUnavailable {
            subject,
            cause: failure.into(),
        }
    }

    fn warn(&self, failure: &Failure, message: &'static str) {
        tracing::warn!(
            connector.id = %self.settings.id,
            error = failure as &dyn std::error::Error,
            message
        );
    }
}

#[async_trait]
impl PasswordConnector for LdapConnector {
    fn id(&self) -> &ConnectorId {
        &self.settings.id
    }

    fn label(&self) -> &str {
        &self.settings.label
    }

    async fn locate(&self, username: &str) -> Result<Candidate, SignInError> {
        let deadline = self.deadline();
        let found = match self.settings.bind {
            Bind::Direct { .. } => None,
            Bind::Service { .. } => Some(self.find(username, deadline).await?),
        };
        let (entry, refusal) = match found {
            Some(Ok(entry)) => (Some(entry), None),
            Some(Err(refusal)) => (None, Some(refusal)),
            None => (None, None),
        };
        Ok(Candidate {
            throttle_key: match &entry {
                Some(entry) => entry.subject.clone(),
                None => folded(username),
            },
            entry,
            refusal,
            typed: username.to_owned(),
            deadline: deadline.into_std(),
        })
    }

    async fn verify(
        &self,
        candidate: Candidate,
        password: &SecretString,
    ) -> Result<Identity, SignInError> {
        // An empty password is an anonymous bind, which succeeds (RFC 4513 section 5.1.2). Servers
        // written in C may take one that begins with NUL for empty.
        if matches!(password.expose_secret().as_bytes(), [] | [0, ..]) {
            return Err(SignInError::Refused {
                subject: candidate.entry.map(|entry| entry.subject),
                cause: Refusal::EmptyPassword,
            });
        }
        let deadline = Instant::from_std(candidate.deadline);
        let Some(template) = &self.templates.bind else {
            return self.verify_located(candidate, password, deadline).await;
        };
        let sign_in = DirectSignIn {
            connector: self,
            template,
            typed: &candidate.typed,
            password,
        };
        self.servers.run(&sign_in, deadline).await?
    }

    async fn refresh(&self, identity: &Identity) -> Result<Identity, RefreshError> {
        match self.settings.bind {
            Bind::Direct { .. } => Err(RefreshError::NotSupported),
            Bind::Service { .. } => self.refreshed(identity).await,
        }
    }

    async fn look_up(&self, username: &str) -> Result<Option<Identity>, SignInError> {
        if matches!(self.settings.bind, Bind::Direct { .. }) {
            return Err(SignInError::Misconfigured(
                "without a service account nobody can be looked up".into(),
            ));
        }
        let deadline = self.deadline();
        let entry = match self.find(username, deadline).await? {
            Ok(entry) => entry,
            Err(Refusal::UnknownUser) => return Ok(None),
            Err(cause) => {
                return Err(SignInError::Refused {
                    subject: None,
                    cause,
                });
            }
        };
        let searcher = &mut Searcher::Pool(&self.servers);
        match self.groups(&entry, searcher, deadline).await {
            Ok(groups) => Ok(Some(self.identity(entry, groups))),
            Err(failure) => Err(self.groups_unavailable(entry.subject, failure)),
        }
    }

    async fn find_people(
        &self,
        text: &str,
        limit: usize,
    ) -> Result<Listing<LocatedEntry>, LookUpError> {
        self.people_called(text, limit).await
    }

    async fn find_groups(
        &self,
        text: &str,
        limit: usize,
    ) -> Result<Listing<GroupSummary>, LookUpError> {
        self.groups_called(text, limit).await
    }

    async fn members(
        &self,
        group: &GroupKey,
        limit: usize,
    ) -> Result<Option<GroupMembers>, LookUpError> {
        self.members_of(group, limit).await
    }

    async fn relations(&self, group: &GroupKey) -> Result<GroupRelations, LookUpError> {
        self.relations_of(group).await
    }

    async fn probe(&self) -> Vec<Finding> {
        self.probe_servers().await
    }
}

/// A bind with a person's password.
struct UserBind<'a> {
    dn: &'a str,
    password: &'a SecretString,
}

impl Operation for UserBind<'_> {
    type Answer = BindAnswer;
    const PURPOSE: Purpose = Purpose::Bind;
    const NAME: &'static str = "user_bind";

    async fn run(
        &self,
        connection: &mut Connection,
        deadline: Instant,
    ) -> Result<BindAnswer, Failure> {
        connection
            .bind(self.dn, self.password.expose_secret(), deadline)
            .await
    }
}

/// The one entry of a search for people.
fn only_entry(found: Result<Vec<Entry>, Failure>) -> Result<Result<Entry, Refusal>, Failure> {
    let mut entries = match found {
        Ok(entries) => entries,
        Err(
            Failure::Refused(Answer {
                code: SIZE_LIMIT_EXCEEDED,
                ..
            })
            | Failure::TooMany {
                what: "entries", ..
            },
        ) => return Ok(Err(Refusal::Ambiguous)),
        Err(failure) => return Err(failure),
    };
    Ok(match (entries.pop(), entries.pop()) {
        (Some(entry), None) => Ok(entry),
        (Some(_), Some(_)) => Err(Refusal::Ambiguous),
        (None, _) => Err(Refusal::UnknownUser),
    })
}

/// What throttles count an unknown name by. No subject looks like it, so that nobody can use up a
/// colleague's attempts by typing the colleague's subject.
fn folded(typed: &str) -> String {
    let words: Vec<&str> = typed.split_whitespace().collect();
    format!("typed:{}", words.join(" ").to_lowercase())
}
