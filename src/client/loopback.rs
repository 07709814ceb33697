//! As much of an HTTP server as a terminal needs: one port of 127.0.0.1, small requests, one answer
//! for each connection.
//!
//! Whoever asks is any program of this machine, so every use has a secret of its own in the request.
//! Entry point: [`Loopback::bind`].

use std::{
    io::{self, Read as _, Write as _},
    net::{Ipv4Addr, TcpListener, TcpStream},
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    thread,
    time::{Duration, Instant},
};

/// How long somebody may take to say what they want.
const PATIENCE: Duration = Duration::from_secs(10);
const LARGEST_HEAD: usize = 16 * 1024;
/// How many requests wait until they are looked at.
const WAITING: usize = 16;

/// A random port of 127.0.0.1 that is listened to.
#[derive(Debug)]
pub struct Loopback {
    port: u16,
    requests: Receiver<Asked>,
}

/// A request that waits for its answer.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) method: String,
    /// The path, with its query.
    pub(super) target: String,
    pub(super) authorization: Option<String>,
    stream: TcpStream,
}

impl Loopback {
    /// Listens from now on. A connection of which nothing comes, as browsers open them in advance,
    /// keeps nobody else waiting.
    ///
    /// # Errors
    /// Where no port can be had.
    pub fn bind() -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let port = listener.local_addr()?.port();
        let (sender, requests) = sync_channel(WAITING);
        thread::Builder::new().spawn(move || accept(&listener, &sender))?;
        Ok(Self { port, requests })
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Sends the one browser that asks for this address on to `destination`, once: a secret address
    /// that is handed to a browser this way stands in no list of processes. Returns what to open,
    /// and what waits until the browser has come.
    ///
    /// # Errors
    /// Where the system gives no random bytes.
    pub fn redirect_once(
        self,
        destination: String,
    ) -> io::Result<(String, impl FnOnce(Duration) -> bool)> {
        let path = format!("/{}", super::Secret::random()?.expose());
        let address = format!("http://127.0.0.1:{}{path}", self.port);
        let wait = move |patience: Duration| {
            let until = Instant::now() + patience;
            while let Some(asked) = self.next(Some(until)) {
                if asked.method == "GET" && asked.target == path {
                    asked.answer("303 See Other", &[("location", &destination)], "");
                    return true;
                }
                asked.answer("404 Not Found", &[], "");
            }
            false
        };
        Ok((address, wait))
    }

    /// The next request; None when nobody asked until then.
    pub(super) fn next(&self, until: Option<Instant>) -> Option<Asked> {
        match until {
            Some(until) => {
                let left = until.saturating_duration_since(Instant::now());
                self.requests.recv_timeout(left).ok()
            }
            None => self.requests.recv().ok(),
        }
    }
}

fn accept(listener: &TcpListener, sender: &SyncSender<Asked>) {
    for stream in listener.incoming().flatten() {
        let sender = sender.clone();
        // Where no thread can be had, the connection is dropped and whoever asked tries again.
        let _ = thread::Builder::new().spawn(move || {
            if let Ok(Some(asked)) = read(stream) {
                let _ = sender.send(asked);
            }
        });
    }
}

/// The head of a request; None where it is none. A body is not looked at.
fn read(mut stream: TcpStream) -> io::Result<Option<Asked>> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut head = Vec::new();
    let mut buffer = [0; 2048];
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        let count = stream.read(&mut buffer)?;
        if count == 0 || head.len() + count > LARGEST_HEAD {
            return Ok(None);
        }
        head.extend_from_slice(buffer.get(..count).unwrap_or_default());
    }
    let head = String::from_utf8_lossy(&head);
    let mut lines = head.split("\r\n");
    let mut first = lines.next().unwrap_or_default().split(' ');
    let (Some(method), Some(target)) = (first.next(), first.next()) else {
        return Ok(None);
    };
    let authorization = lines
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("authorization"))
        .map(|(_, value)| value.trim().to_owned());
    Ok(Some(Asked {
        method: method.to_owned(),
        target: target.to_owned(),
        authorization,
        stream,
    }))
}

impl Asked {
    /// Answers, and ends the connection. Somebody who does not listen any more is let go.
    pub(super) fn answer(mut self, status: &str, headers: &[(&str, &str)], body: &str) {
        let mut text = format!("HTTP/1.1 {status}\r\n");
        let length = body.len().to_string();
        let ours = [
            ("content-length", length.as_str()),
            ("connection", "close"),
            ("cache-control", "no-store"),
            ("referrer-policy", "no-referrer"),
            ("x-content-type-options", "nosniff"),
        ];
        for (name, value) in headers.iter().chain(&ours) {
            text.push_str(name);
            text.push_str(": ");
            text.push_str(value);
            text.push_str("\r\n");
        }
        text.push_str("\r\n");
        text.push_str(body);
        let _ = self.stream.write_all(text.as_bytes());
        let _ = self.stream.shutdown(std::net::Shutdown::Write);
    }
}
