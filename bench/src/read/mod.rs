//! Measures reads: a long log, rebuilds of its audit log and metrics, and every kind of query.
//!
//! ## Layout
//! - `shape`: the application and its log
//! - `fill`: the log, the rebuilds and their sizes
//! - `pages`: queries of the audit log
//! - `numbers`: counts and metrics
//! - `timing`: times a query
//! - `report`: the report

pub mod fill;
mod numbers;
mod pages;
mod report;
pub mod shape;
pub mod timing;

use annals::commands::Envelope;
use annals_bench_driver::BoxError;

pub use report::report;

use crate::catalogue::{Entry, Role};
use crate::session::{Place, Session};

/// Default number of events of the log.
pub const EVENTS: u64 = 10_000_000;

/// The results on one store.
#[derive(Debug, Default)]
pub struct Results {
    /// The store.
    pub title: String,
    /// The log, the rebuilds and their sizes.
    pub filled: fill::Filled,
    /// Pages.
    pub pages: Vec<pages::Row>,
    /// Counts and metrics.
    pub numbers: Vec<(String, timing::Times)>,
    /// Why results are missing.
    pub missing: Option<String>,
}

/// Measures annals on each selected store.
pub async fn run(session: &Session, entries: &[Entry], events: u64, results: &mut Vec<Results>) {
    for entry in entries.iter().filter(|entry| entry.role == Role::Annals) {
        results.push(Results { title: entry.title.to_owned(), ..Results::default() });
        let Some(result) = results.last_mut() else { continue };
        let place = match session.fresh(entry.database).await {
            Ok(place) => place,
            Err(error) => {
                result.missing = Some(error.to_string());
                continue;
            }
        };
        if let Err(error) = measure(session, &place, events, result).await {
            eprintln!("  failed: {error}");
            result.missing = Some(format!("failed: {error}"));
        }
        session.remove(place).await;
    }
}

async fn measure(session: &Session, place: &Place, events: u64, result: &mut Results) -> Result<(), BoxError> {
    eprintln!("{}: a log of {events} events", result.title);
    let annals = shape::app().open_without_following(&place.url()).await?;
    let measured = async {
        let command = |number| Ok(Envelope::new(shape::Act::new(number), shape::Act::context(number)?));
        fill::log(&annals, events / shape::TOGETHER, shape::TOGETHER, command, &mut result.filled).await?;
        fill::rebuild(&annals, &["audit", "metrics"], &mut result.filled).await?;
        result.filled.bytes = fill::bytes(session, place).await?;
        pages::ask(&annals, &mut result.pages).await?;
        numbers::ask(&annals, &mut result.numbers).await
    };
    let measured = measured.await;
    annals.close().await;
    measured
}
