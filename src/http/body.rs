//! Reading a request body, within limits of size and time.

use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode, header};
use http_body_util::LengthLimitError;
use serde::de::DeserializeOwned;

use super::{AppState, Problem};

/// How long a body may take to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// Returns the body of a request, if its headers announce JSON of at most `largest` bytes.
pub(super) fn json(request: Request, largest: usize) -> Result<Body, Problem> {
    let (parts, body) = request.into_parts();
    if !is_json(&parts.headers) {
        return Err(Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "media-type",
            "unsupported media type",
            "send JSON with the header `Content-Type: application/json`",
        ));
    }
    check_length(&parts.headers, largest).map(|()| body)
}

/// Returns the headers and the body of a request, if it announces a CloudEvent of at most `largest` bytes: in structured mode, or in binary
/// mode.
#[cfg(feature = "feeds")]
pub(super) fn cloud_event(request: Request, largest: usize) -> Result<(HeaderMap, Body), Problem> {
    let headers = request.headers().clone();
    let kinds: Vec<_> = headers.get_all(header::CONTENT_TYPE).iter().collect();
    let kind = kinds.first().and_then(|kind| kind.to_str().ok()).unwrap_or_default().to_ascii_lowercase();
    if kinds.len() != 1 || !(kind.starts_with("application/cloudevents+json") || headers.contains_key("ce-id")) {
        return Err(Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "media-type",
            "unsupported media type",
            "send a CloudEvent with the header `Content-Type: application/cloudevents+json`",
        ));
    }
    check_length(&headers, largest)?;
    Ok((headers, request.into_body()))
}

fn check_length(headers: &HeaderMap, largest: usize) -> Result<(), Problem> {
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    match announced.is_some_and(|announced: u64| announced > largest as u64) {
        true => Err(too_large(largest)),
        false => Ok(()),
    }
}

/// Reads a whole body.
pub(super) async fn read(body: Body, largest: usize) -> Result<Bytes, Problem> {
    let mut reading = pin!(to_bytes(body, largest));
    let read = match futures::poll!(&mut reading) {
        // The usual case: the body came with the head. It needs no timer and no memory for one.
        Poll::Ready(read) => Ok(read),
        Poll::Pending => Box::pin(tokio::time::timeout(BODY_TIMEOUT, reading)).await,
    };
    match read {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(error)) if is_too_long(&error) => Err(too_large(largest)),
        Ok(Err(_)) => Err(Problem::malformed("the body ended early")),
        Err(_) => {
            let detail = format!("the body did not arrive within {} s: send it again", BODY_TIMEOUT.as_secs());
            Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "slow", "request timeout", detail))
        }
    }
}

/// Reads a whole body that is the JSON of a value.
pub(super) async fn read_json<T: DeserializeOwned>(state: &AppState, request: Request) -> Result<T, Problem> {
    let largest = state.settings().limits.largest_body;
    let body = read(json(request, largest)?, largest).await?;
    serde_json::from_slice(&body)
        .map_err(|error| Problem::malformed(format!("the body does not match its schema: {error}")))
}

fn is_too_long(error: &axum::Error) -> bool {
    std::error::Error::source(error).is_some_and(|source| source.is::<LengthLimitError>())
}

fn too_large(largest: usize) -> Problem {
    let detail = format!("the body exceeds the limit of {largest} bytes");
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", "request body too large", detail)
}

/// Whether there is exactly one `Content-Type`, and it is `application/json`, with or without parameters.
fn is_json(headers: &HeaderMap) -> bool {
    let mut values = headers.get_all(header::CONTENT_TYPE).iter();
    let (Some(only), None) = (values.next(), values.next()) else { return false };
    let essence = only.to_str().ok().and_then(|text| text.split(';').next()).map(str::trim);
    essence.is_some_and(|essence| essence.eq_ignore_ascii_case("application/json"))
}
