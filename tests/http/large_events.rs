//! Events of a megabyte: every answer is bounded in bytes, and nothing is lost.

use annals::app::App;
use annals::prelude::*;
use annals_test_postgres::Place;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::served::{Answer, Served};

annals_test_postgres::both_stores! {
    pages_of_large_events_end_early_and_continue,
    the_page_shortens_large_events_and_links_to_them,
}

const MEGABYTE: usize = 1_000_000;
const EVENTS: u64 = 9;

#[derive(Id, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NoteId(String);

#[derive(Event, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[event(name = "note", on = Note)]
pub enum NoteEvent {
    #[event(update, "{actor} wrote {text.to} to {note}")]
    Written { text: Change<String> },
}

#[derive(Default, Clone, Serialize, Deserialize)]
pub struct Note {
    text: String,
}

impl Aggregate for Note {
    const TYPE: &'static str = "note";
    type Id = NoteId;
    type Event = NoteEvent;
    type Error = std::convert::Infallible;

    fn apply(&mut self, NoteEvent::Written { text }: &NoteEvent) {
        self.text.clone_from(&text.to);
    }
}

/// Write a note
#[derive(Command, Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Write {
    #[on(Note)]
    note: NoteId,
    text: String,
}

impl Handle for Write {
    fn handle(&self, note: &Loaded<Note>, _: &Context) -> Result<Vec<NoteEvent>, std::convert::Infallible> {
        let text = Change { from: note.text.clone(), to: self.text.clone() };
        Ok(vec![NoteEvent::Written { text }])
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Notes(String);

impl DocumentView for Notes {
    const NAME: &'static str = "notes";
    type Key = NoteId;
    type Events = NoteEvent;
}

impl On<NoteEvent> for Notes {
    fn keys(event: &Recorded<NoteEvent>) -> Vec<NoteId> {
        event.id().into_iter().collect()
    }

    fn apply(document: &mut Option<Self>, _: &NoteId, event: &Recorded<NoteEvent>) {
        let NoteEvent::Written { text } = &event.event;
        *document = Some(Self(text.to.clone()));
    }
}

/// A server of events 1 to 9, with a megabyte each: of the notes 1, 2, … 5 and four more of note 5.
async fn served(place: &Place) -> Served {
    let served = Served::alice(App::new("notes").command::<Write>().view::<Notes>(), place).await;
    let alice = Context::by("user:alice".parse::<Ref>().unwrap());
    for n in 1..=EVENTS {
        let text = format!("{n}{}", "n".repeat(MEGABYTE));
        let receipt =
            served.annals.execute(Write { note: NoteId::new(n.min(5).to_string()), text }, &alice).await.unwrap();
        let page = served.annals.audit().after(receipt).limit(1).page().await.unwrap();
        assert_eq!(page.rows.len(), 1);
        served.annals.view::<Notes>(&NoteId::new("1")).after(receipt).await.unwrap();
    }
    served
}

/// Reads all pages from an address, each of which is small and has at most `most` items, and returns their items.
async fn pages(served: &Served, address: &str, items: &str, next: &str, most: usize) -> Vec<Value> {
    let (mut found, mut at) = (Vec::new(), address.to_owned());
    loop {
        let page = served.get(&at).await;
        assert!(page.text.len() < (4 * most + 2) * MEGABYTE, "{} bytes at {at}", page.text.len());
        let page = page.json();
        let here = page[items].as_array().unwrap_or_else(|| panic!("{page}"));
        assert!(here.len() <= most, "{} items at {at}", here.len());
        found.extend(here.iter().cloned());
        match &page["next"] {
            Value::Null => return found,
            Value::String(cursor) => at = format!("{address}&{next}={cursor}"),
            position => at = format!("{address}&{next}={position}"),
        }
    }
}

fn numbers(items: &[Value], name: &str) -> Vec<u64> {
    items.iter().map(|item| item[name].as_u64().unwrap()).collect()
}

/// Mission X50
async fn pages_of_large_events_end_early_and_continue(place: &Place) {
    let served = served(place).await;
    let all: Vec<u64> = (1..=EVENTS).collect();
    for address in ["/audit?limit=1000", "/audit?limit=1000&text=NNN", "/audit?limit=1000&by_occurrence=true"] {
        let rows = pages(&served, address, "rows", "cursor", 1).await;
        assert_eq!(numbers(&rows, "position"), all, "{address}");
        assert_eq!(rows[8]["payload"]["text"]["to"].as_str().unwrap().len(), MEGABYTE + 1, "whole, in JSON");
    }
    assert_eq!(numbers(&pages(&served, "/events?limit=1000", "events", "from", 2).await, "position"), all);
    let own = pages(&served, "/events?limit=1000&aggregate=note:5", "events", "from", 4).await;
    assert_eq!(numbers(&own, "position"), all[4..]);
    let documents = pages(&served, "/views/notes?limit=1000", "documents", "cursor", 2).await;
    assert_eq!(documents.len(), 5);
    let found = served.get("/audit/count?text=nnn").await.json();
    assert_eq!((&found["events"], &found["complete"]), (&EVENTS.into(), &true.into()));
    let export = served.get("/audit/export?format=jsonl").await;
    assert!(export.text.lines().count() as u64 > EVENTS && export.text.len() > 9 * MEGABYTE);
    served.stop().await;
}

async fn the_page_shortens_large_events_and_links_to_them(place: &Place) {
    let served = served(place).await;
    let html = async |path: &str| -> Answer {
        let answer =
            crate::served::answer(served.request(reqwest::Method::GET, path).header("Accept", "text/html"));
        let answer = answer.await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert!(answer.text.len() < 200_000, "{} bytes at {path}", answer.text.len());
        answer
    };
    for path in ["/", "/?text=nnn", "/history?of=user:alice", "/history?of=note:5", "/rows?after=0"] {
        let page = html(path).await.text;
        let events = page.matches("class=\"event\"").count() as u64;
        assert_eq!(events, if path.ends_with("note:5") { 5 } else { EVENTS }, "{path}");
        assert!(page.contains("… (1,000,001 characters)"), "{page}");
        assert!(page.contains("/audit?from=9&amp;until=10\">Whole event as JSON</a>"), "{page}");
    }
    let whole = served.get("/audit?from=9&until=10").await.json();
    assert_eq!(whole["rows"][0]["payload"]["text"]["to"].as_str().unwrap().len(), MEGABYTE + 1);
    html("/page/metrics").await;
    served.stop().await;
}

/// Fills a store with large events, reads it by many readers of each kind at once, and returns the memory of the server after
/// its start and at most, in megabytes.
#[cfg(all(feature = "cli", target_os = "linux"))]
async fn memory(place: &Place, events: u64, readers: usize, pages: usize) -> (u64, u64) {
    let annals = crate::bank::app().command::<Write>().open(place.url()).await.unwrap();
    let alice = Context::by("user:alice".parse::<Ref>().unwrap());
    for n in 0..events {
        let text = format!("{n}{}", "n".repeat(MEGABYTE));
        annals.execute(Write { note: NoteId::new(n.to_string()), text }, &alice).await.unwrap();
    }
    annals.close().await;
    let process = crate::process::Process::serve(place, &[], &[]);
    let status = format!("/proc/{}/status", process.id());
    let megabytes = |name: &str| -> u64 {
        let status = std::fs::read_to_string(&status).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim_start_matches(':').trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1_000
    };
    let url = process.url.clone();
    let client = reqwest::Client::new();
    let caught_up = format!("{url}/audit/count?limit=1000");
    loop {
        let count: Value = client.get(&caught_up).send().await.unwrap().json().await.unwrap();
        if count["events"] == events {
            break;
        }
    }
    let start = megabytes("VmRSS");
    let kinds = [
        "/audit?limit=1000",
        "/audit?limit=1000&text=nobody",
        "/events?limit=1000",
        "/?",
        "/live/audit?",
        "/audit/count?text=n",
    ];
    let reading = (0..readers).flat_map(|_| kinds).map(|kind| {
        let (client, url) = (client.clone(), url.clone());
        tokio::spawn(async move {
            let mut next = String::new();
            for _ in 0..pages {
                let request =
                    client.get(format!("{url}{kind}{next}")).header("Accept", "text/html, application/json");
                let mut answer = request.send().await.unwrap();
                if answer.status() != 200 {
                    panic!("{kind}: {} {}", answer.status(), answer.text().await.unwrap());
                }
                let (mut size, mut text) = (0, Vec::new());
                while let Some(part) = answer.chunk().await.unwrap() {
                    size += part.len();
                    text.extend_from_slice(&part);
                    if kind.starts_with("/live") && size > 6 * MEGABYTE {
                        return;
                    }
                    assert!(kind.starts_with("/live") || size < 6 * MEGABYTE, "{kind}: {size}");
                }
                let page: Value = serde_json::from_slice(&text).unwrap_or_default();
                next = match &page["next"] {
                    Value::String(cursor) => format!("&cursor={cursor}"),
                    Value::Number(position) => format!("&from={position}"),
                    _ => String::new(),
                };
            }
        })
    });
    for reader in reading.collect::<Vec<_>>() {
        reader.await.unwrap();
    }
    let most = megabytes("VmHWM");
    process.stop().await;
    (start, most)
}

#[cfg(all(feature = "cli", target_os = "linux"))]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_of_large_events_take_little_memory_of_the_server() {
    let (start, most) = memory(&Place::sqlite(), 20, 2, 2).await;
    assert!(most < start + 250, "{most} MB, {start} MB after its start");
}

/// Prints the memory: the number of readers is `READERS` of each of six kinds.
#[cfg(all(feature = "cli", target_os = "linux"))]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "measures"]
async fn the_memory_of_the_server_under_many_readers_of_large_events() {
    let readers = std::env::var("READERS").ok().and_then(|readers| readers.parse().ok()).unwrap_or(11);
    for (name, place) in [("PostgreSQL", Place::postgres()), ("SQLite", Place::sqlite())] {
        let (start, most) = memory(&place, 300, readers, 4).await;
        println!("{name}: {start} MB after the start, at most {most} MB with {} readers", 6 * readers);
    }
}
