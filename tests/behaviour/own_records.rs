//! The ids and actors of the crate's own records are reserved.

use annals::commands::{Envelope, ExecuteError};
use annals::events::InvalidRef;
use annals::prelude::*;
use annals_test_postgres::Place;
use futures::StreamExt;
use jiff::Timestamp;
use uuid::Uuid;

use crate::bank::*;

annals_test_postgres::both_stores! {
    a_predicted_id_of_a_record_cannot_be_used,
    no_caller_acts_as_a_reserved_actor,
}

fn recording() -> App {
    app().clock(|| "2026-01-01T00:03:00Z".parse::<Timestamp>().unwrap()).record_reads().record_refusals()
}

/// What bob does and is recorded: a read, an export, and a refused command with an id of his.
async fn be_recorded(annals: &Annals) {
    let bob = annals.read_as(&by("bob"));
    bob.view::<Balance>(&account("a")).await.unwrap();
    let csv = annals::projections::export::Format::Csv;
    bob.audit().actor("user:nobody").export(csv).to(&mut Vec::new()).await.unwrap();
    let transfer = Transfer { from: account("a"), to: account("b"), cents: 1 };
    annals.execute(transfer, &by("bob").command_id(Uuid::from_u128(7))).await.unwrap_err();
}

/// The records in the log, with their ids.
async fn recorded(place: &Place) -> Vec<(String, Uuid)> {
    let annals = recording().open(place.url()).await.unwrap();
    let recorded = log(&annals).await.into_iter().map(|event| (event.event_type, event.command_id)).collect();
    annals.close().await;
    recorded
}

/// Guarantee 2 must not serve to suppress a record: a caller that predicts its id cannot use it.
async fn a_predicted_id_of_a_record_cannot_be_used(place: &Place) {
    // Predict the ids on another store.
    let elsewhere = if place.schema().is_some() { Place::postgres() } else { Place::sqlite() };
    let annals = recording().open(elsewhere.url()).await.unwrap();
    be_recorded(&annals).await;
    annals.close().await;
    let mut expected = recorded(&elsewhere).await;
    expected.sort();
    let types: Vec<&str> = expected.iter().map(|(event_type, _)| event_type.as_str()).collect();
    assert_eq!(types, ["annals_read.exported", "annals_read.viewed", "annals_refusal.refused"]);

    let annals = recording().open(place.url()).await.unwrap();
    for (_, id) in &expected {
        for actor in ["bob", "mallory"] {
            let context = by(actor).command_id(*id);
            let errors = [
                annals.execute(deposit("a", 0), &context).await.unwrap_err().to_string(),
                annals
                    .execute_json("open_account", r#"{"account":"z"}"#, &context)
                    .unwrap()
                    .await
                    .unwrap_err()
                    .to_string(),
                {
                    let envelope = Envelope::new(deposit("a", 0), context.clone());
                    let mut answers = annals.execute_all(futures::stream::iter([envelope]), 1).boxed();
                    answers.next().await.unwrap().unwrap_err().to_string()
                },
            ];
            for error in errors {
                assert!(
                    error.contains(&id.to_string()) && error.contains("use a UUID of version 4 or 7"),
                    "{error}"
                );
            }
        }
    }
    let reserved = annals.execute(deposit("a", 0), &by("bob").command_id(expected[0].1)).await.unwrap_err();
    assert!(matches!(reserved, ExecuteError::CommandIdReserved(id) if id == expected[0].1), "{reserved}");
    be_recorded(&annals).await;
    annals.close().await;
    let mut recorded = recorded(place).await;
    recorded.sort();
    assert_eq!(recorded, expected, "everything is recorded, with the predicted ids");
}

async fn no_caller_acts_as_a_reserved_actor(place: &Place) {
    let annals = recording().open(place.url()).await.unwrap();
    for own in ["annals:recorder", "annals_trail:2026-01-01"] {
        let own: Ref = own.parse().unwrap();
        for context in [Context::by(own.clone()), by("bob").on_behalf_of(own.clone())] {
            let error = annals.execute(deposit("a", 1), &context).await.unwrap_err();
            let ExecuteError::Reference(InvalidRef::Reserved(named)) = &error else { panic!("{error}") };
            assert_eq!(named, own.as_str());
            let reader = annals.read_as(&context);
            let denied = reader.view::<Balance>(&account("a")).await.unwrap_err().to_string();
            assert!(denied.contains(own.as_str()), "{denied}");
            let denied = reader.audit().page().await.unwrap_err().to_string();
            assert!(denied.contains(own.as_str()), "{denied}");
        }
    }
    annals.close().await;
    assert_eq!(recorded(place).await, [], "nothing is recorded for a reserved actor");
}
