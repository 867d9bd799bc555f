//! [`Watcher`]: detects appends of other processes.

use std::sync::{Mutex, PoisonError, mpsc};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rusqlite::Connection;
use tokio::sync::watch;

use super::file_connection::FileConnection;
use super::location::FileLocation;
use super::rows;
use crate::events::LogPosition;
use crate::store::StoreError;

/// The time between two checks.
const PAUSE: Duration = Duration::from_millis(20);

/// A thread that checks the log every 20 ms. Dropping this ends it.
pub(super) struct Watcher {
    stop: mpsc::Sender<()>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Watcher {
    pub(super) fn start(
        location: &FileLocation,
        connection: FileConnection,
        head: watch::Sender<LogPosition>,
    ) -> Result<Self, StoreError> {
        let (stop, stopped) = mpsc::channel();
        let name = location.name().to_owned();
        let look = move || {
            let mut seen = version(&connection);
            refresh(&connection, &head);
            while let Err(mpsc::RecvTimeoutError::Timeout) = stopped.recv_timeout(PAUSE) {
                let now = version(&connection);
                if now.is_none() || now != seen {
                    refresh(&connection, &head);
                    seen = now;
                }
            }
        };
        let thread = thread::Builder::new().name("annals-watch".into()).spawn(look);
        let thread = thread.map_err(|error| StoreError::Unusable {
            store: name,
            reason: format!("no thread can be started ({error}): raise this user's limit of processes"),
        })?;
        Ok(Self { stop, thread: Mutex::new(Some(thread)) })
    }

    /// Ends the thread and closes its connection.
    pub(super) async fn stop(&self) {
        // The thread may have ended already.
        let _ = self.stop.send(());
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // A thread that panicked has ended too.
            let _ = tokio::task::spawn_blocking(|| thread.join()).await;
        }
    }
}

/// Returns a number that changes whenever another connection has written.
fn version(connection: &Connection) -> Option<i64> {
    connection
        .prepare_cached("PRAGMA data_version")
        .and_then(|mut pragma| pragma.query_row([], |row| row.get(0)))
        .ok()
}

/// Reads and publishes the head while no other thread can publish one, so that heads are published in the order of
/// reading.
fn refresh(connection: &Connection, sender: &watch::Sender<LogPosition>) {
    sender.send_if_modified(|old| match rows::head(connection) {
        Ok(new) if new != *old => {
            *old = new;
            true
        }
        // A failed check is repeated by the next; readers get the error themselves.
        _ => false,
    });
}
