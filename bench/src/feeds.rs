//! Measures what a feed costs the writers of its log, with a receiver that is there and with one that is away.

use std::fmt::Write;
use std::time::{Duration, Instant};

use annals::feeds::{Connection, Feed, FeedPosition, Message, Sent, Since, Sink, SinkError, Webhook};
use annals_bench_driver::BoxError;
use async_trait::async_trait;

use crate::arguments::Arguments;
use crate::catalogue::{self, Database};
use crate::reactions::{app, url, write};
use crate::session::Session;
use crate::table::median;

/// A receiver that confirms all at once.
struct There;

#[async_trait]
impl Sink for There {
    fn destination(&self) -> String {
        "this process".to_owned()
    }

    async fn connect(&self, _: &FeedPosition) -> Result<Box<dyn Connection>, SinkError> {
        Ok(Box::new(There))
    }
}

#[async_trait]
impl Connection for There {
    async fn send(&mut self, messages: &[Message]) -> Sent {
        Sent::all(messages)
    }
}

/// Nothing listens on this port.
fn away() -> Webhook {
    Webhook::new("http://127.0.0.1:9/").secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
}

/// Measures it on both stores. Returns the table.
pub async fn run(arguments: &Arguments) -> Result<String, BoxError> {
    let session = Session::start(arguments, &catalogue::chosen(&arguments.only)?).await?;
    let seconds = Duration::from_secs(arguments.seconds);
    let mut text = format!(
        "\n## Feeds\n\n64 callers on 1,000 aggregates for {} s, with the audit log and the metrics following; a feed of the whole log; \
         medians of {} runs, alternating. Drained: events/s from the last command until the receiver that is there has all.\n\n\
         | store | commands/s without a feed | the receiver is there | ratio | it is away | ratio | drained |\n\
         |--|--:|--:|--:|--:|--:|--:|\n",
        seconds.as_secs(),
        arguments.runs
    );
    for (name, database) in [("SQLite", Database::Sqlite), ("PostgreSQL", Database::Postgres)] {
        let measured = async {
            let (mut rates, mut drained) = ([const { Vec::new() }; 3], Vec::new());
            for _ in 0..arguments.runs {
                for (kind, rates) in rates.iter_mut().enumerate() {
                    // A fresh store is removed with its handle.
                    let fresh = session.fresh(database).await?;
                    let feed = || Feed::new("all").since(Since::Beginning);
                    let app = match kind {
                        0 => app(),
                        1 => app().feed(feed().to(There)),
                        _ => app().feed(feed().to(away())),
                    };
                    let annals = app.open(&url(&fresh, database)).await?;
                    let began = Instant::now();
                    let written = write(&annals, seconds).await?;
                    rates.push(written as f64 / began.elapsed().as_secs_f64());
                    if kind == 1 {
                        let (before, began) = (sent(&annals).await?, Instant::now());
                        while sent(&annals).await? < written {
                            tokio::time::sleep(Duration::from_millis(5)).await;
                        }
                        drained.push((written - before) as f64 / began.elapsed().as_secs_f64());
                    }
                    annals.close().await;
                }
            }
            let median = |rates| median(rates).unwrap_or_default();
            let ([alone, there, away], drained) = (rates.map(median), median(drained));
            let (with, without) = (there / alone, away / alone);
            Ok::<_, BoxError>(format!(
                "{name} | {alone:.0} | {there:.0} | {with:.2} | {away:.0} | {without:.2} | {drained:.0}"
            ))
        };
        match measured.await {
            Ok(cells) => writeln!(text, "| {cells} |")?,
            Err(why) => eprintln!("not on {name}: {why}"),
        }
    }
    session.clean_up().await;
    Ok(text)
}

/// The position of the last event that the receiver has.
async fn sent(annals: &annals::prelude::Annals) -> Result<u64, BoxError> {
    Ok(annals.feeds().await?.first().map_or(0, |status| status.last_sent))
}
