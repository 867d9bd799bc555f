//! A proxy between a program and its server: delays bytes, and cuts connections, also after a number of bytes.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

use crate::processes::PATIENCE;

/// A direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// From the program to the server.
    Up,
    /// From the server to the program.
    Down,
}

/// The proxy. Dropping it cuts all connections.
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
    /// The connections are cut after this many more bytes in each direction.
    fuse: Option<(Way, u64)>,
    cuts: u64,
    /// New connections are closed at once.
    refusing: bool,
    over: bool,
}

impl Proxy {
    /// Listens on its own port for the server of a URL.
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

    /// Returns the URL through this proxy.
    pub fn url(&self, url: &str) -> String {
        let (before, _, after) = parts(url);
        format!("{before}127.0.0.1:{}{after}", self.port)
    }

    /// Holds back all bytes in one direction.
    pub fn hold(&self, way: Way) {
        self.shared.lock().held = Some(way);
    }

    /// Cuts all connections: bytes that were held back are lost. New connections are forwarded.
    pub fn cut(&self) {
        let mut state = self.shared.lock();
        state.cut();
        state.held = None;
        self.shared.changed.notify_all();
    }

    /// Cuts all connections after this many more bytes in that direction, summed over all of them.
    pub fn cut_after(&self, way: Way, bytes: u64) {
        self.shared.lock().fuse = Some((way, bytes));
    }

    /// Refuses new connections, or forwards them again.
    pub fn refuse(&self, refusing: bool) {
        self.shared.lock().refusing = refusing;
    }

    /// Returns the number of cuts.
    pub fn cuts(&self) -> u64 {
        self.shared.lock().cuts
    }

    /// Waits for this many cuts, at most for a time. Returns whether they happened.
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
        // The listening thread detects the end.
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
                    // The last bytes are forwarded before the cut.
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

/// Splits a URL into the text before host and port, these two, and the text after them.
fn parts(url: &str) -> (&str, &str, &str) {
    let scheme = url.find("://").expect("a URL") + 3;
    let end = url[scheme..].find(['/', '?']).map_or(url.len(), |at| scheme + at);
    let start = url[scheme..end].rfind('@').map_or(scheme, |at| scheme + at + 1);
    (&url[..start], &url[start..end], &url[end..])
}
