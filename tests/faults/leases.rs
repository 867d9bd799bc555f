//! Changes leases directly in the database, as time would.

use annals_test_postgres::{Fresh, Place};
use rusqlite::Connection;

use crate::processes::{PATIENCE, views_file};

/// The table of leases of a store.
pub enum Leases<'p> {
    Sqlite(Connection),
    Postgres(&'p Fresh),
}

impl<'p> Leases<'p> {
    pub fn new(place: &'p Place) -> Self {
        match place.schema() {
            Some(schema) => Self::Postgres(schema),
            None => {
                let connection = Connection::open(views_file(place)).unwrap();
                connection.busy_timeout(PATIENCE).unwrap();
                Self::Sqlite(connection)
            }
        }
    }

    /// Returns the leader of the balances, and the end of its lease.
    pub fn leader(&self) -> (String, String) {
        const LED: &str = "WHERE name = 'balance' AND leads";
        let found = match self {
            Self::Sqlite(connection) => {
                let sql = format!("SELECT hex(owner) || ' ' || until FROM leases {LED}");
                connection.query_row(&sql, [], |row| row.get(0)).unwrap()
            }
            Self::Postgres(schema) => {
                schema.sql(&format!("SELECT owner || ' ' || until FROM {}.leases {LED}", schema.name()))
            }
        };
        let (owner, until) = found.split_once(' ').unwrap();
        (owner.to_owned(), until.to_owned())
    }

    fn run(&self, sqlite: &str, postgres: &str) {
        match self {
            Self::Sqlite(connection) => connection.execute_batch(sqlite).unwrap(),
            Self::Postgres(schema) => {
                drop(schema.sql(&postgres.replace("leases", &format!("{}.leases", schema.name()))))
            }
        }
    }

    /// Expires an owner's lease.
    pub fn end(&self, owner: &str) {
        self.run(
            &format!("UPDATE leases SET until = 0 WHERE owner = X'{owner}'"),
            &format!("UPDATE leases SET until = '2000-01-01' WHERE owner = '{owner}'"),
        );
    }

    /// Expires all leases: dead owners lead and rebuild nothing, live ones acquire again.
    pub fn end_all(&self) {
        self.run("UPDATE leases SET until = 0", "UPDATE leases SET until = '2000-01-01'");
    }

    /// Makes an owner the leader of the balances, instead of the present one.
    pub fn give(&self, owner: &str) {
        self.run(
            &format!(
                "BEGIN IMMEDIATE; UPDATE leases SET leads = 0 WHERE name = 'balance';
                 INSERT INTO leases SELECT name, version, X'{owner}', 1, renewed, until FROM leases
                 WHERE name = 'balance'; COMMIT"
            ),
            &format!(
                "UPDATE leases SET leads = false WHERE name = 'balance';
                 INSERT INTO leases SELECT name, version, '{owner}', true, until FROM leases WHERE name = 'balance'"
            ),
        );
    }
}
