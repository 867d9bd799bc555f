//! [`Hosts`]: the servers of a log, and which of them were silent: those are connected to last.

use std::time::Duration;

use async_nats::{Client, ConnectOptions};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::time::{Instant, sleep, timeout_at};

use crate::nats_servers::NatsServers;

/// How long one host may take to accept a connection.
const ANSWER: Duration = Duration::from_secs(2);
/// How long the hosts together may take.
const CONNECTING: Duration = Duration::from_secs(10);
/// After this time without an answer the next host is tried too: one that is frozen accepts a connection and says nothing.
const HEAD_START: Duration = Duration::from_millis(300);

pub(super) struct Hosts {
    servers: NatsServers,
    /// When each host was last silent.
    silent: Vec<Option<Instant>>,
    /// The host of the present connection.
    current: usize,
}

impl Hosts {
    pub(super) fn new(servers: NatsServers) -> Self {
        let silent = vec![None; servers.count()];
        Self { servers, silent, current: 0 }
    }

    /// The host of the present connection did not answer.
    pub(super) fn current_was_silent(&mut self) {
        self.silent[self.current] = Some(Instant::now());
    }

    /// The order in which the hosts are tried: a random one, but those that were silent last, the longest silent first.
    fn order(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.silent.len()).collect();
        fastrand::shuffle(&mut order);
        order.sort_by_key(|host| self.silent[*host]);
        order
    }

    /// Connects to a host, or says why not.
    pub(super) async fn connect(&mut self, options: &ConnectOptions) -> Result<Client, String> {
        let until = Instant::now() + CONNECTING;
        let servers = self.servers.clone();
        let mut waiting = self.order().into_iter().peekable();
        let mut tried = Vec::new();
        let mut under_way = FuturesUnordered::new();
        let mut refused = None;
        loop {
            if let Some(host) = waiting.next() {
                tried.push(host);
                let connecting = servers.connect_to(host, options.clone(), ANSWER);
                under_way.push(async move { (host, connecting.await) });
            }
            let answered = tokio::select! {
                answered = timeout_at(until, under_way.next()) => answered,
                () = sleep(HEAD_START), if waiting.peek().is_some() => continue,
            };
            match answered {
                Ok(Some((host, Ok(client)))) => {
                    // The others had a head start.
                    tried.iter().for_each(|tried| self.silent[*tried] = Some(Instant::now()));
                    self.silent[host] = None;
                    self.current = host;
                    return Ok(client);
                }
                Ok(Some((host, Err(why)))) => {
                    self.silent[host] = Some(Instant::now());
                    refused.get_or_insert(why);
                }
                Ok(None) => break,
                Err(_) => {
                    refused.get_or_insert(format!(
                        "{}: no server has answered within {CONNECTING:?}",
                        servers.hosts()
                    ));
                    break;
                }
            }
        }
        Err(refused.unwrap_or_else(|| "no server is named".to_owned()))
    }
}
