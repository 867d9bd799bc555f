//! The application of the benchmark: accounts, what is paid into them, and a count and a sum of each.

use annals::prelude::*;
use annals_bench_driver::Posting;
use serde::{Deserialize, Serialize};

/// Which account.
#[derive(Id, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountId(String);

/// What happens in an account.
#[derive(Event, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[event(name = "account", topic = "bank/account", on = Account)]
pub enum AccountEvent {
    /// Something was paid in.
    #[event(update, "{actor} paid {cents} into {account}: {memo}")]
    Deposited {
        /// How much.
        cents: i64,
        /// What it is known by.
        reference: String,
        /// What it is for.
        memo: String,
        /// What is in the account now.
        balance: i64,
    },
}

/// What a deposit is decided on.
#[derive(Default, Clone, Debug, Serialize, Deserialize)]
pub struct Account {
    balance: i64,
}

/// A deposit must be of more than nothing.
#[derive(Debug, thiserror::Error)]
#[error("a deposit must be of more than nothing")]
pub struct Nothing;

impl Aggregate for Account {
    const TYPE: &'static str = "account";
    type Id = AccountId;
    type Event = AccountEvent;
    type Error = Nothing;

    fn apply(&mut self, event: &AccountEvent) {
        let AccountEvent::Deposited { balance, .. } = event;
        self.balance = *balance;
    }
}

/// A payment, as a command has it.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Payment {
    cents: i64,
    reference: String,
    memo: String,
}

impl From<Posting> for Payment {
    fn from(Posting { cents, reference, memo }: Posting) -> Self {
        Self { cents, reference, memo }
    }
}

/// Pay in, once or more often.
#[derive(Command, Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Deposit {
    /// Where to.
    #[on(Account)]
    pub account: AccountId,
    /// What.
    pub payments: Vec<Payment>,
}

impl Handle for Deposit {
    fn handle(&self, account: &Loaded<Account>, _: &Context) -> Result<Vec<AccountEvent>, Nothing> {
        let mut balance = account.balance;
        let decide = |payment: &Payment| {
            let Payment { cents, reference, memo } = payment.clone();
            if cents <= 0 {
                return Err(Nothing);
            }
            balance += cents;
            Ok(AccountEvent::Deposited { cents, reference, memo, balance })
        };
        self.payments.iter().map(decide).collect()
    }
}

/// A count and a sum of each account.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Totals {
    /// How many events.
    pub events: u64,
    /// What was paid in.
    pub cents: i64,
}

impl DocumentView for Totals {
    const NAME: &'static str = "totals";
    type Key = AccountId;
    type Events = AccountEvent;
}

impl On<AccountEvent> for Totals {
    fn keys(event: &Recorded<AccountEvent>) -> Vec<AccountId> {
        event.id().into_iter().collect()
    }

    fn apply(document: &mut Option<Self>, _: &AccountId, event: &Recorded<AccountEvent>) {
        let AccountEvent::Deposited { cents, .. } = &event.event;
        let totals = document.get_or_insert_default();
        totals.events += 1;
        totals.cents += cents;
    }
}

/// The application, not yet opened.
#[must_use]
pub fn app() -> App {
    App::new("bench").command::<Deposit>().view::<Totals>()
}
