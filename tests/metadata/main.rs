//! Metadata is not bodies: a reader of metadata of the audit log receives no value of an event, by any surface.
//!
//! The surfaces are listed by the router and by the parser of the command line themselves, their parameters by the OpenAPI
//! document and the parser: a new route, subcommand or parameter is tried without being added here, or fails the test with what
//! to add.
//!
//! ## Layout
//! - `vault`: the application, and logs with secret values
//! - `secret`: the values, and the forms in which they are searched for
//! - `values`: values for parameters
//! - `routes`: all requests, from the router and the OpenAPI document
//! - `sockets`: all calls over WebSocket, from the OpenAPI document
//! - `command_line`: all subcommands with their options
//! - `asking`: sends requests, and reads the answers to the last byte
//! - `live`: rows that are written while a stream is open
//! - `library`: the reader of the library
//! - `served`: a served application, shared with the tests of HTTP
#![cfg(all(
    feature = "http",
    feature = "cli",
    feature = "export",
    feature = "translations",
    feature = "cloudevents"
))]

mod asking;
mod command_line;
mod library;
mod live;
mod routes;
mod secret;
#[allow(dead_code, reason = "shared with the tests of HTTP, which use the rest")]
#[path = "../http/served.rs"]
mod served;
mod sockets;
mod values;
mod vault;

use annals::http::Authentication;
use annals_test_postgres::{Place, both_stores};
use serde_json::Value;
use tempfile::TempDir;

use crate::asking::{Answers, ask_all, is_compared};
use crate::secret::Secret;
use crate::served::Served;
use crate::values::Known;

both_stores! {
    an_answer_says_its_detail_and_a_filter_by_text_is_refused,
}

/// Another place for a store of the same kind.
fn beside(place: &Place) -> Place {
    if place.schema().is_some() { Place::postgres() } else { Place::sqlite() }
}

async fn serve(place: &Place) -> Served {
    let nobody = "user:nobody".parse().unwrap();
    let trusting =
        |router: annals::http::RouterBuilder| router.authentication(Authentication::trusting(Some(nobody)));
    let served = Served::with(vault::read_app(), place, trusting).await;
    let head = served.annals.store().head().await.unwrap();
    served.annals.audit().after(head).limit(1).page().await.unwrap();
    served.annals.views::<vault::Texts>().after(head).await.unwrap();
    served.annals.metric("vault").after(head).await.unwrap();
    served
}

async fn get(served: &Served, path: &str, actor: &str) -> Value {
    let answer = served::answer(served.request(reqwest::Method::GET, path).header("annals-actor", actor)).await;
    assert_eq!(answer.status, 200, "{path}: {answer:?}");
    answer.json()
}

async fn known(served: &Served, secret: &Secret) -> Known {
    let page = get(served, "/audit?limit=1", "user:root").await;
    let view = get(served, "/views/texts?limit=1", "user:root").await;
    let head = &page["head"];
    let end = head["position"].as_u64().unwrap() + 1;
    let live = get(served, &format!("/audit?limit=1&until={end}"), "user:root").await;
    Known {
        absent: "this text is in no event".to_owned(),
        secret: secret.text.clone(),
        cursor: page["next"].as_str().unwrap().to_owned(),
        live_cursor: live["next"].as_str().unwrap().to_owned(),
        view_cursor: view["next"].as_str().unwrap().to_owned(),
        head: format!("{}:{}", head["position"], head["event_id"].as_str().unwrap()),
    }
}

/// What one log answers.
struct LogAnswers {
    secret: Secret,
    of_metadata: Answers,
    of_operator: Answers,
    in_full: Answers,
}

async fn answers_of(place: &Place, secret: Secret) -> LogAnswers {
    vault::write(place.url(), &secret).await;
    let served = serve(place).await;
    let known = known(&served, &secret).await;
    let document = get(&served, "/openapi.json", "user:root").await;
    let calls = routes::calls(&served, &document, &known).await;
    let rpc = sockets::calls(&document, &known);
    let mut of_metadata = ask_all(&served, &calls, "user:meta").await;
    of_metadata.extend(sockets::ask_all(&served, &rpc, "user:meta").await);
    let of_operator = ask_all(&served, &calls, "user:operator").await;
    // No commands: they would change the log.
    let reads: Vec<_> = calls.iter().filter(|call| call.method == reqwest::Method::GET).cloned().collect();
    let mut in_full = ask_all(&served, &reads, "user:root").await;
    let refused = reads.iter().filter(|call| call.must_answer && in_full[&call.label].status >= 400);
    let refused: Vec<String> =
        refused.map(|call| format!("{}\n{}", call.label, in_full[&call.label].text())).collect();
    assert!(
        refused.is_empty(),
        "nobody gets an answer to these, so they test nothing; fill their parameters in tests/metadata:\n{}",
        refused.join("\n\n")
    );
    let rpc: Vec<_> = rpc.into_iter().filter(|(_, method, _)| method != "execute").collect();
    in_full.extend(sockets::ask_all(&served, &rpc, "user:root").await);
    of_metadata.extend(live::follow(&served, "user:meta", &known, &secret).await);
    served.stop().await;
    let directory = TempDir::new().unwrap();
    let calls = command_line::calls(&known, directory.path());
    let url = place.url().to_owned();
    let printed = |actor: &'static str| {
        let (url, calls, directory) = (url.clone(), calls.clone(), directory.path().to_owned());
        tokio::task::spawn_blocking(move || command_line::ask_all(&url, &calls, actor, &directory))
    };
    of_metadata.extend(printed("user:meta").await.unwrap());
    in_full.extend(printed("user:root").await.unwrap());
    LogAnswers { secret, of_metadata, of_operator, in_full }
}

/// It is not finished: it takes minutes, and has not run to its end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "not finished: takes minutes; run it with --ignored"]
async fn no_surface_shows_a_value_to_a_reader_of_metadata() {
    a_reader_of_metadata_receives_no_value_by_any_surface(&Place::sqlite()).await;
}

/// Two logs differ only in secret values: short or long, one or many, some or none, equal or
/// changed. Every answer to a reader of metadata is the same for both, byte for byte, whatever filter it gives; and no form of a
/// secret is in any of them.
async fn a_reader_of_metadata_receives_no_value_by_any_surface(place: &Place) {
    let other = beside(place);
    let poor = answers_of(place, Secret::new(false)).await;
    let rich = answers_of(&other, Secret::new(true)).await;
    for log in [&poor, &rich] {
        let found = log.of_metadata.iter().chain(&log.of_operator).filter_map(|(label, answered)| {
            let form = log.secret.found_in(&answered.bytes)?;
            Some(format!("{label} shows `{form}`: {}", start(&answered.text())))
        });
        let found: Vec<String> = found.collect();
        assert!(found.is_empty(), "{}", found.join("\n\n"));
        // Otherwise it would prove nothing.
        let shown = log.in_full.iter().filter(|(_, answered)| log.secret.found_in(&answered.bytes).is_some());
        let shown: Vec<&str> = shown.map(|(label, _)| label.as_str()).collect();
        let lacking: Vec<&str> = [
            "GET /audit ",
            "GET /audit/export ",
            "GET /events ",
            "GET /views/{name} ",
            "GET /views/{name}/{key} ",
            "GET / ",
            "GET /history ",
            "GET /rows ",
            "GET /live/audit ",
            "GET /refusals ",
            "GET /history as a page in French",
            "RPC /live audit",
            "RPC /live subscribe_audit",
            "CLI audit",
            "CLI events",
            "CLI view",
            "CLI export",
            "CLI export --format csv",
            "CLI export --format ocel",
            "CLI export --format cloudevents",
            "CLI audit --locale \"fr\"",
        ]
        .into_iter()
        .filter(|surface| !shown.contains(surface))
        .collect();
        assert!(lacking.is_empty(), "these show no value to anybody: {lacking:?}; these do: {shown:?}");
    }
    let labels = |answers: &Answers| answers.keys().cloned().collect::<Vec<_>>();
    assert_eq!(labels(&poor.of_metadata), labels(&rich.of_metadata));
    let mut problems = Vec::new();
    for (label, answered) in poor.of_metadata.iter().filter(|(label, _)| is_compared(label)) {
        let (one, other) = (answered, &rich.of_metadata[label]);
        if (one.status, one.text()) != (other.status, other.text()) {
            problems.push(format!(
                "{label}: the answer depends on a value: {}",
                difference(&one.text(), &other.text())
            ));
        }
        // Whether a text exists cannot be probed.
        if let Some(absent) = label.strip_suffix("secret").map(|label| format!("{label}absent")) {
            let absent = &poor.of_metadata[&absent];
            if (one.status, one.text()) != (absent.status, absent.text()) {
                problems.push(format!(
                    "{label}: the answer depends on whether the text exists: {}",
                    difference(&one.text(), &absent.text())
                ));
            }
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n\n"));
}

fn start(text: &str) -> String {
    text.chars().take(600).collect()
}

/// The first line that differs.
fn difference(one: &str, other: &str) -> String {
    let lines = one
        .lines()
        .map(Some)
        .chain(std::iter::repeat(None))
        .zip(other.lines().map(Some).chain(std::iter::repeat(None)));
    let found = lines.take(one.lines().count().max(other.lines().count())).find(|(one, other)| one != other);
    found
        .map(|(one, other)| {
            format!("`{}` or `{}`", start(one.unwrap_or_default()), start(other.unwrap_or_default()))
        })
        .unwrap_or_default()
}

/// Missions D11 and D12, Guarantee 26.
async fn an_answer_says_its_detail_and_a_filter_by_text_is_refused(place: &Place) {
    let secret = Secret::new(false);
    vault::write(place.url(), &secret).await;
    let served = serve(place).await;
    let page = get(&served, "/audit?newest_first=true&event=file.stored&limit=1", "user:meta").await;
    let row = &page["rows"][0];
    assert_eq!((&page["detail"], &row["detail"]), (&"metadata".into(), &"metadata".into()), "{page}");
    let sentence = "user:ann stored file:44 for user:bob as [redacted]: [redacted], [redacted] pages, [redacted] tags, [redacted]";
    assert_eq!(row["sentence"], sentence);
    assert_eq!((&row["payload"], &row["changes"]), (&Value::Null, &Value::Array(Vec::new())), "{row}");
    assert_eq!(row["targets"], serde_json::json!(["file:44", "user:bob"]));
    let french = get(&served, "/audit?event=file.given&locale=fr", "user:meta").await;
    assert_eq!(french["rows"][0]["sentence"], "user:ann a donné file:1 à user:carol, plus à user:bob");
    // A reader of everything may ask for less.
    let full = get(&served, "/audit?limit=1", "user:root").await;
    assert_eq!((&full["detail"], full["rows"][0].get("detail")), (&"full".into(), None), "{full}");
    let less = get(&served, "/audit?limit=1&detail=metadata", "user:root").await;
    assert_eq!(less["detail"], "metadata");
    for (path, actor, status, part) in [
        ("/audit?text=a", "user:meta", 403, "a filter by text needs the right to read the audit log in full"),
        ("/audit/count?text=a", "user:meta", 403, "in full"),
        ("/live/audit?text=a", "user:meta", 403, "in full"),
        ("/audit?detail=full", "user:meta", 403, "only metadata"),
        ("/audit?detail=metadata&text=a", "user:root", 400, "metadata cannot be filtered by text"),
        ("/events", "user:meta", 403, "the log needs the right to read the audit log in full"),
        ("/events?aggregate=file:1", "user:meta", 403, "the log of file:1 needs the right"),
        ("/commands", "user:nobody", 403, "only metadata"),
        ("/views", "user:nobody", 403, "only metadata"),
        ("/audit", "user:nobody", 403, "only metadata"),
    ] {
        let answer = served::answer(served.request(reqwest::Method::GET, path).header("annals-actor", actor)).await;
        assert_eq!(answer.status, status, "{path}: {answer:?}");
        assert!(answer.json()["detail"].as_str().unwrap().contains(part), "{path}: {answer:?}");
    }
    for path in ["/commands", "/commands/write_file", "/views"] {
        get(&served, path, "user:meta").await;
    }
    let page =
        served.request(reqwest::Method::GET, "/").header("accept", "text/html").header("annals-actor", "user:meta");
    let page = served::answer(page).await.text;
    assert!(page.contains("You see metadata") && !page.contains("name=\"text\""), "{page}");
    served.stop().await;
}
