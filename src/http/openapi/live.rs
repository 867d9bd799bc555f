//! What stays open, described in the words that the rest of the document has for it.
//!
//! OpenAPI says how a stream begins, not what comes in it: the events of a stream are under `x-events`, the messages of
//! JSON-RPC under `x-messages`, each as a schema.

use serde_json::{Map, Value, json};

use crate::commands::CommandInfo;

const TAG: &str = "live";

/// Puts the routes of what stays open among the others, and what is sent over them among the schemas.
pub(super) fn describe<'a>(
    paths: &mut Map<String, Value>,
    schemas: &mut Value,
    commands: impl Iterator<Item = &'a CommandInfo>,
) {
    let names = commands.map(|info| info.name).filter(|name| paths.contains_key(&format!("/commands/{name}")));
    let executed: Vec<Value> = names.map(execute).collect();
    let audit = parameters(paths, "/audit", |name| name != "after");
    let metric = parameters(paths, "/metrics/", |name| matches!(name, "from" | "until"));
    let topic = parameters(paths, "/metrics/{topic}", |name| name == "topic");
    add_messages(schemas, &audit, &metric, &executed);
    let rows = stream(
        "follow_audit",
        "Who did what, as it happens: Server-Sent Events",
        "Rows of the audit log, oldest first: those that are stored, then each as it comes, in the words of `/audit`. \
         Without a `limit` or an end of the range it goes on.",
        &audit,
        "row",
        &json!({ "$ref": "#/components/schemas/AuditRow" }),
    );
    let numbers = |id: &str, words: &str, parameters: &[Value]| {
        let description = "As they are, then each change. Who is slow gets the latest.";
        stream(id, words, description, parameters, "metric", &json!({ "$ref": "#/components/schemas/Metric" }))
    };
    let of_topic = [topic, metric.clone()].concat();
    let all =
        numbers("follow_all_metrics", "The numbers of all events, as they change: Server-Sent Events", &metric);
    let one = numbers("follow_metrics", "The numbers of a topic, as they change: Server-Sent Events", &of_topic);
    paths.insert("/live/audit".to_owned(), json!({ "get": rows }));
    paths.insert("/live/metrics/".to_owned(), json!({ "get": all }));
    paths.insert("/live/metrics/{topic}".to_owned(), json!({ "get": one }));
    paths.insert("/live".to_owned(), json!({ "get": rpc() }));
}

/// The parameters of a GET that are wanted.
fn parameters(paths: &Map<String, Value>, path: &str, wanted: impl Fn(&str) -> bool) -> Vec<Value> {
    let all = paths.get(path).and_then(|item| item["get"]["parameters"].as_array());
    let all = all.into_iter().flatten();
    all.filter(|parameter| parameter["name"].as_str().is_some_and(&wanted)).cloned().collect()
}

/// A stream of events of one kind, and its end.
fn stream(id: &str, summary: &str, description: &str, asked: &[Value], event: &str, of: &Value) -> Value {
    let cursor = json!({ "$ref": "#/components/schemas/Cursor" });
    let go_on = [
        json!({
            "name": "after", "in": "query", "required": false,
            "description": "Go on behind this event: its id, from the same question", "schema": cursor,
        }),
        json!({
            "name": "Last-Event-ID", "in": "header", "required": false,
            "description": "The same, as a browser says it when it comes back", "schema": cursor,
        }),
    ];
    let description = format!(
        "{description}\n\nThe id of each `{event}` is a cursor, to go on behind it. The last event is `end`, which says \
         why. Comments say that the line is not dead."
    );
    let parameters = [asked, &go_on].concat();
    json!({
        "tags": [TAG], "operationId": id, "summary": summary, "description": description,
        "parameters": parameters,
        "responses": { "200": {
            "description": format!("Events `{event}`, and one `end`"),
            "content": { "text/event-stream": { "schema": { "type": "string" } } },
            "x-events": { event: of, "end": { "$ref": "#/components/schemas/LiveEnd" } },
        } },
    })
}

fn rpc() -> Value {
    json!({
        "tags": [TAG], "operationId": "live", "summary": "JSON-RPC 2.0 over WebSocket: commands, questions, subscriptions",
        "description": "Methods: `execute`, `audit`, `metric`; `subscribe_audit` and `subscribe_metric`, which answer \
            with a subscription's number and then send notifications `audit` and `metric`, the last of which has an \
            `error` in place of the result, that says why it ends and where to go on; `unsubscribe`. A message is a \
            call or an array of calls, of 1 MiB at most. Calls are answered as they are done, not in their order.\n\n\
            An error's code is -32000 less the last two digits of the HTTP status that begins with 4 (404: -32004); \
            -32602 for 400, -32053 for 503, -32603 for 500, and the protocol's own. Its `data` is the problem.",
        "parameters": [],
        "responses": {
            "101": { "description": "From here on it is a WebSocket" },
            "426": { "description": "This was no WebSocket's request" },
        },
        "x-messages": {
            "sent": { "$ref": "#/components/schemas/LiveCall" },
            "received": { "anyOf": [
                { "$ref": "#/components/schemas/LiveAnswer" },
                { "$ref": "#/components/schemas/LiveNotification" },
            ] },
        },
    })
}

/// An object of these words, as a call has them: those that may be given several times are arrays.
fn words(parameters: &[Value]) -> Value {
    let properties: Map<String, Value> = parameters
        .iter()
        .filter_map(|parameter| {
            let mut schema = parameter["schema"].clone();
            if let (Some(schema), false) = (schema.as_object_mut(), parameter["description"].is_null()) {
                schema.entry("description").or_insert(parameter["description"].clone());
            }
            Some((parameter["name"].as_str()?.to_owned(), schema))
        })
        .collect();
    json!({ "type": "object", "properties": properties, "additionalProperties": false })
}

fn add_messages(schemas: &mut Value, audit: &[Value], metric: &[Value], executed: &[Value]) {
    let text = |description: &str| json!({ "type": "string", "description": description });
    let cursor = json!({ "oneOf": [{ "$ref": "#/components/schemas/Cursor" }, { "type": "null" }] });
    let mut of_topic = words(metric);
    of_topic["properties"]["topic"] = text("A path like project/member; empty: all there is");
    let mut followed = of_topic.clone();
    followed["properties"]["cursor"] = cursor.clone();
    let call = |method: &str, params: Value, has_params: bool| {
        let required: &[&str] = if has_params { &["jsonrpc", "method", "params"] } else { &["jsonrpc", "method"] };
        json!({
            "type": "object", "title": method, "required": required,
            "properties": {
                "jsonrpc": { "const": "2.0" },
                "method": { "const": method },
                "params": params,
                "id": { "type": ["string", "number", "null"], "description": "Without one it is not answered" },
            },
        })
    };
    let unsubscribe = json!({
        "type": "object", "required": ["subscription"], "additionalProperties": false,
        "properties": { "subscription": { "type": "integer", "minimum": 0 } },
    });
    let mut calls = vec![
        call("audit", words(audit), false),
        call("metric", of_topic, false),
        call("subscribe_audit", words(audit), false),
        call("subscribe_metric", followed, false),
        call("unsubscribe", unsubscribe, true),
    ];
    if !executed.is_empty() {
        calls.insert(0, call("execute", json!({ "oneOf": executed }), true));
    }
    schemas["LiveCall"] = json!({ "description": "A call of JSON-RPC 2.0", "oneOf": calls });
    let error = json!({
        "type": "object", "required": ["code", "message"],
        "properties": {
            "code": { "type": "integer" },
            "message": { "type": "string" },
            "data": { "anyOf": [{ "$ref": "#/components/schemas/Problem" }, { "$ref": "#/components/schemas/LiveEnd" }] },
        },
    });
    schemas["LiveAnswer"] = json!({
        "type": "object", "description": "The answer to a call: a `result` or an `error`", "required": ["jsonrpc", "id"],
        "properties": {
            "jsonrpc": { "const": "2.0" },
            "id": { "type": ["string", "number", "null"] },
            "result": { "anyOf": [
                { "title": "execute", "$ref": "#/components/schemas/Receipt" },
                { "title": "audit", "$ref": "#/components/schemas/AuditPage" },
                { "title": "metric", "$ref": "#/components/schemas/Metric" },
                { "title": "subscribe_audit, subscribe_metric", "type": "integer", "minimum": 1 },
                { "title": "unsubscribe", "type": "boolean", "description": "Whether there was one" },
            ] },
            "error": error,
        },
        "oneOf": [{ "required": ["result"] }, { "required": ["error"] }],
    });
    let result = |name: &str, of: &str| {
        json!({
            "type": "object", "required": ["cursor", name],
            "properties": { "cursor": cursor, name: { "$ref": format!("#/components/schemas/{of}") } },
        })
    };
    schemas["LiveNotification"] = json!({
        "type": "object", "description": "What a subscription brings; with an `error`, its end",
        "required": ["jsonrpc", "method", "params"],
        "properties": {
            "jsonrpc": { "const": "2.0" },
            "method": { "enum": ["audit", "metric"] },
            "params": {
                "type": "object", "required": ["subscription"],
                "properties": {
                    "subscription": { "type": "integer", "minimum": 1 },
                    "result": { "anyOf": [result("row", "AuditRow"), result("metric", "Metric")] },
                    "error": error,
                },
                "oneOf": [{ "required": ["result"] }, { "required": ["error"] }],
            },
        },
    });
    schemas["LiveEnd"] = json!({
        "type": "object", "description": "Why a stream ends, and where to go on", "required": ["reason", "cursor"],
        "properties": {
            "reason": {
                "enum": ["done", "shutdown", "slow", "failed"],
                "description": "All that was asked for is there; the server stops; what was there was not taken in time; \
                    something went wrong",
            },
            "cursor": cursor,
            "problem": { "$ref": "#/components/schemas/Problem" },
        },
    });
}

/// A command by its name, with the body that it has over HTTP.
fn execute(name: &str) -> Value {
    let body = format!("#/paths/~1commands~1{name}/post/requestBody/content/application~1json/schema");
    json!({
        "type": "object", "title": name, "required": ["command", "body"], "additionalProperties": false,
        "properties": {
            "command": { "const": name },
            "body": { "$ref": body },
            "command_id": { "type": ["string", "null"], "format": "uuid", "description": "Under the same id it takes effect once" },
        },
    })
}
