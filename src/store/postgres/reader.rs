//! [`Reader`]: reads the log.

use jiff::Timestamp;
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::TryStreamExt;
use futures::future::BoxFuture;
use sqlx::Row;
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::query::Query;
use sqlx::{PgConnection, Postgres};
use uuid::Uuid;

use super::connections::{Origin, Purpose};
use super::fault::{ATTEMPTS, lost};
use super::location::SchemaLocation;
use super::rows::{self, COLUMNS, COMMAND, signed, stored, unsigned};
use crate::events::{LogPosition, Ref, Stored};
use crate::store::{Interest, KnownCommand, LogInfo, Page, StoreError};

const DOING: &str = "reading the log";
/// A reader of few event types scans this many times its page before it uses the index.
const WINDOW: u64 = 4;
/// The fewest positions, and the assumed size of an event at first, of a read within a number of bytes.
const FEW: usize = 2;
const USUAL_BYTES: usize = 1_024;
/// The size of the events before one, over a window of them.
const EARLIER: &str = "sum(octet_length(e.payload::text) + octet_length(e.metadata::text))";
/// Begins a transaction behind a pooler, where only a transaction keeps its connection.
const BEGIN: &str = "BEGIN READ ONLY";

/// Reads the log, with one statement for each kind of read.
pub(super) struct Reader {
    location: SchemaLocation,
    head: String,
    info: String,
    all: String,
    near: String,
    far: String,
    at: String,
    within: String,
    /// The size of recently read events.
    usual_bytes: AtomicUsize,
    load: String,
    load_within: String,
    commands: String,
    #[cfg(feature = "sqlite")]
    commands_after: String,
}

impl Reader {
    pub(super) fn new(location: SchemaLocation) -> Self {
        let sql = |sql: &str| location.sql(sql);
        let events = |rest: &str| location.sql(&format!("SELECT {COLUMNS} FROM {{schema}}.events {rest}"));
        // The first of these rows, whose sizes together are below a number of bytes, and the one that reaches it.
        let bounded = |rest: &str, order: &str, bytes: &str| {
            location.sql(&format!(
                "SELECT {COLUMNS} FROM ( \
                     SELECT e.*, {EARLIER} OVER (ORDER BY e.{order} ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) \
                         AS earlier \
                     FROM (SELECT * FROM {{schema}}.events {rest} ORDER BY {order} LIMIT $4) AS e \
                 ) AS e WHERE earlier IS NULL OR earlier < {bytes} ORDER BY {order}"
            ))
        };
        Self {
            // With a parameter, so that it is planned again: a plan made on a tiny table would scan a large one.
            head: sql(
                "SELECT position, event_id FROM {schema}.events WHERE position > $1 ORDER BY position DESC LIMIT 1",
            ),
            info: sql("SELECT key, value FROM {schema}.meta WHERE key IN ('log_id', 'requires')"),
            all: bounded("WHERE position > $1 AND position <= $2", "position", "$3"),
            near: bounded("WHERE position > $1 AND position <= $2 AND event_type = ANY ($5)", "position", "$3"),
            far: bounded(
                "WHERE position = ANY (ARRAY( \
                     SELECT p.position FROM unnest($5::text[]) AS t (type) CROSS JOIN LATERAL ( \
                         SELECT e.position FROM {schema}.events e \
                         WHERE e.event_type = t.type AND e.position > $1 AND e.position <= $2 \
                         ORDER BY e.position LIMIT $4 \
                     ) p ORDER BY p.position LIMIT $4 \
                 ))",
                "position",
                "$3",
            ),
            at: events("WHERE position = ANY ($1) ORDER BY position"),
            // The size of `json` is known only of the whole value, so the number of positions is bounded too.
            within: sql(&format!(
                "SELECT {COLUMNS} FROM ( \
                     SELECT e.*, p.n, {EARLIER} \
                         OVER (ORDER BY p.n ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS earlier \
                     FROM unnest($1::bigint[]) WITH ORDINALITY AS p (place, n) \
                     JOIN {{schema}}.events e ON e.position = p.place \
                 ) AS e WHERE earlier IS NULL OR earlier < $2 ORDER BY n"
            )),
            usual_bytes: AtomicUsize::new(USUAL_BYTES),
            load: load(&location),
            load_within: bounded(
                "WHERE aggregate_type = $1 AND aggregate_id = $2 AND sequence > $3",
                "sequence",
                "$5",
            ),
            commands: sql(&format!("SELECT {COMMAND} FROM {{schema}}.commands WHERE command_id = ANY ($1)")),
            #[cfg(feature = "sqlite")]
            commands_after: sql(&format!(
                "SELECT {COMMAND} FROM {{schema}}.commands \
                 WHERE command_id > $1 AND head_position <= $2 ORDER BY command_id LIMIT $3"
            )),
            location,
        }
    }

    /// Runs a query on a connection, and again on another one if that was lost: reading changes nothing.
    fn fetch<'a, T: Send + 'a>(
        &'a self,
        query: impl Fn() -> Query<'a, Postgres, PgArguments> + Send + Sync + 'a,
        decode: impl Fn(&PgRow) -> Result<T, StoreError> + Send + Sync + 'a,
    ) -> BoxFuture<'a, Result<Vec<T>, StoreError>> {
        // Boxed, because the compiler cannot infer the lifetimes otherwise.
        Box::pin(async move {
            let mut attempt = 1;
            loop {
                match self.try_fetch(query(), &decode).await {
                    Err(Failed::Database(error)) if attempt < ATTEMPTS && lost(&error) => attempt += 1,
                    Err(Failed::Database(error)) => return Err(self.location.fault(DOING, error)),
                    Err(Failed::Store(error)) => return Err(error),
                    Ok(decoded) => return Ok(decoded),
                }
            }
        })
    }

    async fn try_fetch<T>(
        &self,
        query: Query<'_, Postgres, PgArguments>,
        decode: &impl Fn(&PgRow) -> Result<T, StoreError>,
    ) -> Result<Vec<T>, Failed> {
        if self.location.pooler() {
            let mut open = self.location.begin(Purpose::Log, BEGIN).await?;
            let origin = open.origin();
            let decoded = self.attend(origin, collect(query.persistent(false), &mut open, decode)).await?;
            open.commit().await?;
            return Ok(decoded);
        }
        let mut loan = self.location.lend(Purpose::Log).await?;
        let origin = loan.origin();
        let decoded = self.attend(origin, collect(query, &mut loan, decode)).await?;
        loan.give_back();
        Ok(decoded)
    }

    /// Waits for rows. A dead connection makes all that are as old suspect.
    async fn attend<T>(&self, origin: Origin, rows: impl Future<Output = Result<T, Failed>>) -> Result<T, Failed> {
        let attended = self.location.attend(origin, async { Ok(rows.await) }).await;
        let rows = attended.unwrap_or_else(|silent| Err(silent.into()));
        if let Err(Failed::Database(error)) = &rows
            && lost(error)
        {
            self.location.doubt(origin);
        }
        rows
    }

    pub(super) async fn head(&self) -> Result<LogPosition, StoreError> {
        let rows = self.fetch(
            || sqlx::query(&self.head).bind(0_i64),
            |row| rows::head(row).map_err(|error| self.location.fault(DOING, error)),
        );
        Ok(rows.await?.pop().unwrap_or_default())
    }

    pub(super) async fn count_eventless_commands(&self) -> Result<u64, StoreError> {
        let sql = self.location.sql("SELECT count(*) FROM {schema}.commands WHERE events = 0");
        let count = |row: &PgRow| row.try_get(0).map(unsigned).map_err(|error| self.location.fault(DOING, error));
        Ok(self.fetch(|| sqlx::query(&sql), count).await?.pop().unwrap_or_default())
    }

    pub(super) async fn info(&self) -> Result<LogInfo, StoreError> {
        let rows = self.fetch(
            || sqlx::query(&self.info),
            |row| {
                let text = |index: usize| row.try_get::<String, _>(index);
                text(0).and_then(|key| Ok((key, text(1)?))).map_err(|error| self.location.fault(DOING, error))
            },
        );
        let mut info = LogInfo::default();
        for (key, value) in rows.await? {
            match key.as_str() {
                "log_id" => info.log_id = value,
                _ => info.requires = value,
            }
        }
        Ok(info)
    }

    /// The time of the server's clock.
    pub(super) async fn time(&self) -> Result<Timestamp, StoreError> {
        const SQL: &str = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint";
        let rows = self.fetch(
            || sqlx::query(SQL),
            |row| row.try_get::<i64, _>(0).map_err(|error| self.location.fault(DOING, error)),
        );
        let micros = rows.await?.pop().unwrap_or_default();
        Timestamp::from_microsecond(micros).map_err(|error| StoreError::failed(DOING, error.to_string()))
    }

    pub(super) async fn read(
        &self,
        after: u64,
        limit: usize,
        bytes: usize,
        interest: &Interest,
    ) -> Result<Page, StoreError> {
        let limit = limit.max(1);
        match interest {
            Interest::All => self.all(after, limit, bytes).await,
            Interest::EventTypes(types) => self.few(after, limit, bytes, types).await,
        }
    }

    async fn all(&self, after: u64, limit: usize, bytes: usize) -> Result<Page, StoreError> {
        loop {
            let query = || {
                let query = sqlx::query(&self.all).bind(signed(after)).bind(i64::MAX);
                query.bind(long(bytes)).bind(long(limit))
            };
            let events = self.fetch(query, stored).await?;
            // The statement saw one moment, with no event after its last one.
            if let Some(last) = events.last() {
                return Ok(Page { to: last.head(), events });
            }
            let head = self.head().await?;
            if head.position <= after {
                return Ok(Page { events, to: head });
            }
            // An event was appended between the two statements.
        }
    }

    /// Reads events of some types: first by scanning events, then by the index, which costs a little for each type. The head is
    /// read first, so that later events are left to the next page.
    async fn few(&self, after: u64, limit: usize, bytes: usize, types: &[String]) -> Result<Page, StoreError> {
        let head = self.head().await?;
        if head.position <= after {
            return Ok(Page { events: Vec::new(), to: head });
        }
        let mut types = types.to_vec();
        types.sort_unstable();
        types.dedup();
        let window = after.saturating_add(WINDOW.saturating_mul(limit as u64)).min(head.position);
        let types = &types;
        let search = |sql, from, to, bytes, count| {
            let query = move || {
                let query = sqlx::query(sql).bind(signed(from)).bind(signed(to));
                query.bind(long(bytes)).bind(long(count)).bind(types)
            };
            self.fetch(query, stored)
        };
        let mut events = search(&self.near, after, window, bytes, limit).await?;
        let read = |events: &[Stored]| events.iter().map(Stored::text_bytes).sum::<usize>();
        let (left, room) = (limit.saturating_sub(events.len()), bytes.saturating_sub(read(&events)));
        if left > 0 && room > 0 && window < head.position && !types.is_empty() {
            events.extend(search(&self.far, window, head.position, room, left).await?);
        }
        let full = events.len() >= limit || read(&events) >= bytes;
        let to = events.last().filter(|_| full).map_or(head, Stored::head);
        Ok(Page { events, to })
    }

    pub(super) async fn read_at(&self, positions: &[u64]) -> Result<Vec<Stored>, StoreError> {
        let positions: Vec<i64> = positions.iter().filter_map(|position| i64::try_from(*position).ok()).collect();
        self.fetch(|| sqlx::query(&self.at).bind(&positions), stored).await
    }

    pub(super) async fn read_within(&self, positions: &[u64], bytes: usize) -> Result<Vec<Stored>, StoreError> {
        let positions: Vec<i64> = positions.iter().filter_map(|position| i64::try_from(*position).ok()).collect();
        let (mut events, mut read) = (Vec::new(), 0);
        let mut rest = &positions[..];
        while !rest.is_empty() && read < bytes {
            // As many as are likely to fit: the server computes the sizes of all of them.
            let likely = (bytes - read) / self.usual_bytes.load(Ordering::Relaxed);
            let (next, later) = rest.split_at(likely.max(FEW).min(rest.len()));
            let room = long(bytes - read);
            let found = self.fetch(|| sqlx::query(&self.within).bind(next).bind(room), stored).await?;
            let size = found.iter().map(Stored::text_bytes).sum::<usize>();
            self.usual_bytes.store(size / found.len().max(1) + 1, Ordering::Relaxed);
            read += size;
            events.extend(found);
            rest = later;
        }
        Ok(events)
    }

    pub(super) async fn load(&self, aggregate: &Ref, after: u64, limit: usize) -> Result<Vec<Stored>, StoreError> {
        let query = || {
            let query = sqlx::query(&self.load).bind(aggregate.kind()).bind(aggregate.id());
            query.bind(signed(after)).bind(long(limit))
        };
        self.fetch(query, stored).await
    }

    pub(super) async fn load_within(
        &self,
        aggregate: &Ref,
        after: u64,
        limit: usize,
        bytes: usize,
    ) -> Result<Vec<Stored>, StoreError> {
        let query = || {
            let query = sqlx::query(&self.load_within).bind(aggregate.kind()).bind(aggregate.id());
            query.bind(signed(after)).bind(long(limit)).bind(long(bytes))
        };
        self.fetch(query, stored).await
    }

    pub(super) async fn find_commands(&self, ids: &[Uuid]) -> Result<Vec<Option<KnownCommand>>, StoreError> {
        let known = self.fetch(|| sqlx::query(&self.commands).bind(ids), |row| rows::known(&self.location, row));
        let known: HashMap<Uuid, KnownCommand> =
            known.await?.into_iter().map(|known| (known.receipt.command_id, known)).collect();
        Ok(ids.iter().map(|id| known.get(id).cloned()).collect())
    }

    /// Commands by id that saw no more than the log up to `position`.
    #[cfg(feature = "sqlite")]
    pub(super) async fn commands_after(
        &self,
        id: Option<Uuid>,
        position: u64,
        limit: usize,
    ) -> Result<Vec<KnownCommand>, StoreError> {
        let query = || {
            let query = sqlx::query(&self.commands_after).bind(id.unwrap_or_default());
            query.bind(signed(position)).bind(long(limit))
        };
        self.fetch(query, |row| rows::known(&self.location, row)).await
    }
}

/// Why a read failed.
enum Failed {
    Database(sqlx::Error),
    Store(StoreError),
}

impl From<sqlx::Error> for Failed {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
    }
}

/// Decodes the rows as they arrive.
async fn collect<T>(
    query: Query<'_, Postgres, PgArguments>,
    connection: &mut PgConnection,
    decode: &impl Fn(&PgRow) -> Result<T, StoreError>,
) -> Result<Vec<T>, Failed> {
    let mut rows = query.fetch(connection);
    let mut decoded = Vec::new();
    while let Some(row) = rows.try_next().await? {
        decoded.push(decode(&row).map_err(Failed::Store)?);
    }
    Ok(decoded)
}

fn load(location: &SchemaLocation) -> String {
    location.sql(&format!(
        "SELECT {COLUMNS} FROM {{schema}}.events \
         WHERE aggregate_type = $1 AND aggregate_id = $2 AND sequence > $3 ORDER BY sequence LIMIT $4"
    ))
}

/// [`Reader::load`] on a connection that is in a transaction.
pub(super) async fn load_on(
    location: &SchemaLocation,
    connection: &mut PgConnection,
    aggregate: &Ref,
    after: u64,
    limit: usize,
) -> Result<Vec<Stored>, StoreError> {
    let sql = load(location);
    let query = sqlx::query(&sql).persistent(false).bind(aggregate.kind()).bind(aggregate.id());
    let query = query.bind(signed(after)).bind(long(limit));
    collect(query, connection, &stored).await.map_err(|failed| match failed {
        Failed::Database(error) => location.fault(DOING, error),
        Failed::Store(error) => error,
    })
}

fn long(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}
