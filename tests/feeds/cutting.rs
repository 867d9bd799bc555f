//! A proxy that cuts a connection before an answer arrives.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A proxy before a server on this machine.
pub struct Cutting {
    pub port: u16,
    /// How many answers are still to be lost.
    pub left: Arc<AtomicU32>,
    task: tokio::task::JoinHandle<()>,
}

impl Cutting {
    /// Cuts each of the next `left` connections when the server sends something that contains `needle`, which is lost.
    pub async fn before(port: u16, needle: &'static str, left: u32) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let own = listener.local_addr().unwrap().port();
        let left = Arc::new(AtomicU32::new(left));
        let shared = left.clone();
        let task = tokio::spawn(async move {
            loop {
                let Ok((client, _)) = listener.accept().await else { return };
                tokio::spawn(forward(client, port, needle, shared.clone()));
            }
        });
        Self { port: own, left, task }
    }
}

impl Drop for Cutting {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn forward(mut client: TcpStream, port: u16, needle: &str, left: Arc<AtomicU32>) {
    let Ok(mut server) = TcpStream::connect(("127.0.0.1", port)).await else { return };
    let (mut from_client, mut from_server) = (vec![0; 65_536], vec![0; 65_536]);
    loop {
        tokio::select! {
            read = client.read(&mut from_client) => match read {
                Ok(read) if read > 0 => if server.write_all(&from_client[..read]).await.is_err() { return },
                _ => return,
            },
            read = server.read(&mut from_server) => match read {
                Ok(read) if read > 0 => {
                    let sent = &from_server[..read];
                    let hit = sent.windows(needle.len()).any(|part| part == needle.as_bytes());
                    let one_less = |left: u32| left.checked_sub(1);
                    if hit && left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less).is_ok() {
                        return;
                    }
                    if client.write_all(sent).await.is_err() { return }
                }
                _ => return,
            },
        }
    }
}
