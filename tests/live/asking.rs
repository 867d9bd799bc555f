//! Who may ask, and what is recorded of it.

use annals::app::{Ask, Denial};
use annals::commands::Context;
use annals::http::Authentication;
use annals_test_postgres::Place;
use serde_json::json;
use tokio_tungstenite::tungstenite::Error;

use crate::bank::app;
use crate::rpc::Rpc;
use crate::server::Server;
use crate::sse::Sse;

/// A8: where nobody can be believed, nothing opens.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_who_is_not_known_is_let_in() {
    let place = Place::sqlite();
    let annals = app().open(place.url()).await.unwrap();
    let server = Server::serve(annals, "127.0.0.1:0", Authentication::default()).await;
    for path in ["/live/audit", "/live/metrics", "/live/metrics/bank", "/live"] {
        assert_eq!(Sse::ask(&server.url(path), None).await.status(), 401, "{path}");
    }
    let refused = Rpc::open_with(server.address, |_| {}).await.err().unwrap();
    assert!(matches!(&refused, Error::Http(answer) if answer.status() == 401), "{refused:?}");
    server.stop().await;
}

/// A page of another site may not open a WebSocket; one of this site may.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_of_another_site_opens_no_websocket() {
    let place = Place::sqlite();
    let server = Server::start(place.url()).await;
    let from = async |origin: String| {
        Rpc::open_with(server.address, |request| {
            drop(request.headers_mut().insert("origin", origin.parse().unwrap()))
        })
        .await
    };
    for origin in
        ["http://evil.example".to_owned(), "null".to_owned(), format!("http://{}.evil.example", server.address)]
    {
        let refused = from(origin).await.err().unwrap();
        assert!(matches!(&refused, Error::Http(answer) if answer.status() == 403), "{refused:?}");
    }
    assert!(from(format!("http://{}", server.address)).await.is_ok());
    server.stop().await;
}

fn not_for_mallory(context: &Context, ask: &Ask<'_>) -> Result<(), Denial> {
    match ask {
        Ask::Audit { .. } | Ask::Metric { .. } if context.actor().id() == "mallory" => {
            Err(Denial::because("not you"))
        }
        // Who follows bob may not see what he does with money any more, once he does.
        _ => Ok(()),
    }
}

/// D4, A8: what is denied is denied before anything is read; who reads is recorded once, however long he follows.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_follows_is_authorised_and_recorded_like_any_reader() {
    let place = Place::sqlite();
    let app = app().authorise(not_for_mallory).record_reads().record_refusals();
    let annals = app.open(place.url()).await.unwrap();
    let mallory =
        Server::serve(annals.clone(), "127.0.0.1:0", Authentication::trusting("user:mallory".parse().ok())).await;
    let server = Server::serve(annals, "127.0.0.1:0", Authentication::trusting("user:ann".parse().ok())).await;
    for path in ["/live/audit", "/live/audit?until=99", "/live/metrics/bank"] {
        assert_eq!(Sse::ask(&mallory.url(path), None).await.status(), 403, "{path}");
    }
    let mut rpc = Rpc::open(mallory.address).await;
    for method in ["subscribe_audit", "subscribe_metric", "audit", "metric"] {
        assert_eq!(rpc.call(method, json!({})).await.unwrap_err()["code"], -32003, "{method}");
    }
    let mut stream = Sse::open(&server.url("/live/audit?topic=bank"), None).await;
    for n in 1..=3 {
        server.pay("bob", "1", n).await;
        assert_eq!(stream.next().await.unwrap().json()["actor"], "user:bob");
    }
    let head = server.annals.store().head().await.unwrap();
    let read = server.annals.audit().after(head).topic("annals/read").page().await.unwrap();
    let read: Vec<&str> = read.rows.iter().map(|row| row.sentence.as_str()).collect();
    assert_eq!(read, ["user:ann read the audit log: topic bank"]);
    drop(rpc);
    server.stop().await;
}
