//! How much is taken on at a time, and from whom.

use std::collections::HashMap;
use std::convert::Infallible;
use std::hash::{BuildHasher, RandomState};
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

use super::{Asker, Problem};

/// How long an answer may take to begin.
const PATIENCE: Duration = Duration::from_secs(60);

/// After how many requests the actors who have not asked for a while are forgotten.
const FORGET: u32 = 10_000;

/// One actor may take one of so many parts of all places.
const PARTS: usize = 4;

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
        Bounds(Arc::new(Inner { requests: Places::new("requests", self.requests), rate, counted }))
    }
}

/// The limits at work.
#[derive(Clone)]
pub(super) struct Bounds(Arc<Inner>);

struct Inner {
    requests: Places,
    rate: Option<DefaultKeyedRateLimiter<String>>,
    counted: AtomicU32,
}

impl Bounds {
    /// Counts one more that who asks wants: an error if that is too often. For what comes over a line that stays open.
    pub fn count(&self, asker: &Asker) -> Result<(), Problem> {
        self.0.count(asker)
    }

    /// Counts one more request, and takes it in.
    pub fn room_for(&self, asker: &Asker) -> Result<Place, Problem> {
        self.0.count(asker)?;
        self.0.requests.take(asker)
    }
}

/// Places that all actors share. One actor may take a quarter of them, so that nobody keeps all others out.
#[derive(Clone)]
pub(super) struct Places(Arc<Taken>);

struct Taken {
    /// What the places are for.
    what: &'static str,
    all: usize,
    each: usize,
    keys: RandomState,
    now: Mutex<Counts>,
}

#[derive(Default)]
struct Counts {
    all: usize,
    /// By a hash of who has them.
    each: HashMap<u64, usize>,
}

/// A place that somebody has, until this is dropped.
pub(super) struct Place {
    taken: Arc<Taken>,
    key: u64,
}

impl Places {
    /// So many places for `what`, a plural.
    pub fn new(what: &'static str, all: usize) -> Self {
        let each = (all / PARTS).max(1);
        Self(Arc::new(Taken { what, all, each, keys: RandomState::new(), now: Mutex::default() }))
    }

    /// A place for who asks.
    ///
    /// # Errors
    /// 429 when the actor has its share already, 503 when there is none left.
    pub fn take(&self, asker: &Asker) -> Result<Place, Problem> {
        let Taken { what, all, each, keys, .. } = &*self.0;
        let key = keys.hash_one(asker.key());
        let mut counts = self.0.counts();
        let own = counts.each.get(&key).copied().unwrap_or_default();
        if own >= *each {
            let detail =
                format!("you have {own} {what} under way, the most that one actor may have: wait for one to end");
            return Err(too_many(detail, 1));
        }
        if counts.all >= *all {
            return Err(Problem::unavailable(format!("too many {what} are under way: try again later")));
        }
        counts.all += 1;
        *counts.each.entry(key).or_default() += 1;
        Ok(Place { taken: self.0.clone(), key })
    }
}

impl Taken {
    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.taken.counts();
        counts.all -= 1;
        if let Some(own) = counts.each.get_mut(&self.key) {
            *own -= 1;
            if *own == 0 {
                counts.each.remove(&self.key);
            }
        }
    }
}

impl Place {
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
    fn count(&self, asker: &Asker) -> Result<(), Problem> {
        let Some(rate) = &self.rate else { return Ok(()) };
        if self.counted.fetch_add(1, Ordering::Relaxed) % FORGET == FORGET - 1 {
            rate.retain_recent();
        }
        rate.check_key(&asker.key().to_owned()).map_err(|until| {
            let wait = until.wait_time_from(DefaultClock::default().now()).as_secs() + 1;
            too_many(format!("wait for {wait} s"), wait)
        })
    }
}

/// 429: ask again after so many seconds.
fn too_many(detail: String, wait: u64) -> Problem {
    let title = "there were too many requests";
    Problem::new(StatusCode::TOO_MANY_REQUESTS, "too-many", title, detail)
        .header(header::RETRY_AFTER, HeaderValue::from(wait))
}
