//! Many stores in one database share its connections.

use annals::prelude::*;
use annals_test_postgres::{Fresh, Server};

use crate::bank::*;

/// The most connections of one process to a server: see `store::postgres`.
const MOST: usize = 34;

/// The server allows fewer connections than there are tenants.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_tenants_than_connections_can_all_write_and_read() {
    let server = Server::with(&["max_connections=45"]);
    let tenants: Vec<Fresh> = (0..20).map(|_| server.schema()).collect();
    let mut open = Vec::new();
    for tenant in &tenants {
        open.push(app().open(tenant.url()).await.expect("a free connection"));
    }
    for round in 1..=3 {
        let work = open.iter().map(|annals| async move {
            let receipt = annals.execute(deposit("a", 1), &by("alice")).await.expect("a write");
            assert_eq!(receipt.first_position, round);
            let read = annals.view::<Balance>(&account("a")).after(receipt).await.expect("a read");
            assert_eq!(read.expect("a balance").cents, i64::try_from(round).unwrap());
        });
        futures::future::join_all(work).await;
        let taken = server.sql("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'annals'");
        assert!(taken.parse::<usize>().unwrap() <= MOST, "{taken} connections");
    }
    // Each tenant is notified of its appends, whichever connection listens.
    let other = app().open_without_following(tenants[19].url()).await.unwrap();
    let mut watch = open[19].store().watch();
    other.execute(deposit("a", 1), &by("bob")).await.unwrap();
    tokio::time::timeout(crate::processes::PATIENCE, watch.wait_for(|head| head.position == 4))
        .await
        .unwrap()
        .unwrap();
    futures::future::join_all(open.iter().chain([&other]).map(Annals::close)).await;
}
