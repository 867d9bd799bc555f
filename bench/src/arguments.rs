//! The command line.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};

use crate::workload::Workload;

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum What {
    /// Commands: load, decide, append
    Append,
    /// A view made anew from a long log, and how soon a view shows a write
    Rebuild,
    /// Pages of the audit log, counts and metrics, of a long log
    Read,
    /// Commands and rebuilds
    All,
}

/// How fast annals is, beside what else there is: one run, one machine, one table
///
/// Each measurement is a process of its own with an empty log of its own; competitors take turns, run after run, so that
/// whatever else the machine does hits all of them alike. The table has the medians. Every competitor's table is counted
/// at the end: what was acknowledged must be there.
///
/// Progress goes to stderr, the table alone to stdout. Ctrl-C ends it with the table of what was measured so far.
#[derive(Clone, Debug, Parser)]
#[command(name = "annals-bench", after_help = EXAMPLES)]
pub struct Arguments {
    /// What is measured
    #[arg(value_enum, default_value = "all")]
    pub what: What,
    /// How long each measurement of commands takes, after one second of warm-up
    #[arg(long, default_value_t = 4, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub seconds: u64,
    /// How often everything is measured
    #[arg(long, default_value_t = 3, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub runs: u64,
    /// Only these competitors: names, or how names begin
    #[arg(long, value_delimiter = ',', value_name = "NAME,…")]
    pub only: Vec<String>,
    /// Only these workloads
    #[arg(long, value_enum, value_delimiter = ',', value_name = "NAME,…")]
    pub workloads: Vec<Workload>,
    /// How many callers at the same time
    #[arg(long, value_delimiter = ',', default_values_t = [1, 8, 64], value_name = "N,…",
        value_parser = clap::value_parser!(u64).range(1..=1_000))]
    pub callers: Vec<u64>,
    /// How many events the log has: that of a rebuild, over a fiftieth as many accounts [default: 500,000], or the one that
    /// is read [default: 10,000,000]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(500..))]
    pub events: Option<u64>,
    /// Where SQLite files lie while they are measured: on the disk that is meant [default: the target directory]
    #[arg(long, value_name = "DIR")]
    pub sqlite_dir: Option<PathBuf>,
    /// A PostgreSQL to measure on, in schemas that are dropped again; without it, one is started
    #[arg(long, env = "DATABASE_URL", hide_env_values = true, value_name = "URL")]
    pub database_url: Option<String>,
    /// Write the table to this file too
    #[arg(long, value_name = "FILE")]
    pub markdown: Option<PathBuf>,
}

const EXAMPLES: &str = "\
Competitors:
  annals-sqlite, annals-postgres           no projection following
  annals-…-following                       the audit log, the metrics and one view following
  postgres-es, postgres-es-view            cqrs-es on PostgreSQL, without a view and with one
  sqlite-es                                cqrs-es on SQLite, synchronous=FULL
  disintegrate                             needs PostgreSQL 16
  eventcore
  postgres-insert, postgres-select-insert  floors: one INSERT a command, one connection a caller
  sqlite-insert                            floor: one transaction a command

Examples:
  annals-bench                                       everything: about an hour
  annals-bench append --workloads spread --runs 1    one quick look
  annals-bench append --only annals,postgres-insert --callers 64
  annals-bench rebuild --only annals-sqlite --events 2000000
  annals-bench read                                  10,000,000 events on both stores: more than half an hour
  annals-bench read --only annals-sqlite --events 1000000";

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Arguments::command().debug_assert();
    }
}
