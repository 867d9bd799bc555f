//! [`ProvenanceQuery`]: a query of the provenance of a thing.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::lookup::{self, Bounds};
use super::stating::Statements;
use super::walk::{Node, Walk};
use super::{Agents, Document, ProvenanceCursor, ProvenanceError};
use crate::digest::{PartsDigest, first_bytes};
use crate::events::{LogPosition, Ref};
use crate::projections::audit::Detail;
use crate::projections::query_error::PATIENCE;
use crate::projections::{QueryError, RangeBound, ReadError, Reading};
use crate::store::bisect;

/// Nodes of a page.
const DEFAULT_NODES: usize = 100;
const MAX_NODES: usize = 1_000;

/// The size of the statements of a page, in bytes, at which it ends. The statements of one node may be larger.
const PAGE_BYTES: usize = 1 << 20;

/// How many nodes a page passes at most that its reader may not see.
const MAX_WITHHELD: usize = 1_000;

const DEFAULT_DEPTH: u8 = 3;
const MAX_DEPTH: u8 = 64;

/// Which way a query goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[cfg_attr(feature = "http", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// What the thing is made of: newest first.
    #[default]
    Backwards,
    /// What came of the thing: oldest first.
    Forwards,
}

impl Direction {
    /// Its name: `backwards` or `forwards`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Backwards => "backwards",
            Self::Forwards => "forwards",
        }
    }
}

impl FromStr for Direction {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "backwards" => Ok(Self::Backwards),
            "forwards" => Ok(Self::Forwards),
            other => Err(format!("`{}` is not a direction: write backwards or forwards", other.escape_debug())),
        }
    }
}

/// Checks and records reads of provenance.
#[async_trait]
pub(crate) trait ProvenanceAccess: Send + Sync + 'static {
    /// Called before anything is read. Returns how much the reader may see.
    async fn asked(&self, thing: &Ref) -> Result<Detail, ProvenanceError>;

    /// Whether the reader may see the events of another thing that a walk comes to.
    async fn may_see(&self, thing: &Ref, detail: Detail) -> bool;
}

/// A query of the provenance of a thing.
///
/// ```no_run
/// # async fn example(annals: annals::prelude::Annals) -> Result<(), Box<dyn std::error::Error>> {
/// let thing = "report:7".parse()?;
/// let page = annals.provenance(&thing).depth(5).page().await?;
/// println!("{}", page.document.to_prov_n());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use = "a query does nothing until it is run: call `page`"]
pub struct ProvenanceQuery {
    reading: Option<Reading>,
    agents: Arc<Agents>,
    thing: Ref,
    direction: Direction,
    depth: u8,
    at: Option<RangeBound>,
    limit: usize,
    cursor: Option<ProvenanceCursor>,
    after: Option<LogPosition>,
    patience: Duration,
    access: Option<Arc<dyn ProvenanceAccess>>,
}

/// A page of provenance.
#[derive(Clone, Debug)]
pub struct ProvenancePage {
    /// The statements. A node at the edge of the page has a label and nothing else.
    pub document: Document,
    /// The log position up to which the answer is complete.
    pub head: LogPosition,
    /// Where the next page begins; `None` on the last one.
    pub next: Option<ProvenanceCursor>,
    /// Whether something is deeper than the query goes.
    pub deeper: bool,
    /// Whether something was named and not followed: a version or command has more than 512 successors, or more than 512 nodes were
    /// reached and not yet shown. Ask for the things at the edge.
    pub unfollowed: bool,
    /// Whether something was left out because the reader may not see its events.
    pub withheld: bool,
    /// How much the reader may see.
    pub detail: Detail,
}

impl ProvenancePage {
    /// What the page leaves out, in words: `deeper`, `unfollowed`, `withheld`.
    #[must_use]
    pub fn limits(&self) -> Vec<&'static str> {
        let all = [(self.deeper, "deeper"), (self.unfollowed, "unfollowed"), (self.withheld, "withheld")];
        all.into_iter().filter(|(is, _)| *is).map(|(_, name)| name).collect()
    }
}

impl ProvenanceQuery {
    pub(crate) fn new(reading: Option<Reading>, agents: Arc<Agents>, thing: Ref) -> Self {
        Self {
            reading,
            agents,
            thing,
            direction: Direction::default(),
            depth: DEFAULT_DEPTH,
            at: None,
            limit: DEFAULT_NODES,
            cursor: None,
            after: None,
            patience: PATIENCE,
            access: None,
        }
    }

    /// What the thing is made of, newest first: the default.
    pub fn backwards(self) -> Self {
        self.direction(Direction::Backwards)
    }

    /// What came of the thing, oldest first.
    pub fn forwards(self) -> Self {
        self.direction(Direction::Forwards)
    }

    /// Which way to go.
    pub fn direction(mut self, direction: Direction) -> Self {
        self.direction = direction;
        self
    }

    /// How many steps to go from version to version, through commands: 1 to 64; by default 3.
    pub fn depth(mut self, depth: u8) -> Self {
        self.depth = depth;
        self
    }

    /// At that time: after the event at this position or with this id, or after all events recorded up to this time.
    pub fn at(mut self, at: RangeBound) -> Self {
        self.at = Some(at);
        self
    }

    /// The maximum number of versions and commands of a page: by default 100, at most 1,000.
    pub fn limit(mut self, nodes: usize) -> Self {
        self.limit = nodes.min(MAX_NODES);
        self
    }

    /// Continues after an earlier page.
    pub fn cursor(mut self, cursor: ProvenanceCursor) -> Self {
        self.cursor = Some(cursor);
        self
    }

    /// Waits until the answer includes this write (a receipt).
    pub fn after(mut self, write: impl Into<LogPosition>) -> Self {
        self.after = Some(write.into());
        self
    }

    /// The timeout of [`after`](Self::after): 30 seconds by default.
    pub fn within(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    pub(crate) fn access(mut self, access: Arc<dyn ProvenanceAccess>) -> Self {
        self.access = Some(access);
        self
    }

    /// Reads one page: at most [`limit`](Self::limit) versions and commands with all relations from them, and about a megabyte. Each
    /// version and each command is on one page only. A page with a cursor may hold none.
    ///
    /// # Errors
    /// When the application keeps no provenance, the query is invalid or denied, or the tables or the log cannot be read.
    pub async fn page(self) -> Result<ProvenancePage, ProvenanceError> {
        let reading = self.reading.as_ref().ok_or(ProvenanceError::Off)?;
        self.thing.check().map_err(QueryError::from)?;
        if !(1..=MAX_DEPTH).contains(&self.depth) {
            return Err(ProvenanceError::Depth { given: self.depth, most: MAX_DEPTH });
        }
        if self.limit == 0 {
            return Err(QueryError::NoLimit.into());
        }
        let fingerprint = self.fingerprint();
        if self.cursor.as_ref().is_some_and(|cursor| cursor.query != fingerprint) {
            return Err(QueryError::OtherCursor.into());
        }
        let detail = match &self.access {
            Some(access) => access.asked(&self.thing).await?,
            None => Detail::Full,
        };
        if let Some(head) = self.after {
            reading.caught_up(head, Some(self.patience)).await?;
        }
        let at = self.last_position(reading).await?;
        let seen = self.cursor.as_ref().map(|cursor| cursor.seen).unwrap_or_default();
        let mut snapshot = reading.snapshot_after(seen).await?;
        let head = snapshot.head();
        let bounds = Bounds { position: at.unwrap_or(head.position).min(head.position), detail };
        let mut page = Page {
            statements: Statements::new(self.agents.clone(), reading.types().clone(), detail),
            withheld: false,
            deeper: false,
            unfollowed: false,
            next: None,
        };
        // A thing that no event names has no number.
        if let Some(thing) = lookup::number_of(self.thing.as_str(), &mut *snapshot).await? {
            let mut walk = Walk::new(reading, self.direction, self.depth, bounds, thing);
            walk.head = head;
            match &self.cursor {
                Some(cursor) => {
                    walk.last = Some(Node(cursor.last));
                    walk.sequence = cursor.sequence;
                    walk.pending = cursor.pending.iter().map(|(node, depth)| (Node(*node), *depth)).collect();
                }
                None if self.direction == Direction::Backwards => {
                    walk.sequence = lookup::count_up_to(thing, bounds.position, &mut *snapshot).await? + 1;
                }
                None => {}
            }
            drop(snapshot);
            walk.resume();
            self.fill(&mut page, walk, fingerprint).await?;
        }
        Ok(ProvenancePage {
            document: page.statements.finish(reading.log().info().await?.log_id),
            head,
            next: page.next,
            deeper: page.deeper,
            unfollowed: page.unfollowed,
            withheld: page.withheld,
            detail,
        })
    }

    /// Takes nodes until the page is full.
    async fn fill(&self, page: &mut Page, mut walk: Walk<'_>, query: [u8; 8]) -> Result<(), ProvenanceError> {
        let (mut shown, mut withheld, mut seen) = (0, 0, LogPosition::default());
        while shown < self.limit && withheld < MAX_WITHHELD && page.statements.bytes < PAGE_BYTES {
            let Some((node, depth)) = walk.take().await? else { break };
            let Some(facts) = walk.facts(node) else { continue };
            seen = facts.stored.head();
            let aggregate = &facts.stored.aggregate;
            if !node.is_command() && *aggregate != self.thing && !self.may_see(aggregate, walk.bounds.detail).await
            {
                withheld += 1;
                continue;
            }
            page.statements.state(node, facts);
            shown += 1;
            walk.follow(node, depth).await?;
        }
        (page.withheld, page.deeper, page.unfollowed) = (withheld > 0, walk.deeper, walk.unfollowed);
        if walk.peek().await?.is_some() {
            let last = walk.last.map_or(0, |last| last.0);
            let pending = walk.pending.iter().map(|(node, depth)| (node.0, *depth)).collect();
            page.next = Some(ProvenanceCursor { query, seen, last, sequence: walk.sequence, pending });
        }
        Ok(())
    }

    async fn may_see(&self, thing: &Ref, detail: Detail) -> bool {
        match &self.access {
            Some(access) => access.may_see(thing, detail).await,
            None => true,
        }
    }

    /// The position of the last event that exists for the query.
    async fn last_position(&self, reading: &Reading) -> Result<Option<u64>, ReadError> {
        let log = &**reading.log();
        let first_after = match self.at {
            None => return Ok(None),
            Some(RangeBound::Position(position)) => return Ok(Some(position)),
            Some(RangeBound::Time(time)) => bisect(log, |event| event.recorded_at <= time).await?,
            Some(RangeBound::Id(id)) => bisect(log, |event| event.event_id <= id).await?,
        };
        Ok(Some(first_after.saturating_sub(1)))
    }

    /// Identifies the query in its cursors.
    fn fingerprint(&self) -> [u8; 8] {
        let mut digest = PartsDigest::default();
        digest.add(self.thing.as_str());
        digest.add(self.direction.as_str());
        digest.add([self.depth]);
        digest.add(self.at.map_or(String::new(), |at| at.to_string()));
        first_bytes(&digest.finish())
    }
}

/// A page that is being filled.
struct Page {
    statements: Statements,
    withheld: bool,
    deeper: bool,
    unfollowed: bool,
    next: Option<ProvenanceCursor>,
}

impl fmt::Debug for ProvenanceQuery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProvenanceQuery")
            .field("thing", &self.thing)
            .field("direction", &self.direction)
            .field("depth", &self.depth)
            .finish_non_exhaustive()
    }
}
