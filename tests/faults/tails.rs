//! A log that lost its tail in a failover to an asynchronous standby, and what was made of the lost events.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use annals::prelude::*;
use annals::projections::ProjectionState;
use serde::{Deserialize, Serialize};
use tokio::task::block_in_place;

use crate::balancer::Lines;
use crate::bank::*;
use crate::lines::wait_for;
use crate::promises::{Answers, assert_kept};
use crate::standbys::Pair;

/// Something that is no account.
#[derive(Id, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MemoId(String);

#[derive(Event, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[event(name = "memo", topic = "memo", on = Memo)]
pub enum MemoEvent {
    #[event(create, "{actor} wrote {memo}")]
    Written,
}

#[derive(Default, Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Memo;

impl Aggregate for Memo {
    const TYPE: &'static str = "memo";
    type Id = MemoId;
    type Event = MemoEvent;
    type Error = BankError;

    fn apply(&mut self, _: &MemoEvent) {}
}

/// Write a memo
#[derive(Command, Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct WriteMemo {
    #[on(Memo)]
    pub memo: MemoId,
}

impl Handle for WriteMemo {
    fn handle(&self, _: &Loaded<Memo>, _: &Context) -> Result<Vec<MemoEvent>, BankError> {
        Ok(vec![MemoEvent::Written])
    }
}

/// How often a memo was written: of few events of the log.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Memos(u64);

impl DocumentView for Memos {
    const NAME: &'static str = "memos";
    type Key = MemoId;
    type Events = MemoEvent;
}

impl On<MemoEvent> for Memos {
    fn keys(event: &Recorded<MemoEvent>) -> Vec<MemoId> {
        event.id().into_iter().collect()
    }

    fn apply(document: &mut Option<Self>, _: &MemoId, _: &Recorded<MemoEvent>) {
        document.get_or_insert_default().0 += 1;
    }
}

/// Executes a command under one id until it is answered. The first error says that the log diverged.
async fn execute_again(annals: &Annals, cents: i64) -> Receipt {
    let (context, begun) = (by("alice").command_id(uuid::Uuid::new_v4()), Instant::now());
    loop {
        match annals.execute(deposit("b", cents), &context).await {
            Ok(receipt) => return receipt,
            Err(error) => assert!(begun.elapsed() < Duration::from_secs(40), "{error:?}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Waits until the primary has a session of this kind.
async fn sessions(pair: &Pair, condition: &str) {
    let count = format!("SELECT count(*) FROM pg_stat_activity WHERE {condition}");
    wait_for(condition, async || block_in_place(|| pair.primary.sql(&count)) != "0").await;
}

/// Holds the checkpoints of all projections on the primary.
struct Hold(Child);

impl Hold {
    async fn start(pair: &Pair) -> Self {
        let hold = "BEGIN; SELECT FROM bank.projections FOR UPDATE; SELECT pg_sleep(60)";
        let mut psql = Command::new("psql");
        psql.args(["-XAtqd", &pair.primary.url(), "-c", hold]).stdout(Stdio::null()).stderr(Stdio::null());
        let psql = psql.spawn().unwrap();
        sessions(pair, "wait_event = 'PgSleep'").await;
        Self(psql)
    }

    /// Ends the session: the server would not notice that its client is gone.
    fn release(mut self, pair: &Pair) {
        let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'PgSleep'";
        block_in_place(|| pair.primary.sql(end));
        let _ = self.0.wait();
    }
}

/// Guarantee 49: a projection is in the middle of a batch when its server fails, and tries it again on a server that never had its events.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_that_was_read_before_a_failover_is_not_applied_to_a_log_without_its_events() {
    let pair = Pair::start(false).await;
    let annals = app().open(&pair.programs.url("bank")).await.unwrap();
    let kept = annals.execute(deposit("a", 1), &by("alice")).await.unwrap();
    assert_eq!(annals.view::<Balance>(&account("a")).after(kept).await.unwrap().unwrap().cents, 1);
    block_in_place(|| pair.primary.wait_for_standby(&pair.standby));

    pair.cut_off_standby();
    let mut hold = Hold::start(&pair).await;
    annals.execute(deposit("a", 10), &by("alice")).await.unwrap();
    sessions(&pair, "wait_event_type = 'Lock'").await;
    pair.primary.kill();
    pair.fail_over(Lines::Cut);
    let _ = hold.0.wait();

    let receipt = execute_again(&annals, 5).await;
    assert_eq!(receipt.first_position, 2, "the tail was lost");
    assert_eq!(annals.view::<Balance>(&account("a")).after(receipt).await.unwrap().unwrap().cents, 1);
    assert_eq!(assert_kept(&annals, &Answers::default()).await.len(), 2);
    annals.close().await;
}

/// A projection saw lost events that it does not want: its checkpoint is before them, and it continues by itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_projection_that_only_saw_the_lost_tail_continues_by_itself() {
    let pair = Pair::start(false).await;
    let app = || app().command::<WriteMemo>().view::<Memos>();
    let annals = app().open(&pair.programs.url("bank")).await.unwrap();
    let memo = || WriteMemo { memo: MemoId::new("m") };
    let kept = annals.execute(memo(), &by("alice")).await.unwrap();
    assert_eq!(annals.view::<Memos>(&MemoId::new("m")).after(kept).await.unwrap(), Some(Memos(1)));
    block_in_place(|| pair.primary.wait_for_standby(&pair.standby));

    pair.cut_off_standby();
    annals.execute(deposit("a", 10), &by("alice")).await.unwrap();
    // It has seen the payment, and does not write a checkpoint for it within a second.
    tokio::time::sleep(Duration::from_millis(200)).await;
    pair.primary.kill();
    pair.fail_over(Lines::Cut);

    let receipt = execute_again(&annals, 5).await;
    assert_eq!(receipt.first_position, 2, "the tail was lost");
    annals.execute(memo(), &by("alice")).await.unwrap();
    let head = annals.store().head().await.unwrap();
    assert_eq!(annals.view::<Memos>(&MemoId::new("m")).after(head).await.unwrap(), Some(Memos(2)));
    for status in annals.projections().await.unwrap() {
        assert!(!matches!(status.state, ProjectionState::Stopped(_)), "{status:?}");
    }
    annals.close().await;
}

/// Guarantee 49: a failover may keep an event and lose the checkpoint of a view that had it: the commits of views wait for no standby.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_view_that_lost_its_checkpoint_is_not_read_before_it_has_the_write_of_the_receipt_again() {
    let pair = Pair::start(false).await;
    let url = pair.programs.url("bank");
    let (leader, reader) = (app().open(&url).await.unwrap(), app().open_without_following(&url).await.unwrap());
    let first = leader.execute(deposit("a", 1), &by("alice")).await.unwrap();
    assert_eq!(reader.view::<Balance>(&account("a")).after(first).await.unwrap().unwrap().cents, 1);
    let hold = Hold::start(&pair).await;
    let second = leader.execute(deposit("a", 10), &by("alice")).await.unwrap();
    block_in_place(|| pair.primary.wait_for_standby(&pair.standby));
    pair.cut_off_standby();
    hold.release(&pair);
    assert_eq!(reader.view::<Balance>(&account("a")).after(second).await.unwrap().unwrap().cents, 11);
    leader.close().await;
    pair.primary.kill();
    pair.fail_over(Lines::Cut);

    assert_eq!(reader.store().head().await.unwrap().position, 2, "the standby has the event");
    let read = reader.view::<Balance>(&account("a")).after(second).await;
    assert!(matches!(read, Err(annals::projections::ReadError::Late { .. })), "no projection runs: {read:?}");
    let leader = app().open(&url).await.unwrap();
    assert_eq!(reader.view::<Balance>(&account("a")).after(second).await.unwrap().unwrap().cents, 11);
    assert_kept(&leader, &Answers::default()).await;
    leader.close().await;
    reader.close().await;
}
