//! The past over HTTP, on the page and on the command line: states of aggregates, and documents as of a moment.

use annals::app::{AccessContext, Ask, Denial, Detail};
use annals_test_postgres::Place;
use reqwest::Method;
use serde_json::{Value, json};

use crate::bank::{self, app, by, deposit};
use crate::foreign_text::{complaint, output};
use crate::served::{Answer, Served, after, answer};

annals_test_postgres::both_stores! {
    a_state_and_a_document_are_answered_as_of_a_position_or_a_time,
    a_moment_that_is_not_in_the_log_is_refused_with_what_to_do,
    the_past_needs_the_audit_log_in_full_and_is_recorded,
    the_page_steps_through_versions_with_what_changed,
    the_command_line_shows_the_past,
}

/// Deposits of 5 and 7 into account a, of 1 into b between them; positions 1 to 3.
async fn some(place: &Place) -> Served {
    let served = Served::alice(app().record_reads(), place).await;
    for (account, cents) in [("a", 5), ("b", 1), ("a", 7)] {
        served.deposit(account, cents).await;
    }
    served
}

/// Mission X17.
async fn a_state_and_a_document_are_answered_as_of_a_position_or_a_time(place: &Place) {
    let served = some(place).await;
    let log = bank::log(&served.annals).await;
    let state = |sequence: u64, position: usize, cents: i64| {
        let last = &log[position - 1];
        json!({
            "aggregate": "account:a", "sequence": sequence, "position": position, "event_id": last.event_id,
            "recorded_at": last.recorded_at, "state": { "cents": cents, "open": false },
        })
    };
    assert_eq!(served.get("/aggregates/account/a?at=1").await.json(), state(1, 1, 5));
    assert_eq!(served.get("/aggregates/account/a?at=2").await.json(), state(1, 2, 5));
    assert_eq!(served.get("/aggregates/account/a?at=position:3").await.json(), state(2, 3, 12));
    let at =
        |time: jiff::Timestamp| form_urlencoded::byte_serialize(time.to_string().as_bytes()).collect::<String>();
    let by_time = served.get(&format!("/aggregates/account/a?at={}", at(log[0].recorded_at))).await.json();
    assert!(by_time["position"].as_u64().unwrap() >= 1 && by_time["sequence"].as_u64().unwrap() >= 1, "{by_time}");
    // Reads are recorded, so the head moves on.
    let now = served.get("/aggregates/account/a").await.json();
    assert_eq!((&now["sequence"], &now["state"]["cents"]), (&json!(2), &json!(12)));

    for (position, cents) in [(1, 5), (2, 5), (3, 12)] {
        let document = served.get(&format!("/views/balance/a?at={position}")).await;
        assert_eq!(document.json()["cents"], cents, "{document:?}");
        assert_eq!(document.header("annals-position"), position.to_string());
        assert_eq!(document.header("annals-recorded-at"), log[position - 1].recorded_at.to_string());
    }
    assert_eq!(served.get("/views/balance/a").await.header("annals-position"), "");
    let none = served.get("/views/balance/b?at=1").await.problem(404, "not-found");
    assert!(none.contains("no document `b` at position 1"), "{none}");
    served.stop().await;
}

/// Mission X17.
async fn a_moment_that_is_not_in_the_log_is_refused_with_what_to_do(place: &Place) {
    let served = some(place).await;
    for path in ["/aggregates/account/a", "/views/balance/a"] {
        for (at, why) in [
            ("2026", "`position:2026`"),
            ("2026-05-04", "T23:59:59.999999Z"),
            ("2026-05-04T08:00:00", "has no zone"),
            ("yesterday", "is not a moment"),
            ("99999", "the log ends at position"),
            ("2999-01-01T00:00:00Z", "is in the future"),
        ] {
            let refused = served.get(&format!("{path}?at={at}")).await;
            assert_eq!(refused.json()["parameter"], "at", "{refused:?}");
            let refused = refused.problem(400, "malformed");
            assert!(refused.contains(why), "{path} {at}: {refused}");
        }
        assert_eq!(served.get(&format!("{path}?at=0")).await.status, 404);
        assert_eq!(served.get(&format!("{path}?at=2001-01-01T00:00:00Z")).await.status, 404);
    }
    let unknown = served.get("/aggregates/person/1?at=1").await.problem(404, "not-found");
    assert!(unknown.contains("no aggregate type `person`: there are `account`"), "{unknown}");
    let none = served.get("/aggregates/account/nobody?at=2").await.problem(404, "not-found");
    assert!(none.contains("account:nobody has no event up to position 2"), "{none}");
    served.get("/aggregates/ACCOUNT/1").await.problem(400, "malformed");
    let both = served.get("/views/balance/a?at=1&after=1:00000000-0000-7000-8000-000000000000").await;
    assert!(both.problem(400, "malformed").contains("exclude each other"));
    served.stop().await;
}

/// The vicar sees metadata and views; the auditor all of account a, and no views; everybody else everything.
fn rights(access: &AccessContext<'_>, ask: &Ask<'_>) -> Result<(), Denial> {
    let allowed = match (access.actor().id(), ask) {
        ("vicar", Ask::Audit { detail, .. }) => *detail == Detail::Metadata,
        ("auditor", Ask::Audit { targets, .. }) => targets.iter().any(|target| target.as_str() == "account:a"),
        ("auditor", Ask::View { .. }) => false,
        _ => true,
    };
    if allowed { Ok(()) } else { Err(Denial::because("not for you")) }
}

/// Missions X17 and X16, Guarantee 26.
async fn the_past_needs_the_audit_log_in_full_and_is_recorded(place: &Place) {
    let served = Served::alice(app().authorise(rights).record_reads().record_refusals(), place).await;
    served.deposit("a", 5).await;
    served.deposit("b", 1).await;
    let last = served.deposit("a", 7).await;
    let get = async |path: &str, actor: &str| -> Answer {
        answer(served.request(Method::GET, path).header("Annals-Actor", format!("user:{actor}"))).await
    };
    let present = get(&format!("/views/balance/a?{}", after(&last)), "vicar").await;
    assert_eq!(present.status, 200, "the present of a document is a right of its own: {present:?}");
    for path in [
        "/aggregates/account/a",
        "/aggregates/account/a?at=1",
        "/aggregates/nothing/a",
        "/views/balance/a?at=1",
        "/page/state?of=account:a",
    ] {
        let denied = get(path, "vicar").await.problem(403, "denied");
        assert!(denied.contains("needs the right to read the audit log in full"), "{path}: {denied}");
    }
    assert_eq!(get("/aggregates/account/a?at=1", "auditor").await.json()["state"]["cents"], 5);
    get("/aggregates/account/b?at=2", "auditor").await.problem(403, "denied");
    get("/views/balance/a?at=1", "auditor").await.problem(403, "denied");
    assert_eq!(get("/views/balance/a?at=1", "ann").await.status, 200);
    let history = async |actor: &str| {
        let request = served.request(Method::GET, "/history?of=account:a").header("Accept", "text/html");
        answer(request.header("Annals-Actor", format!("user:{actor}"))).await.text
    };
    assert!(history("ann").await.contains("Its state and versions"));
    assert!(!history("vicar").await.contains("/page/state"), "no link to what is denied");

    let url = place.url();
    served.stop().await;
    let annals = app().open(url).await.unwrap();
    let log = bank::log(&annals).await;
    let recorded = |actor: &str, event_type: &str| -> Vec<String> {
        let by = |stored: &&annals::events::Stored| {
            stored.event_type == event_type && stored.metadata().unwrap().actor.id() == actor
        };
        log.iter().filter(by).map(|stored| stored.payload.clone()).collect()
    };
    let read = recorded("auditor", "annals_read.viewed");
    assert_eq!(read.len(), 1, "{read:?}");
    let read: Value = serde_json::from_str(&read[0]).unwrap();
    assert_eq!(read["what"], "the state of account:a as of 1");
    assert_eq!(read["asked"], json!({ "aggregate": ["account:a"], "until": ["2"] }));
    let past =
        recorded("ann", "annals_read.viewed").iter().any(|read| read.contains("account:a in balance as of 1"));
    assert!(past, "{:?}", recorded("ann", "annals_read.viewed"));
    assert_eq!(recorded("auditor", "annals_refusal.denied").len(), 2);
    annals.close().await;
}

/// Mission X17.
async fn the_page_steps_through_versions_with_what_changed(place: &Place) {
    let served = some(place).await;
    let page = async |path: &str| {
        let answer = answer(served.request(Method::GET, path).header("Accept", "text/html")).await;
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        answer.text
    };
    let history = page("/history?of=account:a").await;
    assert!(history.contains("/page/state?of=account%3Aa\""), "{history}");
    let newest = page("/page/state?of=account:a").await;
    let second = page("/page/state?of=account:a&version=2").await;
    for part in [
        "account:a, version 2",
        "As of position",
        "paid <bdi>7</bdi> into",
        "cents",
        "<del>",
        "5",
        "<ins>",
        "12",
        "This is the newest version.",
    ] {
        assert!(second.contains(part) && newest.contains(part), "{part}: {second}");
    }
    assert!(second.contains(r#"rel="prev" href="/page/state?of=account%3Aa&amp;version=1""#), "{second}");
    assert!(!second.contains("<script>") && second.contains("/aggregates/account/a?at=3"), "{second}");
    let first = page("/page/state?of=account:a&at=2").await;
    assert!(
        first.contains("version 1")
            && first.contains(r#"rel="next" href="/page/state?of=account%3Aa&amp;version=2""#)
    );
    assert!(page("/page/state?of=account:b&at=1").await.contains("It had no events as of position 1."));
    for (query, status) in [
        ("of=account:a&version=3", 404),
        ("of=account:a&version=0", 400),
        ("of=account:a&version=1&at=1", 400),
        ("of=account:a&at=2026", 400),
        ("of=person:1", 404),
        ("", 400),
        ("of=account:a&colour=red", 400),
    ] {
        assert_eq!(served.get(&format!("/page/state?{query}")).await.status, status, "{query}");
    }
    served.stop().await;
}

/// Mission X17.
async fn the_command_line_shows_the_past(place: &Place) {
    let annals = app().open(place.url()).await.unwrap();
    for (account, cents) in [("a", 5), ("b", 1), ("a", 7)] {
        annals.execute(deposit(account, cents), &by("alice")).await.unwrap();
    }
    let log = bank::log(&annals).await;
    annals.close().await;
    let shown = output(place, &["show", "account:a", "--at", "2"]);
    let (line, state) = shown.split_once('\n').unwrap();
    assert_eq!(line, format!("account:a after 1 event, as of position 2, recorded {:.6}", log[1].recorded_at));
    assert_eq!(serde_json::from_str::<Value>(state).unwrap(), json!({ "cents": 5, "open": false }));
    let now: Value = serde_json::from_str(&output(place, &["show", "account:a", "--format", "json"])).unwrap();
    assert_eq!((&now["sequence"], &now["position"], &now["state"]["cents"]), (&json!(2), &json!(3), &json!(12)));
    let at = log[0].recorded_at.to_string();
    let by_time: Value =
        serde_json::from_str(&output(place, &["show", "account:a", "--at", &at, "--format", "json"])).unwrap();
    assert!(by_time["position"].as_u64() >= Some(1), "{by_time}");

    let document = output(place, &["view", "balance", "a", "--at", "1"]);
    let (line, document) = document.split_once('\n').unwrap();
    assert_eq!(line, format!("a as of position 1, recorded {:.6}", log[0].recorded_at));
    assert_eq!(serde_json::from_str::<Value>(document).unwrap()["cents"], 5);
    let json: Value =
        serde_json::from_str(&output(place, &["view", "balance", "a", "--at", "3", "--format", "json"])).unwrap();
    assert_eq!((&json["position"], &json["document"]["cents"]), (&json!(3), &json!(12)));
    for (arguments, why) in [
        (&["show", "account:a", "--at", "2026"][..], "position:2026"),
        (&["show", "account:a", "--at", "2026-05-04"], "whole day"),
        (&["show", "account:a", "--at", "4"], "the log ends at position 3"),
        (&["show", "account:c"], "account:c has no event up to position 3"),
        (&["show", "person:1"], "there are `account`"),
        (&["show", "account"], "is not a reference"),
        (&["view", "balance", "b", "--at", "1"], "had no document `b` as of position 1"),
        (&["view", "balance", "--at", "1"], "KEY"),
        (&["view", "balance", "a", "--at", "1", "--filter", "cents=1"], "cannot be combined"),
    ] {
        let said = complaint(place, arguments);
        assert!(said.contains(why), "{arguments:?}: {said}");
    }
    let scans = complaint(place, &["view", "balance", "a", "--at", "0"]);
    assert!(scans.contains("scanning the log for `a` of balance"), "{scans}");
}
