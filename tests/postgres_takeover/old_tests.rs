//! The tests of the old program, for the test framework of cqrs-es, after mechanical edits: the aggregate is `Cqrs<…>`, the
//! command a struct with a context, the mock a service.

use std::sync::Arc;

use annals::commands::{Command, Context, Handle, Services};
use annals::events::Ref;
use annals::testing::{Cqrs, Decide};
use async_trait::async_trait;
use cqrs_es::test::TestFramework;

use crate::import::bank::{
    AccountEvent, AccountId, BankAccount, BankApi, BankError, DepositMoney, WithdrawMoney, WriteCheck,
};

/// Answers of the services.
struct Mock {
    atm: bool,
    check: bool,
}

#[async_trait]
impl BankApi for Mock {
    async fn allows_withdrawal(&self, _: &str, _: f64) -> bool {
        tokio::task::yield_now().await;
        self.atm
    }

    async fn is_valid_check(&self, _: &AccountId, _: &str) -> bool {
        self.check
    }
}

fn with(mock: Mock) -> TestFramework<Cqrs<BankAccount>> {
    TestFramework::with(Services::default().with::<dyn BankApi>(Arc::new(mock)))
}

fn command<C>(command: C) -> Box<dyn Decide<BankAccount>>
where
    C: Handle + Command<Scope = BankAccount, Error = BankError>,
{
    Cqrs::command(command, Context::by("user:ann".parse::<Ref>().expect("a reference")))
}

fn account() -> AccountId {
    AccountId::new("7")
}

fn withdraw() -> Box<dyn Decide<BankAccount>> {
    command(WithdrawMoney { account: account(), amount: 100.0, atm_id: "ATM34f1ba3c".to_owned() })
}

fn write_check() -> Box<dyn Decide<BankAccount>> {
    command(WriteCheck { account: account(), check_number: "1170".to_owned(), amount: 100.0 })
}

fn deposited(balance: f64) -> AccountEvent {
    AccountEvent::Deposited { amount: 200.0, balance }
}

#[test]
fn a_deposit_adds_to_the_balance() {
    let deposit = || command(DepositMoney { account: account(), amount: 200.0 });
    let services = || Mock { atm: false, check: false };
    with(services()).given_no_previous_events().when(deposit()).then_expect_events(vec![deposited(200.0)]);
    with(services()).given(vec![deposited(200.0)]).when(deposit()).then_expect_events(vec![deposited(400.0)]);
}

/// `prepare` is called, with the services of the test.
#[test]
fn the_services_of_a_test_decide_whether_a_command_is_refused() {
    let funds = || vec![deposited(200.0)];
    let withdrawn = AccountEvent::Withdrawn { amount: 100.0, balance: 100.0 };
    with(Mock { atm: true, check: false }).given(funds()).when(withdraw()).then_expect_events(vec![withdrawn]);
    with(Mock { atm: false, check: true })
        .given(funds())
        .when(withdraw())
        .then_expect_error_message("atm rule violation");
    let written = AccountEvent::CheckWritten { check_number: "1170".to_owned(), amount: 100.0, balance: 100.0 };
    with(Mock { atm: false, check: true }).given(funds()).when(write_check()).then_expect_events(vec![written]);
    with(Mock { atm: true, check: false })
        .given(funds())
        .when(write_check())
        .then_expect_error_message("check invalid");
}

#[test]
fn a_withdrawal_beyond_the_balance_is_refused() {
    with(Mock { atm: true, check: true })
        .given_no_previous_events()
        .when(withdraw())
        .then_expect_error_message("funds not available");
}
