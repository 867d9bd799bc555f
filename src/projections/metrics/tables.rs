//! The tables of entries, blocks, prefix sums and frequencies.

use crate::store::{Column, Table};

/// The entries of the block that is not complete.
pub(super) const ENTRIES: Table =
    Table::new("entries", &[Column::integer("position"), Column::bytes("entry")], &["position"]);

/// The entries of each complete block.
pub(super) const BLOCKS: Table = Table::new(
    "blocks",
    &[Column::integer("block"), Column::integer("last_at"), Column::bytes("entries")],
    &["block"],
);

/// The running numbers of each topic at the end of each block in which it occurs.
pub(super) const RUNNING: Table = Table::new(
    "running",
    &[Column::integer("topic"), Column::integer("block"), Column::bytes("numbers")],
    &["topic", "block"],
);

/// How often each actor and target occurs, by topic and block; a block of a higher level covers several.
pub(super) const CROWDS: Table = Table::new(
    "crowds",
    &[
        Column::integer("topic"),
        Column::integer("level"),
        Column::integer("block"),
        Column::bytes("actors"),
        Column::bytes("targets"),
    ],
    &["topic", "level", "block"],
);
