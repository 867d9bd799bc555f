//! annals through its public interface: typed commands, with or without running projections (audit log, metrics, one view).

use std::sync::Arc;
use std::time::{Duration, Instant};

use annals::access::{Access, GrantAccess};
use annals::app::OpenError;
use annals::commands::{Envelope, ExecuteError};
use annals::prelude::*;
use annals::store::StoreError;
use annals_bench_driver::{
    BoxError, Call, Competitor, Followed, Latencies, LeftOut, Posting, Rebuilt, account_name, peak_memory,
};
use async_trait::async_trait;
use futures::{StreamExt, stream};
use tokio::sync::mpsc;

use super::bank::{AccountId, Deposit, Totals, app};

/// Events per command, and commands in flight, to fill a log for a rebuild.
const FILL_EVENTS: u64 = 5;
const FILL_WINDOW: usize = 1_024;

/// Events per page, to count them.
const PAGE: usize = 10_000;

/// How annals is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variant {
    /// Without running projections.
    Plain,
    /// With all projections running.
    Following,
    /// Without running projections; one grant in the log allows the commands of all callers.
    Access,
}

struct Contender {
    annals: Annals,
    context: Context,
    following: bool,
    /// The position after which the log has the events of the commands.
    start: u64,
}

/// Opens the application on a store.
pub async fn open(url: &str, variant: Variant) -> Result<Arc<dyn Competitor>, BoxError> {
    let owner = Ref::new("user", "owner")?;
    let opened = match variant {
        Variant::Plain => app().open_without_following(url).await,
        Variant::Following => app().open(url).await,
        Variant::Access => app().access(Access::new().owner(owner.clone())).open_without_following(url).await,
    };
    let annals = match opened {
        Err(OpenError::Store(StoreError::UnknownUrl(_))) => {
            return Err(LeftOut("this annals has no store on PostgreSQL".to_owned()).into());
        }
        opened => opened?,
    };
    let bench = Ref::new("user", "bench")?;
    let mut start = 0;
    if variant == Variant::Access {
        let grant = GrantAccess::new(bench.clone(), vec!["execute deposit account:*".parse()?], "a measurement");
        start = annals.execute(grant, &Context::by(owner)).await?.head.position;
    }
    let (context, following) = (Context::by(bench), variant == Variant::Following);
    Ok(Arc::new(Contender { annals, context, following, start }))
}

fn deposit(account: String, postings: Vec<Posting>) -> Deposit {
    Deposit { account: AccountId::new(account), payments: postings.into_iter().map(Into::into).collect() }
}

#[async_trait]
impl Competitor for Contender {
    async fn command(&self, call: &Call) -> Result<u64, BoxError> {
        let mut retries = 0;
        loop {
            let command = deposit(call.account_name(), call.postings());
            match self.annals.execute(command, &self.context).await {
                Ok(_) => return Ok(retries),
                Err(ExecuteError::Conflict { attempts }) => retries += u64::from(attempts),
                Err(error) => return Err(error.into()),
            }
        }
    }

    async fn events(&self) -> Result<u64, BoxError> {
        let (mut after, mut count) = (self.start, 0);
        loop {
            let page = self.annals.events(after, PAGE).await?;
            let Some(last) = page.events.last() else { return Ok(count) };
            after = last.position;
            count += page.events.len() as u64;
        }
    }

    async fn lag(&self) -> Result<Option<u64>, BoxError> {
        if !self.following {
            return Ok(None);
        }
        let mut lag = 0;
        for status in self.annals.projections().await? {
            if status.is_stopped() {
                return Err(format!("the projection {} is {}", status.name, status.state).into());
            }
            lag = lag.max(status.lag);
        }
        Ok(Some(lag))
    }

    async fn fill(&self, events: u64, accounts: u64) -> Result<(), BoxError> {
        let commands = (0..events / FILL_EVENTS).map(|number| {
            let postings = (0..FILL_EVENTS as usize).map(|index| Posting::new(0, number, index)).collect();
            Envelope::new(deposit(account_name(number % accounts), postings), self.context.clone())
        });
        let mut answers = self.annals.execute_all(stream::iter(commands), FILL_WINDOW).boxed();
        while let Some(answer) = answers.next().await {
            answer?;
        }
        Ok(())
    }

    async fn rebuild(&self, bound: Duration) -> Result<Rebuilt, BoxError> {
        let began = Instant::now();
        let rebuild = self.annals.rebuild(Totals::NAME)?;
        let progress = rebuild.progress();
        let whole = match tokio::time::timeout(bound, rebuild).await {
            Ok(result) => result.map(|_| true)?,
            Err(_) => false,
        };
        let seconds = began.elapsed().as_secs_f64();
        let peak_mb = peak_memory();
        let events = progress.borrow().position;
        let counted = if whole { self.counted().await? } else { events };
        Ok(Rebuilt { events, seconds, whole, counted, peak_mb })
    }

    async fn follow(&self, time: Duration) -> Result<Followed, BoxError> {
        let mut latencies = Latencies::default();
        let began = Instant::now();
        for number in 0.. {
            if began.elapsed() >= time / 2 {
                break;
            }
            let name = account_name(number % 1_000);
            let posting = Posting::new(0, number, 0);
            let receipt = self.annals.execute(deposit(name.clone(), vec![posting]), &self.context).await?;
            let committed = Instant::now();
            let seen = self.annals.view::<Totals>(&AccountId::new(name)).after(receipt).await?;
            latencies.record(committed.elapsed());
            let seen = seen.map_or(0, |totals| totals.events);
            if seen != number / 1_000 + 1 {
                return Err(format!("the view shows {seen} events after {}", number / 1_000 + 1).into());
            }
        }
        let unasked = self.unasked(time / 2).await?;
        Ok(Followed {
            commands: latencies.count() + unasked.count(),
            p50: latencies.quantile(0.5),
            p99: latencies.quantile(0.99),
            unasked_p50: unasked.quantile(0.5),
            unasked_p99: unasked.quantile(0.99),
        })
    }

    async fn close(&self) {
        self.annals.close().await;
    }
}

impl Contender {
    /// Writes without reads: the time from each receipt until the view contains the event.
    async fn unasked(&self, time: Duration) -> Result<Latencies, BoxError> {
        let mut progress = self.annals.reading(Totals::NAME)?.progress();
        let (answers, mut answered) = mpsc::unbounded_channel::<(u64, Instant)>();
        let seen = tokio::spawn(async move {
            let mut latencies = Latencies::default();
            while let Some((position, since)) = answered.recv().await {
                if progress.wait_for(|at| at.position >= position).await.is_err() {
                    break;
                }
                latencies.record(since.elapsed());
            }
            latencies
        });
        let began = Instant::now();
        for number in 0.. {
            if began.elapsed() >= time {
                break;
            }
            let posting = Posting::new(0, number, 0);
            let command = deposit(account_name(number % 1_000), vec![posting]);
            let receipt = self.annals.execute(command, &self.context).await?;
            answers.send((receipt.head.position, Instant::now()))?;
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        drop(answers);
        Ok(seen.await?)
    }

    /// The number of events in the view, over all its documents.
    async fn counted(&self) -> Result<u64, BoxError> {
        let (mut last, mut counted) = (None, 0);
        loop {
            let page = self.annals.views::<Totals>().page(PAGE, last.as_ref()).await?;
            counted += page.documents.iter().map(|(_, totals)| totals.events).sum::<u64>();
            match page.documents.into_iter().next_back() {
                Some((key, _)) if page.more => last = Some(key),
                _ => return Ok(counted),
            }
        }
    }
}

/// The description of a store: durability and place.
pub async fn describe(url: &str) -> Result<String, BoxError> {
    let annals = app().open_without_following(url).await?;
    let words = annals.store().describe();
    annals.close().await;
    Ok(words)
}
