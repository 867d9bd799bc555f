//! Access tokens in use: on a WebSocket, by open streams, with the grants in the log.

use std::time::Duration;

use annals::access::{Access, GrantAccess, RevokeAccess, RevokeToken};
use annals::commands::Context;
use annals::events::Ref;
use annals::http::Authentication;
use annals::tokens::{KeyFile, Keys};
use annals_test_postgres::Place;
use futures::{SinkExt, StreamExt};
use reqwest::Method;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

use crate::access_tokens::{bob, denials, get, in_seconds, minted, narrowed, pay, served};
use crate::bank::app;
use crate::served::{Served, answer};

annals_test_postgres::both_stores! {
    a_call_on_a_websocket_needs_what_its_request_would_need,
    open_streams_end_when_their_token_expires_or_its_key_is_removed,
    a_token_can_use_its_own_grant_only_until_that_or_the_token_is_revoked,
}

type Socket = tokio_tungstenite::WebSocketStream<tokio::net::TcpStream>;

/// Opens a WebSocket with a token. Returns the status of the response if it is refused.
async fn socket(served: &Served, token: &str) -> Result<Socket, u16> {
    let mut request = format!("ws://{}/live", served.address).into_client_request().unwrap();
    request.headers_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    let stream = tokio::net::TcpStream::connect(served.address).await.unwrap();
    match tokio_tungstenite::client_async(request, stream).await {
        Ok((socket, _)) => Ok(socket),
        Err(tokio_tungstenite::tungstenite::Error::Http(response)) => Err(response.status().as_u16()),
        Err(other) => panic!("{other}"),
    }
}

/// Calls a method. Returns the code and the message of the error, if it is one.
async fn call(socket: &mut Socket, method: &str, params: Value) -> Result<Value, (i64, String)> {
    let text = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }).to_string();
    socket.send(Message::text(text)).await.unwrap();
    loop {
        let received = tokio::time::timeout(Duration::from_secs(30), socket.next()).await.expect("a response");
        let text = match received.expect("the connection is open").unwrap() {
            Message::Text(text) => text,
            _ => continue,
        };
        let mut response: Value = serde_json::from_str(text.as_str()).unwrap();
        if response["id"] == 1 {
            return match response.get("error") {
                Some(error) => {
                    Err((error["code"].as_i64().unwrap(), error["message"].as_str().unwrap().to_owned()))
                }
                None => Ok(response["result"].take()),
            };
        }
    }
}

/// A connection is one GET: what is called on it must not be more than the token allows.
async fn a_call_on_a_websocket_needs_what_its_request_would_need(place: &Place) {
    let keys = Keys::generate();
    let served = served(place, &keys).await;
    let token = minted(&keys);
    let deposit = || json!({ "command": "deposit", "body": { "account": "a", "cents": 1 } });
    let denied = |reason: &str| Err((-32003, format!("the token does not allow {reason}")));

    let mut read = socket(&served, &narrowed(&keys, &token, "check if method(\"GET\")")).await.unwrap();
    assert_eq!(call(&mut read, "execute", deposit()).await, denied("this method"));
    call(&mut read, "audit", json!({})).await.unwrap();
    call(&mut read, "subscribe_audit", json!({})).await.unwrap();

    let mut path = narrowed(&keys, &token, "check if path(\"/live\") or path(\"/commands/deposit\")");
    let mut write = socket(&served, &path).await.unwrap();
    call(&mut write, "execute", deposit()).await.unwrap();
    assert_eq!(call(&mut write, "audit", json!({})).await, denied("this path"));
    assert_eq!(call(&mut write, "metric", json!({ "topic": "bank" })).await, denied("this path"));
    assert_eq!(call(&mut write, "subscribe_audit", json!({})).await, denied("this path"));
    assert_eq!(call(&mut write, "subscribe_metric", json!({ "topic": "bank" })).await, denied("this path"));

    path = narrowed(&keys, &token, "check if path(\"/commands/deposit\")");
    assert_eq!(socket(&served, &path).await.unwrap_err(), 403);
    assert_eq!(socket(&served, &narrowed(&keys, &token, "check if observe(false)")).await.unwrap_err(), 403);
    let mut one = socket(&served, &narrowed(&keys, &token, "check if target(\"account%3Aa\")")).await.unwrap();
    call(&mut one, "execute", deposit()).await.unwrap();
    let other = json!({ "command": "deposit", "body": { "account": "b", "cents": 1 } });
    assert!(call(&mut one, "execute", other).await.unwrap_err().1.ends_with("does not allow this target"));
    drop((read, write, one));
    let recorded = denials(served, place).await;
    for what in
        ["POST /commands/deposit", "GET /audit", "GET /live/audit", "GET /metrics/bank", "deposit on account:b"]
    {
        assert!(recorded.iter().any(|(_, recorded, _)| recorded == what), "{what} is not in {recorded:?}");
    }
}

async fn open_streams_end_when_their_token_expires_or_its_key_is_removed(place: &Place) {
    let folder = tempfile::tempdir().unwrap();
    let mut file = KeyFile::create(folder.path().join("tokens.keys")).unwrap();
    let keys = Keys::from_file(folder.path().join("tokens.keys")).await.unwrap();
    let served = served(place, &keys).await;
    let token = minted(&keys);
    let soon = in_seconds(6).strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let short = narrowed(&keys, &token, &format!("check if time($t), $t < {soon}"));
    let open = async |token: &str| {
        let stream = served.request(Method::GET, "/live/audit").bearer_auth(token).send().await.unwrap();
        assert_eq!(stream.status(), 200);
        stream
    };
    let (expiring, revoked) = (open(&short).await, open(&token).await);
    let end = async |stream: reqwest::Response| {
        let rest = tokio::time::timeout(Duration::from_secs(30), stream.text()).await;
        rest.expect("the stream stays open").unwrap()
    };
    let rest = end(expiring).await;
    assert!(rest.contains("event: end") && rest.contains("\"reason\":\"expired\""), "{rest}");
    file.rotate().unwrap();
    file.remove(1).unwrap();
    let rest = end(revoked).await;
    assert!(rest.contains("event: end") && rest.contains("\"reason\":\"revoked\""), "{rest}");
    get(&served, "/audit", &token).await.problem(401, "unauthenticated");
    served.stop().await;
}

async fn a_token_can_use_its_own_grant_only_until_that_or_the_token_is_revoked(place: &Place) {
    let alice: Ref = "user:alice".parse().unwrap();
    let keys = Keys::generate();
    let authentication = Authentication::default().access_tokens(keys.clone());
    let guarded = app().access(Access::new().owner(alice.clone())).record_refusals();
    let served = Served::with(guarded, place, |builder| builder.authentication(authentication)).await;
    let (annals, alice) = (&served.annals, Context::by(alice));
    let mut grants = Vec::new();
    for account in ["a", "b"] {
        let right = format!("execute deposit account:{account}").parse().unwrap();
        annals.execute(GrantAccess::new(bob(), vec![right], "for a test"), &alice).await.unwrap();
        let record = annals.access_of(&bob()).await.unwrap();
        grants.extend(record.grants().keys().find(|id| !grants.contains(*id)).copied());
    }
    let token = keys.signer().unwrap().mint(&bob(), grants[0], Some(in_seconds(600))).unwrap();
    assert_eq!(pay(&served, "a", &token).await.status, 200);
    assert!(pay(&served, "b", &token).await.problem(403, "denied").contains("no right"), "by another grant of bob");
    // Owners have each right; a token of theirs has only that of its grant.
    let owners = keys.signer().unwrap().mint(alice.actor(), grants[0], None).unwrap();
    pay(&served, "a", &owners).await.problem(403, "denied");
    let request = served.request(Method::POST, "/commands/request_access").bearer_auth(&token);
    let more = json!({ "grantee": "user:bob", "rights": ["execute * *"], "why": "more" });
    assert!(answer(request.json(&more)).await.problem(403, "denied").contains("change rights"));

    let narrower = narrowed(&keys, &token, "check if method(\"POST\")");
    assert_eq!(pay(&served, "a", &narrower).await.status, 200);
    let block = keys.verify(&narrower).unwrap().revocation_ids()[1].clone();
    annals.execute(RevokeToken::new(bob(), block, "lost"), &alice).await.unwrap();
    assert!(pay(&served, "a", &narrower).await.problem(403, "denied").contains("the token was revoked"));
    assert_eq!(pay(&served, "a", &token).await.status, 200, "it was narrowed from this one");
    annals.execute(RevokeAccess::new(bob(), grants[0], "over"), &alice).await.unwrap();
    pay(&served, "a", &token).await.problem(403, "denied");
    served.stop().await;
}
