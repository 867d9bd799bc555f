//! Faults: real processes killed with -9 while they write, follow and rebuild; sockets cut, servers stopped, backups
//! restored under running programs. After each, every promise is looked at.
//!
//! A short run is a part of `scripts/test`. A long one, of 200 rounds say: `scripts/faults 200`, which is
//! `FAULT_ROUNDS=200 cargo nextest run --test faults --all-features --no-fail-fast`.
//!
//! ## Layout
//! - `processes`: this program started again as a writer, a follower, a runner of projections, a server of commands
//! - `promises`: what must hold of a log, its followers and its views, whatever happened
//! - `proxy`: between a program and its server: holds what is sent, cuts the line
//! - `killing`: kill -9, at random and in mid-write; `switching`: around the switch of a rebuild
//! - `leading`: a leader of projections that stands still; old and new programs together; `leases`: who leads, as the
//!   database has it
//! - `lines`: lost answers and cut connections; `stopping`: a server that is stopped at once, or stands still
//! - `lost`: lost answers, errors after them, a writer that panics, on every store; `unreliable`: the layer that brings them
//! - `retries`: an id that was executed before, whatever has changed since
//! - `failover`: to a standby and back, connections that are frozen or closed while nobody uses them; `balancer`: what
//!   leads to one server or another
//! - `tenants`: many stores in one database; `dropping`: applications that are dropped, or outlive their runtime
//! - `races`: two processes, one hot aggregate
//! - `restoring`: an older backup under running programs
//! - `moving`: a store's files removed and moved under running programs
//! - `powercut`: power cuts and failing disks, on SQLite; `disk`: a disk that can lose power
//! - `holding`: what is open for long, while others write

mod balancer;
#[allow(dead_code, reason = "shared with the behaviour tests, which use the rest")]
#[path = "../behaviour/bank.rs"]
mod bank;
#[cfg(target_os = "linux")]
mod disk;
mod dropping;
mod failover;
mod holding;
mod killing;
mod leading;
mod leases;
mod lines;
mod lost;
#[cfg(unix)]
mod moving;
#[cfg(target_os = "linux")]
mod powercut;
mod processes;
mod promises;
mod proxy;
mod races;
mod restoring;
mod retries;
mod stopping;
mod switching;
mod tenants;
mod unreliable;

/// How often a case is tried: a few times in a short run.
fn rounds(few: u64) -> u64 {
    std::env::var("FAULT_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(few)
}

/// A number below `end`, another one in each run.
fn random(end: u64) -> u64 {
    u64::from_be_bytes(uuid::Uuid::new_v4().as_bytes()[8..].try_into().expect("eight bytes")) % end
}
