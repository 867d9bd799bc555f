//! Services and claims: what `prepare` and the authoriser may ask.

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use annals::app::{AccessContext, Ask, Authorise, Denial, OpenError};
use annals::commands::{Envelope, ExecuteError, ServiceType};
use annals::prelude::*;
use annals_test_postgres::Place;
use async_trait::async_trait;
use futures::{StreamExt, stream};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::bank::*;

annals_test_postgres::both_stores! {
    prepare_asks_a_service_and_a_test_replaces_it,
    a_missing_service_is_named_before_the_store_is_opened,
    prepare_that_hangs_fails_in_time_is_not_recorded_and_can_be_tried_again,
    prepare_that_panics_fails_only_its_own_command,
    prepare_reads_what_was_written_before,
    a_role_in_the_log_counts_from_the_answer_that_gives_it_to_the_answer_that_takes_it,
    an_authoriser_that_hangs_denies_in_time,
    load_sees_nothing_that_is_not_durable,
    the_authoriser_sees_the_claims_of_the_token_and_nobody_else_does,
}

#[async_trait]
trait Prices: Send + Sync {
    async fn current(&self) -> i64;
}

struct Fixed(i64);

#[async_trait]
impl Prices for Fixed {
    async fn current(&self) -> i64 {
        self.0
    }
}

/// Hangs until it is repaired.
#[derive(Default)]
struct Hanging {
    repaired: AtomicBool,
}

#[async_trait]
impl Prices for Hanging {
    async fn current(&self) -> i64 {
        if !self.repaired.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        5
    }
}

/// Pay in the current price
#[derive(Command, Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[command(needs(dyn Prices))]
struct PayPrice {
    #[on(Account)]
    account: AccountId,
    #[serde(skip)]
    cents: i64,
}

impl PayPrice {
    fn into(id: &str) -> Self {
        Self { account: account(id), cents: 0 }
    }
}

impl Handle for PayPrice {
    async fn prepare(&mut self, context: &PrepareContext<'_, Self>) -> Result<(), BankError> {
        self.cents = context.service::<dyn Prices>().current().await;
        Ok(())
    }

    fn handle(&self, _: &Loaded<Account>, _: &Context) -> Result<Vec<AccountEvent>, BankError> {
        Ok(vec![AccountEvent::Deposited { cents: self.cents }])
    }
}

fn shop() -> App {
    app().command::<PayPrice>().service::<dyn Prices>(Arc::new(Fixed(7)))
}

async fn cents(annals: &Annals, id: &str) -> i64 {
    annals.load::<Account>(&account(id)).await.unwrap().cents
}

async fn prepare_asks_a_service_and_a_test_replaces_it(place: &Place) {
    let annals = shop().open(place.url()).await.unwrap();
    annals.execute(PayPrice::into("a"), &by("alice")).await.unwrap();
    assert_eq!(cents(&annals, "a").await, 7);
    annals.execute_json("pay_price", r#"{"account":"a"}"#, &by("alice")).unwrap().await.unwrap();
    assert_eq!(cents(&annals, "a").await, 14);
    annals.close().await;

    let annals = shop().service::<dyn Prices>(Arc::new(Fixed(100))).open(place.url()).await.unwrap();
    annals.execute(PayPrice::into("b"), &by("alice")).await.unwrap();
    assert_eq!(cents(&annals, "b").await, 100, "the last service of a type wins");
    annals.close().await;
}

/// An authoriser that asks a service.
struct ByPrice;

#[async_trait]
impl Authorise for ByPrice {
    async fn authorise(&self, access: &AccessContext<'_>, _: &Ask<'_>) -> Result<(), Denial> {
        match access.service::<dyn Prices>()?.current().await {
            7 => Ok(()),
            price => Err(Denial::because(format!("{price} is too much"))),
        }
    }

    fn needs(&self) -> Vec<ServiceType> {
        vec![ServiceType::of::<dyn Prices>()]
    }
}

/// Mission X31.
async fn a_missing_service_is_named_before_the_store_is_opened(place: &Place) {
    let name = std::any::type_name::<dyn Prices>();
    let unsound = app().command::<PayPrice>().check().unwrap_err();
    let add = format!("needs the service `{name}`: add `.service::<{name}>(…)` to the App");
    assert_eq!(unsound.problems, [format!("the command `pay_price` {add}")]);
    let unsound = app().authorise(ByPrice).check().unwrap_err();
    assert_eq!(unsound.problems, [format!("the authoriser {add}")]);
    let error = app().command::<PayPrice>().open(place.url()).await.unwrap_err();
    assert!(matches!(error, OpenError::Unsound(_)), "{error}");

    // A closure declares nothing: it denies.
    let undeclared = |access: &AccessContext<'_>, _: &Ask<'_>| access.service::<dyn Prices>().map(drop);
    let annals = app().authorise(undeclared).open(place.url()).await.unwrap();
    let denied = annals.execute(deposit("a", 1), &by("alice")).await.unwrap_err();
    assert!(
        matches!(&denied, ExecuteError::Denied { reason } if reason == "the authoriser lacks a service"),
        "{denied}"
    );
    annals.close().await;
    let annals = shop().authorise(ByPrice).open(place.url()).await.unwrap();
    annals.execute(deposit("a", 1), &by("alice")).await.unwrap();
    annals.close().await;
    let annals =
        shop().service::<dyn Prices>(Arc::new(Fixed(8))).authorise(ByPrice).open(place.url()).await.unwrap();
    let denied = annals.execute(deposit("a", 1), &by("alice")).await.unwrap_err();
    assert!(matches!(&denied, ExecuteError::Denied { reason } if reason == "8 is too much"), "{denied}");
    annals.close().await;
}

async fn prepare_that_hangs_fails_in_time_is_not_recorded_and_can_be_tried_again(place: &Place) {
    let (limit, prices) = (Duration::from_millis(50), Arc::new(Hanging::default()));
    let app = shop().service::<dyn Prices>(prices.clone()).service_time_limit(limit).record_refusals();
    let annals = app.open(place.url()).await.unwrap();
    let context = by("alice").command_id(uuid::Uuid::new_v4());
    let began = Instant::now();
    for _ in 0..2 {
        let error = annals.execute(PayPrice::into("a"), &context).await.unwrap_err();
        assert!(matches!(error, ExecuteError::PrepareTimedOut { command: "pay_price", .. }), "{error}");
    }
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    prices.repaired.store(true, Ordering::SeqCst);
    let receipt = annals.execute(PayPrice::into("a"), &context).await.unwrap();
    assert!(!receipt.repeated);
    annals.close().await;
    let annals = shop().open(place.url()).await.unwrap();
    let events = annals.events(0, 10).await.unwrap().events;
    let types: Vec<&str> = events.iter().map(|event| event.event_type.as_str()).collect();
    assert_eq!(types, ["account.deposited"], "no refusal is recorded");
    annals.close().await;
}

struct Broken;

#[async_trait]
impl Prices for Broken {
    async fn current(&self) -> i64 {
        panic!("a service with a fault")
    }
}

/// Guarantee 4, for `prepare`: also among commands in a stream.
async fn prepare_that_panics_fails_only_its_own_command(place: &Place) {
    let annals = shop().service::<dyn Prices>(Arc::new(Broken)).open(place.url()).await.unwrap();
    let error = annals.execute(PayPrice::into("a"), &by("alice")).await.unwrap_err();
    assert!(matches!(error, ExecuteError::Panicked("pay_price")), "{error}");
    let commands = vec![
        Envelope::new(deposit("a", 1), by("alice")),
        Envelope::new(PayPrice::into("a"), by("alice")),
        Envelope::new(deposit("a", 2), by("alice")),
    ];
    let results: Vec<_> = annals.execute_all(stream::iter(commands), 8).collect().await;
    let done: Vec<bool> = results.iter().map(Result::is_ok).collect();
    assert_eq!((done, cents(&annals, "a").await), (vec![true, false, true], 3));
    annals.close().await;
}

/// Double what an account holds
#[derive(Command, Clone, Debug, Serialize, Deserialize, JsonSchema)]
struct Double {
    #[on(Account)]
    account: AccountId,
    #[serde(skip)]
    cents: i64,
}

impl Handle for Double {
    async fn prepare(&mut self, context: &PrepareContext<'_, Self>) -> Result<(), BankError> {
        let not_open = || BankError::NotOpen(self.account.clone());
        let held = context.read().load::<Account>(&self.account).await.map_err(|_| not_open())?.cents;
        let listed = context.read().audit().target(format!("account:{}", self.account.text())).count().await;
        assert!(listed.is_ok(), "{listed:?}");
        self.cents = held;
        Ok(())
    }

    fn handle(&self, _: &Loaded<Account>, _: &Context) -> Result<Vec<AccountEvent>, BankError> {
        Ok(vec![AccountEvent::Deposited { cents: self.cents }])
    }
}

async fn prepare_reads_what_was_written_before(place: &Place) {
    let annals = app().command::<Double>().open(place.url()).await.unwrap();
    annals.execute(deposit("a", 3), &by("alice")).await.unwrap();
    for held in [6, 12, 24] {
        annals.execute(Double { account: account("a"), cents: 0 }, &by("alice")).await.unwrap();
        assert_eq!(cents(&annals, "a").await, held);
    }
    annals.close().await;
}

/// Everybody may open and close an account; only while it is open, others may write to it.
struct WhileOpen;

#[async_trait]
impl Authorise for WhileOpen {
    async fn authorise(&self, access: &AccessContext<'_>, ask: &Ask<'_>) -> Result<(), Denial> {
        let Ask::Command { name: "deposit", on: [of] } = ask else { return Ok(()) };
        match access.load::<Account>(&account(of.id())).await?.open {
            true => Ok(()),
            false => Err(Denial::because(format!("{of} is not open"))),
        }
    }
}

/// Mission X31: the authoriser reads its own writes: in this process, in another one, and on the command line.
async fn a_role_in_the_log_counts_from_the_answer_that_gives_it_to_the_answer_that_takes_it(place: &Place) {
    let app = || app().authorise(WhileOpen);
    let one = app().open(place.url()).await.unwrap();
    let other = app().open(place.url()).await.unwrap();
    let open = OpenAccount { account: account("a") };
    let close = CloseAccounts { accounts: vec![account("a")] };
    let denied = |error: &ExecuteError<BankError>| matches!(error, ExecuteError::Denied { reason } if reason == "account:a is not open");
    for _ in 0..20 {
        for annals in [&one, &other] {
            assert!(denied(&annals.execute(deposit("a", 1), &by("bob")).await.unwrap_err()));
        }
        one.execute(open.clone(), &by("alice")).await.unwrap();
        for annals in [&one, &other] {
            annals.execute(deposit("a", 1), &by("bob")).await.unwrap();
        }
        other.execute(close.clone(), &by("alice")).await.unwrap();
    }
    assert_eq!(cents(&one, "a").await, 40);
    one.close().await;
    other.close().await;

    let run = async |command: &str, body: &str| {
        let arguments = ["bank", "execute", command, body, "--as", "user:bob", "--store", place.url()];
        format!("{:?}", app().main_with(arguments).await)
    };
    let [done, denied] = [0, 77].map(|code| format!("{:?}", ExitCode::from(code)));
    assert_eq!(run("deposit", r#"{"account":"a","cents":1}"#).await, denied);
    assert_eq!(run("open_account", r#"{"account":"a"}"#).await, done);
    assert_eq!(run("deposit", r#"{"account":"a","cents":1}"#).await, done);
}

async fn an_authoriser_that_hangs_denies_in_time(place: &Place) {
    let hanging = shop().service::<dyn Prices>(Arc::new(Hanging::default()));
    let annals =
        hanging.authorise(ByPrice).service_time_limit(Duration::from_millis(50)).open(place.url()).await.unwrap();
    let began = Instant::now();
    let denied = annals.execute(deposit("a", 1), &by("alice")).await.unwrap_err();
    let said = "denied: the authoriser did not answer within 50ms: try again";
    assert_eq!(denied.to_string(), said);
    let denied = annals.read_as(&by("alice")).view::<Balance>(&account("a")).await.unwrap_err();
    assert_eq!(denied.to_string(), said);
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    annals.close().await;
}

/// Mission X32: a command whose commit waits is in the state cache already, and may still fail.
async fn load_sees_nothing_that_is_not_durable(place: &Place) {
    let annals = app().open(place.url()).await.unwrap();
    annals.execute(deposit("a", 1), &by("alice")).await.unwrap();
    let hold = Duration::from_secs(20);
    let lock = annals.store().write_lock(hold, hold).await.unwrap();
    let waiting = tokio::spawn({
        let annals = annals.clone();
        async move { annals.execute(deposit("a", 6), &by("alice")).await }
    });
    for _ in 0..20 {
        assert_eq!(cents(&annals, "a").await, 1);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(!waiting.is_finished());
    drop(lock);
    waiting.await.unwrap().unwrap();
    let account = annals.load::<Account>(&account("a")).await.unwrap();
    assert_eq!((account.cents, account.sequence(), account.id().text().as_ref()), (7, 2, "a"));
    assert!(!annals.load::<Account>(&AccountId::new("b")).await.unwrap().exists());
    assert!(annals.load::<Account>(&AccountId::new("")).await.is_err());
    annals.close().await;
}

async fn the_authoriser_sees_the_claims_of_the_token_and_nobody_else_does(place: &Place) {
    let staff = |access: &AccessContext<'_>, _: &Ask<'_>| match access.claim("groups") {
        Some(groups) if *groups == json!(["staff"]) => Ok(()),
        _ => Err(Denial::because(format!("{} is not of the staff", access.actor()))),
    };
    let annals = app().authorise(staff).open(place.url()).await.unwrap();
    let claims = |groups: serde_json::Value| json!({ "groups": groups }).as_object().unwrap().clone();
    let member = by("alice").token_claims(claims(json!(["staff"])));
    for other in [by("alice"), by("alice").token_claims(claims(json!(["guests"])))] {
        let denied = annals.execute(deposit("a", 1), &other).await.unwrap_err();
        assert_eq!(denied.to_string(), "denied: user:alice is not of the staff");
        assert!(annals.read_as(&other).audit().page().await.is_err());
    }
    annals.execute(deposit("a", 1), &member).await.unwrap();
    assert!(annals.read_as(&member).audit().page().await.is_ok());
    let stored = &annals.events(0, 1).await.unwrap().events[0];
    assert_eq!(stored.metadata, r#"{"actor":"user:alice"}"#, "claims are not stored");
    // A retry with another token of the same actor is the same command.
    let id = uuid::Uuid::new_v4();
    annals.execute(deposit("a", 1), &member.clone().command_id(id)).await.unwrap();
    let more = member.token_claims(json!({ "groups": ["staff"], "exp": 7 }).as_object().unwrap().clone());
    assert!(annals.execute(deposit("a", 1), &more.command_id(id)).await.unwrap().repeated);
    annals.close().await;
}

#[tokio::test]
async fn a_scenario_prepares_a_command_with_services() {
    let given = annals::testing::nothing().service::<dyn Prices>(Arc::new(Fixed(3)));
    given.when_prepared(PayPrice::into("a"), by("alice")).await.then(vec![AccountEvent::Deposited { cents: 3 }]);
    let dear = given.service::<dyn Prices>(Arc::new(Fixed(4)));
    dear.when_prepared(PayPrice::into("a"), by("alice")).await.then(vec![AccountEvent::Deposited { cents: 4 }]);
}
