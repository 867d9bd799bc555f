//! Fault tests: processes are killed with -9 while they write, follow and rebuild; connections are cut, servers
//! stopped, backups restored under running programs. Afterwards all guarantees are checked.
//!
//! A short run is part of `scripts/test`. A long one, for example of 200 rounds, is `scripts/faults 200`, which runs
//! `FAULT_ROUNDS=200 cargo nextest run --test faults --all-features --no-fail-fast`.
//!
//! ## Layout
//! - `bank`: the application under test
//! - `processes`: this program as a child process: a writer, a follower, a runner of projections, a server of commands
//! - `promises`: the guarantees of a log, its followers and its views
//! - `proxy`: a proxy between a program and its server that delays bytes and cuts connections
//! - `killing`: kill -9 at random moments and during writes
//! - `switching`: kill -9 around the switch of a rebuild
//! - `leading`: a stopped leader of projections; old and new programs together
//! - `leases`: the leases in the database
//! - `lines`: lost answers and cut connections
//! - `stopping`: a server that is stopped at once or frozen
//! - `lost`: lost answers, errors after them, a writer that panics, on every store
//! - `unreliable`: a store that injects these faults
//! - `retries`: a command id that was executed before
//! - `failover`: failover to a standby and back, frozen and idle connections
//! - `balancer`: a load balancer
//! - `standbys`: a primary that fails under load, with a synchronous and with an asynchronous standby
//! - `links`: a primary whose link goes down
//! - `callers`: the processes of these tests
//! - `confirming`: answers that wait for a synchronous standby, and cancelled waits
//! - `tails`: projections, cursors and streams of a log that lost its tail in a failover
//! - `standby_reads`: views that are read from a standby
//! - `tenants`: many stores in one database
//! - `dropping`: applications that are dropped, or outlive their runtime
//! - `races`: two processes, one hot aggregate
//! - `revoking`: rights that are withdrawn while two processes execute by them, and are killed
//! - `racers`: the processes of these races
//! - `judge`: says from the log alone whether each event had a right
//! - `erasing`: erasures of processes that are killed
//! - `signing`: signers of checkpoints that are killed
//! - `reacting`: reactions of processes that are killed and stopped
//! - `reactors`: the processes of these tests
//! - `feeding`: feeds of processes that are killed, to brokers that are killed
//! - `receiving`: intakes of processes that are killed and stopped, from brokers that are killed
//! - `brokers`: these brokers
//! - `streaming`: a log on NATS JetStream, in a cluster whose servers fail
//! - `replicas`: the replicas of its stream
//! - `restoring`: an older backup restored under running programs
//! - `moving`: files of a store removed and moved under running programs
//! - `powercut`: power cuts and failing disks, on SQLite
//! - `disk`: a disk that can lose power
//! - `holding`: long snapshots and readers while others write

mod balancer;
#[allow(dead_code, reason = "shared with the behaviour tests, which use the rest")]
#[path = "../behaviour/bank.rs"]
mod bank;
#[allow(dead_code, reason = "shared with the tests of feeds, which use the rest")]
#[path = "../feeds/brokers.rs"]
mod brokers;
mod callers;
mod confirming;
#[cfg(target_os = "linux")]
mod disk;
mod dropping;
mod erasing;
mod failover;
mod feeding;
mod holding;
mod judge;
mod killing;
mod leading;
mod leases;
mod lines;
mod links;
mod lost;
#[cfg(unix)]
mod moving;
#[cfg(target_os = "linux")]
mod powercut;
mod processes;
mod promises;
mod proxy;
mod racers;
mod races;
mod reacting;
mod reactors;
mod receiving;
mod replicas;
mod restoring;
mod retries;
mod revoking;
mod signing;
mod standby_reads;
mod standbys;
mod stopping;
mod streaming;
mod switching;
mod tails;
mod tenants;
mod unreliable;

/// Returns the number of rounds: `few` in a short run.
fn rounds(few: u64) -> u64 {
    std::env::var("FAULT_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(few)
}

/// Returns a random number below `end`.
fn random(end: u64) -> u64 {
    u64::from_be_bytes(uuid::Uuid::new_v4().as_bytes()[8..].try_into().expect("eight bytes")) % end
}
