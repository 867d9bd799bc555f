//! Authentication, authorisation, rates, languages and token expiry of streams.

use annals::app::{AccessContext, Ask, Denial};
use annals::http::{Authentication, Keys};
use annals_test_postgres::Place;
use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::json;
use tokio_tungstenite::tungstenite::Error;

use crate::bank::app;
use crate::rpc::Rpc;
use crate::server::Server;
use crate::sse::Sse;

/// Mission A8.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unauthenticated_caller_opens_no_stream() {
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

/// A page of this site may.
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

fn not_for_mallory(context: &AccessContext<'_>, ask: &Ask<'_>) -> Result<(), Denial> {
    match ask {
        Ask::Audit { .. } | Ask::Metric { .. } if context.actor().id() == "mallory" => {
            Err(Denial::because("not you"))
        }
        _ => Ok(()),
    }
}

/// Missions D4 and A8: a denied stream reads nothing. A stream is recorded as one read, however long it is open.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_is_authorised_and_recorded_like_any_read() {
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

/// The rate limit counts all connections of an actor, and no other actor's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_rate_limit_applies_to_all_connections_of_an_actor_and_to_no_other_actor() {
    let place = Place::sqlite();
    let annals = app().open(place.url()).await.unwrap();
    let rate = std::num::NonZeroU32::new(3).unwrap();
    let trusting = Authentication::trusting("user:reader".parse().ok());
    let server = Server::with(annals, "127.0.0.1:0", |builder| builder.authentication(trusting).rate(rate)).await;
    let open = async |who: &'static str| {
        let name = |request: &mut tokio_tungstenite::tungstenite::handshake::client::Request| {
            drop(request.headers_mut().insert("annals-actor", who.parse().unwrap()));
        };
        Rpc::open_with(server.address, name).await.unwrap()
    };
    let (mut greedy, mut again, mut modest) =
        (open("user:greedy").await, open("user:greedy").await, open("user:modest").await);
    let pay = json!({"command": "deposit", "body": {"account": "1", "cents": 1}});
    let mut done = 0;
    for method in ["execute", "audit", "metric", "subscribe_audit", "subscribe_metric"].iter().cycle().take(200) {
        let params = if *method == "execute" { pay.clone() } else { json!({}) };
        let answer = greedy.call(method, params).await;
        // On a busy machine, responses are late, and the rate may not be exceeded yet.
        let Err(error) = answer else {
            done += 1;
            continue;
        };
        assert_eq!((&error["code"], &error["data"]["status"]), (&json!(-32029), &json!(429)), "{error}");
        assert_eq!(modest.call("execute", pay.clone()).await.unwrap()["events"], 1, "another actor");
        let mut refused = false;
        for _ in 0..50 {
            refused |= again.call("audit", json!({})).await.is_err_and(|error| error["code"] == -32029);
        }
        assert!(refused, "another connection of the same actor");
        tokio::time::sleep(std::time::Duration::from_millis(1_500)).await;
        assert!(greedy.call("audit", json!({})).await.is_ok(), "the actor is still limited");
        assert!(done > 0);
        return server.stop().await;
    }
    panic!("two hundred calls were not limited");
}

/// Mission A7: stored and new rows have the requested language. Without one, sentences are as declared, although all
/// subscribers share the rows.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_has_the_requested_language() {
    const FRENCH: &str = "nothing = rien
account =
    .opened = { $actor } a ouvert { $account }
    .deposited = { $actor } a versé { $cents } sur { $account }
    .sent = { $actor } a envoyé { $cents } de { $account } à { $to }
    .received = { $account } a reçu { $cents } de { $from }
    .closed = { $actor } a fermé { $account }
";
    let place = Place::sqlite();
    let annals = app().locale("fr", FRENCH).open(place.url()).await.unwrap();
    let trusting = Authentication::trusting("user:reader".parse().ok());
    let server = Server::serve(annals, "127.0.0.1:0", trusting).await;
    server.pay("ann", "1", 5).await;
    let mut french = Sse::open(&server.url("/live/audit?locale=fr"), None).await;
    let mut ended = Sse::open(&server.url("/live/audit?locale=fr&limit=2&until=9"), None).await;
    let mut declared = Sse::open(&server.url("/live/audit"), None).await;
    let mut rpc = Rpc::open(server.address).await;
    rpc.call("subscribe_audit", json!({"locale": "fr"})).await.unwrap();
    for cents in [5, 6] {
        if cents == 6 {
            server.pay("ann", "1", cents).await;
        }
        let (in_french, as_declared) =
            (format!("user:ann a versé {cents} sur account:1"), format!("user:ann paid {cents} into account:1"));
        for stream in [&mut french, &mut ended] {
            assert_eq!(stream.next().await.unwrap().json()["sentence"], in_french);
        }
        assert_eq!(declared.next().await.unwrap().json()["sentence"], as_declared);
        let row = rpc.notification().await.unwrap();
        assert_eq!(row["params"]["result"]["row"]["sentence"], in_french);
    }
    assert_eq!(ended.next().await.unwrap().json()["reason"], "done");
    assert_eq!(Sse::ask(&server.url("/live/audit?locale=de"), None).await.status(), 400);
    assert_eq!(rpc.call("subscribe_audit", json!({"locale": "de"})).await.unwrap_err()["code"], -32602);
    server.stop().await;
}

const SECRET: &[u8] = b"a secret of thirty-two bytes, at least";

/// A token of user:ann that is accepted for this many seconds: the leeway of 30 s is subtracted from its expiry.
fn token(seconds: i64) -> String {
    let expiry = jiff::Timestamp::now().as_second() - 30 + seconds;
    let claims = json!({ "sub": "ann", "aud": "bank", "exp": expiry });
    encode(&Header::default(), &claims, &EncodingKey::from_secret(SECRET)).unwrap()
}

/// Mission A8: the end has the reason `expired` and a cursor.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_ends_when_its_token_expires_and_resumes_with_another() {
    let place = Place::sqlite();
    let annals = app().open(place.url()).await.unwrap();
    let keys = Authentication::bearer(Keys::from_secret(SECRET).unwrap(), "bank");
    let server = Server::serve(annals, "127.0.0.1:0", keys).await;
    server.pay("bob", "1", 1).await;
    let (short, long) = (token(8), token(600));
    let mut stays = Sse::open_with(&server.url("/live/audit"), None, &long).await;
    assert_eq!(stays.next().await.unwrap().json()["position"], 1);
    let mut streams = Vec::new();
    for path in ["/live/audit", "/live/audit?until=99", "/live/metrics/bank"] {
        let mut stream = Sse::open_with(&server.url(path), None, &short).await;
        streams.push((path, stream.next().await.unwrap().id, stream));
    }
    let mut rpc = Rpc::open_with(server.address, |request| {
        drop(request.headers_mut().insert("authorization", format!("Bearer {short}").parse().unwrap()))
    })
    .await
    .unwrap();
    let subscription = rpc.call("subscribe_audit", json!({})).await.unwrap();
    let row = rpc.notification().await.unwrap();
    for (path, cursor, stream) in &mut streams {
        let end = stream.next().await.expect("the stream has an end");
        assert_eq!((end.name.as_str(), &end.json()["reason"]), ("end", &json!("expired")), "{path}");
        assert_eq!((&end.id, &end.json()["cursor"]), (&*cursor, &json!(cursor)), "{path}");
        assert!(stream.next().await.is_none(), "{path}");
    }
    let end = rpc.notification().await.expect("the stream has an end");
    assert_eq!(end["params"]["subscription"], subscription);
    let (error, cursor) = (&end["params"]["error"], &row["params"]["result"]["cursor"]);
    assert_eq!((&error["code"], &error["data"]["reason"]), (&json!(-32001), &json!("expired")));
    assert_eq!(&error["data"]["cursor"], cursor);
    assert_eq!(rpc.receive().await.unwrap_err().map(|frame| u16::from(frame.code)), Some(1008));
    server.pay("bob", "1", 2).await;
    assert_eq!(stays.next().await.unwrap().json()["position"], 2, "a stream with another token ended");
    let (path, cursor, _) = &streams[0];
    // The token may be valid for up to a second longer.
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    assert_eq!(Sse::ask_with(&server.url(path), Some(cursor), Some(&short)).await.status(), 401);
    let mut again = Sse::open_with(&server.url(path), Some(cursor), &long).await;
    assert_eq!(again.next().await.unwrap().json()["position"], 2);
    server.stop().await;
}
