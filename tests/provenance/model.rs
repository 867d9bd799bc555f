//! Random logs: what the pages answer is what a model in memory says, on both stores.

use std::collections::{BTreeMap, BTreeSet};

use annals::prelude::*;
use annals::projections::provenance::{AttributeValue, StatementKind as Kind};
use annals_test_postgres::Place;
use uuid::Uuid;

use crate::lab::*;

const NOTES: [&str; 4] = ["a", "b", "c", "d e/é"];

/// A random number.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from((self.0 >> 33) % sides).unwrap()
    }
}

/// Executes random commands: on one note or several, of which some are only read; with sources that exist, that do not, and that are
/// deleted; with causes that are commands, events and nothing.
pub async fn random_log(annals: &Annals, seed: u64, commands: usize) {
    let mut dice = Dice(seed);
    let mut causes: Vec<String> = vec!["no id".to_owned(), Uuid::now_v7().to_string()];
    let mut living: BTreeSet<&str> = BTreeSet::new();
    for _ in 0..commands {
        let mut notes: Vec<(&str, Vec<NoteEvent>)> = Vec::new();
        for _ in 0..=dice.roll(3) {
            let id = NOTES[dice.roll(4)];
            if notes.iter().any(|(other, _)| *other == id) {
                continue;
            }
            let mut events = Vec::new();
            for _ in 0..dice.roll(4) {
                events.push(match dice.roll(7) {
                    0 if living.remove(id) => NoteEvent::Deleted,
                    1 => NoteEvent::Part(PartEvent::Removed),
                    2 => from(&["file:never"]),
                    3 => from(&["note:a", "note:b"]),
                    4 => NoteEvent::Written { from: Vec::new(), shown: Some(note(NOTES[dice.roll(4)])) },
                    _ => from(&[]),
                });
                if events.last() != Some(&NoteEvent::Deleted) {
                    living.insert(id);
                }
            }
            notes.push((id, events));
        }
        if notes.iter().all(|(_, events)| events.is_empty()) {
            notes[0].1.push(from(&[]));
            living.insert(notes[0].0);
        }
        let mut context = by(["ann", "bob"][dice.roll(2)]);
        if dice.roll(3) == 0 {
            context = context.on_behalf_of("team:x".parse::<Ref>().unwrap());
        }
        if dice.roll(2) == 0 {
            context = context.causation(causes[dice.roll(causes.len() as u64)].clone());
        }
        let receipt = write(annals, &context, &notes).await;
        causes.push(receipt.command_id.to_string());
        causes.push(receipt.head.event_id.to_string());
    }
}

/// The relations that the log says, by a model that reads it from the start.
#[derive(Default)]
struct Model {
    generated: BTreeSet<String>,
    invalidated: BTreeSet<String>,
    used: BTreeSet<String>,
    derived: BTreeSet<String>,
    caused: BTreeSet<String>,
}

fn encoded(thing: &Ref) -> String {
    thing.as_str().replace("note:", "note/").replace("file:", "file/").replace("d e/é", "d%20e%2F%C3%A9")
}

async fn model(annals: &Annals) -> Model {
    let events = annals.events(0, 1_000).await.unwrap().events;
    let mut model = Model::default();
    // The versions of each thing: sequence, position, whether it is one.
    let mut versions: BTreeMap<Ref, Vec<(u64, u64, bool)>> = BTreeMap::new();
    let mut firsts: BTreeMap<Uuid, u64> = BTreeMap::new();
    let mut last_command = None;
    for stored in &events {
        if last_command != Some(stored.command_id) {
            firsts.insert(stored.command_id, stored.position);
            last_command = Some(stored.command_id);
        }
        let first = firsts[&stored.command_id];
        let at = |thing: &Ref, sequence: u64| {
            let known = versions.get(thing).into_iter().flatten().find(|(at, ..)| *at == sequence);
            match known {
                Some((_, _, true)) => format!("{}@{sequence}", encoded(thing)),
                _ => encoded(thing),
            }
        };
        let command = format!("Command/{}", stored.command_id);
        let this = format!("{}@{}", encoded(&stored.aggregate), stored.sequence);
        let metadata = stored.metadata().unwrap();
        let decided_on = metadata.decided_on.clone();
        assert_eq!(decided_on.is_some(), stored.position == first, "only the first event says it");
        if let Some(on) = decided_on {
            assert_eq!((on.command.as_deref(), on.version, on.more), (Some("write_notes"), 3, 0));
            for used in on.wrote.iter().filter(|used| used.sequence > 0) {
                model.used.insert(format!("{command} {} decidedOn", at(&used.aggregate, used.sequence)));
            }
            for used in &on.read {
                model.used.insert(format!("{command} {} read", at(&used.aggregate, used.sequence)));
            }
            // What was read is what the log had then.
            for used in on.wrote.iter().chain(&on.read) {
                let then = versions.get(&used.aggregate).and_then(|all| all.last()).map_or(0, |last| last.0);
                assert_eq!(used.sequence, then, "{used:?} before event {first}");
            }
        }
        let previous = versions.get(&stored.aggregate).and_then(|all| all.last()).filter(|last| last.2);
        let previous = previous.map(|(sequence, ..)| format!("{}@{sequence}", encoded(&stored.aggregate)));
        let deletes = stored.event_type == "note.deleted";
        if deletes {
            model.invalidated.extend(previous.map(|previous| format!("{previous} {command}")));
        } else {
            model.generated.insert(format!("{this} {command}"));
            model.derived.extend(previous.map(|previous| format!("{this} {previous} {command} Revision")));
            let sources = NoteEvent::from_stored(stored).unwrap().sources();
            for source in sources {
                let before = versions.get(&source).into_iter().flatten().rev().find(|(_, at, _)| *at < first);
                let source = at(&source, before.map_or(0, |before| before.0));
                model.derived.insert(format!("{this} {source} {command} Source"));
            }
        }
        if stored.position == first
            && let Some(cause) = metadata.causation.as_deref().and_then(|cause| cause.parse::<Uuid>().ok())
        {
            let event = events.iter().find(|event| event.event_id == cause && event.position < first);
            if firsts.get(&cause).is_some_and(|at| *at < first) {
                model.caused.insert(format!("{command} Command/{cause}"));
            } else if let Some(event) = event {
                let starter = format!("Command/{}", event.command_id);
                model.caused.insert(match event.event_type.as_str() {
                    "note.deleted" => format!("{command} {starter}"),
                    _ => format!("{command} {}@{} {starter}", encoded(&event.aggregate), event.sequence),
                });
            }
        }
        let known = versions.entry(stored.aggregate.clone()).or_default();
        known.push((stored.sequence, stored.position, !deletes));
    }
    model
}

/// The positions of the events that a query states, each once over all pages.
async fn positions(query: annals::projections::provenance::ProvenanceQuery) -> BTreeSet<u64> {
    let mut found = BTreeSet::new();
    for page in pages(query).await {
        for statement in &page.document.statements {
            for (name, value) in &statement.attributes {
                if let ("annals:position", AttributeValue::Number(position)) = (*name, value) {
                    assert!(found.insert(*position), "event {position} is stated twice");
                }
            }
        }
    }
    found
}

/// Missions D2, D25, D26 and D29. Whatever was written, the pages of all things together state exactly what the log says: each event
/// once in each query, in both directions, with pages of any size.
pub async fn the_pages_state_exactly_what_the_log_says(place: &Place) {
    for seed in crate::seeds() {
        let place = crate::beside(place);
        let annals = app().open(place.url()).await.unwrap();
        random_log(&annals, seed, 14).await;
        let model = model(&annals).await;
        for forwards in [false, true] {
            let mut stated: BTreeMap<Kind, BTreeSet<String>> = BTreeMap::new();
            let mut events = BTreeSet::new();
            for (number, id) in NOTES.iter().enumerate() {
                let query = of(&annals, id).await.depth(64).limit(1 + number * 5);
                let query = if forwards { query.forwards() } else { query.backwards() };
                events.extend(positions(query.clone()).await);
                for page in pages(query).await {
                    for kind in Kind::ALL.into_iter().filter(|kind| !kind.is_node()) {
                        stated.entry(kind).or_default().extend(relations(&page.document, kind));
                    }
                }
            }
            let head = annals.store().head().await.unwrap().position;
            assert_eq!(events, (1..=head).collect(), "each event (seed {seed}, forwards {forwards})");
            let mut caused = stated.remove(&Kind::WasInformedBy).unwrap_or_default();
            caused.extend(stated.remove(&Kind::WasStartedBy).unwrap_or_default());
            let found = |kind: Kind| stated.get(&kind).cloned().unwrap_or_default();
            assert_eq!(found(Kind::WasGeneratedBy), model.generated, "seed {seed}, forwards {forwards}");
            assert_eq!(found(Kind::WasInvalidatedBy), model.invalidated, "seed {seed}, forwards {forwards}");
            assert_eq!(found(Kind::WasDerivedFrom), model.derived, "seed {seed}, forwards {forwards}");
            // Forwards, a command is reached only by what it used.
            match forwards {
                false => assert_eq!(found(Kind::Used), model.used, "seed {seed}"),
                true => assert!(found(Kind::Used).is_subset(&model.used), "seed {seed}"),
            }
            match forwards {
                false => assert_eq!(caused, model.caused, "seed {seed}"),
                true => assert!(caused.is_subset(&model.caused), "seed {seed}"),
            }
        }
        annals.close().await;
    }
}

/// A thing is behind another one if and only if the other one is ahead of it.
pub async fn backwards_and_forwards_are_inverses(place: &Place) {
    for seed in crate::seeds() {
        let place = crate::beside(place);
        let annals = app().open(place.url()).await.unwrap();
        random_log(&annals, seed, 10).await;
        let own = |events: &[annals::events::Stored], id: &str| -> BTreeSet<u64> {
            let own = events.iter().filter(|event| event.aggregate == thing(id));
            own.map(|event| event.position).collect()
        };
        let events = annals.events(0, 1_000).await.unwrap().events;
        for one in NOTES {
            let query = of(&annals, one).await.depth(64).limit(7);
            let behind = positions(query.clone()).await;
            let named: BTreeSet<String> = pages(query)
                .await
                .iter()
                .flat_map(|page| &page.document.statements)
                .filter(|statement| [Kind::Used, Kind::WasDerivedFrom].contains(&statement.kind))
                .filter_map(|statement| statement.arguments.get(1)?.clone())
                .collect();
            for other in NOTES {
                let ahead = positions(of(&annals, other).await.depth(64).limit(9).forwards()).await;
                // A thing that had no version then is named itself.
                let is_behind = behind.intersection(&own(&events, other)).next().is_some()
                    || named.contains(&format!("log:{}", encoded(&thing(other))));
                let is_ahead = ahead.intersection(&own(&events, one)).next().is_some();
                assert_eq!(is_behind, is_ahead, "{other} behind {one} (seed {seed})");
            }
        }
        annals.close().await;
    }
}

const TABLES: [&str; 5] = ["names", "versions", "uses", "reads", "last_command"];

async fn dump(annals: &Annals) -> Vec<String> {
    let reading = annals.reading("provenance").unwrap();
    reading.caught_up(annals.store().head().await.unwrap(), None).await.unwrap();
    let mut snapshot = reading.snapshot().await.unwrap();
    let mut rows = Vec::new();
    for table in TABLES {
        let sql = format!("SELECT * FROM {}", snapshot.table(table));
        let mut all: Vec<String> =
            snapshot.query(&sql, Vec::new()).await.unwrap().iter().map(|row| format!("{table} {row:?}")).collect();
        all.sort();
        rows.extend(all);
    }
    rows
}

/// The positions of the first events of the commands between two positions, as the tables have them.
async fn first_events(annals: &Annals, begin: u64, end: u64) -> BTreeSet<u64> {
    let mut snapshot = annals.reading("provenance").unwrap().snapshot().await.unwrap();
    let versions = snapshot.table("versions");
    let sql = format!("SELECT first FROM {versions} WHERE position >= $1 AND position <= $2");
    let rows = snapshot.query(&sql, vec![begin.into(), end.into()]).await.unwrap();
    assert_eq!(rows.len() as u64, end + 1 - begin);
    rows.iter().map(|row| u64::try_from(row[0].integer().unwrap()).unwrap()).collect()
}

/// Incrementally, event by event, the tables are what a rebuild makes of the log, byte for byte; and so are the answers.
pub async fn rows_and_answers_are_the_same_after_a_rebuild(place: &Place) {
    let annals = app().record_reads().open(place.url()).await.unwrap();
    random_log(&annals, 7, 20).await;
    // A command whose events are more than what is read at a time: a batch begins in the middle of it.
    let large = NoteEvent::Written { from: vec![Ref::new("file", &"x".repeat(1_000)).unwrap(); 700], shown: None };
    let begin = annals.store().head().await.unwrap().position + 1;
    let many = [vec![large; 12], vec![from(&["note:a"])]].concat();
    write(&annals, &by("ann"), &[("a", many.clone()), ("b", many)]).await;
    let end = annals.store().head().await.unwrap().position;
    let mut exported = Vec::new();
    let csv = annals::projections::export::Format::Csv;
    annals.read_as(&by("eve")).audit().target(thing("a")).export(csv).to(&mut exported).await.unwrap();
    let head = annals.store().head().await.unwrap();
    annals.read_as(&by("eve")).provenance(&thing("b")).after(head).page().await.unwrap();
    annals.read_as(&by("eve")).json_state(&thing("a"), Some(annals::store::Moment::Position(3))).await.unwrap();
    write(&annals, &by("ann"), &[("a", vec![from(&["note:b"])])]).await;
    let written = annals.store().head().await.unwrap().position;
    crate::until(|| async { annals.audit().topic("annals/read").page().await.unwrap().rows.len() == 3 }).await;
    assert!(annals.store().head().await.unwrap().position >= written);
    let before = dump(&annals).await;
    assert_eq!(first_events(&annals, begin, end).await, BTreeSet::from([begin]), "the events of one command");
    assert!(before.iter().any(|row| row.starts_with("reads")), "{}", before.len());
    let answers = |annals: &Annals| {
        let annals = annals.clone();
        async move {
            let mut all = Vec::new();
            for page in pages(of(&annals, "a").await.depth(5)).await {
                all.push(page.document.to_prov_json().unwrap());
                all.push(page.document.to_prov_n());
            }
            all
        }
    };
    let answered = answers(&annals).await;
    annals.rebuild("provenance").unwrap().await.unwrap();
    let rebuilt = dump(&annals).await;
    assert_eq!(rebuilt, before);
    assert_eq!(answers(&annals).await, answered);
    annals.close().await;
}
