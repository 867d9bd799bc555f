//! Flows over HTTP and on the page.

use annals::app::{AccessContext, Ask, Denial};
use annals::projections::flows::Flows;
use annals_test_postgres::Place;
use reqwest::Method;
use serde_json::json;

use crate::bank::app;
use crate::served::{Served, after, answer};

annals_test_postgres::both_stores! {
    flows_are_answered_page_by_page_and_by_minute,
    an_export_leads_out_to_the_address_of_the_client,
    bad_requests_say_which_parameter_is_wrong,
    who_is_denied_sees_no_flows,
    the_page_draws_the_flows_and_has_them_as_a_table,
    without_flows_there_are_no_routes,
}

async fn some(place: &Place) -> (Served, String) {
    let served = Served::alice(app().record_reads().flows(Flows::default()), place).await;
    served.deposit("a", 1).await;
    let last = served.deposit("b", 1).await;
    (served, after(&last))
}

async fn flows_are_answered_page_by_page_and_by_minute(place: &Place) {
    let (served, after) = some(place).await;
    let first = served.get(&format!("/flows?limit=1&sink=account:*&{after}")).await.json();
    let flow = &first["flows"][0];
    assert_eq!(
        (&flow["sink"], &flow["count"], &flow["actor"]),
        (&json!("account:a"), &json!(1), &json!("user:alice"))
    );
    assert_eq!(
        (&flow["outcome"], &flow["leads_out"], &flow["minute"]),
        (&json!("used"), &json!(false), &json!(null))
    );
    let next = first["next"].as_str().unwrap();
    let second = served.get(&format!("/flows?limit=1&sink=account:*&cursor={next}")).await.json();
    assert_eq!((&second["flows"][0]["sink"], &second["next"]), (&json!("account:b"), &json!(null)));
    assert!(second["head"]["position"].as_u64() >= Some(2));
    let minutes = served.get("/flows?by_minute=true&sink=account:a&actor=user:alice").await.json();
    assert!(minutes["flows"][0]["minute"].as_str().unwrap().ends_with(":00Z"), "{minutes}");
    let unusual = served.get("/flows/unusual?width=10m").await.json();
    assert_eq!((&unusual["slices"], &unusual["unusual"]), (&json!(60), &json!([])));
    served.stop().await;
}

/// Mission D21.
async fn an_export_leads_out_to_the_address_of_the_client(place: &Place) {
    let (served, after) = some(place).await;
    // An export covers what the audit log has.
    assert_eq!(served.get(&format!("/audit?{after}")).await.status, 200);
    let exported = served.get("/audit/export?format=csv&target=account:a").await;
    assert_eq!(exported.status, 200);
    let head = served.annals.store().head().await.unwrap();
    let paths =
        served.get(&format!("/flows/outward?source=account:a&after={}:{}", head.position, head.event_id)).await;
    let path = &paths.json()["paths"][0];
    let said = (&path["source"], &path["actor"], &path["destination"], &path["sent"]);
    assert_eq!(said, (&json!("account:a"), &json!("user:alice"), &json!("host:127.0.0.1"), &json!(1)));
    served.annals.reading("audit").unwrap().caught_up(head, None).await.unwrap();
    let lineage = served.annals.lineage(&"account:a".parse().unwrap()).await.unwrap();
    assert_eq!(lineage[0].to.as_ref().map(ToString::to_string).as_deref(), Some("host:127.0.0.1"));
    served.stop().await;
}

async fn bad_requests_say_which_parameter_is_wrong(place: &Place) {
    let (served, after) = some(place).await;
    assert_eq!(served.get(&format!("/flows?{after}")).await.status, 200);
    for (path, says) in [
        ("/flows?source=Store:a", "is no place"),
        ("/flows?actor=nobody", "actor"),
        ("/flows?outcome=lost", "outcome"),
        ("/flows?limit=0", "limit of 0"),
        ("/flows?limit=1001", "at most 1000"),
        ("/flows?from=yesterday", "from"),
        ("/flows?cursor=00", "cursor"),
        ("/flows?sauce=account:a", "unknown parameter"),
        ("/flows/unusual?width=90s", "whole minutes"),
        ("/flows/unusual?from=2000-01-01", "slices"),
    ] {
        let problem = served.get(path).await.problem(400, "malformed");
        assert!(problem.contains(says), "{path}: {problem}");
    }
    // Without rights in the log there are no grants.
    served.get("/flows/grants").await.problem(404, "not-found");
    served.stop().await;
}

async fn who_is_denied_sees_no_flows(place: &Place) {
    let no = |context: &AccessContext<'_>, ask: &Ask<'_>| match (context.actor().as_str(), ask) {
        ("user:eve", Ask::Audit { .. }) => Err(Denial::because("not eve")),
        _ => Ok(()),
    };
    let served = Served::alice(app().flows(Flows::default()).authorise(no), place).await;
    served.deposit("a", 1).await;
    for path in ["/flows", "/flows/outward", "/flows/unusual", "/page/flows"] {
        let denied = answer(served.request(Method::GET, path).header("Annals-Actor", "user:eve")).await;
        assert_eq!(denied.status, 403, "{path}: {denied:?}");
        assert!(!denied.text.contains("account:a"), "{path}");
        assert_eq!(served.get(path).await.status, 200, "{path}");
    }
    served.stop().await;
}

async fn the_page_draws_the_flows_and_has_them_as_a_table(place: &Place) {
    let (served, after) = some(place).await;
    served.get(&format!("/flows?{after}")).await;
    let page = answer(served.request(Method::GET, "/page/flows").header("Accept", "text/html")).await;
    for part in [
        "<svg",
        "class=\"band in\"",
        "What leads out",
        "Nothing unusual.",
        "/?actor=user%3Aalice&amp;target=account%3Aa",
        "aria-current=\"page\">Flows",
    ] {
        // The deposits have no source: bands go from the actor to the accounts.
        assert!(page.text.contains(part), "{part} is not in {}", page.text);
    }
    let filtered =
        answer(served.request(Method::GET, "/page/flows?sink=account:b").header("Accept", "text/html")).await;
    assert!(filtered.text.contains("account:b") && !filtered.text.contains("account%3Aa"), "{}", filtered.text);
    let wrong =
        answer(served.request(Method::GET, "/page/flows?sinc=account:b").header("Accept", "text/html")).await;
    assert!(wrong.status == 400 && wrong.text.contains("sinc"), "{wrong:?}");
    served.stop().await;
}

async fn without_flows_there_are_no_routes(place: &Place) {
    let served = Served::alice(app(), place).await;
    for path in ["/flows", "/flows/outward", "/flows/unusual", "/page/flows"] {
        assert_eq!(served.get(path).await.status, 404, "{path}");
    }
    let page = answer(served.request(Method::GET, "/page/projections").header("Accept", "text/html")).await;
    assert!(!page.text.contains("page/flows"), "{}", page.text);
    served.stop().await;
}
