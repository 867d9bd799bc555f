//! Random logs: what the queries answer is what a fold by hand says, on both stores.

use std::collections::{BTreeMap, BTreeSet};

use annals::events::Stored;
use annals::prelude::*;
use annals::projections::flows::Flow;
use annals_test_postgres::Place;
use jiff::Timestamp;
use serde_json::Value;
use uuid::Uuid;

use crate::lab::*;

const STORES: [&str; 4] = ["a", "b", "c", "d e/é"];
const ACTORS: [&str; 3] = ["app:one", "app:two", "user:ann"];
const HOSTS: [&str; 3] = ["host:192.0.2.7", "host:evil.example", "file:/tmp/x y"];

/// A random number.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from((self.0 >> 33) % sides).unwrap()
    }

    fn of<'a>(&mut self, all: &[&'a str]) -> &'a str {
        all[self.roll(all.len() as u64)]
    }
}

/// Executes random commands, reads and exports while the clock moves; some are denied, some refused, some by two grants.
/// Opens the application again at the end: when it is closed, all that it counted is recorded.
async fn random_log(place: &Place, clock: &HandClock, seed: u64, steps: usize) -> Annals {
    let annals = &app(clock).open(place.url()).await.unwrap();
    let mut dice = Dice(seed);
    grant(annals, "app:one", &["execute * *", "audit full", "metrics *"]).await;
    grant(annals, "app:two", &["execute * store:a", "audit full target=store:a", "metrics store/*"]).await;
    grant(annals, "org:x", &["execute * *"]).await;
    for _ in 0..steps {
        clock.pass(dice.roll(150) as i64);
        let actor = dice.of(&ACTORS);
        let store = dice.of(&STORES);
        let thing = format!("store:{store}");
        match dice.roll(8) {
            0 => _ = read(annals, actor, &thing).await,
            1 => _ = annals.read_as(&by(actor)).metric(["store", "/store/", "/"][dice.roll(3)]).await,
            2 => {
                let to = [None, Some(dice.of(&HOSTS))][dice.roll(2)];
                export(annals, actor, &thing, to).await;
            }
            3 => _ = annals.read_as(&by(actor)).audit().topic("store").actor("user:ann").page().await,
            4 => _ = annals.read_as(&by(actor)).events(0, 1).await,
            _ => {
                let mut stores: Vec<(&str, Vec<StoreEvent>)> = Vec::new();
                for _ in 0..=dice.roll(3) {
                    let store = dice.of(&STORES);
                    if stores.iter().any(|(other, _)| *other == store) {
                        continue;
                    }
                    let mut events = Vec::new();
                    for _ in 0..dice.roll(4) {
                        events.push(match dice.roll(4) {
                            0 => sent(dice.of(&["host:evil.example", "store:c"])),
                            1 => from(&["store:a", "file:never"]),
                            2 => StoreEvent::Written {
                                from: vec!["store:b".parse().unwrap()],
                                shown: Some(StoreId::new(dice.of(&STORES))),
                            },
                            _ => from(&[]),
                        });
                    }
                    stores.push((store, events));
                }
                let mut context = by(actor);
                if dice.roll(3) == 0 {
                    context = context.on_behalf_of("org:x".parse::<Ref>().unwrap());
                }
                let _ = annals.execute(command(&stores), &context).await;
            }
        }
    }
    annals.close().await;
    app(clock).open(place.url()).await.unwrap()
}

type Key = (Option<Timestamp>, Option<String>, Ref, Option<Ref>, Vec<Uuid>, Option<String>, String);
type Sum = (u64, Timestamp, Timestamp, u64);

fn texts(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// The flows that an event says, by hand: sources, sinks, outcome, and how often with the times.
#[allow(clippy::type_complexity, reason = "it is used once")]
fn said(
    stored: &Stored,
    used: &BTreeSet<String>,
) -> (BTreeSet<String>, BTreeSet<String>, &'static str, Vec<(u64, Timestamp, Timestamp)>) {
    let payload: Value = serde_json::from_str(&stored.payload).unwrap();
    let (mut sources, mut sinks) = (BTreeSet::new(), BTreeSet::new());
    let at = stored.recorded_at;
    let mut times = vec![(1, at, at)];
    let mut outcome = "used";
    if !stored.event_type.starts_with("annals_read") && !stored.event_type.starts_with("annals_refusal") {
        let own = stored.aggregate.to_string();
        sources.extend(used.iter().cloned());
        sources.extend(texts(&payload["from"]));
        sources
            .extend(payload["shown"].as_str().map(|shown| format!("store:{}", shown.trim_start_matches("store:"))));
        sources.remove(&own);
        sinks.insert(own);
        sinks.extend(payload["to"].as_str().filter(|to| to.starts_with("host:")).map(str::to_owned));
        return (sources, sinks, outcome, times);
    }
    let of: Vec<String> = texts(if payload["of"].is_array() { &payload["of"] } else { &payload["on"] });
    match stored.event_type.as_str() {
        "annals_read.viewed" | "annals_read.exported" | "annals_read.repeated" => {
            sources.extend(of.iter().filter(|of| !of.starts_with("projection:")).cloned());
            sources
                .extend(texts(&payload["asked"]["topic"]).iter().map(|topic| topic.trim_matches('/').to_owned()));
            sources.remove("");
            if sources.is_empty() {
                sources.insert(of.first().cloned().unwrap_or_else(|| "projection:audit".to_owned()));
            }
            if stored.event_type == "annals_read.exported" {
                sinks.insert(payload["to"].as_str().unwrap_or("[not recorded]").to_owned());
            }
            if stored.event_type == "annals_read.repeated" {
                sinks.extend(payload["to"].as_str().map(str::to_owned));
                let time = |value: &Value| value.as_str().unwrap().parse::<Timestamp>().unwrap();
                let minutes = payload["minutes"].as_array().unwrap();
                times = minutes
                    .iter()
                    .map(|it| (it["times"].as_u64().unwrap(), time(&it["first"]), time(&it["last"])))
                    .collect();
                assert_eq!(times.iter().map(|it| it.0).sum::<u64>(), payload["times"].as_u64().unwrap());
            }
        }
        refusal => {
            outcome = if refusal == "annals_refusal.refused" { "refused" } else { "denied" };
            match payload["what"].as_str().unwrap_or_default().starts_with("write_stores") {
                true => sinks.extend(of),
                false => {
                    sources.extend(of.into_iter().filter(|of| of.starts_with("store:") || of.starts_with("user:")))
                }
            }
            // A read of a whole projection.
            if sources.is_empty() && sinks.is_empty() {
                sources.extend(texts(&payload["on"]).into_iter().filter(|on| on.starts_with("projection:")));
            }
            times[0].0 = payload["denials"].as_u64().unwrap_or(1);
        }
    }
    (sources, sinks, outcome, times)
}

/// The flows of a log, by hand.
async fn fold(annals: &Annals, by_minute: bool) -> BTreeMap<Key, Sum> {
    let mut sums: BTreeMap<Key, Sum> = BTreeMap::new();
    let (mut command, mut used, mut grants) = (None, BTreeSet::new(), Vec::new());
    let mut events: Vec<Stored> = Vec::new();
    while let page = annals.events(events.last().map_or(0, |last| last.position), 1_000).await.unwrap().events
        && !page.is_empty()
    {
        events.extend(page);
    }
    for stored in &events {
        let metadata = stored.metadata().unwrap();
        if command != Some(stored.command_id) {
            command = Some(stored.command_id);
            let decided = metadata.decided_on.clone().unwrap_or_default();
            grants = decided.grants.clone();
            grants.sort_unstable();
            let wrote = decided.wrote.iter().filter(|used| used.sequence > 0);
            used = wrote.chain(&decided.read).map(|used| used.aggregate.to_string()).collect();
            used.remove("annals_access:owners");
        }
        let (sources, sinks, outcome, times) = said(stored, &used);
        let or_none = |all: BTreeSet<String>| match all.is_empty() {
            true => vec![None],
            false => all.into_iter().map(Some).collect(),
        };
        let (sources, sinks) = (or_none(sources), or_none(sinks));
        for (source, sink) in sources.iter().flat_map(|source| sinks.iter().map(move |sink| (source, sink))) {
            for (count, first, last) in &times {
                let minute = Timestamp::from_second(first.as_second() / 60 * 60).unwrap();
                let key = (
                    by_minute.then_some(minute),
                    source.clone(),
                    metadata.actor.clone(),
                    metadata.on_behalf_of.clone(),
                    grants.clone(),
                    sink.clone(),
                    outcome.to_owned(),
                );
                let sum = sums.entry(key).or_insert((0, *first, *last, 0));
                *sum = (sum.0 + count, sum.1.min(*first), sum.2.max(*last), stored.position);
            }
        }
    }
    sums
}

/// Fails with the differences alone.
fn assert_same(found: &BTreeMap<Key, Sum>, model: &BTreeMap<Key, Sum>, what: &str) {
    let only = |one: &BTreeMap<Key, Sum>, other: &BTreeMap<Key, Sum>| -> Vec<String> {
        let differs = one.iter().filter(|(key, sum)| other.get(key) != Some(sum));
        differs.map(|it| format!("{it:?}")).collect()
    };
    let (more, less) = (only(found, model), only(model, found));
    assert!(more.is_empty() && less.is_empty(), "{what}: found {more:#?}, expected {less:#?}");
}

fn keyed(flows: Vec<Flow>) -> BTreeMap<Key, Sum> {
    let count = flows.len();
    let all: BTreeMap<Key, Sum> = flows
        .into_iter()
        .map(|it| {
            let outcome = it.outcome.to_string();
            let key = (it.minute, it.source, it.actor, it.on_behalf_of, it.via, it.sink, outcome);
            (key, (it.count, it.first, it.last, it.position))
        })
        .collect();
    assert_eq!(all.len(), count, "a flow is twice in the answer");
    all
}

/// Mission D19.
pub async fn the_flows_of_a_random_log_are_those_of_a_fold_by_hand(place: &Place) {
    for seed in crate::seeds() {
        let place = crate::beside(place);
        let clock = HandClock::new();
        let annals = random_log(&place, &clock, seed, 60).await;
        let query = flows(&annals).await;
        let model = fold(&annals, false).await;
        assert!(
            model.keys().any(|key| key.6 == "denied") && model.len() > 20,
            "seed {seed}: {} flows",
            model.len()
        );
        assert_same(&keyed(all(query.clone(), 7, false).await), &model, &format!("seed {seed}"));
        let minutes = all(query.clone(), 11, true).await;
        assert!(minutes.is_sorted_by_key(|flow| flow.minute), "the oldest minute is first");
        assert_same(&keyed(minutes), &fold(&annals, true).await, &format!("seed {seed}, by minute"));
        let largest = query.limit(5).largest().await.unwrap();
        assert_eq!(
            largest.flows.iter().map(|flow| flow.count).sum::<u64>() + largest.others_count,
            model.values().map(|sum| sum.0).sum::<u64>()
        );
        annals.close().await;
    }
}

/// Mission D22: what an application is shown is the platform's answer, filtered.
pub async fn what_an_actor_or_a_place_is_asked_for_is_the_whole_answer_filtered(place: &Place) {
    let clock = HandClock::new();
    let annals = random_log(place, &clock, fastrand::u64(..), 60).await;
    let query = flows(&annals).await;
    for by_minute in [false, true] {
        let whole = all(query.clone(), 1_000, by_minute).await;
        let only = |is: &dyn Fn(&Flow) -> bool| whole.iter().filter(|flow| is(flow)).cloned().collect::<Vec<_>>();
        for actor in ACTORS {
            let scoped = all(query.clone().actor(actor.parse().unwrap()), 3, by_minute).await;
            assert_eq!(scoped, only(&|flow| flow.actor.as_str() == actor), "{actor}");
            assert!(!scoped.is_empty());
        }
        for place in ["store:a", "store:d e/é", "host:evil.example", "store", "[not recorded]", "host:nowhere"] {
            let scoped = all(query.clone().source(place), 3, by_minute).await;
            assert_eq!(scoped, only(&|flow| flow.source.as_deref() == Some(place)), "from {place}");
            let scoped = all(query.clone().sink(place), 3, by_minute).await;
            assert_eq!(scoped, only(&|flow| flow.sink.as_deref() == Some(place)), "to {place}");
        }
        for (kind, begin) in [("store:*", "store:"), ("host:*", "host:"), ("none:*", "none:")] {
            let begins = |place: &Option<String>| place.as_ref().is_some_and(|place| place.starts_with(begin));
            let scoped = all(query.clone().source(kind), 3, by_minute).await;
            assert_eq!(scoped, only(&|flow| begins(&flow.source)), "from {kind}");
            let scoped = all(query.clone().sink(kind).actor("app:one".parse().unwrap()), 3, by_minute).await;
            assert_eq!(scoped, only(&|flow| begins(&flow.sink) && flow.actor.as_str() == "app:one"), "to {kind}");
        }
        let denied = query.clone().outcome(annals::projections::flows::Outcome::Denied);
        let is_denied = |flow: &Flow| flow.outcome == annals::projections::flows::Outcome::Denied;
        assert_eq!(all(denied, 3, by_minute).await, only(&is_denied));
    }
    // A window has what its minutes have.
    let minutes = all(query.clone(), 1_000, true).await;
    let middle = minutes[minutes.len() / 2].minute.unwrap();
    let late: u64 = minutes.iter().filter(|flow| flow.minute >= Some(middle)).map(|flow| flow.count).sum();
    let early: u64 = minutes.iter().filter(|flow| flow.minute < Some(middle)).map(|flow| flow.count).sum();
    let sum = async |query| all(query, 9, false).await.iter().map(|flow: &Flow| flow.count).sum::<u64>();
    assert_eq!(sum(query.clone().from(middle)).await, late);
    assert_eq!(sum(query.until(middle)).await, early);
    annals.close().await;
}

const TABLES: [&str; 8] =
    ["names", "flows", "totals", "minutes", "grants", "revoked", "grant_minutes", "last_command"];

async fn dump(annals: &Annals) -> Vec<String> {
    let reading = annals.reading("flows").unwrap();
    reading.caught_up(annals.store().head().await.unwrap(), None).await.unwrap();
    let mut snapshot = reading.snapshot().await.unwrap();
    let mut rows = Vec::new();
    for table in TABLES {
        let sql = format!("SELECT * FROM {}", snapshot.table(table));
        let found = snapshot.query(&sql, Vec::new()).await.unwrap();
        let mut all: Vec<String> = found.iter().map(|row| format!("{table} {row:?}")).collect();
        all.sort();
        rows.extend(all);
    }
    rows
}

/// Incrementally, event by event, the tables are what a rebuild makes of the log, byte for byte; and so are the answers.
pub async fn rows_and_answers_are_the_same_after_a_rebuild(place: &Place) {
    let clock = HandClock::new();
    let annals = random_log(place, &clock, fastrand::u64(..), 40).await;
    let key = grant(&annals, "app:one", &["metrics store/*"]).await;
    let revoke = annals::access::RevokeAccess::new("app:one".parse().unwrap(), key, "no");
    annals.execute(revoke, &by("user:ann")).await.unwrap();
    // A command whose events are more than what is read at a time: a batch begins in the middle of it.
    let large = StoreEvent::Written { from: vec![Ref::new("file", &"x".repeat(1_000)).unwrap(); 700], shown: None };
    write(&annals, "app:one", &[("a", vec![large; 12]), ("b", vec![from(&[])])]).await;
    write(&annals, "app:one", &[("a", vec![from(&["store:b"])])]).await;
    let before = dump(&annals).await;
    for table in TABLES {
        assert!(before.iter().any(|row| row.starts_with(table)), "{table} is empty");
    }
    let answered = all(flows(&annals).await, 50, true).await;
    annals.rebuild("flows").unwrap().await.unwrap();
    assert_eq!(dump(&annals).await, before);
    assert_eq!(all(flows(&annals).await, 50, true).await, answered);
    assert_same(&keyed(answered), &fold(&annals, true).await, "rebuilt");
    annals.close().await;
}
