//! Documents in each format: compared with golden files here, and read by other programs in `scripts/check-prov`.
//!
//! `ANNALS_BLESS=1` writes the golden files again.

use std::path::{Path, PathBuf};

use annals::commands::Context;
use annals::prelude::*;
use annals::projections::provenance::{Direction, StatementKind as Kind};
use annals_test_postgres::Place;
use jiff::Timestamp;

use crate::lab::*;

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/provenance/golden").join(name)
}

/// A log with one of everything; its clock does not move within a command.
async fn one_of_everything(place: &Place) -> Annals {
    let minutes = std::sync::Arc::new(std::sync::atomic::AtomicI64::new(0));
    let clock = minutes.clone();
    let begin: Timestamp = "2026-05-04T08:00:00.000001Z".parse().unwrap();
    let clock = move || begin + jiff::SignedDuration::from_mins(clock.load(std::sync::atomic::Ordering::SeqCst));
    let annals = app().clock(clock).record_reads().open(place.url()).await.unwrap();
    let later = || minutes.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
    let strange = Ref::new("user", "alice o'neil/öst:1 \"al\" \\ \u{1}\u{202e}<é>\n").unwrap();
    let alice = Context::by(strange).on_behalf_of("organisation:acme".parse::<Ref>().unwrap());
    let first = write(&annals, &alice, &[("2026/05", vec![from(&[])])]).await;
    later();
    let caused = by("bob").causation(first.command_id.to_string());
    let second =
        write(&annals, &caused, &[("7", vec![from(&["note:2026/05", "file:x y"])]), ("2026/05", vec![])]).await;
    later();
    let triggered = Context::by("service:jobs".parse::<Ref>().unwrap()).causation(second.head.event_id.to_string());
    write(&annals, &triggered, &[("7", vec![from(&[]), NoteEvent::Part(PartEvent::Removed)])]).await;
    later();
    for time in ["-000001-01-01T00:00:00Z", "1969-07-20T20:17:40Z"] {
        let old = by("bob").occurred_at(time.parse().unwrap());
        write(&annals, &old, &[("7", vec![from(&["note:7"])])]).await;
    }
    let head = annals.store().head().await.unwrap();
    annals.audit().after(head).page().await.unwrap();
    let csv = annals::projections::export::Format::Csv;
    annals.read_as(&by("eve")).audit().target(thing("7")).export(csv).to(&mut Vec::new()).await.unwrap();
    crate::until(|| async { annals.store().head().await.unwrap().position > head.position }).await;
    later();
    let reader =
        Context::by("service:jobs".parse::<Ref>().unwrap()).on_behalf_of("user:eve".parse::<Ref>().unwrap());
    let reader = annals.read_as(&reader);
    crate::recorded(&annals, reader.json_state(&thing("7"), None)).await.unwrap();
    let then = annals::store::Moment::Position(2);
    crate::recorded(&annals, reader.json_state(&thing("7"), Some(then))).await.unwrap();
    later();
    let made = NoteEvent::Made {
        special_form_of: Some(note("2026/05")),
        alternate_of: Some(note("7")),
        members: vec![note("7"), note("none")],
    };
    write(&annals, &by("bob"), &[("7", vec![made.clone()]), ("made", vec![made])]).await;
    later();
    write(&annals, &by("bob"), &[("7", vec![NoteEvent::Deleted])]).await;
    annals
}

/// Missions D2 and D25. The formats are the same bytes on both stores, but for ids.
pub async fn documents_are_as_they_were(place: &Place) {
    let annals = one_of_everything(place).await;
    let backwards = document(of(&annals, "7").await).await;
    let (back, ahead) = (Direction::Backwards, Direction::Forwards);
    let forwards = document(of(&annals, "2026/05").await.forwards().depth(9)).await;
    for (name, document, direction) in [("backwards", &backwards, back), ("forwards", &forwards, ahead)] {
        let mut known = Vec::new();
        for (format, text) in [
            ("json", document.to_prov_json().unwrap() + "\n"),
            ("provn", document.to_prov_n()),
            ("dot", document.to_dot()),
            ("txt", document.to_text().join("\n") + "\n"),
            ("svg", document.to_svg(direction)),
        ] {
            let (text, path) = (without_ids(&text, &mut known), golden(&format!("{name}.{format}")));
            if std::env::var_os("ANNALS_BLESS").is_some() {
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(&path, &text).unwrap();
            }
            let expected = std::fs::read_to_string(&path).unwrap_or_default();
            assert_eq!(text, expected, "{}: ANNALS_BLESS=1 writes it again", path.display());
        }
    }
    for kind in Kind::ALL {
        let states = |document: &annals::projections::provenance::Document| {
            document.statements.iter().any(|statement| statement.kind == kind)
        };
        assert!(states(&backwards) || states(&forwards), "no statement {kind}");
    }
    annals.close().await;
}

/// Written for `scripts/check-prov`: a drawing whose ids have every character that an id may have.
#[tokio::test]
#[ignore = "scripts/check-prov runs it, and has another program read the drawing"]
async fn documents_with_every_character() {
    let Some(directory) = std::env::var_os("ANNALS_PROV_OUT") else { return };
    let place = Place::sqlite();
    let annals = app().open(place.url()).await.unwrap();
    let every: Vec<char> = (1..=0x1_ffff).filter_map(char::from_u32).collect();
    let sources: Vec<Ref> =
        every.chunks(200).filter_map(|some| Ref::new("file", &String::from_iter(some)).ok()).collect();
    assert!(sources.len() > 500, "{}", sources.len());
    write(&annals, &by("ann"), &[("a", vec![NoteEvent::Written { from: sources, shown: None }])]).await;
    let page = of(&annals, "a").await.page().await.unwrap();
    let svg = page.document.to_svg(Direction::Backwards);
    std::fs::write(Path::new(&directory).join("every-character.svg"), svg).unwrap();
    annals.close().await;
}

/// Written for `scripts/check-prov`: random logs, in both directions, whole and in pages.
#[tokio::test]
#[ignore = "scripts/check-prov runs it, and has another program read the documents"]
async fn documents_of_random_logs() {
    let Some(directory) = std::env::var_os("ANNALS_PROV_OUT") else { return };
    for seed in crate::seeds() {
        let place = Place::sqlite();
        let annals = app().open(place.url()).await.unwrap();
        crate::model::random_log(&annals, seed, 12).await;
        for (name, query) in [
            ("backwards", of(&annals, "a").await.depth(9)),
            ("forwards", of(&annals, "a").await.forwards().depth(9)),
            ("page", of(&annals, "b").await.depth(2).limit(5)),
            ("other", of(&annals, "d e/é").await.depth(1)),
        ] {
            let document = query.page().await.unwrap().document;
            if document.statements.is_empty() {
                continue;
            }
            let path = Path::new(&directory).join(format!("random-{seed}-{name}.json"));
            std::fs::write(&path, document.to_prov_json().unwrap()).unwrap();
            std::fs::write(path.with_extension("provn"), document.to_prov_n()).unwrap();
            std::fs::write(path.with_extension("svg"), document.to_svg(Direction::Backwards)).unwrap();
        }
        annals.close().await;
    }
}
