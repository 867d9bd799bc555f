//! Conflicts with the current state: 409.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use annals::prelude::*;
use annals_test_postgres::Place;
use reqwest::Method;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::bank::{AccountEvent, AccountId, app};
use crate::served::{Served, after};

/// Guarantee 16, over HTTP: an older backup is restored under a running server. The next command is a conflict, since the
/// server's cached state is gone; further commands work on the restored log.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_on_a_restored_log_is_a_conflict_and_the_next_is_not() {
    let directory = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", directory.path().join("bank.db").display());
    let alice = annals::http::Authentication::trusting(Some("user:alice".parse().unwrap()));
    let annals = app().open(&url).await.unwrap();
    let served = Served::opened(annals, |builder| builder.authentication(alice)).await;
    served.deposit("a", 1).await;
    let backup = directory.path().join("backup.db");
    served.annals.backup(&backup, |_, _| ()).await.unwrap();
    served.deposit("a", 1_000).await;
    let mut log = rusqlite::Connection::open(directory.path().join("bank.db")).unwrap();
    let older = rusqlite::Connection::open(&backup).unwrap();
    rusqlite::backup::Backup::new(&older, &mut log).unwrap().step(-1).unwrap();
    drop((log, older));
    let other = app().open(&url).await.unwrap();
    other.execute(crate::bank::deposit("a", 2), &crate::bank::by("bob")).await.unwrap();
    other.close().await;

    let transfer = json!({ "from": "a", "to": "b", "cents": 500 });
    let conflict = served.post("/commands/transfer", &transfer).await;
    assert!(conflict.problem(409, "conflict").contains("backup"), "{conflict:?}");
    served.post("/commands/transfer", &transfer).await.problem(422, "refused");
    assert_eq!(served.deposit("a", 4).await["first_position"], 3);
    served.stop().await;
}

static HELD: AtomicBool = AtomicBool::new(false);

/// A view that blocks.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Slow;

impl DocumentView for Slow {
    const NAME: &'static str = "slow";
    type Key = AccountId;
    type Events = AccountEvent;
}

impl On<AccountEvent> for Slow {
    fn keys(event: &Recorded<AccountEvent>) -> Vec<AccountId> {
        event.id().into_iter().collect()
    }

    fn apply(document: &mut Option<Self>, _: &AccountId, _: &Recorded<AccountEvent>) {
        while HELD.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(5));
        }
        *document = Some(Self);
    }
}

/// The first rebuild was started outside HTTP.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_second_rebuild_of_one_projection_is_a_conflict_until_the_first_is_done() {
    let place = Place::sqlite();
    let served = Served::alice(app().view::<Slow>(), &place).await;
    let receipt = served.deposit("a", 1).await;
    assert_eq!(served.get(&format!("/views/slow/a?{}", after(&receipt))).await.status, 200);
    HELD.store(true, Ordering::Relaxed);
    let rebuild = served.annals.rebuild("slow").unwrap();
    let second = served.do_it(Method::POST, "/projections/slow/rebuild").await;
    HELD.store(false, Ordering::Relaxed);
    second.problem(409, "conflict");
    rebuild.await.unwrap();
    let again = served.do_it(Method::POST, "/projections/slow/rebuild").await;
    assert!(again.status.is_success(), "{again:?}");
    served.stop().await;
}
