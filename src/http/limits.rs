//! How much is taken on at a time, and from whom.

use std::convert::Infallible;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{Asker, Problem};

/// How long an answer may take to begin.
const PATIENCE: Duration = Duration::from_secs(60);

/// After how many requests the actors who have not asked for a while are forgotten.
const FORGET: u32 = 10_000;

#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub largest_body: usize,
    pub requests: usize,
    pub rate: Option<NonZeroU32>,
}

impl Default for Limits {
    fn default() -> Self {
        Self { largest_body: 1_024 * 1_024, requests: 1_024, rate: None }
    }
}

impl Limits {
    pub fn start(&self) -> Bounds {
        let rate = self.rate.map(|rate| RateLimiter::keyed(Quota::per_second(rate)));
        let counted = AtomicU32::new(0);
        Bounds(Arc::new(Inner { room: Arc::new(Semaphore::new(self.requests)), rate, counted }))
    }
}

/// The limits at work.
#[derive(Clone)]
pub(super) struct Bounds(Arc<Inner>);

struct Inner {
    room: Arc<Semaphore>,
    rate: Option<DefaultKeyedRateLimiter<String>>,
    counted: AtomicU32,
}

impl Bounds {
    /// Counts one more that who asks wants: an error if that is too often. For what comes over a line that stays open.
    pub fn count(&self, asker: &Asker) -> Result<(), Problem> {
        self.0.count(Some(asker))
    }

    /// Counts one more request, and takes it in.
    pub fn room_for(&self, asker: Option<&Asker>) -> Result<Room, Problem> {
        self.0.count(asker)?;
        let room = self.0.room.clone().try_acquire_owned();
        room.map(Room).map_err(|_| Problem::unavailable("too many requests are under way"))
    }
}

/// A request's place among those that are under way.
pub(super) struct Room(#[expect(dead_code, reason = "it is held")] OwnedSemaphorePermit);

impl Room {
    /// Gives a request up when its answer does not begin in a minute.
    pub async fn until_it_begins(
        self,
        answering: impl Future<Output = Result<Response, Infallible>>,
    ) -> Result<Response, Problem> {
        let Ok(Ok(response)) = tokio::time::timeout(PATIENCE, answering).await else {
            return Err(Problem::unavailable(
                "it took too long, and was given up; a command may still be executed: ask again under the same Idempotency-Key",
            ));
        };
        Ok(response)
    }
}

impl Inner {
    /// An error if who asks has asked too often.
    fn count(&self, asker: Option<&Asker>) -> Result<(), Problem> {
        let Some(rate) = &self.rate else { return Ok(()) };
        if self.counted.fetch_add(1, Ordering::Relaxed) % FORGET == FORGET - 1 {
            rate.retain_recent();
        }
        let who = asker.map(Asker::key).unwrap_or_default();
        rate.check_key(&who).map_err(|until| {
            let wait = until.wait_time_from(DefaultClock::default().now()).as_secs() + 1;
            let title = "there were too many requests";
            Problem::new(StatusCode::TOO_MANY_REQUESTS, "too-many", title, format!("wait for {wait} s"))
                .header(header::RETRY_AFTER, HeaderValue::from(wait))
        })
    }
}
