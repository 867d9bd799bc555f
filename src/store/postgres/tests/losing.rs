//! Mission X2, Guarantee 3: the connection is lost before, during and after an append. Each caller gets the right answer,
//! and there is one effect.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::{Bed, open_at, until};
use crate::commands::{CommitAnswer, CommitQueue};
use crate::store::conformance::bench::{append, assert_in_order, batch, commit, committed, log};
use crate::store::{Outcome, StoreError};

/// When the proxy cuts the connection of an append.
const NEVER: u8 = 0;
const BEFORE_THE_CALL: u8 = 1;
const AFTER_THE_CALL: u8 = 2;
const BEFORE_THE_REPLY: u8 = 3;

/// The command's name, which is in every call of the append function and nowhere else.
const MARK: &[u8] = b"count";

/// A proxy between this program and the server.
struct Proxy {
    address: String,
    cut: Arc<AtomicU8>,
}

impl Proxy {
    async fn start(server: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let cut = Arc::new(AtomicU8::new(NEVER));
        let when = cut.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(&server).await.unwrap();
                tokio::spawn(carry(client, server, when.clone()));
            }
        });
        Self { address, cut }
    }

    fn cut(&self, when: u8) {
        self.cut.store(when, Ordering::SeqCst);
    }
}

/// Forwards bytes both ways until either end closes, or the proxy has to cut.
async fn carry(mut client: TcpStream, mut server: TcpStream, cut: Arc<AtomicU8>) {
    let (mut up, mut down) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    let mut called = false;
    loop {
        tokio::select! {
            read = client.read(&mut up) => {
                let Ok(length @ 1..) = read else { return };
                let call = up[..length].windows(MARK.len()).any(|window| window == MARK);
                called |= call;
                if call && cut.compare_exchange(BEFORE_THE_CALL, NEVER, Ordering::SeqCst, Ordering::SeqCst).is_ok() {
                    return;
                }
                if server.write_all(&up[..length]).await.is_err() {
                    return;
                }
                if call && cut.compare_exchange(AFTER_THE_CALL, NEVER, Ordering::SeqCst, Ordering::SeqCst).is_ok() {
                    return;
                }
            }
            read = server.read(&mut down) => {
                let Ok(length @ 1..) = read else { return };
                if called && cut.compare_exchange(BEFORE_THE_REPLY, NEVER, Ordering::SeqCst, Ordering::SeqCst).is_ok() {
                    return;
                }
                called = false;
                if client.write_all(&down[..length]).await.is_err() {
                    return;
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cut_connection_leaves_the_outcome_unknown_and_a_retry_resolves_it() {
    for (cut, committed_before) in
        [(BEFORE_THE_CALL, Some(false)), (AFTER_THE_CALL, None), (BEFORE_THE_REPLY, Some(true))]
    {
        let bed = Bed::new();
        let proxy = Proxy::start(bed.address()).await;
        let store = open_at(&bed.url(bed.user(), &proxy.address), true).await.unwrap();
        committed(&*store, commit(1).on("tally:a", 0, 1)).await;
        proxy.cut(cut);
        let lost = store.append(batch([commit(2).on("tally:a", 1, 2)])).await;
        assert!(matches!(lost, Err(StoreError::OutcomeUnknown(_))), "{cut}: {lost:?}");
        // The server may still run the append: the next one waits for its lock.
        let again = append(&*store, [commit(2).on("tally:a", 1, 2)]).await[0];
        match again {
            Outcome::Committed(receipt) => {
                assert_ne!(committed_before, Some(true), "{cut}: it was there already");
                assert_eq!(receipt.head.position, 3);
            }
            Outcome::Duplicate(receipt) => {
                assert_ne!(committed_before, Some(false), "{cut}: it was never sent");
                assert_eq!(receipt.head.position, 3);
            }
            other => panic!("{cut}: {other:?}"),
        }
        let events = log(&*store).await;
        assert_in_order(&events);
        assert_eq!(events.len(), 3, "{cut}: one effect");
    }
}

/// The queue sends the batch again: no caller notices.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_get_their_receipts_whenever_the_connection_is_cut() {
    let bed = Bed::new();
    let proxy = Proxy::start(bed.address()).await;
    let store = open_at(&bed.url(bed.user(), &proxy.address), true).await.unwrap();
    let queue = CommitQueue::start(store.clone(), Arc::default(), &[], None);
    let mut number = 0;
    for cut in [BEFORE_THE_CALL, AFTER_THE_CALL, BEFORE_THE_REPLY] {
        proxy.cut(cut);
        let pending: Vec<_> = (0..5)
            .map(|_| {
                number += 1;
                let made = commit(number).on(&format!("tally:{number}"), 0, 1).fresh().done();
                queue.submit(made, &[]).unwrap()
            })
            .collect();
        for pending in pending {
            match pending.await.unwrap() {
                CommitAnswer::Outcome(Outcome::Committed(receipt)) => assert!(!receipt.repeated),
                other => panic!("{cut}: {other:?}"),
            }
        }
        assert_eq!(proxy.cut.load(Ordering::SeqCst), NEVER, "the proxy has cut");
    }
    queue.close().await;
    let events = log(&*store).await;
    assert_in_order(&events);
    assert_eq!(events.len(), 15);
}

/// Guarantee 3: an error of the second attempt proves nothing about the first.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unreachable_server_after_a_lost_answer_is_no_definite_failure() {
    let bed = Bed::new();
    bed.open().await.close().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let server = bed.address();
    // Forwards until the server has answered the first append, then neither answers nor accepts connections.
    let carrier = tokio::spawn(async move {
        let cut = Arc::new(AtomicU8::new(BEFORE_THE_REPLY));
        let mut carried = Vec::new();
        while cut.load(Ordering::SeqCst) == BEFORE_THE_REPLY {
            let accepted = tokio::time::timeout(Duration::from_millis(20), listener.accept()).await;
            if let Ok(Ok((client, _))) = accepted {
                let server = TcpStream::connect(&server).await.unwrap();
                carried.push(tokio::spawn(carry(client, server, cut.clone())));
            }
        }
        drop(listener);
        carried.iter().for_each(tokio::task::JoinHandle::abort);
    });
    let store = open_at(&bed.url(bed.user(), &address), true).await.unwrap();
    let queue = CommitQueue::start(store, Arc::default(), &[], None);
    let pending = queue.submit(commit(1).on("tally:a", 0, 1).done(), &[]).unwrap();
    match pending.await.unwrap() {
        CommitAnswer::Failed(error) => assert!(matches!(*error, StoreError::OutcomeUnknown(_)), "{error:?}"),
        other => panic!("{other:?}"),
    }
    carrier.await.unwrap();
    assert_eq!(log(&*bed.open().await).await.len(), 1, "the batch was committed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_append_whose_backend_is_terminated_during_the_lock_wait_succeeds_in_the_end() {
    let bed = Bed::new();
    let (store, other) = (bed.open().await, bed.open().await);
    committed(&*store, commit(1).on("tally:a", 0, 1)).await;
    let session = other.write_lock(Duration::from_secs(10), Duration::from_secs(30)).await.unwrap();
    let queue = CommitQueue::start(store.clone(), Arc::default(), &[], None);
    let pending = queue.submit(commit(2).on("tally:a", 1, 1).done(), &[]).unwrap();
    let waiting = format!(
        "FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%{}.append%'",
        bed.location.schema()
    );
    until("it waits", async || bed.number(&format!("SELECT count(*) {waiting}")).await == 1).await;
    bed.run(&format!("SELECT pg_terminate_backend(pid) {waiting}")).await;
    until("the next append waits", async || bed.number(&format!("SELECT count(*) {waiting}")).await == 1).await;
    drop(session);
    match pending.await.unwrap() {
        CommitAnswer::Outcome(Outcome::Committed(receipt)) => assert_eq!(receipt.head.position, 2),
        other => panic!("{other:?}"),
    }
    queue.close().await;
    assert_eq!(log(&*store).await.len(), 2, "one effect");
}

/// Reading changes nothing: it is tried again on another connection.
#[tokio::test]
async fn reads_survive_the_loss_of_their_connections() {
    let bed = Bed::new();
    let store = bed.open().await;
    committed(&*store, commit(1).on("tally:a", 0, 3)).await;
    let reads = futures::future::join_all((0..8).map(|_| log(&*store))).await;
    assert!(reads.iter().all(|events| events.len() == 3));
    bed.run(&format!(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
         WHERE application_name = 'annals' AND pid <> pg_backend_pid() AND query LIKE '%{}%'",
        bed.location.plain_schema()
    ))
    .await;
    assert_eq!(log(&*store).await.len(), 3);
    let mut watch = store.watch();
    let unknown = store.append(batch([commit(2).on("tally:a", 3, 1)])).await;
    if let Err(error) = unknown {
        assert!(matches!(error, StoreError::OutcomeUnknown(_)), "{error:?}");
        committed(&*store, commit(2).on("tally:a", 3, 1)).await;
    }
    let notified = tokio::time::timeout(Duration::from_secs(20), watch.wait_for(|head| head.position == 4)).await;
    notified.unwrap().unwrap();
}

/// Guarantee 3: after a lost answer, `Rejected` ends the doubt about a batch. Only errors about its data may be that.
#[tokio::test]
async fn only_an_error_about_the_data_is_a_rejection() {
    let bed = Bed::new();
    let mut raw = bed.raw().await;
    let mut raised = async |code: &str| {
        let sql = format!("DO $$ BEGIN RAISE EXCEPTION 'raised' USING ERRCODE = '{code}'; END $$");
        let error = sqlx::Executor::execute(&mut raw, sql.as_str()).await.unwrap_err();
        bed.location.fault("appending", error)
    };
    for of_the_data in ["22003", "22P05", "23505", "23514", "54000"] {
        let error = raised(of_the_data).await;
        assert!(matches!(error, StoreError::Rejected { .. }), "{of_the_data}: {error:?}");
    }
    for other in ["XX000", "XX001", "P0001", "40001", "40P01", "55000", "58030", "0A000"] {
        let error = raised(other).await;
        assert!(matches!(error, StoreError::Database { .. }), "{other}: {error:?}");
    }
}
