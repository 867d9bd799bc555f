//! Long snapshots and readers while others write.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use annals_test_postgres::Place;
use futures::{StreamExt, stream};

use crate::bank::*;
use crate::promises::{Answers, assert_kept};
use crate::rounds;

/// Returns the duration: a few seconds, or a minute in a long run.
fn seconds() -> u64 {
    if rounds(0) >= 10 { 60 } else { 4 }
}

/// Returns the commands executed in a second, measured without pauses for a time.
async fn rate(annals: &annals::prelude::Annals, time: Duration) -> f64 {
    let begun = Instant::now();
    let mut done = 0;
    while begun.elapsed() < time {
        let commands =
            (0..500).map(|n| annals::commands::Envelope::new(deposit(&(n % 50).to_string(), 1), by("alice")));
        let receipts: Vec<_> = annals.execute_all(stream::iter(commands), 64).collect().await;
        receipts.into_iter().for_each(|receipt| assert!(receipt.is_ok(), "{receipt:?}"));
        done += 500;
    }
    f64::from(done) / begun.elapsed().as_secs_f64()
}

/// Opens a session that holds a snapshot.
struct Holder(Child);

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Guarantee 8: an old snapshot keeps dead rows; a row rewritten by each batch would become slower with each.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_snapshot_on_postgres_neither_fails_nor_slows_the_writers() {
    let place = Place::postgres();
    let annals = open(&place).await;
    let warm = rate(&annals, Duration::from_secs(1)).await;
    let server = place.url().split("?schema").next().unwrap().to_owned();
    let sql =
        format!("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM pg_class; SELECT pg_sleep({})", 600);
    let mut psql = Command::new("psql");
    psql.args(["-X", "-q", "-d", &server, "-c", &sql]).stdout(Stdio::null()).stderr(Stdio::null());
    let holder = Holder(psql.spawn().unwrap());
    let first = rate(&annals, Duration::from_secs(seconds() / 4)).await;
    rate(&annals, Duration::from_secs(seconds() / 2)).await;
    let last = rate(&annals, Duration::from_secs(seconds() / 4)).await;
    drop(holder);
    eprintln!("commands a second before {warm:.0}, at first {first:.0}, at last {last:.0}");
    // A rewritten row fell to a third in a minute; a busy machine may halve any rate.
    assert!(
        last > warm / 4.0 && last > first / 4.0,
        "{warm:.0}, then {first:.0}, then {last:.0} commands a second"
    );
    assert_kept(&annals, &Answers::default()).await;
    annals.close().await;
}

/// Guarantee 18: a reader of another program prevents SQLite from restarting its WAL; afterwards it is restarted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_reader_on_sqlite_neither_fails_the_writers_nor_leaves_a_long_wal() {
    let place = Place::sqlite();
    let annals = open(&place).await;
    rate(&annals, Duration::from_secs(1)).await;
    let file = place.url().strip_prefix("sqlite://").unwrap().to_owned();
    let reader = rusqlite::Connection::open(&file).unwrap();
    reader.execute_batch("BEGIN; SELECT count(*) FROM events").unwrap();
    rate(&annals, Duration::from_secs(seconds())).await;
    let held = std::fs::metadata(format!("{file}-wal")).unwrap().len();
    reader.execute_batch("COMMIT").unwrap();
    drop(reader);
    assert_kept(&annals, &Answers::default()).await;
    annals.close().await;
    let left = std::fs::metadata(format!("{file}-wal")).map_or(0, |wal| wal.len());
    assert!(left < held, "{held} bytes of WAL, then {left}");
}
