//! A process with callers and a stream of commands that execute by rights while these are withdrawn: see `revoking`.

use std::error::Error;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use annals::access::{Access, RevokeAccess};
use annals::commands::{Envelope, ExecuteError};
use annals::prelude::*;
use futures::{StreamExt, stream};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::bank::{self, by, deposit};
use crate::processes::say;

/// The callers of a process. One stream of commands comes on top.
const CALLERS: usize = 32;
/// All that execute commands in a process.
pub const WORKERS: u64 = CALLERS as u64 + 1;
/// Denied callers wait before they try again.
const AFTER_A_DENIAL: Duration = Duration::from_millis(50);
/// Rounds after which the same parties get rights again.
const SETS_OF_PARTIES: u64 = 5;

/// The bank, owned by alice.
pub fn app() -> App {
    bank::app().access(Access::new().owner(party("alice")))
}

pub fn party(name: &str) -> Ref {
    Ref::new("user", name).unwrap()
}

/// The name of a party in a round.
pub fn name(party: &str, round: u64) -> String {
    format!("{party}{}", round % SETS_OF_PARTIES)
}

/// How commands are executed in a round: by bob's right; by carol's, which bob passed on; by dave's on behalf of bob; by erin's,
/// which ends at a time; by frank's on behalf of erin.
fn contexts(round: u64) -> [Context; 5] {
    let [bob, carol, dave, erin, frank] = ["bob", "carol", "dave", "erin", "frank"].map(|party| name(party, round));
    [by(&bob), by(&carol), by(&dave).on_behalf_of(party(&bob)), by(&erin), by(&frank).on_behalf_of(party(&erin))]
}

/// Revokes a grant; with the same id as often as one likes.
pub async fn revoke(annals: &Annals, actor: &str, grantee: &str, grant: Uuid, id: Uuid) -> Receipt {
    let command = RevokeAccess::new(party(grantee), grant, "a race");
    annals.execute(command, &by(actor).command_id(id)).await.unwrap()
}

/// A round, as its workers share it.
struct Round {
    number: u64,
    /// The cents of each payment: they say which process paid.
    cents: i64,
    /// All rights have been withdrawn: each worker executes one more command.
    withdrawn: AtomicBool,
    answered: AtomicU64,
    paid: AtomicU64,
}

/// The answers that workers got.
#[derive(Default)]
struct Count {
    paid: u64,
    denied: u64,
    /// Denied commands that began after all rights had been withdrawn.
    after: u64,
    /// Payments that began then: there must be none.
    late: u64,
    conflicts: u64,
}

impl Count {
    /// Counts an answer to a command that began `after` all rights had been withdrawn, or before.
    fn add<E: Error>(&mut self, round: &Round, answer: &Result<Receipt, ExecuteError<E>>, after: bool) {
        match answer {
            Ok(_) => {
                self.paid += 1;
                self.late += u64::from(after);
                round.paid.fetch_add(1, Ordering::SeqCst);
            }
            Err(ExecuteError::Denied { .. }) => {
                self.denied += 1;
                self.after += u64::from(after);
            }
            Err(ExecuteError::Conflict { .. }) => {
                self.conflicts += 1;
                return;
            }
            Err(other) => panic!("{other}: {other:?}"),
        }
        if round.answered.fetch_add(1, Ordering::SeqCst) + 1 == 2 * WORKERS {
            say(format!("paying {} {}", round.number, round.paid.load(Ordering::SeqCst)));
        }
    }
}

/// Executes the parent's requests: `round N`, `revoke MILLISECONDS ACTOR GRANTEE GRANT ID`, `withdrawn`. Says `paying N PAID` after
/// two answers for each worker, and `done N PAID DENIED AFTER LATE CONFLICTS`.
pub async fn race(annals: &Annals, process: u64, mut lines: UnboundedReceiver<String>) {
    say("ready");
    let (mut round, mut workers, mut revocations) = (None, Vec::new(), Vec::new());
    while let Some(line) = lines.recv().await {
        let words: Vec<&str> = line.split(' ').collect();
        match words[0] {
            "round" => {
                let started = Arc::new(Round {
                    number: words[1].parse().unwrap(),
                    cents: 1 + process as i64,
                    withdrawn: AtomicBool::new(false),
                    answered: AtomicU64::new(0),
                    paid: AtomicU64::new(0),
                });
                workers = start(annals, process, &started);
                round = Some(started);
            }
            "revoke" => {
                let wait = Duration::from_millis(words[1].parse().unwrap());
                let (actor, grantee) = (words[2].to_owned(), words[3].to_owned());
                let (grant, id) = (words[4].parse().unwrap(), words[5].parse().unwrap());
                let annals = annals.clone();
                revocations.push(tokio::spawn(async move {
                    tokio::time::sleep(wait).await;
                    revoke(&annals, &actor, &grantee, grant, id).await;
                }));
            }
            "withdrawn" => {
                let round = round.take().expect("a round");
                round.withdrawn.store(true, Ordering::SeqCst);
                let mut all = Count::default();
                for worker in workers.drain(..) {
                    let Count { paid, denied, after, late, conflicts } = worker.await.unwrap();
                    all.paid += paid;
                    all.denied += denied;
                    all.after += after;
                    all.late += late;
                    all.conflicts += conflicts;
                }
                for revocation in revocations.drain(..) {
                    revocation.await.unwrap();
                }
                let Count { paid, denied, after, late, conflicts } = all;
                say(format!("done {} {paid} {denied} {after} {late} {conflicts}", round.number));
            }
            other => panic!("unknown request {other}"),
        }
    }
}

fn start(annals: &Annals, process: u64, round: &Arc<Round>) -> Vec<JoinHandle<Count>> {
    let contexts = contexts(round.number);
    let mut workers: Vec<_> = (0..CALLERS)
        .map(|caller| {
            let context = contexts[caller % contexts.len()].clone();
            // Every fourth caller pays into an account of both processes, which costs conflicts.
            let into = if caller % 4 == 0 { format!("a{caller}") } else { format!("a{caller}-{process}") };
            tokio::spawn(call(annals.clone(), round.clone(), into, context))
        })
        .collect();
    let context = contexts[(round.number + process) as usize % contexts.len()].clone();
    workers.push(tokio::spawn(stream(annals.clone(), round.clone(), context)));
    workers
}

async fn call(annals: Annals, round: Arc<Round>, into: String, context: Context) -> Count {
    let mut count = Count::default();
    loop {
        let withdrawn = round.withdrawn.load(Ordering::SeqCst);
        let answer = annals.execute(deposit(&into, round.cents), &context).await;
        count.add(&round, &answer, withdrawn);
        if count.after + count.late > 0 {
            return count;
        }
        if answer.is_err() {
            tokio::time::sleep(AFTER_A_DENIAL).await;
        }
    }
}

/// Executes commands in order, 16 at a time. The last one begins after all rights have been withdrawn.
async fn stream(annals: Annals, round: Arc<Round>, context: Context) -> Count {
    let (mut count, denied) = (Count::default(), Arc::new(AtomicBool::new(false)));
    let into = format!("streamed-{}", round.cents);
    let commands = stream::unfold(false, |ended| {
        let (round, denied) = (round.clone(), denied.clone());
        let (into, context) = (into.clone(), context.clone());
        async move {
            if denied.load(Ordering::SeqCst) && !ended {
                tokio::time::sleep(AFTER_A_DENIAL).await;
            }
            let withdrawn = round.withdrawn.load(Ordering::SeqCst);
            (!ended).then(|| (Envelope::new(deposit(&into, round.cents), context), withdrawn))
        }
    });
    let mut answers = pin!(annals.execute_all(Box::pin(commands), 16).peekable());
    while let Some(answer) = answers.next().await {
        denied.store(answer.is_err(), Ordering::SeqCst);
        let last = answers.as_mut().peek().await.is_none();
        count.add(&round, &answer, last);
    }
    count
}
