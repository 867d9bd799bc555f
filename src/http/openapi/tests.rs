//! The messages of live streams match the schemas of the document.

use annals_macros::{Command, Event, Id};
use futures::{SinkExt, StreamExt};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio_tungstenite::tungstenite::Message;

use crate::aggregates::{Aggregate, Loaded};
use crate::app::App;
use crate::commands::{Context, Handle};
use crate::http::Authentication;

#[derive(Id, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct SlateId(String);

#[derive(Event, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[event(name = "slate", on = Slate)]
enum SlateEvent {
    #[event(update, "{actor} wrote {text} on {slate}")]
    Written { text: String },
}

#[derive(Default, Clone, Serialize, Deserialize)]
struct Slate;

#[derive(Debug, thiserror::Error)]
#[error("no")]
struct Refused;

impl Aggregate for Slate {
    const TYPE: &'static str = "slate";
    type Id = SlateId;
    type Event = SlateEvent;
    type Error = Refused;

    fn apply(&mut self, _: &SlateEvent) {}
}

/// Write on a slate
#[derive(Command, Clone, Debug, Serialize, Deserialize, JsonSchema)]
struct Chalk {
    #[on(Slate)]
    slate: SlateId,
    text: String,
}

impl Handle for Chalk {
    fn handle(&self, _: &Loaded<Slate>, _: &Context) -> Result<Vec<SlateEvent>, Refused> {
        match self.text.as_str() {
            "" => Err(Refused),
            text => Ok(vec![SlateEvent::Written { text: text.to_owned() }]),
        }
    }
}

/// The document, which validates values against its schemas.
struct Api(Value);

impl Api {
    /// The validation errors of a value.
    fn faults(&self, schema: &Value, value: &Value) -> Vec<String> {
        let whole = json!({ "$ref": "#/wanted", "wanted": schema, "components": self.0["components"], "paths": self.0["paths"] });
        let validator = jsonschema::draft202012::new(&whole).expect("a schema");
        validator.iter_errors(value).map(|error| error.to_string()).collect()
    }

    fn accepts(&self, schema: &Value, value: &Value) {
        let faults = self.faults(schema, value);
        assert!(faults.is_empty(), "{value}: {faults:?}");
    }

    fn of(&self, path: &str) -> &Value {
        &self.0["paths"][path]["get"]
    }
}

/// Streams and JSON-RPC messages match their descriptions.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn live_streams_match_the_document() {
    let directory = tempfile::TempDir::new().unwrap();
    let url = format!("sqlite://{}", directory.path().join("slates.db").display());
    let annals = App::new("slates").command::<Chalk>().open(&url).await.unwrap();
    let trusting = Authentication::trusting("user:ann".parse().ok());
    let router = crate::http::router(annals.clone()).authentication(trusting).into_router();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let serving = tokio::spawn(crate::http::serve(listener, router, async { drop(stopped.await) }));
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let get = async |path: &str| client.get(format!("http://{address}{path}")).send().await.unwrap();
    let api = Api(get("/openapi.json").await.json().await.unwrap());

    // JSON-RPC: calls, responses and notifications.
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut socket, _) = tokio_tungstenite::client_async(format!("ws://{address}/live"), stream).await.unwrap();
    let messages = &api.of("/live")["x-messages"];
    let calls = [
        ("execute", json!({ "command": "chalk", "body": { "slate": "1", "text": "a" } }), "result"),
        ("execute", json!({ "command": "chalk", "body": { "slate": "1", "text": "" } }), "error"),
        ("audit", json!({ "actor": ["user:ann"], "limit": 3, "names": "now" }), "result"),
        ("metric", json!({ "topic": "slate", "from": "2020-01-01" }), "result"),
        ("subscribe_audit", json!({ "limit": 1 }), "result"),
        ("subscribe_metric", json!({ "topic": "slate" }), "result"),
        ("unsubscribe", json!({ "subscription": 2 }), "result"),
    ];
    let (mut notified, mut ended) = (0, 0);
    for (id, (method, params, outcome)) in calls.into_iter().enumerate() {
        let call = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
        api.accepts(&messages["sent"], &call);
        socket.send(Message::text(call.to_string())).await.unwrap();
        loop {
            let Message::Text(text) = socket.next().await.unwrap().unwrap() else { continue };
            let received: Value = serde_json::from_str(&text).unwrap();
            api.accepts(&messages["received"], &received);
            if received["id"] == json!(id) {
                assert!(!received[outcome].is_null(), "{received}");
                break;
            }
            notified += 1;
            ended += usize::from(received["params"]["error"].is_object());
        }
    }
    assert!(notified >= 2 && ended == 1, "at least a row and an end: {notified}, {ended}");
    // The schemas refuse wrong messages.
    for wrong in [
        json!({ "jsonrpc": "2.0", "method": "eat" }),
        json!({ "jsonrpc": "2.0", "method": "audit", "params": { "actr": ["user:a"] } }),
        json!({ "jsonrpc": "2.0", "method": "execute", "params": { "command": "chalk", "body": { "slate": "1" } } }),
        json!({ "jsonrpc": "2.0", "method": "unsubscribe" }),
    ] {
        assert!(!api.faults(&messages["sent"], &wrong).is_empty(), "{wrong}");
    }
    assert!(!api.faults(&messages["received"], &json!({ "jsonrpc": "2.0", "id": 1 })).is_empty());
    drop(socket);

    // Server-Sent Events, up to the end.
    annals.audit().after(annals.store().head().await.unwrap()).page().await.unwrap();
    let answer = get("/live/audit?limit=1").await;
    let described = &api.of("/live/audit")["responses"]["200"];
    let media = answer.headers()["content-type"].to_str().unwrap().to_owned();
    assert!(described["content"][&media].is_object(), "{media}");
    let text = answer.text().await.unwrap();
    let mut names = Vec::new();
    for event in text.split("\n\n") {
        let line = |name: &str| event.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        let (Some(name), Some(data)) = (line("event"), line("data")) else { continue };
        api.accepts(&described["x-events"][name], &serde_json::from_str(data).unwrap());
        names.push(name);
    }
    assert_eq!(names, ["row", "end"], "{text}");
    // The parameters are those of the routes that return one response.
    for (open, closed, left_out) in [
        ("/live/audit", "/audit", ["after"].as_slice()),
        ("/live/metrics/{topic}", "/metrics/{topic}", &["after", "busiest", "slices", "anomalies"]),
    ] {
        let names = |path: &str| -> Vec<String> {
            let parameters = api.of(path)["parameters"].as_array().expect(path).iter();
            let names = parameters.map(|parameter| parameter["name"].as_str().unwrap().to_owned());
            names.filter(|name| name != "Last-Event-ID" && !left_out.contains(&name.as_str())).collect()
        };
        assert_eq!(names(open), names(closed));
    }
    let _ = stop.send(());
    serving.await.unwrap().unwrap();
    annals.close().await;
}
