//! [`Checkpoints`]: what is confirmed of a feed, in the tables of projections.
//!
//! A feed uses them as a projection does: its checkpoint moves from where its process believes it is, or not at all. So of two
//! processes that both believe that they send, one notices it.

use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::problem::FeedProblem;
use crate::events::LogPosition;
use crate::store::{
    Column, GenerationId, GenerationInfo, NoteKind, OnConflict, Row, StoreError, Table, Transaction, ViewSnapshot,
    Views,
};

/// The version of the tables.
pub(crate) const VERSION: u64 = 1;

/// What the checkpoint does not have: one row.
const STATE: Table = Table::new(
    "feed",
    &[
        Column::integer("id"),
        // The position of the last message that was confirmed.
        Column::integer("last_sent"),
        // The last resume that moved the checkpoint and was applied.
        Column::integer("resumed"),
    ],
    &["id"],
);

/// How often another process may move the checkpoint while it is read.
const TRIES: usize = 8;

/// The name under which a feed has its tables, its lease and its notes. The prefix keeps it apart from projections.
pub(crate) fn projection_name(feed: &str) -> String {
    format!("annals_feed_{feed}")
}

/// The checkpoint of a feed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Checkpoint {
    generation: GenerationId,
    /// The event up to which all that matches is confirmed.
    pub(super) head: LogPosition,
    pub(super) last_sent: u64,
    pub(super) resumed: u64,
}

/// What other processes may know of a feed.
#[derive(Clone, Debug, Default)]
pub(super) struct Shown {
    pub(super) position: u64,
    pub(super) last_sent: u64,
    pub(super) leader: Option<Uuid>,
}

/// The checkpoints of the feeds of a store.
#[derive(Clone)]
pub(crate) struct Checkpoints(Arc<dyn Views>);

impl Checkpoints {
    pub(crate) fn new(views: Arc<dyn Views>) -> Self {
        Self(views)
    }

    /// Reads the checkpoint of a feed. A new one is at 0.
    pub(super) async fn load(&self, feed: &str) -> Result<Checkpoint, StoreError> {
        let name = projection_name(feed);
        for _ in 0..TRIES {
            let (generation, head) = self.0.live(&name, VERSION).await?;
            let Some(mut transaction) = self.0.begin(&generation, head, head).await? else { continue };
            transaction.create_table(&STATE).await?;
            let table = transaction.table(STATE.name);
            let rows = transaction.query(&select(&table), Row::new()).await?;
            transaction.commit().await?;
            let (last_sent, resumed) = state(rows.first());
            return Ok(Checkpoint { generation, head, last_sent, resumed });
        }
        // Another process sends.
        Err(StoreError::Busy(Duration::ZERO))
    }

    /// Moves the checkpoint. Returns false, without effect, if another process has moved it.
    pub(super) async fn advance(&self, from: &mut Checkpoint, to: Checkpoint) -> Result<bool, StoreError> {
        let begun = self.0.begin(&from.generation, from.head, to.head).await?;
        let Some(mut transaction) = begun else { return Ok(false) };
        if (to.last_sent, to.resumed) != (from.last_sent, from.resumed) {
            write(&mut *transaction, &to).await?;
        }
        transaction.commit().await?;
        *from = to;
        Ok(true)
    }

    /// The state of a feed, read from the views: any process can, also one that cannot write.
    pub(super) async fn shown(&self, feed: &str) -> Result<Shown, StoreError> {
        let name = projection_name(feed);
        let mut all = self.0.generations().await?.into_iter();
        let live = |one: &GenerationInfo| one.live && one.id.name == name && one.id.version == VERSION;
        let Some(generation) = all.find(live) else { return Ok(Shown::default()) };
        let mut snapshot = self.0.read(&name, VERSION).await?;
        let last_sent = last_sent(&mut *snapshot).await?;
        Ok(Shown { position: snapshot.head().position, last_sent, leader: generation.leader })
    }

    /// Tells all processes why a feed does not send, or that it sends.
    pub(super) async fn note(&self, feed: &str, problem: Option<&FeedProblem>) -> Result<(), StoreError> {
        let note = problem.and_then(|problem| serde_json::to_string(problem).ok());
        self.0.set_note(&projection_name(feed), VERSION, NoteKind::Stop, note).await
    }

    pub(super) async fn noted(&self, feed: &str) -> Result<Option<FeedProblem>, StoreError> {
        let note = self.0.note(&projection_name(feed), VERSION, NoteKind::Stop).await?;
        Ok(note.and_then(|note| serde_json::from_str(&note).ok()))
    }
}

impl Checkpoint {
    /// This checkpoint, moved.
    pub(super) fn at(&self, head: LogPosition, last_sent: u64) -> Self {
        Self { head, last_sent, ..self.clone() }
    }

    /// This checkpoint, moved by a resume: what was sent before is forgotten.
    pub(super) fn moved(&self, head: LogPosition, resumed: u64) -> Self {
        Self { head, last_sent: 0, resumed, ..self.clone() }
    }
}

fn select(table: &str) -> String {
    format!("SELECT last_sent, resumed FROM {table} WHERE id = 1")
}

fn state(row: Option<&Row>) -> (u64, u64) {
    let number = |at: usize| row?.get(at)?.integer()?.try_into().ok();
    (number(0).unwrap_or_default(), number(1).unwrap_or_default())
}

async fn write(transaction: &mut dyn Transaction, to: &Checkpoint) -> Result<(), StoreError> {
    let row = vec![1_u64.into(), to.last_sent.into(), to.resumed.into()];
    transaction.insert_rows(&STATE, vec![row], OnConflict::Replace).await
}

async fn last_sent(snapshot: &mut dyn ViewSnapshot) -> Result<u64, StoreError> {
    if !snapshot.has_table(STATE.name).await? {
        return Ok(0);
    }
    let table = snapshot.table(STATE.name);
    Ok(state(snapshot.query(&select(&table), Row::new()).await?.first()).0)
}
