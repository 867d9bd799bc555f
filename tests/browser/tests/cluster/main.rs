//! `job_server` as the guide starts it on a cluster (`docs/guide/jetstream.md`): its log on three NATS servers, three processes with a
//! local copy each, and one page of a browser that stays open while each process and each server is killed.
//!
//! ## Layout
//! - `fleet`: the three processes
//! - `client`: executes commands, by another process if one fails, and reads
//! - `page`: the open page
//! - `brokers`, `replicas`, `round_robin`, `serving`: shared with other tests

#[allow(dead_code, reason = "shared with the tests of feeds, which use the rest")]
#[path = "../../../feeds/brokers.rs"]
mod brokers;
mod client;
mod fleet;
mod page;
#[path = "../../../faults/replicas.rs"]
mod replicas;
#[allow(dead_code, reason = "shared with the tests of HTTP, which use the rest")]
#[path = "../../../live/round_robin.rs"]
mod round_robin;
#[allow(dead_code, reason = "shared with the tests of HTTP, which use the rest")]
#[path = "../../../http/serving.rs"]
mod serving;

use std::collections::{BTreeSet, HashMap};
use std::time::Instant;

use annals::prelude::*;
use serde_json::Value;
use tokio::sync::watch;
use tokio::task::JoinSet;

use brokers::NatsServer;
use client::Client;
use fleet::{Fleet, STREAM};
use page::OpenPage;
use replicas::{leader, wait_until_whole};
use round_robin::RoundRobin;

/// The commands of a process during one fault. All of them together are fewer than the rows that a page keeps.
const COMMANDS: usize = 5;

/// Commands that are executed one after the other at each process.
struct Burst {
    callers: JoinSet<Vec<Receipt>>,
    answered: watch::Receiver<usize>,
}

impl Burst {
    /// Each caller adds members, and reads each at another process than the one that it prefers, as behind a load balancer.
    fn start(client: &Client, name: &str) -> Self {
        let (count, answered) = watch::channel(0);
        let mut callers = JoinSet::new();
        for process in 0..3 {
            let (client, name, count) = (client.clone(), name.to_owned(), count.clone());
            callers.spawn(async move {
                let mut receipts = Vec::new();
                for n in 0..COMMANDS {
                    let user = format!("{name}-{process}-{n}");
                    let receipt = match n % 2 {
                        0 => client.add_member(process, &user).await,
                        _ => client.add_member_by_two(process, &user).await,
                    };
                    match n % 3 {
                        0 => assert!(
                            client.has_member(process + 1, &user, &receipt).await,
                            "{user} is not in the view"
                        ),
                        1 => assert!(client.has_row(process + 1, &receipt).await, "{user} is not on the page"),
                        _ => client.continues(process + 1, &receipt).await,
                    }
                    receipts.push(receipt);
                    count.send_modify(|count| *count += 1);
                }
                receipts
            });
        }
        Self { callers, answered }
    }

    /// Waits until a few commands are answered: the others are under way or come later.
    async fn some(&mut self) {
        self.answered.wait_for(|answered| *answered >= 3).await.expect("the callers run");
    }

    async fn all(self) -> Vec<Receipt> {
        self.callers.join_all().await.into_iter().flatten().collect()
    }
}

/// Mission X12: with the log on NATS JetStream, any process and any server may be killed under an application that is in use.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_of_job_server_stays_open_while_each_of_three_processes_and_nats_servers_is_killed() {
    let Some(mut servers) = NatsServer::cluster() else { return };
    let began = Instant::now();
    let say = |what: &str| eprintln!("{:5.1} s: {what}", began.elapsed().as_secs_f32());
    let mut fleet = tokio::task::block_in_place(|| Fleet::start(&servers));
    let client = Client::of(&fleet.addresses).await;
    let balancer = RoundRobin::before(fleet.addresses.to_vec());
    say("three processes serve");
    let page = OpenPage::open(&format!("http://{}/", balancer.address())).await;
    let mut receipts = vec![client.create_project(0).await];
    page.shows_exactly(&receipts).await;
    say("the page is open");

    let mut killed: Vec<usize> = Vec::new();
    for process in 0..3 {
        let mut burst = Burst::start(&client, &format!("process{process}"));
        burst.some().await;
        fleet.kill(process).await;
        receipts.extend(burst.all().await);
        say(&format!("process {process} is killed"));

        let server = match process {
            0 => leader(&servers, STREAM).await,
            _ => (0..3).find(|server| !killed.contains(server)).expect("another server"),
        };
        killed.push(server);
        let mut burst = Burst::start(&client, &format!("server{server}"));
        burst.some().await;
        servers[server].kill();
        receipts.extend(burst.all().await);
        say(&format!("server {server} is killed"));

        page.shows_exactly(&receipts).await;
        fleet.restart(process);
        servers[server].restart();
        wait_until_whole(&servers, STREAM).await;
        say("both are back");
    }
    page.has_recovered().await;

    assert_in_log_once(&client, &receipts).await;
    assert_equal_everywhere(&client, receipts.last().expect("commands")).await;
    for process in 0..3 {
        // The page is served by this process, and the command is executed by another.
        page.visit(&format!("http://{}/", fleet.addresses[process])).await;
        receipts.push(client.add_member(process + 1, &format!("seen-by-{process}")).await);
        page.has(receipts.last().expect("commands").first_position).await;
    }
    page.close().await;
    say("each page shows what another process executed");
    fleet.stop().await;
    let mut digests = Vec::new();
    for copy in fleet.stores() {
        let annals = job_server::app().open(copy).await.expect("the store opens");
        let report = annals.check(|_, _| ()).await.expect("the log is checked");
        assert!(report.is_sound(), "{report:?}");
        assert_eq!(report.events, receipts.len() as u64);
        digests.push(report.digest);
        annals.close().await;
    }
    assert!(digests.iter().all(|digest| digest == &digests[0]), "{digests:?}");
    say("the log and each copy are sound");
}

/// Each acknowledged command is in the log once, at the position of its receipt, and nothing else is: at each process.
async fn assert_in_log_once(client: &Client, receipts: &[Receipt]) {
    let last = receipts.iter().max_by_key(|receipt| receipt.first_position).expect("commands");
    let answered: HashMap<String, u64> =
        receipts.iter().map(|receipt| (receipt.command_id.to_string(), receipt.first_position)).collect();
    assert_eq!(answered.len(), receipts.len());
    for process in 0..3 {
        let page = client.read(process, "audit?limit=1000", last).await;
        let rows = page["rows"].as_array().expect("rows");
        let found: Vec<(String, u64)> = rows
            .iter()
            .map(|row| {
                (row["command_id"].as_str().expect("an id").to_owned(), row["position"].as_u64().expect("a number"))
            })
            .collect();
        let positions: Vec<u64> = found.iter().map(|(_, position)| *position).collect();
        assert_eq!(positions, (1..=receipts.len() as u64).collect::<Vec<_>>(), "process {process}");
        for (command, position) in &found {
            assert_eq!(answered.get(command), Some(position), "{command} at process {process}");
        }
    }
}

/// The projections of each process agree: the audit log, the view and the metrics.
async fn assert_equal_everywhere(client: &Client, last: &Receipt) {
    let mut first: Option<Vec<Value>> = None;
    for process in 0..3 {
        let audit = client.read(process, "audit?limit=1000", last).await;
        let count = client.read(process, "audit/count", last).await;
        let roster = client.read(process, "views/roster/7", last).await;
        let metrics = client.read(process, "metrics/project", last).await;
        let users: BTreeSet<&str> =
            roster["members"].as_object().expect("members").keys().map(String::as_str).collect();
        let added = audit["rows"].as_array().expect("rows").len() - 1;
        assert_eq!((users.len(), metrics["total"].as_u64()), (added, Some(added as u64 + 1)), "process {process}");
        let found = vec![audit, count, roster, metrics["total"].clone(), metrics["by_event"].clone()];
        match &first {
            None => first = Some(found),
            Some(first) => assert_eq!(*first, found, "process {process}"),
        }
    }
}
