//! The application's own views.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{After, at_most};
use crate::events::LogPosition;
use crate::http::{Asker, At, Nothing, Params, Problem, Shared};
use crate::projections::{FieldKind, Listing, ViewCursor};

pub(super) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(all)).routes(routes!(list)).routes(routes!(one))
}

/// A view of the application's own.
#[derive(Debug, Serialize, ToSchema)]
struct ViewDescribed {
    /// Its name.
    name: String,
    /// The fields that it can be filtered and ordered by.
    fields: Vec<FieldDescribed>,
}

#[derive(Debug, Serialize, ToSchema)]
struct FieldDescribed {
    /// Its name.
    name: &'static str,
    /// Whether its values are whole numbers; else they are text.
    number: bool,
}

/// A page of documents.
#[derive(Debug, Serialize, ToSchema)]
struct Documents {
    /// The documents, in the order asked for.
    documents: Vec<Keyed>,
    /// Where the next page begins, if there are more.
    next: Option<String>,
    /// The place in the log that they are true at.
    head: LogPosition,
}

#[derive(Debug, Serialize, ToSchema)]
struct Keyed {
    /// The document's key.
    key: String,
    /// The document.
    document: Value,
}

/// Which documents, in the words that the command line has.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default)]
struct Asked {
    /// Only documents of which this field has this value: FIELD=VALUE; several: all of them
    #[param(pattern = "^[a-z][a-z0-9_]*=[^\\x00]*$")]
    filter: Vec<String>,
    /// In the order of this field
    order: Option<String>,
    /// The other way round
    descending: bool,
    /// At most so many [default: 100]
    #[param(minimum = 1, maximum = 10_000)]
    limit: Option<usize>,
    /// Go on from a page: the same filters and order again
    #[param(value_type = Option<String>, pattern = "^([0-9a-f]{2})+$")]
    cursor: Option<String>,
}

impl Asked {
    fn listing(&self) -> Result<Listing, Problem> {
        if self.limit == Some(0) {
            return Err(Problem::malformed("a limit of 0 asks for nothing: give 1 or more, or leave it out"));
        }
        at_most("limit", self.limit, 10_000)?;
        let mut listing = Listing::default();
        for filter in &self.filter {
            let none =
                || Problem::malformed(format!("`{}` is no filter: write FIELD=VALUE", filter.escape_debug()));
            let (field, value) = filter.split_once('=').ok_or_else(none)?;
            listing = listing.filter(field, value);
        }
        listing = self.order.iter().fold(listing, |listing, order| listing.order(order));
        listing = if self.descending { listing.descending() } else { listing };
        listing = self.limit.into_iter().fold(listing, Listing::limit);
        if let Some(cursor) = &self.cursor {
            let cursor: ViewCursor = cursor.parse().map_err(Problem::from)?;
            listing = listing.cursor(&cursor);
        }
        Ok(listing)
    }
}

/// The views
#[utoipa::path(get, path = "/views", tag = "views", responses((status = OK, body = Vec<ViewDescribed>)))]
async fn all(State(shared): State<Shared>, _: Asker, _: Params<Nothing>) -> Json<Vec<ViewDescribed>> {
    let views = shared.annals().document_views().map(|reading| ViewDescribed {
        name: reading.name().to_owned(),
        fields: reading
            .fields()
            .iter()
            .map(|field| FieldDescribed { name: field.name, number: field.kind == FieldKind::Number })
            .collect(),
    });
    Json(views.collect())
}

/// The documents of a view
#[utoipa::path(
    get, path = "/views/{name}", tag = "views", params(("name" = String, Path), Asked, After),
    responses((status = OK, body = Documents), (status = NOT_FOUND, description = "There is no such view"))
)]
async fn list(
    asker: Asker,
    At(name): At<String>,
    Params(asked, after, _): Params<Asked, After>,
) -> Result<Json<Documents>, Problem> {
    let listing = asked.listing()?;
    let view = asker.view(&name, None).await?;
    let view = after.head().into_iter().fold(view, |view, head| view.after(head));
    let page = view.list(&listing).await?;
    Ok(Json(Documents {
        documents: page.documents.into_iter().map(|(key, document)| Keyed { key, document }).collect(),
        next: page.next.map(|next| next.to_string()),
        head: page.at,
    }))
}

/// One document of a view
#[utoipa::path(
    get, path = "/views/{name}/{key}", tag = "views",
    params(("name" = String, Path), ("key" = String, Path), After),
    responses((status = OK, body = Value), (status = NOT_FOUND, description = "There is no such view or document"))
)]
async fn one(
    asker: Asker,
    At((name, key)): At<(String, String)>,
    Params(after, ..): Params<After>,
) -> Result<Json<Value>, Problem> {
    let view = asker.view(&name, Some(&key)).await?;
    let view = after.head().into_iter().fold(view, |view, head| view.after(head));
    let none = || Problem::not_found(format!("`{name}` has no document `{}`", key.escape_debug()));
    Ok(Json(view.get(&key).await?.ok_or_else(none)?))
}
