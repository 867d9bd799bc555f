//! What SQLite itself can do: one connection, WAL, `synchronous=FULL`, one transaction a command; no framework. One
//! prepared INSERT for each event of the command.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use annals_bench_driver::{BoxError, Call, Competitor};
use async_trait::async_trait;
use rusqlite::{Connection, TransactionBehavior, params};

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

struct Floor(Arc<Mutex<Connection>>);

/// Opens a file in this directory.
pub fn open(directory: &str) -> Result<Arc<dyn Competitor>, BoxError> {
    let connection = Connection::open(Path::new(directory).join("floor.db"))?;
    connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.execute_batch(TABLE)?;
    Ok(Arc::new(Floor(Arc::new(Mutex::new(connection)))))
}

/// Reads the account's last sequence, inserts, commits.
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
        let (account, payloads) = (call.account_name(), payloads(call)?);
        // There is one writer: callers wait for it in turn, off the threads that run tasks.
        let connection = self.0.clone();
        tokio::task::spawn_blocking(move || {
            let mut connection = connection.lock().unwrap_or_else(PoisonError::into_inner);
            insert(&mut connection, &account, &payloads)
        })
        .await??;
        Ok(0)
    }

    async fn events(&self) -> Result<u64, BoxError> {
        let connection = self.0.clone();
        let count = tokio::task::spawn_blocking(move || {
            let connection = connection.lock().unwrap_or_else(PoisonError::into_inner);
            connection.query_row("SELECT count(*) FROM events", [], |row| row.get::<_, i64>(0))
        });
        Ok(count.await??.try_into()?)
    }
}
