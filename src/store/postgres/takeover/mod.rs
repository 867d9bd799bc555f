//! Taking over a database of postgres-es as a store.
//!
//! The old table is kept unchanged, under the name `postgres_es_events`. The events are copied, in one transaction, and get
//! positions, ids, times and digests. `recorded_at` is the time of the migration; the time at which an event happened is
//! taken from its metadata where [`Takeover::time_from`] says where it is.
//!
//! - Of the payload `{"NameAdded": {…}}` the content of the variant is kept, byte for byte. Any other form is refused.
//! - The event type `NameAdded` of a `customer` becomes `customer.NameAdded`: a variant declares `was("NameAdded")`, or
//!   `was("customer.NameAdded")` in an enum of another name.
//! - The aggregate type `BankAccount` becomes `bank_account`; one that is valid already stays.
//! - The id `account:9` of an `account` becomes `9`, because `account:9` is how a reference to the account `9` is written.
//! - The old metadata are nested in new metadata, with the actor that [`Takeover::actor_from`] finds or `system:postgres-es`.
//! - Each event gets a command of its own, with the event's id and the name `postgres-es`.
//!
//! Before anything is written, all rows are converted and decoded with the application's event types.
//!
//! ## Layout
//! - `mapping`: [`Takeover`], what the application declares
//! - `convert`: one row as an event of the log
//! - `examine`: reads all rows before anything is written
//! - `order`: the order of the rows
//! - `copy`: writes the log
//! - `table`: rights, locks and names of the old table
//! - `undo`: puts the old table back

mod convert;
mod copy;
mod examine;
mod mapping;
mod order;
mod table;
mod undo;

use std::collections::BTreeMap;

use sqlx::{Connection, PgConnection};

use self::convert::Converter;
pub(crate) use self::convert::Reading;
pub use self::mapping::{OldEvent, Takeover};
use self::order::{Order, OrderKeys};
pub use self::undo::{Undone, undo_migration};
use super::location::SchemaLocation;
use super::schema::{self, State};
use crate::store::{OpenOptions, StoreError};

const DOING: &str = "taking over the events of postgres-es";
const OLD: &str = "postgres_es_events";
/// The command of each event.
const COMMAND: &str = "postgres-es";

/// The result of taking over a log of postgres-es.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Migrated {
    /// Whether nothing was changed.
    pub dry_run: bool,
    /// The number of events.
    pub events: u64,
    /// The number of aggregates.
    pub aggregates: u64,
    /// The part of the order of the events that is known, and the part that was assumed.
    pub order: String,
    /// The new names of event types, by their names with postgres-es.
    pub event_types: BTreeMap<String, String>,
    /// The new names of aggregate types, by their names with postgres-es.
    pub kinds: BTreeMap<String, String>,
    /// The number of aggregates whose id began with their kind and a colon, which were left out.
    pub shortened_ids: u64,
    /// Events whose metadata gave no actor.
    pub without_actor: Unmapped,
    /// Events whose metadata gave no time, if a time was to be taken.
    pub without_time: Unmapped,
    /// Events whose time lies before that of an earlier event of their aggregate.
    pub earlier_than_before: u64,
    /// The fields of the metadata, with the number of events that have them: at most 50 fields.
    pub metadata_fields: BTreeMap<String, u64>,
    /// What the user of a dry run needs for the migration itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lacking: Option<String>,
    /// The table of the old rows.
    pub kept: String,
}

/// Events that a mapping found no value for.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Unmapped {
    /// Their number.
    pub events: u64,
    /// The first one, and why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first: Option<String>,
}

/// Turns a schema that holds the `events` of postgres-es into a store, in one transaction.
///
/// # Errors
/// When there is no such table, a row cannot be taken over, this user lacks a right, or the database reports an error.
pub(crate) async fn migrate(
    url: &str,
    options: OpenOptions,
    takeover: &Takeover,
    reading: Reading<'_>,
) -> Result<Migrated, StoreError> {
    let location = SchemaLocation::parse(url)?;
    let mut connection = location.connect().await?;
    if takeover.is_dry_run() {
        return dry_run(&location, &mut connection, takeover, reading).await;
    }
    let wait = takeover.lock_wait();
    let mut transaction = table::begin(&location, &mut connection, wait).await?;
    let on = &mut *transaction;
    table::lock_schema(&location, on, wait).await?;
    expect_postgres_es(&location, on).await?;
    table::check_rights(&location, on).await?;
    // Each later statement sees the rows that others committed before it had the lock.
    table::lock(&location, on, "events", wait).await?;
    expect_postgres_es(&location, on).await?;
    let before = table::count(&location, on, "events").await?;
    table::set_aside(&location, on).await?;
    schema::run(&location, on, 0, schema::VERSION).await?;
    schema::sign(&location, on, &options.app).await?;
    let mut keys = match takeover.takes_time() {
        true => Some(OrderKeys::create(&location, on).await?),
        false => None,
    };
    let mut report = examine::examine(&location, on, OLD, (takeover, reading), keys.as_mut()).await?;
    let order = Order::choose(&location, on, takeover, OLD).await?;
    let converter = Converter::new(takeover, reading);
    let copied = copy::copy(&location, on, &order.from(), converter, (options.clock)()).await?;
    if let Some(keys) = keys {
        keys.drop(&location, on).await?;
    }
    let counts = Counts {
        before,
        examined: report.events,
        copied,
        events: table::count(&location, on, "events").await?,
        commands: table::count(&location, on, "commands").await?,
    };
    counts.agree().map_err(|reason| location.unusable(reason))?;
    report.order = order.words(takeover, &report);
    report.kept = OLD.to_owned();
    transaction.commit().await.map_err(|error| location.after_sending(DOING, error))?;
    Ok(report)
}

/// Reads the rows as of one moment, while others may write.
async fn dry_run(
    location: &SchemaLocation,
    connection: &mut PgConnection,
    takeover: &Takeover,
    reading: Reading<'_>,
) -> Result<Migrated, StoreError> {
    let fault = |error| location.fault(DOING, error);
    let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
    let mut transaction = connection.begin_with(begin).await.map_err(fault)?;
    let on = &mut *transaction;
    // A policy that hides rows is an error.
    schema::execute(location, on, "SET LOCAL row_security = off").await?;
    expect_postgres_es(location, on).await?;
    let lacking = table::lacking(location, on).await?;
    let mut report = examine::examine(location, on, "events", (takeover, reading), None).await?;
    let order = Order::choose(location, on, takeover, "events").await?;
    report.order = order.words(takeover, &report);
    transaction.rollback().await.map_err(fault)?;
    Ok(Migrated { dry_run: true, lacking, kept: "events".to_owned(), ..report })
}

async fn expect_postgres_es(location: &SchemaLocation, on: &mut PgConnection) -> Result<(), StoreError> {
    match schema::inspect(location, on).await? {
        State::PostgresEs => Ok(()),
        State::Ours { .. } => {
            Err(location.unusable("it is a store already: there is nothing to migrate".to_owned()))
        }
        State::Empty => {
            let reason = "there is no table `events` to migrate: see the URL's database and `?schema=`";
            Err(location.unusable(reason.to_owned()))
        }
        State::Foreign(what) => Err(location.unusable(what)),
    }
}

/// The numbers of rows before and after.
#[derive(Clone, Copy, Debug)]
struct Counts {
    /// In the old table, when it was locked.
    before: u64,
    /// Those that were examined.
    examined: u64,
    copied: u64,
    /// In the new tables.
    events: u64,
    commands: u64,
}

impl Counts {
    fn agree(self) -> Result<(), String> {
        let Self { before, examined, copied, events, commands } = self;
        match [examined, copied, events, commands].iter().all(|rows| *rows == before) {
            true => Ok(()),
            false => Err(format!(
                "the table of postgres-es has {before} events, of which {examined} were read and {copied} copied; the log has \
                 {events} events of {commands} commands. Nothing was changed: this is a fault of annals, please report it"
            )),
        }
    }
}

/// Returns postgres-es's repository of the rows that the migration kept, to compare them with the log. The `search_path` of
/// the pool's connections names the schema.
#[must_use]
pub fn kept_events(pool: sqlx::PgPool) -> postgres_es::PostgresEventRepository {
    postgres_es::PostgresEventRepository::new(pool).with_tables(OLD, "snapshots")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_committed_unless_all_counts_agree() {
        let same = Counts { before: 3, examined: 3, copied: 3, events: 3, commands: 3 };
        assert_eq!(same.agree(), Ok(()));
        for other in [
            Counts { before: 4, ..same },
            Counts { examined: 2, ..same },
            Counts { copied: 2, ..same },
            Counts { events: 2, ..same },
            Counts { commands: 4, ..same },
        ] {
            assert!(other.agree().unwrap_err().contains("Nothing was changed"), "{other:?}");
        }
    }
}
