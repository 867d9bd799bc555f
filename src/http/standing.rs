//! What stands before each route.

use std::any::Any;
use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind};

use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::routing::Route;
use futures::FutureExt;
use tower::{Layer, Service, layer::layer_fn, service_fn};
use tracing::Instrument;

use super::authentication::admitted;
use super::limits::{Bounds, Place};
use super::trace::Observed;
use super::{Problem, Shared, page};
use crate::text::panic_message;

/// Who comes through to a route.
#[derive(Clone)]
pub(super) enum Guard {
    /// Anybody.
    Open,
    /// Who is known, for as long as there is room.
    Bounded(Bounds),
    /// Who is known, to what stays open: it takes no room from the others.
    Unbounded,
}

/// What every answer says, unless it says something else. `X-Frame-Options` would say to browsers older than the page can
/// be shown in what `frame-ancestors` says, and be a seventh header, for which the map of them grows and moves.
static HEADERS: [(HeaderName, HeaderValue); 4] = [
    (
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"),
    ),
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
];

/// All that stands before a route: a span and a count, who asks, room, what becomes of a panic, a page for who reads
/// problems in a browser, and headers. One layer and one plain service: each layer of a router is one more box for each
/// request, with copies of all boxes inside it.
pub(super) fn standing(
    shared: &Shared,
    guard: Guard,
) -> impl Layer<Route, Service: Answering> + Clone + Send + Sync + 'static {
    let shared = shared.clone();
    layer_fn(move |mut route: Route| {
        let (shared, guard) = (shared.clone(), guard.clone());
        service_fn(move |request: Request| {
            let observed = Observed::begin(&shared, &request);
            let page = page::is_preferred(&request).then(|| shared.clone());
            let begun = observed.span().in_scope(|| {
                catch_unwind(AssertUnwindSafe(|| {
                    let (room, request) = guard.let_in(&shared, request)?;
                    // In a box of its own: it would else make one that is too large to be had quickly.
                    Ok((room, Box::pin(route.call(request))))
                }))
            });
            let shared = shared.clone();
            async move {
                let answering = async {
                    match begun {
                        Ok(Ok((room, answering))) => {
                            AssertUnwindSafe(answered(room, answering)).catch_unwind().await
                        }
                        Ok(Err(problem)) => Ok(Problem::into_response(problem)),
                        Err(panic) => Err(panic),
                    }
                };
                let answer = answering.instrument(observed.span().clone()).await;
                let mut response = answer.unwrap_or_else(|panic| panicked(&*panic).into_response());
                if let (Some(shared), Some(problem)) = (page, response.extensions().get::<Problem>())
                    && let Some(page) = page::of_problem(&shared, problem)
                {
                    response = page;
                }
                for (name, value) in &HEADERS {
                    response.headers_mut().entry(name).or_insert_with(|| value.clone());
                }
                observed.end(&shared, response.status());
                Ok(response)
            }
        })
    })
}

/// A service that always answers.
pub(super) trait Answering:
    Service<Request, Response = Response, Error = Infallible, Future: Send> + Clone + Send + Sync + 'static
{
}

impl<S> Answering for S where
    S: Service<Request, Response = Response, Error = Infallible, Future: Send> + Clone + Send + Sync + 'static
{
}

impl Guard {
    /// The request, with who asks beside it, and its room.
    fn let_in(&self, shared: &Shared, request: Request) -> Result<(Option<Place>, Request), Problem> {
        match self {
            Self::Open => Ok((None, request)),
            Self::Unbounded => Ok((None, admitted(shared, request)?.1)),
            Self::Bounded(bounds) => {
                let (asker, request) = admitted(shared, request)?;
                Ok((Some(bounds.room_for(&asker)?), request))
            }
        }
    }
}

async fn answered(room: Option<Place>, answering: impl Future<Output = Result<Response, Infallible>>) -> Response {
    match room {
        Some(room) => room.until_it_begins(answering).await.into_response(),
        None => answering.await.into_response(),
    }
}

fn panicked(panic: &(dyn Any + Send)) -> Problem {
    Problem::internal(&std::io::Error::other(panic_message(panic).to_owned()))
}
