//! Child processes that never outlive the tests, and ports for them to listen on.

use std::{
    collections::HashSet,
    fs::{self, File},
    hash::{BuildHasher, RandomState},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::{
        Mutex, OnceLock,
        mpsc::{Sender, channel},
    },
    thread,
    time::{Duration, Instant},
};

/// How long a server may take to answer for the first time; they need a second or less.
const START_LIMIT: Duration = Duration::from_mins(1);
/// How long a server may take to end when asked to, before it is killed.
const STOP_LIMIT: Duration = Duration::from_secs(5);
const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// A running server with its output in a file.
#[derive(Debug)]
pub struct Server {
    name: &'static str,
    child: Child,
    log_path: PathBuf,
}

impl Server {
    /// Starts `command` with both output streams appended to `log_path`.
    pub fn start(name: &'static str, command: &Command, log_path: &Path) -> Self {
        let log = File::options()
            .create(true)
            .append(true)
            .open(log_path)
            .expect("the log file can be opened");
        let mut command = tied_to_this_process(command);
        command
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a file can be opened twice"))
            .stderr(log);
        let child = spawn(command, name);
        Self {
            name,
            child,
            log_path: log_path.to_path_buf(),
        }
    }

    /// Waits until something accepts connections at `address`; panics with the log otherwise.
    pub fn wait_until_listening(mut self, address: SocketAddr) -> Self {
        self.wait_until(|| TcpStream::connect(address).is_ok());
        self
    }

    /// Waits until `is_ready` says so; panics with the log when the server ends or takes too long.
    pub fn wait_until(&mut self, is_ready: impl Fn() -> bool) {
        let started = Instant::now();
        while !is_ready() {
            if let Some(status) = self.child.try_wait().expect("a child can be waited for") {
                panic!(
                    "{} ended at its start with {status}:\n{}",
                    self.name,
                    self.log()
                );
            }
            assert!(
                started.elapsed() < START_LIMIT,
                "{} did not answer within {START_LIMIT:?}:\n{}",
                self.name,
                self.log()
            );
            thread::sleep(POLL_INTERVAL);
        }
    }

    /// Sends a signal by its name without `SIG`: `STOP`, `CONT`, `TERM`.
    pub fn signal(&self, signal: &str) {
        // The shell's own `kill`, because a small Debian has no other.
        let status = Command::new("sh")
            .args([
                "-c",
                "kill -s \"$0\" \"$1\"",
                signal,
                &self.child.id().to_string(),
            ])
            .status()
            .expect("sh runs");
        assert!(
            status.success(),
            "{} could not be sent SIG{signal}",
            self.name
        );
    }

    /// Everything the server has printed since its first start.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log_path).unwrap_or_default()).into_owned()
    }

    /// Asks the server to end, kills it when it does not, and waits until it is gone.
    fn stop(&mut self) {
        if matches!(self.child.try_wait(), Ok(Some(_))) {
            return;
        }
        self.signal("TERM");
        // A stopped process notices SIGTERM only when it continues.
        self.signal("CONT");
        let asked = Instant::now();
        while asked.elapsed() < STOP_LIMIT {
            if matches!(self.child.try_wait(), Ok(Some(_))) {
                return;
            }
            thread::sleep(POLL_INTERVAL);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Runs a command to its end and returns what it printed; `input` becomes its standard input.
pub fn run(name: &'static str, command: &Command, input: Option<&Path>) -> Output {
    let mut command = tied_to_this_process(command);
    let stdin = input.map_or_else(Stdio::null, |path| {
        Stdio::from(File::open(path).expect("the input file can be opened"))
    });
    command
        .stdin(stdin)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    spawn(command, name)
        .wait_with_output()
        .expect("a child can be waited for")
}

/// [`run`], with a panic that quotes the command's output when it fails.
pub fn run_or_panic(name: &'static str, command: &Command, input: Option<&Path>) -> String {
    let output = run(name, command, input);
    assert_succeeded(name, output.status, &output);
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn assert_succeeded(name: &str, status: ExitStatus, output: &Output) {
    assert!(
        status.success(),
        "{name} failed with {status}:\n{}\n{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

/// The same command, killed by the kernel when the test process is gone, however it went.
fn tied_to_this_process(command: &Command) -> Command {
    let mut tied = Command::new("setpriv");
    tied.args(["--pdeathsig", "KILL", "--"])
        .arg(command.get_program())
        .args(command.get_args());
    if let Some(dir) = command.get_current_dir() {
        tied.current_dir(dir);
    }
    for (key, value) in command.get_envs() {
        match value {
            Some(value) => tied.env(key, value),
            None => tied.env_remove(key),
        };
    }
    tied
}

/// Spawns on one thread that lives as long as the process: the kernel sends the death signal when
/// the spawning *thread* ends, and a test's thread ends before a shared server may.
fn spawn(command: Command, name: &'static str) -> Child {
    type Order = (Command, Sender<std::io::Result<Child>>);
    static SPAWNER: OnceLock<Mutex<Sender<Order>>> = OnceLock::new();

    let orders = SPAWNER.get_or_init(|| {
        let (sender, received) = channel::<Order>();
        thread::spawn(move || {
            for (mut command, answer) in received {
                let _ = answer.send(command.spawn());
            }
        });
        Mutex::new(sender)
    });
    let (answer, spawned) = channel();
    orders
        .lock()
        .expect("no spawn panics")
        .send((command, answer))
        .expect("the spawner lives");
    spawned
        .recv()
        .expect("the spawner answers")
        .unwrap_or_else(|error| panic!("{name} cannot be started: {error}; run `make test`"))
}

/// A port of 127.0.0.1 that nobody listens on.
///
/// It lies below the range from which the kernel takes ports for outgoing connections, so that a
/// stopped server finds its port free when it comes back.
pub fn free_port() -> u16 {
    static TAKEN: Mutex<Option<HashSet<u16>>> = Mutex::new(None);

    let mut taken = TAKEN.lock().expect("no holder panics");
    let taken = taken.get_or_insert_default();
    loop {
        let random = RandomState::new().hash_one(());
        let port = 15_000 + u16::try_from(random % 17_000).expect("below 17 000");
        if taken.insert(port) && TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
}
