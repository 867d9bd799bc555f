//! The account in disintegrate.

use annals_bench_driver::Posting;
use disintegrate::{Decision, Event, StateMutate, StateQuery};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Eq, Event, Serialize, Deserialize)]
#[stream(Account, [Deposited])]
pub enum AccountEvent {
    Deposited {
        #[id]
        account: String,
        posting: Posting,
        balance: i64,
    },
}

#[derive(Clone, Debug, Default, StateQuery, Serialize, Deserialize)]
#[state_query(AccountEvent)]
pub struct Balance {
    #[id]
    account: String,
    cents: i64,
}

impl StateMutate for Balance {
    fn mutate(&mut self, event: Self::Event) {
        let AccountEvent::Deposited { balance, .. } = event;
        self.cents = balance;
    }
}

#[derive(Debug, thiserror::Error)]
#[error("a deposit must be of more than nothing")]
pub struct Nothing;

#[derive(Clone)]
pub struct Deposit {
    pub account: String,
    pub postings: Vec<Posting>,
}

impl Decision for Deposit {
    type Event = AccountEvent;
    type StateQuery = Balance;
    type Error = Nothing;

    fn state_query(&self) -> Balance {
        Balance { account: self.account.clone(), cents: 0 }
    }

    fn process(&self, state: &Balance) -> Result<Vec<AccountEvent>, Nothing> {
        let mut balance = state.cents;
        let decide = |posting: &Posting| {
            if posting.cents <= 0 {
                return Err(Nothing);
            }
            balance += posting.cents;
            Ok(AccountEvent::Deposited { account: self.account.clone(), posting: posting.clone(), balance })
        };
        self.postings.iter().map(decide).collect()
    }
}
