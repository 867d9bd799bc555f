//! The application on cqrs-es and postgres-es, and its database.

use std::collections::HashMap;

use annals_test_postgres::Fresh;
use cqrs_es::event_sink::EventSink;
use postgres_es::PostgresCqrs;
use serde::{Deserialize, Serialize};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Executor, PgPool};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum BankEvent {
    AccountOpened,
    MoneyDeposited { cents: i64, note: String },
}

impl cqrs_es::DomainEvent for BankEvent {
    fn event_type(&self) -> String {
        match self {
            Self::AccountOpened => "AccountOpened".to_owned(),
            Self::MoneyDeposited { .. } => "MoneyDeposited".to_owned(),
        }
    }

    fn event_version(&self) -> String {
        "1.0".to_owned()
    }
}

pub enum BankCommand {
    Open,
    Deposit(i64),
}

#[derive(Default, Serialize, Deserialize)]
pub struct Account;

impl cqrs_es::Aggregate for Account {
    const TYPE: &'static str = "BankAccount";
    type Command = BankCommand;
    type Event = BankEvent;
    type Error = std::io::Error;
    type Services = ();

    async fn handle(
        &mut self,
        command: BankCommand,
        (): &(),
        sink: &EventSink<Self>,
    ) -> Result<(), std::io::Error> {
        match command {
            BankCommand::Open => sink.write(BankEvent::AccountOpened, self).await,
            BankCommand::Deposit(cents) => {
                sink.write(BankEvent::MoneyDeposited { cents, note: "täglich \"x\"".to_owned() }, self).await;
            }
        }
        Ok(())
    }

    fn apply(&mut self, _: BankEvent) {}
}

/// The framework of the old program.
pub fn cqrs(pool: &PgPool) -> PostgresCqrs<Account> {
    postgres_es::postgres_cqrs::<Account>(pool.clone(), Vec::new(), ())
}

/// Creates the tables of postgres-es's documentation, and a pool for them.
pub async fn database(fresh: &Fresh) -> PgPool {
    let (server, schema) = fresh.url().split_once("schema=").unwrap_or((fresh.url(), "public"));
    let options: PgConnectOptions = server.trim_end_matches(['?', '&']).parse().expect("a URL");
    let options = options.options([("search_path", schema)]).application_name("the old program");
    let pool = PgPoolOptions::new().connect_with(options).await.expect("a pool");
    let tables = format!(
        "CREATE SCHEMA IF NOT EXISTS {schema}; CREATE TABLE events (aggregate_type text NOT NULL, aggregate_id text NOT NULL, \
         sequence bigint CHECK (sequence >= 0) NOT NULL, event_type text NOT NULL, event_version text NOT NULL, \
         payload json NOT NULL, metadata json NOT NULL, PRIMARY KEY (aggregate_type, aggregate_id, sequence)); \
         CREATE TABLE snapshots (aggregate_type text NOT NULL, aggregate_id text NOT NULL, \
         last_sequence bigint NOT NULL, current_snapshot bigint NOT NULL, payload json NOT NULL, \
         PRIMARY KEY (aggregate_type, aggregate_id, last_sequence))"
    );
    pool.execute(tables.as_str()).await.expect("tables");
    pool
}

/// Deposits to the accounts alternately, so that no aggregate's events are consecutive: 8 events.
pub async fn written(fresh: &Fresh) -> PgPool {
    let pool = database(fresh).await;
    let cqrs = cqrs(&pool);
    for id in ["b", "a"] {
        cqrs.execute(id, BankCommand::Open).await.expect("an account");
    }
    for cents in [1, 2, 3] {
        for id in ["b", "a"] {
            cqrs.execute(id, BankCommand::Deposit(cents)).await.expect("a deposit");
        }
    }
    pool
}

/// Executes a command with these metadata.
pub async fn execute(pool: &PgPool, id: &str, command: BankCommand, metadata: &[(&str, &str)]) {
    let metadata: HashMap<String, String> =
        metadata.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    cqrs(pool).execute_with_metadata(id, command, metadata).await.expect("a command");
}

/// Inserts a row that no test of postgres-es writes.
pub async fn insert(pool: &PgPool, (kind, id, sequence): (&str, &str, i64), event: (&str, &str, &str)) {
    let (event_type, version, payload) = event;
    let sql = "INSERT INTO events VALUES ($1, $2, $3, $4, $5, $6::json, '{}')";
    let row = sqlx::query(sql).bind(kind).bind(id).bind(sequence).bind(event_type).bind(version).bind(payload);
    row.execute(pool).await.expect("a row");
}

/// The names of the schema's tables and indexes, and the number of rows of `events`.
pub async fn state(pool: &PgPool) -> String {
    let sql = "SELECT (SELECT string_agg(relname, ' ' ORDER BY relname) FROM pg_class \
         WHERE relnamespace = current_schema()::regnamespace) || ' ' || (SELECT count(*) FROM events)";
    sqlx::query_scalar(sql).fetch_one(pool).await.expect("names")
}
