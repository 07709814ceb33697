//! What happens to the audit log beside the store: its stream, and its signed checkpoints.
//!
//! Both follow the log from behind: whatever blocks or breaks here holds up no sign-in. Entry
//! points: [`Tasks`], [`checkpoint`].

use std::{
    fs::{File, OpenOptions},
    io::{self, Write as _},
    os::unix::{fs::OpenOptionsExt as _, net::UnixDatagram},
    path::{Path, PathBuf},
    sync::{Arc, mpsc},
    time::Duration,
};

use secrecy::ExposeSecret as _;
use thiserror::Error;
use tokio::{
    sync::{oneshot, watch},
    time::{Instant, sleep},
};

use super::{StartError, chain};
use crate::{
    audit::{
        Action, Actor, AuditEvent, Outcome,
        checkpoint::{Checkpoint, CheckpointError, CheckpointKey},
        stream,
    },
    clock::{Clock, SystemClock},
    config::{self, AuditStream, Config},
    store::{AuditLog, StoreError},
    web,
};

/// How often the log is asked for new rows.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How often it is asked whether a checkpoint is due, and a stream that is stuck tells its lag.
const TELL_EVERY: Duration = Duration::from_secs(5);
/// How many rows are sent at once.
const BATCH: u32 = 500;
/// The pauses of a stream that is down.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// How long the log daemon may take for one message.
const SYSLOG_TIMEOUT: Duration = Duration::from_secs(2);

/// The tasks that follow the audit log.
pub(super) struct Tasks {
    log: Arc<dyn AuditLog>,
    clock: Arc<dyn Clock>,
    stream: Option<AuditStream>,
    checkpoints: Option<Checkpoints>,
}

struct Checkpoints {
    key: CheckpointKey,
    file: Option<PathBuf>,
    every: Duration,
    rows: i64,
}

/// The key that signs checkpoints, where one is configured.
pub(crate) fn checkpoint_key(config: &config::Audit) -> Result<Option<CheckpointKey>, StartError> {
    let Some(pem) = &config.checkpoint_key else {
        return Ok(None);
    };
    CheckpointKey::from_pem(pem.expose_secret().as_bytes())
        .map(Some)
        .map_err(|error| StartError::Setting {
            key: "audit.checkpoint_key_file".to_owned(),
            message: error.to_string(),
        })
}

impl Tasks {
    pub(super) fn new(
        config: &Config,
        log: Arc<dyn AuditLog>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, StartError> {
        let checkpoints = checkpoint_key(&config.audit)?.map(|key| Checkpoints {
            key,
            file: config.audit.checkpoint_file.clone(),
            every: config.audit.checkpoint_every,
            rows: i64::from(config.audit.checkpoint_rows),
        });
        Ok(Self {
            log,
            clock,
            stream: config.audit.stream.clone(),
            checkpoints,
        })
    }

    /// Notes which configuration is in force; its text may name secrets' files and is not told.
    pub(super) async fn note_settings(&self, config: &Config) -> Result<(), StoreError> {
        let now = self.clock.now();
        let event = AuditEvent::new(now, Action::SettingsLoad, Outcome::Ok, Actor::System)
            .with("version", env!("CARGO_PKG_VERSION"))
            .with("sha256", config.fingerprint.as_str());
        self.log.append(&event).await?;
        Ok(())
    }

    /// Follows the log until `stop` turns true. What is left then is for the next start.
    pub(super) async fn run(self, mut stop: watch::Receiver<bool>) {
        let follow = async { tokio::join!(self.stream(), self.sign()) };
        tokio::select! {
            _ = follow => {}
            () = web::stopped(&mut stop) => {}
        }
    }

    async fn stream(&self) {
        let Some(target) = &self.stream else { return };
        let name = stream_name(target);
        let Some(sink) = Sink::start(target.clone()) else {
            tracing::error!(stream = name, "the audit log's stream has no thread");
            return;
        };
        let (mut pause, mut is_down) = (FIRST_PAUSE, false);
        loop {
            match self.send_batch(&name, &sink).await {
                Ok(sent) => {
                    if is_down && sent > 0 {
                        tracing::info!(stream = name, "the audit log's stream is up again");
                        is_down = false;
                    }
                    pause = FIRST_PAUSE;
                    if sent < BATCH as usize {
                        sleep(LOOK_EVERY).await;
                    }
                }
                Err(error) => {
                    if !is_down {
                        let error = chain(&error);
                        tracing::error!(
                            stream = name,
                            error,
                            "the audit log's stream is down; rows wait in the store"
                        );
                        is_down = true;
                    }
                    self.tell_lag(&name).await;
                    sleep(pause).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
        }
    }

    /// Sends what is new, and notes how much of it arrived.
    async fn send_batch(&self, name: &str, sink: &Sink) -> Result<usize, StreamError> {
        let after = self.log.stream_cursor(name).await?;
        let rows = self.log.audit_lines(after, BATCH).await?;
        if rows.is_empty() {
            lag(0);
            return Ok(0);
        }
        let line = |row: &crate::store::AuditLine| {
            stream::line(row.seq, row.payload.as_deref(), &row.hash)
        };
        let mut sending = std::pin::pin!(sink.send(rows.iter().map(line).collect()));
        let sent = loop {
            tokio::select! {
                sent = &mut sending => break sent,
                () = sleep(TELL_EVERY) => self.tell_lag(name).await,
            }
        };
        if let Some(last) = sent.count.checked_sub(1).and_then(|index| rows.get(index)) {
            self.log.move_stream_cursor(name, last.seq).await?;
        }
        self.tell_lag(name).await;
        match sent.trouble {
            Some(error) => Err(StreamError::Io(error)),
            None => Ok(sent.count),
        }
    }

    async fn tell_lag(&self, name: &str) {
        let (head, cursor) = (
            self.log.chain_head().await,
            self.log.stream_cursor(name).await,
        );
        if let (Ok(head), Ok(cursor)) = (head, cursor) {
            lag(head.seq - cursor);
        }
    }

    async fn sign(&self) {
        let Some(checkpoints) = &self.checkpoints else {
            return;
        };
        let mut last: Option<(Instant, i64)> = None;
        loop {
            let is_due = match last {
                None => true,
                Some((at, _)) if at.elapsed() >= checkpoints.every => true,
                Some((_, seq)) => {
                    let head = self.log.chain_head().await;
                    head.is_ok_and(|head| head.seq - seq >= checkpoints.rows)
                }
            };
            if is_due {
                let file = checkpoints.file.as_deref();
                let now = self.clock.now();
                match checkpoint(&*self.log, &checkpoints.key, file, (now, Actor::System)).await {
                    Ok(signed) => last = Some((Instant::now(), signed.seq)),
                    Err(error) => {
                        let error = chain(&error);
                        tracing::error!(error, "no checkpoint of the audit log could be signed");
                    }
                }
            }
            sleep(TELL_EVERY).await;
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a gauge")]
fn lag(rows: i64) {
    metrics::gauge!("rolegate_audit_stream_lag_rows").set(rows.max(0) as f64);
}

/// The stream's name in the store: another target starts from the beginning.
/// What the store knows a stream by.
pub(crate) fn stream_name(target: &AuditStream) -> String {
    match target {
        AuditStream::Stdout => "stdout".to_owned(),
        AuditStream::File(path) => format!("file:{}", path.display()),
        AuditStream::Syslog(path) => format!("syslog:{}", path.display()),
    }
}

#[derive(Debug, Error)]
enum StreamError {
    #[error("the rows cannot be read")]
    Store(#[from] StoreError),
    #[error("the rows cannot be written")]
    Io(#[source] io::Error),
}

/// How much of a batch arrived, and what kept the rest.
struct Sent {
    count: usize,
    trouble: Option<io::Error>,
}

type Parcel = (Vec<String>, oneshot::Sender<Sent>);

/// A thread that writes: it may hang in a pipe that nobody reads without holding up anything, the
/// end of the program included, for which the runtime's own threads would have to be waited.
struct Sink(mpsc::Sender<Parcel>);

impl Sink {
    fn start(target: AuditStream) -> Option<Self> {
        let (parcels, waiting) = mpsc::channel::<Parcel>();
        std::thread::Builder::new()
            .name("audit-stream".to_owned())
            .spawn(move || {
                while let Ok((lines, answer)) = waiting.recv() {
                    // Who gave up waiting sends the same rows again.
                    let _ = answer.send(deliver(&target, &lines));
                }
            })
            .ok()?;
        Some(Self(parcels))
    }

    async fn send(&self, lines: Vec<String>) -> Sent {
        let (answer, answered) = oneshot::channel();
        let gone = || Sent {
            count: 0,
            trouble: Some(io::Error::other("the writing thread ended")),
        };
        if self.0.send((lines, answer)).is_err() {
            return gone();
        }
        answered.await.unwrap_or_else(|_| gone())
    }
}

fn deliver(target: &AuditStream, lines: &[String]) -> Sent {
    let all_or_nothing = |done: io::Result<()>| match done {
        Ok(()) => Sent {
            count: lines.len(),
            trouble: None,
        },
        Err(error) => Sent {
            count: 0,
            trouble: Some(error),
        },
    };
    let text = || {
        lines
            .iter()
            .flat_map(|line| [line, "\n"])
            .collect::<String>()
    };
    match target {
        AuditStream::Stdout => {
            let mut out = io::stdout().lock();
            all_or_nothing(out.write_all(text().as_bytes()).and_then(|()| out.flush()))
        }
        AuditStream::File(path) => all_or_nothing(append(path, &text())),
        AuditStream::Syslog(path) => to_syslog(path, lines),
    }
}

/// Opened anew each time, so that a file that was moved away is followed by a new one.
fn append(path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)?;
    let before = file.metadata()?;
    if let Err(error) = file.write_all(text.as_bytes()) {
        if before.is_file() {
            // Half a line would spoil the next one; that it may stay is no reason to fail twice.
            let _ = file.set_len(before.len());
        }
        return Err(error);
    }
    sync(&file)
}

/// The cursor that moves on is on disk too.
fn sync(file: &File) -> io::Result<()> {
    match file.sync_data() {
        // Pipes and devices have nothing to sync.
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(()),
        done => done,
    }
}

fn to_syslog(path: &Path, lines: &[String]) -> Sent {
    let connected = || {
        let socket = UnixDatagram::unbound()?;
        socket.connect(path)?;
        socket.set_write_timeout(Some(SYSLOG_TIMEOUT))?;
        Ok(socket)
    };
    let socket = match connected() {
        Ok(socket) => socket,
        Err(error) => {
            return Sent {
                count: 0,
                trouble: Some(error),
            };
        }
    };
    for (count, line) in lines.iter().enumerate() {
        let message = stream::syslog(line, SystemClock.now(), std::process::id());
        if let Err(error) = socket.send(message.as_bytes()) {
            return Sent {
                count,
                trouble: Some(error),
            };
        }
    }
    Sent {
        count: lines.len(),
        trouble: None,
    }
}

/// Why there is no new checkpoint.
#[derive(Debug, Error)]
pub(crate) enum NoCheckpoint {
    /// The log cannot be read or written.
    #[error("the audit log cannot be used")]
    Store(#[from] StoreError),
    /// The key cannot sign.
    #[error("the checkpoint cannot be signed")]
    Key(#[from] CheckpointError),
    /// The file cannot be written.
    #[error("{path} cannot be written")]
    File {
        /// The file.
        path: String,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// Signs what the log is now, appends that to `file`, and notes it in the log.
pub(crate) async fn checkpoint(
    log: &dyn AuditLog,
    key: &CheckpointKey,
    file: Option<&Path>,
    (at, by): (time::OffsetDateTime, Actor),
) -> Result<Checkpoint, NoCheckpoint> {
    let head = log.chain_head().await?;
    let signed = key.sign(at, head.seq, &head.hash)?;
    let value = serde_json::to_value(&signed).map_err(StoreError::unavailable)?;
    if let Some(path) = file {
        let line = serde_json::to_string(&signed).map_err(StoreError::unavailable)?;
        let (path, line) = (path.to_owned(), format!("{line}\n"));
        let shown = path.display().to_string();
        let failed = |source| NoCheckpoint::File {
            path: shown,
            source,
        };
        let (answer, answered) = oneshot::channel();
        // A thread of its own, for the same reason as the stream's.
        let writing = std::thread::Builder::new().spawn(move || {
            let _ = answer.send(append(&path, &line));
        });
        let written = match writing {
            Ok(_) => (answered.await).unwrap_or_else(|_| Err(io::ErrorKind::BrokenPipe.into())),
            Err(error) => Err(error),
        };
        written.map_err(failed)?;
    }
    let event =
        AuditEvent::new(at, Action::AuditCheckpoint, Outcome::Ok, by).with("checkpoint", value);
    log.append(&event).await?;
    Ok(signed)
}
