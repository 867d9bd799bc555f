//! The parts of `annals-bench` that all competitors share: workload, clock and counting. A competitor implements how a command is
//! executed and how its events are counted.
//!
//! Each measurement runs in its own process ([`serve`]), which reads one [`Job`] and prints one [`Reply`], so that competitors do not
//! affect each other.
//!
//! ## Layout
//! - `job`: the job of a process and its reply
//! - `competitor`: the [`Competitor`] trait
//! - `account`: the events of an account
//! - `measure`: the measurement of concurrent callers
//! - `latency`: a histogram of latencies
//! - `worker`: the process
//! - `place`: the schema of a measurement in PostgreSQL
//! - `memory`: the peak memory of the process

mod account;
mod competitor;
mod job;
mod latency;
mod measure;
mod memory;
mod place;
mod worker;

pub use account::{Posting, account_name};
pub use competitor::{BoxError, Call, Competitor, LeftOut};
pub use job::{Appended, Filled, Followed, Job, Load, Rebuilt, Reply, Task};
pub use latency::Latencies;
pub use memory::peak_memory;
pub use place::{schema_of, with_search_path};
pub use worker::serve;
