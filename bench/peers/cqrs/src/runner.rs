//! Commands, retries and replay, the same for both databases.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use annals_bench_driver::{BoxError, Call, Rebuilt, peak_memory};
use cqrs_es::persist::{GenericQuery, PersistedEventRepository, PersistedEventStore, QueryReplay, ViewRepository};
use cqrs_es::{AggregateError, CqrsFramework, Query};

use crate::account::{Account, Totals};

/// cqrs-es leaves retries to its caller.
const ATTEMPTS: u64 = 1_000;

/// Number of lost view updates: cqrs-es calls its error handler, and the command succeeds.
pub type Lost = Arc<AtomicU64>;

/// Executes a command until there is no conflict. Returns the number of retries.
pub async fn execute<R: PersistedEventRepository>(
    framework: &CqrsFramework<Account, PersistedEventStore<R, Account>>,
    call: &Call,
) -> Result<u64, BoxError> {
    let (name, postings) = (call.account_name(), call.postings());
    for attempt in 0..ATTEMPTS {
        match framework.execute(&name, postings.clone()).await {
            Ok(()) => return Ok(attempt),
            Err(AggregateError::AggregateConflict) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(format!("other callers were faster {ATTEMPTS} times").into())
}

/// The stock view, with a count of lost updates.
pub fn view<R>(repository: R, lost: &Lost) -> Box<dyn Query<Account>>
where
    R: ViewRepository<Totals, Account> + 'static,
{
    Box::new(query(Arc::new(repository), lost))
}

fn query<R: ViewRepository<Totals, Account>>(repository: Arc<R>, lost: &Lost) -> GenericQuery<R, Totals, Account> {
    let mut query = GenericQuery::new(repository);
    let lost = lost.clone();
    query.use_error_handler(Box::new(move |_| {
        lost.fetch_add(1, Ordering::Relaxed);
    }));
    query
}

/// A remark if updates were lost.
pub fn note(lost: &Lost) -> Option<String> {
    match lost.load(Ordering::Relaxed) {
        0 => None,
        lost => Some(format!("{lost} view updates lost")),
    }
}

/// The stock replay of all events into the view, until the time limit. The view has the number of processed events.
pub async fn replay<E, V, C>(events: E, views: V, bound: Duration, counted: C) -> Result<Rebuilt, BoxError>
where
    E: PersistedEventRepository,
    V: ViewRepository<Totals, Account>,
    C: AsyncFnOnce() -> Result<u64, BoxError>,
{
    let lost = Lost::default();
    let replay = QueryReplay::new(events, query(Arc::new(views), &lost));
    let began = Instant::now();
    let whole = match tokio::time::timeout(bound, replay.replay_all()).await {
        Ok(result) => result.map(|()| true)?,
        Err(_) => false,
    };
    let seconds = began.elapsed().as_secs_f64();
    let peak_mb = peak_memory();
    let counted = counted().await?;
    Ok(Rebuilt { events: counted, seconds, whole, counted, peak_mb })
}
