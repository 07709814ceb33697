//! Traps for what nobody may do with a stranger's message: ask an address, open a file.

use std::{
    fs::File,
    net::{SocketAddr, TcpListener, TcpStream},
    os::unix::fs::OpenOptionsExt,
    path::PathBuf,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

/// An address and a file. Whoever asks or opens them is noticed.
#[derive(Debug)]
pub struct Canary {
    pub url: String,
    pub file: PathBuf,
    address: SocketAddr,
    is_over: Arc<AtomicBool>,
    touched: Arc<AtomicBool>,
    watchers: Vec<JoinHandle<()>>,
    _dir: tempfile::TempDir,
}

impl Canary {
    /// Listens, and makes a named pipe, whose writer goes on only when somebody opens it.
    pub fn start() -> Self {
        let dir = crate::support::temporary_dir("canary");
        let file = dir.path().join("forbidden");
        let made = Command::new("mkfifo")
            .arg(&file)
            .status()
            .expect("coreutils");
        assert!(made.success(), "mkfifo makes a named pipe");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let is_over = Arc::new(AtomicBool::new(false));
        let touched = Arc::new(AtomicBool::new(false));
        let pipe = file.clone();
        let watchers = vec![
            watch(&is_over, &touched, move || drop(listener.accept())),
            watch(&is_over, &touched, move || {
                drop(File::options().write(true).open(&pipe));
            }),
        ];
        let url = format!("http://{address}");
        Self {
            url,
            file,
            address,
            is_over,
            touched,
            watchers,
            _dir: dir,
        }
    }

    /// Waits until somebody asked or opened it.
    pub fn wait(&self) {
        let started = Instant::now();
        while !self.touched.load(Ordering::SeqCst) {
            assert!(started.elapsed() < WAIT_LIMIT, "nobody touched it");
            thread::yield_now();
        }
    }

    /// Whether anybody asked the address or opened the file.
    pub fn was_touched(mut self) -> bool {
        // Whoever touched it is gone; the watchers may still have to note that.
        (0..YIELDS).for_each(|_| thread::yield_now());
        self.is_over.store(true, Ordering::SeqCst);
        let connection = TcpStream::connect(self.address);
        // Not blocking: both ends of the pipe wait for each other otherwise.
        let pipe = File::options()
            .read(true)
            .custom_flags(O_NONBLOCK)
            .open(&self.file);
        for watcher in self.watchers.drain(..) {
            watcher.join().expect("a watcher does not panic");
        }
        drop((connection, pipe));
        self.touched.load(Ordering::SeqCst)
    }
}

/// How long a touch may take to be noted.
const WAIT_LIMIT: Duration = Duration::from_secs(30);
const YIELDS: usize = 1_000;
/// `O_NONBLOCK` of Linux.
const O_NONBLOCK: i32 = 0o4000;

fn watch(
    is_over: &Arc<AtomicBool>,
    touched: &Arc<AtomicBool>,
    wait: impl Fn() + Send + 'static,
) -> JoinHandle<()> {
    let (is_over, touched) = (Arc::clone(is_over), Arc::clone(touched));
    thread::spawn(move || {
        loop {
            wait();
            if is_over.load(Ordering::SeqCst) {
                break;
            }
            touched.store(true, Ordering::SeqCst);
        }
    })
}
