//! Batches, claims and other messages of other processes.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::oneshot;
use uuid::Uuid;

use super::bed::{Bed, open_with_clock};
use super::proxy::{Proxy, Step};
use crate::store::conformance::bench::{PATIENCE, append, assert_in_order, batch, commit, committed, log, receipt};
use crate::store::jetstream::message::{BatchMessage, Message};
use crate::store::jetstream::stream::{Published, Stream};
use crate::store::{Batch, Outcome, Store};

/// Appends a batch, which is stopped on its way; then `meanwhile` runs.
async fn overtaken(
    store: &Arc<dyn Store>,
    proxy: &Proxy,
    made: Batch,
    meanwhile: impl Future<Output = ()>,
) -> Outcome {
    let (pause, paused) = oneshot::channel();
    proxy.next([Step::Pause(pause)]);
    let appending = tokio::spawn({
        let store = store.clone();
        async move { store.append(made).await }
    });
    let go = tokio::time::timeout(PATIENCE / 3, paused).await.expect("it sends a batch").unwrap();
    meanwhile.await;
    go.send(()).unwrap();
    appending.await.unwrap().unwrap()[0]
}

/// Waits until a store has these many events.
pub(super) async fn has(store: &dyn Store, position: u64) {
    let mut watch = store.watch();
    let waited = tokio::time::timeout(PATIENCE, watch.wait_for(|head| head.position >= position)).await;
    waited.expect("it follows").expect("it is open");
}

/// Guarantee 45: the fence.
#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_another_process_overtakes_is_decided_again() {
    let Some(bed) = Bed::new() else { return };
    let proxy = Proxy::before(bed.server.port).await;
    let (store, other) = (bed.at(proxy.port, "a").await.unwrap(), bed.store("b").await);
    let made = batch([commit(1).on("tally:a", 0, 2)]);
    let outcome = overtaken(&store, &proxy, made, async {
        committed(&*other, commit(2).on("tally:a", 0, 1)).await;
    });
    assert_eq!(outcome.await, Outcome::Conflict);
    let made = batch([commit(3).on("tally:b", 0, 2)]);
    let outcome = overtaken(&store, &proxy, made, async {
        committed(&*other, commit(4).on("tally:a", 1, 1)).await;
    });
    assert_eq!(receipt(outcome.await).first_position, 3, "after the other one");
    has(&*other, 4).await;
    for store in [&store, &other] {
        let events = log(&**store).await;
        assert_eq!(events.len(), 4);
        assert_in_order(&events);
    }
}

/// Guarantee 45: an answer that writes nothing is of the log as it is, not of a copy that is behind.
#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_answered_only_after_the_true_head_is_known() {
    let Some(bed) = Bed::new() else { return };
    let proxy = Proxy::before(bed.server.port).await;
    let (store, other) = (bed.at(proxy.port, "a").await.unwrap(), bed.store("b").await);
    let first = committed(&*other, commit(1).on("tally:a", 0, 1)).await;
    has(&*store, first.head.position).await;
    // It was decided on sequence 1, and writes nothing.
    let refusal = batch([commit(2).read("tally:a", 1)]);
    let outcome = overtaken(&store, &proxy, refusal, async {
        committed(&*other, commit(3).on("tally:a", 1, 1)).await;
    });
    assert_eq!(outcome.await, Outcome::Conflict);
}

/// Guarantee 46: the same rows in the process that has decided them and in others.
#[tokio::test(flavor = "multi_thread")]
async fn the_copies_of_two_processes_have_equal_rows() {
    let Some(bed) = Bed::new() else { return };
    let (one, other) = (bed.store("a").await, bed.store("b").await);
    for number in 0..20_u64 {
        let writer = if number % 2 == 0 { &one } else { &other };
        let made = commit(number.into()).on(&format!("tally:{}", number % 3), number / 3, 1).body("ä");
        append(&**writer, [made, commit(u128::from(number) + 100).read("tally:x", 0).keep()]).await;
        let head = writer.head().await.unwrap().position;
        has(&*one, head).await;
        has(&*other, head).await;
    }
    one.close().await;
    other.close().await;
    let rows = |name: &str| {
        let file = rusqlite::Connection::open(bed.file(name)).unwrap();
        let table = |sql: &str| -> Vec<String> {
            let mut rows = file.prepare(sql).unwrap();
            let columns = rows.column_count();
            let text = move |row: &rusqlite::Row<'_>| {
                Ok((0..columns).map(|at| format!("{:?} ", row.get_ref(at).unwrap())).collect())
            };
            rows.query_map([], text).unwrap().collect::<Result<_, _>>().unwrap()
        };
        [table("SELECT * FROM events ORDER BY position"), table("SELECT * FROM commands ORDER BY command_id")]
    };
    let [events, commands] = rows("a");
    assert_eq!((events.len(), commands.len()), (20, 40));
    assert_eq!(rows("b"), [events, commands]);
}

/// Guarantee 46: a message that does not continue the log is void for every process.
#[tokio::test(flavor = "multi_thread")]
async fn messages_that_continue_no_batch_are_void_for_every_process() {
    let Some(bed) = Bed::new() else { return };
    let (one, other) = (bed.store("a").await, bed.store("b").await);
    committed(&*one, commit(1).on("tally:a", 0, 1)).await;
    let mut stream = bed.stream();
    let of_nothing = BatchMessage {
        id: Uuid::new_v4(),
        previous: Uuid::new_v4(),
        process: Uuid::new_v4(),
        ends_turn: true,
        rows: b"no rows".to_vec(),
    };
    let mut foreign = Message::Batch(of_nothing.clone()).encode();
    foreign.headers = async_nats::HeaderMap::new();
    foreign.headers.insert("Hello", "world");
    for message in [foreign, Message::Batch(of_nothing).encode()] {
        assert!(matches!(stream.publish(&message).await, Ok(Published::Stored(_))));
        committed(&*one, commit(Uuid::new_v4().as_u128() >> 70).on(&format!("tally:{}", Uuid::new_v4()), 0, 1))
            .await;
        let head = one.head().await.unwrap().position;
        has(&*other, head).await;
        committed(&*other, commit(Uuid::new_v4().as_u128() >> 70).on(&format!("tally:{}", Uuid::new_v4()), 0, 1))
            .await;
    }
    has(&*one, 5).await;
    let late = bed.store("c").await;
    assert_eq!(log(&*one).await, log(&*late).await);
    assert_in_order(&log(&*other).await);
}

/// Guarantee 47: a process that is refused once claims a turn.
#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_was_overtaken_claims_its_turn() {
    let Some(bed) = Bed::new() else { return };
    let proxy = Proxy::before(bed.server.port).await;
    let (store, other) = (bed.at(proxy.port, "a").await.unwrap(), bed.store("b").await);
    let made = batch([commit(1).on("tally:a", 0, 1)]);
    let outcome = overtaken(&store, &proxy, made, async {
        committed(&*other, commit(2).on("tally:b", 0, 1)).await;
    });
    receipt(outcome.await);
    let claims = kinds(&mut bed.stream()).await.into_iter().filter(|kind| *kind == "claim").count();
    assert_eq!(claims, 1);
    // Its turn ends although it has nothing more to append.
    let began = std::time::Instant::now();
    committed(&*other, commit(3).on("tally:b", 1, 1)).await;
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

/// The kinds of the messages of the stream.
pub(super) async fn kinds(stream: &mut Stream) -> Vec<&'static str> {
    let messages = stream.after(0).await.unwrap();
    let kind = |(_, message): &(u64, Message)| match message {
        Message::Genesis(_) => "genesis",
        Message::Batch(_) => "batch",
        Message::Claim { .. } => "claim",
        Message::Release { .. } => "release",
        Message::Newer(_) | Message::Foreign => "other",
    };
    messages.iter().map(kind).collect()
}

/// Guarantee 47: a claim of a process that is gone delays the others by its life.
#[tokio::test(flavor = "multi_thread")]
async fn a_claim_of_a_process_that_is_gone_delays_the_others_only_for_its_life() {
    let Some(bed) = Bed::new() else { return };
    let store = bed.store("a").await;
    committed(&*store, commit(1).on("tally:a", 0, 1)).await;
    let claim = Message::Claim { process: Uuid::new_v4(), lives: Duration::from_millis(1_500) }.encode();
    assert!(matches!(bed.stream().publish(&claim).await, Ok(Published::Stored(_))));
    // It has been read by then.
    tokio::time::sleep(Duration::from_millis(300)).await;
    let began = std::time::Instant::now();
    committed(&*store, commit(2).on("tally:a", 1, 1)).await;
    let took = began.elapsed();
    assert!(took > Duration::from_millis(700) && took < Duration::from_secs(10), "{took:?}");
}

/// Guarantee 47: no process starves, also if the others are much nearer to the servers.
#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_is_slower_than_others_that_write_without_pause_is_refused_rarely() {
    const EACH: u64 = 12;
    let Some(bed) = Bed::new() else { return };
    let over = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let mut writers = Vec::new();
    for writer in 1..3_u128 {
        let store = bed.store(&writer.to_string()).await;
        let over = over.clone();
        writers.push(tokio::spawn(async move {
            let mut number = 0;
            while !over.load(std::sync::atomic::Ordering::SeqCst) {
                let made =
                    commit(writer * 1_000_000 + u128::from(number)).on(&format!("tally:{writer}"), number, 1);
                committed(&*store, made).await;
                number += 1;
            }
            (store, number)
        }));
    }
    let proxy = Proxy::before(bed.server.port).await;
    proxy.delay_batches(Duration::from_millis(25));
    let slow = bed.at(proxy.port, "slow").await.unwrap();
    for number in 0..EACH {
        committed(&*slow, commit(u128::from(number)).on("tally:0", number, 1)).await;
    }
    over.store(true, std::sync::atomic::Ordering::SeqCst);
    let mut total = EACH;
    let mut stores = vec![slow];
    for writer in writers {
        let (store, number) = writer.await.unwrap();
        assert!(number > EACH, "the others wrote {number} batches");
        total += number;
        stores.push(store);
    }
    // Three times on a machine that has time; a claim that is read late is over before its turn.
    assert!(proxy.sent() as u64 <= EACH * 4, "{EACH} batches were sent {} times", proxy.sent());
    for store in stores {
        has(&*store, total).await;
        assert_in_order(&log(&*store).await);
    }
}

/// Guarantee 46: times never decrease, whatever the clocks of the processes are.
#[tokio::test(flavor = "multi_thread")]
async fn processes_whose_clocks_are_an_hour_apart_record_times_that_never_decrease() {
    let Some(bed) = Bed::new() else { return };
    let at = |hours: i64| Arc::new(move || Timestamp::now() + SignedDuration::from_hours(hours));
    let mut stores = Vec::new();
    for (name, hours) in [("behind", -1), ("right", 0), ("ahead", 1)] {
        stores.push(open_with_clock(&bed.url(bed.server.port, name), at(hours)).await.unwrap());
    }
    for number in 0..12 {
        let store = &stores[number % 3];
        has(&**store, number as u64).await;
        committed(&**store, commit(number as u128).on("tally:a", number as u64, 1)).await;
    }
    let events = log(&*stores[2]).await;
    assert_eq!(events.len(), 12);
    assert_in_order(&events);
}
