//! Charts: drawn here, as SVG. The stylesheet colours them, light or dark, and words stand beside them, not in them: so
//! they are read at any width, by any reader.

use jiff::Timestamp;
use maud::{Markup, html};

use super::words::{number, range, time};
use crate::projections::metrics::Bucket;

/// The units of a chart: it is stretched to the place that it has.
const SLICE: usize = 10;
const HIGH: u64 = 100;

/// Buckets as bars; each that is not empty leads to where `link` says. `odd` ones stand out.
pub(super) fn bars(
    buckets: &[Bucket],
    odd: impl Fn(&Bucket) -> bool,
    link: impl Fn(Timestamp, Timestamp) -> String,
) -> Markup {
    let most = buckets.iter().map(|bucket| bucket.total).max().unwrap_or(0).max(1);
    let total: u64 = buckets.iter().map(|bucket| bucket.total).sum();
    let wide = buckets.len().max(1) * SLICE;
    let (Some(first), Some(last)) = (buckets.first(), buckets.last()) else { return html! {} };
    html! {
        figure.chart.sheet {
            figcaption {
                span { (number(total)) " events in " (buckets.len()) " slices of time" }
                span { "at most " (number(most)) " in one" }
            }
            // For eyes; the table below says the same.
            svg viewBox={ "0 0 " (wide) " " (HIGH) } preserveAspectRatio="none" aria-hidden="true" {
                @for height in [0, HIGH / 2, HIGH] {
                    line.grid x1="0" x2=(wide) y1=(height) y2=(height) {}
                }
                @for (n, bucket) in buckets.iter().enumerate().filter(|(_, bucket)| bucket.total > 0) {
                    @let high = (bucket.total * HIGH / most).max(1);
                    a href=(link(bucket.from, bucket.until)) tabindex="-1" {
                        title { (number(bucket.total)) " · " (range(bucket.from, bucket.until)) }
                        rect.hit x=(n * SLICE) y="0" width=(SLICE) height=(HIGH) {}
                        rect.bar.odd[odd(bucket)] x=(n * SLICE + 1) y=(HIGH - high) width=(SLICE - 2) height=(high) {}
                    }
                }
            }
            div.ends { span { (time(first.from, "minute")) } span { (time(last.until, "minute")) } }
            details {
                summary { "The same as a table" }
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

/// A share of a whole, as a line.
pub(super) fn share(part: u64, whole: u64) -> Markup {
    let wide = part.saturating_mul(1_000).checked_div(whole).unwrap_or(0).clamp(4, 1_000);
    html! {
        svg viewBox="0 0 1000 4" preserveAspectRatio="none" aria-hidden="true" {
            rect width="1000" height="4" {}
            rect width=(wide) height="4" {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_slice_with_events_is_a_bar_that_leads_to_them() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let bucket = |n: i64, total| Bucket { from: at(60 * n), until: at(60 * n + 60), total };
        let buckets = [bucket(0, 5), bucket(1, 0), bucket(2, 1_000)];
        let link = |from: Timestamp, _| format!("?from={from}&x=\"");
        let drawn = bars(&buckets, |bucket| bucket.total > 500, link).into_string();
        assert_eq!(drawn.matches("class=\"bar\"").count(), 1);
        assert_eq!(drawn.matches("class=\"bar odd\"").count(), 1);
        assert!(drawn.contains("?from=1970-01-01T00:00:00Z&amp;x=&quot;"), "{drawn}");
        assert!(drawn.contains("at most 1,000") && drawn.contains("1,005 events"), "{drawn}");
        assert!(bars(&[], |_| false, link).into_string().is_empty());
    }
}
