//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// Measure the cost of HTTP and the behaviour under bad clients
#[derive(Debug, Parser)]
#[command(name = "annals-bench-http")]
pub struct Arguments {
    #[command(subcommand)]
    pub what: What,
}

#[derive(Debug, Subcommand)]
pub enum What {
    /// Commands over HTTP and in process, pages of the audit log under load, delivery to followers
    Load(Load),
    /// Bad clients for some minutes: checks for panics and for leaks of memory and file handles
    Soak(Soak),
    /// Internal: the process that is measured
    #[command(hide = true)]
    Server { store: String },
    /// Internal: commands in process
    #[command(hide = true)]
    InProcess { store: String, callers: usize },
    /// Internal: commands over HTTP, to a server with this process id
    #[command(hide = true)]
    OverHttp { server: SocketAddr, process: String, connections: usize, feed: String },
}

#[derive(Debug, Args)]
pub struct Load {
    /// Seconds of each measurement: alternating turns of one second in process and over HTTP, after one of warm-up
    #[arg(long, default_value_t = 4.0, value_name = "N")]
    pub seconds: f64,
    /// Number of runs; the table has the medians
    #[arg(long, default_value_t = 3, value_name = "N")]
    pub runs: u64,
    /// Numbers of keep-alive connections, or of callers in process
    #[arg(long, value_delimiter = ',', default_values_t = [1, 64, 512], value_name = "N,…")]
    pub connections: Vec<usize>,
    /// Number of followers that receive every event
    #[arg(long, default_value_t = 100, value_name = "N")]
    pub active: usize,
    /// Number of followers of a topic without events
    #[arg(long, default_value_t = 1_000, value_name = "N")]
    pub idle: usize,
    /// Commands per second while delivery is measured
    #[arg(long, default_value_t = 100, value_name = "N")]
    pub pace: u64,
    /// Path of the page that is read under load
    #[arg(long, default_value = "/audit?newest_first=true&limit=50", value_name = "PATH")]
    pub feed: String,
    /// PostgreSQL server to measure on, in schemas that are dropped afterwards [default: SQLite files in the target directory]
    #[arg(long, value_name = "URL")]
    pub store: Option<String>,
    /// Also write the table to this file
    #[arg(long, value_name = "FILE")]
    pub markdown: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct Soak {
    /// Minutes
    #[arg(long, default_value_t = 3.0, value_name = "N")]
    pub minutes: f64,
    /// Number of half-open connections at a time
    #[arg(long, default_value_t = 1_000, value_name = "N")]
    pub half_open: usize,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_valid() {
        Arguments::command().debug_assert();
    }
}
