//! [`ThroughputGuard`]: a stream that fails when its client reads too slowly.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

/// The minimum throughput of a client: `bytes` for each `within` that writes wait for it.
#[derive(Clone, Copy, Debug)]
pub(super) struct MinThroughput {
    pub bytes: usize,
    pub within: Duration,
}

/// A stream whose writes fail when the client reads too slowly. Only the time that writes wait counts: a connection with
/// nothing to write may stay open for any time.
pub(super) struct ThroughputGuard<S> {
    stream: S,
    min: MinThroughput,
    /// Since when the current write waits.
    waiting: Option<Instant>,
    /// How long writes have waited, and how many bytes were written, since the last `min.bytes`.
    waited: Duration,
    written: usize,
    /// The deadline of the current write. None until a write waits for the first time.
    deadline: Option<Pin<Box<Sleep>>>,
}

impl<S> ThroughputGuard<S> {
    pub(super) fn new(stream: S, min: MinThroughput) -> Self {
        Self { stream, min, waiting: None, waited: Duration::ZERO, written: 0, deadline: None }
    }

    /// Accounts for the result of a write. A pending write fails at its deadline.
    fn check(&mut self, context: &mut Context<'_>, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        let now = Instant::now();
        match written {
            Poll::Ready(Ok(bytes)) => {
                if let Some(since) = self.waiting.take() {
                    self.waited += now - since;
                }
                self.written += bytes;
                if self.written >= self.min.bytes {
                    (self.waited, self.written) = (Duration::ZERO, 0);
                }
                written
            }
            Poll::Ready(Err(_)) => written,
            Poll::Pending => {
                if self.waiting.is_none() {
                    self.waiting = Some(now);
                    let end = now + self.min.within.saturating_sub(self.waited);
                    match &mut self.deadline {
                        Some(deadline) => deadline.as_mut().reset(end),
                        None => self.deadline = Some(Box::pin(sleep_until(end))),
                    }
                }
                let Some(deadline) = &mut self.deadline else { return Poll::Pending };
                match deadline.as_mut().poll(context) {
                    Poll::Pending => Poll::Pending,
                    Poll::Ready(()) => Poll::Ready(Err(io::Error::new(
                        io::ErrorKind::TimedOut,
                        format!(
                            "the client reads too slowly: {} bytes in {:?}, at least {} are required",
                            self.written, self.min.within, self.min.bytes
                        ),
                    ))),
                }
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for ThroughputGuard<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.check(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, parts);
        self.check(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for ThroughputGuard<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    const MIN: MinThroughput = MinThroughput { bytes: 1_000, within: Duration::from_millis(300) };

    /// Reads `bytes` at each `interval` from a writer of 6,000 bytes. Returns the writer's result.
    async fn read_at_intervals(bytes: usize, interval: Duration) -> io::Result<()> {
        let (ours, mut theirs) = duplex(64);
        let mut guarded = ThroughputGuard::new(ours, MIN);
        let writing = tokio::spawn(async move { guarded.write_all(&[0; 6_000]).await });
        let reading = async {
            let mut buffer = vec![0; bytes];
            while theirs.read_exact(&mut buffer).await.is_ok() {
                tokio::time::sleep(interval).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), reading).await.expect("the writer ends");
        writing.await.unwrap()
    }

    /// A few bytes now and then do not keep a connection open.
    #[tokio::test]
    async fn a_client_below_the_minimum_throughput_is_cut_off_and_a_faster_one_is_not() {
        let error = read_at_intervals(10, Duration::from_millis(20)).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(error.to_string().contains("reads too slowly"), "{error}");
        read_at_intervals(500, Duration::from_millis(30)).await.expect("1,000 bytes in 60 ms are enough");
    }

    #[tokio::test]
    async fn time_without_writes_does_not_count() {
        let (ours, mut theirs) = duplex(64);
        let mut guarded = ThroughputGuard::new(ours, MIN);
        for _ in 0..4 {
            // A write that waits for a moment, then a pause of the whole `within`.
            let (written, read) = tokio::join!(guarded.write_all(&[0; 100]), async {
                tokio::time::sleep(Duration::from_millis(20)).await;
                theirs.read_exact(&mut [0; 100]).await
            });
            written.expect("the client is fast enough");
            read.unwrap();
            tokio::time::sleep(MIN.within).await;
        }
    }
}
