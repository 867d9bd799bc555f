//! [`Writer`]: the thread that appends to the stream and applies it, with a runtime of its own: it also waits for files.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures::FutureExt;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until, timeout_at};

use super::claims::Turn;
use super::config::differences;
use super::local::Tip;
use super::stream_log::StreamLog;
use crate::store::sqlite::file_lock::FairFileLock;
use crate::store::sqlite::log_writer::LogWriter;
use crate::store::write_lock::{LockRequest, Reply, WriteLockHandle};
use crate::store::{Batch, Outcome, StoreError};
use crate::text::panic_message;

/// The time between two looks for messages of other processes.
const POLL: Duration = Duration::from_millis(20);
/// The same, while there is no answer.
const POLL_AGAIN: Duration = Duration::from_millis(250);
/// How long a process that has its turn waits for more to append.
const IDLE: Duration = Duration::from_millis(2);
/// How often the leader is asked how long the stream is: a server that is cut off answers that there is nothing new.
const PROBE: Duration = Duration::from_secs(2);
/// How often the configuration of the stream is compared with what a log needs: an operator may change it.
const COMPARE: Duration = Duration::from_secs(if cfg!(test) { 1 } else { 10 });
/// After this time without an answer the store is not ready.
const SILENCE: Duration = Duration::from_secs(5);

/// A request to the thread.
pub(super) enum Request {
    Append { batch: Batch, reply: Reply<Vec<Outcome>> },
    WriteLock { until: Instant, wait: Duration, hold: Duration, reply: Reply<WriteLockHandle> },
    Close { reply: oneshot::Sender<()> },
}

/// Whether the servers answer, and the stream is as it must be.
pub(super) struct Health {
    answers: Mutex<(Instant, Option<String>)>,
    /// Why the stream cannot be a log in its present configuration.
    unfit: Mutex<Option<String>>,
}

impl Health {
    pub(super) fn new() -> Self {
        Self { answers: Mutex::new((Instant::now(), None)), unfit: Mutex::default() }
    }

    fn answered(&self) {
        let problem = std::mem::replace(&mut *self.lock(), (Instant::now(), None)).1;
        if problem.is_some() {
            tracing::info!("the stream answers again");
        }
    }

    fn failed(&self, problem: &StoreError) {
        let mut health = self.lock();
        if health.1.is_none() {
            tracing::warn!(%problem, "the stream cannot be read");
        }
        health.1 = Some(problem.to_string());
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, (Instant, Option<String>)> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The stream was compared with what a log needs.
    fn compared(&self, differences: &[String]) {
        let unfit = (!differences.is_empty()).then(|| {
            let differences = differences.join("; ");
            format!("the stream was changed and cannot be a log any more: {differences}: change it back")
        });
        let mut known = self.unfit.lock().unwrap_or_else(PoisonError::into_inner);
        match (&unfit, &*known) {
            (Some(reason), None) => tracing::error!(reason, "commands are refused"),
            (None, Some(_)) => tracing::info!("the stream is again as a log needs it"),
            _ => {}
        }
        *known = unfit;
    }

    fn unfit(&self) -> Option<String> {
        self.unfit.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns why no command can be executed: the stream is not as it must be, or the servers have not answered for a while.
    pub(super) fn problem(&self) -> Option<String> {
        if let Some(unfit) = self.unfit() {
            return Some(unfit);
        }
        let health = self.lock();
        let silent = health.0.elapsed() > SILENCE;
        silent.then(|| {
            let why = health.1.clone().unwrap_or_else(|| "a batch waits for the servers".to_owned());
            format!("the stream was last read {} s ago: {why}", health.0.elapsed().as_secs())
        })
    }
}

/// Sends requests to the thread. Dropping it ends the thread.
pub(super) struct ChannelWriter(pub(super) mpsc::UnboundedSender<Request>);

#[async_trait]
impl LogWriter for ChannelWriter {
    async fn append(&self, batch: Batch) -> Result<Vec<Outcome>, StoreError> {
        let (reply, answer) = oneshot::channel();
        self.0.send(Request::Append { batch, reply }).map_err(|_| StoreError::Closed)?;
        // The thread answers every request that it begins: one without an answer had no effect.
        answer.await.unwrap_or(Err(StoreError::Closed))
    }

    async fn write_lock(&self, wait: Duration, hold: Duration) -> Result<WriteLockHandle, StoreError> {
        let (reply, answer) = oneshot::channel();
        let until = Instant::now() + wait;
        self.0.send(Request::WriteLock { until, wait, hold, reply }).map_err(|_| StoreError::Closed)?;
        match timeout_at(until + Duration::from_millis(100), answer).await {
            Ok(answer) => answer.unwrap_or(Err(StoreError::Closed)),
            Err(_) => Err(StoreError::Busy(wait)),
        }
    }

    async fn close(&self) {
        let (reply, done) = oneshot::channel();
        if self.0.send(Request::Close { reply }).is_ok() {
            // An error means that the thread has ended already.
            let _ = done.await;
        }
    }
}

pub(super) struct Writer {
    log: StreamLog,
    file_lock: FairFileLock,
    health: Arc<Health>,
    /// How far another process that has the file open had brought it.
    tip: Option<Tip>,
    /// When the leader was last asked, and how far this process was by then if the stream was longer.
    probed: (Instant, Option<u64>),
    /// When the configuration of the stream was last compared.
    compared: Option<Instant>,
}

impl Writer {
    pub(super) fn new(log: StreamLog, file_lock: FairFileLock, health: Arc<Health>) -> Self {
        Self { log, file_lock, health, tip: None, probed: (Instant::now(), None), compared: Some(Instant::now()) }
    }

    /// Serves requests, and applies what other processes append, until the store is closed or dropped.
    pub(super) async fn run(mut self, mut requests: mpsc::UnboundedReceiver<Request>) {
        let mut next = Instant::now() + POLL;
        loop {
            let idle = self.log.claims.has_mine().then(|| Instant::now() + IDLE);
            let request = tokio::select! {
                biased;
                request = requests.recv() => request,
                () = sleep_until(idle.map_or(next, |idle| idle.min(next))) => {
                    if idle.is_some() && self.log.claims.turn() != Turn::Other {
                        self.log.release().await;
                    }
                    if Instant::now() >= next {
                        next = Instant::now() + self.poll().await;
                    }
                    continue;
                }
            };
            match request {
                None => return,
                Some(Request::Close { reply }) => {
                    if self.log.claims.has_mine() {
                        self.log.release().await;
                    }
                    drop(self);
                    // The caller may no longer wait.
                    let _ = reply.send(());
                    return;
                }
                Some(Request::Append { batch, reply }) => {
                    let appended = self.guarded(async |writer| writer.append(&batch).await).await;
                    // The commit is in the log even if the caller no longer waits.
                    let _ = reply.send(appended);
                }
                Some(Request::WriteLock { until, wait, hold, reply }) => {
                    // `write_lock` answers the caller itself; a panic must not end the thread.
                    let _ = self
                        .guarded(async |writer| {
                            writer.write_lock(until, wait, hold, reply).await;
                            Ok(())
                        })
                        .await;
                }
            }
        }
    }

    /// Runs `work`. A panic becomes an error, and its transaction is rolled back.
    async fn guarded<T>(
        &mut self,
        work: impl AsyncFnOnce(&mut Self) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let done = AssertUnwindSafe(work(self)).catch_unwind().await;
        done.unwrap_or_else(|panic| {
            self.log.local.roll_back();
            let words = format!("the writer panicked: {}", panic_message(&*panic));
            match std::mem::take(&mut self.log.sending) {
                true => Err(StoreError::OutcomeUnknown(words.into())),
                false => Err(StoreError::failed("appending", words)),
            }
        })
    }

    /// Compares the configuration of the stream with what a log needs, now and then. Returns an error if it is another one.
    async fn check_configuration(&mut self) -> Result<(), StoreError> {
        let pause = if self.health.unfit().is_some() { PROBE.min(COMPARE) } else { COMPARE };
        if self.compared.is_none_or(|compared| compared.elapsed() >= pause) {
            let found = self.log.stream.info().await;
            self.compared = Some(Instant::now());
            // Without an answer the last one counts. Where there is no stream, there may only be no leader.
            if let Ok(Some(info)) = found {
                self.health.compared(&differences(self.log.stream.location(), &info.config));
            }
        }
        let unfit = self.health.unfit().map(|reason| self.log.stream.location().unusable(reason));
        unfit.map_or(Ok(()), Err)
    }

    /// Applies what is new. Returns when to look again.
    async fn poll(&mut self) -> Duration {
        // Reading continues whatever it is.
        let _ = self.check_configuration().await;
        // Another process that has the file open applies it.
        let Ok(Some(_guard)) = self.file_lock.try_lock() else {
            let tip = self.log.local.tip().ok().flatten();
            if std::mem::replace(&mut self.tip, tip) != tip {
                self.health.answered();
            }
            return POLL;
        };
        match self.log.step().await {
            Ok(count) if count > 0 => {
                self.health.answered();
                Duration::ZERO
            }
            Ok(_) if self.probed.0.elapsed() < PROBE => {
                self.health.answered();
                POLL
            }
            Ok(_) => {
                let seen = self.log.claims.seen();
                let behind = match self.log.stream.probe().await {
                    Ok(last) => (last > seen).then_some(seen),
                    Err(error) => {
                        self.health.failed(&self.log.stream.location().unusable(error.to_string()));
                        return POLL_AGAIN;
                    }
                };
                // The server of this connection does not follow the leader.
                if behind.is_some() && behind == self.probed.1 {
                    self.log.stream.link.leave();
                }
                self.probed = (Instant::now(), behind);
                self.health.answered();
                POLL
            }
            Err(problem) => {
                self.health.failed(&problem);
                POLL_AGAIN
            }
        }
    }

    async fn append(&mut self, batch: &Batch) -> Result<Vec<Outcome>, StoreError> {
        self.check_configuration().await?;
        let wait = super::stream_log::WAIT;
        let file = self.log.local.location.clone();
        let _guard = self.file_lock.lock(wait).map_err(|why| file.lock_error(why, wait))?;
        let appended = self.log.append(batch).await;
        match &appended {
            Ok(_) => self.health.answered(),
            // The configuration may be the reason: the next command finds out.
            Err(_) => self.compared = None,
        }
        appended
    }

    async fn write_lock(&mut self, until: Instant, wait: Duration, hold: Duration, reply: Reply<WriteLockHandle>) {
        if reply.is_closed() {
            return;
        }
        if let Err(error) = self.check_configuration().await {
            return drop(reply.send(Err(error)));
        }
        let file = self.log.local.location.clone();
        let left = until.saturating_duration_since(Instant::now());
        let _guard = match self.file_lock.lock(left) {
            Ok(guard) => guard,
            Err(why) => return drop(reply.send(Err(file.lock_error(why, wait)))),
        };
        if let Err(error) = self.log.take_lock(hold, until).await {
            self.log.release().await;
            let error = if matches!(error, StoreError::Busy(_)) { StoreError::Busy(wait) } else { error };
            return drop(reply.send(Err(error)));
        }
        let (sender, mut requests) = mpsc::unbounded_channel();
        let handle = WriteLockHandle::new(hold, move |request| drop(sender.send(request)));
        // If the caller no longer waits, the lock ends at once.
        let _ = reply.send(Ok(handle));
        let until = Instant::now() + hold;
        while let Ok(Some(request)) = timeout_at(until, requests.recv()).await {
            match request {
                LockRequest::Load { aggregate, after, reply } => reply.send(self.log.local.load(&aggregate, after)),
                LockRequest::Append { batch, reply } => {
                    let reply = reply.begin();
                    let appending = AssertUnwindSafe(self.log.append(&batch)).catch_unwind().await;
                    let appended = appending.unwrap_or_else(|panic| {
                        self.log.local.roll_back();
                        let words = format!("the writer panicked: {}", panic_message(&*panic));
                        match std::mem::take(&mut self.log.sending) {
                            true => Err(StoreError::OutcomeUnknown(words.into())),
                            false => Err(StoreError::failed("appending", words)),
                        }
                    });
                    // The commit is in the log even if the caller no longer waits.
                    let _ = reply.map(|reply| reply.send(appended));
                    break;
                }
            }
        }
        self.log.release().await;
    }
}
