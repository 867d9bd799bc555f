//! How many documents fit into a page, by their size.

use crate::store::{Cell, Row, StoreError, ViewSnapshot};

/// The size of the documents of a page, in bytes, at which it ends. One document may be larger.
const PAGE_BYTES: i64 = 1 << 20;

/// Returns how many of the documents that `rows` selects, a statement from `FROM` on, fit into a page; at least 1.
pub(super) async fn fitting(
    rows: &str,
    parameters: Row,
    snapshot: &mut dyn ViewSnapshot,
) -> Result<usize, StoreError> {
    let sizes = snapshot.query(&format!("SELECT CAST(octet_length(body) AS BIGINT) {rows}"), parameters).await?;
    let mut room = PAGE_BYTES;
    let fit = sizes.iter().flatten().filter_map(Cell::integer).take_while(|size| {
        let fits = room > 0;
        room -= size;
        fits
    });
    Ok(fit.count().max(1))
}
