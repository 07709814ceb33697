//! Previews and saves of edits that may take longer than a page should: each runs in a task of its
//! own, and the page that asked looks again until it is done.
//!
//! Kept in memory for the sign-in session that asked, bounded in number and age; only words for
//! pages are kept of a preview, never the people. Entry points: [`PreviewJobs::start`],
//! [`PreviewJobs::find`].

use std::{
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::{Duration, Instant},
};

use tokio::{sync::watch, task::AbortHandle};
use uuid::Uuid;

use super::views::helpdesk::{
    mappings::MappingQuery,
    preview::{Effects, PreviewState},
};
use crate::{
    access::Change,
    broker::{Conflict, PendingEdit, Progress, Saved},
};

/// How many jobs one sign-in session may have; older ones go.
const MOST_OF_SESSION: usize = 4;
/// How many jobs there may be at all.
const MOST: usize = 64;
/// How many bytes the forms of all jobs may have.
const MOST_BYTES: usize = 64 * 1024 * 1024;
/// How long a job is kept.
const KEPT: Duration = Duration::from_mins(10);

/// What a job is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Purpose {
    /// To show what an edit would do.
    Preview,
    /// To save an edit.
    Save,
    /// To show what a pending edit would do.
    LookAtPending(String),
    /// To approve a pending edit.
    Approve(String),
}

/// What a job was asked.
pub(super) struct Wish {
    /// The sign-in session, by the hash of its id.
    pub(super) session: String,
    /// What it is for.
    pub(super) purpose: Purpose,
    /// The form.
    pub(super) fields: Vec<(String, String)>,
    /// The list beside the form.
    pub(super) query: MappingQuery,
}

/// What became of a job.
pub(super) enum Finished {
    /// What the edit would do.
    Looked(Box<Effects>),
    /// What a pending edit would do.
    LookedAtPending(Box<PendingEdit>, PreviewState),
    /// It is saved, or waits.
    Saved(Saved),
    /// It is not saved: it would now do something else.
    Changed(Box<Effects>),
    /// It is not saved: the rows were changed meanwhile.
    Conflicts(Vec<Conflict>, Vec<Change>),
    /// It cannot be done; the status and sentences.
    Refused(u16, Vec<String>),
    /// The store does not answer.
    Unavailable,
}

/// A preview or save.
pub(super) struct Job {
    /// Its id; random.
    pub(super) id: String,
    /// What was asked.
    pub(super) wish: Wish,
    /// How far it is.
    pub(super) progress: Progress,
    started: Instant,
    finished: OnceLock<Finished>,
    is_finished: watch::Sender<bool>,
    task: OnceLock<AbortHandle>,
}

impl Job {
    /// What became of it; none while it runs.
    pub(super) fn finished(&self) -> Option<&Finished> {
        self.finished.get()
    }

    /// Waits for its end, at most so long.
    pub(super) async fn wait(&self, longest: Duration) {
        let mut is_finished = self.is_finished.subscribe();
        // Whether it was in time is seen by what became of it.
        let _ = tokio::time::timeout(longest, is_finished.wait_for(|is| *is)).await;
    }

    /// About how many bytes it keeps.
    fn size(&self) -> usize {
        let fields = self.wish.fields.iter();
        fields.map(|(name, value)| name.len() + value.len()).sum()
    }

    fn writes(&self) -> bool {
        matches!(self.wish.purpose, Purpose::Save | Purpose::Approve(_))
    }

    /// Whether it may go: what writes is never dropped before its end.
    fn may_go(&self) -> bool {
        self.finished.get().is_some() || !self.writes()
    }

    fn give_up(&self) {
        if self.finished.get().is_none()
            && let Some(task) = self.task.get()
        {
            task.abort();
        }
    }
}

/// The jobs of everybody.
#[derive(Default)]
pub(super) struct PreviewJobs(Mutex<Vec<Arc<Job>>>);

impl PreviewJobs {
    /// Starts `work`; none where there are too many that cannot be given up.
    pub(super) fn start<W>(&self, wish: Wish, work: impl FnOnce(Progress) -> W) -> Option<Arc<Job>>
    where
        W: Future<Output = Finished> + Send + 'static,
    {
        let job = Arc::new(Job {
            id: Uuid::new_v4().simple().to_string(),
            wish,
            progress: Progress::default(),
            started: Instant::now(),
            finished: OnceLock::new(),
            is_finished: watch::Sender::new(false),
            task: OnceLock::new(),
        });
        let mut jobs = self.jobs();
        make_room(&mut jobs, &job.wish.session, job.size());
        let own = jobs
            .iter()
            .filter(|other| other.wish.session == job.wish.session);
        if own.count() >= MOST_OF_SESSION
            || jobs.len() >= MOST
            || bytes_of(&jobs) + job.size() > MOST_BYTES
        {
            return None;
        }
        jobs.push(Arc::clone(&job));
        drop(jobs);
        let task = tokio::spawn(work(job.progress.clone()));
        // The first and only time.
        let _ = job.task.set(task.abort_handle());
        tokio::spawn(note_end(Arc::clone(&job), task));
        Some(job)
    }

    /// A job of this sign-in session.
    pub(super) fn find(&self, session: &str, id: &str) -> Option<Arc<Job>> {
        let jobs = self.jobs();
        let mut own = jobs.iter().filter(|job| job.wish.session == session);
        own.find(|job| job.id == id).cloned()
    }

    /// What the preview of an edit said that this session has just saved.
    pub(super) fn effect_of(&self, session: &str, edit: &str) -> Option<String> {
        let jobs = self.jobs();
        let own = jobs.iter().filter(|job| job.wish.session == session);
        let mut saved = own.filter(|job| {
            matches!(job.finished(), Some(Finished::Saved(Saved::InForce { edit: id, .. })) if id == edit)
        });
        let fields = &saved.next_back()?.wish.fields;
        let effect = fields.iter().find(|(name, _)| name == "effect");
        effect.map(|(_, text)| text.clone())
    }

    fn jobs(&self) -> MutexGuard<'_, Vec<Arc<Job>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn bytes_of(jobs: &[Arc<Job>]) -> usize {
    jobs.iter().map(|job| job.size()).sum()
}

/// Drops what is old, the oldest of the session, and what is done where it keeps too much.
fn make_room(jobs: &mut Vec<Arc<Job>>, session: &str, needed: usize) {
    jobs.retain(|job| job.started.elapsed() < KEPT || !job.may_go());
    let mut surplus = jobs
        .iter()
        .filter(|job| job.wish.session == session)
        .count()
        .saturating_sub(MOST_OF_SESSION - 1);
    jobs.retain(|job| {
        let goes = surplus > 0 && job.wish.session == session && job.may_go();
        if goes {
            surplus -= 1;
            job.give_up();
        }
        !goes
    });
    while (jobs.len() >= MOST || bytes_of(jobs) + needed > MOST_BYTES)
        && let Some(place) = jobs.iter().position(|job| job.finished().is_some())
    {
        jobs.remove(place);
    }
}

async fn note_end(job: Arc<Job>, task: tokio::task::JoinHandle<Finished>) {
    let finished = task.await.unwrap_or_else(|error| {
        if error.is_panic() {
            tracing::error!("an edit's task ended in a panic");
        }
        let sentence = "Rolegate made a mistake while it looked at this, and nothing was saved.";
        Finished::Refused(500, vec![sentence.to_owned()])
    });
    // The first and only time.
    let _ = job.finished.set(finished);
    job.is_finished.send_replace(true);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(session: &str, purpose: Purpose) -> Wish {
        Wish {
            session: session.to_owned(),
            purpose,
            fields: Vec::new(),
            query: MappingQuery::default(),
        }
    }

    #[tokio::test]
    async fn a_job_belongs_to_its_session() {
        let jobs = PreviewJobs::default();
        let job = jobs
            .start(wish("a", Purpose::Preview), |_| async {
                Finished::Unavailable
            })
            .unwrap();
        job.wait(Duration::from_secs(10)).await;
        assert!(matches!(job.finished(), Some(Finished::Unavailable)));
        assert!(jobs.find("a", &job.id).is_some());
        assert!(jobs.find("b", &job.id).is_none());
    }

    #[tokio::test]
    async fn a_session_has_four_jobs_and_gives_up_previews_but_never_saves() {
        let jobs = PreviewJobs::default();
        let start = |purpose| {
            jobs.start(wish("a", purpose), |_| std::future::pending())
                .unwrap()
        };
        let save = start(Purpose::Save);
        let first = start(Purpose::Preview);
        for _ in 0..4 {
            start(Purpose::Preview);
        }
        assert!(jobs.find("a", &save.id).is_some());
        assert!(jobs.find("a", &first.id).is_none());
        assert_eq!(jobs.jobs().len(), MOST_OF_SESSION);
        first.wait(Duration::from_secs(10)).await;
        assert!(matches!(first.finished(), Some(Finished::Refused(500, _))));
    }

    #[tokio::test]
    async fn a_session_that_saves_without_end_keeps_nobody_else_waiting() {
        let jobs = PreviewJobs::default();
        let start =
            |session: &str| jobs.start(wish(session, Purpose::Save), |_| std::future::pending());
        for _ in 0..MOST_OF_SESSION {
            assert!(start("a").is_some());
        }
        assert!(start("a").is_none());
        assert!(start("b").is_some());
    }

    #[tokio::test]
    async fn what_jobs_keep_is_bounded_in_bytes() {
        let jobs = PreviewJobs::default();
        let large = |session: &str| Wish {
            fields: vec![("text".to_owned(), "x".repeat(MOST_BYTES / 3))],
            ..wish(session, Purpose::Preview)
        };
        let first = jobs.start(large("a"), |_| async { Finished::Unavailable });
        let first = first.unwrap();
        first.wait(Duration::from_secs(10)).await;
        for session in ["b", "c"] {
            assert!(
                jobs.start(large(session), |_| std::future::pending())
                    .is_some()
            );
        }
        assert!(jobs.find("a", &first.id).is_none(), "it was done, and went");
        assert!(jobs.start(large("d"), |_| std::future::pending()).is_none());
        let small = jobs.start(wish("d", Purpose::Preview), |_| std::future::pending());
        assert!(small.is_some());
    }

    #[tokio::test]
    async fn saves_that_run_are_not_pushed_out_by_more() {
        let jobs = PreviewJobs::default();
        for place in 0..MOST {
            let wish = wish(&place.to_string(), Purpose::Save);
            assert!(jobs.start(wish, |_| std::future::pending()).is_some());
        }
        let another = jobs.start(wish("x", Purpose::Preview), |_| std::future::pending());
        assert!(another.is_none());
    }
}
