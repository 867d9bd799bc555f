//! The document, from the routes and the commands.

use serde_json::{Map, Value, json};
use utoipa::openapi::OpenApi;

use super::live;
use crate::commands::CommandInfo;
use crate::http::Shared;

/// What any route may answer with, besides what it says itself.
const PROBLEMS: [(&str, &str); 9] = [
    ("400", "The request cannot be understood"),
    ("401", "It is not known who asks"),
    ("403", "Who asks may not"),
    ("404", "There is no such thing"),
    ("409", "It does not fit what is there"),
    ("421", "Without authentication: this machine was asked by a name that is not its own"),
    ("429", "Who asks has asked too often"),
    ("500", "The program failed"),
    ("503", "It cannot be answered now"),
];

/// And a command.
const OF_COMMANDS: [(&str, &str); 4] = [
    ("408", "The body did not come in time"),
    ("413", "The body is too large"),
    ("415", "The body is no JSON"),
    ("422", "The command was refused: `refusal` says why"),
];

/// The template that stands for all commands.
const COMMAND: &str = "/commands/{name}";

/// The document.
pub(super) fn of(shared: &Shared, described: &OpenApi) -> Value {
    // The types are this crate's own: they can be written.
    let mut document = serde_json::to_value(described).unwrap_or_default();
    document["info"] = json!({
        "title": shared.name(),
        "version": env!("CARGO_PKG_VERSION"),
        "description": "Commands, the audit log, metrics, views and projections. What goes wrong is a problem of RFC 9457.",
    });
    let paths = std::mem::take(&mut document["paths"]);
    let mut paths: Map<String, Value> = match paths {
        Value::Object(paths) => paths.into_iter().map(|(path, item)| (path.replace("{*", "{"), item)).collect(),
        _ => Map::new(),
    };
    let template = paths.remove(COMMAND).unwrap_or_default();
    let mut schemas = std::mem::take(&mut document["components"]["schemas"]);
    for info in shared.annals().commands() {
        if let Some(schema) = shared.schemas().of(info.name) {
            let own = hoist(info.name, schema.clone(), &mut schemas);
            let show = of_one(info, "show", template["get"].clone());
            let execute = executing(info, of_one(info, "execute", template["post"].clone()), own);
            paths.insert(format!("/commands/{}", info.name), json!({ "get": show, "post": execute }));
        }
    }
    live::describe(&mut paths, &mut schemas, shared.annals().commands());
    for operation in paths.values_mut().filter_map(Value::as_object_mut).flat_map(Map::values_mut) {
        add_problems(operation, &PROBLEMS);
        parameters_are_text(operation);
    }
    schemas["Problem"] = problem();
    document["components"]["schemas"] = schemas;
    document["paths"] = paths.into();
    if shared.authentication().is_required() {
        document["components"]["securitySchemes"] =
            json!({ "token": { "type": "http", "scheme": "bearer", "bearerFormat": "JWT" } });
        document["security"] = json!([{ "token": [] }]);
    }
    document
}

/// What the template says of all commands, of one.
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

/// What may be left out is left out: in an address or a header there is no null.
fn parameters_are_text(operation: &mut Value) {
    // Not by index: that would put a null where there is nothing.
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
        "description": "What went wrong: RFC 9457.",
        "required": ["type", "title", "status"],
        "properties": {
            "type": { "type": "string", "description": "`urn:annals:` and a word for programs" },
            "title": { "type": "string" },
            "status": { "type": "integer" },
            "detail": { "type": "string" },
            "refusal": { "type": "string", "description": "Of a refused command: the case of its error" },
            "errors": { "type": "array", "items": { "type": "object" } },
        },
    })
}

/// A schema on its own, with its definitions put among the document's.
fn hoist(command: &str, mut schema: Value, schemas: &mut Value) -> Value {
    let definitions = schema.as_object_mut().and_then(|schema| {
        schema.remove("$schema");
        schema.remove("$defs")
    });
    point_elsewhere(command, &mut schema);
    for (name, mut definition) in definitions.into_iter().flat_map(|all| match all {
        Value::Object(all) => all,
        _ => Map::new(),
    }) {
        point_elsewhere(command, &mut definition);
        schemas[format!("{command}.{name}")] = definition;
    }
    schema
}

/// Has references to definitions beside it point to where they are put.
fn point_elsewhere(command: &str, schema: &mut Value) {
    match schema {
        Value::Object(schema) => {
            if let Some(name) = schema.get("$ref").and_then(|to| to.as_str()?.strip_prefix("#/$defs/")) {
                let to = format!("#/components/schemas/{command}.{name}");
                schema.insert("$ref".to_owned(), to.into());
            }
            schema.values_mut().for_each(|inner| point_elsewhere(command, inner));
        }
        Value::Array(all) => all.iter_mut().for_each(|inner| point_elsewhere(command, inner)),
        _ => {}
    }
}
