//! The audit log, metrics, views and stored events.

use annals::projections::export::Format;
use annals_test_postgres::Place;
use reqwest::Method;
use serde_json::{Value, json};

use crate::bank::app;
use crate::served::{Served, after};

annals_test_postgres::both_stores! {
    pages_follow_by_cursor_during_writes,
    filters_counts_and_orders_are_those_of_the_library,
    every_format_is_downloaded_byte_for_byte,
    metrics_are_those_of_the_library,
    a_reader_reads_its_own_write_by_its_receipt,
    documents_are_read_by_key_and_in_pages,
    documents_are_selected_and_counted_by_their_fields,
    stored_events_are_read_unchanged,
    reads_are_recorded_with_their_actor,
}

async fn some(place: &Place) -> (Served, Value) {
    let served = Served::alice(app(), place).await;
    for n in 1..=12 {
        served.deposit(["a", "b", "c"][n % 3], n as i64).await;
    }
    let last = served.deposit("a", 100).await;
    (served, last)
}

/// Mission P12, over HTTP.
async fn pages_follow_by_cursor_during_writes(place: &Place) {
    let (served, last) = some(place).await;
    let mut address = format!("/audit?topic=bank&limit=5&{}", after(&last));
    let mut positions: Vec<u64> = Vec::new();
    loop {
        let page = served.get(&address).await.json();
        positions.extend(page["rows"].as_array().unwrap().iter().map(|row| row["position"].as_u64().unwrap()));
        served.deposit("b", 1).await;
        match page["next"].as_str() {
            Some(next) if positions.len() < 20 => address = format!("/audit?topic=bank&limit=5&cursor={next}"),
            _ => break,
        }
    }
    assert!(positions.len() >= 13, "{positions:?}");
    assert_eq!(positions, (1..=positions.len() as u64).collect::<Vec<_>>());
    let other = served.get(&format!("{}&actor=user:x", address)).await;
    assert!(other.problem(400, "malformed").contains("another query"));
    served.stop().await;
}

async fn filters_counts_and_orders_are_those_of_the_library(place: &Place) {
    let (served, last) = some(place).await;
    let wait = after(&last);
    let rows = served.get(&format!("/audit?target=account:a&newest_first=true&limit=2&{wait}")).await.json();
    let sentences: Vec<&str> =
        rows["rows"].as_array().unwrap().iter().map(|row| row["sentence"].as_str().unwrap()).collect();
    assert_eq!(sentences, ["user:alice paid 100 into account:a", "user:alice paid 12 into account:a"]);
    let whole = served.get(&format!("/audit?limit=1000&{wait}")).await;
    let page = served.annals.audit().limit(1000).page().await.unwrap();
    assert_eq!(whole.text, serde_json::to_string(&page).unwrap());
    assert_eq!(whole.header("content-type"), "application/json");
    let count = served.get("/audit/count?actor=user:alice&actor=user:nobody&action=update").await.json();
    assert_eq!((&count["events"], &count["complete"]), (&json!(13), &json!(true)));
    assert_eq!(count["actors"], json!([{ "value": "user:alice", "events": 13 }]));
    assert_eq!(served.get("/audit/count?text=PAID%20100").await.json()["events"], 1);
    assert_eq!(served.get("/audit/count?from=3&until=5").await.json()["events"], 2);
    assert_eq!(served.get("/audit/count?refused=true").await.json()["events"], 0);
    served.stop().await;
}

/// Mission A5, over HTTP.
async fn every_format_is_downloaded_byte_for_byte(place: &Place) {
    let (served, last) = some(place).await;
    served.get(&format!("/audit?limit=1&{}", after(&last))).await;
    for &format in Format::ALL {
        let answer = served.get(&format!("/audit/export?format={format}&target=account:a")).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert!(answer.header("content-disposition").starts_with("attachment; filename=\"audit."));
        let mut here = Vec::new();
        let query = served.annals.audit().target("account:a");
        query.export(format).source("/annals").to(&mut here).await.unwrap();
        assert_eq!(answer.text.as_bytes(), here, "{format}");
        assert!(answer.text.contains("export"), "the export does not end with its manifest");
    }
    let marked = served.request(Method::GET, "/audit/export?format=csv&bom=true").send().await.unwrap();
    // Not as text: a client removes the mark.
    assert!(marked.bytes().await.unwrap().starts_with("\u{feff}\"position\",".as_bytes()));
    let refused = served.get("/audit/export?format=jsonl&bom=true").await.problem(400, "malformed");
    assert!(refused.contains("`bom` is for the format csv"), "{refused}");
    served.get("/audit/export?format=xml").await.problem(400, "malformed");
    served.get("/audit/export").await.problem(400, "malformed");
    served.get("/audit/export?format=csv&topic=nowhere").await.problem(400, "malformed");
    served.get("/audit/export?format=csv&locale=tlh").await.problem(400, "malformed");
    served.stop().await;
}

async fn metrics_are_those_of_the_library(place: &Place) {
    let (served, last) = some(place).await;
    let numbers = served.get(&format!("/metrics/bank/account?busiest=2&{}", after(&last))).await.json();
    assert_eq!((&numbers["topic"], &numbers["total"]), (&json!("bank/account"), &json!(13)));
    assert_eq!(numbers["by_event"], json!({ "account.deposited": 13 }));
    assert_eq!(numbers["busiest"]["targets"][0], json!({ "reference": "account:a", "events": 5 }));
    assert_eq!(numbers["buckets"]["buckets"].as_array().unwrap().len(), 60);
    assert_eq!(served.get("/metrics/").await.json()["total"], 13);
    assert_eq!(served.get("/metrics/bank?from=3&until=5").await.json()["total"], 2);
    assert_eq!(served.get("/metrics/bank%2Faccount?busiest=0").await.json()["busiest"], Value::Null);
    assert!(served.get("/metrics/bank?anomalies=1h").await.json()["anomalies"]["slices"].is_u64());
    assert!(served.get("/metrics/shop").await.problem(400, "malformed").contains("bank"));
    served.get("/metrics/bank?anomalies=0s").await.problem(400, "malformed");
    served.stop().await;
}

/// Mission X4, over HTTP.
async fn a_reader_reads_its_own_write_by_its_receipt(place: &Place) {
    let served = Served::alice(app(), place).await;
    for cents in 1..=20 {
        let receipt = served.deposit("a", 1).await;
        let balance = served.get(&format!("/views/balance/a?{}", after(&receipt))).await.json();
        assert_eq!(balance, json!({ "cents": cents, "events": cents }));
        let total = served.get(&format!("/metrics/bank?{}", after(&receipt))).await.json()["total"].clone();
        assert_eq!(total, cents);
    }
    let elsewhere = "after=1:018f0000-0000-7000-8000-000000000000";
    served.get(&format!("/views/balance/a?{elsewhere}")).await.problem(409, "conflict");
    served.get("/views/balance/a?after=1").await.problem(400, "malformed");
    served.stop().await;
}

async fn documents_are_read_by_key_and_in_pages(place: &Place) {
    let (served, last) = some(place).await;
    let wait = after(&last);
    let slashed = served.deposit("x/y z", 7).await;
    assert_eq!(
        served.get("/views").await.json(),
        json!([{
            "name": "balance",
            "fields": [{ "name": "cents", "number": true }, { "name": "size", "number": false }],
        }])
    );
    let first = served.get(&format!("/views/balance?limit=2&{wait}")).await.json();
    assert_eq!(first["documents"][0], json!({ "key": "a", "document": { "cents": 130, "events": 5 } }));
    let next = first["next"].as_str().unwrap();
    let second = served.get(&format!("/views/balance?cursor={next}&{}", after(&slashed))).await.json();
    let keys: Vec<&Value> = second["documents"].as_array().unwrap().iter().map(|one| &one["key"]).collect();
    assert_eq!(keys, ["c", "x/y z"]);
    assert_eq!(second["next"], Value::Null);
    assert_eq!(served.get("/views/balance/x%2Fy%20z").await.json()["cents"], 7);
    served.get("/views/balance/nobody").await.problem(404, "not-found");
    assert!(served.get("/views/nothing").await.problem(404, "not-found").contains("`balance`"));
    served.get("/views/balance?filter=cents").await.problem(400, "malformed");
    served.get("/views/balance?filter=colour=1").await.problem(400, "malformed");
    served.get("/views/balance?cursor=00").await.problem(400, "malformed");
    served.stop().await;
}

/// Mission X21, over HTTP.
async fn documents_are_selected_and_counted_by_their_fields(place: &Place) {
    let served = Served::alice(app(), place).await;
    let mut last = served.deposit("a", 5).await;
    for (account, cents) in [("b", 50), ("c", 500), ("d", 5_000), ("e", 50)] {
        last = served.deposit(account, cents).await;
    }
    let wait = after(&last);
    for (query, expected) in [
        ("from=cents%3D50", "bcde"),
        ("from=cents%3D50&until=cents%3D500", "be"),
        ("any=cents%3D5&any=cents%3D500", "ac"),
        ("any=cents%3D5&any=cents%3D500&filter=size%3Dlarge", "c"),
        ("prefix=size%3Dsm", "abe"),
        ("prefix=size%3D%25", ""),
        ("from=size%3Dm&order=cents&descending=true", "eba"),
        ("filter=cents%3D50&filter=cents%3D5", ""),
    ] {
        let page = served.get(&format!("/views/balance?{query}&{wait}")).await.json();
        let keys: String =
            page["documents"].as_array().unwrap().iter().filter_map(|one| one["key"].as_str()).collect();
        assert_eq!(keys, expected, "{query}");
        let query = query.split("&order").next().unwrap();
        let counted = served.get(&format!("/view-counts/balance?{query}&{wait}")).await.json();
        assert_eq!((&counted["count"], &counted["values"]), (&expected.len().into(), &json!([])), "{query}");
    }
    let first = served.get(&format!("/view-counts/balance?by=cents&limit=2&{wait}")).await.json();
    assert_eq!(first["values"], json!([{ "value": 5, "count": 1 }, { "value": 50, "count": 2 }]));
    let next = first["next"].as_str().unwrap();
    let second = served.get(&format!("/view-counts/balance?by=cents&limit=2&cursor={next}")).await.json();
    assert_eq!(second["values"], json!([{ "value": 500, "count": 1 }, { "value": 5_000, "count": 1 }]));
    assert_eq!((&second["next"], &second["count"]), (&Value::Null, &5.into()));
    let sizes = served.get("/view-counts/balance?by=size&from=cents%3D50").await.json();
    assert_eq!(sizes["values"], json!([{ "value": "large", "count": 2 }, { "value": "small", "count": 2 }]));
    for query in
        ["from=cents", "from=cents%3D3&until=cents%3D2", "prefix=cents%3D1", "by=colour", "limit=0", "limit=1001"]
    {
        served.get(&format!("/view-counts/balance?{query}")).await.problem(400, "malformed");
    }
    served.get("/view-counts/nothing").await.problem(404, "not-found");
    served.stop().await;
}

async fn stored_events_are_read_unchanged(place: &Place) {
    let (served, _) = some(place).await;
    let mut from = 1;
    let mut read = Vec::new();
    loop {
        let page = served.get(&format!("/events?limit=5&from={from}")).await.json();
        read.extend(page["events"].as_array().unwrap().clone());
        let Some(next) = page["next"].as_u64() else { break };
        from = next;
    }
    let stored = served.annals.events(0, 100).await.unwrap().events;
    assert_eq!(read.len(), stored.len());
    for (read, stored) in read.iter().zip(&stored) {
        assert_eq!((&read["position"], &read["event_id"]), (&json!(stored.position), &json!(stored.event_id)));
        assert_eq!(read["payload"].to_string(), stored.payload);
        assert_eq!(read["digest"].as_str().unwrap().len(), 64);
    }
    let of_one = served.get("/events?aggregate=account:a&from=2&limit=2").await.json();
    assert_eq!((&of_one["events"][0]["sequence"], &of_one["next"]), (&json!(2), &json!(4)));
    for bad in ["limit=0", "limit=1001", "from=-1", "from=0", "from=9223372036854775808", "aggregate=a", "more=1"] {
        served.get(&format!("/events?{bad}")).await.problem(400, "malformed");
    }
    served.stop().await;
}

/// Missions D6, D16 and X10.
async fn reads_are_recorded_with_their_actor(place: &Place) {
    let served = Served::alice(app().record_reads(), place).await;
    let receipt = served.deposit("a", 1).await;
    served.get(&format!("/views/balance/a?{}", after(&receipt))).await;
    for path in
        ["/audit?limit=1", "/audit/export?format=csv", "/metrics/bank", "/events", "/events?aggregate=account:a"]
    {
        assert_eq!(served.get(path).await.status, 200, "{path}");
    }
    let url = place.url();
    served.stop().await;
    let annals = app().open(url).await.unwrap();
    let head = annals.store().head().await.unwrap();
    let page = annals.audit().topic("annals/read").after(head).page().await.unwrap();
    let sentences: Vec<&str> = page.rows.iter().map(|row| row.sentence.as_str()).collect();
    for what in ["a in balance", "the audit log", "the metrics of `bank`", "the log", "the log of account:a"] {
        let found = sentences.iter().filter(|sentence| sentence.ends_with(&format!(" {what}"))).count();
        assert_eq!(found, 1, "{what}: {sentences:#?}");
    }
    assert!(page.rows.iter().all(|row| row.actor.as_str() == "user:alice"));
    let paths: Vec<_> = page.rows.iter().filter_map(|row| row.origin.clone()?.path).collect();
    assert!(paths.contains(&"/views/balance/a".to_owned()), "{paths:?}");
    annals.close().await;
}
