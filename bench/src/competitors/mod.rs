//! The competitors in this program: annals and the floors.
//!
//! ## Layout
//! - `annals`: annals
//! - `bank`: its application
//! - `postgres_floor`, `sqlite_floor`: plain databases

mod annals;
mod bank;
mod postgres_floor;
mod sqlite_floor;

use std::sync::Arc;

use annals_bench_driver::{BoxError, Competitor, Job};

use annals::Variant;

pub use annals::describe;
pub use bank::{AccountId, Deposit, app};

/// Opens the competitor that a job names.
///
/// # Errors
/// When the name is unknown, or the competitor cannot be opened.
pub async fn open(job: &Job) -> Result<Arc<dyn Competitor>, BoxError> {
    let place = &job.place;
    match job.competitor.as_str() {
        "annals-sqlite" => annals::open(&format!("sqlite://{place}/annals.db"), Variant::Plain).await,
        "annals-sqlite-following" => annals::open(&format!("sqlite://{place}/annals.db"), Variant::Following).await,
        "annals-sqlite-access" => annals::open(&format!("sqlite://{place}/annals.db"), Variant::Access).await,
        "annals-postgres" | "annals-jetstream" => annals::open(place, Variant::Plain).await,
        "annals-postgres-following" => annals::open(place, Variant::Following).await,
        "annals-postgres-access" => annals::open(place, Variant::Access).await,
        "postgres-insert" => postgres_floor::open(job, false).await,
        "postgres-select-insert" => postgres_floor::open(job, true).await,
        "sqlite-insert" => sqlite_floor::open(place),
        other => Err(format!("no competitor is called {other}").into()),
    }
}
