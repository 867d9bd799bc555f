//! The audit log in other formats.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use futures::stream;
use serde::Deserialize;
use tokio::io::{AsyncReadExt, DuplexStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::audit::MAX_LIMIT;
use super::check_max;
use crate::events::Ref;
use crate::http::{AppState, Caller, Problem, QueryParams};
use crate::projections::audit::AuditQueryParams;
use crate::projections::export::{Export, ExportError, ExportManifest, Format};
use crate::projections::presenter::PresentationParams;
use crate::text::error_chain;

/// The buffer between the export and the client, in bytes.
const BUFFER: usize = 64 * 1_024;

/// How long a client may read nothing.
const READ_TIMEOUT: Duration = Duration::from_secs(60);

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(export))
}

#[derive(Clone, Copy, Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct ExportParams {
    /// The format: csv, jsonl, cloudevents (1.0) or ocel (2.0)
    format: Format,
    /// Begin CSV with a byte order mark, by which Excel recognises UTF-8
    #[serde(default)]
    bom: bool,
}

type Exporting = JoinHandle<Result<ExportManifest, ExportError>>;

/// Export the audit log as CSV, JSON Lines, CloudEvents or OCEL
///
/// Exports all rows of one snapshot. Each format ends with a statement of what it covers; a file without it is incomplete.
#[utoipa::path(
    get, path = "/audit/export", operation_id = "export_audit", tag = "audit", params(ExportParams, AuditQueryParams, PresentationParams),
    responses(
        (status = OK, content(
            (String = "text/csv"), (String = "application/jsonl"),
            (Vec<serde_json::Value> = "application/cloudevents-batch+json"), (serde_json::Value = "application/json"),
        ), description = "The exported rows"),
    )
)]
async fn export(
    State(state): State<AppState>,
    caller: Caller,
    QueryParams(ExportParams { format, bom }, asked, words): QueryParams<
        ExportParams,
        AuditQueryParams,
        PresentationParams,
    >,
) -> Result<Response, Problem> {
    check_max("limit", asked.limit, MAX_LIMIT)?;
    if bom && format != Format::Csv {
        return Err(Problem::malformed(format!("`bom` is for the format csv: {format} begins with none")));
    }
    let permit = state.exports().acquire(caller.key())?;
    let actor = caller.key().to_owned();
    let presenter = words.apply(state.annals().presenter())?;
    let client = caller.host().and_then(|host| Ref::new("host", host).ok());
    let export = asked.apply(caller.format(format.as_str()).audit()?).export(format);
    let export = export.byte_order_mark(bom).source(format!("/{}", state.settings().name));
    let export = client.into_iter().fold(export, Export::destination);
    let export = if presenter.is_as_declared() { export } else { export.presenter(presenter) };
    let (mut writer, mut reader) = tokio::io::duplex(BUFFER);
    let exporting: Exporting = tokio::spawn(async move {
        let _permit = permit;
        export.to(&mut writer).await
    });
    let Some(first) = chunk(&mut reader).await? else {
        // It failed before it wrote anything: the response is the error.
        return Err(match exporting.await {
            Ok(Ok(_)) => Problem::internal(&std::io::Error::other("the export wrote nothing")),
            Ok(Err(error)) => error.into(),
            Err(error) => Problem::internal(&error),
        });
    };
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(forward(actor, first, reader, exporting, sender));
    let name = format!("attachment; filename=\"audit.{}\"", extension(format));
    let headers = [
        (header::CONTENT_TYPE, content_type(format).to_owned()),
        (header::CONTENT_DISPOSITION, name),
        // A part would be no complete export, and would be recorded as one.
        (header::ACCEPT_RANGES, "none".to_owned()),
    ];
    let body = stream::unfold(receiver, async |mut receiver| Some((receiver.recv().await?, receiver)));
    Ok((headers, Body::from_stream(body)).into_response())
}

/// Forwards chunks as fast as the client reads. A failed export ends in an error, which aborts the response, so that the
/// client does not take a part for the whole.
async fn forward(
    actor: String,
    first: Bytes,
    mut reader: DuplexStream,
    exporting: Exporting,
    sender: mpsc::Sender<std::io::Result<Bytes>>,
) {
    let mut next = Some(first);
    while let Some(chunk) = next {
        let sent = tokio::time::timeout(READ_TIMEOUT, sender.send(Ok(chunk))).await;
        // After a return, the export finds its reader gone, and ends.
        match sent {
            Ok(Ok(())) => {}
            Ok(Err(_)) => {
                return tracing::info!(actor, "an export was cut off: the client disconnected or reads too slowly");
            }
            Err(_) => {
                return tracing::warn!(
                    actor,
                    "an export was cut off: the client read nothing for {READ_TIMEOUT:?}"
                );
            }
        }
        next = self::chunk(&mut reader).await.unwrap_or_default();
    }
    let error: crate::BoxError = match exporting.await {
        Ok(Ok(_)) => return,
        Ok(Err(error)) => error.into(),
        Err(error) => error.into(),
    };
    let text = error_chain(&*error);
    // First: a log line may panic, and the response would end as if it were complete. An error means that the client has
    // disconnected.
    let _ = sender.send(Err(std::io::Error::other(error))).await;
    tracing::error!(error = text, "an export failed");
}

/// The next chunk; none at the end.
async fn chunk(reader: &mut DuplexStream) -> Result<Option<Bytes>, Problem> {
    let mut chunk = Vec::with_capacity(BUFFER / 4);
    let read = reader.read_buf(&mut chunk).await.map_err(|error| Problem::internal(&error))?;
    Ok((read > 0).then(|| chunk.into()))
}

fn content_type(format: Format) -> &'static str {
    match format {
        Format::Csv => "text/csv; charset=utf-8",
        Format::Jsonl => "application/jsonl",
        #[cfg(feature = "cloudevents")]
        Format::CloudEvents => "application/cloudevents-batch+json",
        Format::Ocel => "application/json",
    }
}

fn extension(format: Format) -> &'static str {
    match format {
        Format::Csv => "csv",
        Format::Jsonl => "jsonl",
        #[cfg(feature = "cloudevents")]
        Format::CloudEvents => "json",
        Format::Ocel => "json",
    }
}
