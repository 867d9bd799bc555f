//! Queries, their results, and what is refused.

use serde_json::{Value, json};

use super::*;
use crate::events::LogPosition;
use crate::projections::audit::AuditLog;

/// Missions A1 and A5
#[tokio::test]
async fn a_row_has_all_fields_of_an_event_in_a_fixed_order() {
    let world = World::new().await;
    let mut first = act("alice", "7", added("bob"));
    first.correlation = Some("request-1".to_owned());
    let receipt = world.append(vec![first]).await;
    let page = world.audit().after(receipt).page().await.unwrap();
    assert_eq!(page.head, receipt.head);
    let text = serde_json::to_string(&page.rows[0]).unwrap();
    let row: AuditRow = serde_json::from_str(&text).unwrap();
    assert_eq!(serde_json::to_string(&row).unwrap(), text, "the row round-trips through JSON");
    let shown: Value = serde_json::from_str(&text).unwrap();
    let expected = json!({
        "position": 1, "event_id": receipt.head.event_id, "recorded_at": BEGIN, "actor": "user:alice",
        "action": "create", "targets": ["project:7", "user:bob"], "topic": "project/member",
        "event_type": "member.added", "aggregate": "project:7",
        "sentence": "user:alice added user:bob to project:7 as dev", "changes": [],
        "payload": {"user": "user:bob", "roles": ["dev"]}, "topics": ["project/member"], "sequence": 1,
        "event_version": "1.0", "occurred_at": BEGIN, "on_behalf_of": null, "correlation": "request-1",
        "causation": null, "command_id": row.command_id, "origin": null,
    });
    assert_eq!(shown, expected);
    let names = ["position", "event_id", "recorded_at", "actor", "action", "targets", "topic", "event_type"];
    let more = ["aggregate", "sentence", "changes", "payload", "topics", "sequence"];
    let places = names.iter().chain(&more).map(|name| text.find(&format!("\"{name}\":")).unwrap());
    assert!(places.is_sorted(), "{text}");
    world.close().await;
}

/// Mission A6
#[tokio::test]
async fn changes_are_typed_and_equal_values_are_no_change() {
    let world = World::new().await;
    let (dev, ops) = (|| vec!["dev".to_owned()], || vec!["ops".to_owned()]);
    let changed = |from, to, note| MemberEvent::Changed { user: user("bob"), roles: Change { from, to }, note };
    let noted = Some(Change { from: "a".to_owned(), to: "b".to_owned() });
    let acts = [changed(dev(), ops(), None), changed(dev(), dev(), None), changed(dev(), dev(), noted)];
    let receipt = world.append(acts.map(|event| act("alice", "7", event)).to_vec()).await;
    let rows = world.audit().after(receipt).page().await.unwrap().rows;
    let changes: Vec<Value> = rows.iter().map(|row| serde_json::to_value(&row.changes).unwrap()).collect();
    let expected = json!([
        [{"field": "roles", "from": ["dev"], "to": ["ops"]}],
        [],
        [{"field": "note", "from": "a", "to": "b"}],
    ]);
    assert_eq!(Value::from(changes), expected);
    world.close().await;
}

/// Missions A3 and A4
#[tokio::test]
async fn an_actor_or_target_has_exactly_its_events_even_after_it_is_deleted() {
    let world = World::new().await;
    let acts = vec![
        act("alice", "7", ProjectEvent::Begun),
        act("bob", "7", added("alice")),
        act("alice", "8", added("bob")),
        act("bob", "7", MemberEvent::Removed { user: user("alice") }),
        act("alice", "7", ProjectEvent::Deleted),
    ];
    let receipt = world.append(acts).await;
    let audit = || world.audit().after(receipt);
    assert_eq!(all(audit().actor("user:alice")).await, [1, 3, 5]);
    assert_eq!(all(audit().target("user:alice")).await, [2, 4]);
    assert_eq!(all(audit().target(ProjectId::new("7")).newest_first()).await, [5, 4, 2, 1]);
    assert_eq!(all(audit().aggregate("project:8")).await, [3]);
    assert_eq!(all(audit().aggregate("user:alice")).await, [0; 0], "a user is no aggregate");
    assert_eq!(all(audit().actor("user:al")).await, [0; 0], "no actor has this id");
    assert_eq!(all(audit().actor("user:alice").target("user:bob").action(Action::Create)).await, [3]);
    world.close().await;
}

/// Missions P3, P9 and P10
#[tokio::test]
async fn a_topic_includes_the_topics_below_it_and_each_event_once() {
    let world = World::new().await;
    let wrote = |path: &str| act("alice", "7", ProjectEvent::Wrote { path: path.to_owned() });
    let acts = vec![
        wrote("src/a"),
        wrote("src/ab"),
        act("alice", "7", added("bob")),
        ring("bob"),
        act("bob", "7", ProjectEvent::Seen),
        wrote("src/a/x"),
    ];
    let receipt = world.append(acts).await;
    let audit = || world.audit().after(receipt);
    for (topic, expected) in [
        ("", vec![1, 2, 3, 4, 5, 6]),
        ("files", vec![1, 2, 6]),
        ("files/src/a", vec![1, 6]),
        ("files/src/ab", vec![2]),
        ("files/written", vec![1, 2, 6]),
        ("project", vec![3]),
        ("projectile", vec![5]),
        ("tower", vec![]),
    ] {
        assert_eq!(all(audit().topic(topic)).await, expected, "{topic}");
    }
    let union = || audit().topic("files/written").topic("files/src").topic("project/member");
    assert_eq!(all(union()).await, [1, 2, 3, 6], "an event in two of the topics is returned once");
    assert_eq!(all(union().topic("/").newest_first().limit(2)).await, [6, 5]);
    let unknown = audit().topic("proj").page().await.unwrap_err().to_string();
    for root in ["`project`", "`project/member`", "`tower`", "`files`"] {
        assert!(unknown.contains(root), "{unknown}");
    }
    world.close().await;
}

#[tokio::test]
async fn an_invalid_query_is_refused_with_advice() {
    let world = World::new().await;
    world.append((0..20).map(any_act).collect()).await;
    world.settled("audit").await;
    let audit = || world.audit();
    let other = audit().limit(1).page().await.unwrap().next.unwrap();
    let refused = [
        (audit().actor("alice"), "kind, a colon"),
        (audit().target("Project:7"), "kind, a colon"),
        (audit().topic("a//b"), "separated by slashes"),
        (audit().topic("nowhere\u{1b}"), "`nowhere\\u{1b}`"),
        (audit().event("member.quit"), "`member.added`, `member.changed`, `member.removed`"),
        (audit().event("x"), "`bell.…`, `member.…`, `project.…`"),
        (audit().limit(0), "give 1 or more"),
        (audit().text(""), "an empty search text"),
        (audit().occurred_from(before_the_log(1)).occurred_until(before_the_log(2)), "swap them"),
        (audit().by_occurrence().cursor(other), "belongs to another query"),
        (audit().text("a").cursor(other), "belongs to another query"),
        (audit().occurred_from(before_the_log(9)).cursor(other), "belongs to another query"),
        (audit().from(7).until(6), "swap them"),
        (audit().from(7).until(BEGIN.parse::<RangeBound>().unwrap()), "swap them"),
        (audit().actor("user:alice").cursor(other), "belongs to another query"),
        (audit().newest_first().cursor(other), "belongs to another query"),
        (audit().until(19).cursor(other), "belongs to another query"),
        ((0..65).fold(audit(), |query, n| query.actor(format_args!("user:{n}"))), "the limit is 64"),
    ];
    for (query, words) in refused {
        let error = query.clone().page().await.unwrap_err();
        assert!(matches!(error, AuditError::Query(_)) && error.to_string().contains(words), "{words}: {error}");
        let streamed = query.stream().try_collect::<Vec<_>>().await.unwrap_err();
        assert_eq!(streamed.to_string(), error.to_string());
    }
    let page = audit().cursor(other).page().await.unwrap();
    assert_eq!(page.rows[0].position, 2, "the limit may change from page to page");
    world.close().await;
}

/// Guarantee 16
#[tokio::test]
async fn a_cursor_of_another_log_is_refused() {
    let (here, there) = (World::new().await, World::new().await);
    for world in [&here, &there] {
        world.append((0..3).map(any_act).collect()).await;
        world.settled("audit").await;
    }
    let cursor = here.audit().limit(2).page().await.unwrap().next.unwrap();
    let error = there.audit().cursor(cursor).page().await.unwrap_err();
    assert!(matches!(error, AuditError::Store(StoreError::Diverged(head)) if head == cursor.last()), "{error}");
    let receipt = here.append(vec![any_act(1)]).await;
    let error = there.audit().after(receipt).page().await.unwrap_err();
    assert!(matches!(error, AuditError::Read(ReadError::Diverged(_))), "{error}");
    here.close().await;
    there.close().await;
}

/// A checksum does not authenticate: a forged cursor is an error, or gives rows that the query returns anyway.
#[tokio::test]
async fn a_forged_cursor_is_refused_or_harmless() {
    let world = World::new().await;
    world.append((0..9).map(any_act).collect()).await;
    world.settled("audit").await;
    let genuine = world.audit().limit(2).page().await.unwrap().next.unwrap();
    let LogPosition { position, event_id } = genuine.last();
    for position in [0, position - 1, position + 1, 10, 1 << 40, u64::MAX] {
        let forged = Cursor::new(LogPosition { position, event_id }, genuine.query());
        let forged: Cursor = forged.to_string().parse().unwrap();
        for query in [world.audit(), world.audit().limit(7)] {
            let error = query.cursor(forged).page().await.unwrap_err();
            assert!(matches!(error, AuditError::Store(StoreError::Diverged(_))), "{position}: {error}");
        }
    }
    let another = LogPosition { position: 5, event_id: world.log().await[4].event_id };
    let page = world.audit().cursor(Cursor::new(another, genuine.query())).page().await.unwrap();
    assert_eq!(positions(&page.rows), [6, 7, 8, 9]);
    world.close().await;
}

/// Control characters, markup, injections and long text.
#[tokio::test]
async fn hostile_text_is_stored_unchanged_and_found() {
    let world = World::new().await;
    let hostile =
        ["=1+1", "a\u{1b}[2J\u{9b}31m", "\u{202e}txt.exe", "<script>", "\"' OR 1=1 --", "a\r\nb", "%_*", "İÇ"];
    let long = "x".repeat(20_000);
    let mut acts = Vec::new();
    for text in hostile.iter().copied().chain([long.as_str()]) {
        let mut act = act("alice", "7", ProjectEvent::Wrote { path: text.to_owned() });
        act.correlation = Some(format!("{text}\0"));
        acts.push(act);
    }
    let receipt = world.append(acts).await;
    for (n, text) in hostile.iter().copied().chain([long.as_str()]).enumerate() {
        let position = n as u64 + 1;
        let audit = || world.audit().after(receipt);
        let rows = audit().correlation(format!("{text}\0")).page().await.unwrap().rows;
        assert_eq!(positions(&rows), [position], "{text:?}");
        assert_eq!(rows[0].sentence, format!("user:alice wrote {text}"));
        let payload: Value = serde_json::from_str(rows[0].payload.get()).unwrap();
        assert_eq!(payload, json!({ "path": text }));
        assert_eq!(positions(&audit().text(text).page().await.unwrap().rows), [position], "{text:?}");
        let topic = crate::events::Topic::from_segments(["files"].into_iter().chain(text.split('/')));
        assert_eq!(positions(&audit().topic(topic).page().await.unwrap().rows), [position], "{text:?}");
    }
    world.close().await;
}

/// Mission P14, for several queries and counts.
#[tokio::test]
async fn queries_in_one_snapshot_see_the_same_log() {
    let world = World::new().await;
    world.append((0..60).map(any_act).collect()).await;
    let mut snapshot = world.settled("audit").await.snapshot().await.unwrap();
    world.append((0..60).map(any_act).collect()).await;
    world.settled("audit").await;
    let audit = || world.audit().actor("user:alice");
    let count = audit().count_in(&mut *snapshot).await.unwrap();
    let page = audit().limit(1_000).page_in(&mut *snapshot).await.unwrap();
    assert_eq!((count.events, count.head), (page.rows.len() as u64, page.head));
    assert_eq!((count.events, count.complete, count.distinct_actors), (20, true, 1));
    assert_eq!(audit().count().await.unwrap().events, 40);
    drop(snapshot);
    world.close().await;
}

/// Mission D5
#[tokio::test]
async fn the_history_survives_a_restart_and_the_deletion_of_the_views() {
    let directory = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", directory.path().join("log.db").display());
    let world = World::open(&url).await;
    world.append((0..300).map(any_act).collect()).await;
    let before = (world.dump("audit", TABLES).await, all(world.audit().actor("user:bob")).await);
    world.close().await;
    for delete in [false, true] {
        if delete {
            let mut deleted = 0;
            for file in std::fs::read_dir(directory.path()).unwrap() {
                let path = file.unwrap().path();
                if path.to_string_lossy().contains("views") {
                    std::fs::remove_file(path).unwrap();
                    deleted += 1;
                }
            }
            assert!(deleted > 0);
        }
        let world = World::open(&url).await;
        let after = (world.dump("audit", TABLES).await, all(world.audit().actor("user:bob")).await);
        assert_eq!(before, after, "views deleted: {delete}");
        world.close().await;
    }
}

const TABLES: &[&str] = &["names", "entries", "targets", "topics"];

/// Missions P20 and P21
#[tokio::test]
async fn the_tables_are_the_same_after_a_rebuild_and_in_batches_of_any_size() {
    let (whole, pieces) = (World::new().await, World::new().await);
    let acts: Vec<Act> = (0..400).map(any_act).collect();
    whole.append(acts.clone()).await;
    let expected = whole.dump("audit", TABLES).await;
    for (n, piece) in acts.chunk_by(|a, b| a.on == b.on).enumerate() {
        pieces.append(piece.to_vec()).await;
        if n % 5 == 0 {
            pieces.settled("audit").await;
        }
    }
    assert_eq!(pieces.dump("audit", TABLES).await, expected);
    pieces.projections.rebuild("audit").unwrap().await.unwrap();
    assert_eq!(pieces.dump("audit", TABLES).await, expected);
    whole.close().await;
    pieces.close().await;
}

#[tokio::test]
async fn events_of_a_former_name_are_found_by_either_name() {
    let world = World::new().await;
    let mut left = act("alice", "7", MemberEvent::Removed { user: user("bob") });
    let payload = left.event.payload().to_owned();
    left.event = crate::store::NewEvent::new("member.left", "1.0", payload);
    let receipt = world.append(vec![left, act("alice", "7", added("bob"))]).await;
    for name in ["member.left", "member.removed"] {
        let rows = world.audit().event(name).after(receipt).page().await.unwrap().rows;
        assert_eq!((positions(&rows), rows[0].event_type.as_str()), (vec![1], "member.removed"));
    }
    world.close().await;
}

/// Mission P14
#[tokio::test]
async fn a_read_in_a_snapshot_sees_only_the_snapshot() {
    let world = World::new().await;
    let receipt = world.append((0..10).map(any_act).collect()).await;
    let mut snapshot = world.settled("audit").await.snapshot().await.unwrap();
    world.append((0..10).map(any_act).collect()).await;
    world.settled("audit").await;
    for _ in 0..2 {
        let page = world.audit().newest_first().page_in(&mut *snapshot).await.unwrap();
        assert_eq!((page.head, page.rows[0].position, page.rows.len()), (receipt.head, 10, 10));
    }
    assert_eq!(world.audit().newest_first().page().await.unwrap().rows[0].position, 20);
    drop(snapshot);
    world.close().await;
}

#[tokio::test]
async fn an_empty_log_has_an_empty_page() {
    let world = World::new().await;
    let page = world.audit().topic("project").newest_first().page().await.unwrap();
    assert!(page.rows.is_empty() && page.next.is_none() && page.head.position == 0);
    world.close().await;
}

/// Guarantee 22
#[test]
fn the_version_changes_only_with_the_declarations() {
    use crate::projections::Projection;

    let mut more = crate::events::Types::default();
    more.add::<ProjectEvent>("project").unwrap();
    let few = AuditLog::new(std::sync::Arc::new(more)).version();
    assert_ne!(AuditLog::new(types()).version(), few);
    assert_eq!(AuditLog::new(types()).version(), AuditLog::new(types()).version());
    assert!(few < 1 << 48);
}

/// Guarantee 22: the audit log waits before an event of an unknown type, and readers get an error instead of waiting.
#[tokio::test]
async fn an_unknown_event_type_blocks_the_audit_log_and_is_named() {
    let world = World::new().await;
    let mut strange = ring("alice");
    strange.event = crate::store::NewEvent::new("bell.melted", "1.0", "{}".to_owned());
    let receipt = world.append(vec![ring("alice"), strange]).await;
    let error = world.audit().after(receipt).page().await.unwrap_err();
    assert!(matches!(error, AuditError::Read(ReadError::Waiting { .. })), "{error:?}");
    assert!(error.to_string().contains("bell.melted"), "{error}");
    let rows: Vec<_> = futures::StreamExt::collect::<Vec<_>>(world.audit().follow()).await;
    assert!(matches!(rows.as_slice(), [Ok(_), Err(AuditError::Read(ReadError::Waiting { .. }))]), "{rows:?}");
    world.close().await;
}

#[test]
fn a_reference_is_given_as_text_as_an_id_or_as_a_reference() {
    fn takes(query: AuditQuery) -> AuditQuery {
        let reference: Ref = "user:alice".parse().unwrap();
        query.actor(&reference).actor(reference).actor(UserId::new("alice")).actor("user:alice".to_owned())
    }
    let _ = takes;
}

crate::projections::tests::fixture::stores::on_postgres_too! {
    a_row_has_all_fields_of_an_event_in_a_fixed_order,
    changes_are_typed_and_equal_values_are_no_change,
    an_actor_or_target_has_exactly_its_events_even_after_it_is_deleted,
    a_topic_includes_the_topics_below_it_and_each_event_once,
    an_invalid_query_is_refused_with_advice,
    a_cursor_of_another_log_is_refused,
    the_tables_are_the_same_after_a_rebuild_and_in_batches_of_any_size,
    events_of_a_former_name_are_found_by_either_name,
    a_read_in_a_snapshot_sees_only_the_snapshot,
    an_empty_log_has_an_empty_page,
    an_unknown_event_type_blocks_the_audit_log_and_is_named,
}
