//! What every competitor of `annals-bench` shares: the workload, the clock and the counting. A competitor says how one
//! command is executed and how many events its table holds; all else is here, so that it is the same for all.
//!
//! Each measurement is a process of its own ([`serve`]) that reads one [`Job`] and answers with one [`Reply`]: what a
//! competitor keeps in memory, or breaks, concerns no other.
//!
//! ## Layout
//! - `job`: what a process is asked to do, and what it answers
//! - `competitor`: the [`Competitor`] trait
//! - `account`: what happens in an account
//! - `measure`: concurrent callers, timed
//! - `latency`: the time that each took
//! - `worker`: the process
//! - `place`: a schema of its own in Postgres
//! - `memory`: the most that the process ever held

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
