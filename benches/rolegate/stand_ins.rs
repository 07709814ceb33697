//! The sample directory and the stand-in for AWS, and a clock on the way to the latter.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use rolegate::demo::{
    aws::{Catalogue, StandIn},
    directory::RunningDirectory,
    sample,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use crate::{server::Installation, table};

const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// What Rolegate speaks to where no real server is the point.
pub struct StandIns {
    directory: RunningDirectory,
    _aws: StandIn,
    /// Where requests to AWS go first.
    clock: UpstreamClock,
}

impl StandIns {
    pub async fn start() -> Self {
        let directory = table::directory().start(LOOPBACK).unwrap();
        let aws = StandIn::start(Catalogue::sample(), LOOPBACK).unwrap();
        let target = aws.url().socket_addrs(|| None).unwrap()[0];
        Self {
            directory,
            clock: UpstreamClock::start(target).await,
            _aws: aws,
        }
    }

    /// An installation with this table between them.
    pub fn installation(&self, table: &str) -> Installation {
        let connector = format!(
            r#"
            urls = ["{}"]
            bind_dn = "{}"
            bind_password = "{}"
            user_base = "{}"
            group_base = "{}"
            "#,
            self.directory.url(),
            sample::SERVICE_DN,
            sample::SERVICE_PASSWORD,
            sample::PEOPLE_BASE,
            sample::GROUPS_BASE
        );
        let upstream = self.clock.address;
        let aws = format!(
            r#"
            sts_endpoint = "http://{upstream}/"
            sign_in_endpoint = "http://{upstream}/federation"
            console_url = "http://{upstream}/console"
            "#
        );
        Installation::new(&connector, &aws, table)
    }

    /// The nanoseconds that requests were with AWS since the last call.
    pub fn upstream_nanoseconds(&self) -> u64 {
        self.clock.busy.swap(0, Ordering::SeqCst)
    }
}

/// A way through, on which the time between a request's first byte and its answer is
/// counted.
struct UpstreamClock {
    address: SocketAddr,
    busy: Arc<AtomicU64>,
}

impl UpstreamClock {
    async fn start(target: SocketAddr) -> Self {
        let listener = TcpListener::bind(LOOPBACK).await.unwrap();
        let address = listener.local_addr().unwrap();
        let busy = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&busy);
        tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.unwrap();
                tokio::spawn(pass_on(client, target, Arc::clone(&counted)));
            }
        });
        Self { address, busy }
    }
}

async fn pass_on(mut client: TcpStream, target: SocketAddr, busy: Arc<AtomicU64>) {
    let mut server = TcpStream::connect(target).await.unwrap();
    client.set_nodelay(true).unwrap();
    server.set_nodelay(true).unwrap();
    let (mut asked, mut answered) = (vec![0; 65_536], vec![0; 65_536]);
    let mut since: Option<Instant> = None;
    let count = |from: Instant, to: Instant| {
        let nanoseconds = u64::try_from((to - from).as_nanos()).unwrap();
        busy.fetch_add(nanoseconds, Ordering::SeqCst);
    };
    loop {
        tokio::select! {
            read = client.read(&mut asked) => match read {
                Ok(length @ 1..) => {
                    since.get_or_insert_with(Instant::now);
                    if server.write_all(&asked[..length]).await.is_err() { return }
                }
                _ => return,
            },
            read = server.read(&mut answered) => match read {
                Ok(length @ 1..) => {
                    // Counted before it is passed on: afterwards the caller may be done already. What
                    // comes in later parts of an answer counts as ours.
                    if let Some(from) = since.take() {
                        count(from, Instant::now());
                    }
                    if client.write_all(&answered[..length]).await.is_err() { return }
                }
                _ => return,
            },
        }
    }
}
