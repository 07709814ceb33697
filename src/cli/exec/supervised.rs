//! Running a command as a child, in whose place this process takes signals. Entry point: [`wait`].

use std::{
    io,
    process::{Command, ExitStatus},
    thread,
};

use tokio::runtime::Builder;

use super::{Failure, not_run};

/// Runs the command to its end and ends as it did.
pub(super) fn wait(mut command: Command) -> Result<(), Failure> {
    let failed = |error: io::Error| Failure::Refused(format!("signals cannot be taken: {error}"));
    // Taken from before the child is there, so that none ends this process alone.
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(failed)?;
    let signals = {
        let _inside = runtime.enter();
        Signals::take().map_err(failed)?
    };
    let mut child = command.spawn().map_err(|error| not_run(&command, &error))?;
    let process = child.id();
    let watcher = thread::Builder::new();
    watcher
        .spawn(move || runtime.block_on(signals.forward(process)))
        .map_err(failed)?;
    let status = child
        .wait()
        .map_err(|error| Failure::Refused(format!("the command was lost: {error}")))?;
    match code(status) {
        0 => Ok(()),
        code => Err(Failure::Told(code)),
    }
}

#[cfg(unix)]
fn code(status: ExitStatus) -> u8 {
    use std::os::unix::process::ExitStatusExt as _;

    let code = status.code().or(status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
}

#[cfg(not(unix))]
fn code(status: ExitStatus) -> u8 {
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    code.unwrap_or(1)
}

/// The signals that this process takes for its child. Those of the keyboard the child gets from the
/// terminal itself; those of other processes have to be passed on.
#[cfg(unix)]
struct Signals {
    keyboard: [tokio::signal::unix::Signal; 2],
    end: tokio::signal::unix::Signal,
    hang_up: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn take() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};

        Ok(Self {
            keyboard: [
                signal(SignalKind::interrupt())?,
                signal(SignalKind::quit())?,
            ],
            end: signal(SignalKind::terminate())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    async fn forward(self, process: u32) {
        let Self {
            keyboard: [mut interrupt, mut quit],
            mut end,
            mut hang_up,
        } = self;
        loop {
            let name = tokio::select! {
                _ = interrupt.recv() => continue,
                _ = quit.recv() => continue,
                _ = end.recv() => "-TERM",
                _ = hang_up.recv() => "-HUP",
            };
            // There is no way to send a signal in the standard library.
            let _ = Command::new("kill")
                .args([name, &process.to_string()])
                .status();
        }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn take() -> io::Result<Self> {
        Ok(Self)
    }

    async fn forward(self, _: u32) {
        // The child gets Ctrl-C from the console itself.
        while tokio::signal::ctrl_c().await.is_ok() {}
    }
}
