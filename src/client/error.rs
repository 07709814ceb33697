//! Why something was not done, in words for the person at the terminal.
//!
//! Never here: a token, a key, a code. Entry point: [`ClientError`].

use std::{fmt, io, path::PathBuf};

use serde::Deserialize;
use thiserror::Error;

use super::ServerUrl;

/// Why a client command did not do what was asked.
#[derive(Debug, Error)]
pub enum ClientError {
    /// No server is known: nobody ever signed in, and none was named.
    #[error("no server is known yet; run `rolegate login URL` with the address of your Rolegate")]
    NoServer,
    /// Nobody is signed in there.
    #[error("you are not signed in at {0}; run `rolegate login {0}`")]
    NotSignedIn(ServerUrl),
    /// The sign-in is over: too old, or ended on the page of sessions.
    #[error("your sign-in at {0} has ended; run `rolegate login {0}`")]
    SignInEnded(ServerUrl),
    /// Nobody answered.
    #[error("{server} cannot be reached: {why}")]
    Unreachable {
        /// Who was asked.
        server: ServerUrl,
        /// What stood in the way.
        why: String,
    },
    /// The server understood, and said no.
    #[error(transparent)]
    Refused(Box<Refusal>),
    /// Something answered that does not speak like Rolegate.
    #[error("{server} answered something that is not Rolegate's: {what}; is the address right?")]
    Unexpected {
        /// Who was asked.
        server: ServerUrl,
        /// What came.
        what: String,
    },
    /// Signing in did not come to its end.
    #[error("{0}")]
    NotCompleted(String),
    /// An address that cannot be Rolegate's; says what would be right.
    #[error("{0}")]
    BadAddress(String),
    /// Something cannot be written in the way that was asked for; says what.
    #[error("{0}")]
    Unwritable(String),
    /// A file cannot be used.
    #[error("{}: {why}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What stood in the way, and what would help.
        why: String,
    },
}

impl ClientError {
    /// A file that cannot be read, written or locked.
    pub(super) fn file(path: impl Into<PathBuf>, error: &io::Error) -> Self {
        Self::File {
            path: path.into(),
            why: error.to_string(),
        }
    }
}

/// What the server said when it said no.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Refusal {
    /// The status of HTTP.
    #[serde(skip)]
    pub status: u16,
    /// A stable code, such as `reason_required`.
    pub error: String,
    /// Words for the person.
    pub message: String,
    /// Where the person can do it in a browser.
    pub url: Option<String>,
    /// What the server's operators find it by.
    pub request_id: Option<String>,
}

impl std::error::Error for Refusal {}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.message.is_empty(), self.error.is_empty()) {
            (false, _) => f.write_str(self.message.trim_end())?,
            (true, false) => write!(f, "the server refused: {}", self.error)?,
            (true, true) => write!(f, "the server refused, with status {}", self.status)?,
        }
        if let Some(url) = self
            .url
            .as_deref()
            .filter(|url| !self.message.contains(*url))
        {
            write!(f, "\nin a browser: {url}")?;
        }
        if let Some(id) = (self.request_id.as_deref()).filter(|id| !self.message.contains(*id)) {
            write!(f, "\nrequest {id}")?;
        }
        Ok(())
    }
}
