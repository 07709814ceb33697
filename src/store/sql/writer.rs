//! The one task that writes.
//!
//! It takes everything that waits in its bounded queue, up to `BATCH`, runs it in one
//! transaction, commits, and only then answers: many callers share one `fsync`. A write that
//! breaks a rule leaves the others alone; when the database fails, the whole batch is undone,
//! every caller is told, and the next batch begins on a fresh connection.

use std::{sync::Mutex, time::Duration};

use sqlx::Connection as _;
use time::OffsetDateTime;
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
    time::timeout,
};

use super::{
    audit::{self, Entry},
    audit_retirement, conversation,
    dialect::{self, Connection, Options, Place},
    pending, person, policy, probe, review, revocation, session, token,
};
use crate::access::Identity;
use crate::audit::AuditEvent;
use crate::store::{
    ChainHead, Change, EditContext, Retirement, RoleSession, SignInSession, StoreError,
};

/// How many writes share a transaction at most.
const BATCH: usize = 128;
/// How many writes may wait.
const QUEUE: usize = 1_024;
/// How long a caller waits for a write. A request that needs the store fails, it does not hang.
const DEADLINE: Duration = Duration::from_millis(1_500);
/// How long the callers of long writes wait: imports, access reviews, and what is done once at
/// start.
const LONG_DEADLINE: Duration = Duration::from_mins(1);

/// Something to write.
#[derive(Debug)]
pub(super) enum Write {
    Append(Box<Entry>),
    Announce {
        entry: Box<Entry>,
        policy_version: i64,
        /// The sign-in session that has to be there.
        session: Option<String>,
    },
    Conclude {
        entry: Box<Entry>,
        role_session: Option<Box<RoleSession>>,
    },
    CloseOrphans(OffsetDateTime),
    MoveCursor {
        stream: String,
        seq: i64,
    },
    Retire {
        retirement: Retirement,
        event: Box<AuditEvent>,
    },
    RetireMore {
        after: i64,
    },
    Apply {
        changes: Vec<Change>,
        context: Box<EditContext>,
    },
    NoteFile(Box<Entry>),
    Pending(pending::Step),
    Review(review::Step),
    Revocation(revocation::Step),
    RoleProbe(probe::Step),
    SaveSession(Box<SignInSession>),
    RenewSession {
        id_hash: String,
        identity: Box<Identity>,
    },
    TouchSession {
        id_hash: String,
        at: OffsetDateTime,
    },
    EndSession {
        id_hash: String,
    },
    EndSessionsOf {
        connector: String,
        subject: String,
    },
    SweepSessions {
        now: OffsetDateTime,
        idle_since: OffsetDateTime,
    },
    Conversation(conversation::Step),
    Token(token::Step),
    SetFavourite {
        connector: String,
        subject: String,
        role: String,
        is_favourite: bool,
    },
    SetSetting {
        connector: String,
        subject: String,
        name: String,
        value: String,
    },
    Probe,
}

impl Write {
    fn deadline(&self) -> Duration {
        match self {
            Self::Apply { .. }
            | Self::CloseOrphans(_)
            | Self::Retire { .. }
            | Self::RetireMore { .. }
            | Self::SweepSessions { .. }
            | Self::Review(_)
            | Self::Conversation(conversation::Step::Sweep(_))
            | Self::Token(token::Step::Sweep(_)) => LONG_DEADLINE,
            _ => DEADLINE,
        }
    }

    /// Whether it may be refused after it changed something, and so needs a savepoint; all others
    /// check first and write then.
    fn may_stop_half_way(&self) -> bool {
        matches!(self, Self::Apply { .. } | Self::Retire { .. })
    }
}

/// What a write did.
#[derive(Debug, Default)]
pub(super) struct Written {
    /// The audit row's place, or the version of the tables.
    pub(super) number: i64,
    /// The audit row's hash, or the edit's id.
    pub(super) text: String,
    /// How many rows changed.
    pub(super) rows: u64,
    /// The sign-in sessions that ended, where the caller wants to know whose they were.
    pub(super) sessions: Vec<SignInSession>,
}

impl Written {
    pub(super) fn at(head: ChainHead) -> Self {
        Self {
            number: head.seq,
            text: head.hash,
            rows: 1,
            ..Self::default()
        }
    }

    pub(super) fn rows(rows: u64) -> Self {
        Self {
            rows,
            ..Self::default()
        }
    }

    pub(super) fn sessions(sessions: Vec<SignInSession>) -> Self {
        Self {
            rows: sessions.len() as u64,
            sessions,
            ..Self::default()
        }
    }
}

type Answer = Result<Written, StoreError>;

#[derive(Debug)]
enum Message {
    Write(Write, oneshot::Sender<Answer>),
    Stop,
}

/// The way to the writing task, which ends when this is dropped.
#[derive(Debug)]
pub(super) struct Writer {
    queue: mpsc::Sender<Message>,
    task: Mutex<Option<JoinHandle<()>>>,
}

impl Writer {
    /// Starts the task with a connection, and with what it takes to make another.
    pub(super) fn start(connection: Connection, place: Place, options: Options) -> Self {
        let (queue, waiting) = mpsc::channel(QUEUE);
        let worker = Worker {
            connection: Some(connection),
            place,
            options,
        };
        Self {
            queue,
            task: Mutex::new(Some(tokio::spawn(worker.run(waiting)))),
        }
    }

    /// A way to nowhere, for stores that are read alone.
    pub(super) fn refusing() -> Self {
        Self {
            queue: mpsc::channel(1).0,
            task: Mutex::new(None),
        }
    }

    /// Writes; the answer comes after the commit. Where the caller stops waiting, what was not
    /// begun is not written, and what was begun is.
    pub(super) async fn submit(&self, write: Write) -> Answer {
        let deadline = write.deadline();
        let (answer, answered) = oneshot::channel();
        let written = async {
            let closed = || StoreError::unavailable("the store is closed");
            let message = Message::Write(write, answer);
            self.queue.send(message).await.map_err(|_| closed())?;
            answered.await.map_err(|_| closed())?
        };
        timeout(deadline, written)
            .await
            .unwrap_or_else(|_| Err(StoreError::unavailable("writing took too long")))
    }

    /// Ends the task after what waits is written.
    pub(super) async fn close(&self) {
        let task = self
            .task
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .take();
        if let Some(task) = task {
            // Either fails only when the task has ended already.
            let _ = self.queue.send(Message::Stop).await;
            let _ = task.await;
        }
    }
}

type Waiting = (Write, oneshot::Sender<Answer>);

struct Worker {
    connection: Option<Connection>,
    place: Place,
    options: Options,
}

impl Worker {
    async fn run(mut self, mut waiting: mpsc::Receiver<Message>) {
        let mut messages = Vec::with_capacity(BATCH);
        let mut is_stopping = false;
        while !is_stopping && waiting.recv_many(&mut messages, BATCH).await > 0 {
            // What comes at the same moment, such as the rest of a sign-in, shares the commit.
            tokio::task::yield_now().await;
            while messages.len() < BATCH
                && let Ok(message) = waiting.try_recv()
            {
                messages.push(message);
            }
            let mut batch: Vec<Waiting> = Vec::with_capacity(messages.len());
            for message in messages.drain(..) {
                match message {
                    Message::Write(write, answer) => batch.push((write, answer)),
                    Message::Stop => is_stopping = true,
                }
            }
            if !batch.is_empty() {
                self.write_and_answer(batch).await;
            }
        }
        if let Some(connection) = self.connection {
            // Closing folds the write-ahead log into the file; it is also done at the next start.
            let _ = connection.close().await;
        }
    }

    async fn write_and_answer(&mut self, batch: Vec<Waiting>) {
        let answers = match self.write(&batch).await {
            Ok(answers) => answers,
            Err(error) => {
                let reason = reason(&error);
                tracing::warn!(writes = batch.len(), reason, "the store cannot be written");
                let failed = || Err(StoreError::unavailable(reason.clone()));
                std::iter::repeat_with(failed).take(batch.len()).collect()
            }
        };
        for ((_, waiting), answer) in batch.into_iter().zip(answers) {
            // A caller that went away needs no answer.
            let _ = waiting.send(answer);
        }
    }

    /// Makes all writes that break no rule, in one transaction.
    async fn write(&mut self, batch: &[Waiting]) -> Result<Vec<Answer>, StoreError> {
        self.place.check(&self.options)?;
        // Taken out, so that a connection that failed is not used again.
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => dialect::connect(&self.options).await?,
        };
        let mut answers = Vec::with_capacity(batch.len());
        let mut transaction = connection.begin_with(dialect::BEGIN_WRITE).await?;
        for (write, waiting) in batch {
            // Whoever gave up while the transaction waited for its lock was told that nothing
            // was written.
            if waiting.is_closed() {
                answers.push(Ok(Written::default()));
                continue;
            }
            let answer = if write.may_stop_half_way() {
                let mut savepoint = transaction.begin().await?;
                let answer = perform(&mut savepoint, write).await;
                match &answer {
                    Ok(_) => savepoint.commit().await?,
                    // The whole transaction is undone below, and this is the cause to tell.
                    Err(StoreError::Unavailable(_)) => drop(savepoint),
                    Err(_) => savepoint.rollback().await?,
                }
                answer
            } else {
                perform(&mut transaction, write).await
            };
            if let Err(StoreError::Unavailable(source)) = answer {
                return Err(StoreError::Unavailable(source));
            }
            answers.push(answer);
        }
        transaction.commit().await?;
        self.connection = Some(connection);
        Ok(answers)
    }
}

/// The innermost sentence; the outer one is the same for everybody.
fn reason(error: &StoreError) -> String {
    std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string)
}

async fn perform(connection: &mut Connection, write: &Write) -> Answer {
    match write {
        Write::Append(entry) => audit::append(connection, entry).await.map(Written::at),
        Write::Announce {
            entry,
            policy_version,
            session,
        } => audit::announce(connection, entry, *policy_version, session.as_deref())
            .await
            .map(Written::at),
        Write::Conclude {
            entry,
            role_session,
        } => audit::conclude(connection, entry, role_session.as_deref())
            .await
            .map(Written::at),
        Write::CloseOrphans(at) => audit::close_orphans(connection, *at)
            .await
            .map(Written::rows),
        Write::MoveCursor { stream, seq } => {
            audit_retirement::move_cursor(connection, stream, *seq).await
        }
        Write::Retire { retirement, event } => {
            audit_retirement::retire(connection, retirement, event).await
        }
        Write::RetireMore { after } => audit_retirement::retire_more(connection, *after).await,
        Write::Apply { changes, context } => policy::apply(connection, changes, context).await,
        Write::NoteFile(entry) => policy::note_file(connection, entry).await,
        Write::Pending(step) => pending::perform(connection, step).await,
        Write::Review(step) => review::perform(connection, step).await,
        Write::Revocation(step) => revocation::perform(connection, step).await,
        Write::RoleProbe(step) => probe::perform(connection, step).await,
        Write::SaveSession(session) => session::save(connection, session).await,
        Write::RenewSession { id_hash, identity } => {
            session::renew(connection, id_hash, identity).await
        }
        Write::TouchSession { id_hash, at } => session::touch(connection, id_hash, *at).await,
        Write::EndSession { id_hash } => session::end(connection, id_hash).await,
        Write::EndSessionsOf { connector, subject } => {
            session::end_all_of(connection, connector, subject).await
        }
        Write::SweepSessions { now, idle_since } => {
            session::sweep(connection, *now, *idle_since).await
        }
        Write::Conversation(step) => conversation::perform(connection, step).await,
        Write::Token(step) => token::perform(connection, step).await,
        Write::SetFavourite {
            connector,
            subject,
            role,
            is_favourite,
        } => {
            let person = (connector.as_str(), subject.as_str());
            person::set_favourite(connection, person, role, *is_favourite).await
        }
        Write::SetSetting {
            connector,
            subject,
            name,
            value,
        } => {
            let person = (connector.as_str(), subject.as_str());
            person::set_setting(connection, person, name, value).await
        }
        Write::Probe => dialect::probe(connection).await.map(Written::rows),
    }
}
