//! What the audit log costs: not a test, but numbers. Run it alone, with optimisation:
//!
//! `EVENTS=1000000 LOG=/tmp/measure/log.db cargo test --release --lib -p annals measure_the_audit_log -- --ignored --nocapture`
//!
//! The log is made if it is not there, and kept.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::many_types::{act_of_many, many_types};
use super::*;
use crate::projections::Projection;

const ROUNDS: u64 = 200;

fn setting(name: &str, usual: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| usual.to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "it measures"]
async fn measure_the_audit_log() {
    let events: u64 = setting("EVENTS", "1000000").parse().unwrap();
    let path = setting("LOG", "/tmp/annals-measure/log.db");
    std::fs::create_dir_all(std::path::Path::new(&path).parent().unwrap()).unwrap();
    let url = format!("sqlite://{path}");
    let types = many_types();
    {
        let writing = World::open_of(&url, types.clone(), vec![]).await;
        let head = writing.store.head().await.unwrap().position;
        assert!(head == 0 || head == events, "a log of {head} events is there: delete it");
        let begin = Instant::now();
        for n in (head..events).step_by(5_000) {
            writing.append((n..events.min(n + 5_000)).map(act_of_many).collect()).await;
        }
        println!("{events} events written in {:?}", begin.elapsed());
        writing.close().await;
    }
    let audit: Vec<Arc<dyn Projection>> = vec![Arc::new(AuditLog::new(types.clone()))];
    let world = World::open_of(&url, types, audit).await;
    let reading = world.settled_for("audit", Duration::from_secs(3_600)).await;
    let begin = Instant::now();
    world.projections.rebuild("audit").unwrap().await.unwrap();
    let took = begin.elapsed();
    println!("rebuilt in {took:?}: {:.0} events/s", events as f64 / took.as_secs_f64());
    let mut snapshot = reading.snapshot().await.unwrap();
    let sizes = "SELECT name, sum(pgsize) FROM dbstat WHERE name LIKE '%audit%' GROUP BY name";
    let plain = "SELECT 'all', page_count * page_size FROM pragma_page_count, pragma_page_size";
    for sql in [sizes, plain] {
        for row in snapshot.query(sql, vec![]).await.unwrap_or_default() {
            let bytes = row[1].integer().unwrap() as f64;
            println!("  {:60} {:7.1} bytes an event", row[0].text().unwrap(), bytes / events as f64);
        }
    }
    drop(snapshot);

    type Ask = fn(AuditQuery, u64) -> AuditQuery;
    let cases: [(&str, Ask); 14] = [
        ("all", |query, _| query),
        ("common actor", |query, n| query.actor(format_args!("user:actor-{}", n % 10))),
        ("rare actor", |query, n| query.actor(format_args!("user:actor-{}", 10 + n % 1_990))),
        ("target", |query, n| query.target(format_args!("user:{}", n % 20_000))),
        ("aggregate", |query, n| query.aggregate(format_args!("thing:{}", n % 100_000))),
        ("topic and below", |query, n| query.topic(format_args!("area_{}", n % 20))),
        ("rare event type", |query, n| query.event(format_args!("kind_{}.happened", 250 + n % 250))),
        ("action", |query, n| query.action(Action::ALL[n as usize % 4])),
        ("5 topics", |query, n| (0..5).fold(query, |query, m| query.topic(format_args!("area_{}", (n + m) % 20)))),
        ("actor and topic", |query, n| {
            query.actor(format_args!("user:actor-{}", n % 10)).topic(format_args!("area_{}", n % 20))
        }),
        // What a kind does is one action: these two never meet.
        ("disjoint", |query, _| query.event("kind_0.happened").action(Action::Delete)),
        ("by occurrence", |query, n| query.by_occurrence().actor(format_args!("user:actor-{}", n % 10))),
        ("text", |query, _| query.text("A NOTE OF SOME")),
        ("text not there", |query, _| query.text("nowhere to be found")),
    ];
    for (name, ask) in cases {
        for deep in [false, true] {
            let mut times = Vec::new();
            let (mut rows, mut short) = (0, 0);
            for round in 0..ROUNDS {
                let random = round.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 20;
                let query = ask(world.audit(), random).newest_first();
                let query = if deep { query.until(events / 10 + random % (events * 8 / 10)) } else { query };
                let begin = Instant::now();
                let page = query.page().await.unwrap();
                times.push(begin.elapsed());
                rows += page.rows.len();
                short += u64::from(page.rows.len() < 50 && page.next.is_some());
            }
            times.sort_unstable();
            let at = |percent: usize| millis(times[(times.len() * percent / 100).min(times.len() - 1)]);
            let place = if deep { "deep" } else { "first" };
            let rows = rows as f64 / ROUNDS as f64;
            println!(
                "{name:16} {place:5} p50 {:8.2} ms  p99 {:8.2} ms  {rows:4.0} rows, {short} short",
                at(50),
                at(99)
            );
        }
    }
    for (name, limit) in [("count 10,000", 10_000), ("count 1,000,000", 1_000_000)] {
        let begin = Instant::now();
        let count = world.audit().topic("area_1").limit(limit).count().await.unwrap();
        println!("{name}: {} events in {:.1} ms", count.events, millis(begin.elapsed()));
    }
    world.close().await;
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}
