//! What the page records, and what a browser loads.

use std::collections::BTreeSet;

use annals::projections::flows::Flows;
use annals_test_postgres::Place;
use regex::Regex;
use reqwest::Method;

use crate::bank::{self, app};
use crate::served::{Served, answer};

annals_test_postgres::both_stores! {
    each_page_that_shows_something_of_the_log_is_recorded_as_a_read,
    an_application_with_metrics_by_occurrence_serves_them_and_its_page_opens_with_them,
    the_feed_counts_one_event_by_one_actor_and_two_events_by_two_actors,
    rows_after_an_event_that_the_log_does_not_have_are_a_conflict,
}

/// Mission D16: a page view is recorded as a read, with its path, like a JSON request.
async fn each_page_that_shows_something_of_the_log_is_recorded_as_a_read(place: &Place) {
    let shows = [
        ("/", "the audit log"),
        ("/history?of=account:a", "account:a"),
        ("/page/state?of=account:a", "the state of account:a"),
        ("/refusals", "refuse"),
        ("/rows?after=0", "the audit log"),
        ("/page/metrics", "the metrics of "),
        ("/page/flows", "the largest flows"),
    ];
    let shows_nothing = [
        "/page/projections",
        "/page/projections/now",
        "/page/reactions",
        "/verify",
        "/verify/now",
        "/sign-in",
        "/try",
    ];
    let served = Served::alice(app().record_reads().flows(Flows::default()), place).await;
    served.deposit("a", 1).await;
    let paths = shows.iter().map(|(path, _)| *path).chain(shows_nothing);
    for (n, path) in paths.enumerate() {
        // A different actor each time: equal reads of one actor are merged into one record.
        let request = served.request(Method::GET, path).header("Accept", "text/html");
        let answer = answer(request.header("Annals-Actor", format!("user:{n}"))).await;
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
    }
    let url = place.url();
    served.stop().await;
    let annals = app().open(url).await.unwrap();
    let mut reads = bank::log(&annals).await;
    reads.retain(|event| event.event_type == "annals_read.viewed");
    for (n, (path, what)) in shows.iter().enumerate() {
        let actor = format!("user:{n}");
        let by = |event: &&annals::events::Stored| event.metadata().unwrap().actor.as_str() == actor;
        let of: Vec<_> = reads.iter().filter(by).collect();
        let payloads: Vec<&str> = of.iter().map(|event| event.payload.as_str()).collect();
        assert!(payloads.iter().any(|payload| payload.contains(what)), "{path}: {payloads:?}");
        for event in of {
            let origin = event.metadata().unwrap().origin.unwrap();
            assert_eq!(origin.path.as_deref(), Some(path.split('?').next().unwrap()));
            assert_eq!((origin.method.as_deref(), origin.host.as_deref()), (Some("GET"), Some("127.0.0.1")));
        }
    }
    let readers: BTreeSet<String> =
        reads.iter().map(|event| event.metadata().unwrap().actor.id().to_owned()).collect();
    assert_eq!(readers.len(), shows.len(), "{readers:?}");
    annals.close().await;
}

/// Mission X22, over HTTP and on the page.
async fn an_application_with_metrics_by_occurrence_serves_them_and_its_page_opens_with_them(place: &Place) {
    let served = Served::alice(app().metrics_by_occurrence(), place).await;
    let old = bank::by("alice").occurred_at("1999-12-31T23:59:30Z".parse().unwrap());
    served.annals.execute(bank::deposit("a", 1), &old).await.unwrap();
    served.deposit("a", 2).await;
    let head = served.annals.store().head().await.unwrap();
    let total = async |query: &str| {
        let after = format!("after={}:{}", head.position, head.event_id);
        served.get(&format!("/metrics/bank?{query}&{after}")).await.json()["total"].clone()
    };
    assert_eq!(total("by_occurrence=true&from=1999-01-01&until=2000-01-01").await, 1);
    assert_eq!(total("by_occurrence=true&from=1999-01-01&until=9999-12-31").await, 2);
    assert_eq!(total("by_occurrence=true&from=2000-01-01&until=2001-01-01").await, 0);
    assert_eq!(total("from=1999-01-01&until=2000-01-01").await, 0, "it was recorded today");
    served.get("/metrics/bank?by_occurrence=true&from=1").await.problem(400, "malformed");
    let chosen = |words: &str| format!("aria-current=\"true\">{words}</a>");
    let page = async |path: &str| {
        let request = served.request(Method::GET, path).header("Accept", "text/html");
        answer(request).await.text
    };
    let numbers = page("/page/metrics").await;
    assert!(
        numbers.contains(&chosen("By time of occurrence")) && numbers.contains("1999-12-31 23:59 UTC"),
        "{numbers}"
    );
    assert!(numbers.contains("occurred_from=1999-12-31"), "the bars link to what occurred then: {numbers}");
    let recorded = page("/page/metrics?by_occurrence=false").await;
    assert!(recorded.contains(&chosen("By time recorded")) && !recorded.contains("1999"), "{recorded}");
    assert!(recorded.contains("in less than a minute") && !recorded.contains("on average"), "{recorded}");
    served.stop().await;
}

async fn the_feed_counts_one_event_by_one_actor_and_two_events_by_two_actors(place: &Place) {
    let served = Served::alice(app(), place).await;
    let shown = async || {
        let head = served.annals.store().head().await.unwrap();
        served.annals.audit().after(head).limit(1).page().await.unwrap();
        let text = page(&served, "/").await.text;
        Regex::new("<[^>]*>").unwrap().replace_all(&text, "").into_owned()
    };
    served.deposit("a", 1).await;
    let one = shown().await;
    assert!(one.contains("1 event by 1 actor, as of position 1"), "{one}");
    served.annals.execute(bank::deposit("a", 2), &bank::by("bob")).await.unwrap();
    let two = shown().await;
    assert!(two.contains("2 events by 2 actors, as of position 2"), "{two}");
    served.stop().await;
}

/// Guarantee 16: an open page has rows of a history that was lost.
async fn rows_after_an_event_that_the_log_does_not_have_are_a_conflict(place: &Place) {
    let served = Served::alice(app(), place).await;
    let receipt = served.deposit("a", 1).await;
    let id = receipt["head"]["event_id"].as_str().unwrap();
    assert_eq!(served.get(&format!("/rows?after=1&id={id}")).await.status, 200);
    assert_eq!(served.get("/rows?after=1").await.status, 200);
    let other = "0192f3a0-0000-7000-8000-000000000001";
    served.get(&format!("/rows?after=1&id={other}")).await.problem(409, "conflict");
    served.get(&format!("/rows?after=9&id={id}")).await.problem(409, "conflict");
    served.stop().await;
}

/// A spreadsheet takes UTF-8 for another encoding without the mark.
#[tokio::test]
async fn the_page_offers_every_format_and_csv_with_a_byte_order_mark() {
    let place = Place::sqlite();
    let served = Served::alice(app(), &place).await;
    let shown = page(&served, "/?actor=user:alice").await.text;
    let link = Regex::new(r#"href="([^"]*/audit/export[^"]*)" download"#).unwrap();
    let links: Vec<String> = link.captures_iter(&shown).map(|found| found[1].replace("&amp;", "&")).collect();
    assert_eq!(links.len(), annals::projections::export::Format::ALL.len() + 1, "{shown}");
    let mut marked = 0;
    for link in &links {
        let file = served.request(Method::GET, link).send().await.unwrap();
        assert_eq!(file.status(), 200, "{link}");
        assert!(link.contains("actor=user%3Aalice"), "{link}");
        marked += usize::from(file.bytes().await.unwrap().starts_with("\u{feff}".as_bytes()));
    }
    assert_eq!(marked, 1, "{links:?}");
    served.stop().await;
}

#[tokio::test]
async fn metrics_by_occurrence_that_are_not_kept_are_a_clear_error() {
    let place = Place::sqlite();
    let served = Served::alice(app(), &place).await;
    let problem = served.get("/metrics/bank?by_occurrence=true").await.problem(400, "malformed");
    assert!(problem.contains("App::metrics_by_occurrence"), "{problem}");
    let request = served.request(Method::GET, "/page/metrics").header("Accept", "text/html");
    assert!(!answer(request).await.text.contains("By time of occurrence"));
    served.stop().await;
}

/// Mission P25.
#[tokio::test]
async fn a_browser_loads_less_than_280_kb_beside_the_html_and_only_from_this_server() {
    let place = Place::sqlite();
    let served = Served::alice(app(), &place).await;
    served.deposit("a", 1).await;
    let names = Regex::new(r#"<(?:script|link|img|iframe|source)[^>]*?(?:src|href)="?([^"\s>]+)"#).unwrap();
    let mut loaded = BTreeSet::new();
    for path in [
        "/",
        "/history?of=account:a",
        "/refusals",
        "/page/metrics",
        "/page/projections",
        "/verify",
        "/sign-in",
        "/try",
    ] {
        let page = answer(served.request(Method::GET, path).header("Accept", "text/html")).await;
        assert_eq!(page.status, 200, "{path}");
        let base = reqwest::Url::parse(&served.url(path)).unwrap();
        for name in names.captures_iter(&page.text) {
            // Data URLs are part of the page.
            loaded.extend(base.join(&name[1]).ok().filter(|url| url.scheme() != "data"));
        }
    }
    assert!(loaded.iter().any(|url| url.path().ends_with(".js")), "{loaded:?}");
    assert!(loaded.iter().any(|url| url.path().ends_with(".css")), "{loaded:?}");
    let mut bytes = 0;
    for url in &loaded {
        assert_eq!(url.authority(), served.address.to_string(), "{url}");
        let file = served.client.get(url.clone()).send().await.unwrap();
        assert_eq!(file.status(), 200, "{url}");
        bytes += file.bytes().await.unwrap().len();
    }
    assert!((1..280_000).contains(&bytes), "{bytes} bytes: {loaded:?}");
    served.stop().await;
}

#[tokio::test]
async fn the_former_addresses_of_pages_redirect_with_their_query() {
    let place = Place::sqlite();
    let served = Served::alice(app(), &place).await;
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    for (former, page) in [
        ("/numbers?topic=bank&last=day", "/page/metrics?topic=bank&last=day"),
        ("/numbers", "/page/metrics"),
        ("/upkeep", "/page/projections"),
    ] {
        let moved = client.get(served.url(former)).send().await.unwrap();
        assert_eq!(moved.status(), 308, "{former}");
        assert_eq!(moved.headers()["location"], page, "{former}");
        assert_eq!(served.client.get(served.url(former)).send().await.unwrap().status(), 200, "{former}");
    }
    served.stop().await;
}

/// A browser's request for a page.
async fn page(served: &Served, path: &str) -> crate::served::Answer {
    answer(served.request(Method::GET, path).header("Accept", "text/html")).await
}

#[tokio::test]
async fn a_wrong_filter_is_named_above_the_form_as_it_was_filled_in() {
    let place = Place::sqlite();
    let served = Served::alice(app(), &place).await;
    served.deposit("a", 1).await;
    let wrong = "actor=nobody&target=account%3Aa&action=destroy&correlation=c%22&from=yesterday";
    for path in ["/?", "/refusals?", "/history?of=account:a&"] {
        let shown = page(&served, &format!("{path}{wrong}")).await;
        assert_eq!(shown.status, 400, "{path}");
        assert!(shown.text.contains("role=\"alert\""), "{path}: {}", shown.text);
        let kept = ["value=\"c&quot;\"", "value=\"yesterday\"", "value=\"nobody\""];
        assert!(kept.iter().all(|kept| shown.text.contains(kept)), "{path}: {}", shown.text);
        let programs = answer(served.request(Method::GET, &format!("{path}{wrong}"))).await;
        programs.problem(400, "malformed");
    }
    for (one, named) in [("actor=nobody", "nobody"), ("action=destroy", "destroy"), ("topic=bnak", "bnak")] {
        let shown = page(&served, &format!("/?{one}&text=paid")).await;
        assert_eq!(shown.status, 400, "{one}");
        let alert = shown.text.split("class=\"note bad\"").nth(1).unwrap().split("</div>").next().unwrap();
        assert!(alert.contains(named) && shown.text.contains("value=\"paid\""), "{one}: {alert}");
    }
    served.stop().await;
}

#[tokio::test]
async fn a_misspelt_filter_is_an_error_and_does_not_show_everything() {
    let place = Place::sqlite();
    let served = Served::alice(app(), &place).await;
    served.deposit("a", 1).await;
    for (path, named) in [
        ("/?actr=user:bob", "actr"),
        ("/refusals?aktor=user:bob", "aktor"),
        ("/history?of=account:a&tpic=bank", "tpic"),
        ("/rows?after=0&actr=user:bob", "actr"),
        ("/page/metrics?topik=bank", "topik"),
        ("/page/metrics?last=century", "century"),
    ] {
        let shown = page(&served, path).await;
        assert_eq!(shown.status, 400, "{path}");
        assert!(shown.text.contains(named) && !shown.text.contains("paid 1"), "{path}: {}", shown.text);
    }
    served.stop().await;
}

#[tokio::test]
async fn below_a_path_the_root_answers_with_and_without_a_slash() {
    let place = Place::sqlite();
    let alice: annals::events::Ref = "user:alice".parse().unwrap();
    let trusting = annals::http::Authentication::trusting(Some(alice));
    let served = Served::with(app(), &place, |router| router.mounted_at("/annals").authentication(trusting)).await;
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    assert_eq!(page(&served, "/annals").await.status, 200);
    assert_eq!(page(&served, "/annals/").await.status, 200);
    let moved = client.get(served.url("/annals/?actor=user:bob")).send().await.unwrap();
    assert_eq!(moved.status(), 308);
    assert_eq!(moved.headers()["location"], "/annals?actor=user:bob");
    let commands = answer(served.request(Method::GET, "/annals/commands")).await;
    assert!(commands.json().is_array(), "{commands:?}");
    answer(served.request(Method::GET, "/annals/nowhere")).await.problem(404, "not-found");
    served.stop().await;
}
