//! A primary whose link goes down under 64 callers in two processes, and a standby that gets its address: no connection is ended, what is
//! sent is lost without a word.

use std::time::Instant;

use annals::prelude::*;
use annals_test_postgres::{Network, Server};
use tokio::task::block_in_place;

use crate::bank::app;
use crate::callers::{CALLERS, Said};
use crate::processes::Process;
use crate::promises::{Answers, assert_kept};
use crate::rounds;
use crate::standbys::WRITING_AGAIN;
use crate::stopping::wait_for_progress;

/// Missions X1, X2, A11 and X75, Guarantees 3 and 48.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs root and the program `ip`: part of a long run"]
async fn with_a_synchronous_standby_a_link_that_goes_down_loses_and_repeats_nothing() {
    let mut network = Network::new();
    let mut hosts = vec![network.host(), network.host()];
    let address = network.floating();
    network.give(&address, &hosts[0], None);
    let mut primary = block_in_place(|| Server::on(&hosts[0]));
    let mut standby = block_in_place(|| primary.standby_on(&hosts[1]));
    block_in_place(|| primary.wait_for_standbys(true));
    let url = format!("postgres://postgres@{address}:{}/postgres?schema=bank", primary.port());
    let annals: Annals = app().open(&url).await.unwrap();
    let writers = [0, CALLERS].map(|first| Process::start(&url, &format!("call {first}")));
    for round in 0..rounds(2) {
        wait_for_progress(&annals).await;
        let failed = Instant::now();
        hosts[0].cut_off(true);
        block_in_place(|| standby.promote());
        network.give(&address, &hosts[1], Some(&hosts[0]));
        wait_for_progress(&annals).await;
        let writing = failed.elapsed();
        eprintln!("round {round}: 100 events after {writing:.1?}");
        assert!(writing < WRITING_AGAIN, "{writing:?}");
        hosts[0].cut_off(false);
        hosts.reverse();
        (primary, standby) = block_in_place(|| {
            drop(primary);
            let next = standby.standby_on(&hosts[1]);
            standby.wait_for_standbys(true);
            (standby, next)
        });
    }
    let mut answers = Answers::default();
    let said = writers.map(|writer| Said::read(&writer.kill(), &mut answers));
    assert!(said.iter().all(|said| said.diverged == 0), "no process noticed a loss");
    let log = assert_kept(&annals, &answers).await;
    eprintln!("{} acknowledged, {} events", answers.count(), log.len());
    annals.close().await;
    drop((primary, standby, hosts));
}
