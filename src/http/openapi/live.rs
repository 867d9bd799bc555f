//! Describes live streams with the schemas of the other routes.
//!
//! OpenAPI has no description for the content of a stream: the schemas of Server-Sent Events are under `x-events`, those of
//! JSON-RPC messages under `x-messages`.

use serde_json::{Map, Value, json};

use crate::commands::CommandInfo;

const TAG: &str = "live";

/// Adds the routes of live streams to `paths`, and their messages to `schemas`.
pub(super) fn describe<'a>(
    paths: &mut Map<String, Value>,
    schemas: &mut Value,
    commands: impl Iterator<Item = &'a CommandInfo>,
) {
    let names = commands.map(|info| info.name).filter(|name| paths.contains_key(&format!("/commands/{name}")));
    let executed: Vec<Value> = names.map(execute).collect();
    let audit = parameters(paths, "/audit", |name| name != "after");
    let metric = parameters(paths, "/metrics/", |name| matches!(name, "by_occurrence" | "from" | "until"));
    let topic = parameters(paths, "/metrics/{topic}", |name| name == "topic");
    add_messages(schemas, &audit, &metric, &executed);
    let rows = stream(
        "follow_audit",
        "Follow the audit log (Server-Sent Events)",
        "Rows of the audit log, oldest first: stored rows, then new ones, with the parameters of `/audit`. The stream \
         ends only with a `limit` or an end of the range.",
        &audit,
        "row",
        &json!({ "$ref": "#/components/schemas/AuditRow" }),
    );
    let numbers = |id: &str, words: &str, parameters: &[Value]| {
        let description = "The current value, then changes. A slow client skips to the latest value.";
        stream(id, words, description, parameters, "metric", &json!({ "$ref": "#/components/schemas/Metric" }))
    };
    let of_topic = [topic, metric.clone()].concat();
    let all = numbers("follow_all_metrics", "Follow the metrics of all events (Server-Sent Events)", &metric);
    let one = numbers("follow_metrics", "Follow the metrics of a topic (Server-Sent Events)", &of_topic);
    paths.insert("/live/audit".to_owned(), json!({ "get": rows }));
    paths.insert("/live/metrics/".to_owned(), json!({ "get": all }));
    paths.insert("/live/metrics/{topic}".to_owned(), json!({ "get": one }));
    paths.insert("/live".to_owned(), json!({ "get": rpc() }));
}

/// The parameters of a GET that match.
fn parameters(paths: &Map<String, Value>, path: &str, wanted: impl Fn(&str) -> bool) -> Vec<Value> {
    let all = paths.get(path).and_then(|item| item["get"]["parameters"].as_array());
    let all = all.into_iter().flatten();
    all.filter(|parameter| parameter["name"].as_str().is_some_and(&wanted)).cloned().collect()
}

/// Describes a stream of one kind of event.
fn stream(id: &str, summary: &str, description: &str, asked: &[Value], event: &str, of: &Value) -> Value {
    let cursor = json!({ "$ref": "#/components/schemas/Cursor" });
    let resume = [
        json!({
            "name": "after", "in": "query", "required": false,
            "description": "Resume after this event: its id, with the same parameters", "schema": cursor,
        }),
        json!({
            "name": "Last-Event-ID", "in": "header", "required": false,
            "description": "The same, as a browser sends it when it reconnects", "schema": cursor,
        }),
    ];
    let description = format!(
        "{description}\n\nThe id of each `{event}` is a cursor to resume from. The last event is `end`, with the reason. \
         Comments are heartbeats."
    );
    let parameters = [asked, &resume].concat();
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
        "tags": [TAG], "operationId": "live", "summary": "JSON-RPC 2.0 over WebSocket: commands, queries, subscriptions",
        "description": "Methods: `execute`, `audit`, `metric`, `subscribe_audit`, `subscribe_metric`, `unsubscribe`. \
            Subscribing returns the number of the subscription; notifications `audit` and `metric` follow. The last \
            notification has an `error` instead of a result: the reason, and the cursor to resume from. A message is \
            a call or an array of calls, of at most 1 MiB. Responses come in the order of completion.\n\n\
            Error codes: -32000 less the last two digits of a 4xx status (404: -32004), -32602 for 400, -32053 for \
            503, -32603 for 500, and those of the protocol. `data` is the problem.",
        "parameters": [],
        "responses": {
            "101": { "description": "Switched to WebSocket" },
            "426": { "description": "The request does not upgrade to WebSocket" },
        },
        "x-messages": {
            "sent": { "$ref": "#/components/schemas/LiveCall" },
            "received": { "anyOf": [
                { "$ref": "#/components/schemas/LiveResponse" },
                { "$ref": "#/components/schemas/LiveNotification" },
            ] },
        },
    })
}

/// The parameters as the params object of a call. Repeatable parameters are arrays.
fn params_object(parameters: &[Value]) -> Value {
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
    let mut of_topic = params_object(metric);
    of_topic["properties"]["topic"] = text("A path like project/member; empty for all events");
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
                "id": { "type": ["string", "number", "null"], "description": "Without an id, the call is a notification and gets no response" },
            },
        })
    };
    let unsubscribe = json!({
        "type": "object", "required": ["subscription"], "additionalProperties": false,
        "properties": { "subscription": { "type": "integer", "minimum": 0 } },
    });
    let mut calls = vec![
        call("audit", params_object(audit), false),
        call("metric", of_topic, false),
        call("subscribe_audit", params_object(audit), false),
        call("subscribe_metric", followed, false),
        call("unsubscribe", unsubscribe, true),
    ];
    if !executed.is_empty() {
        calls.insert(0, call("execute", json!({ "oneOf": executed }), true));
    }
    schemas["LiveCall"] = json!({ "description": "A JSON-RPC 2.0 call", "oneOf": calls });
    let error = json!({
        "type": "object", "required": ["code", "message"],
        "properties": {
            "code": { "type": "integer" },
            "message": { "type": "string" },
            "data": { "anyOf": [{ "$ref": "#/components/schemas/Problem" }, { "$ref": "#/components/schemas/LiveEnd" }] },
        },
    });
    schemas["LiveResponse"] = json!({
        "type": "object", "description": "The response to a call: a `result` or an `error`", "required": ["jsonrpc", "id"],
        "properties": {
            "jsonrpc": { "const": "2.0" },
            "id": { "type": ["string", "number", "null"] },
            "result": { "anyOf": [
                { "title": "execute", "$ref": "#/components/schemas/Receipt" },
                { "title": "audit", "$ref": "#/components/schemas/AuditPage" },
                { "title": "metric", "$ref": "#/components/schemas/Metric" },
                { "title": "subscribe_audit, subscribe_metric", "type": "integer", "minimum": 1 },
                { "title": "unsubscribe", "type": "boolean", "description": "Whether the subscription existed" },
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
        "type": "object", "description": "An item of a subscription, or, with an `error`, its end",
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
        "type": "object", "description": "Why a stream ends, and the cursor to resume from", "required": ["reason", "cursor"],
        "properties": {
            "reason": {
                "enum": ["done", "shutdown", "expired", "slow", "failed"],
                "description": "Complete; the server stops; the token has expired; the client reads too slowly; an error",
            },
            "cursor": cursor,
            "problem": { "$ref": "#/components/schemas/Problem" },
        },
    });
}

/// The parameters of `execute` for one command, with the schema of its body over HTTP.
fn execute(name: &str) -> Value {
    let body = format!("#/paths/~1commands~1{name}/post/requestBody/content/application~1json/schema");
    json!({
        "type": "object", "title": name, "required": ["command", "body"], "additionalProperties": false,
        "properties": {
            "command": { "const": name },
            "body": { "$ref": body },
            "command_id": { "type": ["string", "null"], "format": "uuid", "description": "Retries with the same id take effect once" },
        },
    })
}
