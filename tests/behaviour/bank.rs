//! The application of these tests: accounts, and transfers between them.

use annals::prelude::*;
use annals_test_postgres::Place;
use serde::{Deserialize, Serialize};

#[derive(Id, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountId(String);

#[derive(Event, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[event(name = "account", topic = "bank/account", on = Account)]
pub enum AccountEvent {
    #[event(create, "{actor} opened {account}")]
    Opened,
    #[event(update, "{actor} paid {cents} into {account}")]
    Deposited { cents: i64 },
    #[event(update, "{actor} sent {cents} from {account} to {to}", topic("bank/account", "bank/transfer"))]
    Sent {
        cents: i64,
        #[event(target)]
        to: AccountId,
    },
    #[event(update, "{account} received {cents} from {from}", topic("bank/account", "bank/transfer"))]
    Received {
        cents: i64,
        #[event(target)]
        from: AccountId,
    },
    #[event(delete, "{actor} closed {account}")]
    Closed,
}

#[derive(Default, Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Account {
    pub cents: i64,
    pub open: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BankError {
    #[error("{0} is open already")]
    OpenAlready(AccountId),
    #[error("{0} is not open")]
    NotOpen(AccountId),
    #[error("{0} holds too little")]
    TooLittle(AccountId),
}

impl Aggregate for Account {
    const TYPE: &'static str = "account";
    type Id = AccountId;
    type Event = AccountEvent;
    type Error = BankError;

    fn apply(&mut self, event: &AccountEvent) {
        match event {
            AccountEvent::Opened => self.open = true,
            AccountEvent::Deposited { cents } | AccountEvent::Received { cents, .. } => self.cents += cents,
            AccountEvent::Sent { cents, .. } => self.cents -= cents,
            AccountEvent::Closed => self.open = false,
        }
    }
}

/// Open an account
#[derive(Command, Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct OpenAccount {
    #[on(Account)]
    pub account: AccountId,
}

impl Handle for OpenAccount {
    fn handle(&self, account: &Loaded<Account>, _: &Context) -> Result<Vec<AccountEvent>, BankError> {
        match account.open {
            true => Err(BankError::OpenAlready(self.account.clone())),
            false => Ok(vec![AccountEvent::Opened]),
        }
    }
}

/// Pay in. A payment of 0 decides no events
#[derive(Command, Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Deposit {
    #[on(Account)]
    pub account: AccountId,
    pub cents: i64,
}

impl Handle for Deposit {
    fn handle(&self, _: &Loaded<Account>, _: &Context) -> Result<Vec<AccountEvent>, BankError> {
        assert!(self.cents != i64::MIN, "a handler that panics");
        Ok(match self.cents {
            0 => Vec::new(),
            cents => vec![AccountEvent::Deposited { cents }],
        })
    }
}

/// Pay in an amount that a service returns
#[derive(Command, Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct DepositQuoted {
    #[on(Account)]
    pub account: AccountId,
    #[serde(skip)]
    pub quoted: i64,
}

impl Handle for DepositQuoted {
    async fn prepare(&mut self, _: &PrepareContext<'_, Self>) -> Result<(), BankError> {
        tokio::task::yield_now().await;
        self.quoted = 42;
        Ok(())
    }

    fn handle(&self, _: &Loaded<Account>, _: &Context) -> Result<Vec<AccountEvent>, BankError> {
        Ok(vec![AccountEvent::Deposited { cents: self.quoted }])
    }
}

/// Move money from one account to another
#[derive(Command, Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Transfer {
    #[on(Account)]
    pub from: AccountId,
    #[on(Account)]
    pub to: AccountId,
    pub cents: i64,
}

impl Handle for Transfer {
    fn handle(
        &self,
        (from, to): (&Loaded<Account>, &Loaded<Account>),
        _: &Context,
    ) -> Result<(Vec<AccountEvent>, Vec<AccountEvent>), BankError> {
        if from.cents < self.cents {
            return Err(BankError::TooLittle(self.from.clone()));
        }
        let cents = self.cents;
        Ok((
            vec![AccountEvent::Sent { cents, to: to.id().clone() }],
            vec![AccountEvent::Received { cents, from: from.id().clone() }],
        ))
    }
}

/// Close all of these accounts, or none
#[derive(Command, Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct CloseAccounts {
    #[on(Account)]
    pub accounts: Vec<AccountId>,
}

impl Handle for CloseAccounts {
    fn handle(&self, accounts: Vec<&Loaded<Account>>, _: &Context) -> Result<Vec<Vec<AccountEvent>>, BankError> {
        accounts
            .into_iter()
            .map(|account| match account.open {
                true => Ok(vec![AccountEvent::Closed]),
                false => Err(BankError::NotOpen(account.id().clone())),
            })
            .collect()
    }
}

/// The balance of an account, for reading.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Balance {
    pub cents: i64,
    pub events: u64,
}

impl DocumentView for Balance {
    const NAME: &'static str = "balance";
    const FIELDS: &'static [Field<Self>] = &[
        Field::number("cents", |balance| Some(balance.cents)),
        Field::text("size", |balance| Some(if balance.cents < 100 { "small" } else { "large" }.to_owned())),
    ];
    type Key = AccountId;
    type Events = AccountEvent;
}

impl On<AccountEvent> for Balance {
    fn keys(event: &Recorded<AccountEvent>) -> Vec<AccountId> {
        event.id().into_iter().collect()
    }

    fn apply(document: &mut Option<Self>, _: &AccountId, event: &Recorded<AccountEvent>) {
        let balance = document.get_or_insert_default();
        balance.events += 1;
        match &event.event {
            AccountEvent::Deposited { cents } | AccountEvent::Received { cents, .. } => balance.cents += cents,
            AccountEvent::Sent { cents, .. } => balance.cents -= cents,
            AccountEvent::Opened => {}
            AccountEvent::Closed => *document = None,
        }
    }
}

pub fn app() -> App {
    App::new("bank")
        .command::<OpenAccount>()
        .command::<Deposit>()
        .command::<DepositQuoted>()
        .command::<Transfer>()
        .command::<CloseAccounts>()
        .view::<Balance>()
}

pub async fn open(place: &Place) -> Annals {
    app().open(place.url()).await.expect("a sound application opens on an empty store")
}

pub fn account(name: &str) -> AccountId {
    AccountId::new(name)
}

pub fn deposit(name: &str, cents: i64) -> Deposit {
    Deposit { account: account(name), cents }
}

pub fn by(name: &str) -> Context {
    Context::by(Ref::new("user", name).expect("a name"))
}

/// All events of the log, which is read a page at a time.
pub async fn log(annals: &Annals) -> Vec<annals::events::Stored> {
    let mut log = Vec::new();
    loop {
        let after = log.last().map_or(0, |last: &annals::events::Stored| last.position);
        let page = annals.events(after, 10_000).await.expect("a log").events;
        if page.is_empty() {
            return log;
        }
        log.extend(page);
    }
}
