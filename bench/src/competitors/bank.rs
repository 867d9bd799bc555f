//! The application of the benchmark: accounts with deposits, and a view with count and sum of each.

use annals::prelude::*;
use annals_bench_driver::Posting;
use serde::{Deserialize, Serialize};

/// The id of an account.
#[derive(Id, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountId(String);

/// An event of an account.
#[derive(Event, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[event(name = "account", topic = "bank/account", on = Account)]
pub enum AccountEvent {
    /// An amount was deposited.
    #[event(update, "{actor} paid {cents} into {account}: {memo}")]
    Deposited {
        /// Amount in cents.
        cents: i64,
        /// Unique reference.
        reference: String,
        /// Purpose.
        memo: String,
        /// Balance after the deposit.
        balance: i64,
    },
}

/// The state of an account.
#[derive(Default, Clone, Debug, Serialize, Deserialize)]
pub struct Account {
    balance: i64,
}

/// A deposit must be positive.
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

/// A posting of a command.
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

/// Deposit one or several amounts
#[derive(Command, Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Deposit {
    /// The account
    #[on(Account)]
    pub account: AccountId,
    /// The postings
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

/// Count and sum of the deposits of an account.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Totals {
    /// Number of events.
    pub events: u64,
    /// Sum of the deposits in cents.
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
