//! The competitors, and the workloads that each runs.

use annals_bench_driver::BoxError;

use crate::workload::Workload;

/// The database of a competitor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Database {
    Postgres,
    Sqlite,
}

/// The kind of a competitor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// annals without running projections.
    Annals,
    /// annals with all projections running.
    Following,
    /// annals without running projections, where each command needs a right that is in the log.
    Access,
    /// Another framework, and the program that measures it.
    Peer(&'static str),
    /// The database alone.
    Floor,
}

/// One competitor.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    pub name: &'static str,
    pub title: &'static str,
    pub database: Database,
    pub role: Role,
}

use Database::{Postgres, Sqlite};
use Role::{Access, Annals, Floor, Following, Peer};

const CQRS: Role = Peer("annals-bench-cqrs");

/// All competitors, in the order of the table.
#[rustfmt::skip]
const ALL: [Entry; 15] = [
    Entry { name: "postgres-insert", title: "floor: one INSERT per command", database: Postgres, role: Floor },
    Entry { name: "postgres-select-insert", title: "floor: SELECT + INSERT", database: Postgres, role: Floor },
    Entry { name: "annals-postgres", title: "**annals, PostgreSQL**", database: Postgres, role: Annals },
    Entry { name: "annals-postgres-following", title: "**annals, PostgreSQL**, 3 projections running", database: Postgres, role: Following },
    Entry { name: "annals-postgres-access", title: "**annals, PostgreSQL**, access", database: Postgres, role: Access },
    Entry { name: "postgres-es", title: "cqrs-es + postgres-es, no view", database: Postgres, role: CQRS },
    Entry { name: "postgres-es-view", title: "cqrs-es + postgres-es, one view", database: Postgres, role: CQRS },
    Entry { name: "disintegrate", title: "disintegrate-postgres", database: Postgres, role: Peer("annals-bench-disintegrate") },
    Entry { name: "eventcore", title: "eventcore-postgres", database: Postgres, role: Peer("annals-bench-eventcore") },
    Entry { name: "sqlite-insert", title: "floor: raw SQLite, read + insert", database: Sqlite, role: Floor },
    Entry { name: "annals-sqlite", title: "**annals, SQLite**", database: Sqlite, role: Annals },
    Entry { name: "annals-sqlite-following", title: "**annals, SQLite**, 3 projections running", database: Sqlite, role: Following },
    Entry { name: "annals-sqlite-access", title: "**annals, SQLite**, access", database: Sqlite, role: Access },
    Entry { name: "sqlite-es", title: "cqrs-es + sqlite-es, FULL", database: Sqlite, role: CQRS },
    Entry { name: "sqlite-es-view", title: "cqrs-es + sqlite-es, FULL, one view", database: Sqlite, role: CQRS },
];

/// The competitors with these names or prefixes of names; all competitors if the list is empty.
///
/// # Errors
/// When a name is unknown.
pub fn chosen(only: &[String]) -> Result<Vec<Entry>, BoxError> {
    for prefix in only {
        if !ALL.iter().any(|entry| entry.name.starts_with(prefix.as_str())) {
            let names: Vec<_> = ALL.iter().map(|entry| entry.name).collect();
            return Err(format!("there is no competitor `{prefix}`; there are: {}", names.join(", ")).into());
        }
    }
    let wanted = |entry: &Entry| {
        only.is_empty() || only.iter().any(|word| entry.name == word) || {
            // A whole name is not a prefix of other names.
            let prefix = |word: &String| {
                entry.name.starts_with(word.as_str()) && !ALL.iter().any(|other| other.name == word)
            };
            only.iter().any(prefix)
        }
    };
    Ok(ALL.into_iter().filter(wanted).collect())
}

impl Entry {
    /// Whether it runs this workload.
    pub fn takes(&self, workload: Workload) -> bool {
        match workload {
            Workload::Spread | Workload::Hot | Workload::Five => true,
            Workload::Bulk => matches!(self.name, "postgres-insert" | "sqlite-insert"),
            Workload::Steady => matches!(self.role, Annals | Following),
        }
    }

    /// Whether it can rebuild a view.
    pub fn rebuilds(&self) -> bool {
        self.role == Annals || matches!(self.name, "postgres-es" | "sqlite-es")
    }

    /// Whether its projections follow the log.
    pub fn follows(&self) -> bool {
        self.role == Following
    }

    /// The same competitor with less, and what it lacks.
    pub fn simpler(&self) -> Option<(&'static str, &'static str)> {
        let less = [("-following", "running projections"), ("-access", "access")];
        less.into_iter().find_map(|(suffix, lacks)| Some((self.name.strip_suffix(suffix)?, lacks)))
    }

    /// The floor and the stock framework on the same database, for comparison.
    pub fn yardsticks(&self) -> (&'static str, &'static str) {
        match self.database {
            Postgres => ("postgres-insert", "postgres-es"),
            Sqlite => ("sqlite-insert", "sqlite-es"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(only: &[&str]) -> Vec<&'static str> {
        let only: Vec<_> = only.iter().map(ToString::to_string).collect();
        chosen(&only).unwrap().iter().map(|entry| entry.name).collect()
    }

    #[test]
    fn a_whole_name_selects_one_competitor_and_a_prefix_selects_all_with_it() {
        assert_eq!(names(&["postgres-es"]), ["postgres-es"]);
        assert_eq!(names(&["annals-sqlite", "annals-pos"]).len(), 4);
        assert_eq!(names(&[]).len(), ALL.len());
        assert!(chosen(&["mysql".to_owned()]).unwrap_err().to_string().contains("eventcore"));
    }
}
