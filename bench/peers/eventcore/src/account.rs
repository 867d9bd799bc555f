//! The account in eventcore.

use annals_bench_driver::Posting;
use eventcore::{Command, CommandError, CommandLogic, Event, NewEvents, StreamId};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AccountEvent {
    Deposited { account: StreamId, posting: Posting, balance: i64 },
}

impl Event for AccountEvent {
    fn stream_id(&self) -> &StreamId {
        let Self::Deposited { account, .. } = self;
        account
    }

    fn event_type_name() -> &'static str {
        "AccountEvent"
    }
}

#[derive(Command)]
pub struct Deposit {
    #[stream]
    pub account: StreamId,
    pub postings: Vec<Posting>,
}

impl CommandLogic for Deposit {
    type Event = AccountEvent;
    /// The balance.
    type State = i64;

    fn apply(&self, _: i64, event: &AccountEvent) -> i64 {
        let AccountEvent::Deposited { balance, .. } = event;
        *balance
    }

    fn handle(&self, mut balance: i64) -> Result<NewEvents<AccountEvent>, CommandError> {
        let mut events = Vec::with_capacity(self.postings.len());
        for posting in &self.postings {
            if posting.cents <= 0 {
                return Err("a deposit must be of more than nothing".into());
            }
            balance += posting.cents;
            let (account, posting) = (self.account.clone(), posting.clone());
            events.push(AccountEvent::Deposited { account, posting, balance });
        }
        Ok(events.into())
    }
}
