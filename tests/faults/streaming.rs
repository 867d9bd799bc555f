//! A log on NATS JetStream, in a cluster of three servers of which some are killed, stopped, cut off or wiped, and processes that write
//! to it, killed and stopped too.

use std::time::{Duration, Instant};

use annals::projections::ReadError;
use annals_test_postgres::{Host, Network, free_port};

use crate::bank::{Balance, account, app, by, deposit};
use crate::brokers::NatsServer;
use crate::processes::Process;
use crate::promises::{Answers, assert_kept, fold};
use crate::proxy::Proxy;
use crate::replicas::{leader, wait_until_whole};
use crate::{random, rounds};

/// The name of the stream.
const STREAM: &str = "LOG";

/// Three servers. Each pair talks through a proxy, so that one can be cut off; or each has a host of its own.
struct Cluster {
    servers: Vec<NatsServer>,
    /// The proxies between two servers, with their numbers.
    routes: Vec<(usize, usize, Proxy)>,
    hosts: Vec<Host>,
    _network: Option<Network>,
    folder: tempfile::TempDir,
}

impl Cluster {
    fn start() -> Option<Self> {
        let clients: Vec<u16> = (0..3).map(|_| free_port()).collect();
        let ports: Vec<u16> = (0..3).map(|_| free_port()).collect();
        let mut routes = Vec::new();
        for from in 0..3 {
            for to in (0..3).filter(|to| *to != from) {
                routes.push((from, to, Proxy::before(&format!("nats://127.0.0.1:{}/", ports[to]))));
            }
        }
        let mut servers = Vec::new();
        for number in 0..3 {
            let urls: Vec<String> = routes
                .iter()
                .filter(|(from, _, _)| *from == number)
                .map(|(_, to, proxy)| {
                    format!("\"{}\"", proxy.url(&format!("nats://127.0.0.1:{}/", ports[*to])).trim_end_matches('/'))
                })
                .collect();
            // Nobody is introduced to another server without its proxy.
            let more = format!(
                "server_name: n{number}\ncluster {{ name: annals, listen: \"127.0.0.1:{}\", no_advertise: true, pool_size: -1, \
                 routes: [{}] }}",
                ports[number],
                urls.join(", ")
            );
            servers.push(NatsServer::start_on(clients[number], &more)?);
        }
        servers.iter().for_each(NatsServer::wait);
        let folder = tempfile::tempdir().unwrap();
        Some(Self { servers, routes, hosts: Vec::new(), _network: None, folder })
    }

    /// Each server on a host of its own.
    fn start_on_hosts() -> Option<Self> {
        let mut network = Network::new();
        let hosts: Vec<Host> = (0..3).map(|_| network.host()).collect();
        let routes: Vec<String> = hosts.iter().map(|host| format!("\"nats://{}:6222\"", host.address())).collect();
        let servers = hosts.iter().enumerate().map(|(number, host)| {
            let more = format!(
                "server_name: n{number}\ncluster {{ name: annals, listen: \"{}:6222\", routes: [{}] }}",
                host.address(),
                routes.join(", ")
            );
            NatsServer::start_at(host, 4222, &more)
        });
        let servers: Vec<NatsServer> = servers.collect::<Option<_>>()?;
        servers.iter().for_each(NatsServer::wait);
        let folder = tempfile::tempdir().unwrap();
        Some(Self { servers, routes: Vec::new(), hosts, _network: Some(network), folder })
    }

    /// The log, with a local file of this name.
    fn url(&self, file: &str) -> String {
        let hosts: Vec<String> =
            self.servers.iter().map(|server| format!("{}:{}", server.address, server.port)).collect();
        format!("nats://{}/{STREAM}?file={}", hosts.join(","), self.folder.path().join(file).display())
    }

    /// Cuts a server off from the others, or connects it again. Programs reach it all along, unless it has a host of its own.
    fn cut_off(&self, server: usize, cut: bool) {
        if let Some(host) = self.hosts.get(server) {
            host.cut_off(cut);
        }
        for (from, to, proxy) in &self.routes {
            if *from == server || *to == server {
                proxy.refuse(cut);
                if cut {
                    proxy.cut();
                }
            }
        }
    }
}

/// What happens while two processes write.
#[derive(Clone, Copy, Debug)]
enum Fault {
    KillLeader,
    KillFollower,
    KillAll,
    KillWriter,
    StopWriter,
    StopLeader,
    CutOffLeader,
    CutOffFollower,
    WipeFollower,
}

const FAULTS: [Fault; 8] = [
    Fault::KillWriter,
    Fault::KillFollower,
    Fault::WipeFollower,
    Fault::KillLeader,
    Fault::StopWriter,
    Fault::KillAll,
    Fault::StopLeader,
    Fault::CutOffLeader,
];

/// The first so many are part of a short run. The others take half a minute each.
const SHORT: u64 = 6;

/// Waits until each writer has an answer to a command that it sent after now.
fn wait_for_answers(writers: &mut [Process], said: &mut [Vec<String>]) {
    for (writer, said) in writers.iter_mut().zip(said) {
        // The answers before the fault.
        while let Some(line) = writer.line_within(Duration::ZERO) {
            said.push(line);
        }
        // Up to a batch is under way.
        for _ in 0..40 {
            said.push(writer.next_line());
        }
    }
}

/// Missions X1, X2 and X12, Guarantees 45 and 46: nothing acknowledged is lost, nothing is twice, positions have no gap.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_whose_servers_and_writers_fail_loses_repeats_and_skips_no_event() {
    let Some(cluster) = Cluster::start() else { return };
    fail_in_turn(cluster, &FAULTS, rounds(SHORT)).await;
}

/// The same, with links that are down: nothing says that a connection ended.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs root and the program `ip`: part of a long run"]
async fn a_cluster_whose_links_go_down_loses_repeats_and_skips_no_event() {
    let Some(cluster) = Cluster::start_on_hosts() else { return };
    fail_in_turn(cluster, &[Fault::CutOffLeader, Fault::CutOffFollower], rounds(2)).await;
}

/// Lets servers and writers fail so many times, in each of these ways in turn, and checks all guarantees.
async fn fail_in_turn(mut cluster: Cluster, faults: &[Fault], rounds: u64) {
    let mut answers = Answers::default();
    app().open(&cluster.url("check.db")).await.unwrap().close().await;
    let only = std::env::var("FAULT_ONLY").ok();
    for round in 0..rounds as usize {
        let fault = faults[round % faults.len()];
        if only.as_ref().is_some_and(|only| *only != format!("{fault:?}")) {
            continue;
        }
        let began = Instant::now();
        let start = |writer: u64, answers: &Answers| {
            Process::start(
                &cluster.url(&format!("writer{writer}.db")),
                &format!("write {writer} {}", answers.next(writer)),
            )
        };
        let mut writers: Vec<Process> = (0..2).map(|writer| start(writer, &answers)).collect();
        writers.iter_mut().for_each(Process::wait_until_it_speaks);
        tokio::time::sleep(Duration::from_millis(random(300))).await;
        let leader = leader(&cluster.servers, STREAM).await;
        let follower = (leader + 1 + random(2) as usize) % 3;
        let mut said = vec![Vec::new(), Vec::new()];
        eprintln!("{fault:?}, leader {leader}");
        match fault {
            Fault::KillWriter => {
                let killed = writers.remove(0);
                answers.add(0, &killed.kill());
                let mut again = start(0, &answers);
                again.wait_until_it_speaks();
                writers.insert(0, again);
            }
            Fault::StopWriter => {
                writers[0].signal("-STOP");
                wait_for_answers(&mut writers[1..], &mut said[1..]);
                tokio::time::sleep(Duration::from_millis(500 + random(2_000))).await;
                writers[0].signal("-CONT");
            }
            Fault::KillLeader | Fault::KillFollower => {
                let server = if matches!(fault, Fault::KillLeader) { leader } else { follower };
                cluster.servers[server].kill();
                wait_for_answers(&mut writers, &mut said);
                cluster.servers[server].restart();
            }
            Fault::WipeFollower => {
                cluster.servers[follower].kill();
                cluster.servers[follower].wipe();
                cluster.servers[follower].restart();
            }
            Fault::KillAll => {
                cluster.servers.iter_mut().for_each(NatsServer::kill);
                cluster.servers.iter_mut().for_each(NatsServer::spawn);
            }
            Fault::StopLeader => {
                cluster.servers[leader].signal("-STOP");
                wait_for_answers(&mut writers, &mut said);
                cluster.servers[leader].signal("-CONT");
            }
            Fault::CutOffLeader | Fault::CutOffFollower => {
                let server = if matches!(fault, Fault::CutOffLeader) { leader } else { follower };
                cluster.cut_off(server, true);
                wait_for_answers(&mut writers, &mut said);
                cluster.cut_off(server, false);
            }
        }
        wait_for_answers(&mut writers, &mut said);
        eprintln!("  both writers have answers again after {:?}", began.elapsed());
        for (number, (writer, mut said)) in writers.into_iter().zip(said).enumerate() {
            let mut all = writer.kill();
            // The first line was kept apart.
            let rest = all.split_off(all.len().min(1));
            all.append(&mut said);
            all.extend(rest);
            answers.add(number as u64, &all);
        }
        wait_until_whole(&cluster.servers, STREAM).await;
        let annals = app().open(&cluster.url("check.db")).await.unwrap();
        assert_kept(&annals, &answers).await;
        annals.close().await;
        eprintln!("{fault:?}: {} answers, {:?}", answers.count(), began.elapsed());
    }
    // A process that has nothing but the stream has the same log.
    let annals = app().open(&cluster.url("late.db")).await.unwrap();
    assert_kept(&annals, &answers).await;
    annals.close().await;
}

/// How long a writer is paused: longer than its claim lives, and once in a long run for a minute.
fn pause(round: i64) -> Duration {
    let is_long = round == 0 && std::env::var("FAULT_ROUNDS").is_ok();
    Duration::from_secs(if is_long { 60 } else { 3 })
}

/// Guarantees 45 and 47: it is paused among its commands, of which the others have overtaken the one that was under way.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_writer_that_was_paused_loses_and_repeats_nothing_and_decides_on_what_the_others_wrote() {
    const COMMANDS: i64 = 12;
    let Some(cluster) = Cluster::start() else { return };
    let mut paused = Process::server(&cluster.url("paused.db"));
    let mut other = Process::server(&cluster.url("other.db"));
    let mut busy = Process::start(&cluster.url("busy.db"), "write 0 0");
    busy.wait_until_it_speaks();
    let rounds = rounds(2) as i64;
    let mut deposits = 0;
    for round in 0..rounds {
        assert!(paused.ask(&format!("deposit hot{round} 100")).starts_with("ok"));
        (0..COMMANDS).for_each(|_| paused.tell("deposit paused 1"));
        let mut answered = random(COMMANDS as u64 / 2) as i64;
        (0..answered).for_each(|_| assert!(paused.next_line().starts_with("ok")));
        paused.signal("-STOP");
        let began = Instant::now();
        assert!(other.ask(&format!("transfer hot{round} aside 60")).starts_with("ok"));
        while began.elapsed() < pause(round) {
            assert!(other.ask("deposit other 1").starts_with("ok"));
            deposits += 1;
        }
        paused.signal("-CONT");
        while answered < COMMANDS {
            let answer = paused.next_line();
            assert!(answer.starts_with("ok"), "{answer}");
            answered += 1;
        }
        let answer = paused.ask(&format!("transfer hot{round} aside 60"));
        assert!(answer.starts_with("refused"), "it had 100 before the pause: {answer}");
    }
    let mut answers = Answers::default();
    answers.add(0, &busy.kill());
    for process in [paused, other] {
        process.kill();
    }
    let annals = app().open(&cluster.url("check.db")).await.unwrap();
    let balances = fold(&assert_kept(&annals, &answers).await);
    let cents = |account: &str| balances.get(account).map_or(0, |balance| balance.cents);
    assert_eq!((cents("paused"), cents("other"), cents("aside")), (rounds * COMMANDS, deposits, rounds * 60));
    annals.close().await;
}

/// Guarantee 50: what one process acknowledged is read at another one, whose copy is behind.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receipt_of_another_process_waits_for_the_copy_and_one_of_another_log_is_refused() {
    let Some(server) = NatsServer::start() else { return };
    let folder = tempfile::tempdir().unwrap();
    let url =
        |stream: &str, file: &str| format!("{}/{stream}?file={}", server.url(), folder.path().join(file).display());
    let one = app().open(&url(STREAM, "one.db")).await.unwrap();
    let other = app().open(&url(STREAM, "other.db")).await.unwrap();
    for paid in 1..=20 {
        let receipt = one.execute(deposit("a", 1), &by("ann")).await.unwrap();
        let balance = other.view::<Balance>(&account("a")).after(receipt).await.unwrap();
        assert_eq!(balance.map(|balance| balance.cents), Some(paid));
        let page = other.audit().after(receipt).newest_first().limit(1).page().await.unwrap();
        assert_eq!(page.rows[0].position, receipt.head.position);
    }
    let foreign = app().open(&url("OTHER", "foreign.db")).await.unwrap();
    let mut receipt = foreign.execute(deposit("a", 1), &by("ann")).await.unwrap();
    receipt.head.position = 1_000;
    let refused = other.view::<Balance>(&account("a")).after(receipt).await;
    assert!(matches!(refused, Err(ReadError::Diverged(_))), "{refused:?}");
    for annals in [one, other, foreign] {
        annals.close().await;
    }
}
