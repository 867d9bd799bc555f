//! The application and the steps that these tests share.

use annals::access::{Access, AccessError, GrantAccess, InvalidRight, RevokeAccess, Right};
use annals::commands::ExecuteError;
use annals::events::Stored;
use annals::prelude::*;
use annals::store::Receipt;
use annals_test_postgres::Place;
use uuid::Uuid;

use crate::bank;

/// The bank, owned by alice.
pub fn app() -> App {
    bank::app().access(Access::new().owner(party("alice")))
}

pub async fn open(place: &Place) -> Annals {
    app().open(place.url()).await.unwrap()
}

pub fn party(name: &str) -> Ref {
    Ref::new("user", name).unwrap()
}

pub fn rights<'a>(texts: impl IntoIterator<Item = &'a str>) -> Vec<Right> {
    texts.into_iter().map(str::parse).collect::<Result<_, InvalidRight>>().unwrap()
}

/// The id that the event after this receipt gives to a request or a grant.
pub async fn id_of(annals: &Annals, receipt: &Receipt) -> Uuid {
    let event = &annals.events(receipt.first_position - 1, 1).await.unwrap().events[0];
    match serde_json::from_str::<serde_json::Value>(&event.payload).unwrap() {
        payload if payload["grant"].is_string() => payload["grant"].as_str().unwrap().parse().unwrap(),
        payload => payload["request"].as_str().unwrap().parse().unwrap(),
    }
}

pub async fn grant(annals: &Annals, to: &str, texts: &[&str]) -> Uuid {
    let command = GrantAccess::new(party(to), rights(texts.iter().copied()), "for a test");
    let receipt = annals.execute(command, &bank::by("alice")).await.unwrap();
    id_of(annals, &receipt).await
}

pub async fn revoke(annals: &Annals, from: &str, grant: Uuid) -> Receipt {
    annals.execute(RevokeAccess::new(party(from), grant, "no longer"), &bank::by("alice")).await.unwrap()
}

pub fn is_denied<E: std::fmt::Debug>(result: &Result<Receipt, ExecuteError<E>>) -> bool {
    matches!(result, Err(ExecuteError::Denied { .. }))
}

pub fn refusal(result: Result<Receipt, ExecuteError<AccessError>>) -> AccessError {
    match result {
        Err(ExecuteError::Refused(error)) => error,
        other => panic!("expected a refusal, got {other:?}"),
    }
}

pub async fn log_after(annals: &Annals, mut after: u64) -> Vec<Stored> {
    let mut events = Vec::new();
    loop {
        let page = annals.events(after, 1_000).await.unwrap().events;
        let Some(last) = page.last() else { return events };
        after = last.position;
        events.extend(page);
    }
}
