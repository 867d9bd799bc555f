//! [`Export`]: writes the result of an audit query in a format.

use futures::{StreamExt, TryStreamExt};
use tokio::io::{AsyncWrite, AsyncWriteExt};

#[cfg(feature = "cloudevents")]
use super::cloudevents::CloudEvents;
use super::csv::Csv;
use super::encode::Encode;
use super::items::for_each_item;
use super::jsonl::Jsonl;
use super::ocel::Ocel;
use super::{ExportError, ExportManifest, Format};
use crate::events::{LogPosition, Ref};
use crate::projections::audit::{AuditQuery, Detail, next_rows};
use crate::projections::presenter::Presenter;

/// The rows in memory at a time.
const CHUNK: usize = 256;

/// The progress of an export.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExportProgress {
    /// The number of events written.
    pub rows: u64,
    /// The position of the last event written.
    pub position: u64,
    /// The log's head when the export began.
    pub head: u64,
}

type OnProgress = Box<dyn FnMut(ExportProgress) + Send>;

/// An export of an audit query: see [`AuditQuery::export`].
#[must_use = "an export does nothing until `to` is called"]
pub struct Export {
    query: AuditQuery,
    format: Format,
    presenter: Option<Presenter>,
    source: String,
    byte_order_mark: bool,
    destination: Option<Ref>,
    progress: Option<OnProgress>,
}

impl AuditQuery {
    /// Exports all rows up to the limit. Rows are streamed, so that memory does not grow with the log (except for
    /// [`Format::Ocel`]).
    ///
    /// ```
    /// use annals::projections::audit::AuditQuery;
    /// use annals::projections::export::{ExportError, Format};
    ///
    /// async fn csv(query: AuditQuery) -> Result<Vec<u8>, ExportError> {
    ///     let mut file = Vec::new();
    ///     let manifest = query.actor("user:alice").export(Format::Csv).to(&mut file).await?;
    ///     println!("{} rows up to position {}", manifest.rows, manifest.head.position);
    ///     Ok(file)
    /// }
    /// ```
    pub fn export(self, format: Format) -> Export {
        let source = "/annals".to_owned();
        Export {
            query: self,
            format,
            presenter: None,
            source,
            byte_order_mark: false,
            destination: None,
            progress: None,
        }
    }
}

impl Export {
    /// Sets the presenter: the language and the names of sentences.
    pub fn presenter(mut self, presenter: Presenter) -> Self {
        self.presenter = Some(presenter);
        self
    }

    /// Sets the `source` of CloudEvents, a URI reference: `/annals` by default.
    pub fn source(mut self, source: impl Into<String>) -> Self {
        self.source = source.into();
        self
    }

    /// Begins CSV with a byte order mark, by which Excel recognises UTF-8. The other formats have none.
    pub fn byte_order_mark(mut self, begins: bool) -> Self {
        self.byte_order_mark = begins;
        self
    }

    /// Says where the data goes: `host:192.0.2.7`, `file:/home/ann/june.csv`. The record of the export has it.
    pub fn destination(mut self, to: Ref) -> Self {
        self.destination = Some(to);
        self
    }

    /// Sets a callback for progress.
    pub fn progress(mut self, progress: impl FnMut(ExportProgress) + Send + 'static) -> Self {
        self.progress = Some(Box::new(progress));
        self
    }

    /// Runs the export, and returns the manifest, which is also written at the end.
    ///
    /// Events that are recorded after the export began are not included.
    ///
    /// # Errors
    /// When the query fails, an event cannot be read, or the writer fails. The output is then incomplete, without a
    /// manifest.
    pub async fn to(
        mut self,
        writer: &mut (impl AsyncWrite + Unpin + Send),
    ) -> Result<ExportManifest, ExportError> {
        let head = self.query.head().await?;
        let (reading, filter) = self.query.parts();
        let (log, types) = (reading.log().clone(), reading.types().clone());
        let mut encoder = self.encoder();
        let encode = |position, format, source| ExportError::Encode { position, format, source };
        let mut manifest = ExportManifest {
            format: self.format,
            from: filter.from,
            until: filter.until,
            filters: filter.recorded(),
            rows: 0,
            first: None,
            last: None,
            head,
            detail: Detail::Full,
            locale: self.presenter.as_ref().map_or("en", Presenter::language).to_owned(),
        };
        let mut out = Vec::new();
        encoder.begin(&mut out).map_err(|source| encode(0, self.format, source))?;
        let query = self.query.exported_to(self.format.to_string(), head, self.destination);
        let (detail, rows) = query.stream_with_detail().await?;
        let mut rows = rows.try_filter(|row| std::future::ready(row.position <= head.position)).fuse();
        manifest.detail = detail;
        let presenter = self.presenter.map(|presenter| presenter.detail(detail));
        loop {
            let rows = next_rows(&mut rows, CHUNK).await?;
            if rows.is_empty() {
                break;
            }
            for_each_item(&log, &types, presenter.as_ref(), detail, &rows, head, |item| {
                let position = item.row.position;
                encoder.event(item, &mut out).map_err(|source| encode(position, self.format, source))?;
                manifest.add(position);
                Ok(())
            })
            .await?;
            writer.write_all(&out).await?;
            out.clear();
            report(&mut self.progress, &manifest, rows.last().map_or(0, |row| row.position), head);
        }
        encoder.end(&manifest, &mut out).map_err(|source| encode(0, self.format, source))?;
        writer.write_all(&out).await?;
        writer.flush().await?;
        Ok(manifest)
    }

    fn encoder(&self) -> Box<dyn Encode> {
        match self.format {
            Format::Csv => Box::new(Csv { byte_order_mark: self.byte_order_mark }),
            Format::Jsonl => Box::new(Jsonl),
            #[cfg(feature = "cloudevents")]
            Format::CloudEvents => Box::new(CloudEvents::new(&self.source)),
            Format::Ocel => Box::new(Ocel::default()),
        }
    }
}

impl ExportManifest {
    fn add(&mut self, position: u64) {
        self.rows += 1;
        self.first = Some(self.first.map_or(position, |first| first.min(position)));
        self.last = self.last.max(Some(position));
    }
}

fn report(progress: &mut Option<OnProgress>, manifest: &ExportManifest, position: u64, head: LogPosition) {
    if let Some(progress) = progress {
        progress(ExportProgress { rows: manifest.rows, position, head: head.position });
    }
}

impl std::fmt::Debug for Export {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Export").field("query", &self.query).field("format", &self.format).finish_non_exhaustive()
    }
}
