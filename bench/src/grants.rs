//! Measures how long a decision takes about the rights of a party with many grants.

use std::fmt::Write;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use annals::access::{Access, GrantAccess};
use annals::app::{AccessContext, Ask, Authorise, Denial};
use annals::commands::Envelope;
use annals::prelude::*;
use annals_bench_driver::{BoxError, Latencies, Posting, account_name};
use async_trait::async_trait;
use futures::{StreamExt, stream};

use crate::competitors::{AccountId, Deposit, app};

/// Numbers of grants of a party.
const GRANTS: [u64; 4] = [1, 100, 1_000, 10_000];
/// Decisions that are measured for each.
const DECISIONS: u64 = 3_000;
/// Decisions before that.
const WARM_UP: u64 = 200;

/// A step through the accounts, so that neighbours are not asked about one after the other.
const STEP: u64 = 7_919;

const HEAD: &str = "
## Decisions

Each party has so many grants, each of a right to one account. The decision about a command is taken twice, and the second time is
measured, with the record in the state cache. One caller, SQLite in memory. *Denied*: no grant allows it.

| grants of the party | allowed: p50 ms | p99 ms | denied: p50 ms | p99 ms |
|--:|--:|--:|--:|--:|
";

/// Asks access control again, and times its decisions: the one about the command, and one that it denies.
struct Timed {
    access: Access,
    times: Arc<Mutex<Times>>,
}

#[derive(Default)]
struct Times {
    allowed: Latencies,
    denied: Latencies,
}

#[async_trait]
impl Authorise for Timed {
    async fn authorise(&self, access: &AccessContext<'_>, ask: &Ask<'_>) -> Result<(), Denial> {
        let Ask::Command { name, .. } = ask else { return Ok(()) };
        let nobodys = [Ref::new("account", "nobody").map_err(|error| Denial::because(error.to_string()))?];
        let began = Instant::now();
        let decided = self.access.authorise(access, ask).await;
        let allowed = began.elapsed();
        let denied = self.access.authorise(access, &Ask::Command { name, on: &nobodys }).await;
        if denied.is_ok() && *access.actor() == party()? {
            return Err(Denial::because("a decision that should be denied was not"));
        }
        let denied = began.elapsed() - allowed;
        let mut times = self.times.lock().unwrap_or_else(PoisonError::into_inner);
        times.allowed.record(allowed);
        times.denied.record(denied);
        decided
    }
}

/// The party that has the grants.
fn party() -> Result<Ref, Denial> {
    Ref::new("user", "bench").map_err(|error| Denial::because(error.to_string()))
}

/// Measures parties with different numbers of grants. Returns the table.
pub async fn measure() -> Result<String, BoxError> {
    let mut text = HEAD.to_owned();
    for grants in GRANTS {
        eprint!("{grants} grants: ");
        let owner = Ref::new("user", "owner")?;
        let times = Arc::<Mutex<Times>>::default();
        let access = Access::new().owner(owner.clone());
        let timed = Timed { access: access.clone(), times: times.clone() };
        let annals = app().access(access).authorise(timed).open_without_following("sqlite::memory:").await?;
        grant(&annals, &owner, grants).await?;
        decide(&annals, grants, WARM_UP).await?;
        *times.lock().unwrap_or_else(PoisonError::into_inner) = Times::default();
        decide(&annals, grants, DECISIONS).await?;
        annals.close().await;
        let Times { allowed, denied } = &*times.lock().unwrap_or_else(PoisonError::into_inner);
        eprintln!("{} decisions, p99 {:.3} ms", allowed.count(), allowed.quantile(0.99));
        let cells =
            [allowed, denied].map(|times| format!("{:.3} | {:.3}", times.quantile(0.5), times.quantile(0.99)));
        writeln!(text, "| {grants} | {} |", cells.join(" | "))?;
    }
    Ok(text)
}

/// Grants the party a right to each of so many accounts.
async fn grant(annals: &Annals, owner: &Ref, grants: u64) -> Result<(), BoxError> {
    let mut commands = Vec::new();
    for number in 0..grants {
        let right = format!("execute deposit account:{}", account_name(number)).parse()?;
        let command = GrantAccess::new(party()?, vec![right], "a measurement");
        commands.push(Envelope::new(command, Context::by(owner.clone())));
    }
    let mut answers = annals.execute_all(stream::iter(commands), 64).boxed();
    while let Some(answer) = answers.next().await {
        answer?;
    }
    Ok(())
}

/// Executes so many commands of the party on its accounts.
async fn decide(annals: &Annals, grants: u64, commands: u64) -> Result<(), BoxError> {
    let context = Context::by(party()?);
    for number in 0..commands {
        let payments = vec![Posting::new(0, number, 0).into()];
        let account = AccountId::new(account_name(number * STEP % grants));
        annals.execute(Deposit { account, payments }, &context).await?;
    }
    Ok(())
}
