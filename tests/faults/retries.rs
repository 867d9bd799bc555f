//! A command id that was used before: the caller gets its outcome, whatever has changed since.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use annals::app::{AccessContext, Ask, Denial};
use annals::commands::{Envelope, ExecuteError};
use annals::prelude::*;
use annals_test_postgres::Place;
use futures::StreamExt;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::bank::*;
use crate::processes::PATIENCE;
use crate::unreliable::Unreliable;

annals_test_postgres::both_stores!(
    an_executed_command_is_not_denied_afterwards,
    an_executed_command_is_answered_while_its_service_is_down,
    an_executed_command_in_a_stream_is_answered_too,
    a_command_in_flight_is_not_denied_under_its_own_id,
    another_actor_or_body_under_a_known_id_is_refused_before_any_check,
);

/// The services that are down, by name.
static DOWN: LazyLock<Mutex<HashSet<String>>> = LazyLock::new(Mutex::default);

/// Pay in what a service says that it is worth
#[derive(Command, Clone, Debug, Serialize, Deserialize, JsonSchema)]
struct Appraise {
    #[on(Account)]
    account: AccountId,
    service: String,
}

impl Handle for Appraise {
    async fn prepare(&mut self, _: &PrepareContext<'_, Self>) -> Result<(), BankError> {
        match DOWN.lock().unwrap().contains(&self.service) {
            true => Err(BankError::NotOpen(self.account.clone())),
            false => Ok(()),
        }
    }

    fn handle(&self, _: &Loaded<Account>, _: &Context) -> Result<Vec<AccountEvent>, BankError> {
        Ok(vec![AccountEvent::Deposited { cents: 7 }])
    }
}

/// An application that records refusals, and whose authoriser denies every command once `denies` is set.
fn app_with(denies: &Arc<AtomicBool>) -> App {
    let denies = denies.clone();
    let authorise = move |_: &AccessContext<'_>, ask: &Ask<'_>| match ask {
        Ask::Command { .. } if denies.load(Ordering::SeqCst) => Err(Denial::because("the right is gone")),
        _ => Ok(()),
    };
    app().command::<Appraise>().authorise(authorise).record_refusals()
}

async fn open(place: &Place) -> (Annals, Arc<AtomicBool>) {
    let denies = Arc::new(AtomicBool::new(false));
    (app_with(&denies).open(place.url()).await.unwrap(), denies)
}

/// Closes the application, and returns the number of refusals in its log.
async fn refusals(annals: &Annals, place: &Place) -> usize {
    annals.close().await;
    let again = app_with(&Arc::default()).open(place.url()).await.unwrap();
    let refusals = log(&again).await.into_iter().filter(|event| event.event_type.contains("refus")).count();
    again.close().await;
    refusals
}

async fn an_executed_command_is_not_denied_afterwards(place: &Place) {
    let (annals, denies) = open(place).await;
    let context = by("alice").command_id(Uuid::new_v4());
    let first = annals.execute(deposit("a", 1), &context).await.unwrap();
    denies.store(true, Ordering::SeqCst);
    let again = annals.execute(deposit("a", 1), &context).await.unwrap();
    assert_eq!(again, Receipt { repeated: true, ..first });
    let other = annals.execute(deposit("a", 1), &by("alice").command_id(Uuid::new_v4())).await.unwrap_err();
    assert!(matches!(other, ExecuteError::Denied { .. }), "{other:?}");
    assert_eq!(refusals(&annals, place).await, 1, "only the denied command is recorded");
}

async fn an_executed_command_is_answered_while_its_service_is_down(place: &Place) {
    let (annals, _) = open(place).await;
    let appraise = Appraise { account: account("a"), service: Uuid::new_v4().to_string() };
    let context = by("alice").command_id(Uuid::new_v4());
    let first = annals.execute(appraise.clone(), &context).await.unwrap();
    DOWN.lock().unwrap().insert(appraise.service.clone());
    let again = annals.execute(appraise.clone(), &context).await.unwrap();
    assert_eq!(again, Receipt { repeated: true, ..first });
    let other = annals.execute(appraise, &by("alice").command_id(Uuid::new_v4())).await.unwrap_err();
    assert!(matches!(other, ExecuteError::Refused(BankError::NotOpen(_))), "{other:?}");
    assert_eq!(refusals(&annals, place).await, 1);
}

async fn an_executed_command_in_a_stream_is_answered_too(place: &Place) {
    let (annals, denies) = open(place).await;
    let contexts: Vec<_> = (0..3).map(|_| by("alice").command_id(Uuid::new_v4())).collect();
    let first = annals.execute(deposit("a", 1), &contexts[1]).await.unwrap();
    denies.store(true, Ordering::SeqCst);
    let commands = contexts.iter().map(|context| Envelope::new(deposit("a", 1), context.clone()));
    let answered: Vec<_> = annals.execute_all(futures::stream::iter(commands), 8).collect().await;
    assert!(matches!(answered[0], Err(ExecuteError::Denied { .. })), "{:?}", answered[0]);
    assert_eq!(*answered[1].as_ref().unwrap(), Receipt { repeated: true, ..first });
    assert!(matches!(answered[2], Err(ExecuteError::Denied { .. })), "{:?}", answered[2]);
    assert_eq!(refusals(&annals, place).await, 2);
}

/// Guarantees 1 and 2: the first command is not in the log yet when the second one with its id is denied.
async fn a_command_in_flight_is_not_denied_under_its_own_id(place: &Place) {
    let store = Unreliable::open(place.url()).await;
    let denies = Arc::new(AtomicBool::new(false));
    let annals = app_with(&denies).open_on(store.clone()).await.unwrap();
    let other = Unreliable::open(place.url()).await;
    annals.execute(deposit("a", 1), &by("alice")).await.unwrap();
    let lock = annals::store::Store::write_lock(&*other, PATIENCE, PATIENCE).await.unwrap();
    let context = by("alice").command_id(Uuid::new_v4());
    let run = |annals: Annals, context: Context| {
        tokio::spawn(async move { annals.execute(deposit("a", 1), &context).await })
    };
    let first = run(annals.clone(), context.clone());
    tokio::time::sleep(Duration::from_millis(300)).await;
    denies.store(true, Ordering::SeqCst);
    let second = run(annals.clone(), context);
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!second.is_finished(), "it waits for the outcome of the first");
    drop(lock);
    let first = first.await.unwrap().unwrap();
    assert_eq!(second.await.unwrap().unwrap(), Receipt { repeated: true, ..first });
    assert_eq!(refusals(&annals, place).await, 0);
}

async fn another_actor_or_body_under_a_known_id_is_refused_before_any_check(place: &Place) {
    let (annals, denies) = open(place).await;
    let id = Uuid::new_v4();
    annals.execute(deposit("a", 1), &by("alice").command_id(id)).await.unwrap();
    denies.store(true, Ordering::SeqCst);
    for (command, actor) in [(deposit("a", 2), "alice"), (deposit("a", 1), "mallory")] {
        let error = annals.execute(command, &by(actor).command_id(id)).await.unwrap_err();
        assert!(matches!(error, ExecuteError::CommandIdReused(_)), "{error:?}");
    }
    assert_eq!(refusals(&annals, place).await, 0);
}
