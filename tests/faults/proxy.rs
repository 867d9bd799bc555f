//! Between a program and its server: holds what is sent, cuts the line, counts bytes until it does.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

use crate::processes::PATIENCE;

/// Which way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// From the program to the server.
    Up,
    /// From the server to the program.
    Down,
}

/// A line that can be cut. Dropping it cuts it for good.
pub struct Proxy {
    port: u16,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// Both ends of each connection.
    open: Vec<(TcpStream, TcpStream)>,
    held: Option<Way>,
    /// After so many more bytes this way the line is cut.
    fuse: Option<(Way, u64)>,
    cuts: u64,
    /// Connections are closed as soon as they are made.
    refusing: bool,
    over: bool,
}

impl Proxy {
    /// Listens on a port of its own for the server that a URL names.
    pub fn before(url: &str) -> Self {
        let (_, address, _) = parts(url);
        let server = if address.contains(':') { address.to_owned() } else { format!("{address}:5432") };
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared::default());
        let accepting = shared.clone();
        std::thread::spawn(move || {
            for program in listener.incoming().map_while(Result::ok) {
                let mut state = accepting.lock();
                if state.over {
                    return;
                }
                let Ok(server) = TcpStream::connect(&server) else { continue };
                if state.refusing {
                    continue;
                }
                let _ = (program.set_nodelay(true), server.set_nodelay(true));
                let clone = |stream: &TcpStream| stream.try_clone().unwrap();
                state.open.push((clone(&program), clone(&server)));
                drop(state);
                for (way, from, to) in
                    [(Way::Up, clone(&program), clone(&server)), (Way::Down, clone(&server), clone(&program))]
                {
                    let shared = accepting.clone();
                    std::thread::spawn(move || shared.carry(way, from, to));
                }
            }
        });
        Self { port, shared }
    }

    /// The same URL through this.
    pub fn url(&self, url: &str) -> String {
        let (before, _, after) = parts(url);
        format!("{before}127.0.0.1:{}{after}", self.port)
    }

    /// Keeps back all that is sent one way.
    pub fn hold(&self, way: Way) {
        self.shared.lock().held = Some(way);
    }

    /// Cuts all connections: what was kept back is lost. New ones are carried.
    pub fn cut(&self) {
        let mut state = self.shared.lock();
        state.cut();
        state.held = None;
        self.shared.changed.notify_all();
    }

    /// Cuts all connections as soon as so many more bytes have gone that way, over all of them.
    pub fn cut_after(&self, way: Way, bytes: u64) {
        self.shared.lock().fuse = Some((way, bytes));
    }

    /// Refuses new connections, or carries them again.
    pub fn refuse(&self, refusing: bool) {
        self.shared.lock().refusing = refusing;
    }

    /// How often it was cut.
    pub fn cuts(&self) -> u64 {
        self.shared.lock().cuts
    }

    /// Waits until it was cut so often, or for so long. Whether it was.
    pub fn wait_for_cuts(&self, cuts: u64, time: Duration) -> bool {
        let waiting = || {
            let state = self.shared.lock();
            let (state, _) = self
                .shared
                .changed
                .wait_timeout_while(state, time.min(PATIENCE), |state| state.cuts < cuts)
                .unwrap_or_else(|error| panic!("{error}"));
            state.cuts >= cuts
        };
        tokio::task::block_in_place(waiting)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.lock().over = true;
        self.cut();
        // The listening thread sees that it is over.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn carry(&self, way: Way, mut from: TcpStream, mut to: TcpStream) {
        let mut buffer = [0; 16 << 10];
        loop {
            let mut count = match from.read(&mut buffer) {
                Ok(0) | Err(_) => break,
                Ok(count) => count,
            };
            let mut state = self.lock();
            let cuts = state.cuts;
            while state.held == Some(way) && state.cuts == cuts {
                state = self.changed.wait(state).unwrap();
            }
            if state.cuts > cuts {
                break;
            }
            if let Some((fused, left)) = &mut state.fuse
                && *fused == way
            {
                count = count.min(usize::try_from(*left).unwrap());
                *left -= count as u64;
                if *left == 0 {
                    // What goes through last is on its way before the line is cut.
                    let _ = to.write_all(&buffer[..count]);
                    state.cut();
                    self.changed.notify_all();
                    break;
                }
            }
            drop(state);
            if to.write_all(&buffer[..count]).is_err() {
                break;
            }
        }
        let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
    }
}

impl State {
    fn cut(&mut self) {
        for (program, server) in self.open.drain(..) {
            let _ = (program.shutdown(Shutdown::Both), server.shutdown(Shutdown::Both));
        }
        self.fuse = None;
        self.cuts += 1;
    }
}

/// What is before a URL's host and port, these, and what is behind them.
fn parts(url: &str) -> (&str, &str, &str) {
    let scheme = url.find("://").expect("a URL") + 3;
    let end = url[scheme..].find(['/', '?']).map_or(url.len(), |at| scheme + at);
    let start = url[scheme..end].rfind('@').map_or(scheme, |at| scheme + at + 1);
    (&url[..start], &url[start..end], &url[end..])
}
