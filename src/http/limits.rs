//! Limits: body size, concurrency, request rate and stream time-outs.

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

use super::Problem;

/// How long a response may take to begin.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(60);

/// After this many requests, actors without a recent request are removed from the rate limiter.
const CLEANUP_INTERVAL: u32 = 10_000;

/// One actor may hold this fraction (1/4) of all permits.
const ACTOR_SHARE: usize = 4;

/// The configured limits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// The largest body, in bytes.
    pub largest_body: usize,
    /// Requests in progress at a time.
    pub requests: usize,
    /// Requests a second for each actor.
    pub rate: Option<NonZeroU32>,
    pub streams: StreamTimeouts,
}

/// The time-outs of streams and WebSockets.
#[derive(Clone, Copy, Debug)]
pub(super) struct StreamTimeouts {
    /// A stream sends a heartbeat when it has sent nothing for this long.
    pub heartbeat: Duration,
    /// A stream whose client reads nothing for this long ends with the reason `slow`.
    pub slow_client: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        let streams = StreamTimeouts { heartbeat: Duration::from_secs(15), slow_client: Duration::from_secs(30) };
        Self { largest_body: 1_024 * 1_024, requests: 1_024, rate: None, streams }
    }
}

impl Limits {
    pub fn start(&self) -> RequestLimits {
        let rate = self.rate.map(|rate| RateLimiter::keyed(Quota::per_second(rate)));
        let requests = ConcurrencyLimit::new("requests", self.requests);
        RequestLimits(Arc::new(Inner { requests, rate, counted: AtomicU32::new(0) }))
    }
}

/// The rate limit and the concurrency limit of requests. Callers are identified by a key: the actor or the address.
#[derive(Clone)]
pub(super) struct RequestLimits(Arc<Inner>);

struct Inner {
    requests: ConcurrencyLimit,
    rate: Option<DefaultKeyedRateLimiter<String>>,
    counted: AtomicU32,
}

impl RequestLimits {
    /// Counts one request against the caller's rate, without a permit: for calls over an open WebSocket.
    ///
    /// # Errors
    /// 429 if the caller exceeds its rate.
    pub fn count(&self, key: &str) -> Result<(), Problem> {
        let Some(rate) = &self.0.rate else { return Ok(()) };
        if self.0.counted.fetch_add(1, Ordering::Relaxed) % CLEANUP_INTERVAL == CLEANUP_INTERVAL - 1 {
            rate.retain_recent();
        }
        rate.check_key(&key.to_owned()).map_err(|until| {
            let wait = until.wait_time_from(DefaultClock::default().now()).as_secs() + 1;
            too_many(format!("you exceed the rate limit: retry in {wait} s"), wait)
        })
    }

    /// Counts one request, and returns a permit for it.
    pub fn admit(&self, key: &str) -> Result<Permit, Problem> {
        self.count(key)?;
        self.0.requests.acquire(key)
    }
}

/// A number of permits that all actors share. One actor gets at most a quarter, so that no actor can block all others.
#[derive(Clone)]
pub(super) struct ConcurrencyLimit(Arc<Permits>);

struct Permits {
    /// The plural of what is limited, for messages.
    what: &'static str,
    total: usize,
    per_actor: usize,
    hasher: RandomState,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    total: usize,
    /// By a hash of the caller's key.
    by_caller: HashMap<u64, usize>,
}

/// A permit, returned on drop.
pub(super) struct Permit {
    permits: Arc<Permits>,
    caller: u64,
}

impl ConcurrencyLimit {
    /// Returns a limit of `total` for `what`, a plural.
    pub fn new(what: &'static str, total: usize) -> Self {
        let per_actor = (total / ACTOR_SHARE).max(1);
        Self(Arc::new(Permits { what, total, per_actor, hasher: RandomState::new(), held: Mutex::default() }))
    }

    /// Returns a permit for the caller with this key.
    ///
    /// # Errors
    /// 429 if the caller holds its share already, 503 if no permit is left.
    pub fn acquire(&self, key: &str) -> Result<Permit, Problem> {
        let Permits { what, total, per_actor, hasher, .. } = &*self.0;
        let caller = hasher.hash_one(key);
        let mut held = self.0.lock();
        let own = held.by_caller.get(&caller).copied().unwrap_or_default();
        if own >= *per_actor {
            let detail =
                format!("you have {own} {what} in progress, the most for one actor: wait until one of them ends");
            return Err(too_many(detail, 1));
        }
        if held.total >= *total {
            return Err(Problem::unavailable(format!("too many {what} in progress: try again later")));
        }
        held.total += 1;
        *held.by_caller.entry(caller).or_default() += 1;
        Ok(Permit { permits: self.0.clone(), caller })
    }
}

impl Permits {
    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut held = self.permits.lock();
        held.total -= 1;
        if let Some(own) = held.by_caller.get_mut(&self.caller) {
            *own -= 1;
            if *own == 0 {
                held.by_caller.remove(&self.caller);
            }
        }
    }
}

impl Permit {
    /// Holds the permit until the response begins.
    ///
    /// # Errors
    /// 503 if it does not begin within a minute.
    pub async fn hold_until_response(
        self,
        response: impl Future<Output = Result<Response, Infallible>>,
    ) -> Result<Response, Problem> {
        let Ok(Ok(response)) = tokio::time::timeout(RESPONSE_TIMEOUT, response).await else {
            return Err(Problem::unavailable(
                "the request timed out after 60 s: try again later; if it is a command, it may still be executed: retry with the \
                 same Idempotency-Key",
            ));
        };
        Ok(response)
    }
}

/// 429, with the seconds to wait.
fn too_many(detail: String, wait: u64) -> Problem {
    Problem::new(StatusCode::TOO_MANY_REQUESTS, "too-many", "too many requests", detail)
        .header(header::RETRY_AFTER, HeaderValue::from(wait))
}
