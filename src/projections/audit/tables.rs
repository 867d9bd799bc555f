//! The tables of the audit log. They are filled without the order that only readers need, which is then made of all rows at
//! once: keeping the rows of a million names sorted while they arrive would change an index page for each row.

use crate::store::{Column, Index, StoreError, Table, Transaction};

/// The number of each name, by the digest of the name.
pub(super) const NAMES: Table = Table::new("names", &[Column::integer("id"), Column::bytes("digest")], &["id"]);

/// Each event, in numbers of names.
pub(super) const ENTRIES: Table = Table::new(
    "entries",
    &[
        Column::integer("position"),
        Column::integer("occurred"),
        Column::integer("actor"),
        Column::integer("action"),
        Column::integer("event_type"),
        Column::integer("aggregate"),
        Column::integer("correlation").nullable(),
    ],
    &["position"],
);

/// The tables of the positions at which a name occurs.
pub(super) const PLACES: [Table; 2] = [
    Table::new("targets", &[Column::integer("target"), Column::integer("position")], &["target", "position"]),
    Table::new("topics", &[Column::integer("topic"), Column::integer("position")], &["topic", "position"]),
];

/// Creates the tables, to be filled.
pub(super) async fn create(transaction: &mut dyn Transaction) -> Result<(), StoreError> {
    transaction.create_table(&NAMES).await?;
    transaction.create_index(&NAMES, &Index::new("names_by_digest", &["digest"]).unique()).await?;
    transaction.create_table(&ENTRIES).await?;
    for table in &PLACES {
        transaction.create_table(&table.without_key()).await?;
    }
    Ok(())
}

/// Orders the filled tables for readers.
pub(super) async fn index(transaction: &mut dyn Transaction) -> Result<(), StoreError> {
    for table in &PLACES {
        transaction.add_key(table).await?;
    }
    for column in ["occurred", "actor", "action", "event_type"] {
        let index = Index::new(format!("entries_{column}"), &[column, "position"]);
        transaction.create_index(&ENTRIES, &index).await?;
    }
    let correlation = Index::new("entries_correlation", &["correlation", "position"]).skipping_null();
    transaction.create_index(&ENTRIES, &correlation).await
}
