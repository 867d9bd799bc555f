//! Hearing that the log has grown: one connection that listens for all schemas of a database.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sqlx::Executor;
use sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions};
use tokio::sync::Notify;

use super::place::CONNECT;
use super::silence::{SILENCE, Silent};

/// Between two attempts to listen.
const AGAIN: Duration = Duration::from_secs(1);
/// After so long without a word, the server is asked whether it is still there.
const QUIET: Duration = Duration::from_secs(15);

/// What a store hears of.
#[derive(Default)]
pub(super) struct Heard {
    /// Notified for each message, and whenever messages may have been missed.
    pub(super) something: Notify,
    /// Whether messages come at all.
    pub(super) hearing: AtomicBool,
}

impl Heard {
    fn hearing(&self, hearing: bool) {
        self.hearing.store(hearing, Ordering::SeqCst);
        self.something.notify_one();
    }
}

/// The one that listens, as long as anybody wants it to.
pub(super) struct Listener {
    options: PgConnectOptions,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    /// Who hears each channel.
    channels: HashMap<String, Vec<Arc<Heard>>>,
    running: bool,
}

/// Somebody who hears a channel until this is dropped.
pub(super) struct Hearing {
    listener: Arc<Listener>,
    channel: String,
    pub(super) heard: Arc<Heard>,
}

impl Listener {
    pub(super) fn new(options: PgConnectOptions) -> Arc<Self> {
        Arc::new(Self { options, state: Mutex::default(), changed: Notify::new() })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hears a channel from now on, as soon as there is a connection.
    pub(super) fn hear(self: &Arc<Self>, channel: String) -> Hearing {
        let heard = Arc::new(Heard::default());
        let mut state = self.lock();
        state.channels.entry(channel.clone()).or_default().push(heard.clone());
        if !std::mem::replace(&mut state.running, true) {
            tokio::spawn(self.clone().run());
        }
        drop(state);
        self.changed.notify_one();
        Hearing { listener: self.clone(), channel, heard }
    }

    /// Listens until nobody wants to hear anything, on a connection that is made again when it is lost.
    async fn run(self: Arc<Self>) {
        loop {
            let Err(error) = self.listen().await else { return };
            self.lock().channels.values().flatten().for_each(|heard| heard.hearing(false));
            tracing::debug!(%error, "not told of what others append: looking instead");
            // Or until somebody came or went.
            let _ = tokio::time::timeout(AGAIN, self.changed.notified()).await;
            if self.is_over() {
                return;
            }
        }
    }

    /// Whether nobody wants to hear anything; then the next one starts it again.
    fn is_over(&self) -> bool {
        let mut state = self.lock();
        state.running = !state.channels.is_empty();
        !state.running
    }

    async fn listen(&self) -> Result<(), sqlx::Error> {
        let pool = PgPoolOptions::new().max_connections(1).acquire_timeout(CONNECT);
        let pool = pool.idle_timeout(None).max_lifetime(None).connect_lazy_with(self.options.clone());
        let mut listener = PgListener::connect_with(&pool).await?;
        let mut channels = BTreeSet::new();
        while !self.is_over() {
            self.follow_changes(&mut listener, &mut channels).await?;
            tokio::select! {
                received = tokio::time::timeout(QUIET, listener.try_recv()) => match received {
                    Ok(Ok(Some(message))) => self.pass_on(message.channel()),
                    Ok(Ok(None)) => return Err(sqlx::Error::Io(std::io::ErrorKind::ConnectionReset.into())),
                    Ok(Err(error)) => return Err(error),
                    Err(_) => answered(listener.execute("SELECT 1")).await.map(drop)?,
                },
                () = self.changed.notified() => {}
            }
        }
        Ok(())
    }

    /// Listens to what is wanted now. Who has just come may have missed something.
    async fn follow_changes(
        &self,
        listener: &mut PgListener,
        channels: &mut BTreeSet<String>,
    ) -> Result<(), sqlx::Error> {
        let wanted: BTreeSet<String> = self.lock().channels.keys().cloned().collect();
        for channel in channels.difference(&wanted) {
            answered(listener.unlisten(channel)).await?;
        }
        for channel in wanted.difference(channels) {
            answered(listener.listen(channel)).await?;
        }
        *channels = wanted;
        let state = self.lock();
        let heard = state.channels.iter().filter(|(channel, _)| channels.contains(*channel));
        heard.flat_map(|(_, heard)| heard).filter(|heard| !heard.hearing.load(Ordering::SeqCst)).for_each(
            |heard| {
                heard.hearing(true);
            },
        );
        Ok(())
    }

    fn pass_on(&self, channel: &str) {
        self.lock().channels.get(channel).into_iter().flatten().for_each(|heard| heard.something.notify_one());
    }
}

/// What the server answers at once, if it is there.
async fn answered<T>(answer: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, sqlx::Error> {
    tokio::time::timeout(SILENCE, answer).await.unwrap_or_else(|_| Err(Silent.into()))
}

impl Drop for Hearing {
    fn drop(&mut self) {
        let mut state = self.listener.lock();
        if let Some(all) = state.channels.get_mut(&self.channel) {
            all.retain(|heard| !Arc::ptr_eq(heard, &self.heard));
            if all.is_empty() {
                state.channels.remove(&self.channel);
            }
        }
        drop(state);
        self.listener.changed.notify_one();
    }
}
