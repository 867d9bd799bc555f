//! [`Paced`]: a stream whose other end has to read.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

/// What the other end has to read, at the least.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// So many bytes
    pub bytes: usize,
    /// for each time of this length that is spent waiting for it.
    pub within: Duration,
}

/// A stream whose writes fail when the other end reads too slowly. Time in which there is nothing to write does not
/// count: a connection may be quiet for as long as it likes.
pub(super) struct Paced<S> {
    stream: S,
    pace: Pace,
    /// Since when a write waits.
    waiting: Option<Instant>,
    /// How long writes have waited for the last bytes, and how many were written since.
    waited: Duration,
    written: usize,
    /// The end of the pace's time. None until a write waits for the first time.
    clock: Option<Pin<Box<Sleep>>>,
}

impl<S> Paced<S> {
    pub(super) fn new(stream: S, pace: Pace) -> Self {
        Self { stream, pace, waiting: None, waited: Duration::ZERO, written: 0, clock: None }
    }

    /// Whether what a write came to is an error after all.
    fn judge(&mut self, context: &mut Context<'_>, wrote: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        let now = Instant::now();
        match wrote {
            Poll::Ready(Ok(bytes)) => {
                if let Some(since) = self.waiting.take() {
                    self.waited += now - since;
                }
                self.written += bytes;
                if self.written >= self.pace.bytes {
                    (self.waited, self.written) = (Duration::ZERO, 0);
                }
                wrote
            }
            Poll::Ready(Err(_)) => wrote,
            Poll::Pending => {
                if self.waiting.is_none() {
                    self.waiting = Some(now);
                    let end = now + self.pace.within.saturating_sub(self.waited);
                    match &mut self.clock {
                        Some(clock) => clock.as_mut().reset(end),
                        None => self.clock = Some(Box::pin(sleep_until(end))),
                    }
                }
                let Some(clock) = &mut self.clock else { return Poll::Pending };
                match clock.as_mut().poll(context) {
                    Poll::Pending => Poll::Pending,
                    Poll::Ready(()) => Poll::Ready(Err(io::Error::new(
                        io::ErrorKind::TimedOut,
                        format!(
                            "the client reads too slowly: {} bytes in {:?}, {} at least are wanted",
                            self.written, self.pace.within, self.pace.bytes
                        ),
                    ))),
                }
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Paced<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let wrote = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.judge(context, wrote)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let wrote = Pin::new(&mut self.stream).poll_write_vectored(context, parts);
        self.judge(context, wrote)
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

impl<S: AsyncRead + Unpin> AsyncRead for Paced<S> {
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

    const PACE: Pace = Pace { bytes: 1_000, within: Duration::from_millis(300) };

    /// Reads so many bytes in each turn; answers how the writer of a great deal ended.
    async fn read_in_turns(bytes: usize, turn: Duration) -> io::Result<()> {
        let (ours, mut theirs) = duplex(64);
        let mut paced = Paced::new(ours, PACE);
        let writing = tokio::spawn(async move { paced.write_all(&[0; 6_000]).await });
        let reading = async {
            let mut buffer = vec![0; bytes];
            while theirs.read_exact(&mut buffer).await.is_ok() {
                tokio::time::sleep(turn).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), reading).await.expect("it ends");
        writing.await.unwrap()
    }

    /// A byte now and then is not enough to keep a connection.
    #[tokio::test]
    async fn who_reads_little_at_a_time_is_cut_and_who_reads_enough_is_not() {
        let error = read_in_turns(10, Duration::from_millis(20)).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(error.to_string().contains("reads too slowly"), "{error}");
        read_in_turns(500, Duration::from_millis(30)).await.expect("1,000 bytes in 60 ms are enough");
    }

    #[tokio::test]
    async fn time_in_which_nothing_is_written_does_not_count() {
        let (ours, mut theirs) = duplex(64);
        let mut paced = Paced::new(ours, PACE);
        for _ in 0..4 {
            // A write that waits for a moment, then a pause as long as the whole pace.
            let (wrote, read) = tokio::join!(paced.write_all(&[0; 100]), async {
                tokio::time::sleep(Duration::from_millis(20)).await;
                theirs.read_exact(&mut [0; 100]).await
            });
            wrote.expect("it is not slow");
            read.unwrap();
            tokio::time::sleep(PACE.within).await;
        }
    }
}
