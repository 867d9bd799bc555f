//! Bar charts as SVG. The stylesheet sets the colours, light or dark. Texts are outside the SVG, readable at any width and by
//! screen readers.

use jiff::Timestamp;
use maud::{Markup, html};

use super::text::{many, number, range, time};
use crate::projections::metrics::Bucket;

/// The size of a chart in SVG units. The SVG is stretched to the available width.
const BAR_WIDTH: usize = 10;
const HEIGHT: u64 = 100;

/// Draws buckets as bars. A bar that is not empty links to `link`; `odd` bars are highlighted.
pub(super) fn bars(
    buckets: &[Bucket],
    odd: impl Fn(&Bucket) -> bool,
    link: impl Fn(Timestamp, Timestamp) -> String,
) -> Markup {
    let max = buckets.iter().map(|bucket| bucket.total).max().unwrap_or(0).max(1);
    let total: u64 = buckets.iter().map(|bucket| bucket.total).sum();
    let width = buckets.len().max(1) * BAR_WIDTH;
    let (Some(first), Some(last)) = (buckets.first(), buckets.last()) else { return html! {} };
    html! {
        figure.chart.sheet {
            figcaption {
                span { (many(total, "event")) " in " (many(buckets.len() as u64, "interval")) }
                span { "maximum " (number(max)) " in one interval" }
            }
            // Hidden from screen readers: the table below has the same data.
            svg viewBox={ "0 0 " (width) " " (HEIGHT) } preserveAspectRatio="none" aria-hidden="true" {
                @for y in [0, HEIGHT / 2, HEIGHT] {
                    line.grid x1="0" x2=(width) y1=(y) y2=(y) {}
                }
                @for (n, bucket) in buckets.iter().enumerate().filter(|(_, bucket)| bucket.total > 0) {
                    @let height = (bucket.total * HEIGHT / max).max(1);
                    a href=(link(bucket.from, bucket.until)) tabindex="-1" {
                        title { (number(bucket.total)) " · " (range(bucket.from, bucket.until)) }
                        rect.hit x=(n * BAR_WIDTH) y="0" width=(BAR_WIDTH) height=(HEIGHT) {}
                        rect.bar.odd[odd(bucket)] x=(n * BAR_WIDTH + 1) y=(HEIGHT - height) width=(BAR_WIDTH - 2) height=(height) {}
                    }
                }
            }
            div.ends { span { (time(first.from, "minute")) } span { (time(last.until, "minute")) } }
            details {
                summary { "Show as a table" }
                div.scroll {
                    table.list {
                        thead { tr { th scope="col" { "From" } th scope="col" { "Until" } th.number scope="col" { "Events" } } }
                        tbody {
                            @for bucket in buckets.iter().filter(|bucket| bucket.total > 0) {
                                tr {
                                    td { (time(bucket.from, "second")) }
                                    td { (time(bucket.until, "second")) }
                                    td.number { a href=(link(bucket.from, bucket.until)) { (number(bucket.total)) } }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// A share of a total, as a thin bar.
pub(super) fn share(part: u64, total: u64) -> Markup {
    let width = part.saturating_mul(1_000).checked_div(total).unwrap_or(0).clamp(4, 1_000);
    html! {
        svg viewBox="0 0 1000 4" preserveAspectRatio="none" aria-hidden="true" {
            rect width="1000" height="4" {}
            rect width=(width) height="4" {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_interval_with_events_is_a_bar_that_links_to_them() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let bucket = |n: i64, total| Bucket { from: at(60 * n), until: at(60 * n + 60), total };
        let buckets = [bucket(0, 5), bucket(1, 0), bucket(2, 1_000)];
        let link = |from: Timestamp, _| format!("?from={from}&x=\"");
        let drawn = bars(&buckets, |bucket| bucket.total > 500, link).into_string();
        assert_eq!(drawn.matches("class=\"bar\"").count(), 1);
        assert_eq!(drawn.matches("class=\"bar odd\"").count(), 1);
        assert!(drawn.contains("?from=1970-01-01T00:00:00Z&amp;x=&quot;"), "{drawn}");
        assert!(drawn.contains("maximum 1,000") && drawn.contains("1,005 events"), "{drawn}");
        assert!(bars(&[], |_| false, link).into_string().is_empty());
    }
}
