//! The tables of flows, in numbers of names.

use crate::store::{Column, Index, StoreError, Table, Transaction};

/// The number of each place, actor and list of grants, by the digest of its text. `kind` is that of a reference, else empty.
pub(super) const NAMES: Table = Table::new(
    "names",
    &[Column::integer("id"), Column::bytes("digest"), Column::text("name"), Column::text("kind")],
    &["id"],
);

/// The number of each flow: what flows from where through whose hands to where. 0 is nothing.
pub(super) const FLOWS: Table = Table::new(
    "flows",
    &[
        Column::integer("id"),
        Column::bytes("digest"),
        Column::integer("layer"),
        Column::integer("outcome"),
        Column::integer("source"),
        Column::integer("actor"),
        Column::integer("principal"),
        Column::integer("sink"),
        Column::integer("via"),
    ],
    &["id"],
);

/// The columns of counts, of a flow or of a grant.
macro_rules! counts {
    ($($key:literal: $kind:ident),+) => {
        &[
            $(Column::$kind($key),)+
            Column::integer("count"),
            Column::integer("first"),
            Column::integer("last"),
            Column::integer("position"),
        ]
    };
}

/// The counts of each flow: how many, the times of the first and the last one, and the position of the last record.
pub(super) const TOTALS: Table = Table::new("totals", counts!("flow": integer), &["flow"]);

/// The same by minute, in minutes since 1970.
pub(super) const MINUTES: Table =
    Table::new("minutes", counts!("minute": integer, "flow": integer), &["minute", "flow"]);

/// The grants.
pub(super) const GRANTS: Table = Table::new(
    "grants",
    &[
        Column::bytes("grant_id"),
        Column::integer("position"),
        Column::integer("at"),
        Column::text("grantee"),
        Column::text("rights"),
        Column::integer("until").nullable(),
        Column::bytes("under").nullable(),
    ],
    &["grant_id"],
);

/// The grants that were revoked.
pub(super) const REVOKED: Table = Table::new(
    "revoked",
    &[Column::bytes("grant_id"), Column::integer("position"), Column::integer("at")],
    &["grant_id"],
);

/// What each grant allowed, by minute.
pub(super) const GRANT_MINUTES: Table =
    Table::new("grant_minutes", counts!("grant_id": bytes, "minute": integer), &["grant_id", "minute"]);

/// The command of the last event, and what it was decided on: a batch may begin in the middle of a command.
pub(super) const LAST: Table = Table::new(
    "last_command",
    &[Column::integer("id"), Column::bytes("command"), Column::text("decided_on")],
    &["id"],
);

/// Creates the tables, to be filled.
pub(super) async fn create(transaction: &mut dyn Transaction) -> Result<(), StoreError> {
    for table in [&NAMES, &FLOWS, &TOTALS, &MINUTES, &GRANTS, &REVOKED, &GRANT_MINUTES, &LAST] {
        transaction.create_table(table).await?;
    }
    transaction.create_index(&NAMES, &Index::new("names_by_digest", &["digest"]).unique()).await?;
    transaction.create_index(&FLOWS, &Index::new("flows_by_digest", &["digest"]).unique()).await
}

/// Orders the filled tables for readers.
pub(super) async fn index(transaction: &mut dyn Transaction) -> Result<(), StoreError> {
    transaction.create_index(&NAMES, &Index::new("names_by_kind", &["kind", "id"])).await?;
    transaction.create_index(&FLOWS, &Index::new("flows_by_actor", &["actor", "source"])).await?;
    transaction.create_index(&FLOWS, &Index::new("flows_by_sink", &["sink", "actor"])).await?;
    transaction.create_index(&FLOWS, &Index::new("flows_by_source", &["source", "actor"])).await?;
    transaction.create_index(&GRANTS, &Index::new("grants_position", &["position"])).await
}
