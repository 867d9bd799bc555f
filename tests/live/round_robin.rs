//! A small load balancer: each connection is to the next of several servers that accepts it.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

pub struct RoundRobin {
    address: SocketAddr,
    carried: Arc<Vec<AtomicUsize>>,
}

impl RoundRobin {
    /// Listens on its own port for these servers, as long as the process runs.
    pub fn before(servers: Vec<SocketAddr>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let carried: Arc<Vec<_>> = Arc::new(servers.iter().map(|_| AtomicUsize::new(0)).collect());
        let counts = carried.clone();
        std::thread::spawn(move || {
            for (client, turn) in listener.incoming().map_while(Result::ok).zip(0..) {
                let places = (0..servers.len()).map(|at| (turn + at) % servers.len());
                let found = places.into_iter().find_map(|at| Some((at, TcpStream::connect(servers[at]).ok()?)));
                let Some((at, server)) = found else { continue };
                counts[at].fetch_add(1, Ordering::Relaxed);
                for (from, to) in [(&client, &server), (&server, &client)] {
                    let (from, to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                    std::thread::spawn(move || carry(from, to));
                }
            }
        });
        Self { address, carried }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The number of connections to each server.
    pub fn carried(&self) -> Vec<usize> {
        self.carried.iter().map(|count| count.load(Ordering::Relaxed)).collect()
    }
}

fn carry(mut from: TcpStream, mut to: TcpStream) {
    let mut buffer = [0; 16 << 10];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        if to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
}
