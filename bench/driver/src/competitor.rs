//! The [`Competitor`] trait.

use std::time::Duration;

use async_trait::async_trait;

use crate::{Followed, Posting, Rebuilt, account_name};

/// Any error, of which only the message matters.
pub type BoxError = Box<dyn std::error::Error + Send + Sync + 'static>;

/// Why a competitor cannot run on this machine, which is not a failure.
#[derive(Debug)]
pub struct LeftOut(pub String);

impl std::fmt::Display for LeftOut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for LeftOut {}

/// One command: a deposit into an account, in one posting or several.
#[derive(Clone, Debug)]
pub struct Call {
    /// The number of the caller.
    pub caller: usize,
    /// The number of the account.
    pub account: u64,
    /// Number of events to append.
    pub events: usize,
    /// A unique number among the commands of this caller.
    pub number: u64,
}

impl Call {
    /// The name of the account.
    #[must_use]
    pub fn account_name(&self) -> String {
        account_name(self.account)
    }

    /// The postings of the command, one event each.
    #[must_use]
    pub fn postings(&self) -> Vec<Posting> {
        (0..self.events).map(|index| Posting::new(self.caller, self.number, index)).collect()
    }
}

/// One way to execute commands durably.
#[async_trait]
pub trait Competitor: Send + Sync + 'static {
    /// Loads the account, decides, appends. Returns the number of retries once the events are durable.
    ///
    /// # Errors
    /// When the command was not executed.
    async fn command(&self, call: &Call) -> Result<u64, BoxError>;

    /// The number of events in its table.
    ///
    /// # Errors
    /// When it cannot be read.
    async fn events(&self) -> Result<u64, BoxError>;

    /// The current lag of its projections in events, if they run.
    ///
    /// # Errors
    /// When it cannot be read.
    async fn lag(&self) -> Result<Option<u64>, BoxError> {
        Ok(None)
    }

    /// A remark about the run, after its end.
    ///
    /// # Errors
    /// When it cannot be read.
    async fn note(&self) -> Result<Option<String>, BoxError> {
        Ok(None)
    }

    /// Fills an empty log with events, as fast as possible.
    ///
    /// # Errors
    /// When it fails.
    async fn fill(&self, _events: u64, _accounts: u64) -> Result<(), BoxError> {
        Err(LeftOut("it has no log to be filled".to_owned()).into())
    }

    /// Rebuilds a count and a sum per account from the log, in the standard way of the framework.
    ///
    /// # Errors
    /// When it fails.
    async fn rebuild(&self, _bound: Duration) -> Result<Rebuilt, BoxError> {
        Err(LeftOut("it has no views".to_owned()).into())
    }

    /// Executes commands and measures the delay until a view shows each.
    ///
    /// # Errors
    /// When it fails.
    async fn follow(&self, _time: Duration) -> Result<Followed, BoxError> {
        Err(LeftOut("nothing of it follows the log".to_owned()).into())
    }

    /// Releases all resources.
    async fn close(&self) {}
}
