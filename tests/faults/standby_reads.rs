//! Views that are read from a standby (`&read=URL`), which lags, stops replaying, and fails.

use std::time::{Duration, Instant};

use annals::prelude::*;
use annals::store::StoreError;
use annals_test_postgres::{Fresh, Server};
use tokio::task::block_in_place;

use crate::bank::*;
use crate::lines::wait_for;
use crate::promises::{Answers, assert_kept};

/// How far the standby is behind.
const DELAY: Duration = Duration::from_millis(800);

struct Bed {
    primary: Server,
    standby: Server,
    schema: Fresh,
}

impl Bed {
    fn start() -> Self {
        block_in_place(|| {
            let primary = Server::own();
            let delay = format!("recovery_min_apply_delay={}", DELAY.as_millis());
            let standby = Server::standby_of(primary.port(), &[&delay, "log_min_duration_statement=0"]);
            let schema = primary.schema();
            Self { primary, standby, schema }
        })
    }

    /// The store, read from the standby.
    fn url(&self) -> String {
        let read = self.standby.url().replace(':', "%3A").replace('/', "%2F").replace('@', "%40");
        format!("{}&read={read}", self.schema.url())
    }

    /// How many snapshots of views the standby has served.
    fn served(&self) -> usize {
        self.standby.log().matches("pg_advisory_xact_lock_shared").count()
    }
}

async fn cents(annals: &Annals, receipt: &Receipt) -> i64 {
    annals.view::<Balance>(&account("a")).after(receipt).await.unwrap().unwrap().cents
}

/// Mission X76.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_view_read_from_a_standby_has_the_write_of_the_receipt() {
    let bed = Bed::start();
    // The standby must have the schema.
    app().open(bed.schema.url()).await.unwrap().close().await;
    block_in_place(|| bed.primary.wait_for_standby(&bed.standby));
    let annals = app().open(&bed.url()).await.unwrap();
    assert!(annals.store().describe().contains("views are read from postgres://postgres@127.0.0.1:"));
    for written in 1..=3 {
        let (begun, served) = (Instant::now(), bed.served());
        let receipt = annals.execute(deposit("a", 1), &by("alice")).await.unwrap();
        assert_eq!(cents(&annals, &receipt).await, written);
        assert!(begun.elapsed() >= DELAY * 3 / 4, "{:?}", begun.elapsed());
        assert!(bed.served() > served, "it was read from the standby");
        let rows = annals.audit().after(receipt).page().await.unwrap().rows;
        assert_eq!(rows.len() as i64, written);
    }
    // A read without a receipt is not older than an earlier one.
    assert_eq!(annals.view::<Balance>(&account("a")).await.unwrap().unwrap().cents, 3);
    assert_kept(&annals, &Answers::default()).await;

    // It stops replaying: the primary is read, and the lag is shown.
    bed.standby.sql("SELECT pg_wal_replay_pause()");
    let receipt = annals.execute(deposit("a", 1), &by("alice")).await.unwrap();
    let begun = Instant::now();
    assert_eq!(cents(&annals, &receipt).await, 4);
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    let begun = Instant::now();
    assert_eq!(cents(&annals, &receipt).await, 4);
    assert!(begun.elapsed() < Duration::from_secs(1), "it is not asked each time: {:?}", begun.elapsed());
    let status = annals.store().standby().await.unwrap().expect("a standby");
    assert_eq!((status.position, status.lag), (Some(3), Some(1)));
    bed.standby.sql("SELECT pg_wal_replay_resume()");
    wait_for("no lag", async || annals.store().standby().await.unwrap().unwrap().lag == Some(0)).await;
    let served = bed.served();
    wait_for("reads from the standby", async || cents(&annals, &receipt).await == 4 && bed.served() > served).await;

    // It fails.
    block_in_place(|| bed.standby.kill());
    let receipt = annals.execute(deposit("a", 1), &by("alice")).await.unwrap();
    assert_eq!(cents(&annals, &receipt).await, 5);
    assert_eq!(annals.store().standby().await.unwrap().expect("a standby").position, None);
    annals.close().await;

    // A program starts without it.
    let annals = app().open(&bed.url()).await.unwrap();
    assert_eq!(cents(&annals, &receipt).await, 5);
    annals.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_with_another_log_is_not_taken_for_a_standby() {
    let (one, other) = (Fresh::schema(), block_in_place(Server::own));
    app().open(&format!("{}?schema={}", other.url(), one.name())).await.unwrap().close().await;
    let read = other.url().replace('@', "%40");
    let refused = app().open(&format!("{}&read={read}", one.url())).await.expect_err("another log");
    assert!(format!("{refused:?}").contains("another log"), "{refused:?}");
}

/// A program whose store is a standby reads; it does not execute commands.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_on_a_standby_reads_and_executes_nothing() {
    let bed = Bed::start();
    let annals = app().open(bed.schema.url()).await.unwrap();
    let receipt = annals.execute(deposit("a", 1), &by("alice")).await.unwrap();
    assert_eq!(cents(&annals, &receipt).await, 1);
    annals.audit().after(receipt).page().await.unwrap();
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    block_in_place(|| bed.primary.wait_for_standby(&bed.standby));
    let standby = format!("{}?schema={}", bed.standby.url(), bed.schema.name());
    let reader = app().open(&standby).await.unwrap();
    assert_eq!(cents(&reader, &receipt).await, 1);
    assert_eq!(reader.audit().after(receipt).page().await.unwrap().rows.len(), 1);
    assert!(reader.check(|_, _| ()).await.unwrap().is_sound());
    let refused = reader.execute(deposit("a", 1), &by("alice")).await.expect_err("it is read-only");
    assert!(
        matches!(&refused, annals::commands::ExecuteError::Store(error) if matches!(&**error, StoreError::Unusable { reason, .. } if reason.contains("read-only"))),
        "{refused:?}"
    );
    reader.close().await;
    annals.close().await;
}
