//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// What the door costs, and what it bears
#[derive(Debug, Parser)]
#[command(name = "annals-bench-http")]
pub struct Arguments {
    #[command(subcommand)]
    pub what: What,
}

#[derive(Debug, Subcommand)]
pub enum What {
    /// Commands over HTTP beside the same in process, pages of the feed under load, delivery to followers: one table
    Load(Load),
    /// Bad clients for some minutes: no panic, no memory or file handles left behind
    Soak(Soak),
    /// Not for people: the process that is measured
    #[command(hide = true)]
    Server { store: String },
    /// Not for people: commands in process
    #[command(hide = true)]
    InProcess { store: String, callers: usize },
    /// Not for people: commands over HTTP, to a server with this process number
    #[command(hide = true)]
    OverHttp { server: SocketAddr, process: String, connections: usize, feed: String },
}

#[derive(Debug, Args)]
pub struct Load {
    /// How long each measurement takes: in process and over HTTP in turns of a second each, after one to warm up
    #[arg(long, default_value_t = 4.0, value_name = "N")]
    pub seconds: f64,
    /// How often everything is measured; the table has the medians
    #[arg(long, default_value_t = 3, value_name = "N")]
    pub runs: u64,
    /// How many keep-alive connections, or callers in process
    #[arg(long, value_delimiter = ',', default_values_t = [1, 64, 512], value_name = "N,…")]
    pub connections: Vec<usize>,
    /// How many follow and get every event
    #[arg(long, default_value_t = 100, value_name = "N")]
    pub active: usize,
    /// How many more follow what does not happen
    #[arg(long, default_value_t = 1_000, value_name = "N")]
    pub idle: usize,
    /// How many commands a second are executed while delivery is measured
    #[arg(long, default_value_t = 100, value_name = "N")]
    pub pace: u64,
    /// The page of the feed
    #[arg(long, default_value = "/audit?newest_first=true&limit=50", value_name = "PATH")]
    pub feed: String,
    /// A PostgreSQL to measure on, in schemas that are dropped again; without it, SQLite files in the target directory
    #[arg(long, value_name = "URL")]
    pub store: Option<String>,
    /// Write the table to this file too
    #[arg(long, value_name = "FILE")]
    pub markdown: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct Soak {
    /// For how many minutes
    #[arg(long, default_value_t = 3.0, value_name = "N")]
    pub minutes: f64,
    /// How many connections are half open at a time
    #[arg(long, default_value_t = 1_000, value_name = "N")]
    pub half_open: usize,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Arguments::command().debug_assert();
    }
}
