//! What the commands of a measurement are like.

use annals_bench_driver::Load;
use clap::ValueEnum;

/// Aggregates that commands are spread over.
const ACCOUNTS: u64 = 1_000;
/// The rate that should cost nothing, in commands a second.
const STEADY: u32 = 5_000;
/// Events of one bulk command.
const BULK: usize = 500;
/// Bulk commands of more callers than this only queue up.
const BULK_CALLERS: u64 = 8;

/// What commands are like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, ValueEnum)]
pub enum Workload {
    /// One event each, over 1,000 accounts
    Spread,
    /// One event each, all on one account
    Hot,
    /// Five events each, over 1,000 accounts
    Five,
    /// 500 rows each: what the database takes in at most
    Bulk,
    /// One event each, 5,000 commands a second: what following costs the writers
    Steady,
}

impl Workload {
    /// All, in the order of the table.
    pub const ALL: [Self; 5] = [Self::Spread, Self::Hot, Self::Five, Self::Bulk, Self::Steady];

    /// As the table calls it.
    pub fn title(self) -> &'static str {
        match self {
            Self::Spread => "spread over 1,000",
            Self::Hot => "one hot aggregate",
            Self::Five => "5 events a command",
            Self::Bulk => "500 rows a transaction",
            Self::Steady => "steady 5,000/s",
        }
    }

    /// The numbers of callers that it is measured with.
    pub fn callers(self, callers: &[u64]) -> Vec<u64> {
        match self {
            Self::Bulk => callers.iter().copied().filter(|callers| *callers <= BULK_CALLERS).collect(),
            Self::Steady => callers.iter().copied().max().into_iter().collect(),
            _ => callers.to_vec(),
        }
    }

    /// How many events a command appends.
    pub fn events(self) -> usize {
        match self {
            Self::Five => 5,
            Self::Bulk => BULK,
            _ => 1,
        }
    }

    /// What a process is told.
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
