//! The body of a request, read with bounds.

use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode, header};
use http_body_util::LengthLimitError;

use crate::http::Problem;

/// How long a body may take to come.
const PATIENCE: Duration = Duration::from_secs(10);

/// The body of a request, if it says that it is JSON, and not that it is too large.
pub(super) fn json(request: Request, largest: usize) -> Result<Body, Problem> {
    let (parts, body) = request.into_parts();
    if !is_json(&parts.headers) {
        return Err(Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "media-type",
            "the body is of a type that is not taken",
            "send JSON, and say so: `Content-Type: application/json`",
        ));
    }
    let announced = parts.headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    match announced.is_some_and(|announced: u64| announced > largest as u64) {
        true => Err(too_large(largest)),
        false => Ok(body),
    }
}

/// All of a body.
pub(in crate::http) async fn read(body: Body, largest: usize) -> Result<Bytes, Problem> {
    let mut reading = pin!(to_bytes(body, largest));
    let read = match futures::poll!(&mut reading) {
        // As a rule it came with the head: no clock is set for it, nor room for one kept.
        Poll::Ready(read) => Ok(read),
        Poll::Pending => Box::pin(tokio::time::timeout(PATIENCE, reading)).await,
    };
    match read {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(error)) if is_too_long(&error) => Err(too_large(largest)),
        Ok(Err(_)) => Err(Problem::malformed("the body was cut off")),
        Err(_) => {
            let title = "the body did not come in time";
            Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "slow", title, "send it again"))
        }
    }
}

fn is_too_long(error: &axum::Error) -> bool {
    std::error::Error::source(error).is_some_and(|source| source.is::<LengthLimitError>())
}

fn too_large(largest: usize) -> Problem {
    let detail = format!("a body has {largest} bytes at most");
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", "the body is too large", detail)
}

/// `application/json`, with or without parameters.
fn is_json(headers: &HeaderMap) -> bool {
    let mut given = headers.get_all(header::CONTENT_TYPE).iter();
    let (Some(only), None) = (given.next(), given.next()) else { return false };
    let essence = only.to_str().ok().and_then(|text| text.split(';').next()).map(str::trim);
    essence.is_some_and(|essence| essence.eq_ignore_ascii_case("application/json"))
}
