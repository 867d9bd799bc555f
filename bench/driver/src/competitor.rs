//! The [`Competitor`] trait.

use std::time::Duration;

use async_trait::async_trait;

use crate::{Followed, Posting, Rebuilt, account_name};

/// Any error, where only its words matter.
pub type BoxError = Box<dyn std::error::Error + Send + Sync + 'static>;

/// Why a competitor cannot take part on this machine: not a failure.
#[derive(Debug)]
pub struct LeftOut(pub String);

impl std::fmt::Display for LeftOut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for LeftOut {}

/// One command: pay into an account, in one posting or in several.
#[derive(Clone, Debug)]
pub struct Call {
    /// Which caller asks.
    pub caller: usize,
    /// Which account it is about.
    pub account: u64,
    /// How many events are to be appended.
    pub events: usize,
    /// A number that no other command of this caller has.
    pub number: u64,
}

impl Call {
    /// The account's name.
    #[must_use]
    pub fn account_name(&self) -> String {
        account_name(self.account)
    }

    /// What the command asks for, one event each.
    #[must_use]
    pub fn postings(&self) -> Vec<Posting> {
        (0..self.events).map(|index| Posting::new(self.caller, self.number, index)).collect()
    }
}

/// One way to execute commands durably.
#[async_trait]
pub trait Competitor: Send + Sync + 'static {
    /// Loads the account, decides, appends; answers how often it had to be tried again once the events are durable.
    ///
    /// # Errors
    /// When the command was not executed.
    async fn command(&self, call: &Call) -> Result<u64, BoxError>;

    /// How many events its table holds.
    ///
    /// # Errors
    /// When it cannot be read.
    async fn events(&self) -> Result<u64, BoxError>;

    /// How many events its projections are behind now, if it has any that follow.
    ///
    /// # Errors
    /// When it cannot be read.
    async fn lag(&self) -> Result<Option<u64>, BoxError> {
        Ok(None)
    }

    /// What else must be said about a run that is over.
    ///
    /// # Errors
    /// When it cannot be read.
    async fn note(&self) -> Result<Option<String>, BoxError> {
        Ok(None)
    }

    /// Puts events into an empty log, by whatever way is fastest.
    ///
    /// # Errors
    /// When it cannot.
    async fn fill(&self, _events: u64, _accounts: u64) -> Result<(), BoxError> {
        Err(LeftOut("it has no log to be filled".to_owned()).into())
    }

    /// Makes a count and a sum per account anew from the log, by its stock way.
    ///
    /// # Errors
    /// When it cannot.
    async fn rebuild(&self, _bound: Duration) -> Result<Rebuilt, BoxError> {
        Err(LeftOut("it has no views".to_owned()).into())
    }

    /// Executes commands, and measures how soon each is seen in a view.
    ///
    /// # Errors
    /// When it cannot.
    async fn follow(&self, _time: Duration) -> Result<Followed, BoxError> {
        Err(LeftOut("nothing of it follows the log".to_owned()).into())
    }

    /// Lets go of everything.
    async fn close(&self) {}
}
