//! The provenance of a thing, as W3C PROV.

use axum::extract::State;
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{After, check_max};
use crate::events::{LogPosition, Ref};
use crate::http::{AppState, Caller, PathParams, Problem, QueryParams};
use crate::projections::RangeBound;
use crate::projections::provenance::{Direction, ProvenanceCursor, ProvenancePage};

/// The most nodes of a page, and the greatest depth.
const MAX_LIMIT: usize = 1_000;
const MAX_DEPTH: u8 = 64;

const NEXT: HeaderName = HeaderName::from_static("annals-next");
const HEAD: HeaderName = HeaderName::from_static("annals-head");
const DETAIL: HeaderName = HeaderName::from_static("annals-detail");
const LIMITS: HeaderName = HeaderName::from_static("annals-limits");

/// A drawing has its style in the file, and nothing else that a browser would run or load.
const DRAWING_POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
);

/// The route, if the application keeps provenance.
pub(in crate::http) fn routes(state: &AppState) -> OpenApiRouter<AppState> {
    match state.annals().keeps_provenance() {
        true => OpenApiRouter::new().routes(routes!(provenance)),
        false => OpenApiRouter::new(),
    }
}

/// A format of provenance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum ProvenanceFormat {
    /// PROV-JSON
    #[default]
    Json,
    /// PROV-N
    Provn,
    /// A graph for Graphviz
    Dot,
    /// A drawing
    Svg,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default)]
struct FormatParams {
    /// The format: json (PROV-JSON), provn (PROV-N), dot (Graphviz) or svg (a drawing) [default: json]
    #[param(inline, value_type = Option<ProvenanceFormat>)]
    format: ProvenanceFormat,
}

#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default)]
pub(in crate::http) struct ProvenanceParams {
    /// `backwards`: what the thing is made of, newest first; `forwards`: what came of it, oldest first [default: backwards]
    #[param(inline, value_type = Option<Direction>)]
    pub direction: Direction,
    /// How many steps to go from version to version, through commands [default: 3]
    #[param(minimum = 1, maximum = 64)]
    pub depth: Option<u8>,
    /// As the log was then: a position, an event id, a time with its zone, or a date
    #[param(value_type = Option<String>)]
    pub at: Option<RangeBound>,
    /// Maximum number of versions and commands [default: 100]
    #[param(minimum = 1, maximum = 1000)]
    pub limit: Option<usize>,
    /// The header `Annals-Next` of the previous page, with the same direction, depth and time
    #[param(value_type = Option<String>, pattern = "^([0-9a-f]{2})+$")]
    pub cursor: Option<ProvenanceCursor>,
}

impl ProvenanceParams {
    /// Reads a page of the provenance of a thing.
    pub(in crate::http) async fn page(
        self,
        state: &AppState,
        caller: &Caller,
        thing: &Ref,
        after: After,
    ) -> Result<ProvenancePage, Problem> {
        check_max("limit", self.limit, MAX_LIMIT)?;
        check_max("depth", self.depth, MAX_DEPTH)?;
        let query = match caller.reader()? {
            Some(reader) => reader.provenance(thing),
            None => state.annals().provenance(thing),
        };
        let query = query.direction(self.direction);
        let query = self.depth.into_iter().fold(query, |query, depth| query.depth(depth));
        let query = self.at.into_iter().fold(query, |query, at| query.at(at));
        let query = self.limit.into_iter().fold(query, |query, limit| query.limit(limit));
        let query = self.cursor.into_iter().fold(query, |query, cursor| query.cursor(cursor));
        let query = after.head().into_iter().fold(query, |query, head| query.after(head));
        Ok(query.page().await?)
    }
}

/// Trace what a thing is made of, or what came of it
///
/// Answers a document of W3C PROV. A version is an entity (`log:project/7@3`: project:7 after its third event), a command the activity that
/// made it, an actor an agent. A node at the edge of a page has a label and nothing else. The header `Annals-Next` is the cursor of
/// the next page; `Annals-Limits` names what the page leaves out: `deeper`, `unfollowed`, `withheld`.
#[utoipa::path(
    get, path = "/provenance/{kind}/{id}", operation_id = "provenance", tag = "provenance",
    params(
        ("kind" = String, Path, description = "The kind of the thing: project", pattern = "^[a-z][a-z0-9_-]*$"),
        ("id" = String, Path, description = "Its id: 7", min_length = 1, max_length = 1024),
        ProvenanceParams, FormatParams, After,
    ),
    responses((status = OK, content(
        (serde_json::Value = "application/json"), (String = "text/provenance-notation"), (String = "text/vnd.graphviz"), (String = "image/svg+xml"),
    ), description = "The statements"))
)]
async fn provenance(
    State(state): State<AppState>,
    caller: Caller,
    PathParams((kind, id)): PathParams<(String, String)>,
    QueryParams(params, FormatParams { format }, after): QueryParams<ProvenanceParams, FormatParams, After>,
) -> Result<Response, Problem> {
    let thing = Ref::new(&kind, &id).map_err(|error| Problem::malformed(error.to_string()))?;
    let direction = params.direction;
    let page = params.page(&state, &caller, &thing, after).await?;
    let (content_type, text) = match format {
        ProvenanceFormat::Json => {
            ("application/json", page.document.to_prov_json().map_err(|error| Problem::internal(&error))?)
        }
        ProvenanceFormat::Provn => ("text/provenance-notation; charset=utf-8", page.document.to_prov_n()),
        ProvenanceFormat::Dot => ("text/vnd.graphviz; charset=utf-8", page.document.to_dot()),
        ProvenanceFormat::Svg => ("image/svg+xml", page.document.to_svg(direction)),
    };
    let mut response = ([(header::CONTENT_TYPE, content_type)], text).into_response();
    if format == ProvenanceFormat::Svg {
        response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, DRAWING_POLICY);
    }
    for (name, value) in headers(&page) {
        let value = HeaderValue::from_str(&value).map_err(|error| Problem::internal(&error))?;
        response.headers_mut().insert(name, value);
    }
    Ok(response)
}

/// What a page says about itself.
fn headers(page: &ProvenancePage) -> Vec<(HeaderName, String)> {
    let ProvenancePage { head: LogPosition { position, event_id }, next, detail, .. } = page;
    let mut headers = vec![(HEAD, format!("{position}:{event_id}")), (DETAIL, detail.to_string())];
    headers.extend(next.as_ref().map(|next| (NEXT, next.to_string())));
    let limits = page.limits();
    if !limits.is_empty() {
        headers.push((LIMITS, limits.join(", ")));
    }
    headers
}
