//! The OpenAPI document, and the page `/try`.

use std::collections::BTreeSet;

use annals::events::MAX_ID_BYTES;
use annals_test_postgres::Place;
use reqwest::Method;
use serde_json::{Value, json};

use crate::bank::app;
use crate::served::{Served, after, answer};

annals_test_postgres::both_stores! { responses_match_their_schemas_at_the_limits }

/// All `$ref`s of a document.
fn references(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(map) => {
            if let Some(to) = map.get("$ref").and_then(Value::as_str) {
                found.insert(to.to_owned());
            }
            map.values().for_each(|inner| references(inner, found));
        }
        Value::Array(all) => all.iter().for_each(|inner| references(inner, found)),
        _ => {}
    }
}

#[tokio::test]
async fn the_document_describes_all_routes_and_every_reference_resolves() {
    let place = Place::sqlite();
    let served = Served::alice(app(), &place).await;
    let api = served.get("/openapi.json").await.json();
    assert_eq!(api["openapi"], "3.1.0");
    let paths: BTreeSet<&str> = api["paths"].as_object().unwrap().keys().map(String::as_str).collect();
    for path in [
        "/audit",
        "/audit/count",
        "/audit/export",
        "/check",
        "/commands",
        "/commands/deposit",
        "/commands/transfer",
        "/events",
        "/metrics/",
        "/metrics/{topic}",
        "/projections",
        "/projections/{name}",
        "/projections/{name}/rebuild",
        "/projections/{name}/resume",
        "/projections/{name}/skip",
        "/projections/{name}/dead-letters",
        "/projections/{name}/replay",
        "/view-counts/{name}",
        "/views",
        "/views/{name}",
        "/views/{name}/{key}",
    ] {
        assert!(paths.contains(path), "{path} is not in {paths:?}");
    }
    let mut found = BTreeSet::new();
    references(&api, &mut found);
    for reference in &found {
        let pointer = reference.strip_prefix('#').unwrap_or_else(|| panic!("{reference} is outside the document"));
        assert!(api.pointer(pointer).is_some(), "{reference} does not resolve");
    }
    let views = api["paths"]["/views"]["get"]["responses"]["200"]["content"]["application/json"]["schema"].clone();
    let of_views = api.pointer(&views["items"]["$ref"].as_str().unwrap()[1..]).unwrap();
    assert_eq!(of_views["required"], json!(["name", "fields"]), "two types share a name");
    let operations =
        || api["paths"].as_object().unwrap().values().flat_map(|item| item.as_object().unwrap().values());
    let ids: BTreeSet<&str> = operations().map(|operation| operation["operationId"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), operations().count(), "two operations share an id: {ids:?}");
    for operation in operations() {
        for (status, response) in operation["responses"].as_object().unwrap() {
            let described = response["description"].as_str().is_some_and(|text| !text.is_empty());
            assert!(described, "{} {status} has no description", operation["operationId"]);
        }
    }
    assert!(!api.to_string().contains("](crate::"), "a link to an item of the crate means nothing to a client");
    let deposit = &api["paths"]["/commands/deposit"]["post"];
    let schema = &deposit["requestBody"]["content"]["application/json"]["schema"]["$ref"];
    let schema = api.pointer(&schema.as_str().unwrap()[1..]).unwrap();
    assert_eq!(schema["required"], json!(["account", "cents"]));
    assert_eq!(schema["additionalProperties"], false);
    for status in ["200", "400", "401", "403", "408", "409", "413", "415", "422", "429", "503"] {
        assert!(deposit["responses"][status].is_object(), "{status}");
    }
    served.stop().await;
}

/// The longest ids, of actor and aggregate, in all responses.
async fn responses_match_their_schemas_at_the_limits(place: &Place) {
    let served = Served::alice(app(), place).await;
    let (account, user) = ("x".repeat(MAX_ID_BYTES), format!("user:{}", "é".repeat(MAX_ID_BYTES / 2)));
    let deposit = served.request(Method::POST, "/commands/deposit").header("Annals-Actor", user.as_bytes());
    let receipt = answer(deposit.json(&json!({ "account": account, "cents": 1 }))).await;
    assert_eq!(receipt.status, 400, "a header has ASCII only");
    let user = format!("user:{}", "y".repeat(MAX_ID_BYTES));
    let deposit = served.request(Method::POST, "/commands/deposit").header("Annals-Actor", &user);
    let receipt = answer(deposit.json(&json!({ "account": account, "cents": 1 }))).await;
    assert_eq!(receipt.status, 200, "{receipt:?}");
    served.do_it(Method::POST, "/check").await;
    let api = served.get("/openapi.json").await.json();
    let wait = after(&receipt.json());
    for (path, described) in [
        (format!("/audit?{wait}"), "/audit"),
        (format!("/audit/count?{wait}"), "/audit/count"),
        ("/events".to_owned(), "/events"),
        (format!("/metrics/bank?busiest=9&{wait}"), "/metrics/{topic}"),
        (format!("/views/balance?{wait}"), "/views/{name}"),
        (format!("/views/balance/{account}?{wait}"), "/views/{name}/{key}"),
        ("/projections".to_owned(), "/projections"),
        ("/check".to_owned(), "/check"),
        ("/commands".to_owned(), "/commands"),
    ] {
        let answer = served.get(&path).await;
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        let schema = &api["paths"][described]["get"]["responses"]["200"]["content"]["application/json"]["schema"];
        let whole = json!({ "$ref": "#/wanted", "wanted": schema, "components": api["components"] });
        let validator = jsonschema::draft202012::new(&whole).expect("a schema");
        let faults: Vec<String> = validator.iter_errors(&answer.json()).map(|error| error.to_string()).collect();
        assert!(faults.is_empty(), "{described}: {faults:?}");
        if described.starts_with("/audit") {
            assert!(answer.text.contains(&user), "{described} has no long id");
        }
    }
    served.stop().await;
}

/// Mission P25, for this page: nothing is loaded from another host.
#[tokio::test]
async fn the_page_to_try_requests_loads_nothing_from_another_host() {
    let place = Place::sqlite();
    let served = Served::alice(app(), &place).await;
    let page = served.get("/try").await;
    assert!(page.header("content-security-policy").contains("connect-src 'self'"));
    let files = regex::Regex::new("/assets/[a-z]+-[0-9a-f]+\\.(?:js|css)").unwrap();
    let files: Vec<&str> = files.find_iter(&page.text).map(|file| file.as_str()).collect();
    assert!(files.iter().any(|file| file.starts_with("/assets/try-")) && files.len() == 3, "{files:?}");
    for path in files.iter().copied().chain(["/try"]) {
        let answer = served.get(path).await;
        assert!(!answer.text.contains("://") && !answer.text.contains("src=\"//"), "{path}");
        let sets_html = path.starts_with("/assets/try-") && answer.text.contains("innerHTML");
        assert!(!sets_html, "texts are set as text, not as HTML");
    }
    served.stop().await;
}
