//! JSON-RPC over WebSocket: each method of the OpenAPI document with each of its parameters.

use std::time::Duration;

use futures::{SinkExt, StreamExt, stream};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

use crate::asking::{Answered, Answers};
use crate::routes::resolved;
use crate::served::Served;
use crate::values::{Known, values};

/// How long the next message may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// The calls: a label, the method and its parameters.
pub fn calls(document: &Value, known: &Known) -> Vec<(String, String, Value)> {
    let mut calls = Vec::new();
    let schema = |to: &Value| resolved(to, document);
    for call in document["components"]["schemas"]["LiveCall"]["oneOf"].as_array().expect("methods") {
        let call = schema(call);
        let method = call["properties"]["method"]["const"].as_str().expect("a method").to_owned();
        let base = match method.as_str() {
            // It is refused, for a reason that shows a value.
            "execute" => json!({ "command": "write_file", "body": { "file": "1", "event": "no event" } }),
            "unsubscribe" => json!({ "subscription": 1 }),
            "metric" | "subscribe_metric" => json!({ "topic": "vault" }),
            "audit" => json!({}),
            // It ends there.
            "subscribe_audit" => json!({ "until": known.end() }),
            other => panic!("add the parameters that the method `{other}` needs to tests/metadata/sockets.rs"),
        };
        calls.push((method.clone(), method.clone(), base.clone()));
        let needed: Vec<String> = base.as_object().into_iter().flatten().map(|(name, _)| name.clone()).collect();
        let parameters = document_properties(&call["properties"]["params"], document);
        for (name, parameter) in parameters.iter().filter(|(name, _)| *name == "until" || !needed.contains(name)) {
            let parameter = schema(parameter);
            for (label, value) in values(&format!("/live {method}"), name, &parameter, known) {
                let value = if parameter["type"] == "array" { json!([value]) } else { value };
                let mut params = base.clone();
                params[name] = value;
                calls.push((format!("{method} {name}={label}"), method.clone(), params));
            }
        }
    }
    assert!(calls.iter().any(|(label, ..)| label.contains("subscribe_audit text=secret")), "{calls:?}");
    calls
}

fn document_properties(params: &Value, document: &Value) -> serde_json::Map<String, Value> {
    let params = match params["$ref"].as_str() {
        Some(to) => document.pointer(to.trim_start_matches('#')).cloned().unwrap_or_default(),
        None => params.clone(),
    };
    match (&params["properties"], params["oneOf"].as_array().and_then(|all| all.first())) {
        (Value::Object(properties), _) => properties.clone(),
        (_, Some(first)) => document_properties(first, document),
        _ => serde_json::Map::new(),
    }
}

/// The answers of an actor, several at a time.
pub async fn ask_all(served: &Served, calls: &[(String, String, Value)], actor: &str) -> Answers {
    let asked = |(label, method, params): &(String, String, Value)| {
        let (label, method, params) = (label.clone(), method.clone(), params.clone());
        async move { (format!("RPC /live {label}"), ask(served, &method, &params, actor).await) }
    };
    let answers: Answers = stream::iter(calls).map(asked).buffer_unordered(4).collect().await;
    assert_eq!(answers.len(), calls.len(), "two calls have one label");
    answers
}

/// All messages of a call, of a connection of its own.
pub async fn ask(served: &Served, method: &str, params: &Value, actor: &str) -> Answered {
    let mut request = format!("ws://{}/live", served.address).into_client_request().unwrap();
    request.headers_mut().insert("annals-actor", actor.parse().unwrap());
    let stream = TcpStream::connect(served.address).await.unwrap();
    let (mut socket, _) = tokio_tungstenite::client_async(request, stream).await.unwrap();
    let call = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
    socket.send(Message::text(call.to_string())).await.unwrap();
    let mut bytes: Vec<u8> = Vec::new();
    // A call has one response; a subscription has its items after it, the last of which is an error. The items of a metric
    // have no end: the first is enough.
    loop {
        let message = tokio::time::timeout(PATIENCE, socket.next()).await.expect("a message").unwrap().unwrap();
        let Message::Text(text) = message else { continue };
        bytes.extend(text.as_bytes().iter().chain(b"\n"));
        let ends = text.contains("\"error\":{") || text.contains("\"metric\":{");
        if ends || !method.starts_with("subscribe") {
            return Answered { status: 0, bytes };
        }
    }
}
