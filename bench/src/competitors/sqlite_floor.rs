//! The speed of SQLite itself: one connection, WAL, `synchronous=FULL`, one transaction per command, no framework. One prepared
//! INSERT for each event of the command.

use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};

use annals_bench_driver::{BoxError, Call, Competitor};
use async_trait::async_trait;
use rusqlite::{Connection, TransactionBehavior, params};
use tokio::sync::oneshot;

use super::postgres_floor::payloads;

const TABLE: &str = "
CREATE TABLE events (
    aggregate_type TEXT    NOT NULL,
    aggregate_id   TEXT    NOT NULL,
    sequence       INTEGER NOT NULL,
    event_type     TEXT    NOT NULL,
    event_version  TEXT    NOT NULL,
    payload        TEXT    NOT NULL,
    metadata       TEXT    NOT NULL,
    PRIMARY KEY (aggregate_type, aggregate_id, sequence)
) STRICT";
const LAST: &str =
    "SELECT coalesce(max(sequence), 0) FROM events WHERE aggregate_type = 'account' AND aggregate_id = ?1";
const ONE: &str = "INSERT INTO events VALUES ('account', ?1, ?2, 'deposited', '1.0', ?3, '{}')";

/// A request to the writer thread: an account, its new rows, and a channel for the reply.
struct Request {
    account: String,
    payloads: Vec<String>,
    answer: oneshot::Sender<rusqlite::Result<()>>,
}

struct Floor {
    file: PathBuf,
    writer: mpsc::Sender<Request>,
}

/// Opens a file in this directory and starts the writer thread. SQLite has one writer; with several, the benchmark would measure
/// the lock.
pub fn open(directory: &str) -> Result<Arc<dyn Competitor>, BoxError> {
    let file = Path::new(directory).join("floor.db");
    let mut connection = Connection::open(&file)?;
    connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.execute_batch(TABLE)?;
    let (writer, requests) = mpsc::channel::<Request>();
    std::thread::spawn(move || {
        for Request { account, payloads, answer } in requests {
            // The caller may have stopped waiting for the reply.
            let _ = answer.send(insert(&mut connection, &account, &payloads));
        }
    });
    Ok(Arc::new(Floor { file, writer }))
}

/// Reads the last sequence of the account, inserts, commits.
fn insert(connection: &mut Connection, account: &str, payloads: &[String]) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    {
        let mut sequence: i64 = transaction.prepare_cached(LAST)?.query_row([account], |row| row.get(0))?;
        let mut one = transaction.prepare_cached(ONE)?;
        for payload in payloads {
            sequence += 1;
            one.execute(params![account, sequence, payload])?;
        }
    }
    transaction.commit()
}

#[async_trait]
impl Competitor for Floor {
    async fn command(&self, call: &Call) -> Result<u64, BoxError> {
        let (answer, answered) = oneshot::channel();
        self.writer.send(Request { account: call.account_name(), payloads: payloads(call)?, answer })?;
        answered.await??;
        Ok(0)
    }

    async fn events(&self) -> Result<u64, BoxError> {
        let file = self.file.clone();
        let count = tokio::task::spawn_blocking(move || {
            let count = "SELECT count(*) FROM events";
            Connection::open(file)?.query_row(count, [], |row| row.get::<_, i64>(0))
        });
        Ok(count.await??.try_into()?)
    }
}
