//! The replicas of a stream in a cluster of NATS servers, which are named `n0`, `n1`, `n2`.

use std::time::{Duration, Instant};

use async_nats::ConnectOptions;
use async_nats::jetstream;
use async_nats::jetstream::stream::ClusterInfo;

use crate::brokers::NatsServer;

/// How long an election and catching up may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// Returns the number of the server that leads the stream.
pub async fn leader(servers: &[NatsServer], stream: &str) -> usize {
    let began = Instant::now();
    loop {
        for server in servers {
            let replicas = replicas(server, stream).await;
            let leader = replicas.and_then(|replicas| replicas.leader);
            if let Some(number) = leader.and_then(|name| name.strip_prefix('n')?.parse().ok()) {
                return number;
            }
        }
        assert!(began.elapsed() < PATIENCE, "the stream has no leader");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Waits until each of the three servers has all messages of the stream.
pub async fn wait_until_whole(servers: &[NatsServer], stream: &str) {
    let began = Instant::now();
    loop {
        let leader = leader(servers, stream).await;
        let whole = replicas(&servers[leader], stream).await.is_some_and(|replicas| {
            replicas.replicas.len() == 2 && replicas.replicas.iter().all(|replica| replica.current)
        });
        if whole {
            return;
        }
        assert!(began.elapsed() < PATIENCE, "a server does not catch up");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// What a server says about the replicas; none if it does not answer at once.
async fn replicas(server: &NatsServer, stream: &str) -> Option<ClusterInfo> {
    let options = ConnectOptions::new().connection_timeout(Duration::from_secs(1));
    let client = options.request_timeout(Some(Duration::from_secs(1))).connect(server.url()).await.ok()?;
    let stream = jetstream::new(client).get_stream(stream).await.ok()?;
    stream.cached_info().cluster.clone()
}
