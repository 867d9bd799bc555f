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

use super::at_most;
use super::audit::MOST;
use crate::http::{Asker, Params, Problem, Shared};
use crate::projections::audit::Asked;
use crate::projections::export::{ExportError, Format, Statement};
use crate::projections::presenter::Words;

/// What is written ahead of a client, in bytes.
const AHEAD: usize = 64 * 1_024;

/// How long a client may take nothing.
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(export))
}

#[derive(Clone, Copy, Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct Wanted {
    /// In which format: csv, jsonl, cloudevents (1.0) or ocel (2.0)
    format: Format,
}

type Exporting = JoinHandle<Result<Statement, ExportError>>;

/// The audit log in another format: CSV, JSON Lines, CloudEvents or OCEL
///
/// All rows, as of one moment. Each format ends with what it covers: what does not end with that was cut off.
#[utoipa::path(
    get, path = "/audit/export", tag = "audit", params(Wanted, Asked, Words),
    responses(
        (status = OK, content(
            (String = "text/csv"), (String = "application/jsonl"),
            (Vec<serde_json::Value> = "application/cloudevents-batch+json"), (serde_json::Value = "application/json"),
        )),
    )
)]
async fn export(
    State(shared): State<Shared>,
    asker: Asker,
    Params(Wanted { format }, asked, words): Params<Wanted, Asked, Words>,
) -> Result<Response, Problem> {
    at_most("limit", asked.limit, MOST)?;
    let room = shared.exports().take(&asker)?;
    let who = asker.key().to_owned();
    let presenter = words.of(shared.annals().presenter())?;
    let export = asked.of(asker.format(format.as_str()).audit()?).export(format);
    let export = export.source(format!("/{}", shared.name()));
    let export = if presenter.tells_as_declared() { export } else { export.presenter(presenter) };
    let (mut writer, mut reader) = tokio::io::duplex(AHEAD);
    let exporting: Exporting = tokio::spawn(async move {
        let _room = room;
        export.to(&mut writer).await
    });
    let Some(first) = chunk(&mut reader).await? else {
        // It ended before it wrote anything: what is wrong is said in place of it.
        return Err(match exporting.await {
            Ok(Ok(_)) => Problem::internal(&std::io::Error::other("an export without an end")),
            Ok(Err(error)) => error.into(),
            Err(error) => Problem::internal(&error),
        });
    };
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(pump(who, first, reader, exporting, sender));
    let name = format!("attachment; filename=\"audit.{}\"", extension(format));
    let headers = [(header::CONTENT_TYPE, content_type(format).to_owned()), (header::CONTENT_DISPOSITION, name)];
    let body = stream::unfold(receiver, async |mut receiver| Some((receiver.recv().await?, receiver)));
    Ok((headers, Body::from_stream(body)).into_response())
}

/// Hands on what is written, as fast as the client takes it. An export that breaks off ends in an error: so the client
/// is cut off too, and does not take the part for the whole.
async fn pump(
    who: String,
    first: Bytes,
    mut reader: DuplexStream,
    exporting: Exporting,
    sender: mpsc::Sender<std::io::Result<Bytes>>,
) {
    let mut next = Some(first);
    while let Some(chunk) = next {
        let taken = tokio::time::timeout(PATIENCE, sender.send(Ok(chunk))).await;
        // The export finds that nobody reads, and ends.
        match taken {
            Ok(Ok(())) => {}
            Ok(Err(_)) => {
                return tracing::info!(actor = who, "an export was cut: its client is gone, or reads too slowly");
            }
            Err(_) => {
                return tracing::warn!(actor = who, "an export was cut: its client read nothing for {PATIENCE:?}");
            }
        }
        next = self::chunk(&mut reader).await.unwrap_or_default();
    }
    let error: crate::BoxError = match exporting.await {
        Ok(Ok(_)) => return,
        Ok(Err(error)) => error.into(),
        Err(error) => error.into(),
    };
    tracing::error!(%error, "an export broke off");
    // Nobody is left to hear it if this fails.
    let _ = sender.send(Err(std::io::Error::other(error))).await;
}

/// What is written next; none at the end.
async fn chunk(reader: &mut DuplexStream) -> Result<Option<Bytes>, Problem> {
    let mut chunk = Vec::with_capacity(AHEAD / 4);
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
