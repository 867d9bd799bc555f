//! Access tokens in use: on a WebSocket, by open streams, with the grants in the log.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use annals::access::{Access, AccessView, GrantAccess, RevokeAccess, RevokeToken};
use annals::commands::Context;
use annals::events::Ref;
use annals::http::Authentication;
use annals::tokens::{KeyFile, Keys};
use annals_test_postgres::Place;
use futures::{SinkExt, StreamExt};
use jiff::Timestamp;
use reqwest::Method;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

use crate::access_tokens::{
    bob, denials, get, grant_everything, granting, in_seconds, minted, narrowed, pay, served, served_with,
};
use crate::bank::{self, app};
use crate::served::{Served, answer};
use crate::tokens::{but, ed, jwks, token};

annals_test_postgres::both_stores! {
    a_call_on_a_websocket_needs_what_its_request_would_need,
    open_streams_end_when_their_token_expires_or_its_key_is_removed,
    a_token_can_use_its_own_grant_only_until_that_or_the_token_is_revoked,
    a_token_is_issued_over_http_is_recorded_without_its_text_and_can_be_revoked,
    a_command_that_was_long_on_its_way_is_not_executed_by_a_token_that_expired_meanwhile,
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
    // Parties read their own requests and grants; a token of theirs needs a right to it.
    get(&served, "/views/access/user:bob", &token).await.problem(403, "denied");
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

async fn a_token_is_issued_over_http_is_recorded_without_its_text_and_can_be_revoked(place: &Place) {
    let keys = Keys::generate();
    let jwt = annals::http::Keys::from_jwks(&jwks()).unwrap();
    let authentication = Authentication::bearer(jwt, "bank").access_tokens(keys.clone());
    let served = served_with(place, authentication).await;
    let grant = granting().new_id(0);
    let post = async |path: &str, name: &str, body: Value| {
        let web = token(jsonwebtoken::Algorithm::EdDSA, None, &but(&json!({ "sub": name })), &ed());
        answer(served.request(Method::POST, path).bearer_auth(web).json(&body)).await
    };
    let issue = async |name: &str, body: Value| post("/access/tokens", name, body).await;
    let until = in_seconds(600).to_string();
    let asked = json!({ "grant": grant, "until": until, "why": "a nightly report" });
    let issued = issue("bob", asked.clone()).await;
    assert_eq!((issued.status.as_u16(), issued.header("cache-control")), (200, "no-store"), "{issued:?}");
    let (text, block) = (issued.json()["token"].clone(), issued.json()["block"].clone());
    let text = text.as_str().unwrap();
    assert_eq!(pay(&served, "a", text).await.status, 200);

    let uses = async |name: &str, query: &str| {
        let web = token(jsonwebtoken::Algorithm::EdDSA, None, &but(&json!({ "sub": name })), &ed());
        answer(served.request(Method::GET, &format!("/access/uses{query}")).bearer_auth(web)).await
    };
    let counted = uses("bob", "").await.json();
    let grants = &counted["grants"];
    assert_eq!((&grants[0]["grant"], &grants[0]["uses"]), (&json!(grant), &json!(1)), "{counted}");
    assert_eq!((counted["with_reads"].as_bool(), grants[0]["last"].is_string()), (Some(false), true));
    assert_eq!(uses("alice", "?party=user:bob").await.json()["grants"], *grants);
    assert_eq!(uses("carol", "").await.json()["grants"], json!([]));
    uses("carol", "?party=user:bob").await.problem(403, "denied");

    // Only its holder and owners issue tokens of a grant, and no token issues another one.
    let of_bob = |mut body: Value| {
        body["grantee"] = "user:bob".into();
        body
    };
    assert_eq!(issue("mallory", of_bob(asked.clone())).await.json()["refusal"], "NotAllowed");
    assert_eq!(issue("mallory", asked.clone()).await.json()["refusal"], "NoGrant");
    assert_eq!(issue("alice", of_bob(asked.clone())).await.status, 200);
    let by_token = served.request(Method::POST, "/access/tokens").bearer_auth(text).json(&asked);
    assert!(answer(by_token).await.problem(403, "denied").contains("change rights"));
    assert_eq!(issue("bob", json!({ "grant": grant, "why": " " })).await.json()["refusal"], "Why");
    issue("bob", json!({ "grant": grant, "whY": "x" })).await.problem(400, "malformed");

    let head = served.annals.store().head().await.unwrap();
    let view = served.annals.view::<AccessView>(&bob()).after(head).await.unwrap().unwrap();
    let tokens = &view.grants[0].tokens;
    assert_eq!(tokens.len(), 2, "{tokens:?}");
    assert_eq!((&json!(tokens[0].block), tokens[0].why.as_str()), (&block, "a nightly report"));
    let log = crate::bank::log(&served.annals).await;
    assert!(log.iter().any(|event| event.event_type == "annals_access.token_issued"));
    assert!(log.iter().all(|event| !event.payload.contains(text)), "a reader of the log could use the token");

    let revoke = json!({ "grantee": "user:bob", "block": block, "why": "lost" });
    let revoked = post("/commands/revoke_token", "bob", revoke).await;
    assert_eq!(revoked.status, 200, "{revoked:?}");
    assert!(pay(&served, "a", text).await.problem(403, "denied").contains("revoked"));
    let head = served.annals.store().head().await.unwrap();
    let view = served.annals.view::<AccessView>(&bob()).after(head).await.unwrap().unwrap();
    assert_eq!(view.grants[0].tokens.len(), 1);
    served.stop().await;
}

/// Guarantee 27: time passes while a command is on its way, at one look at the clock or another.
async fn a_command_that_was_long_on_its_way_is_not_executed_by_a_token_that_expired_meanwhile(place: &Place) {
    let keys = Keys::generate();
    let (looks, expires) = (Arc::new(AtomicI64::new(i64::MAX)), Arc::new(AtomicI64::new(0)));
    let (countdown, until) = (looks.clone(), expires.clone());
    let waiting = move || {
        if countdown.fetch_sub(1, Ordering::SeqCst) == 0 {
            while Timestamp::now().as_second() < until.load(Ordering::SeqCst) {
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        Timestamp::now()
    };
    let app = app().access(Access::new().owner(granting().actor().clone())).clock(waiting);
    let authentication = Authentication::default().access_tokens(keys.clone());
    let served = Served::with(app, place, |builder| builder.authentication(authentication)).await;
    grant_everything(&served.annals).await;
    let mut late = 0;
    for after in 0..6 {
        let end = Timestamp::now().as_second() + 2;
        expires.store(end, Ordering::SeqCst);
        let expiry = Some(Timestamp::from_second(end).unwrap());
        let token = keys.signer().unwrap().mint(&bob(), granting().new_id(0), expiry).unwrap();
        looks.store(after, Ordering::SeqCst);
        let paid = pay(&served, "a", &token).await;
        looks.store(i64::MAX, Ordering::SeqCst);
        match paid.status.as_u16() {
            200 => {
                let log = bank::log(&served.annals).await;
                let recorded = log.last().unwrap().recorded_at;
                assert!(recorded.as_second() < end, "recorded at {recorded}, after {after} looks");
            }
            status => {
                assert!(status == 403 && Timestamp::now().as_second() >= end, "{paid:?}");
                late += 1;
            }
        }
    }
    assert!(late > 0, "the token never expired in between");
    served.stop().await;
}
