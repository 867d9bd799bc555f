//! Restores the log to an older state, as from a backup.

use std::path::PathBuf;

use annals::prelude::*;
use annals_test_postgres::Place;

pub const PROJECTIONS: [&str; 3] = ["audit", "balance", "metrics"];

/// A copy of the log, to restore later.
pub enum Older {
    File { log: PathBuf, backup: PathBuf },
    Length(u64),
}

impl Older {
    pub async fn keep(annals: &Annals, place: &Place) -> Self {
        let Some(log) = place.url().strip_prefix("sqlite://") else {
            return Self::Length(annals.store().head().await.unwrap().position);
        };
        let (log, backup) = (PathBuf::from(log), PathBuf::from(format!("{log}.backup")));
        annals.backup(&backup, |_, _| ()).await.unwrap();
        Self::File { log, backup }
    }

    /// Restores only the log: the views are unchanged.
    pub fn put_back(&self, place: &Place) {
        match self {
            Self::File { log, backup } => {
                let mut log = rusqlite::Connection::open(log).unwrap();
                let older = rusqlite::Connection::open(backup).unwrap();
                rusqlite::backup::Backup::new(&older, &mut log).unwrap().step(-1).unwrap();
            }
            Self::Length(length) => {
                let cut = |table: &str, column: &str| {
                    format!(
                        "ALTER TABLE {table} DISABLE TRIGGER {table}_stay; DELETE FROM {table} WHERE {column} > {length}; \
                         ALTER TABLE {table} ENABLE ALWAYS TRIGGER {table}_stay;"
                    )
                };
                let sql =
                    format!("BEGIN; {}{} COMMIT", cut("commands", "head_position"), cut("events", "position"));
                place.schema().unwrap().sql(&sql);
            }
        }
    }
}

pub async fn settle(annals: &Annals) {
    let head = annals.store().head().await.unwrap();
    for name in PROJECTIONS {
        annals.reading(name).unwrap().caught_up(head, None).await.unwrap();
    }
}
