//! The filter by text finds what people see, on every store, in stored rows and in live ones alike.

use proptest::collection::vec;
use proptest::prelude::*;
use unicode_normalization::UnicodeNormalization;

use super::super::text_search::tests::texts;
use super::*;
use crate::projections::tests::fixture::places::runtime;

/// Ways to write the same text.
fn variants(text: &str) -> [String; 5] {
    let composed: String = text.nfc().collect();
    let decomposed: String = text.nfd().collect();
    [text.to_owned(), decomposed.to_uppercase(), composed.to_lowercase(), composed, decomposed]
}

/// Mission X51
#[test]
fn any_text_is_found_by_itself_and_by_its_variants_in_stored_and_in_live_rows() {
    let runtime = runtime();
    let world = runtime.block_on(World::new());
    proptest!(ProptestConfig::with_cases(30), |(written in vec((texts(), texts()), 1..5))| runtime.block_on(async {
        let first = world.store.head().await.unwrap().position + 1;
        let acts = written.iter().map(|(actor, path)| {
            act(&actor.replace('\0', "-"), "7", ProjectEvent::Wrote { path: path.clone() })
        });
        world.append(acts.collect()).await;
        world.settled("audit").await;
        let rows: Vec<AuditRow> = world.audit().from(RangeBound::Position(first)).stream().try_collect().await.unwrap();
        prop_assert_eq!(rows.len(), written.len());
        for (row, (actor, path)) in rows.iter().zip(&written) {
            let said = [actor.replace('\0', "-"), path.clone(), format!("{} wrote {path}", row.actor), row.sentence.clone()];
            for text in said.iter().flat_map(|text| variants(text)) {
                let query = || world.audit().from(RangeBound::Position(first)).text(&text);
                let stored = all(query()).await;
                prop_assert!(stored.contains(&row.position), "{:?} in {:?}", text, row.sentence);
                let plan = query().live_plan().unwrap();
                let live: Vec<u64> = rows.iter().filter(|row| plan.matches(row)).map(|row| row.position).collect();
                prop_assert_eq!(live, stored, "live rows, by {:?}", text);
            }
        }
        Ok(())
    })?);
    runtime.block_on(world.close());
}

/// Mission X51: a value is found also where no sentence names it; names of fields and the signs of JSON are not text.
#[tokio::test]
async fn values_are_found_where_no_sentence_names_them_and_nothing_else_of_the_payload_is() {
    let world = World::new().await;
    let roles = Change { from: Vec::new(), to: vec!["dev".to_owned()] };
    let note = Change { from: "so \"far\"".to_owned(), to: "Übergang\tC:\\temp".to_owned() };
    let changed = MemberEvent::Changed { user: user("bob"), roles, note: Some(note) };
    let wrote = ProjectEvent::Wrote { path: "plain".to_owned() };
    // Only ASCII, with an escape.
    let note = Change { from: "she said \"hi\"".to_owned(), to: String::new() };
    let roles = Change { from: Vec::new(), to: Vec::new() };
    let said = MemberEvent::Changed { user: user("eve"), roles, note: Some(note) };
    world.append(vec![act("alice", "7", wrote), act("alice", "7", changed), act("alice", "7", said)]).await;
    world.settled("audit").await;
    let rows: Vec<AuditRow> = world.audit().stream().try_collect().await.unwrap();
    for (text, found) in [
        ("ÜBERGANG", &[2][..]),
        ("u\u{308}bergang", &[2]),
        ("so \"FAR\"", &[2]),
        ("\tc:\\TEMP", &[2]),
        ("said \"HI\"", &[3]),
        ("Dev", &[2]),
        ("alice WROTE plain", &[1]),
        ("user:alice", &[1, 2, 3]),
        ("path", &[]),
        ("\"path\"", &[]),
        ("note", &[]),
        ("roles", &[]),
        ("{", &[]),
        ("[]", &[]),
        ("far\\", &[]),
        ("\\\\", &[]),
        ("\\\"", &[]),
    ] {
        assert_eq!(all(world.audit().text(text)).await, found, "{text:?}");
        assert_eq!(world.audit().text(text).count().await.unwrap().events, found.len() as u64, "{text:?}");
        let plan = world.audit().text(text).live_plan().unwrap();
        let live: Vec<u64> = rows.iter().filter(|row| plan.matches(row)).map(|row| row.position).collect();
        assert_eq!(live, found, "live rows, by {text:?}");
    }
    world.close().await;
}

/// Mission X50: a search and a count by text examine events up to a size, and the count as many as its limit says.
#[tokio::test]
async fn a_search_among_large_events_ends_early_and_continues() {
    const LARGE: usize = 200_000;
    let world = World::new().await;
    for _ in 0..6 {
        let wrote = || ProjectEvent::Wrote { path: "p".repeat(LARGE) };
        world.append((0..10).map(|_| act("alice", "7", wrote())).collect()).await;
    }
    world.settled("audit").await;
    let page = world.audit().text("nobody").page().await.unwrap();
    let reached = page.next.expect("it continues").last().position;
    // 16 MB and 256 MB, divided by 32 in tests.
    assert!(page.rows.is_empty() && reached as usize * LARGE < (512 << 10) + 2 * LARGE, "{reached}");
    let limited = world.audit().text("ppp").limit(20).count().await.unwrap();
    assert!((20..=24).contains(&limited.events) && !limited.complete, "{limited:?}");
    let most = world.audit().text("ppp").limit(1_000).count().await.unwrap();
    assert!((40..=44).contains(&most.events) && !most.complete, "{most:?}");
    world.close().await;
}

/// A read that an earlier version recorded may have returned more than the same text finds now.
#[tokio::test]
async fn a_text_that_an_earlier_version_recorded_selects_everything() {
    let world = World::new().await;
    let recorded = [("text".to_owned(), vec!["path".to_owned()])].into();
    assert_eq!(AuditFilter::from_recorded(&recorded, &world.types), AuditFilter::default());
    let now = world.audit().text("Straße").filter.recorded();
    assert_eq!(now, [("folded text".to_owned(), vec!["strasse".to_owned()])].into());
    world.close().await;
}

crate::projections::tests::fixture::stores::on_postgres_too! {
    any_text_is_found_by_itself_and_by_its_variants_in_stored_and_in_live_rows,
    values_are_found_where_no_sentence_names_them_and_nothing_else_of_the_payload_is,
    a_search_among_large_events_ends_early_and_continues,
}
