//! The servers behind one connector: idle connections, health, and failover.
//!
//! Never here: what is searched for and what an answer means. Entry point: [`Servers::run`].

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use secrecy::{ExposeSecret, SecretString};
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::{Instant, timeout_at},
};
use url::Url;

use super::{
    connection::{Connection, Dialling},
    failure::Failure,
};
use crate::access::ConnectorId;

/// An idle connection is not trusted for longer: firewalls forget quiet connections silently.
const IDLE_LIMIT: Duration = Duration::from_mins(1);
const FIRST_RETRY: Duration = Duration::from_secs(1);
const LAST_RETRY: Duration = Duration::from_secs(30);

/// What a connection is used for: a bind changes who a connection is, so that one on which people's
/// passwords are tried is never used as the service account's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Bound as the service account.
    Search,
    /// Bound as whoever signs in next.
    Bind,
}

/// Something to do on one connection, from its beginning when that connection breaks.
pub(super) trait Operation: Sync {
    /// What it returns.
    type Answer: Send;
    /// The kind of connection that it needs.
    const PURPOSE: Purpose;
    /// The word for it in metrics.
    const NAME: &'static str;

    /// Does it.
    fn run(
        &self,
        connection: &mut Connection,
        deadline: Instant,
    ) -> impl Future<Output = Result<Self::Answer, Failure>> + Send;
}

/// The servers of a connector.
#[derive(Debug)]
pub(super) struct Servers {
    connector: ConnectorId,
    all: Vec<Server>,
    dialling: Dialling,
    /// DN and password; none with direct binds.
    service_account: Option<(String, SecretString)>,
    searching: Semaphore,
    binding: Semaphore,
}

#[derive(Debug)]
struct Server {
    url: Url,
    health: Mutex<Health>,
    searching: Mutex<Vec<Idle>>,
    binding: Mutex<Vec<Idle>>,
}

#[derive(Debug)]
struct Health {
    failures_in_a_row: u32,
    /// When a server that failed may be tried before others again.
    retry_at: Instant,
}

#[derive(Debug)]
struct Idle {
    connection: Connection,
    since: Instant,
}

impl Servers {
    pub(super) fn new(
        connector: ConnectorId,
        urls: &[Url],
        dialling: Dialling,
        service_account: Option<(String, SecretString)>,
        pool_size: usize,
    ) -> Self {
        let servers = urls.iter().map(|url| Server {
            url: url.clone(),
            health: Mutex::new(Health {
                failures_in_a_row: 0,
                retry_at: Instant::now(),
            }),
            searching: Mutex::default(),
            binding: Mutex::default(),
        });
        Self {
            connector,
            all: servers.collect(),
            dialling,
            service_account,
            searching: Semaphore::new(pool_size),
            binding: Semaphore::new(pool_size),
        }
    }

    /// Runs an operation on the first server that answers, healthiest first.
    pub(super) async fn run<O: Operation>(
        &self,
        operation: &O,
        deadline: Instant,
    ) -> Result<O::Answer, Failure> {
        let started = Instant::now();
        let result = self.run_somewhere(operation, deadline).await;
        self.count(O::NAME, started, &result);
        result
    }

    async fn run_somewhere<O: Operation>(
        &self,
        operation: &O,
        deadline: Instant,
    ) -> Result<O::Answer, Failure> {
        let _permit = self.permit(O::PURPOSE, deadline).await?;
        let mut last = Failure::TimeIsUp;
        for server in self.in_order() {
            if Instant::now() >= deadline {
                break;
            }
            match self.run_on(server, operation, deadline).await {
                Err(failure) if failure.is_of_one_server() => last = failure,
                result => return result,
            }
        }
        Err(last)
    }

    async fn run_on<O: Operation>(
        &self,
        server: &Server,
        operation: &O,
        deadline: Instant,
    ) -> Result<O::Answer, Failure> {
        if let Some(mut connection) = server.take_idle(O::PURPOSE) {
            match operation.run(&mut connection, deadline).await {
                // The server closed what had been idle. Others of the same age have had the same
                // fate; a fresh connection tells whether the server is well.
                Err(Failure::Unreachable { .. }) => server.forget_idle(),
                result => {
                    server.keep(O::PURPOSE, connection, &result);
                    return result;
                }
            }
        }
        let result = match self.open(server, O::PURPOSE, deadline).await {
            Ok(mut connection) => {
                let result = operation.run(&mut connection, deadline).await;
                server.keep(O::PURPOSE, connection, &result);
                result
            }
            Err(failure) => Err(failure),
        };
        match &result {
            Err(failure) if failure.is_of_one_server() => self.note_failure(server, failure),
            _ => self.note_success(server),
        }
        result
    }

    async fn open(
        &self,
        server: &Server,
        purpose: Purpose,
        deadline: Instant,
    ) -> Result<Connection, Failure> {
        let started = Instant::now();
        let result = self.connected(server, purpose, deadline).await;
        self.count("connect", started, &result);
        result
    }

    async fn connected(
        &self,
        server: &Server,
        purpose: Purpose,
        deadline: Instant,
    ) -> Result<Connection, Failure> {
        let mut connection = Connection::open(&server.url, &self.dialling, deadline).await?;
        if purpose == Purpose::Search
            && let Some((dn, password)) = &self.service_account
        {
            let bound = connection
                .bind(dn, password.expose_secret(), deadline)
                .await?;
            if bound.answer.code != 0 || bound.policy.error.is_some() {
                return Err(Failure::ServiceAccount {
                    url: server.url.to_string(),
                    answer: bound.answer,
                });
            }
        }
        Ok(connection)
    }

    /// Opens a connection to every server, for a probe: nothing is pooled, no health is noted.
    pub(super) async fn open_each(
        &self,
        deadline: Instant,
    ) -> Vec<(&Url, Result<Connection, Failure>)> {
        let mut opened = Vec::with_capacity(self.all.len());
        for server in &self.all {
            let result = self.connected(server, Purpose::Search, deadline).await;
            opened.push((&server.url, result));
        }
        opened
    }

    /// Waits for a turn: at most `pool_size` connections of a purpose are in use.
    async fn permit(
        &self,
        purpose: Purpose,
        deadline: Instant,
    ) -> Result<SemaphorePermit<'_>, Failure> {
        let semaphore = match purpose {
            Purpose::Search => &self.searching,
            Purpose::Bind => &self.binding,
        };
        match timeout_at(deadline, semaphore.acquire()).await {
            Ok(Ok(permit)) => Ok(permit),
            _ => Err(Failure::TimeIsUp),
        }
    }

    /// The servers in the order in which to try them: as configured, those that failed lately last.
    ///
    /// A server whose time has come is offered first to one caller alone: when it still hangs, the
    /// others do not wait for it.
    fn in_order(&self) -> Vec<&Server> {
        let now = Instant::now();
        let (mut healthy, mut failed) = (Vec::with_capacity(self.all.len()), Vec::new());
        for server in &self.all {
            let mut health = lock(&server.health);
            if health.failures_in_a_row == 0 {
                healthy.push(server);
            } else if health.retry_at <= now {
                health.retry_at = now + health.pause();
                healthy.push(server);
            } else {
                failed.push(server);
            }
        }
        healthy.append(&mut failed);
        healthy
    }

    fn note_failure(&self, server: &Server, failure: &Failure) {
        server.forget_idle();
        {
            let mut health = lock(&server.health);
            health.failures_in_a_row = health.failures_in_a_row.saturating_add(1);
            health.retry_at = Instant::now() + health.pause();
        }
        self.show_health(server, 0.0);
        tracing::warn!(
            connector.id = %self.connector,
            server.url = %server.url,
            error = failure as &dyn std::error::Error,
            "a directory server failed"
        );
    }

    fn note_success(&self, server: &Server) {
        let had_failed = {
            let mut health = lock(&server.health);
            std::mem::take(&mut health.failures_in_a_row) > 0
        };
        self.show_health(server, 1.0);
        if had_failed {
            tracing::info!(
                connector.id = %self.connector,
                server.url = %server.url,
                "a directory server answers again"
            );
        }
    }

    fn show_health(&self, server: &Server, is_up: f64) {
        metrics::gauge!(
            "rolegate_ldap_up",
            "connector" => self.connector.to_string(),
            "url" => server.url.to_string()
        )
        .set(is_up);
    }

    fn count<T>(&self, operation: &'static str, started: Instant, result: &Result<T, Failure>) {
        let outcome = result.as_ref().err().map_or("ok", Failure::outcome);
        metrics::counter!(
            "rolegate_ldap_operations_total",
            "connector" => self.connector.to_string(),
            "operation" => operation,
            "outcome" => outcome
        )
        .increment(1);
        metrics::histogram!(
            "rolegate_ldap_operation_seconds",
            "connector" => self.connector.to_string(),
            "operation" => operation
        )
        .record(started.elapsed());
    }
}

impl Server {
    fn idle(&self, purpose: Purpose) -> MutexGuard<'_, Vec<Idle>> {
        lock(match purpose {
            Purpose::Search => &self.searching,
            Purpose::Bind => &self.binding,
        })
    }

    /// The connection that was used last, so that those that are not needed grow old.
    fn take_idle(&self, purpose: Purpose) -> Option<Connection> {
        let mut idle = self.idle(purpose);
        while let Some(Idle {
            mut connection,
            since,
        }) = idle.pop()
        {
            if since.elapsed() > IDLE_LIMIT {
                idle.clear();
            } else if !connection.is_closed() {
                return Some(connection);
            }
        }
        None
    }

    /// Keeps a connection on which the last operation was answered to its end.
    fn keep<T>(&self, purpose: Purpose, connection: Connection, result: &Result<T, Failure>) {
        if matches!(result, Ok(_) | Err(Failure::Refused(_))) {
            let since = Instant::now();
            self.idle(purpose).push(Idle { connection, since });
        }
    }

    fn forget_idle(&self) {
        for purpose in [Purpose::Search, Purpose::Bind] {
            self.idle(purpose).clear();
        }
    }
}

impl Health {
    fn pause(&self) -> Duration {
        let doublings = self.failures_in_a_row.saturating_sub(1).min(5);
        (FIRST_RETRY * 2_u32.pow(doublings)).min(LAST_RETRY)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
