//! Counts and metrics.

use annals::prelude::*;
use annals::projections::metrics::MetricQuery;
use annals_bench_driver::BoxError;
use jiff::SignedDuration;

use super::shape::{ACTORS, AREAS, TYPES};
use super::timing::{Times, times};

/// The topic for a number.
type TopicOf = fn(u64) -> String;

/// Runs all queries.
pub async fn ask(annals: &Annals, numbers: &mut Vec<(String, Times)>) -> Result<(), BoxError> {
    let head = annals.store().head().await?.position;
    let mut note = |title: &str, times: Times| {
        eprintln!("  {title}: {:.2}/{:.2} ms", times.p50, times.p99);
        numbers.push((title.to_owned(), times));
    };
    let area = |n: u64| format!("area_{}", n % AREAS);
    note("count with facets: a topic", times(async |n| Ok(annals.audit().topic(area(n)).count().await?)).await?);
    let rare = |n: u64| format!("user:actor-{}", ACTORS - 1 - n % (ACTORS / 10));
    note(
        "count with facets: an actor of the last tenth",
        times(async |n| Ok(annals.audit().actor(rare(n)).count().await?)).await?,
    );
    let active = |n: u64| format!("user:actor-{}", n % 10);
    note(
        "count with facets: active actor and topic",
        times(async |n| Ok(annals.audit().actor(active(n)).topic(area(n)).count().await?)).await?,
    );
    note(
        "count with facets: a text",
        times(async |_| Ok(annals.audit().text("a note").limit(1_000).count().await?)).await?,
    );

    let topics: [(&str, TopicOf); 3] = [
        ("all topics", |_| "/".to_owned()),
        ("a topic", |n| format!("area_{}", n % AREAS)),
        ("a topic of the last tenth", |n| {
            format!("area_{}/kind_{}", (TYPES - 1 - n % 50) % AREAS, TYPES - 1 - n % 50)
        }),
    ];
    for (title, topic) in topics {
        let whole = |n: u64| annals.metric(&topic(n));
        // A random range.
        let range = |n: u64| -> MetricQuery {
            let from = 1 + n % (head / 2);
            whole(n).between(from, from + 1 + (n >> 20) % (head / 2))
        };
        for (place, query) in [("the whole log", &whole as &dyn Fn(u64) -> MetricQuery), ("any range", &range)] {
            let title = |what: &str| format!("{what}: {title}, {place}");
            note(&title("totals, types, actions, rates"), times(async |n| Ok(query(n).await?)).await?);
            note(&title("busiest and distinct"), times(async |n| Ok(query(n).busiest(10).await?)).await?);
            note(&title("60 slices"), times(async |n| Ok(query(n).buckets(60).await?)).await?);
        }
        note(
            &format!("anomalies in 60 slices: {title}"),
            times(async |n| {
                let until = annals.metric(&topic(n)).await?.until;
                // The last whole minute of the log, in slices of a second.
                let from = until - SignedDuration::from_secs(61);
                let query = whole(n).from(annals::projections::RangeBound::Time(from));
                Ok(query.anomalies(SignedDuration::from_secs(1)).await?)
            })
            .await?,
        );
    }
    Ok(())
}
