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
const PAGES: &[(&str, &str, Option<&str>)] = &[
    ("/", "", Some("/audit")),
    ("/history", "of=file:1", Some("/audit")),
    ("/refusals", "", Some("/audit")),
    ("/rows", "after=0", Some("/audit")),
    ("/live/metrics", "", Some("/live/metrics/")),
    ("/numbers", "", None),
    ("/upkeep", "", None),
    ("/page/metrics", "", Some("/metrics/{topic}")),
    ("/page/flows", "", Some("/flows")),
    ("/page/state", "of=file:1", None),
    ("/page/provenance/{kind}/{id}", "", Some("/provenance/{kind}/{id}")),
    ("/page/projections", "", None),
    ("/page/projections/now", "", None),
    ("/page/projections/rebuild", "", None),
    ("/page/projections/resume", "", None),
    ("/page/reactions", "", None),
    ("/page/reactions/skip", "", None),
    ("/page/reactions/replay", "", None),
    ("/page/access", "", None),
    ("/page/access/request", "", None),
    ("/page/access/grant", "", None),
    ("/page/access/approve", "", None),
    ("/page/access/deny", "", None),
    ("/page/access/confirm", "", None),
    ("/page/access/revoke", "", None),
    ("/page/access/revoke-token", "", None),
    ("/page/proof", "position=1", None),
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

/// Routes with hashes as bytes, which differ for any two logs: only their lengths are compared.
pub const HASHES: [&str; 1] = ["/log/tile/{path}"];

/// Routes about a thing that the application does not have.
const OF_NOTHING: [&str; 1] = ["/reactions/{name}/pending"];

/// Parts of paths. Each is a name that the application declares, or an id, which is not secret.
const PATHS: &[(&str, &str, &str)] = &[
    ("/aggregates/{kind}", "kind", "file"),
    ("/aggregates/{kind}/", "id", "1"),
    ("/view-counts/{name}", "name", "texts"),
    ("/views/{name}", "name", "texts"),
    ("/views/{name}/", "key", "1"),
    ("/metrics/", "topic", "vault/file"),
    ("/live/metrics/", "topic", "vault/file"),
    ("/projections/{name}", "name", "texts"),
    ("/reactions/{name}", "name", "none"),
    ("/feeds/{name}", "name", "none"),
    ("/intakes/{name}", "name", "none"),
    ("/intakes/{name}/", "position", "1"),
    ("/assets/{name}", "name", "none.css"),
    ("/log/tile/", "path", "entries/000.p/8"),
    ("/log/proof/", "position", "1"),
    ("/commands/{name}", "name", "write_file"),
    ("/provenance/{kind}", "kind", "file"),
    ("/provenance/{kind}/", "id", "1"),
    ("/page/provenance/{kind}", "kind", "file"),
    ("/page/provenance/{kind}/", "id", "1"),
];

/// Bodies of requests that the document does not have a schema for, or that a schema cannot fill.
fn body(route: &str) -> Option<Value> {
    Some(match route {
        // It is refused, for a reason that shows a value.
        "/commands/write_file" => json!({ "file": "1", "event": "no event" }),
        "/feeds/none/pause" | "/feeds/none/resume" => json!({ "why": "a reason" }),
        "/intakes/none/pause" | "/intakes/none/resume" | "/intakes/none/dead-letters/1/replay" => {
            json!({ "why": "a reason" })
        }
        // No CloudEvent: its type is not that of one.
        "/intakes/none/messages" => json!({}),
        "/reactions/none/skip" | "/reactions/none/replay" => {
            json!({ "step": "0192f0c1-2d3e-7000-8000-000000000001", "why": "a reason" })
        }
        _ => return None,
    })
}

/// A path of the router as the document writes it.
fn described(route: &str) -> String {
    route.replace("{*", "{")
}

/// How many combinations of parameters are tried on each route.
const COMBINATIONS: usize = 4;

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
///
/// Parameters are also combined at random: the same for logs with one seed.
pub async fn calls(served: &Served, document: &Value, known: &Known, seed: u64) -> Vec<Call> {
    let mut random = fastrand::Rng::with_seed(seed);
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
            let of_route = of_route(&route, &path, method, document, known);
            if method == "GET" {
                // Without a body, an answer could still have the length of one.
                let head = Call {
                    method: Method::HEAD,
                    label: format!("HEAD {route} "),
                    must_answer: false,
                    ..of_route[0].clone()
                };
                calls.push(head);
                calls.extend(combined(&of_route, &mut random));
            }
            calls.extend(of_route);
        }
    }
    calls
}

/// Calls with the parameters of several of these.
fn combined(calls: &[Call], random: &mut fastrand::Rng) -> Vec<Call> {
    let mut of_parameters: Vec<&Call> =
        calls.iter().filter(|call| call.headers.is_empty() && call.label.contains('=')).collect();
    // The answer to one of these has no end without the other parameters.
    of_parameters.retain(|call| !call.path.starts_with("/live/") || call.path.contains("until="));
    let query_of = |call: &Call| {
        let (_, query) = call.path.split_once('?').unwrap_or_default();
        form_urlencoded::parse(query.as_bytes()).into_owned().collect::<Vec<(String, String)>>()
    };
    let mut combined = Vec::new();
    for number in 0..if of_parameters.len() > 3 { COMBINATIONS } else { 0 } {
        let chosen = random.choose_multiple(of_parameters.iter(), 3);
        let mut query: Vec<(String, String)> = Vec::new();
        for (name, value) in chosen.iter().flat_map(|call| query_of(call)) {
            if !query.iter().any(|(known, _)| *known == name) {
                query.push((name, value));
            }
        }
        let first = &calls[0];
        let path = first.path.split('?').next().unwrap_or_default();
        let parameters = form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish();
        let labels: Vec<&str> =
            chosen.iter().map(|call| call.label.split_once(' ').map_or("", |(_, label)| label)).collect();
        let label = format!("{} combined {number}: {}", first.label, labels.join(" & "));
        combined.push(Call { label, path: format!("{path}?{parameters}"), must_answer: false, ..first.clone() });
    }
    combined
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
    let must = is_get && !NOT_COMPARED.contains(&route) && !OF_NOTHING.contains(&route);
    call(String::new(), &query, Vec::new(), must);
    if is_get {
        // An entity tag could be a hash of values.
        call("If-None-Match".to_owned(), &query, vec![("if-none-match".to_owned(), "\"a tag\"".to_owned())], false);
    }
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
            let refused = REFUSED.contains(&(route, &name)) || OF_NOTHING.contains(&route);
            let must_answer = is_get && like.is_none() && !refused;
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
const REFUSED: [(&str, &str); 17] = [
    ("/live/audit", "newest_first"),
    ("/live/audit", "by_occurrence"),
    ("/live/metrics/", "after"),
    ("/live/metrics/{topic}", "after"),
    ("/live/metrics/", "Last-Event-ID"),
    ("/live/metrics/{topic}", "Last-Event-ID"),
    ("/view-counts/{name}", "limit"),
    ("/view-counts/{name}", "cursor"),
    // The cursor of another query.
    ("/provenance/{kind}/{id}", "cursor"),
    ("/page/provenance/{kind}/{id}", "cursor"),
    // A page has one format.
    ("/page/provenance/{kind}/{id}", "format"),
    ("/flows", "cursor"),
    ("/flows/grants", "cursor"),
    ("/flows/outward", "cursor"),
    ("/flows/unusual", "cursor"),
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
