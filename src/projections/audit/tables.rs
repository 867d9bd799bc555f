//! The audit log's tables, and how they are filled: first without the order that only readers need, which then is made of
//! all rows at once. To keep a million names' rows in order while they come costs a change of a page for each.

use super::names;
use crate::store::{Dialect, StoreError, Transaction};

/// The tables that say where a name occurs, and their first columns; the second is the position.
pub(super) const PLACES: [(&str, &str); 2] = [("targets", "target"), ("topics", "topic")];

/// It has a row as long as the tables are being filled.
const FILLING: &str = "filling";

/// The table that takes the rows of `table` in as they come.
pub(super) fn heap(table: &str) -> String {
    format!("{table}_as_they_come")
}

/// Makes the tables, to be filled.
pub(super) async fn make(transaction: &mut dyn Transaction) -> Result<(), StoreError> {
    for statement in tables(transaction) {
        transaction.execute(&statement, Vec::new()).await?;
    }
    Ok(())
}

fn tables(transaction: &dyn Transaction) -> Vec<String> {
    let dialect = transaction.dialect();
    let (integer, bytes) = match dialect {
        Dialect::Sqlite => ("INTEGER", "BLOB"),
        Dialect::Postgres => ("BIGINT", "BYTEA"),
    };
    let table = |name: &str| transaction.table(name);
    let mut statements = vec![
        format!("CREATE TABLE {} (id {integer} PRIMARY KEY, digest {bytes} NOT NULL UNIQUE)", table(names::TABLE)),
        format!(
            "CREATE TABLE {} (position {integer} PRIMARY KEY, occurred {integer} NOT NULL, \
             actor {integer} NOT NULL, action {integer} NOT NULL, event_type {integer} NOT NULL, \
             aggregate {integer} NOT NULL, correlation {integer})",
            table("entries")
        ),
    ];
    for (name, column) in PLACES {
        let columns = format!("({column} {integer} NOT NULL, position {integer} NOT NULL");
        // On SQLite a table can be its own index, so that it takes half the room; then it has to be filled in order.
        match dialect {
            Dialect::Postgres => statements.push(format!("CREATE TABLE {} {columns})", table(name))),
            Dialect::Sqlite => statements.extend([
                format!("CREATE TABLE {} {columns}, PRIMARY KEY ({column}, position)) WITHOUT ROWID", table(name)),
                format!("CREATE TABLE {} {columns})", table(&heap(name))),
            ]),
        }
    }
    if dialect == Dialect::Sqlite {
        statements.push(format!("CREATE TABLE {} (since INTEGER NOT NULL)", table(FILLING)));
        statements.push(format!("INSERT INTO {} VALUES (0)", table(FILLING)));
    }
    statements
}

/// Whether rows are still taken in as they come.
pub(super) async fn are_filling(transaction: &mut dyn Transaction) -> Result<bool, StoreError> {
    if transaction.dialect() == Dialect::Postgres {
        return Ok(false);
    }
    let sql = format!("SELECT since FROM {}", transaction.table(FILLING));
    Ok(!transaction.query(&sql, Vec::new()).await?.is_empty())
}

/// Puts in order what was taken in.
pub(super) async fn index(transaction: &mut dyn Transaction) -> Result<(), StoreError> {
    if are_filling(transaction).await? {
        for (name, column) in PLACES {
            let (ordered, heap) = (transaction.table(name), transaction.table(&heap(name)));
            let fill = format!("INSERT INTO {ordered} SELECT {column}, position FROM {heap} ORDER BY 1, 2");
            transaction.execute(&fill, Vec::new()).await?;
            transaction.execute(&format!("DROP TABLE {heap}"), Vec::new()).await?;
        }
        transaction.execute(&format!("DELETE FROM {}", transaction.table(FILLING)), Vec::new()).await?;
    }
    for statement in indexes(transaction) {
        transaction.execute(&statement, Vec::new()).await?;
    }
    Ok(())
}

fn indexes(transaction: &dyn Transaction) -> Vec<String> {
    // On SQLite the key of a table is the end of each of its indexes anyway.
    let tail = if transaction.dialect() == Dialect::Sqlite { "" } else { ", position" };
    let mut statements = Vec::new();
    for (column, only) in [
        ("occurred", ""),
        ("actor", ""),
        ("action", ""),
        ("event_type", ""),
        ("correlation", " WHERE correlation IS NOT NULL"),
    ] {
        let (index, entries) = (transaction.index(&format!("entries_{column}")), transaction.table("entries"));
        statements.push(format!("CREATE INDEX IF NOT EXISTS {index} ON {entries} ({column}{tail}){only}"));
    }
    if transaction.dialect() == Dialect::Postgres {
        for (name, column) in PLACES {
            let (index, table) = (transaction.index(&format!("{name}_key")), transaction.table(name));
            statements.push(format!("CREATE UNIQUE INDEX IF NOT EXISTS {index} ON {table} ({column}, position)"));
        }
    }
    statements
}
