//! A load balancer: one address, whose server can be changed.

use std::sync::{Arc, Mutex};

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// The state of the existing connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lines {
    Carried,
    /// The connections are closed.
    Cut,
    /// The connections stay open, and no byte passes.
    Frozen,
}

/// Listens on its own port and forwards to a server's port.
pub struct Balancer {
    port: u16,
    state: Arc<Mutex<State>>,
    accepting: JoinHandle<()>,
}

struct State {
    server: u16,
    lines: watch::Sender<Lines>,
}

impl Balancer {
    pub async fn before(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(Mutex::new(State { server, lines: watch::Sender::new(Lines::Carried) }));
        let shared = state.clone();
        let accepting = tokio::spawn(async move {
            while let Ok((program, _)) = listener.accept().await {
                let (server, lines) = {
                    let state = shared.lock().unwrap();
                    (state.server, state.lines.subscribe())
                };
                tokio::spawn(carry(program, server, lines));
            }
        });
        Self { port, state, accepting }
    }

    /// Returns its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns the URL of a schema.
    pub fn url(&self, schema: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres?schema={schema}", self.port)
    }

    /// Forwards new connections to the server at another port.
    pub fn switch(&self, server: u16, lines: Lines) {
        let mut state = self.state.lock().unwrap();
        state.server = server;
        // Existing connections keep the receiver of the old sender, whose last value remains.
        std::mem::replace(&mut state.lines, watch::Sender::new(Lines::Carried)).send_replace(lines);
    }

    /// Changes the state of all existing connections.
    pub fn all(&self, lines: Lines) {
        let server = self.state.lock().unwrap().server;
        self.switch(server, lines);
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn carry(mut program: TcpStream, server: u16, mut lines: watch::Receiver<Lines>) {
    let Ok(mut server) = TcpStream::connect(("127.0.0.1", server)).await else { return };
    let _ = (program.set_nodelay(true), server.set_nodelay(true));
    let said = tokio::select! {
        _ = tokio::io::copy_bidirectional(&mut program, &mut server) => return,
        // The last value is read even when its sender is dropped.
        said = lines.wait_for(|lines| *lines != Lines::Carried) => said.map(|lines| *lines),
    };
    if said.is_ok_and(|said| said == Lines::Frozen) {
        std::future::pending::<()>().await;
    }
}
