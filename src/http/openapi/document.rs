//! Builds the document from the routes and the commands.

use serde_json::{Map, Value, json};
use utoipa::openapi::OpenApi;

use super::live;
use crate::commands::CommandInfo;
use crate::http::AppState;

/// The problems of all routes. A route's own description takes precedence.
const PROBLEMS: [(&str, &str); 9] = [
    ("400", "Malformed request"),
    ("401", "Authentication required"),
    ("403", "Access denied"),
    ("404", "Not found"),
    ("409", "Conflict with the current state"),
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
    for info in state.annals().commands() {
        if let Some(schema) = state.schemas().of(info.name) {
            let own = hoist(info.name, schema.clone(), &mut schemas);
            let show = of_one(info, "show", template["get"].clone());
            let execute = executing(info, of_one(info, "execute", template["post"].clone()), own);
            paths.insert(format!("/commands/{}", info.name), json!({ "get": show, "post": execute }));
        }
    }
    live::describe(&mut paths, &mut schemas, state.annals().commands());
    for operation in paths.values_mut().filter_map(Value::as_object_mut).flat_map(Map::values_mut) {
        add_problems(operation, &PROBLEMS);
        parameters_are_text(operation);
    }
    schemas["Problem"] = problem();
    document["components"]["schemas"] = schemas;
    document["paths"] = paths.into();
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

/// Removes the type `null` from parameters: a query string or header cannot contain it.
fn parameters_are_text(operation: &mut Value) {
    // `get_mut`, since indexing would insert a null.
    for parameter in operation.get_mut("parameters").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(types) = parameter.pointer_mut("/schema/type").and_then(Value::as_array_mut) {
            types.retain(|kind| kind != "null");
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
    json!({
        "type": "object",
        "description": "An error (RFC 9457).",
        "required": ["type", "title", "status"],
        "properties": {
            "type": { "type": "string", "description": "`urn:annals:` and a word" },
            "title": { "type": "string" },
            "status": { "type": "integer" },
            "detail": { "type": "string" },
            "refusal": { "type": "string", "description": "The variant of the error of a refused command" },
            "errors": { "type": "array", "items": { "type": "object" } },
        },
    })
}

/// Moves the definitions of a command's schema into the document.
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
    schema
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
