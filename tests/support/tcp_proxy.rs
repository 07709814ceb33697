//! A TCP proxy that breaks connections on demand, for tests of what a person sees then.

use std::{
    collections::HashMap,
    io::{Read, Write},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Condvar, Mutex, MutexGuard},
    thread,
};

use super::children::free_port;

/// A port of 127.0.0.1 in front of another address. It starts out healthy.
#[derive(Debug)]
pub struct TcpProxy {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    upstream: SocketAddr,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    mode: Mode,
    /// Counts the listeners, so that an accept loop knows when it has been replaced.
    generation: u64,
    is_listening: bool,
    accepted: usize,
    bytes_to_upstream: usize,
    bytes_to_client: usize,
    /// Both ends of every open connection, by its number in the order of acceptance.
    open: HashMap<usize, (TcpStream, TcpStream)>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Mode {
    #[default]
    Healthy,
    Hanging,
    Refusing,
}

impl TcpProxy {
    /// A proxy in front of `upstream`, which need not listen yet.
    pub fn to(upstream: SocketAddr) -> Self {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
        let shared = Arc::new(Shared {
            upstream,
            state: Mutex::default(),
            changed: Condvar::new(),
        });
        listen(address, &shared);
        Self { address, shared }
    }

    /// Where clients connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Closes every open connection; new ones are served as before.
    pub fn cut(&self) {
        self.shared.lock().close_connections();
        self.shared.changed.notify_all();
    }

    /// Accepts and keeps connections but carries no byte, in either direction, until healed.
    pub fn hang(&self) {
        self.listen_in(Mode::Hanging);
    }

    /// Closes every connection and the port: new connections are refused until healed.
    pub fn refuse(&self) {
        let was_listening = {
            let mut state = self.shared.lock();
            state.mode = Mode::Refusing;
            state.close_connections();
            state.generation += 1;
            std::mem::take(&mut state.is_listening)
        };
        self.shared.changed.notify_all();
        if was_listening {
            self.close_listener();
        }
    }

    /// Serves again; bytes held by [`TcpProxy::hang`] are delivered.
    pub fn heal(&self) {
        self.listen_in(Mode::Healthy);
    }

    /// Connections accepted since the start.
    pub fn accepted(&self) -> usize {
        self.shared.lock().accepted
    }

    /// Connections open now.
    pub fn open(&self) -> usize {
        self.shared.lock().open.len()
    }

    /// Bytes carried from clients to the upstream since the start.
    pub fn bytes_to_upstream(&self) -> usize {
        self.shared.lock().bytes_to_upstream
    }

    /// Bytes carried from the upstream to clients since the start.
    pub fn bytes_to_client(&self) -> usize {
        self.shared.lock().bytes_to_client
    }

    fn listen_in(&self, mode: Mode) {
        let is_listening = {
            let mut state = self.shared.lock();
            state.mode = mode;
            state.is_listening
        };
        if !is_listening {
            listen(self.address, &self.shared);
        }
        self.shared.changed.notify_all();
    }

    /// Wakes the accept loop, which finds itself replaced, and waits until its port is closed.
    fn close_listener(&self) {
        while TcpStream::connect(self.address).is_ok() {
            thread::yield_now();
        }
    }
}

impl Drop for TcpProxy {
    fn drop(&mut self) {
        self.refuse();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder panics")
    }
}

impl State {
    fn close_connections(&mut self) {
        for (_, (client, upstream)) in self.open.drain() {
            let _ = client.shutdown(Shutdown::Both);
            let _ = upstream.shutdown(Shutdown::Both);
        }
    }
}

fn listen(address: SocketAddr, shared: &Arc<Shared>) {
    let listener = TcpListener::bind(address).expect("the proxy's port is free");
    let generation = {
        let mut state = shared.lock();
        state.is_listening = true;
        state.generation += 1;
        state.generation
    };
    let shared = Arc::clone(shared);
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            if shared.lock().generation != generation {
                return;
            }
            let shared = Arc::clone(&shared);
            thread::spawn(move || carry(client, &shared));
        }
    });
}

/// Serves one connection until either end closes or the test cuts it.
fn carry(client: TcpStream, shared: &Arc<Shared>) {
    let Ok(upstream) = TcpStream::connect(shared.upstream) else {
        shared.lock().accepted += 1;
        return;
    };
    let (client_in, client_out) = (copy_of(&client), copy_of(&client));
    let (upstream_in, upstream_out) = (copy_of(&upstream), copy_of(&upstream));
    let number = {
        let mut state = shared.lock();
        state.accepted += 1;
        if state.mode == Mode::Refusing {
            return;
        }
        let number = state.accepted;
        state.open.insert(number, (client, upstream));
        number
    };
    let backward = {
        let shared = Arc::clone(shared);
        thread::spawn(move || {
            pump(upstream_in, client_out, number, &shared, |state| {
                &mut state.bytes_to_client
            });
        })
    };
    pump(client_in, upstream_out, number, shared, |state| {
        &mut state.bytes_to_upstream
    });
    let _ = backward.join();
    shared.lock().open.remove(&number);
}

fn copy_of(stream: &TcpStream) -> TcpStream {
    stream.try_clone().expect("a socket can be opened twice")
}

/// Carries one direction, waiting while the proxy hangs, and ends both when it ends.
fn pump(
    mut from: TcpStream,
    mut to: TcpStream,
    number: usize,
    shared: &Shared,
    counter: fn(&mut State) -> &mut usize,
) {
    let mut buffer = [0; 16 * 1024];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        let mut state = shared
            .changed
            .wait_while(shared.lock(), |state| {
                state.mode == Mode::Hanging && state.open.contains_key(&number)
            })
            .expect("no holder panics");
        *counter(&mut state) += length;
        drop(state);
        if to.write_all(&buffer[..length]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
    let _ = from.shutdown(Shutdown::Both);
}
