//! [`free_port`]: a port for a server that is stopped and started again.

use std::net::TcpListener;

use uuid::Uuid;

/// Returns a free port that no outgoing connection gets.
///
/// A system gives outgoing connections ports from 32768 on (macOS and the BSDs: 49152). A server that had one of those may not
/// get it back: while it was stopped, a client that tried to reach it may have got that very port, and reached itself.
///
/// # Panics
/// When a thousand ports are in use.
#[must_use]
pub fn free_port() -> u16 {
    let random = || 10_000 + (Uuid::new_v4().as_u128() % 20_000) as u16;
    let free = (0..1_000).map(|_| random()).find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok());
    free.expect("a free port")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_free_port_is_one_that_no_outgoing_connection_gets() {
        let ports: Vec<u16> = (0..100).map(|_| free_port()).collect();
        assert!(ports.iter().all(|port| (10_000..30_000).contains(port)), "{ports:?}");
        TcpListener::bind(("127.0.0.1", ports[0])).unwrap();
    }
}
