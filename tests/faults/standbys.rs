//! The primary fails under 64 callers in two processes, and a standby is promoted: with a synchronous standby nothing acknowledged is
//! lost; with an asynchronous one, each process gets an error.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use annals::events::{LogPosition, Stored};
use annals::prelude::*;
use annals::projections::ReadError;
use annals::projections::audit::{AuditError, AuditQuery, AuditRow};
use annals::store::StoreError;
use annals_test_postgres::Server;
use futures::StreamExt;
use tokio::task::{JoinHandle, block_in_place};

use crate::balancer::{Balancer, Lines};
use crate::bank::*;
use crate::callers::{CALLERS, Said};
use crate::processes::Process;
use crate::promises::{Answers, assert_kept};
use crate::rounds;
use crate::stopping::wait_for_progress;

/// How long it may take until commands are executed on the new primary: the time to notice a silent connection, and for another
/// attempt on a slow machine.
pub const WRITING_AGAIN: Duration = Duration::from_secs(40);
/// How long an asynchronous standby is cut off before its primary fails: what is written in that time is lost.
const TAIL: Duration = Duration::from_millis(200);

/// How the primary fails.
#[derive(Clone, Copy, Debug)]
enum Fault {
    Kill,
    StopImmediately,
    Freeze,
    /// The network is cut off on the way from and to the primary, which continues to run.
    CutOff,
}

const FAULTS: [Fault; 4] = [Fault::Kill, Fault::StopImmediately, Fault::Freeze, Fault::CutOff];

/// A primary and its standby, each behind an address of its own.
pub struct Pair {
    pub primary: Server,
    pub standby: Server,
    synchronous: bool,
    /// On the way from the standby to the primary.
    pub replication: Balancer,
    /// On the way from programs to the server that is the primary.
    pub programs: Balancer,
}

impl Pair {
    pub async fn start(synchronous: bool) -> Self {
        let primary = block_in_place(Server::own);
        let programs = Balancer::before(primary.port()).await;
        let (standby, replication) = Self::follow(&primary, synchronous).await;
        Self { primary, standby, synchronous, replication, programs }
    }

    async fn follow(primary: &Server, synchronous: bool) -> (Server, Balancer) {
        let replication = Balancer::before(primary.port()).await;
        let standby = block_in_place(|| {
            let standby = Server::standby_of(replication.port(), &[]);
            primary.wait_for_standbys(synchronous);
            standby
        });
        (standby, replication)
    }

    /// Cuts the standby off, so that it does not get what is written from now on.
    pub fn cut_off_standby(&self) {
        self.replication.all(Lines::Frozen);
    }

    /// Makes the standby the primary, to which programs are led. The state of their old connections is `lines`.
    pub fn fail_over(&self, lines: Lines) {
        block_in_place(|| self.standby.promote());
        self.programs.switch(self.standby.port(), lines);
    }

    /// Removes the old primary, and gives the new one a standby.
    pub async fn next(self) -> Self {
        let Self { primary, standby: promoted, synchronous, programs, .. } = self;
        block_in_place(|| drop(primary));
        let (standby, replication) = Self::follow(&promoted, synchronous).await;
        Self { primary: promoted, standby, synchronous, replication, programs }
    }

    /// Lets the primary fail, and promotes the standby.
    fn fail(&self, fault: Fault) {
        let lines = match fault {
            Fault::Kill => {
                self.primary.kill();
                Lines::Cut
            }
            Fault::StopImmediately => {
                block_in_place(|| self.primary.stop_immediately());
                Lines::Cut
            }
            Fault::Freeze => {
                self.primary.freeze();
                Lines::Frozen
            }
            Fault::CutOff => {
                self.programs.all(Lines::Frozen);
                self.cut_off_standby();
                Lines::Frozen
            }
        };
        self.fail_over(lines);
    }
}

/// A page that stays open: it follows the audit log, and continues after the last row that it has.
struct Follower {
    followed: Arc<Mutex<Followed>>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct Followed {
    rows: Vec<AuditRow>,
    /// Whether it ended with the error that the log lost rows that it had received.
    diverged: bool,
}

impl Follower {
    fn start(annals: &Annals) -> Self {
        let followed: Arc<Mutex<Followed>> = Arc::default();
        let task = tokio::spawn(Self::follow(annals.clone(), followed.clone()));
        Self { followed, task }
    }

    async fn follow(annals: Annals, followed: Arc<Mutex<Followed>>) {
        loop {
            let last = followed.lock().unwrap().rows.last().map(|last| annals.audit().cursor_after(last).unwrap());
            let mut rows = last.into_iter().fold(annals.audit(), AuditQuery::cursor).follow();
            while let Some(row) = rows.next().await {
                match row {
                    Ok(row) => followed.lock().unwrap().rows.push(row),
                    Err(error) if is_diverged(&error) => {
                        followed.lock().unwrap().diverged = true;
                        return;
                    }
                    Err(_) => break,
                }
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits until it has a row after this position.
    async fn wait_past(&self, held: LogPosition) {
        let received = || self.followed.lock().unwrap().rows.last().map_or(0, |last| last.position);
        let waiting = async {
            while received() <= held.position {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(WRITING_AGAIN, waiting).await.expect("the page is followed");
    }

    /// Ends it. Returns whether it noticed a loss.
    fn assert_followed(self, log: &[Stored]) -> bool {
        self.task.abort();
        let Followed { rows, diverged } = std::mem::take(&mut *self.followed.lock().unwrap());
        let held =
            |row: &AuditRow| log.get(row.position as usize - 1).is_some_and(|event| event.event_id == row.event_id);
        for (row, position) in rows.iter().zip(1..) {
            assert_eq!(row.position, position, "no row is skipped or doubled");
        }
        let lost = rows.iter().filter(|row| !held(row)).count();
        assert!(lost == 0 || diverged, "of {} rows {lost} were lost, and it did not notice", rows.len());
        diverged
    }
}

fn is_diverged(error: &AuditError) -> bool {
    matches!(
        error,
        AuditError::Store(StoreError::Diverged(_))
            | AuditError::Read(
                ReadError::Diverged(_) | ReadError::LogDiverged { .. } | ReadError::Store(StoreError::Diverged(_))
            )
    )
}

/// What came of all faults on one log.
struct Outcome {
    answers: Answers,
    lost: Vec<(u64, u64)>,
    /// Of the two processes.
    said: [Said; 2],
    faults: usize,
    /// How many followers noticed a loss: one is started before each fault.
    noticed: usize,
    log: Vec<Stored>,
}

/// Lets the primary fail in each way, this many times, and checks all guarantees.
async fn fail_over(synchronous: bool, rounds: u64) -> Outcome {
    let mut pair = Pair::start(synchronous).await;
    let url = pair.programs.url("bank");
    let annals = app().open(&url).await.unwrap();
    let writers = [0, CALLERS].map(|first| Process::start(&url, &format!("call {first}")));
    let mut followers = Vec::new();
    for round in 0..rounds {
        for fault in FAULTS {
            followers.push(Follower::start(&annals));
            wait_for_progress(&annals).await;
            if !synchronous {
                pair.cut_off_standby();
                let held = annals.store().head().await.unwrap();
                tokio::time::sleep(TAIL).await;
                followers.last().unwrap().wait_past(held).await;
            }
            let failed = Instant::now();
            pair.fail(fault);
            let promoted = failed.elapsed();
            wait_for_progress(&annals).await;
            let writing = failed.elapsed();
            eprintln!("round {round}, {fault:?}: promoted after {promoted:.1?}, 100 events after {writing:.1?}");
            assert!(writing < WRITING_AGAIN, "{fault:?}: {writing:?}");
            pair = pair.next().await;
        }
    }
    wait_for_progress(&annals).await;
    let mut answers = Answers::default();
    let said = writers.map(|writer| Said::read(&writer.kill(), &mut answers));
    let log = log(&annals).await;
    let lost = answers.take_lost(&log);
    let log = assert_kept(&annals, &answers).await;
    assert!(annals.projections().await.unwrap().iter().all(|projection| !projection.is_stopped()));
    annals.close().await;
    let (faults, mut noticed) = (followers.len(), 0);
    for follower in followers {
        noticed += usize::from(follower.assert_followed(&log));
    }
    eprintln!("{} acknowledged, {} lost, {} events", answers.count(), lost.len(), log.len());
    Outcome { answers, lost, said, faults, noticed, log }
}

/// Missions X1, X2, A11 and X75, Guarantee 3.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_a_synchronous_standby_a_failover_loses_and_repeats_nothing() {
    for_each_log(true, |outcome| {
        assert_eq!(outcome.lost, [], "acknowledged and lost");
        assert!(outcome.said.iter().all(|said| said.diverged == 0), "no process noticed a loss");
        assert_eq!(outcome.noticed, 0);
        assert!(outcome.answers.count() > 500 && outcome.log.len() > 500);
    })
    .await;
}

/// Mission X75, Guarantee 16: each process whose acknowledged commands were lost gets an error, and so does each open page.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_an_asynchronous_standby_each_process_notices_that_a_failover_lost_its_commands() {
    for_each_log(false, |outcome| {
        assert!(!outcome.lost.is_empty(), "the tail was lost");
        for (said, process) in outcome.said.iter().zip(0..) {
            let lost = outcome.lost.iter().filter(|(caller, _)| caller / CALLERS == process).count();
            assert!(lost == 0 || said.diverged > 0, "process {process} lost {lost} and did not notice");
        }
        assert_eq!(outcome.noticed, outcome.faults, "each open page notices it");
    })
    .await;
}

/// A long run begins a new log now and then: its checks read all of it.
async fn for_each_log(synchronous: bool, check: impl Fn(&Outcome)) {
    const ROUNDS_A_LOG: u64 = 3;
    let mut left = rounds(1);
    while left > 0 {
        let now = left.min(ROUNDS_A_LOG);
        check(&fail_over(synchronous, now).await);
        left -= now;
    }
}
