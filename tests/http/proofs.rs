//! Proofs over HTTP and on the page.

use std::sync::Arc;

use annals::app::{AccessContext, App, Ask, Denial};
use annals::projections::audit::Detail;
use annals::proofs::{EventProof, Policy, ProofKey, ProofTree, SignedCheckpoint};
use annals_test_postgres::Place;
use serde_json::json;
use tempfile::TempDir;

use crate::bank::app;
use crate::served::Served;

annals_test_postgres::both_stores! {
    checkpoint_tiles_entries_and_proofs_are_static_resources,
    readers_of_metadata_see_proofs_and_others_do_not,
    the_page_shows_the_last_checkpoint_and_gives_proofs,
    without_proofs_there_are_no_such_routes,
}

/// A bank of so many payments, of which all are in the last checkpoint.
async fn some(app: App, place: &Place, payments: i64) -> (Served, TempDir, Arc<ProofKey>) {
    let served = Served::alice(app.proofs(), place).await;
    for cents in 1..=payments {
        served.deposit("a", cents).await;
    }
    let folder = tempfile::tempdir().unwrap();
    let key = Arc::new(ProofKey::create(folder.path().join("proofs.key"), "example.org/bank").unwrap());
    sign(&served, &key).await;
    (served, folder, key)
}

async fn sign(served: &Served, key: &Arc<ProofKey>) {
    let head = served.annals.store().head().await.unwrap();
    served.annals.reading(ProofTree::NAME).unwrap().caught_up(head, None).await.unwrap();
    served.annals.proofs().unwrap().sign(key).await.unwrap();
}

/// Mission X8.
async fn checkpoint_tiles_entries_and_proofs_are_static_resources(place: &Place) {
    let (served, _folder, key) = some(app(), place, 5).await;
    let answer = served.get("/log/checkpoint").await;
    let checkpoint: SignedCheckpoint = answer.text.parse().unwrap();
    checkpoint.verify(&key.public()).unwrap();
    assert_eq!(
        (answer.header("content-type"), answer.header("cache-control")),
        ("text/plain; charset=utf-8", "private, no-cache")
    );
    let events = checkpoint.size;
    for path in [
        format!("/log/tile/0/000.p/{events}"),
        format!("/log/tile/entries/000.p/{events}"),
        "/log/tile/0/000.p/1".to_owned(),
    ] {
        let tile = served.get(&path).await;
        assert_eq!(tile.status, 200, "{path}");
        assert_eq!(tile.header("content-type"), "application/octet-stream", "{path}");
        assert_eq!(tile.header("cache-control"), "private, max-age=31536000, immutable", "{path}");
    }
    let proof: EventProof = served.get("/log/proof/3").await.text.parse().unwrap();
    assert_eq!(proof.verify(&Policy::of_log(key.public())).unwrap().0.position, 3);
    let status = served.get("/log/status").await.json();
    assert_eq!((&status["head"], &status["checkpoint"]["origin"]), (&json!(events), &json!("example.org/bank")));

    // What no checkpoint covers is not there yet.
    served.deposit("b", 1).await;
    let next = events + 1;
    for path in [
        format!("/log/tile/0/000.p/{next}"),
        format!("/log/tile/entries/000.p/{next}"),
        format!("/log/proof/{next}"),
        "/log/tile/0/000".to_owned(),
        "/log/tile/1/000.p/1".to_owned(),
        "/log/tile/0/000.p/0".to_owned(),
        "/log/tile/0/0".to_owned(),
        "/log/tile/data/000".to_owned(),
        "/log/proof/0".to_owned(),
    ] {
        served.get(&path).await.problem(404, "not-found");
    }
    sign(&served, &key).await;
    assert_eq!(served.get(&format!("/log/proof/{next}")).await.status, 200);
    served.stop().await;
}

async fn readers_of_metadata_see_proofs_and_others_do_not(place: &Place) {
    let metadata = |context: &AccessContext, ask: &Ask<'_>| match ask {
        Ask::Audit { detail, .. } if *detail == Detail::Full || context.actor().as_str() != "user:alice" => {
            Err(Denial::because("not you"))
        }
        _ => Ok(()),
    };
    let app = app().record_reads().authorise(move |context: &AccessContext, ask: &Ask<'_>| metadata(context, ask));
    let (served, _folder, _) = some(app, place, 2).await;
    assert_eq!(served.get("/log/checkpoint").await.status, 200);
    assert_eq!(served.get("/log/proof/1").await.status, 200);
    for path in ["/log/checkpoint", "/log/tile/0/000.p/2", "/log/proof/1", "/log/status"] {
        let request = served.client.get(served.url(path)).header("Annals-Actor", "user:bob");
        let answer = crate::served::answer(request).await;
        assert!(answer.problem(403, "denied").contains("not you"), "{path}");
    }
    served.stop().await;
}

async fn the_page_shows_the_last_checkpoint_and_gives_proofs(place: &Place) {
    let (served, _folder, _) = some(app(), place, 2).await;
    let html = |path: &str| served.client.get(served.url(path)).header("accept", "text/html");
    let page = crate::served::answer(html("/verify")).await.text;
    assert!(
        page.contains("example.org/bank")
            && page.contains("/log/checkpoint")
            && page.contains("Get its proof")
            && page.contains("none have cosigned"),
        "{page}"
    );
    let feed = crate::served::answer(html("/")).await.text;
    assert!(feed.contains("/log/proof/1\""), "{feed}");
    let found = served.get("/page/proof?position=2").await;
    assert!(found.text.starts_with("c2sp.org/tlog-proof@v1"), "{found:?}");
    served.stop().await;
}

async fn without_proofs_there_are_no_such_routes(place: &Place) {
    let served = Served::alice(app(), place).await;
    for path in ["/log/checkpoint", "/log/tile/0/000", "/log/proof/1", "/page/proof?position=1"] {
        assert_eq!(served.get(path).await.status, 404, "{path}");
    }
    served.stop().await;
}
