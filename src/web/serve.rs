//! The listener: TCP, TLS where configured, header limits and deadlines, draining.
//!
//! `axum::serve` has no deadline for headers, and without one five hundred idle connections hold
//! the door shut; so the connections are driven here.

use std::{
    net::SocketAddr,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{Router, extract::ConnectInfo};
use hyper::{Request, body::Incoming};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto::Builder, graceful::GracefulShutdown},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::watch,
};
use tokio_rustls::TlsAcceptor;
use tower::Service as _;

/// How long a client may take for the TLS handshake, and for each request's headers.
const HEADERS_DEADLINE: Duration = Duration::from_secs(10);
/// Connections at one time; more wait in the kernel's queue.
const CONNECTIONS_LIMIT: usize = 4_096;
/// All header lines of one request together, in bytes.
const HEADERS_LIMIT: usize = 32 * 1024;

/// Serves `router` on `listener` until `stop` turns true, then lets requests in flight finish for
/// at most `drain`.
pub async fn serve(
    listener: TcpListener,
    tls: Option<Arc<rustls::ServerConfig>>,
    router: Router,
    mut stop: watch::Receiver<bool>,
    drain: Duration,
) {
    let acceptor = tls.map(TlsAcceptor::from);
    let graceful = GracefulShutdown::new();
    let mut connections = tokio::task::JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept(), if connections.len() < CONNECTIONS_LIMIT => match accepted {
                Ok((stream, peer)) => {
                    let (acceptor, router) = (acceptor.clone(), router.clone());
                    let watcher = graceful.watcher();
                    connections.spawn(connection(stream, peer, acceptor, router, watcher));
                }
                // Out of descriptors, most likely: waiting is all that helps.
                Err(error) => {
                    tracing::warn!(error = %error, "a connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            },
            Some(_) = connections.join_next() => {}
            () = stopped(&mut stop) => break,
        }
    }
    drop(listener);
    let drained = async { while connections.join_next().await.is_some() {} };
    let shutdown = async { tokio::join!(graceful.shutdown(), drained) };
    if tokio::time::timeout(drain, shutdown).await.is_err() {
        tracing::warn!("requests in flight did not finish within the drain timeout");
    }
}

/// Waits until the server is asked to stop.
pub async fn stopped(stop: &mut watch::Receiver<bool>) {
    // An error means that nobody is left who could ask; then it is over as well.
    let _ = stop.wait_for(|stopped| *stopped).await;
}

async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    acceptor: Option<TlsAcceptor>,
    router: Router,
    watcher: hyper_util::server::graceful::Watcher,
) {
    // Answers are small; waiting to fill packets only adds latency.
    let _ = stream.set_nodelay(true);
    match acceptor {
        None => speak(stream, peer, router, watcher, HEADERS_DEADLINE).await,
        Some(acceptor) => {
            match tokio::time::timeout(HEADERS_DEADLINE, acceptor.accept(stream)).await {
                Ok(Ok(stream)) => speak(stream, peer, router, watcher, HEADERS_DEADLINE).await,
                Ok(Err(error)) => tracing::debug!(error = %error, "TLS handshake failed"),
                Err(_) => tracing::debug!("TLS handshake timed out"),
            }
        }
    }
}

async fn speak<S>(
    stream: S,
    peer: SocketAddr,
    router: Router,
    watcher: hyper_util::server::graceful::Watcher,
    deadline: Duration,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let has_asked = Arc::new(AtomicBool::new(false));
    let asks = Arc::clone(&has_asked);
    let service = hyper::service::service_fn(move |mut request: Request<Incoming>| {
        asks.store(true, Ordering::Relaxed);
        request.extensions_mut().insert(ConnectInfo(peer));
        router.clone().call(request)
    });
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(deadline)
        .max_buf_size(HEADERS_LIMIT);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(u32::try_from(HEADERS_LIMIT).unwrap_or(u32::MAX))
        .keep_alive_interval(Some(deadline))
        .max_concurrent_streams(64);
    let connection = builder
        .serve_connection(TokioIo::new(stream), service)
        .into_owned();
    let mut connection = pin!(watcher.watch(connection));
    // hyper-util reads the first bytes, which tell HTTP/1 from HTTP/2, without a deadline.
    let ended = match tokio::time::timeout(deadline, connection.as_mut()).await {
        Ok(ended) => ended,
        Err(_) if has_asked.load(Ordering::Relaxed) => connection.await,
        Err(_) => return,
    };
    if let Err(error) = ended {
        tracing::debug!(error = %error, "a connection ended early");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether the server hangs up on somebody who sends this and then nothing.
    async fn is_given_up(first: &[u8]) -> bool {
        let (mut client, server) = tokio::io::duplex(1024);
        tokio::io::AsyncWriteExt::write_all(&mut client, first)
            .await
            .unwrap();
        let graceful = GracefulShutdown::new();
        let peer = SocketAddr::from(([127, 0, 0, 1], 1));
        let deadline = Duration::from_millis(50);
        let spoken = speak(server, peer, Router::new(), graceful.watcher(), deadline);
        tokio::time::timeout(HEADERS_DEADLINE, spoken).await.is_ok()
    }

    #[tokio::test]
    async fn clients_that_ask_for_nothing_are_not_kept() {
        for first in [
            &b""[..],
            b"PRI * HT",
            b"GET / HTTP/1.1\r\n",
            b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        ] {
            let shown = String::from_utf8_lossy(first);
            assert!(is_given_up(first).await, "{shown:?} is waited for");
        }
    }
}
