//! What the audit costs (Mission D17): data requests over HTTP to two boxes, one of which records reads.

use std::time::{Duration, Instant};

use annals::access::GrantAccess;
use annals::http::Authentication;
use annals::prelude::*;
use annals::tokens::Keys;
use futures::{StreamExt, stream};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::apps::AppId;
use crate::owner;
use crate::programs::Client;
use crate::sources::{Keeps, OpenStore, RegisterSource, SourceId, StoreId, Values, WriteValue};

/// Requests of one box before it is the other one's turn, so that other load affects both.
const TURN: usize = 50;

/// Commands at a time while a box is filled.
const WINDOW: usize = 256;

/// A box that serves an app.
struct DataBox {
    annals: Annals,
    client: Client,
    serving: JoinHandle<std::io::Result<()>>,
    _directory: tempfile::TempDir,
}

/// Measures both boxes in alternating turns, and prints a table. First each source is read once: each read is a record. Then again:
/// equal reads of ten minutes are one record.
pub(super) async fn measure(sources: u32) -> Result<(), BoxError> {
    let without = DataBox::start(crate::unrecorded(), sources).await?;
    let with = DataBox::start(crate::app(), sources).await?;
    println!("{sources} data requests of each kind, one after the other, over HTTP with a token, on SQLite");
    println!(
        "{:24}{:>14}{:>14}{:>9}{:>14}{:>14}{:>9}",
        "", "p50 without", "with", "ratio", "p99 without", "with", "ratio"
    );
    // To warm up, with reads that are records of their own.
    for one in [&without, &with] {
        for _ in 0..TURN {
            one.client.get("/views/apps/none").await.ok();
        }
    }
    for kind in ["each for the first time", "each again"] {
        let (mut off, mut on) = (Vec::new(), Vec::new());
        for turn in (0..sources as usize).collect::<Vec<_>>().chunks(TURN) {
            for (one, times) in [(&without, &mut off), (&with, &mut on)] {
                for source in turn {
                    let began = Instant::now();
                    one.client.get(&format!("/views/values/bench%2F{source}")).await?;
                    times.push(began.elapsed());
                }
            }
        }
        let row: Vec<String> = [50, 99].into_iter().map(|percent| cells(&mut off, &mut on, percent)).collect();
        println!("{kind:24}{}", row.concat());
    }
    let head = with.annals.store().head().await?.position;
    println!(
        "the log of the box with audit has {head} events, that without {}",
        without.annals.store().head().await?.position
    );
    with.close().await;
    without.close().await;
    Ok(())
}

/// A percentile of both, in microseconds, and their ratio.
fn cells(off: &mut [Duration], on: &mut [Duration], percent: usize) -> String {
    let of = |times: &mut [Duration]| {
        times.sort_unstable();
        times.get((times.len() * percent / 100).min(times.len().saturating_sub(1))).copied().unwrap_or_default()
    };
    let (off, on) = (of(off), of(on));
    let ratio = on.as_secs_f64() / off.as_secs_f64();
    format!("{:>11} µs{:>11} µs{ratio:>9.2}", off.as_micros(), on.as_micros())
}

impl DataBox {
    async fn start(app: App, sources: u32) -> Result<Self, BoxError> {
        let directory = tempfile::tempdir()?;
        let annals = app.open(&format!("sqlite://{}", directory.path().join("box.db").display())).await?;
        let (ann, reader, store) = (Context::by(owner()), AppId::new("reader"), StoreId::new("bench"));
        annals.execute(OpenStore { store: store.clone() }, &ann).await?;
        let fill = stream::iter(0..sources).map(|number| {
            let (annals, ann, store) = (&annals, &ann, store.clone());
            async move {
                let source = SourceId::new(format!("bench/{number}"));
                let (what, unit) = ("A measurement".to_owned(), "1".to_owned());
                let keeps = Keeps::Series;
                annals.execute(RegisterSource { source: source.clone(), store, keeps, what, unit }, ann).await?;
                annals.execute(WriteValue { source, value: f64::from(number), from: Vec::new() }, ann).await
            }
        });
        let mut filled = fill.buffer_unordered(WINDOW);
        while let Some(receipt) = filled.next().await {
            receipt?;
        }
        drop(filled);
        let grant = GrantAccess::new(reader.reference(), vec!["read values bench/*".parse()?], "to measure");
        annals.execute(grant, &ann).await?;
        let head = annals.store().head().await?;
        annals.reading(Values::NAME)?.caught_up(head, None).await?;
        let keys = Keys::generate();
        let grant = *annals.access_of(&reader.reference()).await?.grants().keys().next().ok_or("no grant")?;
        let itself = Context::by(&reader);
        let token = annals.issue_token(&keys, &reader.reference(), grant, None, "to measure", &itself).await?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let client = Client::new(format!("http://{}", listener.local_addr()?), token.text, reader);
        let authentication = Authentication::default().access_tokens(keys);
        let router = annals::http::router(annals.clone()).authentication(authentication).into_router();
        let serving = tokio::spawn(annals::http::serve(listener, router, std::future::pending()));
        Ok(Self { annals, client, serving, _directory: directory })
    }

    async fn close(self) {
        self.serving.abort();
        self.annals.close().await;
    }
}
