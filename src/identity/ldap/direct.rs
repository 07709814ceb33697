//! Signing in without a service account: the person's own name and password open the connection on
//! which their entry and groups are read.

use ldap3::Scope;
use secrecy::{ExposeSecret, SecretString};
use tokio::time::Instant;

use super::{
    LdapConnector, SearchRequest,
    connection::Connection,
    failure::Failure,
    groups::Searcher,
    only_entry,
    pool::{Operation, Purpose},
    settings::BindTemplate,
    template::Value,
};
use crate::{
    access::Identity,
    identity::{LocatedEntry, Refusal, SignInError},
};

/// A sign-in by direct bind.
pub(super) struct DirectSignIn<'a> {
    pub(super) connector: &'a LdapConnector,
    pub(super) template: &'a BindTemplate,
    pub(super) typed: &'a str,
    pub(super) password: &'a SecretString,
}

impl Operation for DirectSignIn<'_> {
    type Answer = Result<Identity, SignInError>;
    const PURPOSE: Purpose = Purpose::Bind;
    const NAME: &'static str = "direct_sign_in";

    async fn run(
        &self,
        connection: &mut Connection,
        deadline: Instant,
    ) -> Result<Result<Identity, SignInError>, Failure> {
        match self.signed_in(connection, deadline).await {
            Ok(identity) => Ok(Ok(identity)),
            Err(Stop::Failed(failure)) if failure.is_of_one_server() => Err(failure),
            Err(Stop::Failed(failure)) => Ok(Err(failure.into())),
            Err(Stop::Refused(error)) => Ok(Err(error)),
        }
    }
}

/// Why a direct sign-in ended early.
enum Stop {
    Failed(Failure),
    Refused(SignInError),
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl From<SignInError> for Stop {
    fn from(error: SignInError) -> Self {
        Self::Refused(error)
    }
}

impl DirectSignIn<'_> {
    async fn signed_in(
        &self,
        connection: &mut Connection,
        deadline: Instant,
    ) -> Result<Identity, Stop> {
        let name = self.bind_name();
        if self.typed.trim().is_empty() {
            return Err(refused(Refusal::UnknownUser).into());
        }
        let password = self.password.expose_secret();
        let answer = connection.bind(&name, password, deadline).await?;
        self.connector
            .judge(answer, Some(&name))
            .map_err(without_subject)?;
        let entry = self.own_entry(&name, connection, deadline).await?;
        if matches!(self.template, BindTemplate::Name(_)) {
            // The server has its own rules for whom a name means. That the password is this entry's
            // too shows that it was the same account.
            let answer = connection.bind(&entry.dn, password, deadline).await?;
            self.connector.judge(answer, Some(&entry.subject))?;
        }
        let searcher = &mut Searcher::Own(connection);
        match self.connector.groups(&entry, searcher, deadline).await {
            Ok(groups) => Ok(self.connector.identity(entry, groups)),
            Err(failure) if failure.is_of_one_server() => Err(failure.into()),
            Err(failure) => Err(self
                .connector
                .groups_unavailable(entry.subject, failure)
                .into()),
        }
    }

    fn bind_name(&self) -> String {
        let (template, value) = match self.template {
            BindTemplate::Dn(template) => (template, Value::Dn(self.typed)),
            BindTemplate::Name(template) => (template, Value::Verbatim(self.typed)),
        };
        template.render(&[("username", value)])
    }

    /// Reads the entry of the person who is bound. Behind a DN template that is the DN's own entry
    /// and no other, and a person who may read themselves alone can read it.
    async fn own_entry(
        &self,
        name: &str,
        connection: &mut Connection,
        deadline: Instant,
    ) -> Result<LocatedEntry, Stop> {
        let filter = self.connector.user_filter(self.typed);
        let attributes = self.connector.attributes();
        let search = self.connector.person_search(&filter, &attributes);
        let search = match self.template {
            BindTemplate::Name(_) => search,
            BindTemplate::Dn(_) => SearchRequest {
                base: name,
                scope: Scope::Base,
                ..search
            },
        };
        let entry = only_entry(connection.search(&search, deadline).await)?
            .and_then(|entry| self.connector.located(&entry))
            .map_err(refused)?;
        Ok(entry)
    }
}

/// A refused name is what was typed, and no audit row's subject.
fn without_subject(error: SignInError) -> SignInError {
    match error {
        SignInError::Refused { cause, .. } => refused(cause),
        other => other,
    }
}

fn refused(cause: Refusal) -> SignInError {
    SignInError::Refused {
        subject: None,
        cause,
    }
}
