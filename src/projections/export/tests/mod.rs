//! Exports, parsed by the libraries of their formats.

mod large;
mod spreadsheets;

use futures::StreamExt;
use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::app::Annals;
use crate::commands::Context;
use crate::events::{Change, Ref};
use crate::projections::audit::{AuditQuery, Detail};
use crate::projections::presenter::{is_active, plain};
use crate::projections::tests::fixture::guild::*;
use crate::projections::tests::fixture::places::runtime;

async fn exported(query: AuditQuery, format: Format) -> (ExportManifest, String) {
    let mut file = Vec::new();
    let manifest = query.export(format).to(&mut file).await.unwrap();
    (manifest, String::from_utf8(file).unwrap())
}

async fn story() -> Annals {
    let annals = open().await;
    user(&annals, "1", "1", named("Ada")).await;
    team(&annals, "1", "7", joined(&["2", "3"], &["dev"])).await;
    let roles = Change { from: vec![], to: vec!["dev".to_owned()] };
    let last = team(&annals, "2", "7", TeamEvent::Changed { user: UserId::new("1"), roles, note: None }).await;
    annals.audit().after(last).page().await.unwrap();
    annals
}

fn records(csv: &str) -> Vec<Vec<String>> {
    let mut reader = ::csv::ReaderBuilder::new().has_headers(false).from_reader(csv.as_bytes());
    reader.records().map(|record| record.unwrap().iter().map(str::to_owned).collect()).collect()
}

/// Every format, also of an empty result.
#[tokio::test]
async fn every_format_ends_with_a_manifest() {
    let annals = story().await;
    let head = annals.store().head().await.unwrap();
    for &format in Format::ALL {
        for (query, filter, rows, first, last) in [
            (annals.audit(), None, 3, Some(1), Some(3)),
            (annals.audit().target("user:2").newest_first(), Some(("target", "user:2")), 1, Some(2), Some(2)),
            (annals.audit().actor("user:nobody"), Some(("actor", "user:nobody")), 0, None, None),
            (annals.audit().text("added"), Some(("folded text", "added")), 1, Some(2), Some(2)),
        ] {
            let (manifest, text) = exported(query.from(1_u64).until(9_u64), format).await;
            let (from, until) = (Some(1_u64.into()), Some(9_u64.into()));
            let (locale, detail) = ("en".to_owned(), Detail::Full);
            let range = [("from", "1"), ("until", "9")];
            let filters = range.into_iter().chain(filter);
            let filters = filters.map(|(name, value)| (name.to_owned(), vec![value.to_owned()])).collect();
            let expected = ExportManifest { format, from, until, filters, rows, first, last, head, detail, locale };
            assert_eq!(manifest, expected);
            let found: Value = match format {
                Format::Csv => {
                    let end = records(&text).pop().unwrap();
                    assert_eq!(end[0], csv::END);
                    serde_json::from_str(&end[1]).unwrap()
                }
                Format::Jsonl => {
                    serde_json::from_str::<Value>(text.lines().last().unwrap()).unwrap()["export"].take()
                }
                Format::CloudEvents => {
                    let events: Vec<::cloudevents::Event> = serde_json::from_str(&text).unwrap();
                    match events.last().unwrap().data() {
                        Some(::cloudevents::Data::Json(data)) => data.clone(),
                        other => panic!("{other:?}"),
                    }
                }
                Format::Ocel => serde_json::from_str::<Value>(&text).unwrap()["export"].take(),
            };
            assert_eq!(serde_json::from_value::<ExportManifest>(found).unwrap(), expected, "{format}");
        }
    }
    annals.close().await;
}

#[tokio::test]
async fn cloud_events_and_object_centric_events_carry_what_an_event_is_about() {
    let annals = story().await;
    let (_, text) = exported(annals.audit(), Format::CloudEvents).await;
    let events: Vec<::cloudevents::Event> = serde_json::from_str(&text).unwrap();
    let stored = annals.events(0, 9).await.unwrap().events;
    use ::cloudevents::AttributesReader;
    for (event, stored) in events.iter().zip(&stored) {
        assert_eq!((event.id(), event.ty()), (&*stored.event_id.to_string(), &*stored.event_type));
        assert_eq!((event.subject(), event.source().as_str()), (Some(stored.aggregate.as_str()), "/annals"));
        assert_eq!(event.extension("position").unwrap().to_string(), stored.position.to_string());
    }
    let (_, text) = exported(annals.audit(), Format::Ocel).await;
    let log: Value = serde_json::from_str(&text).unwrap();
    let ids = |list: &str| -> Vec<String> {
        log[list].as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(ids("objects"), ["team:7", "user:1", "user:2", "user:3"]);
    let relations = serde_json::json!([
        { "objectId": "user:1", "qualifier": "actor" },
        { "objectId": "team:7", "qualifier": "aggregate" },
        { "objectId": "user:2", "qualifier": "users" },
        { "objectId": "user:3", "qualifier": "users" },
    ]);
    assert_eq!(log["events"][1]["relationships"], relations);
    assert_eq!(
        log["objectTypes"],
        serde_json::json!([
            { "name": "team", "attributes": [] }, { "name": "user", "attributes": [] }
        ])
    );
    for event in log["events"].as_array().unwrap() {
        let declared =
            log["eventTypes"].as_array().unwrap().iter().find(|kind| kind["name"] == event["type"]).unwrap();
        for attribute in event["attributes"].as_array().unwrap() {
            let known = declared["attributes"].as_array().unwrap();
            assert!(known.iter().any(|known| known["name"] == attribute["name"]), "{attribute}");
        }
    }
    annals.close().await;
}

/// Mission A7 for exports: sentences in the reader's language, with names. JSON Lines also have the pieces.
#[tokio::test]
async fn an_export_has_sentences_in_the_requested_language() {
    let annals = story().await;
    let french = annals.presenter().locale("fr").unwrap();
    let mut file = Vec::new();
    let export = annals.audit().newest_first().export(Format::Jsonl).presenter(french);
    assert_eq!(export.to(&mut file).await.unwrap().locale, "fr");
    let first: Value = serde_json::from_slice(file.split(|byte| *byte == b'\n').next().unwrap()).unwrap();
    assert_eq!(first["position"], 3);
    assert_eq!(
        first["presentation"]["sentence"][0],
        serde_json::json!({"thing": {"reference": "user:2", "name": null}})
    );
    assert_eq!(first["presentation"]["changes"][0]["label"], "rôles");
    annals.close().await;
}

/// An export of several pages, while other events are appended.
#[tokio::test]
async fn an_export_of_many_pages_ends_at_its_head_and_reports_progress() {
    let annals = open().await;
    for n in 0..700 {
        team(&annals, "1", "7", TeamEvent::Scored(n)).await;
    }
    let last = team(&annals, "1", "7", TeamEvent::Scored(700)).await;
    annals.audit().after(last).page().await.unwrap();
    let (send, seen) = std::sync::mpsc::channel();
    let query = annals.audit().after(last);
    let writing = annals.clone();
    let export = query.export(Format::Jsonl).progress(move |progress| {
        send.send(progress).unwrap();
    });
    let mut file = Vec::new();
    let (manifest, _) = tokio::join!(export.to(&mut file), async {
        for n in 0..20 {
            team(&writing, "1", "7", TeamEvent::Scored(n)).await;
        }
    });
    let manifest = manifest.unwrap();
    let lines: Vec<Value> =
        file.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect();
    let positions: Vec<u64> = lines.iter().filter_map(|line| line["position"].as_u64()).collect();
    assert_eq!(positions, (1..=manifest.head.position).collect::<Vec<_>>());
    let seen: Vec<ExportProgress> = seen.into_iter().collect();
    assert!(seen.len() > 2 && seen.windows(2).all(|pair| pair[0].position < pair[1].position), "{seen:?}");
    assert_eq!(seen.last().unwrap().rows, manifest.rows);
    annals.close().await;
}

/// Exports while another task appends: none includes an event after its head.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_export_has_no_event_after_its_head() {
    let annals = open().await;
    let (writing, done) = (annals.clone(), std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false)));
    let over = done.clone();
    let writer = tokio::spawn(async move {
        while !over.load(std::sync::atomic::Ordering::Relaxed) {
            team(&writing, "1", "7", TeamEvent::Scored(1)).await;
            // Keeps the log short enough to be exported many times.
            tokio::time::sleep(std::time::Duration::from_millis(3)).await;
        }
    });
    for _ in 0..40 {
        let (manifest, text) = exported(annals.audit(), Format::Jsonl).await;
        let lines =
            text.lines().filter_map(|line| serde_json::from_str::<Value>(line).unwrap()["position"].as_u64());
        assert_eq!(lines.collect::<Vec<_>>(), (1..=manifest.head.position).collect::<Vec<_>>());
        assert_eq!(manifest.rows, manifest.head.position);
    }
    done.store(true, std::sync::atomic::Ordering::Relaxed);
    writer.await.unwrap();
    annals.close().await;
}

/// A writer that fails after this many bytes.
struct Full(usize);

impl tokio::io::AsyncWrite for Full {
    fn poll_write(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
        bytes: &[u8],
    ) -> std::task::Poll<std::io::Result<usize>> {
        if self.0 < bytes.len() {
            return std::task::Poll::Ready(Err(std::io::Error::other("full")));
        }
        self.0 -= bytes.len();
        std::task::Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn poll_shutdown(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        std::task::Poll::Ready(Ok(()))
    }
}

#[tokio::test]
async fn a_writer_that_fails_and_an_invalid_query_are_errors() {
    let annals = story().await;
    for &format in Format::ALL {
        let error = annals.audit().export(format).to(&mut Full(10)).await.unwrap_err();
        assert!(matches!(error, ExportError::Write(_)), "{error:?}");
        let error = annals.audit().topic("teem").export(format).to(&mut Vec::new()).await.unwrap_err();
        assert!(error.to_string().contains("`team`"), "{error}");
    }
    assert!("xml".parse::<Format>().unwrap_err().contains("cloudevents"));
    annals.close().await;
}

/// Bad input: any text in any field parses back, and no file contains characters that act on a terminal, or formulas.
#[test]
fn any_text_in_any_field_parses_back_from_every_format() {
    let runtime = runtime();
    let annals = runtime.block_on(open());
    let nasty = proptest::sample::select(vec![
        "=1+1",
        "+x",
        "-x",
        "@x",
        "'",
        "\"",
        ",",
        "\r\n",
        "\t=1",
        "\u{1b}[2J",
        "\u{9b}",
        "\u{202e}",
        "\u{e0041}",
        "\0",
        "]}",
        "\\u0000",
        "＝1",
        " ",
        "é",
        "#export",
    ]);
    let text = proptest::collection::vec(prop_oneof![any::<String>(), nasty.prop_map(str::to_owned)], 0..4)
        .prop_map(|parts| parts.concat());
    let texts = (text.clone(), text.clone(), text);
    proptest!(ProptestConfig::with_cases(60), |((actor, on, words) in texts)| runtime.block_on(async {
        let id = |text: &str| -> String {
            let kept: String = text.chars().filter(|c| *c != '\0').take(200).collect();
            if kept.is_empty() { "x".to_owned() } else { kept }
        };
        let (actor, on) = (id(&actor), id(&on));
        let context = Context::by(Ref::new("user", &actor).unwrap()).correlation(words.clone());
        let event = serde_json::to_string(&TeamEvent::Said { words: words.clone() }).unwrap();
        let command = TellTeam { on: TeamId::new(on.as_str()), event };
        let receipt = annals.execute(command, &context).await.unwrap();
        let query = annals.audit().after(receipt).from(receipt.head.position).until(receipt.head.position + 1);
        let row = query.clone().stream().next().await.unwrap().unwrap();
        for &format in Format::ALL {
            let (_, text) = exported(query.clone(), format).await;
            let acts = |c: char| is_active(c) && c != '\n' && !(c == '\r' && format == Format::Csv);
            prop_assert!(!text.contains(acts), "{format}: {text:?}");
            match format {
                Format::Csv => {
                    let records = records(&text);
                    let cells: Vec<String> = records[1]
                        .iter()
                        .map(|cell| {
                            prop_assert!(!cell.starts_with(['=', '+', '-', '@', '\t', '\r']), "{cell:?}");
                            Ok(cell.strip_prefix('\'').unwrap_or(cell).to_owned())
                        })
                        .collect::<Result<_, TestCaseError>>()?;
                    prop_assert_eq!(records.len(), 3);
                    prop_assert_eq!(&cells[4], &plain(row.actor.as_str()));
                    prop_assert_eq!(&cells[10], &plain(&words));
                    prop_assert_eq!(&cells[11], &plain(&row.sentence));
                    let payload: Value = serde_json::from_str(&cells[13]).unwrap();
                    prop_assert_eq!(payload["words"].as_str(), Some(&*words));
                }
                Format::Jsonl => {
                    let read: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
                    prop_assert_eq!(read["actor"].as_str(), Some(row.actor.as_str()));
                    prop_assert_eq!(read["sentence"].as_str(), Some(&*row.sentence));
                    prop_assert_eq!(read["payload"]["words"].as_str(), Some(&*words));
                }
                Format::CloudEvents => {
                    let events: Vec<::cloudevents::Event> = serde_json::from_str(&text).unwrap();
                    let Some(::cloudevents::Data::Json(data)) = events[0].data() else { panic!("no data") };
                    prop_assert_eq!(data["words"].as_str(), Some(&*words));
                }
                Format::Ocel => {
                    let read: Value = serde_json::from_str(&text).unwrap();
                    let relations = read["events"][0]["relationships"].as_array().unwrap();
                    prop_assert_eq!(relations[0]["objectId"].as_str(), Some(row.actor.as_str()));
                }
            }
        }
        Ok(())
    })?);
    runtime.block_on(annals.close());
}

/// The reference reader of OCEL 2.0. `scripts/check-ocel` installs it and runs this.
#[tokio::test]
#[ignore = "needs pm4py: run scripts/check-ocel"]
async fn pm4py_reads_an_export_of_object_centric_events() {
    let annals = story().await;
    team(&annals, "2", "7", TeamEvent::Scored(3)).await;
    let last = team(&annals, "1", "7", TeamEvent::Said { words: "<b>\u{1b}\"é".to_owned() }).await;
    annals.audit().after(last).page().await.unwrap();
    let (_, text) = exported(annals.audit(), Format::Ocel).await;
    let file = tempfile::Builder::new().suffix(".json").tempfile().unwrap();
    std::fs::write(file.path(), text).unwrap();
    let script = r#"
import sys, json, pm4py
log = pm4py.read_ocel2_json(sys.argv[1])
r = log.relations
print(json.dumps([
    len(log.events), sorted(log.objects["ocel:oid"]), sorted(set(log.objects["ocel:type"])),
    sorted(log.events["ocel:activity"]),
    sorted(map(list, zip(r["ocel:activity"], r["ocel:oid"], r["ocel:qualifier"]))),
    log.events["ocel:timestamp"].is_monotonic_increasing,
]))
"#;
    let python = std::env::var("OCEL_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let done = std::process::Command::new(python).args(["-c", script]).arg(file.path()).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    // The library prints a greeting first.
    let said = String::from_utf8(done.stdout).unwrap();
    let read: Value = serde_json::from_str(said.lines().last().unwrap()).unwrap();
    // It keeps one relation for each event and object, though there may be several: user:1 registered herself.
    let expected = serde_json::json!([
        5,
        ["team:7", "user:1", "user:2", "user:3"],
        ["team", "user"],
        ["team.changed", "team.joined", "team.said", "team.scored", "user.registered"],
        [
            ["team.changed", "team:7", "aggregate"],
            ["team.changed", "user:1", "user"],
            ["team.changed", "user:2", "actor"],
            ["team.joined", "team:7", "aggregate"],
            ["team.joined", "user:1", "actor"],
            ["team.joined", "user:2", "users"],
            ["team.joined", "user:3", "users"],
            ["team.said", "team:7", "aggregate"],
            ["team.said", "user:1", "actor"],
            ["team.scored", "team:7", "aggregate"],
            ["team.scored", "user:2", "actor"],
            ["user.registered", "user:1", "aggregate"]
        ],
        true
    ]);
    assert_eq!(read, expected);
    annals.close().await;
}

crate::projections::tests::fixture::stores::on_postgres_too! {
    every_format_ends_with_a_manifest,
    cloud_events_and_object_centric_events_carry_what_an_event_is_about,
    an_export_has_sentences_in_the_requested_language,
    an_export_of_many_pages_ends_at_its_head_and_reports_progress,
    an_export_has_no_event_after_its_head,
    a_writer_that_fails_and_an_invalid_query_are_errors,
    any_text_in_any_field_parses_back_from_every_format,
}
