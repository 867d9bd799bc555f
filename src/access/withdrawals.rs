//! [`Withdrawals`]: what a program with keys remembers of withdrawn rights, apart from the log.
//!
//! A log that was restored from an older backup has rights that were withdrawn later. So the last withdrawal is remembered beside
//! the key file. If the log does not have that event, all rights but those of owners are suspended, until an owner confirms the
//! rights that are in the log.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{Mutex as AsyncMutex, Notify, watch};
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};
use uuid::Uuid;

use super::{ConfirmAccess, RemoveOwner, RevokeAccess, RevokeToken};
use crate::app::RightsMemory;
use crate::commands::Command;
use crate::events::{LogPosition, Stored};
use crate::store::{Interest, Store, StoreError, is_full};
use crate::supervise::supervise;
use crate::text::error_chain;
use crate::tokens::WithdrawalFile;

/// The pause between two comparisons with the log.
const PULSE: Duration = Duration::from_millis(500);
/// How long one may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long the answer to a withdrawal waits until it is remembered.
const ANSWER: Duration = Duration::from_secs(2);
/// How often the file may be changed by other programs during a comparison.
const TRIES: u32 = 20;
/// The most events that are read at a time, and about their most bytes.
const EVENTS: usize = 1_000;
const BYTES: usize = 1 << 20;

const CONFIRMED: &str = "annals_access.confirmed";
/// The events that withdraw a right, and those that confirm the rights in a log.
const TYPES: [&str; 4] =
    ["annals_access.revoked", "annals_access.token_revoked", "annals_access.owner_removed", CONFIRMED];
/// The commands that write them.
const COMMANDS: [&str; 4] = [RevokeAccess::NAME, RevokeToken::NAME, RemoveOwner::NAME, ConfirmAccess::NAME];

/// Whether the grants in the log count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Standing {
    #[default]
    Current,
    /// The log was replaced, and is not yet compared.
    Unknown,
    /// The log does not have this withdrawal.
    Suspended(LogPosition),
}

/// The memory of one open application.
#[derive(Debug, Default)]
pub(crate) struct Withdrawals {
    file: Mutex<Option<Arc<WithdrawalFile>>>,
    standing: watch::Sender<Standing>,
    /// Why the last withdrawal is not stored.
    problem: Mutex<Option<String>>,
    log: AsyncMutex<Option<FollowedLog>>,
    compare_now: Arc<Notify>,
}

impl Withdrawals {
    /// Why no grant counts now, if so.
    pub(super) fn suspension(&self) -> Option<&'static str> {
        match *self.standing.borrow() {
            Standing::Current => None,
            Standing::Unknown => Some(
                "the log was replaced, and rights are suspended until it is compared with the last withdrawal of a right: try \
                 again",
            ),
            Standing::Suspended(_) => Some(
                "the log is older than the last withdrawal of a right (was it restored from a backup?): rights are suspended \
                 until an owner executes `access confirm`",
            ),
        }
    }

    /// The withdrawal that the log does not have.
    pub(super) fn missing(&self) -> Option<LogPosition> {
        match *self.standing.borrow() {
            Standing::Suspended(missing) => Some(missing),
            Standing::Current | Standing::Unknown => None,
        }
    }

    fn file(&self) -> Option<Arc<WithdrawalFile>> {
        self.file.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Compares the log with what is remembered, and remembers its last withdrawal. A file that cannot be read is an error; one that
    /// cannot be written is a problem that operators see.
    async fn compare(&self) -> Result<(), StoreError> {
        let Some(file) = self.file() else { return Ok(()) };
        let mut log = self.log.lock().await;
        let Some(log) = log.as_mut() else { return Ok(()) };
        for _ in 0..TRIES {
            let (reading, log_id) = (file.clone(), log.id.clone());
            let remembered = match blocking(move || reading.read(&log_id)).await {
                Ok(remembered) => remembered,
                Err(error) => {
                    self.set_problem(Some(format!("{} cannot be read: {error}", file.path().display())));
                    let reason = format!(
                        "the file {}, which has the last withdrawal of a right, cannot be read ({error}): correct that, or move \
                         it away if it cannot be repaired",
                        file.path().display()
                    );
                    return Err(StoreError::Unusable { store: log.store.describe(), reason });
                }
            };
            let has_remembered = log.follow(remembered).await?;
            let (standing, last) = log.judge(remembered, has_remembered);
            if self.standing.send_if_modified(|before| std::mem::replace(before, standing) != standing) {
                match standing {
                    Standing::Suspended(missing) => tracing::error!(
                        position = missing.position, event = %missing.event_id,
                        "the log does not have the last withdrawal of a right: rights are suspended until `access confirm`"
                    ),
                    _ => tracing::warn!(
                        "the log has the last withdrawal of a right, or it was confirmed: grants count"
                    ),
                }
                (log.changed)();
            }
            let Some(last) = last else {
                self.set_problem(None);
                return Ok(());
            };
            let (writing, log_id) = (file.clone(), log.id.clone());
            match blocking(move || writing.replace(&log_id, remembered, last)).await {
                Ok(true) => {
                    self.set_problem(None);
                    return Ok(());
                }
                // Another program has replaced it meanwhile.
                Ok(false) => {}
                Err(error) => {
                    self.set_problem(Some(format!("{} cannot be written: {error}", file.path().display())));
                    return Ok(());
                }
            }
        }
        self.set_problem(Some("other programs change the file all the time".to_owned()));
        Ok(())
    }

    /// Each problem is logged once.
    fn set_problem(&self, problem: Option<String>) {
        let mut last = self.problem.lock().unwrap_or_else(PoisonError::into_inner);
        if *last != problem {
            match &problem {
                Some(problem) => tracing::error!(%problem, "the last withdrawal of a right is not stored"),
                None => tracing::info!("the last withdrawal of a right is stored again"),
            }
            *last = problem;
        }
    }

    /// Compares again and again, until the store is closed or the application is dropped.
    async fn go_on(this: Weak<Self>, compare_now: Arc<Notify>) {
        loop {
            tokio::select! {
                () = compare_now.notified() => {}
                () = sleep(PULSE) => {}
            }
            let Some(this) = this.upgrade() else { return };
            match timeout(PATIENCE, this.compare()).await {
                Ok(Ok(())) => {}
                Ok(Err(StoreError::Closed)) => return,
                Ok(Err(error)) => tracing::debug!(error = %error_chain(&error), "cannot compare the log"),
                Err(_) => tracing::debug!("cannot compare the log: the store does not answer"),
            }
        }
    }
}

#[async_trait]
impl RightsMemory for Withdrawals {
    fn beside(&self, key_file: &Path) {
        let file = Arc::new(WithdrawalFile::beside(key_file));
        *self.file.lock().unwrap_or_else(PoisonError::into_inner) = Some(file);
    }

    async fn start(
        self: Arc<Self>,
        store: Arc<dyn Store>,
        changed: Box<dyn Fn() + Send + Sync>,
    ) -> Result<(), StoreError> {
        if self.file().is_none() {
            return Ok(());
        }
        let id = store.info().await?.log_id;
        let followed =
            FollowedLog { store, id, changed, at: LogPosition::default(), last: None, confirmations: Vec::new() };
        *self.log.lock().await = Some(followed);
        self.compare().await?;
        let (this, compare_now) = (Arc::downgrade(&self), self.compare_now.clone());
        tokio::spawn(async move {
            let go_on = || Self::go_on(this.clone(), compare_now.clone());
            supervise("memory of withdrawn rights", go_on, std::future::pending, |_, _| {}).await;
        });
        Ok(())
    }

    fn withdraws(&self, command: &str) -> bool {
        COMMANDS.contains(&command) && self.file().is_some()
    }

    async fn remember(&self) {
        let compared = timeout(ANSWER, self.compare()).await;
        let error = match compared {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error_chain(&error),
            Err(_) => format!("it took longer than {ANSWER:?}"),
        };
        tracing::error!(%error, "a right was withdrawn, and that is not remembered yet");
    }

    fn diverged(&self) {
        if self.file().is_some() {
            self.standing.send_if_modified(|standing| {
                let current = *standing == Standing::Current;
                if current {
                    *standing = Standing::Unknown;
                }
                current
            });
            self.compare_now.notify_one();
        }
    }

    fn suspension(&self) -> Option<&'static str> {
        Self::suspension(self)
    }

    #[cfg(feature = "http")]
    fn notes(&self) -> Vec<String> {
        let problem = self.problem.lock().unwrap_or_else(PoisonError::into_inner).is_some();
        let problem =
            problem.then(|| "the last withdrawal of a right is not stored: see the log of the server".to_owned());
        self.suspension().map(str::to_owned).into_iter().chain(problem).collect()
    }
}

/// The withdrawals and confirmations of an open log, as far as it was read.
struct FollowedLog {
    store: Arc<dyn Store>,
    id: String,
    changed: Box<dyn Fn() + Send + Sync>,
    /// The log was read up to here.
    at: LogPosition,
    /// The last withdrawal or confirmation.
    last: Option<LogPosition>,
    confirmations: Vec<Confirmation>,
}

/// An owner has confirmed the rights in the log.
#[derive(Debug)]
struct Confirmation {
    event_id: Uuid,
    /// The withdrawal that the log does not have.
    missing: Option<Uuid>,
}

impl std::fmt::Debug for FollowedLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FollowedLog").field("id", &self.id).field("at", &self.at).finish_non_exhaustive()
    }
}

impl FollowedLog {
    /// Reads what is new, or all if the log was replaced. Returns whether the log has the remembered withdrawal.
    async fn follow(&mut self, remembered: Option<LogPosition>) -> Result<bool, StoreError> {
        let known = [Some(self.at), self.last, remembered];
        let positions = known.iter().flatten().map(|known| known.position).filter(|position| *position > 0);
        let found = self.store.read_at(&positions.collect::<Vec<_>>()).await?;
        let has = |known: LogPosition| known.position == 0 || found.iter().any(|event| event.head() == known);
        if !has(self.at) || !self.last.is_none_or(has) {
            (self.at, self.last) = (LogPosition::default(), None);
            self.confirmations.clear();
        }
        let interest = Interest::EventTypes(TYPES.map(str::to_owned).into());
        loop {
            let page = self.store.read_bounded(self.at.position, EVENTS, BYTES, &interest).await?;
            for event in &page.events {
                self.last = Some(event.head());
                if event.event_type == CONFIRMED {
                    self.confirmations.push(Confirmation::of(event));
                }
            }
            self.at = page.to;
            if page.events.len() < EVENTS && !is_full(&page.events) {
                return Ok(remembered.is_none_or(has));
            }
        }
    }

    /// Returns whether its grants count, and the withdrawal to be remembered now.
    fn judge(&self, remembered: Option<LogPosition>, has_remembered: bool) -> (Standing, Option<LogPosition>) {
        match remembered {
            Some(missing) if !has_remembered && !self.is_confirmed(missing.event_id) => {
                (Standing::Suspended(missing), None)
            }
            Some(known) if has_remembered => {
                (Standing::Current, self.last.filter(|last| last.position > known.position))
            }
            _ => (Standing::Current, self.last),
        }
    }

    /// Whether an owner has confirmed the rights in this log after a withdrawal that it does not have. Event ids of a log increase, so
    /// a confirmation with a greater id was not before the withdrawal.
    fn is_confirmed(&self, missing: Uuid) -> bool {
        self.confirmations.iter().any(|one| one.event_id > missing || one.missing == Some(missing))
    }
}

impl Confirmation {
    fn of(event: &Stored) -> Self {
        let payload: Option<serde_json::Value> = serde_json::from_str(&event.payload).ok();
        let missing = payload.and_then(|payload| payload["missing"].as_str()?.parse().ok());
        Self { event_id: event.event_id, missing }
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> std::io::Result<T> {
    spawn_blocking(work).await.map_err(std::io::Error::other).flatten()
}
