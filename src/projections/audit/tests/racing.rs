//! Readers that connect and disconnect while others write.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::projections::tests::fixture::places::runtime;

const EVENTS: u64 = 240;

/// A reader: its query, its start in milliseconds, and the rows that it reads before each pause.
#[derive(Clone, Debug)]
struct Coming {
    wants: usize,
    begins: u64,
    takes: Vec<(usize, u64)>,
}

fn coming() -> impl Strategy<Value = Coming> {
    let takes = vec((0_usize..30, 0_u64..12), 1..6);
    (0_usize..6, 0_u64..60, takes).prop_map(|(wants, begins, takes)| Coming { wants, begins, takes })
}

fn query(world: &World, wants: usize) -> AuditQuery {
    let query = world.audit().until(EVENTS + 1);
    match wants {
        0 => query,
        1 => query.actor("user:alice"),
        2 => query.topic("project/member").topic("projectile"),
        3 => query.target("user:alice").action(Action::Create).action(Action::Delete),
        4 => query.text("DAVE"),
        // Matches nothing, and has to end nevertheless.
        _ => query.actor("user:alice").actor("user:bob").correlation("request-9"),
    }
}

/// All rows, from several streams, each of which continues after the last row of the one before.
async fn read(world: Arc<World>, reader: Coming) -> Vec<u64> {
    let pause = |millis| tokio::time::sleep(Duration::from_millis(millis));
    pause(reader.begins).await;
    let mut seen = Vec::new();
    let mut cursor: Option<Cursor> = None;
    for turn in 0.. {
        let (rows, away) = reader.takes.get(turn).copied().unwrap_or((usize::MAX, 0));
        let asked = || query(&world, reader.wants);
        let mut stream = cursor.into_iter().fold(asked(), AuditQuery::cursor).follow().take(rows);
        while let Some(row) = stream.next().await {
            let row = row.unwrap();
            seen.push(row.position);
            cursor = Some(asked().cursor_after(&row).unwrap());
        }
        if rows == usize::MAX {
            break;
        }
        drop(stream);
        pause(away).await;
    }
    seen
}

/// Missions P15, P16, P18 and D8: each event once, in order, and none missing after any pause, for any interleaving of
/// readers and writers.
#[test]
fn readers_that_reconnect_while_others_write_see_each_event_once() {
    let runtime = runtime();
    let cases = ProptestConfig { max_shrink_iters: 20, ..ProptestConfig::with_cases(12) };
    proptest!(cases, |(readers in vec(coming(), 4), batches in vec(1_u64..25, 8..14))| {
        runtime.block_on(async {
            let world = Arc::new(World::new().await);
            let reading: Vec<_> =
                readers.iter().map(|reader| tokio::spawn(read(world.clone(), reader.clone()))).collect();
            let mut written = 0;
            for batch in batches.iter().cycle() {
                let end = EVENTS.min(written + batch);
                world.append((written..end).map(|n| any_act(n * 5)).collect()).await;
                tokio::time::sleep(Duration::from_millis(batch % 5)).await;
                written = end;
                if written == EVENTS {
                    break;
                }
            }
            world.settled("audit").await;
            for (reader, rows) in readers.iter().zip(reading) {
                let seen = tokio::time::timeout(Duration::from_secs(60), rows).await.expect("the stream does not end").unwrap();
                let expected = all(query(&world, reader.wants)).await;
                prop_assert_eq!(&seen, &expected, "{:?}", reader);
            }
            Arc::into_inner(world).unwrap().close().await;
            Ok(())
        })?;
    });
}

crate::projections::tests::fixture::stores::on_postgres_too! {
    readers_that_reconnect_while_others_write_see_each_event_once,
}
