//! Traps for what nobody may do with a stranger's message: ask an address, open a file.

use std::{
    fs::File,
    net::{SocketAddr, TcpListener, TcpStream},
    os::unix::fs::OpenOptionsExt,
    path::PathBuf,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
};

/// An address and a file. Whoever asks or opens them is counted.
#[derive(Debug)]
pub struct Canary {
    pub url: String,
    pub file: PathBuf,
    address: SocketAddr,
    is_over: Arc<AtomicBool>,
    touched: Arc<AtomicUsize>,
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
        let touched = Arc::new(AtomicUsize::new(0));
        let pipe = file.clone();
        let watchers = vec![
            watch(&is_over, &touched, move || drop(listener.accept())),
            watch(&is_over, &touched, move || {
                drop(File::options().write(true).open(&pipe))
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

    /// How often the address was asked or the file opened.
    pub fn touched(mut self) -> usize {
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

/// `O_NONBLOCK` of Linux.
const O_NONBLOCK: i32 = 0o4000;

fn watch(
    is_over: &Arc<AtomicBool>,
    touched: &Arc<AtomicUsize>,
    wait: impl Fn() + Send + 'static,
) -> JoinHandle<()> {
    let (is_over, touched) = (Arc::clone(is_over), Arc::clone(touched));
    thread::spawn(move || {
        loop {
            wait();
            if is_over.load(Ordering::SeqCst) {
                break;
            }
            touched.fetch_add(1, Ordering::SeqCst);
        }
    })
}
