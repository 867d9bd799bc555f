//! Command ids, refusals and records of commands with personal fields.

use annals::commands::ExecuteError;
use annals::prelude::*;
use annals_test_postgres::Place;
use sha2::{Digest, Sha256};

use crate::people::*;

fn with_id(actor: &str, id: u128) -> Context {
    by(actor).command_id(uuid(id))
}

fn uuid(id: u128) -> uuid::Uuid {
    uuid::Builder::from_random_bytes(id.to_be_bytes()).into_uuid()
}

/// Guarantee 42.
pub async fn a_command_id_is_repeated_with_the_same_value_and_reused_with_another(place: &Place) {
    let keys = TestKeys::default();
    let annals = keys.open(place).await;
    // The subject has no key when the first one is received.
    let first = annals.execute(name("7", "Adelheid"), &with_id("user:op", 1)).await.unwrap();
    // A command without events leaves its digest too.
    let nothing = annals.execute(name("7", "Adelheid"), &with_id("user:op", 2)).await.unwrap();
    assert_eq!((first.repeated, first.events, nothing.events), (false, 1, 0));
    annals.close().await;

    let annals = keys.open(place).await;
    for (id, receipt) in [(1, first), (2, nothing)] {
        let again = annals.execute(name("7", "Adelheid"), &with_id("user:op", id)).await.unwrap();
        assert_eq!((again.repeated, again.first_position), (true, receipt.first_position));
        let other = annals.execute(name("7", "Berta"), &with_id("user:op", id)).await.unwrap_err();
        assert!(matches!(other, ExecuteError::CommandIdReused(_)), "{other:?}");
        let other = annals.execute(name("7", "Adelheid"), &with_id("user:other", id)).await.unwrap_err();
        assert!(matches!(other, ExecuteError::CommandIdReused(_)), "{other:?}");
    }

    // Nobody without the key can try out names.
    let known = annals.store().find_commands(&[uuid(1)]).await.unwrap().remove(0).unwrap();
    let unkeyed = Sha256::new()
        .chain_update("name\0user:op\0\0")
        .chain_update(r#"{"user":"user:7","name":"Adelheid"}"#)
        .finalize();
    assert_ne!(known.body_digest[..], unkeyed[..]);
    annals.close().await;
}

pub async fn a_known_id_of_an_erased_subject_gets_its_receipt(place: &Place) {
    let keys = TestKeys::default();
    let annals = keys.open(place).await;
    let first = annals.execute(name("7", "Adelheid"), &with_id("user:op", 1)).await.unwrap();
    annals.erase(&reference("user:7"), "asked to", &by("user:op")).await.unwrap();
    let again = annals.execute(name("7", "Adelheid"), &with_id("user:op", 1)).await.unwrap();
    assert_eq!((again.repeated, again.first_position), (true, first.first_position));
    let other = annals.execute(name("7", "Adelheid"), &with_id("user:other", 1)).await.unwrap_err();
    assert!(matches!(other, ExecuteError::CommandIdReused(_)), "{other:?}");
    let other = annals.execute(Greet { user: user("7") }, &with_id("user:op", 1)).await.unwrap_err();
    assert!(matches!(other, ExecuteError::CommandIdReused(_)), "{other:?}");
    let other = annals.execute(name("7", "Adelheid"), &with_id("user:op", 3)).await.unwrap_err();
    assert!(matches!(&other, ExecuteError::Refused(UserError::Erased)), "{other:?}");
    annals.close().await;
}

/// Guarantee 42.
pub async fn a_refusal_is_recorded_without_its_reason_if_that_may_repeat_a_value(place: &Place) {
    let keys = TestKeys::default();
    let annals = app().record_refusals().keys(keys.keys()).open(place.url()).await.unwrap();
    annals.execute(name("7", "Ada!"), &by("user:op")).await.unwrap_err();
    annals.execute(name("7", "Adelheid"), &by("user:op")).await.unwrap();
    for _ in 0..3 {
        annals.execute(Greet { user: user("7") }, &by("user:op")).await.unwrap();
    }
    let often = annals.execute(Greet { user: user("7") }, &by("user:op")).await.unwrap_err();
    assert_eq!(often.to_string(), "Adelheid was greeted often enough", "the caller gets the reason");
    annals.execute(Greet { user: user("8") }, &by("user:op")).await.unwrap_err();
    annals.close().await;

    let annals = keys.open(place).await;
    let log = log_text(&annals).await;
    assert!(!log.contains("Ada!") && !log.contains("Adelheid"), "{log}");
    assert_eq!(log.matches("[personal] (UserError)").count(), 2, "{log}");
    assert!(log.contains("the name of the user is erased"), "a reason that has opened nothing is kept: {log}");
    annals.close().await;
}
