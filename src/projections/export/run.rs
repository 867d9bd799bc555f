//! [`Export`]: a question to the audit log, written out.

use futures::{StreamExt, TryStreamExt};
use tokio::io::{AsyncWrite, AsyncWriteExt};

#[cfg(feature = "cloudevents")]
use super::cloudevents::CloudEvents;
use super::csv::Csv;
use super::encode::{Encode, Item};
use super::jsonl::Jsonl;
use super::ocel::Ocel;
use super::{ExportError, Format, Statement};
use crate::events::{Described, Known, LogPosition};
use crate::projections::audit::{AuditQuery, AuditRow};
use crate::projections::presenter::{Presentation, Presenter};

/// How many rows are in memory at a time.
const CHUNK: usize = 256;

/// How far an export is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExportProgress {
    /// How many events are written.
    pub rows: u64,
    /// The position of the last one.
    pub position: u64,
    /// The log's head when the export began.
    pub head: u64,
}

type OnProgress = Box<dyn FnMut(ExportProgress) + Send>;

/// A question to the audit log, to be written out: [`AuditQuery::export`].
#[must_use = "an export does nothing until it is told where to go"]
pub struct Export {
    query: AuditQuery,
    format: Format,
    presenter: Option<Presenter>,
    source: String,
    progress: Option<OnProgress>,
}

impl AuditQuery {
    /// All rows up to the limit, written in another format: streamed, so that a log of any length takes the same memory.
    ///
    /// ```
    /// use annals::projections::audit::AuditQuery;
    /// use annals::projections::export::{ExportError, Format};
    ///
    /// async fn csv(query: AuditQuery) -> Result<Vec<u8>, ExportError> {
    ///     let mut file = Vec::new();
    ///     let statement = query.actor("user:alice").export(Format::Csv).to(&mut file).await?;
    ///     println!("{} rows, all there were at position {}", statement.rows, statement.head.position);
    ///     Ok(file)
    /// }
    /// ```
    pub fn export(self, format: Format) -> Export {
        Export { query: self, format, presenter: None, source: "/annals".to_owned(), progress: None }
    }
}

impl Export {
    /// With the words of this presenter: its language, its names.
    pub fn presenter(mut self, presenter: Presenter) -> Self {
        self.presenter = Some(presenter);
        self
    }

    /// The `source` of CloudEvents: a URI reference, `/annals` when nothing is said.
    pub fn source(mut self, source: impl Into<String>) -> Self {
        self.source = source.into();
        self
    }

    /// Is told how far the export is.
    pub fn progress(mut self, progress: impl FnMut(ExportProgress) + Send + 'static) -> Self {
        self.progress = Some(Box::new(progress));
        self
    }

    /// Writes it, and answers what it covers, which is also written at its end.
    ///
    /// It is of one moment: what is recorded after the export began is not in it.
    ///
    /// # Errors
    /// When the question cannot be answered, an event cannot be read, or the writer fails. What is written by then is
    /// only a part, and lacks the statement at its end.
    pub async fn to(mut self, writer: &mut (impl AsyncWrite + Unpin + Send)) -> Result<Statement, ExportError> {
        let head = self.query.head().await?;
        let (reading, from, until) = self.query.parts();
        let (log, types) = (reading.log().clone(), reading.types().clone());
        let mut encoder = self.encoder();
        let encode = |position, format, source| ExportError::Encode { position, format, source };
        let mut statement = Statement {
            format: self.format,
            from,
            until,
            rows: 0,
            first: None,
            last: None,
            head,
            locale: self.presenter.as_ref().map_or("en", Presenter::language).to_owned(),
        };
        let mut out = Vec::new();
        encoder.begin(&mut out).map_err(|source| encode(0, self.format, source))?;
        let rows = self
            .query
            .exported_to(self.format.to_string(), head)
            .stream()
            .try_filter(|row| std::future::ready(row.position <= head.position));
        let mut chunks = rows.try_chunks(CHUNK).boxed();
        while let Some(chunk) = chunks.next().await {
            let rows: Vec<AuditRow> = chunk.map_err(|error| error.1)?;
            let mut positions: Vec<u64> = rows.iter().map(|row| row.position).collect();
            positions.sort_unstable();
            let events = log.read_at(&positions).await?;
            let mut told: Vec<Presentation> = match &self.presenter {
                Some(presenter) => presenter.present(&events).await?,
                None => Vec::new(),
            };
            told.sort_unstable_by_key(|told| told.position);
            let mut facts: Vec<(&Known, Described)> = Vec::with_capacity(events.len());
            for stored in &events {
                let decode = |source| ExportError::Decode { position: stored.position, source };
                let known = types.of(stored).map_err(decode)?;
                facts.push((known, known.describe(stored).map_err(decode)?));
            }
            for row in &rows {
                let at = positions.binary_search(&row.position).unwrap_or(usize::MAX);
                let same = events.get(at).is_some_and(|stored| stored.event_id == row.event_id);
                let Some((known, described)) = facts.get(at).filter(|_| same) else {
                    return Err(crate::store::StoreError::Diverged(head).into());
                };
                let item = Item { row, known, described, told: told.get(at) };
                encoder.event(&item, &mut out).map_err(|source| encode(row.position, self.format, source))?;
                statement.take_in(row.position);
            }
            writer.write_all(&out).await?;
            out.clear();
            report(&mut self.progress, &statement, rows.last().map_or(0, |row| row.position), head);
        }
        encoder.end(&statement, &mut out).map_err(|source| encode(0, self.format, source))?;
        writer.write_all(&out).await?;
        writer.flush().await?;
        Ok(statement)
    }

    fn encoder(&self) -> Box<dyn Encode> {
        match self.format {
            Format::Csv => Box::new(Csv),
            Format::Jsonl => Box::new(Jsonl),
            #[cfg(feature = "cloudevents")]
            Format::CloudEvents => Box::new(CloudEvents::new(&self.source)),
            Format::Ocel => Box::new(Ocel::default()),
        }
    }
}

impl Statement {
    fn take_in(&mut self, position: u64) {
        self.rows += 1;
        self.first = Some(self.first.map_or(position, |first| first.min(position)));
        self.last = self.last.max(Some(position));
    }
}

fn report(progress: &mut Option<OnProgress>, statement: &Statement, position: u64, head: LogPosition) {
    if let Some(progress) = progress {
        progress(ExportProgress { rows: statement.rows, position, head: head.position });
    }
}

impl std::fmt::Debug for Export {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Export").field("query", &self.query).field("format", &self.format).finish_non_exhaustive()
    }
}
