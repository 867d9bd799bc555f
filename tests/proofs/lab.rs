//! The application of these tests: notes, which somebody writes.

use std::path::PathBuf;
use std::sync::Arc;

use annals::prelude::*;
use annals::proofs::{ProofKey, ProofTree, Proofs, TileId};
use annals::store::Receipt;
use annals_test_postgres::Place;
use serde::{Deserialize, Serialize};
use tempfile::TempDir;

#[derive(Id, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NoteId(String);

#[derive(Event, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[event(name = "note", on = Note)]
pub enum NoteEvent {
    #[event(update, "{actor} wrote {text} to {note}")]
    Written { text: String },
}

#[derive(Default, Clone, Debug, Serialize, Deserialize)]
pub struct Note {}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no")]
pub struct No;

impl Aggregate for Note {
    const TYPE: &'static str = "note";
    type Id = NoteId;
    type Event = NoteEvent;
    type Error = No;

    fn apply(&mut self, _: &NoteEvent) {}
}

/// Write texts to a note, each as an event
#[derive(Command, Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct WriteNote {
    #[on(Note)]
    pub note: NoteId,
    pub texts: Vec<String>,
}

impl Handle for WriteNote {
    fn handle(&self, _: &Loaded<Note>, _: &Context) -> Result<Vec<NoteEvent>, No> {
        Ok(self.texts.iter().map(|text| NoteEvent::Written { text: text.clone() }).collect())
    }
}

pub fn app() -> App {
    App::new("notary").command::<WriteNote>().proofs()
}

pub fn by(actor: &str) -> Context {
    Context::by(actor.parse::<Ref>().unwrap())
}

/// Writes so many events, each with a different text.
pub async fn write(annals: &Annals, note: &str, events: u64) -> Option<Receipt> {
    let mut last = None;
    let mut left = events;
    while left > 0 {
        let texts: Vec<String> = (0..left.min(150)).map(|n| format!("text {} of {note}", left - n)).collect();
        left -= texts.len() as u64;
        let command = WriteNote { note: NoteId::new(note), texts };
        last = Some(annals.execute(command, &by("user:ann")).await.unwrap());
    }
    last
}

/// Waits until the tree has the whole log.
pub async fn caught_up(annals: &Annals) -> u64 {
    let head = annals.store().head().await.unwrap();
    annals.reading(ProofTree::NAME).unwrap().caught_up(head, None).await.unwrap();
    head.position
}

/// A key in a folder of its own.
pub struct Key {
    pub folder: TempDir,
    pub key: Arc<ProofKey>,
}

impl Key {
    pub fn new(origin: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let key = ProofKey::create(folder.path().join("proofs.key"), origin).unwrap();
        std::fs::copy(folder.path().join("proofs.key.checkpoint"), folder.path().join("first")).unwrap();
        Self { folder, key: Arc::new(key) }
    }

    /// A copy of the key and its last checkpoint, in another folder.
    pub fn copied(&self) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("proofs.key");
        std::fs::copy(self.path(), &path).unwrap();
        std::fs::copy(self.checkpoint(), folder.path().join("proofs.key.checkpoint")).unwrap();
        Self { folder, key: Arc::new(ProofKey::open(path).unwrap()) }
    }

    pub fn path(&self) -> PathBuf {
        self.folder.path().join("proofs.key")
    }

    pub fn checkpoint(&self) -> PathBuf {
        self.folder.path().join("proofs.key.checkpoint")
    }

    /// The file as another process opens it.
    pub fn opened(&self) -> Arc<ProofKey> {
        Arc::new(ProofKey::open(self.path()).unwrap())
    }
}

/// Signs the current log.
pub async fn sign(annals: &Annals, key: &Key) -> annals::proofs::SignedCheckpoint {
    caught_up(annals).await;
    annals.proofs().unwrap().sign(&key.opened()).await.unwrap()
}

/// Exports the log to a folder of its own.
pub async fn exported(proofs: &Proofs) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    proofs.export(folder.path(), |_, _| ()).await.unwrap();
    folder
}

/// All stored tiles.
pub async fn tiles(annals: &Annals) -> Vec<(TileId, Vec<u8>)> {
    use annals::store::Cell;
    let mut tables = annals.reading(ProofTree::NAME).unwrap().snapshot().await.unwrap();
    let table = tables.table("tiles");
    let rows =
        tables.query(&format!("SELECT level, n, hashes FROM {table} ORDER BY level, n"), Vec::new()).await.unwrap();
    let tile = |row: Vec<Cell>| match row.as_slice() {
        [Cell::Integer(level), Cell::Integer(index), Cell::Bytes(hashes)] => {
            (TileId { level: u8::try_from(*level).unwrap(), index: u64::try_from(*index).unwrap() }, hashes.clone())
        }
        other => panic!("{other:?}"),
    };
    rows.into_iter().map(tile).collect()
}

/// Runs the command line. Returns whether it succeeds.
pub async fn succeeds(place: &Place, arguments: &[&str]) -> bool {
    let arguments = [&["notary"], arguments, &["--store", place.url()]].concat();
    format!("{:?}", app().main_with(arguments).await) == format!("{:?}", std::process::ExitCode::SUCCESS)
}

/// Runs SQL as the owner of the log, without the triggers, which are there again afterwards.
pub fn edit(place: &Place, sql: &str) {
    match place.schema() {
        Some(schema) => {
            let (events, commands) = ("ALTER TABLE events", "ALTER TABLE commands");
            schema.sql(&format!(
                "{events} DISABLE TRIGGER ALL; {commands} DISABLE TRIGGER ALL; {sql}; \
                 {events} ENABLE ALWAYS TRIGGER events_stay; {commands} ENABLE ALWAYS TRIGGER commands_stay"
            ));
        }
        None => {
            let file = rusqlite::Connection::open(place.url().strip_prefix("sqlite://").unwrap()).unwrap();
            let triggers: Vec<(String, String)> = file
                .prepare("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'")
                .unwrap()
                .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
                .unwrap()
                .collect::<Result<_, _>>()
                .unwrap();
            for (name, _) in &triggers {
                file.execute_batch(&format!("DROP TRIGGER {name}")).unwrap();
            }
            file.execute_batch(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
            for (_, sql) in &triggers {
                file.execute_batch(sql).unwrap();
            }
        }
    }
}
