//! [`serve`]: a listener served with bounds.

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

use super::live::Closing;
use super::paced::{Pace, Paced};
use super::silent::{FirstWord, Silent};

/// How many connections are open at a time; more wait in the system's queue.
const CONNECTIONS: usize = 4_096;

/// How long a client may take to send the head of a request: of a half-open connection nothing is left after that.
const HEAD: Duration = Duration::from_secs(10);

/// How fast a client has to read what is written to it: a kilobyte a second. A follower that is slow ends before that, with
/// a reason and a cursor.
const PACE: Pace = Pace { bytes: 60 * 1_024, within: Duration::from_secs(60) };

/// How long requests under way may take once it was said that it is over.
const GRACE: Duration = Duration::from_secs(10);

/// Serves the router on the listener until `shutdown` is there; then no connection is taken in any more, and those that
/// are answered are given ten seconds. What follows the log is told, and ends.
///
/// At most 4,096 connections are open at a time. One that has not sent the head of a request in ten seconds is closed, or
/// sooner, when there is no room for who comes after it; as is one that reads less than 60 KiB of what is written to it for
/// each minute that the server waits for it.
///
/// # Errors
/// When the listener fails for good.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    shutdown: impl Future<Output = ()> + Send,
) -> io::Result<()> {
    serve_at_most(CONNECTIONS, listener, router, shutdown).await
}

async fn serve_at_most(
    connections: usize,
    listener: TcpListener,
    router: Router,
    shutdown: impl Future<Output = ()> + Send,
) -> io::Result<()> {
    // Not hyper-util's builder, which first waits, for however long, to see which version of HTTP it is.
    let mut connection = http1::Builder::new();
    connection.timer(TokioTimer::new()).header_read_timeout(HEAD);
    // Nothing is read while a request is answered: its buffer is used again for the next one, where else each would take
    // a new one. Who hangs up meanwhile is noticed by what is written to him.
    connection.half_close(true);
    let closing = watch::Sender::new(false);
    let room = Arc::new(Semaphore::new(connections));
    let silent = Silent::default();
    tokio::pin!(shutdown);
    loop {
        let accepted = async {
            let (stream, from) = listener.accept().await?;
            if room.available_permits() == 0 {
                silent.let_one_go();
            }
            // Never closed: there is always a permit some day.
            let permit = room.clone().acquire_owned().await.map_err(io::Error::other)?;
            Ok((stream, from, permit))
        };
        let (stream, from, permit) = tokio::select! {
            () = &mut shutdown => break,
            accepted = accepted => match accepted {
                Ok(accepted) => accepted,
                Err(error) if passes(&error) => {
                    tracing::warn!(%error, "a connection could not be taken in");
                    let pause = if is_out_of_files(&error) && silent.let_one_go() { 1 } else { 50 };
                    tokio::time::sleep(Duration::from_millis(pause)).await;
                    continue;
                }
                Err(error) => return Err(error),
            },
        };
        silent.spawn(|first| {
            let served = one(&connection, stream, from, router.clone(), closing.subscribe(), first);
            async move {
                served.await;
                drop(permit);
            }
        });
    }
    drop(listener);
    closing.send_replace(true);
    // Also what was upgraded to WebSocket, and is no connection any more, still has to say goodbye.
    if tokio::time::timeout(GRACE, closing.closed()).await.is_err() {
        tracing::warn!("requests that were under way for longer than {GRACE:?} were cut off");
    }
    Ok(())
}

/// One connection, until it ends.
fn one(
    connection: &http1::Builder,
    stream: TcpStream,
    from: SocketAddr,
    router: Router,
    mut closing: watch::Receiver<bool>,
    first: FirstWord,
) -> impl Future<Output = ()> + Send + 'static {
    // Small answers are not held back.
    let _ = stream.set_nodelay(true);
    let what_follows = Closing::new(closing.clone());
    let service = service_fn(move |mut request: Request<Incoming>| {
        first.said();
        request.extensions_mut().insert(ConnectInfo(from));
        request.extensions_mut().insert(what_follows.clone());
        router.clone().oneshot(request)
    });
    let stream = Paced::new(stream, PACE);
    let serving = connection.serve_connection(TokioIo::new(stream), service).with_upgrades();
    async move {
        let mut serving = pin!(serving);
        let ended = tokio::select! {
            ended = serving.as_mut() => ended,
            // It is told once, when it is over.
            _ = closing.changed() => {
                serving.as_mut().graceful_shutdown();
                serving.await
            }
        };
        if let Err(error) = ended {
            // Whoever hangs up, is too slow or speaks something else than HTTP.
            tracing::debug!(%from, %error, "a connection ended early");
        }
    }
}

/// Whether the next connection may be taken in all the same: this one broke off, or there are too many files open.
fn passes(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted, WouldBlock};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted | WouldBlock)
        || is_out_of_files(error)
}

/// Whether the process, or the system, has too many files open.
fn is_out_of_files(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(23 | 24))
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::sync::oneshot;

    use super::*;

    const ASK: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

    /// Asks, and takes the beginning of the answer.
    async fn ask(stream: &mut TcpStream) -> [u8; 12] {
        stream.write_all(ASK).await.unwrap();
        let mut answer = [0; 12];
        // Sooner than who is silent is given up.
        let read = tokio::time::timeout(HEAD / 2, stream.read_exact(&mut answer)).await;
        read.expect("somebody is kept out").unwrap();
        answer
    }

    /// Who is silent makes room for who comes, the oldest first; who has asked for something never does.
    #[tokio::test]
    async fn who_is_silent_for_longest_makes_room_and_who_has_asked_does_not() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let router = Router::new().route("/", get(async || "hello"));
        let serving = tokio::spawn(serve_at_most(4, listener, router, async { drop(stopped.await) }));
        let connect = async || TcpStream::connect(address).await.unwrap();
        let mut known = connect().await;
        assert_eq!(&ask(&mut known).await, b"HTTP/1.1 200");
        let mut silent = Vec::new();
        for _ in 0..20 {
            silent.push(connect().await);
        }
        for _ in 0..20 {
            assert_eq!(&ask(&mut connect().await).await, b"HTTP/1.1 200");
        }
        let mut rest = Vec::new();
        let closed = tokio::time::timeout(HEAD / 2, silent[0].read_to_end(&mut rest)).await;
        assert!(closed.is_ok(), "the oldest is let go");
        let mut answer = vec![0; 1_024];
        let _ = known.try_read(&mut answer);
        assert_eq!(&ask(&mut known).await, b"HTTP/1.1 200", "who has asked is still there");
        drop((stop, known, silent));
        tokio::time::timeout(GRACE, serving).await.unwrap().unwrap().unwrap();
    }

    /// Nothing more to say is not the same as gone.
    #[tokio::test]
    async fn who_has_nothing_more_to_say_still_gets_an_answer() {
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
        stream.write_all(ASK).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut answer = String::new();
        tokio::time::timeout(HEAD / 2, stream.read_to_string(&mut answer)).await.unwrap().unwrap();
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("hello"), "{answer}");
        drop(stop);
        tokio::time::timeout(GRACE, serving).await.unwrap().unwrap().unwrap();
    }
}
