//! Projections, verification of the log, health checks, Prometheus metrics.

use std::time::Duration;

use annals::app::{AccessContext, Ask, Denial};
use annals_test_postgres::Place;
use reqwest::Method;
use serde_json::{Value, json};

use crate::bank::app;
use crate::served::{Served, after};

annals_test_postgres::both_stores! {
    a_projection_is_rebuilt_and_reports_its_progress,
    a_rebuild_can_be_cancelled,
    the_log_is_verified,
    the_prometheus_metrics_of_the_process_are_correct,
    an_actor_without_the_right_to_operate_is_denied,
}

/// Polls until the job is done.
async fn done(served: &Served, path: &str, job: impl Fn(&Value) -> Value) -> Value {
    for _ in 0..600 {
        let now = job(&served.get(path).await.json());
        if now["done"] == true {
            return now;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{path} is not done");
}

/// Mission X3, over HTTP.
async fn a_projection_is_rebuilt_and_reports_its_progress(place: &Place) {
    let served = Served::alice(app(), place).await;
    let mut last = Value::Null;
    for n in 0..10 {
        last = served.deposit("a", n + 1).await;
    }
    let before = served.get(&format!("/views/balance/a?{}", after(&last))).await.json();
    let all = served.get("/projections").await.json();
    let names: Vec<&str> = all.as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["audit", "balance", "metrics"]);
    let generation = served.get("/projections/balance").await.json()["generation"].as_u64().unwrap();
    let begun = served.do_it(Method::POST, "/projections/balance/rebuild").await;
    assert!([200, 202].contains(&begun.status.as_u16()), "{begun:?}");
    let rebuilt = done(&served, "/projections/balance", |status| status["last_rebuild"].clone()).await;
    assert_eq!(
        (&rebuilt["position"], &rebuilt["head"], &rebuilt["problem"]),
        (&json!(10), &json!(10), &Value::Null)
    );
    let now = served.get("/projections/balance").await.json();
    assert_eq!(now["generation"], generation + 1);
    assert_eq!(served.get("/views/balance/a").await.json(), before);
    let key = served.do_it(Method::POST, "/projections/balance/rebuild?key=a").await;
    assert!([200, 202].contains(&key.status.as_u16()), "{key:?}");
    done(&served, "/projections/balance", |status| status["last_rebuild"].clone()).await;
    served.do_it(Method::POST, "/projections/nothing/rebuild").await.problem(404, "not-found");
    served.do_it(Method::POST, "/projections/audit/rebuild?key=a").await;
    served.do_it(Method::POST, "/projections/balance/rebuild?key=a&skips=keep").await.problem(400, "malformed");
    assert_eq!(served.do_it(Method::POST, "/projections/balance/resume").await.status, 204);
    served.do_it(Method::POST, "/projections/nothing/resume").await.problem(404, "not-found");
    served.do_it(Method::POST, "/projections/balance/skip").await.problem(409, "conflict");
    assert_eq!(served.get("/projections/balance/dead-letters").await.json(), json!([]));
    assert_eq!(served.do_it(Method::POST, "/projections/balance/replay").await.json(), json!({ "events": 0 }));
    served.stop().await;
}

async fn a_rebuild_can_be_cancelled(place: &Place) {
    let served = Served::alice(app(), place).await;
    served.deposit("a", 1).await;
    served.do_it(Method::DELETE, "/projections/balance/rebuild").await.problem(404, "not-found");
    served.do_it(Method::PUT, "/projections/balance/rebuild").await.problem(405, "method-not-allowed");
    served.stop().await;
}

/// Mission J9, over HTTP.
async fn the_log_is_verified(place: &Place) {
    let served = Served::alice(app(), place).await;
    served.get("/check").await.problem(404, "not-found");
    served.deposit("a", 1).await;
    let begun = served.do_it(Method::POST, "/check").await;
    assert!([200, 202].contains(&begun.status.as_u16()), "{begun:?}");
    let report = done(&served, "/check", Value::clone).await;
    assert_eq!((&report["result"]["events"], &report["result"]["findings"]), (&json!(1), &json!([])));
    served.stop().await;
}

/// Mission P24.
async fn the_prometheus_metrics_of_the_process_are_correct(place: &Place) {
    let served = Served::alice(app(), place).await;
    for _ in 0..3 {
        served.deposit("a", 1).await;
    }
    let last = served.deposit("b", 1).await;
    served.get(&format!("/audit?{}", after(&last))).await;
    served.post("/commands/transfer", &json!({ "from": "x", "to": "y", "cents": 5 })).await.problem(422, "refused");
    let numbers = served.get("/metrics").await;
    assert!(numbers.header("content-type").starts_with("application/openmetrics-text"));
    let value = |name: &str| {
        let line =
            numbers.text.lines().find(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(' ')));
        let value = line.and_then(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
        value.unwrap_or_else(|| panic!("no {name} in {}", numbers.text))
    };
    assert_eq!(value("annals_commands_executed_total"), 4.0);
    assert_eq!(value("annals_commands_refused_total"), 1.0);
    assert_eq!(value("annals_state_cache_hits_total"), 2.0);
    assert_eq!(value("annals_state_cache_misses_total"), 4.0);
    assert_eq!(value("annals_conflicts_total"), 0.0);
    assert!(value("annals_append_duration_seconds_count") >= 4.0);
    assert!(value("annals_append_batch_commits_sum") >= 5.0);
    assert_eq!(
        value("annals_append_batch_commits_bucket{le=\"+Inf\"}"),
        value("annals_append_batch_commits_count")
    );
    assert_eq!(value("annals_log_position"), 4.0);
    assert_eq!(value("annals_projection_lag_events{projection=\"audit\"}"), 0.0);
    assert_eq!(value("annals_projection_lag_seconds{projection=\"audit\"}"), 0.0);
    assert_eq!(value("annals_projection_stopped{projection=\"balance\"}"), 0.0);
    let route = "annals_http_requests_total{method=\"POST\",route=\"/commands/{name}\",status=\"200\"}";
    assert_eq!(value(route), 4.0);
    assert!(numbers.text.ends_with("# EOF\n"));
    for path in ["/healthz", "/readyz"] {
        assert_eq!(served.get(path).await.status, 200, "{path}");
    }
    served.annals.store().close().await;
    served.get("/readyz").await.problem(503, "unavailable");
    assert_eq!(served.get("/healthz").await.status, 200);
    served.stop().await;
}

async fn an_actor_without_the_right_to_operate_is_denied(place: &Place) {
    let readers_only = |_: &AccessContext<'_>, ask: &Ask<'_>| match ask {
        Ask::Operate { operation, .. } => Err(Denial::because(format!("no {operation} for you"))),
        Ask::Audit { targets: [], .. } => Err(Denial::because("of one thing at a time")),
        _ => Ok(()),
    };
    let served = Served::alice(app().authorise(readers_only), place).await;
    served.deposit("a", 1).await;
    let shown = ["/projections", "/projections/audit", "/projections/audit/dead-letters", "/check", "/metrics"];
    for path in
        [&shown[..], &["/reactions", "/reactions/none/pending", "/page/reactions", "/feeds", "/intakes"]].concat()
    {
        served.get(path).await.problem(403, "denied");
    }
    let done = ["/check", "/projections/audit/rebuild", "/projections/audit/resume", "/projections/audit/skip"];
    let others = ["/reactions/none/skip", "/reactions/none/replay", "/feeds/none/pause", "/feeds/none/resume"];
    let intakes =
        ["pause", "resume", "messages", "dead-letters/1/replay"].map(|what| format!("/intakes/none/{what}"));
    let intakes = intakes.each_ref().map(String::as_str);
    for path in [&done[..], &others, &intakes].concat() {
        served.do_it(Method::POST, path).await.problem(403, "denied");
    }
    // The raw log is denied, too.
    for path in ["/events", "/audit", "/audit/count", "/audit/export?format=csv"] {
        served.get(path).await.problem(403, "denied");
    }
    assert_eq!(served.get("/events?aggregate=account:a").await.status, 200);
    assert_eq!(served.get("/audit?target=account:a").await.status, 200);
    served.stop().await;
}
