//! The workloads.

use annals_bench_driver::Load;
use clap::ValueEnum;

/// Number of aggregates of the workload `spread`.
const ACCOUNTS: u64 = 1_000;
/// Commands per second of the workload `steady`.
const STEADY: u32 = 5_000;
/// Events of one bulk command.
const BULK: usize = 500;
/// Maximum callers of the workload `bulk`: more of them only wait in a queue.
const BULK_CALLERS: u64 = 8;

/// A workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, ValueEnum)]
pub enum Workload {
    /// One event each, over 1,000 accounts
    Spread,
    /// One event each, all on one account
    Hot,
    /// Five events each, over 1,000 accounts
    Five,
    /// 500 rows each: the maximum throughput of the database
    Bulk,
    /// One event each, 5,000 commands a second: the cost of running projections for writers
    Steady,
}

impl Workload {
    /// All workloads, in the order of the table.
    pub const ALL: [Self; 5] = [Self::Spread, Self::Hot, Self::Five, Self::Bulk, Self::Steady];

    /// The title in the table.
    pub fn title(self) -> &'static str {
        match self {
            Self::Spread => "spread over 1,000",
            Self::Hot => "one hot aggregate",
            Self::Five => "5 events per command",
            Self::Bulk => "500 rows per transaction",
            Self::Steady => "steady 5,000/s",
        }
    }

    /// The numbers of callers of the measurements.
    pub fn callers(self, callers: &[u64]) -> Vec<u64> {
        match self {
            Self::Bulk => callers.iter().copied().filter(|callers| *callers <= BULK_CALLERS).collect(),
            Self::Steady => callers.iter().copied().max().into_iter().collect(),
            _ => callers.to_vec(),
        }
    }

    /// Number of events per command.
    pub fn events(self) -> usize {
        match self {
            Self::Five => 5,
            Self::Bulk => BULK,
            _ => 1,
        }
    }

    /// The task of a process.
    pub fn load(self, callers: u64, seconds: u64) -> Load {
        Load {
            callers: usize::try_from(callers).unwrap_or(usize::MAX),
            accounts: if self == Self::Hot { 1 } else { ACCOUNTS },
            events: self.events(),
            seconds,
            warm_up: 1,
            rate: (self == Self::Steady).then_some(STEADY),
        }
    }
}
