//! The account and its view in cqrs-es.

use annals_bench_driver::Posting;
use cqrs_es::event_sink::EventSink;
use cqrs_es::{Aggregate, DomainEvent, EventEnvelope, View};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Account {
    balance: i64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum AccountEvent {
    Deposited { posting: Posting, balance: i64 },
}

impl DomainEvent for AccountEvent {
    fn event_type(&self) -> String {
        "Deposited".to_owned()
    }

    fn event_version(&self) -> String {
        "1.0".to_owned()
    }
}

#[derive(Debug, thiserror::Error)]
#[error("a deposit must be of more than nothing")]
pub struct Nothing;

impl Aggregate for Account {
    const TYPE: &'static str = "account";
    type Command = Vec<Posting>;
    type Event = AccountEvent;
    type Error = Nothing;
    type Services = ();

    async fn handle(&mut self, postings: Vec<Posting>, (): &(), sink: &EventSink<Self>) -> Result<(), Nothing> {
        for posting in postings {
            if posting.cents <= 0 {
                return Err(Nothing);
            }
            let balance = self.balance + posting.cents;
            sink.write(AccountEvent::Deposited { posting, balance }, self).await;
        }
        Ok(())
    }

    fn apply(&mut self, event: AccountEvent) {
        let AccountEvent::Deposited { balance, .. } = event;
        self.balance = balance;
    }
}

/// A count and a sum.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Totals {
    events: u64,
    cents: i64,
}

impl View<Account> for Totals {
    fn update(&mut self, event: &EventEnvelope<Account>) {
        let AccountEvent::Deposited { posting, .. } = &event.payload;
        self.events += 1;
        self.cents += posting.cents;
    }
}
