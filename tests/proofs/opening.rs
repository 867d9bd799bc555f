//! A log that must continue from a checkpoint that was kept elsewhere.

use std::ops::Deref;

use annals::app::OpenError;
use annals::prelude::*;
use annals::proofs::{Checkpoint, ProofError};
use annals_test_postgres::Place;

use crate::beside;
use crate::lab::*;

/// How opening this place fails.
async fn refused(place: &Place, from: &Checkpoint, follow: bool) -> String {
    let app = app().continues_from(from.clone());
    let opened = match follow {
        true => app.open(place.url()).await,
        false => app.open_without_following(place.url()).await,
    };
    match opened {
        Err(OpenError::Proofs(ProofError::NotContinued { size, how })) if size == from.size => how,
        other => panic!("{other:?}"),
    }
}

/// Guarantee 35.
pub async fn only_a_log_that_continues_from_the_given_checkpoint_is_opened(place: &Place) {
    let key = Key::new("example.org/notary");
    let annals = app().open(place.url()).await.unwrap();
    write(&annals, "a", 300).await;
    let older = sign(&annals, &key).await.deref().clone();
    write(&annals, "a", 10).await;
    let last = sign(&annals, &key).await.deref().clone();
    annals.close().await;
    for from in [&older, &last] {
        app().continues_from(from.clone()).open(place.url()).await.unwrap().close().await;
    }

    // An older log, also one that has grown again, with and without a stored tree.
    let restored = beside(place);
    let annals = app().open(restored.url()).await.unwrap();
    write(&annals, "a", 305).await;
    caught_up(&annals).await;
    annals.close().await;
    assert!(refused(&restored, &last, true).await.contains("305 events"));
    assert!(refused(&restored, &older, true).await.contains("has the root"));
    let without_tree = beside(place);
    let annals = app().open_without_following(without_tree.url()).await.unwrap();
    write(&annals, "a", 310).await;
    annals.close().await;
    assert!(refused(&without_tree, &last, false).await.contains("has the root"));

    let off = App::new("notary").command::<WriteNote>().continues_from(last).open(place.url()).await;
    assert!(matches!(off, Err(OpenError::Proofs(ProofError::Off))), "{off:?}");
}

/// Guarantee 35. A backup has no tables of projections: the events are read.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_without_a_stored_tree_is_compared_by_its_events() {
    let (place, key) = (Place::sqlite(), Key::new("example.org/notary"));
    let annals = app().open(place.url()).await.unwrap();
    write(&annals, "a", 1_500).await;
    let last = sign(&annals, &key).await.deref().clone();
    let copy = key.folder.path().join("copy.db");
    annals.backup(&copy, |_, _| {}).await.unwrap();
    annals.close().await;
    let url = format!("sqlite://{}", copy.display());
    app().continues_from(last).open_without_following(&url).await.unwrap().close().await;
}
