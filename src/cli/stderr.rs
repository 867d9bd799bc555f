//! Messages and log lines on stderr, which may be a full disk, a closed pipe, or a pipe that nobody reads.
//!
//! A thread writes the log lines from a bounded queue, so that no task waits for stderr or fails because of it. Lines that
//! cannot be written are dropped and counted.

use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

/// Capacity of the queue, in log lines.
const CAPACITY: usize = 8_192;

/// How long the program waits at its end for the last lines.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// The queue of this process, which has one stderr.
static LINES: LazyLock<Lines> = LazyLock::new(Lines::start);

/// Prints a message. An error is ignored: there is nowhere to report it.
pub(super) fn print(line: impl std::fmt::Display) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// Returns a writer for log lines that never fails and never blocks.
pub(super) fn writer() -> impl Write {
    LINES.clone()
}

/// Waits until all queued log lines are written, for at most a second.
pub(super) async fn flush() {
    let waiting = tokio::task::spawn_blocking(|| {
        let (done, written) = sync_channel(1);
        // A full queue means that stderr does not accept lines.
        if LINES.queue.try_send(Item::Flush(done)).is_ok() {
            let _ = written.recv_timeout(FLUSH_TIMEOUT);
        }
    });
    // The task does not panic, and the program ends now.
    let _ = waiting.await;
}

enum Item {
    Line(Vec<u8>),
    Flush(SyncSender<()>),
}

#[derive(Clone)]
struct Lines {
    queue: SyncSender<Item>,
    dropped: Arc<AtomicU64>,
}

impl Lines {
    fn start() -> Self {
        let (queue, waiting) = sync_channel(CAPACITY);
        let dropped = Arc::new(AtomicU64::new(0));
        let counted = dropped.clone();
        let thread = std::thread::Builder::new().name("annals-log".to_owned());
        if let Err(error) = thread.spawn(move || write_all(&waiting, &counted, &mut io::stderr())) {
            print(format_args!("logging is off: its thread could not be started: {error}"));
        }
        Self { queue, dropped }
    }
}

impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.queue.try_send(Item::Line(line.to_vec())).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes queued lines until every sender is dropped.
fn write_all(waiting: &Receiver<Item>, dropped: &AtomicU64, to: &mut impl Write) {
    for item in waiting {
        match item {
            Item::Line(line) => {
                let lost = dropped.swap(0, Ordering::Relaxed);
                let written = match lost {
                    0 => to.write_all(&line),
                    lost => {
                        writeln!(to, "annals: {lost} log lines were dropped because stderr did not accept them")
                            .and_then(|()| to.write_all(&line))
                    }
                };
                if written.is_err() {
                    dropped.fetch_add(lost + 1, Ordering::Relaxed);
                }
            }
            Item::Flush(done) => {
                let _ = to.flush();
                let _ = done.send(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A writer that fails a number of times, like a full disk.
    struct Full {
        fails: u32,
        written: Vec<u8>,
    }

    impl Write for Full {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.fails > 0 {
                self.fails -= 1;
                return Err(io::Error::from(io::ErrorKind::StorageFull));
            }
            self.written.extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn dropped_lines_are_counted_and_the_count_is_written_later() {
        let (queue, waiting) = sync_channel(2);
        let dropped = Arc::new(AtomicU64::new(0));
        let mut lines = Lines { queue, dropped: dropped.clone() };
        for line in ["one\n", "two\n", "three\n"] {
            lines.write_all(line.as_bytes()).expect("the writer never fails");
        }
        assert_eq!(dropped.load(Ordering::Relaxed), 1, "the queue holds two lines");
        let mut full = Full { fails: 1, written: Vec::new() };
        drop(lines);
        write_all(&waiting, &dropped, &mut full);
        let written = String::from_utf8(full.written).unwrap();
        assert_eq!(written, "annals: 2 log lines were dropped because stderr did not accept them\ntwo\n");
    }
}
