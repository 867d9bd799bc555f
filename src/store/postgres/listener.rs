//! Notifications that the log has grown: one connection that runs LISTEN for all schemas of a database.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sqlx::Executor;
use sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions};
use tokio::sync::Notify;

use super::liveness::{SILENCE, Silent};
use super::location::CONNECT;
use crate::supervise::supervise;

/// The time between two attempts to listen.
const RETRY: Duration = Duration::from_secs(1);
/// After this time without a message, the listener checks that the server still answers.
const QUIET: Duration = Duration::from_secs(15);

/// The notifications of one store.
#[derive(Default)]
pub(super) struct Notifications {
    /// Notified for each message, and whenever messages may have been missed.
    pub(super) received: Notify,
    /// Whether the connection listens.
    pub(super) listening: AtomicBool,
}

impl Notifications {
    fn set_listening(&self, listening: bool) {
        self.listening.store(listening, Ordering::SeqCst);
        self.received.notify_one();
    }
}

/// Listens as long as there are subscriptions.
pub(super) struct Listener {
    options: PgConnectOptions,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    /// The subscribers of each channel.
    channels: HashMap<String, Vec<Arc<Notifications>>>,
    running: bool,
}

/// A subscription to a channel. Dropping it unsubscribes.
pub(super) struct Subscription {
    listener: Arc<Listener>,
    channel: String,
    pub(super) notifications: Arc<Notifications>,
}

impl Listener {
    pub(super) fn new(options: PgConnectOptions) -> Arc<Self> {
        Arc::new(Self { options, state: Mutex::default(), changed: Notify::new() })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Subscribes to a channel. Messages arrive as soon as there is a connection.
    pub(super) fn subscribe(self: &Arc<Self>, channel: String) -> Subscription {
        let notifications = Arc::new(Notifications::default());
        let mut state = self.lock();
        state.channels.entry(channel.clone()).or_default().push(notifications.clone());
        if !std::mem::replace(&mut state.running, true) {
            let listener = self.clone();
            let run = move || listener.clone().run();
            tokio::spawn(supervise("listener for notifications", run, std::future::pending, |_, _| {}));
        }
        drop(state);
        self.changed.notify_one();
        Subscription { listener: self.clone(), channel, notifications }
    }

    /// Listens until there is no subscription. Reconnects after an error.
    async fn run(self: Arc<Self>) {
        loop {
            let Err(error) = self.listen().await else { return };
            self.lock().channels.values().flatten().for_each(|subscriber| subscriber.set_listening(false));
            tracing::debug!(%error, "LISTEN failed: polling for appends of other processes");
            // A new or ended subscription ends the wait.
            let _ = tokio::time::timeout(RETRY, self.changed.notified()).await;
            if self.is_over() {
                return;
            }
        }
    }

    /// Whether there is no subscription. The next one starts the listener again.
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
            self.update_channels(&mut listener, &mut channels).await?;
            tokio::select! {
                received = tokio::time::timeout(QUIET, listener.try_recv()) => match received {
                    Ok(Ok(Some(message))) => self.notify(message.channel()),
                    Ok(Ok(None)) => return Err(sqlx::Error::Io(std::io::ErrorKind::ConnectionReset.into())),
                    Ok(Err(error)) => return Err(error),
                    Err(_) => answered(listener.execute("SELECT 1")).await.map(drop)?,
                },
                () = self.changed.notified() => {}
            }
        }
        Ok(())
    }

    /// Listens to the channels that have subscriptions. A new subscriber may have missed messages: it is notified.
    async fn update_channels(
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
        let listened = state.channels.iter().filter(|(channel, _)| channels.contains(*channel));
        for subscriber in listened.flat_map(|(_, subscribers)| subscribers) {
            if !subscriber.listening.load(Ordering::SeqCst) {
                subscriber.set_listening(true);
            }
        }
        Ok(())
    }

    fn notify(&self, channel: &str) {
        self.lock().channels.get(channel).into_iter().flatten().for_each(|one| one.received.notify_one());
    }
}

/// Waits for an answer that a live server gives at once.
async fn answered<T>(answer: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, sqlx::Error> {
    tokio::time::timeout(SILENCE, answer).await.unwrap_or_else(|_| Err(Silent.into()))
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut state = self.listener.lock();
        if let Some(all) = state.channels.get_mut(&self.channel) {
            all.retain(|one| !Arc::ptr_eq(one, &self.notifications));
            if all.is_empty() {
                state.channels.remove(&self.channel);
            }
        }
        drop(state);
        self.listener.changed.notify_one();
    }
}
