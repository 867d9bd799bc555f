//! Noticing appends of other processes: by NOTIFY, and by polling.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use sqlx::Executor;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

use super::connections::Purpose;
use super::listener::{Notifications, Subscription};
use super::location::{SchemaLocation, quoted};
use super::reader::Reader;
use crate::events::LogPosition;
use crate::supervise::supervise;

/// How often the head is read while notifications arrive: a message may be lost with a connection.
const LISTENING: Duration = Duration::from_secs(1);
/// Without notifications, the head is read this often after it has moved …
const SHORTEST: Duration = Duration::from_millis(20);
/// … and half as often each time that it has not, down to this.
const LONGEST: Duration = Duration::from_millis(250);
/// The least time between two notifications to other processes, however many batches there are.
const GAP: Duration = Duration::from_millis(10);

/// Notifies other processes that the log has grown.
#[derive(Clone, Default)]
pub(super) struct AppendNotifier(Arc<Notify>);

impl AppendNotifier {
    /// Returns at once; a task sends the notification.
    pub(super) fn notify(&self) {
        self.0.notify_one();
    }
}

/// The tasks that read the head and notify other processes. Dropping this ends them.
pub(super) struct Watcher {
    tasks: Vec<JoinHandle<()>>,
    _subscription: Option<Subscription>,
}

impl Watcher {
    pub(super) fn start(
        location: &SchemaLocation,
        reader: Arc<Reader>,
        head: watch::Sender<LogPosition>,
        notifier: AppendNotifier,
    ) -> Self {
        let subscription = location.subscribe();
        let notifications = subscription.as_ref().map(|one| one.notifications.clone()).unwrap_or_default();
        let location = location.clone();
        let poll = move || poll(reader.clone(), head.clone(), notifications.clone());
        let send = move || send_notifications(location.clone(), notifier.clone());
        let tasks = vec![
            tokio::spawn(supervise("poll of the log's head", poll, std::future::pending, |_, _| {})),
            tokio::spawn(supervise("notification of other processes", send, std::future::pending, |_, _| {})),
        ];
        Self { tasks, _subscription: subscription }
    }

    pub(super) fn stop(&self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Reads the head after each notification, and now and then.
async fn poll(reader: Arc<Reader>, sender: watch::Sender<LogPosition>, notifications: Arc<Notifications>) {
    let mut pause = SHORTEST;
    loop {
        let listening = notifications.listening.load(Ordering::SeqCst);
        let wait = if listening { LISTENING } else { pause };
        let _ = tokio::time::timeout(wait, notifications.received.notified()).await;
        let before = *sender.borrow();
        // The next round tries again; readers get the error themselves.
        let Ok(new) = reader.head().await else { continue };
        // A lower position was read before one published in the meantime, unless the log is another one.
        let moved = sender.send_if_modified(|old| {
            let moved = new != *old && (new.position > old.position || *old == before);
            if moved {
                *old = new;
            }
            moved
        });
        pause = if moved { SHORTEST } else { (pause * 2).min(LONGEST) };
    }
}

/// Notifies other processes: after the commit and on another connection, because NOTIFY takes a lock that all databases
/// of the server share; and once for all batches since the last notification.
async fn send_notifications(location: SchemaLocation, notifier: AppendNotifier) {
    let sql = format!("NOTIFY {}", quoted(&location.channel()));
    loop {
        notifier.0.notified().await;
        // After an error the others notice by polling.
        if let Ok(mut loan) = location.lend(Purpose::Views).await
            && location.attend(loan.origin(), loan.execute(sql.as_str())).await.is_ok()
        {
            loan.give_back();
        }
        tokio::time::sleep(GAP).await;
    }
}
