//! The body of a request, read with bounds.

use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode, header};
use http_body_util::LengthLimitError;

use crate::http::Problem;

/// How long a body may take to come.
const PATIENCE: Duration = Duration::from_secs(10);

/// The text of a body that is JSON.
pub(super) async fn json_text(request: Request, largest: usize) -> Result<String, Problem> {
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
    if announced.is_some_and(|announced: u64| announced > largest as u64) {
        return Err(too_large(largest));
    }
    let mut reading = pin!(read(body, largest));
    let read = match futures::poll!(&mut reading) {
        // As a rule it came with the head: no clock is set for it.
        Poll::Ready(read) => Ok(read),
        Poll::Pending => tokio::time::timeout(PATIENCE, reading).await,
    };
    let bytes = match read {
        Ok(read) => read?,
        Err(_) => {
            let title = "the body did not come in time";
            return Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "slow", title, "send it again"));
        }
    };
    String::from_utf8(bytes).map_err(|_| Problem::malformed("the body is not UTF-8"))
}

async fn read(body: Body, largest: usize) -> Result<Vec<u8>, Problem> {
    match to_bytes(body, largest).await {
        Ok(bytes) => Ok(bytes.into()),
        Err(error) if is_too_long(&error) => Err(too_large(largest)),
        Err(_) => Err(Problem::malformed("the body was cut off")),
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
