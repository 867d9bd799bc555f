//! [`cloud_events`]: events as CloudEvents, one by one.

use std::sync::Arc;

use super::cloudevents::cloud_event;
use super::items::for_each_item;
use super::{ExportError, Format};
use crate::events::{LogPosition, Types};
use crate::projections::audit::AuditPage;
use crate::projections::presenter::Presenter;
use crate::store::Store;

/// The JSON texts of the rows of a page, in their order: byte for byte those of an export with this source and presenter.
pub(crate) async fn cloud_events(
    log: &Arc<dyn Store>,
    types: &Arc<Types>,
    presenter: Option<&Presenter>,
    source: &str,
    page: &AuditPage,
) -> Result<Vec<String>, ExportError> {
    let mut texts = Vec::with_capacity(page.rows.len());
    let head: LogPosition = page.head;
    let presenter = presenter.map(|presenter| presenter.clone().detail(page.detail));
    for_each_item(log, types, presenter.as_ref(), page.detail, &page.rows, head, |item| {
        let position = item.row.position;
        let encode = |source| ExportError::Encode { position, format: Format::CloudEvents, source };
        texts.push(cloud_event(source, item).map_err(encode)?);
        Ok(())
    })
    .await?;
    Ok(texts)
}
