//! Measures pages of provenance of a long log, and the size of its tables.

use std::convert::Infallible;
use std::fmt::Write;

use annals::commands::Envelope;
use annals::prelude::*;
use annals::projections::provenance::{Agents, Direction};
use annals_bench_driver::BoxError;
use serde::{Deserialize, Serialize};

use crate::arguments::Arguments;
use crate::catalogue::{self, Database};
use crate::read::fill::{self, Filled};
use crate::read::shape::{mixed, skewed};
use crate::read::timing;
use crate::session::{Place, Session};

/// The number of events, if none is given.
const EVENTS: u64 = 1_000_000;
const DOCUMENTS: u64 = 80_000;
const ACTORS: u64 = 1_000;
/// The events of a command, each of a document of its own.
const TOGETHER: u64 = 4;
/// The sources of an event.
const SOURCES: u64 = 2;
/// The versions and commands of a page: about 200 relations.
const NODES: usize = 28;

#[derive(Id, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DocumentId(String);

#[derive(Event, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[event(name = "document", on = Document)]
pub enum DocumentEvent {
    #[event(update, "{actor} wrote {document} from {from}: {note}")]
    Written {
        #[event(source)]
        from: Vec<DocumentId>,
        note: String,
    },
}

#[derive(Default, Clone, Serialize, Deserialize)]
pub struct Document {}

impl Aggregate for Document {
    const TYPE: &'static str = "document";
    type Id = DocumentId;
    type Event = DocumentEvent;
    type Error = Infallible;

    fn apply(&mut self, _: &DocumentEvent) {}
}

/// Write documents, each from others
#[derive(Command, Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct WriteDocuments {
    #[on(Document)]
    documents: Vec<DocumentId>,
    number: u64,
}

/// The document with this number. Steps of a prime number differ.
fn document(first: u64, step: u64) -> DocumentId {
    DocumentId::new(((first + step * 7_919) % DOCUMENTS).to_string())
}

impl WriteDocuments {
    fn new(number: u64) -> Self {
        let first = mixed(number) % DOCUMENTS;
        Self { documents: (0..TOGETHER).map(|step| document(first, step)).collect(), number }
    }
}

impl Handle for WriteDocuments {
    fn handle(&self, _: Vec<&Loaded<Document>>, _: &Context) -> Result<Vec<Vec<DocumentEvent>>, Infallible> {
        let event = |n: u64| {
            // Some documents are sources more often than others.
            let first = skewed(mixed(self.number * TOGETHER + n), DOCUMENTS);
            let from = (0..SOURCES).map(|step| document(first, step)).collect();
            vec![DocumentEvent::Written { from, note: "as it was decided in the meeting".to_owned() }]
        };
        Ok((0..TOGETHER).map(event).collect())
    }
}

/// Measures it on both stores. Returns the tables.
pub async fn run(arguments: &Arguments) -> Result<String, BoxError> {
    let session = Session::start(arguments, &catalogue::chosen(&arguments.only)?).await?;
    let events = arguments.events.unwrap_or(EVENTS);
    let mut text = format!(
        "\n## Provenance\n\nA log of {events} events: commands of {TOGETHER} events on {DOCUMENTS} documents, each derived from \
         {SOURCES} others. Pages of {NODES} versions and commands of random documents, depth 3, one caller.\n\n\
         | store | direction | relations a page | p50 ms | p99 ms |\n|--|--|--:|--:|--:|\n"
    );
    let mut sizes = String::from("\n| store | table | bytes an event |\n|--|--|--:|\n");
    for (name, database) in [("SQLite", Database::Sqlite), ("PostgreSQL", Database::Postgres)] {
        match session.fresh(database).await {
            Ok(place) => {
                let measured = measure(&session, &place, name, events, &mut text, &mut sizes).await;
                session.remove(place).await;
                measured?;
            }
            Err(why) => eprintln!("not on {name}: {why}"),
        }
    }
    session.clean_up().await;
    Ok(text + &sizes)
}

async fn measure(
    session: &Session,
    place: &Place,
    name: &str,
    events: u64,
    text: &mut String,
    sizes: &mut String,
) -> Result<(), BoxError> {
    eprintln!("{name}: a log of {events} events");
    let app = App::new("bench").command::<WriteDocuments>().provenance(Agents::default());
    let annals = app.open_without_following(&place.url()).await?;
    let mut filled = Filled::default();
    let command = |number: u64| {
        let actor = Ref::new("user", &skewed(mixed(number ^ 0xA11CE), ACTORS).to_string())?;
        Ok(Envelope::new(WriteDocuments::new(number), Context::by(actor)))
    };
    fill::log(&annals, events / TOGETHER, TOGETHER, command, &mut filled).await?;
    fill::rebuild(&annals, &["provenance"], &mut filled).await?;
    session.settle(place).await?;
    let before = fill::bytes(session, place).await?;
    for (table, bytes) in before.iter().filter(|(table, _)| table.contains("provenance")) {
        writeln!(sizes, "| {name} | `{table}` | {:.1} |", *bytes as f64 / filled.events as f64)?;
    }
    let all: u64 = before.iter().filter(|(table, _)| table.contains("provenance")).map(|(_, bytes)| bytes).sum();
    writeln!(sizes, "| {name} | all | {:.1} |", all as f64 / filled.events as f64)?;
    for direction in [Direction::Backwards, Direction::Forwards] {
        let (mut relations, mut pages) = (0, 0);
        let times = timing::times(async |random| {
            let thing = document(random % DOCUMENTS, 0).reference();
            let page = annals.provenance(&thing).direction(direction).limit(NODES).page().await?;
            relations += page.document.statements.iter().filter(|statement| !statement.kind.is_node()).count();
            pages += 1;
            Ok(page)
        });
        let times = times.await?;
        let (direction, each) = (direction.as_str(), relations / pages.max(1));
        writeln!(text, "| {name} | {direction} | {each} | {:.1} | {:.1} |", times.p50, times.p99)?;
    }
    annals.close().await;
    Ok(())
}
