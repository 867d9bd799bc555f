//! The speed of PostgreSQL itself: one durable INSERT per command, one connection per caller, no pool, no framework. A row is
//! inserted without a read (as pgbench would), or after a SELECT of the last row of the account. Several rows of a command are one
//! INSERT … SELECT unnest.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use annals_bench_driver::{BoxError, Call, Competitor, Job, Task, with_search_path};
use async_trait::async_trait;
use sqlx::{Connection, PgConnection};
use tokio::sync::Mutex;

/// The table of postgres-es, which the table of annals extends.
const TABLE: &str = "
CREATE TABLE events (
    aggregate_type text   NOT NULL,
    aggregate_id   text   NOT NULL,
    sequence       bigint NOT NULL,
    event_type     text   NOT NULL,
    event_version  text   NOT NULL,
    payload        json   NOT NULL,
    metadata       json   NOT NULL,
    PRIMARY KEY (aggregate_type, aggregate_id, sequence)
)";
const ONE: &str = "INSERT INTO events VALUES ('account', $1, $2, 'deposited', '1.0', $3::text::json, '{}')";
const MANY: &str = "INSERT INTO events
SELECT 'account', $1, sequence, 'deposited', '1.0', payload::json, '{}'
  FROM unnest($2::bigint[], $3::text[]) AS new (sequence, payload)";
const LAST: &str = "SELECT sequence FROM events WHERE aggregate_type = 'account' AND aggregate_id = $1
 ORDER BY sequence DESC LIMIT 1";

struct Floor {
    connections: Vec<Mutex<PgConnection>>,
    /// The last sequence of each account, if it is not read from the table.
    sequences: Vec<AtomicI64>,
    select: bool,
}

/// Connects once for each caller. `select`: read the last sequence of the account from the table first.
pub async fn open(job: &Job, select: bool) -> Result<Arc<dyn Competitor>, BoxError> {
    let Task::Append(load) = job.task else { return Err("a floor has nothing to rebuild".into()) };
    let url = with_search_path(&job.place);
    let mut connections = Vec::with_capacity(load.callers);
    for _ in 0..load.callers {
        connections.push(Mutex::new(PgConnection::connect(&url).await?));
    }
    if let Some(first) = connections.first_mut() {
        sqlx::raw_sql(TABLE).execute(first.get_mut()).await?;
    }
    let sequences = (0..load.accounts).map(|_| AtomicI64::new(0)).collect();
    Ok(Arc::new(Floor { connections, sequences, select }))
}

#[async_trait]
impl Competitor for Floor {
    async fn command(&self, call: &Call) -> Result<u64, BoxError> {
        let connection = self.connections.get(call.caller).ok_or("a caller without a connection")?;
        let mut connection = connection.lock().await;
        let account = call.account_name();
        let events = i64::try_from(call.events)?;
        let payloads = payloads(call)?;
        for retries in 0.. {
            let last: i64 = match self.select {
                true => {
                    let last: Option<i64> =
                        sqlx::query_scalar(LAST).bind(&account).fetch_optional(&mut *connection).await?;
                    last.unwrap_or_default()
                }
                false => {
                    let account = usize::try_from(call.account)?;
                    let sequence = self.sequences.get(account).ok_or("an account that is not there")?;
                    sequence.fetch_add(events, Ordering::Relaxed)
                }
            };
            let inserted = match payloads.as_slice() {
                [payload] => {
                    let query = sqlx::query(ONE).bind(&account).bind(last + 1).bind(payload);
                    query.execute(&mut *connection).await
                }
                payloads => {
                    let sequences: Vec<i64> = (last + 1..=last + events).collect();
                    let query = sqlx::query(MANY).bind(&account).bind(sequences).bind(payloads);
                    query.execute(&mut *connection).await
                }
            };
            match inserted {
                Ok(_) => return Ok(retries),
                Err(sqlx::Error::Database(error)) if error.is_unique_violation() => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err("other callers were always faster".into())
    }

    async fn events(&self) -> Result<u64, BoxError> {
        let connection = self.connections.first().ok_or("no connection")?;
        let mut connection = connection.lock().await;
        let count: i64 = sqlx::query_scalar("SELECT count(*) FROM events").fetch_one(&mut *connection).await?;
        Ok(count.try_into()?)
    }
}

/// The events as JSON, without a balance, as nothing is decided.
pub(super) fn payloads(call: &Call) -> Result<Vec<String>, BoxError> {
    let json = |posting| {
        serde_json::to_string(&serde_json::json!({ "Deposited": { "posting": posting, "balance": 123_456 } }))
    };
    Ok(call.postings().into_iter().map(json).collect::<Result<_, _>>()?)
}
