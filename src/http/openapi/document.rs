//! Builds the document from the routes and the commands.

use serde_json::{Map, Value, json};
use utoipa::openapi::OpenApi;

use super::merge::merge_all_of;
use super::{body_of, live, reference};
use crate::commands::CommandInfo;
use crate::http::AppState;

/// The problems of all routes. A route's own description takes precedence.
const PROBLEMS: [(&str, &str); 10] = [
    ("400", "Malformed request"),
    ("401", "Authentication required"),
    ("403", "Access denied"),
    ("404", "Not found"),
    ("409", "Conflict with the current state"),
    ("412", "`If-Match` or `If-None-Match` is not met: responses have no entity tags"),
    ("421", "Without authentication, the server answers only requests to localhost, 127.0.0.1 or [::1]"),
    ("429", "Too many requests"),
    ("500", "Internal error"),
    ("503", "Temporarily unavailable"),
];

/// Further problems of commands.
const OF_COMMANDS: [(&str, &str); 4] = [
    ("408", "The body did not arrive in time"),
    ("413", "The body is too large"),
    ("415", "The body is not declared as JSON"),
    ("422", "The command was refused: `refusal` is the variant of its error"),
];

/// The route of all commands. The document has one path for each command instead.
const COMMAND: &str = "/commands/{name}";

/// Returns the document.
pub(super) fn of(state: &AppState, described: &OpenApi) -> Value {
    // Serialising the document does not fail.
    let mut document = serde_json::to_value(described).unwrap_or_default();
    document["info"] = json!({
        "title": state.settings().name,
        "version": env!("CARGO_PKG_VERSION"),
        "description": "Commands, the audit log, metrics, views and projections. Errors are problems (RFC 9457).",
    });
    let paths = std::mem::take(&mut document["paths"]);
    let mut paths: Map<String, Value> = match paths {
        Value::Object(paths) => paths.into_iter().map(|(path, item)| (path.replace("{*", "{"), item)).collect(),
        _ => Map::new(),
    };
    let template = paths.remove(COMMAND).unwrap_or_default();
    let mut schemas = std::mem::take(&mut document["components"]["schemas"]);
    merge_all_of(&mut schemas);
    for info in state.annals().commands() {
        if let Some(schema) = state.schemas().of(info.name) {
            let own = hoist(info.name, schema.clone(), &mut schemas);
            let show = of_one(info, "show", template["get"].clone());
            let execute = executing(info, of_one(info, "execute", template["post"].clone()), own);
            paths.insert(format!("/commands/{}", info.name), json!({ "get": show, "post": execute }));
        }
    }
    live::describe(&mut paths, &mut schemas, state.annals().commands());
    #[cfg(feature = "access")]
    crate::http::access_keys::describe(state, &mut paths, &mut schemas);
    for operation in paths.values_mut().filter_map(Value::as_object_mut).flat_map(Map::values_mut) {
        add_problems(operation, &PROBLEMS);
        parameters_are_text(operation);
    }
    schemas["Problem"] = problem();
    document["components"]["schemas"] = schemas;
    document["paths"] = paths.into();
    plain_descriptions(&mut document);
    if state.settings().authentication.is_required() {
        document["components"]["securitySchemes"] =
            json!({ "token": { "type": "http", "scheme": "bearer", "bearerFormat": "JWT" } });
        document["security"] = json!([{ "token": [] }]);
    }
    document
}

/// The operation of the template for one command.
fn of_one(info: &CommandInfo, what: &str, mut operation: Value) -> Value {
    operation["operationId"] = format!("{what}_{}", info.name).into();
    if let Some(parameters) = operation["parameters"].as_array_mut() {
        parameters.retain(|parameter| parameter["in"] != "path");
    }
    operation
}

/// The operation that executes a command.
fn executing(info: &CommandInfo, mut operation: Value, schema: Value) -> Value {
    let description = operation["description"].as_str().unwrap_or_default();
    let description = format!("{}\n\n{description}", info.summary);
    operation["summary"] = info.name.into();
    operation["description"] = description.trim().into();
    operation["requestBody"] = json!({ "required": true, "content": { "application/json": { "schema": schema } } });
    add_problems(&mut operation, &OF_COMMANDS);
    operation
}

/// Turns links to items of this crate into their names: `[`plain`](crate::text::plain)` means nothing to a client.
fn plain_descriptions(document: &mut Value) {
    match document {
        Value::Object(map) => {
            if let Some(Value::String(text)) = map.get_mut("description") {
                *text = without_links(text);
            }
            map.values_mut().for_each(plain_descriptions);
        }
        Value::Array(all) => all.iter_mut().for_each(plain_descriptions),
        _ => {}
    }
}

fn without_links(text: &str) -> String {
    let mut text = text.replace("[`", "`");
    while let Some(start) = text.find("`](")
        && let Some(length) = text[start..].find(')')
    {
        text.replace_range(start + 1..=start + length, "");
    }
    text.replace("`]", "`")
}

/// Removes the type `null` from parameters: a query string or header cannot contain it. A UUID in a header may also be given
/// as text: generated clients send the value of a header as it is, and refuse another type than text.
fn parameters_are_text(operation: &mut Value) {
    // `get_mut`, since indexing would insert a null.
    for parameter in operation.get_mut("parameters").and_then(Value::as_array_mut).into_iter().flatten() {
        if parameter["in"] == "header" && parameter["schema"]["format"] == "uuid" {
            let text = "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$";
            let uuid = json!({ "type": "string", "format": "uuid" });
            parameter["schema"] = json!({ "anyOf": [uuid, { "type": "string", "pattern": text }] });
        }
        let Some(kind) = parameter.pointer_mut("/schema/type") else { continue };
        if let Some(types) = kind.as_array_mut() {
            types.retain(|kind| kind != "null");
            if let [only] = &types[..] {
                *kind = only.clone();
            }
        }
    }
}

fn add_problems(operation: &mut Value, problems: &[(&str, &str)]) {
    let content = json!({ "application/problem+json": { "schema": { "$ref": "#/components/schemas/Problem" } } });
    let responses = &mut operation["responses"];
    for (status, description) in problems {
        if responses[status].is_null() {
            responses[status] = json!({ "description": description });
        }
    }
    for (status, response) in responses.as_object_mut().into_iter().flatten() {
        if status.starts_with(['4', '5']) {
            response["content"] = content.clone();
        }
    }
}

fn problem() -> Value {
    let text = |description: &str| json!({ "type": "string", "description": description });
    json!({
        "type": "object",
        "description": "An error (RFC 9457).",
        "required": ["type", "title", "status"],
        "properties": {
            "type": { "type": "string", "format": "uri-reference", "description": "`urn:annals:` and a word" },
            "title": text("The type in words"),
            "status": { "type": "integer", "minimum": 400, "maximum": 599, "description": "The HTTP status" },
            "detail": text("The cause, and what to do"),
            "parameter": text("The wrong parameter"),
            "header": text("The wrong header"),
            "command": text("The command"),
            "field": text("The unknown field of the command"),
            "errors": { "type": "array", "items": { "type": "object" }, "description": "The mistakes in the body" },
            "refusal": text("The variant of the error of a refused command"),
            "command_id": { "type": "string", "format": "uuid", "description": "The command id" },
            "outcome": { "const": "unknown", "description": "It is unknown whether the command was executed: retry with its id" },
        },
    })
}

/// Moves a command's schema and its definitions into the document. Returns a reference to it.
fn hoist(command: &str, mut schema: Value, schemas: &mut Value) -> Value {
    let definitions = schema.as_object_mut().and_then(|schema| {
        schema.remove("$schema");
        schema.remove("$defs")
    });
    redirect_references(command, &mut schema);
    for (name, mut definition) in definitions.into_iter().flat_map(|all| match all {
        Value::Object(all) => all,
        _ => Map::new(),
    }) {
        redirect_references(command, &mut definition);
        schemas[format!("{command}.{name}")] = definition;
    }
    let name = body_of(command);
    schemas[&name] = schema;
    reference(&name)
}

/// Redirects references to the moved definitions.
fn redirect_references(command: &str, schema: &mut Value) {
    match schema {
        Value::Object(schema) => {
            if let Some(name) = schema.get("$ref").and_then(|to| to.as_str()?.strip_prefix("#/$defs/")) {
                let to = format!("#/components/schemas/{command}.{name}");
                schema.insert("$ref".to_owned(), to.into());
            }
            schema.values_mut().for_each(|inner| redirect_references(command, inner));
        }
        Value::Array(all) => all.iter_mut().for_each(|inner| redirect_references(command, inner)),
        _ => {}
    }
}
