//! A query that needs contents is refused to a reader of metadata before anything is read: the time of a refusal does not depend on
//! values.

use std::time::Duration;

use annals::app::Detail;
use annals::prelude::Ref;
use annals::projections::audit::AuditError;
use annals::projections::export::Format;
use annals_test_postgres::{Place, both_stores};
use futures::TryStreamExt;

use crate::counting::Counting;
use crate::logs::{get, known, opened};
use crate::secret::Secret;
use crate::{asking, routes, sockets, vault};

both_stores! {
    a_refusal_over_http_reads_nothing,
    a_refusal_in_the_library_reads_nothing,
}

/// An export asks where the log ends before it is authorised: its record says so. That is the same whatever is in the log.
const ASKS_FOR_THE_HEAD: &str = "GET /audit/export ";

/// Guarantee 26
async fn a_refusal_over_http_reads_nothing(place: &Place) {
    let secret = Secret::new(true);
    let _ = vault::write_files(place.url(), &secret).await;
    let store = Counting::open(place.url()).await;
    let served = opened(vault::read_files_app().open_on(store.clone()).await.unwrap()).await;
    let known = known(&served, &secret).await;
    let document = get(&served, "/openapi.json", "user:root").await;
    let mut refused = Vec::new();
    for call in routes::calls(&served, &document, &known, 0).await {
        let ask = async || asking::ask(&served, &call, "user:meta").await.status == 403;
        let (is_refused, reads) = fewest_reads(&store, ask).await;
        if is_refused {
            refused.push((call.label, reads));
        } else if call.label == "GET /audit " {
            assert!(reads > 0, "reads are not counted");
        }
    }
    for (label, method, params) in sockets::calls(&document, &known) {
        let ask =
            async || sockets::ask(&served, &method, &params, "user:meta").await.text().contains("access denied");
        let (is_refused, reads) = fewest_reads(&store, ask).await;
        if is_refused {
            refused.push((format!("RPC /live {label}"), reads));
        }
    }
    served.stop().await;
    let reading = refused.iter().filter(|(label, reads)| *reads > 0 && !label.starts_with(ASKS_FOR_THE_HEAD));
    let reading: Vec<String> =
        reading.map(|(label, reads)| format!("{label} is refused after {reads} reads")).collect();
    assert!(reading.is_empty(), "{}", reading.join("\n"));
    for needed in [
        "GET /audit text=secret",
        "GET /audit/count text=secret",
        "GET /audit/export text=secret",
        "GET /live/audit text=secret",
        "GET /history text=secret",
        "GET /rows text=secret",
        "GET /events ",
        "GET /events aggregate=\"file:1\"",
        "GET /views/{name} ",
        "GET /views/{name}/{key} ",
        "POST /commands/{name} ",
        "RPC /live audit text=secret",
        "RPC /live subscribe_audit text=secret",
        "RPC /live execute",
    ] {
        assert!(refused.iter().any(|(label, _)| label == needed), "{needed} is not refused: {refused:?}");
    }
}

/// Whether a call is refused, and how much it reads: the fewest of a few times, as streams that are open from before read too.
async fn fewest_reads(store: &Counting, ask: impl AsyncFn() -> bool) -> (bool, usize) {
    let mut fewest = (false, usize::MAX);
    for _ in 0..20 {
        let before = store.reads();
        let is_refused = ask().await;
        fewest = (is_refused, fewest.1.min(store.reads() - before));
        if !is_refused || fewest.1 == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    fewest
}

/// The number of reads, when projections have stopped to read.
async fn settled(store: &Counting) -> usize {
    let mut before = store.reads();
    loop {
        tokio::time::sleep(Duration::from_millis(500)).await;
        match store.reads() {
            now if now == before => return now,
            now => before = now,
        }
    }
}

/// Guarantee 26
async fn a_refusal_in_the_library_reads_nothing(place: &Place) {
    let secret = Secret::new(true);
    let _ = vault::write_files(place.url(), &secret).await;
    let store = Counting::open(place.url()).await;
    let annals = vault::read_files_app().open_on(store.clone()).await.unwrap();
    annals.audit().after(annals.store().head().await.unwrap()).page().await.unwrap();
    annals.views::<vault::Texts>().after(annals.store().head().await.unwrap()).await.unwrap();
    let reader = annals.read_as(&vault::by("meta"));
    let (before, file) = (settled(&store).await, Ref::new("file", "1").unwrap());
    let denied =
        |result: Result<(), AuditError>| assert!(matches!(result, Err(AuditError::Denied { .. })), "{result:?}");
    denied(reader.audit().text(&secret.text).page().await.map(drop));
    denied(reader.audit().text(&secret.text).count().await.map(drop));
    denied(reader.audit().text(&secret.text).stream().try_collect::<Vec<_>>().await.map(drop));
    denied(reader.audit().text(&secret.text).follow().try_collect::<Vec<_>>().await.map(drop));
    denied(reader.audit().detail(Detail::Full).page().await.map(drop));
    reader.lineage(&file).await.unwrap_err();
    reader.events(0, 9).await.unwrap_err();
    reader.history(&file, 0, 9).await.unwrap_err();
    reader.views::<vault::Texts>().await.unwrap_err();
    reader.view::<vault::Texts>(&vault::FileId::new("1")).await.unwrap_err();
    assert_eq!(store.reads(), before);
    let mut exported = Vec::new();
    let export = reader.audit().text(&secret.text).export(Format::Jsonl).to(&mut exported).await;
    let to_existing = store.reads() - before;
    let nothing = reader.audit().text("a text of no event").export(Format::Jsonl).to(&mut exported).await;
    assert!(export.is_err() && nothing.is_err() && exported.is_empty());
    assert_eq!(store.reads() - before, 2 * to_existing, "the number of reads depends on what is in the log");
    annals.close().await;
}
