//! What is shown, as a file: streamed, however long it is.

use std::io;

use axum::body::{Body, Bytes};
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use futures::stream;
use tokio::io::{AsyncReadExt, DuplexStream};
use tokio::task::JoinHandle;

use super::address::Address;
use super::question::{About, Question, presenter};
use crate::http::{Asker, Problem, Shared};
use crate::projections::export::{ExportError, Format, Statement};

/// How much is on its way to a reader who is slower than the log.
const AHEAD: usize = 64 * 1_024;

pub(super) async fn download(
    State(shared): State<Shared>,
    asker: Asker,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let address = Address::parse(query.as_deref());
    let format: Format = address.get("format").unwrap_or("csv").parse().map_err(Problem::malformed)?;
    let asker = asker.format(format.as_str());
    let question = Question::new(About::Everything, &address, &asker)?;
    // What is wrong with the question is said before a file begins.
    question.query.clone().limit(1).page().await?;
    let export = question.query.export(format).source(format!("/{}", shared.name()));
    let presenter = presenter(shared.annals(), &headers);
    let export = if presenter.tells_as_declared() { export } else { export.presenter(presenter) };
    let (mut write, read) = tokio::io::duplex(AHEAD);
    let writing = tokio::spawn(async move { export.to(&mut write).await });
    let (kind, ending) = match format {
        Format::Csv => ("text/csv; charset=utf-8", "csv"),
        Format::Jsonl => ("application/jsonl; charset=utf-8", "jsonl"),
        Format::CloudEvents => ("application/cloudevents-batch+json; charset=utf-8", "cloudevents.json"),
        Format::Ocel => ("application/json; charset=utf-8", "ocel.json"),
    };
    let attachment = format!("attachment; filename=\"audit.{ending}\"");
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(kind)),
        (
            header::CONTENT_DISPOSITION,
            HeaderValue::from_str(&attachment).map_err(|error| Problem::internal(&error))?,
        ),
    ];
    Ok((headers, body(read, writing)).into_response())
}

/// What is written, piece by piece. Where that fails, so does the download: no half file looks whole.
fn body(read: DuplexStream, writing: JoinHandle<Result<Statement, ExportError>>) -> Body {
    let pieces = stream::unfold(Some((read, writing)), |state| async move {
        let (mut read, writing) = state?;
        let mut piece = vec![0; AHEAD];
        match read.read(&mut piece).await {
            Ok(0) => {
                let failed = match writing.await {
                    Ok(Ok(_)) => return None,
                    Ok(Err(error)) => io::Error::other(error),
                    Err(error) => io::Error::other(error),
                };
                tracing::error!(error = %failed, "a download broke off");
                Some((Err(failed), None))
            }
            Ok(length) => {
                piece.truncate(length);
                Some((Ok(Bytes::from(piece)), Some((read, writing))))
            }
            Err(error) => Some((Err(error), None)),
        }
    });
    Body::from_stream(pieces)
}
