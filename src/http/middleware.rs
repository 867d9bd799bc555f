//! The middleware of all routes: tracing, authentication, limits, panics, problem pages and response headers.

use std::any::Any;
use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind};

use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::routing::Route;
use futures::FutureExt;
use futures::future::Either;
use tower::{Layer, Service, layer::layer_fn, service_fn};
use tracing::Instrument;

use super::Problem;
use super::caller::authenticate;
use super::limits::{Permit, RequestLimits};
use super::observation::RequestObservation;
use super::page::{self, BrowserRequest};
use super::request_rules::{Methods, check_single_headers};
use super::state::AppState;
use crate::text::panic_message;

/// The access control of a route.
#[derive(Clone)]
pub(super) enum Access {
    /// No authentication.
    Open,
    /// Authentication, a rate limit and a concurrency limit.
    Limited(RequestLimits),
    /// Authentication only: a stream stays open and must not use up the concurrency limit of requests.
    Stream,
}

/// Headers that every response gets unless its route sets them. `X-Frame-Options` is left out: every browser that can show
/// the page knows `frame-ancestors`, and a seventh header makes the header map grow and move.
static HEADERS: [(HeaderName, HeaderValue); 4] = [
    (
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"),
    ),
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
];

/// Returns all middleware as one layer with one plain service. Several layers would cost one boxed service each, and each
/// request would copy all of them.
pub(super) fn layer(
    state: &AppState,
    access: Access,
    methods: Methods,
) -> impl Layer<Route, Service: InfallibleService> + Clone + Send + Sync + 'static {
    let state = state.clone();
    layer_fn(move |mut route: Route| {
        let (state, access, methods) = (state.clone(), access.clone(), methods.clone());
        service_fn(move |request: Request| {
            let observation = RequestObservation::begin(&state, &request);
            let browser = BrowserRequest::of(&request);
            let started = observation.span().in_scope(|| {
                catch_unwind(AssertUnwindSafe(|| {
                    let (permit, request) = access.check(&state, request)?;
                    // Boxed on its own: otherwise the outer future is too large for fast allocation.
                    let responding = match methods.accept(request.method()) {
                        true => Either::Left(Box::pin(route.call(request))),
                        false => Either::Right(methods.clone().refuse(request).map(Ok).boxed()),
                    };
                    Ok((permit, responding))
                }))
            });
            let state = state.clone();
            async move {
                let responding = async {
                    match started {
                        Ok(Ok((permit, responding))) => {
                            AssertUnwindSafe(respond(permit, responding)).catch_unwind().await
                        }
                        Ok(Err(problem)) => Ok(Problem::into_response(problem)),
                        Err(panic) => Err(panic),
                    }
                };
                let response = responding.instrument(observation.span().clone()).await;
                let mut response = response.unwrap_or_else(|panic| of_panic(&*panic).into_response());
                if let Some(browser) = &browser
                    && let Some(problem) = response.extensions().get::<Problem>()
                {
                    response = page::of_problem(&state, problem, browser);
                }
                for (name, value) in &HEADERS {
                    response.headers_mut().entry(name).or_insert_with(|| value.clone());
                }
                observation.end(&state, response.status());
                Ok(response)
            }
        })
    })
}

/// A service that always returns a response.
pub(super) trait InfallibleService:
    Service<Request, Response = Response, Error = Infallible, Future: Send> + Clone + Send + Sync + 'static
{
}

impl<S> InfallibleService for S where
    S: Service<Request, Response = Response, Error = Infallible, Future: Send> + Clone + Send + Sync + 'static
{
}

impl Access {
    /// Returns the request with its [`Caller`](super::caller::Caller) as an extension, and a permit where one is needed.
    fn check(&self, state: &AppState, request: Request) -> Result<(Option<Permit>, Request), Problem> {
        check_single_headers(request.headers())?;
        match self {
            Self::Open => Ok((None, request)),
            Self::Stream => Ok((None, authenticate(state, request, true)?.1)),
            Self::Limited(limits) => {
                let (caller, request) = authenticate(state, request, false)?;
                Ok((Some(limits.admit(caller.key())?), request))
            }
        }
    }
}

async fn respond(permit: Option<Permit>, response: impl Future<Output = Result<Response, Infallible>>) -> Response {
    match permit {
        Some(permit) => permit.hold_until_response(response).await.into_response(),
        None => response.await.into_response(),
    }
}

fn of_panic(panic: &(dyn Any + Send)) -> Problem {
    Problem::internal(&std::io::Error::other(panic_message(panic).to_owned()))
}
