//! The application of these tests: notes that are written from other notes, several at a time.

use annals::prelude::*;
use annals::projections::provenance::{
    Agents, Document, ProvenancePage, ProvenanceQuery, Statement, StatementKind,
};
use annals::store::Receipt;
use serde::{Deserialize, Serialize};

#[derive(Id, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NoteId(String);

#[derive(Event, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[event(name = "note", on = Note)]
pub enum NoteEvent {
    /// Another enum, whose delete does not delete the note.
    #[event(transparent)]
    Part(PartEvent),
    #[event(update, "{actor} wrote {note} from {from}")]
    Written {
        #[event(source)]
        from: Vec<Ref>,
        /// A source that readers of metadata see, since it is a target.
        #[event(source, target)]
        shown: Option<NoteId>,
    },
    #[event(update, "{actor} made {note} of others")]
    Made {
        #[event(source = "specialization")]
        special_form_of: Option<NoteId>,
        #[event(source = "alternate")]
        alternate_of: Option<NoteId>,
        #[event(source = "member")]
        members: Vec<NoteId>,
    },
    #[event(delete, "{actor} deleted {note}")]
    Deleted,
}

#[derive(Event, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[event(name = "note_part", on = Note)]
pub enum PartEvent {
    #[event(delete, "{actor} removed a part of {note}")]
    Removed,
}

#[derive(Default, Clone, Debug, Serialize, Deserialize)]
pub struct Note {
    exists: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no")]
pub struct No;

impl Aggregate for Note {
    const TYPE: &'static str = "note";
    type Id = NoteId;
    type Event = NoteEvent;
    type Error = No;

    fn apply(&mut self, event: &NoteEvent) {
        self.exists = *event != NoteEvent::Deleted;
    }
}

/// Write notes: for each a list of events, perhaps none
#[derive(Command, Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[command(version = 3)]
pub struct WriteNotes {
    #[on(Note)]
    pub notes: Vec<NoteId>,
    #[schemars(with = "serde_json::Value")]
    pub events: Vec<Vec<NoteEvent>>,
}

impl Handle for WriteNotes {
    fn handle(&self, _: Vec<&Loaded<Note>>, _: &Context) -> Result<Vec<Vec<NoteEvent>>, No> {
        Ok(self.events.clone())
    }
}

/// Write one note
#[derive(Command, Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct WriteNote {
    #[on(Note)]
    pub note: NoteId,
    #[schemars(with = "serde_json::Value")]
    pub event: NoteEvent,
}

impl Handle for WriteNote {
    fn handle(&self, _: &Loaded<Note>, _: &Context) -> Result<Vec<NoteEvent>, No> {
        Ok(vec![self.event.clone()])
    }
}

pub fn app() -> App {
    App::new("lab")
        .command::<WriteNotes>()
        .command::<WriteNote>()
        .provenance(Agents::default().organisation("team"))
}

pub fn note(id: &str) -> NoteId {
    NoteId::new(id)
}

pub fn thing(id: &str) -> Ref {
    note(id).reference()
}

pub fn by(user: &str) -> Context {
    Context::by(Ref::new("user", user).unwrap())
}

/// An event that is derived from these references.
pub fn from(sources: &[&str]) -> NoteEvent {
    NoteEvent::Written { from: sources.iter().map(|source| source.parse().unwrap()).collect(), shown: None }
}

/// Writes notes, each with its events; one without events is only read.
pub async fn write(annals: &Annals, context: &Context, notes: &[(&str, Vec<NoteEvent>)]) -> Receipt {
    let command = WriteNotes {
        notes: notes.iter().map(|(id, _)| note(id)).collect(),
        events: notes.iter().map(|(_, events)| events.clone()).collect(),
    };
    annals.execute(command, context).await.unwrap()
}

/// All pages of a query.
pub async fn pages(query: ProvenanceQuery) -> Vec<ProvenancePage> {
    let (mut pages, mut next) = (Vec::new(), None);
    loop {
        let page = next.into_iter().fold(query.clone(), ProvenanceQuery::cursor).page().await.unwrap();
        assert_eq!(page.document.problems(), Vec::<String>::new());
        next = page.next.clone();
        pages.push(page);
        if next.is_none() {
            return pages;
        }
        assert!(pages.len() < 10_000, "the pages do not end");
    }
}

/// The caught-up query of a thing.
pub async fn of(annals: &Annals, id: &str) -> ProvenanceQuery {
    let head = annals.store().head().await.unwrap();
    annals.provenance(&thing(id)).after(head)
}

/// One document.
pub async fn document(query: ProvenanceQuery) -> Document {
    let page = query.limit(1_000).page().await.unwrap();
    assert!(page.next.is_none());
    assert_eq!(page.document.problems(), Vec::<String>::new());
    page.document
}

/// The text with numbers in place of the ids of commands, events and the log, which are others in each run. `known` are those that have
/// a number.
pub fn without_ids(text: &str, known: &mut Vec<String>) -> String {
    let uuid = regex::Regex::new("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}").unwrap();
    uuid.replace_all(text, |found: &regex::Captures<'_>| {
        let number = known.iter().position(|id| *id == found[0]).unwrap_or_else(|| {
            known.push(found[0].to_owned());
            known.len() - 1
        });
        format!("00000000-0000-7000-8000-{number:012}")
    })
    .into_owned()
}

/// The relations of a kind, in words: the arguments without the prefix, and the type or role.
pub fn relations(document: &Document, kind: StatementKind) -> Vec<String> {
    let all = document.statements.iter().filter(|statement| statement.kind == kind);
    let mut all: Vec<String> = all.map(words).collect();
    all.sort();
    all
}

fn words(statement: &Statement) -> String {
    let is_time = |argument: &&str| !argument.starts_with("log:");
    let arguments = statement.arguments.iter().flatten().map(String::as_str).filter(|it| !is_time(it));
    let arguments: Vec<&str> = arguments.map(|argument| argument.trim_start_matches("log:")).collect();
    let names: Vec<&str> = statement
        .attributes
        .iter()
        .filter_map(|(_, value)| match value {
            annals::projections::provenance::AttributeValue::Name(name) => name.split(':').nth(1),
            _ => None,
        })
        .collect();
    [arguments.join(" "), names.join(" ")].join(" ").trim().to_owned()
}
