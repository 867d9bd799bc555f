//! The command line.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};

use crate::workload::Workload;

/// The measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum What {
    /// Commands: load, decide, append
    Append,
    /// The rebuild of a view from a long log, and the delay until a view shows a write
    Rebuild,
    /// Pages of the audit log, counts and metrics of a long log
    Read,
    /// Decisions about the rights of a party with many grants
    Grants,
    /// States of an aggregate of many events in its past
    Past,
    /// Commands that follow events, and timers
    Reactions,
    /// Feeds: what they cost writers, with a receiver that is there and with one that is away
    Feeds,
    /// The tree over the log: what it costs writers, and how fast it is built
    Proofs,
    /// Personal values: what sealing costs writers
    Sealing,
    /// A log on NATS JetStream beside one on PostgreSQL
    Jetstream,
    /// Pages of provenance of a long log
    Provenance,
    /// Many stores in one process, one for each tenant
    Tenants,
    /// Commands and rebuilds
    All,
}

/// Compare the speed of annals with other frameworks and with plain databases
///
/// Each measurement runs in its own process on an empty log. The competitors alternate in each run, so that other load of the
/// machine affects all of them. The table shows medians. At the end, the events in each competitor's table are counted and
/// compared with the acknowledged ones.
///
/// Progress goes to stderr, the table to stdout. Ctrl-C ends the program and prints the measurements so far.
#[derive(Clone, Debug, Parser)]
#[command(name = "annals-bench", after_help = EXAMPLES)]
pub struct Arguments {
    /// The measurement
    #[arg(value_enum, default_value = "all")]
    pub what: What,
    /// Seconds of each measurement of commands, after one second of warm-up
    #[arg(long, default_value_t = 4, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub seconds: u64,
    /// Number of runs
    #[arg(long, default_value_t = 3, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub runs: u64,
    /// Only these competitors: names or prefixes of names
    #[arg(long, value_delimiter = ',', value_name = "NAME,…")]
    pub only: Vec<String>,
    /// Only these workloads
    #[arg(long, value_enum, value_delimiter = ',', value_name = "NAME,…")]
    pub workloads: Vec<Workload>,
    /// Numbers of concurrent callers
    #[arg(long, value_delimiter = ',', default_values_t = [1, 8, 64], value_name = "N,…",
        value_parser = clap::value_parser!(u64).range(1..=1_000))]
    pub callers: Vec<u64>,
    /// Number of events of the log: of a rebuild, with 50 events per account [default: 500,000], or of the log that is read
    /// [default: 10,000,000]; of a log on JetStream that is copied
    /// [default: 200,000]; the number of timers beside those that are measured [default: 100,000]; or the number of tenants [default: 1,000]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(500..))]
    pub events: Option<u64>,
    /// Directory of the SQLite files, on the disk to measure [default: the target directory]
    #[arg(long, value_name = "DIR")]
    pub sqlite_dir: Option<PathBuf>,
    /// PostgreSQL server to measure on, in schemas that are dropped afterwards [default: starts a server]
    #[arg(long, env = "DATABASE_URL", hide_env_values = true, value_name = "URL")]
    pub database_url: Option<String>,
    /// Also write the table to this file
    #[arg(long, value_name = "FILE")]
    pub markdown: Option<PathBuf>,
}

const EXAMPLES: &str = "\
Competitors:
  annals-sqlite, annals-postgres           no projection runs
  annals-…-following                       the audit log, the metrics and one view run
  annals-…-access                          no projection runs; a grant in the log allows the commands of all callers
  postgres-es, postgres-es-view            cqrs-es on PostgreSQL, without a view and with one
  sqlite-es                                cqrs-es on SQLite, synchronous=FULL
  disintegrate                             needs PostgreSQL 16
  eventcore
  postgres-insert, postgres-select-insert  floors: one INSERT per command, one connection per caller
  sqlite-insert                            floor: one transaction per command

Examples:
  annals-bench                                       everything: about an hour
  annals-bench append --workloads spread --runs 1    a quick run
  annals-bench append --only annals,postgres-insert --callers 64
  annals-bench rebuild --only annals-sqlite --events 2000000
  annals-bench read                                  10,000,000 events on both stores: more than half an hour
  annals-bench read --only annals-sqlite --events 1000000
  annals-bench append --only annals-sqlite,annals-sqlite-access --callers 64 --workloads spread,hot --runs 9
  annals-bench grants                                a party with 10,000 grants: less than a minute
  annals-bench reactions --seconds 10                commands/s and delays of reactions, delays of timers
  annals-bench feeds --runs 9                        commands/s beside a feed whose receiver is there, or away
  annals-bench jetstream --runs 9                    a log on three NATS servers: needs scripts/brokers
  annals-bench tenants                               1,000 stores in one process";

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_valid() {
        Arguments::command().debug_assert();
    }
}
