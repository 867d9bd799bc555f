//! Older keys, older logs, lost keys.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use annals::app::OpenError;
use annals::commands::ExecuteError;
use annals::personal::StoredKey;
use annals::prelude::*;
use annals::proofs::ProofError;
use annals_test_postgres::Place;

use crate::people::*;

async fn complete(annals: &Annals) {
    let waiting = async {
        while annals.erasures().await.unwrap().iter().any(|erasure| !erasure.is_complete()) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), waiting).await.unwrap();
}

/// Guarantee 39.
pub async fn an_unfinished_erasure_is_completed_at_the_next_start(place: &Place) {
    let keys = TestKeys::default();
    let annals = keys.open(place).await;
    annals.execute(name("7", "Adelheid"), &by("user:op")).await.unwrap();
    let (subject, op) = (reference("user:7"), by("user:op"));
    let decided = tokio::time::timeout(Duration::from_secs(1), annals.erase(&subject, "asked to", &op));
    decided.await.expect_err("it takes five seconds");
    annals.close().await;
    // As if it had ended before the key was destroyed.
    keys.0
        .kept
        .lock()
        .unwrap()
        .insert(reference("user:7"), StoredKey::Key(annals::personal::SubjectKey::random().unwrap()));

    let annals = keys.open(place).await;
    assert!(!keys.0.has_key("user:7"), "before it answers anything");
    complete(&annals).await;
    assert_eq!(log_text(&annals).await.matches("annals_subject.").count(), 2);
    annals.close().await;
}

/// Guarantee 41.
pub async fn a_restored_key_store_loses_the_keys_of_erased_subjects_again(place: &Place) {
    let keys = TestKeys::default();
    let annals = keys.open(place).await;
    annals.execute(name("7", "Adelheid"), &by("user:op")).await.unwrap();
    annals.execute(name("8", "Berta"), &by("user:op")).await.unwrap();
    let backup = keys.0.kept.lock().unwrap().clone();
    annals.erase(&reference("user:7"), "asked to", &by("user:op")).await.unwrap();
    annals.close().await;

    *keys.0.kept.lock().unwrap() = backup;
    assert!(keys.0.has_key("user:7"));
    let annals = keys.open(place).await;
    assert!(!keys.0.has_key("user:7") && keys.0.has_key("user:8"));
    let said = sentences(&annals).await;
    assert_eq!(said[0], "user:op registered user:7 as [erased]");
    assert_eq!(said[1], "user:op registered user:8 as Berta");
    annals.close().await;
}

/// Guarantee 41. The same keys with a log that does not know of the erasure: what the key store says holds.
pub async fn an_older_log_with_newer_keys_stays_erased(place: &Place) {
    let keys = TestKeys::default();
    let annals = keys.open(place).await;
    annals.execute(name("7", "Adelheid"), &by("user:op")).await.unwrap();
    keys.0.kept.lock().unwrap().insert(reference("user:7"), StoredKey::Erased);
    annals.close().await;

    let annals = keys.open(place).await;
    assert_eq!(sentences(&annals).await, ["user:op registered user:7 as [erased]"]);
    let new = Introduce { user: user("8"), friend: user("7"), called: "Ada".to_owned(), own: "Berta".to_owned() };
    let refused = annals.execute(new, &by("user:op")).await.unwrap_err();
    assert!(matches!(&refused, ExecuteError::Erased(subject) if *subject == reference("user:7")), "{refused:?}");
    annals.close().await;
}

/// Guarantee 41. The one combination that brings a key back, and what prevents it: a checkpoint from outside.
pub async fn an_older_log_with_older_keys_needs_a_checkpoint_from_outside(place: &Place) {
    let keys = TestKeys::default();
    let open = || app().proofs().keys(keys.keys());
    let older = match place.schema() {
        Some(_) => Place::postgres(),
        None => Place::sqlite(),
    };
    // What a backup before the erasure has: the first event, and the key.
    for place in [place, &older] {
        let annals = open().open(place.url()).await.unwrap();
        annals.execute(name("7", "Adelheid"), &by("user:op")).await.unwrap();
        annals.close().await;
    }
    let backup = keys.0.kept.lock().unwrap().clone();
    let annals = open().open(place.url()).await.unwrap();
    annals.erase(&reference("user:7"), "asked to", &by("user:op")).await.unwrap();
    let (folder, head) = (tempfile::tempdir().unwrap(), annals.store().head().await.unwrap());
    annals.reading("proofs").unwrap().caught_up(head, None).await.unwrap();
    let key = annals::proofs::ProofKey::create(folder.path().join("proofs.key"), "example.org/people").unwrap();
    let signed = annals.proofs().unwrap().sign(&Arc::new(key)).await.unwrap();
    annals.close().await;

    *keys.0.kept.lock().unwrap() = backup;
    let annals = open().open(older.url()).await.unwrap();
    assert_eq!(sentences(&annals).await, ["user:op registered user:7 as Adelheid"], "nothing says otherwise");
    annals.close().await;
    let refused = open().continues_from(signed.deref().clone()).open(older.url()).await.unwrap_err();
    assert!(matches!(refused, OpenError::Proofs(ProofError::NotContinued { .. })), "{refused:?}");

    // The log of today destroys the key again.
    let annals = open().continues_from(signed.deref().clone()).open(place.url()).await.unwrap();
    assert_eq!(sentences(&annals).await[0], "user:op registered user:7 as [erased]");
    assert!(!keys.0.has_key("user:7"));
    annals.close().await;
}

pub async fn a_lost_key_is_an_error_and_not_an_erasure(place: &Place) {
    let keys = TestKeys::default();
    let annals = keys.open(place).await;
    annals.execute(name("7", "Adelheid"), &by("user:op")).await.unwrap();
    annals.close().await;

    keys.0.kept.lock().unwrap().clear();
    let annals = keys.open(place).await;
    let failed = annals.execute(Greet { user: user("7") }, &by("user:op")).await.unwrap_err();
    assert!(matches!(failed, ExecuteError::Keys(_)), "{failed:?}");
    assert_eq!(sentences(&annals).await, ["user:op registered user:7 as [personal]"]);
    annals.close().await;
}
