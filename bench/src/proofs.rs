//! Measures proofs: what the tree costs writers, how fast it is built, and its bytes an event.

use std::fmt::Write;
use std::time::{Duration, Instant};

use annals::prelude::*;
use annals::proofs::ProofTree;
use annals::store::Cell;
use annals_bench_driver::BoxError;

use crate::arguments::Arguments;
use crate::catalogue::{self, Database};
use crate::reactions::{app, url, write};
use crate::session::Session;
use crate::table::median;

/// Measures it on both stores. Returns the table.
pub async fn run(arguments: &Arguments) -> Result<String, BoxError> {
    let session = Session::start(arguments, &catalogue::chosen(&arguments.only)?).await?;
    let seconds = Duration::from_secs(arguments.seconds);
    let mut text = format!(
        "\n## Proofs\n\n64 callers for {} s, with the audit log and the metrics following; medians of {} runs, alternating.\n\n\
         | store | events/s without | events/s with the tree | ratio | events of the log | tree built, events/s | bytes an event |\n\
         |--|--:|--:|--:|--:|--:|--:|\n",
        seconds.as_secs(),
        arguments.runs
    );
    for (name, database) in [("SQLite", Database::Sqlite), ("PostgreSQL", Database::Postgres)] {
        let measured = async {
            let (mut without, mut with) = (Vec::new(), Vec::new());
            let mut built = String::new();
            for _ in 0..arguments.runs {
                // A fresh store is removed with its handle.
                let fresh = session.fresh(database).await?;
                let annals = app().open(&url(&fresh, database)).await?;
                without.push(rate(&annals, seconds).await?);
                annals.close().await;
                let fresh = session.fresh(database).await?;
                let annals = app().proofs().open(&url(&fresh, database)).await?;
                with.push(rate(&annals, seconds).await?);
                built = rebuilt(&annals).await?;
                annals.close().await;
            }
            let [without, with] = [without, with].map(|rates| median(rates).unwrap_or_default());
            Ok::<_, BoxError>(format!("{name} | {without:.0} | {with:.0} | {:.2} | {built}", with / without))
        };
        match measured.await {
            Ok(cells) => writeln!(text, "| {cells} |")?,
            Err(why) => eprintln!("not on {name}: {why}"),
        }
    }
    session.clean_up().await;
    Ok(text)
}

/// Events a second.
async fn rate(annals: &Annals, time: Duration) -> Result<f64, BoxError> {
    let began = Instant::now();
    let written = write(annals, time).await?;
    Ok(written as f64 / began.elapsed().as_secs_f64())
}

/// Builds the tree of the log again: the number of events, events a second, bytes an event.
async fn rebuilt(annals: &Annals) -> Result<String, BoxError> {
    let head = annals.store().head().await?;
    let reading = annals.reading(ProofTree::NAME)?;
    reading.caught_up(head, None).await?;
    let began = Instant::now();
    annals.rebuild(ProofTree::NAME)?.await?;
    let events = head.position as f64;
    let rate = events / began.elapsed().as_secs_f64();
    let mut tables = reading.snapshot().await?;
    let table = tables.table("tiles");
    let rows =
        tables.query(&format!("SELECT CAST(sum(length(hashes)) AS bigint) FROM {table}"), Vec::new()).await?;
    let bytes = match rows.first().map(Vec::as_slice) {
        Some([Cell::Integer(bytes)]) => *bytes as f64,
        _ => 0.0,
    };
    Ok(format!("{events:.0} | {rate:.0} | {:.1}", bytes / events))
}
