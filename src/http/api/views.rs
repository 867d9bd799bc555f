//! The application's own views.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::aggregates::At;
use super::{After, check_max};
use crate::events::LogPosition;
use crate::http::{AppState, Caller, NoParams, PathParams, Problem, QueryParams};
use crate::projections::{FieldKind, Listing, ViewCounts, ViewCursor, ViewFilterParams};

/// Headers that say of which moment a document is.
const POSITION: HeaderName = HeaderName::from_static("annals-position");
const RECORDED_AT: HeaderName = HeaderName::from_static("annals-recorded-at");

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(all)).routes(routes!(list)).routes(routes!(one)).routes(routes!(counts))
}

/// The description of a view.
#[derive(Debug, Serialize, ToSchema)]
struct ViewDescription {
    /// The name.
    name: String,
    /// The fields to filter and sort by.
    fields: Vec<FieldDescription>,
}

#[derive(Debug, Serialize, ToSchema)]
struct FieldDescription {
    /// The name.
    name: &'static str,
    /// Whether the values are integers; otherwise they are text.
    number: bool,
}

/// A page of documents.
#[derive(Debug, Serialize, ToSchema)]
struct Documents {
    /// The documents, in the requested order.
    documents: Vec<KeyedDocument>,
    /// The cursor of the next page, if there are more.
    next: Option<String>,
    /// The log position that the documents reflect.
    head: LogPosition,
}

#[derive(Debug, Serialize, ToSchema)]
struct KeyedDocument {
    /// The document's key.
    key: String,
    /// The document.
    document: Value,
}

/// Order and page of a list. The names are those of the command line.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default)]
struct ListParams {
    /// Sort by this field
    order: Option<String>,
    /// Descending order
    descending: bool,
    /// Maximum number of documents [default: 100]
    #[param(minimum = 1, maximum = 10_000)]
    limit: Option<usize>,
    /// The `next` of the previous page, with the same filters and order
    #[param(value_type = Option<String>, pattern = "^([0-9a-f]{2})+$")]
    cursor: Option<String>,
}

impl ListParams {
    fn listing(&self, filters: &ViewFilterParams) -> Result<Listing, Problem> {
        if self.limit == Some(0) {
            return Err(Problem::malformed("`limit` must be at least 1"));
        }
        check_max("limit", self.limit, 10_000)?;
        let mut listing = filters.listing()?;
        listing = self.order.iter().fold(listing, |listing, order| listing.order(order));
        listing = if self.descending { listing.descending() } else { listing };
        listing = self.limit.into_iter().fold(listing, Listing::limit);
        continued(listing, self.cursor.as_deref())
    }
}

/// Which values to count, and where their page begins.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default)]
struct CountParams {
    /// Also count the documents with each value of this field
    by: Option<String>,
    /// Maximum number of values [default: 100]
    #[param(minimum = 1, maximum = 1_000)]
    limit: Option<usize>,
    /// The `next` of the previous page, with the same filters and field
    #[param(value_type = Option<String>, pattern = "^([0-9a-f]{2})+$")]
    cursor: Option<String>,
}

fn continued(listing: Listing, cursor: Option<&str>) -> Result<Listing, Problem> {
    match cursor {
        Some(cursor) => Ok(listing.cursor(&cursor.parse::<ViewCursor>()?)),
        None => Ok(listing),
    }
}

/// List all views
#[utoipa::path(
    get, path = "/views", operation_id = "list_views", tag = "views",
    responses((status = OK, body = Vec<ViewDescription>, description = "The views"))
)]
async fn all(
    State(state): State<AppState>,
    caller: Caller,
    _: QueryParams<NoParams>,
) -> Result<Json<Vec<ViewDescription>>, Problem> {
    caller.catalogue().await?;
    let views = state.annals().document_views().map(|reading| ViewDescription {
        name: reading.name().to_owned(),
        fields: reading
            .fields()
            .iter()
            .map(|field| FieldDescription { name: field.name, number: field.kind == FieldKind::Number })
            .collect(),
    });
    Ok(Json(views.collect()))
}

/// List the documents of a view
#[utoipa::path(
    get, path = "/views/{name}", operation_id = "list_documents", tag = "views",
    params(("name" = String, Path), ListParams, ViewFilterParams, After),
    responses(
        (status = OK, body = Documents, description = "The documents, and the cursor of the next page"),
        (status = NOT_FOUND, description = "The view does not exist"),
    )
)]
async fn list(
    caller: Caller,
    PathParams(name): PathParams<String>,
    QueryParams(params, filters, after): QueryParams<ListParams, ViewFilterParams, After>,
) -> Result<Json<Documents>, Problem> {
    let listing = params.listing(&filters)?;
    let view = caller.view(&name, None).await?;
    let view = after.head().into_iter().fold(view, |view, head| view.after(head));
    let page = view.list(&listing).await?;
    Ok(Json(Documents {
        documents: page.documents.into_iter().map(|(key, document)| KeyedDocument { key, document }).collect(),
        next: page.next.map(|next| next.to_string()),
        head: page.at,
    }))
}

/// Get a document of a view
///
/// As it is, or with `at` as it was: then it is made of the log's events up to that moment, which takes at most 10 seconds, and it
/// needs the right to read the audit log in full too: of the thing that the key names, or of everything.
#[utoipa::path(
    get, path = "/views/{name}/{key}", operation_id = "get_document", tag = "views",
    params(("name" = String, Path), ("key" = String, Path), At, After),
    responses(
        (
            status = OK, body = Value, description = "The document",
            headers(
                ("Annals-Position" = u64, description = "With `at`: the position of the last event up to the moment"),
                ("Annals-Recorded-At" = String, description = "With `at`: when that event was recorded"),
            )
        ),
        (status = NOT_FOUND, description = "The view or the document does not exist"),
    )
)]
async fn one(
    caller: Caller,
    PathParams((name, key)): PathParams<(String, String)>,
    QueryParams(At { at }, after, ..): QueryParams<At, After>,
) -> Result<(HeaderMap, Json<Value>), Problem> {
    let missing = || Problem::not_found(format!("the view `{name}` has no document `{}`", key.escape_debug()));
    let Some(at) = at else {
        let view = caller.view(&name, Some(&key)).await?;
        let view = after.head().into_iter().fold(view, |view, head| view.after(head));
        return Ok((HeaderMap::new(), Json(view.get(&key).await?.ok_or_else(missing)?)));
    };
    if after.head().is_some() {
        return Err(Problem::malformed("`at` and `after` exclude each other").with("parameter", "after"));
    }
    let found = caller.document_at(&name, &key, at).await?;
    let mut headers = HeaderMap::from_iter([(POSITION, found.position().into())]);
    if let Some(time) = found.recorded_at()
        && let Ok(time) = HeaderValue::try_from(time.to_string())
    {
        headers.insert(RECORDED_AT, time);
    }
    let gone = || Problem::not_found(format!("{} at position {}", missing().detail(), found.position()));
    let document = (*found).clone().ok_or_else(gone)?;
    Ok((headers, Json(document)))
}

/// Count the documents of a view
#[utoipa::path(
    get, path = "/view-counts/{name}", operation_id = "count_documents", tag = "views",
    params(("name" = String, Path), CountParams, ViewFilterParams, After),
    responses((status = OK, body = ViewCounts, description = "The counts"), (status = NOT_FOUND, description = "The view does not exist"))
)]
async fn counts(
    caller: Caller,
    PathParams(name): PathParams<String>,
    QueryParams(params, filters, after): QueryParams<CountParams, ViewFilterParams, After>,
) -> Result<Json<ViewCounts>, Problem> {
    if params.limit == Some(0) {
        return Err(Problem::malformed("`limit` must be at least 1"));
    }
    check_max("limit", params.limit, 1_000)?;
    let listing = continued(filters.listing()?, params.cursor.as_deref())?;
    let listing = params.limit.into_iter().fold(listing, Listing::limit);
    let view = caller.view(&name, None).await?;
    let view = after.head().into_iter().fold(view, |view, head| view.after(head));
    Ok(Json(view.count(&listing, params.by.as_deref()).await?))
}
