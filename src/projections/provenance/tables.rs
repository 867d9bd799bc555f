//! The tables of provenance, in numbers of names.

use crate::store::{Column, Index, StoreError, Table, Transaction};

/// The number of each thing and of each causation, by the digest of its text.
pub(super) const NAMES: Table =
    Table::new("names", &[Column::integer("id"), Column::bytes("digest"), Column::text("name")], &["id"]);

/// Each event, which makes a version of its aggregate or invalidates the last one: see [`MAKES`] and [`DELETES`].
pub(super) const VERSIONS: Table = Table::new(
    "versions",
    &[
        Column::integer("thing"),
        Column::integer("sequence"),
        Column::integer("position"),
        // The position of the first event of its command.
        Column::integer("first"),
        Column::integer("makes"),
    ],
    &["thing", "sequence"],
);

/// Which version of which thing an event used, or the command whose first event it is; in which role.
pub(super) const USES: Table = Table::new(
    "uses",
    &[Column::integer("thing"), Column::integer("position"), Column::integer("role"), Column::integer("sequence")],
    &["thing", "position", "role"],
);

/// The versions that a recorded read or export showed. They may be older than its record: as of the head of the export, or of the past.
pub(super) const READS: Table = Table::new(
    "reads",
    &[Column::integer("thing"), Column::integer("position"), Column::integer("role"), Column::integer("sequence")],
    &["thing", "position"],
);

/// The command of the last event: a batch may begin in the middle of a command.
pub(super) const LAST: Table = Table::new(
    "last_command",
    &[Column::integer("id"), Column::bytes("command"), Column::integer("first")],
    &["id"],
);

/// In `makes`: the event makes a version.
pub(super) const MAKES: i64 = 1;
/// In `makes`: the event deletes the aggregate, and makes no version.
pub(super) const DELETES: i64 = 0;

/// Creates the tables, to be filled.
pub(super) async fn create(transaction: &mut dyn Transaction) -> Result<(), StoreError> {
    transaction.create_table(&NAMES).await?;
    transaction.create_index(&NAMES, &Index::new("names_by_digest", &["digest"]).unique()).await?;
    for table in [&VERSIONS, &READS, &LAST] {
        transaction.create_table(table).await?;
    }
    transaction.create_table(&USES.without_key()).await
}

/// Orders the filled tables for readers.
pub(super) async fn index(transaction: &mut dyn Transaction) -> Result<(), StoreError> {
    transaction.add_key(&USES).await?;
    for (table, name) in [(&VERSIONS, "versions_position"), (&USES, "uses_position"), (&READS, "reads_position")] {
        transaction.create_index(table, &Index::new(name, &["position"])).await?;
    }
    let version = Index::new("reads_version", &["thing", "sequence", "position"]);
    transaction.create_index(&READS, &version).await
}
