//! The process of one measurement.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::measure::{in_words, measure};
use crate::{BoxError, Competitor, Filled, Job, LeftOut, Reply, Task};

/// Runs a job, given as JSON, and prints the reply as one line of JSON. `open` opens the competitor.
pub async fn serve<F>(job: &str, open: F) -> ExitCode
where
    F: AsyncFnOnce(&Job) -> Result<Arc<dyn Competitor>, BoxError>,
{
    let reply = match serde_json::from_str::<Job>(job) {
        Ok(job) => carry_out(&job, open).await.unwrap_or_else(|error| match error.downcast_ref::<LeftOut>() {
            Some(LeftOut(why)) => Reply::LeftOut(why.clone()),
            None => Reply::Failed(in_words(&*error)),
        }),
        Err(error) => Reply::Failed(format!("the job cannot be read: {error}")),
    };
    match serde_json::to_string(&reply) {
        Ok(line) => {
            println!("{line}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("the reply cannot be written: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn carry_out<F>(job: &Job, open: F) -> Result<Reply, BoxError>
where
    F: AsyncFnOnce(&Job) -> Result<Arc<dyn Competitor>, BoxError>,
{
    let competitor = open(job).await?;
    let reply = match job.task {
        Task::Append(load) => Reply::Appended(measure(competitor.clone(), load).await?),
        Task::Fill { events, accounts } => {
            let began = Instant::now();
            competitor.fill(events, accounts).await?;
            let seconds = began.elapsed().as_secs_f64();
            Reply::Filled(Filled { events: competitor.events().await?, seconds })
        }
        Task::Rebuild { seconds } => Reply::Rebuilt(competitor.rebuild(Duration::from_secs(seconds)).await?),
        Task::Follow { seconds } => Reply::Followed(competitor.follow(Duration::from_secs(seconds)).await?),
    };
    competitor.close().await;
    Ok(reply)
}
