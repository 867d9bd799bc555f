//! [`Leases`]: of all processes with a feed, one sends. Of all with an intake, one receives.
//!
//! A lease only saves work: of two processes that both believe that they send, the checkpoint stops one, and the sink too if it can.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use uuid::Uuid;

use super::checkpoint::VERSION;
use crate::store::{StoreError, Views};

/// The duration of a lease. After a process dies, nobody sends for at most this long.
const TERM: Duration = Duration::from_secs(5);

/// The interval of renewals: three in a term.
const RENEW: Duration = Duration::from_millis(1_500);

/// The leases of the feeds of a process, or of its intakes.
pub(crate) struct Leases {
    views: Arc<dyn Views>,
    owner: Uuid,
    wanted: Vec<(String, u64)>,
    leading: Vec<watch::Sender<bool>>,
}

impl Leases {
    /// For these names of tables. Returns also whether this process leads each of them, in the same order.
    pub(crate) fn new(views: Arc<dyn Views>, names: Vec<String>) -> (Self, Vec<watch::Receiver<bool>>) {
        let leading: Vec<_> = names.iter().map(|_| watch::Sender::new(false)).collect();
        let wanted = names.into_iter().map(|name| (name, VERSION)).collect();
        let receivers = leading.iter().map(watch::Sender::subscribe).collect();
        (Self { views, owner: Uuid::new_v4(), wanted, leading }, receivers)
    }

    /// Acquires and renews the leases until `closed` resolves, then releases them.
    pub(crate) async fn run(self, closed: impl Future<Output = ()>) {
        tokio::pin!(closed);
        let mut until = Instant::now();
        loop {
            let asked = Instant::now();
            let renewed = tokio::select! {
                biased;
                () = &mut closed => break,
                renewed = self.views.acquire_leases(self.owner, &self.wanted, TERM) => renewed,
                // However long the store takes, leadership ends with the term.
                () = self.end_at(until) => return,
            };
            match renewed {
                Ok(led) => {
                    until = asked + TERM;
                    for (key, leading) in self.wanted.iter().zip(&self.leading) {
                        let now = led.contains(key);
                        leading.send_if_modified(|leads| std::mem::replace(leads, now) != now);
                    }
                }
                Err(StoreError::Closed) => break,
                Err(error) => tracing::warn!(%error, "leases could not be renewed"),
            }
            tokio::select! {
                () = &mut closed => break,
                () = tokio::time::sleep(RENEW) => {}
            }
            if Instant::now() >= until {
                self.end();
            }
        }
        self.end();
        // Otherwise the leases of this process would expire only at the end of their term.
        if let Err(error) = self.views.release_leases(self.owner).await {
            tracing::debug!(%error, "leases could not be released");
        }
    }

    /// Ends the leadership at this time, if this process leads; then never returns.
    async fn end_at(&self, until: Instant) {
        sleep_until(until).await;
        self.end();
        std::future::pending().await
    }

    fn end(&self) {
        self.leading.iter().for_each(|leading| {
            leading.send_if_modified(|leads| std::mem::replace(leads, false));
        });
    }
}
