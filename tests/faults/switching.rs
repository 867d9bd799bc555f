//! kill -9 around a switch: while projections follow, catch up and rebuild, and in the middle of the switch itself.
//! Meanwhile a reader always gets a fold of the log, and its position never decreases.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use annals::events::Stored;
use annals::prelude::*;
use annals_test_postgres::{Fresh, Place};
use rusqlite::Connection;
use tokio::task::JoinHandle;

use crate::bank::*;
use crate::killing::in_stores;
use crate::leases::Leases;
use crate::lines::wait_for;
use crate::processes::{PATIENCE, Process, views_file};
use crate::promises::{Answers, assert_kept, fold_on};
use crate::{random, rounds};

annals_test_postgres::both_stores!(
    processes_killed_around_a_switch_leave_a_view_equal_to_a_fold_of_the_log,
    a_process_killed_in_the_middle_of_a_switch_has_not_switched,
);

/// Missions X3, P20, P21 and A2, Guarantees 19 and 22: a writer, at first without followers, one process that catches
/// up and follows, and two that rebuild and switch without end; each is killed at a random moment.
async fn processes_killed_around_a_switch_leave_a_view_equal_to_a_fold_of_the_log(first: &Place) {
    in_stores(first, rounds(4), kill_around_switches).await;
}

async fn kill_around_switches(place: &Place, rounds: u64) {
    let mut answers = Answers::default();
    open(place).await.close().await;
    let leases = Leases::new(place);
    for round in 0..rounds {
        let observer = Observer::start(place).await;
        let writer = Process::start(place.url(), &format!("flood 0 {}", answers.next(0)));
        let wrote = writer.next_line();
        tokio::time::sleep(Duration::from_millis(random(400))).await;
        let others = ["run", "switch", "switch"].map(|role| Process::start(place.url(), role));
        others.iter().for_each(|process| assert_eq!(process.next_line(), "ready"));
        if round % 2 == 0 {
            // In every other round they have switched before the kill, repeatedly.
            let switched = |process: &Process| process.line_within(Duration::from_millis(1)).is_some();
            wait_for("a switch", async || others.iter().any(switched)).await;
        }
        let mut doomed: Vec<_> = others.into_iter().map(|process| (process, random(1_500))).collect();
        doomed.sort_by_key(|(_, moment)| *moment);
        let mut now = 0;
        for (process, moment) in doomed {
            tokio::time::sleep(Duration::from_millis(moment - now)).await;
            now = moment;
            process.kill();
            // The leases of the killed process become free, as they would in a few seconds.
            leases.end_all();
        }
        answers.add(0, &[wrote]);
        answers.add(0, &writer.kill());
        let seen = observer.stop().await;
        let annals = open(place).await;
        let log = assert_kept(&annals, &answers).await;
        seen.assert_true(&log);
        annals.close().await;
    }
}

/// Mission X3, Guarantee 22: the switch is one transaction. It is held in its middle, after the old generation has
/// ceased to be live and before the new one is; there its process is killed. Meanwhile the old generation is read, and
/// the log is written.
async fn a_process_killed_in_the_middle_of_a_switch_has_not_switched(place: &Place) {
    let here = app().open_without_following(place.url()).await.unwrap();
    let runs = open(place).await;
    for name in ["a", "b", "c"] {
        runs.execute(deposit(name, 100), &by("alice")).await.unwrap();
    }
    for _ in 0..rounds(2) {
        let log = assert_kept(&runs, &Answers::default()).await;
        let before = generation(&here).await;
        let observer = Observer::start(place).await;
        let held = HeldSwitch::new(place);
        let switcher = Process::start(place.url(), "switch");
        assert_eq!(switcher.next_line(), "ready");
        held.wait_for_one().await;
        runs.execute(deposit("a", 1), &by("alice")).await.unwrap();
        assert_eq!(read(&here).await, (log.len() as u64, as_read(&log)), "the old generation is read");
        tokio::time::sleep(Duration::from_millis(random(200))).await;
        assert_eq!(switcher.kill(), [""; 0], "it had not switched");
        held.end();
        let log = assert_kept(&runs, &Answers::default()).await;
        observer.stop().await.assert_true(&log);
        assert_eq!(generation(&here).await, before);
        // Another process continues the rebuild.
        let switcher = Process::start(place.url(), "switch");
        assert_eq!(switcher.next_line(), "ready");
        assert!(switcher.next_line().starts_with("switched"));
        switcher.kill();
        assert_kept(&runs, &Answers::default()).await;
        assert!(generation(&here).await > before);
    }
    runs.close().await;
    here.close().await;
}

async fn generation(annals: &Annals) -> u64 {
    let statuses = annals.projections().await.unwrap();
    statuses.iter().find(|status| status.name == "balance").unwrap().generation
}

type Documents = BTreeMap<String, Balance>;

/// Reads the view, and the position of its data.
async fn read(annals: &Annals) -> (u64, Documents) {
    let mut snapshot = annals.reading("balance").unwrap().snapshot().await.unwrap();
    let sql = format!("SELECT key, body FROM {}", snapshot.table("documents"));
    let rows = snapshot.query(&sql, vec![]).await.unwrap();
    let text = |row: &annals::store::Row, column: usize| row[column].text().unwrap().to_owned();
    let documents = rows.iter().map(|row| (text(row, 0), serde_json::from_str(&text(row, 1)).unwrap()));
    (snapshot.head().position, documents.collect())
}

fn as_read(log: &[Stored]) -> Documents {
    let mut balances = Documents::new();
    log.iter().for_each(|stored| fold_on(&mut balances, stored));
    balances
}

/// A reader without pauses.
struct Observer {
    stop: Arc<AtomicBool>,
    reads: JoinHandle<Seen>,
}

#[derive(Default)]
struct Seen(Vec<(u64, Documents)>);

impl Observer {
    async fn start(place: &Place) -> Self {
        let annals = app().open_without_following(place.url()).await.unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let reads = async move {
            let mut seen = Seen::default();
            while !stopped.load(Ordering::Relaxed) {
                let now = read(&annals).await;
                if seen.0.last() != Some(&now) {
                    seen.0.push(now);
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            annals.close().await;
            seen
        };
        Self { stop, reads: tokio::spawn(reads) }
    }

    async fn stop(self) -> Seen {
        self.stop.store(true, Ordering::Relaxed);
        self.reads.await.unwrap()
    }
}

impl Seen {
    /// Asserts that each read was a fold of the log up to its position, and that positions never decreased.
    fn assert_true(&self, log: &[Stored]) {
        let (mut at, mut balances) = (0, Documents::new());
        for (position, documents) in &self.0 {
            assert!(*position >= at, "the position of a read decreased from {at} to {position}");
            log[at as usize..*position as usize].iter().for_each(|stored| fold_on(&mut balances, stored));
            at = *position;
            assert_eq!(documents, &balances, "the documents read at event {at} are not a fold of the log");
        }
    }
}

/// Holds every switch in its middle by a trigger: the old generation is no longer live, and the new one is not live
/// yet.
enum HeldSwitch<'p> {
    Sqlite(PathBuf),
    Postgres(&'p Fresh),
}

impl<'p> HeldSwitch<'p> {
    fn new(place: &'p Place) -> Self {
        let Some(schema) = place.schema() else {
            let held = Self::Sqlite(views_file(place));
            // Counting to a billion takes longer than the test waits.
            held.sqlite(
                "CREATE TABLE held (n INTEGER);
                 WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 2000)
                 INSERT INTO held SELECT n FROM n;
                 CREATE TRIGGER held AFTER UPDATE OF live ON projections WHEN NEW.live BEGIN
                     SELECT count(*) FROM held a, held b, held c WHERE a.n + b.n + c.n < 0;
                 END",
            );
            return held;
        };
        let name = schema.name();
        schema.sql(&format!(
            "CREATE FUNCTION {name}.held() RETURNS trigger LANGUAGE plpgsql AS \
             'BEGIN PERFORM pg_sleep(120); RETURN NEW; END'; \
             CREATE TRIGGER held BEFORE UPDATE ON {name}.projections FOR EACH ROW \
             WHEN (NEW.live AND NOT OLD.live) EXECUTE FUNCTION {name}.held()"
        ));
        Self::Postgres(schema)
    }

    fn sqlite(&self, sql: &str) {
        let Self::Sqlite(views) = self else { return };
        let connection = Connection::open(views).unwrap();
        connection.busy_timeout(PATIENCE).unwrap();
        connection.execute_batch(sql).unwrap();
    }

    /// Waits until a process is in the middle of a switch.
    async fn wait_for_one(&self) {
        match self {
            // No other operation holds the file's lock for that long.
            Self::Sqlite(views) => {
                let connection = Connection::open(views).unwrap();
                connection.busy_timeout(Duration::ZERO).unwrap();
                let mut since = Instant::now();
                wait_for("a switch", async || {
                    if connection.execute_batch("BEGIN IMMEDIATE; ROLLBACK").is_ok() {
                        since = Instant::now();
                    }
                    since.elapsed() > Duration::from_secs(1)
                })
                .await;
            }
            Self::Postgres(schema) => {
                let count = format!("SELECT count(*) FROM pg_stat_activity WHERE {}", Self::sleeping(schema));
                wait_for("a switch", async || schema.sql(&count) != "0").await;
            }
        }
    }

    fn sleeping(schema: &Fresh) -> String {
        format!("wait_event = 'PgSleep' AND query LIKE '%{}%' AND pid <> pg_backend_pid()", schema.name())
    }

    /// Releases the switch: the server checks its client only after the trigger.
    fn end(self) {
        self.sqlite("DROP TRIGGER held; DROP TABLE held");
        let Self::Postgres(schema) = self else { return };
        let name = schema.name();
        schema.sql(&format!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {}",
            Self::sleeping(schema)
        ));
        schema.sql(&format!("DROP TRIGGER held ON {name}.projections; DROP FUNCTION {name}.held()"));
    }
}
