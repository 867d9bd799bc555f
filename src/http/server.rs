//! [`serve`]: serves a listener within limits.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use axum::http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tower::ServiceExt;

use super::idle_connections::{ActivityGuard, IdleConnections};
use super::live::StreamLifetime;
use super::throughput::{MinThroughput, ThroughputGuard};

/// The most open connections. Further ones wait in the operating system's queue.
const MAX_CONNECTIONS: usize = 4_096;

/// How long a client may take to send the head of a request. A half-open connection is closed after that.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// The minimum throughput of a client: a kilobyte a second. A slow stream ends before that, with a reason and a cursor.
const MIN_THROUGHPUT: MinThroughput = MinThroughput { bytes: 60 * 1_024, within: Duration::from_secs(60) };

/// How long requests in progress may take after shutdown begins.
const GRACE: Duration = Duration::from_secs(10);

/// Serves the router on the listener until `shutdown` completes. Then it accepts no connection, ends streams with the
/// reason `shutdown`, and gives requests in progress ten seconds.
///
/// At most 4,096 connections are open at a time. A connection that has not sent the head of a request within ten seconds is
/// closed, earlier if the server is full. So is one that reads less than 60 KiB for each minute that a write waits for it.
///
/// # Errors
/// If the listener fails permanently.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    shutdown: impl Future<Output = ()> + Send,
) -> io::Result<()> {
    serve_at_most(MAX_CONNECTIONS, listener, router, shutdown).await
}

async fn serve_at_most(
    connections: usize,
    listener: TcpListener,
    router: Router,
    shutdown: impl Future<Output = ()> + Send,
) -> io::Result<()> {
    // Not hyper-util's builder: it waits without limit to detect the version of HTTP.
    let mut connection = http1::Builder::new();
    connection.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT);
    // Nothing is read while a request is handled, so that its buffer is reused for the next one. A disconnect is detected
    // by the next write.
    connection.half_close(true);
    let stopping = watch::Sender::new(false);
    let permits = Arc::new(Semaphore::new(connections));
    let idle = IdleConnections::default();
    tokio::pin!(shutdown);
    loop {
        let accepted = async {
            let (stream, from) = listener.accept().await?;
            if permits.available_permits() == 0 {
                idle.close_oldest();
            }
            // The semaphore is never closed.
            let permit = permits.clone().acquire_owned().await.map_err(io::Error::other)?;
            Ok((stream, from, permit))
        };
        let (stream, from, permit) = tokio::select! {
            () = &mut shutdown => break,
            accepted = accepted => match accepted {
                Ok(accepted) => accepted,
                Err(error) if is_temporary(&error) => {
                    tracing::warn!(%error, "cannot accept a connection; trying again");
                    let pause = if is_out_of_files(&error) && idle.close_oldest() { 1 } else { 50 };
                    tokio::time::sleep(Duration::from_millis(pause)).await;
                    continue;
                }
                Err(error) => return Err(error),
            },
        };
        idle.spawn(|activity| {
            let served = serve_one(&connection, stream, from, router.clone(), stopping.subscribe(), activity);
            async move {
                served.await;
                drop(permit);
            }
        });
    }
    drop(listener);
    stopping.send_replace(true);
    // WebSockets are no connections of hyper any more, but still hold a receiver until they are closed.
    if tokio::time::timeout(GRACE, stopping.closed()).await.is_err() {
        tracing::warn!("requests in progress were cut off after {GRACE:?}");
    }
    Ok(())
}

/// Serves one connection until it ends.
fn serve_one(
    connection: &http1::Builder,
    stream: TcpStream,
    from: SocketAddr,
    router: Router,
    mut stopping: watch::Receiver<bool>,
    activity: ActivityGuard,
) -> impl Future<Output = ()> + Send + 'static {
    // Small responses are sent at once.
    let _ = stream.set_nodelay(true);
    let lifetime = StreamLifetime::new(stopping.clone());
    let service = service_fn(move |mut request: Request<Incoming>| {
        activity.activate();
        request.extensions_mut().insert(ConnectInfo(from));
        request.extensions_mut().insert(lifetime.clone());
        router.clone().oneshot(request)
    });
    let stream = ThroughputGuard::new(stream, MIN_THROUGHPUT);
    let serving = connection.serve_connection(TokioIo::new(stream), service).with_upgrades();
    async move {
        let mut serving = pin!(serving);
        let ended = tokio::select! {
            ended = serving.as_mut() => ended,
            // Shutdown begins.
            _ = stopping.changed() => {
                serving.as_mut().graceful_shutdown();
                serving.await
            }
        };
        if let Err(error) = ended {
            // The client disconnected, is too slow or does not speak HTTP.
            tracing::debug!(%from, %error, "a connection ended early");
        }
    }
}

/// Whether the listener can go on: one connection failed, or too many files are open.
fn is_temporary(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted, WouldBlock};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted | WouldBlock)
        || is_out_of_files(error)
}

/// Whether the process (EMFILE) or the system (ENFILE) has too many open files.
fn is_out_of_files(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(23 | 24))
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::sync::oneshot;

    use super::*;

    const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

    /// Sends a request, and returns the beginning of the response.
    async fn request(stream: &mut TcpStream) -> [u8; 12] {
        stream.write_all(REQUEST).await.unwrap();
        let mut response = [0; 12];
        // Before the server closes idle connections by their time-out.
        let read = tokio::time::timeout(HEAD_TIMEOUT / 2, stream.read_exact(&mut response)).await;
        read.expect("a client is kept out").unwrap();
        response
    }

    #[tokio::test]
    async fn a_full_server_closes_the_oldest_idle_connection_and_never_an_active_one() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let router = Router::new().route("/", get(async || "hello"));
        let serving = tokio::spawn(serve_at_most(4, listener, router, async { drop(stopped.await) }));
        let connect = async || TcpStream::connect(address).await.unwrap();
        let mut active = connect().await;
        assert_eq!(&request(&mut active).await, b"HTTP/1.1 200");
        let mut idle = Vec::new();
        for _ in 0..20 {
            idle.push(connect().await);
        }
        for _ in 0..20 {
            assert_eq!(&request(&mut connect().await).await, b"HTTP/1.1 200");
        }
        let mut rest = Vec::new();
        let closed = tokio::time::timeout(HEAD_TIMEOUT / 2, idle[0].read_to_end(&mut rest)).await;
        assert!(closed.is_ok(), "the oldest idle connection is still open");
        let mut response = vec![0; 1_024];
        let _ = active.try_read(&mut response);
        assert_eq!(&request(&mut active).await, b"HTTP/1.1 200", "the active connection is closed");
        drop((stop, active, idle));
        tokio::time::timeout(GRACE, serving).await.unwrap().unwrap().unwrap();
    }

    #[tokio::test]
    async fn a_client_that_has_closed_its_sending_half_still_gets_a_response() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let slow = async || {
            tokio::time::sleep(Duration::from_millis(100)).await;
            "hello"
        };
        let (stop, stopped) = oneshot::channel::<()>();
        let router = Router::new().route("/", get(slow));
        let serving = tokio::spawn(serve(listener, router, async { drop(stopped.await) }));
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(REQUEST).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut response = String::new();
        tokio::time::timeout(HEAD_TIMEOUT / 2, stream.read_to_string(&mut response)).await.unwrap().unwrap();
        assert!(response.starts_with("HTTP/1.1 200") && response.ends_with("hello"), "{response}");
        drop(stop);
        tokio::time::timeout(GRACE, serving).await.unwrap().unwrap().unwrap();
    }
}
