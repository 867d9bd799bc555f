//! All requests that a reader can make: from the routes of the router, and their parameters in the OpenAPI document.

use std::collections::BTreeSet;

use annals::prelude::Annals;
use regex::Regex;
use reqwest::Method;
use serde_json::{Value, json};

use crate::served::Served;
use crate::values::{Known, text, values};

/// A request, and the label under which the answers of two logs are compared.
#[derive(Clone, Debug)]
pub struct Call {
    pub label: String,
    pub method: Method,
    pub path: String,
    pub headers: Vec<(String, String)>,
    pub body: Option<Value>,
    /// Whether a reader of everything has to get an answer, or the call would test nothing.
    pub must_answer: bool,
}

/// Routes of the page, which the OpenAPI document leaves out: the query that they need, and the route whose parameters they
/// take.
const PAGES: [(&str, &str, Option<&str>); 21] = [
    ("/", "", Some("/audit")),
    ("/history", "of=file:1", Some("/audit")),
    ("/refusals", "", Some("/audit")),
    ("/rows", "after=0", Some("/audit")),
    ("/live/metrics", "", Some("/live/metrics/")),
    ("/numbers", "", None),
    ("/upkeep", "", None),
    ("/page/metrics", "", Some("/metrics/{topic}")),
    ("/page/projections", "", None),
    ("/page/projections/now", "", None),
    ("/page/projections/rebuild", "", None),
    ("/page/projections/resume", "", None),
    ("/verify", "", None),
    ("/verify/now", "", None),
    ("/assets/{name}", "", None),
    ("/sign-in", "", None),
    ("/sign-out", "", None),
    ("/try", "", None),
    ("/openapi.json", "", None),
    ("/healthz", "", None),
    ("/readyz", "", None),
];

/// Routes whose answers differ from process to process, and show nothing of the log: only searched, not compared.
pub const NOT_COMPARED: [&str; 2] = ["/metrics", "/assets/{name}"];

/// Parts of paths. Each is a name that the application declares, or an id, which is not secret.
const PATHS: [(&str, &str, &str); 8] = [
    ("/view-counts/{name}", "name", "texts"),
    ("/views/{name}", "name", "texts"),
    ("/views/{name}/", "key", "1"),
    ("/metrics/", "topic", "vault/file"),
    ("/live/metrics/", "topic", "vault/file"),
    ("/projections/{name}", "name", "texts"),
    ("/assets/{name}", "name", "none.css"),
    ("/commands/{name}", "name", "write_file"),
];

/// Bodies of requests that the document does not have a schema for, or that a schema cannot fill.
fn body(route: &str) -> Option<Value> {
    Some(match route {
        "/commands/write_file" => json!({ "file": "1", "event": "\"Shredded\"" }),
        _ => return None,
    })
}

/// A path of the router as the document writes it.
fn described(route: &str) -> String {
    route.replace("{*", "{")
}

/// The routes, as axum shows them.
pub fn routes(annals: &Annals) -> BTreeSet<String> {
    let router = format!("{:?}", annals::http::router(annals.clone()).into_router());
    let found = Regex::new(r#"RouteId\(\d+\): "([^"]+)""#).unwrap();
    let all: BTreeSet<String> = found.captures_iter(&router).map(|found| described(&found[1])).collect();
    let all: BTreeSet<String> = all.into_iter().filter(|route| !route.contains("__private__")).collect();
    for known in ["/", "/audit", "/live/audit", "/views/{name}", "/healthz"] {
        assert!(all.contains(known), "axum shows its routes in another way: {router}");
    }
    all
}

/// The path with its parts filled in.
fn filled(route: &str) -> String {
    let parts = Regex::new(r"\{([^}]+)\}").unwrap();
    let part = |found: &regex::Captures<'_>| {
        let rest = &route[..found.get(0).unwrap().end()];
        let value = PATHS.iter().filter(|(path, name, _)| rest.starts_with(path) && *name == &found[1]);
        let longest = value.max_by_key(|(path, ..)| path.len());
        longest
            .unwrap_or_else(|| {
                panic!("add a value for `{}` of {route} to PATHS in tests/metadata/routes.rs", &found[1])
            })
            .2
            .to_owned()
    };
    parts.replace_all(route, part).into_owned()
}

/// All calls of all routes with each of their parameters.
pub async fn calls(served: &Served, document: &Value, known: &Known) -> Vec<Call> {
    let mut calls = Vec::new();
    // A WebSocket is tried by `sockets`.
    for route in routes(&served.annals).into_iter().filter(|route| route != "/live") {
        let path = filled(&route);
        let allowed =
            served.request(Method::OPTIONS, &path).header("annals-actor", "user:root").send().await.unwrap();
        let allowed =
            allowed.headers().get("allow").map(|allow| allow.to_str().unwrap().to_owned()).unwrap_or_default();
        let methods: Vec<&str> =
            allowed.split(", ").filter(|method| !["OPTIONS", "HEAD", ""].contains(method)).collect();
        assert!(!methods.is_empty(), "{route} accepts no method");
        for method in methods {
            calls.extend(of_route(&route, &path, method, document, known));
        }
    }
    calls
}

fn of_route(route: &str, path: &str, method: &str, document: &Value, known: &Known) -> Vec<Call> {
    let operation = |path: &str, method: &str| document["paths"][path][method.to_lowercase()].clone();
    let mut own = operation(route, method);
    if own.is_null() {
        own = operation(path, method);
    }
    let page = PAGES.iter().find(|(page, ..)| *page == route);
    assert!(
        !own.is_null() || page.is_some() || route == "/metrics",
        "{method} {route} is not in the OpenAPI document: describe it there, or add it to PAGES in tests/metadata/routes.rs"
    );
    let like = page.and_then(|(_, _, like)| *like);
    let parameters = match like {
        Some(like) => operation(like, "GET")["parameters"].clone(),
        None => own["parameters"].clone(),
    };
    let parameters: Vec<&Value> =
        parameters.as_array().into_iter().flatten().filter(|it| it["in"] != "path").collect();
    let mut query: Vec<(String, String)> = Vec::new();
    if let Some((_, needed, _)) = page {
        query.extend(form_urlencoded::parse(needed.as_bytes()).into_owned());
    }
    if route == "/live/audit" {
        query.push(("until".to_owned(), known.end()));
    }
    for parameter in parameters.iter().filter(|it| it["required"] == true && like.is_none()) {
        let (_, value) = of(parameter, route, document, known).swap_remove(0);
        query.push((name_of(parameter), text(&value)));
    }
    let body = match own["requestBody"].is_null() {
        true => None,
        false => Some(
            body(path).unwrap_or_else(|| panic!("add a body for {route} to `body` in tests/metadata/routes.rs")),
        ),
    };
    let is_get = method == "GET";
    let mut calls = Vec::new();
    let mut call =
        |label: String, query: &[(String, String)], headers: Vec<(String, String)>, must_answer: bool| {
            let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish();
            let path = if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") };
            let method = method.parse().unwrap();
            calls.push(Call {
                label: format!("{method} {route} {label}"),
                method,
                path,
                headers,
                body: body.clone(),
                must_answer,
            });
        };
    let must = is_get && !NOT_COMPARED.contains(&route);
    call(String::new(), &query, Vec::new(), must);
    if page.is_some() {
        let html = |language: &str| {
            vec![("accept".to_owned(), "text/html".to_owned()), ("accept-language".to_owned(), language.to_owned())]
        };
        call("as a page".to_owned(), &query, html("en"), must);
        call("as a page in French".to_owned(), &query, html("fr"), must);
    }
    for parameter in parameters {
        let name = name_of(parameter);
        for (label, value) in of(parameter, route, document, known) {
            let label = format!("{name}={label}");
            // What another route takes, a page may refuse.
            let must_answer = is_get && like.is_none() && !REFUSED.contains(&(route, &name));
            if parameter["in"] == "header" {
                call(label, &query, vec![(name.clone(), text(&value))], must_answer);
                continue;
            }
            let mut with: Vec<(String, String)> =
                query.iter().filter(|(known, _)| *known != name).cloned().collect();
            with.push((name.clone(), text(&value)));
            call(label, &with, Vec::new(), must_answer);
        }
    }
    calls
}

/// Parameters that their route refuses together with what it needs.
const REFUSED: [(&str, &str); 10] = [
    ("/live/audit", "newest_first"),
    ("/live/audit", "by_occurrence"),
    ("/live/metrics/", "after"),
    ("/live/metrics/{topic}", "after"),
    ("/live/metrics/", "Last-Event-ID"),
    ("/live/metrics/{topic}", "Last-Event-ID"),
    ("/view-counts/{name}", "limit"),
    ("/view-counts/{name}", "cursor"),
    // Only with a range.
    ("/metrics/", "anomalies"),
    ("/metrics/{topic}", "anomalies"),
];

fn name_of(parameter: &Value) -> String {
    parameter["name"].as_str().unwrap().to_owned()
}

fn of(parameter: &Value, route: &str, document: &Value, known: &Known) -> Vec<(String, Value)> {
    values(route, &name_of(parameter), &resolved(&parameter["schema"], document), known)
}

/// A schema with its reference followed, and without the type null.
pub fn resolved(schema: &Value, document: &Value) -> Value {
    let mut schema = schema.clone();
    loop {
        let to = schema["$ref"].as_str().map(|to| to.trim_start_matches('#').to_owned());
        let next = match to {
            Some(to) => document.pointer(&to).cloned(),
            None => ["oneOf", "anyOf"]
                .into_iter()
                .find_map(|of| schema[of].as_array()?.iter().find(|one| one["type"] != "null").cloned()),
        };
        match next {
            Some(next) => schema = next,
            None => break,
        }
    }
    if schema["items"].is_object() {
        schema["items"] = resolved(&schema["items"], document);
    }
    schema
}
