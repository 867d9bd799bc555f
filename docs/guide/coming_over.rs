use std::sync::Arc;

use annals::commands::PrepareContext;
use annals::prelude::*;
use async_trait::async_trait;
use serde::{Deserialize, Serialize};

/// The id of an account.
#[derive(Id, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountId(String);

/// What happens to an account. The fields are those of the old events, so that old payloads are read as they are.
#[derive(Event, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[event(name = "account", topic = "bank/account", on = BankAccount)]
pub enum AccountEvent {
    #[event(create, "{actor} opened {account}", was("AccountOpened"))]
    Opened { account_id: String },
    #[event(update, "{actor} paid {amount} into {account}", was("CustomerDepositedMoney"))]
    Deposited { amount: f64, balance: f64 },
    #[event(update, "{actor} took {amount} from {account}", was("CustomerWithdrewCash"))]
    Withdrawn { amount: f64, balance: f64 },
    #[event(update, "{actor} wrote check {check_number} over {amount} on {account}", was("CustomerWroteCheck"))]
    CheckWritten { check_number: String, amount: f64, balance: f64 },
}

/// What decisions need to know about an account.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct BankAccount {
    balance: f64,
}

/// Why a command is refused.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum BankError {
    #[error("funds not available")]
    NoFunds,
    #[error("atm rule violation")]
    AtmRule,
    #[error("check invalid")]
    InvalidCheck,
    #[error("event {sequence} of {account} is not the next one to import: the account has {has} events")]
    NotNext { account: AccountId, sequence: u64, has: u64 },
    #[error("`{0}` cannot be imported: {1}")]
    Unreadable(String, String),
}

impl Aggregate for BankAccount {
    const TYPE: &'static str = "account";
    type Id = AccountId;
    type Event = AccountEvent;
    type Error = BankError;

    fn apply(&mut self, event: &AccountEvent) {
        match event {
            AccountEvent::Opened { .. } => {}
            AccountEvent::Deposited { balance, .. }
            | AccountEvent::Withdrawn { balance, .. }
            | AccountEvent::CheckWritten { balance, .. } => self.balance = *balance,
        }
    }
}

impl BankAccount {
    fn less(&self, amount: f64) -> Result<f64, BankError> {
        let balance = self.balance - amount;
        if balance < 0.0 { Err(BankError::NoFunds) } else { Ok(balance) }
    }
}

/// What others decide: the services of the bank.
#[async_trait]
pub trait BankApi: Send + Sync {
    async fn allows_withdrawal(&self, atm_id: &str, amount: f64) -> bool;
    async fn is_valid_check(&self, account: &AccountId, check_number: &str) -> bool;
}

/// Services that allow everything.
pub struct HappyPath;

#[async_trait]
impl BankApi for HappyPath {
    async fn allows_withdrawal(&self, _: &str, _: f64) -> bool {
        true
    }

    async fn is_valid_check(&self, _: &AccountId, _: &str) -> bool {
        true
    }
}

/// Open an account
#[derive(Command, Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct OpenAccount {
    #[on(BankAccount)]
    pub account: AccountId,
}

impl Handle for OpenAccount {
    fn handle(&self, account: &Loaded<BankAccount>, _: &Context) -> Result<Vec<AccountEvent>, BankError> {
        Ok(vec![AccountEvent::Opened { account_id: account.id().text().into_owned() }])
    }
}

/// Pay money in
#[derive(Command, Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct DepositMoney {
    #[on(BankAccount)]
    pub account: AccountId,
    pub amount: f64,
}

impl Handle for DepositMoney {
    fn handle(&self, account: &Loaded<BankAccount>, _: &Context) -> Result<Vec<AccountEvent>, BankError> {
        Ok(vec![AccountEvent::Deposited { amount: self.amount, balance: account.balance + self.amount }])
    }
}

/// Take money out
#[derive(Command, Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[command(needs(dyn BankApi))]
pub struct WithdrawMoney {
    #[on(BankAccount)]
    pub account: AccountId,
    pub amount: f64,
    pub atm_id: String,
}

impl Handle for WithdrawMoney {
    async fn prepare(&mut self, context: &PrepareContext<'_, Self>) -> Result<(), BankError> {
        let allowed = context.service::<dyn BankApi>().allows_withdrawal(&self.atm_id, self.amount).await;
        allowed.then_some(()).ok_or(BankError::AtmRule)
    }

    fn handle(&self, account: &Loaded<BankAccount>, _: &Context) -> Result<Vec<AccountEvent>, BankError> {
        Ok(vec![AccountEvent::Withdrawn { amount: self.amount, balance: account.less(self.amount)? }])
    }
}

/// Write a check
#[derive(Command, Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[command(needs(dyn BankApi))]
pub struct WriteCheck {
    #[on(BankAccount)]
    pub account: AccountId,
    pub check_number: String,
    pub amount: f64,
}

impl Handle for WriteCheck {
    async fn prepare(&mut self, context: &PrepareContext<'_, Self>) -> Result<(), BankError> {
        let valid = context.service::<dyn BankApi>().is_valid_check(&self.account, &self.check_number).await;
        valid.then_some(()).ok_or(BankError::InvalidCheck)
    }

    fn handle(&self, account: &Loaded<BankAccount>, _: &Context) -> Result<Vec<AccountEvent>, BankError> {
        let (check_number, amount) = (self.check_number.clone(), self.amount);
        Ok(vec![AccountEvent::CheckWritten { check_number, amount, balance: account.less(amount)? }])
    }
}

/// An account as its owner sees it: a view.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct AccountView {
    pub balance: f64,
    pub written_checks: Vec<String>,
    pub ledger: Vec<(String, f64)>,
}

impl DocumentView for AccountView {
    const NAME: &'static str = "accounts";
    type Key = AccountId;
    type Events = AccountEvent;
}

impl On<AccountEvent> for AccountView {
    fn keys(event: &Recorded<AccountEvent>) -> Vec<AccountId> {
        event.id().into_iter().collect()
    }

    fn apply(document: &mut Option<Self>, _: &AccountId, event: &Recorded<AccountEvent>) {
        let view = document.get_or_insert_default();
        let (text, amount, balance) = match &event.event {
            AccountEvent::Opened { .. } => return,
            AccountEvent::Deposited { amount, balance } => ("deposit", amount, balance),
            AccountEvent::Withdrawn { amount, balance } => ("atm withdrawal", amount, balance),
            AccountEvent::CheckWritten { check_number, amount, balance } => {
                view.written_checks.push(check_number.clone());
                (check_number.as_str(), amount, balance)
            }
        };
        view.ledger.push((text.to_owned(), *amount));
        view.balance = *balance;
    }
}

/// The application: its services, commands and views.
pub fn app() -> App {
    App::new("bank")
        .service::<dyn BankApi>(Arc::new(HappyPath))
        .command::<OpenAccount>()
        .command::<DepositMoney>()
        .command::<WithdrawMoney>()
        .command::<WriteCheck>()
        .view::<AccountView>()
}
