//! Errors: of events that cannot be decoded, whose cause repeats a value.

use std::time::Duration;

use annals::http::Authentication;
use annals_test_postgres::{Place, both_stores};
use reqwest::Method;
use tempfile::TempDir;

use crate::asking::{Answers, ask_all};
use crate::compare::{LogAnswers, check, start};
use crate::logs::{beside, get, known};
use crate::secret::Secret;
use crate::served::Served;
use crate::{command_line, routes, sockets, undecodable, vault};

both_stores! {
    no_error_of_a_row_shows_a_value_to_a_reader_of_metadata_or_depends_on_one,
    no_error_of_a_projection_shows_a_value_to_a_reader_of_metadata_or_depends_on_one,
}

/// Mission X16, Guarantee 26. The tables of the audit log hold the event, its row cannot be made.
async fn no_error_of_a_row_shows_a_value_to_a_reader_of_metadata_or_depends_on_one(place: &Place) {
    let (poor, rich) = answers(place, true).await;
    for label in [
        "GET /audit ",
        "GET /history ",
        "GET / as a page",
        "GET /live/audit ",
        "RPC /live audit",
        "CLI audit",
        "CLI export",
    ] {
        let text = rich.of_metadata[label].text();
        assert!(
            ["the server logged the cause", "cannot be read"].iter().any(|it| text.contains(it)),
            "{label}: {text}"
        );
    }
    // The cause shows a value: to a reader of everything.
    let shown = &rich.in_full["CLI audit"];
    let at = shown.text().find("cannot be read").expect("an error");
    assert!(rich.secret.found_in(&shown.text().as_bytes()[at..]).is_some(), "{}", start(&shown.text()[at..]));
    check(&poor, &rich);
}

/// Mission X16, Guarantee 26. The projections stop at the event.
async fn no_error_of_a_projection_shows_a_value_to_a_reader_of_metadata_or_depends_on_one(place: &Place) {
    let (poor, rich) = answers(place, false).await;
    for label in
        ["GET /audit after=a position", "GET /metrics/{topic} after=a position", "CLI audit", "CLI metrics"]
    {
        let text = rich.of_metadata[label].text();
        assert!(text.contains("stopped at event"), "{label}: {text}");
    }
    // The cause shows a value: to operators.
    let shown = &rich.in_full["GET /projections "];
    assert!(rich.secret.found_in(&shown.bytes).is_some(), "{}", shown.text());
    check(&poor, &rich);
}

/// What two logs answer over HTTP, over WebSocket and on the command line.
async fn answers(place: &Place, projected: bool) -> (LogAnswers, LogAnswers) {
    let (one, other) = (beside(place), beside(place));
    tokio::join!(of_log(&one, Secret::new(false), projected), of_log(&other, Secret::new(true), projected))
}

async fn of_log(place: &Place, secret: Secret, projected: bool) -> LogAnswers {
    let readable = undecodable::write(place.url(), &secret, projected).await;
    let nobody = "user:nobody".parse().unwrap();
    let annals = vault::read_app().open(place.url()).await.unwrap();
    let served =
        Served::opened(annals, |router| router.authentication(Authentication::trusting(Some(nobody)))).await;
    served.annals.audit().after(readable).limit(1).page().await.unwrap();
    // Without the tables, all four stop: the audit log, the metrics, the names and the view.
    let stopped = if projected { 0 } else { 4 };
    let until_stopped = async {
        while served.annals.projections().await.unwrap().iter().filter(|it| it.is_stopped()).count() < stopped {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), until_stopped).await.expect("projections stop");
    let mut known = known(&served, &secret).await;
    let head = served.annals.store().head().await.unwrap();
    known.head = format!("{}:{}", head.position, head.event_id);
    let document = get(&served, "/openapi.json", "user:root").await;
    let without_filters =
        |label: &str| !label.contains('=') || label.contains(" after=") || label.contains("format=");
    let mut calls = routes::calls(&served, &document, &known, 0).await;
    calls.retain(|call| call.method == Method::GET && without_filters(&call.label));
    let mut socket_calls = sockets::calls(&document, &known);
    socket_calls.retain(|(label, ..)| without_filters(label));
    let mut of_metadata = ask_all(&served, &calls, "user:meta").await;
    of_metadata.extend(sockets::ask_all(&served, &socket_calls, "user:meta").await);
    calls.retain(|call| call.path == "/projections");
    let mut in_full = ask_all(&served, &calls, "user:root").await;
    served.stop().await;
    let directory = TempDir::new().unwrap();
    let mut calls = command_line::calls(&known, directory.path());
    calls.retain(|(label, _)| !label.contains("--"));
    let url = place.url().to_owned();
    let (printed, printed_in_full) = tokio::task::spawn_blocking(move || {
        let printed = command_line::ask_all(&url, &calls, "user:meta", directory.path());
        calls.retain(|(label, _)| label == "audit");
        (printed, command_line::ask_all(&url, &calls, "user:root", directory.path()))
    })
    .await
    .unwrap();
    of_metadata.extend(printed);
    in_full.extend(printed_in_full);
    LogAnswers { secret, of_metadata, of_operator: Answers::new(), in_full }
}
