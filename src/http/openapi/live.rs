//! Describes live streams with the schemas of the other routes.
//!
//! OpenAPI has no description for the content of a stream: the schemas of Server-Sent Events are under `x-events`, those of
//! JSON-RPC messages under `x-messages`.

use serde_json::{Map, Value, json};

use super::{body_of, reference};
use crate::commands::CommandInfo;

const TAG: &str = "live";

/// Adds the routes of live streams to `paths`, and their messages to `schemas`.
pub(super) fn describe<'a>(
    paths: &mut Map<String, Value>,
    schemas: &mut Value,
    commands: impl Iterator<Item = &'a CommandInfo>,
) {
    let names = commands.map(|info| info.name).filter(|name| paths.contains_key(&format!("/commands/{name}")));
    let executed: Vec<&str> = names.collect();
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
        &reference("AuditRow"),
    );
    let numbers = |id: &str, words: &str, parameters: &[Value]| {
        let description = "The current value, then changes. A slow client skips to the latest value.";
        stream(id, words, description, parameters, "metric", &reference("Metric"))
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
    let resume = [
        json!({
            "name": "after", "in": "query", "required": false,
            "description": "Resume after this event: its id, with the same parameters", "schema": reference("Cursor"),
        }),
        json!({
            "name": "Last-Event-ID", "in": "header", "required": false,
            "description": "The same, as a browser sends it when it reconnects. After `done`, the response is 204: a browser \
                stops",
            "schema": { "type": "string", "pattern": "^([0-9a-f]{72}|done)$" },
        }),
    ];
    let description = format!(
        "{description}\n\nThe id of each `{event}` is a cursor to resume from. The last event is `end`, with the reason. \
         Its id is the cursor to resume from, or `done` if nothing is left. Comments are heartbeats."
    );
    let parameters = [asked, &resume].concat();
    json!({
        "tags": [TAG], "operationId": id, "summary": summary, "description": description,
        "parameters": parameters,
        "responses": { "200": {
            "description": format!("Events `{event}`, and one `end`"),
            "content": { "text/event-stream": { "schema": { "type": "string" } } },
            "x-events": { event: of, "end": reference("LiveEnd") },
        }, "204": { "description": "The stream was complete before: do not reconnect" } },
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
            "sent": reference("LiveCall"),
            "received": { "anyOf": [reference("LiveResponse"), reference("LiveNotification")] },
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

/// Adds the schemas of all messages. Each object has a name: generators of clients make a class of it.
fn add_messages(schemas: &mut Value, audit: &[Value], metric: &[Value], commands: &[&str]) {
    let text = |description: &str| json!({ "type": "string", "description": description });
    let cursor = json!({ "oneOf": [reference("Cursor"), { "type": "null" }] });
    let mut of_topic = params_object(metric);
    of_topic["properties"]["topic"] = text("A path like project/member; empty for all events");
    let mut followed = of_topic.clone();
    followed["properties"]["cursor"] = cursor.clone();
    let unsubscribe = json!({
        "type": "object", "required": ["subscription"], "additionalProperties": false,
        "properties": { "subscription": { "type": "integer", "minimum": 0 } },
    });
    let executed: Vec<Value> = commands
        .iter()
        .map(|command| {
            let name = format!("{command}.LiveExecute");
            schemas[&name] = execute(command);
            reference(&name)
        })
        .collect();
    let mut calls = Vec::new();
    for (method, name, params) in [
        ("execute", "LiveExecute", json!({ "oneOf": executed })),
        ("audit", "LiveAudit", params_object(audit)),
        ("metric", "LiveMetric", of_topic),
        ("subscribe_audit", "LiveSubscribeAudit", params_object(audit)),
        ("subscribe_metric", "LiveSubscribeMetric", followed),
        ("unsubscribe", "LiveUnsubscribe", unsubscribe),
    ] {
        let required: &[&str] = match method {
            // Without commands, nothing can be executed.
            "execute" if commands.is_empty() => continue,
            "execute" | "unsubscribe" => &["jsonrpc", "method", "params"],
            _ => &["jsonrpc", "method"],
        };
        let (params_name, call_name) = (format!("{name}Params"), format!("{name}Call"));
        schemas[&params_name] = params;
        schemas[&call_name] = json!({
            "type": "object", "required": required,
            "properties": {
                "jsonrpc": { "const": "2.0" },
                "method": { "const": method },
                "params": reference(&params_name),
                "id": { "type": ["string", "number", "null"], "description": "Without an id, the call is a notification and gets no response" },
            },
        });
        calls.push(reference(&call_name));
    }
    schemas["LiveCall"] = json!({ "description": "A JSON-RPC 2.0 call", "oneOf": calls });
    let error = json!({
        "type": "object", "required": ["code", "message"],
        "properties": {
            "code": { "type": "integer" },
            "message": { "type": "string" },
            "data": { "anyOf": [reference("Problem"), reference("LiveEnd")] },
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
            "properties": { "cursor": cursor, name: reference(of) },
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
                "type": "string", "enum": ["done", "shutdown", "expired", "revoked", "denied", "slow", "failed"],
                "description": "Complete; the server stops; the token has expired; its key was withdrawn; access was denied, \
                    for instance because a right was revoked; the client reads too slowly; an error",
            },
            "cursor": cursor,
            "problem": reference("Problem"),
        },
    });
}

/// The parameters of `execute` for one command, with the schema of its body over HTTP.
fn execute(name: &str) -> Value {
    json!({
        "type": "object", "required": ["command", "body"], "additionalProperties": false,
        "properties": {
            "command": { "const": name },
            "body": reference(&body_of(name)),
            "command_id": { "type": ["string", "null"], "format": "uuid", "description": "Retries with the same id take effect once" },
        },
    })
}
