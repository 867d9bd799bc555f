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
//! - `logs`: two logs that differ in nothing but their secrets, and what they answer
//! - `compare`: compares the answers, and searches them for the secrets
//! - `exceptions`: calls that show no value to anybody
//! - `live`: rows that are written while a stream is open
//! - `library`: the reader of the library
//! - `errors`: errors of events that cannot be decoded
//! - `undecodable`: logs with such events
//! - `refusals`: what is refused is refused before anything is read
//! - `counting`: a store that counts its reads
//! - `served`: a served application, shared with the tests of HTTP
#![cfg(all(
    feature = "http",
    feature = "cli",
    feature = "export",
    feature = "proofs",
    feature = "translations",
    feature = "cloudevents"
))]

mod asking;
mod command_line;
mod compare;
mod counting;
mod errors;
mod exceptions;
mod library;
mod live;
mod logs;
mod refusals;
mod routes;
mod secret;
#[allow(dead_code, reason = "shared with the tests of HTTP, which use the rest")]
#[path = "../http/served.rs"]
mod served;
mod sockets;
mod undecodable;
mod values;
mod vault;

use annals_test_postgres::{Place, both_stores};
use serde_json::Value;

use crate::compare::{check, check_shown};
use crate::logs::{beside, get, serve};
use crate::secret::Secret;

both_stores! {
    an_answer_says_its_detail_and_a_filter_by_text_is_refused,
    no_answer_over_http_shows_a_value_to_a_reader_of_metadata_or_depends_on_one,
    no_live_stream_or_socket_shows_a_value_to_a_reader_of_metadata_or_depends_on_one,
    no_subcommand_shows_a_value_to_a_reader_of_metadata_or_depends_on_one,
}

/// How many pairs of logs are compared: `ANNALS_METADATA_CASES`, 1 by default. Each has other secrets and combinations of parameters.
fn seeds() -> Vec<u64> {
    let cases = std::env::var("ANNALS_METADATA_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(1);
    (0..cases).map(|_| fastrand::u64(..)).inspect(|seed| println!("combinations of seed {seed}")).collect()
}

/// Mission X16, Guarantee 26. Two logs differ only in secret values: short or long, one or many, some or none, equal or
/// changed. Every answer to a reader of metadata is the same for both, byte for byte, whatever filter it gives; and no form of a
/// secret is in any of them.
async fn no_answer_over_http_shows_a_value_to_a_reader_of_metadata_or_depends_on_one(place: &Place) {
    for seed in seeds() {
        let (one, other) = (beside(place), beside(place));
        let (poor, rich) = tokio::join!(
            logs::over_http(&one, Secret::new(false), seed),
            logs::over_http(&other, Secret::new(true), seed)
        );
        check(&poor, &rich);
        check_shown(&rich, exceptions::OVER_HTTP);
    }
}

/// Mission X16, Guarantee 26.
async fn no_live_stream_or_socket_shows_a_value_to_a_reader_of_metadata_or_depends_on_one(place: &Place) {
    for _ in seeds() {
        let (one, other) = (beside(place), beside(place));
        let (poor, rich) =
            tokio::join!(logs::live(&one, Secret::new(false)), logs::live(&other, Secret::new(true)));
        check(&poor, &rich);
        check_shown(&rich, exceptions::LIVE);
    }
}

/// Mission X16, Guarantee 26.
async fn no_subcommand_shows_a_value_to_a_reader_of_metadata_or_depends_on_one(place: &Place) {
    for _ in seeds() {
        let (one, other) = (beside(place), beside(place));
        let (poor, rich) = tokio::join!(
            logs::on_the_command_line(&one, Secret::new(false)),
            logs::on_the_command_line(&other, Secret::new(true))
        );
        check(&poor, &rich);
        if place.schema().is_none() {
            check_shown(&rich, exceptions::COMMAND_LINE);
        }
    }
}

/// Missions D11 and D12, Guarantee 26.
async fn an_answer_says_its_detail_and_a_filter_by_text_is_refused(place: &Place) {
    let secret = Secret::new(false);
    vault::write(place.url(), &secret).await;
    let served = serve(place).await;
    let page = get(&served, "/audit?newest_first=true&event=file.stored&limit=1", "user:meta").await;
    let row = &page["rows"][0];
    assert_eq!((&page["detail"], &row["detail"]), (&"metadata".into(), &"metadata".into()), "{page}");
    let sentence = "user:ann stored file:11 for user:bob as [redacted]: [redacted], [redacted] pages, [redacted] tags, [redacted]";
    assert_eq!(row["sentence"], sentence);
    assert_eq!((&row["payload"], &row["changes"]), (&Value::Null, &Value::Array(Vec::new())), "{row}");
    assert_eq!(row["targets"], serde_json::json!(["file:11", "user:bob"]));
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
        ("/audit?detail=full", "user:meta", 403, "has no right to read this part"),
        ("/audit?detail=metadata&text=a", "user:root", 400, "metadata cannot be filtered by text"),
        ("/events", "user:meta", 403, "the log needs the right to read the audit log in full"),
        ("/events?aggregate=file:1", "user:meta", 403, "the log of file:1 needs the right"),
        ("/commands", "user:nobody", 403, "user:nobody has no right"),
        ("/views", "user:nobody", 403, "user:nobody has no right"),
        ("/audit", "user:nobody", 403, "user:nobody has no right"),
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
