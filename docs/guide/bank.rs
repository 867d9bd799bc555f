use annals::prelude::*;
use serde::{Deserialize, Serialize};

/// The id of an account. Its references read `account:7`.
#[derive(Id, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountId(String);

/// What can happen to an account.
#[derive(Event, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[event(name = "account", topic = "bank/account", on = Account)]
pub enum AccountEvent {
    #[event(create, "{actor} opened {account} for {owner}")]
    Opened { owner: String },
    #[event(update, "{actor} paid {cents} cents into {account}")]
    PaidIn { cents: u64 },
    #[event(update, "{actor} moved {cents} cents from {account} to {to}")]
    Sent { #[event(target)] to: AccountId, cents: u64 },
    #[event(update, "{account} received {cents} cents from {from}")]
    Received { #[event(target)] from: AccountId, cents: u64 },
}

/// What decisions need to know about an account.
#[derive(Default, Clone, Serialize, Deserialize)]
pub struct Account {
    open: bool,
    cents: u64,
}

/// Why a command on an account is refused.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum AccountError {
    #[error("{0} does not exist: open it first")]
    Missing(AccountId),
    #[error("{0} already exists")]
    Exists(AccountId),
    #[error("{account} has only {cents} cents")]
    TooLittle { account: AccountId, cents: u64 },
}

impl Aggregate for Account {
    const TYPE: &'static str = "account";
    type Id = AccountId;
    type Event = AccountEvent;
    type Error = AccountError;

    fn apply(&mut self, event: &AccountEvent) {
        match event {
            AccountEvent::Opened { .. } => self.open = true,
            AccountEvent::PaidIn { cents } | AccountEvent::Received { cents, .. } => self.cents += cents,
            AccountEvent::Sent { cents, .. } => self.cents -= cents,
        }
    }
}

impl Account {
    fn ensure_open(&self, id: &AccountId) -> Result<(), AccountError> {
        if self.open { Ok(()) } else { Err(AccountError::Missing(id.clone())) }
    }
}

/// Open an account
#[derive(Command, Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct OpenAccount {
    #[on(Account)]
    pub account: AccountId,
    pub owner: String,
}

impl Handle for OpenAccount {
    fn handle(&self, account: &Loaded<Account>, _: &Context) -> Result<Vec<AccountEvent>, AccountError> {
        if account.open {
            return Err(AccountError::Exists(self.account.clone()));
        }
        Ok(vec![AccountEvent::Opened { owner: self.owner.clone() }])
    }
}

/// Pay money into an account
#[derive(Command, Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct PayIn {
    #[on(Account)]
    pub account: AccountId,
    pub cents: u64,
}

impl Handle for PayIn {
    fn handle(&self, account: &Loaded<Account>, _: &Context) -> Result<Vec<AccountEvent>, AccountError> {
        account.ensure_open(&self.account)?;
        Ok(vec![AccountEvent::PaidIn { cents: self.cents }])
    }
}

/// Move money from one account to another
#[derive(Command, Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Transfer {
    #[on(Account)]
    pub from: AccountId,
    #[on(Account)]
    pub to: AccountId,
    pub cents: u64,
}

impl Handle for Transfer {
    fn handle(
        &self,
        (from, to): (&Loaded<Account>, &Loaded<Account>),
        _: &Context,
    ) -> Result<(Vec<AccountEvent>, Vec<AccountEvent>), AccountError> {
        from.ensure_open(&self.from)?;
        to.ensure_open(&self.to)?;
        if from.cents < self.cents {
            return Err(AccountError::TooLittle { account: self.from.clone(), cents: from.cents });
        }
        let (cents, to, from) = (self.cents, self.to.clone(), self.from.clone());
        Ok((vec![AccountEvent::Sent { to, cents }], vec![AccountEvent::Received { from, cents }]))
    }
}

/// The balance of an account: a view.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Balance {
    pub owner: String,
    pub cents: u64,
}

impl DocumentView for Balance {
    const NAME: &'static str = "balances";
    const FIELDS: &'static [Field<Self>] = &[
        Field::text("owner", |balance| Some(balance.owner.clone())),
        Field::number("cents", |balance| i64::try_from(balance.cents).ok()),
    ];
    type Key = AccountId;
    type Events = AccountEvent;
}

impl On<AccountEvent> for Balance {
    fn keys(event: &Recorded<AccountEvent>) -> Vec<AccountId> {
        event.id().into_iter().collect()
    }

    fn apply(document: &mut Option<Self>, _: &AccountId, event: &Recorded<AccountEvent>) {
        if let AccountEvent::Opened { owner } = &event.event {
            *document = Some(Balance { owner: owner.clone(), cents: 0 });
        }
        let Some(balance) = document else { return };
        match event.event {
            AccountEvent::Opened { .. } => {}
            AccountEvent::PaidIn { cents } | AccountEvent::Received { cents, .. } => balance.cents += cents,
            AccountEvent::Sent { cents, .. } => balance.cents -= cents,
        }
    }
}

/// The application: its commands and views.
pub fn app() -> App {
    App::new("bank").command::<OpenAccount>().command::<PayIn>().command::<Transfer>().view::<Balance>()
}
